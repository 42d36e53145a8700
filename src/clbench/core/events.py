"""Events of the work for listeners: notices, which a user must know, and progress."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TextIO, TypeVar

from clbench.core.plain import plain
from clbench.core.wording import tr, translated

# What libraries would print: their bars would stand beside ours, and their important warnings become notices.
# A value that the user sets is kept.
QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


# Meant for authors of programs, not for our users.
FOR_AUTHORS = (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def _on_stderr(text: str) -> None:
    sys.stderr.write(f"{tr('notice: ')}{translated(text)}\n")


notice_listener: ContextVar[Callable[[str], None]] = ContextVar("listener", default=_on_stderr)


def notice(text: str) -> None:
    """Send a notice to the listener, by default stderr; control characters in it are made visible."""
    notice_listener.get()(plain(text))


@contextmanager
def renamed(old: str, new: str) -> Generator[None]:
    """Send each notice of a block once, with `new` in place of `old`: a draft's path becomes the final one."""
    tell = notice_listener.get()
    sent: set[str] = set()

    def once(text: str) -> None:
        text = text.replace(old, new)
        if text not in sent:
            sent.add(text)
            tell(text)

    token = notice_listener.set(once)
    try:
        yield
    finally:
        notice_listener.reset(token)


@contextmanager
def unheard() -> Generator[None]:
    """Drop the notices of a block, where what they say is not of the work itself."""
    token = notice_listener.set(lambda _: None)
    try:
        yield
    finally:
        notice_listener.reset(token)


def quiet_libraries() -> None:
    """Silence the libraries of this process and of its workers, and turn their warnings into notices.

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


T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """The progress of a piece of work.

    Attributes:
        what: "lesson 2", "asking trec6", ...
        done, total: Units done and to be done.
        slot: 0 is the whole work, else the process that reports.
    """

    what: str
    done: int
    total: int
    slot: int = 1


progress_listener: ContextVar[Callable[[Progress], None] | None] = ContextVar("listener", default=None)


def report_progress(progress: Progress) -> None:
    """Send progress to the listener, if there is one; control characters in its name are made visible."""
    listen = progress_listener.get()
    if listen is not None:
        listen(replace(progress, what=plain(progress.what)))


def track(items: Iterable[T], what: str, *, total: int, done: int = 0) -> Iterator[T]:
    """Yield `items` and report progress after each.

    Example:
        >>> list(track([1, 2], "counting", total=2))
        [1, 2]
    """
    for item in items:
        yield item
        done += 1
        report_progress(Progress(what, done, total))
