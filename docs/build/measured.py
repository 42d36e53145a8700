"""What a method's page says of its results: made from those of the recipe `methods`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from clbench.report.decide.compare_text import p_text
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.load import load_runs
from clbench.report.tables.table import cell
from clbench.stats.bootstrap import difference_of
from clbench.stats.paired import holm
from clbench.training.settings import Training

RESULTS = Path("results") / "methods"
PLAIN = "sft"
FIGURE = "average_performance"
SURE = 0.05
SHOWN = ("average_performance", "forgetting", "fwt", "general_ability_delta")


@dataclass(frozen=True)
class Gain:
    """AP of a method less that of plain fine-tuning, by items and seeds together.

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


def measured(results: Path = RESULTS) -> Mapping[str, Group]:
    """Return learner -> its runs; none where there are no results."""
    return _measured(results.resolve())


@lru_cache
def _measured(results: Path) -> Mapping[str, Group]:
    return {g.label: g for g in group_runs(load_runs([results]))} if results.is_dir() else {}


def gains(groups: Mapping[str, Group]) -> dict[str, Gain]:
    """Compare every learner's final average performance with plain fine-tuning's, items and seeds paired."""
    plain = groups[PLAIN].by_seed(FIGURE)
    found = {n: difference_of(*plain, *g.by_seed(FIGURE)) for n, g in groups.items() if n != PLAIN}
    adjusted = holm([p for _, p in found.values()])
    means = {n: groups[n].scores[FIGURE] - groups[PLAIN].scores[FIGURE] for n in found}
    return {n: Gain(means[n], *change, p) for (n, (change, _)), p in zip(found.items(), adjusted, strict=True)}


def measured_lines(name: str, groups: Mapping[str, Group]) -> list[str]:
    """Return the part of a method's page that says how it did; nothing where it was not run."""
    if name not in groups:
        return []
    group = groups[name]
    shared = {"name", *Training.model_fields} - {"lr"}
    settings = {k: v for k, v in group.runs[0].spec.learner.items() if k not in shared}
    said = ", ".join(f"`{k}: {v}`" for k, v in settings.items()) or "none"
    values = ", ".join(f"{title} {cell(group, figure)}" for title, figure in zip(_TITLES, SHOWN, strict=True))
    lines = [
        "",
        "## Measured",
        "",
        f"`clbench run methods`: tiny-llama, five generated tasks, {len(group.runs)} seeds; mean ±",
        f"half of the 95 % interval, in percent. Settings: {said}. {values}. {_verdict(name, groups)}",
    ]
    lines += [
        "One small model and one stream: a ranking elsewhere may differ. Its tasks share nothing, so FWT says little."
    ]
    return lines


_TITLES = ("AP", "forgetting", "FWT", "GAD")


def _verdict(name: str, groups: Mapping[str, Group]) -> str:
    if name == PLAIN or PLAIN not in groups:
        return ""
    found = gains(groups)[name]
    ends = "" if math.isnan(found.low) else f" ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    says = {"helps": "it helps.", "hurts": "it hurts.", "unclear": "no gain is shown."}[found.verdict]
    p = f"p {p_text(found.p)} after Holm's correction over {len(groups) - 1} methods"
    return f"AP against plain fine-tuning, items and seeds paired: {100 * found.mean:+.1f}{ends}, {p}: {says}"
