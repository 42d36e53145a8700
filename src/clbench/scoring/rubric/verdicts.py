"""Verdicts of judges: reading them, and the one rule that turns them into a score."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

NaPolicy = Literal["fail", "pass", "exclude"]
State = Literal["ok", "empty", "truncated", "refused", "overflow", "infra_error", "judge_error", "missing"]
STATES: tuple[State, ...] = ("ok", "empty", "truncated", "refused", "overflow", "infra_error", "judge_error", "missing")
UNKNOWN: frozenset[str] = frozenset({"infra_error", "judge_error", "missing"})
"""States in which nobody knows whether the model would have solved the task."""
UNJUDGED = "unjudged"
RATIONALE, STATUS, SCORE = "Grading Rationale", "List of Requirement Satisfaction Status", "Overall Score"
_YES = frozenset({"yes", "y", "true", "1", "1.0", "met", "satisfied", "pass"})
_NA = frozenset({"n/a", "na", "not applicable", "none", "null"})
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", flags=re.S | re.I)
_TRAILING_COMMA = re.compile(r",(\s*[\]}])")


@dataclass(frozen=True)
class PublicVerdict:
    """A verdict in the form of the public scripts, as the judge wrote it.

    Attributes:
        status: The labels, unchanged.
        score: The judge's own score, unchanged.
        rationale: Its reasons.
        flags: How the reply had to be read, such as "repaired".
    """

    status: list[Any]
    score: Any
    rationale: str
    flags: tuple[str, ...] = ()


def label_of(value: object, na: NaPolicy = "fail") -> str:
    """Return "yes", "no" or, if n/a is to be excluded, "n/a"; whatever does not clearly say yes is a no.

    Example:
        >>> [label_of(v) for v in (True, "Yes", "1", "partial", "n/a", 0)]
        ['yes', 'yes', 'yes', 'no', 'no', 'no']
        >>> label_of("N/A", "exclude")
        'n/a'
    """
    text = " ".join(str(value).strip().strip(".\"'").lower().split())
    if value is None or text in _NA:
        return {"fail": "no", "pass": "yes", "exclude": "n/a"}[na]
    return "yes" if text in _YES else "no"


def score_of(status: Sequence[str], num_rubrics: int) -> int:
    """Return 1 if there are rubrics, each has a status and each that counts is a yes; else 0.

    Example:
        >>> score_of(["yes", "yes"], 2), score_of(["yes"], 2), score_of([], 0), score_of(["yes", "n/a"], 2)
        (1, 0, 0, 1)
    """
    counted = [s for s in status if s != "n/a"]
    return int(len(status) == num_rubrics > 0 and bool(counted) and all(s == "yes" for s in counted))


def says_solved(score: object) -> bool | None:
    """Return whether a judge's own score says that the task is solved; None if it says nothing clear.

    Example:
        >>> says_solved("1"), says_solved(True), says_solved(0.0), says_solved("perhaps")
        (True, True, False, None)
    """
    text = str(score).strip().lower().removesuffix(" points").removesuffix(" point")
    if text in ("1", "1.0", "true"):
        return True
    return False if text in ("0", "0.0", "false") else None


def read_object(text: str, wanted: Callable[[dict[str, Any]], bool]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return the JSON object of a reply, whatever stands around it, and flags that say how it was found.

    Read are, in this order: the whole text, fenced blocks, balanced braces (the last that fits), and these again
    without trailing commas.

    Args:
        text: A judge's reply.
        wanted: Whether an object is the one that was asked for.
    """
    for repair in (False, True):
        for how, candidates in (("", [text]), ("fenced", _FENCE.findall(text)), ("in prose", _balanced(text))):
            for candidate in reversed(candidates):
                found = _loaded(_TRAILING_COMMA.sub(r"\1", candidate) if repair else candidate)
                if found is not None and wanted(found):
                    return found, tuple(filter(None, (how, "repaired" if repair else "")))
    return None, ("unreadable",)


def read_public(text: str) -> PublicVerdict | None:
    """Return the verdict of a reply in the form of the public scripts; None if it holds none."""
    found, flags = read_object(text, lambda o: isinstance(o.get(STATUS), list) or SCORE in o)
    if found is None:
        return None
    status = found.get(STATUS)
    given = cast(list[Any], status) if isinstance(status, list) else []
    return PublicVerdict(given, found.get(SCORE), str(found.get(RATIONALE) or ""), flags)


def _loaded(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text.strip())
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], found) if isinstance(found, dict) else None


def _balanced(text: str) -> list[str]:
    """Return the outermost pieces from `{` to its `}`, braces within JSON strings apart."""
    pieces: list[str] = []
    depth, start, in_string, escaped = 0, 0, False, False
    for place, c in enumerate(text):
        if in_string:
            in_string, escaped = (c != '"' or escaped), (c == "\\" and not escaped)
        elif c == '"' and depth:
            in_string = True
        elif c == "{":
            start = place if depth == 0 else start
            depth += 1
        elif c == "}" and depth:
            depth -= 1
            if depth == 0:
                pieces.append(text[start : place + 1])
    return pieces
