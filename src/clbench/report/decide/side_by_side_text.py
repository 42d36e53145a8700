"""Checkpoints side by side: for the terminal, as CSV, Markdown, JSON, and as a page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich import box
from rich.table import Table

from clbench.core.wording import in_english, spoken, tr, translated
from clbench.report.decide.compare_text import exam_cells, p_text, star
from clbench.report.decide.side_by_side import Cell, ExamRow, SideBySide
from clbench.report.decide.texts import TEXTS, part_name
from clbench.report.escape import csv_cell, markdown, plain
from clbench.report.runs.checkpoints import Checkpoint
from clbench.report.tables.table import as_text, printed

HEADS = ("exam", "checkpoint", "score", "95 %", "items", "change", "95 %", "p", "p, Holm", "gained", "lost")
LEFT = ("exam", "checkpoint")
READING = (
    "Percent. Changes are against {first}, over the same items. *: significant at 5 % after Holm's correction over all "
    "p of the table. Permutation test that swaps the two sides item by item, or group by group (McNemar's for right "
    "and wrong); intervals as in docs/comparing.md."
)
READABLE = 60  # characters of both sides of a difference that is printed in full; JSON has all of them


def _cells(found: SideBySide, row: ExamRow) -> Iterator[list[str]]:
    """Yield the texts of an exam's lines: one for each checkpoint."""
    for place, (side, cell) in enumerate(zip(found.checkpoints, row.cells, strict=True)):
        low, high = printed(cell.low, "score"), printed(cell.high, "score")
        ends = "–" if math.isnan(cell.low) else tr("{low} to {high}", low=low, high=high)
        score = [printed(cell.score, "score"), ends, str(cell.items) if cell.items else "–"]
        change = ["–"] * 6 if cell.change is None else exam_cells(cell.change, TEXTS[spoken()])[3:]
        if not place and len(found.checkpoints) > 1:
            change = ["", *[""] * 5]
        yield [tr(row.exam), side.label, *score, *change]


def notes(found: SideBySide) -> list[str]:
    """Return sentences on how the table is to be read, what it leaves out, and what else differs."""
    first = found.checkpoints[0].label
    lines: list[str] = []
    if len(found.checkpoints) > 1:
        lines.append(tr(READING, first=first))
    if found.mean is not None:
        left = [r.exam for r in found.rows if r.exam not in found.in_mean]
        without = tr("; without {exams}, not asked alike of all", exams=tr(", ").join(left)) if left else ""
        text = "Mean: every exam counts the same ({num} exams{without})."
        lines.append(tr(text, num=len(found.in_mean), without=without))
    lines += _what_is_missing(found)
    for label, parts in found.differs:
        listed = tr("; ").join(_differing(*part) for part in parts)
        lines.append(tr("{name} differs from {first} in: {parts}", name=label, first=first, parts=listed))
    return lines


def _differing(what: str, old: str, new: str) -> str:
    name = part_name(what, TEXTS[spoken()])
    if len(old + new) >= READABLE:
        return tr(name)
    return tr("{what}: {old}, here {new}", what=tr(name), old=tr(old), new=tr(new))


def _what_is_missing(found: SideBySide) -> Iterator[str]:
    for row in found.rows:
        for side, cell in zip(found.checkpoints, row.cells, strict=True):
            told = [
                tr(text, num=num)
                for num, text in (
                    (cell.ungraded, "{num} without a grade"),
                    (cell.declined, "{num} not answered, which count 0"),
                    (cell.cut, "{num} cut, because they did not fit"),
                )
                if num
            ]
            if cell.why:
                told.append((tr("not compared: ") if cell.items else "") + translated(cell.why))
            if told:
                yield f"{row.exam}{tr(', ')}{side.label}{tr(': ')}{tr('; ').join(told)}"


def headline(found: SideBySide) -> str:
    """Return one sentence: in how many exams each checkpoint is better or worse than the first."""
    if len(found.checkpoints) == 1:
        return tr("{name}: {num} exams.", name=found.checkpoints[0].label, num=len(found.rows))
    parts: list[str] = []
    for place, side in enumerate(found.checkpoints[1:], start=1):
        changes = [c for row in found.rows if (c := row.cells[place].change) is not None]
        sure = [c.change.value for c in changes if star(c.adjusted)]
        better, worse = sum(v > 0 for v in sure), sum(v < 0 for v in sure)
        parts.append(
            tr(
                "{name}: better in {better}, worse in {worse}, no difference shown in {rest} of {num} exams",
                name=side.label,
                better=better,
                worse=worse,
                rest=len(changes) - better - worse,
                num=len(changes),
            )
        )
    return tr("Against {first}. {parts}.", first=found.checkpoints[0].label, parts=tr("; ").join(parts))


def as_table(found: SideBySide, flips: int = 0) -> str:
    """Return the table for the terminal, with at most `flips` items in each direction of exams that differ."""
    table = Table(box=box.SIMPLE_HEAD)
    for head in HEADS:
        table.add_column(tr(head), justify="left" if head in LEFT else "right", no_wrap=True)
    for row in found.all:
        for number, cells in enumerate(_cells(found, row)):
            table.add_row(*map(plain, [cells[0] if not number else "", *cells[1:]]))
    lines = [plain(headline(found)), as_text(table), *map(plain, notes(found))]
    return "\n".join([*lines, *(_flip_lines(found, flips) if flips else ())])


def _flip_lines(found: SideBySide, flips: int) -> Iterator[str]:
    seen: dict[tuple[str, str, bool], int] = {}
    first = plain(found.checkpoints[0].label)
    for label, flip in found.flips:
        key = (label, flip.exam, flip.gained)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > flips:
            continue
        if seen[key] == 1:
            text = "{exam}: gained by {name}, for example" if flip.gained else "{exam}: lost by {name}, for example"
            yield tr(text, exam=plain(flip.exam), name=plain(label))
        question = plain(flip.question or tr("(the question is not at hand)")).replace("\n", "\n    ")
        expected = tr("expected: {text}", text=plain(" | ".join(flip.expected) or "–"))
        yield f"  {plain(flip.id)}\n    {question}\n    {expected}"
        yield f"    {first}: {plain(flip.one)}\n    {plain(label)}: {plain(flip.two)}"


def as_markdown(found: SideBySide) -> str:
    """Return the table as Markdown."""
    lines = [
        markdown(headline(found)),
        "",
        f"| {' | '.join(map(tr, HEADS))} |",
        f"|---|---|{'---:|' * (len(HEADS) - 2)}",
    ]
    lines += [f"| {' | '.join(map(markdown, cells))} |" for row in found.all for cells in _cells(found, row)]
    return "\n".join([*lines, "", *(f"- {markdown(line)}" for line in notes(found))]).rstrip() + "\n"


FIELDS = (
    *("exam", "checkpoint", "model", "identity", "score", "low", "high", "items", "ungraded", "not_answered", "cut"),
    *("against", "change", "change_low", "change_high", "p", "p_holm", "gained", "lost", "why"),
)


def _values(found: SideBySide, row: ExamRow) -> Iterator[dict[str, Any]]:
    """Yield the values of an exam's lines by `FIELDS`, numbers in [0, 1]; None is not known."""
    first = found.checkpoints[0].label
    for side, cell in zip(found.checkpoints, row.cells, strict=True):
        yield {
            "exam": row.exam,
            "checkpoint": side.label,
            "model": side.found.model.name,
            "identity": side.found.identity,
            **{name: _number(value) for name, value in (("score", cell.score), ("low", cell.low), ("high", cell.high))},
            "items": cell.items,
            "ungraded": cell.ungraded,
            "not_answered": cell.declined,
            "cut": cell.cut,
            **_change_values(cell, first),
            "why": cell.why,
        }


def _change_values(cell: Cell, first: str) -> dict[str, Any]:
    change = cell.change
    if change is None:
        return dict.fromkeys(FIELDS[11:-1])
    return {
        "against": first,
        "change": _number(change.change.value),
        "change_low": _number(change.change.low),
        "change_high": _number(change.change.high),
        "p": _number(change.p),
        "p_holm": _number(change.adjusted),
        "gained": change.gained,
        "lost": change.lost,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def as_csv(found: SideBySide) -> str:
    """Return a line for every exam and checkpoint; numbers in [0, 1], nothing where one is not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in found.all:
        for values in _values(found, row):
            cells = [values[name] for name in FIELDS]
            writer.writerow(["" if v is None else csv_cell(v) if isinstance(v, str) else v for v in cells])
    return out.getvalue()


def as_json(found: SideBySide) -> dict[str, Any]:
    """Return everything as a JSON value, in English."""
    with in_english():
        told = headline(found)
    return {
        "headline": told,
        "checkpoints": [
            {
                "label": side.label,
                "model": side.found.model.model_dump(mode="json"),
                "identity": side.found.identity,
                "made": side.found.made,
                "clbench": side.found.clbench,
                "parts": dict(side.found.parts),
                "machine": dict(side.found.machine),
            }
            for side in found.checkpoints
        ],
        "exams": [
            {
                "exam": row.exam,
                "ability": row.ability,
                "guess_rate": _number(row.guess_rate),
                "results": list(_values(found, row)),
            }
            for row in found.rows
        ],
        "mean": None if found.mean is None else {"exams": found.in_mean, "results": list(_values(found, found.mean))},
        "differs": [
            {"checkpoint": label, "parts": [dict(zip(("what", "first", "here"), part, strict=True)) for part in parts]}
            for label, parts in found.differs
        ],
        "flips": [{"checkpoint": label, **vars(flip)} for label, flip in found.flips],
    }


def _short(cell: Cell) -> tuple[str, str, str]:
    """Return a cell of the page's first table: score, change with p, and its class."""
    score = printed(cell.score, "score")
    if cell.change is None:
        return score, translated(cell.why), ""
    texts = exam_cells(cell.change, TEXTS[spoken()])
    sure = bool(star(cell.change.adjusted))
    kind = ("better" if cell.change.change.value > 0 else "worse") if sure else "open"
    return score, f"{texts[3]} ({texts[4]}), p {p_text(cell.change.adjusted)}{star(cell.change.adjusted)}", kind


def side_by_side_page(found: SideBySide, title: str) -> str:
    """Return checkpoints side by side as one HTML page that needs nothing else."""
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return plain(
        environment.get_template("side_by_side.html.jinja").render(
            title=title,
            tr=tr,
            lang=spoken(),
            headline=headline(found),
            notes=notes(found),
            sides=[_about(side) for side in found.checkpoints],
            rows=[
                (tr(row.exam), tr(row.ability), printed(row.guess_rate, "score"), [_short(c) for c in row.cells])
                for row in found.all
            ],
            heads=list(map(tr, HEADS)),
            lines=[cells for row in found.all for cells in _cells(found, row)],
            flips=[(label, flip) for label, flip in found.flips],
            first=found.checkpoints[0].label,
        )
    )


def _about(side: Checkpoint) -> tuple[str, str, str]:
    """Return (label, name, what is known) of a checkpoint."""
    found = side.found
    machine = ", ".join(f"{name} {value}" for name, value in found.machine.items())
    known = [found.model.dtype, f"identity {found.identity[:12]}", found.made, f"clbench {found.clbench}", machine]
    return side.label, found.model.name, " · ".join(text for text in known if text)
