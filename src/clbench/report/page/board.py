"""A further table of a leaderboard's site: rows of another kind, ranked by themselves, each with a page of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clbench.core.wording import translated
from clbench.report.escape import plain


@dataclass(frozen=True)
class BoardRow:
    """A row.

    Attributes:
        id: Name of its page, of letters, digits, `-` and `_`.
        cells: (text, value to sort by; None sorts by the text), as many as the board has heads.
        why_not: Why it is not ranked; empty if it is.
        details: Lines on what stands behind it.
        page: Its page as HTML.
        files: Name -> text of files that are written beside its page.
        values: The row for `leaderboard.json`.
    """

    id: str
    cells: tuple[tuple[str, float | None], ...]
    why_not: tuple[str, ...]
    details: tuple[str, ...]
    page: str
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Board:
    """A table of rows of one kind.

    Attributes:
        kind: Its name in `leaderboard.json`.
        title, note: What it shows, and how it is to be read.
        heads: (name, meaning) of its columns.
        rows: In the order in which they are shown.
    """

    kind: str
    title: str
    note: str
    heads: tuple[tuple[str, str], ...]
    rows: Sequence[BoardRow]


def write_rows(board: Board, site: Path) -> list[dict[str, Any]]:
    """Write the pages and files of a board's rows, and return the rows as texts for the site's template."""
    (site / "pages").mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    for row in board.rows:
        (site / "pages" / f"{row.id}.html").write_text(row.page, encoding="utf-8")
        for name, text in row.files.items():
            place = site / "runs" / row.id / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        found.append(
            {
                "id": row.id,
                "cells": [(plain(text), "" if value is None else repr(value)) for text, value in row.cells],
                "why_not": [plain(translated(text)) for text in row.why_not],
                "details": [plain(text) for text in row.details],
                "files": sorted(row.files),
            }
        )
    return found


def values_of(board: Board) -> list[dict[str, Any]]:
    """Return the rows of a board as JSON values, each with its kind."""
    return [
        json.loads(json.dumps({"kind": board.kind, "id": row.id, **row.values, "out_of_ranking": list(row.why_not)}))
        for row in board.rows
    ]
