"""What is kept of a split during a check: numbers, never rows."""

from __future__ import annotations

import bisect
import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from clbench.core.keys import normal_text, plain_label
from clbench.data.intake.files import TEST, TRAIN, Source
from clbench.data.intake.form import Reading

SAMPLE = 100  # prompts from which the language is recognised
MOST_LABELS = 1000  # more different answers are not a set of labels
LONGEST_LABEL = 100  # characters


def hash64(text: str) -> int:
    """Return a hash of 64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def row_hash64(reading: Reading) -> int:
    """Return a hash of 64 bits of a row's question and answer, exactly as they are."""
    return hash64("\x1f".join([*(text for turn in reading.turns for text in turn), reading.answer]))


@dataclass
class Part:
    """One split: eight bytes of hash and a few numbers per usable row, never the row itself.

    Attributes:
        name: The split's name.
        sources, starts: Its files, and the index of the first row of each.
        seen: Rows read, broken ones included.
        lines, prompts, answers, wholes, ids: One number per row: place in its file, hashes of the folded prompt, of the
            folded answer, of prompt and answer as they are, and of the id (empty without ids).
        classes: Hash of the answer as a label, which keeps its case; empty if the answers are not labels.
        characters, units: (prompt, answer) lengths per row.
        labels: Answer -> [rows, index of the first]; None if there are too many, or one is too long, for labels.
        kinds: Kind of the answer's value in the file -> [index of the first, number of rows].
        sample, replies: The first prompts and their answers, from which the languages are recognised.
    """

    name: str
    sources: list[Source] = field(default_factory=list[Source])
    starts: list[int] = field(default_factory=list[int])
    seen: int = 0
    lines: array[int] = field(default_factory=lambda: array("Q"))
    prompts: array[int] = field(default_factory=lambda: array("Q"))
    answers: array[int] = field(default_factory=lambda: array("Q"))
    wholes: array[int] = field(default_factory=lambda: array("Q"))
    ids: array[int] = field(default_factory=lambda: array("Q"))
    classes: array[int] = field(default_factory=lambda: array("Q"))
    characters: tuple[array[int], array[int]] = field(default_factory=lambda: (array("I"), array("I")))
    units: tuple[array[int], array[int]] = field(default_factory=lambda: (array("I"), array("I")))
    labels: dict[str, list[int]] | None = field(default_factory=dict[str, list[int]])
    kinds: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    sample: list[str] = field(default_factory=list[str])
    replies: list[str] = field(default_factory=list[str])

    def __len__(self) -> int:
        """Return the number of usable rows."""
        return len(self.lines)

    def where(self, index: int) -> str:
        """Return the place of a usable row."""
        return self._source(index).where(self.lines[index])

    def beside(self, index: int, other: int) -> str:
        """Return the place of a usable row, without the file if another row is in the same one."""
        where = self.where(index)
        if self._source(index) != self._source(other):
            return where
        place = where.removeprefix(f"{self._source(index).path}:")
        return f"line {place}" if place.isdigit() else place

    def _source(self, index: int) -> Source:
        return self.sources[bisect.bisect_right(self.starts, index) - 1]

    def add(self, number: int, reading: Reading) -> None:
        """Add the numbers of a row."""
        prompt, answer = "\n".join(content for _, content in reading.turns), reading.answer
        self.lines.append(number)
        self.prompts.append(hash64(normal_text(prompt)))
        self.answers.append(hash64(normal_text(answer)))
        self.wholes.append(row_hash64(reading))
        if reading.identity is not None:
            self.ids.append(hash64(reading.identity))
        self.characters[0].append(len(prompt))
        self.characters[1].append(len(answer))
        if len(self.sample) < SAMPLE:
            self.sample.append(prompt)
            self.replies.append(answer)
        kind = self.kinds.setdefault(reading.written, [len(self) - 1, 0])
        kind[1] += 1
        if self.labels is None:
            return
        self.classes.append(hash64(plain_label(answer)))
        entry = self.labels.setdefault(answer, [0, len(self) - 1])
        entry[0] += 1
        if len(self.labels) > MOST_LABELS or len(answer) > LONGEST_LABEL:
            self.labels = None
            self.classes = array("Q")


def main_of(parts: Mapping[str, Part]) -> Part | None:
    """Return the split that decides the kind of task: train, else test, else the first with usable rows."""
    ranked = [parts[name] for name in (TRAIN, TEST) if name in parts] + list(parts.values())
    return next((part for part in ranked if len(part)), None)


@dataclass(frozen=True)
class Shape:
    """The kind of task that the rows are.

    Attributes:
        kind: "classification", "qa" or "generation".
        why: The reason, in words.
        labels: Label, as it is read -> number of its rows, commonest first; empty for free text.
    """

    kind: str
    why: str
    labels: dict[str, int]
