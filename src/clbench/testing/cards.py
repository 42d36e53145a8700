"""The contract of every task card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from clbench.core.errors import DataError
from clbench.core.events import notice
from clbench.core.scorers import notice_doubts
from clbench.core.system_errors import user_path
from clbench.core.types import Answer, Example, Task
from clbench.data.streams.stream import asked
from clbench.data.tasks.card import Card, load_task_card
from clbench.data.tasks.rendering import Folds
from clbench.data.tasks.task import fits, guessed, lock_of, read_task
from clbench.engine.grade import combine_grades, open_scorer
from clbench.testing.outcome import Outcome


def _ids_unique(card: Card, task: Task) -> str:
    for split, examples in (("lesson", task.lesson), ("exam", task.exam), ("dev", task.dev)):
        repeated = [name for name, num in Counter(e.id for e in examples).items() if num > 1]
        if repeated:
            return f"id {repeated[0]!r} occurs {Counter(e.id for e in examples)[repeated[0]]} times in {split}"
    return ""


def _no_leak(card: Card, task: Task) -> str:
    taught = {asked(e): e.id for e in task.lesson}
    found = next((e for e in task.exam if asked(e) in taught), None)
    return f"exam {found.id!r} asks what lesson {taught[asked(found)]!r} asks" if found is not None else ""


def _labels_covered(card: Card, task: Task) -> str:
    if not task.labels:
        # Choices of a row: nothing is covered by another row, but the answer must be among them.
        astray = [e for e in (*task.lesson, *task.exam) if e.choices and e.targets[0] not in e.choices]
        return f"the answer of example {astray[0].id!r} is not among its choices" if astray else ""
    taught = {e.targets[0] for e in task.lesson}
    missing = sorted({e.targets[0] for e in task.exam} - taught) if task.lesson else []
    unknown = sorted({t for e in (*task.lesson, *task.exam) for t in e.targets[:1]} - set(task.labels))
    if unknown:
        return f"label {unknown[0]!r} is outside the set"
    return f"the exam asks for {missing[0]!r}, which no lesson example has" if missing else ""


def _targets_there(card: Card, task: Task) -> str:
    if not card.target and card.check:
        empty = [e.id for e in task.exam if not e.check.strip()]
        return f"example {empty[0]!r} has nothing to check" if empty else ""
    empty = [e.id for e in (*task.lesson, *task.exam) if not e.targets or not e.targets[0].strip()]
    return f"example {empty[0]!r} has no target" if empty else ""


def _is_locked(card: Card, task: Task) -> str:
    if card.lock is None:
        return f"there is no lock; clbench check card {card.name} --lock"
    return "" if fits(card.lock, task) else f"the lock says {card.lock}, the rows give {lock_of(task)}"


def _score(task: Task, says: Callable[[Example], str]) -> float:
    """Return the exam's score; what cannot be graded counts as wrong here, since every row must be gradable."""
    plugin = open_scorer(task.scorer.name)
    scorer = plugin.build(task.scorer.settings)
    grades = [scorer(e, Answer(example_id=e.id, text=says(e))) for e in task.exam]
    return (combine_grades(grades, plugin) or 0.0) * sum(g.score is not None for g in grades) / len(task.exam)


def _oracle_is_right(card: Card, task: Task) -> str:
    score = _score(task, lambda e: e.targets[0])
    return "" if score == 1.0 else f"the right answers score {score:.4f} instead of 1"


def _silence_is_wrong(card: Card, task: Task) -> str:
    score = _score(task, lambda _: "")
    return "" if score == 0.0 else f"empty answers score {score:.4f} instead of 0"


def _guess_rate_is_true(card: Card, task: Task) -> str:
    if (score := _guess_by_grading(task)) > task.guess_rate + 0.05:
        return f"the guess rate is {task.guess_rate:.4f}, and guessing among the choices scores {score:.4f}"
    guess, stated = guessed(task.exam), card.about.get("guess_rate")
    if not guess or stated is None or abs(task.guess_rate - guess) < 0.05:
        return ""
    return f"the stated guess rate is {stated}, and guessing scores {guess:.4f}"


def _guess_by_grading(task: Task) -> float:
    """Return the mean score of all choices of up to 50 questions of up to 50 choices, in [0, 1]; 0 for free text."""
    scorer = open_scorer(task.scorer.name).build(task.scorer.settings)
    asked_ = [e for e in task.exam if 0 < len(e.choices) <= 50][:50]
    scores = [[scorer(e, Answer(example_id=e.id, text=c)).score or 0.0 for c in e.choices] for e in asked_]
    return sum(sum(of) / len(of) for of in scores) / max(len(scores), 1)


CHECKS: dict[str, Callable[[Card, Task], str]] = {
    "ids unique": _ids_unique,
    "no lesson prompt in the exam": _no_leak,
    "labels covered": _labels_covered,
    "targets there": _targets_there,
    "lock fits": _is_locked,
    "oracle scores 1": _oracle_is_right,
    "silence scores 0": _silence_is_wrong,
    "guess rate stated truly": _guess_rate_is_true,
}


def check_card(name_or_path: Path | str, data: Path | str | None = None, *, locked: bool = True) -> list[Outcome]:
    """Check a task card against its contract; a notice says if its scorer does not fit its language.

    Args:
        name_or_path: Name of a shipped card, or path of one.
        data: Folder of the local data sets; None if there is none.
        locked: Ask for a lock; False before the first one is written.

    Raises:
        DataError: The card cannot be read at all.
        SpecError: An argument is not a path.
    """
    card = load_task_card(str(user_path(name_or_path, "name_or_path", "name a card, or the path of one")))
    data = None if data is None else user_path(data, "data", "name the folder of the data sets")
    folds = Folds()
    try:
        task = read_task(card, data, folds)
    except DataError as error:
        return [Outcome("rows can be read", problem=str(error))]
    for text in folds.notices(card.name):
        notice(text)
    apart = Outcome("labels stand apart", problem=folds.clash())
    notice_doubts(task.scorer, task.exam, task.name, str(card.path))
    return [Outcome("rows can be read"), apart, *check_task(card, task, locked=locked)]


def check_task(card: Card, task: Task, *, locked: bool = True) -> list[Outcome]:
    """Check a task that is already open against its card."""
    left_out = {} if locked else {"lock fits": "not asked for"}
    if not any(e.targets for e in task.exam):
        left_out["oracle scores 1"] = "there are no reference answers"
    elif open_scorer(task.scorer.name).judged and not all(e.check for e in task.exam):
        left_out["oracle scores 1"] = "the judge of a run grades it"
    return [
        Outcome(title, skipped=left_out[title]) if title in left_out else Outcome(title, check(card, task))
        for title, check in CHECKS.items()
    ]
