"""What recorded runs forgot and gained item by item, and where readers find it."""

import json
import math

import numpy as np
import pytest

from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores, ItemScores, guess_rate_at, guess_rates_of
from clbench.core.matrix import Column, Matrix
from clbench.core.types import Decode, Exam, Example
from clbench.report.page.html import html_report
from clbench.report.results import Runs
from clbench.report.runs.item_changes import UNGRADED, item_changes
from clbench.report.runs.item_table import heads, read_items, write_items
from clbench.report.tables.exports import to_json
from clbench.report.tables.item_changes import to_items
from tests.builders.reported import OUTLINE, folder_of, record

COLUMNS = [
    Column(name="a", taught=1, guess_rate=0.5, size=8),
    Column(name="b", taught=2, size=4),
    Column(name="c", taught=3, size=4),
    Column(name="m", kind="general", ability="sums", guess_rate=0.25, size=4),
]
SCORES = {
    "a": ["00001111", "11111111", "11110000", "11110000"],
    "b": ["0000", "0000", "1110", "0010"],
    "c": ["0000", "0000", "0000", "1111"],
    "m": ["1100", "1100", "1100", "1100"],
}
AT_ROW = {("m", k): "same" for k in range(4)}


def exam_scores(name, scores, **more):
    rows = {
        k: GradedItems(questions="", answers_key=AT_ROW.get((name, k), f"{name}{k}"), grades_key="", scores=row)
        for k, row in enumerate(scores)
    }
    ids = tuple(f"{name}{i}" for i in range(len(scores[0])))
    return ExamScores(exam=name, digest=name, scorer={"name": "label"}, version=1, ids=ids, rows=rows, **more)


def run(scores=SCORES, seed=0, learner="sft", **more):
    exams = tuple(exam_scores(name, rows, **more.get(name, {})) for name, rows in scores.items())
    rows = [[float(np.nanmean(e.array(4)[k])) for e in exams] for k in range(4)]
    columns = [column for column in COLUMNS if column.name in scores]
    taught = [column for column in columns if column.taught is not None]
    stream = OUTLINE.model_copy(
        update={
            "tasks": tuple(column.name for column in taught),
            "questions": tuple(column.size for column in taught),
            "lessons": tuple(
                OUTLINE.lessons[0].model_copy(update={"lesson": c.taught, "teaches": (c.name,)}) for c in taught
            ),
        }
    )
    made = record(learner, [[0.5, 0.5, 0.5]] * 3, seed)
    matrix, items = Matrix.of(rows, columns), ItemScores(exams=exams)
    return made.__class__(**{**vars(made), "stream": stream, "matrix": matrix, "item_scores": items})


def test_tasks_are_followed_since_their_lesson_and_abilities_since_the_untouched_model():
    found = {c.name: c for c in item_changes([run()])}
    assert list(found) == ["a", "b", "tasks", "sums"], "nothing follows the last task's lesson"
    assert [(c.since, c.until, c.items) for c in found.values()] == [(1, 3, 8), (2, 3, 4), (None, 3, 12), (0, 3, 4)]
    assert found["a"].forgotten_raw.value == 0.5
    assert found["a"].forgotten.value == pytest.approx(1.0), "all were known, and half of what is not is guessed"
    assert found["b"].forgotten == found["b"].forgotten_raw
    assert found["b"].forgotten.value == pytest.approx(0.5)
    assert found["tasks"].forgotten.value == pytest.approx(0.75)
    assert (found["sums"].forgotten.low, found["sums"].forgotten.high) == (0.0, 0.0), "the same answers"


def test_seeds_are_averaged():
    other = {**SCORES, "b": ["0000", "0000", "1110", "1110"]}
    found = {c.name: c for c in item_changes([run(), run(other, 1)])}
    assert found["b"].forgotten.value == pytest.approx(0.25)
    assert found["b"].forgotten.low < 0.25 < found["b"].forgotten.high


def test_scores_between_right_and_wrong_are_told():
    halves = {**SCORES, "b": [(0.0,) * 4, (0.0,) * 4, (0.5, 0.5, 1.0, 0.0), (0.0,) * 4]}
    runs = [run(halves)]
    found = {c.name: c for c in item_changes(runs)}
    assert found["b"].why_not == found["tasks"].why_not == UNGRADED
    assert math.isnan(found["b"].forgotten.value)
    assert found["a"].why_not == ""
    assert "graded between right and wrong: b, all tasks (mean)." in html_report(runs, "t")
    assert "介于对错之间" in html_report(runs, "t", "zh")


def test_what_was_not_due_or_not_graded_is_not_defined():
    gone = {**SCORES, "b": ["0000", "0000", "----", "0000"]}
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="empty"):
        made = run(gone)
    assert {c.name: bool(c.why_not) for c in item_changes([made])}["b"]
    assert item_changes([record("sft", [[0.5, 0.5, 0.5]] * 3)]) == [], "items are not on record"


def test_each_item_has_its_own_guess_rate():
    rates = (0.5,) * 4 + (0.25,) * 4
    scores = {**SCORES, "a": ["00000000", "11110000", "00001100", "00000000"]}
    found = {c.name: c for c in item_changes([run(scores, a={"guess_rates": rates})])}
    even = {c.name: c for c in item_changes([run(scores)])}
    by_hand = (4 * 1 / (1 - 0.5) - 4 * 0.25 / (1 - 0.25) / (1 - 0.25)) / 8
    assert found["a"].forgotten_raw.value == even["a"].forgotten_raw.value == 0.5
    known = (4 * (1 - 0.5) / 0.5 + 4 * (0 - 0.25) / 0.75) / 8
    assert found["a"].forgotten.value == pytest.approx(min(by_hand, known))
    assert even["a"].forgotten.value == pytest.approx(0.0), "half are right: guessing explains it"


def test_more_labels_make_later_guesses_worse():
    exam = exam_scores("a", SCORES["a"])
    rows = {k: r.model_copy(update={"guess_rate": 0.25 if k == 3 else None}) for k, r in exam.rows.items()}
    made = run()
    grown = ItemScores(exams=(exam.model_copy(update={"rows": rows}), *made.item_scores.exams[1:]))
    found = item_changes([made.__class__(**{**vars(made), "item_scores": grown})])
    assert found[0].forgotten.value == pytest.approx(0.5 / 0.75)


def questions(*choices, rate=0.0, growth=()):
    items = tuple(Example(id=str(k), prompt=(), choices=tuple("abcdefgh"[:num])) for k, num in enumerate(choices))
    return Exam(
        name="e",
        examples=items,
        decode=Decode(kind="label"),
        scorer={"name": "label"},
        needs=frozenset(),
        guess_rate=rate,
        growth=growth,
        digest="",
    )


def test_guess_rates_are_recorded_where_items_differ():
    assert guess_rates_of(questions(2, 4, rate=0.375)) == (0.5, 0.25)
    assert guess_rates_of(questions(2, 0, rate=0.25)) == (0.5, 0.0), "free text is not guessed"
    assert guess_rates_of(questions(2, 3, rate=0.4167)) == (1 / 2, 1 / 3), "cards state four digits"
    assert guess_rates_of(questions(4, 4, rate=0.25)) == ()
    assert guess_rates_of(questions(2, 4, rate=0.6)) == (), "the card states another guess rate"
    grown = ((1, "a"), (1, "b"), (2, "c"), (2, "d"))
    assert guess_rate_at(questions(4, 4, growth=grown, rate=0.5)) == 0.25
    assert guess_rate_at(questions(2, 2, growth=grown, rate=0.5)) is None
    assert guess_rate_at(questions(4, 4, rate=0.5)) is None


def test_guess_rates_come_back_from_the_table(tmp_path):
    pytest.importorskip("pyarrow")
    made = run(a={"guess_rates": (0.5,) * 4 + (0.25,) * 4}).item_scores
    write_items({"r": made}, tmp_path / "items.parquet")
    assert read_items(tmp_path / "items.parquet", "r", json.loads(json.dumps(heads(made)))) == made
    assert ["guess_rates" in head for head in heads(made)] == [True, False, False, False]


def test_readers_find_it():
    runs = [run(), run({**SCORES, "a": [SCORES["a"][0]] + ["11111111"] * 3}, learner="ewc")]
    (sft, _) = json.loads(to_json(runs))
    assert sft["item_changes"][0]["name"] == "a"
    assert sft["item_changes"][0]["forgotten_raw"]["value"] == 0.5
    lines = to_items(runs).splitlines()
    assert lines[0].startswith("| learner | task or ability | since lesson | items | forgotten | gained |")
    assert any(line.startswith("| sft | all tasks (mean) | – | 12 | 75.0 (") for line in lines)
    for lang, text in (("en", "Forgotten and gained items"), ("zh", "遗忘与新掌握的题目")):
        page = html_report(runs, "t", lang)
        assert page.count(f">{text}</h2>") == 1
        assert page.count('<svg class="strips"') >= 2, "of all tasks, and of the ability"
    assert "Forgotten and gained" not in html_report([record("sft", [[0.5, 0.5, 0.5]] * 3)], "t")


def test_python_users_get_a_frame(tmp_path):
    pytest.importorskip("pandas")
    frame = Runs([folder_of(tmp_path, run())]).item_changes()
    assert list(frame.exam) == ["a", "b", "tasks", "sums"]
    first = frame.iloc[0]
    assert (first.learner, first.since, first["items"], first.forgotten_raw) == ("sft", 1, 8, 0.5)
    assert first.forgotten_low <= first.forgotten <= first.forgotten_high <= 1
