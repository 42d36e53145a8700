"""Let a checkpoint sit exams and keep what came of them, bound to model, questions and scorers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from clbench.core.baseline import Baseline, Taken
from clbench.core.errors import DataError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Exam
from clbench.engine.examine import examine
from clbench.engine.mark import open_scorer
from clbench.engine.sheets import Cell, sheets_of
from clbench.models import source
from clbench.store.origin import package_version
from clbench.store.store import Store

LONGEST = 300  # characters of an answer that a baseline keeps


def take(
    model: ModelSpec, exams: Sequence[Exam], names: Sequence[str], items: int | None, store: Store, machine: Machine
) -> Baseline:
    """Let a checkpoint sit exams; give what came of them, sealed. What the store holds is not asked again.

    Raises:
        ModelError: It cannot sit one of them.
    """
    found: list[Taken] = []
    for sat in examine(model, exams, store, machine):
        (sheet,) = sheets_of([Cell(0, sat.exam, sat.asked, sat.marks)]).sheets
        answers = tuple(a.text[:LONGEST] for a in sat.asked.answers)
        exam = sat.exam
        found.append(Taken(kind=exam.kind, ability=exam.ability, chance=exam.chance, sheet=sheet, answers=answers))
    return Baseline(
        model=model,
        identity=source.identity(model),
        names=tuple(names),
        items=items,
        exams=tuple(found),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        clbench=package_version("clbench") or "",
    ).sealed()


def check_exams(baseline: Baseline, exams: Sequence[Exam]) -> None:
    """Compare the exams that are here with those of a baseline.

    Raises:
        DataError: One is missing, or asks or marks otherwise; says which and how.
    """
    here = {e.name: e for e in exams}
    mend = "use the data and the clbench of the baseline, or make the baseline anew"
    for taken in baseline.exams:
        sheet = taken.sheet
        exam = here.get(sheet.exam)
        if exam is None:
            raise DataError(f"exam {sheet.exam!r} of the baseline is not here", where="--baseline", mend=mend)
        version = open_scorer(exam.scorer.name).version
        if exam.digest != sheet.digest:
            digests = f"{exam.digest[:12]}, not {sheet.digest[:12]}"
            what = f"exam {sheet.exam!r} asks other questions than the baseline's ({digests})"
            raise DataError(what, where="--baseline", mend=mend)
        if (exam.scorer, version) != (sheet.scorer, sheet.version):
            what = (
                f"exam {sheet.exam!r} is marked otherwise than in the baseline: scorer {exam.scorer.name} version "
                f"{version}, not {sheet.scorer.name} version {sheet.version}"
            )
            raise DataError(what, where="--baseline", mend=mend)
