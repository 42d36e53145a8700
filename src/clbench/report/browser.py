"""What was asked, what was expected, and what every method answered over the rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clbench.core.sheets import Shown
from clbench.report.gather import Group
from clbench.report.safe import plain

LONGEST = 120  # characters of an answer in a cell; its whole text is the cell's title
MOST_COLUMNS = 12  # rounds shown of a long stream


@dataclass(frozen=True)
class Item:
    """One item: its texts, the rounds shown, and for every method one (text, whole text, score) or None per round."""

    id: str
    question: str
    expected: str
    rounds: tuple[int, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str, float | None] | None, ...]], ...]


def browser(groups: Sequence[Group]) -> list[tuple[str, list[Item]]]:
    """Give the items of every exam, as far as result folders hold them; of each method its first run."""
    found: dict[tuple[str, str], list[tuple[str, Shown]]] = {}
    exams: dict[str, dict[str, None]] = {}
    for group in groups:
        for shown in group.runs[0].showcase.items:
            found.setdefault((shown.exam, shown.id), []).append((group.label, shown))
            exams.setdefault(shown.exam, {})[shown.id] = None
    return [(exam, [_item(found[exam, name]) for name in ids]) for exam, ids in exams.items()]


def _item(shown: Sequence[tuple[str, Shown]]) -> Item:
    first = shown[0][1]
    steps = sorted({step for _, s in shown for step in s.said})
    if len(steps) > MOST_COLUMNS:
        chosen = {round(k * (len(steps) - 1) / (MOST_COLUMNS - 1)) for k in range(MOST_COLUMNS)}
        steps = [s for k, s in enumerate(steps) if k in chosen]
    rows = tuple(
        (
            label,
            tuple(
                (_short(said.text), plain(said.text), said.score) if (said := s.said.get(step)) else None
                for step in steps
            ),
        )
        for label, s in shown
    )
    expected = plain(" | ".join(first.expected)) or "–"
    return Item(first.id, plain(first.question), expected, tuple(steps), rows)


def _short(text: str) -> str:
    text = plain(text).replace("\n", " ⏎ ")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
