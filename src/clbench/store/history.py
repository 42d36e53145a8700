"""What checkpoints scored, one after another: a line for every one that passed through the gate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clbench.core.baseline import Baseline
from clbench.core.errors import StoreError
from clbench.core.keys import canonical

FILE = "gates.jsonl"


@dataclass(frozen=True)
class Passed:
    """One checkpoint: its name, identity, when it was examined, and exam -> (mean score, items)."""

    model: str
    identity: str
    made: str
    scores: dict[str, tuple[float, int]]


def remember(store: Path, taken: Baseline) -> None:
    """Add a checkpoint to the history of a store; one that was examined last is not added again."""
    known = history(store)
    if known and known[-1].identity == taken.identity:
        return
    scores: dict[str, list[float | int]] = {}
    for exam in taken.exams:
        values = exam.sheet.rows[0].values()
        there = values[~np.isnan(values)]
        if len(there):
            scores[exam.sheet.exam] = [float(there.mean()), len(there)]
    line = canonical({"model": taken.model.name, "identity": taken.identity, "made": taken.made, "scores": scores})
    store.mkdir(parents=True, exist_ok=True)
    with (store / FILE).open("a", encoding="utf-8", newline="\n") as f:
        f.write(line + "\n")


def history(store: Path) -> list[Passed]:
    """Give the history of a store, oldest first; a last line that was cut short is left out.

    Raises:
        StoreError: Another line is broken.
    """
    path = store / FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    found: list[Passed] = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            value = json.loads(line)
            scores = {str(k): (float(v[0]), int(v[1])) for k, v in value["scores"].items()}
            found.append(Passed(str(value["model"]), str(value["identity"]), str(value["made"]), scores))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise StoreError("is no entry of the history", where=f"{path}:{number}", mend="delete the line") from None
    return found
