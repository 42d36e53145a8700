import math

import numpy as np
import pytest

from clbench.core.matrix import Column, Matrix
from clbench.report.page.html import html_report
from clbench.report.runs.abilities import abilities_table, ability_curves, first_lost
from clbench.report.runs.load import load_runs
from clbench.stats.intervals import newcombe, risk_ratio
from tests.builders.places import RECORDED


def matrix(rows, columns, n=100):
    values = np.array(rows, dtype=float)
    counts = np.where(np.isnan(values), 0, n)
    return Matrix(values, counts, np.zeros_like(counts), tuple(columns))


COLUMNS = (
    Column(name="own", taught=1),
    Column(name="add", kind="general", ability="mathematics"),
    Column(name="sub", kind="general", ability="mathematics"),
    Column(name="recall", kind="long_context"),
    Column(name="form", kind="instruction", ability="instruction"),
)
ROWS = [[0.1, 0.8, 0.6, 0.9, 0.5], [0.9, 0.78, 0.6, 0.3, 0.1], [0.8, 0.2, 0.3, 0.2, 0.0]]


def test_abilities_are_means_of_their_exams_and_lost_when_the_drop_is_no_chance():
    curves = {c.ability: c for c in ability_curves(matrix(ROWS, COLUMNS))}
    assert list(curves) == ["mathematics", "long context", "instruction"]
    assert curves["mathematics"].scores == pytest.approx((0.7, 0.69, 0.25))
    assert curves["mathematics"].items == (200, 200, 200)
    assert {name: c.lost for name, c in curves.items()} == {"mathematics": 2, "long context": 1, "instruction": 1}
    assert curves["mathematics"].retention[0] == pytest.approx(0.25 / 0.7)
    assert curves["instruction"].retention[0] == 0
    assert 0 < curves["instruction"].retention[2] < 0.2
    assert first_lost(list(curves.values())) == ["long context", "instruction"]  # 60 points before 40


def test_a_small_drop_on_few_items_is_not_a_loss():
    assert [c.lost for c in ability_curves(matrix(ROWS, COLUMNS, n=4))] == [None, 2, None]
    flat = [ROWS[0]] * 3
    assert [c.lost for c in ability_curves(matrix(flat, COLUMNS))] == [None, None, None]
    assert first_lost(ability_curves(matrix(flat, COLUMNS))) == []


def test_rows_that_were_not_asked_and_a_single_row():
    holes = [ROWS[0], [0.9, math.nan, 0.6, math.nan, 0.1], ROWS[2]]
    curves = {c.ability: c for c in ability_curves(matrix(holes, COLUMNS))}
    assert math.isnan(curves["mathematics"].scores[1])
    assert curves["mathematics"].lost == 2
    only = ability_curves(matrix(ROWS[:1], COLUMNS))
    assert [c.lost for c in only] == [None] * 3
    assert all(c.retention[0] == 1 for c in only)


def test_intervals_against_published_values():
    assert newcombe(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)  # Newcombe 1998, table II
    assert newcombe(10 / 10, 10, 0 / 10, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)  # same, case (h)
    assert all(map(math.isnan, newcombe(math.nan, 3, 0.5, 3)))
    ratio, low, high = risk_ratio(0.5, 100, 0.8, 100)
    assert (ratio, low, high) == pytest.approx((0.625, 0.50201, 0.77812), abs=1e-5)
    assert all(map(math.isnan, risk_ratio(0.5, 10, 0.0, 10)))


def test_the_same_questions_are_paired_and_seeds_are_no_further_questions(demo_runs):
    run = demo_runs[0]
    once = ability_curves(run.matrix, [run])
    assert [c.ability for c in once] == [c.ability for c in ability_curves(run.matrix)]
    thrice = ability_curves(run.matrix, [run] * 3)
    for one, three, alone in zip(once, thrice, ability_curves(run.matrix), strict=True):
        assert three.lost == one.lost
        assert three.retention == pytest.approx(one.retention, nan_ok=True, abs=1e-6)
        assert one.retention[0] == pytest.approx(alone.retention[0], nan_ok=True)
        if one.retention[0] > 0:
            assert one.retention[1] <= one.retention[0] <= one.retention[2]


@pytest.mark.slow
def test_the_report_shows_what_is_left(demo_runs):
    page = html_report(demo_runs, "demo")
    assert "What is left of each ability" in page
    assert "Lost first by sft" in page
    assert "各项能力还剩多少" in html_report(demo_runs, "demo", "zh")
    table = abilities_table(demo_runs)
    assert table.count("\n") >= 2 + 6 * 3
    assert "lost in lesson" in table.splitlines()[0]


@pytest.fixture(scope="module")
def demo_runs():

    return load_runs([RECORDED])
