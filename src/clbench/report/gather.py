"""Read result folders, count each run once, and group runs that differ only in their seed."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clbench.core.errors import DataError, near_paths
from clbench.core.matrix import Matrix, number
from clbench.core.notice import notice
from clbench.core.outline import Outline
from clbench.core.sheets import Sheets, Showcase
from clbench.core.spec import RunSpec
from clbench.core.types import Meters
from clbench.data.cardfile import read_text
from clbench.metrics import all_metrics, compute
from clbench.report.draws import MatrixDraws, figure_draws, matrix_draws, samples_of
from clbench.stats.bootstrap import Interval, Samples, interval

FILES = (
    "spec.yaml",
    "stream.json",
    "matrix.json",
    "items.json",
    "examples.json",
    "scores.json",
    "meters.json",
    "provenance.json",
)
LARGEST = 200_000_000  # bytes of one file of a result
BROKEN = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError, ArithmeticError, OSError)
NO_SHEETS, NO_ITEMS = Sheets(sheets=()), Showcase(items=())
NO_MATRIX = Matrix.of([[]])
BOUNDS = ("gap_to_joint", "gain_over_frozen", "normalised_ap", "intransigence")


@dataclass(frozen=True)
class RunRecord:
    """One finished run.

    Attributes:
        folder: Its result folder.
        spec, outline, matrix, scores, meters, provenance: What the folder holds; undefined scores are NaN.
        sheets: What every exam came to, item by item.
        showcase: A few items in full.
    """

    folder: Path
    spec: RunSpec
    outline: Outline
    matrix: Matrix
    scores: dict[str, float]
    meters: Meters
    provenance: dict[str, Any]
    sheets: Sheets = NO_SHEETS
    showcase: Showcase = NO_ITEMS

    @cached_property
    def drawn(self) -> MatrixDraws | None:
        """R over bootstrap samples of its items; None where the items are not on record."""
        return matrix_draws(self.matrix, self.sheets)

    @cached_property
    def draws(self) -> dict[str, Samples]:
        """Figures over these samples."""
        return figure_draws(self.matrix, self.drawn, list(self.scores))


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed: one method.

    Attributes:
        label: For tables: the learner, and whatever else tells groups apart.
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
        """Give the mean of a figure; NaN where there is none."""
        return self.scores.get(name, math.nan)

    def by_seed(self, name: str) -> tuple[list[float], list[Samples]]:
        """Give a figure of every run, by seed, and its bootstrap samples, as far as items are on record."""
        runs = seed_order(self.runs)
        return [r.scores.get(name, math.nan) for r in runs], [r.draws[name] for r in runs if name in r.draws]


def seed_order(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Give runs in the order of their seeds."""
    return sorted(runs, key=lambda r: r.spec.seed)


def load_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read result folders, or folders that hold some, and count each run once: see `distinct`.

    Raises:
        DataError: There is none, or a file is missing or broken.
    """
    return distinct(read_runs(paths))


def read_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read result folders, or folders that hold some; a run that lies there twice is given twice.

    Raises:
        DataError: There is none, or a file is missing or broken.
    """
    runs: list[RunRecord] = []
    for path in paths:
        if not path.exists():
            raise DataError("there is no such folder", where=str(path), mend=near_paths(path))
        folders = [path] if (path / "spec.yaml").is_file() else sorted(p.parent for p in path.glob("*/spec.yaml"))
        if not folders:
            folders = sorted(p.parent for p in path.glob("runs/*/spec.yaml"))
        if not folders:
            mend = "name a folder that `clbench run` wrote, or the store itself"
            raise DataError("there is no result here", where=str(path), mend=mend)
        runs += [_load(folder) for folder in folders]
    return runs


def distinct(runs: Sequence[RunRecord], doubtful: Collection[Path] = ()) -> list[RunRecord]:
    """Count each run once: specs that differ in their name alone are one run, however often it is on record.

    Of several records of a run the one that was made last stands. A notice tells how many there were, and where they
    do not say the same, as after a repetition on other hardware.

    Args:
        runs: As they were read.
        doubtful: Folders whose record stands only where there is no other.

    Returns:
        In the order in which each run was first met.
    """
    found: dict[str, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(run.spec.model_copy(update={"name": "x"}).key, []).append(run)
    kept: list[RunRecord] = []
    twice: list[str] = []
    for same in found.values():
        last = max(same, key=lambda r: (r.folder not in doubtful, str(r.provenance.get("made", ""))))
        kept.append(last)
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
    return kept


def _place(run: RunRecord) -> str:
    return Path(run.folder or run.spec.name).name


def _says_the_same(one: RunRecord, two: RunRecord) -> bool:
    return _content(one) == _content(two)


def _content(run: RunRecord) -> object:
    """Give what was answered: every cell, and every item's score."""
    items = [(s.exam, s.digest, {k: row.scores for k, row in s.rows.items()}) for s in run.sheets.sheets]
    return run.matrix.to_json(), items


def _load(folder: Path) -> RunRecord:
    try:
        for name in FILES:
            seen = (folder / name).stat()
            if not stat.S_ISREG(seen.st_mode):  # a pipe or a device has no end
                raise DataError(f"{name} is no file", where=str(folder), mend="run the same spec again")
            if seen.st_size > LARGEST:
                what = f"{name} has {seen.st_size:,} bytes; more than {LARGEST:,} are not read"
                raise DataError(what, where=str(folder))
        texts = {name: (folder / name).read_text(encoding="utf-8") for name in FILES}
        for name in texts.keys() - {"spec.yaml"}:  # which of two values is read would depend on who reads
            json.loads(texts[name], object_pairs_hook=_once)
        scores = {k: math.nan if v is None else number(v) for k, v in json.loads(texts["scores.json"]).items()}
        meters = Meters.model_validate_json(texts["meters.json"])
        spec = RunSpec.model_validate(read_text(folder / "spec.yaml").values)
        if not spec.learner.get("name"):
            raise ValueError("spec.yaml names no learner")
        return RunRecord(
            folder=folder,
            spec=spec,
            outline=Outline.model_validate_json(texts["stream.json"]),
            matrix=Matrix.from_json(json.loads(texts["matrix.json"])),
            scores={**metered(meters), **scores},
            meters=meters,
            provenance=read_provenance(json.loads(texts["provenance.json"])),
            sheets=Sheets.model_validate_json(texts["items.json"]),
            showcase=Showcase.model_validate(json.loads(texts["examples.json"])),
        )
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise DataError(f"{missing} is missing", where=str(folder), mend="run the same spec again") from None
    except BROKEN as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"the result is broken: {first}", where=str(folder), mend="run the same spec again") from None


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [key for key, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} is written twice")


# What stands in a provenance, by type; None where clbench did not know. Older records lack some of it.
TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("model", "packages", "recorded", "machine", "threads", "learner"), dict),
    **dict.fromkeys(("gpus", "arguments", "stages"), list),
    **dict.fromkeys(("made", "python", "platform", "cpu"), str),
    "git": (dict, type(None)),
    "cores": int,
}


def read_provenance(value: Any) -> dict[str, Any]:
    """Return a provenance as it was read, if its parts have the types that readers of it rely on.

    Raises:
        ValueError: Names the first part that has not.
    """
    if not isinstance(value, dict):
        raise ValueError("provenance.json is no mapping")
    wrong = [part for part, kind in TYPES.items() if part in value and not isinstance(value[part], kind)]
    lists = [] if wrong else ["gpus", "arguments"]
    wrong += [part for part in lists if not all(isinstance(v, str) for v in value.get(part, []))]
    if wrong:
        raise ValueError(f"provenance.json: {wrong[0]} is not what clbench writes")
    return value


def metered(meters: Meters) -> dict[str, float]:
    """Give every figure that is made of meters alone: they cost nothing, so a spec need not ask for them."""
    return compute(
        [n for n, p in all_metrics().items() if p.needs == "meters"], meters=meters, matrix=NO_MATRIX, references={}
    )


def group_runs(runs: Sequence[RunRecord]) -> list[Group]:
    """Group runs that differ only in seed and name, best AP first; bounds are computed where their runs are there."""
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
        intervals={n: _interval(n, v.tolist(), runs) for n, v in values.items()},
    )


def _interval(name: str, values: list[float], runs: Sequence[RunRecord]) -> Interval:
    """Give a figure's interval, within the range of the figure."""
    draws, plugin = [r.draws[name] for r in runs if name in r.draws], all_metrics().get(name)
    if plugin is None:
        return interval(values, draws)
    found = interval(values, draws, (plugin.low, plugin.high))
    if math.isnan(found.low):
        return found
    return Interval(max(found.low, plugin.low), min(found.high, plugin.high))


def _labelled(groups: list[Group]) -> list[Group]:
    """Tell groups of one learner apart by what their names say, or by number."""
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
    """Add the figures that need the joint and frozen runs of the same model and stream, with their intervals."""
    spec = group.runs[0].spec
    near = {
        g.runs[0].spec.learner_name: g
        for g in groups
        if g.runs[0].spec.model == spec.model and g.runs[0].spec.stream == spec.stream
    }
    references = {name: near[name] for name in ("joint", "frozen") if name in near}
    scores = compute(BOUNDS, group.mean, Meters(), {name: g.mean for name, g in references.items()})
    extra = {name: value for name, value in scores.items() if not math.isnan(value)}
    found = bound_intervals(extra, group.runs, {n: g.runs for n, g in references.items()})
    return replace(group, scores={**group.scores, **extra}, intervals={**group.intervals, **found})


def bound_intervals(
    names: Iterable[str], runs: Sequence[RunRecord], references: Mapping[str, Sequence[RunRecord]]
) -> dict[str, Interval]:
    """Give the intervals of figures that need reference runs: the same items are drawn for both, seeds are paired.

    A seed that a reference has not been run with is left out of the part that seeds have in the interval.
    """
    names = tuple(names)
    by_seed = {name: {r.spec.seed: r.matrix for r in found} for name, found in references.items()}
    seeds = [r for r in runs if all(r.spec.seed in found for found in by_seed.values())]
    values = [
        compute(names, r.matrix, Meters(), {n: found[r.spec.seed] for n, found in by_seed.items()}) for r in seeds
    ]
    sides = [_mean_draws(runs), *(_mean_draws(references[n]) for n in references)]
    places = {n: k for k, n in enumerate(references, start=1)}
    found: dict[str, Interval] = {}
    for name in names:
        plugin = all_metrics()[name]
        needed = [side for k in (0, *(places.get(r, -1) for r in plugin.references)) if (side := sides[k]) is not None]
        alone = [v[name] for v in values]
        if not alone or len(needed) <= len(plugin.references) or math.isnan(math.fsum(alone)):
            continue
        # The samples are those of the mean over seeds, so they stand for each of the seeds.
        samples = samples_of([m for m, _ in needed], [d for _, d in needed], plugin.compute)
        found[name] = interval(alone, [samples] * len(alone), (plugin.low, plugin.high))
    return found


def _mean_draws(runs: Sequence[RunRecord]) -> tuple[Matrix, MatrixDraws] | None:
    drawn = [r.drawn for r in runs if r.drawn is not None]
    if len(drawn) < len(runs):
        return None
    first = runs[0].matrix
    mean = Matrix(np.mean([r.matrix.values for r in runs], axis=0), first.n, first.ungraded, first.columns)
    uneven = {
        exam: (np.mean([d.uneven[exam][0] for d in drawn], axis=0), places)
        for exam, (_, places) in drawn[0].uneven.items()
    }
    return mean, replace(drawn[0], values=np.mean([d.values for d in drawn], axis=0), uneven=uneven)
