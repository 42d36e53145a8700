"""A sentence on questions without a grade: not answered counts 0, an answer that cannot be graded is left out."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.report.runs.groups import Group


def unanswered_sentences(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return a sentence on exams with ungraded items, the most after any lesson and run; none where all are graded."""
    most: dict[str, tuple[int, int, int]] = {}
    for run in (r for g in groups for r in g.runs):
        for place, exam_scores in enumerate(run.item_scores.exams):
            ungraded = int(run.matrix.ungraded[:, place].max(initial=0)) if place < len(run.matrix.columns) else 0
            declined = max((len(row.declined) for row in exam_scores.rows.values()), default=0)
            if ungraded:
                most[exam_scores.exam] = max(
                    (ungraded, declined, len(exam_scores.ids)), most.get(exam_scores.exam, (0, 0, 0))
                )
    parts = [texts["ungraded_exam"].format(exam=n, num=u, of=of, declined=d) for n, (u, d, of) in most.items()]
    return [texts["ungraded_exams"].format(exams="; ".join(parts))] if parts else []
