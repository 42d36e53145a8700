"""What an example teaches, as text."""

from __future__ import annotations

from clbench.core.types import Example


def text_of(example: Example) -> str:
    r"""Return what an example teaches as text: its document, or else its prompt and its first answer, line by line.

    Example:
        >>> from clbench.core.types import Message
        >>> text_of(Example(id="x", prompt=(Message(role="user", content="Who?"),), targets=("Ann",)))
        'Who?\nAnn'
    """
    return example.document or "\n".join([*(m.content for m in example.prompt), *example.targets[:1]])
