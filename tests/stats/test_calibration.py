"""A judge against people: exact where everything is labelled, unbiased and covering where a plan chose the sample."""

import math

import numpy as np
import pytest

from clbench.stats.calibration import Stratum, calibrate, over_contexts, rogan_gladen


def test_everything_labelled_is_certain_and_exact():
    """Of 100 met the judge sees 90, of 300 not met it takes 30 for met."""
    found = calibrate([Stratum(True, 120, 120, 90), Stratum(False, 280, 280, 10)])
    assert found.sensitivity == (pytest.approx(0.9),) * 3
    assert found.specificity == (pytest.approx(0.9),) * 3
    assert found.judged == pytest.approx(0.3)
    assert found.corrected == (pytest.approx(0.25),) * 3
    assert rogan_gladen(0.3, 0.9, 0.9) == pytest.approx(0.25)


def test_the_corrected_rate_is_rogan_and_gladens_of_the_weighted_shares():
    found = calibrate([Stratum(True, 700, 40, 31), Stratum(True, 100, 20, 11), Stratum(False, 200, 30, 6)])
    again = rogan_gladen(found.judged, found.sensitivity.value, found.specificity.value)
    assert again == pytest.approx(found.corrected.value)
    assert found.corrected.low < found.corrected.value < found.corrected.high


@pytest.mark.parametrize(("rate", "sens", "spec", "each"), [(0.7, 0.95, 0.85, 60), (0.3, 0.8, 0.97, 40)])
def test_intervals_cover_when_as_many_yes_as_no_were_labelled(rate, sens, spec, each):
    rng = np.random.default_rng(4)
    inside = np.zeros(3)
    worlds = 800
    for _ in range(worlds):
        truth = rng.random(4000) < rate
        judge = np.where(truth, rng.random(4000) < sens, rng.random(4000) >= spec)
        strata = []
        for verdict in (True, False):
            there = truth[judge == verdict]
            strata.append(Stratum(verdict, len(there), each, int(rng.choice(there, each, replace=False).sum())))
        found = calibrate(strata)
        wanted = (float(truth.mean()), sens, spec)
        shares = (found.corrected, found.sensitivity, found.specificity)
        inside += [s.low <= w <= s.high for s, w in zip(shares, wanted, strict=True)]
    assert (inside / worlds >= 0.925).all(), inside / worlds
    assert inside[0] / worlds <= 0.985


def test_a_judge_that_tosses_coins_is_told():
    found = calibrate([Stratum(True, 500, 50, 25), Stratum(False, 500, 50, 25)])
    assert not found.informed
    assert math.isnan(rogan_gladen(0.5, 0.5, 0.5))


def test_one_verdict_alone_and_no_label():
    found = calibrate([Stratum(True, 100, 20, 20)])
    assert (found.sensitivity.value, found.corrected.value) == (1.0, 1.0)
    assert math.isnan(found.specificity.value)
    assert not found.informed
    with pytest.raises(ValueError, match="without a label"):
        calibrate([Stratum(True, 100, 0, 0)])


def planned(rng, contexts=60, each=36, labels=200, rate=0.7):
    """A judge (95 %, 80 %) on contexts that differ in how much is met; as many yes as no verdicts are labelled."""
    groups = np.repeat(np.arange(contexts), each)
    truth = rng.random(len(groups)) < rng.beta(6 * rate, 6 * (1 - rate), contexts)[groups]
    judge = np.where(truth, rng.random(len(groups)) < 0.95, rng.random(len(groups)) >= 0.8)
    known = np.full(len(groups), np.nan)
    for verdict in (True, False):
        chosen = rng.choice(np.flatnonzero(judge == verdict), labels // 2, replace=False)
        known[chosen] = truth[chosen]
    return judge, known, groups.tolist()


def of_arrays(judge, known):
    return [
        Stratum(
            v, int((judge == v).sum()), int((~np.isnan(known[judge == v])).sum()), int(np.nansum(known[judge == v]))
        )
        for v in (False, True)
    ]


def test_intervals_cover_the_rate_of_other_contexts():
    """Variances of these answers alone would cover 8 of 10 times only."""
    rng = np.random.default_rng(3)
    wanted, worlds = (0.7, 0.95, 0.8), 400
    inside, alone = np.zeros(3), 0
    for _ in range(worlds):
        judge, known, groups = planned(rng)
        strata = of_arrays(judge, known)
        found = calibrate(strata, over_contexts(judge.astype(np.intp), judge, known, groups))
        shares = (found.corrected, found.sensitivity, found.specificity)
        inside += [s.low <= w <= s.high for s, w in zip(shares, wanted, strict=True)]
        alone += (only := calibrate(strata).corrected).low <= 0.7 <= only.high
    assert (inside / worlds >= 0.925).all(), inside / worlds
    assert inside[0] / worlds <= 0.985
    assert alone / worlds < 0.9


def test_everything_labelled_and_no_context_shared_is_the_variance_of_a_mean():
    truth = np.array([1.0, 1, 0, 1, 0, 0, 1, 1])
    judge = np.array([1, 1, 0, 0, 1, 0, 1, 1], dtype=bool)
    found = over_contexts(judge.astype(np.intp), judge, truth, range(8))
    assert found.rate == pytest.approx(truth.var(ddof=1) / 8)
    assert found.freedom == 7
    assert over_contexts(judge.astype(np.intp), judge, truth, [0] * 8).rate == 0


def test_intervals_of_a_judge_that_errs_by_context_cover():
    """Sensitivity is 0.5 or 1 in a context, 0.75 in the mean: labels of one context err together."""
    rng = np.random.default_rng(8)
    inside = alone = 0
    for _ in range(300):
        groups = np.repeat(np.arange(40), 30)
        truth = rng.random(1200) < 0.6
        judge = np.where(truth, rng.random(1200) < rng.choice([0.5, 1.0], 40)[groups], rng.random(1200) < 0.1)
        known = np.where(rng.random(1200) < 0.5, truth, np.nan)
        strata = of_arrays(judge, known)
        found = calibrate(strata, over_contexts(judge.astype(np.intp), judge, known, groups.tolist())).sensitivity
        inside += found.low <= 0.75 <= found.high
        only = calibrate(strata).sensitivity
        alone += only.low <= 0.75 <= only.high
    assert 0.92 <= inside / 300 <= 0.99
    assert alone / 300 < 0.7
