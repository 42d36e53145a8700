"""Take what a run learnt out again: as a checkpoint or a PEFT folder that others load, with a model card."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from clbench.core.errors import SpecError
from clbench.core.scratch import scratch
from clbench.core.spec import Machine
from clbench.engine.by_weights import check_weights_alone
from clbench.engine.inputs import Inputs
from clbench.engine.units import open_run
from clbench.metrics import all_metrics
from clbench.store.store import Store

if TYPE_CHECKING:
    from clbench.engine.trajectory import Trajectory
    from clbench.report.runs.load import RunRecord

CARD = "README.md"


def export(record: RunRecord, lesson: int, folder: Path, machine: Machine, *, merge: bool) -> str:
    """Write the model that a run's learner has after a lesson; states that the store lacks are learnt again.

    Args:
        record: The run.
        lesson: 0..T; 0 is the untouched model.
        folder: A folder that does not exist, or is empty.
        machine: Where its store is, and what it runs on.
        merge: Merge a low-rank adapter into the weights, instead of writing it alone.

    Returns:
        What was written, for people.

    Raises:
        SpecError: There is no such lesson, or something is in the folder.
        LearnerError: The learner's answers are more than weights; says what is needed to serve it.
        ModelError: What was written would answer otherwise when transformers loads it.
    """
    check_place(record, lesson, folder)
    trajectory = open_run(record.spec, Inputs(machine.data), Store(machine.store), machine).trajectory
    check_weights_alone(trajectory, lesson)
    with scratch("export") as draft:
        told, base = _write(trajectory, lesson, draft / "model", merge=merge)
        (draft / "model" / CARD).write_text(model_card(record, lesson, base), encoding="utf-8")
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(draft / "model", folder, dirs_exist_ok=True)
    return told


def check_place(record: RunRecord, lesson: int, folder: Path) -> None:
    """Refuse a lesson that the run does not have, and a folder that is not new or empty.

    Raises:
        SpecError: Says which.
    """
    if not 0 <= lesson <= record.matrix.num_lessons:
        what = f"the run has lessons 1 to {record.matrix.num_lessons}, and no lesson {lesson}"
        raise SpecError(what, where="--lesson", mend="name one of them; without --lesson it is the last")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(f"there is something in {folder}", where="--to", mend="name a new folder")


def _write(trajectory: Trajectory, lesson: int, folder: Path, *, merge: bool) -> tuple[str, str]:
    """Write it; return what was written, and the settings that its base is to be loaded with."""
    from clbench.models.export import base_settings, has_adapter, write_adapter, write_checkpoint

    learner: Any = trajectory.learner_after(lesson)
    net = learner.net
    told = write_adapter(net, folder) if has_adapter(net) and not merge else write_checkpoint(net, folder)
    return told, base_settings(net)


def model_card(record: RunRecord, lesson: int, settings: str = "") -> str:
    """Return a model card: what was learnt how, and its scores in the form of a `model-index`.

    Args:
        record: The run.
        lesson: After which it is.
        settings: What the base of an adapter is to be loaded with, as code.
    """
    spec, base = record.spec, Path(record.spec.model.name)
    needs = f"The adapter has learnt on `from_pretrained(BASE, {settings})`. " if settings else ""
    head = {
        "library_name": "transformers",
        "base_model": base.name if base.exists() else spec.model.name,
        "tags": ["clbench", "continual-learning"],
        "model-index": [{"name": f"{record.name}-lesson-{lesson}", "results": _results(record, lesson)}],
    }
    taught = [name for one in record.stream.lessons[:lesson] for name in one.teaches]
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n"
        f"# {record.name} after lesson {lesson}\n\n"
        f"`{spec.model.name}` taught {', '.join(taught) or 'nothing'} one after another by `{spec.learner_label}` "
        f"(seed {spec.seed}). {needs}Scores are in [0, 1], made by clbench; the learner and its settings:\n\n"
        f"```yaml\n{yaml.safe_dump(dict(spec.learner), sort_keys=False, allow_unicode=True)}```\n"
    )


def _results(record: RunRecord, lesson: int) -> list[dict[str, Any]]:
    """Return the score of every exam that was asked after a lesson, and the figures of the run after the last."""
    matrix, known = record.matrix, all_metrics()
    asked = zip(matrix.columns, matrix.values[lesson], strict=True)
    found = [(c.name, {f"score after lesson {lesson}": float(v)}) for c, v in asked if not math.isnan(v)]
    if lesson == matrix.num_lessons:
        figures = {n: v for n, v in record.scores.items() if n in known and known[n].needs == "matrix"}
        found.append((record.spec.stream, {known[n].symbol: v for n, v in figures.items() if not math.isnan(v)}))
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": name, "type": "clbench"},
            "metrics": [{"type": "score", "name": what, "value": round(value, 6)} for what, value in scores.items()],
        }
        for name, scores in found
    ]
