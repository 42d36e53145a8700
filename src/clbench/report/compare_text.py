"""A comparison as text for the terminal, and as JSON."""

from __future__ import annotations

import math
from typing import Any

from rich import box
from rich.table import Table

from clbench.metrics import all_metrics
from clbench.report.compare import Comparison, ExamChange, FigureChange
from clbench.report.safe import plain
from clbench.report.table import as_text, printed

SURE = 0.05


def comparison_text(found: Comparison, flips: int) -> str:
    """Give the tables and the flipped items of exams that differ, at most `flips` each way."""
    one, two = plain(found.one.label), plain(found.two.label)
    runs = (
        f"{found.seeds[0]} and {found.seeds[1]} runs" if max(found.seeds) > 1 else "one run each: other seeds may say"
    )
    parts = [f"{two} against {one} ({runs}{' other things' if max(found.seeds) == 1 else ''})"]
    parts += [f"  {field}: {plain(a)} -> {plain(b)}" for field, a, b in found.settings]
    parts.append(as_text(_figures(found, one, two)))
    parts.append(as_text(_exams(found, one, two)))
    parts += [said for said in (left_out(found),) if said]
    parts.append(_separating(found))
    sure = [e.exam for e in found.exams if e.adjusted <= SURE]
    for name in sure if flips else ():
        for gained in (False, True):
            shown = [f for f in found.flips if f.exam == name and f.gained == gained][:flips]
            if shown:
                parts.append(f"{name}: {'gained' if gained else 'lost'} by {two}, for example")
            for flip in shown:
                asked = plain(flip.question or "(the question is not at hand)").replace("\n", "\n    ")
                expected = plain(" | ".join(flip.expected))
                parts.append(f"  {flip.id}\n    {asked}\n    expected: {expected}")
                parts.append(f"    {one}: {plain(flip.one)}\n    {two}: {plain(flip.two)}")
    return "\n".join(parts)


def _figures(found: Comparison, one: str, two: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for head in ("figure", one, two, "change", "95 %", "p", "p, Holm"):
        table.add_column(head, justify="left" if head == "figure" else "right", no_wrap=True)
    for each in found.figures:
        table.add_row(*figure_cells(each))
    return table


def figure_cells(each: FigureChange) -> list[str]:
    """Give the texts of a row: symbol, both values, change, interval, p, Holm's p with a star where it is sure."""
    plugin = all_metrics()[each.name]
    unit = plugin.unit
    interval = (
        "–" if math.isnan(each.change.low) else f"{_print(each.change.low, unit)} to {_print(each.change.high, unit)}"
    )
    values = [printed(each.one, unit), printed(each.two, unit), _print(each.two - each.one, unit)]
    return [plugin.symbol, *values, interval, p_text(each.p), p_text(each.adjusted) + star(each.adjusted)]


def _print(value: float, unit: str) -> str:
    return printed(value, unit) if value < 0 or math.isnan(value) else f"+{printed(value, unit)}"


def p_text(p: float) -> str:
    """Print a p-value: three digits, never 0."""
    return "–" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def star(p: float) -> str:
    """Mark what is sure."""
    return " *" if p <= SURE else ""


def _exams(found: Comparison, one: str, two: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, caption=NOTE, caption_justify="left")
    for head in ("exam, last row", one, two, "change", "95 %", "p", "p, Holm", "gained", "lost"):
        table.add_column(head, justify="left" if head.startswith("exam") else "right", no_wrap=True)
    for row in exam_rows(found):
        table.add_row(*row)
    return table


NOTE = (
    "Percent. Items and seeds are paired. * differs at 5 % after Holm's correction over the rows of its table that "
    "have a p; costs are no hypotheses and have none. Figures: t test on bootstrap and seeds; exams: the two sides "
    "swapped item by item, or group by group, and the exam's own score made anew (McNemar's test for right and wrong)."
)


def exam_rows(found: Comparison) -> list[list[str]]:
    """Give the texts of every row; dashes for an exam that is not compared."""
    rows = [exam_cells(e) for e in found.exams]
    return rows + [[plain(name), *["–"] * 8] for name in found.left_out]


def exam_cells(each: ExamChange) -> list[str]:
    """Give the texts of a row: exam, both scores, change, interval, p, Holm's p, items gained and lost."""
    change = each.change
    interval = f"{_print(change.low, 'score')} to {_print(change.high, 'score')}"
    values = [printed(each.one, "score"), printed(each.two, "score"), _print(change.value, "score")]
    p_values = [p_text(each.p), p_text(each.adjusted) + star(each.adjusted)]
    return [plain(each.exam), *values, interval, *p_values, str(each.gained), str(each.lost)]


def left_out(found: Comparison) -> str:
    """Say which exams are not compared; empty where all are."""
    names = ", ".join(map(plain, found.left_out))
    return f"Not compared, since no item of them was marked in the last row of every run: {names}." if names else ""


def _separating(found: Comparison) -> str:
    items, seeds = found.separate
    needs = [f"{items:.0f} items in each own exam" if math.isfinite(items) else "no number of items"]
    needs.append(
        f"{seeds:.0f} seeds" if math.isfinite(seeds) else "an unknown number of seeds (two are needed to tell)"
    )
    return f"To find this difference of AP with a chance of 80 %: {needs[0]}, or {needs[1]}."


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Give everything as a JSON value."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "one": found.one.label,
        "two": found.two.label,
        "runs": found.seeds,
        "settings": [{"field": f, "one": a, "two": b} for f, a, b in found.settings],
        "figures": [
            {
                "name": f.name,
                "one": number(f.one),
                "two": number(f.two),
                "low": number(f.change.low),
                "high": number(f.change.high),
                "p": number(f.p),
                "p_holm": number(f.adjusted),
            }
            for f in found.figures
        ],
        "exams": [
            {
                "exam": e.exam,
                "one": e.one,
                "two": e.two,
                "change": e.change.value,
                "low": e.change.low,
                "high": e.change.high,
                "items": e.change.items,
                "p": e.p,
                "p_holm": e.adjusted,
                "gained": e.gained,
                "lost": e.lost,
            }
            for e in found.exams
        ],
        "left_out": list(found.left_out),
        "flips": [f.__dict__ for f in found.flips],
        "separate": {"items_per_exam": number(found.separate[0]), "seeds": number(found.separate[1])},
    }
