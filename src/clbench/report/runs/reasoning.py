"""A sentence on reasoning: the tokens it took, and the questions it left without an answer."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.report.runs.groups import Group


def reasoning_sentences(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return one sentence on reasoning for all groups together; none where no model reasoned.

    Tokens are those of all runs after all lessons; unanswered questions are those of each exam's worst lesson.
    """
    tokens, unended = 0, dict[str, tuple[int, int]]()
    for run in (r for g in groups for r in g.runs):
        for exam_scores in run.item_scores.exams:
            counts = [row.reasoning for row in exam_scores.rows.values() if row.reasoning]
            tokens += sum(t for t, _ in counts)
            worst = max((n for _, n in counts), default=0)
            if worst > unended.get(exam_scores.exam, (0, 0))[0]:
                unended[exam_scores.exam] = (worst, len(exam_scores.ids))
    if not tokens and not unended:
        return []
    sentence = texts["thought"].format(tokens=f"{tokens:,}")
    if unended:
        parts = [texts["thought_exam"].format(exam=exam, num=num, of=of) for exam, (num, of) in unended.items()]
        sentence += " " + texts["thought_unended"].format(exams="; ".join(parts))
    return [sentence]
