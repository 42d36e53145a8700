"""Forgotten and gained items as the report shows them: a table of methods, and what is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clbench.report.drawings.plots import Axis, strips
from clbench.report.runs.groups import Group
from clbench.report.runs.item_changes import UNGRADED, ItemChange, item_changes
from clbench.report.tables.item_changes import change_cells, change_heads
from clbench.stats.transitions import Share


def item_change_section(groups: Sequence[Group], texts: dict[str, str]) -> dict[str, Any] | None:
    """Return heads, rows, drawings and a note of the section, or None where no run has its items on record.

    Rows of all tasks together and of each ability come first, those of single tasks behind them. A drawing compares
    methods in what they forgot of all tasks, and of each ability.
    """
    found = [(group, item_changes(group.runs)) for group in groups]
    if not any(changes for _, changes in found):
        return None
    summed = [(g, c) for g, changes in found for c in changes if c.kind != "task"]
    single = [(g, c) for g, changes in found for c in changes if c.kind == "task"]
    if not any(c.kind == "tasks" for _, c in summed):  # a single task before the last lesson is all there is
        summed, single = [(g, c) for g, changes in found for c in changes], []
    between = dict.fromkeys(c.name for _, changes in found for c in changes if c.why_not == UNGRADED)
    left = ", ".join(texts["item_changes_mean"] if name == "tasks" else name for name in between)
    return {
        "columns": change_heads(texts),
        "rows": [change_cells(g.label, c, texts) for g, c in summed],
        "single": [change_cells(g.label, c, texts) for g, c in single],
        "drawings": _drawings(found, texts),
        "note": texts["graded_between"].format(exams=left) if left else "",
    }


def _drawings(found: Sequence[tuple[Group, Sequence[ItemChange]]], texts: dict[str, str]) -> list[tuple[str, str]]:
    """Draw what methods forgot: one strip per method, for all tasks together and for every ability."""
    names = dict.fromkeys((c.kind, c.name) for _, changes in found for c in changes if c.kind != "task")
    drawn: list[tuple[str, str]] = []
    for kind, name in names:
        rows: list[tuple[str, list[float], tuple[float, float]]] = []
        for group, changes in found:
            share = next((c.forgotten for c in changes if (c.kind, c.name) == (kind, name)), Share())
            rows.append((group.label, [share.value], (share.low, share.high)))
        caption = f"{texts['forgotten_head']}: {texts['item_changes_mean'] if kind == 'tasks' else name}"
        if len(rows) > 1 and (svg := strips(rows, Axis(texts["less_better"]), caption)):
            drawn.append((caption, svg))
    return drawn
