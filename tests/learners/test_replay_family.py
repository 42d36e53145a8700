"""Methods that go over old examples again: stored, chosen, or dreamt."""

from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare
from torch import nn
from torch.nn import functional

from clbench.core import plugins
from clbench.core.errors import ModelError
from clbench.core.keys import canonical, digest, rng
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Answer, Budget, Example, Lesson, Message
from clbench.learners import agem, derpp, generative_replay, replay, selective_replay
from clbench.learners._shared.memory import Ranked, Sample, choose, equal_room, mixed, reservoir
from clbench.models.net import Batch, Forward, seeded
from clbench.models.reader import Reader
from clbench.training.kept import size

pytestmark = pytest.mark.xdist_group("methods")


def example(name, label="red", choices=("blue", "red"), text=""):
    prompt = (Message(role="user", content=text or f"zan {name}"),)
    return Example(id=str(name), prompt=prompt, targets=(label,), choices=choices)


def lesson(step=1, num=12, examples=None, **changes):
    if examples is None:
        examples = [example(f"{step}-{i}", ("red", "blue")[(i + step) % 2]) for i in range(num)]
    return Lesson(number=step, examples=tuple(examples), digest=digest(examples), **changes)


def learner(name, model="tiny-llama", **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(**{"lr": 1e-3, "batch_size": 4, "epochs": 1, "warmup": 0.0, **settings})
    return plugin.build(config, ModelSpec(name=model), 0, Machine(device="cpu"))


def weights(made):
    return torch.cat([p.detach().flatten() for p in made.net.module.parameters()])


class Linear:
    """A net of one linear layer that reads points: its losses and gradients are known."""

    labels = ()
    head_name = ""
    micro_batch = None

    def __init__(self, weight, points):
        self.module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.points = points
        with torch.no_grad():
            self.module.weight.copy_(weight)

    def batch(self, examples):
        x = torch.stack([self.points[e.id][0] for e in examples])
        y = torch.tensor([self.points[e.id][1] for e in examples])
        return Batch(x, torch.ones(len(examples)), y, num_tokens=len(examples), num_targets=len(examples))

    def forward(self, module, batch):
        logits = module(batch.ids_BT)
        return Forward(functional.cross_entropy(logits, batch.labels), logits, batch.labels)


def linear(num=8, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = {str(i): (torch.randn(4, generator=generator), i % classes) for i in range(num)}
    return Linear(torch.randn(classes, 4, generator=generator), points), [example(i) for i in range(num)]


# --- memory -------------------------------------------------------------------------------------------------


def chi_square(kept, names, expected):
    return sum((kept[n] - expected) ** 2 / expected for n in names)


@pytest.mark.parametrize(("most_bytes", "number"), [(None, 5), (500, 3)])
def test_reservoir_keeps_every_example_with_equal_probability(most_bytes, number):
    examples = [example(f"{i:02}") for i in range(20)]  # of equal length
    lessons = [lesson(1, examples=examples[:12]), lesson(2, examples=examples[12:])]
    trials, kept = 1000, Counter()
    for trial in range(trials):
        sample = Sample([])
        for each in lessons:
            sample = reservoir(sample, each, Budget(examples=5, bytes=most_bytes), rng(trial, each.number, "settle"))
        assert len(sample.examples) == number
        kept.update(e.id for e in sample.examples)
    found = chi_square(kept, [e.id for e in examples], trials * number / 20)
    assert found < 43.8  # the 0.999 quantile with 19 degrees of freedom


def algorithm_r(memory, seen, examples, room, rng):
    """The reservoir of the first version of `replay`, word for word."""
    for each in examples:
        seen += 1
        if len(memory) < room:
            memory.append(each)
        elif (slot := int(rng.integers(seen))) < room:
            memory[slot] = each
    return seen


def test_replay_at_its_defaults_keeps_what_algorithm_r_keeps():
    method, memory, seen = replay.Replay(replay.Config(memory=7)), [], 0
    for step in (1, 2, 3):
        method.consolidate(None, lesson(step, 9), rng(0, step, "settle"))
        seen = algorithm_r(memory, seen, lesson(step, 9).examples, 7, rng(0, step, "settle"))
    assert method.state() == {"memory": memory, "seen": 27}


def test_every_old_example_is_drawn_equally_often_and_without_repeats():
    memory = lesson(1, 30).examples
    batch = list(lesson(2, 8).examples)
    assert mixed(batch, (), 0.25, rng(0, 1, "mix")) is batch
    drawn = Counter()
    for trial in range(3000):
        found = mixed(batch, memory, 0.5, rng(trial, 1, "mix"))
        assert found[:8] == batch
        assert len({e.id for e in found[8:]}) == 4
        drawn.update(e.id for e in found[8:])
    assert chisquare([drawn[e.id] for e in memory]).pvalue > 1e-4


def test_origin_tells_old_slots_from_new_examples():
    first = reservoir(Sample([]), lesson(1, 10), Budget(examples=6), rng(0, 1, "s"))
    second = reservoir(first, lesson(2, 10), Budget(examples=6), rng(0, 2, "s"))
    assert set(first.origin) == {None}
    assert {type(slot) for slot in second.origin} == {int, type(None)}
    for each, slot in zip(second.examples, second.origin, strict=True):
        assert each in lesson(2, 10).examples if slot is None else each == first.examples[slot]


def test_class_balanced_gives_labels_equal_room_and_their_examples_equal_chances():
    many = [example(f"red {i:02}", "red") for i in range(16)]
    few = [example(f"blue {i:02}", "blue") for i in range(4)]
    lessons = [lesson(1, examples=many[:10]), lesson(2, examples=[*few, *many[10:]])]
    trials, kept = 800, Counter()
    for trial in range(trials):
        method = replay.Replay(replay.Config(memory=6, keep="class-balanced"))
        for each in lessons:
            method.consolidate(None, each, rng(trial, each.number, "settle"))
        assert Counter(e.targets[0] for e in method.memory) == {"red": 3, "blue": 3}
        kept.update(e.id for e in method.memory)
    assert chi_square(kept, [e.id for e in many], trials * 3 / 16) < 37.7  # 0.999 quantile, 15 degrees of freedom
    assert chi_square(kept, [e.id for e in few], trials * 3 / 4) < 16.3  # 3 degrees of freedom


def test_ring_is_first_in_first_out_within_each_label():
    method = replay.Replay(replay.Config(memory=4, keep="ring"))
    order = [example(f"{label}{i}", label) for i in range(4) for label in ("red", "blue")]
    for step, part in enumerate((order[:5], order[5:]), 1):
        method.consolidate(None, lesson(step, examples=part), rng(0, step, "settle"))
    assert [e.id for e in method.memory] == ["red2", "blue2", "red3", "blue3"]


def test_free_text_has_equal_room_per_lesson():
    method = replay.Replay(replay.Config(memory=6, keep="ring"))
    for step in (1, 2, 3):
        texts = [example(f"{step}-{i}", f"answer {i}", choices=()) for i in range(8)]
        method.consolidate(None, lesson(step, examples=texts), rng(0, step, "settle"))
    assert [e.id for e in method.memory] == ["1-6", "1-7", "2-6", "2-7", "3-6", "3-7"]


@pytest.mark.parametrize("keep", ["reservoir", "class-balanced", "ring"])
@pytest.mark.parametrize("place", ["config", "budget"])
def test_bytes_bound_what_is_kept(keep, place):
    most = 700
    method = replay.Replay(replay.Config(memory=50, keep=keep, bytes=most if place == "config" else None))
    budget = Budget(bytes=most if place == "budget" else None)
    for step in (1, 2):
        long = example(f"long {step}", text="x" * 2 * most)
        method.consolidate(
            None, lesson(step, examples=[long, *lesson(step, 12).examples], budget=budget), rng(0, step, "s")
        )
        assert most - 300 < len(canonical(method.memory).encode()) <= most
        assert size(method.memory) == len(canonical(method.memory).encode())
        assert long not in method.memory
    again = replay.Replay(method.config)
    again.restore(method.state())
    assert again.state() == method.state()


def test_size_of_nothing_is_that_of_an_empty_list():
    assert size([]) == len(canonical([]))


def test_equal_room_drops_the_highest_rank_of_the_largest_group():
    items = [Ranked(example(i), g, r) for i, (g, r) in enumerate([("a", 3), ("a", 1), ("a", 2), ("b", 9), ("b", 8)])]
    assert [i.example.id for i in equal_room(items, Budget(examples=4))] == ["1", "2", "3", "4"]
    assert [i.example.id for i in equal_room(items, Budget(examples=3))] == ["1", "3", "4"]
    assert [i.example.id for i in equal_room(items, Budget(examples=2))] == ["1", "4"]
    assert equal_room(items, Budget(examples=0)) == []


def test_an_unknown_way_to_keep_is_refused():
    with pytest.raises(ValidationError):
        replay.Config(keep="random")


# --- DER++ --------------------------------------------------------------------------------------------------


def taught_derpp(net, examples, **settings):
    method = derpp.Derpp(derpp.Config(memory=6, share=1.0, **settings))
    method.consolidate(net, lesson(1, examples=examples), rng(0, 1, "settle"))
    return method


def penalised(method, net, batch):
    return method.loss(net, net.batch(batch), net.forward(net.module, net.batch(batch)))


def cross_entropy_of(net, examples):
    pairs = [net.points[e.id] for e in examples]
    logits = torch.stack([p[0] for p in pairs]) @ net.module.weight.T
    return functional.cross_entropy(logits, torch.tensor([p[1] for p in pairs]))


def test_derpp_is_its_equation():
    net, examples = linear()
    before = net.module.weight.detach().clone()
    method = taught_derpp(net, examples, alpha=0.7, beta=0.3)
    with torch.no_grad():
        net.module.weight.add_(0.5)
    assert method.compose_batch(examples[:4], rng(0, 2, "mix")) == examples[:4]
    drawn = [method.memory[i] for i in method.drawn]
    assert len(drawn) == 4
    x = torch.stack([net.points[e.id][0] for e in drawn])
    mse = functional.mse_loss(x @ net.module.weight.T, x @ before.T)
    expected = cross_entropy_of(net, examples[:4]) + 0.7 * mse + 0.3 * cross_entropy_of(net, drawn)
    assert penalised(method, net, examples[:4]).item() == pytest.approx(expected.item(), rel=1e-3)


def test_derpp_at_alpha_0_is_experience_replay_of_the_same_draws():
    net, examples = linear()
    method = taught_derpp(net, examples, alpha=0.0, beta=1.0)
    method.compose_batch(examples[:4], rng(0, 2, "mix"))
    mixed = [*examples[:4], *(method.memory[i] for i in method.drawn)]
    assert len(mixed) == 8
    # Experience replay takes the mean over old and new, DER++ the sum of two means: of equal numbers, twice as much.
    ours = torch.autograd.grad(penalised(method, net, examples[:4]), net.module.weight)[0]
    theirs = torch.autograd.grad(cross_entropy_of(net, mixed), net.module.weight)[0]
    assert torch.allclose(ours, 2 * theirs, atol=1e-6)


def test_derpp_holds_a_grown_head_on_its_old_rows():
    now = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])
    scores = [torch.tensor([[1.0, 0.0]]).half(), torch.tensor([[0.0, 4.0, 8.0]]).half()]
    assert derpp.drift(now, scores).item() == pytest.approx((4 + 9 + 1) / 5)


def test_derpp_with_top_compares_the_largest_scores_at_their_places():
    net, examples = linear(classes=5)
    method = taught_derpp(net, examples, top=2)
    x = net.points[method.memory[0].id][0]
    largest = (net.module.weight @ x).topk(2)
    assert method.scores[0].shape == (1, 2)
    assert method.scores[0].dtype == torch.float16
    assert torch.equal(method.places[0][0].long(), largest.indices)
    now = torch.zeros(1, 5)
    drift = derpp.drift(now, method.scores[:1], method.places[:1])
    assert drift.item() == pytest.approx(largest.values.square().mean().item(), rel=1e-3)


def test_derpp_keeps_the_scores_of_their_time_beside_their_example():
    net, examples = linear(12)
    method = taught_derpp(net, examples[:8])
    first = dict(zip((e.id for e in method.memory), method.scores, strict=True))
    with torch.no_grad():
        net.module.weight.mul_(-1)
    method.consolidate(net, lesson(2, examples=examples[8:]), rng(0, 2, "settle"))
    new = 0
    for each, scores in zip(method.memory, method.scores, strict=True):
        expected = first[each.id] if each.id in first else (net.module.weight @ net.points[each.id][0])[None].half()
        assert torch.allclose(scores, expected, atol=1e-2)
        new += each.id not in first
    assert 0 < new < 6


def test_derpp_stores_one_score_per_answer_token_and_word():
    made = learner("derpp", memory=5)
    made.learn(lesson())
    for each, scores in zip(made.method.memory, made.method.scores, strict=True):
        assert scores.shape == (len(made.net.encode(each)[1]), made.net.module.config.vocab_size)


# --- A-GEM --------------------------------------------------------------------------------------------------


def agem_step(seed):
    """A gradient, that of the memory, and the gradient after projection."""
    net, examples = linear(seed=seed)
    method = agem.Agem(agem.Config(memory=4, share=1.0))
    method.consolidate(net, lesson(1, examples=examples[:4]), rng(0, 1, "settle"))
    method.compose_batch(examples[4:], rng(seed, 2, "mix"))
    cross_entropy_of(net, examples[4:]).backward()
    g = net.module.weight.grad.clone()
    reference = torch.autograd.grad(cross_entropy_of(net, [method.memory[i] for i in method.drawn]), net.module.weight)
    method.edit_gradients(net)
    return g, reference[0], net.module.weight.grad


def test_agem_projects_only_what_goes_against_the_memory():
    against = 0
    for seed in range(30):
        g, reference, projected = agem_step(seed)
        if (g * reference).sum() >= 0:
            assert torch.equal(projected, g)
            continue
        against += 1
        assert (projected * reference).sum().item() == pytest.approx(0, abs=1e-5)
        # The nearest allowed gradient: g less its part along the reference, by least squares.
        ref = reference.flatten().double().numpy()[:, None]
        part = ref @ np.linalg.lstsq(ref, g.flatten().double().numpy(), rcond=None)[0]
        assert projected.flatten().double().numpy() == pytest.approx(g.flatten().double().numpy() - part, abs=1e-5)
    assert 5 < against < 25


def test_agem_without_memory_leaves_the_gradient():
    net, examples = linear()
    method = agem.Agem(agem.Config())
    method.compose_batch(examples[:2], rng(0, 1, "mix"))
    method.edit_gradients(net)
    assert net.module.weight.grad is None


# --- selective replay ---------------------------------------------------------------------------------------


def kept_by(by, net, examples, num):
    method = selective_replay.SelectiveReplay(selective_replay.Config(by=by, memory=num))
    method.consolidate(net, lesson(1, examples=examples), rng(0, 1, "settle"))
    return {e.id for e in method.memory}


def test_by_loss_the_worst_known_stay():
    # p(y | x) = sigmoid of the margin: the loss falls with it, whatever the scale of x.
    points = {name: (torch.tensor([margin]), 0) for name, margin in (("a", 3.0), ("b", -2.0), ("c", 0.0), ("d", 1.0))}
    net = Linear(torch.tensor([[1.0], [0.0]]), points)
    examples = [example(n) for n in points]
    assert kept_by("loss", net, examples, 1) == {"b"}
    assert kept_by("loss", net, examples, 3) == {"b", "c", "d"}


def test_by_gradient_norm_the_steepest_stay():
    # |grad| = |p - y| |x| = (1 - sigmoid(x)) |x| sqrt(2): a far point of high loss, then a near one; 0 at x = 0.
    points = {name: (torch.tensor([x]), 0) for name, x in (("a", 0.0), ("b", -3.0), ("c", -1.0), ("d", 6.0))}
    net = Linear(torch.tensor([[1.0], [0.0]]), points)
    examples = [example(n) for n in points]
    ranks = selective_replay.by_gradient_norm(net, examples)
    expected = [(1 - 1 / (1 + np.exp(-x))) * abs(x) * 2**0.5 for x in (0.0, -3.0, -1.0, 6.0)]
    assert ranks == pytest.approx([-e for e in expected], abs=1e-6)
    assert kept_by("gradient-norm", net, examples, 2) == {"b", "c"}
    assert "a" in kept_by("loss", net, examples, 3)  # another order than by loss


class Seeing(Linear):
    """Its hidden states are the points themselves, one token each."""

    def __init__(self, points):
        super().__init__(torch.zeros(2, 1), points)
        self.hidden = lambda ids, mask: ids[None]


def test_by_coverage_far_points_come_first_and_copies_last():
    points = {n: (torch.tensor([x]), 0) for n, x in (("a", 0.0), ("b", 5.0), ("copy", 5.0), ("c", 6.5), ("d", 12.0))}
    net = Seeing(points)
    examples = [example(n) for n in points]
    # The mean is 5.7: b, then d (7 away), a (5 away), c (1.5 away), the copy of b.
    order = ["b", "d", "a", "c", "copy"]
    for num in range(1, 6):
        assert kept_by("coverage", net, examples, num) == set(order[:num])


def test_farthest_first_covers_within_twice_the_best_radius():
    points = torch.rand(12, 2, generator=torch.Generator().manual_seed(0))
    away = torch.cdist(points, points)
    greedy = away[:, selective_replay.farthest_first(points)[:3]].min(1).values.max()
    triples = torch.combinations(torch.arange(12), 3)
    best = torch.stack([away[:, t].min(1).values.max() for t in triples]).min()
    assert best <= greedy <= 2 * best


def test_selective_replay_gives_lessons_equal_room():
    net, examples = linear(16)
    method = selective_replay.SelectiveReplay(selective_replay.Config(by="loss", memory=6))
    for step, part in ((1, examples[:8]), (2, examples[8:])):
        method.consolidate(net, lesson(step, examples=part), rng(0, step, "settle"))
        losses = {e.id: cross_entropy_of(net, [e]).item() for e in part}
        worst = sorted(losses, key=lambda n: -losses[n])
        kept = [e.id for e in method.memory if e.id in losses]
        assert set(kept) == set(worst[: len(kept)])
        assert len(kept) == 6 // step
    assert Counter(group for group, _ in method.places) == {"lesson 1": 3, "lesson 2": 3}


@pytest.mark.parametrize("model", ["tiny-llama", "tiny-bert"])
def test_coverage_reads_a_real_model(model):
    made = learner("selective_replay", model, by="coverage")
    made.net.grow(["red", "blue"])
    ranks = selective_replay.by_coverage(made.net, lesson(1, 6).examples)
    assert sorted(ranks) == [0, 1, 2, 3, 4, 5]


# --- generative replay --------------------------------------------------------------------------------------

SOME = [
    example(f"{i}", ("milk", "corn")[i % 2], ("corn", "milk"), f"What is the food of {n}?")
    for i, n in enumerate("Rinsol Fipkel Norpim Zanror Tukkel Gorfal Solcal Zancal".split())
]


@pytest.fixture(scope="module")
def dreamer():
    made = learner("generative_replay", epochs=5, share=2.0)
    made.learn(lesson(1, examples=SOME))
    return made


def dreams(made):
    method = generative_replay.GenerativeReplay(made.method.config)
    method.restore(made.method.state())
    with seeded(1, made._device):
        wide = method.expand(made.net, lesson(2, 8), rng(0, 2, "widen"))
    assert wide.examples[:8] == lesson(2, 8).examples
    return wide.examples[8:], method.counts


def test_it_dreams_of_what_it_was_taught(dreamer):
    made, counts = dreams(dreamer)
    assert len(made) == 16 == counts["learnt"]
    assert len({e.prompt for e in made}) == 16
    assert {e.targets[0] for e in made} <= {"milk", "corn"}
    assert sum("food" in e.prompt[0].content for e in made) > 8
    faults = ("unfinished", "malformed", "empty", "repeated")
    assert counts["drawn"] == counts["asked"] + sum(counts[f] for f in faults)
    assert all(e.prompt[0].content.strip() and "<|" not in e.prompt[0].content for e in made)


def test_it_dreams_the_same_from_the_same_and_otherwise_from_a_changed_model(dreamer):
    before, _ = dreams(dreamer)
    assert dreams(dreamer)[0] == before
    head = dreamer.net.module.get_submodule(dreamer.net.head_name).weight
    kept = head.detach().clone()
    with torch.no_grad():
        head.mul_(0.9)
    changed, _ = dreams(dreamer)
    with torch.no_grad():
        head.copy_(kept)
    assert {e.prompt for e in changed} != {e.prompt for e in before}


def test_it_answers_its_own_questions_itself(dreamer):
    made, _ = dreams(dreamer)
    decode = generative_replay.Decode(max_tokens=32)
    assert [a.text for a in dreamer.net.respond(made, decode)] == [e.targets[0] for e in made]


def test_nothing_of_a_lesson_is_stored_but_its_labels(dreamer, tmp_path):
    dreamer.save(tmp_path)
    text = "".join(p.read_text(encoding="utf-8") for p in tmp_path.rglob("*.json"))
    assert '"corn","milk"' in text
    assert not any(e.prompt[0].content in text or e.prompt[0].content.split()[-1] in text for e in SOME)
    assert not list((tmp_path / "keeps").rglob("*.safetensors"))


def test_answers_that_are_no_label_are_dropped_and_counted(dreamer):
    method = generative_replay.GenerativeReplay(dreamer.method.config)
    method.restore({"labels": ["nothing it ever says"], "free": False})
    with seeded(1, dreamer._device):
        wide = method.expand(dreamer.net, lesson(2, 8), rng(0, 2, "widen"))
    assert wide.examples == lesson(2, 8).examples
    assert method.counts["answer unknown"] + method.counts["answer too long"] == method.counts["asked"] > 0
    assert method.counts["drawn"] == 64  # four tries for each of 16


def test_before_the_first_lesson_there_is_nothing_to_dream_of(dreamer):
    method = generative_replay.GenerativeReplay(generative_replay.Config(share=1.0))
    assert method.expand(dreamer.net, lesson(1), rng(0, 1, "widen")) == lesson(1)


def drawn_mostly_of_one(monkeypatch, **settings):
    """Two lessons were taught, and the model writes fifteen questions of the second for one of the first."""
    method = generative_replay.GenerativeReplay(generative_replay.Config(share=1.0, tries=8, **settings))
    foods = [example(f"f{i}", "milk", ("corn", "milk"), f"What is the food of {n}?") for i, n in enumerate("abcd")]
    gates = [example(f"g{i}", "corn", ("corn", "milk"), f"By code, which gate for {n}?") for i, n in enumerate("abcd")]
    for number, items in ((1, foods), (2, gates)):
        method.consolidate(None, lesson(number, examples=items), None)
    count = iter(range(10_000))

    def write(net, config, num):
        texts = ["By code, which gate for zan{}?"] * 15 + ["What is the food of zan{}?"]
        return [generative_replay.Drawn(texts[i % 16].format(next(count)), "") for i in range(num)]

    monkeypatch.setattr(generative_replay, "sample_questions", write)
    net = SimpleNamespace(respond=lambda asked, decode: [Answer(example_id=e.id, text="milk") for e in asked])
    wide = method.expand(net, lesson(3, 8), None).examples[8:]
    return method, Counter("food" in e.prompt[0].content for e in wide)


def test_earlier_lessons_have_equal_room_however_much_is_dreamt_of_one(monkeypatch):
    method, of_food = drawn_mostly_of_one(monkeypatch)
    assert of_food == {True: 4, False: 4}
    assert method.counts["enough of its lesson"] > 0
    again = generative_replay.GenerativeReplay(method.config)
    again.restore(method.state())
    assert again.words == method.words
    _, unbalanced = drawn_mostly_of_one(monkeypatch, balanced=False)
    assert unbalanced == {False: 8}


def test_what_it_keeps_of_words_is_hashed():
    found = generative_replay.frequencies("The food of the cat")
    assert found.sum() == pytest.approx(1.0)
    assert sorted(found[found > 0]) == pytest.approx([0.2, 0.2, 0.2, 0.4])
    assert generative_replay.cosine(found, found) == 1.0
    assert generative_replay.cosine(found, generative_replay.frequencies("")) == 0.0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Who?<|end|><|pad|>", ""),
        ("  <|end|>", "empty"),
        ("Who goes on and", "unfinished"),
        ("Who<|user|>?<|end|>", "malformed"),
    ],
)
def test_faults_of_drawn_questions(text, fault):
    assert generative_replay.judge_text(text, "<|end|>", ["<|end|>", "<|user|>", "<|pad|>"]).fault == fault


def test_the_loss_on_questions_is_that_of_every_prompt_token_but_the_first(dreamer):
    net = dreamer.net
    batch = net.batch([SOME[0], example("x", text="zan")])
    asked = generative_replay.questions_of(batch)
    prompts = [net.encode(e)[0] for e in (SOME[0], example("x", text="zan"))]
    assert net.forward(net.module, asked).labels_N.tolist() == [t for p in prompts for t in p[1:]]
    assert asked.num_targets == sum(len(p) - 1 for p in prompts)
    out = net.forward(net.module, batch)
    loss = dreamer.method.loss(net, batch, out)
    surprise = 0.0
    for ids in prompts:
        logits = net.module(input_ids=torch.tensor([ids])).logits[0, :-1].float()
        surprise += functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum").item()
    assert loss.item() == pytest.approx(out.loss.item() + 0.25 * surprise / asked.num_targets, rel=1e-4)


def test_a_template_that_hides_the_turn_is_refused(dreamer):
    with pytest.raises(ModelError, match="chat template"):
        generative_replay.frame(SimpleNamespace(render=lambda prompt: "nothing of it"))
    assert generative_replay.frame(dreamer.net) == ("<|begin|><|user|>", "<|end|><|assistant|>")


def test_a_model_without_a_template_writes_paragraphs(dreamer, monkeypatch):
    monkeypatch.setattr(dreamer.net.tokenizer, "chat_template", None)
    monkeypatch.setattr(dreamer.net, "reader", Reader(dreamer.net.tokenizer, dreamer.net.spec))
    with seeded(0, dreamer._device):
        drawn = generative_replay.sample_questions(dreamer.net, dreamer.method.config, 8)
    assert generative_replay.frame(dreamer.net) == ("<|begin|>", "\n")
    assert len(drawn) == 8
    assert all("\n" not in d.text for d in drawn if not d.fault)


# --- all of them --------------------------------------------------------------------------------------------


def test_none_of_them_is_sft_or_another_under_a_new_name():
    # Two lessons that disagree, so that the gradients of A-GEM do too; a memory too small for all of the first.
    other = lesson(2, examples=[example(e.id, "blue", text=e.prompt[0].content) for e in lesson(1).examples])
    settings = {name: {"memory": 6, "share": 1.0} for name in ("replay", "derpp", "agem", "selective_replay")}
    settings |= {"sft": {}, "generative_replay": {"share": 1.0, "lm_weight": 0.0}}
    made = {name: learner(name, **given) for name, given in settings.items()}
    for each in made.values():
        each.learn(lesson(1))
    first = [weights(each) for each in made.values()]
    assert all(torch.equal(one, first[0]) for one in first)
    for each in made.values():
        each.learn(other)
    for (name, one), (other_name, two) in combinations(made.items(), 2):
        assert (weights(one) - weights(two)).abs().max() > 1e-5, (name, other_name)


def test_a_share_that_is_no_whole_number_holds_on_average():
    drawn = [len(choose(range(50), 0.1, 4, rng(trial, 1, "mix"))) for trial in range(4000)]
    assert set(drawn) == {0, 1}
    assert abs(np.mean(drawn) - 0.4) < 0.03  # four standard errors
    assert {len(choose(range(50), 0.5, 4, rng(trial, 1, "mix"))) for trial in range(50)} == {2}
