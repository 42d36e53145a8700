"""What a model thought before it answered, apart from its answer."""

from __future__ import annotations

import re

_MARK = re.compile(r"<(/?)think>", flags=re.I)


def without_thoughts(text: str) -> tuple[str, str]:
    """Return an answer without what stands in `<think>`, and what stood there.

    Example:
        >>> without_thoughts("<think>hm</think> 42")
        ('42', 'hm')
    """
    pieces: list[str] = []
    thoughts: list[str] = []
    begun, kept = None, 0
    for mark in _MARK.finditer(text):  # mark by mark: one expression for both would be quadratic on hostile answers
        if not mark[1]:
            begun = begun or mark
        elif begun is not None:
            pieces.append(text[kept : begun.start()])
            thoughts.append(text[begun.end() : mark.start()])
            begun, kept = None, mark.end()
    rest = "".join(pieces) + text[kept:]
    if end := next((mark for mark in _MARK.finditer(rest) if mark[1]), None):  # the opening mark stood in the prompt
        thought = rest[: end.start()].lstrip()
        opening = _MARK.match(thought)
        thoughts.append(thought[opening.end() :] if opening else thought)
        rest = rest[end.end() :]
    if not thoughts:
        return text, ""
    return rest.strip(), "\n".join(t.strip() for t in thoughts)
