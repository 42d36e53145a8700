"""What a learner keeps beside the base model, in numbers: stored examples apart from all other state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clbench.core.keys import canonical
from clbench.core.types import Example


def examples_in(state: Mapping[str, Any]) -> list[Example]:
    """Return the examples that stand anywhere in a method's state."""
    return list(_walk(list(state.values())))


def _walk(value: Any) -> Iterator[Example]:
    if isinstance(value, Example):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _walk(inner)


def kept_counts(stored: list[Example], state_bytes: int, added_bytes: int) -> dict[str, int]:
    """Return what `counts.json` says of things kept.

    Args:
        stored: Stored examples.
        state_bytes: Bytes of the whole state as saved, stored examples among them.
        added_bytes: Bytes of parameters added to the base model.

    Returns:
        Bytes of each part and of all together, and the number of examples. Examples count as a budget counts them: as
        one canonical JSON list, 0 where there are none.
    """
    buffer_bytes = size(stored) if stored else 0
    other = max(state_bytes - buffer_bytes, 0)
    return {
        "buffer_examples": len(stored),
        "buffer_bytes": buffer_bytes,
        "state_bytes": other,
        "added_bytes": added_bytes,
        "kept_bytes": buffer_bytes + other + added_bytes,
    }


def size(examples: Iterable[Example]) -> int:
    """Return the bytes of examples as a budget counts them: one canonical JSON list."""
    return max(1 + sum(example_bytes(e) for e in examples), 2)


def example_bytes(example: Example) -> int:
    """Return the bytes that one example adds to a list: its own and a comma (or the closing bracket)."""
    return len(canonical(example).encode()) + 1
