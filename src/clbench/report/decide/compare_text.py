"""A comparison as text for the terminal, and as JSON."""

from __future__ import annotations

import math
from typing import Any

from rich import box
from rich.table import Table

from clbench.metrics import all_metrics
from clbench.report.decide.compare import Comparison, ExamChange, FigureChange, Flip
from clbench.report.decide.texts import TEXTS, heads
from clbench.report.escape import plain
from clbench.report.tables.table import as_text, printed
from clbench.stats.bootstrap import Interval
from clbench.stats.paired import Difference

SIGNIFICANT = 0.05
Texts = dict[str, str]
ENGLISH = TEXTS["en"]


def comparison_text(found: Comparison, flips: int, texts: Texts = ENGLISH) -> str:
    """Return the tables and the flipped items of exams that differ, at most `flips` in each direction."""
    one, two = plain(found.one.label), plain(found.two.label)
    runs = texts["one_run_each"]
    if max(found.seeds) > 1:
        runs = texts["compare_runs"].format(one=found.seeds[0], two=found.seeds[1])
    parts = [texts["compare_result"].format(one=one, two=two, runs=runs)]
    parts += [f"  {field}: {plain(a)} -> {plain(b)}" for field, a, b in found.settings]
    parts += [as_text(_figures(found, one, two, texts)), as_text(_exams(found, one, two, texts))]
    parts += [sentence for sentence in (left_out(found, texts),) if sentence]
    parts.append(_separating(found, texts))
    differ = [e.exam for e in found.exams if e.adjusted <= SIGNIFICANT]
    for name in differ if flips else ():
        for gained in (False, True):
            items = [f for f in found.flips if f.exam == name and f.gained == gained][:flips]
            if items:
                parts.append(texts["gained_by" if gained else "lost_by"].format(exam=plain(name), two=two))
            parts += [_flip(each, one, two, texts) for each in items]
    return "\n".join(parts)


def _flip(flip: Flip, one: str, two: str, texts: Texts) -> str:
    question = plain(flip.question or texts["no_question"]).replace("\n", "\n    ")
    expected = texts["expected"].format(text=plain(" | ".join(flip.expected)))
    answers = [f"{one}: {plain(flip.one)}", f"{two}: {plain(flip.two)}"]
    return "\n    ".join([f"  {flip.id}", question, expected, *answers])


def _figures(found: Comparison, one: str, two: str, texts: Texts) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for place, head in enumerate(heads(texts, "figure_heads", one=one, two=two)):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for each in found.figures:
        table.add_row(*figure_cells(each, texts))
    return table


def figure_cells(each: FigureChange, texts: Texts = ENGLISH) -> list[str]:
    """Return the texts of a row: symbol, both values, change, interval, p, Holm's p with a star if significant."""
    plugin = all_metrics()[each.name]
    unit = plugin.unit
    interval = "–" if math.isnan(each.change.low) else _interval(each.change, unit, texts)
    values = [printed(each.one, unit), printed(each.two, unit), _print(each.two - each.one, unit)]
    return [plugin.symbol, *values, interval, p_text(each.p), p_text(each.adjusted) + star(each.adjusted)]


def _interval(change: Difference | Interval, unit: str, texts: Texts) -> str:
    return texts["to"].format(low=_print(change.low, unit), high=_print(change.high, unit))


def _print(value: float, unit: str) -> str:
    return printed(value, unit) if value < 0 or math.isnan(value) else f"+{printed(value, unit)}"


def p_text(p: float) -> str:
    """Return a p-value as text: three digits, never 0."""
    return "–" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def star(p: float) -> str:
    """Return the mark of a significant p, or nothing."""
    return " *" if p <= SIGNIFICANT else ""


def _exams(found: Comparison, one: str, two: str, texts: Texts) -> Table:
    table = Table(box=box.SIMPLE_HEAD, caption=texts["compare_note"], caption_justify="left")
    for place, head in enumerate(heads(texts, "exam_heads", one=one, two=two)):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for row in exam_rows(found, texts):
        table.add_row(*row)
    return table


def exam_rows(found: Comparison, texts: Texts = ENGLISH) -> list[list[str]]:
    """Return the texts of every row; dashes for an exam that is not compared."""
    rows = [exam_cells(e, texts) for e in found.exams]
    return rows + [[plain(name), *["–"] * 8] for name in found.left_out]


def exam_cells(each: ExamChange, texts: Texts = ENGLISH) -> list[str]:
    """Return the texts of a row: exam, both scores, change, interval, p, Holm's p, items gained and lost."""
    change = each.change
    values = [printed(each.one, "score"), printed(each.two, "score"), _print(change.value, "score")]
    p_values = [p_text(each.p), p_text(each.adjusted) + star(each.adjusted)]
    counts = [str(each.gained), str(each.lost)]
    return [plain(each.exam), *values, _interval(change, "score", texts), *p_values, *counts]


def left_out(found: Comparison, texts: Texts = ENGLISH) -> str:
    """Return a sentence on exams that are not compared; empty where all are."""
    names = texts["join"].join(map(plain, found.left_out))
    return texts["not_compared"].format(names=names) if names else ""


def _separating(found: Comparison, texts: Texts) -> str:
    items, seeds = found.separate
    each = texts["separating_items" if math.isfinite(items) else "separating_never"]
    more = texts["separating_seeds" if math.isfinite(seeds) else "separating_unknown"]
    return texts["separating"].format(items=each.format(num=f"{items:.0f}"), seeds=more.format(num=f"{seeds:.0f}"))


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
