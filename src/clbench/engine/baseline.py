"""Let a checkpoint sit exams and keep what came of them, bound to model, questions and scorers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clbench.core.baseline import Baseline, BaselineExam
from clbench.core.differences import differences
from clbench.core.errors import DataError, ModelError, SpecError
from clbench.core.events import notice
from clbench.core.graded import GradedItems, score_row
from clbench.core.results import ExamResult
from clbench.core.spec import JudgeSpec, Machine, ModelSpec
from clbench.core.types import Exam
from clbench.engine.again import ask_again
from clbench.engine.fingerprint import machine_of, parts_of
from clbench.engine.grade import open_scorer
from clbench.engine.result_items import item_scores
from clbench.models import source
from clbench.store.origin import package_version
from clbench.store.store import Store

LONGEST = 300  # characters of an answer that a baseline keeps


def baseline_of(
    model: ModelSpec,
    results: Sequence[ExamResult],
    names: Sequence[str],
    items: int | None,
    store: Store,
    machine: Machine,
) -> Baseline:
    """Return what came of a checkpoint's exams as a baseline, sealed; the model is settled (`source.settled`).

    Answers that the store holds from another machine are told of, and the baseline says of both machines.
    """
    found: list[BaselineExam] = []
    machines = [machine_of(machine, model)]
    for result in results:
        (exam_scores,) = item_scores([result]).exams
        answers = tuple(a.text[:LONGEST] for a in result.answers)
        exam = result.exam
        found.append(
            BaselineExam(
                kind=exam.kind, ability=exam.ability, guess_rate=exam.guess_rate, scores=exam_scores, answers=answers
            )
        )
        machines.append(_asked_on(store, result.answers_key) or machines[0])
    return Baseline(
        model=model,
        identity=source.identity(model),
        names=tuple(names),
        items=items,
        exams=tuple(found),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        clbench=package_version("clbench") or "",
        parts=parts_of(model),
        machine=_together(machines),
    ).sealed()


def _asked_on(store: Store, key: str) -> dict[str, str]:
    """Return the machine that answers in the store come from; empty for those of an older clbench."""
    stage = store.stage("ask", key) or {}
    return dict(stage.get("why", {}).get("machine", {}))


def _together(machines: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return one machine of several, the one here first: what differs between them is given side by side."""
    here = machines[0]
    found = {n: " and ".join(dict.fromkeys(m.get(n, "not known") for m in machines)) for n in here}
    if other := sorted(n for n in here if found[n] != here[n]):
        said = ", ".join(f"{n} {found[n]}" for n in other)
        notice(f"some answers are from the store, and were given on another machine than this one ({said})")
    return found


def repeat(
    baseline: Baseline,
    model: ModelSpec,
    exams: Sequence[Exam],
    machine: Machine,
    times: int,
    judge: JudgeSpec | None = None,
) -> Baseline:
    """Ask the unchanged model of a baseline again, here and now; give the baseline with rows 1, 2, ... of new scores.

    Args:
        baseline: What was asked before.
        model: Where that model lies now.
        exams: Those of the baseline.
        machine: Where to ask.
        times: How often, >= 1.
        judge: Who grades exams whose items carry rubrics.

    Raises:
        SpecError: There is another model now.
        ModelError: It cannot sit one of the exams.
    """
    mend = "name the baseline's own checkpoint with --unchanged, or leave --repeat out"
    try:
        same = source.identity(model) == baseline.identity
    except ModelError as error:
        raise SpecError(
            f"the baseline's model cannot be asked again: {error.what}", where="--repeat", mend=mend
        ) from None
    if not same:
        what = f"{model.name} is not the model of the baseline: its weights or files are others now"
        raise SpecError(what, where="--repeat", mend=mend)
    rows: dict[str, dict[int, GradedItems]] = {t.scores.exam: dict(t.scores.rows) for t in baseline.exams}
    for exam, grades in ask_again(model, exams, machine, times, judge):
        found = rows[exam.name]
        parts = tuple(g.parts for g in grades) if found[0].parts else ()
        found[len(found)] = GradedItems(
            questions=exam.digest, answers_key="", grades_key="", scores=score_row(grades), parts=parts
        )
    again = [
        t.model_copy(update={"scores": t.scores.model_copy(update={"rows": rows[t.scores.exam]})})
        for t in baseline.exams
    ]
    return baseline.model_copy(update={"exams": tuple(again)})


def judge_of(baseline: Baseline) -> JudgeSpec | None:
    """Return who graded the exams of a baseline by rubrics; None where nobody did.

    Raises:
        DataError: It was a judge that this version does not know.
    """
    named = [t.scores.scorer.settings.get("judge") for t in baseline.exams]
    found: Any = next((judge for judge in named if judge), None)
    if found is None:
        return None
    try:
        return JudgeSpec.model_validate({k: v for k, v in found.items() if k in JudgeSpec.model_fields})
    except (ValueError, AttributeError) as error:
        mend = "name it with --judge, or make the baseline anew"
        raise DataError(f"its judge cannot be read: {found!r:.100}", where="--baseline", mend=mend) from error


def check_exams(baseline: Baseline, exams: Sequence[Exam]) -> None:
    """Compare the exams that are here with those of a baseline.

    Raises:
        DataError: One is missing, or is asked or graded otherwise; says which and how.
    """
    here = {e.name: e for e in exams}
    mend = "use the data and the clbench of the baseline, or make the baseline anew"
    for taken in baseline.exams:
        exam_scores = taken.scores
        exam = here.get(exam_scores.exam)
        if exam is None:
            raise DataError(f"exam {exam_scores.exam!r} of the baseline is not here", where="--baseline", mend=mend)
        version = open_scorer(exam.scorer.name).version
        if exam_scores.ids != tuple(example.id for example in exam.examples):
            raise DataError(
                f"exam {exam_scores.exam!r} has other items than the baseline's", where="--baseline", mend=mend
            )
        if exam.digest != exam_scores.digest:
            digests = f"{exam.digest[:12]}, not {exam_scores.digest[:12]}"
            what = f"exam {exam_scores.exam!r} asks other questions than the baseline's ({digests})"
            raise DataError(what, where="--baseline", mend=mend)
        if exam.scorer.name == exam_scores.scorer.name and exam.scorer != exam_scores.scorer:
            told = [
                f"{path} {b}, not {a}" for path, a, b in differences(exam_scores.scorer.settings, exam.scorer.settings)
            ]
            what = f"exam {exam_scores.exam!r} is graded otherwise than in the baseline: {', '.join(told)}"
            alike = "grade both alike: the judge of a baseline is taken where --judge names none, or make it anew"
            judged = exam.scorer.settings.get("judge") != exam_scores.scorer.settings.get("judge")
            raise DataError(what, where="--judge" if judged else "--baseline", mend=alike if judged else mend)
        if (exam.scorer, version) != (exam_scores.scorer, exam_scores.version):
            what = (
                f"exam {exam_scores.exam!r} is graded otherwise than in the baseline: scorer {exam.scorer.name} "
                f"version {version}, not {exam_scores.scorer.name} version {exam_scores.version}"
            )
            raise DataError(what, where="--baseline", mend=mend)
