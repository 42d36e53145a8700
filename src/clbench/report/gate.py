"""Has an update made a model worse? Verdicts with their items, a repair, and files for CI."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from clbench.core.baseline import Baseline, Taken
from clbench.core.errors import SpecError, did_you_mean
from clbench.core.types import Exam
from clbench.report.compare_text import p_text
from clbench.report.originals import seen
from clbench.report.safe import markdown, plain
from clbench.report.table import as_text, printed
from clbench.stats.gate import Verdict, judged

# What is rehearsed where an ability has regressed: names of the generators of `rehearsal`.
REHEARSED = {
    "mathematics": "arithmetic",
    "reasoning": "reading",
    "code": "code",
    "instruction": "instruction",
    "long context": "recall",
    "long recall": "recall",
    "Chinese": "chinese",
}


@dataclass(frozen=True)
class Worst:
    """An item that fell: question, what was expected, what was said before and after, and both scores."""

    id: str
    question: str
    expected: str
    before: str
    after: str
    old: float
    new: float


@dataclass(frozen=True)
class GateReport:
    """What the gate says.

    Attributes:
        old, new: What was compared.
        verdicts: One per exam.
        worst: Exam that regressed -> its items that fell furthest.
        level: False-alarm rate over all exams.
        same: The model is the very one of the baseline.
    """

    old: Baseline
    new: Baseline
    verdicts: tuple[Verdict, ...]
    worst: Mapping[str, tuple[Worst, ...]]
    level: float
    same: bool

    @property
    def regressed(self) -> list[Verdict]:
        """The exams that have become worse, the largest drop first."""
        return sorted((v for v in self.verdicts if v.regressed), key=lambda v: v.change.value)


def gate_report(
    old: Baseline,
    new: Baseline,
    exams: Sequence[Exam],
    margin: float,
    margins: Mapping[str, float],
    level: float = 0.05,
) -> GateReport:
    """Judge a checkpoint against a baseline; both have sat the same exams.

    Args:
        old: The baseline.
        new: What the checkpoint does now.
        exams: The questions.
        margin: Drop that is let pass, in [0, 1].
        margins: Exam, or ability, -> its own margin; an exam's own goes before its ability's.
        level: False-alarm rate over all exams, in (0, 1).
    """
    before, after = ({t.sheet.exam: t for t in b.exams} for b in (old, new))
    own = {name: margins.get(name, margins.get(t.ability, margin)) for name, t in before.items()}
    pairs = [
        (name, t.sheet.rows[0].values(), after[name].sheet.rows[0].values(), t.sheet.groups or None)
        for name, t in before.items()
    ]
    verdicts = judged(pairs, margin, own, level)
    asked = {e.name: e for e in exams}
    fell = {v.exam: _worst(before[v.exam], after[v.exam], asked[v.exam]) for v in verdicts if v.regressed}
    return GateReport(old, new, tuple(verdicts), fell, level, old.identity == new.identity)


def check_margins(baseline: Baseline, margins: Mapping[str, float]) -> None:
    """Refuse margins of what the baseline has not examined.

    Raises:
        SpecError: Names the exam or ability, and the nearest there are.
    """
    known = {n for t in baseline.exams for n in (t.sheet.exam, t.ability, t.kind) if n}
    for name in margins:
        if name not in known:
            raise SpecError(f"the baseline has no {name!r}", where="--margins", mend=did_you_mean(name, known))


def _worst(before: Taken, after: Taken, exam: Exam, most: int = 3) -> tuple[Worst, ...]:
    old, new = before.sheet.rows[0].values(), after.sheet.rows[0].values()
    order = [int(i) for i in np.argsort(new - old, kind="stable") if new[i] < old[i]][:most]
    return tuple(
        Worst(
            id=exam.examples[i].id,
            question=seen(exam.examples[i]),
            expected=" | ".join(exam.examples[i].targets[:3]),
            before=before.answers[i],
            after=after.answers[i],
            old=float(old[i]),
            new=float(new[i]),
        )
        for i in order
    )


def repair(report: GateReport) -> list[str]:
    """Propose what to do about a regression: sentences, and commands that need a recipe's name only."""
    lost = {t.sheet.exam: t.ability or t.kind for t in report.old.exams}
    abilities = list(dict.fromkeys(lost[v.exam] for v in report.regressed))
    if not abilities:
        return []
    rehearsed = sorted({REHEARSED[a] for a in abilities if a in REHEARSED})
    said = [
        f"Lost: {', '.join(abilities)}. Learn the same data again with old examples in every batch:",
        "  clbench run RECIPE.yaml --set 'learner={name: replay, memory: 1000, share: 0.5}'",
    ]
    if rehearsed:
        parts = "{name: replay, memory: 1000, share: 0.5}"
        names = ", ".join(rehearsed)
        rehearsal = f"{{name: rehearsal, share: 0.5, abilities: [{names}]}}"
        said += [
            "What the update's own data do not hold is not kept by replaying them: rehearse the ability as well",
            f"  clbench run RECIPE.yaml --set 'learner={{name: combine, parts: [{parts}, {rehearsal}]}}'",
        ]
    said += [
        "Or change less of the model: adapters lose abilities later, and learn less (docs/abilities.md)",
        "  clbench run RECIPE.yaml --set 'learner={name: lora}'",
    ]
    return said


# --- as text, Markdown, JUnit and JSON ----------------------------------------------------------------------------


HEADS = ("exam", "before", "now", "change", "95 %", "margin", "p", "fell", "rose", "verdict")


def _row(v: Verdict) -> list[str]:
    ends = f"{_points(v.change.low)} to {_points(v.change.high)}"
    verdict = "REGRESSED" if v.regressed else "pass"
    if not v.regressed and v.floor > v.margin:
        verdict += f" (sees drops from {100 * v.floor:.1f} points)"
    values = [printed(v.old, "score"), printed(v.new, "score"), _points(v.change.value), ends]
    return [v.exam, *values, printed(v.margin, "score"), p_text(v.p), str(v.lost), str(v.gained), verdict]


def _points(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def _head(report: GateReport) -> str:
    num = len(report.regressed)
    what = (
        f"{num} of {len(report.verdicts)} exams regressed" if num else f"no regression in {len(report.verdicts)} exams"
    )
    same = "; this is the very model of the baseline" if report.same else ""
    return f"{report.new.model.name} against {report.old.model.name}: {what}{same}"


def _note(report: GateReport) -> str:
    return (
        f"Percent. An exam regresses if it falls by its margin or more and p is at most {report.level:g} (one-sided "
        "paired test over items, after Holm's correction over the exams): that is the chance of any false alarm."
    )


def as_table(report: GateReport) -> str:
    """Give the verdicts, the worst items and the repair for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, caption=_note(report), caption_justify="left")
    for head in HEADS:
        table.add_column(head, justify="left" if head in ("exam", "verdict") else "right", no_wrap=head != "verdict")
    for verdict in report.verdicts:
        table.add_row(*map(plain, _row(verdict)))
    parts = [plain(_head(report)), as_text(table)]
    for name, items in report.worst.items():
        parts.append(f"{plain(name)}: worst items")
        for item in items:
            asked = plain(item.question).replace("\n", "\n    ")
            parts.append(f"  {plain(item.id)}\n    {asked}\n    expected: {plain(item.expected)}")
            parts.append(f"    before: {plain(item.before)}\n    now: {plain(item.after)}")
    return "\n".join([*parts, *repair(report)])


def as_markdown(report: GateReport) -> str:
    """Give the report as Markdown, for a comment on a pull request."""
    lines = [f"### {markdown(_head(report))}", "", f"| {' | '.join(HEADS)} |", f"|---|{'---:|' * 8}---|"]
    lines += [f"| {' | '.join(map(markdown, _row(v)))} |" for v in report.verdicts]
    lines += ["", _note(report)]
    for name, items in report.worst.items():
        lines += ["", f"**{markdown(name)}**: worst items", ""]
        for item in items:
            lines.append(f"- {markdown(item.id)}: {markdown(item.question)}")
            said = f"expected {markdown(item.expected)}, before {markdown(item.before)}, now {markdown(item.after)}"
            lines.append(f"  {said}")
    if said := repair(report):
        lines += ["", *(f"    {line.strip()}" if line.startswith("  ") else f"\n{line}\n" for line in said)]
    return "\n".join(lines) + "\n"


def as_junit(report: GateReport) -> str:
    """Give the report as JUnit XML: one test case per exam."""
    failed = len(report.regressed)
    suite = ET.Element(
        "testsuite", name="clbench gate", tests=str(len(report.verdicts)), failures=str(failed), errors="0"
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("model", report.new.model.name),
        ("identity", report.new.identity),
        ("baseline", report.old.model.name),
        ("baseline_seal", report.old.seal),
    ):
        ET.SubElement(properties, "property", name=name, value=plain(value))
    for verdict in report.verdicts:
        case = ET.SubElement(suite, "testcase", classname="clbench.gate", name=plain(verdict.exam))
        row = ", ".join(f"{head} {text}" for head, text in zip(HEADS[1:], _row(verdict)[1:], strict=True))
        if verdict.regressed:
            failure = ET.SubElement(case, "failure", message=plain(row), type="regression")
            items = report.worst[verdict.exam]
            failure.text = plain("\n".join(f"{i.id}: {i.question}\nbefore: {i.before}\nnow: {i.after}" for i in items))
        else:
            ET.SubElement(case, "system-out").text = plain(row)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_json(report: GateReport) -> dict[str, Any]:
    """Give the report as a JSON value."""
    return {
        "model": report.new.model.name,
        "identity": report.new.identity,
        "baseline": report.old.model.name,
        "seal": report.old.seal,
        "same_model": report.same,
        "level": report.level,
        "regressed": [v.exam for v in report.regressed],
        "exams": [
            {
                "exam": v.exam,
                "before": v.old,
                "now": v.new,
                "change": v.change.value,
                "low": v.change.low,
                "high": v.change.high,
                "items": v.change.items,
                "margin": v.margin,
                "p": v.p,
                "floor": v.floor,
                "fell": v.lost,
                "rose": v.gained,
                "regressed": v.regressed,
            }
            for v in report.verdicts
        ],
        "worst": {name: [i.__dict__ for i in items] for name, items in report.worst.items()},
        "repair": repair(report),
    }
