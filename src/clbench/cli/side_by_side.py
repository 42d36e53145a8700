"""Ask several checkpoints the same exams, and print or write what came of them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.cli.options import model_spec, say, say_json
from clbench.core.errors import DataError, StoreError, UserError, said_of
from clbench.core.events import notice

if TYPE_CHECKING:
    from clbench.core.results import ExamResult
    from clbench.core.spec import JudgeSpec, Machine
    from clbench.core.types import Exam
    from clbench.report.runs.checkpoints import Checkpoint


@dataclass(frozen=True)
class ExamChoice:
    """What is asked, and where: names of exams and suites, most questions per exam, the machine, and who judges."""

    names: tuple[str, ...]
    items: int | None
    machine: Machine
    judge: JudgeSpec | None = None


@dataclass
class Outcome:
    """What came of asking.

    Attributes:
        checkpoints: Those that were asked, each with its record in the store.
        results: Of the last checkpoint.
        broken: Exams that the last checkpoint could not be asked.
        left_out: Sentences on what could not be asked.
        lost: Models that could not be asked at all.
    """

    checkpoints: list[Checkpoint] = field(default_factory=list["Checkpoint"])
    results: list[ExamResult] = field(default_factory=list["ExamResult"])
    broken: dict[str, UserError] = field(default_factory=dict[str, UserError])
    left_out: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])

    def known(self, against: str | None) -> str | None:
        """Return the side that others are compared with: None, which is the first one, if that side is lost."""
        if against is None or not any(against in (name, name.rstrip("/").rpartition("/")[2]) for name in self.lost):
            return against
        notice(f"{against} could not be asked: all are compared with {self.checkpoints[0].label}")
        return None


def ask_all(names: Sequence[str], fields: Mapping[str, Any], exams: Sequence[Exam], asked: ExamChoice) -> Outcome:
    """Ask every checkpoint, one after another, and keep what each scored in the store.

    A checkpoint that is broken costs the others nothing, and neither does an exam that one of them cannot be asked.

    Args:
        names: Of the models.
        fields: How they are loaded.
        exams: What they are asked.
        asked: What was asked for.

    Raises:
        UserError: There is one name only, and it is broken.
    """
    from clbench.report.runs.checkpoints import labelled

    found = Outcome()
    for name in names:
        try:
            _ask_one(name, fields, exams, asked, found, several=len(names) > 1)
        except UserError as error:
            if len(names) == 1 or isinstance(error, StoreError):
                raise
            found.lost.append(name)
            found.left_out.append(f"{name} is left out: {error}")
    found.checkpoints = labelled(found.checkpoints)
    return found


def _ask_one(
    name: str, fields: Mapping[str, Any], exams: Sequence[Exam], asked: ExamChoice, found: Outcome, *, several: bool
) -> None:
    from clbench.engine.baseline import baseline_of
    from clbench.engine.checkpoint_exam import examine
    from clbench.report.runs.checkpoints import Checkpoint
    from clbench.store.checkpoints import keep_checkpoint
    from clbench.store.store import Store

    spec, store = model_spec(name, **fields), Store(asked.machine.store)
    found.broken = {}
    found.results = list(examine(spec, exams, store, asked.machine, found.broken, asked.judge))
    of = f"{name}: " if several else ""
    found.left_out += [f"{of}exam {exam!r} is left out: {error}" for exam, error in found.broken.items()]
    if found.results:
        record = baseline_of(spec, found.results, asked.names, asked.items, store, asked.machine)
        try:
            path = keep_checkpoint(asked.machine.store, record)
        except OSError as error:
            notice(f"the results of {name} are not kept for `clbench report`: {said_of(error)}")
            path = None
        missing = {exam: error.what for exam, error in found.broken.items()}
        found.checkpoints.append(Checkpoint("", record, path, missing))


def say_side_by_side(checkpoints: Sequence[Checkpoint], against: str | None, kind: str, flips: int = 0) -> None:
    """Print checkpoints side by side: as table, csv, markdown or json."""
    from clbench.report.decide import side_by_side_text as texts
    from clbench.report.decide.side_by_side import side_by_side

    found = side_by_side(checkpoints, against, max(flips, 2))
    if kind == "json":
        say_json(texts.as_json(found))
    elif kind == "table":
        say(texts.as_table(found, flips))
    else:
        say((texts.as_csv if kind == "csv" else texts.as_markdown)(found).rstrip("\n"))


def write_side_by_side(checkpoints: Sequence[Checkpoint], against: str | None, page: Path, title: str) -> None:
    """Write checkpoints side by side into a page."""
    from clbench.report.decide.side_by_side import side_by_side
    from clbench.report.decide.side_by_side_text import side_by_side_page

    page.write_text(side_by_side_page(side_by_side(checkpoints, against), title), encoding="utf-8")


@dataclass(frozen=True)
class OnRecord:
    """Checkpoints that `clbench exam` examined.

    Attributes:
        checkpoints: Those at some paths.
        runs: The paths that may hold runs: all but those with nothing but checkpoints.
    """

    checkpoints: tuple[Checkpoint, ...]
    runs: tuple[Path, ...]

    @property
    def alone(self) -> bool:
        """Whether there is nothing else at these paths."""
        return not self.runs


def on_record(paths: Sequence[Path], models: Sequence[str] | None, runs_only: bool) -> OnRecord:
    """Return the checkpoints on record at some paths, if any: of files in their order, of folders by date.

    Args:
        paths: Stores, folders and files.
        models: Only these models.
        runs_only: Whether options choose among runs, so that no checkpoint is meant.

    Raises:
        DataError: There is nothing but records of checkpoints, and none is whole, or none is of such a model.
    """
    from clbench.report.runs.checkpoints import checkpoint_files, read_checkpoints
    from clbench.report.runs.result_file import find_results

    found = {path: checkpoint_files(path) for path in paths}
    files = [file for each in found.values() for file in each]
    runs = tuple(path for path in paths if not found[path] or (found[path] != [path] and find_results(path)))
    if not files or runs_only:
        return OnRecord((), tuple(paths))
    try:
        by_date = any(path.is_dir() for path in paths)
        return OnRecord(tuple(read_checkpoints(files, models or (), by_date=by_date)), runs)
    except DataError:
        if not runs:
            raise
        return OnRecord((), runs)
