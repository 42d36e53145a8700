"""A judge against people as tables."""

from __future__ import annotations

import math

from clbench.context.calibrate import Result
from clbench.context.tables import Section, decimal, percent, span
from clbench.stats.agreement import Kappa
from clbench.stats.calibration import LEAST_INFORMED, Share


def calibration_sections(found: Result) -> list[Section]:
    """Return the tables of a calibration."""
    judge, both = found.judge, found.agreement
    rows = (
        _row("sensitivity: what people call met, and the judge too", judge.sensitivity),
        _row("specificity: what people call not met, and the judge too", judge.specificity),
        ("rubrics met, %, as the judge says", percent(judge.judged), "–"),
        _row("rubrics met, %, as people would say", judge.corrected),
        ("agreement, %", percent(both.agreement), "–"),
        ("Cohen's kappa", decimal(both.kappa), _span(both)),
        ("PABAK", decimal(both.pabak), "–"),
    )
    return [
        Section("judge against people, by rubric", ("figure", "value", "95 %"), rows, tuple(_notes(found)), words=True),
        Section(
            "by category",
            ("category", "rubrics", "agreement, %", "kappa", "95 %"),
            tuple(
                (
                    c.name,
                    str(c.agreement.items),
                    percent(c.agreement.agreement),
                    decimal(c.agreement.kappa),
                    _span(c.agreement),
                )
                for c in found.categories
            ),
        ),
    ]


def _row(name: str, share: Share) -> tuple[str, str, str]:
    return name, percent(share.value), span(share.low, share.high)


def _span(found: Kappa) -> str:
    return "–" if math.isnan(found.low) else f"{decimal(found.low)} to {decimal(found.high)}"


def _notes(found: Result) -> list[str]:
    annotators = f"{found.annotators} annotator{'s' if found.annotators != 1 else ''}"
    notes = [f"{found.labels} labels of {found.items + found.ties} rubrics by {annotators}"]
    if found.ties:
        notes.append(f"{found.ties} rubrics are left out: as many annotators say yes as no")
    if found.annotators > 1:
        notes.append(f"Krippendorff's alpha of the annotators: {decimal(found.alpha)}")
    if not math.isnan(found.perfect_failed):
        failed = percent(found.perfect_failed)
        notes.append(f"if its errors are independent, this judge fails {failed} % of perfect answers")
    if found.tasks.items:
        tasks, same, kappa = found.tasks.items, percent(found.tasks.agreement), decimal(found.tasks.kappa)
        notes.append(f"{tasks} answers with all rubrics labelled: agreement on passing {same} %, kappa {kappa}")
    notes.append("strata (verdict, near miss) count by their size; no weights of a model are changed by this")
    total = found.judge.sensitivity.value + found.judge.specificity.value
    if math.isnan(total):
        notes.append("warning: people call all labelled rubrics the same: sensitivity or specificity is not known")
    elif not found.judge.informed:
        notes.append(
            f"warning: sensitivity + specificity is {decimal(total)}, not above {LEAST_INFORMED}: "
            "this judge tells little, and its corrected rate rests on the labels alone"
        )
    return notes
