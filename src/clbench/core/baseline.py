"""What a checkpoint could do at one time: scores item by item, and the conditions that they depend on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from clbench.core.atomic_write import write_atomically
from clbench.core.errors import DataError, near_paths
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores
from clbench.core.keys import canonical, digest
from clbench.core.spec import ModelSpec
from clbench.core.types import ExamKind
from clbench.core.value import Renamed, Value

FORMAT = 2  # 1 knows neither parts nor machine, and its seal holds the time
SHORTEST = 8  # characters of a seal that tell it from others
UNKNOWN = "not known"  # a part that the clbench which made a baseline did not record


class BaselineExam(Renamed):
    """One exam of a baseline.

    Attributes:
        kind, ability, guess_rate: Of the exam.
        scores: Its items and their scores, in row 0; rows 1, 2, ... are those of the same model asked again.
        answers: The answers, shortened, in the order of the items.
    """

    kind: ExamKind
    ability: str
    guess_rate: float
    scores: ExamScores
    answers: tuple[str, ...]
    formerly: ClassVar[Mapping[str, str]] = {"chance": "guess_rate", "sheet": "scores"}


class Baseline(Value):
    """The results of all exams of one checkpoint.

    Attributes:
        format: The format of the file.
        model: The checkpoint and how it was loaded.
        identity: Digest of all that its answers depend on: weights, tokenizer, template, precision, longest input.
        names: Exams and suites as they were asked for.
        items: Most questions per exam, as asked for.
        exams: The results of the exams.
        made: When, in UTC.
        clbench: The version of clbench that made it.
        parts: What decides how the weights are asked -> its value or digest: "chat template", "tokenizer", ...; empty
            if unknown.
        machine: Where it was asked: "device", "torch", ...; empty if not known.
        seal: Digest of everything else but the time: a file that was changed does not fit it, and equal content gives
            an equal seal.
    """

    format: int = FORMAT
    model: ModelSpec
    identity: str
    names: tuple[str, ...]
    items: int | None
    exams: tuple[BaselineExam, ...]
    made: str = ""
    clbench: str = ""
    parts: Mapping[str, str] = {}
    machine: Mapping[str, str] = {}
    seal: str = ""
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"parts", "machine"})

    def sealed(self) -> Baseline:
        """Return a copy with its seal."""
        return self.model_copy(update={"seal": _seal_of(json.loads(canonical(self)))})


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return (name, old, new) of all differences; [] if one side knows nothing.

    Example:
        >>> differing({"tokenizer": "a", "read in": "float32"}, {"tokenizer": "b", "read in": "float32"})
        [('tokenizer', 'a', 'b')]
        >>> differing({}, {"tokenizer": "b"})
        []
    """
    if not old or not new:
        return []
    return [(n, old.get(n, UNKNOWN), new.get(n, UNKNOWN)) for n in {**old, **new} if old.get(n) != new.get(n)]


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a sealed baseline in place of an old file, which stays if the writing fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, canonical(baseline.sealed()) + "\n")


def read_baseline(path: Path, seal: str | None = None) -> Baseline:
    """Return the baseline in a file.

    Args:
        path: The file.
        seal: The seal that the baseline must have, if the caller keeps it apart from the file; its first `SHORTEST`
            characters or more are enough.

    Raises:
        DataError: It is missing, not a baseline, of a newer format, was changed, or has another seal; or `seal` is
            not a seal.
    """
    again = "make it anew with `clbench baseline`"
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        found = Baseline.model_validate(written)
    except FileNotFoundError:
        raise DataError("there is no such baseline", where=str(path), mend=f"{near_paths(path)}; or {again}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValidationError) as error:
        raise DataError(f"is not a baseline: {str(error).splitlines()[0]}", where=str(path), mend=again) from None
    if found.format > FORMAT:
        raise DataError(f"format {found.format} is newer than this clbench", where=str(path), mend="update clbench")
    if _seal_of(written) != found.seal:
        raise DataError("the baseline was edited: its seal does not fit its content", where=str(path), mend=again)
    if why := _unfit(found):
        raise DataError(f"the baseline does not fit together: {why}", where=str(path), mend=again)
    if seal is not None and len(seal) < SHORTEST:
        what = f"{seal!r} is not a seal: {SHORTEST} or more of its characters are needed"
        raise DataError(what, where="--seal", mend="is the variable that holds it empty? `clbench baseline` printed it")
    if seal is not None and not found.seal.startswith(seal):
        mend = f"the file has {found.seal[:16]}; use the right file, or the seal that `clbench baseline` printed"
        raise DataError(f"the baseline does not have the seal {seal[:16]}", where=str(path), mend=mend)
    return found


def _seal_of(written: Mapping[str, Any]) -> str:
    """Return the digest of a baseline as its file holds it, with the names that its fields had then."""
    made = written.get("made", "") if written.get("format", FORMAT) == 1 else ""
    return digest({**written, "seal": "", "made": made})


def _unfit(baseline: Baseline) -> str:
    """Return why a file cannot be a genuine baseline; "" if it can."""
    names = [t.scores.exam for t in baseline.exams]
    if not names:
        return "it holds no exam, so nothing can be compared"
    if twice := sorted({n for n in names if names.count(n) > 1}):
        return f"exam {twice[0]!r} is there twice"
    if baseline.format < 1:
        return f"there has been no format {baseline.format}"
    return next((f"exam {t.scores.exam!r}: {why}" for t in baseline.exams if (why := _odd(t))), "")


def _odd(exam: BaselineExam) -> str:
    scores, num = exam.scores, len(exam.scores.ids)
    wrong = {
        "it has no items, or one twice": not num or len(set(scores.ids)) < num,
        f"guessing gives {exam.guess_rate}": not 0 <= exam.guess_rate <= 1,
        f"{len(scores.groups)} groups for {num} items": bool(scores.groups) and len(scores.groups) != num,
        "it is not there once, with one row of scores": list(scores.rows) != [0],
    }
    first = next((why for why, holds in wrong.items() if holds), "")
    return first or _odd_row(scores.rows[0], num)


def _odd_row(row: GradedItems, num: int) -> str:
    if row.items != num or len(row.parts) not in (0, num):
        return f"{row.items} scores and {len(row.parts)} parts for {num} items"
    if any(not 0 <= value <= 1 for value in row.values().tolist() if not math.isnan(value)):
        return "scores outside of 0 to 1"
    return "" if set(row.declined) <= set(range(num)) else "items are declined that it does not have"
