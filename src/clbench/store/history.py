"""What checkpoints scored, one after another: a line for each checkpoint that the gate examined."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from clbench.core.baseline import Baseline
from clbench.core.errors import StoreError
from clbench.core.graded import GradedItems
from clbench.core.keys import canonical

FILE = "gates.jsonl"


@dataclass(frozen=True)
class Sitting:
    """The result of one exam of a checkpoint.

    Attributes:
        score: By the exam's own rule over the items that were graded, in [0, 1].
        items: The number of these items.
        digest: The digest of its questions; empty in lines of an older clbench.
        row: The scores item by item; None in lines of an older clbench.
        groups: What each item belongs to; empty where every item stands for itself.
        scorer: Name of the scorer that graded it.
    """

    score: float
    items: int
    digest: str = ""
    row: GradedItems | None = None
    groups: tuple[str, ...] = ()
    scorer: str = ""


@dataclass(frozen=True)
class Passed:
    """The exam results of one checkpoint.

    Attributes:
        model, identity, made_at: Its name, its identity, and when it was examined.
        sittings: Exam -> its result.
        regressed: Exams in which the gate found it worse.
    """

    model: str
    identity: str
    made_at: str
    sittings: dict[str, Sitting]
    regressed: frozenset[str] = frozenset()

    @property
    def scores(self) -> dict[str, tuple[float, int]]:
        """Exam -> (mean score, items)."""
        return {name: (s.score, s.items) for name, s in self.sittings.items()}


def remember(
    store: Path, baseline: Baseline, regressed: Collection[str] = (), by_rule: Mapping[str, float] | None = None
) -> None:
    """Add a checkpoint to the history of a store, unless the last lines say the same already.

    Args:
        store: Its folder; made if missing.
        baseline: The scores of the checkpoint.
        regressed: Exams in which the gate found it worse.
        by_rule: Exam -> its score where that is not the mean of its items.
    """
    scores: dict[str, list[float | int]] = {}
    items: dict[str, Any] = {}
    for exam in baseline.exams:
        exam_scores = exam.scores
        values = exam_scores.rows[0].values()
        there = values[~np.isnan(values)]
        if len(there):
            scores[exam_scores.exam] = [(by_rule or {}).get(exam_scores.exam, float(there.mean())), len(there)]
            known = {"digest": exam_scores.digest, "row": exam_scores.rows[0], "groups": exam_scores.groups}
            items[exam_scores.exam] = known | {"scorer": exam_scores.scorer.name}
    value = {"model": baseline.model.name, "identity": baseline.identity, "made": baseline.made, "scores": scores}
    line = canonical(value | {"sheets": items, "regressed": sorted(regressed)})

    def is_said() -> bool:
        last = history(store)[-1:]
        same = [p for p in last if p.identity == baseline.identity and p.regressed >= set(regressed)]
        return any(all(p.scores.get(n) == tuple(v) for n, v in scores.items()) for p in same)

    if is_said():  # then the store need not be writable
        return
    store.mkdir(parents=True, exist_ok=True)
    with (store / FILE).open("ab") as f, _alone(f):
        if is_said():
            return
        f.truncate(_bytes_of_lines(store / FILE))
        f.write(line.encode() + b"\n")


@contextmanager
def _alone(file: BinaryIO) -> Generator[None]:
    """Lock a file against other commands, which would take a line that is half written for one that was cut short."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system that knows no locks
        yield
        return
    try:
        yield
        file.flush()
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _bytes_of_lines(path: Path) -> int:
    """Return the number of bytes up to the end of the last complete line."""
    return path.read_bytes().rfind(b"\n") + 1


def history(store: Path) -> list[Passed]:
    """Return the history of a store, oldest first; a last line that was cut short is left out.

    Successive lines of one checkpoint are merged.

    Raises:
        StoreError: Another line is broken.
    """
    path = store / FILE
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    found: list[Passed] = []
    sizes: dict[str, int] = {}  # digest of questions -> their number
    for number, line in enumerate(lines[:-1], start=1):
        try:
            passed = _passed(json.loads(line.decode()), sizes)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            raise StoreError(
                "is not an entry of the history", where=f"{path}:{number}", mend="delete the line"
            ) from None
        if found and found[-1].identity == passed.identity:  # examined again, in more exams or with another verdict
            last = found.pop()
            sittings = last.sittings | passed.sittings
            passed = replace(passed, sittings=sittings, regressed=last.regressed | passed.regressed)
        found.append(passed)
    return found


def _passed(value: Mapping[str, Any], sizes: dict[str, int]) -> Passed:
    """Return the checkpoint of a line; raises ValueError and the like for a bad line or rows of another length."""
    items_of = value.get("sheets", {})
    sittings: dict[str, Sitting] = {}
    for name, (score, items) in value["scores"].items():
        more = items_of.get(name)
        if not (0 <= float(score) <= 1 and int(items) > 0):
            raise ValueError(f"{score} of {items} items is not a score")
        if more is None:
            sittings[str(name)] = Sitting(float(score), int(items))
        else:
            row, groups = GradedItems.model_validate(more["row"]), tuple(map(str, more["groups"]))
            asked, scorer = str(more["digest"]), str(more["scorer"])
            size = sizes.setdefault(asked, row.items)
            if not row.items == size == (len(groups) or size):
                raise ValueError(f"{row.items} scores of {size} items")
            sittings[str(name)] = Sitting(float(score), int(items), asked, row, groups, scorer)
    regressed = frozenset(map(str, value.get("regressed", ())))
    return Passed(str(value["model"]), str(value["identity"]), str(value["made"]), sittings, regressed)
