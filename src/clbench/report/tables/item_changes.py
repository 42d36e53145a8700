"""Forgotten and gained items as rows of text, and as a Markdown table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clbench.report.escape import markdown
from clbench.report.runs.groups import group_runs
from clbench.report.runs.item_changes import ItemChange, item_changes
from clbench.report.runs.load import RunRecord
from clbench.report.tables.figure_tables import ways_by_label, with_ways
from clbench.report.tables.table import printed
from clbench.report.tables.translations import TRANSLATIONS
from clbench.stats.transitions import Share


def change_heads(texts: dict[str, str]) -> list[str]:
    """Return the heads of a table of changes."""
    counted = [f"{texts[name]}, {texts['as_counted']}" for name in ("forgotten_head", "gained_head")]
    corrected = [texts["forgotten_head"], texts["gained_head"]]
    return [texts["learner"], texts["exam_or_ability"], texts["since"], texts["items_head"], *corrected, *counted]


def change_cells(label: str, change: ItemChange, texts: dict[str, str]) -> list[str]:
    """Return a method's row: what it forgot and gained in percent with 95 % intervals, then both as counted."""
    raw = [printed(share.value, "score") for share in (change.forgotten_raw, change.gained_raw)]
    since = "–" if change.since is None else str(change.since)
    return [
        label,
        _name(change, texts),
        since,
        str(change.items),
        share_text(change.forgotten),
        share_text(change.gained),
        *raw,
    ]


def _name(change: ItemChange, texts: dict[str, str]) -> str:
    return texts["item_changes_mean"] if change.kind == "tasks" else change.name


def share_text(share: Share) -> str:
    """Return a share with its interval, in percent.

    Example:
        >>> share_text(Share(0.25, 0.1, 0.4)), share_text(Share())
        ('25.0 (10.0 – 40.0)', '–')
    """
    if math.isnan(share.value):
        return "–"
    ends = f" ({printed(share.low, 'score')} – {printed(share.high, 'score')})"
    return printed(share.value, "score") + ("" if math.isnan(share.low) else ends)


def to_items(runs: Sequence[RunRecord]) -> str:
    """Return a Markdown table of what each method forgot and gained item by item, in percent of the items."""
    texts = TRANSLATIONS["en"]
    groups = group_runs(runs)
    cells = [change_cells(group.label, change, texts) for group in groups for change in item_changes(group.runs)]
    heads, rows = with_ways((change_heads(texts), cells), ways_by_label(groups, texts))
    words = len(heads) - 6
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * words + "---:|" * 6]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in rows]
    return "\n".join([*lines, "", texts["item_changes_note"]]) + "\n"
