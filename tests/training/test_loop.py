import shutil
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from clbench.core import plugins
from clbench.core.errors import LessonError
from clbench.core.keys import digest, rng
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Budget, Example, Lesson, Message
from clbench.learners import ewc, replay
from clbench.models.net import Batch, Forward
from clbench.training import checkpoint, loop, watch
from clbench.training.schedule import rate, schedule
from clbench.training.settings import Training

pytestmark = pytest.mark.xdist_group("models")


def lesson(step=1, num=12, **changes):
    examples = tuple(
        Example(
            id=f"{step}-{i}",
            prompt=(Message(role="user", content=f"zan {step} {i}"),),
            targets=("red",),
            choices=("red", "blue"),
        )
        for i in range(num)
    )
    return Lesson(number=step, examples=examples, digest=digest(examples), **changes)


def learner(name, **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    return plugin.build(
        plugin.config(lr=1e-3, batch_size=4, epochs=1, **settings), ModelSpec(), 0, Machine(device="cpu")
    )


class Logistic:
    """A net of one linear layer without bias: its Fisher information has a closed form."""

    labels = ()
    head_name = ""
    micro_batch = None

    def __init__(self, weight):
        self.module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        with torch.no_grad():
            self.module.weight.copy_(weight)

    def batch(self, pairs):
        x = torch.stack([p[0] for p in pairs])
        y = torch.tensor([p[1] for p in pairs])
        return Batch(x, torch.ones(len(pairs)), y, num_tokens=len(pairs), num_targets=len(pairs))

    def forward(self, module, batch):
        logits = module(batch.ids_BT)
        return Forward(nn.functional.cross_entropy(logits, batch.labels), logits, batch.labels)


def closed_form(weight, xs):
    """E_x E_{y~p} [(p_k - 1[y=k])^2 x_j^2] = E_x [p_k (1 - p_k) x_j^2] for a softmax regression."""
    p = (xs @ weight.T).softmax(-1)
    return torch.einsum("nk,nj->kj", p * (1 - p), xs**2) / len(xs)


def test_sampled_fisher_is_the_closed_form_in_expectation():
    generator = torch.Generator().manual_seed(0)
    weight, xs = torch.randn(3, 4, generator=generator), torch.randn(40, 4, generator=generator)
    net = Logistic(weight)
    torch.manual_seed(0)
    batches = [net.batch([(x, 0)]) for x in xs]
    draws = [ewc.fisher_diagonal(net, batches, sampled=True)["weight"] for _ in range(300)]
    assert torch.allclose(torch.stack(draws).mean(0), closed_form(weight, xs), atol=0.02, rtol=0.1)


def test_empirical_fisher_is_the_mean_of_squared_per_example_gradients():
    generator = torch.Generator().manual_seed(1)
    weight, xs = torch.randn(3, 4, generator=generator), torch.randn(10, 4, generator=generator)
    ys = torch.arange(10) % 3
    net = Logistic(weight)

    def loss(w, x, y):
        return nn.functional.cross_entropy((x @ w.T)[None], y[None])

    per_example = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(weight, xs, ys)
    found = ewc.fisher_diagonal(net, [net.batch([(x, int(y))]) for x, y in zip(xs, ys, strict=True)], sampled=False)
    assert torch.allclose(found["weight"], per_example.square().mean(0), atol=1e-6)


def test_ewc_penalty_and_its_gradient():
    net = Logistic(torch.zeros(2, 2))
    method = ewc.Ewc(ewc.Config(strength=6.0))
    method.anchor = {"weight": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}
    method.information = {"weight": torch.tensor([[2.0, 0.0], [0.0, 1.0]])}
    out = Forward(torch.zeros(()), torch.zeros(1, 2), torch.zeros(1))
    penalty = method.loss(net, net.batch([(torch.zeros(2), 0)]), out)
    assert penalty.item() == pytest.approx(0.5 * 6 * 2 * 1.0)
    penalty.backward()
    assert torch.allclose(net.module.weight.grad, torch.tensor([[-12.0, 0.0], [0.0, 0.0]]))


def test_ewc_frees_rows_that_a_head_has_gained():
    net = Logistic(torch.ones(3, 2))
    method = ewc.Ewc(ewc.Config(strength=2.0))
    method.anchor = {"weight": torch.zeros(2, 2)}
    method.information = {"weight": torch.ones(2, 2)}
    out = Forward(torch.zeros(()), torch.zeros(1, 3), torch.zeros(1))
    assert method.loss(net, None, out).item() == pytest.approx(4.0)


def test_reservoir_keeps_each_item_with_equal_probability():
    kept = Counter()
    trials, memory, stream = 2000, 5, 20
    examples = lesson(num=stream).examples
    for trial in range(trials):
        method = replay.Replay(replay.Config(memory=memory))
        for step, part in enumerate((examples[:12], examples[12:]), 1):
            method.consolidate(None, Lesson(number=step, examples=part, digest="x"), rng(trial, step, "settle"))
        kept.update(e.id for e in method.memory)
    expected = trials * memory / stream
    chi_square = sum((kept[e.id] - expected) ** 2 / expected for e in examples)
    assert chi_square < 43.8  # the 0.999 quantile with 19 degrees of freedom


def test_replay_mixes_a_share_and_heeds_the_budget():
    method = replay.Replay(replay.Config(memory=10, share=0.5))
    method.consolidate(None, lesson(1, 12, budget=Budget(examples=4)), rng(0, 1, "settle"))
    assert len(method.memory) == 4
    batch = list(lesson(2, 4).examples)
    mixed = method.compose_batch(batch, rng(0, 2, "mix"))
    assert mixed[:4] == batch
    assert len(mixed) == 6
    assert all(e in method.memory for e in mixed[4:])
    assert len({e.id for e in mixed}) == 6


def test_lora_leaves_the_base_as_it_was_and_moves_the_adapter():
    made = learner("lora")
    before = {n: p.detach().clone() for n, p in made.net.module.named_parameters()}
    made.learn(lesson())
    after = dict(made.net.module.named_parameters())
    plain = {n.replace(".base_layer", ""): p for n, p in after.items() if "lora_" not in n}
    assert set(plain) == set(before)
    assert all(torch.equal(p, before[n]) for n, p in plain.items())
    assert any(float(p.detach().abs().max()) > 0 for n, p in after.items() if "lora_B" in n)


def test_no_two_methods_are_the_same_under_another_name():
    states = {}
    for name in ("sft", "ewc", "replay", "lora"):
        made = learner(name)
        for step in (1, 2):
            made.learn(lesson(step))
        states[name] = digest([p.detach().double().sum().item() for p in made.net.module.parameters()])
    assert len(set(states.values())) == 4


def test_a_loss_that_is_not_finite_stops_with_step_lesson_and_checkpoint(tmp_path):
    made = learner("sft")
    made.machine = made.machine.model_copy(update={"checkpoint_s": 0.0})
    inner, calls = made.net.forward, []

    def explode(module, batch):
        calls.append(1)
        out = inner(module, batch)
        return Forward(out.loss * float("nan"), out.logits_NV, out.labels_N) if len(calls) == 3 else out

    made.net.forward = explode
    with pytest.raises(LessonError) as error:
        made.learn(lesson(1, 24), tmp_path)
    said = str(error.value)
    assert "nan" in said
    assert "step 3 of 6" in said
    assert "lesson 1" in said
    assert "last good checkpoint: step 2" in said
    assert list(tmp_path.glob("step-*"))


class Late(watch.Watch):
    """Looks as on an accelerator."""

    def __init__(self, device, error):
        super().__init__(torch.device("meta"), error)


def breaks_at(made, nan, error=None):
    """Let the loss of a step be NaN, and that of a later one raise an error; give the list of the steps."""
    steps, inner = [], made.net.forward

    def forward(module, batch):
        steps.append(1)
        out = inner(module, batch)
        if len(steps) == error:
            raise ValueError("a hook that met NaN")
        return Forward(out.loss * float("nan"), out.logits_NV, out.labels_N) if len(steps) == nan else out

    made.net.forward = forward
    return steps


@pytest.mark.parametrize(("error", "done"), [(8, 8), (None, 12)])
def test_on_an_accelerator_the_step_that_was_not_finite_is_named_though_it_is_seen_later(monkeypatch, error, done):
    monkeypatch.setattr(watch, "Watch", Late)
    made = learner("sft")
    steps = breaks_at(made, 3, error)
    with pytest.raises(LessonError, match="nan at step 3 of 12; no checkpoint"):
        made.learn(lesson(1, 48))
    assert len(steps) == done


def test_no_checkpoint_is_written_of_what_is_not_finite(monkeypatch, tmp_path):
    monkeypatch.setattr(watch, "Watch", Late)
    made = learner("sft")
    made.machine = made.machine.model_copy(update={"checkpoint_s": 0.0})
    breaks_at(made, 3)
    with pytest.raises(LessonError, match="step 3 of 12; last good checkpoint: step 2"):
        made.learn(lesson(1, 48), tmp_path)
    assert [p.name for p in tmp_path.glob("step-*")] == ["step-00000002"]


def test_an_accelerator_is_asked_for_numbers_every_sixteen_steps(monkeypatch):
    looks, sound = [], watch.Watch.look
    monkeypatch.setattr(watch, "Watch", Late)
    monkeypatch.setattr(watch.Watch, "look", lambda self: (looks.append(len(self._seen)), sound(self)))
    plain, late = learner("sft"), learner("sft")
    late.learn(lesson(1, 80))
    assert looks == [16, 4]
    monkeypatch.undo()
    plain.learn(lesson(1, 80))
    after = [dict(each.net.module.named_parameters()) for each in (plain, late)]
    assert all(torch.equal(after[0][n], after[1][n]) for n in after[0])


class Disk:
    """A clock that runs while steps are made and while checkpoints are written to a slow disk."""

    def __init__(self, monkeypatch, step_s, write_s):
        self.now = self.spent = 0.0
        self.write_s, self.written = write_s, []
        monkeypatch.setattr(checkpoint.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(checkpoint, "write", self.write)
        clip = loop.global_norm

        def stepping(*args):
            self.now += step_s
            return clip(*args)

        monkeypatch.setattr(loop, "global_norm", stepping)

    def write(self, progress, point, *_):
        self.written.append((point.index, self.now))
        self.now += self.write_s
        self.spent += self.write_s


def test_checkpoints_on_a_slow_disk_take_a_twentieth_of_the_time(monkeypatch, tmp_path):
    made, disk = learner("sft"), Disk(monkeypatch, step_s=30.0, write_s=20.0)
    made.learn(lesson(1, 4 * 45), tmp_path)
    first = disk.written[0]
    assert first == (2, 60.0), "the time of the first is not known: it comes after a minute"
    assert len(disk.written) > 2
    assert disk.spent - 20 <= 0.05 * (disk.now - 80)
    assert all(b - a >= 20 + 20 / 0.05 for (_, a), (_, b) in pairwise(disk.written))
    before = disk.now
    made.learn(lesson(2, 4 * 10), tmp_path)
    assert disk.written[-1][1] < before, "a later lesson knows how long one takes"


def test_checkpoints_on_a_fast_disk_come_every_minute(monkeypatch, tmp_path):
    made, disk = learner("sft"), Disk(monkeypatch, step_s=10.0, write_s=0.1)
    made.learn(lesson(1, 4 * 20), tmp_path)
    assert [index for index, _ in disk.written] == [6, 13, 19]  # each begins a minute after the last one's end


def test_a_broken_checkpoint_is_passed_over(tmp_path):
    from clbench.training import checkpoint as _checkpoint

    made = learner("sft")
    made.machine = made.machine.model_copy(update={"checkpoint_s": 0.0})
    made.learn(lesson(), tmp_path)
    found = _checkpoint.latest(tmp_path)
    assert found is not None
    path = found[1] / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert _checkpoint.latest(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["[1]", "5", "[" * 100_000, '{"check": 1}', "null", '{"check": {}, "files": []}'],
    ids=["list", "number", "deep", "check", "null", "files"],
)
def test_a_checkpoint_of_odd_json_is_passed_over(tmp_path, text):
    from clbench.training import checkpoint as _checkpoint

    (tmp_path / "step-1").mkdir()
    (tmp_path / "step-1" / "meta.json").write_text(text)
    assert _checkpoint.latest(tmp_path) is None


def test_over_epochs_and_lessons_no_example_is_tokenised_twice(monkeypatch):
    made, read = learner("sft"), []
    made.training = made.training.model_copy(update={"epochs": 3})
    sound = made.net.reader.fit
    monkeypatch.setattr(made.net.reader, "fit", lambda prompt, room: (read.append(prompt), sound(prompt, room))[1])
    made.learn(lesson(1))
    made.learn(lesson(1).model_copy(update={"number": 2}))
    assert len(read) == len(set(read)) == 12


def test_schedule_shows_every_example_once_an_epoch_in_like_lengths():
    lengths = np.random.default_rng(0).integers(1, 200, 300).tolist()
    batches = schedule(lengths, Training(epochs=2, batch_size=8, bucket=8), rng(0, 1, "order"))
    assert Counter(i for b in batches for i in b) == Counter(dict.fromkeys(range(300), 2))
    padded = sum(max(lengths[i] for i in b) * len(b) for b in batches)
    loose = schedule(lengths, Training(epochs=2, batch_size=8, bucket=1), rng(0, 1, "order"))
    assert padded < 0.75 * sum(max(lengths[i] for i in b) * len(b) for b in loose)


def test_rate_rises_and_falls():
    linear = Training(lr=1.0, warmup=0.5, decay="linear")
    rates = [rate(i, 10, linear) for i in range(10)]
    assert rates[4] == rates[5] == 1.0
    assert all(a < b for a, b in pairwise(rates[:5]))
    assert all(a > b for a, b in pairwise(rates[5:]))
    assert rates[-1] > 0


@pytest.mark.parametrize("left", [True, False])
def test_a_checkpoint_that_another_process_replaces_while_it_is_read(tmp_path, monkeypatch, left):
    from clbench.training import checkpoint as _checkpoint

    def at(value):
        params = {"w": torch.full((2,), float(value), requires_grad=True)}
        return params, torch.optim.AdamW(params.values())

    _checkpoint.write(tmp_path, _checkpoint.Point(1, 10, 0), *at(1), {})
    load = _checkpoint.load_tensors

    def robbed(path, device):
        monkeypatch.setattr(_checkpoint, "load_tensors", load)
        if left:
            _checkpoint.write(tmp_path, _checkpoint.Point(2, 20, 0), *at(2), {})  # which drops the older one
        else:
            shutil.rmtree(tmp_path)
        return load(path, device)

    monkeypatch.setattr(_checkpoint, "load_tensors", robbed)
    params, optimizer = at(0)
    found = _checkpoint.resume(tmp_path, params, optimizer)
    assert (found and found[0].index) == (2 if left else None)
    assert params["w"].tolist() == ([2.0, 2.0] if left else [0.0, 0.0])
