"""Read result folders, count each run once, and group runs that differ only in their seed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from clbench.core.errors import DataError, near_paths
from clbench.core.events import notice
from clbench.core.item_scores import ExampleItems, ItemScores
from clbench.core.matrix import Matrix, number
from clbench.core.results import Costs
from clbench.core.spec import RunSpec
from clbench.core.stream_summary import StreamSummary
from clbench.metrics import all_metrics, compute
from clbench.report.runs.bootstrap import MatrixSamples, figure_samples, matrix_samples, samples_of
from clbench.report.runs.result_file import broken_result, find_results, name_of, read_parts, read_provenance
from clbench.stats.bootstrap import Interval, Samples, interval

BROKEN = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError, ArithmeticError, OSError)
NO_SHEETS, NO_ITEMS = ItemScores(exams=()), ExampleItems(items=())
NO_MATRIX = Matrix.of([[]])
BOUNDS = ("gap_to_joint", "gain_over_frozen", "normalised_ap", "intransigence")


@dataclass(frozen=True)
class RunRecord:
    """One finished run.

    Attributes:
        folder: Its result folder, or its file `<run>.json`.
        spec, stream, matrix, scores, costs, provenance: What the result holds; undefined scores are NaN.
        item_scores: Grades of every exam, item by item.
        example_items: A few items in full.
        recorded: Those of the scores that are on record; the others are made of costs.
    """

    folder: Path
    spec: RunSpec
    stream: StreamSummary
    matrix: Matrix
    scores: dict[str, float]
    costs: Costs
    provenance: dict[str, Any]
    item_scores: ItemScores = NO_SHEETS
    example_items: ExampleItems = NO_ITEMS
    recorded: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the run, which ends in the beginning of its key."""
        return name_of(self.folder)

    @cached_property
    def matrix_samples(self) -> MatrixSamples | None:
        """Return R over bootstrap samples of its items; None where the items are not on record."""
        return matrix_samples(self.matrix, self.item_scores)

    @cached_property
    def figure_samples(self) -> dict[str, Samples]:
        """Return the figures over these samples."""
        return figure_samples(self.matrix, self.matrix_samples, list(self.scores))


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed: one method.

    Attributes:
        label: Name in tables: the learner, and what else distinguishes it from other groups.
        runs: At least one.
        mean: Mean of the matrices over seeds.
        scores: Mean of each figure over seeds; NaN if undefined in one of them.
        intervals: 95 % interval of each of these means, over items and seeds.
    """

    label: str
    runs: tuple[RunRecord, ...]
    mean: Matrix
    scores: dict[str, float]
    intervals: dict[str, Interval]

    def score(self, name: str) -> float:
        """Return the mean of a figure; NaN where it is undefined."""
        return self.scores.get(name, math.nan)

    def by_seed(self, name: str) -> tuple[list[float], list[Samples]]:
        """Return a figure of every run, by seed, and its bootstrap samples where items are on record."""
        runs = seed_order(self.runs)
        samples = [r.figure_samples for r in runs]
        return [r.scores.get(name, math.nan) for r in runs], [s[name] for s in samples if name in s]


def seed_order(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Return runs in the order of their seeds."""
    return sorted(runs, key=lambda r: r.spec.seed)


def load_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read results, or folders that hold some, and count each run once: see `distinct`.

    Raises:
        DataError: There is none, or a file is missing or broken.
    """
    return distinct(read_runs(paths))


def read_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read results, or folders that hold some; a run that lies there twice is given twice.

    Raises:
        DataError: There is none, or a file is missing or broken.
    """
    runs: list[RunRecord] = []
    for path in paths:
        if not path.exists():
            raise DataError("there is no such folder", where=str(path), mend=near_paths(path))
        places = find_results(path)
        if not places:
            mend = "name a folder that `clbench run` wrote, or the store itself"
            raise DataError("there is no result here", where=str(path), mend=mend)
        runs += [_load(place) for place in places]
    return runs


def distinct(runs: Sequence[RunRecord], doubtful: Collection[Path] = ()) -> list[RunRecord]:
    """Return each run once: specs that differ only in their name are one run, however often it is on record.

    Of several records of a run the last one counts. A notice says how many there were, and where they differ, as after
    a repetition on other hardware.

    Args:
        runs: As they were read.
        doubtful: Folders whose record counts only where there is no other.

    Returns:
        In the order in which each run was first met.
    """
    found: dict[str, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(run.spec.model_copy(update={"name": "x"}).key, []).append(run)
    unique: list[RunRecord] = []
    twice: list[str] = []
    for same in found.values():
        last = max(same, key=lambda r: (r.folder not in doubtful, str(r.provenance.get("made", ""))))
        unique.append(last)
        others = [r for r in same if r is not last]
        if others:
            twice.append(f"{_place(last)} (also {', '.join(map(_place, others))})")
        if unlike := [_place(r) for r in others if not _says_the_same(r, last)]:
            notice(
                f"{_place(last)} and {', '.join(unlike)} are one run, and their answers differ (made again on other "
                "hardware or by another clbench, or edited): the one made last counts; name one folder to choose"
            )
    if twice:
        more = ", ..." if len(twice) > 3 else ""
        notice(f"on record more than once, counted once (runs: {len(twice)}): {', '.join(twice[:3])}{more}")
    return unique


def _place(run: RunRecord) -> str:
    return run.name if run.folder else run.spec.name


def _says_the_same(one: RunRecord, two: RunRecord) -> bool:
    return _content(one) == _content(two)


def _content(run: RunRecord) -> object:
    """Return the results that are compared: every cell, and every item's score."""
    items = [(s.exam, s.digest, {k: row.scores for k, row in s.rows.items()}) for s in run.item_scores.exams]
    return run.matrix.to_json(), items


def _load(place: Path) -> RunRecord:
    try:
        parts = read_parts(place)
        recorded = {k: math.nan if v is None else number(v) for k, v in parts["scores"].items()}
        costs, spec = Costs.model_validate(parts["costs"]), RunSpec.model_validate(parts["spec"])
        if not spec.learner.get("name"):
            raise ValueError("its spec names no learner")
        return RunRecord(
            folder=place,
            spec=spec,
            stream=StreamSummary.model_validate(parts["stream"]),
            matrix=Matrix.from_json(parts["matrix"]),
            scores={**cost_figures(costs), **recorded},
            costs=costs,
            provenance=read_provenance(parts["provenance"]),
            item_scores=parts["exams"],
            example_items=ExampleItems.model_validate(parts["examples"]),
            recorded=tuple(recorded),
        )
    except BROKEN as error:
        raise broken_result(place, error) from None


def cost_figures(costs: Costs) -> dict[str, float]:
    """Return every figure that needs costs alone. They take no time to compute, so a spec need not list them."""
    return compute(
        [n for n, p in all_metrics().items() if p.needs == "costs"], costs=costs, matrix=NO_MATRIX, references={}
    )


def group_runs(runs: Sequence[RunRecord]) -> list[Group]:
    """Return runs grouped where they differ only in seed and name, best AP first, with bounds where these were run."""
    found: dict[str, list[RunRecord]] = {}
    for run in distinct(runs):
        same = run.spec.model_copy(update={"seed": 0, "name": "x"}).key
        found.setdefault(same, []).append(run)
    groups = [_group(members) for members in found.values()]
    groups = [_with_bounds(g, groups) for g in _labelled(groups)]
    return sorted(groups, key=lambda g: -_or(g.scores.get("average_performance", math.nan), -1))


def _or(value: float, instead: float) -> float:
    return instead if math.isnan(value) else value


def _group(runs: list[RunRecord]) -> Group:
    first = runs[0].matrix
    mean = Matrix(
        np.mean([r.matrix.values for r in runs], axis=0),
        np.sum([r.matrix.n for r in runs], axis=0),
        np.sum([r.matrix.ungraded for r in runs], axis=0),
        first.columns,
    )
    names = list(runs[0].scores)
    values = {n: np.array([r.scores.get(n, math.nan) for r in runs]) for n in names}
    return Group(
        label=runs[0].spec.learner_label,
        runs=tuple(runs),
        mean=mean,
        scores={n: float(v.mean()) for n, v in values.items()},
        intervals={n: interval_of(n, v.tolist(), runs) for n, v in values.items()},
    )


def interval_of(name: str, values: list[float], runs: Sequence[RunRecord]) -> Interval:
    """Return a figure's interval, within the range of the figure."""
    samples = [s[name] for s in (r.figure_samples for r in runs) if name in s]
    plugin = all_metrics().get(name)
    if plugin is None:
        return interval(values, samples)
    found = interval(values, samples, (plugin.low, plugin.high))
    if math.isnan(found.low):
        return found
    return Interval(max(found.low, plugin.low), min(found.high, plugin.high))


def _labelled(groups: list[Group]) -> list[Group]:
    """Return the groups with labels that differ: with model and stream added where needed."""
    labels: list[str] = []
    for group in groups:
        spec = group.runs[0].spec
        same = [g for g in groups if g.label == group.label]
        extra = [spec.model.name] if len({g.runs[0].spec.model.name for g in same}) > 1 else []
        extra += [spec.stream] if len({g.runs[0].spec.stream for g in same}) > 1 else []
        label = " ".join([group.label, *extra])
        labels.append(label if label not in labels else f"{label} ({spec.name})")
    return [replace(g, label=label) for label, g in zip(labels, groups, strict=True)]


def _with_bounds(group: Group, groups: Sequence[Group]) -> Group:
    """Return a group with the figures that need the joint and frozen runs of its model and stream."""
    found = {name: _reference(name, group, groups) for name in ("joint", "frozen")}
    references = {name: one for name, one in found.items() if one is not None}
    scores = compute(BOUNDS, group.mean, Costs(), {name: g.mean for name, g in references.items()})
    extra = {name: value for name, value in scores.items() if not math.isnan(value)}
    found = bound_intervals(extra, group.runs, {n: g.runs for n, g in references.items()})
    return replace(group, scores={**group.scores, **extra}, intervals={**group.intervals, **found})


def _reference(name: str, group: Group, groups: Sequence[Group]) -> Group | None:
    """Return the group of a bound that was asked the same of the same model; of several, the one that knows most.

    A bound that was run with several settings is the best of them, whatever their order; a notice says which it is.
    """
    same = [
        g
        for g in groups
        if g.runs[0].spec.learner_name == name and _measured(g.runs[0].spec) == _measured(group.runs[0].spec)
    ]
    best = max(same, key=lambda g: (_or(g.score("average_performance"), -1), g.label), default=None)
    if best is not None and len(same) > 1:
        tell_bound(name, best.label, ", ".join(sorted(g.label for g in same if g is not best)))
    return best


def _measured(spec: RunSpec) -> tuple[object, ...]:
    return spec.model, spec.stream, spec.judge, spec.budget.items


@lru_cache(maxsize=64)
def tell_bound(name: str, best: str, others: str) -> None:
    """Give the notice once per choice, however many groups are compared with it."""
    notice(f"{name} was run with several settings: gaps are measured to the best of them, {best} (not {others})")


def bound_intervals(
    names: Iterable[str], runs: Sequence[RunRecord], references: Mapping[str, Sequence[RunRecord]]
) -> dict[str, Interval]:
    """Return the intervals of figures that need reference runs.

    Both use the same samples of items, and seeds are paired. A seed that a reference was not run with does not count in
    the variation over seeds.
    """
    names = tuple(names)
    by_seed = {name: {r.spec.seed: r.matrix for r in found} for name, found in references.items()}
    seeds = [r for r in runs if all(r.spec.seed in found for found in by_seed.values())]
    values = [compute(names, r.matrix, Costs(), {n: found[r.spec.seed] for n, found in by_seed.items()}) for r in seeds]
    sides = [_mean_samples(runs), *(_mean_samples(references[n]) for n in references)]
    places = {n: k for k, n in enumerate(references, start=1)}
    found: dict[str, Interval] = {}
    for name in names:
        plugin = all_metrics()[name]
        needed = [side for k in (0, *(places.get(r, -1) for r in plugin.references)) if (side := sides[k]) is not None]
        alone = [v[name] for v in values]
        if not alone or len(needed) <= len(plugin.references) or math.isnan(math.fsum(alone)):
            continue
        # The samples are those of the mean over seeds, so each seed gets them.
        samples = samples_of([m for m, _ in needed], [d for _, d in needed], plugin.compute)
        found[name] = interval(alone, [samples] * len(alone), (plugin.low, plugin.high))
    return found


def _mean_samples(runs: Sequence[RunRecord]) -> tuple[Matrix, MatrixSamples] | None:
    samples = [s for r in runs if (s := r.matrix_samples) is not None]
    if len(samples) < len(runs):
        return None
    first = runs[0].matrix
    mean = Matrix(np.mean([r.matrix.values for r in runs], axis=0), first.n, first.ungraded, first.columns)
    uneven = {
        exam: (np.mean([s.uneven[exam][0] for s in samples], axis=0), places)
        for exam, (_, places) in samples[0].uneven.items()
    }
    return mean, replace(samples[0], values=np.mean([s.values for s in samples], axis=0), uneven=uneven)
