"""Notices: what a user must know although the work goes on. They reach stderr unless a listener takes them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar


def _on_stderr(text: str) -> None:
    sys.stderr.write(f"notice: {text}\n")


listener: ContextVar[Callable[[str], None]] = ContextVar("listener", default=_on_stderr)


def notice(text: str) -> None:
    """Tell whoever listens, by default stderr: a notice is never lost."""
    listener.get()(text)
