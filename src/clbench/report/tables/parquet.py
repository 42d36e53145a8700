"""Results as Parquet: one row for every figure of every run, or for every item of every cell."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clbench.core.errors import SpecError
from clbench.report.runs.groups import item_intervals, settings_of
from clbench.report.runs.item_histories import texts_of
from clbench.report.runs.load import RunRecord
from clbench.report.runs.traits import way_of
from clbench.stats.bootstrap import UNKNOWN


def write_parquet(runs: Sequence[RunRecord], folder: Path) -> list[Path]:
    """Write figures.parquet and items.parquet in long form and return their paths; undefined is null.

    Each row says whether its learner learns in weights or in the prompt; null is neither, or not known. Figures have
    the ends of their 95 % interval over items, and the learner's settings as JSON. Items have their texts (question,
    expected, said) where the store or the result holds them.

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
        "learns_in": way_of(spec.learner, run.provenance) or None,
    }


def _columns(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


RUN = ("run", "key", "learner", "model", "stream", "seed", "learns_in")


def _figures(runs: Sequence[RunRecord]) -> dict[str, list[Any]]:
    rows: list[dict[str, Any]] = []
    for run in runs:
        settings, intervals = json.dumps(settings_of(run), ensure_ascii=False), item_intervals(run)
        for name, value in run.scores.items():
            ends = intervals.get(name, UNKNOWN)
            found = {"value": value, "low": ends.low, "high": ends.high}
            known = {part: None if math.isnan(v) else v for part, v in found.items()}
            rows.append({**_of(run), "figure": name, **known, "settings": settings})
    return _columns(rows, (*RUN, "figure", "value", "low", "high", "settings"))


def _items(runs: Sequence[RunRecord]) -> dict[str, list[Any]]:
    rows: list[dict[str, Any]] = []
    for run in runs:
        for exam_scores in run.item_scores.exams:
            texts = [texts_of(run, exam_scores, place) for place in range(len(exam_scores.ids))]
            for lesson, row in exam_scores.rows.items():
                scores = row.values().tolist()
                rows += [
                    {
                        **_of(run),
                        "exam": exam_scores.exam,
                        "item": name,
                        "row": lesson,
                        "score": None if math.isnan(s) else s,
                        "question": text.question or None,
                        "expected": " | ".join(text.expected) or None,
                        "said": text.said.get(lesson),
                    }
                    for name, s, text in zip(exam_scores.ids, scores, texts, strict=True)
                ]
    return _columns(rows, (*RUN, "exam", "item", "row", "score", "question", "expected", "said"))
