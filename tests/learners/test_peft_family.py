"""Low-rank adapters, orthogonal subspaces and merges: against cases by hand, peft itself and plain linear algebra."""

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import merge_utils
from torch import nn

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.keys import canonical, digest, seed_of
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Lesson, Message
from clbench.learners import merge, olora, osf
from clbench.learners._shared.adapters import LoraTraining, act, acting, adapter_of, add_lora, linear_names
from clbench.learners._shared.lesson_keys import mean_states
from clbench.models.net import Forward
from clbench.training.schedule import by_rate

pytestmark = pytest.mark.xdist_group("methods")
WORDS = {1: "zan tuk red blue mof", 2: "9 + 4 = 13 - 7 * 5", 3: "How does the weather look in the north today?"}
TEXT = Decode(kind="text", max_tokens=4)


def lesson(step=1, num=8, task_name=None, targets=("red", "blue", "green")):
    examples = tuple(
        Example(
            id=f"{step}-{i}",
            prompt=(Message(role="user", content=f"{WORDS[step]} {i}"),),
            targets=(targets[(step + i) % len(targets)],),
            choices=targets,
        )
        for i in range(num)
    )
    return Lesson(number=step, examples=examples, task_name=task_name, digest=digest(examples))


def learner(name, model="tiny-llama", **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(**{"lr": 1e-3, "batch_size": 4, "epochs": 1, "warmup": 0.0, **settings})
    return plugin.build(config, ModelSpec(name=model), 0, Machine(device="cpu"))


def taught(name, steps=(1, 2), model="tiny-llama", **settings):
    made = learner(name, model, **settings)
    for step in steps:
        made.learn(lesson(step))
    return made


def weights(made):
    return {n: p.detach().clone() for n, p in made.net.module.named_parameters()}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def logits(made, examples):
    with torch.no_grad():
        return made.net.forward(made.net.module, made.net.batch(examples)).logits_NV


class Toy:
    """A net of two linear layers: small enough to be worked by hand."""

    labels = ()
    head_name = "1"

    def __init__(self, inputs=2, outputs=2):
        self.module = nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.Linear(outputs, 3, bias=False))


# --- adapters -----------------------------------------------------------------------------------------------------


def test_a_second_adapter_lands_on_the_same_layers_and_alone_learns():
    net = Toy()
    assert linear_names(net) == ["0"]
    for step in (1, 2, 3):
        add_lora(net, LoraTraining(rank=1), adapter_of(step))
        assert linear_names(net) == ["0"]
        learning = {n for n, p in net.module.named_parameters() if p.requires_grad}
        assert learning == {f"0.lora_{factor}.{adapter_of(step)}.weight" for factor in "AB"}
        assert net.module[0].active_adapters == [adapter_of(step)]


def test_acting_adapters_add_up_and_everything_is_put_back():
    net = Toy()
    base, x = net.module[0].weight.detach().clone(), torch.tensor([[1.0, 2.0]])
    delta = {}
    for step in (1, 2):
        add_lora(net, LoraTraining(rank=1, alpha=3.0), adapter_of(step))
        layer = net.module[0]
        with torch.no_grad():
            layer.lora_B[adapter_of(step)].weight.fill_(step)
        a, b = (layer.get_parameter(f"lora_{f}.{adapter_of(step)}.weight").detach() for f in "AB")
        delta[step] = 3.0 * b @ a
    learning = {n: p.requires_grad for n, p in net.module.named_parameters()}
    for steps in ((), (1,), (2,), (1, 2)):
        with acting(net, [adapter_of(s) for s in steps]):
            expected = x @ (base + sum((delta[s] for s in steps), torch.zeros(2, 2))).T
            assert torch.allclose(net.module[0](x), expected, atol=1e-5)
    assert net.module[0].active_adapters == [adapter_of(2)]
    assert {n: p.requires_grad for n, p in net.module.named_parameters()} == learning


def test_an_unknown_target_is_refused_with_the_nearest_name():
    made = learner("lora", targets=("q_porj",))
    with pytest.raises(SpecError) as error:
        made.learn(lesson())
    assert "q_proj" in str(error.value)


# --- LoRA+ --------------------------------------------------------------------------------------------------------


def test_lora_plus_groups_are_those_of_peft():
    made = learner("lora_plus", ratio=7.0)
    made.method.prepare(made.net, 1)
    params = {n: p for n, p in made.net.module.named_parameters() if p.requires_grad}
    ours = {id(p): group["speed"] for group in by_rate(params, made.method.lr_scale) for p in group["params"]}
    theirs = create_loraplus_optimizer(made.net.module, torch.optim.AdamW, lr=1.0, loraplus_lr_ratio=7.0)
    assert ours == {id(p): group["lr"] for group in theirs.param_groups for p in group["params"]}
    assert set(ours.values()) == {1.0, 7.0}


def test_lora_plus_is_lora_at_ratio_one_and_not_at_others():
    plain = weights(taught("lora"))
    assert same(weights(taught("lora_plus", ratio=1.0)), plain)
    faster = weights(taught("lora_plus", ratio=4.0))
    moved = {n: float(v.abs().sum()) for n, v in faster.items() if ".lora_B." in n}
    assert all(moved[n] > 2 * float(plain[n].abs().sum()) for n in moved)


# --- O-LoRA -------------------------------------------------------------------------------------------------------


def test_overlap_by_hand():
    net = Toy()
    first = {1: [[1.0, 0.0]], 2: [[0.5, 2.0]], 3: [[-1.0, 3.0]]}
    for step, rows in first.items():
        add_lora(net, LoraTraining(rank=1), adapter_of(step))
        net.module[0].lora_A[adapter_of(step)].weight.data = torch.tensor(rows)
    assert olora.overlap(net, 2).item() == pytest.approx(0.5)
    assert olora.overlap(net, 3).item() == pytest.approx(1.0 + 5.5)


def test_overlap_of_wider_adapters_takes_every_pair_of_rows():
    net = Toy()
    for step, rows in {1: [[1.0, 0.0], [0.0, 1.0]], 2: [[1.0, 2.0], [3.0, -4.0]]}.items():
        add_lora(net, LoraTraining(rank=2), adapter_of(step))
        net.module[0].lora_A[adapter_of(step)].weight.data = torch.tensor(rows)
    assert olora.overlap(net, 2).item() == pytest.approx(1 + 2 + 3 + 4)


def test_olora_penalty_pulls_on_the_new_adapter_alone():
    made = taught("olora", (1,), rank=2)
    made.method.prepare(made.net, 2)
    batch = made.net.batch(lesson(2).examples[:2])
    out = made.net.forward(made.net.module, batch)
    loss = made.method.loss(made.net, batch, out)
    assert loss.item() == pytest.approx((out.loss + 0.5 * olora.overlap(made.net, 2)).item())
    loss.backward()
    assert all((p.grad is not None) == (".lesson2." in n) for n, p in made.net.module.named_parameters())


def test_olora_keeps_earlier_adapters_to_the_bit_and_lets_them_act():
    made = taught("olora", (1,), rank=2)
    before = weights(made)
    made.learn(lesson(2))
    after = weights(made)
    assert same(before, {n: after[n] for n in before})
    assert float(torch.stack([v.abs().sum() for n, v in after.items() if ".lora_B.lesson2." in n]).min()) > 0
    asked = lesson(3).examples[:2]
    whole = logits(made, asked)
    for alone in (["default"], ["lesson2"], []):
        with acting(made.net, alone):
            assert not torch.equal(logits(made, asked), whole)
    act(made.net, ["default", "lesson2"])
    assert torch.equal(logits(made, asked), whole)


def overlap_after(strength):
    """Learn two regressions, one after the other, and give the overlap of their adapters before and after."""
    torch.manual_seed(0)
    net, method = Toy(8, 8), olora.Olora(olora.Config(rank=2, strength=strength))
    x_NI, y_NO = torch.randn(2, 32, 8), torch.randn(2, 32, 8)
    for step in (1, 2):
        method.prepare(net, step)
        start = olora.overlap(net, step).item() if step == 2 else None
        params = [p for p in net.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(params, lr=3e-3, weight_decay=0.0)
        for i in range(300):
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - i / 300)  # |x| has a kink at 0, around which a step swings
            fit = nn.functional.mse_loss(net.module[0](x_NI[step - 1]), y_NO[step - 1])
            loss = method.loss(net, None, Forward(fit, None, None))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return start, olora.overlap(net, 2).item()


def test_olora_overlap_goes_to_zero_as_its_weight_grows():
    found = {strength: overlap_after(strength) for strength in (0.0, 0.01, 0.1, 10.0)}
    ends = [end for _, end in found.values()]
    assert ends[0] > ends[1] > ends[2]
    assert found[10.0][1] < 0.01 * found[10.0][0]


# --- orthogonal subspaces ------------------------------------------------------------------------------------------


def test_share_that_learns_falls_like_one_over_the_lessons():
    shares = [osf.learning_share(osf.Config(), t) for t in range(1, 200)]
    assert shares[:3] == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    assert all(0 < share < 1 for share in shares)
    assert {osf.learning_share(osf.Config(free=0.3, shrink=0.0), t) for t in (1, 9)} == {0.3}


def trained_osf(**settings):
    """Give a learner in the middle of lesson 1: trained, and not put together yet."""
    made = learner("osf", lr=5e-3, **settings)
    made._open(lesson())
    made._train(lesson(), None)
    return made


def test_osf_merge_keeps_the_training_and_peft_s_unload_would_lose_it():
    asked = lesson(1).examples
    untouched = learner("osf")
    base, before = weights(untouched), logits(untouched, asked)
    merged, unloaded = trained_osf(), trained_osf()
    osf.hold(merged.net.module)  # so that both see the same live tuner
    live = logits(merged, asked)
    assert float((live - before).abs().max()) > 0.1
    merged.method.finish(merged.net, 1)
    assert float((logits(merged, asked) - live).abs().max()) < 1e-4
    unloaded.method.tuner.unload()
    assert same(weights(unloaded), base)
    assert torch.equal(logits(unloaded, asked), before)


def test_osf_leaves_a_plain_net():
    base, made = learner("osf"), taught("osf")
    assert weights(made).keys() == weights(base).keys()
    assert [type(m) for m in made.net.module.modules()] == [type(m) for m in base.net.module.modules()]
    assert "peft_config" not in vars(made.net.module)
    linear = {f"{name}.weight" for name in linear_names(base.net)}
    moved = {n for n, v in weights(made).items() if not torch.equal(v, weights(base)[n])}
    assert moved == linear


def moved_by_osf(step, lr=5e-3):
    """Learn lesson `step`; give how far frozen directions moved (as a share of the largest) and how far weights did."""
    made = taught("osf", range(1, step), lr=lr)
    before = weights(made)
    made.learn(lesson(step))
    after = weights(made)
    frozen, learnt = [], []
    for name in (f"{n}.weight" for n in linear_names(made.net)):
        left, values, right = torch.linalg.svd(before[name], full_matrices=False)
        k = int(min(before[name].shape) * (1 - osf.learning_share(made.method.config, step)))
        u, s, v = left[:, :k], values[:k], right[:k].T
        moved = after[name] - before[name]
        enters = (after[name] @ v - u * s).abs().max()  # what enters along v leaves as before
        leaves = (u.T @ after[name] - s[:, None] * v.T).abs().max()
        frozen.append(float(torch.maximum(enters, leaves) / values[0]))
        learnt.append(float(moved.abs().max()))
    return max(frozen), min(learnt)


@pytest.mark.parametrize("step", [1, 2])
def test_osf_frozen_singular_directions_stay(step):
    frozen, learnt = moved_by_osf(step)
    assert frozen < 1e-5
    assert learnt > 1e-3


def test_osf_projecting_gradients_alone_would_not_hold_them(monkeypatch):
    """AdamW scales every entry by itself, so that peft's gradient hooks alone let the frozen directions drift."""
    monkeypatch.setattr(osf, "hold", lambda module: None)
    frozen, _ = moved_by_osf(1)
    assert frozen > 1e-4


def test_hold_takes_the_frozen_part_out_of_directions_and_gradients():
    for inputs, outputs in ((6, 4), (4, 6), (5, 5)):
        torch.manual_seed(0)
        net, method = Toy(inputs, outputs), osf.Osf(osf.Config(targets="0"))
        left, _, right = torch.linalg.svd(net.module[0].weight.detach(), full_matrices=False)
        method.prepare(net, 1)
        k = min(inputs, outputs) // 2
        learning = net.module[0].osf_svd_params["default"]
        for param in learning.values():
            param.data = torch.randn_like(param)
            param.grad = torch.randn_like(param)
        osf.hold(net.module)
        for value in (learning["U_low"].data, learning["U_low"].grad):
            assert float((left[:, :k].T @ value).abs().max()) < 1e-5
            assert float(value.abs().max()) > 0.1
        for value in (learning["V_low"].data, learning["V_low"].grad):
            assert float((value @ right[:k].T).abs().max()) < 1e-5
            assert float(value.abs().max()) > 0.1


# --- merging -------------------------------------------------------------------------------------------------------


def changes_of_lessons(steps, **settings):
    """Learn each lesson from the base by plain fine-tuning: what merging must have merged."""
    base = weights(learner("sft"))
    found = [weights(taught("sft", (step,), **settings)) for step in steps]
    return base, [{n: w[n] - base[n] for n in base} for w in found]


@pytest.mark.parametrize("how", ["average", "ties", "dare"])
def test_merge_is_peft_s_merge_of_lessons_learnt_apart(how):
    base, changes = changes_of_lessons((1, 2, 3))
    found = weights(taught("merge", (1, 2, 3), how=how, density=0.3, scale=0.9))
    torch.manual_seed(seed_of(0, 3, "settle"))
    for name, value in base.items():
        parts = [c[name] for c in changes]
        third = torch.full((3,), 1 / 3)
        expected = {
            "average": lambda parts=parts, third=third: merge_utils.task_arithmetic(parts, third),
            "ties": lambda parts=parts: merge_utils.ties(parts, torch.ones(3), 0.3),
            "dare": lambda parts=parts, third=third: merge_utils.dare_linear(parts, third, 0.3),
        }[how]()
        assert torch.allclose(found[name], value + 0.9 * expected, atol=1e-6), name
        assert not torch.equal(found[name], value), name


def test_merges_by_hand():
    parts = [torch.tensor([4.0, -1.0, 0.5, 0.0]), torch.tensor([2.0, 3.0, -4.0, 0.1])]
    average = merge.merge_changes([parts[0] + parts[1]], merge.Config(), 2)
    assert average.tolist() == pytest.approx([3.0, 1.0, -1.75, 0.05])
    # Half of each is left: (4, -1, 0, 0) and (0, 3, -4, 0); signs +, +, -; -1 disagrees.
    assert merge.merge_changes(parts, merge.Config(how="ties", density=0.5), 2).tolist() == [4.0, 3.0, -4.0, 0.0]
    dropped = merge.merge_changes([torch.ones(10_000)], merge.Config(how="dare", density=0.25), 1)
    assert set(dropped.tolist()) == {0.0, 4.0}
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.1)


def ties_by_hand(changes, density):
    """Trim, elect and merge of Yadav et al. 2023, algorithm 1, on one tensor, weight by weight."""
    trimmed = []
    for change in changes:
        flat = change.flatten().tolist()
        kept = set(sorted(range(len(flat)), key=lambda i: -abs(flat[i]))[: int(density * len(flat))])
        trimmed.append([value if i in kept else 0.0 for i, value in enumerate(flat)])
    merged = []
    for values in zip(*trimmed, strict=True):
        sign = 1 if sum(values) >= 0 else -1
        agreeing = [v for v in values if v * sign > 0]
        merged.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    return torch.tensor(merged).reshape(changes[0].shape)


@pytest.mark.parametrize("density", [0.1, 0.2, 0.7])
def test_ties_is_that_of_the_paper_at_every_density(density):
    generator = torch.Generator().manual_seed(3)
    changes = [torch.randn(8, 25, generator=generator) for _ in range(4)]
    found = merge.merge_changes(changes, merge.Config(how="ties", density=density), 4)
    assert torch.allclose(found, ties_by_hand(changes, density), atol=1e-6)
    assert not torch.allclose(found, ties_by_hand(changes, density + 0.1), atol=1e-3)


def test_scale_is_the_factor_of_the_merged_change():
    base = weights(learner("sft"))
    whole, half = (weights(taught("merge", (1, 2), how="ties", scale=scale)) for scale in (1.0, 0.5))
    for name, value in base.items():
        assert torch.allclose(half[name] - value, 0.5 * (whole[name] - value), atol=1e-6)


def sequential_by_hand(how, density, scale):
    """Each lesson from the merge so far, by plain fine-tuning, and merged into it: spelt out over two lessons."""
    made = learner("sft")
    base = weights(made)
    made.learn(lesson(1))
    first = weights(made)
    alone = {n: first[n] - base[n] for n in base}
    ones = torch.ones(1)
    alone = {n: merge_utils.ties([c], ones, density) if how == "ties" else c for n, c in alone.items()}
    start = {n: base[n] + scale * alone[n] for n in base}
    with torch.no_grad():
        for name, param in made.net.module.named_parameters():
            param.copy_(start[name])
    made.learn(lesson(2))
    end, found = weights(made), {}
    for name in base:
        past, new = start[name] - base[name], end[name] - base[name]
        both = (past + new) / 2 if how == "average" else merge_utils.ties([past, new], torch.ones(2), density)
        found[name] = start[name] + scale * (both - past)
    return found


@pytest.mark.parametrize("how", ["average", "ties"])
def test_sequential_merging_goes_on_from_the_merge_and_merges_into_it(how, tmp_path):
    settings = {"how": how, "density": 0.3, "scale": 0.8, "form": "sequential"}
    made = taught("merge", (1, 2), **settings)
    expected = sequential_by_hand(how, 0.3, 0.8)
    found, apart = weights(made), weights(taught("merge", (1, 2), **{**settings, "form": "apart"}))
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=2e-5), name
    assert any(not torch.allclose(found[n], apart[n], atol=1e-4) for n in found)
    made.save(tmp_path)
    assert made.method.state() == {"num": 2}, "no lesson's change is kept"
    woken = learner("merge", **settings)
    woken.load(tmp_path)
    for each in (made, woken):
        each.learn(lesson(3))
    assert all(torch.equal(a, b) for a, b in zip(weights(made).values(), weights(woken).values(), strict=True))


def test_sequential_average_is_the_running_mean_and_at_scale_t_plain_fine_tuning():
    one, two = torch.tensor([2.0, 0.0]), torch.tensor([5.0, 4.0])
    assert merge.merge_two(one, two, merge.Config(), 4).tolist() == [2.75, 1.0]  # 3/4 and 1/4
    made, plain = learner("merge", form="sequential", scale=1.0), learner("sft")
    for each in (made, plain):
        each.learn(lesson(1))
    assert all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(weights(made).values(), weights(plain).values(), strict=True)
    )


def test_merge_counts_label_rows_that_came_later_as_unchanged():
    made = learner("merge", model="tiny-bert")
    known = len(made.net.labels)
    made.learn(lesson(1))
    made.learn(lesson(2, targets=("brand new", "and another")))
    alone = learner("sft", model="tiny-bert")
    alone.net.grow(["brand new", "and another"])
    rows = alone.net.module.get_submodule(alone.net.head_name).weight.detach().clone()
    alone.learn(lesson(2, targets=("brand new", "and another")))
    moved = alone.net.module.get_submodule(alone.net.head_name).weight.detach() - rows
    found = made.net.module.get_submodule(made.net.head_name).weight.detach()
    assert torch.allclose(found[known:], rows[known:] + 0.5 * moved[known:], atol=1e-6)


# --- one adapter per task ------------------------------------------------------------------------------------------


def per_task(steps=(1, 2, 3), named=True):
    made = learner("lora_per_task", rank=4, lr=5e-3, epochs=2)
    for step in steps:
        made.learn(lesson(step, task_name=f"task{step}" if named else None))
    return made


def test_told_a_task_nothing_is_ever_forgotten():
    made = per_task((1,))
    told = TEXT.model_copy(update={"task_id": "task1"})
    ranked = Decode(kind="label", task_id="task1")
    asked = lesson(1).examples
    with made.method.at(made.net)(1):
        before = logits(made, asked)
    answers = [made.respond(asked, decode) for decode in (told, ranked)]
    for step in (2, 3):
        made.learn(lesson(step, task_name=f"task{step}"))
    assert [made.respond(asked, decode) for decode in (told, ranked)] == answers
    with made.method.at(made.net)(1):
        assert torch.equal(logits(made, asked), before)
    assert not torch.equal(logits(made, asked), before), "the last adapter says something else"


def test_questions_find_their_adapter_and_answers_keep_their_order():
    made = per_task(named=False)
    mixed = [lesson(step, 15).examples[i] for i in (12, 13, 14) for step in (2, 1, 3)]
    assert made.method.parts.routes(made.net, mixed, TEXT, made.method.at(made.net)) == [2, 1, 3] * 3
    answers = made.respond(mixed, Decode(kind="label"))
    assert [a.example_id for a in answers] == [e.id for e in mixed]
    for example, answer, step in zip(mixed, answers, [2, 1, 3] * 3, strict=True):
        with made.method.at(made.net)(step):
            assert made.net.respond([example], Decode(kind="label"))[0].text == answer.text


def test_a_told_task_that_was_never_taught_is_answered_by_the_base():
    made = per_task((1, 2))
    asked, ranked = lesson(2).examples, Decode(kind="label")
    told = made.respond(asked, Decode(kind="label", task_id="task9"))
    assert told == learner("sft").respond(asked, ranked)
    assert told != made.respond(asked, ranked)


def test_keys_are_means_of_the_base_model_s_hidden_states():
    made = per_task((1, 2))
    base = learner("sft").net
    rows = []
    for example in lesson(2).examples:
        ids = torch.tensor([base.prompt_ids(example.prompt, 1)])
        with torch.no_grad():
            rows.append(base.module.model(input_ids=ids).last_hidden_state[0].mean(0))
    assert torch.allclose(made.method.parts.keys["2"], torch.stack(rows).mean(0), atol=1e-4)
    changed = [e.model_copy(update={"targets": ("something else entirely",)}) for e in lesson(2).examples]
    assert torch.equal(mean_states(made.net, changed), mean_states(made.net, lesson(2).examples))


def test_asking_leaves_adapters_as_they_were():
    made = per_task((1, 2))
    state = {n: p.requires_grad for n, p in made.net.module.named_parameters()}
    made.respond(lesson(1).examples[:2], TEXT)
    assert {n: p.requires_grad for n, p in made.net.module.named_parameters()} == state
    layers = [m for m in made.net.module.modules() if isinstance(m, BaseTunerLayer)]
    assert {tuple(layer.active_adapters) for layer in layers} == {("lesson2",)}


# --- rates of what is added -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lora", "olora", "lora_per_task", "adapters", "progressive", "progressive_prompts"])
def test_a_factor_is_a_rate_of_its_own(name):
    plugin = plugins.load("learner", name, "PLUGIN")
    quick, usual, by_factor = (
        taught(name, (1, 2), **given) for given in ({"lr": 4e-3}, {"lr": 1e-3}, {"lr": 1e-3, "lr_factor": 4.0})
    )
    assert all(torch.allclose(a, b) for a, b in zip(weights(quick).values(), weights(by_factor).values(), strict=True))
    assert any(not torch.allclose(a, b) for a, b in zip(weights(quick).values(), weights(usual).values(), strict=True))
    assert "lr_factor" not in canonical(plugin.config()), "keys of older runs stay"
    assert '"lr_factor":4.0' in canonical(plugin.config(lr_factor=4.0))


def test_a_label_head_learns_at_lr_beside_an_adapter_with_a_factor():
    method = olora.Olora(olora.Config(lr_factor=4.0))
    assert method.lr_scale("layer.q.lora_A.default.weight") == 4.0
    assert method.lr_scale("classifier.weight") == 1.0


# --- all of them ---------------------------------------------------------------------------------------------------


def test_none_is_another_under_a_new_name():
    names = ("sft", "lora", "lora_plus", "olora", "osf", "merge", "lora_per_task", "replay_lora")
    found = {}
    for name in names:
        made = taught(name)
        found[name] = [round(v, 4) for v in logits(made, lesson(3).examples[:2]).flatten().tolist()]
    assert len({tuple(v) for v in found.values()}) == len(names)


def test_lora_layers_are_peft_s_own():
    made = learner("lora", rank=4, alpha=8.0, targets=("q_proj", "v_proj"))
    made.method.prepare(made.net, 1)
    other = learner("sft").net.module
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]), other)
    assert [n for n, _ in made.net.module.named_parameters()] == [n for n, _ in other.named_parameters()]
