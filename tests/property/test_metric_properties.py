"""Figures against loops written from the equations alone, and what must hold for any matrix."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clbench.core.matrix import Column, Matrix
from clbench.core.types import Meters
from clbench.metrics import all_metrics, compute

NAN = math.nan
OWN = [name for name, plugin in all_metrics().items() if plugin.needs == "matrix"]
REFERENCED = [name for name, plugin in all_metrics().items() if plugin.needs == "reference"]


def avg(values):
    values = list(values)
    return sum(values) / len(values) if values else NAN


# --- the equations, on plain lists: r[k][i], taught[i] in 1..t, chance[i], n[k][i] -----------------------------------


def past(r, taught):
    return [i for i, s in enumerate(taught) if s < len(r) - 1]


def highest(values):
    known = [v for v in values if not math.isnan(v)]
    return max(known) if known else NAN


def ap_at(r, taught, k):
    return avg(r[k][i] for i, s in enumerate(taught) if s <= k)


def later(r, taught):
    return [(k, i) for i in past(r, taught) for k in range(taught[i] + 1, len(r))]


def best_known(r, taught, i):
    return highest(r[k][i] for k in range(taught[i], len(r) - 1))


def rate(r, taught, i):
    best = best_known(r, taught, i)
    return 100 * (best - r[-1][i]) / best if best else NAN


def worst(r, taught):
    kept = [r[-1][i] / r[taught[i]][i] if r[taught[i]][i] else NAN for i in past(r, taught)]
    return NAN if not kept or any(map(math.isnan, kept)) else min(kept)


def deviation(values):
    return NAN if any(map(math.isnan, values)) else statistics.pstdev(values)


def pooled(r, taught, n):
    total = sum(n[-1])
    return sum(r[-1][i] * n[-1][i] for i in range(len(taught))) / total if total else NAN


AGAIN = {
    "average_performance": lambda r, s, c, n: avg(r[-1]),
    "average_performance_pooled": lambda r, s, c, n: pooled(r, s, n),
    "average_performance_centred": lambda r, s, c, n: avg(
        (r[-1][i] - c[i]) / (1 - c[i]) for i in range(len(s)) if c[i] < 1
    ),
    "average_incremental": lambda r, s, c, n: avg(ap_at(r, s, k) for k in range(1, len(r))),
    "area_under_learning_curve": lambda r, s, c, n: avg(ap_at(r, s, k) for k in range(1, len(r))),
    "average_all_cells": lambda r, s, c, n: avg(r[k][i] for i in range(len(s)) for k in range(s[i], len(r))),
    "learning_accuracy": lambda r, s, c, n: avg(r[s[i]][i] for i in range(len(s))),
    "bwt": lambda r, s, c, n: avg(r[-1][i] - r[s[i]][i] for i in past(r, s)),
    "bwt_all_pairs": lambda r, s, c, n: avg(r[k][i] - r[s[i]][i] for k, i in later(r, s)),
    "forgetting": lambda r, s, c, n: avg(best_known(r, s, i) - r[-1][i] for i in past(r, s)),
    "forgetting_first_last": lambda r, s, c, n: avg(r[s[i]][i] - r[-1][i] for i in past(r, s)),
    "forgetting_max_any": lambda r, s, c, n: avg(highest(row[i] for row in r) - r[-1][i] for i in past(r, s)),
    "forgetting_rate": lambda r, s, c, n: avg(rate(r, s, i) for i in past(r, s)),
    "worst_retention": lambda r, s, c, n: worst(r, s),
    "fluctuation": lambda r, s, c, n: avg(deviation([row[i] for row in r[s[i] :]]) for i in past(r, s)),
    "fwt": lambda r, s, c, n: avg(r[s[i] - 1][i] - r[0][i] for i in range(len(s)) if s[i] > 1),
    "fwt_random": lambda r, s, c, n: avg(r[s[i] - 1][i] - c[i] for i in range(len(s)) if s[i] > 1),
}
KINDS = {"general_ability_delta": "general", "instruction_delta": "instruction", "long_context_delta": "long_context"}
AGAINST = {
    "intransigence": lambda r, s, joint, frozen: avg(joint[-1][i] - r[s[i]][i] for i in range(len(s))),
    "gap_to_joint": lambda r, s, joint, frozen: avg(joint[-1]) - avg(r[-1]),
    "gain_over_frozen": lambda r, s, joint, frozen: avg(r[-1]) - avg(frozen[-1]),
    "normalised_ap": lambda r, s, joint, frozen: (
        (avg(r[-1]) - avg(frozen[-1])) / (avg(joint[-1]) - avg(frozen[-1]))
        if avg(joint[-1]) != avg(frozen[-1])
        else NAN
    ),
}


def test_every_figure_of_the_matrix_has_its_loop():
    assert set(OWN) == set(AGAIN) | set(KINDS)
    assert set(REFERENCED) == set(AGAINST)


# --- matrices -------------------------------------------------------------------------------------------------------

SCORES = st.integers(0, 20).map(lambda v: v / 20)


@st.composite
def drawn(draw, missing=False, most=6):
    """Give (rows, taught, chance, counts): T lessons, one or more tasks each."""
    num = draw(st.integers(1, most))
    taught = sorted([*range(1, num + 1), *draw(st.lists(st.integers(1, num), max_size=3))])
    hole = st.one_of(SCORES, st.just(NAN)) if missing else SCORES
    rows = [[draw(hole) for _ in taught] for _ in range(num + 1)]
    chance = [draw(st.sampled_from([0.0, 0.25, 0.5])) for _ in taught]
    counts = [[draw(st.integers(1, 50)) for _ in taught] for _ in rows]
    return rows, taught, chance, counts


def matrix_of(rows, taught, chance, counts, order=None):
    order = list(range(len(taught))) if order is None else order
    columns = tuple(Column(name=f"t{i}", taught=taught[i], chance=chance[i]) for i in order)
    values = np.array([[row[i] for i in order] for row in rows], dtype=float)
    n = np.where(np.isnan(values), 0, np.array([[row[i] for i in order] for row in counts]))
    return Matrix(values, n.astype(np.int64), np.zeros(values.shape, dtype=np.int64), columns)


def same(one, two):
    return (math.isnan(one) and math.isnan(two)) or one == pytest.approx(two, abs=1e-12)


def figures(matrix):
    return compute(OWN, matrix, Meters(), {})


@settings(max_examples=150, deadline=None)
@given(drawn(missing=True))
def test_figures_equal_their_equations_holes_included(case):
    rows, taught, chance, _counts = case
    matrix = matrix_of(*case)
    found = figures(matrix)
    for name, again in AGAIN.items():
        expected = again(rows, taught, chance, matrix.n.tolist())
        assert same(found[name], expected), (name, found[name], expected, rows, taught)


@settings(max_examples=60, deadline=None)
@given(drawn(), st.integers(0, 10**6))
def test_figures_against_references_equal_their_equations(case, seed):
    rows, taught, chance, counts = case
    rng = np.random.default_rng(seed)
    joint, frozen = (np.round(rng.random((len(rows), len(taught))), 2).tolist() for _ in range(2))
    references = {n: matrix_of(r, taught, chance, counts) for n, r in (("joint", joint), ("frozen", frozen))}
    found = compute(REFERENCED, matrix_of(*case), Meters(), references)
    for name, again in AGAINST.items():
        assert same(found[name], again(rows, taught, joint, frozen)), name


@settings(max_examples=60, deadline=None)
@given(drawn(), st.lists(st.tuples(st.sampled_from(sorted(KINDS.values())), SCORES, SCORES), max_size=5))
def test_ability_deltas_and_own_figures_do_not_mix(case, fixed):
    rows, *_ = case
    own = matrix_of(*case)
    columns = (*own.columns, *(Column(name=f"x{i}", kind=kind) for i, (kind, _, _) in enumerate(fixed)))
    more = np.array([[first if k == 0 else last for _, first, last in fixed] for k in range(len(rows))])
    values = np.concatenate([own.values, more.reshape(len(rows), len(fixed))], axis=1)
    counts = np.concatenate([own.n, np.ones((len(rows), len(fixed)), dtype=np.int64)], axis=1)
    found = figures(Matrix(values, counts, np.zeros_like(counts), columns))
    for name, kind in KINDS.items():
        assert same(found[name], avg(last - first for k, first, last in fixed if k == kind))
    for name in AGAIN:
        assert same(found[name], figures(own)[name]), name


@settings(max_examples=80, deadline=None)
@given(drawn(missing=True))
def test_figures_stay_within_their_bounds(case):
    for name, value in figures(matrix_of(*case)).items():
        plugin = all_metrics()[name]
        assert math.isnan(value) or plugin.low - 1e-9 <= value <= plugin.high + 1e-9, name


@settings(max_examples=60, deadline=None)
@given(drawn(), st.randoms(use_true_random=False))
def test_the_order_of_columns_changes_nothing(case, random):
    order = list(range(len(case[1])))
    random.shuffle(order)
    one, two = figures(matrix_of(*case)), figures(matrix_of(*case, order))
    assert all(same(one[name], two[name]) for name in one)


@settings(max_examples=40, deadline=None)
@given(SCORES, st.integers(2, 6))
def test_a_constant_matrix_has_learnt_and_lost_nothing(value, num):
    rows = [[value] * num for _ in range(num + 1)]
    found = figures(matrix_of(rows, list(range(1, num + 1)), [0.0] * num, [[1] * num for _ in rows]))
    for name in ("average_performance", "learning_accuracy", "average_incremental", "average_all_cells"):
        assert found[name] == pytest.approx(value)
    for name in (
        "bwt",
        "bwt_all_pairs",
        "forgetting",
        "forgetting_first_last",
        "forgetting_max_any",
        "fwt",
        "fluctuation",
    ):
        assert found[name] == pytest.approx(0.0)
    if value:
        assert found["worst_retention"] == pytest.approx(1.0)
        assert found["forgetting_rate"] == pytest.approx(0.0)
    else:
        assert math.isnan(found["worst_retention"])
        assert math.isnan(found["forgetting_rate"])


@settings(max_examples=60, deadline=None)
@given(drawn())
def test_signs_and_identities(case):
    rows, taught, _chance, _counts = case
    num = len(rows) - 1
    single = [i for i, s in enumerate(taught) if s not in taught[:i]]  # one task a lesson, as the identities have it
    falling = [[rows[k][i] for i in single] for k in range(num + 1)]
    for place in range(num):
        for k in range(place + 2, num + 1):
            falling[k][place] = min(falling[k][place], falling[k - 1][place])
    one = list(range(1, num + 1))
    found = figures(matrix_of(falling, one, [0.0] * num, [[1] * num for _ in falling]))
    if num == 1:
        for name in ("bwt", "forgetting", "fwt", "worst_retention", "forgetting_rate", "fluctuation"):
            assert math.isnan(found[name]), name
        return
    assert found["forgetting"] >= -1e-12
    assert found["bwt"] <= 1e-12
    left = found["learning_accuracy"] + (num - 1) / num * found["bwt"]
    assert found["average_performance"] == pytest.approx(left)
    assert found["average_performance"] == pytest.approx(
        found["learning_accuracy"] - (num - 1) / num * found["forgetting"]
    ), "each maximum is the diagonal where scores only fall"
    rising = [[1 - v for v in row] for row in falling]
    risen = figures(matrix_of(rising, one, [0.0] * num, [[1] * num for _ in rising]))
    assert risen["bwt"] >= -1e-12
    assert risen["forgetting"] <= 1e-12
