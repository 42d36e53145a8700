"""The arithmetic of the public scripts, defects included: what they would have written and printed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

from clbench.context.rows import UNKNOWN, Raw
from clbench.scoring.rubric.verdicts import RATIONALE, SCORE, STATUS

NO_OUTPUT = "No model output (counted as score 0)"
INFER_FIELDS = ("idx", "messages", "model_output", "rubrics", "metadata")
GRADE_FIELDS = ("grading_rationale", "requirement_status", "score")


@dataclass(frozen=True)
class PublicReading:
    """What the public script makes of one reply.

    Attributes:
        outcome: "graded"; "asked again", as it does with a reply that it cannot read; "crashed", where it ends with a
            traceback if it runs with one worker, and drops the row if it runs with more.
        fields: The fields that it would write.
    """

    outcome: Literal["graded", "asked again", "crashed"]
    fields: Raw


def public_id(row: Raw) -> Any:
    """Return a row's identity as the public script sees it: all rows that name none share -1."""
    metadata = row.get("metadata", {})
    own = metadata.get("task_id", row.get("idx", -1)) if isinstance(metadata, dict) else None
    return cast(Any, own)


def read_reply(text: str) -> PublicReading:
    """Read a judge's reply as the public script does.

    Example:
        >>> read_reply('Here it is: {"Overall Score": 1}').outcome, read_reply("1").outcome
        ('asked again', 'crashed')
    """
    try:
        found = json.loads(_without_fence(text))
    except ValueError:
        return PublicReading("asked again", {})
    if isinstance(found, str):
        return PublicReading("crashed" if SCORE in found else "asked again", {})
    if isinstance(found, list):
        return PublicReading("crashed" if SCORE in found else "asked again", {})
    if not isinstance(found, dict):
        return PublicReading("crashed", {})
    if SCORE not in found:
        return PublicReading("asked again", {})
    given = cast(Raw, found)
    return PublicReading("graded", written(given.get(RATIONALE, ""), given.get(STATUS, []), given.get(SCORE, "")))


def written(rationale: object, status: object, score: object) -> Raw:
    """Return the fields that a graded row gets."""
    return {"grading_rationale": rationale, "requirement_status": status, "score": score}


def public_row(row: Raw, fields: Raw) -> Raw:
    """Return a graded row as the public script writes it."""
    return {**row, "idx": public_id(row), **fields}


def statistics(rows: Iterable[Raw]) -> list[str]:
    """Return the lines that the public script prints over a graded file.

    Args:
        rows: The rows of the file; only scores and categories are kept of them.
    """
    total = num_zero = num_one = 0
    categories: dict[str, dict[str, int]] = {}
    for row in rows:
        score = row.get("score")
        total, num_zero, num_one = total + 1, num_zero + (score == 0), num_one + (score == 1)
        metadata = row.get("metadata", {})
        given: Any = metadata.get("context_category", UNKNOWN) if isinstance(metadata, dict) else UNKNOWN
        name = str(given)
        counts = categories.setdefault(name, {"total": 0, "score_0": 0, "score_1": 0})
        counts["total"] += 1
        counts["score_1" if score == 1 else "score_0"] += 1
    lines = [
        "\n📊 Final Statistics:",
        f"   Total samples: {total}",
        f"   Score 0: {num_zero}",
        f"   Score 1: {num_one}",
    ]
    lines += [f"\n📈 Solving Rate: {num_one / total:.4f} ({num_one}/{total})"] if total else []
    return [*lines, *category_lines(categories), "=" * 60]


def category_lines(categories: dict[str, dict[str, int]]) -> list[str]:
    """Return the lines by category, from counts under `total`, `score_1` and `score_0`."""
    if not categories:
        return []
    lines = ["\n📂 Scores by context_category:"]
    for name in sorted(categories, key=str):
        c = categories[name]
        rate = c["score_1"] / c["total"] if c["total"] else 0
        lines.append(f"   {name}: total={c['total']}, score_1={c['score_1']}, score_0={c['score_0']}, rate={rate:.4f}")
    return lines


def _without_fence(text: str) -> str:
    found = text.strip()
    found = found[7:] if found.startswith("```json") else found
    found = found[3:] if found.startswith("```") else found
    return found.removesuffix("```").strip()
