"""The defects of a data set: ids, conversations, rubrics; and rubrics that no answer meets, or that need no context."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from clbench.context.findings import Finding
from clbench.context.graded import Graded, Raw, TaskSet, facts_of, lines, message_texts, row_of, rubric_texts
from clbench.context.reference import value_digest
from clbench.core.errors import DataError
from clbench.core.keys import normal_text

MEANINGS = {
    "not a row": "the public scripts stop at it, or leave it out",
    "no id": "rows without an id all count as one",
    "id twice": "the same task is asked and counted twice",
    "old shape": "ids name contexts, not tasks: a resumed run leaves out all but one task of each",
    "no category": "it falls out of every table by category",
    "messages": "the conversation does not end with a question, or parts of it are empty",
    "not a continuation": "a later turn does not continue an earlier one of its context: prefixes cannot be cached",
    "no rubrics": "the task cannot be solved",
    "blank rubric": "it is left out, and the numbers of the others no longer fit",
    "rubric twice": "it counts twice in rubric rates",
    "long rubric": "judges are less certain of long rubrics",
    "compound rubric": "it asks for several things, and one that lacks fails it",
    "never met": "no graded answer meets it: too hard, or wrong",
    "met without the context": "it does not test what the context teaches",
}
LONG = 400  # characters
COMPOUND = re.compile(r"\band\b.*\band\b", re.IGNORECASE | re.DOTALL)
LEAST_ANSWERS = 2  # one answer that fails tells little of a rubric


@dataclass(frozen=True)
class Audit:
    """What was found in a data set, and its size."""

    findings: tuple[Finding, ...]
    rows: int
    contexts: int
    rubrics: int


class _Row(NamedTuple):
    """A row of a data set without its long texts."""

    where: str
    id: str
    context: str
    names_context: bool
    prefixes: tuple[str, ...]  # digests of the first 1, 2, ... messages
    prompt: str


def audit(
    dataset: Path, graded: Sequence[Graded] = (), floor: Sequence[Graded] = (), known: TaskSet | None = None
) -> Audit:
    """Look for defects of a data set.

    Args:
        dataset: The file.
        graded: Answers of systems, with the context.
        floor: Answers of systems that were not shown the context.
        known: The tasks as `read_tasks` reads them; needed with answers.

    Raises:
        DataError: There is no such file, or it holds no rows.
    """
    findings: list[Finding] = []
    read: list[_Row] = []
    num = rubrics = 0
    for line, row in _tolerant(dataset, findings):
        num += 1
        where = f"{dataset}:{line}"
        try:
            each = _row(row, where)
            texts = rubric_texts(row, where)
            findings += [*_ids(row, where), *_messages(row, where), *_rubrics(row, texts, where)]
        except DataError as error:
            findings.append(Finding("no id" if "task_id" in error.what else "not a row", where, error.what))
            continue
        rubrics += len(texts)
        read.append(each)
    if not num and not findings:
        raise DataError("holds no rows", where=str(dataset), mend="name the data set, one JSON object per line")
    findings += [*_twice(read), *_continued(read)]
    if known is not None:
        findings += _never_met(dataset, graded, floor, known)
    order = {kind: place for place, kind in enumerate(MEANINGS)}
    findings.sort(key=lambda f: order[f.kind])
    return Audit(tuple(findings), num, len({each.context for each in read}), rubrics)


def _tolerant(path: Path, findings: list[Finding]) -> Iterator[tuple[int, Raw]]:
    """Yield the rows of a file; lines that are not rows become findings."""
    for line, text in lines(path):
        try:
            row = row_of(text, f"{path}:{line}", line)
        except DataError as error:
            findings.append(Finding("not a row", f"{path}:{line}", error.what))
            continue
        yield line, row


def _row(row: Raw, where: str) -> _Row:
    facts = facts_of(row, where)
    messages = cast(list[Any], row.get("messages") or [])
    prefixes = tuple(value_digest(messages[: n + 1]) for n in range(len(messages)))
    metadata = cast(Raw, row.get("metadata") or {})
    return _Row(where, facts.id, facts.context, "context_id" in metadata, prefixes, facts.prompt)


def _ids(row: Raw, where: str) -> Iterator[Finding]:
    metadata = row.get("metadata")
    if not isinstance(metadata, dict):
        yield Finding("no id", where, "there is no metadata; idx stands for the id")
    elif not cast(Raw, metadata).get("context_category"):
        yield Finding("no category", where, "context_category is missing")


def _messages(row: Raw, where: str) -> Iterator[Finding]:
    texts = message_texts(row, where)
    if not texts:
        yield Finding("messages", where, "there are none")
        return
    if texts[-1][0] != "user":
        yield Finding("messages", where, f"the last one is of {texts[-1][0]!r}, not of the user")
    empty = [str(n) for n, (_, text) in enumerate(texts, start=1) if not text.strip()]
    if empty:
        yield Finding("messages", where, f"empty: {', '.join(empty)} of {len(texts)}")
    odd = sorted({role for role, _ in texts} - {"system", "user", "assistant", "developer", "tool"})
    if odd:
        yield Finding("messages", where, f"of unknown roles: {', '.join(odd)}")


def _rubrics(row: Raw, texts: Sequence[str], where: str) -> Iterator[Finding]:
    if not texts:
        yield Finding("no rubrics", where, "there are none")
    if blank := len(cast(list[Any], row.get("rubrics") or [])) - len(texts):
        yield Finding("blank rubric", where, f"{blank} of {blank + len(texts)}")
    for text, num in Counter(normal_text(t) for t in texts).items():
        if num > 1:
            yield Finding("rubric twice", where, f"{num} times: {text[:80]}")
    for number, text in enumerate(texts, start=1):
        if len(text) > LONG:
            yield Finding("long rubric", where, f"rubric {number}: {len(text)} characters")
        elif COMPOUND.search(text):
            yield Finding("compound rubric", where, f"rubric {number}: {text[:80]}")


def _twice(read: Sequence[_Row]) -> Iterator[Finding]:
    by_id: dict[str, list[_Row]] = defaultdict(list)
    for each in read:
        by_id[each.id].append(each)
    for name, same in by_id.items():
        prompts = {each.prompt for each in same}
        if len(prompts) > 1 and not any(each.names_context for each in same):
            yield Finding("old shape", same[0].where, f"id {name} names a context of {len(prompts)} tasks")
        elif len(same) > 1:
            yield Finding("id twice", same[1].where, f"task {name} is also in {same[0].where}")


def _continued(read: Sequence[_Row]) -> Iterator[Finding]:
    """Yield rows that have a shorter row of their context beside them, and continue none of these."""
    by_context: dict[str, list[_Row]] = defaultdict(list)
    for each in read:
        by_context[each.context].append(each)
    for siblings in by_context.values():
        for each in siblings:
            shorter = [other for other in siblings if 0 < len(other.prefixes) < len(each.prefixes)]
            if shorter and not any(each.prefixes[len(o.prefixes) - 1] == o.prefixes[-1] for o in shorter):
                what = f"{len(each.prefixes)} messages, which begin like none of its {len(shorter)} shorter siblings"
                yield Finding("not a continuation", each.where, what)


def _never_met(dataset: Path, graded: Sequence[Graded], floor: Sequence[Graded], known: TaskSet) -> Iterator[Finding]:
    with_it, without = _met_by_rubric(graded), _met_by_rubric(floor)
    for line, task, row in known.rows():
        where = f"{dataset}:{line}"
        texts = rubric_texts(row, where)
        for number, (rubric, text) in enumerate(zip(known.tasks[task].rubrics, texts, strict=True), start=1):
            met, total = with_it.get((task, rubric), (0, 0))
            if total >= LEAST_ANSWERS and not met:
                yield Finding("never met", where, f"rubric {number}, by {total} answers: {text[:80]}")
            met, total = without.get((task, rubric), (0, 0))
            if met:
                what = f"rubric {number}, by {met} of {total} answers: {text[:80]}"
                yield Finding("met without the context", where, what)


def _met_by_rubric(graded: Sequence[Graded]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (met, answers) of every rubric of every task, of answers whose labels fit."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for each in graded:
        if each.state != "ok" or not each.fits:
            continue
        for rubric, met in zip(each.task.rubrics, each.met, strict=True):
            before = found.get((each.task.id, rubric), (0, 0))
            found[each.task.id, rubric] = (before[0] + met, before[1] + 1)
    return found
