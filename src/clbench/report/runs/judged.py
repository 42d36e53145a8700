"""A sentence on exams that a judge graded: who it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from clbench.core.errors import UserError
from clbench.core.spec import JudgeSpec
from clbench.report.runs.groups import Group


def judge_sentences(groups: Sequence[Group], texts: dict[str, str]) -> list[str]:
    """Return a sentence that names the judges of exams that are graded by rubrics; none where no exam is."""
    found: dict[str, list[str]] = {}
    for run in (r for g in groups for r in g.runs):
        for exam_scores in run.item_scores.exams:
            who = judge_label(exam_scores.scorer.settings)
            if who and exam_scores.exam not in found.setdefault(who, []):
                found[who].append(exam_scores.exam)
    parts = [texts["judged_exam"].format(exams=", ".join(exams), judge=who) for who, exams in found.items()]
    return [texts["judged_exams"].format(exams="; ".join(parts))] if parts else []


def judge_label(settings: Mapping[str, Any]) -> str:
    """Return what the judge in a scorer's settings is called; "" where there is none.

    Example:
        >>> judge_label({"judge": {"by": "exact"}}), judge_label({})
        ('exact', '')
    """
    given: Any = settings.get("judge")
    if not isinstance(given, Mapping) or not given:
        return ""
    known = {k: v for k, v in cast(Mapping[str, Any], given).items() if k in JudgeSpec.model_fields}
    try:
        return JudgeSpec.model_validate(known).label
    except (ValueError, UserError):  # of a version that names judges otherwise
        return str(given)[:60]
