"""Rubrics of a row: texts, and in generated worlds beside each the texts that meet it."""

from __future__ import annotations

from typing import Any, cast

from clbench.core.errors import DataError
from clbench.core.keys import canonical

FORM = 'write ["The response should ...", ...] or [{"rubric_criteria": "...", "exact": ["42"]}, ...]'


def rubrics_of(value: Any, column: str, where: str) -> tuple[tuple[str, ...], str]:
    """Return the rubrics of a row, without blank ones, and their exact checks as JSON; "" unless each has one.

    Raises:
        DataError: The column does not hold rubrics.
    """
    given = cast(list[Any], value) if isinstance(value, list) else [None]
    texts: list[str] = []
    checks: list[list[str]] = []
    for one in given:
        text = cast(dict[str, Any], one).get("rubric_criteria") if isinstance(one, dict) else one
        if not isinstance(text, str):
            raise DataError(f"column {column!r} is not a list of rubrics", where=where, mend=FORM)
        if not text.strip():
            continue
        texts.append(text.strip())
        exact = cast(dict[str, Any], one).get("exact") if isinstance(one, dict) else None
        if exact is not None:
            checks.append(_texts(exact, column, where))
    if not texts:
        raise DataError(f"column {column!r} holds no rubric", where=where, mend=FORM)
    return tuple(texts), canonical(checks) if len(checks) == len(texts) else ""


def _texts(exact: Any, column: str, where: str) -> list[str]:
    found = cast(list[Any], exact) if isinstance(exact, list) else []
    if not found or not all(isinstance(text, str) and text.strip() for text in found):
        raise DataError(f"column {column!r}: `exact` is not a list of texts", where=where, mend=FORM)
    return [str(text) for text in found]
