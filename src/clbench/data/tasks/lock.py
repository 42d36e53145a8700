"""Write a card's lock: counts and digest of its present content."""

from __future__ import annotations

import re
from pathlib import Path

from clbench.core.atomic_write import write_atomically
from clbench.data.tasks.card import Lock, load_task_card
from clbench.data.tasks.fetch import pinned
from clbench.data.tasks.source import HubSource
from clbench.data.tasks.task import lock_of, read_task


def write_lock(name_or_path: str, data: Path | None) -> str:
    """Write a task card's lock into the card and return it; only the line `unverified` is removed.

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
    write_atomically(card.path, f"{kept}{line}\n")
    return line


def lock_line(lock: Lock) -> str:
    """Return a lock as one YAML line."""
    nums = f"lesson: {lock.lesson}, dev: {lock.dev}, exam: {lock.exam}, guess_rate: {lock.guess_rate}"
    return f"lock: {{{nums}, digest: '{lock.digest}'}}"
