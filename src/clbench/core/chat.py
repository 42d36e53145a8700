"""Asking a model: the reply, what it cost in tokens, and the error of a request that failed for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
        guessed: Whether the provider did not say the tokens, and they are a guess by length.
    """

    text: str | None
    reasoning: str = ""
    finish_reason: str = ""
    model: str = ""
    refusal: str = ""
    usage: Usage = Usage()
    seconds: float = 0.0
    attempts: int = 1
    guessed: bool = False


def usage_of_record(found: dict[str, Any]) -> Usage:
    """Return the tokens that a row or a record says; what is not a whole number counts as 0.

    Example:
        >>> usage_of_record({"prompt": 3, "completion": None})
        Usage(prompt=3, cached=0, completion=0, reasoning=0)
    """
    return Usage(*(count_of(found, name) for name in ("prompt", "cached", "completion", "reasoning")))


def count_of(found: Any, name: str) -> int:
    """Return a number of tokens from a mapping; 0 where it says none."""
    value = cast(dict[str, Any], found).get(name) if isinstance(found, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


class AskError(Exception):
    """A request that failed for good.

    Args:
        said: One line: what happened and what to do.
        again: Whether the same request may succeed later.
    """

    def __init__(self, said: str, *, again: bool = False) -> None:
        super().__init__(said)
        self.again = again


Ask = Callable[[dict[str, Any]], Awaitable[Reply]]
"""Asks a model with a request as JSON; raises `AskError`."""
