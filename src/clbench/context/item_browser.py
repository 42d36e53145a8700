"""Graded answers as a reader looks at them: the question, the answer, each rubric with its mark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clbench.context.graded import Graded, Raw, labels_of, message_texts, read_tasks, rows, rubric_texts
from clbench.context.grades import Grades
from clbench.core.errors import DataError
from clbench.scoring.rubric.verdicts import verdict_of

LONGEST = 4000  # characters of a question or an answer; more is cut, and the item says so
Place = tuple[int, int]  # of the task, and the trial
Classes = Mapping[tuple[str, int], tuple[str, ...]]


@dataclass(frozen=True)
class Item:
    """An answer with its grade.

    Attributes:
        task, trial, category, state: Of the row.
        solved: Whether all its rubrics are met.
        missed: How many rubrics are not met.
        question, answer: Texts, the question without its context where it is a later turn.
        cut: How many characters of the two are left out.
        rubrics: (text, "yes", "no" or another label as the judge wrote it, "" where there is none).
        why: The judge's reasons.
        classes: Classes of its error.
    """

    task: str
    trial: int
    category: str
    state: str
    solved: bool
    missed: int
    question: str
    answer: str
    cut: int
    rubrics: tuple[tuple[str, str], ...]
    why: str
    classes: tuple[str, ...] = ()


def chosen(grades: Grades, most: int) -> list[Place]:
    """Return which answers are shown: in turn of each category, unsolved and solved ones, near misses first.

    Args:
        grades: All of them.
        most: How many at most.
    """
    groups: dict[tuple[str, int], list[tuple[int, Place]]] = defaultdict(list)
    for place, row in sorted(grades.rows.items()):
        missed = len(row.task.rubrics) - row.num_met
        groups[row.task.category, row.score].append((missed, place))
    ordered = [sorted(group) for _, group in sorted(groups.items())]
    longest = max(map(len, ordered), default=0)
    in_turn = [group[k][1] for k in range(longest) for group in ordered if k < len(group)]
    return sorted(in_turn[:most])


def items_of(
    paths: Sequence[Path], grades: Grades, places: Sequence[Place], dataset: Path | None, classes: Classes
) -> list[Item]:
    """Read the texts of chosen answers.

    Args:
        paths: The graded files, in the order in which `grades` was read.
        grades: What was read.
        places: Which answers.
        dataset: The data set, for rows that leave their texts to it.
        classes: (task, trial) -> classes of the error.

    Raises:
        DataError: A file cannot be read.
    """
    wanted = {(grades.rows[place].path, grades.rows[place].line): place for place in places}
    texts = {} if dataset is None else _texts_of(dataset, {grades.tasks[task].id for task, _ in places})
    found: dict[Place, Item] = {}
    for path in paths:
        for line, row in rows(path):
            if (place := wanted.get((path, line))) is not None:
                graded = grades.rows[place]
                whole = {**texts.get(graded.task.id, {}), **row}
                found[place] = _item(whole, graded, classes.get((graded.task.id, graded.trial), ()), f"{path}:{line}")
    return [found[place] for place in places if place in found]


def _texts_of(dataset: Path, tasks: set[str]) -> dict[str, Raw]:
    return {
        task: {"messages": row.get("messages"), "rubrics": row.get("rubrics")}
        for _, task, row in read_tasks(dataset).rows()
        if task in tasks
    }


def _item(row: Raw, graded: Graded, classes: tuple[str, ...], where: str) -> Item:
    questions = [text for role, text in message_texts(row, where) if role == "user"]
    question, given = questions[-1] if questions else "", row.get("model_output")
    answer = given if isinstance(given, str) else ""
    listed, labels = rubric_texts(row, where), [verdict_of(label) or label for label in labels_of(row)]
    fit = labels if len(labels) == len(listed) else [""] * len(listed)
    return Item(
        task=graded.task.id,
        trial=graded.trial,
        category=graded.task.category,
        state=graded.state,
        solved=bool(graded.score),
        missed=len(graded.task.rubrics) - graded.num_met,
        question=question[-LONGEST:],  # where the context stands in the same message, the task stands behind it
        answer=answer[:LONGEST],
        cut=max(0, len(question) - LONGEST) + max(0, len(answer) - LONGEST),
        rubrics=tuple(zip(listed, fit, strict=True)),
        why=str(row.get("grading_rationale") or "")[:LONGEST],
        classes=classes,
    )


def read_classes(path: Path) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return the classes of errors that `context errors` wrote, by task and trial.

    Raises:
        DataError: The file cannot be read, or is not such a file.
    """
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for line, row in rows(path):
        classes, task, trial = row.get("classes"), row.get("task_id"), row.get("trial", 0)
        if not isinstance(classes, list) or task is None or not isinstance(trial, int):
            mend = "name the file that `clbench context errors` wrote"
            raise DataError("the row has no classes of an error", where=f"{path}:{line}", mend=mend)
        found[str(task), trial] = tuple(str(each) for each in classes)
    return found
