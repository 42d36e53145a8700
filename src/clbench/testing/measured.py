"""What a method's page says of its results: made from those of `recipes/methods.yaml`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from clbench.learners._training import Training
from clbench.report.gather import Group, group_runs, load_runs
from clbench.report.table import cell
from clbench.stats.intervals import half_width

RESULTS = Path("results") / "methods"
PLAIN = "sft"
SHOWN = ("average_performance", "forgetting", "fwt", "general_ability_delta")


@dataclass(frozen=True)
class Gain:
    """AP of a method less that of plain fine-tuning, seed by seed.

    Attributes:
        mean: In [-1, 1].
        half: Half of its 95 % interval (Student's t over seeds); NaN for one seed.
    """

    mean: float
    half: float

    @property
    def verdict(self) -> str:
        """What the interval says: "helps", "hurts" or "unclear"."""
        if self.mean - self.half > 0:
            return "helps"
        return "hurts" if self.mean + self.half < 0 else "unclear"


@lru_cache
def measured(results: Path = RESULTS) -> Mapping[str, Group]:
    """Give learner -> its runs; none where there are no results."""
    return {g.label: g for g in group_runs(load_runs([results]))} if results.is_dir() else {}


def gain(name: str, groups: Mapping[str, Group]) -> Gain:
    """Compare a learner's final average performance with plain fine-tuning's in the same seeds."""
    mine, plain = (_by_seed(groups[label]) for label in (name, PLAIN))
    values = [mine[seed] - plain[seed] for seed in sorted(mine.keys() & plain.keys())]
    return Gain(sum(values) / len(values) if values else math.nan, half_width(values))


def _by_seed(group: Group) -> dict[int, float]:
    return {run.spec.seed: run.scores["average_performance"] for run in group.runs}


def measured_lines(name: str, groups: Mapping[str, Group]) -> list[str]:
    """Give the part of a method's page that says how it did; nothing where it was not run."""
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
        f"`clbench run recipes/methods.yaml`: tiny-llama, five generated tasks, {len(group.runs)} seeds; mean ±",
        f"half of the 95 % interval, in percent. Settings: {said}. {values}. {_verdict(name, groups)}",
    ]
    return [*lines, "One small model and one stream: a ranking elsewhere may differ."]


_TITLES = ("AP", "forgetting", "FWT", "GAD")


def _verdict(name: str, groups: Mapping[str, Group]) -> str:
    if name == PLAIN or PLAIN not in groups:
        return ""
    found = gain(name, groups)
    size = f"{100 * found.mean:+.1f} ± {100 * found.half:.1f}"
    return {
        "helps": f"AP against plain fine-tuning, seed by seed: {size}: it helps.",
        "hurts": f"AP against plain fine-tuning, seed by seed: {size}: it hurts.",
        "unclear": f"AP against plain fine-tuning, seed by seed: {size}: no gain is shown.",
    }[found.verdict]
