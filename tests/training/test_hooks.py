"""A hook that breaks is named by file, class, hook and lesson, and its cause is kept."""

import os
import sys

import pytest

from clbench.core.errors import DataError, ExtraError, LearnerError, LessonError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Exam, Example, Lesson, Message, ScorerSpec
from clbench.engine.ask import answers_of
from clbench.engine.resolve import open_learner
from clbench.learners.combine import Combined
from clbench.training.hooks import Hooks
from clbench.training.method import Method

pytestmark = pytest.mark.xdist_group("models")
EXAMPLES = tuple(
    Example(id=str(i), prompt=(Message(role="user", content=f"zan {i}"),), targets=("red",)) for i in range(4)
)
LESSON = Lesson(number=1, examples=EXAMPLES, digest="x")
FILE = """
from clbench.training.method import Method


class Broken(Method):
    stores = "derived"

    def {head}:
        return {body}
"""
HEADS = {
    "expand": "expand(self, net, lesson, rng)",
    "prepare": "prepare(self, net, step)",
    "lr_scale": "lr_scale(self, name)",
    "compose_batch": "compose_batch(self, batch, rng)",
    "loss": "loss(self, net, batch, out)",
    "edit_gradients": "edit_gradients(self, net)",
    "finish": "finish(self, net, step)",
    "consolidate": "consolidate(self, net, lesson, rng)",
    "state": "state(self)",
    "answer_state": "answer_state(self)",
}


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def learner(hook, body="{}['nothing']"):
        (tmp_path / "my_file.py").write_text(FILE.format(head=HEADS[hook], body=body))
        plugin, config = open_learner({"name": "my_file.py:Broken", "epochs": 1})
        return plugin.build(config, ModelSpec(), 0, Machine(device="cpu"))

    return learner


@pytest.mark.parametrize("hook", [name for name in HEADS if name not in ("state", "answer_state")])
def test_a_broken_hook_of_a_users_file_is_named(hook, written):
    with pytest.raises(LessonError) as error:
        written(hook).learn(LESSON)
    assert error.value.where == f"my_file.py:Broken.{hook}, lesson 1"
    assert error.value.what == "KeyError: 'nothing' (line 9 of my_file.py)"
    assert isinstance(error.value.__cause__, KeyError)


@pytest.mark.parametrize("body", ["None", "1.0", "out.logits_NV"])
def test_what_is_no_loss_is_named(body, written):
    with pytest.raises(LessonError, match="one number as a tensor") as error:
        written("loss", body).learn(LESSON)
    assert error.value.where == "my_file.py:Broken.loss, lesson 1"


def test_a_loss_that_nothing_can_descend_is_said(written):
    with pytest.raises(LessonError, match="no gradient reaches") as error:
        written("loss", "out.loss.detach()").learn(LESSON)
    assert error.value.where == "my_file.py:Broken.loss, lesson 1"


@pytest.mark.parametrize("hook", ["state", "answer_state"])
@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("3", "it gives int, where values under names are kept"),
        ("None", "it gives NoneType, where values under names are kept"),
        ("{3: 'a'}", "it gives dict, where values under names are kept"),
        ("{'a': 1, 'f': print}", "'f' is a builtin_function_or_method, which cannot be written"),
        ("{'s': b'x'}", "'s' is a bytes, which cannot be written"),
        ("{}['nothing']", "KeyError: 'nothing' (line 9 of my_file.py)"),
    ],
)
def test_a_state_that_cannot_be_written_is_named(hook, body, what, written, tmp_path):
    learner = written(hook, body)
    learner.learn(LESSON)
    with pytest.raises(LessonError) as error:
        learner.save(tmp_path / "state")
    assert (error.value.what, error.value.where) == (what, f"my_file.py:Broken.{hook}, lesson 1")


def test_a_hook_that_ends_the_process_is_named(written):
    with pytest.raises(LessonError, match="SystemExit: 0") as error:
        written("consolidate", "exit(0)").learn(LESSON)
    assert error.value.where == "my_file.py:Broken.consolidate, lesson 1"


def test_a_package_that_a_hook_lacks_is_named_with_its_extra(written, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ExtraError, match="peft") as error:
        written("consolidate", "__import__('peft')").learn(LESSON)
    assert error.value.mend == 'pip install "clbench[train]"'


def test_a_fork_that_comes_out_of_its_hook_ends(written):
    learner = written("consolidate", "__import__('os').environ.__setitem__('FORKED', str(__import__('os').fork()))")
    here = os.getpid()
    learner.learn(LESSON)
    assert os.getpid() == here
    assert os.waitstatus_to_exitcode(os.waitpid(int(os.environ.pop("FORKED")), 0)[1]) == 1


def test_a_class_alone_may_say_what_it_stores(written):
    written("lr_scale")
    plugin, config = open_learner({"name": "my_file.py:Broken"})
    assert plugin.stored(config) == "derived"


class Part(Method):
    def loss(self, net, batch, out):
        raise ValueError("first line\nsecond line")

    def answer(self, net, examples, decode):
        raise DataError("said already")


def test_of_parts_the_one_that_broke_is_named():
    hooks = Hooks(Combined([Method(), Part()]))
    hooks.number = 3
    with pytest.raises(LessonError) as error:
        hooks.loss(None, None, type("Out", (), {"loss": 0})())
    assert error.value.where == "test_hooks.py:Part.loss, lesson 3"
    assert error.value.what.startswith("ValueError: first line (line ")


class Doubled(Method):
    def state(self):
        return {"seen": 1, "own": 2}

    def answer_state(self):
        return {"seen": 3}


def test_a_name_in_both_states_is_refused():
    with pytest.raises(LessonError, match="'seen' is also a name in answer_state"):
        Hooks(Doubled()).states()


def test_what_a_hook_says_to_the_user_stays_as_it_is():
    with pytest.raises(DataError, match="said already"):
        Hooks(Part()).answer(None, EXAMPLES, Decode())


ANSWERS = {
    "reversed": ("found[::-1]", "answer 0 is to '3', the question is '0'"),
    "twice": ("[found[0], *found[:-1]]", "answer 1 is to '0', the question is '1'"),
    "missing": ("found[:-1]", "3 answers to 4 questions"),
    "extra": ("[*found, found[0]]", "5 answers to 4 questions"),
    "nothing": ("None", "it gives NoneType, where a list of answers is wanted"),
    "by id": ("{a.example_id: a for a in found}", "it gives dict, where"),
    "a generator": ("(a for a in found)", "it gives generator, where"),
    "nothings": ("[None for a in found]", "answer 0 is a NoneType, not an Answer"),
    "texts": ("[a.text for a in found]", "answer 0 is a str, not an Answer"),
    "other ids": (
        "[a.model_copy(update={'example_id': 'x'}) for a in found]",
        "answer 0 is to 'x', the question is '0'",
    ),
    "a number": ("[a.model_copy(update={'text': 3}) for a in found]", "answer 0, to '0': text is int '3'"),
    "no text": ("[type(a).model_construct(example_id=a.example_id) for a in found]", "to '0': text is missing"),
    "half a character": ("[a.model_copy(update={'text': chr(0xD800)}) for a in found]", "to '0': it cannot be written"),
}
DECODE = Decode(kind="text", max_tokens=2)
ANSWERING = """
from clbench.training.method import Method


class Broken(Method):
    def answer(self, net, examples, decode):
        found = net.respond(examples, decode)
        return {body}
"""


def answering(folder, body):
    (folder / "my_file.py").write_text(ANSWERING.format(body=body), encoding="utf-8")
    plugin, config = open_learner({"name": "my_file.py:Broken"})
    return plugin.build(config, ModelSpec(), 0, Machine(device="cpu"))


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_that_do_not_fit_their_questions_are_named_by_file_hook_and_lesson(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body, why = ANSWERS[case]
    learner = answering(tmp_path, body)
    with pytest.raises(LearnerError) as error:
        learner.respond(EXAMPLES, DECODE)
    assert why in error.value.what
    assert error.value.where == "my_file.py:Broken.answer, before the first lesson"
    scorer = ScorerSpec(name="exact")
    exam = Exam(name="x", examples=EXAMPLES, decode=DECODE, scorer=scorer, needs=frozenset({"text"}), digest="x")
    with pytest.raises(LearnerError) as error:
        answers_of(learner, exam)
    assert error.value.where == "exam x, my_file.py:Broken.answer, before the first lesson"


def test_fitting_answers_pass_also_as_a_tuple_and_a_wrong_field_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = answering(tmp_path, "tuple(found)").respond(EXAMPLES, DECODE)
    assert [a.example_id for a in found] == [e.id for e in EXAMPLES]
    with pytest.raises(LessonError, match=r"ValidationError: Answer\.text: Input should be a valid string"):
        answering(tmp_path, "[type(a)(example_id='0', text=None) for a in found]").respond(EXAMPLES, DECODE)
