"""Whether the order of the demo's learners turns with the seed: from the recorded runs of the recipe `methods`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import RunRecord
from clbench.report.runs.orders import Method, difference, methods_of
from clbench.report.tables.table import printed
from clbench.stats.paired import holm
from docs.build.sound import learners_in

AP = "average_performance"
STREAM = "worlds-2"  # the demo's
LEARNERS = ("sft", "lora", "ewc", "replay", "combine", "joint")
SURE = 0.05


def headline(runs: Sequence[RunRecord]) -> str:
    """Return a sentence for the order of AP that most seeds have, and one for the pairs that are not told apart.

    Pairs are compared over items and seeds together, with Holm's correction over all pairs.
    """
    methods = _methods(runs)
    orders = Counter(_order(methods, seed) for seed in _seeds(methods))
    (most, times), *_ = orders.most_common(1)
    lines = [f"By AP, {times} of {sum(orders.values())} seeds have the order {' > '.join(most)}."]
    if alike := _not_told_apart(methods):
        lines.append(f"Not told apart (p ≥ 0.05 after Holm's correction over all pairs): {', '.join(alike)}.")
    else:
        lines.append("All pairs are told apart (p < 0.05 after Holm's correction over all pairs).")
    return " ".join(lines) + "\n"


def of_demo(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs on the stream of the demo."""
    return [run for run in runs if run.spec.stream == STREAM]


def _methods(runs: Sequence[RunRecord]) -> dict[str, Method]:
    named = learners_in(of_demo(runs))
    return {name: methods_of(group_runs(named[name]))[0] for name in LEARNERS if name in named}


def _seeds(methods: Mapping[str, Method]) -> list[int]:
    return sorted(set.intersection(*({run.spec.seed for run in method.runs} for method in methods.values())))


def _order(methods: Mapping[str, Method], seed: int) -> tuple[str, ...]:
    scores = {
        name: next(run.scores[AP] for run in method.runs if run.spec.seed == seed) for name, method in methods.items()
    }
    return tuple(sorted(scores, key=lambda name: -scores[name]))


def _not_told_apart(methods: Mapping[str, Method]) -> list[str]:
    pairs = list(itertools.combinations(sorted(methods, key=lambda name: -methods[name].score(AP)), 2))
    ps = holm([difference(methods[low], methods[high], AP)[2] for high, low in pairs])
    return [
        f"{high} and {low} ({printed(methods[high].score(AP) - methods[low].score(AP), 'score')} points)"
        for (high, low), p in zip(pairs, ps, strict=True)
        if not p < SURE
    ]
