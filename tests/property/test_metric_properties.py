"""What must hold of figures for any matrix; tests/metrics/test_independent.py works out their equations."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clbench.core.matrix import Column, Matrix
from clbench.core.results import Costs
from clbench.metrics import all_metrics, compute

NAN = math.nan
KINDS = {"general_ability_delta": "general", "instruction_delta": "instruction", "long_context_delta": "long_context"}
OWN = [n for n, p in all_metrics().items() if p.needs == "matrix" and n not in KINDS]
REFERENCED = [n for n, p in all_metrics().items() if p.needs == "reference"]
OF_CHANGE = [n for n, p in all_metrics().items() if p.group == "stability"] + ["fwt", "fwt_random"]
MAXIMA = ("forgetting", "forgetting_rate", "forgetting_max_any")

# --- matrices: rows[k][i] for k = 0..T, taught[i] in 1..T ------------------------------------------------------------

SCORES = st.integers(0, 20).map(lambda v: v / 20)
ABOVE_0 = st.integers(1, 20).map(lambda v: v / 20)


@st.composite
def drawn(draw, scores=SCORES, missing=False, one_each=False, least=1):
    """Give (rows, taught, chance, counts): `least` to 8 lessons, 1 to 8 tasks, one a lesson or any number of them."""
    num = draw(st.integers(least, 8))
    taught = list(range(1, num + 1)) if one_each else draw(st.lists(st.integers(1, num), min_size=1, max_size=8))
    cells = st.one_of(scores, st.just(NAN)) if missing else scores
    flat = draw(st.lists(cells, min_size=len(taught) * (num + 1), max_size=len(taught) * (num + 1)))
    rows = [flat[k * len(taught) : (k + 1) * len(taught)] for k in range(num + 1)]
    chance = [draw(st.sampled_from([0.0, 0.25, 0.5])) for _ in taught]
    counts = [draw(st.integers(1, 50)) for _ in taught]
    return rows, taught, chance, counts


def matrix_of(rows, taught, chance, counts, order=None):
    order = list(range(len(taught))) if order is None else order
    columns = tuple(Column(name=f"t{i}", taught=taught[i], guess_rate=chance[i]) for i in order)
    values = np.array([[row[i] for i in order] for row in rows], dtype=float)
    n = np.where(np.isnan(values), 0, np.array([counts[i] for i in order])).astype(np.int64)
    return Matrix(values, n, np.zeros_like(n), columns)


def plain(rows, taught=None):
    """Give the matrix of rows whose tasks have no chance and are of one size."""
    width = len(rows[0])
    return matrix_of(rows, taught or list(range(1, width + 1)), [0.0] * width, [1] * width)


def with_exams(matrix, exams, place=None):
    """Add fixed exams, each (kind, scores by row), at the end or before column `place`."""
    place = len(matrix.columns) if place is None else place
    added = tuple(Column(name=f"x{i}", kind=kind) for i, (kind, _) in enumerate(exams))
    scores = np.array([column for _, column in exams]).reshape(len(exams), len(matrix.values)).T
    values = np.insert(matrix.values, [place] * len(exams), scores, axis=1)
    n = np.insert(matrix.n, [place] * len(exams), ~np.isnan(scores), axis=1)
    return Matrix(values, n, np.zeros_like(n), (*matrix.columns[:place], *added, *matrix.columns[place:]))


def figures(matrix):
    return compute([*OWN, *KINDS], matrix, Costs(), {})


def same(one, two):
    return (math.isnan(one) and math.isnan(two)) or one == pytest.approx(two, abs=1e-12)


def unlike(one, two, names=None):
    return {n: (one[n], two[n]) for n in names or one if not same(one[n], two[n])}


def settled(rows, taught, turn):
    """Give the rows with scores that after their own lesson only fall (turn = min) or only rise (turn = max)."""
    found = [list(row) for row in rows]
    for i, lesson in enumerate(taught):
        for k in range(lesson + 1, len(rows)):
            found[k][i] = turn(found[k][i], found[k - 1][i])
    return found


# --- bounds ---------------------------------------------------------------------------------------------------------


def outside(scores):
    bounds = {n: (all_metrics()[n].low - 1e-9, all_metrics()[n].high + 1e-9) for n in scores}
    return {n: v for n, v in scores.items() if not (math.isnan(v) or bounds[n][0] <= v <= bounds[n][1])}


@settings(max_examples=150, deadline=None)
@given(drawn(missing=True), st.sampled_from(sorted(KINDS.values())), st.data())
def test_figures_stay_within_their_bounds(case, kind, data):
    column = data.draw(st.lists(SCORES, min_size=len(case[0]), max_size=len(case[0])))
    assert outside(figures(with_exams(matrix_of(*case), [(kind, column)]))) == {}


@settings(max_examples=80, deadline=None)
@given(drawn(), st.data())
def test_figures_against_references_stay_within_their_bounds(case, data):
    rows, taught, *rest = case
    row = st.lists(st.one_of(SCORES, st.just(NAN)), min_size=len(taught), max_size=len(taught))
    ends = {name: matrix_of([*rows[:-1], data.draw(row)], taught, *rest) for name in ("joint", "frozen")}
    assert outside(compute(REFERENCED, matrix_of(*case), Costs(), ends)) == {}


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_bounds_are_reached_and_not_passed(extreme):
    """All or nothing, in every arrangement of a task's own and last row."""
    other = 1.0 - extreme
    rows = [[other, other], [extreme, other], [other, extreme]]
    found = figures(plain(rows))
    assert outside(found) == {}
    assert found["bwt"] == other - extreme
    assert found["fluctuation"] == 0.5
    assert found["forgetting_max_any"] == (1.0 if extreme else 0.0)


# --- what changes nothing -------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(drawn(missing=True), st.randoms(use_true_random=False))
def test_the_order_of_columns_changes_nothing(case, random):
    order = list(range(len(case[1])))
    random.shuffle(order)
    assert unlike(figures(matrix_of(*case)), figures(matrix_of(*case, order))) == {}
    ends = {"joint": matrix_of(*case, order), "frozen": plain([[0.5] * len(order)] * len(case[0]), case[1])}
    one, two = (compute(REFERENCED, matrix_of(*case, o), Costs(), ends) for o in (None, order))
    assert unlike(one, two) == {}


@settings(max_examples=80, deadline=None)
@given(drawn(missing=True), st.data())
def test_fixed_exams_and_own_tasks_do_not_mix(case, data):
    """Fixed exams, holes and all, stand anywhere between the tasks; each delta is of its own kind's exams."""
    own, height = matrix_of(*case), len(case[0])
    column = st.lists(st.one_of(SCORES, st.just(NAN)), min_size=height, max_size=height)
    exams = data.draw(st.lists(st.tuples(st.sampled_from(sorted(KINDS.values())), column), max_size=5))
    mixed = with_exams(own, exams, data.draw(st.integers(0, len(own.columns))))
    found = figures(mixed)
    assert unlike(found, figures(own), OWN) == {}
    for name, kind in KINDS.items():
        changes = [column[-1] - column[0] for k, column in exams if k == kind]
        assert same(found[name], sum(changes) / len(changes) if changes else NAN)
    ends = {"joint": own, "frozen": mixed}
    assert unlike(*(compute(REFERENCED, m, Costs(), ends) for m in (own, mixed))) == {}


@settings(max_examples=60, deadline=None)
@given(SCORES, drawn())
def test_a_constant_matrix_has_learnt_and_lost_nothing(value, case):
    rows, taught, *_ = case
    flat = [[value] * len(taught) for _ in rows]
    matrix = with_exams(plain(flat, taught), [(kind, [value] * len(rows)) for kind in KINDS.values()])
    found = figures(matrix)
    for name in ("average_performance", "average_performance_pooled", "learning_accuracy", "average_all_cells"):
        assert found[name] == pytest.approx(value), name
    if 1 in taught:  # else there is a lesson after which nothing has been taught
        assert found["average_incremental"] == pytest.approx(value)
    assert [found[name] for name in KINDS] == [0.0] * 3
    if any(lesson > 1 for lesson in taught):
        assert found["fwt"] == 0.0
    if all(lesson == len(rows) - 1 for lesson in taught):
        return  # nothing comes later: see below
    for name in ("bwt", "bwt_all_pairs", "forgetting", "forgetting_first_last", "forgetting_max_any", "fluctuation"):
        assert found[name] == pytest.approx(0.0, abs=1e-12), name
    assert same(found["worst_retention"], 1.0 if value else NAN)  # what was never known cannot be kept
    assert same(found["forgetting_rate"], 0.0 if value else NAN)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.data())
def test_after_one_lesson_nothing_is_lost_or_carried_over(width, data):
    row = st.lists(SCORES, min_size=width, max_size=width)
    found = figures(plain([data.draw(row), data.draw(row)], [1] * width))
    for name in OF_CHANGE:
        assert math.isnan(found[name]), name
    for name in set(OWN) - set(OF_CHANGE):
        assert not math.isnan(found[name]), name


@settings(max_examples=60, deadline=None)
@given(drawn(scores=ABOVE_0, least=2))
def test_half_the_scores_give_half_the_figure_and_the_same_shares(case):
    rows, taught, *_ = case
    height = len(rows)
    one, half = (
        figures(with_exams(plain([[v * f for v in row] for row in rows], taught), [("general", [0.8 * f] * height)]))
        for f in (1.0, 0.5)
    )
    shares = {n for n in OWN if all_metrics()[n].unit != "score"}
    assert shares == {"worst_retention", "forgetting_rate"}
    assert unlike(half, {n: v if n in shares else v / 2 for n, v in one.items()}) == {}


# --- signs and identities -------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(drawn(scores=ABOVE_0))
def test_signs(case):
    rows, taught, *_ = case
    assume(any(lesson < len(rows) - 1 for lesson in taught))
    worse, better = (figures(plain(settled(rows, taught, turn), taught)) for turn in (min, max))
    lost = ("forgetting", "forgetting_first_last", "forgetting_rate")
    assert [n for n in lost if worse[n] < -1e-12 or better[n] > 1e-12] == []
    assert [n for n in ("bwt", "bwt_all_pairs") if worse[n] > 1e-12 or better[n] < -1e-12] == []
    assert worse["worst_retention"] <= 1 <= better["worst_retention"]
    assert worse["forgetting"] == pytest.approx(-worse["bwt"]), "each maximum is the own row where scores only fall"


def test_one_task_that_falls_and_one_that_rises_have_their_signs():
    falls, rises = (figures(plain([[0.0, 0.0], [first, 0.0], [last, 0.5]])) for first, last in ((0.9, 0.4), (0.4, 0.9)))
    for found, sign in ((falls, 1), (rises, -1)):
        assert found["forgetting"] == pytest.approx(0.5 * sign)
        assert found["bwt"] == pytest.approx(-0.5 * sign)
    assert falls["forgetting_rate"] == pytest.approx(100 * 5 / 9)
    assert rises["worst_retention"] == pytest.approx(9 / 4)


@settings(max_examples=100, deadline=None)
@given(drawn(one_each=True, least=2))
def test_identities_of_one_task_a_lesson(case):
    rows, taught, *_ = case
    num = len(taught)
    found, fallen = (figures(plain(r, taught)) for r in (rows, settled(rows, taught, min)))
    for scores in (found, fallen):
        right = scores["learning_accuracy"] + (num - 1) / num * scores["bwt"]
        assert scores["average_performance"] == pytest.approx(right, abs=1e-12)
    right = fallen["learning_accuracy"] - (num - 1) / num * fallen["forgetting"]
    assert fallen["average_performance"] == pytest.approx(right, abs=1e-12)
    assert found["forgetting"] >= -found["bwt"] - 1e-12  # the own row is among those of the maximum
    assert found["forgetting_max_any"] >= max(found["forgetting"], 0) - 1e-12


@settings(max_examples=60, deadline=None)
@given(drawn())
def test_identities_of_any_number_of_tasks_a_lesson(case):
    _, taught, *_ = case
    past = sum(lesson < len(case[0]) - 1 for lesson in taught)
    assume(past)
    found = figures(matrix_of(*case))
    right = found["learning_accuracy"] + past / len(taught) * found["bwt"]
    assert found["average_performance"] == pytest.approx(right, abs=1e-12)
    assert found["forgetting_first_last"] == pytest.approx(-found["bwt"], abs=1e-12)


# --- missing cells: which ones a figure needs, and which only bound its maximum --------------------------------------


def cells_of(taught, num):
    """Give, by figure, the cells {(row, column)} without which it is undefined; `window` are those of its maximum."""
    tasks = list(enumerate(taught))
    past, late = [(i, t) for i, t in tasks if t < num], [(i, t) for i, t in tasks if t > 1]
    last, own = {(num, i) for i, _ in tasks}, {(t, i) for i, t in tasks}
    past_last, past_own = {(num, i) for i, _ in past}, {(t, i) for i, t in past}
    lower = {(k, i) for i, t in tasks for k in range(t, num + 1)}
    past_lower = {(k, i) for i, t in past for k in range(t, num + 1)}
    ahead = {(t - 1, i) for i, t in late}
    needs = {
        "average_performance": last,
        "average_performance_pooled": last,
        "average_performance_centred": last,
        "average_incremental": lower,
        "area_under_learning_curve": lower,
        "average_all_cells": lower,
        "learning_accuracy": own,
        "bwt": past_last | past_own,
        "bwt_all_pairs": past_lower,
        "forgetting_first_last": past_last | past_own,
        "worst_retention": past_last | past_own,
        "fluctuation": past_lower,
        "fwt": ahead | {(0, i) for i, _ in late},
        "fwt_random": ahead,
        **dict.fromkeys(MAXIMA, past_last),
    }
    between = {(k, i) for i, t in past for k in range(t, num)}
    window = dict.fromkeys(MAXIMA, between) | {"forgetting_max_any": {(k, i) for i, _ in past for k in range(num)}}
    return needs, window


def test_every_own_figure_says_which_cells_it_needs():
    assert set(cells_of([1], 1)[0]) == set(OWN)


@settings(max_examples=60, deadline=None)
@given(drawn(scores=ABOVE_0, least=2), st.data())
def test_a_missing_cell_is_undefined_where_it_is_needed_and_nothing_elsewhere(case, data):
    """A maximum is taken over the rows that were asked (docs/long-streams.md): without one it can only be smaller."""
    rows, taught, *rest = case
    num = len(rows) - 1
    assume(1 in taught and any(t < num for t in taught))
    needs, window = cells_of(taught, num)
    whole = figures(matrix_of(*case))
    k, i = data.draw(st.tuples(st.integers(0, num), st.integers(0, len(taught) - 1)))
    holed = [list(row) for row in rows]
    holed[k][i] = NAN
    found = figures(matrix_of(holed, taught, *rest))
    for name in OWN:
        only = name != "forgetting_max_any" and (k, i) in window.get(name, ()) and num - taught[i] == 1
        if (k, i) in needs[name] or only:
            assert math.isnan(found[name]), (name, found[name])
        elif (k, i) in window.get(name, ()):
            assert found[name] <= whole[name] + 1e-12, name
        else:
            assert same(found[name], whole[name]), name


@pytest.mark.parametrize("taught", [[1], [1, 2], [1, 1, 3], [2, 2]])
def test_where_nothing_was_measured_nothing_is_defined(taught):
    blank = plain([[NAN] * len(taught)] * (max(taught) + 1), taught)
    blank = with_exams(blank, [(kind, [NAN] * len(blank.values)) for kind in KINDS.values()])
    found = figures(blank) | compute(REFERENCED, blank, Costs(), {"joint": blank, "frozen": blank})
    assert [name for name, value in found.items() if not math.isnan(value)] == []


@settings(max_examples=60, deadline=None)
@given(drawn(scores=ABOVE_0), st.data())
def test_a_missing_cell_of_a_reference(case, data):
    """References are read in their last row alone."""
    rows, taught, *rest = case
    width, num = len(taught), len(rows) - 1
    ends = {"joint": [[0.9] * width] * (num + 1), "frozen": [[0.1] * width] * (num + 1)}
    whole = compute(REFERENCED, matrix_of(*case), Costs(), {n: plain(r, taught) for n, r in ends.items()})
    assert not any(map(math.isnan, whole.values()))
    which = data.draw(st.sampled_from(sorted(ends)))
    k, i = data.draw(st.tuples(st.integers(0, num), st.integers(0, width - 1)))
    holed = [list(row) for row in ends[which]]
    holed[k][i] = NAN
    references = {n: plain(holed if n == which else r, taught) for n, r in ends.items()}
    found = compute(REFERENCED, matrix_of(rows, taught, *rest), Costs(), references)
    for name in REFERENCED:
        if k == num and which in all_metrics()[name].references:
            assert math.isnan(found[name]), name
        else:
            assert same(found[name], whole[name]), name


@pytest.mark.parametrize("absent", ["joint", "frozen"])
def test_an_absent_reference_run_leaves_its_figures_undefined(absent):
    matrix = plain([[0.1, 0.1], [0.8, 0.1], [0.5, 0.7]])
    references = {n: plain([[0.9, 0.9]] * 3) for n in {"joint", "frozen"} - {absent}}
    found = compute(REFERENCED, matrix, Costs(), references)
    assert {n for n, v in found.items() if math.isnan(v)} == {
        n for n in REFERENCED if absent in all_metrics()[n].references
    }
