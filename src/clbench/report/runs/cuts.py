"""Counts of and sentences on what did not fit into a model's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clbench.report.runs.groups import Group


def cut_counts(groups: Sequence[Group]) -> dict[str, Any]:
    """Return how much was cut: the most after any lesson, in any run of the groups.

    Returns:
        "exams": exam -> {"questions", "of", "tokens", "examples"}; "lessons": lesson (from 1) -> {"prompts", "answers",
        "of"}. Both are empty where everything fitted.
    """
    exams: dict[str, dict[str, int]] = {}
    lessons: dict[int, dict[str, int]] = {}
    for run in (r for g in groups for r in g.runs):
        for exam_scores in run.item_scores.exams:
            worst = max((row.cuts for row in exam_scores.rows.values() if row.cuts), default=())
            if worst and worst > tuple(
                exams.get(exam_scores.exam, {}).get(n, 0) for n in ("questions", "tokens", "examples")
            ):
                questions, tokens, examples = worst
                exams[exam_scores.exam] = {
                    "questions": questions,
                    "of": len(exam_scores.ids),
                    "tokens": tokens,
                    "examples": examples,
                }
        for lesson, (prompts, answers, of) in enumerate(run.costs.cut_by_lesson, start=1):
            known = lessons.get(lesson, {"prompts": 0, "answers": 0})
            if prompts or answers:
                lessons[lesson] = {
                    "prompts": max(prompts, known["prompts"]),
                    "answers": max(answers, known["answers"]),
                    "of": of,
                }
    return {"exams": exams, "lessons": dict(sorted(lessons.items()))}


def cut_sentences(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return one sentence on questions and one on lessons that were cut; none where everything fitted."""
    found = cut_counts(groups)
    sentences: list[str] = []
    if exams := found["exams"]:
        parts = [texts["cut_exam"].format(exam=name, **counts) for name, counts in exams.items()]
        sentences.append(texts["cut_exams"].format(exams="; ".join(parts)))
    if lessons := found["lessons"]:
        parts = [texts["cut_lesson"].format(lesson=number, **counts) for number, counts in lessons.items()]
        sentences.append(texts["cut_lessons"].format(lessons="; ".join(parts)))
    return sentences
