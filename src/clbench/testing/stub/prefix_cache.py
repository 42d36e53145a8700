"""How a provider's prefix cache counts: leading blocks that a finished request has sent before are cached."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

BLOCK = 512  # characters, about 128 tokens


class PrefixCache:
    """Remembers the prefixes of finished requests.

    Args:
        keep: How many of the latest requests it remembers.
    """

    def __init__(self, keep: int = 256) -> None:
        self._keep = keep
        self._requests: OrderedDict[int, list[str]] = OrderedDict()
        self._blocks: dict[str, int] = {}
        self._number = 0

    def cached_chars(self, messages: list[dict[str, Any]]) -> int:
        """Return how many leading characters of a prompt are cached."""
        num = 0
        for block in _prefixes(messages):
            if block not in self._blocks:
                break
            num += BLOCK
        return num

    def finished(self, messages: list[dict[str, Any]]) -> None:
        """Remember the prefixes of a prompt that has been answered."""
        self._number += 1
        blocks = list(_prefixes(messages))
        self._requests[self._number] = blocks
        for block in blocks:
            self._blocks[block] = self._number
        if len(self._requests) > self._keep:
            number, oldest = self._requests.popitem(last=False)
            for block in oldest:
                if self._blocks.get(block) == number:
                    del self._blocks[block]


def _prefixes(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a digest for each whole block that a prompt begins with."""
    text = "".join(f"<{m.get('role')}>{m.get('content')}" for m in messages).encode("utf-8", "replace")
    running = hashlib.sha256()
    for start in range(0, len(text) - BLOCK + 1, BLOCK):
        running.update(text[start : start + BLOCK])
        yield running.hexdigest()
