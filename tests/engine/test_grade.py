"""Scorers that break their contract are refused by name, and nothing that they say is kept."""

import math

import numpy as np
import pytest

from clbench.core import plugins
from clbench.core.errors import ExtraError, SpecError
from clbench.core.protocols import ScorerPlugin
from clbench.core.results import ExamResult
from clbench.core.types import Answer, Decode, Exam, Example, Grade, Message, ScorerSpec
from clbench.engine.grade import combine_grades, grade, grade_answer
from clbench.store.store import Store

EXAM = Exam(
    name="mine",
    examples=tuple(Example(id=i, prompt=(Message(role="user", content="?"),), targets=("a",)) for i in ("one", "two")),
    decode=Decode(),
    scorer=ScorerSpec(name="odd"),
    needs=frozenset({"text"}),
    digest="q",
)


def graded(scorer, tmp_path, monkeypatch, combine=None):
    """Grade an exam by a scorer of someone else's."""
    plugin = ScorerPlugin(build=lambda settings: scorer, version=1, about="", combine=combine)
    monkeypatch.setattr(plugins, "load_known", lambda *_, **__: plugin)
    monkeypatch.setattr(plugins, "code_of", lambda *_: "")
    answers = [Answer(example_id=e.id, text="a") for e in EXAM.examples]
    return grade(ExamResult.asked(EXAM, 0, answers, "k"), Store(tmp_path))


def returning(**fields):
    return lambda example, answer: Grade(**{"example_id": example.id, "score": 0.5, **fields})


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        (returning(score=math.nan), "its score is nan"),
        (returning(score=math.inf), "its score is inf"),
        (returning(score=2), "its score is 2.0"),
        (returning(score=-0.5), "its score is -0.5"),
        (returning(parts=(1.0, math.nan)), "a part of its grade is nan"),
        (returning(example_id="another"), "its grade is of 'another'"),
        (
            lambda e, a: Grade(example_id=e.id, score=1).model_copy(update={"score": "much"}),
            "it raises ValidationError",
        ),
        (lambda e, a: Grade(example_id=e.id, score=1).model_copy(update={"parts": "PER"}), "it raises ValidationError"),
        (lambda example, answer: 1.0, "returns 1.0, which is not a Grade"),
        (lambda example, answer: None, "returns None, which is not a Grade"),
        (lambda example, answer: {"score": 1.0}, "which is not a Grade"),
        (lambda example, answer: {}["boom"], "it raises KeyError: 'boom'"),
        (lambda example, answer: Grade(example_id=example.id, score="much"), "it raises ValidationError"),
    ],
)
def test_a_grade_that_is_none_is_refused_and_not_kept(scorer, said, tmp_path, monkeypatch):
    with pytest.raises(SpecError, match="exam mine, scorer odd, item 'one'") as error:
        graded(scorer, tmp_path, monkeypatch)
    assert said in str(error.value)
    assert not list(tmp_path.rglob("grades.jsonl"))
    assert graded(returning(), tmp_path, monkeypatch).score == 0.5, "once it is mended the exam is graded"


@pytest.mark.parametrize(
    ("combine", "said"),
    [
        (lambda grades: math.nan, "its score is nan"),
        (lambda grades: 1.7, "its score is 1.7"),
        (lambda grades: "0.5", "its score is '0.5'"),
        (lambda grades: None, "its score is None"),
        (lambda grades: 1 / 0, "it raises ZeroDivisionError"),
    ],
)
def test_a_rule_that_gives_no_score_is_refused(combine, said, tmp_path, monkeypatch):
    with pytest.raises(SpecError, match="exam mine, scorer odd, combine") as error:
        graded(returning(), tmp_path, monkeypatch, combine)
    assert said in str(error.value)


def test_numbers_of_numpy_and_sums_that_are_rounded_are_scores(tmp_path, monkeypatch):
    made = graded(returning(score=np.float32(0.25), parts=np.ones(2)), tmp_path, monkeypatch, lambda g: np.float32(0.5))
    assert type(made.score) is float
    assert (made.score, made.grades[0].score, made.parts) == (0.5, 0.25, ((1.0, 1.0),) * 2)
    above = sum([0.1] * 3) / 0.3
    assert above > 1
    assert grade_answer(returning(score=above), EXAM.examples[0], made.answers[0]).score == above


def test_what_a_user_can_mend_is_raised_as_it_is():
    def scorer(example, answer):
        raise ExtraError("needs a package", where="here")

    with pytest.raises(ExtraError, match="needs a package"):
        grade_answer(scorer, EXAM.examples[0], Answer(example_id="one", text=""))


def test_answers_that_cannot_be_graded_come_to_no_score():
    plugin = ScorerPlugin(build=lambda _: returning(), version=1, about="", combine=lambda grades: 1 / 0)
    assert combine_grades([Grade(example_id="one", score=None)], plugin) is None
