"""How a grid is shown while it is made: a table that lives on a terminal, or events as JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clbench.cli.options import progress_bars, say
from clbench.cli.terminal import is_dumb
from clbench.core import events
from clbench.core.plain import plain, plain_json

if TYPE_CHECKING:
    from clbench.engine.executors.executor import UnitEvent

MOST_SHOWN = 12  # units at work that are named


def say_event(event: UnitEvent) -> None:
    """Write an event as one line of JSON on stdout."""
    known = {"event": event.what, "unit": event.unit.label, "key": event.unit.key, "lesson": event.unit.lesson}
    value = known | ({"why": event.why} if event.why else {}) | {"time": round(time.time(), 3)}
    say_line(value)


def say_line(value: Mapping[str, Any]) -> None:
    """Write a value as one line of JSON on stdout, at once."""
    sys.stdout.write(plain_json(json.dumps(value, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


@contextmanager
def live(state: Callable[[], Mapping[str, Any]], lang: str) -> Generator[None]:
    """Show the state of a grid until the block ends: as a table where stderr is a terminal, else as lines now and then.

    Args:
        state: Returns it, as `clbench grid status --json` writes it.
        lang: "en" or "zh".
    """
    if sys.stderr is None or not sys.stderr.isatty() or is_dumb():  # pyright: ignore[reportUnnecessaryComparison]  # a service
        with progress_bars():
            yield
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)

    def above(text: str) -> None:
        console.print(f"notice: {plain(text)}", markup=False, highlight=False, soft_wrap=True)

    token = events.notice_listener.set(above)
    try:
        with Live(
            console=console, get_renderable=lambda: table_of(state(), lang), refresh_per_second=2, transient=True
        ):
            yield
    finally:
        events.notice_listener.reset(token)


def table_of(state: Mapping[str, Any], lang: str) -> Any:
    """Return the state of a grid as a table: units done, running, queued, failed and shared, and the time."""
    from rich.table import Table
    from rich.text import Text

    from clbench.report.decide.grid_text import TEXTS, duration

    words = TEXTS[lang]
    table = Table(title=Text(plain(str(state["name"]))), title_justify="left")
    for name in ("done", "running", "queued", "failed", "shared_units", "left"):
        table.add_column(words[name], justify="right")
    left = state["seconds_left"]
    cells = [f"{state[name]:,}" for name in ("done", "running", "queued", "failed", "shared")]
    table.add_row(*cells, duration(None if left is None else left / 3600, lang))
    table.caption = Text(_shown(state["now"]))
    table.caption_justify = "left"
    return table


def _shown(labels: Sequence[str]) -> str:
    more = f" (+{len(labels) - MOST_SHOWN})" if len(labels) > MOST_SHOWN else ""
    return plain(", ".join(labels[:MOST_SHOWN]) + more)


def watch_until_done(state: Callable[[], Mapping[str, Any]], tell: Callable[[Mapping[str, Any]], str]) -> None:
    """Write the state of a grid again and again, whenever it has changed, until nobody is at work on it."""
    last = ""
    while True:
        now = state()
        if (text := tell(now)) != last:
            last = text
            say(text)
        if not now["at_work"]:
            return
        time.sleep(2.0)
