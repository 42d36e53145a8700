"""The gate's report for the terminal, as Markdown, JUnit XML and JSON."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

from rich import box
from rich.table import Table

from clbench.report.decide.compare_text import p_text
from clbench.report.decide.gate import NO_EFFECT, GateReport, Worst, repair
from clbench.report.decide.texts import TEXTS, exam_name, heads, part_name
from clbench.report.escape import markdown, plain
from clbench.report.tables.table import as_text, printed
from clbench.stats.gate import Verdict

Texts = dict[str, str]
ENGLISH = TEXTS["en"]


def _row(v: Verdict, texts: Texts) -> list[str]:
    ends = texts["to"].format(low=_points(v.change.low), high=_points(v.change.high))
    values = [printed(v.old, "score"), printed(v.new, "score"), _points(v.change.value), ends]
    counts = [printed(v.margin, "score"), p_text(v.p), str(v.lost), str(v.gained)]
    return [exam_name(v.exam, texts), *values, *counts, _verdict(v, texts)]


def _verdict(v: Verdict, texts: Texts) -> str:
    if v.state != "not shown":
        return texts["regressed"] if v.regressed else texts["not_worse"]
    if math.isnan(v.needed):
        return texts["unshown_ungraded"]
    if math.isinf(v.needed):
        return texts["unshown_no_margin"]
    return texts["unshown"].format(items=f"{v.change.items:,}", needed=f"{v.needed:,.0f}")


def _points(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def _head(report: GateReport, texts: Texts) -> str:
    exams = report.verdicts
    num, fine = sum(v.regressed for v in exams), sum(v.state == "not worse" for v in exams)
    pooled = report.pooled is not None and report.pooled.regressed
    key = "num_regressed" if num else "pooled_regressed" if pooled else "none_regressed"
    what = texts[key].format(num=num, of=len(exams))
    what += texts["others"].format(fine=fine, unshown=len(exams) - num - fine)
    what += texts["same_model"] if report.same else ""
    return texts["gate_result"].format(new=report.new.model.name, old=report.old.model.name, what=what)


def _before(report: GateReport, texts: Texts) -> list[str]:
    """Return what besides the weights may be behind a change, and what that does to the verdicts."""
    lines = [
        texts["differs"].format(name=part_name(name, texts), old=old, now=new)
        + (texts["no_effect"] if name in NO_EFFECT else "")
        for name, old, new in report.differs
    ]
    for key, counts in (("gate_cut", cuts(report)), ("gate_declined", declined(report))):
        lines += [texts[key].format(name=name, old=old, new=new) for name, (old, new) in counts.items() if old or new]
    if not report.old.parts:
        unknown = "parts_of_results" if report.of_results else "parts_unknown"
        lines.append(texts[unknown].format(format=report.old.format))
    lines += [texts["other_machine"].format(name=name, old=old, new=new) for name, old, new in report.machine]
    if report.widened:
        lines.append(texts["widened"].format(points=f"{100 * report.widened:g}"))
    return lines


def cuts(report: GateReport) -> dict[str, tuple[int, int]]:
    """Return how many questions of every exam did not fit and were cut: (in the baseline, now)."""
    old, new = ({t.scores.exam: sum(t.scores.rows[0].cuts[:1]) for t in b.exams} for b in (report.old, report.new))
    return {name: (num, new[name]) for name, num in old.items()}


def declined(report: GateReport) -> dict[str, tuple[int, int]]:
    """Return how many questions of every exam were not answered: (in the baseline, now)."""
    old, new = ({t.scores.exam: len(t.scores.rows[0].declined) for t in b.exams} for b in (report.old, report.new))
    return {name: (num, new[name]) for name, num in old.items()}


def _noise(report: GateReport, texts: Texts) -> list[str]:
    """Return how far repeated answers of one model disagree."""
    if not report.noise:
        return []
    return [
        texts["noise"].format(asks=next(iter(report.noise.values())).asks),
        *(
            texts["noise_exam"].format(name=name, flips=f"{100 * n.flips:.1f}", shift=_points(n.shift))
            for name, n in report.noise.items()
        ),
    ]


def _note(report: GateReport, texts: Texts) -> str:
    missed = sum(v.missed for v in report.verdicts)
    incomplete = report.pooled is not None and report.pooled.change.items + report.pooled.missed < sum(
        v.change.items + v.missed for v in report.verdicts
    )
    return texts["gate_note"].format(
        level=f"{report.level:g}",
        incomplete=texts["gate_incomplete"] if incomplete else "",
        missed=texts["gate_missed"].format(missed=missed) if missed else "",
    )


def as_table(report: GateReport, texts: Texts = ENGLISH) -> str:
    """Return the verdicts, the worst items and the repair for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, caption=_note(report, texts), caption_justify="left")
    *first, last = heads(texts, "gate_heads")
    for place, head in enumerate(first):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    table.add_column(last)
    for verdict in report.all:
        table.add_row(*map(plain, _row(verdict, texts)))
    parts = [*map(plain, _before(report, texts)), plain(_head(report, texts)), as_text(table)]
    parts += map(plain, _noise(report, texts))
    for name, items in report.worst.items():
        parts.append(texts["worst"].format(name=plain(name)))
        for item in items:
            lines = [plain(item.id), plain(item.question).replace("\n", "\n    "), *_answers(item, texts)]
            parts.append("  " + "\n    ".join(lines))
    return "\n".join([*parts, *map(plain, repair(report, texts))])


def _answers(item: Worst, texts: Texts) -> list[str]:
    found = (("expected", item.expected), ("before", item.before), ("now", item.after))
    return [texts[key].format(text=plain(text)) for key, text in found]


def as_markdown(report: GateReport, texts: Texts = ENGLISH) -> str:
    """Return the report as Markdown, for a comment on a pull request."""
    before, names = _before(report, texts), heads(texts, "gate_heads")
    lines = [f"### {markdown(_head(report, texts))}", ""]
    lines += [*(f"- {markdown(text)}" for text in before), ""] if before else []
    lines += [f"| {' | '.join(names)} |", f"|---|{'---:|' * (len(names) - 2)}---|"]
    lines += [f"| {' | '.join(map(markdown, _row(v, texts)))} |" for v in report.all]
    lines += ["", _note(report, texts)]
    lines += ["", *(f"- {markdown(text.strip())}" for text in _noise(report, texts))] if report.noise else []
    for name, items in report.worst.items():
        lines += ["", f"**{texts['worst'].format(name=markdown(name))}**", ""]
        for item in items:
            lines.append(f"- {markdown(item.id)}: {markdown(item.question)}")
            lines += [f"  - {markdown(text)}" for text in _answers(item, texts)]
    if steps := repair(report, texts):
        lines += [
            "",
            *(f"    {plain(line.strip())}" if line.startswith("  ") else f"\n{plain(line)}\n" for line in steps),
        ]
    return "\n".join(lines) + "\n"


def as_junit(report: GateReport, texts: Texts = ENGLISH) -> str:
    """Return the report as JUnit XML: one test case per exam and one for all of them; "not shown" is skipped."""
    failed = report.failed
    skipped = [v for v in report.all if v.state == "not shown" and v not in failed]
    counts = {"tests": len(report.all), "failures": len(failed), "errors": 0, "skipped": len(skipped)}
    suite = ET.Element("testsuite", {"name": "clbench gate", **{k: str(n) for k, n in counts.items()}})
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("model", report.new.model.name),
        ("identity", report.new.identity),
        ("baseline", report.old.model.name),
        ("baseline_seal", report.old.seal),
        *((f"note {k}", text) for k, text in enumerate([*_before(report, texts), *_noise(report, texts)], start=1)),
    ):
        ET.SubElement(properties, "property", name=name, value=plain(value))
    for verdict in report.all:
        case = ET.SubElement(suite, "testcase", classname="clbench.gate", name=plain(exam_name(verdict.exam, texts)))
        named = zip(heads(texts, "gate_heads")[1:], _row(verdict, texts)[1:], strict=True)
        row = plain(texts["join"].join(f"{head} {text}" for head, text in named))
        if verdict in failed:
            kind = "regression" if verdict.regressed else "not shown"
            failure = ET.SubElement(case, "failure", message=row, type=kind)
            items = report.worst.get(verdict.exam, ())
            failure.text = plain(
                "\n".join(line for i in items for line in (f"{i.id}: {i.question}", *_answers(i, texts)[1:]))
            )
        elif verdict in skipped:
            ET.SubElement(case, "skipped", message=row)
        else:
            ET.SubElement(case, "system-out").text = row
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_json(report: GateReport) -> dict[str, Any]:
    """Return the report as a JSON value; what is not known is null."""
    return {
        "model": report.new.model.name,
        "identity": report.new.identity,
        "baseline": report.old.model.name,
        "seal": report.old.seal,
        "same_model": report.same,
        "level": report.level,
        "strict": report.strict,
        "passed": not report.failed,
        "differs": [_triple(each) for each in report.differs],
        "parts_known": bool(report.old.parts),
        "other_machine": [_triple(each) for each in report.machine],
        "machine_known": bool(report.old.machine),
        "widened": report.widened,
        "regressed": [v.exam for v in report.regressed],
        "not_worse": [v.exam for v in report.all if v.state == "not worse"],
        "not_shown": [v.exam for v in report.all if v.state == "not shown"],
        "exams": [_json(v, report) for v in report.verdicts],
        "pooled": None if report.pooled is None else _json(report.pooled, report),
        "worst": {name: [i.__dict__ for i in items] for name, items in report.worst.items()},
        "repair": repair(report),
    }


def _triple(each: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("what", "before", "now"), each, strict=True))


def _json(v: Verdict, report: GateReport) -> dict[str, Any]:
    noise = report.noise.get(v.exam)
    numbers = {
        "before": v.old,
        "now": v.new,
        "change": v.change.value,
        "low": v.change.low,
        "high": v.change.high,
        "items": v.change.items,
        "margin": v.margin,
        "p": v.p,
        "p_worse": v.p_worse,
        "floor": v.floor,
        "needed": v.needed,
        "fell": v.lost,
        "rose": v.gained,
        "missed": v.missed,
    }
    return {
        "exam": v.exam,
        "verdict": v.state,
        "regressed": v.regressed,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "cut": dict(zip(("before", "now"), cuts(report).get(v.exam, ()), strict=False)),
        "not_answered": dict(zip(("before", "now"), declined(report).get(v.exam, ()), strict=False)),
        "noise": None if noise is None else noise._asdict(),
    }
