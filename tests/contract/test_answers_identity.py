"""No learner gets another's answers from the store: what one store holds is what each learner says by itself."""

import gc
import sys
from types import FunctionType, ModuleType

import pytest

from clbench.core import plugins
from clbench.core.errors import LearnerError
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Answer, Example
from clbench.data.exams.exam import open_exams
from clbench.data.streams.stream import open_stream
from clbench.engine.ask import answers_of, ask, check_answers, unanswered
from clbench.engine.resolve import resolve
from clbench.engine.trajectory import Trajectory
from clbench.store.store import Store

pytestmark = pytest.mark.xdist_group("learners")
QUICK = {"lr": 1e-3, "epochs": 1, "batch_size": 8}
OWN = """\
from clbench.training.method import Method


class Sayer(Method):
    def answer(self, net, examples, decode):
        return [a.model_copy(update={"text": "WORD"}) for a in net.respond(examples, decode)]


class Spy(Method):
    def answer(self, net, examples, decode):
        told = " ".join(f"{e.targets}{e.check}{e.rubric}" for e in examples)
        return [a.model_copy(update={"text": told}) for a in net.respond(examples, decode)]


class Late(Method):
    def consolidate(self, net, lesson, rng):
        net.module.register_forward_hook(lambda m, i, out: out)
"""


@pytest.fixture(scope="module")
def stream():
    return open_stream("worlds-tiny", None).model_copy(update={"task_ids": "given"})


def spec_of(name, **settings):
    plugin = plugins.load("learner", name, "PLUGIN") if ".py" not in name else None
    known = QUICK if plugin is None else {k: v for k, v in QUICK.items() if k in plugin.config.model_fields}
    return resolve(RunSpec(name="x", learner={"name": name, **known, **settings}, stream="worlds-tiny"))


def said(spec, stream, folder):
    """What a learner says after 0, 1 and 2 lessons to the first exam, through a store."""
    store = Store(folder)
    trajectory = Trajectory(spec, stream, store, Machine(store=folder, device="cpu"))
    exam = open_exams((), stream, None)[0]
    return [tuple(a.text for a in ask(trajectory, step, exam, store).answers) for step in (0, 1, 2)]


def test_one_store_gives_what_a_store_each_gives_in_whatever_order(stream, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN.replace("WORD", "first"), encoding="utf-8")
    specs = [spec_of(name) for name in plugins.names("learner") if name != "command"]  # which another program is
    specs += [spec_of("retrieval", num=num) for num in (1, 8)] + [spec_of("own.py:Late"), spec_of("own.py:Sayer")]
    apart = [said(spec, stream, tmp_path / f"own-{i}") for i, spec in enumerate(specs)]
    for order in (1, -1):
        together = [said(spec, stream, tmp_path / f"shared{order}") for spec in specs[::order]]
        for spec, one, two in zip(specs[::order], together, apart[::order], strict=True):
            assert one == two, spec.learner


def test_an_edited_file_is_asked_again_and_row_0_is_the_untouched_model(stream, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frozen = said(spec_of("frozen"), stream, tmp_path / "frozen")
    for word in ("first", "second"):
        (tmp_path / "own.py").write_text(OWN.replace("WORD", word), encoding="utf-8")
        rows = said(spec_of("own.py:Sayer"), stream, tmp_path / "store")
        assert rows[0] == frozen[0]
        assert set(rows[1]) == set(rows[2]) == {word}


HELPED = """\
import os
import sys

from clbench.training.method import Method

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


class Helped(Method):
    def answer(self, net, examples, decode):
        import said_by_helper

        return [a.model_copy(update={"text": said_by_helper.WORD}) for a in net.respond(examples, decode)]
"""


def test_an_edited_module_beside_the_file_is_asked_again(stream, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own.py").write_text(HELPED, encoding="utf-8")
    for word in ("first", "other"):
        (tmp_path / "said_by_helper.py").write_text(f"WORD = {word!r}\n", encoding="utf-8")
        rows = said(spec_of("own.py:Helped"), stream, tmp_path / "store")
        assert set(rows[1]) == set(rows[2]) == {word}


def test_from_what_it_is_given_an_answerer_reaches_no_target(stream, tmp_path):
    store = Store(tmp_path)
    exam = open_exams((), stream, None)[0]
    learner = Trajectory(spec_of("sft"), stream, store, Machine(store=tmp_path, device="cpu")).learner_after(1)
    given = []
    monkey = learner.net.respond
    learner.net.respond = lambda examples, decode: given.append((examples, decode)) or monkey(examples, decode)
    answers_of(learner, exam)
    del learner.net.respond
    waiting, seen = [*given[0], learner.net, learner.method], set()
    closed = (ModuleType, type, FunctionType, str, bytes, int, float)
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, closed):
            seen.add(id(one))
            waiting += gc.get_referents(one)
            assert not (isinstance(one, Example) and one.id in {e.id for e in exam.examples} and one.targets)
    assert len(seen) > len(exam.examples)


def test_whoever_answers_sees_no_target(stream, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    rows = said(spec_of("own.py:Spy"), stream, tmp_path / "store")
    assert {piece for row in rows[1:] for text in row for piece in text.split()} == {"()()"}
    example = stream.tasks[0].exam[0]
    assert unanswered(example) == example.model_copy(update={"targets": ()})


def test_answers_must_fit_their_questions(stream):
    exam = open_exams((), stream, None)[0]
    good = [Answer(example_id=e.id, text="x") for e in exam.examples]
    check_answers(good, exam, "sft")
    for bad, why in (
        (good[::-1], "the question is"),
        (good[:-1], f"{len(good) - 1} answers to {len(good)} questions"),
        ([*good, good[0]], "answers to"),
        ([good[0].text, *good[1:]], "is a str"),
        ([None, *good[1:]], "is a NoneType"),
    ):
        with pytest.raises(LearnerError, match=why):
            check_answers(bad, exam, "sft")
