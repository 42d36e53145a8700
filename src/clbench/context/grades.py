"""The grades of one system: every task of the data set in every trial, with a state where there is no row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clbench.context.graded import STATES, UNJUDGED, Graded, TaskFacts, TaskSet, read_graded
from clbench.core.errors import DataError
from clbench.core.events import notice

Floats = NDArray[np.float64]
ENDINGS = (".jsonl", ".jsonl.xz")


@dataclass(frozen=True)
class Grades:
    """What one system answered, over tasks and trials: the denominator is tasks x trials, whatever the files lack.

    Attributes:
        name: Of the system.
        tasks: In the order of the data set, or of the first file.
        trials: How many.
        rows: By (place of the task, trial).
    """

    name: str
    tasks: tuple[TaskFacts, ...]
    trials: int
    rows: dict[tuple[int, int], Graded]

    @property
    def contexts(self) -> list[str]:
        """The context of each task."""
        return [task.context for task in self.tasks]

    @property
    def judges(self) -> list[str]:
        """Who judged, as the rows say; "" where a judged row does not say."""
        return sorted({row.judge for row in self.rows.values() if row.met})

    @property
    def data_sets(self) -> list[str]:
        """The digests of data sets that rows name."""
        return sorted({row.dataset for row in self.rows.values() if row.dataset})

    def only(self, ids: Sequence[str]) -> Grades:
        """Return the grades of some of the tasks, in this order."""
        old = {task.id: place for place, task in enumerate(self.tasks)}
        new = {old[name]: place for place, name in enumerate(ids)}
        rows = {(new[task], trial): row for (task, trial), row in self.rows.items() if task in new}
        return replace(self, tasks=tuple(self.tasks[place] for place in new), rows=rows)

    def passed(self) -> Floats:
        """Return 1 where all rubrics are met, else 0, shape (tasks, trials)."""
        found = np.zeros((len(self.tasks), self.trials))
        for place, row in self.rows.items():
            found[place] = row.score
        return found

    def met(self) -> Floats:
        """Return how many rubrics each answer meets, shape (tasks, trials)."""
        found = np.zeros((len(self.tasks), self.trials))
        for place, row in self.rows.items():
            found[place] = row.num_met
        return found

    def unjudged(self) -> NDArray[np.bool_]:
        """Return where nobody knows whether the answer passes, shape (tasks, trials)."""
        found = np.ones((len(self.tasks), self.trials), dtype=np.bool_)
        for place, row in self.rows.items():
            found[place] = row.state in UNJUDGED
        found[self.sizes() == 0] = False  # without rubrics nothing passes
        return found

    def sizes(self) -> Floats:
        """Return the number of rubrics of each task."""
        return np.array([len(task.rubrics) for task in self.tasks], dtype=np.float64)

    def states(self) -> dict[str, int]:
        """Return how many answers are in each state that occurs."""
        found = Counter(row.state for row in self.rows.values())
        found["missing"] += len(self.tasks) * self.trials - len(self.rows)
        return {state: found[state] for state in STATES if found[state]}


def load_grades(paths: Sequence[Path], known: TaskSet | None = None, name: str = "", *, force: bool = False) -> Grades:
    """Read the files of one system.

    Files that grade the same tasks are trials of it, as the public scripts make them, one file per run; files of
    other tasks are parts of one run.

    Args:
        paths: The files, at least one.
        known: The data set, whose tasks are the denominator; None: the tasks that occur.
        name: Of the system; empty: that of the first file.
        force: Take rows whose rubrics are not those of the data set, or of an earlier trial, with a notice.

    Raises:
        DataError: A row is wrong, or a file has two rows of one task and trial; names both lines.
    """
    files = [(path, one_each(path, known)) for path in paths]
    numbers = _trials_of([rows for _, rows in files])
    order = dict.fromkeys(row.task.id for _, rows in files for row in rows) if known is None else known.tasks
    places = {task: place for place, task in enumerate(order)}
    facts: dict[str, TaskFacts] = {} if known is None else dict(known.tasks)
    found: dict[tuple[int, int], Graded] = {}
    other: list[DataError] = []
    for (path, rows), shift in zip(files, numbers, strict=True):
        for row in rows:
            if (first := facts.setdefault(row.task.id, row.task)).rubrics != row.task.rubrics:
                other.append(_other_rubrics(row, first, path, known))
            found[places[row.task.id], shift[row.trial]] = replace(row, trial=shift[row.trial])
    if other and not force:
        raise other[0]
    if other:
        notice(f"{other[0].where}: {other[0].what}; so it is in {len(other)} rows")
    models = sorted({row.model for row in found.values() if row.model})
    if len(models) > 1:
        notice(f"the rows name several models: {', '.join(models[:5])}; they are read as one system")
    trials = 1 + max(trial for _, trial in found)
    label = name or system_name(paths[0])
    return Grades(label, tuple(facts[task] for task in order), trials, found)


def _other_rubrics(row: Graded, first: TaskFacts, path: Path, known: TaskSet | None) -> DataError:
    whose = "the data set" if known is not None else "an earlier row"
    sizes = f"{len(row.task.rubrics)} and {len(first.rubrics)}"
    return DataError(
        f"the rubrics of task {row.task.id} are not those of {whose} ({sizes})",
        where=f"{path}:{row.line}",
        mend="grade all trials with one version of the data set; `clbench context verify` lists all such rows",
    )


def _need_one_each(path: Path, rows: Sequence[Graded]) -> None:
    seen: dict[tuple[str, int], int] = {}
    for row in rows:
        first = seen.setdefault((row.task.id, row.trial), row.line)
        if first != row.line:
            raise DataError(
                f"task {row.task.id}, trial {row.trial}, is graded twice, also in line {first}",
                where=f"{path}:{row.line}",
                mend="delete one of the rows, or give them a `trial` each (0, 1, ...)",
            )


def _trials_of(files: Sequence[Sequence[Graded]]) -> list[dict[int, int]]:
    """Return for each file what its own trials are called, from 0; one without rows between others stays."""
    pairs = [{(row.task.id, row.trial) for row in rows} for rows in files]
    own = [sorted({row.trial for row in rows}) for rows in files]
    if sum(map(len, pairs)) == len(set[tuple[str, int]]().union(*pairs)):
        first = min(min(trials) for trials in own)
        return [{trial: trial - first for trial in trials} for trials in own]
    tasks = [{task for task, _ in each} for each in pairs]
    if lacking := len(set[str]().union(*tasks)) - min(map(len, tasks)):
        notice(f"the files are read as trials, and one lacks {lacking} tasks of the others; they count as missing")
    found: list[dict[int, int]] = []
    start = 0
    for trials in own:
        found.append({trial: start + trial - trials[0] for trial in trials})
        start += 1 + trials[-1] - trials[0]
    return found


def one_each(path: Path, known: TaskSet | None = None) -> list[Graded]:
    """Read a graded file whose rows are of different tasks or trials.

    Raises:
        DataError: A row is wrong, or two are of one task and trial; names both lines.
    """
    rows = read_graded(path, known)
    _need_one_each(path, rows)
    return rows


def system_name(path: Path) -> str:
    """Return the name of a system as its file or folder has it.

    Example:
        >>> system_name(Path("outputs/gpt-5.1_graded.jsonl.xz"))
        'gpt-5.1'
    """
    return path.name.removesuffix(".xz").removesuffix(".jsonl").removesuffix("_graded") or path.resolve().name


def system_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of systems; where two files have the same one, their folders go before it.

    Example:
        >>> system_names([Path("a/run.jsonl"), Path("b/run.jsonl"), Path("c.jsonl")])
        ['a/run', 'b/run', 'c']
    """
    names = [system_name(path) for path in paths]
    twice = {name for name in names if names.count(name) > 1}
    return [
        f"{path.resolve().parent.name}/{name}" if name in twice else name
        for path, name in zip(paths, names, strict=True)
    ]


def files_of(path: Path) -> list[Path]:
    """Return the graded files that a path names: itself, or those of a folder, whose trials they are.

    Of a folder, files named `*_graded.jsonl` count; where there are none, all `*.jsonl` but logs. The grades of single
    judges behind a panel are left out, and of two readings of one run the corrected one counts.

    Raises:
        DataError: The folder holds none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.name.endswith(ENDINGS) and ".log." not in p.name)
    found = [p for p in found if "_graded." in p.name and "_graded.by-" not in p.name] or found
    corrected = {p.name.replace(".corrected.", ".") for p in found if ".corrected." in p.name}
    found = [p for p in found if p.name not in corrected]
    if not found:
        raise DataError("the folder holds no *.jsonl", where=str(path), mend="name graded files, or a folder of trials")
    return found
