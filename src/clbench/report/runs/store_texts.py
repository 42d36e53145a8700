"""Full questions and answers, where the store still holds them; a result folder alone has only a few."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from clbench.core.errors import StoreError
from clbench.core.types import Answer, Example
from clbench.report.runs.load import RunRecord
from clbench.store.records import read_jsonl
from clbench.store.store import Store

LONGEST = 1500  # characters shown of one text
SHORTENED = re.compile(r"\n\[… \d+ …\]\n")


def store_of(run: RunRecord) -> Path | None:
    """Return the store that a result folder lies in; None for a copied folder, or a run that lies in none."""
    if not run.folder:
        return None
    place = run.folder.parent.parent
    return place if run.folder.parent.name == "runs" and (place / "ask").is_dir() else None


@lru_cache(maxsize=64)
def questions(store: Path, digest: str) -> tuple[Example, ...]:
    """Return the questions of an exam by its digest; empty where the store does not hold them."""
    folder = Store(store).find("exam", digest)
    return tuple(read_jsonl(folder / "questions.jsonl", Example)) if folder else ()


@lru_cache(maxsize=256)
def answers(store: Path, key: str) -> tuple[Answer, ...]:
    """Return answers by their key; empty where the store does not hold them."""
    try:
        folder = Store(store).find("ask", key)
        return tuple(read_jsonl(folder / "answers.jsonl", Answer)) if folder else ()
    except StoreError:
        return ()


def question_text(example: Example) -> str:
    """Return a question as text, shortened in the middle where it is long."""
    turns = [m.content if len(example.prompt) == 1 else f"[{m.role}] {m.content}" for m in example.prompt]
    return shorten("\n".join(turns))


def is_shortened(text: str) -> bool:
    """Return whether a text lacks its middle, by the mark that `shorten` leaves."""
    return SHORTENED.search(text) is not None


def shorten(text: str, most: int = LONGEST) -> str:
    """Return a text without its middle where it is long, with a mark that says how much is missing."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}\n[… {len(text) - 2 * half} …]\n{text[-half:]}"
