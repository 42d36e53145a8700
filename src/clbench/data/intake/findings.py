"""What a check of data may find: every kind with its severity and how to mend it, counted, the first few kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

FIRST = 5  # findings of a kind that are kept; the others are counted


Severity = Literal["error", "warning", "note"]


class Kind(NamedTuple):
    """A kind of finding. An error is a row that cannot be used, a warning one to look at; a note needs no mending."""

    severity: Severity
    title: str
    mend: str


KINDS: Mapping[str, Kind] = {
    "broken": Kind("error", "broken rows", "correct them, or write the file again"),
    "bytes": Kind("error", "bytes that are not UTF-8", "write the file again as UTF-8"),
    "form": Kind("error", "columns that are not a known form", ""),
    "none": Kind("error", "no rows", "give a file with at least one row"),
    "column": Kind("error", "missing column", "give every row the column; or name others with --prompt and --target"),
    "empty": Kind("error", "empty field", "give it a text, or delete the row"),
    "type": Kind("error", "wrong type", "write it as one text; a list of turns belongs in 'messages'"),
    "turns": Kind("error", "turns that teach nothing", "roles are system, user, assistant; the last is assistant"),
    "surrogate": Kind("error", "half a character", "delete it: a lone surrogate cannot be written as UTF-8"),
    "id": Kind("error", "id used twice", "give every row of a split its own id, or leave the column out"),
    "leak": Kind("error", "test rows that train teaches", "delete them from one of the two splits"),
    "unseen": Kind("error", "test labels that no train row has", "add train rows, or delete these from test"),
    "exact": Kind("warning", "the same row again", "delete them; `data add` keeps the first"),
    "near": Kind("warning", "the same row but for case, width or blanks", "delete them if they are not meant"),
    "two": Kind("warning", "the same prompt with another answer", "one of them can never be scored right: keep one"),
    "overlap": Kind("warning", "prompts that two splits share", "delete them from one of the two splits"),
    "imbalance": Kind("warning", "unequal labels", "add rows of the rare ones, or read accuracy beside macro-F1"),
    "folded": Kind(
        "warning", "labels that are one when they are read", "write them in one way; `data add` refuses them"
    ),
    "variants": Kind(
        "warning", "labels that differ in case, width or the writing of a number alone", "write them in one way"
    ),
    "mixed": Kind("warning", "labels of several types", "write them all as texts, or all as whole numbers"),
    "missing": Kind("warning", "answers that look like a missing value", "leave these rows out, unless they are meant"),
    "upcast": Kind("warning", "whole numbers that a gap made decimals", "write 1 for 1.0; pandas: .astype('Int64')"),
    "single": Kind("warning", "one answer to everything", "there is nothing to learn here: was another column meant?"),
    "replaced": Kind("warning", "replacement characters", "a decoder lost the text here: go back to its source"),
    "twice": Kind("warning", "text encoded twice", "text.encode('cp1252').decode('utf-8') takes one encoding off"),
    "bom": Kind("warning", "byte order marks", "save as UTF-8 without BOM"),
    "control": Kind("warning", "control characters", "delete them, unless they are meant"),
    "blank": Kind("note", "rows with an empty column in the prompt, where another one is not", ""),
    "unread": Kind("note", "what may belong to the question, and is not read", "name columns in --prompt"),
    "reader": Kind("note", "files that are read in a way of their own", ""),
    "escape": Kind("note", "line breaks and tabs in templates", "write \\\\n for the two characters"),
    "alike": Kind("error", "labels that the model reads alike", "write them with words that its tokenizer knows"),
    "special": Kind(
        "warning", "text that looks like a special token", "it is read letter by letter; delete it if it is not meant"
    ),
    "unknown": Kind("warning", "words that the tokenizer does not know", "use a model whose tokenizer knows them"),
    "long": Kind("warning", "rows that are cut", "shorten them, or give the model more max_tokens"),
}


class Finding(NamedTuple):
    """One finding: where, what, and how to mend it if that is known."""

    where: str
    what: str
    mend: str = ""


@dataclass(frozen=True)
class Findings:
    """All findings.

    Attributes:
        counts: Kind -> number of findings.
        first: Kind -> its first few findings.
    """

    counts: dict[str, int]
    first: dict[str, list[Finding]]

    def wants(self, kind: str) -> bool:
        """Return whether the next finding of this kind is kept, so that it is worth describing."""
        return len(self.first.get(kind, ())) < FIRST

    def add(self, kind: str, where: str, what: str, mend: str = "") -> None:
        """Count a finding, and keep it if it is among the first of its kind."""
        self.count(kind, 1)
        if self.wants(kind):
            self.first.setdefault(kind, []).append(Finding(where, what, mend))

    def count(self, kind: str, more: int) -> None:
        """Count findings that are not described."""
        if more:
            self.counts[kind] = self.counts.get(kind, 0) + more

    def number(self, severity: str) -> int:
        """Return the number of findings of a severity."""
        return sum(n for kind, n in self.counts.items() if KINDS[kind].severity == severity)
