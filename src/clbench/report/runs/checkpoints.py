"""Find and read what `clbench exam` and `clbench baseline` found of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from clbench.core.baseline import Baseline, read_baseline
from clbench.core.errors import DataError, did_you_mean
from clbench.core.events import notice
from clbench.report.runs.store_texts import question_text, questions
from clbench.store.checkpoints import FOLDER

HEAD = 4096  # bytes that hold the first fields of a file


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint and what it scored.

    Attributes:
        label: Its name in a table, which no other one there has.
        found: Its results.
        path: Where they are on record; None where they are new.
        missing: Exam -> why it was not asked.
    """

    label: str
    found: Baseline
    path: Path | None = None
    missing: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def store(self) -> Path | None:
        """The store that its record lies in, if it does."""
        return self.path.parent.parent if self.path is not None and self.path.parent.name == FOLDER else None


def checkpoint_files(path: Path) -> list[Path]:
    """Return the records of checkpoints at a path: itself, those in it, or in its folder `checkpoints`."""
    if not path.is_dir():
        return [path] if path.is_file() and is_record(path) else []
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    return sorted(p for p in folder.glob("*.json") if p.is_file() and not p.is_symlink() and is_record(p))


def is_record(path: Path) -> bool:
    """Return whether a file begins as `clbench exam` and `clbench baseline` write it."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD).lstrip()
    except OSError:
        return False
    return head.startswith(b"{") and b'"clbench"' in head and b'"exams"' in head and b'"spec"' not in head


def read_checkpoints(files: Sequence[Path], models: Sequence[str] = (), *, by_date: bool = False) -> list[Checkpoint]:
    """Read records of checkpoints; one that is broken is left out with a notice, where there are others.

    Args:
        files: The records; results that are on record twice count once.
        models: Only these models: names, or their last parts, in which `*` stands for anything; empty is all.
        by_date: Whether the oldest come first; else they keep their order.

    Raises:
        DataError: None can be read, or no checkpoint bears such a name.
    """
    found: list[tuple[Baseline, Path]] = []
    for path in dict.fromkeys(p.resolve() for p in files):
        try:
            record = read_baseline(path)
        except DataError as error:
            if len(files) == 1:
                raise
            notice(f"{path} is left out: {error.what}")
            continue
        if all(record.seal != other.seal for other, _ in found):
            found.append((record, path))
    if not found:
        raise DataError("there is no result of a checkpoint", where=", ".join(map(str, files)), mend="clbench exam A B")
    for wanted in models:
        if not any(_is_called(record, wanted) for record, _ in found):
            mend = did_you_mean(wanted, [record.model.name for record, _ in found])
            raise DataError(f"no checkpoint has the model {wanted!r}", where="--model", mend=mend)
    chosen = [(r, p) for r, p in found if not models or any(_is_called(r, m) for m in models)]
    if by_date:
        chosen.sort(key=lambda x: (x[0].made, x[0].model.name))
    return labelled([Checkpoint("", record, path) for record, path in chosen])


def _is_called(record: Baseline, pattern: str) -> bool:
    name = record.model.name
    return any(fnmatchcase(each, pattern) for each in (name, name.rstrip("/").rpartition("/")[2]))


def labelled(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Return checkpoints with labels of their own: as short as they can be told apart.

    That is the last part of the name, else the whole name, and of two states of one folder also how many questions
    were asked, or the beginning of the identity.
    """
    names = [c.found.model.name.rstrip("/") for c in checkpoints]
    lasts = [n.rpartition("/")[2] for n in names]
    labels = [
        last if len({n for n, x in zip(names, lasts, strict=True) if x == last}) == 1 else name
        for name, last in zip(names, lasts, strict=True)
    ]
    for more in (_asked, lambda c: c.found.identity[:8], lambda c: c.found.seal[:8]):
        twice = [labels.count(label) > 1 for label in labels]
        parts = {label: {more(c) for c, x in zip(checkpoints, labels, strict=True) if x == label} for label in labels}
        labels = [
            f"{label} ({more(c)})" if two and len(parts[label]) > 1 else label
            for label, two, c in zip(labels, twice, checkpoints, strict=True)
        ]
    return [replace(c, label=label) for c, label in zip(checkpoints, labels, strict=True)]


def _asked(checkpoint: Checkpoint) -> str:
    most, model = checkpoint.found.items, checkpoint.found.model
    return f"{model.dtype}, {'all items' if most is None else f'{most} items'}"


def question_texts(checkpoint: Checkpoint, exam: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return (question, expected answers) of an exam's items, as the store has them; empty if it has not."""
    exam_scores = next(e.scores for e in checkpoint.found.exams if e.scores.exam == exam)
    if checkpoint.store is None:
        return []
    return [(question_text(e), e.targets[:3]) for e in questions(checkpoint.store, exam_scores.rows[0].questions)]
