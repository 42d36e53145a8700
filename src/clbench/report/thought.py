"""What models wrote before their answers, in a sentence: tokens that it took, and answers that never came."""

from __future__ import annotations

from collections.abc import Sequence

from clbench.report.gather import Group


def thought_sentences(groups: Sequence[Group], words: dict[str, str]) -> list[str]:
    """Return one sentence on reasoning for all groups together; none where nobody reasoned.

    Tokens are those of all rows of all runs; unanswered questions are counted in each exam's worst row.
    """
    tokens, unended = 0, dict[str, tuple[int, int]]()
    for run in (r for g in groups for r in g.runs):
        for sheet in run.sheets.sheets:
            thought = [row.thought for row in sheet.rows.values() if row.thought]
            tokens += sum(t for t, _ in thought)
            worst = max((n for _, n in thought), default=0)
            if worst > unended.get(sheet.exam, (0, 0))[0]:
                unended[sheet.exam] = (worst, len(sheet.ids))
    if not tokens and not unended:
        return []
    said = words["thought"].format(tokens=f"{tokens:,}")
    if unended:
        parts = [words["thought_exam"].format(exam=exam, num=num, of=of) for exam, (num, of) in unended.items()]
        said += " " + words["thought_unended"].format(exams="; ".join(parts))
    return [said]
