"""Questions without a grade, in plain sentences: what was not answered counts 0, what cannot be marked is left out."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.report.gather import Group


def unanswered_sentences(groups: Sequence[Group], words: dict[str, str]) -> list[str]:
    """Return a sentence on exams with ungraded items, with the most in any row and run; none where all was graded."""
    most: dict[str, tuple[int, int, int]] = {}
    for run in (r for g in groups for r in g.runs):
        for place, sheet in enumerate(run.sheets.sheets):
            ungraded = int(run.matrix.ungraded[:, place].max(initial=0)) if place < len(run.matrix.columns) else 0
            declined = max((len(row.declined) for row in sheet.rows.values()), default=0)
            if ungraded:
                most[sheet.exam] = max((ungraded, declined, len(sheet.ids)), most.get(sheet.exam, (0, 0, 0)))
    parts = [words["ungraded_exam"].format(exam=n, num=u, of=of, declined=d) for n, (u, d, of) in most.items()]
    return [words["ungraded_exams"].format(exams="; ".join(parts))] if parts else []
