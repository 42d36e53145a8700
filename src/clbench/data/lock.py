"""Write a card's lock: counts and digest of what it gives now."""

from __future__ import annotations

import re
from pathlib import Path

from clbench.core.whole import write_whole
from clbench.data.card import Lock, load_task_card
from clbench.data.fetch import pinned
from clbench.data.source import HubSource
from clbench.data.task import lock_of, read_task


def write_lock(name_or_path: str, data: Path | None) -> str:
    """Compute a task card's lock and write it into the card, whose other lines stay as they are but for `unverified`.

    Returns:
        The lock's line.

    Raises:
        DataError: The card or its data is wrong, or one of its sources is not pinned.
    """
    card = load_task_card(name_or_path)
    for source in card.sources:
        if isinstance(source, HubSource):
            pinned(card, source)
    line = lock_line(lock_of(read_task(card, data)))
    text = card.path.read_text(encoding="utf-8")
    kept = re.sub(
        r"(?m)^(?:lock:.*\n(?:[ \t]+.*\n)*|unverified:.*\n)", "", text if text.endswith("\n") else text + "\n"
    )
    write_whole(card.path, f"{kept}{line}\n")
    return line


def lock_line(lock: Lock) -> str:
    """Write a lock as one YAML line."""
    nums = f"lesson: {lock.lesson}, dev: {lock.dev}, exam: {lock.exam}, chance: {lock.chance}"
    return f"lock: {{{nums}, digest: '{lock.digest}'}}"
