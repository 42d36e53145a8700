"""What a method's page says of its results: made from those of the recipe `methods`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from clbench.report.decide.compare_text import p_text
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import load_runs
from clbench.report.runs.orders import PLAIN, Method, difference, methods_of
from clbench.report.tables.table import method_cell
from clbench.stats.paired import holm
from clbench.training.settings import Training
from docs.build.sound import learners_in

RESULTS = Path("results") / "methods"
FIGURE = "average_performance"
SURE = 0.05
SHOWN = ("average_performance", "learning_accuracy", "forgetting", "general_ability_delta")


@dataclass(frozen=True)
class Gain:
    """AP of a method less that of plain fine-tuning, by items, seeds and orders together.

    Attributes:
        mean: In [-1, 1].
        low, high: Its 95 % interval; NaN where neither other items nor other seeds are known.
        p: Two-sided, that there is none, after Holm's correction over all methods that are compared.
    """

    mean: float
    low: float
    high: float
    p: float

    @property
    def verdict(self) -> str:
        """What the test says: "helps", "hurts" or "unclear"."""
        if not self.p <= SURE:
            return "unclear"
        return "helps" if self.mean > 0 else "hurts"


def measured(results: Path = RESULTS) -> Mapping[str, Method]:
    """Return learner -> its runs over orders and seeds; none where there are no results."""
    return _measured(results.resolve())


@lru_cache
def _measured(results: Path) -> Mapping[str, Method]:
    named = learners_in(load_runs([results])) if results.is_dir() else {}
    return {name: methods_of(group_runs(runs))[0] for name, runs in named.items()}


def gains(methods: Mapping[str, Method]) -> dict[str, Gain]:
    """Compare every learner's final average performance with plain fine-tuning's, items, seeds and orders paired."""
    plain = methods[PLAIN]
    found = {name: difference(plain, method, FIGURE) for name, method in methods.items() if name != PLAIN}
    adjusted = holm([p for *_, p in found.values()])
    return {n: Gain(gap, *ends, p) for (n, (gap, ends, _)), p in zip(found.items(), adjusted, strict=True)}


def measured_lines(name: str, methods: Mapping[str, Method]) -> list[str]:
    """Return the part of a method's page that says how it did; nothing where it was not run."""
    if name not in methods:
        return []
    method = methods[name]
    first = method.runs[0].spec
    shared = {"name", *Training.model_fields} - {"lr"}
    settings = {k: v for k, v in first.learner.items() if k not in shared}
    said = ", ".join(f"`{k}: {v}`" for k, v in settings.items()) or "none"
    values = ", ".join(f"{title} {method_cell(method, figure)}" for title, figure in zip(_TITLES, SHOWN, strict=True))
    orders, seeds = len(set(method.orders)), len({run.spec.seed for run in method.runs})
    return [
        "",
        "## Measured",
        "",
        f"`clbench run methods`: {first.model.name}, five generated tasks, orders: {orders}, seeds: {seeds}; mean ±",
        f"half of the 95 % interval, in percent. Settings: {said}. {values}. {_verdict(name, methods)}",
        "One small model and one set of tasks: a ranking elsewhere may differ.",
    ]


_TITLES = ("AP", "LA", "forgetting", "GAD")


def _verdict(name: str, methods: Mapping[str, Method]) -> str:
    if name == PLAIN or PLAIN not in methods:
        return ""
    found = gains(methods)[name]
    ends = "" if math.isnan(found.low) else f" ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    says = {"helps": "it helps.", "hurts": "it hurts.", "unclear": "no gain is shown."}[found.verdict]
    p = f"p {p_text(found.p)} after Holm's correction over {len(methods) - 1} methods"
    return f"AP against plain fine-tuning, items, seeds and orders paired: {100 * found.mean:+.1f}{ends}, {p}: {says}"
