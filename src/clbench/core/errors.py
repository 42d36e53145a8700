"""The error tree. Everything a user can mend is a `UserError`; anything else is a bug of ours.

UserError            exit 2, no traceback: what is wrong, where, how to mend it
+-- SpecError        a run spec, recipe, `--set` value or command-line argument
+-- DataError        a card, a data file, a row, a lock
    +-- AbsentError  a card or its data is not here; a stream may skip it
+-- ModelError       a checkpoint folder, a tokenizer, an ability the model lacks
+-- StoreError       a store that cannot be read or written
+-- LearnerError     a learner that does not do what its contract says
+-- LessonError      training cannot go on (non-finite loss); names lesson, optimiser step, checkpoint
+-- BudgetError      what may be spent does not allow another request
+-- ExtraError       a package of an extra is not installed, or does not import
+-- WorkerError      a process that should make stages did not start, or ended
    +-- RankError    a rank of a run ended, so that the others cannot go on
+-- StoppedError     work was stopped between two stages, by a stated limit or by its user
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Something the user can mend.

    Args:
        what: What is wrong with this value, as a sentence.
        where: File and line, field path or command-line flag; may be empty.
        mend: What to do about it.
    """

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        """Return `where: what` and a second line on how to mend it."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  to mend: {self.mend}" if self.mend else head


class SpecError(UserError):
    """A run spec, recipe, `--set` value or command-line argument is wrong."""


class DataError(UserError):
    """A card, data file, row or lock is wrong."""


class AbsentError(DataError):
    """A card, or the data that it names, is missing."""


class ModelError(UserError):
    """A checkpoint cannot be used, or lacks an ability that an exam needs."""


class StoreError(UserError):
    """The store cannot be read or written."""


class BudgetError(UserError):
    """The budget does not allow another request; what is done is kept, and a larger budget goes on."""


class LessonError(UserError):
    """A lesson cannot go on, for example because its loss is not finite."""


class ExtraError(UserError):
    """A package that `pip install clbench` alone does not install is missing."""


class WorkerError(UserError):
    """A process that should make stages did not start, or ended."""


class RankError(WorkerError):
    """A rank of a run ended, or does not answer, so that the others cannot go on."""


class StoppedError(UserError):
    """Work was stopped between two stages, by a stated limit or by its user; what is finished is kept."""


class LearnerError(UserError):
    """A learner breaks its contract, for example answers other questions than it was asked."""


MOST_SAID = 300  # characters of an error's own text that are passed on


def said_of(error: BaseException) -> str:
    """Return the type of an error and the first line of its text, shortened; also if its text raises an error.

    Example:
        >>> said_of(ValueError("no"))
        'ValueError: no'
    """
    try:
        text = str(error)
        first = next((line for line in text.splitlines() if line.strip()), "")
    except Exception:  # an error of a user's file may break in its own text
        first = "(its text cannot be had)"
    return f"{type(error).__name__}: {first[:MOST_SAID]}{'...' if len(first) > MOST_SAID else ''}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint of known names that are similar to `name`, or of all of them.

    Example:
        >>> did_you_mean("repaly", ["replay", "sft"])
        "did you mean 'replay'?"
        >>> did_you_mean("x", ["replay", "sft"])
        'known: replay, sft'
        >>> did_you_mean("sft", ["osf", "sft lr=0.001", "sft lr=0.01"])
        "did you mean 'sft lr=0.001' or 'sft lr=0.01'?"
    """
    names = sorted(set(known))
    longer = [known for known in names if name and known.startswith(f"{name} ")]
    near = longer[:3] or difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    listing = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"known: {listing}" if names else "there are none"


def near_paths(path: Path) -> str:
    """Return a hint of the files and folders that a missing path may mean: those beside it with similar names.

    Returns:
        "did you mean 'out/checkpoint-20'?"; or up to which folder the path exists.
    """
    parent = path.expanduser().parent
    if not parent.is_dir():
        there = next((p for p in parent.parents if p.is_dir()), Path())
        return f"there is no folder {str(parent)!r} either" + (f"; {str(there)!r} is there" if there != Path() else "")
    try:
        names = {p.name: p for p in parent.iterdir()}
    except OSError:
        return "its folder cannot be read"
    near = difflib.get_close_matches(path.name, sorted(names), n=3, cutoff=0.7)
    if near:
        return "did you mean " + " or ".join(repr(str(path.parent / n)) for n in near) + "?"
    return "write its path from the folder you are in" if path.parent == Path() else f"look into {str(path.parent)!r}"
