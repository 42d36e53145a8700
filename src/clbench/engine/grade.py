"""Grade answers: cheap, and kept apart from the answers, so that a new scorer never asks again."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from clbench.core import plugins
from clbench.core.errors import SpecError, UserError, said_of
from clbench.core.extras import explained
from clbench.core.keys import canonical, key
from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.results import ExamResult
from clbench.core.scorers import rule_by
from clbench.core.types import Answer, Exam, Example, Grade, Reply, ScorerSpec
from clbench.store.records import read_jsonl, write_jsonl
from clbench.store.store import Store

JudgeAll = Callable[[Exam, Sequence[Answer]], tuple[list[Grade], dict[str, Any]]]
ROUNDED = 1e-9  # by which sums of floats may leave [0, 1]
NO_LOGLIK = -1e6  # nats: what was not answered is as unlikely as can be


def open_scorer(name: str) -> ScorerPlugin:
    """Return the plug-in of a scorer that ships or is installed: a card must not choose what is imported.

    Raises:
        SpecError: There is none of that name.
    """
    plugin = plugins.load_known("scorer", name, "PLUGIN", where="scorer.name")
    if not isinstance(plugin, ScorerPlugin):
        raise SpecError(f"{name!r} declares no ScorerPlugin", where="scorer.name", mend="see CONTRIBUTING.md")
    return plugin


@lru_cache(maxsize=256)
def _check_scorer(name: str, settings: str) -> None:
    try:
        open_scorer(name).build(json.loads(settings))
    except ImportError as error:
        raise explained(error) or error from None


def check_scorers(exams: Iterable[Exam]) -> None:
    """Refuse exams whose scorer cannot be built, before anything is asked: marking comes last, after hours perhaps.

    Raises:
        SpecError: A setting is unknown, or rubrics are to be judged and nobody is named who does.
        ExtraError: A package that it needs is not installed.
    """
    for exam in exams:
        _check_scorer(exam.scorer.name, canonical(exam.scorer.settings))
        if open_scorer(exam.scorer.name).judged and not exam.scorer.settings.get("judge"):
            mend = "name one: in a recipe `judge: exact` or `judge: {model: ...}`, else --judge"
            raise SpecError(f"exam {exam.name!r} is graded by rubrics, and no judge is named", where="judge", mend=mend)


def grade_key(ask: str, scorer: ScorerSpec, version: int, *, declined: bool) -> str:
    """Return the key of grades: whose answers, and what grades them; of a scorer from outside also its code.

    A judge stands in the scorer's settings; the field of its name is that of older keys.
    """
    more = {"declined": "0"} if declined else {}
    if code := plugins.code_of("scorer", scorer.name):
        more["code"] = code
    return key("mark", ask=ask, scorer=scorer, version=version, judge=None, **more)


def grade(result: ExamResult, store: Store, judge: JudgeAll | None = None) -> ExamResult:
    """Return an exam's answers with one grade each, in order, and the score that they come to.

    Args:
        result: The exam and its answers.
        store: Where grades are kept.
        judge: Grades exams that are graded by rubrics, where a model does; it also gives a record of what that took.

    Raises:
        ModelError: The judge does not answer; what it has judged is kept.
        SpecError: The scorer breaks its contract.
    """
    exam, plugin = result.exam, open_scorer(result.exam.scorer.name)
    declined = any(answer.finish == "error" for answer in result.answers)
    key_ = grade_key(result.answers_key, exam.scorer, plugin.version, declined=declined)

    def make(folder: Path) -> None:
        found, record = grades_of(exam, result.answers, judge)
        if record is not None:
            why["judge"] = record
        write_jsonl(folder / "grades.jsonl", found)

    why: dict[str, Any] = {"exam": exam.name, "scorer": exam.scorer.name, "ask": result.answers_key}
    grades = list(read_jsonl(store.once("mark", key_, make, why) / "grades.jsonl", Grade))
    score = combine_grades(grades, plugin, f"exam {exam.name}, scorer {exam.scorer.name}")
    return result.graded(grades, score, key_, rule_by(plugin))


def grades_of(
    exam: Exam, answers: Sequence[Answer], judge: JudgeAll | None = None
) -> tuple[list[Grade], dict[str, Any] | None]:
    """Return a grade for each answer, in order; and where a model judged them, a record of what that took.

    Raises:
        SpecError: A model is to judge them, and is not asked here; or the scorer breaks its contract.
        ModelError: The judge does not answer; what it has judged is kept.
    """
    plugin = open_scorer(exam.scorer.name)
    if plugin.judged and judge is not None:
        return judge(exam, answers)
    if plugin.judged and exam.scorer.settings.get("judge") != {"by": "exact"}:
        mend = "use `clbench run` with the recipe that names it"
        raise SpecError("its judge is a model, which is not asked here", where=f"exam {exam.name}", mend=mend)
    scorer = plugin.build(exam.scorer.settings)
    where = f"exam {exam.name}, scorer {exam.scorer.name}"
    return [grade_answer(scorer, *pair, where) for pair in zip(exam.examples, answers, strict=True)], None


def grade_answer(scorer: Scorer, example: Example, answer: Answer, where: str = "scorer") -> Grade:
    """Grade an answer. A question that was not answered scores 0; its parts are those of an empty answer.

    Raises:
        SpecError: The scorer breaks, or returns what is not the grade of this answer; begins with `where`.
    """
    where = f"{where}, item {example.id!r}"
    grade = _graded(scorer, example, answer, where)
    if answer.finish != "error":
        return grade
    replies = tuple(Reply(loglik=None if r.kind == "text" else NO_LOGLIK) for r in example.requests)
    silent = answer.model_copy(update={"finish": "length", "text": "", "replies": replies})
    empty = _graded(scorer, example, silent, where)
    score = None if empty.score is None else 0.0
    return Grade(example_id=example.id, score=score, parts=empty.parts, note=grade.note, declined=True)


def _graded(scorer: Scorer, example: Example, answer: Answer, where: str) -> Grade:
    with _of_scorer(where):
        grade: Any = scorer(example, answer)
        if isinstance(grade, Grade):  # a copy with other values is not looked at when it is made
            grade = Grade.model_validate(dict(grade))
    if not isinstance(grade, Grade):
        what = f"it returns {grade!r:.60}, which is not a Grade"
        raise SpecError(what, where=where, mend="return cl.Grade(example_id=example.id, score=...)")
    if grade.example_id != example.id:
        what = f"its grade is of {grade.example_id!r:.60}"
        raise SpecError(what, where=where, mend="a grade has the id of its example: example_id=example.id")
    if grade.score is not None:
        _check_score(grade.score, where)
    if odd := [part for part in grade.parts if not math.isfinite(part)]:
        raise SpecError(f"a part of its grade is {odd[0]}", where=where, mend="parts are finite numbers")
    return grade


@contextmanager
def _of_scorer(where: str) -> Generator[None]:
    """Turn an error in a scorer's code into one that names the scorer."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        mend = "mend the scorer; the answers are kept, and nobody is asked again"
        raise SpecError(f"it raises {said_of(error)}", where=where, mend=mend) from error


def _check_score(score: Any, where: str) -> None:
    if not isinstance(score, numbers.Real) or not -ROUNDED <= float(score) <= 1 + ROUNDED:
        mend = "a score is a number from 0 to 1; of a grade also None, where it cannot be graded"
        raise SpecError(f"its score is {score!r:.60}", where=where, mend=mend)


def combine_grades(grades: Sequence[Grade], plugin: ScorerPlugin, where: str = "scorer") -> float | None:
    """Return the score of an exam by the scorer's rule, in [0, 1]; None where no answer could be graded.

    Answers that could not be graded have no part in it.

    Raises:
        SpecError: The rule breaks, or what it returns is not a score.
    """
    graded = [g for g in grades if g.score is not None]
    if not graded:
        return None
    if plugin.combine is not None:
        with _of_scorer(f"{where}, combine"):
            score: Any = plugin.combine(graded)
        _check_score(score, f"{where}, combine")
        return float(score)
    return float(np.mean([g.score for g in graded if g.score is not None]))
