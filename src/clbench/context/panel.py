"""Grades of several judges as one: a panel. Each judge's own file and figure stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from clbench.context.graded import labels_of
from clbench.context.rows import Entry, Raw, Reader, dumped, read_index, rubrics_of, write_lines
from clbench.core.chat import Usage, usage_of_record
from clbench.core.errors import DataError
from clbench.scoring.rubric.verdicts import UNJUDGED, score_of, verdict_of
from clbench.stats.panel import dawid_skene, majority, unanimous

Rule = Literal["majority", "unanimous", "dawid-skene"]
Key = tuple[str, int]
WITHOUT = ("empty", "truncated", "refused", "overflow", "infra_error", "missing")  # states that need no judge


@dataclass(frozen=True)
class Panel:
    """Judges and how they become one.

    Attributes:
        files: Judge -> its graded file.
        rule: "majority" of all judges, "unanimous", or "dawid-skene", which weighs them by their agreement.
    """

    files: Mapping[str, Path]
    rule: Rule = "majority"


def part_of(output: Path, judge: str) -> Path:
    """Return where a judge's own grades are written: `x_graded.jsonl` has `x_graded.by-JUDGE.jsonl`.

    Example:
        >>> part_of(Path("x_graded.jsonl"), "org/o3:high").name
        'x_graded.by-org_o3_high.jsonl'
    """
    name = judge.replace("/", "_").replace(":", "_")
    return output.with_name(f"{output.name.removesuffix('.jsonl')}.by-{name}.jsonl")


def write_panel(panel: Panel, output: Path) -> int:
    """Write the panel's grades; return the number of rows.

    A rubric whose verdict the judges that said nothing could change leaves the row unjudged.

    Raises:
        DataError: A file cannot be read, or the judges graded other rows.
    """
    indices = {judge: read_index(path) for judge, path in panel.files.items()}
    (first, *others) = indices.values()
    order = first.by_key()
    for other in others:
        if other.by_key().keys() != order.keys():
            mend = "run the same command again: it grades what lacks"
            raise DataError("holds other rows than the file of the first judge", where=str(other.path), mend=mend)
    places = {judge: index.by_key() for judge, index in indices.items()}
    with ExitStack() as stack:
        readers = {judge: stack.enter_context(Reader(index.path)) for judge, index in indices.items()}

        def read(key: Key) -> dict[str, Raw]:
            return {judge: readers[judge].read(places[judge][key]) for judge in panel.files}

        weighed = _weighed(order, read) if panel.rule == "dawid-skene" else {}

        def lines() -> Iterator[bytes]:
            for key in order:
                yield dumped(_row(panel, read(key), weighed.get(key, [])))

        return write_lines(output, lines())


def _row(panel: Panel, rows: Mapping[str, Raw], weighed: Sequence[bool | None]) -> Raw:
    found = dict(next(iter(rows.values())))
    verdicts = {judge: verdicts_of(row) for judge, row in rows.items()}
    judge = {"name": "panel", "rule": panel.rule, "judges": [row.get("judge") for row in rows.values()]}
    usages = [usage_of_record(row.get("judge_usage") or {}) for row in rows.values()]
    found |= {
        "judge": judge,
        "judge_usage": sum(usages, Usage()).plain(),
        "judge_score": None,
        "judges": {name: row.get("requirement_status") for name, row in rows.items()},
        "flags": sorted({f"{name}: {flag}" for name, row in rows.items() for flag in row.get("flags") or ()}),
    }
    if found.get("state") in WITHOUT:
        return found
    num = len(rubrics_of(found))
    said = _said(panel.rule, [verdicts[name] for name in rows], num, weighed)
    found["requirement_status"] = [UNJUDGED if met is None else "yes" if met else "no" for met in said]
    found["state"] = "judge_error" if None in said or not said else "ok"
    found["score"] = score_of(found["requirement_status"], num)
    passing = ", ".join(f"{name} {row.get('score')}" for name, row in rows.items())
    found["grading_rationale"] = f"{panel.rule} of {len(rows)} judges; each by itself: {passing}"
    return found


def verdicts_of(row: Raw) -> list[bool | None]:
    """Return a judge's verdicts on the rubrics of a row; None where it said neither yes nor no."""
    num, labels = len(rubrics_of(row)), labels_of(row)
    if row.get("state") not in (None, "ok") or len(labels) != num:
        return [None] * num
    return [{"yes": True, "no": False}.get(verdict_of(label) or "") for label in labels]


def _said(
    rule: Rule, verdicts: Sequence[Sequence[bool | None]], num: int, weighed: Sequence[bool | None]
) -> list[bool | None]:
    if rule == "dawid-skene":
        return list(weighed)
    how = majority if rule == "majority" else unanimous
    return [how([each[k] for each in verdicts]) for k in range(num)]


def _weighed(order: Mapping[Key, Entry], read: Callable[[Key], dict[str, Raw]]) -> dict[Key, list[bool | None]]:
    """Return the verdict of each rubric by Dawid and Skene over all rubrics of all rows."""
    asked: list[tuple[Key, int]] = []
    values: list[list[float]] = []
    for key in order:
        given = [verdicts_of(row) for row in read(key).values()]
        for k in range(min(map(len, given), default=0)):
            asked.append((key, k))
            values.append([np.nan if each[k] is None else float(bool(each[k])) for each in given])
    found: dict[Key, list[bool | None]] = {}
    met = dawid_skene(np.array(values).reshape(len(values), -1)).met if values else []
    for (key, _), p in zip(asked, met, strict=True):
        found.setdefault(key, []).append(None if np.isnan(p) else bool(p > 0.5))
    return found
