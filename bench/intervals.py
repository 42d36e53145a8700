"""How often 95 % intervals hold the truth, and how often the gate rings: `python bench/intervals.py`.

Simulated runs with a known true R: every item has a difficulty of its own, every row a level for each task, an answer
is right with probability sigmoid(level - difficulty), and a new set of items is drawn for every simulated run. So what
is estimated is what other items of the same kind would show.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from scipy.stats import binom

from clbench.core.matrix import Matrix
from clbench.metrics.average import average_performance
from clbench.metrics.forgetting import bwt, forgetting
from clbench.stats.bootstrap import interval, item_weights, row_draws
from clbench.stats.drift import false_alarm_rate, limit_for
from clbench.stats.gate import judged
from clbench.stats.paired import paired_difference

TASKS, ITEMS = 5, 100
FIGURES = {"AP": average_performance, "BWT": bwt, "FM": forgetting}


def sigmoid(x):
    """Give 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def levels(fall: float) -> np.ndarray:
    """Give the level of every row (0..5) on every task: up at its own lesson, then falling by `fall` a lesson."""
    found = np.full((TASKS + 1, TASKS), -2.0)
    for task in range(TASKS):
        for row in range(task + 1, TASKS + 1):
            found[row, task] = 1.5 - fall * (row - task - 1)
    return found


def truth_of(level: np.ndarray, spread: float) -> np.ndarray:
    """Give the true R: the mean over all items there could be."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    return (sigmoid(level[..., None] - spread * nodes) * weights).sum(-1) / weights.sum()


def one_run(level, spread, rng):
    """Draw the scores of every task: (rows, items) each."""
    tasks = []
    for task in range(TASKS):
        difficulty = spread * rng.standard_normal(ITEMS)
        chance = sigmoid(level[:, task, None] - difficulty)
        tasks.append((rng.random(chance.shape) < chance).astype(float))
    return tasks


def figures(fall: float, runs: int, rng, draws: int = 200, spread: float = 1.0) -> dict[str, float]:
    """Give the coverage of AP, BWT and FM of one run."""
    level = levels(fall)
    true = {n: f(Matrix.of(truth_of(level, spread).tolist())) for n, f in FIGURES.items()}
    hits = dict.fromkeys(FIGURES, 0)
    for run in range(runs):
        tasks = one_run(level, spread, rng)
        values = np.stack([t.mean(axis=1) for t in tasks], axis=1)
        drawn = np.stack([row_draws(t, item_weights(f"{run} {i}", ITEMS, draws)) for i, t in enumerate(tasks)], axis=2)
        for name, figure in FIGURES.items():
            samples = np.array([figure(Matrix.of(d.tolist())) for d in drawn])
            low, high = interval([figure(Matrix.of(values.tolist()))], [samples])
            hits[name] += low <= true[name] <= high
    return {n: h / runs for n, h in hits.items()}


def seeds(runs: int, rng, num: int = 3, deviation: float = 0.4, draws: int = 100) -> float:
    """Give the coverage of AP over three seeds whose levels differ at random; the items are those of all seeds."""
    level = levels(0.5)
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    shifted = [average_performance(Matrix.of(truth_of(level + deviation * n, 1.0).tolist())) for n in nodes]
    true = float(np.dot(shifted, weights) / weights.sum())
    hits = 0
    for run in range(runs):
        difficulty = rng.standard_normal((TASKS, ITEMS))
        chances = [sigmoid((level[-1] + deviation * rng.standard_normal())[:, None] - difficulty) for _ in range(num)]
        scores = np.array([rng.random(c.shape) < c for c in chances], dtype=float)  # seeds, tasks, items
        weights = [item_weights(f"s{run} {task}", ITEMS, draws) for task in range(TASKS)]
        drawn = np.stack([row_draws(scores[:, task], w) for task, w in enumerate(weights)])  # tasks, draws, seeds
        low, high = interval(scores.mean(axis=(1, 2)).tolist(), list(drawn.mean(axis=0).T))
        hits += low <= true <= high
    return hits / runs


def pairs(items: int, change: float, runs: int, rng, cluster: int = 1, grain: int = 1) -> float:
    """Give the coverage of the paired difference of two models; items in clusters share their difficulty."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    both = [sigmoid(0.8 + c - 1.5 * nodes) for c in (0.0, change)]
    true = float(((both[1] - both[0]) * weights).sum() / weights.sum())
    groups = [i // cluster for i in range(items)] if cluster > 1 else None
    hits = 0
    for _ in range(runs):
        difficulty = np.repeat(1.5 * rng.standard_normal(items // cluster), cluster)
        one, two = (rng.binomial(grain, sigmoid(0.8 + c - difficulty)) / grain for c in (0.0, change))
        found = paired_difference(one, two, groups=groups)
        hits += found.low <= true <= found.high
    return hits / runs


def losses(items: int, share: float, runs: int, rng) -> float:
    """Give the coverage of the paired difference where items are only lost, `share` of them."""
    hits = 0
    for _ in range(runs):
        found = paired_difference(np.ones(items), (rng.random(items) >= share).astype(float))
        hits += found.low <= -share <= found.high
    return hits / runs


def graded(items: int, runs: int, rng, mean: float = -0.4, deviation: float = 0.05) -> float:
    """Give the coverage of the paired difference of graded scores where every item differs."""
    hits = 0
    for _ in range(runs):
        found = paired_difference(np.full(items, 0.7), 0.7 + mean + deviation * rng.standard_normal(items))
        hits += found.low <= mean <= found.high
    return hits / runs


def gate(drop: float, runs: int, rng, items: int = 400, noise: float = 0.2, exams: int = 1) -> float:
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
        rings += any(v.regressed for v in judged(found, margin=0.02))
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


def rows(runs: int, seed: int) -> Iterator[tuple[str, float, float, float]]:
    """Yield (what, measured, least, most)."""
    rng = np.random.default_rng(seed)
    for fall, what in ((0.6, "each task falls"), (0.0, "nothing falls: all rows tie")):
        for name, covered in figures(fall, max(runs // 4, 50), rng).items():
            yield f"{name}, {what}", covered, 0.93, 0.97
    yield "AP over 3 seeds", seeds(runs, rng), 0.93, 0.97
    for items in (30, 100, 400):
        for change in (0.0, -0.5):
            yield f"paired difference, {items} items, shift {change}", pairs(items, change, runs, rng), 0.93, 0.97
    yield "paired difference, 100 graded items", pairs(100, -0.5, runs, rng, grain=5), 0.93, 0.97
    yield "paired difference, 30 clusters of 4", pairs(120, -0.5, runs, rng, cluster=4), 0.93, 0.97
    yield "paired difference, 8 clusters of 10", pairs(80, -0.5, runs, rng, cluster=10), 0.93, 0.97
    yield "paired difference, 400 items, 3 % lost", losses(400, 0.03, runs, rng), 0.93, 0.97
    for items in (30, 400):
        yield f"paired difference, {items} graded items that all differ", graded(items, runs, rng), 0.93, 0.97
    yield "gate: false alarms, one exam of 400, summed exactly, worst case", exact_alarms(), 0.0, 0.05
    yield "gate: false alarms, eight exams of 400", gate(0.0, runs, rng, exams=8), 0.0, 0.05
    yield "gate: finds a drop of 5 points, 400 items", gate(0.05, runs, rng), 0.8, 1.0
    limit = limit_for(370)
    yield "drift: false alarms in 37 rounds (about 0.1)", false_alarm_rate(limit, 37, draws=4 * runs), 0.05, 0.12


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="Simulated runs of each kind.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="Exit 1 where a figure is out of its bounds.")
    given = parser.parse_args()
    print("| what | measured | wanted |\n|---|---:|---:|")
    out = 0
    for what, measured, least, most in rows(given.runs, given.seed):
        bad = not least <= measured <= most
        out += bad
        print(f"| {what} | {100 * measured:.1f} % | {100 * least:.0f} to {100 * most:.0f} %{' !' if bad else ''} |")
        sys.stdout.flush()
    return int(given.check and out > 0)


if __name__ == "__main__":
    sys.exit(main())
