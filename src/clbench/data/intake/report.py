"""The result of a check as tables, as plain text and as values for JSON."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np

from clbench.core.wording import cells, in_english, padded, tr, translated
from clbench.data.intake.audit import Audit
from clbench.data.intake.findings import KINDS, Finding
from clbench.data.intake.text import printable
from clbench.data.tasks.template import Template

MOST_SHOWN = 12  # labels in the table
OPEN_LENGTH = (
    "lengths are in words; --model NAME counts tokens, and says how many fit; how long a row may be is not known here"
)


@dataclass(frozen=True)
class Table:
    """A small table of texts; the first column is a name, the others are numbers or texts."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def percentiles(values: array[int]) -> tuple[int, int, int]:
    """Return (p50, p95, max) of lengths: values that occur, by nearest rank.

    Example:
        >>> percentiles(array("I", range(1, 101)))
        (50, 95, 100)
    """
    found = np.frombuffer(values, dtype=np.uint32)
    p50, p95 = np.percentile(found, [50, 95], method="inverted_cdf")
    return int(p50), int(p95), int(found.max())


def written(template: Template) -> str:
    """Return a template as the user wrote it."""
    return "".join(
        text.replace("{", "{{").replace("}", "}}") + (f"{{{field}}}" if field else "") for text, field in template.parts
    )


def reading_of(audit: Audit) -> str:
    """Return a sentence on how rows are read."""
    form = audit.form
    if form is None:
        return tr("unknown")
    accepted = tr(", accepted besides: {columns}", columns=", ".join(form.accept)) if form.accept else ""
    if form.turns:
        return tr("{column}: the last assistant turn is the answer", column=form.turns) + accepted
    templates = {"prompt": repr(written(form.prompt)), "target": repr(written(form.target))}
    return tr("{form}: prompt {prompt}, target {target}", form=form.name, **templates) + accepted


def tables(audit: Audit) -> list[Table]:
    """Return the tables: splits, lengths, labels."""
    splits = [
        (part.name, ", ".join(s.path.name for s in part.sources), f"{part.seen:,}", f"{len(part):,}")
        for part in audit.parts.values()
    ]
    found = [Table(_heads("split", "file", "rows", "usable"), tuple(splits))]
    lengths = [
        (f"{name} {tr(what)}", tr(unit), *(f"{n:,}" for n in numbers)) for name, what, unit, numbers in _lengths(audit)
    ]
    if lengths:
        found.append(Table(_heads("length of", "in", "p50", "p95", "max"), tuple(lengths)))
    if audit.shape is not None and audit.shape.labels:
        rows = [(printable(label), f"{n:,}") for label, n in audit.shape.labels.items()]
        if len(rows) > MOST_SHOWN:
            rows = [*rows[: MOST_SHOWN - 3], (tr("... {num} more", num=len(rows) - MOST_SHOWN + 1), ""), *rows[-2:]]
        found.append(Table((tr("label ({split})", split=audit.main.name), tr("rows")), tuple(rows)))
    return found


def _heads(*names: str) -> tuple[str, ...]:
    return tuple(tr(name) for name in names)


def _lengths(audit: Audit) -> list[tuple[str, str, str, tuple[int, int, int]]]:
    return [
        (part.name, what, unit, percentiles(values[place]))
        for part in audit.parts.values()
        if len(part)
        for unit, values in (("characters", part.characters), (audit.measure.unit, part.units))
        for place, what in enumerate(("prompt", "answer"))
    ]


def verdict(audit: Audit) -> str:
    """Return the last line: numbers of errors, warnings and rows."""
    findings = audit.findings
    errors, warnings = findings.number("error"), findings.number("warning")
    rows = sum(part.seen for part in audit.parts.values())
    return tr(
        "{errors}, {warnings} in {rows}",
        errors=_count(errors, "{num} error", "{num} errors"),
        warnings=_count(warnings, "{num} warning", "{num} warnings"),
        rows=_count(rows, "{num} row", "{num} rows"),
    )


def _count(num: int, one: str, many: str) -> str:
    return tr(one if num == 1 else many, num=f"{num:,}")


def plain(audit: Audit) -> str:
    """Return the whole report as plain text: tables, then warnings, then errors, then the verdict."""
    lines = [tr("read as {what}", what=reading_of(audit))]
    if audit.shape is not None:
        lines.append(tr("task    {kind}: {why}", kind=tr(audit.shape.kind), why=translated(audit.shape.why)))
    for table in tables(audit):
        lines += ["", *_aligned(table)]
    for severity in ("note", "warning", "error"):
        for kind, num in audit.findings.counts.items():
            if KINDS[kind].severity == severity:
                head = f"{tr(severity)}{tr(': ')}{tr(KINDS[kind].title)} ({num:,})"
                lines += ["", head, *_finding_lines(audit, kind)]
    if not audit.measure.exact:
        most = audit.measure.most
        text = "lengths are in words; --model NAME counts tokens, of which {most} fit"
        lines += ["", tr(OPEN_LENGTH if most is None else text, most=most)]
    return "\n".join([*lines, "", verdict(audit)])


def _finding_lines(audit: Audit, kind: str) -> list[str]:
    kept = audit.findings.first.get(kind, [])
    lines: list[str] = []
    for finding in kept:
        lines.append(f"  {told_finding(finding)}")
    if (more := audit.findings.counts[kind] - len(kept)) > 0:
        lines.append("  " + tr("and {num} more", num=f"{more:,}"))
    if KINDS[kind].mend:
        lines.append(f"  {tr('to mend: ')}{tr(KINDS[kind].mend)}")
    return lines


def told_finding(finding: Finding) -> str:
    """Return a finding in one line: where, what, and how to mend it."""
    mend = tr("; ") + translated(finding.mend) if finding.mend else ""
    return f"{finding.where}{tr(': ')}{translated(finding.what)}{mend}"


def _aligned(table: Table) -> list[str]:
    rows = [table.headers, *table.rows]
    widths = [max(cells(row[i]) for row in rows) for i in range(len(table.headers))]
    return [
        "  ".join(padded(cell, w, right=_is_number(table, i)) for i, (cell, w) in enumerate(row)).rstrip()
        for row in (tuple(zip(row, widths, strict=True)) for row in rows)
    ]


def _is_number(table: Table, column: int) -> bool:
    return all(not row[column] or row[column].replace(",", "").isdigit() for row in table.rows)


def as_values(audit: Audit) -> dict[str, Any]:
    """Return the report as values for JSON."""
    shape, findings = audit.shape, audit.findings
    with in_english():
        read_as = reading_of(audit)
    return {
        "read_as": read_as,
        "task": None if shape is None else {"kind": shape.kind, "why": shape.why, "labels": shape.labels},
        "splits": {
            part.name: {
                "files": [str(s.path) for s in part.sources],
                "rows": part.seen,
                "usable": len(part),
            }
            for part in audit.parts.values()
        },
        "lengths": [
            {"split": name, "of": what, "in": unit, "p50": p50, "p95": p95, "max": most}
            for name, what, unit, (p50, p95, most) in _lengths(audit)
        ],
        "max_tokens": audit.measure.most,
        "errors": findings.number("error"),
        "warnings": findings.number("warning"),
        "notes": findings.number("note"),
        "findings": [
            {
                "kind": kind,
                "severity": KINDS[kind].severity,
                "what": KINDS[kind].title,
                "mend": KINDS[kind].mend,
                "count": num,
                "first": [finding._asdict() for finding in findings.first.get(kind, [])],
            }
            for kind, num in findings.counts.items()
        ],
    }
