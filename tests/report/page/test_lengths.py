"""Scores by the length of the questions, whatever exam they are in."""

import math

import numpy as np
import pytest

from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores, ItemScores
from clbench.core.matrix import Column, Matrix
from clbench.core.types import ScorerSpec
from clbench.report.page.lengths import length_buckets, length_rows, length_series, lengths_table
from clbench.report.runs.groups import Group


def sheet(exam, lengths, *rows):
    cells = {
        step: GradedItems(questions="q", answers_key="a", grades_key="m", scores=scores)
        for step, scores in enumerate(rows)
        if scores is not None
    }
    ids = tuple(f"{exam}-{i}" for i in range(len(lengths)))
    return ExamScores(
        exam=exam, digest="d", scorer=ScorerSpec(name="label"), version=1, ids=ids, lengths=lengths, rows=cells
    )


class FakeRun:
    def __init__(self, sheets):
        columns = [Column(name="own", taught=1)]
        columns += [Column(name=n, kind="long_context", guess_rate=0.1) for n in ("recall", "doc")]
        self.matrix = Matrix.of([[0.1, 0.5, 0.5]] * 3, columns)
        self.item_scores = ItemScores(exams=sheets)


def test_questions_are_sorted_by_their_own_length_whatever_exam_they_are_in():
    run = FakeRun(
        (
            sheet("own", (5000,), "1", "1", "1"),
            sheet("recall", (40, 64, 65, 2049), "1111", None, "1010"),
            sheet("doc", (4096, 33), (0.5, 1.0), None, (0.0, None)),
        )
    )
    group = Group("sft", (run,), run.matrix, {}, {})
    buckets = {b.name: b for b in length_buckets(group)}
    assert list(buckets) == ["64", "128", "4K"]
    assert buckets["64"].items == (3, 0, 2)
    assert buckets["64"].scores[0] == 1.0
    assert math.isnan(buckets["64"].scores[1])
    assert buckets["64"].scores[2] == 0.5
    assert buckets["4K"].scores[::2] == (0.75, 0.0)
    ticks, series = length_series([group], "untouched")
    assert ticks == ["64", "128", "4K"]
    assert series == {"untouched": [1.0, 1.0, 0.75], "sft": [0.5, 1.0, 0.0]}


def test_where_nothing_was_known_nothing_is_said_to_be_left():
    guessing = FakeRun((sheet("recall", (40,) * 50, "0" * 45 + "1" * 5, None, "1" * 10 + "0" * 40),))
    row = length_rows(Group("sft", (guessing,), guessing.matrix, {}, {}))[0]
    assert row == ["sft", "64", "50", "10.0", "20.0", "–"]
    knowing = FakeRun((sheet("recall", (40,) * 50, "1" * 50, None, "1" * 10 + "0" * 40),))
    assert length_rows(Group("sft", (knowing,), knowing.matrix, {}, {}))[0][-1].startswith("20 % (")
    assert lengths_table([]) == ""


def test_seeds_of_a_question_are_no_further_questions():
    def learner(*lasts):
        runs = tuple(FakeRun((sheet("recall", (40,) * 50, "1" * 40 + "0" * 10, None, last),)) for last in lasts)
        return length_buckets(Group("sft", runs, runs[0].matrix, {}, {}))[0].retention

    last = "1" * 20 + "0" * 30
    once, thrice = learner(last), learner(last, last, last)
    assert thrice == pytest.approx(once)
    assert once[0] == 0.5
    assert 0.33 < once[1] < 0.42
    assert 0.58 < once[2] < 0.67


def test_groups_of_questions_fall_together():
    def wide(groups):
        made = sheet("recall", (40,) * 60, "1" * 60, None, "1" * 30 + "0" * 30).model_copy(update={"groups": groups})
        run = FakeRun((made,))
        _, low, high = length_buckets(Group("sft", (run,), run.matrix, {}, {}))[0].retention
        return high - low

    assert wide(tuple(str(i // 10) for i in range(60))) > 2 * wide(())


def test_sheets_hold_scores_whole():
    row = GradedItems(questions="", answers_key="", grades_key="", scores=(0.25, None))
    np.testing.assert_equal(row.values(), [0.25, np.nan])
    made = sheet("recall", (1, 2, 3), "01-", None, "111")
    np.testing.assert_equal(made.array(3), [[0, 1, np.nan], [np.nan] * 3, [1, 1, 1]])
