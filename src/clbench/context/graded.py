"""Graded rows without their texts: task, trial, what the judge said of each rubric, and the score that follows.

Files are the public scripts' graded JSON Lines (plain or packed), with optional fields `trial`, `state`, `judge_score`,
`judge` and `model`. Texts become digests as they are read, so that memory does not grow with their length.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from clbench.context.lines import Raw, Wrong, is_cut_short, numbered, parsed, rubric_text, wrong_list, wrong_message
from clbench.context.rows import UNKNOWN, wrong_metadata, wrong_trial
from clbench.core.errors import DataError, did_you_mean
from clbench.core.events import notice
from clbench.scoring.rubric.verdicts import statuses_of, verdict_of

STATES = ("ok", "empty", "truncated", "refused", "overflow", "infra_error", "judge_error", "missing")
UNJUDGED = frozenset({"infra_error", "judge_error", "missing"})  # nobody knows whether they would pass


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What is known of a task without its texts.

    Attributes:
        id: Its name.
        context: Tasks with the same one share a context; the task's own id where the file names none.
        category, sub_category: As the file says, else "Unknown".
        turn: Number of the user's messages: 1 is the first question to a context.
        chars: Characters of all messages; 0 where the row has none.
        rubrics: A digest of each rubric, blank ones left out; two equal ones get numbers.
        prompt: Digest of the messages; empty where the row has none.
    """

    id: str
    context: str
    category: str
    sub_category: str
    turn: int
    chars: int
    rubrics: tuple[str, ...]
    prompt: str


@dataclass(frozen=True, slots=True)
class Graded:
    """The grade of one answer.

    Attributes:
        task: Its task.
        trial: Of several answers to a task, from 0.
        state: One of `STATES`; read off the row where it does not say.
        met: Whether each rubric was met, in the judge's order; as long as the judge's list.
        odd: How many of the judge's labels are neither yes nor no; they count as no.
        judge_score: The judge's own verdict; None where it is not 0 or 1.
        judge, model: As the row says, else empty.
        answer: Digest of the answer; empty where the row has none.
        dataset: Digest of the data set, if the row names one.
        line: Of the file.
        path: The file.
    """

    task: TaskFacts
    trial: int
    state: str
    met: tuple[bool, ...]
    odd: int
    judge_score: int | None
    judge: str
    model: str
    answer: str
    dataset: str
    line: int
    path: Path = Path()

    @property
    def fits(self) -> bool:
        """Whether there is one verdict for each rubric."""
        return len(self.met) == len(self.task.rubrics)

    @property
    def score(self) -> int:
        """1 if all rubrics are met, of which there is at least one, and the answer is whole; else 0."""
        return int(self.state == "ok" and self.fits and bool(self.met) and all(self.met))

    @property
    def num_met(self) -> int:
        """How many rubrics are met; none of an answer that is not whole, or whose verdicts do not fit."""
        return sum(self.met) if self.state == "ok" and self.fits else 0


@dataclass(frozen=True)
class TaskSet:
    """The tasks of a data set.

    Attributes:
        path: The file.
        tasks: By id, in the order of the file.
        by_prompt: By digest of the messages.
        lines: The line in which each task stands first -> its id.
    """

    path: Path
    tasks: dict[str, TaskFacts]
    by_prompt: dict[str, TaskFacts]
    lines: dict[int, str]

    def rows(self) -> Iterator[tuple[int, str, Raw]]:
        """Yield (line, task, row) of the file, each task once.

        Raises:
            DataError: The file cannot be read any more.
        """
        for line, row in rows(self.path):
            if (task := self.lines.get(line)) is not None:
                yield line, task, row


def rows(path: Path) -> Iterator[tuple[int, Raw]]:
    """Yield (line, row) of a file, one in memory at a time; a last line that is cut short gives a notice.

    Raises:
        DataError: There is no such file, or a line is not a JSON object; names the line.
    """
    for line, text in lines(path):
        try:
            yield line, row_of(text, f"{path}:{line}", line)
        except DataError:
            if not is_cut_short(text):
                raise
            notice(f"{path}: line {line}, the last one, is cut short, as after a crash; it counts as absent")


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (line, bytes) of a file's lines that are not blank.

    Raises:
        DataError: There is no such file, it holds something else than lines, or it is packed and damaged.
    """
    for number, _, line in numbered(path):
        if line.strip():
            yield number, line


def row_of(text: bytes, where: str, number: int = 0) -> Raw:
    """Return the JSON object of a line.

    Args:
        text: The line.
        where: Names it in errors.
        number: Of the line; 1 lets mistakes of a whole file be told.

    Raises:
        DataError: It is not one.
    """
    found = parsed(text, number)
    if isinstance(found, Wrong):
        raise found.at(where)
    return found


def digest_of(text: str) -> str:
    """Return 16 hex digits of a text, half characters included."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def list_at(row: Raw, field: str, where: str) -> list[Any]:
    """Return a list of a row, empty where the row has none.

    Raises:
        DataError: It is something else; names the field.
    """
    found = row.get(field)
    if (wrong := wrong_list(field, found)) is not None:
        raise wrong.at(where)
    return cast(list[Any], found or [])


def rubric_texts(row: Raw, where: str) -> list[str]:
    """Return the texts of a row's rubrics, strings or objects with `rubric_criteria`; blank ones are left out.

    Raises:
        DataError: One of them is something else.
    """
    found = [rubric_text(each) for each in list_at(row, "rubrics", where)]
    for each in found:
        if isinstance(each, Wrong):
            raise each.at(where)
    return [each for each in found if isinstance(each, str) and each]


def message_texts(row: Raw, where: str) -> list[tuple[str, str]]:
    """Return (role, text) of a row's messages; text that is not a string as its JSON.

    Raises:
        DataError: One of them is not a message.
    """
    found: list[tuple[str, str]] = []
    for message in list_at(row, "messages", where):
        if (wrong := wrong_message(message)) is not None:
            raise wrong.at(where)
        role, text = (cast(Raw, message).get(name) for name in ("role", "content"))
        found.append((str(role), text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)))
    return found


def facts_of(row: Raw, where: str) -> TaskFacts:
    """Return what a row says of its task.

    Raises:
        DataError: It names no task, or a field has another type; names the field.
    """
    if (wrong := wrong_metadata(row)) is not None:
        raise wrong.at(where)
    given = row.get("metadata")
    metadata = cast(Raw, given) if isinstance(given, dict) else {}
    own, idx = metadata.get("task_id"), row.get("idx")
    name = idx if own is None or (isinstance(idx, str) and idx.startswith(f"{own}#")) else own
    if name in (None, "", -1):
        raise DataError("there is neither metadata.task_id nor idx", where=where, mend="give each task an id")
    messages = message_texts(row, where)
    return TaskFacts(
        id=str(name),
        context=str(metadata.get("context_id") or str(name).partition("#")[0]),
        category=str(metadata.get("context_category") or UNKNOWN),
        sub_category=str(metadata.get("sub_category") or metadata.get("context_subcategory") or UNKNOWN),
        turn=sum(role == "user" for role, _ in messages),
        chars=sum(len(text) for _, text in messages),
        rubrics=_numbered(rubric_texts(row, where)),
        prompt=digest_of(json.dumps(messages)) if messages else "",
    )


def _numbered(texts: Iterable[str]) -> tuple[str, ...]:
    seen: Counter[str] = Counter()
    found: list[str] = []
    for text in texts:
        name = digest_of(text)
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return tuple(found)


def trial_of(row: Raw, where: str) -> int:
    """Return the trial of a row, 0 where it names none.

    Raises:
        DataError: It is not a whole number, or too large.
    """
    if (wrong := wrong_trial(row)) is not None:
        raise wrong.at(where)
    return int(row.get("trial", 0))


def labels_of(row: Raw) -> list[str]:
    """Return the judge's labels in lower case; none where the field holds no list."""
    return [str(s).strip().lower() for s in statuses_of(row.get("requirement_status"))]


def graded_of(row: Raw, where: str, line: int, known: TaskSet | None = None) -> Graded:
    """Return the grade of a row; what the row does not say of its task is read off the data set.

    Raises:
        DataError: A field is wrong, the row has no rubrics and no data set is given, or the data set lacks the task.
    """
    facts = facts_of(row, where)
    if known is not None:
        facts = _joined(facts, known, where)
    elif "rubrics" not in row:
        raise DataError("the row has no rubrics", where=where, mend="name the data set with --dataset")
    labels = [verdict_of(label) for label in labels_of(row)]
    yes = ("yes", "n/a") if _leaves_out(row) and "yes" in labels else ("yes",)
    answer = row.get("model_output")
    text = answer if isinstance(answer, str) else "" if answer is None else json.dumps(answer)
    return Graded(
        task=facts,
        trial=trial_of(row, where),
        state=_state_of(row, where, bool(text.strip()) or "model_output" not in row, bool(labels)),
        met=tuple(label in yes for label in labels),
        odd=sum(label not in ("no", *yes) for label in labels),
        judge_score=score_of(row["judge_score"] if row.get("judge_score") is not None else row.get("score")),
        judge=_named(row.get("judge") or row.get("judge_model")),
        model=_named(row.get("model") or row.get("served_model")),
        answer=digest_of(text) if "model_output" in row else "",
        dataset=_named(row.get("dataset")),
        line=line,
    )


def _leaves_out(row: Raw) -> bool:
    """Return whether a row was graded so that "n/a" does not count against its answer."""
    judge = row.get("judge")
    return isinstance(judge, dict) and cast(Raw, judge).get("na") == "exclude"


def _state_of(row: Raw, where: str, answered: bool, judged: bool) -> str:
    state = row.get("state")
    if state is not None and state not in STATES:
        hint = did_you_mean(str(state), STATES)
        raise DataError(f"state is {state!r:.40}, which is not a state", where=where, mend=hint)
    if state is None or state == "ok":
        return "empty" if not answered else "ok" if judged else "judge_error"
    return str(state)


def score_of(value: Any) -> int | None:
    """Return a judge's own score as 0 or 1; None where it is neither.

    Example:
        >>> score_of("1"), score_of(True), score_of(0.0), score_of("good"), score_of(None)
        (1, 1, 0, None, None)
    """
    return {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}.get(str(value).strip().lower())


def _named(value: Any) -> str:
    """Return who judged or answered as one text: a name, or name and digest of an object with more facts."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    facts = cast(Raw, value)
    kind, model = facts.get("name"), facts.get("model")
    name = str(model or "judge") if kind in (None, "", "openai") else str(kind)  # openai: any address of that kind
    alone = list(facts.values()) == [name]
    return name if alone or not facts else f"{name} ({digest_of(json.dumps(facts, sort_keys=True))[:6]})"


def _joined(facts: TaskFacts, known: TaskSet, where: str) -> TaskFacts:
    """Return the data set's facts of a row's task, with the row's own rubrics where it has some."""
    found = known.tasks.get(facts.id) or known.by_prompt.get(facts.prompt)
    if found is None:
        near = did_you_mean(facts.id, known.tasks) if len(known.tasks) <= 5000 else "see `clbench context verify`"
        raise DataError(f"task {facts.id} is not in {known.path}", where=where, mend=near)
    return replace(found, rubrics=facts.rubrics) if facts.rubrics not in ((), found.rubrics) else found


def read_tasks(path: Path) -> TaskSet:
    """Read a data set.

    Raises:
        DataError: A row is wrong, or there is none.
    """
    read = [(facts_of(row, f"{path}:{line}"), line) for line, row in rows(path)]
    if not read:
        raise DataError("holds no rows", where=str(path), mend="name the data set, one JSON object per line")
    named = of_the_old_shape([facts for facts, _ in read], numbered=True)
    tasks: dict[str, TaskFacts] = {}
    places: dict[int, str] = {}
    for facts, (_, line) in zip(named, read, strict=True):
        if tasks.setdefault(facts.id, facts) is facts:
            places[line] = facts.id
    if num := len(named) - len(tasks):  # answers and verdicts are asked for the first of them, too
        notice(f"{path}: {num} rows repeat a task; each task counts once")
    return TaskSet(path, tasks, {facts.prompt: facts for facts in tasks.values() if facts.prompt}, places)


def read_graded(path: Path, known: TaskSet | None = None) -> list[Graded]:
    """Read a graded file.

    Raises:
        DataError: A row is wrong (names line and field), or there is none.
    """
    shared: dict[TaskFacts, TaskFacts] = {}
    found: list[Graded] = []
    for line, row in rows(path):
        each = graded_of(row, f"{path}:{line}", line, known)
        found.append(replace(each, task=shared.setdefault(each.task, each.task), path=path))
    if not found:
        raise DataError("holds no rows", where=str(path), mend="name a graded file, one JSON object per line")
    if known is not None:
        return found
    named = of_the_old_shape([each.task for each in found], numbered=False)
    return [replace(each, task=task) for each, task in zip(found, named, strict=True)]


def of_the_old_shape(tasks: list[TaskFacts], *, numbered: bool) -> list[TaskFacts]:
    """Return tasks with ids of their own where one id stands for several prompts: so it was before contexts had ids.

    The old id names the context. The n-th prompt of an id in a data set becomes `<old id>#<n>`; graded files are in any
    order and may lack rows, so there a digest of the prompt stands for n.
    """
    prompts: dict[str, dict[str, int]] = {}
    for task in tasks:
        seen = prompts.setdefault(task.id, {})
        seen.setdefault(task.prompt, len(seen) + 1)
    if any(task.context != task.id for task in tasks) or all(len(seen) == 1 for seen in prompts.values()):
        return tasks
    names = [str(prompts[task.id][task.prompt]) if numbered else task.prompt[:8] for task in tasks]
    return [replace(t, id=f"{t.id}#{name}", context=t.id) for t, name in zip(tasks, names, strict=True)]
