"""What the stub server does with each request: scripted behaviours, or answers and verdicts by simple rules."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from clbench.core.errors import SpecError

BLOCK = re.compile(r"^BEGIN (\S+)\n(.*)\nEND \1$", flags=re.M | re.S)
PUBLIC = re.compile(
    r"【Rubrics】:\n(?P<rubrics>.*?)\n【Student Response】:\n(?P<response>.*)\n\n?Please strictly", flags=re.S
)
LITERAL = re.compile(r'"([^"]+)"')
FAILS = "[fail]"


@dataclass(frozen=True)
class Behaviour:
    """What happens to one request.

    Attributes:
        content: The answer; None answers with `null`.
        status: The HTTP status; an error carries `content` as its message and `code` as its code.
        code: The code of an error, such as `insufficient_quota`.
        finish_reason: Why the answer ended.
        delay: Seconds before the reply, beside the server's latency.
        retry_after: The header of that name.
        torn: The body is cut in the middle and the connection closed.
        verdicts: Statuses for the requirements of a judge's request, in their order, the last one for all that follow;
            they take the place of `content`, in whatever form is asked for.
        body: What is sent in place of a reply, as it is: JSON, or a text as a web page; None sends a reply.
    """

    content: str | None = ""
    status: int = 200
    code: str = ""
    finish_reason: str = "stop"
    delay: float = 0.0
    retry_after: float | None = None
    torn: bool = False
    verdicts: tuple[str, ...] = ()
    body: Any = None


@dataclass
class Script:
    """Chooses behaviours: the first rule whose text a request holds, else answers and verdicts by simple rules.

    Attributes:
        rules: Text that the request's messages must hold -> behaviours for the first, second, ... such request; the
            last one goes on for ever.
        otherwise: What answers a request that no rule is for.
    """

    rules: dict[str, list[Behaviour]] = field(default_factory=dict[str, list[Behaviour]])
    otherwise: Callable[[dict[str, Any]], Behaviour] | None = None
    _asked: Counter[str] = field(default_factory=Counter[str], init=False)

    def behaviour(self, request: dict[str, Any]) -> Behaviour:
        """Return what happens to a request."""
        text = "\n".join(str(m.get("content")) for m in request.get("messages", ()))
        for wanted, given in self.rules.items():
            if wanted in text:
                self._asked[wanted] += 1
                return with_verdicts(given[min(self._asked[wanted], len(given)) - 1], request)
        return (self.otherwise or by_rule)(request)


def by_rule(request: dict[str, Any]) -> Behaviour:
    """Answer a question with a text made of its digest, and grade by `is_met`, whoever asks."""
    text = str(request["messages"][-1].get("content"))
    if found := BLOCK.search(text):
        given = json.loads(found[2])
        response = str(given["response"])
        if "requirements" not in given:
            return Behaviour(json.dumps({"mark": found[1], "classes": [error_of(given)], "why": "by rule"}))
        return Behaviour(in_our_form(text, [is_met(str(r["text"]), response) for r in given["requirements"]]))
    if found := PUBLIC.search(text):
        met = [is_met(rubric, found["response"]) for rubric in listed(found["rubrics"])]
        return Behaviour(in_public_form(["yes" if m else "no" for m in met], int(all(met))))
    return Behaviour(f"The answer is {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}.")


def error_of(given: dict[str, Any]) -> str:
    """Return the class of an error: a refusal, else whether the answer uses any number or long word of the context.

    Example:
        >>> error_of({"response": "It is 4711.", "context": "The code of zor1 is 4711."})
        'context_misused'
    """
    response, context = str(given["response"]), f"{given.get('context', '')} {given.get('task', '')}"
    if "cannot" in response:
        return "refusal"
    used = set(re.findall(r"\d{3,}|\w{8,}", response)) & set(re.findall(r"\d{3,}|\w{8,}", context))
    return "context_misused" if used else "context_ignored"


def with_verdicts(behaviour: Behaviour, request: dict[str, Any]) -> Behaviour:
    """Return a behaviour with its verdicts written out in the form that the request asks for."""
    text = str(request["messages"][-1].get("content"))
    given = behaviour.verdicts
    if not given:
        return behaviour
    if found := BLOCK.search(text):
        num = len(json.loads(found[2])["requirements"])
        met = [given[min(k, len(given) - 1)] == "yes" for k in range(num)]
        return replace(behaviour, content=in_our_form(text, met))
    public = PUBLIC.search(text)
    num = len(listed(public["rubrics"])) if public else len(given)
    status = [given[min(k, len(given) - 1)] for k in range(num)]
    return replace(behaviour, content=in_public_form(status, int(all(s == "yes" for s in status))))


def in_our_form(text: str, met: list[bool]) -> str:
    """Return verdicts for the requirements of a prompt of ours, each with the beginning of the answer as its quote."""
    found = BLOCK.search(text)
    given: dict[str, Any] = json.loads(found[2]) if found else {"requirements": [], "response": ""}
    quote = str(given["response"]).strip()[:40]
    pairs = zip(given["requirements"], met, strict=True)
    return json.dumps({"verdicts": [{"id": r["id"], "quote": quote, "met": m} for r, m in pairs]}, ensure_ascii=False)


def listed(rubrics: str) -> list[str]:
    r"""Return the rubrics of a numbered list; one may go over several lines.

    Example:
        >>> listed("1. a\nb\n2. c")
        ['a\nb', 'c']
    """
    return [text.strip() for text in re.split(r"^\d+\. ", rubrics, flags=re.M)[1:]]


def is_met(rubric: str, response: str) -> bool:
    """Return whether a response holds what a rubric quotes; a rubric that quotes nothing fails only on `[fail]`.

    Example:
        >>> is_met('The response should say "42".', "It is 42."), is_met("The response should be polite.", "[fail]")
        (True, False)
    """
    literals = LITERAL.findall(rubric)
    return all(text in response for text in literals) if literals else FAILS not in response


def in_public_form(status: list[str], score: object, rationale: str = "scripted") -> str:
    """Return a verdict in the form that the public scripts ask for."""
    names = ("Grading Rationale", "List of Requirement Satisfaction Status", "Overall Score")
    return json.dumps(dict(zip(names, (rationale, status, score), strict=True)), ensure_ascii=False)


def read_script(path: Path) -> Script:
    """Read a script: `{"rules": {"text in the request": [{"status": 429}, {"content": "..."}]}}`.

    Raises:
        SpecError: The file is not such a script.
    """
    try:
        given = cast(dict[str, list[dict[str, Any]]], json.loads(path.read_text(encoding="utf-8"))["rules"])
        return Script({wanted: [_behaviour(one) for one in behaviours] for wanted, behaviours in given.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        mend = 'write {"rules": {"text in the request": [{"status": 429}, {"content": "..."}]}}'
        raise SpecError(f"is not a script of the stub server: {error}", where=str(path), mend=mend) from error


def _behaviour(one: dict[str, Any]) -> Behaviour:
    found = Behaviour(**one)
    return replace(found, verdicts=tuple(found.verdicts))
