"""Penalties and distillation against closed forms, torch.func and plain autograd."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.func import functional_call, grad, vmap

from clbench.core import events, plugins
from clbench.core.keys import digest, rng
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Lesson, Message
from clbench.learners import ewc, l2, lwf, mas
from clbench.learners._shared import anchors as _pull
from clbench.models.load import load_net
from clbench.models.net import Batch, Forward
from clbench.training.state_files import load_state, save_state

pytestmark = pytest.mark.xdist_group("methods")
CPU = torch.device("cpu")
LABELS = {1: ("red", "blue"), 2: ("cat", "dog"), 3: ("zorp", "tea")}


def lesson(step, num=8, target=None):
    examples = tuple(
        Example(
            id=f"{step}-{i}",
            prompt=(Message(role="user", content=f"zan {step}" + " river" * (i % 3) + f" {i}"),),
            targets=(target or LABELS[step][i % 2],),
            choices=LABELS[step],
        )
        for i in range(num)
    )
    return Lesson(number=step, examples=examples, task_name=f"task-{step}", digest=digest(examples))


def learner(name, model="tiny-llama", **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(lr=1e-3, batch_size=4, epochs=1, warmup=0.0, **settings)
    return plugin.build(config, ModelSpec(name=model), 0, Machine(device="cpu"))


def taught(name, lessons=2, model="tiny-llama", **settings):
    made = learner(name, model, **settings)
    for step in range(1, lessons + 1):
        made.learn(lesson(step))
    return made


def weights(made):
    return {n: p.detach().clone() for n, p in made.net.module.named_parameters()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


class Linear:
    """A net of one linear layer without bias; what is taught are pairs (x, label row)."""

    labels = ()
    head_name = "head"

    def __init__(self, weight, dtype=torch.float32):
        self.module = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=dtype)
        with torch.no_grad():
            self.module.weight.copy_(weight)

    def batch(self, pairs):
        x = torch.stack([p[0] for p in pairs]).to(self.module.weight.dtype)
        y = torch.tensor([p[1] for p in pairs])
        return Batch(x, torch.ones(len(pairs)), y, num_tokens=len(pairs), num_targets=len(pairs))

    def forward(self, module, batch):
        logits = module(batch.ids_BT).float()
        return Forward(nn.functional.cross_entropy(logits, batch.labels), logits, batch.labels)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain(loss=None):
    return Forward(torch.zeros(()) if loss is None else loss, torch.zeros(1, 2), torch.zeros(1))


# --- the pull that three methods share ----------------------------------------------------------------------


def test_pull_is_what_autograd_makes_of_its_formula():
    net = Linear(random(5, 3))
    anchor, importance = random(4, 3, seed=1), random(4, 3, seed=2).abs()
    theta = net.module.weight
    for weight in (importance, None):
        expected = ((1.0 if weight is None else weight) * (theta[:4] - anchor) ** 2).sum()
        (wanted,) = torch.autograd.grad(3 * expected, theta)
        value = _pull.pull(net, {"weight": anchor}, None if weight is None else {"weight": weight})
        (found,) = torch.autograd.grad(3 * value, theta)
        assert torch.allclose(value, expected)
        assert torch.allclose(found, wanted)
        assert found[4].abs().max() == 0  # the row that was gained since


def test_pull_of_bfloat16_weights_is_summed_in_float32():
    net = Linear(torch.ones(300, 10), torch.bfloat16)
    value = _pull.pull(net, {"weight": torch.zeros(300, 10, dtype=torch.bfloat16)})
    assert value.item() == 3000  # bfloat16 knows 2992 and 3008
    value.backward()
    assert torch.equal(net.module.weight.grad, torch.full((300, 10), 2.0, dtype=torch.bfloat16))


# --- EWC ----------------------------------------------------------------------------------------------------


def test_fisher_of_a_language_model_is_the_mean_square_of_torch_func_gradients():
    net = load_net(ModelSpec(name="tiny-llama"), Machine(device="cpu"))
    batches = [net.batch([e]) for e in lesson(1, 3).examples]
    params = {n: p.detach() for n, p in net.module.named_parameters()}

    def surprise(params, batch):
        logits_TV = functional_call(net.module, params, (), {"input_ids": batch.ids_BT}).logits[0]
        logp_TV = logits_TV.log_softmax(-1)
        taught = [t for t in range(1, batch.labels.shape[1]) if batch.labels[0, t] >= 0]
        return -sum(logp_TV[t - 1, batch.labels[0, t]] for t in taught)

    squares = [{n: g**2 for n, g in grad(surprise)(params, batch).items()} for batch in batches]
    found = ewc.fisher_diagonal(net, batches, sampled=False)
    assert found.keys() == params.keys()
    for name, value in found.items():
        expected = sum(s[name] for s in squares) / 3
        assert torch.allclose(value, expected, rtol=1e-3, atol=1e-6 * expected.max().item()), name


def test_sampled_fisher_does_not_look_at_the_answers():
    net = Linear(random(3, 4))
    xs = random(6, 4, seed=1)
    found = []
    for label in (0, 2):
        torch.manual_seed(0)
        found.append(ewc.fisher_diagonal(net, [net.batch([(x, label)]) for x in xs], sampled=True)["weight"])
    assert torch.equal(*found)
    assert found[0].max() > 0


def test_fisher_of_bfloat16_weights_is_summed_in_float32():
    net = Linear(random(3, 4), torch.bfloat16)
    pairs = [(x, 0) for x in random(400, 4, seed=1)]
    found = ewc.fisher_diagonal(net, [net.batch([p]) for p in pairs], sampled=False)["weight"]
    assert found.dtype == torch.float32
    batch = net.batch(pairs)
    logits = net.forward(net.module, batch).logits_NV
    error = logits.softmax(-1) - nn.functional.one_hot(batch.labels, 3)
    expected = torch.einsum("nk,nj->kj", error**2, batch.ids_BT.float() ** 2) / 400
    assert torch.allclose(found, expected, rtol=0.02)


def test_online_ewc_adds_decayed_fishers_and_moves_its_anchor():
    net = Linear(random(3, 4))
    method = ewc.Ewc(ewc.Config(decay_old=0.5, fisher="empirical"))
    parts = [[(x, i % 3) for i, x in enumerate(random(5, 4, seed=s))] for s in (1, 2)]
    fishers = []
    for step, pairs in enumerate(parts, 1):
        with torch.no_grad():
            net.module.weight.add_(step)
        fishers.append(ewc.fisher_diagonal(net, [net.batch([p]) for p in pairs], sampled=False)["weight"])
        method.consolidate(net, Lesson.model_construct(number=step, examples=pairs), rng(0, step, "settle"))
    assert torch.allclose(method.information["weight"], fishers[1] + 0.5 * fishers[0])
    assert torch.equal(method.anchor["weight"], net.module.weight)


def per_task(strength=3.0):
    """Per-task EWC after three lessons, the last of which has a row more, and what it was given."""
    method = ewc.Ewc(ewc.Config(strength=strength, per_task=True))
    rows = {1: 4, 2: 4, 3: 5}
    given = {s: (random(n, 3, seed=s), random(n, 3, seed=10 + s).clamp(min=0)) for s, n in rows.items()}
    named = {f"anchor.{s}": {"weight": a} for s, (a, _) in given.items()}
    method.restore(named | {f"information.{s}": {"weight": f} for s, (_, f) in given.items()})
    return method, given


def test_per_task_ewc_is_the_sum_of_all_its_quadratics():
    method, given = per_task()
    net = Linear(random(5, 3, seed=20))
    theta = net.module.weight
    expected = 0.5 * 3 * sum((f * (theta[: len(a)] - a) ** 2).sum() for a, f in given.values())
    (wanted,) = torch.autograd.grad(expected, theta)
    value = method.loss(net, None, plain())
    (found,) = torch.autograd.grad(value, theta)
    assert torch.allclose(value, expected, rtol=1e-5)
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_per_task_ewc_pulls_to_the_fisher_weighted_mean_of_the_anchors():
    method, given = per_task()
    weighted = sum(f[:4] * a[:4] for a, f in given.values())
    total = sum(f[:4] for _, f in given.values())
    assert (total > 0).any()
    assert torch.allclose(method.anchor["weight"][:4][total > 0], (weighted / total)[total > 0], rtol=1e-5)


def test_per_task_state_is_flat_and_survives_sleep(tmp_path):
    method, _ = per_task()
    assert set(method.state()) == {f"{what}.{s}" for what in ("anchor", "information") for s in (1, 2, 3)}
    save_state(tmp_path, method.state())
    woken = ewc.Ewc(method.config)
    woken.restore(load_state(tmp_path, CPU))
    assert same(woken.anchor, method.anchor)
    assert same(woken.information, method.information)
    assert torch.equal(woken.offset, method.offset)


def test_per_task_and_online_part_with_the_second_anchor():
    online, apart = (learner("ewc", per_task=flag) for flag in (False, True))

    def penalty(made):
        return (made.method.loss(made.net, None, plain()) / made.method.config.strength).item()

    for made in (online, apart):
        made.learn(lesson(1))
        with torch.no_grad():
            next(made.net.module.parameters()).mul_(1.01)
    assert penalty(online) > 1e-6
    assert penalty(apart) == pytest.approx(penalty(online), rel=1e-4)
    for made in (online, apart):
        made.learn(lesson(2))
    assert penalty(online) == 0  # around where it stands now
    assert penalty(apart) > 1e-9  # lesson 1 still pulls
    assert set(apart.method.lessons) == {1, 2}


def test_decay_is_refused_where_it_would_be_ignored():
    with pytest.raises(ValidationError, match="online form"):
        ewc.Config(per_task=True, decay_old=0.5)


@pytest.mark.parametrize(
    ("method", "work", "how_often"),
    [
        (ewc.Ewc(ewc.Config(per_task=True)), (ewc, "fisher_diagonal"), "per lesson"),
        (ewc.Ewc(ewc.Config()), (ewc, "fisher_diagonal"), "in all"),
        (mas.Mas(mas.Config()), (mas, "sensitivity"), "in all"),
    ],
)
def test_large_memory_is_announced_once_and_before_it_is_taken(method, work, how_often, monkeypatch):
    net = Linear(random(3, 4))
    module, name = work
    inner, order = getattr(module, name), []
    monkeypatch.setattr(module, name, lambda *a, **k: [order.append("taken"), inner(*a, **k)][1])
    monkeypatch.setattr(_pull, "WORTH_A_WORD", 95)  # two numbers for each of 12 weights are 96 bytes
    token = events.notice_listener.set(order.append)
    try:
        for step in (1, 2):
            method.consolidate(
                net, Lesson.model_construct(number=step, examples=[(random(4), 0)]), rng(0, step, "settle")
            )
        monkeypatch.setattr(_pull, "WORTH_A_WORD", 96)
        _pull.announce("quiet", net, 2, "in all")
    finally:
        events.notice_listener.reset(token)
    said, *rest = order
    assert "keeps 2 numbers per trained weight" in said
    assert said.endswith(how_often)
    assert rest == ["taken", "taken"]


# --- LwF ----------------------------------------------------------------------------------------------------


def test_distillation_and_its_gradient_are_the_closed_form():
    new, old, t = random(4, 6).requires_grad_(), random(4, 5, seed=1), 2.5
    p, q = (old / t).softmax(-1), (new[:, :5] / t).softmax(-1)
    value = lwf.distillation(new, old, t)
    assert torch.allclose(value, t**2 * (p * (p / q).log()).sum(-1).mean(), rtol=1e-5)
    value.backward()
    assert torch.allclose(new.grad[:, :5], t * (q - p).detach() / 4, atol=1e-6)
    assert new.grad[:, 5].abs().max() == 0  # a label that the teacher did not know


def test_lwf_gradient_is_zero_where_the_student_is_the_teacher_and_not_elsewhere():
    made = learner("lwf")
    net, method = made.net, made.method
    method.expand(net, lesson(2), rng(0, 2, "widen"))
    batch = net.batch(lesson(2).examples)

    def reach():
        out = net.forward(net.module, batch)
        extra = method.loss(net, batch, out) - out.loss
        grads = torch.autograd.grad(extra, list(net.module.parameters()))
        return max(g.abs().max().item() for g in grads)

    assert reach() < 1e-5
    with torch.no_grad():
        next(net.module.parameters()).mul_(1.2)
    assert reach() > 1e-2


def test_the_teacher_says_what_the_net_said_before_whatever_has_become_of_it():
    net = load_net(ModelSpec(name="tiny-bert"), Machine(device="cpu"))
    net.grow(LABELS[1])
    teacher = _pull.weights_of(net)
    batch = net.batch(lesson(1).examples)
    with torch.no_grad():
        before = net.forward(net.module, batch).logits_NV
    net.grow(["zorp", "a label that nobody knew"])
    with torch.no_grad():
        for param in net.module.parameters():
            param.add_(0.1)
    net.module.train()
    for part in net.module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.5
    new = net.batch([e.model_copy(update={"targets": ("a label that nobody knew",)}) for e in lesson(1).examples])
    assert torch.equal(lwf.taught_before(net, teacher, new), before)
    assert net.module.training


def test_lwf_holds_a_teacher_within_a_lesson_alone():
    made = taught("lwf", 2)
    assert made.method.state() == {}
    before = weights(made)
    made.method.expand(made.net, lesson(3), rng(0, 3, "widen"))
    assert same(made.method.teacher, before)


# --- L2 -----------------------------------------------------------------------------------------------------


def pulled(strength, anchor):
    method = l2.L2(l2.Config(strength=strength))
    method.anchor = {"weight": anchor}
    return method


def test_a_step_of_l2_by_hand():
    net = Linear(torch.tensor([[2.0, -1.0]]))
    method = pulled(0.5, torch.tensor([[1.0, 1.0]]))
    loss = (net.module.weight * torch.tensor([[3.0, 4.0]])).sum()
    value = method.loss(net, None, plain(loss))
    assert value.item() == pytest.approx((6 - 4) + 0.25 * (1 + 4))
    value.backward()
    torch.optim.SGD(net.module.parameters(), lr=0.1).step()
    # theta - 0.1 * (gradient + 0.5 * (theta - anchor)) = 2 - 0.1 * (3 + 0.5), -1 - 0.1 * (4 - 1)
    assert torch.allclose(net.module.weight, torch.tensor([[1.65, -1.3]]))


def test_l2_is_weight_decay_towards_the_anchor():
    anchor, xs, ys = random(3, 4, seed=1), random(8, 4, seed=2), torch.arange(8) % 3
    net, method = Linear(random(3, 4)), pulled(0.7, anchor)
    moved = nn.Parameter((net.module.weight - anchor).detach().clone())  # theta - anchor, decayed towards 0
    one = torch.optim.SGD(net.module.parameters(), lr=0.3)
    two = torch.optim.SGD([moved], lr=0.3, weight_decay=0.7)
    batch = net.batch(list(zip(xs, ys.tolist(), strict=True)))
    for _ in range(20):
        one.zero_grad()
        method.loss(net, batch, net.forward(net.module, batch)).backward()
        one.step()
        two.zero_grad()
        nn.functional.cross_entropy(xs @ (anchor + moved).T, ys).backward()
        two.step()
    assert torch.allclose(net.module.weight, anchor + moved, atol=1e-5)


def test_l2_finds_the_known_minimum_of_a_quadratic():
    anchor, best = random(3, 4, seed=1), random(3, 4, seed=2)
    net, method = Linear(random(3, 4)), pulled(0.25, anchor)
    optimizer = torch.optim.SGD(net.module.parameters(), lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        loss = 0.5 * (net.module.weight - best).square().sum()
        method.loss(net, None, plain(loss)).backward()
        optimizer.step()
    assert torch.allclose(net.module.weight, (best + 0.25 * anchor) / 1.25, atol=1e-5)


def test_l2_to_the_previous_weights_learns_lesson_1_as_sft_and_keeps_nothing():
    made = learner("l2")
    made.learn(lesson(1))
    first = weights(made)
    assert same(first, weights(taught("sft", 1)))
    made.method.expand(made.net, lesson(2), rng(0, 2, "widen"))
    assert same(made.method.anchor, first)
    made.learn(lesson(2))
    assert made.method.state() == {}


def test_l2_to_the_first_weights_pulls_to_the_base_from_lesson_1_on_also_after_sleep(tmp_path):
    base = weights(learner("sft"))
    made = learner("l2", to="first")
    made.learn(lesson(1))
    assert not same(weights(made), weights(taught("sft", 1)))
    made.save(tmp_path)
    woken = learner("l2", to="first")
    woken.load(tmp_path)
    assert same(woken.method.anchor, base)
    for each in (made, woken):
        each.learn(lesson(2))
        assert same(each.method.anchor, base)
    assert same(weights(made), weights(woken))


def test_l2_to_the_first_weights_leaves_a_label_head_free():
    made = learner("l2", "tiny-bert", to="first")
    made.learn(lesson(1))
    held = set(made.method.anchor)
    assert set(weights(made)) - held == {f"{made.net.head_name}.weight", f"{made.net.head_name}.bias"}


@pytest.mark.parametrize("to", ["previous", "first"])
def test_a_stronger_pull_keeps_weights_nearer(to):
    def drift(strength):
        made = learner("l2", to=to, strength=strength)
        start = weights(made)
        made.learn(lesson(1))
        start = start if to == "first" else weights(made)
        made.learn(lesson(2))
        now = weights(made)
        return sum((now[n] - start[n]).square().sum().item() for n in now)

    assert drift(100.0) < 0.5 * drift(0.1)


# --- MAS ----------------------------------------------------------------------------------------------------


def test_sensitivity_of_a_linear_map_is_the_closed_form():
    weight, xs = random(3, 4), random(7, 4, seed=1)
    net = Linear(weight)
    expected = sum((2 * torch.outer(weight @ x, x)).abs() for x in xs) / 7
    found = mas.sensitivity(net, [net.batch([(x, 0)]) for x in xs])["weight"]
    assert torch.allclose(found, expected, rtol=1e-5)
    per_example = vmap(grad(lambda w, x: (w @ x).square().sum()), in_dims=(None, 0))(weight, xs)
    assert torch.allclose(found, per_example.abs().mean(0), rtol=1e-5)
    assert not torch.allclose(found, per_example.mean(0).abs(), rtol=0.1)  # what a batch would give


@pytest.mark.parametrize("model", ["tiny-llama", "tiny-bert"])
def test_sensitivity_reads_prompts_alone(model):
    net = load_net(ModelSpec(name=model), Machine(device="cpu"))
    net.grow([*LABELS[1], "harbour"])
    one, other = (
        mas.sensitivity(net, [net.batch([e]) for e in lesson(1, 2, target).examples]) for target in ("red", "harbour")
    )
    assert max(v.max().item() for v in one.values()) > 0
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=1e-3, atol=1e-5 * value.max().item()), name


def test_mas_penalty_and_importances_that_add_up():
    net = Linear(torch.tensor([[2.0, 1.0]]))
    method = mas.Mas(mas.Config(strength=3.0))
    method.consolidate(net, Lesson.model_construct(number=1, examples=[(torch.tensor([1.0, 0.0]), 0)]), rng(0, 1, "s"))
    assert torch.allclose(method.importance["weight"], torch.tensor([[4.0, 0.0]]))  # |2 * 2 * (1, 0)|
    with torch.no_grad():
        net.module.weight.copy_(torch.tensor([[1.0, 5.0]]))
    assert method.loss(net, None, plain()).item() == pytest.approx(3 * 4 * 1)
    method.consolidate(net, Lesson.model_construct(number=2, examples=[(torch.tensor([0.0, 1.0]), 0)]), rng(0, 2, "s"))
    assert torch.allclose(method.importance["weight"], torch.tensor([[4.0, 10.0]]))
    assert torch.equal(method.anchor["weight"], net.module.weight)


# --- none is another in disguise ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["tiny-llama", "tiny-bert"])
def test_no_two_regularisers_make_the_same_weights(model):
    settings = {
        "sft": {},
        "ewc": {},
        "l2": {},
        "l2 first": {"to": "first"},
        "mas": {},
        "lwf": {},
    }
    made = {what: taught(what.split()[0], 2, model, **given) for what, given in settings.items()}
    assert len({digest({n: p.tolist() for n, p in weights(m).items() if p.dim() == 1}) for m in made.values()}) == 6
