"""Findings in files, grouped by kind for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clbench.context.tables import Section
from clbench.core.wording import tr, translated

SHOWN = 5  # of each kind


@dataclass(frozen=True)
class Finding:
    """Something in a file that should not be so.

    Attributes:
        kind: Its name, the same for all such findings.
        where: File and line, or the task.
        what: What is wrong, as a sentence.
    """

    kind: str
    where: str
    what: str


def counted(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings there are of each kind, in the order in which kinds occur first."""
    found: dict[str, int] = {}
    for each in findings:
        found[each.kind] = found.get(each.kind, 0) + 1
    return found


def finding_sections(findings: Sequence[Finding], meanings: Mapping[str, str], shown: int = SHOWN) -> list[Section]:
    """Return one table for each kind, with its meaning and its first places."""
    sections: list[Section] = []
    for kind, num in counted(findings).items():
        first = [each for each in findings if each.kind == kind][:shown]
        notes = [tr("... and {num} more", num=num - len(first))] if num > len(first) else []
        rows = tuple((each.where, translated(each.what)) for each in first)
        title = tr("{kind}: {num} ({meaning})", kind=tr(kind), num=num, meaning=tr(meanings[kind]))
        sections.append(Section(title, ("where", "what"), rows, tuple(notes)))
    return sections
