"""Verdicts of judges: reading them, and the one rule that turns them into a score."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from clbench.scoring.rubric.thoughts import without_thoughts

NaPolicy = Literal["fail", "pass", "exclude"]
State = Literal["ok", "empty", "truncated", "refused", "overflow", "infra_error", "judge_error", "missing"]
STATES: tuple[State, ...] = ("ok", "empty", "truncated", "refused", "overflow", "infra_error", "judge_error", "missing")
UNKNOWN: frozenset[str] = frozenset({"infra_error", "judge_error", "missing"})
"""States in which nobody knows whether the model would have solved the task."""
UNJUDGED = "unjudged"
RATIONALE, STATUS, SCORE = "Grading Rationale", "List of Requirement Satisfaction Status", "Overall Score"
Label = Literal["yes", "no", "n/a"]
_WORDS: Mapping[Label, frozenset[str]] = {
    "yes": frozenset(
        {
            *("yes", "y", "true", "1", "1.0", "1/1", "met", "satisfied", "fulfilled", "pass", "passed", "correct"),
            *("fully met", "fully satisfied", "fully fulfilled", "✓", "✔", "✔️", "✅", "√"),
            *("是", "是的", "满足", "已满足", "完全满足", "符合", "完全符合", "达到", "达成", "通过", "正确", "真"),
        }
    ),
    "no": frozenset(
        {
            *("no", "n", "false", "0", "0.0", "0/1", "not met", "unmet", "not satisfied", "unsatisfied", "incorrect"),
            *("not fulfilled", "unfulfilled", "fail", "failed", "not fully met", "not fully satisfied"),
            *("partial", "partially", "partly", "partially met", "partially satisfied", "partially fulfilled"),
            *("✗", "✘", "✖", "❌", "×"),
            *(
                "否",
                "不是",
                "不满足",
                "未满足",
                "没有满足",
                "不符合",
                "未达到",
                "未达成",
                "不通过",
                "未通过",
                "错误",
                "假",
            ),
            *("部分满足", "部分符合", "部分", "部分达到", "不完全满足", "未完全满足"),
        }
    ),
    "n/a": frozenset({"n/a", "na", "n.a", "not applicable", "none", "null", "不适用", "无"}),
}
_HEDGE = re.compile(
    r"\b(?:but|partial\w*|partly|mostly|almost|nearly|except|however|though|only|some)\b|部分|但|不过|基本"
)
_HEAD = re.compile(r"^([^,.;:()\[—–\-，。；：（、\n]+)[,.;:()\[—–\-，。；：（、\n](.*)$", flags=re.S)
_NAMED = ("status", "verdict", "met", "satisfied", "label", "satisfaction", "result")
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", flags=re.S | re.I)
_THINKS = re.compile(r"<think>", flags=re.I)
_OPENS = re.compile(r"\{\s*[\"}]")  # an object of JSON, not a brace of prose
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


def verdict_of(value: object) -> Label | None:
    """Return what a judge's label says, in the words of judges and people; None if it says nothing clear.

    A reason behind the word is allowed; one that takes back a yes makes it unclear. In part is a no.

    Example:
        >>> [verdict_of(v) for v in (True, "**Yes**", "Yes - it names both", "满足", "partially met", "No: too long")]
        ['yes', 'yes', 'yes', 'yes', 'no', 'no']
        >>> [verdict_of(v) for v in (None, "N/A", "Yes, but too late", "2", "maybe")]
        ['n/a', 'n/a', None, None, None]
    """
    if value is None:
        return "n/a"
    text = _bare(str(value))
    for label, words in _WORDS.items():
        if text in words:
            return label
    head = _HEAD.match(text)
    if head is None:
        return None
    word = _bare(head[1])
    said: Label | None = next((label for label, words in _WORDS.items() if word in words), None)
    return None if said == "yes" and _HEDGE.search(head[2]) else said


def _bare(text: str) -> str:
    return " ".join(text.strip().strip(".\"'`*_[]()。“”「」【】!！").lower().split())


def label_of(value: object, na: NaPolicy = "fail") -> str:
    """Return "yes", "no" or, if n/a is to be excluded, "n/a"; "unjudged" for a label that says nothing clear.

    Example:
        >>> [label_of(v) for v in (True, "Yes", "1", "partial", "n/a", 0, "perhaps")]
        ['yes', 'yes', 'yes', 'no', 'no', 'no', 'unjudged']
        >>> label_of("N/A", "exclude")
        'n/a'
    """
    said = verdict_of(value)
    if said == "n/a":
        return {"fail": "no", "pass": "yes", "exclude": "n/a"}[na]
    return said or UNJUDGED


def statuses_of(value: object) -> list[Any]:
    """Return the labels of a judge's list, whatever form it took; none where nothing of it is a list.

    A list may be written as text, hold objects with a label each, or be an object of labels in order.

    Example:
        >>> statuses_of("['yes', 'no']"), statuses_of({"1": "yes", "2": "no"}), statuses_of([{"status": "yes"}])
        (['yes', 'no'], ['yes', 'no'], ['yes'])
        >>> statuses_of("yes")
        []
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = ast.literal_eval(value.strip()) if "'" in value and '"' not in value else json.loads(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return []
    if isinstance(value, dict):
        value = list(cast(Mapping[Any, Any], value).values())
    return [_named(each) for each in cast(list[Any], value)] if isinstance(value, list) else []


def _named(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    fields = {str(name).lower(): each for name, each in cast(Mapping[Any, Any], value).items()}
    return next((fields[name] for name in _NAMED if name in fields), value)


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

    Read are, in this order: the whole text, fenced blocks, balanced braces (the last that fits), and these again with
    line ends in texts and without trailing commas. Thoughts are left out; of thoughts without an end, all that follows.

    Args:
        text: A judge's reply.
        wanted: Whether an object is the one that was asked for.
    """
    text = _THINKS.split(without_thoughts(text)[0], maxsplit=1)[0]
    for repair in (False, True):
        for how, candidates in (("", [text]), ("fenced", _FENCE.findall(text)), ("in prose", _balanced(text))):
            fitting = [each for c in candidates if (each := _wanted_in(_loaded(c, repair), wanted)) is not None]
            if fitting:
                several = any(each != fitting[-1] for each in fitting)
                return fitting[-1], tuple(filter(None, (how, *(("repaired",) * repair), *(("several",) * several))))
    return None, ("unreadable",)


def read_public(text: str) -> PublicVerdict | None:
    """Return the verdict of a reply in the form of the public scripts; None if it holds none."""
    found, flags = read_object(text, lambda o: bool({STATUS, SCORE} & _as_public(o).keys()))
    if found is None:
        return None
    fields = _as_public(found)
    renamed = () if {STATUS, SCORE} & found.keys() else ("under other names",)
    rationale = str(fields.get(RATIONALE) or "")
    return PublicVerdict(statuses_of(fields.get(STATUS)), fields.get(SCORE), rationale, (*flags, *renamed))


_PUBLIC = {
    "gradingrationale": RATIONALE,
    "rationale": RATIONALE,
    "listofrequirementsatisfactionstatus": STATUS,
    "requirementsatisfactionstatus": STATUS,
    "requirementstatus": STATUS,
    "statuslist": STATUS,
    "overallscore": SCORE,
    "score": SCORE,
}


def _as_public(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a verdict under the names of the public prompt, however a judge spelt them."""
    fields = {_PUBLIC.get("".join(c for c in name.lower() if c.isalpha()), name): each for name, each in found.items()}
    return {**fields, **{name: found[name] for name in (RATIONALE, STATUS, SCORE) if name in found}}


def _wanted_in(found: Any, wanted: Callable[[dict[str, Any]], bool], depth: int = 3) -> dict[str, Any] | None:
    """Return an object that is wanted: this one, or the only one within it. Texts within it may be of an answer."""
    if isinstance(found, dict) and wanted(fields := cast(dict[str, Any], found)):
        return fields
    if not depth or not isinstance(found, (dict, list)):
        return None
    inner = list(cast(Mapping[str, Any], found).values()) if isinstance(found, dict) else cast(list[Any], found)
    fitting = [each for i in inner if (each := _wanted_in(i, wanted, depth - 1)) is not None]
    return fitting[0] if len(fitting) == 1 else None


def _loaded(text: str, repair: bool) -> Any:
    try:
        found = json.loads(_TRAILING_COMMA.sub(r"\1", text) if repair else text, strict=not repair)
        return json.loads(found) if isinstance(found, str) else found  # a reply may be JSON within JSON
    except (ValueError, RecursionError):
        return None


def _balanced(text: str) -> list[str]:
    """Return the outermost pieces from `{` to its `}`, braces within JSON strings apart."""
    pieces: list[str] = []
    depth, start, in_string, escaped = 0, 0, False, False
    for place, c in enumerate(text):
        if in_string:
            in_string, escaped = (c != '"' or escaped), (c == "\\" and not escaped)
        elif c == '"' and depth:
            in_string = True
        elif c == "{" and (depth or _OPENS.match(text, place)):
            start = place if depth == 0 else start
            depth += 1
        elif c == "}" and depth:
            depth -= 1
            if depth == 0:
                pieces.append(text[start : place + 1])
    return pieces
