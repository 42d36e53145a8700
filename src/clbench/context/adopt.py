"""Files that the public scripts left half done are taken over, not paid for again and not lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from clbench.context.grade import answer_digest, state_before
from clbench.context.log import EventLog, Record
from clbench.context.public import GRADE_FIELDS
from clbench.context.rows import Entry, Raw, Reader, read_index, rubrics_of
from clbench.core.events import notice
from clbench.scoring.rubric.judge import Grade, as_record
from clbench.scoring.rubric.verdicts import UNJUDGED, label_of, score_of, statuses_of


def adopted_answers(output: Path, known: Collection[str]) -> list[Record]:
    """Return the answers of an output that has no log, as records of one.

    Args:
        output: The file.
        known: The tasks of the data set.
    """
    records: list[Record] = []
    for entry, row in _rows_of(output):
        text = row.get("model_output")
        if entry.task_id in known and isinstance(text, str) and text.strip():
            record = {"event": "answer", "task_id": entry.task_id, "trial": entry.trial, "state": "ok"}
            records.append({**record, "text": text, "adopted": True})
    return records


def adopted_grades(output: Path, answer: Callable[[tuple[str, int]], Raw | None]) -> list[Record]:
    """Return the grades of an output that has no log, as records of one.

    A grade is taken over if it is of the same answer and has as many clear statuses as there are rubrics, or needs
    none.

    Args:
        output: The file.
        answer: The answer to a task and trial as it is now; None if there is none.
    """
    records: list[Record] = []
    for entry, graded in _rows_of(output):
        row = answer(entry.key)
        if row is None or row.get("model_output") != graded.get("model_output"):
            continue
        labels = [label_of(s) for s in statuses_of(graded.get("requirement_status"))]
        found = Grade(state=state_before(row)[0], status=labels, score=score_of(labels, len(rubrics_of(row))))
        if found.state == "ok" and (not labels or len(labels) != len(rubrics_of(row)) or UNJUDGED in labels):
            continue
        found.score = found.score if found.state == "ok" else 0
        found.rationale, found.judge_score = str(graded.get("grading_rationale") or ""), graded.get("score")
        found.flags = ["taken over"]
        found.public = {name: graded.get(name) for name in GRADE_FIELDS}
        place = {"event": "grade", "task_id": entry.task_id, "trial": entry.trial, "answer": answer_digest(row)}
        records.append({**place, **as_record(found), "adopted": True})
    return records


def begin(log: EventLog, manifest: Record, adopted: Sequence[Record], output: Path) -> None:
    """Begin a log with what is taken over and the manifest; the output is kept as `<name>.before`.

    The manifest comes last: a log without one is begun again, so that a kill at any moment loses nothing.
    """
    for record in (*adopted, manifest):
        log.append(record)
    if output.exists():
        before = output.with_name(f"{output.name}.before")
        output.replace(before)
        what = f"{len(adopted)} of its rows are taken over, and nobody can check which model wrote them"
        notice(f"{output} has no log: {what}; it is kept as {before.name}")


def _rows_of(output: Path) -> Iterator[tuple[Entry, Raw]]:
    if output.exists():
        index = read_index(output)
        with Reader(output) as reader:
            for entry in index.entries:
                yield entry, reader.read(entry)
