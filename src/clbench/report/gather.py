"""Read result folders, and group runs that differ only in their seed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from clbench.core.errors import DataError
from clbench.core.matrix import Matrix
from clbench.core.sheets import Sheets, Showcase
from clbench.core.spec import RunSpec
from clbench.core.types import Meters, Outline
from clbench.metrics import compute
from clbench.stats.intervals import half_width

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
NO_SHEETS, NO_ITEMS = Sheets(sheets=()), Showcase(items=())
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


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed: one method.

    Attributes:
        label: For tables: the learner, and whatever else tells groups apart.
        runs: At least one.
        mean: Mean of the matrices over seeds.
        scores: Mean of each figure over seeds; NaN if undefined in one of them.
        spread: Half the width of the 95 % interval of each mean (Student's t over seeds), NaN for one run.
    """

    label: str
    runs: tuple[RunRecord, ...]
    mean: Matrix
    scores: dict[str, float]
    spread: dict[str, float]


def load_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read result folders, or folders that hold some.

    Raises:
        DataError: There is none, or a file is missing or broken.
    """
    runs: list[RunRecord] = []
    for path in paths:
        folders = [path] if (path / "spec.yaml").is_file() else sorted(p.parent for p in path.glob("*/spec.yaml"))
        if not folders:
            folders = sorted(p.parent for p in path.glob("runs/*/spec.yaml"))
        if not folders:
            mend = "name a folder that `clbench run` wrote, or the store itself"
            raise DataError("there is no result here", where=str(path), mend=mend)
        runs += [_load(folder) for folder in folders]
    return runs


def _load(folder: Path) -> RunRecord:
    try:
        texts = {name: (folder / name).read_text(encoding="utf-8") for name in FILES}
        scores = {k: math.nan if v is None else float(v) for k, v in json.loads(texts["scores.json"]).items()}
        return RunRecord(
            folder=folder,
            spec=RunSpec.model_validate(yaml.safe_load(texts["spec.yaml"])),
            outline=Outline.model_validate_json(texts["stream.json"]),
            matrix=Matrix.from_json(json.loads(texts["matrix.json"])),
            scores=scores,
            meters=Meters.model_validate_json(texts["meters.json"]),
            provenance=json.loads(texts["provenance.json"]),
            sheets=Sheets.model_validate_json(texts["items.json"]),
            showcase=Showcase.model_validate(json.loads(texts["examples.json"])),
        )
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise DataError(f"{missing} is missing", where=str(folder), mend="run the same spec again") from None
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError, yaml.YAMLError, OSError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"the result is broken: {first}", where=str(folder), mend="run the same spec again") from None


def group_runs(runs: Sequence[RunRecord]) -> list[Group]:
    """Group runs that differ only in seed and name, best AP first; bounds are computed where their runs are there."""
    found: dict[str, list[RunRecord]] = {}
    for run in runs:
        same = run.spec.model_copy(update={"seed": 0, "name": "x"}).model_dump_json()
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
        spread={n: half_width(v.tolist()) for n, v in values.items()},
    )


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
    return [Group(label, g.runs, g.mean, g.scores, g.spread) for label, g in zip(labels, groups, strict=True)]


def _with_bounds(group: Group, groups: Sequence[Group]) -> Group:
    """Add the figures that need the joint and frozen runs of the same model and stream."""
    spec = group.runs[0].spec
    near = {
        g.runs[0].spec.learner_name: g.mean
        for g in groups
        if g.runs[0].spec.model == spec.model and g.runs[0].spec.stream == spec.stream
    }
    references = {name: near[name] for name in ("joint", "frozen") if name in near}
    extra = {k: v for k, v in compute(BOUNDS, group.mean, Meters(), references).items() if not math.isnan(v)}
    return Group(group.label, group.runs, group.mean, {**group.scores, **extra}, group.spread)
