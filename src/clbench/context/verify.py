"""A submission against its data set: is every task there once, unchanged, graded as its rubrics say, and answered?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from clbench.context.findings import Finding
from clbench.context.graded import (
    Raw,
    TaskFacts,
    TaskSet,
    digest_of,
    facts_of,
    graded_of,
    labels_of,
    lines,
    row_of,
    score_of,
    trial_of,
)
from clbench.context.reference import Reference, read_references, value_digest
from clbench.core.errors import DataError
from clbench.core.keys import normal_text

MEANINGS = {
    "not a row": "a line that cannot be read, or lacks what every row has",
    "field twice": "readers differ in which of the two they take",
    "unknown task": "the data set has no such task",
    "duplicate": "a task is graded twice in one trial",
    "missing": "a task of the data set is not graded in a trial",
    "trials": "there are not as many trials as claimed",
    "messages changed": "they are not those of the data set",
    "rubrics changed": "they are not those of the data set",
    "metadata changed": "it is not that of the data set",
    "not judged": "an answer without labels counts as failed",
    "labels do not fit": "there is not one label for each rubric",
    "label": "it is neither yes nor no",
    "score": "it is not the one that the rubrics' labels give",
    "state": "an answer that is not whole counts as solved",
    "empty answer": "there is nothing that could meet a rubric",
    "same answer": "one text answers several tasks",
    "same trial": "two trials hold the same answers to all tasks",
    "rubric in the answer": "the answering model knew what it was graded by",
    "reference in the answer": "the answering model knew the reference answer",
    "words of the grading prompt": "the answer speaks to the judge",
    "several judges": "grades of different judges do not add up to one rate",
    "several models": "answers of different models do not add up to one rate",
}
# What only the grading prompt and its reply have, folded for comparison.
OF_THE_JUDGE = ("list of requirement satisfaction status", '"overall score"', "【rubrics】", "【student response】")


class Row(NamedTuple):
    """A row of a submission, and what it must agree with."""

    raw: Raw
    where: str
    known: Reference
    answer: str


@dataclass
class _Seen:
    """What rows are held against each other for.

    Attributes:
        places: (file, task, trial) -> where.
        answers: Digest of an answer -> (task, where) of its rows.
        judges, models: How many rows name each.
        passed, declared, rows: Tasks solved by their rubrics, by the rows' own score, and rows read.
    """

    places: dict[tuple[int, str, int], str] = field(default_factory=dict[tuple[int, str, int], str])
    answers: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    by_trial: dict[tuple[int, int], dict[str, str]] = field(default_factory=dict[tuple[int, int], dict[str, str]])
    judges: Counter[str] = field(default_factory=Counter[str])
    models: Counter[str] = field(default_factory=Counter[str])
    passed: int = 0
    declared: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Verdict:
    """What was found in a submission.

    Attributes:
        findings: In the order of the files, then those that concern several rows.
        tasks, trials, rows: Of the data set, and of the submission.
        declared: The rate as the public script counts it: rows whose score is 1 / rows.
        recomputed: Tasks whose rubrics are all met / (tasks x trials).
    """

    findings: tuple[Finding, ...]
    tasks: int
    trials: int
    rows: int
    declared: float
    recomputed: float


def verify(paths: Sequence[Path], dataset: Path, trials: int | None = None) -> Verdict:
    """Hold a submission against its data set.

    Args:
        paths: Its files: parts, or a trial each.
        dataset: The data set.
        trials: How many it claims; None: as many as there are.

    Raises:
        DataError: The data set cannot be read, or there is no such submission.
    """
    known, references = read_references(dataset)
    seen = _Seen()
    findings: list[Finding] = []
    for number, path in enumerate(paths):
        for line, text in lines(path):
            findings += _of_line(text, f"{path}:{line}", line, (number, known, references), seen)
    places = _trials_of(seen)
    findings += _coverage(places, known, trials)
    findings += _answers(seen)
    findings += _mixed(seen.judges, "several judges")
    findings += _mixed(seen.models, "several models")
    num = len({trial for _, trial in places})
    return Verdict(
        findings=tuple(findings),
        tasks=len(known.tasks),
        trials=num,
        rows=seen.rows,
        declared=seen.declared / seen.rows if seen.rows else float("nan"),
        recomputed=seen.passed / (len(known.tasks) * num) if num else 0.0,
    )


def _of_line(
    text: bytes, where: str, line: int, given: tuple[int, TaskSet, dict[str, Reference]], seen: _Seen
) -> list[Finding]:
    number, known, references = given
    seen.rows += 1
    try:
        raw = row_of(text, where, line)
        facts, trial = facts_of(raw, where), trial_of(raw, where)
        found = known.tasks.get(facts.id) or known.by_prompt.get(facts.prompt)
        if found is None:
            return [Finding("unknown task", where, f"task {facts.id} is not in the data set")]
        graded = graded_of(raw, where, line, known)
    except DataError as error:
        return [Finding("not a row", where, error.what)]
    seen.judges[graded.judge] += 1
    seen.models[graded.model] += 1
    seen.declared += score_of(raw.get("score")) == 1
    row = Row(raw, where, references[found.id], _answer_of(raw))
    findings = [*_twice(text, where), *(finding for check in CHECKS for finding in check(row))]
    first = seen.places.setdefault((number, found.id, trial), where)
    if first != where:
        return [*findings, Finding("duplicate", where, f"task {found.id}, trial {trial}, is also in {first}")]
    # A changed rubric list does not make a task easier: the data set says how many labels are needed.
    seen.passed += graded.score and len(graded.met) == row.known.num_rubrics
    _remember(row, found, (number, trial), seen)
    return findings


def _remember(row: Row, task: TaskFacts, trial: tuple[int, int], seen: _Seen) -> None:
    if row.answer.strip() and not _is_checked_exactly(row.raw):
        name = digest_of(row.answer.strip())
        seen.answers.setdefault(name, []).append((task.id, row.where))
        seen.by_trial.setdefault(trial, {})[task.id] = name


def _is_checked_exactly(raw: Raw) -> bool:
    """Return whether a row is of a generated world, where one word rightly answers several tasks."""
    rubrics = raw.get("rubrics")
    found = cast(list[Any], rubrics) if isinstance(rubrics, list) else []
    return bool(found) and all(isinstance(r, dict) and "exact" in r for r in found)


def _answer_of(raw: Raw) -> str:
    answer = raw.get("model_output")
    return answer if isinstance(answer, str) else ""


def _twice(text: bytes, where: str) -> Iterator[Finding]:
    """Yield fields that a line has twice: a reader shows the one, a script counts the other."""
    repeated: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(name for name, _ in pairs)
        repeated.extend(name for name, num in counts.items() if num > 1)
        return dict(pairs)

    json.loads(text.decode("utf-8-sig"), object_pairs_hook=note)
    if repeated:
        yield Finding("field twice", where, f"the row has {', '.join(sorted(set(repeated)))} twice")


def _changed(row: Row) -> Iterator[Finding]:
    for name, wanted in (
        ("messages", row.known.messages),
        ("rubrics", row.known.rubrics),
        ("metadata", row.known.metadata),
    ):
        if name not in row.raw:
            yield Finding(f"{name} changed", row.where, f"task {row.known.task}: the row has no {name}")
        elif value_digest(row.raw[name]) != wanted:
            yield Finding(f"{name} changed", row.where, f"task {row.known.task}: {name} are not those of the data set")


def _labels(row: Row) -> Iterator[Finding]:
    labels, wanted = labels_of(row.raw), row.known.num_rubrics
    if not labels and wanted:
        if row.answer.strip():
            yield Finding("not judged", row.where, f"no labels for {wanted} rubrics")
    elif len(labels) != wanted:
        yield Finding("labels do not fit", row.where, f"{len(labels)} labels for {wanted} rubrics")
    odd = sorted({label for label in labels if label not in ("yes", "no")})
    if odd:
        yield Finding("label", row.where, f"the labels {', '.join(repr(label)[:30] for label in odd[:3])}")


def _score(row: Row) -> Iterator[Finding]:
    labels = labels_of(row.raw)
    wanted = int(bool(labels) and len(labels) == row.known.num_rubrics and set(labels) == {"yes"})
    score = row.raw.get("score")
    if isinstance(score, bool) or score != wanted:
        yield Finding("score", row.where, f"score {score!r:.30}, and its labels give {wanted}")
    elif wanted and row.raw.get("state") not in (None, "ok"):
        yield Finding("state", row.where, f"state {row.raw.get('state')!r:.30} and score 1")


def _texts(row: Row) -> Iterator[Finding]:
    if not row.answer.strip():
        graded = "yes" in labels_of(row.raw) or row.raw.get("score") == 1
        yield Finding(
            "empty answer", row.where, "nothing is answered, and rubrics are met" if graded else "nothing is answered"
        )
        return
    folded = normal_text(row.answer)
    held = [text for text in row.known.rubric_texts if text in folded]
    if held:
        yield Finding("rubric in the answer", row.where, f"{len(held)} rubrics word by word, first: {held[0][:60]}")
    if row.known.answer and row.known.answer in folded:
        yield Finding("reference in the answer", row.where, f"word by word: {row.known.answer[:60]}")
    spoken = [words for words in OF_THE_JUDGE if words in folded]
    if spoken:
        yield Finding("words of the grading prompt", row.where, f"the answer holds {spoken[0]!r}")


CHECKS: tuple[Callable[[Row], Iterator[Finding]], ...] = (_changed, _labels, _score, _texts)


def _trials_of(seen: _Seen) -> dict[tuple[str, tuple[int, int]], str]:
    """Return where each task of each trial is; files that grade the same tasks are trials, others parts of one run."""
    pairs = [(task, trial) for _, task, trial in seen.places]
    parts = len(set(pairs)) == len(pairs)
    return {(task, (0 if parts else file, trial)): where for (file, task, trial), where in seen.places.items()}


def _coverage(places: dict[tuple[str, tuple[int, int]], str], known: TaskSet, trials: int | None) -> Iterator[Finding]:
    there = sorted({trial for _, trial in places})
    if trials is not None and trials != len(there):
        yield Finding("trials", "submission", f"{len(there)} trials, and {trials} are claimed")
    for place, trial in enumerate(there or [(0, 0)]):
        for task in known.tasks:
            if (task, trial) not in places:
                yield Finding("missing", f"trial {place}", f"task {task} is not there")


def _answers(seen: _Seen) -> Iterator[Finding]:
    for rows in seen.answers.values():
        tasks = list(dict.fromkeys(task for task, _ in rows))
        if len(tasks) > 1:
            named = ", ".join(tasks[:3]) + (", ..." if len(tasks) > 3 else "")
            yield Finding("same answer", rows[0][1], f"the same text answers {len(tasks)} tasks: {named}")
    trials = sorted(seen.by_trial)
    for place, one in enumerate(trials):
        for two in trials[place + 1 :]:
            both = seen.by_trial[one].keys() & seen.by_trial[two].keys()
            if len(both) > 1 and all(seen.by_trial[one][task] == seen.by_trial[two][task] for task in both):
                yield Finding("same trial", "submission", f"{len(both)} answers of two trials are the same, each")


def _mixed(names: Counter[str], kind: str) -> Iterator[Finding]:
    if len(names) > 1:
        listed = ", ".join(f"{name or '(not recorded)'} in {num} rows" for name, num in names.most_common(4))
        yield Finding(kind, "submission", listed)
