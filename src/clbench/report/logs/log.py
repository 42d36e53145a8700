"""What a log of another harness says of one model: its exams, item by item, and how each was asked and graded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

from clbench.core.events import notice
from clbench.core.keys import digest


@dataclass(frozen=True)
class LoggedItem:
    """One question.

    Attributes:
        id: What identifies it in its data set, wherever it is asked.
        asked: Digest of all that the model was asked, and of the right answer.
        score: In [0, 1]; None where the log has none.
        question, expected, answer: Texts, for readers; "" where the log has none.
        guess_rate: Expected score of guessing, in [0, 1].
    """

    id: str
    asked: str
    score: float | None
    question: str = ""
    expected: str = ""
    answer: str = ""
    guess_rate: float = 0.0


@dataclass(frozen=True)
class LoggedExam:
    """One exam of a model.

    Attributes:
        name: Of the harness's task.
        settings: What must be equal where two logs are compared: version of the task, examples, metric, filter, ...
        items: Its questions, ordered by their ids.
    """

    name: str
    settings: Mapping[str, Any]
    items: tuple[LoggedItem, ...]

    @property
    def questions(self) -> str:
        """Return the digest of all that was asked."""
        return digest([self.name, *((item.id, item.asked) for item in self.items)])


@dataclass(frozen=True)
class Log:
    """One model's results.

    Attributes:
        place: The file that was read.
        harness, version: Who evaluated; the version is "" where the log does not say it.
        model: Its name there.
        dtype: Precision of its weights; "" where the log does not say it.
        made: When, in UTC; "" where the log does not say it.
        machine: What it ran on, as far as it is said.
        packages: Versions of packages that are said.
        exams: What it was asked.
    """

    place: Path
    harness: str
    version: str
    model: str
    exams: tuple[LoggedExam, ...]
    dtype: str = ""
    made: str = ""
    machine: Mapping[str, str] = field(default_factory=dict[str, str])
    packages: Mapping[str, str] = field(default_factory=dict[str, str])


def writable(log: Log) -> Log:
    """Return a log without what no file of ours can hold: halves of characters, and values such as NaN.

    Half a character (a lone surrogate), which JSON can name and no text can hold, becomes U+FFFD, with a notice.
    """
    num = [0]
    found = _writable(log, num)
    if num[0]:
        notice(f"{log.place}: {num[0]} texts hold half a character, which is replaced by \N{REPLACEMENT CHARACTER}")
    return found


def _writable(value: Any, num: list[int]) -> Any:
    if isinstance(value, str) and not _is_text(value):
        num[0] += 1
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_writable(name, num): _writable(each, num) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType]  # what a log says
    if isinstance(value, (list, tuple)):
        return type(value)(_writable(each, num) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # as above
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{name: _writable(each, num) for name, each in vars(value).items()})
    return value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
