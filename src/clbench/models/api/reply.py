"""A provider's reply, or a continued text, as its body holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from clbench.core.chat import Reply, Usage, count_of

NOTHING = Usage()


def reply_of(body: Any, seconds: float, attempts: int) -> Reply | None:
    """Return the reply that a body holds; None if it holds none."""
    try:
        choice = body["choices"][0]
        message = choice["message"]
        content = message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    if isinstance(content, list):  # parts, as some providers send them
        content = "".join(str(part.get("text") or "") for part in cast(list[Any], content) if isinstance(part, dict))
    return Reply(
        text=content if isinstance(content, str) else None,
        reasoning=str(message.get("reasoning_content") or message.get("reasoning") or ""),
        finish_reason=str(choice.get("finish_reason") or ""),
        model=str(body.get("model") or ""),
        refusal=str(message.get("refusal") or ""),
        usage=_usage_of(body.get("usage")),
        seconds=seconds,
        attempts=attempts,
    )


@dataclass(frozen=True)
class Completion:
    """How a server went on with a text.

    Attributes:
        text: What follows the prompt.
        ids: Its tokens, where the server gives them; else empty.
        nats: Log-probability of each token, where the server gives them; else empty.
        finish_reason: "stop", "length", ...
        usage: Tokens.
    """

    text: str
    ids: tuple[int, ...] = ()
    nats: tuple[float, ...] = ()
    finish_reason: str = ""
    usage: Usage = NOTHING


def completion_of(body: Any, *_: object) -> Completion | None:
    """Return the continuation that a body holds; None if it holds none."""
    try:
        choice: dict[str, Any] = body["choices"][0]
        text = choice["text"]
        beside: Any = choice.get("logprobs") or {}
        nats, tokens = beside.get("token_logprobs") or (), beside.get("tokens") or ()
        ids = choice.get("token_ids") or [_id_of(token) for token in tokens]
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    if not isinstance(text, str):
        return None
    known = [i for i in ids if isinstance(i, int) and not isinstance(i, bool) and i >= 0]
    measured = all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in nats)
    return Completion(
        text=text,
        ids=tuple(known) if len(known) == len(ids) else (),
        nats=tuple(map(float, nats)) if measured else (),
        finish_reason=str(choice.get("finish_reason") or ""),
        usage=_usage_of(body.get("usage")),
    )


def _id_of(token: Any) -> int | None:
    """Return the id in a token that vLLM writes as `token_id:7`."""
    begin, _, number = str(token).partition(":")
    return int(number) if begin == "token_id" and number.isdecimal() else None


def _usage_of(found: Any) -> Usage:
    if not isinstance(found, dict):
        return Usage()
    given = cast(dict[str, Any], found)
    prompt, completion = given.get("prompt_tokens_details"), given.get("completion_tokens_details")
    return Usage(
        prompt=count_of(given, "prompt_tokens"),
        cached=count_of(prompt, "cached_tokens") or count_of(given, "prompt_cache_hit_tokens"),
        completion=count_of(given, "completion_tokens"),
        reasoning=count_of(completion, "reasoning_tokens"),
    )
