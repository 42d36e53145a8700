"""A provider's reply, or a continued text: what was written, why it ended, and what it cost in tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast


@dataclass(frozen=True)
class Usage:
    """Tokens of one reply: the prompt's, those of them cached, the answer's, those of them reasoning."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            self.reasoning + other.reasoning,
        )

    @property
    def total(self) -> int:
        """All tokens that are paid for."""
        return self.prompt + self.completion

    def plain(self) -> dict[str, int]:
        """Return it as JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Reply:
    """A reply.

    Attributes:
        text: What the model answered; None where it answered nothing.
        reasoning: What it thought, where the provider says so apart from the answer.
        finish_reason: "stop", "length", "content_filter", ...
        model: The model that the provider says it served.
        refusal: The model's refusal, where the provider marks it.
        usage: Tokens.
        seconds: From the request to the last byte, of the attempt that succeeded.
        attempts: How many requests it took.
    """

    text: str | None
    reasoning: str = ""
    finish_reason: str = ""
    model: str = ""
    refusal: str = ""
    usage: Usage = Usage()
    seconds: float = 0.0
    attempts: int = 1


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


def usage_of_record(found: dict[str, Any]) -> Usage:
    """Return the tokens that a row or a record says; what is not a whole number counts as 0.

    Example:
        >>> usage_of_record({"prompt": 3, "completion": None})
        Usage(prompt=3, cached=0, completion=0, reasoning=0)
    """
    return Usage(*(_count(found, name) for name in ("prompt", "cached", "completion", "reasoning")))


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
    usage: Usage = Usage()


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
        prompt=_count(given, "prompt_tokens"),
        cached=_count(prompt, "cached_tokens") or _count(given, "prompt_cache_hit_tokens"),
        completion=_count(given, "completion_tokens"),
        reasoning=_count(completion, "reasoning_tokens"),
    )


def _count(found: Any, name: str) -> int:
    value = cast(dict[str, Any], found).get(name) if isinstance(found, dict) else None
    return value if isinstance(value, int) else 0
