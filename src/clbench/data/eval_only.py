"""Rows that may be asked and never learnt: CL-bench and CL-bench Life are licensed for evaluation alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clbench.core.errors import DataError

IDS = ("context_id", "context_category", "context_subcategory", "task_id")


def is_eval_only(row: Mapping[str, Any]) -> bool:
    """Return whether a row has the shape of CL-bench: messages, rubrics, and metadata that names a task or context.

    Example:
        >>> is_eval_only({"messages": [], "rubrics": [], "metadata": {"context_id": "c"}}), is_eval_only({"text": "a"})
        (True, False)
    """
    if "rubrics" not in row or "messages" not in row:
        return False
    metadata = row.get("metadata")
    return isinstance(metadata, Mapping) and any(n in metadata for n in IDS)


def refuse_eval_only_row(row: Mapping[str, Any], where: str) -> None:
    """Refuse a row that must not be learnt.

    Raises:
        DataError: It is one of CL-bench or CL-bench Life, or has their shape.
    """
    if is_eval_only(row):
        raise DataError(
            "the row has the shape of CL-bench, whose licence is for evaluation alone: it must not be learnt",
            where=where,
            mend="ask it with `clbench context`, where nothing is trained",
        )
