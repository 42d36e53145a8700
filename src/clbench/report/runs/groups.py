"""Group runs that differ only in their seed, label the groups, and measure them by their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.core.matrix import Matrix
from clbench.core.results import Costs
from clbench.core.spec import RunSpec
from clbench.metrics import all_metrics, compute
from clbench.report.runs.bootstrap import MatrixSamples, samples_of
from clbench.report.runs.load import RunRecord, distinct
from clbench.report.runs.on_demand import OnDemand
from clbench.stats.bootstrap import UNKNOWN, Interval, Samples, interval
from clbench.stats.intervals import Block

BOUNDS = ("gap_to_joint", "gain_over_frozen", "normalised_ap", "intransigence")


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed: one method.

    Attributes:
        label: Name in tables: the learner, and what else distinguishes it from other groups.
        runs: At least one.
        mean: Mean of the matrices over seeds.
        scores: Mean of each figure over seeds; NaN if undefined in one of them.
        intervals: 95 % interval of each of these means, over items and seeds, made when it is read.
    """

    label: str
    runs: tuple[RunRecord, ...]
    mean: Matrix
    scores: dict[str, float]
    intervals: Mapping[str, Interval]

    def score(self, name: str) -> float:
        """Return the mean of a figure; NaN where it is undefined."""
        return self.scores.get(name, math.nan)

    def by_seed(self, name: str) -> tuple[list[float], list[Samples]]:
        """Return a figure of every run, by seed, and its bootstrap samples where items are on record."""
        runs = seed_order(self.runs)
        return [r.scores.get(name, math.nan) for r in runs], samples_in(name, runs)


def seed_order(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Return runs in the order of their seeds."""
    return sorted(runs, key=lambda r: r.spec.seed)


def group_runs(runs: Sequence[RunRecord]) -> list[Group]:
    """Return runs grouped where they differ only in seed and name, best AP first, with bounds where these were run."""
    found: dict[str, list[RunRecord]] = {}
    for run in distinct(runs):
        same = digest([run.spec.model_copy(update={"seed": 0, "name": "x"}).key, _asked(run)])
        found.setdefault(same, []).append(run)
    groups = [_group(members) for members in found.values()]
    groups = _labelled(groups)
    groups = [_with_bounds(g, groups) for g in groups]
    return sorted(groups, key=lambda g: -_or(g.scores.get("average_performance", math.nan), -1))


def _or(value: float, instead: float) -> float:
    return instead if math.isnan(value) else value


def mean_matrix(runs: Sequence[RunRecord]) -> Matrix:
    """Return the mean of the matrices of runs of the same exams, with the answers of all of them counted."""
    return Matrix(
        np.mean([r.matrix.values for r in runs], axis=0),
        np.sum([r.matrix.n for r in runs], axis=0),
        np.sum([r.matrix.ungraded for r in runs], axis=0),
        runs[0].matrix.columns,
    )


def _group(runs: list[RunRecord]) -> Group:
    names = list(runs[0].scores)
    values = {n: np.array([r.scores.get(n, math.nan) for r in runs]) for n in names}
    return Group(
        label=runs[0].spec.learner_label,
        runs=tuple(runs),
        mean=mean_matrix(runs),
        scores={n: float(v.mean()) for n, v in values.items()},
        intervals=OnDemand({n: partial(_interval, n, v.tolist(), runs) for n, v in values.items()}),
    )


def _interval(name: str, values: list[float], runs: Sequence[RunRecord]) -> Interval:
    return interval_of(name, values, samples_in(name, runs))


def samples_in(name: str, runs: Iterable[RunRecord]) -> list[Samples]:
    """Return a figure of each run over bootstrap samples of its items, where these are on record."""
    return [s[name] for s in (r.figure_samples for r in runs) if name in s]


def interval_of(name: str, values: list[float], samples: Sequence[Samples], blocks: Sequence[Block] = ()) -> Interval:
    """Return the interval of a figure's mean over runs, within the range of the figure; see `interval`."""
    plugin = all_metrics().get(name)
    if plugin is None:
        return interval(values, samples, blocks=blocks)
    found = interval(values, samples, (plugin.low, plugin.high), blocks)
    if math.isnan(found.low):
        return found
    return Interval(max(found.low, plugin.low), min(found.high, plugin.high))


def item_intervals(run: RunRecord) -> dict[str, Interval]:
    """Return the 95 % interval of each figure of one run over the items of its exams, where items are on record."""
    return {name: interval_of(name, [value], samples_in(name, [run])) for name, value in run.scores.items()}


def settings_of(run: RunRecord) -> dict[str, Any]:
    """Return the settings of a run's learner."""
    return {name: value for name, value in run.spec.learner.items() if name not in ("name", "version")}


def _labelled(groups: list[Group]) -> list[Group]:
    """Return the groups with labels that differ: with what differs between groups of one label added to it."""
    told = [_told(group.runs[0].spec) for group in groups]
    labels: list[str] = []
    for group, own in zip(groups, told, strict=True):
        same = [other for g, other in zip(groups, told, strict=True) if g.label == group.label]
        extra = [value for name, value in own.items() if len({other.get(name, "") for other in same}) > 1]
        label = " ".join([group.label, *extra])
        if label in labels:  # the first one bears the plain label
            label = f"{label} ({_unlike(group.runs[0], groups[labels.index(label)].runs[0])})"
        labels.append(label if label not in labels else f"{label} ({_place(group.runs[0])})")
    return [replace(g, label=label) for label, g in zip(labels, groups, strict=True)]


def _unlike(run: RunRecord, first: RunRecord) -> str:
    """Return in what a run differs from the first of its label: the exams that ask other questions, else its name."""
    known = _asked(first)
    exams = [name for name, questions in _asked(run).items() if known.get(name) != questions]
    more = f" and {len(exams) - 2} more" if len(exams) > 2 else ""
    return f"other questions of {', '.join(exams[:2])}{more}" if exams else _place(run)


def _place(run: RunRecord) -> str:
    return run.name if run.folder else run.spec.name


def _told(spec: RunSpec) -> dict[str, str]:
    """Return what a label may add to the learner's name: field -> how it is written."""
    budget = {f"budget.{name}": f"{name}={value}" for name, value in spec.budget.model_dump().items()}
    others = {**spec.told_settings, **budget, "exams": f"exams={'+'.join(spec.exams)}"}
    return {
        "model.name": spec.model.name,
        "stream": spec.stream,
        "file": spec.learner_name.partition("@")[0],
        "digest": f"@{spec.learner_name.partition('@')[2][:6]}",
        **others,
        "model.dtype": spec.model.dtype,
        "exam_server": f"by {spec.exam_server or 'clbench'}",
        "model.max_tokens": f"max_tokens={spec.model.max_tokens}",
    }


def _with_bounds(group: Group, groups: Sequence[Group]) -> Group:
    """Return a group with the figures that need the joint and frozen runs of its model and stream."""
    found = {name: _reference(name, group, groups) for name in ("joint", "frozen")}
    bounds = {name: one for name, one in found.items() if one is not None}
    scores: dict[str, float] = {}
    makers: dict[str, Callable[[], Interval]] = {}
    for figure in BOUNDS:
        needed = {name: bounds[name] for name in all_metrics()[figure].references if name in bounds}
        runs, references = _paired(group, needed)
        if not runs:
            continue
        matrices = {name: mean_matrix(each) for name, each in references.items()}
        value = compute([figure], mean_matrix(runs), Costs(), matrices)[figure]
        if math.isnan(value):
            continue
        scores[figure] = value
        # Measured by itself, a bound is what it is whatever the items.
        itself = any(group is one for one in needed.values())
        makers[figure] = (
            partial(Interval, value, value) if itself else partial(_bound_interval, figure, runs, references)
        )
    own = {name: partial(group.intervals.__getitem__, name) for name in group.intervals}
    return replace(group, scores=group.scores | scores, intervals=OnDemand({**own, **makers}))


def _bound_interval(figure: str, runs: Sequence[RunRecord], references: Mapping[str, Sequence[RunRecord]]) -> Interval:
    return bound_intervals([figure], runs, references).get(figure, UNKNOWN)


def _paired(group: Group, bounds: Mapping[str, Group]) -> tuple[Sequence[RunRecord], Mapping[str, Sequence[RunRecord]]]:
    """Return the runs of a group and of its bounds with the seeds that all of them have."""
    each = [group.runs, *(bound.runs for bound in bounds.values())]
    seeds = set.intersection(*({run.spec.seed for run in runs} for runs in each))
    kept = [[run for run in runs if run.spec.seed in seeds] for runs in each]
    return kept[0], dict(zip(bounds, kept[1:], strict=True))


def _reference(name: str, group: Group, groups: Sequence[Group]) -> Group | None:
    """Return the group of a bound that was asked the same of the same model; of several, the one that knows most.

    A bound that was run with several settings is the best of them, whatever their order; a notice says which it is.
    """
    seeds = {run.spec.seed for run in group.runs}
    same = [
        g
        for g in groups
        if g.runs[0].spec.learner_name == name
        and _measured(g.runs[0]) == _measured(group.runs[0])
        and seeds & {run.spec.seed for run in g.runs}
    ]
    best = max(same, key=lambda g: (_or(g.score("average_performance"), -1), g.label), default=None)
    if best is not None and len(same) > 1:
        tell_bound(name, best.label, ", ".join(sorted(g.label for g in same if g is not best)))
    return best


def _measured(run: RunRecord) -> tuple[object, ...]:
    spec = run.spec
    return spec.model, spec.exam_server, spec.stream, spec.judge, spec.budget.items, _questions(run)


def _asked(run: RunRecord) -> dict[str, str]:
    """Return exam -> digest of its questions: rows on a disk may have changed between two runs of one spec."""
    return {exam.exam: exam.digest for exam in run.item_scores.exams}


def _questions(run: RunRecord) -> tuple[tuple[str, str], ...]:
    """Return the questions of the tasks by digest, which are all that a bound is measured on."""
    tasks = {column.name for column in run.matrix.columns if column.kind == "task"}
    return tuple((exam, questions) for exam, questions in _asked(run).items() if exam in tasks)


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
        ends = interval(alone, [samples] * len(alone), (plugin.low, plugin.high))
        found[name] = Interval(max(ends.low, plugin.low), min(ends.high, plugin.high))
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
