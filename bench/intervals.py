"""How often 95 % intervals hold the truth, and equal things are called different: `python bench/intervals.py`.

Simulated runs with a known truth: items are right with a chance of their own, the items of a group share it (beta law,
correlation 0.1 or 0.2 within groups), and new items and groups are drawn for every simulated run. So what is estimated
is what other items, or other groups of them, would show. Where answers are right and wrong and independent, chances are
summed exactly. Intervals come from the same functions as those of reports, by way of an exam's items.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from clbench.core.graded import GradedItems, graded_items
from clbench.core.item_scores import ExamScores, ItemScores
from clbench.core.matrix import Column, Matrix
from clbench.core.scorers import rule_of
from clbench.core.types import ScorerSpec
from clbench.metrics import all_metrics
from clbench.report.runs.bootstrap import figure_samples, matrix_samples
from clbench.stats.bootstrap import difference_of, interval
from clbench.stats.drift import false_alarm_rate, limit_for
from clbench.stats.gate import judge_exams
from clbench.stats.paired import drop_p, paired_difference, paired_permutation
from clbench.stats.single import score_interval

AP, BWT, FM = "average_performance", "bwt", "forgetting"
SHARES = (0.02, 0.1, 0.5, 0.9, 0.98)
WANTED = (0.93, 0.97)
CAREFUL = (0.93, 1.0)  # so few items or groups that nothing lies between too little and more than enough
CALLED = (0.0, 0.05)
ZIPF = 0  # in place of a size: groups of unequal size
ASKED = itertools.count()  # no two rows are the very same answers


class Parts(NamedTuple):
    """Groups of an exam: how many, items of each (ZIPF: most of one or two, a few of dozens), correlation within."""

    groups: int
    size: int
    alike: float = 0.1

    def drawn(self, rng) -> np.ndarray:
        """Give how many items each group has."""
        return np.minimum(rng.zipf(1.5, self.groups), 60) if self.size == ZIPF else np.full(self.groups, self.size)


def chances(rng, each: np.ndarray, share: float, alike: float) -> np.ndarray:
    """Draw the chance of every item, shape (items,): the same within a group, with this correlation."""
    if each.max() == 1 or share == 0:
        return np.full(each.sum(), share)
    weight = (1 - alike) / alike
    return np.repeat(rng.beta(share * weight, (1 - share) * weight, size=len(each)), each)


def names(each: np.ndarray) -> tuple[str, ...]:
    """Give the group of every item; none where each stands for itself."""
    return tuple(map(str, np.repeat(np.arange(len(each)), each))) if each.max() > 1 else ()


# --- one exam -------------------------------------------------------------------------------------------------------


def exact(items: int) -> tuple[float, float]:
    """Give (lowest, mean) coverage of one score of independent right and wrong answers over shares .02 to .98."""
    hits = np.arange(items + 1)
    ends = np.array([score_interval([1.0] * h + [0.0] * (items - h))[1:] for h in hits])
    shares = np.linspace(0.02, 0.98, 193)
    inside = (ends[:, :1] <= shares + 1e-12) & (shares - 1e-12 <= ends[:, 1:])
    covered = (binom.pmf(hits[:, None], items, shares) * inside).sum(axis=0)
    return float(covered.min()), float(covered.mean())


def one_score(rng, runs: int, parts: Parts) -> tuple[float, float]:
    """Give (lowest, mean) coverage of one score over SHARES, with groups."""
    found = []
    for share in SHARES:
        hits = 0
        for _ in range(runs):
            each = parts.drawn(rng)
            scores = (rng.random(each.sum()) < chances(rng, each, share, parts.alike)).astype(float)
            _, low, high = score_interval(scores, groups=names(each))
            hits += low - 1e-12 <= share <= high + 1e-12
        found.append(hits / runs)
    return min(found), float(np.mean(found))


def pairs(rng, runs: int, parts: Parts, lost: float, gained: float) -> tuple[float, float]:
    """Give the coverage of a paired difference, and how often the gate's test calls a fall at 5 %."""
    hits = called = 0
    for _ in range(runs):
        each = parts.drawn(rng)
        fall, rise = chances(rng, each, lost, parts.alike), chances(rng, each, gained, parts.alike)
        draw = rng.random(each.sum())
        change = np.where(draw < fall, -1.0, np.where(draw > 1 - rise, 1.0, 0.0))
        one, two = (change < 0).astype(float), (change > 0).astype(float)
        found = paired_difference(one, two, groups=names(each) or None)
        hits += found.low <= gained - lost <= found.high
        called += drop_p(one, two, groups=names(each) or None) <= 0.05
    return hits / runs, called / runs


def entities(rng, items: int, skill: float) -> GradedItems:
    """Draw an exam of entity F1: long answers count more than short ones, so that it is not the mean of its items."""
    gold = 1 + rng.poisson(3, size=items)
    said = np.maximum(gold + rng.integers(-1, 2, size=items), 0)
    right = rng.binomial(np.minimum(gold, said), np.clip(skill + 0.03 * (gold - 4), 0, 1))
    scores = 2 * right / np.maximum(gold + said, 1)
    parts = tuple((float(r), float(s), float(g)) for r, s, g in zip(right, said, gold, strict=True))
    return graded_items(scores, parts, rule_of("entity_f1"))


def own_rule(rng, runs: int, items: int) -> tuple[float, float, float]:
    """Give the coverage of an F1, of the difference of two equal ones, and how often they are called different."""
    true = entities(rng, 200_000, 0.7).value
    score = change = called = 0
    for _ in range(runs):
        one, two = entities(rng, items, 0.7), entities(rng, items, 0.7)
        _, low, high = score_interval(one)
        score += low <= true <= high
        found = paired_difference(one, two)
        change += found.low <= 0 <= found.high
        called += paired_permutation(one, two) <= 0.05
    return score / runs, change / runs, called / runs


# --- figures --------------------------------------------------------------------------------------------------------


def record(tasks: list[np.ndarray], groups: list[tuple[str, ...]], tag: str) -> tuple[Matrix, ItemScores]:
    """Make a run's matrix and item records from the scores of its tasks, shape (rows, items) each, and their groups."""
    rows = len(tasks[0])
    columns = tuple(Column(name=f"t{i}", taught=min(i + 1, rows - 1)) for i in range(len(tasks)))
    counts = np.array([[t.shape[1] for t in tasks]] * rows)
    matrix = Matrix(np.stack([t.mean(axis=1) for t in tasks], axis=1), counts, np.zeros_like(counts), columns)
    sheets = tuple(
        ExamScores.model_construct(
            exam=f"t{i}",
            digest=f"{tag} {i}",
            scorer=ScorerSpec(name="exact"),
            ids=tuple(map(str, range(t.shape[1]))),
            groups=groups[i],
            rows={k: graded_items(row).model_copy(update={"answers_key": str(next(ASKED))}) for k, row in enumerate(t)},
        )
        for i, t in enumerate(tasks)
    )
    return matrix, ItemScores.model_construct(exams=sheets)


def average(rng, runs: int, exams: int, parts: Parts, share: float) -> tuple[float, float]:
    """Give the coverage of AP over exams, and how often two equal runs' AP are called different at 5 %."""
    hits = called = 0
    for run in range(runs):
        each = [parts.drawn(rng) for _ in range(exams)]
        chance = [chances(rng, num, share, parts.alike) for num in each]
        first = [(rng.random(len(c)) < c).astype(float) for c in chance]
        again = [
            np.where(rng.random(len(c)) < 0.4, rng.random(len(c)) < c, f) for c, f in zip(chance, first, strict=True)
        ]
        found = []
        for last in (first, again):
            matrix, sheets = record([np.stack([0 * x, x]) for x in last], [names(num) for num in each], f"{run}")
            drawn = figure_samples(matrix, matrix_samples(matrix, sheets), [AP])
            found.append(([all_metrics()[AP].compute(matrix)], [drawn[AP]]))
        low, high = interval(*found[0], (0.0, 1.0))
        hits += low - 1e-12 <= share <= high + 1e-12
        called += difference_of(*found[0], *found[1])[1] <= 0.05
    return hits / runs, called / runs


def sigmoid(x):
    """Give 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def levels(fall: float, tasks: int) -> np.ndarray:
    """Give the level of every row (0..T) on every task: up at its own lesson, then falling by `fall` a lesson."""
    found = np.full((tasks + 1, tasks), -2.0)
    for task in range(tasks):
        for row in range(task + 1, tasks + 1):
            found[row, task] = 1.5 - fall * (row - task - 1)
    return found


def truth_of(level: np.ndarray) -> np.ndarray:
    """Give the true R: the mean over all items there could be."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    return (sigmoid(level[..., None] - nodes) * weights).sum(-1) / weights.sum()


def figures(rng, runs: int, fall: float, groups: int, size: int, tasks: int = 5) -> dict[str, float]:
    """Give the coverage of AP, BWT and FM of one run; items of a group share half the variance of their difficulty."""
    level, plugins = levels(fall, tasks), {n: all_metrics()[n] for n in (AP, BWT, FM)}
    true = {n: p.compute(Matrix.of(truth_of(level).tolist())) for n, p in plugins.items()}
    hits = dict.fromkeys(plugins, 0)
    for run in range(runs):
        scores = []
        for task in range(tasks):
            shared = np.repeat(rng.standard_normal(groups), size)
            own = rng.standard_normal(groups * size)
            difficulty = shared if size == 1 else (shared + own) / np.sqrt(2)
            chance = sigmoid(level[:, task, None] - difficulty)
            scores.append((rng.random(chance.shape) < chance).astype(float))
        matrix, sheets = record(scores, [names(np.full(groups, size))] * tasks, f"figures {run}")
        drawn = figure_samples(matrix, matrix_samples(matrix, sheets), list(plugins))
        for name, plugin in plugins.items():
            low, high = interval([plugin.compute(matrix)], [drawn[name]], (plugin.low, plugin.high))
            hits[name] += low <= true[name] <= high
    return {n: h / runs for n, h in hits.items()}


def seeds(rng, runs: int, num: int = 3, deviation: float = 0.4, tasks: int = 5, items: int = 100) -> float:
    """Give the coverage of AP over three seeds whose levels differ at random; the items are those of all seeds."""
    level = levels(0.5, tasks)[-1]
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    true = float(np.dot([truth_of(level + deviation * n).mean() for n in nodes], weights) / weights.sum())
    hits = 0
    for run in range(runs):
        difficulty = rng.standard_normal((tasks, items))
        values, draws = [], []
        for _ in range(num):
            chance = sigmoid((level + deviation * rng.standard_normal())[:, None] - difficulty)
            last = (rng.random(chance.shape) < chance).astype(float)
            matrix, sheets = record([np.stack([0 * x, x]) for x in last], [()] * tasks, f"seeds {run}")
            values.append(float(last.mean()))
            draws.append(figure_samples(matrix, matrix_samples(matrix, sheets), [AP])[AP])
        low, high = interval(values, draws, (0.0, 1.0))
        hits += low <= true <= high
    return hits / runs


def orders(rng, runs: int, of_orders: float, of_seeds: float, num_orders: int = 3, num_seeds: int = 5) -> float:
    """Give the coverage of a mean over orders and seeds, which make these shares of the variance between runs."""
    blocks = [(order, seed) for order in range(num_orders) for seed in range(num_seeds)]
    size = np.sqrt([of_orders, of_seeds, 1 - of_orders - of_seeds])
    hits = 0
    for _ in range(runs):
        levels_of = [rng.standard_normal(shape) for shape in ((num_orders, 1), num_seeds, (num_orders, num_seeds))]
        values = sum(part * own for part, own in zip(size, levels_of, strict=True))
        low, high = interval(values.ravel().tolist(), [], blocks=blocks)
        hits += low <= 0 <= high
    return hits / runs


# --- gate and watch -------------------------------------------------------------------------------------------------


def gate(rng, runs: int, drop: float, items: int = 400, noise: float = 0.2, exams: int = 1) -> float:
    """Give how often the gate sees a regression at a margin of 2 points: `noise` of the items flip either way."""
    rings = 0
    for _ in range(runs):
        found = []
        for exam in range(exams):
            old = (rng.random(items) < 0.7).astype(float)
            flip = rng.random(items) < noise
            new = np.where(flip, rng.random(items) < 0.7, old).astype(float)
            if exam == 0 and drop:
                new = np.where((new == 1) & (rng.random(items) < drop / 0.7), 0.0, new)
            found.append((f"exam {exam}", old, new, None))
        rings += any(v.regressed for v in judge_exams(found, margin=0.02))
    return rings / runs


def exact_alarms(items: int = 400, margin: float = 0.02) -> float:
    """Give the gate's false-alarm rate on one exam of right and wrong answers, the largest over shares of flips."""
    worst = 0.0
    for share in np.arange(0.02, 0.41, 0.02):
        total = 0.0
        for flips in range(int(binom.ppf(1e-10, items, share)), int(binom.ppf(1 - 1e-10, items, share)) + 1):
            gained = np.arange(flips + 1)
            p = binom.cdf(gained - 1, flips, 0.5) + 0.5 * binom.pmf(gained, flips, 0.5)
            rings = (p <= 0.05) & ((flips - 2 * gained) / items >= margin - 1e-12)
            total += binom.pmf(flips, items, share) * binom.pmf(gained, flips, 0.5)[rings].sum()
        worst = max(worst, float(total))
    return worst


# --- the table ------------------------------------------------------------------------------------------------------


Line = tuple[str, float, tuple[float, float]]


def exam_rows(rng, runs: int) -> Iterator[Line]:
    """Yield the rows of single exams."""
    for items in (10, 30, 100, 400):
        low, mean = exact(items)
        wanted = CAREFUL if items < 100 else WANTED
        yield f"one score, {items} items: lowest over shares of 2 to 98 %, summed exactly", low, (0.925, 1.0)
        yield f"one score, {items} items: mean over shares", mean, wanted
    for groups, size in ((3, 30), (5, 8), (10, 30), (30, 4), (100, 4)):
        low, mean = one_score(rng, runs, Parts(groups, size))
        yield f"one score, {groups} groups of {size}: lowest of shares 2, 10, 50, 90, 98 %", low, (0.92, 1.0)
        yield f"one score, {groups} groups of {size}: mean over shares", mean, CAREFUL if groups < 100 else WANTED
    for groups, size in ((10, 1), (30, 1), (100, 1), (400, 1), (3, 30), (5, 8), (10, 30), (30, 4), (100, 4)):
        what = f"{groups} groups of {size}" if size > 1 else f"{groups} items"
        few = CAREFUL if groups < 100 else WANTED
        covered, called = pairs(rng, runs, Parts(groups, size), 0.15, 0.15)
        yield f"paired difference, {what}, 15 % lost and 15 % gained", covered, few
        yield "the same, called a fall by the gate's test at 5 %", called, (0.0, 0.06)
        yield f"paired difference, {what}, 10 % lost only", pairs(rng, runs, Parts(groups, size), 0.1, 0.0)[0], few
    for items in (30, 100, 400):
        score, change, called = own_rule(rng, runs, items)
        yield f"entity F1 of {items} items", score, WANTED
        yield f"difference of two equal entity F1, {items} items", change, WANTED
        yield "the same, called different by swapping at 5 %", called, (0.0, 0.07)


def figure_rows(rng, runs: int) -> Iterator[Line]:
    """Yield the rows of figures."""
    for exams, groups, size in ((1, 10, 1), (4, 10, 1), (20, 10, 1), (4, 100, 1), (4, 3, 16), (20, 3, 16), (4, 10, 4)):
        what = f"{groups} groups of {size}" if size > 1 else f"{groups} items"
        for share in (0.5, 0.98):
            covered, called = average(rng, runs, exams, Parts(groups, size, 0.2), share)
            bounds = CAREFUL if share > 0.9 or size > 1 or exams == 1 else WANTED
            yield f"AP over {exams} exams of {what}, {100 * share:.0f} % right", covered, bounds
            yield "the same, equal runs called different at 5 %", called, (0.0, 0.07)
    for fall, how in ((0.6, "each task falls"), (0.0, "nothing falls: all rows tie")):
        for groups, size in ((10, 1), (100, 1), (3, 16), (10, 4)):
            what = f"{groups} groups of {size}" if size > 1 else f"{groups} items"
            for name, covered in figures(rng, runs, fall, groups, size).items():
                yield f"{all_metrics()[name].symbol}, 5 tasks of {what}, {how}", covered, (0.92, 1.0)
    yield "AP over 3 seeds, 5 exams of 100 items", seeds(rng, 3 * runs), WANTED


def uneven_rows(rng, runs: int) -> Iterator[Line]:
    """Yield the rows of groups of unequal size."""
    what = "30 groups of Zipf's sizes"
    for alike in (0.2, 0.6):
        parts = Parts(30, ZIPF, alike)
        low, mean = one_score(rng, runs, parts)
        yield f"one score, {what}, correlation {alike}: lowest of shares 2, 10, 50, 90, 98 %", low, (0.92, 1.0)
        yield "the same: mean over shares", mean, CAREFUL
        covered, called = pairs(rng, runs, parts, 0.15, 0.15)
        yield f"paired difference, {what}, correlation {alike}, 15 % lost and 15 % gained", covered, CAREFUL
        yield "the same, called a fall by the gate's test at 5 %", called, (0.0, 0.06)
        for exams in (4, 20):
            covered, called = average(rng, max(runs // 3, 20), exams, parts, 0.5)
            yield f"AP over {exams} exams of {what}, correlation {alike}, 50 % right", covered, CAREFUL
            yield "the same, equal runs called different at 5 %", called, (0.0, 0.07)


def order_rows(rng, runs: int) -> Iterator[Line]:
    """Yield the rows of means over orders and seeds."""
    for of_orders, of_seeds in ((0, 0), (0.3, 0), (0.6, 0), (0.9, 0), (0, 0.3), (0, 0.9), (0.3, 0.3), (0.45, 0.45)):
        yield (
            f"mean over 3 orders and 5 seeds, which make {100 * of_orders:.0f} and {100 * of_seeds:.0f} % of variance",
            orders(rng, 4 * runs, of_orders, of_seeds),
            (0.93, 0.99),
        )


def gate_rows(rng, runs: int) -> Iterator[Line]:
    """Yield the rows of the gate and the watch."""
    yield "gate: false alarms, one exam of 400, summed exactly, worst case", exact_alarms(), CALLED
    yield "gate: false alarms, eight exams of 400", gate(rng, runs, 0.0, exams=8), CALLED
    yield "gate: finds a drop of 5 points, 400 items", gate(rng, runs, 0.05), (0.8, 1.0)
    yield (
        "drift: false alarms in 37 rounds (about 0.1)",
        false_alarm_rate(limit_for(370), 37, draws=4 * runs),
        (0.05, 0.12),
    )


def rows(runs: int, seed: int) -> Iterator[Line]:
    """Yield (what, measured, wanted)."""
    rng = np.random.default_rng(seed)
    yield from exam_rows(rng, runs)
    yield from figure_rows(rng, max(runs // 3, 20))
    yield from gate_rows(rng, runs)
    yield from uneven_rows(np.random.default_rng(seed + 1), runs)
    yield from order_rows(np.random.default_rng(seed + 2), runs)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="Simulated runs of each kind; a third for figures.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="Exit 1 where a figure is out of its bounds.")
    given = parser.parse_args()
    began, out = time.monotonic(), 0
    print("| what | measured | wanted |\n|---|---:|---:|")
    for what, measured, (least, most) in rows(given.runs, given.seed):
        bad = not least <= measured <= most
        out += bad
        print(f"| {what} | {100 * measured:.1f} % | {100 * least:g} to {100 * most:g} %{' !' if bad else ''} |")
        sys.stdout.flush()
    took, chip = time.monotonic() - began, platform.processor() or platform.machine()
    few = max(given.runs // 3, 20)
    print(f"\n{given.runs} simulated exams of each kind, {few} simulated runs; {took:.0f} s on one core ({chip}).")
    return int(given.check and out > 0)


if __name__ == "__main__":
    sys.exit(main())
