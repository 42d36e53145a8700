"""Kappas and alpha against published examples and against their definitions, counted pair by pair."""

import itertools
import math

import numpy as np
import pytest

from clbench.stats.agreement import cohen, fleiss_kappa, kappa_at, kappa_of, krippendorff_alpha, pabak

# Fleiss 1971's layout as in the worked example of 10 subjects, 14 raters, 5 categories: kappa 0.210.
FOURTEEN = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ],
    dtype=float,
)
# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", example C: nominal data, four observers, 0.743.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def counted(observers, categories):
    return np.array([[sum(o[u] == c for o in observers) for c in categories] for u in range(12)], dtype=float)


def test_published_values():
    assert kappa_of(np.array([[20.0, 5.0], [10.0, 15.0]])) == pytest.approx(0.4)
    assert fleiss_kappa(FOURTEEN) == pytest.approx(0.210, abs=5e-4)
    assert krippendorff_alpha(counted(OBSERVERS, range(1, 6))) == pytest.approx(0.743, abs=5e-4)


def test_nine_tenths_of_agreement_at_a_fifth_of_yes_is_a_kappa_of_069():
    assert round(kappa_at(0.9, 0.2), 2) == 0.69
    # The same from verdicts: 15 % both yes, 75 % both no, 5 % each way: both say yes 20 % of the time.
    one = np.repeat([1.0, 1, 0, 0], [15, 5, 5, 75])
    two = np.repeat([1.0, 0, 1, 0], [15, 5, 5, 75])
    found = cohen(one, two)
    assert (round(found.kappa, 2), found.agreement, found.pabak) == (0.69, pytest.approx(0.9), pytest.approx(0.8))
    assert pabak(0.9) == pytest.approx(0.8)


def test_alpha_is_one_less_the_ratio_of_disagreements_counted_pair_by_pair():
    rng = np.random.default_rng(3)
    table = [[int(v) if v < 3 else None for v in row] for row in rng.integers(0, 4, (3, 12))]
    units = [[o[u] for o in table if o[u] is not None] for u in range(12)]
    units = [u for u in units if len(u) > 1]
    observed = sum(sum(a != b for a, b in itertools.permutations(u, 2)) / (len(u) - 1) for u in units)
    everything = [v for u in units for v in u]
    expected = sum(a != b for a, b in itertools.permutations(everything, 2)) / (len(everything) - 1)
    assert krippendorff_alpha(counted(table, range(3))) == pytest.approx(1 - observed / expected)


def test_the_interval_of_kappa_covers_over_contexts():
    """Two judges flip the truth one time in ten; verdicts of a context share its rate of yes."""
    rng = np.random.default_rng(0)
    worlds = [_two_judges(rng) for _ in range(300)]
    truth = float(np.mean([cohen(*w).kappa for w in worlds]))
    covered = np.mean([(k := cohen(*w)).low <= truth <= k.high for w in worlds])
    assert 0.91 <= covered <= 0.99


def _two_judges(rng, contexts=40, each=10):
    groups = np.repeat(np.arange(contexts), each)
    truth = rng.random(contexts * each) < rng.beta(2, 2, contexts)[groups]
    one, two = ((truth ^ (rng.random(len(truth)) < 0.1)).astype(float) for _ in range(2))
    return one, two, groups.tolist()


def test_what_is_not_defined_is_nan():
    same = cohen(np.ones(5), np.ones(5))
    assert math.isnan(same.kappa)
    assert same.agreement == 1
    nothing = cohen(np.array([np.nan]), np.array([1.0]))
    assert nothing.items == 0
    assert math.isnan(fleiss_kappa(np.array([[3.0, 0.0]])))
    assert math.isnan(fleiss_kappa(np.zeros((0, 2))))
    assert math.isnan(krippendorff_alpha(np.array([[1.0, 0.0]])))
    with pytest.raises(ValueError, match="same judges"):
        fleiss_kappa(np.array([[2.0, 0.0], [1.0, 0.0]]))
