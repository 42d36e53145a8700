"""One run, top to bottom: `run` is the architecture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from clbench.core.keys import canonical
from clbench.core.matrix import Matrix
from clbench.core.outline import Outline
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Meters
from clbench.data.outline import stream_outline
from clbench.engine.ask import ask, due
from clbench.engine.mark import mark
from clbench.engine.metering import meters_of
from clbench.engine.opening import opened
from clbench.engine.provenance import provenance, stages_of
from clbench.engine.sheets import Cell, sheets_of, showcase_of
from clbench.engine.trajectory import Trajectory
from clbench.metrics import compute
from clbench.store.store import Store

OF_STAGES = ("made", "stages", "model", "git", "packages", "learner")  # parts of a provenance that follow from stages


def run(spec: RunSpec, store: Store, machine: Machine) -> Path:
    """Run a model through a stream, examine it after every lesson, and record what came out.

    Whatever the store already holds is taken from there.

    Returns:
        The result folder: spec.yaml, stream.json, matrix.json, items.json, examples.json, scores.json, meters.json,
        provenance.json.
    """
    stream, exams = opened(spec, machine)  # cards -> pinned, digested tasks; columns: own tasks, then fixed exams
    trajectory = Trajectory(spec, stream, store, machine)  # hashing only; nothing loaded yet
    spec = trajectory.spec  # in which the model's own length is written
    matrix, cells = Matrix.blank(len(stream) + 1, exams), list[Cell]()
    for step in range(len(stream) + 1):  # row 0: before any lesson
        for column, exam in due(exams, step, len(stream), spec.budget):  # long streams: not every cell is due
            asked = ask(trajectory, step, exam, store)  # expensive; kept for ever
            marks = mark(asked, exam, spec.judge, store)  # cheap; can be marked again
            matrix = matrix.with_cell(step, column, marks)
            cells.append(Cell(step, exam, asked, marks))
    meters = meters_of(trajectory, cells)
    scores = compute(spec.metrics, matrix, meters, {})
    files = _files(spec, stream_outline(stream), matrix, meters, scores) | _records(cells)
    files["provenance.json"] = _provenance(trajectory, cells, machine)
    return store.write_run(spec.name, spec.key, {name: _text(value) for name, value in files.items()})


def _files(
    spec: RunSpec, outline: Outline, matrix: Matrix, meters: Meters, scores: Mapping[str, float]
) -> dict[str, object]:
    known = {name: None if math.isnan(value) else value for name, value in scores.items()}  # NaN is null in JSON
    return {
        "spec.yaml": yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        "stream.json": outline,
        "matrix.json": matrix.to_json(),
        "scores.json": known,
        "meters.json": meters,
    }


def _provenance(trajectory: Trajectory, cells: Sequence[Cell], machine: Machine) -> Mapping[str, Any]:
    """Return the record on file where the same stages stand behind it: looking again does not make a result anew."""
    spec, store = trajectory.spec, trajectory.store
    found = provenance(machine, spec.model, stages_of(trajectory, cells)) | {"learner": trajectory.said}
    try:
        kept = json.loads(store.run_file(spec.name, spec.key, "provenance.json") or "{}")
    except (ValueError, RecursionError):  # damaged: it is written anew
        return found
    same = isinstance(kept, dict) and all(kept.get(part) == found[part] for part in OF_STAGES)
    return kept if same else found


def _records(cells: Sequence[Cell]) -> dict[str, object]:
    return {"items.json": sheets_of(cells), "examples.json": showcase_of(cells)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical(value)
