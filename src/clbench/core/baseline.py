"""What a checkpoint could do at one time: scores item by item, and what they are bound to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from clbench.core.errors import DataError, near_paths
from clbench.core.keys import canonical, digest
from clbench.core.sheets import Row, Sheet
from clbench.core.spec import ModelSpec
from clbench.core.types import ExamKind, Frozen
from clbench.core.whole import write_whole

FORMAT = 2  # 1 knows neither parts nor machine, and its seal holds the time
SHORTEST = 8  # characters of a seal that tell it from others
UNKNOWN = "not known"  # a part that the clbench which made a baseline did not look at


class Taken(Frozen):
    """One exam that was sat.

    Attributes:
        kind, ability, chance: Of the exam.
        sheet: Its items and their scores, in row 0; rows 1, 2, ... are those of the same model asked again.
        answers: What was said, shortened, in the order of the items.
    """

    kind: ExamKind
    ability: str
    chance: float
    sheet: Sheet
    answers: tuple[str, ...]


class Baseline(Frozen):
    """All exams that one checkpoint has sat.

    Attributes:
        format: Of the file.
        model: The checkpoint and how it was loaded.
        identity: Digest of what its answers depend on: weights, tokenizer, template, precision, longest input.
        names: Exams and suites as they were asked for.
        items: Most questions per exam, as asked for.
        exams: What came of them.
        made: When, in UTC.
        clbench: Version that made it.
        parts: What decides how the weights are asked -> its value or digest: "chat template", "tokenizer", ...; empty
            if not known.
        machine: Where it was asked: "device", "torch", ...; empty if not known.
        seal: Digest of everything else but the time: a file that was changed does not fit it, and equal content gives
            an equal seal.
    """

    format: int = FORMAT
    model: ModelSpec
    identity: str
    names: tuple[str, ...]
    items: int | None
    exams: tuple[Taken, ...]
    made: str = ""
    clbench: str = ""
    parts: Mapping[str, str] = {}
    machine: Mapping[str, str] = {}
    seal: str = ""
    later: ClassVar[frozenset[str]] = frozenset({"parts", "machine"})

    def sealed(self) -> Baseline:
        """Give a copy with its seal."""
        timeless = {"seal": "", "made": self.made if self.format == 1 else ""}
        return self.model_copy(update={"seal": digest(self.model_copy(update=timeless))})


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Give (name, old, new) of what both sides know and say otherwise, or only one has; nothing if one knows nothing.

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
    """Write a sealed baseline, in place of whatever is there, which stays where this does not work out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, canonical(baseline.sealed()) + "\n")


def read_baseline(path: Path, seal: str | None = None) -> Baseline:
    """Read what `write_baseline` wrote.

    Args:
        path: The file.
        seal: The seal that it must bear, where the caller keeps that apart from the file; its beginning, of
            `SHORTEST` characters or more, will do.

    Raises:
        DataError: It is missing, no baseline, of a newer format, was changed, or bears another seal; or
            what it must bear is no seal.
    """
    again = "make it anew with `clbench baseline`"
    try:
        found = Baseline.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError("there is no such baseline", where=str(path), mend=f"{near_paths(path)}; or {again}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValidationError) as error:
        raise DataError(f"is no baseline: {str(error).splitlines()[0]}", where=str(path), mend=again) from None
    if found.format > FORMAT:
        raise DataError(f"format {found.format} is newer than this clbench", where=str(path), mend="update clbench")
    if found.sealed().seal != found.seal:
        raise DataError("the baseline was edited: its seal does not fit its content", where=str(path), mend=again)
    if why := _unfit(found):
        raise DataError(f"the baseline does not fit together: {why}", where=str(path), mend=again)
    if seal is not None and len(seal) < SHORTEST:
        what = f"{seal!r} is no seal: {SHORTEST} or more of its characters are wanted"
        raise DataError(what, where="--seal", mend="is the variable that holds it empty? `clbench baseline` told it")
    if seal is not None and not found.seal.startswith(seal):
        mend = f"the file bears {found.seal[:16]}; use the right file, or the seal that `clbench baseline` told"
        raise DataError(f"the baseline does not bear the seal {seal[:16]}", where=str(path), mend=mend)
    return found


def _unfit(baseline: Baseline) -> str:
    """Say what no baseline has that was taken; "" where there is nothing."""
    names = [t.sheet.exam for t in baseline.exams]
    if not names:
        return "it holds no exam, so nothing can be compared"
    if twice := sorted({n for n in names if names.count(n) > 1}):
        return f"exam {twice[0]!r} is there twice"
    if baseline.format < 1:
        return f"there has been no format {baseline.format}"
    return next((f"exam {t.sheet.exam!r}: {why}" for t in baseline.exams if (why := _odd(t))), "")


def _odd(taken: Taken) -> str:
    sheet, num = taken.sheet, len(taken.sheet.ids)
    wrong = {
        "it has no items, or one twice": not num or len(set(sheet.ids)) < num,
        f"guessing gives {taken.chance}": not 0 <= taken.chance <= 1,
        f"{len(sheet.groups)} groups for {num} items": bool(sheet.groups) and len(sheet.groups) != num,
        "it is not there once, with one row of scores": list(sheet.rows) != [0],
    }
    first = next((why for why, holds in wrong.items() if holds), "")
    return first or _odd_row(sheet.rows[0], num)


def _odd_row(row: Row, num: int) -> str:
    if len(row.scores) != num or len(row.parts) not in (0, num):
        return f"{len(row.scores)} scores and {len(row.parts)} parts for {num} items"
    if any(not 0 <= value <= 1 for value in row.values().tolist() if not math.isnan(value)):
        return "scores outside of 0 to 1"
    return "" if set(row.declined) <= set(range(num)) else "items are declined that it does not have"
