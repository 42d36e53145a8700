"""Agreement of judges as tables."""

from __future__ import annotations

import math

from clbench.context.agree import Agreement
from clbench.context.tables import Section, decimal, percent, points
from clbench.stats.agreement import Kappa

HEAD = ("by rubric: n", "agree, %", "kappa", "95 %", "by task: n", "agree, %", "kappa", "95 %")


def agreement_sections(found: Agreement) -> list[Section]:
    """Return the tables of an agreement; parts without data are left out."""
    sections = [_judges(found)]
    if found.pairs:
        rows = tuple((f"{p.one} and {p.two}", *_kappa(p.rubrics), *_kappa(p.tasks)) for p in found.pairs)
        notes = ("kappa: Cohen's, with the jackknife's interval over contexts",)
        sections += [Section("pairs of judges", ("judges", *HEAD), rows, notes), _all(found)]
    if found.again:
        sections.append(_again(found))
    if found.own:
        sections.append(_own(found))
    return sections


def _kappa(found: Kappa) -> tuple[str, str, str, str]:
    ends = "–" if math.isnan(found.low) else f"{decimal(found.low)} to {decimal(found.high)}"
    return str(found.items), percent(found.agreement), decimal(found.kappa), ends


def _judges(found: Agreement) -> Section:
    rows = tuple((judge, str(num)) for judge, num in found.judges.items())
    notes = [
        f"{num} {what}"
        for num, what in (
            (found.alone, "answers were read once only; they tell nothing of agreement"),
            (found.unjudged, "rows without one verdict for each rubric are left out"),
        )
        if num
    ]
    if not found.own:
        notes.append("own family: not known; it needs the fields `model` and `judge`, and two judges or more")
    return Section("judges", ("judge", "answers"), rows, tuple(notes))


def _all(found: Agreement) -> Section:
    rows = tuple(
        (name, str(each.items), decimal(each.fleiss), decimal(each.alpha))
        for name, each in (("by rubric", found.by_rubric), ("by task", found.by_task))
    )
    notes = ("Fleiss: what all judges read; alpha: what two or more read",)
    return Section("all judges", ("verdicts", "n", "Fleiss' kappa", "Krippendorff's alpha"), rows, notes, words=True)


def _again(found: Agreement) -> Section:
    rows = tuple(
        (
            f"{each.judge}, {each.kind}",
            str(each.answers),
            percent(each.flipped_rubrics),
            percent(each.flipped_tasks),
            decimal(each.rubrics.kappa),
            decimal(each.tasks.kappa),
        )
        for each in found.again
    )
    head = ("judge", "answers", "rubrics flipped, %", "tasks flipped, %", "kappa, rubrics", "kappa, tasks")
    notes = (
        "test-retest: two files; order: trials of a file with other orders of rubrics; repeat: with the same order",
    )
    return Section("the same judge on the same answer again", head, rows, notes)


def _own(found: Agreement) -> Section:
    rows = tuple(
        (
            f"{each.judge} ({each.family})",
            str(each.tasks),
            points(each.value),
            "–" if math.isnan(each.low) else f"{points(each.low)} to {points(each.high)}",
        )
        for each in found.own
    )
    notes = [
        "(judge - other judges) on answers of its family, less the same on other answers, task by task",
        "families are the first words of names; --family NAME=FAMILY says otherwise",
    ]
    if len(found.judges) == 2:
        notes.append("of two judges, what the one prefers shows in the other too: a third tells them apart")
    head = ("judge", "tasks", "points", "95 %")
    return Section("answers of the judge's own family, points", head, rows, tuple(notes))
