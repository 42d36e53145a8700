"""What `clbench exam` found: a file for each checkpoint, beside the answers, which gate and report can read."""

from __future__ import annotations

from pathlib import Path

from clbench.core.baseline import Baseline, read_baseline, write_baseline
from clbench.core.errors import DataError
from clbench.core.events import notice
from clbench.core.keys import digest

FOLDER = "checkpoints"


def keep_checkpoint(store: Path, found: Baseline) -> Path:
    """Write the results of a checkpoint into its file in a store, and return the file.

    Results of other exams that it holds stay; of an exam that was asked twice the last result counts. Nothing is
    written where the file says the same already.

    Args:
        store: Its folder.
        found: Results of a checkpoint; they are sealed.
    """
    path = store / FOLDER / f"{_safe(found.model.name)}-{_key(found)}.json"
    if path.exists():
        try:
            found = _merged(read_baseline(path), found)
        except DataError as error:
            notice(f"{path} is replaced: {error.what}")
        else:
            if read_baseline(path).seal == found.sealed().seal:
                return path
    write_baseline(path, found)
    return path


def _safe(name: str) -> str:
    last = name.rstrip("/").rpartition("/")[2]
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in last).lstrip(".")[:80] or "model"


def _key(found: Baseline) -> str:
    """Return what tells the file of a checkpoint from others: its weights and how it was asked, and how many items."""
    return digest([found.model, found.identity, found.items])[:8]


def _merged(old: Baseline, new: Baseline) -> Baseline:
    exams = {e.scores.exam: e for e in (*old.exams, *new.exams)}
    machine = dict(new.machine)
    for name, value in old.machine.items():
        if machine.get(name, value) != value and value not in machine[name].split(" and "):
            machine[name] = f"{value} and {machine[name]}"
    names = tuple(dict.fromkeys((*old.names, *new.names)))
    return new.model_copy(update={"exams": tuple(exams.values()), "names": names, "machine": machine})
