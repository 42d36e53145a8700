"""What a log of another harness says of one model: its exams, item by item, and how each was asked and graded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
