"""What readers of logs have in common: files, the metric that is taken, and whether a score is a mean over items."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError
from clbench.core.events import notice
from clbench.report.logs.log import LoggedExam, LoggedItem

NOT_KNOWN = "not known"
CLOSE = 1e-6  # by which a score may differ from the mean of its items


def json_object(file: Path, needed: Sequence[str], whose: str) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        DataError: It cannot be read, or lacks one of the fields by which a log is known.
    """
    try:
        value: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"it cannot be read: {error}", where=str(file), mend="bring the file again") from None
    if lacking := [name for name in needed if not isinstance(value, dict) or name not in value]:
        what = f"this is not a log of {whose}: it lacks {', '.join(lacking)}"
        raise DataError(what, where=str(file), mend=f"name a file or a folder that {whose} wrote")
    return value


def json_lines(file: Path, needed: Sequence[str], whose: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file, one a line.

    Raises:
        DataError: Names the line that is not one, or lacks a field.
    """
    try:
        lines = file.open(encoding="utf-8")
    except OSError as error:
        raise DataError(f"it cannot be read: {error}", where=str(file), mend="bring the file again") from None
    with lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                mend = "the file was cut off or damaged: bring it again"
                raise DataError(f"this is not JSON: {error}", where=f"{file}:{number}", mend=mend) from None
            if not isinstance(value, dict) or not set(needed) <= value.keys():
                mend = f"an item of {whose} has {', '.join(needed)}"
                raise DataError(f"this is not an item of {whose}", where=f"{file}:{number}", mend=mend)
            yield value


def chosen_metric(task: str, there: Sequence[str], wanted: str) -> str:
    """Return the metric to take: the wanted one, else the first, with a notice where there are others.

    Raises:
        DataError: The log has no such one, or none at all.
    """
    if not there:
        raise DataError(f"no item of {task} has a score", where="import", mend="score the log, and import it then")
    if wanted and wanted not in there:
        raise DataError(f"{task} has no metric {wanted!r}", where="--metric", mend=f"its log has {', '.join(there)}")
    metric = wanted or there[0]
    if len(there) > 1 and not wanted:
        others = ", ".join(name for name in there if name != metric)
        notice(f"{task}: {metric} is taken; --metric {task}=METRIC takes another ({others})")
    return metric


def number(value: Any) -> float | None:
    """Return a finite number, a switch as 0 or 1; None for anything else."""
    known = isinstance(value, (bool, int, float)) and math.isfinite(value)
    return float(value) if known else None


def merged(task: str, items: Sequence[LoggedItem]) -> tuple[LoggedItem, ...]:
    """Return items by their ids, each once: answers to one question that was asked several times count as their mean.

    Raises:
        DataError: One id stands for several questions.
    """
    by_id: dict[str, list[LoggedItem]] = {}
    for item in items:
        by_id.setdefault(item.id, []).append(item)
    for name, same in by_id.items():
        if len({item.asked for item in same}) > 1:
            what = f"item {name} of {task} stands for {len(same)} questions"
            raise DataError(what, where="import", mend="bring the log of one run")
    most = max(map(len, by_id.values()), default=1)
    if most > 1:
        notice(f"{task}: each question was asked up to {most} times; the mean of its scores is taken")
    return tuple(replace(same[0], score=_mean(same)) for _, same in sorted(by_id.items()))


def _mean(items: Sequence[LoggedItem]) -> float | None:
    known = [item.score for item in items if item.score is not None]
    return math.fsum(known) / len(known) if known else None


def comparable(exam: LoggedExam, whole: Any, close: float = CLOSE) -> LoggedExam | None:
    """Return an exam whose score is a mean over items in [0, 1]; None, with a notice, for another one.

    Args:
        exam: As it was read.
        whole: The score that the log states; None where it states none.
        close: By which that may differ from the mean.
    """
    if why := unfit(exam, whole, close):
        notice(f"{exam.name} is left out: {why}")
        return None
    if missing := sum(item.score is None for item in exam.items):
        notice(f"{exam.name}: {missing} of {len(exam.items)} items have no score")
    return exam


def unfit(exam: LoggedExam, whole: Any, close: float = CLOSE) -> str:
    """Return why a score is not a mean over items in [0, 1]; "" where it is. Arguments as of `comparable`."""
    scores = [item.score for item in exam.items if item.score is not None]
    metric = exam.settings.get("metric", "its score")
    if not scores:
        return f"{metric} of no item is a number"
    if not all(0 <= score <= 1 for score in scores):
        return f"{metric} of one item is not in [0, 1]"
    if whole is not None and (number(whole) is None or abs(float(whole) - math.fsum(scores) / len(scores)) > close):
        return f"its {metric} ({whole}) is not the mean of its items ({math.fsum(scores) / len(scores):.6g})"
    return ""


def check_count(num: int, due: Any, file: Path) -> None:
    """Raise DataError where a log holds fewer items than it says; one that says nothing is taken as it is."""
    if isinstance(due, int) and not isinstance(due, bool) and num < due:
        what = f"it holds {num} items, and says {due}"
        raise DataError(what, where=str(file), mend="it was cut off: bring it again")


def check_found(exams: Sequence[LoggedExam], metrics: Mapping[str, str], where: Path) -> tuple[LoggedExam, ...]:
    """Return the exams of a log, by name.

    Raises:
        DataError: None is there, one is there twice, or a metric was wanted of one that is not there.
    """
    names = [exam.name for exam in exams]
    if unknown := sorted(metrics.keys() - set(names)):
        raise DataError(f"there is no score of a task {unknown[0]!r} in the log", where="--metric", mend=str(where))
    if not exams:
        raise DataError("no score in it is a mean over items, so none can be compared", where=str(where))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{twice[0]} is there twice", where=str(where), mend="bring the log of one run")
    return tuple(sorted(exams, key=lambda exam: exam.name))


def as_text(value: Any) -> str:
    """Return a text as it is, messages as their contents, and anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(v, Mapping) and "content" in v for v in value):
        return "\n".join(as_text(turn["content"]) for turn in value)
    if isinstance(value, list) and value and all(isinstance(v, Mapping) and "text" in v for v in value):
        return "\n".join(as_text(part["text"]) for part in value)
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def bare_turns(value: Any) -> Any:
    """Return a prompt without what differs from run to run: of messages, roles and contents alone."""
    if isinstance(value, list):
        return [
            {"role": t.get("role"), "content": as_text(t.get("content"))} if isinstance(t, Mapping) else t
            for t in value
        ]
    return value
