"""What did not fit into a model's input, in plain sentences: a score says little of a question that was not read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clbench.report.gather import Group


def cut_counts(groups: Sequence[Group]) -> dict[str, Any]:
    """Return what was cut, as plain data: the most in any row and run of the groups.

    Returns:
        "exams": exam -> {"questions", "of", "tokens", "examples"}; "lessons": lesson (from 1) -> {"prompts", "answers",
        "of"}. Both are empty where everything fitted.
    """
    exams: dict[str, dict[str, int]] = {}
    lessons: dict[int, dict[str, int]] = {}
    for run in (r for g in groups for r in g.runs):
        for sheet in run.sheets.sheets:
            worst = max((row.cut for row in sheet.rows.values() if row.cut), default=())
            if worst and worst > tuple(
                exams.get(sheet.exam, {}).get(n, 0) for n in ("questions", "tokens", "examples")
            ):
                questions, tokens, examples = worst
                exams[sheet.exam] = {
                    "questions": questions,
                    "of": len(sheet.ids),
                    "tokens": tokens,
                    "examples": examples,
                }
        for step, (prompts, answers, of) in enumerate(run.meters.cut_by_step, start=1):
            known = lessons.get(step, {"prompts": 0, "answers": 0})
            if prompts or answers:
                lessons[step] = {
                    "prompts": max(prompts, known["prompts"]),
                    "answers": max(answers, known["answers"]),
                    "of": of,
                }
    return {"exams": exams, "lessons": dict(sorted(lessons.items()))}


def cut_sentences(groups: Sequence[Group], words: dict[str, str]) -> list[str]:
    """Return one sentence on questions and one on lessons that were cut; none where everything fitted."""
    found = cut_counts(groups)
    said: list[str] = []
    if exams := found["exams"]:
        parts = [words["cut_exam"].format(exam=name, **counts) for name, counts in exams.items()]
        said.append(words["cut_exams"].format(exams="; ".join(parts)))
    if lessons := found["lessons"]:
        parts = [words["cut_lesson"].format(lesson=step, **counts) for step, counts in lessons.items()]
        said.append(words["cut_lessons"].format(lessons="; ".join(parts)))
    return said
