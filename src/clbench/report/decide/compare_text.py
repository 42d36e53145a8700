"""A comparison as text for the terminal, and as JSON."""

from __future__ import annotations

import math
from typing import Any

from rich import box
from rich.table import Table

from clbench.metrics import all_metrics
from clbench.report.decide.compare import Comparison, ExamChange, FigureChange
from clbench.report.escape import plain
from clbench.report.tables.table import as_text, printed

SIGNIFICANT = 0.05


def comparison_text(found: Comparison, flips: int) -> str:
    """Return the tables and the flipped items of exams that differ, at most `flips` in each direction."""
    one, two = plain(found.one.label), plain(found.two.label)
    one_each = "one run each: other seeds may give other results"
    runs = f"{found.seeds[0]} and {found.seeds[1]} runs" if max(found.seeds) > 1 else one_each
    parts = [f"{two} against {one} ({runs})"]
    parts += [f"  {field}: {plain(a)} -> {plain(b)}" for field, a, b in found.settings]
    parts.append(as_text(_figures(found, one, two)))
    parts.append(as_text(_exams(found, one, two)))
    parts += [sentence for sentence in (left_out(found),) if sentence]
    parts.append(_separating(found))
    differ = [e.exam for e in found.exams if e.adjusted <= SIGNIFICANT]
    for name in differ if flips else ():
        for gained in (False, True):
            items = [f for f in found.flips if f.exam == name and f.gained == gained][:flips]
            if items:
                parts.append(f"{name}: {'gained' if gained else 'lost'} by {two}, for example")
            for flip in items:
                question = plain(flip.question or "(the question is not at hand)").replace("\n", "\n    ")
                expected = plain(" | ".join(flip.expected))
                parts.append(f"  {flip.id}\n    {question}\n    expected: {expected}")
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
    """Return the texts of a row: symbol, both values, change, interval, p, Holm's p with a star if significant."""
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
    """Return a p-value as text: three digits, never 0."""
    return "–" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def star(p: float) -> str:
    """Return the mark of a significant p, or nothing."""
    return " *" if p <= SIGNIFICANT else ""


def _exams(found: Comparison, one: str, two: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, caption=NOTE, caption_justify="left")
    for head in ("exam, after the last lesson", one, two, "change", "95 %", "p", "p, Holm", "gained", "lost"):
        table.add_column(head, justify="left" if head.startswith("exam") else "right", no_wrap=True)
    for row in exam_rows(found):
        table.add_row(*row)
    return table


NOTE = (
    "Percent. Items and seeds are paired. *: significant at 5 % after Holm's correction over the rows of its table "
    "that have a p; costs are not tested and have none. Figures: t test over bootstrap samples and seeds. Exams: "
    "permutation test that swaps the two sides item by item, or group by group (McNemar's for right and wrong)."
)


def exam_rows(found: Comparison) -> list[list[str]]:
    """Return the texts of every row; dashes for an exam that is not compared."""
    rows = [exam_cells(e) for e in found.exams]
    return rows + [[plain(name), *["–"] * 8] for name in found.left_out]


def exam_cells(each: ExamChange) -> list[str]:
    """Return the texts of a row: exam, both scores, change, interval, p, Holm's p, items gained and lost."""
    change = each.change
    interval = f"{_print(change.low, 'score')} to {_print(change.high, 'score')}"
    values = [printed(each.one, "score"), printed(each.two, "score"), _print(change.value, "score")]
    p_values = [p_text(each.p), p_text(each.adjusted) + star(each.adjusted)]
    return [plain(each.exam), *values, interval, *p_values, str(each.gained), str(each.lost)]


def left_out(found: Comparison) -> str:
    """Return a sentence on exams that are not compared; empty where all are."""
    names = ", ".join(map(plain, found.left_out))
    return f"Not compared, because no item was graded after the last lesson in every run: {names}." if names else ""


def _separating(found: Comparison) -> str:
    items, seeds = found.separate
    needs = [f"{items:.0f} items in the exam of each task" if math.isfinite(items) else "no number of items"]
    needs.append(
        f"{seeds:.0f} seeds" if math.isfinite(seeds) else "an unknown number of seeds (two are needed to tell)"
    )
    return f"To find this difference of AP with a power of 80 %: {needs[0]}, or {needs[1]}."


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Return everything as a JSON value."""

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
