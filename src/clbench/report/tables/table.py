"""Figures as text, and tables for the terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from clbench.core.protocols import MetricPlugin
from clbench.metrics import all_metrics
from clbench.report.runs.groups import Group
from clbench.report.runs.orders import Method
from clbench.report.runs.remarks import remarks
from clbench.report.tables.translations import TRANSLATIONS
from clbench.stats.bootstrap import UNKNOWN

TABLE = (
    "average_performance",
    "learning_accuracy",
    "forgetting",
    "bwt",
    "fwt",
    "general_ability_delta",
    "instruction_delta",
    "long_context_delta",
    "train_seconds",
    "peak_memory_bytes",
    "kept_bytes",
    "api_tokens",
    "judge_tokens",
    "money",
)


def printed(value: float, unit: str) -> str:
    """Return a figure as text, in its unit; scores in percent, NaN as a dash.

    Example:
        >>> printed(0.1234, "score"), printed(float("nan"), "score"), printed(2_500_000, "bytes")
        ('12.3', '–', '2.5 MB')
    """
    if math.isnan(value):
        return "–"
    if unit in PREFIXED:
        return _prefixed(value, *PREFIXED[unit])
    if unit == "seconds":
        return f"{value:.1f} s" if abs(value) >= 1 else f"{1000 * value:.1f} ms"
    factor, digits = PLAIN.get(unit, (1, 2))
    text = f"{factor * value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


PLAIN = {"score": (100, 1), "percent": (1, 1), "count": (1, 0), "tokens/s": (1, 0)}  # factor, digits
PREFIXED = {"bytes": ("B", 0), "flops": ("FLOPs", 0), "joules": ("J", 1)}  # name, digits below a thousand
SIZES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def _prefixed(value: float, unit: str, digits: int) -> str:
    size, prefix = next(((size, prefix) for size, prefix in SIZES if abs(value) >= size), (1.0, ""))
    return f"{value / size:.{1 if prefix else digits}f} {prefix}{unit}"


def cell(group: Group, name: str) -> str:
    """Return a figure of a group as text, with half of its 95 % interval where that is known."""
    return _cell(group.score(name), group.intervals.get(name, UNKNOWN).half, name)


def method_cell(method: Method, name: str) -> str:
    """Return a figure of a method over orders and seeds as text; scores with half of their 95 % interval."""
    known = all_metrics()[name].unit == "score"  # what it costs is counted, or differs by machine
    return _cell(method.score(name), method.interval(name).half if known else math.nan, name)


def _cell(value: float, half: float, name: str) -> str:
    unit = all_metrics()[name].unit
    text = printed(value, unit)
    return text if math.isnan(half) or text == "–" else f"{text} ± {printed(half, unit)}"


def heading(plugin: MetricPlugin) -> str:
    """Return a column's head: the symbol, and an arrow towards better values."""
    return plugin.symbol + {"high": " ↑", "low": " ↓", "neither": ""}[plugin.better]


def defined(groups: Sequence[Group], names: Sequence[str]) -> list[str]:
    """Return the names of the figures that at least one group has."""
    return [n for n in names if any(not math.isnan(g.scores.get(n, math.nan)) for g in groups)]


ORDERS = (
    *("average_performance", "learning_accuracy", "forgetting", "general_ability_delta"),
    *("instruction_delta", "long_context_delta", "train_tokens", "train_flops", "kept_bytes", "train_seconds"),
)


def methods_table(methods: Sequence[Method]) -> tuple[list[str], list[list[str]]]:
    """Return a table of methods over orders and seeds as text: its heading, and a row per method.

    What it costs stands beside what is kept of the tasks: tokens and operations of training, and all that is stored.
    """
    names = defined([group for method in methods for group in method.groups], ORDERS)
    header = ["learner", *(heading(all_metrics()[n]) for n in names)]
    return header, [[m.label, *(method_cell(m, n) for n in names)] for m in methods]


def seeds_note(groups: Sequence[Group], texts: dict[str, str] = TRANSLATIONS["en"]) -> str:
    """Return sentences on how many seeds the figures rest on, and on what their signs mean."""
    counts = sorted({len(g.runs) for g in groups})
    seeds = texts["table_one"] if counts == [1] else texts["table_seeds"].format(seeds=seeds_a_row(counts, texts))
    return texts["space"].join([texts["table_note"].format(seeds=seeds), *remarks(groups, texts)])


def seeds_a_row(counts: Sequence[int], texts: Mapping[str, str]) -> str:
    """Return on how many seeds the rows of a table rest, each number once.

    Example:
        >>> seeds_a_row([1, 2, 5], TRANSLATIONS["en"]), seeds_a_row([3], TRANSLATIONS["zh"])
        ('1, 2 or 5 seeds a row', '每行 3 个种子')
    """
    *first, last = map(str, counts)
    return texts["seeds_a_row"].format(counts=f"{', '.join(first)}{texts['or']}{last}" if first else last)


MOST_WIDTH = 10_000
WIDTH = 140  # of a table as text, unless its columns need more


def as_text(table: Table) -> str:
    """Return any table as plain text; a column that does not wrap is never cut, however wide the table becomes."""
    for column in table.columns:
        if column.no_wrap:  # rich would count its longest word alone, and cut a figure before its unit
            lines = [line for cell in (column.header, *column.cells) for line in str(cell).splitlines()]
            column.min_width = max(map(cell_len, lines), default=0)
    out = io.StringIO()
    # With a height too, or rich asks the terminal for its size.
    console = Console(
        file=out, width=MOST_WIDTH, height=100, color_system=None, markup=False, emoji=False, highlight=False
    )
    console.width = max(WIDTH, Measurement.get(console, console.options, table).minimum)
    console.print(table)
    return out.getvalue().rstrip("\n")
