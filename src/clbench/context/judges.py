"""Judges that need no network: exact checks, people (a CSV file), and recorded replies."""

from __future__ import annotations

import csv
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clbench.context.grade import grade, seen_of, state_before
from clbench.context.labels import sheet_rows
from clbench.context.log import records
from clbench.context.rows import Entry, Raw, rubrics_of
from clbench.core.chat import Reply, Usage
from clbench.core.errors import DataError
from clbench.core.events import notice
from clbench.models.api.errors import ApiError, Failure
from clbench.scoring.rubric.exact import statuses
from clbench.scoring.rubric.judge import Call, Grade, JudgeSettings
from clbench.scoring.rubric.verdicts import UNJUDGED, NaPolicy, label_of, score_of, verdict_of

COLUMNS = ("task_id", "trial", "rubric_index", "rubric", "response", "label")


@dataclass(frozen=True)
class SheetLabel:
    """A label of people, the rubric as their sheet has it (None: it has no such column), and where it stands."""

    text: str
    rubric: str | None
    where: str


Labels = dict[tuple[str, int, int], SheetLabel]
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
        DataError: The file is not such a sheet, or a line cannot be read or has a label that says neither yes nor no.
    """
    labels: Labels = {}
    for where, line in sheet_rows(path):
        try:
            key = (line["task_id"], int(line.get("trial") or 0), int(line["rubric_index"]))
        except ValueError as error:
            mend = "rubric_index and trial are whole numbers, as the sheet had them"
            raise DataError(str(error), where=where, mend=mend) from error
        if not line["label"]:
            continue
        if verdict_of(line["label"]) is None:
            mend = "write yes, no or n/a, or leave it empty"
            raise DataError(f"label is {line['label']!r:.40}", where=where, mend=mend)
        if key in labels and verdict_of(labels[key].text) != verdict_of(line["label"]):
            raise DataError("the rubric has another label already", where=where, mend=f"see {labels[key].where}")
        labels[key] = SheetLabel(line["label"], line.get("rubric"), where)
    return labels


def grade_by_people(row: Raw, key: tuple[str, int], labels: Labels, na: NaPolicy) -> Grade:
    """Return the grade that a sheet's labels make; a rubric without a label leaves the row unjudged.

    Raises:
        DataError: A line of the sheet holds another rubric than the one that its number names.
    """
    found = unjudged(row)
    if found.state != "ok":
        return found
    rubrics = rubrics_of(row)
    given = [labels.get((*key, k)) for k in range(len(rubrics))]
    for label, rubric in zip(given, rubrics, strict=True):
        if label is not None and label.rubric is not None and not _same_text(label.rubric, rubric):
            what = f"the rubric is not the one that its number names in task {key[0]}"
            mend = "keep the lines as the sheet had them; its first rubric is 0, while that of `calibrate --plan` is 1"
            raise DataError(what, where=label.where, mend=mend)
    found.status = [UNJUDGED if label is None else label_of(label.text, na) for label in given]
    if UNJUDGED in found.status or not rubrics:
        num = len(rubrics) - found.status.count(UNJUDGED)
        found.state, found.rationale = "judge_error", f"the sheet labels {num} of {len(rubrics)} rubrics"
    else:
        found.score, found.rationale = score_of(found.status, len(rubrics)), "labelled by people"
    return found


def _same_text(cell: str, rubric: str) -> bool:
    """Return whether a cell holds a rubric, but for what spreadsheets do to spaces and to a first quote."""
    one, two = (" ".join(text.split()).removeprefix("'") for text in (cell, rubric))
    return one == two


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
        return Reply(
            call["text"],
            finish_reason=call["finish_reason"],
            model=call["model"],
            refusal=call.get("refusal", ""),
        )

    found = await grade(row, settings, ask, root=(recorded or {}).get("root") or "none")
    found.usage = Usage(**(recorded or {}).get("judge_usage") or {})
    return found


def _as_text(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


async def exactly(_entry: Entry, row: Raw) -> Grade:
    """Grade by exact checks; see `grade_exactly`."""
    return grade_exactly(row)


def from_people(labels: Labels, na: NaPolicy, answers: Collection[tuple[str, int]]) -> Offline:
    """Return a judge that reads a sheet's labels; labels of other answers than these are told."""
    if strange := [label for key, label in labels.items() if key[:2] not in answers]:
        notice(f"{strange[0].where}: {len(strange)} labels are of answers that are not graded here; they do not count")

    async def judge(entry: Entry, row: Raw) -> Grade:
        return grade_by_people(row, entry.key, labels, na)

    return judge


def from_replies(replies: Replies, settings: JudgeSettings) -> Offline:
    """Return a judge that reads recorded replies again."""

    async def judge(entry: Entry, row: Raw) -> Grade:
        return await grade_again(row, replies.get(entry.key), settings)

    return judge
