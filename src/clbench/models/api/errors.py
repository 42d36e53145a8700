"""What a provider's errors mean: try again, give up this row, or stop the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from clbench.core.chat import AskError
from clbench.core.errors import ModelError

Kind = Literal["retry", "row", "run"]
Code = Literal[
    "key", "quota", "model", "overflow", "filter", "request", "rate", "server", "timeout", "connection", "body"
]

KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("key", "quota", "model"), "run"),
    **dict.fromkeys(("overflow", "filter", "request"), "row"),
    **dict.fromkeys(("rate", "server", "timeout", "connection", "body"), "retry"),
}
MENDS: Mapping[str, str] = {
    "key": "set OPENAI_API_KEY or --api-key (in a run PROVIDER_API_KEY) to a key of it, and check what it may do",
    "quota": "add credit or raise the limit of the account; the same command resumes where it stopped",
    "model": "check --model, --judge-model and --base-url (in a run --provider): it does not serve that model",
    "overflow": "the prompt is longer than the model takes: choose a model with a longer context; the row counts as 0",
    "filter": "the provider refuses this prompt, and asking again does not help; the row counts as 0",
    "request": "the provider refuses the request as it is; check --temperature, --reasoning-effort and the like",
    "rate": "lower --workers (in a run --exam-batch), or set --rpm and --tpm to what the account allows",
    "server": "wait and run the same command again; finished rows are kept",
    "timeout": "raise --timeout; finished rows are kept",
    "connection": "check --base-url and the network; finished rows are kept",
    "body": "the provider's reply was cut short or cannot be read; run the same command again",
}
WORDS: Mapping[str, tuple[str, ...]] = {  # of providers, in lower case
    "quota": (
        *("insufficient_quota", "exceeded_current_quota", "insufficient balance", "insufficient_balance"),
        *("insufficient credit", "credit balance is too low", "arrearage", "欠费", "余额不足"),
    ),
    "overflow": (
        *("context_length", "maximum context length", "context window", "context size", "prompt is too long"),
        *("range of input length", "exceeds the maximum number of tokens", "maximum allowed length", "超长"),
    ),
    "filter": (
        *(
            "content_filter",
            "contentfilter",
            "content_policy",
            "content policy",
            "invalid_prompt",
            "content exists risk",
        ),
        *("data_inspection_failed", "datainspectionfailed", "considered high risk", "prohibited_content", "敏感"),
    ),
    "model": (
        *("model_not_found", "model not exist", "not a valid model", "invalid model name", "模型不存在"),
        *("model does not exist", "unknown model"),
    ),
    "key": ("api key not valid", "api_key_invalid", "invalid api key", "incorrect api key", "invalid_api_key"),
}
SAID = 200  # characters of a provider's own text that are passed on


@dataclass(frozen=True)
class Failure:
    """Why a request failed.

    Attributes:
        code: What happened.
        said: The provider's own words, shortened.
        status: The HTTP status, 0 where there was no reply.
        retry_after: Seconds that the provider asks to wait.
    """

    code: Code
    said: str
    status: int = 0
    retry_after: float | None = None

    @property
    def kind(self) -> Kind:
        """Whether to try again, to give up the row, or to stop the run."""
        return KINDS[self.code]

    @property
    def text(self) -> str:
        """One line: what happened and what to do."""
        status = f"HTTP {self.status}, " if self.status else ""
        return f"{status}{self.code}: {self.said}; {MENDS[self.code]}"


class ApiError(AskError):
    """A request that failed for good; `failure` says why, `attempts` how often it was tried."""

    def __init__(self, failure: Failure, attempts: int) -> None:
        super().__init__(failure.text, again=failure.code not in ("overflow", "filter"))
        self.failure = failure
        self.attempts = attempts


def stopped(failure: Failure, where: str) -> ModelError:
    """Return the error with which a run stops that cannot go on."""
    status = f" (HTTP {failure.status})" if failure.status else ""
    return ModelError(f"the provider refuses{status}: {failure.said}", where=where, mend=MENDS[failure.code])


def failure_of(status: int, body: Any, retry_after: str | None = None) -> Failure:
    """Return what a reply with an error status means.

    Args:
        status: The HTTP status.
        body: The body as JSON where it is JSON, else its text.
        retry_after: The header of that name.

    Example:
        >>> failure_of(429, {"error": {"code": "insufficient_quota", "message": "no credit"}}).kind
        'run'
        >>> failure_of(503, "").kind
        'retry'
    """
    code, text = _code_and_text(body)
    return Failure(
        _meaning(status, f"{code} {text}".lower()), text[:SAID] or f"status {status}", status, _seconds(retry_after)
    )


def failure_in(status: int, body: Any) -> Failure:
    """Return what a reply means that came without an error status and holds no answer.

    Some providers send an error in the body alone, with its status as a number there; in the first choice, too.

    Example:
        >>> failure_in(200, {"error": {"code": 429, "message": "slow down"}}).code
        'rate'
        >>> failure_in(200, {"choices": []}).said
        'it holds no answer: {"choices": []}'
    """
    held = _error_in(body)
    code = str(cast(dict[str, Any], held).get("code")) if isinstance(held, dict) else ""
    number = int(code) if code.isdecimal() and len(code) == 3 else 0
    if held is not None:
        return failure_of(number if 400 <= number < 600 else 500, {"error": held})
    said = body if isinstance(body, str) else json.dumps(body)
    return Failure("body", f"it holds no answer: {' '.join(said.split())[:SAID] or 'it is empty'}", status)


def _error_in(body: Any) -> Any:
    """Return the error that a body holds, None if it holds none."""
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    return body.get("error") or first.get("error") or body.get("detail")


def _meaning(status: int, words: str) -> Code:
    """Return what a status and a provider's own words mean; words go first, since providers use statuses as they like.

    A rate limit may speak of a quota, too, so that a status of 429 alone is one.
    """
    if status == 402 or _says(words, "quota"):
        return "quota"
    if _says(words, "overflow"):
        return "overflow"
    if status in (400, 403, 421, 422, 451, 500) and _says(words, "filter"):
        return "filter"
    if status == 404 or _says(words, "model"):
        return "model"
    if _says(words, "key"):
        return "key"
    codes: dict[int, Code] = {401: "key", 403: "key", 429: "rate", 408: "server", 409: "server", 425: "server"}
    return codes.get(status, "server" if status >= 500 else "request")


def _says(words: str, code: Code) -> bool:
    return any(phrase in words for phrase in WORDS[code])


def _code_and_text(body: Any) -> tuple[str, str]:
    found = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(found, dict):
        return "", " ".join(str(found or "").split())
    code = f"{found.get('code') or ''} {found.get('type') or ''}"
    return code, " ".join(str(found.get("message") or found.get("detail") or found.get("msg") or "").split())


def _seconds(header: str | None) -> float | None:
    try:
        found = float(header or "nan")
    except ValueError:  # a date: the ordinary pause does
        return None
    return max(0.0, found) if math.isfinite(found) else None
