"""The gate's report for the terminal, as Markdown, JUnit XML and JSON."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

from rich import box
from rich.table import Table

from clbench.report.decide.compare_text import p_text
from clbench.report.decide.gate import NO_EFFECT, GateReport, repair
from clbench.report.escape import markdown, plain
from clbench.report.tables.table import as_text, printed
from clbench.stats.gate import POOLED, Verdict

HEADS = ("exam", "before", "now", "change", "95 %", "margin", "p", "fell", "rose", "verdict")


def _row(v: Verdict) -> list[str]:
    ends = f"{_points(v.change.low)} to {_points(v.change.high)}"
    values = [printed(v.old, "score"), printed(v.new, "score"), _points(v.change.value), ends]
    return [v.exam, *values, printed(v.margin, "score"), p_text(v.p), str(v.lost), str(v.gained), _verdict(v)]


def _verdict(v: Verdict) -> str:
    if v.state != "not shown":
        return "REGRESSED" if v.regressed else "not worse by more than the margin"
    if math.isnan(v.needed):
        return "not shown: no item was graded both times"
    if math.isinf(v.needed):
        return "not shown: no number of items can show a margin of 0"
    return f"not shown: it has {v.change.items:,} items and needs {v.needed:,.0f}"


def _points(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def _head(report: GateReport) -> str:
    exams = report.verdicts
    num, fine = sum(v.regressed for v in exams), sum(v.state == "not worse" for v in exams)
    open_ = len(exams) - num - fine
    what = f"{num} of {len(exams)} exams regressed" if num else f"no regression shown in {len(exams)} exams"
    if not num and report.pooled is not None and report.pooled.regressed:
        what = f"{POOLED} together regressed, and none of {len(exams)} alone"
    rest = f"; {fine} not worse by more than the margin, {open_} not shown"
    same = "; this is the model of the baseline itself" if report.same else ""
    return f"{report.new.model.name} against {report.old.model.name}: {what}{rest}{same}"


def _before(report: GateReport) -> list[str]:
    """Return what besides the weights may be behind a change, and what that does to the verdicts."""
    lines = [
        f"differs from the baseline: {name}: {old}, now {new}" + (" (no effect here)" if name in NO_EFFECT else "")
        for name, old, new in report.differs
    ]
    lines += [
        f"{name}: questions cut because they did not fit: {old} in the baseline, {new} now"
        for name, (old, new) in cuts(report).items()
        if old or new
    ]
    lines += [
        f"{name}: questions not answered, which count 0: {old} in the baseline, {new} now"
        for name, (old, new) in declined(report).items()
        if old or new
    ]
    if not report.old.parts:
        lines.append(
            "template, tokenizer, generation settings and machine of the baseline are not known (format "
            f"{report.old.format}): make a new baseline to have them compared"
        )
    lines += [f"another machine: {name}: {old}, here {new}" for name, old, new in report.machine]
    if report.widened:
        lines.append(
            f"margins are widened by {100 * report.widened:g} points, which another machine alone may cost; "
            "--repeat 2 measures that instead"
        )
    return lines


def cuts(report: GateReport) -> dict[str, tuple[int, int]]:
    """Return how many questions of every exam did not fit and were cut: (in the baseline, now)."""
    old, new = ({t.scores.exam: sum(t.scores.rows[0].cuts[:1]) for t in b.exams} for b in (report.old, report.new))
    return {name: (num, new[name]) for name, num in old.items()}


def declined(report: GateReport) -> dict[str, tuple[int, int]]:
    """Return how many questions of every exam were not answered: (in the baseline, now)."""
    old, new = ({t.scores.exam: len(t.scores.rows[0].declined) for t in b.exams} for b in (report.old, report.new))
    return {name: (num, new[name]) for name, num in old.items()}


def _noise(report: GateReport) -> list[str]:
    """Return how far repeated answers of one model disagree."""
    if not report.noise:
        return []
    asks = next(iter(report.noise.values())).asks
    first = (
        f"noise: the unchanged model was asked again here (times: {asks}). The checkpoint is judged against these "
        "answers (before), not against those in the baseline:"
    )
    return [
        first,
        *(
            f"  {name}: {100 * n.flips:.1f} % of answers get another score from one ask to the next, "
            f"mean {_points(n.shift)} against the baseline"
            for name, n in report.noise.items()
        ),
    ]


def _note(report: GateReport) -> str:
    missed = sum(v.missed for v in report.verdicts)
    incomplete = report.pooled is not None and report.pooled.change.items + report.pooled.missed < sum(
        v.change.items + v.missed for v in report.verdicts
    )
    return (
        "Percent. An exam regresses if it falls by its margin or more and p is at most "
        f"{report.level:g} (one-sided paired test over items, after Holm's correction over all rows): that is the "
        "rate of false alarms. It is not worse by more than the margin if a fall of the margin is rejected at the "
        f"same level, also after Holm's correction. Not shown: too few items for either. {POOLED}: every item "
        "counts once"
        + (", without exams whose score is not the mean of their items." if incomplete else ".")
        + (f" Left out because they were graded only once: {missed} items." if missed else "")
    )


def as_table(report: GateReport) -> str:
    """Return the verdicts, the worst items and the repair for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, caption=_note(report), caption_justify="left")
    for head in HEADS:
        table.add_column(head, justify="left" if head in ("exam", "verdict") else "right", no_wrap=head != "verdict")
    for verdict in report.all:
        table.add_row(*map(plain, _row(verdict)))
    parts = [*map(plain, _before(report)), plain(_head(report)), as_text(table), *map(plain, _noise(report))]
    for name, items in report.worst.items():
        parts.append(f"{plain(name)}: worst items")
        for item in items:
            question = plain(item.question).replace("\n", "\n    ")
            parts.append(f"  {plain(item.id)}\n    {question}\n    expected: {plain(item.expected)}")
            parts.append(f"    before: {plain(item.before)}\n    now: {plain(item.after)}")
    return "\n".join([*parts, *map(plain, repair(report))])


def as_markdown(report: GateReport) -> str:
    """Return the report as Markdown, for a comment on a pull request."""
    lines = [f"### {markdown(_head(report))}", ""]
    lines += [*(f"- {markdown(text)}" for text in _before(report)), ""] if _before(report) else []
    lines += [f"| {' | '.join(HEADS)} |", f"|---|{'---:|' * 8}---|"]
    lines += [f"| {' | '.join(map(markdown, _row(v)))} |" for v in report.all]
    lines += ["", _note(report)]
    lines += ["", *(f"- {markdown(text.strip())}" for text in _noise(report))] if report.noise else []
    for name, items in report.worst.items():
        lines += ["", f"**{markdown(name)}**: worst items", ""]
        for item in items:
            lines.append(f"- {markdown(item.id)}: {markdown(item.question)}")
            answers = f"before {markdown(item.before)}, now {markdown(item.after)}"
            lines.append(f"  expected {markdown(item.expected)}, {answers}")
    if steps := repair(report):
        lines += [
            "",
            *(f"    {plain(line.strip())}" if line.startswith("  ") else f"\n{plain(line)}\n" for line in steps),
        ]
    return "\n".join(lines) + "\n"


def as_junit(report: GateReport) -> str:
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
        *((f"note {k}", text) for k, text in enumerate([*_before(report), *_noise(report)], start=1)),
    ):
        ET.SubElement(properties, "property", name=name, value=plain(value))
    for verdict in report.all:
        case = ET.SubElement(suite, "testcase", classname="clbench.gate", name=plain(verdict.exam))
        row = plain(", ".join(f"{head} {text}" for head, text in zip(HEADS[1:], _row(verdict)[1:], strict=True)))
        if verdict in failed:
            kind = "regression" if verdict.regressed else "not shown"
            failure = ET.SubElement(case, "failure", message=row, type=kind)
            items = report.worst.get(verdict.exam, ())
            failure.text = plain("\n".join(f"{i.id}: {i.question}\nbefore: {i.before}\nnow: {i.after}" for i in items))
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
