"""Bounds: cumulative training is training on everything, separate models are models that never met."""

import json

import pytest
import torch

from clbench.core import plugins
from clbench.core.keys import digest, rng
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Budget, Decode, Example, Lesson, Message
from clbench.learners import cumulative
from clbench.training.kept import size

pytestmark = pytest.mark.xdist_group("methods")
LABELS = {"a": ("red", "blue"), "b": ("cat", "dog"), "c": ("zorp", "tea")}
MODELS = ("tiny-llama", "tiny-bert")


def examples(task, num=8, start=0):
    return tuple(
        Example(
            id=f"{task}-{i}",
            prompt=(Message(role="user", content=f"zan {task}" + " river" * (i % 3) + f" {i}"),),
            targets=(LABELS[task][i % 2],),
            choices=LABELS[task],
        )
        for i in range(start, start + num)
    )


def lesson(step, *tasks, items=None, **changes):
    items = items or tuple(e for task in tasks for e in examples(task))
    return Lesson(number=step, examples=items, task_name="+".join(tasks), digest=digest(items), **changes)


ABC = (lesson(1, "a"), lesson(2, "b"), lesson(3, "c"))


def learner(name, model="tiny-llama", **more):
    plugin = plugins.load("learner", name, "PLUGIN")
    given = {"lr": 3e-3, "batch_size": 4, "epochs": 2, "warmup": 0.0, "decay": "constant", **more}
    known = {k: v for k, v in given.items() if k in plugin.config.model_fields}
    return plugin.build(plugin.config(**known), ModelSpec(name=model), 0, Machine(device="cpu"))


def taught(name, lessons, model="tiny-llama", **more):
    made = learner(name, model, **more)
    for each in lessons:
        made.learn(each)
    return made


def weights(made):
    return {n: p.detach().clone() for n, p in made.net.module.named_parameters()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


# --- cumulative ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_cumulative_is_fine_tuning_on_everything_so_far(model):
    made = taught("cumulative", ABC, model, bucket=1)  # examples sorted by length are told by kind, old and new
    whole = [lesson(k, items=tuple(e for each in ABC[:k] for e in each.examples)) for k in (1, 2, 3)]
    assert same(weights(made), weights(taught("sft", whole, model, bucket=1)))
    assert not same(weights(made), weights(taught("sft", ABC, model)))


def test_cumulative_keeps_everything_and_sleeps(tmp_path):
    made = taught("cumulative", ABC[:2])
    assert made.method.memory == [*ABC[0].examples, *ABC[1].examples]
    made.save(tmp_path)
    woken = learner("cumulative")
    woken.load(tmp_path)
    for each in (made, woken):
        each.learn(ABC[2])
    assert woken.method.memory == made.method.memory
    assert same(weights(made), weights(woken))


@pytest.mark.parametrize("budget", [Budget(examples=5), Budget(bytes=1000), Budget(examples=0)])
def test_cumulative_walks_what_the_budget_lets_it_keep(budget):
    method = cumulative.Cumulative(cumulative.Config())
    for each in ABC[:2]:
        method.consolidate(None, each.model_copy(update={"budget": budget}), rng(0, each.number, "settle"))
    kept = method.memory
    assert len(kept) <= (budget.examples if budget.examples is not None else 16)
    assert budget.bytes is None or size(kept) <= budget.bytes
    assert bool(kept) == (budget.examples != 0)
    assert method.expand(None, ABC[2], rng(0, 3, "widen")).examples == (*kept, *ABC[2].examples)


def test_cumulative_under_a_budget_is_a_uniform_sample_of_all_lessons():
    trials, early = 600, 0
    for trial in range(trials):
        method = cumulative.Cumulative(cumulative.Config())
        for each in ABC:
            method.consolidate(
                None, each.model_copy(update={"budget": Budget(examples=3)}), rng(trial, each.number, "s")
            )
        early += sum(e in ABC[0].examples for e in method.memory)
    # One of three kept examples is expected to be of lesson 1; hypergeometric, sd of a trial 0.78.
    assert abs(early / trials - 1) < 4 * 0.78 / trials**0.5


# --- separate -----------------------------------------------------------------------------------------------


def ask(made, task, kind="label"):
    return made.respond(examples(task, 6, start=20), Decode(kind=kind, max_tokens=6, task_id=task))


@pytest.mark.parametrize("model", MODELS)
def test_each_separate_model_is_fine_tuning_of_the_base_on_its_lesson(model):
    made = taught("separate", ABC, model)
    for each in ABC:
        alone = learner("sft", model)
        for earlier in ABC[: each.number]:
            alone.net.grow(LABELS[earlier.task_name])  # the rows that stood in the head by then
        alone.learn(each)
        part = weights(made) if each.number == 3 else made.method.weights[each.number]
        assert same(part, weights(alone)), each.task_name


@pytest.mark.parametrize(("model", "kind"), [("tiny-llama", "label"), ("tiny-llama", "text"), ("tiny-bert", "label")])
def test_a_task_that_is_told_is_never_forgotten(model, kind):
    made = learner("separate", model)
    made.learn(ABC[0])
    before, first = ask(made, "a", kind), weights(made)
    for each in ABC[1:]:
        made.learn(each)
        assert ask(made, "a", kind) == before
    assert same(made.method.weights[1], first)
    assert not same(weights(made), first)
    assert ask(taught("sft", ABC, model), "a", kind) != before  # which plain fine-tuning forgets


@pytest.mark.parametrize("model", MODELS)
def test_what_was_never_taught_or_not_told_is_answered_by_the_base(model):
    made, base = taught("separate", ABC[:2], model), learner("frozen", model)
    now = weights(made)
    for told in ("c", None):
        decode = Decode(kind="label", task_id=told)
        questions = examples("c", 12)
        assert [a.text for a in made.respond(questions, decode)] == [a.text for a in base.respond(questions, decode)]
    assert same(weights(made), now)


def test_the_net_comes_back_though_an_answer_fails():
    made = taught("separate", ABC[:2])
    now = weights(made)
    with pytest.raises(ZeroDivisionError):
        made.method.answer(Breaking(made.net), examples("a"), Decode(kind="label", task_id="a"))
    assert same(weights(made), now)


class Breaking:
    """A net that fails when it is asked."""

    def __init__(self, net):
        self.module = net.module

    def respond(self, examples, decode):
        raise ZeroDivisionError


@pytest.mark.parametrize("model", MODELS)
def test_separate_models_survive_sleep(model, tmp_path):
    made = taught("separate", ABC[:2], model)
    made.save(tmp_path)
    woken = learner("separate", model)
    woken.load(tmp_path)
    for each in (made, woken):
        each.learn(ABC[2])
    assert same(weights(made), weights(woken))
    for task in LABELS:
        assert ask(made, task) == ask(woken, task)


def test_as_many_copies_are_stored_as_there_are_models(tmp_path):
    made = taught("separate", ABC)
    made.save(tmp_path)
    one = sum(p.numel() * p.element_size() for p in made.net.module.parameters())
    stored = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert 3 * one <= stored < 3.1 * one
    assert json.loads((tmp_path / "counts.json").read_text())["kept_bytes"] >= 2 * one


def test_a_task_that_is_taught_again_goes_on_from_its_own_model():
    again = lesson(3, "a", items=examples("a", 8, start=50))
    made = taught("separate", (*ABC[:2], again))
    assert same(weights(made), weights(taught("sft", (ABC[0], again))))
    assert set(made.method.weights) == {2}  # its old model is no one's any more
    both = taught("separate", (lesson(1, "a", "b"), lesson(2, "b")))
    assert both.method.parts.tasks == {"a": 1, "b": 2}
    assert set(both.method.weights) == {1}
