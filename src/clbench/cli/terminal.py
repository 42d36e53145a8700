"""The terminal: whatever it can show, nothing dies on it; what it cannot show is escaped."""

from __future__ import annotations

import codecs
import io
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from clbench.core.plain import plain

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult

# Signs that our own tables are drawn with, as a terminal without them shows them. Everything else may be data, and
# data is escaped, so that it can still be told what it was.
SIGNS = {"±": "+/-", "↑": "^", "↓": "v"}
BOX = range(0x2500, 0x2580)
UPRIGHT, LEVEL = "│┃║╎╏┆┇┊┋", "─━═╌╍┄┅┈┉╴╶╸╺"


def prepare(arguments: Sequence[str]) -> None:
    """Let stdout and stderr take every text; JSON is plain ASCII where stdout is not UTF-8, so it stays JSON.

    Args:
        arguments: Of the command line.
    """
    machine = "--json" in arguments or "--format=json" in arguments or _asks_for_json(arguments)
    for stream, exact in ((sys.stdout, machine), (sys.stderr, False)):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        errors = "clbench-exact" if exact else "clbench-shown"
        if exact and not _is_utf8(stream.encoding):
            stream.reconfigure(encoding="ascii", errors=errors)
        else:
            stream.reconfigure(errors=errors)
    sys.excepthook = _broke


def _broke(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    """Write a traceback, ours or of a user's file, as Python does; its messages may hold anybody's text."""
    sys.stderr.write(plain("".join(traceback.format_exception(kind, error, place))))


def console() -> Console:
    """Return where tables are drawn on stdout: what strangers wrote into them is neither markup nor obeyed.

    A console's own signs (colours, links) are added to its segments when these are written, so every segment's text is
    somebody's text.
    """
    from rich.console import Console

    found = Console(
        width=None if sys.stdout.isatty() else 160, markup=False, emoji=False, highlight=False, safe_box=True
    )
    found.push_render_hook(_Plain())  # pyright: ignore[reportArgumentType]  # its class would be imported for --help too
    return found


class _Plain:
    """A render hook: what is printed is drawn, and the text of every segment made plain."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Drawn(each) for each in renderables]


class _Drawn:
    def __init__(self, inside: ConsoleRenderable) -> None:
        self._inside = inside

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inside, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))


def _asks_for_json(arguments: Sequence[str]) -> bool:
    return any(a == "--format" and b == "json" for a, b in itertools.pairwise(arguments))


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


def is_dumb() -> bool:
    """Tell whether the terminal cannot move its cursor, so that bars would fill it with copies of themselves."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def escaped(text: str) -> str:
    r"""Write characters as JSON does.

    Example:
        >>> escaped("é中😀")
        '\\u00e9\\u4e2d\\ud83d\\ude00'
    """
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def shown(text: str) -> str:
    r"""Write characters as a poor terminal can show them: rules of tables as lines, everything else escaped.

    Example:
        >>> shown("━│±中")
        '-|+/-\\u4e2d'
    """
    return "".join(_sign(c) for c in text)


def _sign(character: str) -> str:
    if ord(character) in BOX:
        return "|" if character in UPRIGHT else "-" if character in LEVEL else "+"
    return SIGNS.get(character) or escaped(character)


def _exact_error(error: UnicodeError) -> tuple[str, int]:
    return _replaced(error, escaped)


def _shown_error(error: UnicodeError) -> tuple[str, int]:
    return _replaced(error, shown)


def _replaced(error: UnicodeError, how: Callable[[str], str]) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return how(error.object[error.start : error.end]), error.end


codecs.register_error("clbench-exact", _exact_error)
codecs.register_error("clbench-shown", _shown_error)
