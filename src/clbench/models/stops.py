"""Where a generated text ends: before its end token, and before the first of its stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def before_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    """Return the tokens before the first of the end tokens.

    Example:
        >>> before_end([7, 8, 2, 0, 0], (0, 2))
        [7, 8]
    """
    return ids[: next((i for i, token in enumerate(ids) if token in ends), len(ids))]


def before_stop(text: str, stop: Sequence[str]) -> str:
    r"""Return a text up to the first of the stops; an empty stop is ignored.

    Example:
        >>> before_stop("4\n\nQuestion: 5", ("Question:", "\n\n"))
        '4'
    """
    return text[: min((text.index(s) for s in stop if s and s in text), default=len(text))]


def stopped(tokenizer: Any, written: Sequence[Sequence[int]], stop: Sequence[str]) -> list[bool]:
    """Return of each row of tokens whether a stop stands at its end, or a few tokens before it."""
    most = max(map(len, stop)) + 8  # tokens that may hold the longest: each has a character or more, and some to spare
    texts = tokenizer.batch_decode([ids[-most:] for ids in written], skip_special_tokens=True)
    return [any(s in text for s in stop) for text in texts]


def stops_at(tokenizer: Any, stop: Sequence[str], start: int) -> Any:
    """Return a stopping criterion of `generate`: a row is done when a stop stands in its text from token `start` on."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Stops(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            return torch.tensor(stopped(tokenizer, input_ids[:, start:].tolist(), stop), device=input_ids.device)

    return StoppingCriteriaList([Stops()])
