"""Results as Parquet: one row for every figure of every run, or for every item of every cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clbench.core.errors import SpecError
from clbench.report.runs.load import RunRecord


def write_parquet(runs: Sequence[RunRecord], folder: Path) -> list[Path]:
    """Write figures.parquet and items.parquet in long form and return their paths; undefined is null.

    Raises:
        SpecError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise SpecError("pyarrow is not installed", where="--format", mend='pip install "clbench[data]"') from None
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, columns in (("figures", _figures(runs)), ("items", _items(runs))):
        paths.append(folder / f"{name}.parquet")
        pq.write_table(pa.table(columns), paths[-1])
    return paths


def _of(run: RunRecord) -> dict[str, Any]:
    spec = run.spec
    return {
        "run": spec.name,
        "key": spec.key,
        "learner": spec.learner_name,
        "model": spec.model.name,
        "stream": spec.stream,
        "seed": spec.seed,
    }


def _columns(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


RUN = ("run", "key", "learner", "model", "stream", "seed")


def _figures(runs: Sequence[RunRecord]) -> dict[str, list[Any]]:
    rows = [
        {**_of(run), "figure": name, "value": None if math.isnan(value) else value}
        for run in runs
        for name, value in run.scores.items()
    ]
    return _columns(rows, (*RUN, "figure", "value"))


def _items(runs: Sequence[RunRecord]) -> dict[str, list[Any]]:
    rows: list[dict[str, Any]] = []
    for run in runs:
        for exam_scores in run.item_scores.exams:
            for lesson, row in exam_scores.rows.items():
                scores = row.values().tolist()
                rows += [
                    {
                        **_of(run),
                        "exam": exam_scores.exam,
                        "item": name,
                        "row": lesson,
                        "score": None if math.isnan(s) else s,
                    }
                    for name, s in zip(exam_scores.ids, scores, strict=True)
                ]
    return _columns(rows, (*RUN, "exam", "item", "row", "score"))
