"""Notices: what a user must know although the work goes on. They reach stderr unless a listener takes them."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from clbench.core.plain import plain

# What libraries would print by themselves: their bars stand beside ours, and what matters of their warnings we say.
# Whoever sets one of these wins.
QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Meant for those who write programs with a library, not for those who use ours.
FOR_AUTHORS = (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def _on_stderr(text: str) -> None:
    sys.stderr.write(f"notice: {text}\n")


listener: ContextVar[Callable[[str], None]] = ContextVar("listener", default=_on_stderr)


def notice(text: str) -> None:
    """Tell whoever listens, by default stderr: a notice is never lost. What strangers wrote into it is made plain."""
    listener.get()(plain(text))


@contextmanager
def renamed(old: str, new: str) -> Generator[None]:
    """Tell the notices of a block once each, with `new` for `old`: the place where what they speak of will lie."""
    tell = listener.get()
    told: set[str] = set()

    def once(text: str) -> None:
        text = text.replace(old, new)
        if text not in told:
            told.add(text)
            tell(text)

    token = listener.set(once)
    try:
        yield
    finally:
        listener.reset(token)


def quiet_libraries() -> None:
    """Let the libraries of this process and of its workers be silent, and turn their warnings into notices.

    Call it before they are imported: they read the environment then.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.showwarning = _warned


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    _lineno: int,
    _file: TextIO | None = None,
    _line: str | None = None,
) -> None:
    if issubclass(category, FOR_AUTHORS):
        return
    first = next((line.strip() for line in str(message).splitlines() if line.strip()), category.__name__)
    found = re.search(r"site-packages[/\\]([^/\\.]+)", filename)
    notice(f"{found[1] if found else 'python'} says: {first}")
