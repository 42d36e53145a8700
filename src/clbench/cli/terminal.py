"""The terminal: what it cannot show is escaped, so that no text breaks the output."""

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

# Replacements for the signs of our own tables. Everything else may be data, and data is escaped, so that it can still
# be read back.
SIGNS = {"±": "+/-", "↑": "^", "↓": "v"}
BOX = range(0x2500, 0x2580)
UPRIGHT, LEVEL = "│┃║╎╏┆┇┊┋", "─━═╌╍┄┅┈┉╴╶╸╺"


def prepare(arguments: Sequence[str]) -> None:
    """Set up stdout and stderr for every text; where stdout is not UTF-8, JSON is ASCII, so that it stays valid.

    Args:
        arguments: The command line.
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
    sys.excepthook = _write_traceback


def _write_traceback(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    """Write a traceback as Python does, with control characters escaped: its messages may hold anybody's text."""
    sys.stderr.write(plain("".join(traceback.format_exception(kind, error, place))))


def console() -> Console:
    """Return a console on stdout that takes no text for markup or control characters.

    Rich adds its own control codes (colours, links) when it writes segments, so the text of every segment is data.
    """
    from rich.console import Console

    result = Console(
        width=None if sys.stdout.isatty() else 160, markup=False, emoji=False, highlight=False, safe_box=True
    )
    result.push_render_hook(_Plain())  # pyright: ignore[reportArgumentType]  # importing its class would slow --help
    return result


class _Plain:
    """Render hook that makes the text of every segment plain."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_PlainRenderable(each) for each in renderables]


class _PlainRenderable:
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
    """Return whether the terminal cannot move its cursor, so that progress bars would fill it."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def escape_json(text: str) -> str:
    r"""Return the characters as JSON escapes.

    Example:
        >>> escape_json("é中😀")
        '\\u00e9\\u4e2d\\ud83d\\ude00'
    """
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def replace_signs(text: str) -> str:
    r"""Return the characters as any terminal can show them: table rules as lines, everything else escaped.

    Example:
        >>> replace_signs("━│±中")
        '-|+/-\\u4e2d'
    """
    return "".join(_sign(c) for c in text)


def _sign(character: str) -> str:
    if ord(character) in BOX:
        return "|" if character in UPRIGHT else "-" if character in LEVEL else "+"
    return SIGNS.get(character) or escape_json(character)


def _exact_error(error: UnicodeError) -> tuple[str, int]:
    return _replacement(error, escape_json)


def _shown_error(error: UnicodeError) -> tuple[str, int]:
    return _replacement(error, replace_signs)


def _replacement(error: UnicodeError, how: Callable[[str], str]) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return how(error.object[error.start : error.end]), error.end


codecs.register_error("clbench-exact", _exact_error)
codecs.register_error("clbench-shown", _shown_error)
