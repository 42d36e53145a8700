"""Graded items: one object from the grades of a run to a file, and from a file to figures."""

import copy
import json
import pickle

import numpy as np
import pytest
from pydantic import ValidationError

from clbench.core.graded import KEPT, GradedItems, graded_items, pack, side_by_side
from clbench.core.item_scores import ExamScores, ItemScores
from clbench.core.keys import canonical
from clbench.core.results import ExamResult
from clbench.core.scorers import rule_of
from clbench.core.types import Answer, Decode, Exam, Example, Grade, Message, ScorerSpec
from clbench.engine.grade import open_scorer

NO_FILE = {"questions": "q", "answers_key": "a", "grades_key": "g"}


def result(scores=(1.0, None, 0.0), declined=2):
    """Make the result of an exam as a run makes it: asked, then graded."""
    ids = [str(i) for i in range(len(scores))]
    exam = Exam(
        name="e",
        examples=tuple(Example(id=i, prompt=(Message(role="user", content="?"),), targets=("secret",)) for i in ids),
        decode=Decode(),
        scorer=ScorerSpec(name="exact"),
        needs=frozenset({"text"}),
        digest="q",
    )
    asked = ExamResult.asked(exam, 1, [Answer(example_id=i, text="said", tokens_cut=3) for i in ids], "a")
    assert np.isnan(asked.scores).all() and asked.scores.shape == (1, len(scores)), "nothing is graded yet"
    grades = [
        Grade(example_id=i, score=s, declined=k == declined) for k, (i, s) in enumerate(zip(ids, scores, strict=True))
    ]
    return asked.graded(grades, 0.5, "g")


def sheets(row):
    sheet = ExamScores(
        exam="e", digest="q", scorer=ScorerSpec(name="exact"), version=1, ids=("0", "1", "2"), rows={1: row}
    )
    return ItemScores(exams=(sheet,))


def test_a_record_holds_the_very_result_of_a_run_and_a_file_only_what_it_keeps():
    made = result()
    kept = sheets(made)
    assert kept.exams[0].rows[1] is made, "nothing is copied on the way into a record"
    text = canonical(kept)
    row = {**NO_FILE, "scores": "1-0", "cuts": [3, 9, 0], "declined": [2]}
    assert json.loads(text)["exams"][0]["rows"] == {"1": row}
    for written in (text, kept.model_dump_json()):
        assert not any(word in written for word in ("secret", "said", "rule", '"seconds"', '"lesson"'))
        back = ItemScores.model_validate_json(written)
        assert back == kept
        assert type(back.exams[0].rows[1]) is GradedItems
        assert canonical(back) == text


def test_results_with_other_scores_keys_or_parts_differ():
    one = result()
    assert one == result()
    assert one != result((1.0, 0.0, 0.0))
    assert one != one.model_copy(update={"answers_key": "b"})
    assert one != one.model_copy(update={"parts": ((1.0,),) * 3})
    assert one != "1-0"
    assert sheets(one) != sheets(result((1.0, None, 1.0), declined=9))


@pytest.mark.parametrize(
    ("scores", "packed"),
    [
        ("10-", "10-"),
        ("", ""),
        ([1, 0, None], "10-"),
        ([0.25, None, 1], (0.25, None, 1.0)),
        (np.array([0.5, np.nan]), (0.5, None)),
    ],
)
def test_scores_come_back_from_a_file_as_they_were(scores, packed):
    items = GradedItems(**NO_FILE, scores=scores)
    assert pack(items.scores) == packed
    assert GradedItems.model_validate_json(items.model_dump_json()) == items
    assert items.scores.dtype == np.float64 and items.scores.shape == (1, len(packed))


@pytest.mark.parametrize(
    "scores",
    ["012", "1\n", "１", [1, "x"], [[1.0, 0.0]], [float("inf")], [float("nan")], {"a": 1}, 3, None, np.array([np.inf])],
)
def test_what_is_no_score_is_refused(scores):
    with pytest.raises(ValidationError, match=r"scores are one of 0, 1 and - per item|infinite"):
        GradedItems(**NO_FILE, scores=scores)


def test_a_row_of_a_file_names_its_keys_and_no_rule():
    for changes in ({"questions": None}, {"rule": "mean"}, {"exam": "e"}):
        with pytest.raises(ValidationError):
            GradedItems.model_validate({**NO_FILE, "scores": "1", **changes})
    with pytest.raises(ValidationError, match="answers_key"):
        GradedItems.model_validate({"questions": "q", "grades_key": "g", "scores": "1"})


def test_nobody_changes_a_result_by_reading_it():
    mine = np.array([0.5, 1.0])
    items = graded_items(mine)
    with pytest.raises(ValueError, match="read-only"):
        items.values()[0] = 0.0
    mine[0] = 0.25  # the caller's own array is left writable


def test_several_rows_have_no_file():
    with pytest.raises(ValueError, match="values to unpack"):
        pack(graded_items([[1.0, 0.0], [0.0, 1.0]]).scores)


def test_parts_follow_their_items_over_rows():
    parts = tuple((float(n),) for n in range(6))
    two = graded_items(np.arange(6).reshape(2, 3) / 6, parts)
    some = two.only(np.array([True, False, True]))
    assert some.parts == ((0.0,), (2.0,), (3.0,), (5.0,))
    assert some.scores.tolist() == [[0.0, 2 / 6], [3 / 6, 5 / 6]]
    one = graded_items([0.9, 0.8], ((8.0,), (9.0,)))
    both = side_by_side(one, some)  # the side with one row is repeated
    assert both.scores.tolist() == [[0.9, 0.8, 0.0, 2 / 6], [0.9, 0.8, 3 / 6, 5 / 6]]
    assert both.parts == ((8.0,), (9.0,), (0.0,), (2.0,), (8.0,), (9.0,), (3.0,), (5.0,))


def own_rule():
    """Make the result of an exam whose score is not the mean of its items."""
    rule = rule_of("entity_f1")
    asked = result().model_copy(
        update={"exam": result().exam.model_copy(update={"scorer": ScorerSpec(name="entity_f1")})}
    )
    parts = ((1.0, 1.0, 1.0), (0.0, 3.0, 1.0), (1.0, 1.0, 2.0))
    grades = [
        Grade(example_id=str(k), score=s, parts=p) for k, (s, p) in enumerate(zip((1.0, 0.0, 0.5), parts, strict=True))
    ]
    return asked.graded(grades, open_scorer("entity_f1").combine(grades), "g", rule)


@pytest.mark.parametrize("made", [result(), own_rule()], ids=["mean", "own rule"])
@pytest.mark.parametrize(
    "there_and_back",
    [
        lambda made: ExamResult.model_validate_json(made.model_dump_json()),
        lambda made: ExamResult.model_validate(made.model_dump()),
        lambda made: pickle.loads(pickle.dumps(made)),  # its own bytes
        copy.deepcopy,
    ],
    ids=["json", "dict", "pickle", "deepcopy"],
)
def test_a_result_goes_there_and_back_whole(made, there_and_back):
    back = there_and_back(made)
    assert back == made
    assert {back, made} == {made}
    assert (back.answers, back.grades, back.score, back.exam) == (made.answers, made.grades, made.score, made.exam)
    assert back.is_mean == made.is_mean
    assert back.value == made.value


def test_the_items_of_a_result_come_to_its_score():
    made = own_rule()
    assert not made.is_mean
    assert made.value == pytest.approx(made.score)
    assert made.value != pytest.approx(float(made.means.mean()))
    lambdas = made.model_copy(update={"rule": lambda scores, parts, weights: scores})
    assert pickle.loads(pickle.dumps(lambdas)) == made, "a rule that cannot be pickled is found again by name"


@pytest.mark.parametrize("field", ["lesson", "answers", "grades", "score"])
def test_results_that_differ_beside_their_items_are_not_equal(field):
    one = result()
    other = {"lesson": 2, "answers": (), "grades": (), "score": 0.25}[field]
    two = one.model_copy(update={field: other})
    assert one != two
    assert graded_items(one.scores).model_copy(update={n: getattr(one, n) for n in KEPT}) == two, "its items are"


@pytest.mark.parametrize("scores", [np.zeros((2, 2, 2)), np.zeros((0, 3))])
def test_scores_that_are_not_rows_of_items_are_refused(scores):
    with pytest.raises(ValidationError, match="rows of items"):
        graded_items(scores)
