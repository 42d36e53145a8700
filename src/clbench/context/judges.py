"""Judges that need no network: exact checks, people (a CSV file), and recorded replies."""

from __future__ import annotations

import csv
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from clbench.context.grade import grade, seen_of, state_before
from clbench.context.log import records
from clbench.context.rows import Entry, Raw, rubrics_of
from clbench.core.chat import Reply, Usage
from clbench.core.errors import DataError
from clbench.models.api.errors import ApiError, Failure
from clbench.scoring.rubric.exact import statuses
from clbench.scoring.rubric.judge import Call, Grade, JudgeSettings
from clbench.scoring.rubric.verdicts import UNJUDGED, NaPolicy, label_of, score_of

COLUMNS = ("task_id", "trial", "rubric_index", "rubric", "response", "label")
Labels = dict[tuple[str, int, int], str]
Replies = dict[tuple[str, int], Raw]
Offline = Callable[[Entry, Raw], Awaitable[Grade]]


def grade_exactly(row: Raw) -> Grade:
    """Grade by the checks that rubrics of generated worlds carry.

    Such a rubric is `{"rubric_criteria": "...", "exact": ["42", "forty-two"]}`.
    A rubric is met if the answer, or its last line, is one of these texts, but for case, width and spaces.
    """
    found = unjudged(row)
    if found.state != "ok":
        return found
    given: list[Any] = row.get("rubrics") or []
    checks = [cast(Raw, r).get("exact") for r in given if isinstance(r, dict)]
    if len(checks) < len(given) or not given or not all(isinstance(c, list) for c in checks):
        found.state, found.rationale = "judge_error", "not every rubric carries an exact check"
        found.status = [UNJUDGED] * len(given)
        return found
    answer = seen_of(row, ("response",)).response
    found.status = statuses(answer, [[str(text) for text in cast(list[Any], c)] for c in checks])
    found.score, found.rationale = score_of(found.status, len(given)), "checked exactly"
    return found


def unjudged(row: Raw) -> Grade:
    """Return the grade of an answer as far as no judge is needed: "ok" is still to be judged."""
    state, flag = state_before(row)
    rationale = "" if state == "ok" else f"not judged: the answer is {state}"
    return Grade(state=state, flags=[flag] if flag else [], rationale=rationale)


def write_sheet(path: Path, rows: Iterable[tuple[str, int, Raw]]) -> int:
    """Write a sheet for people to fill in, a line for each rubric, no verdict beside it; return the number of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    num = 0
    with path.open("x", encoding="utf-8", newline="") as f:
        sheet = csv.writer(f)
        sheet.writerow(COLUMNS)
        for task_id, trial, row in rows:
            if unjudged(row).state != "ok":
                continue
            for k, rubric in enumerate(rubrics_of(row)):
                sheet.writerow((task_id, trial, k, _as_text(rubric), _as_text(str(row["model_output"])), ""))
                num += 1
    return num


def read_sheet(path: Path) -> Labels:
    """Return the labels of a sheet; lines without a label are left out.

    Raises:
        DataError: The file lacks a column, or a line cannot be read.
    """
    with path.open(encoding="utf-8-sig", newline="") as f:
        lines = csv.DictReader(f)
        lacking = [name for name in ("task_id", "rubric_index", "label") if name not in (lines.fieldnames or ())]
        if lacking:
            mend = "let `--judge human:NEW.csv` write a sheet, and fill in its last column"
            raise DataError(f"lacks the column {lacking[0]}", where=str(path), mend=mend)
        labels: Labels = {}
        for line in lines:
            try:
                key = (line["task_id"], int(line.get("trial") or 0), int(line["rubric_index"]))
            except ValueError as error:
                mend = "rubric_index and trial are whole numbers, as the sheet had them"
                raise DataError(str(error), where=f"{path}:{lines.line_num}", mend=mend) from error
            if (line["label"] or "").strip():
                labels[key] = line["label"]
        return labels


def grade_by_people(row: Raw, key: tuple[str, int], labels: Mapping[tuple[str, int, int], str], na: NaPolicy) -> Grade:
    """Return the grade that a sheet's labels make; a rubric without a label leaves the row unjudged."""
    found = unjudged(row)
    if found.state != "ok":
        return found
    num = len(rubrics_of(row))
    given = [labels.get((*key, k)) for k in range(num)]
    found.status = [UNJUDGED if label is None else label_of(label, na) for label in given]
    if UNJUDGED in found.status or not num:
        found.state, found.rationale = (
            "judge_error",
            f"the sheet labels {num - found.status.count(UNJUDGED)} of {num} rubrics",
        )
    else:
        found.score, found.rationale = score_of(found.status, num), "labelled by people"
    return found


def recorded_replies(log: Path) -> Replies:
    """Return the last grade of each answer that a log holds, with the judge's replies.

    Raises:
        DataError: There is no such log.
    """
    if not log.is_file():
        raise DataError("there is no such log", where=str(log), mend="name the .log.jsonl that `context eval` wrote")
    grades = (record for _, record in records(log) if record.get("event") == "grade")
    return {(str(r["task_id"]), int(r["trial"])): r for r in grades}


async def grade_again(row: Raw, recorded: Raw | None, settings: JudgeSettings) -> Grade:
    """Make a grade again from recorded replies, with the code of today; nothing is asked."""
    calls = iter(cast(list[Call], (recorded or {}).get("calls") or []))

    async def ask(_body: dict[str, Any]) -> Reply:
        call = next(calls, None)
        if call is None:
            error = ApiError(Failure("request", "no reply is recorded"), 0)
            error.args = ((recorded or {}).get("grading_rationale") or error.failure.said,)  # as it was told then
            raise error
        return Reply(call["text"], finish_reason=call["finish_reason"], model=call["model"])

    found = await grade(row, settings, ask, root=(recorded or {}).get("root") or "none")
    found.usage = Usage(**(recorded or {}).get("judge_usage") or {})
    return found


def _as_text(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


async def exactly(_entry: Entry, row: Raw) -> Grade:
    """Grade by exact checks; see `grade_exactly`."""
    return grade_exactly(row)


def from_people(labels: Labels, na: NaPolicy) -> Offline:
    """Return a judge that reads a sheet's labels."""

    async def judge(entry: Entry, row: Raw) -> Grade:
        return grade_by_people(row, entry.key, labels, na)

    return judge


def from_replies(replies: Replies, settings: JudgeSettings) -> Offline:
    """Return a judge that reads recorded replies again."""

    async def judge(entry: Entry, row: Raw) -> Grade:
        return await grade_again(row, replies.get(entry.key), settings)

    return judge
