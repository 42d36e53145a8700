"""Keep what every exam came to, item by item, and a few items to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clbench.core.keys import digest
from clbench.core.sheets import Row, Said, Sheet, Sheets, Showcase, Shown, cut_of, groups_of, packed, thought_of
from clbench.core.types import Exam, Example, Marks
from clbench.engine.ask import Asked
from clbench.engine.mark import open_scorer

SHOWN = 3  # items of an exam that a result folder holds in full; the store holds them all
LONGEST = 2000  # characters of a question or an answer in it


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix as it came about: who was asked what in which row, and what was said."""

    step: int
    exam: Exam
    asked: Asked
    marks: Marks


def sheets_of(cells: Sequence[Cell]) -> Sheets:
    """Give the sheets of a run from its cells, which come row by row."""
    return Sheets(sheets=tuple(_sheet(column) for column in _columns(cells)))


def showcase_of(cells: Sequence[Cell]) -> Showcase:
    """Give a few items of every exam with their answers over the rows."""
    return Showcase(items=tuple(item for column in _columns(cells) for item in _shown(column)))


def _columns(cells: Sequence[Cell]) -> list[list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.exam.name, []).append(cell)
    return list(found.values())


def _sheet(cells: Sequence[Cell]) -> Sheet:
    first, plugin = cells[0], open_scorer(cells[0].exam.scorer.name)
    rows = {
        cell.step: Row(
            asked=cell.exam.digest,
            ask=cell.asked.key,
            mark=cell.marks.key,
            scores=packed(cell.marks.grades),
            parts=tuple(g.parts for g in cell.marks.grades) if plugin.combine else (),
            thought=thought_of(cell.asked.answers),
            cut=cut_of(cell.asked.answers),
            declined=tuple(place for place, g in enumerate(cell.marks.grades) if g.declined),
        )
        for cell in cells
    }
    return Sheet(
        exam=first.exam.name,
        digest=first.exam.digest,
        scorer=first.exam.scorer,
        version=plugin.version,
        ids=tuple(e.id for e in first.exam.examples),
        groups=groups_of(first.exam),
        lengths=tuple(a.tokens_in + a.tokens_cut for a in first.asked.answers),
        rows=rows,
    )


def _shown(cells: Sequence[Cell]) -> list[Shown]:
    exam = cells[0].exam
    return [
        Shown(
            exam=exam.name,
            id=exam.examples[i].id,
            question=shortened(question(exam.examples[i])),
            expected=exam.examples[i].targets[:3],
            said={
                cell.step: Said(
                    text=shortened(cell.asked.answers[i].text),
                    score=cell.marks.grades[i].score,
                    finish=cell.asked.answers[i].finish,
                    reasoning=shortened(cell.asked.answers[i].reasoning),
                )
                for cell in cells
            },
        )
        for i in chosen(exam)
    ]


def chosen(exam: Exam) -> list[int]:
    """Return the places of the items that are shown in full, by hash of their ids."""
    return sorted(range(len(exam.examples)), key=lambda i: digest(exam.examples[i].id))[:SHOWN]


def question(example: Example) -> str:
    """Write what was asked as a reader sees it: who says what."""
    if len(example.prompt) == 1:
        return example.prompt[0].content
    return "\n".join(f"[{m.role}] {m.content}" for m in example.prompt)


def shortened(text: str) -> str:
    """Cut a long text in the middle, and say so."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[… {len(text) - LONGEST} characters …]\n{text[-half:]}"
