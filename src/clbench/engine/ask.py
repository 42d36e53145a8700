"""Ask a learner an exam; the answers are kept for ever under what they depend on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from clbench.core.budget import due_columns
from clbench.core.documents import text_of
from clbench.core.errors import LearnerError, LessonError, UserError
from clbench.core.events import Progress, notice, report_progress
from clbench.core.item_scores import unended_reasoning
from clbench.core.keys import key
from clbench.core.process import end_copy
from clbench.core.protocols import Responder
from clbench.core.resource_probes import EXAM_BATCHES
from clbench.core.results import ExamResult
from clbench.core.spec import ExamBudget, Machine, ModelSpec
from clbench.core.types import Answer, Exam, Example
from clbench.data.exams.exam import exam_at
from clbench.engine.fingerprint import machine_of
from clbench.engine.serving import Serving, writes
from clbench.engine.trajectory import Trajectory
from clbench.store.records import read_jsonl, write_jsonl
from clbench.store.store import Store
from clbench.training.answers import FITTING, unfit_answers


def due_cells(exams: Sequence[Exam], num_lessons: int, budget: ExamBudget) -> Iterator[tuple[int, int, Exam]]:
    """Walk the cells of the matrix that are due, row by row, as (lesson, column, exam as it is asked in that row)."""
    for lesson in range(num_lessons + 1):
        for column in due_columns(exams, lesson, num_lessons, budget):
            yield lesson, column, exam_at(exams[column], lesson)


def answers_key(fingerprint: str, exam: Exam, model: ModelSpec, machine: Machine, server: str | None = None) -> str:
    """Key of answers: what they depend on, the questions and the decoding.

    In 16 bits an answer may depend on the questions that are asked beside it, so their number is part of the key, and
    of what is written, that an answer leaves its batch when it ends. Ranks answer a share of the questions each, so
    their number is then part of it too. If an answer may take more than half of the input, the key says that it has
    the room that its task allows. What a server writes is its engine's, in batches of its own.
    """
    served = server is not None and writes(exam)
    more: dict[str, Any] = {} if served or model.dtype == "float32" else {"batch": machine.exam_batch}
    if more and machine.processes > 1:
        more["processes"] = machine.processes
    if served:
        more["server"] = server
    elif more and longest_answer(exam):
        more["ended"] = "leave the batch"
    if longest_answer(exam) > model.longest // 2:
        more["room"] = "as the task allows"
    return key("ask", effective=fingerprint, exam=exam.digest, decode=exam.decode, **more)


def longest_answer(exam: Exam) -> int:
    """Return the most tokens that an answer to an exam may have; 0 where nothing is written."""
    if exam.decode.kind == "raw":
        return max((r.max_tokens for e in exam.examples for r in e.requests if r.kind == "text"), default=0)
    return exam.decode.max_tokens if exam.decode.kind == "text" else 0


def keep_questions(exam: Exam, store: Store) -> None:
    """Keep an exam's questions beside its answers, so that both can be read without the data they came from."""
    why = {"exam": exam.name, "items": len(exam.examples)}
    store.once("exam", exam.digest, lambda folder: write_jsonl(folder / "questions.jsonl", exam.examples), why)


def ask(trajectory: Trajectory, lesson: int, exam: Exam, store: Store, server: Serving | None = None) -> ExamResult:
    """Return the answers of the learner after `lesson` lessons to an exam, not graded yet.

    The learner is asked only if the store does not hold them. Where the run names a server, `server` is that of this
    state; without it, one is opened for this exam.
    """
    spec = trajectory.spec
    fingerprint = trajectory.answer_fingerprint(lesson)
    key_ = answers_key(fingerprint, exam, spec.model, trajectory.machine, spec.exam_server)
    keep_questions(exam, store)

    def make(folder: Path) -> None:
        learner = trajectory.learner_after(lesson)
        started = time.monotonic()
        EXAM_BATCHES.clear()
        with ExitStack() as stack:
            if spec.exam_server is not None and writes(exam):
                served = server or stack.enter_context(Serving(trajectory, lesson))
                why["server"] = stack.enter_context(served.asking(learner, store.progress("ask", key_)))
            answers = answers_of(learner, exam, documents=trajectory.plugin.sees_documents)
        check_answers(answers, exam, spec.learner_label)
        report_progress(Progress(f"{exam.name}: {time.monotonic() - started:.1f} s", len(answers), len(exam.examples)))
        write_jsonl(folder / "answers.jsonl", answers)
        if EXAM_BATCHES:  # memory ran out on the way
            why["exam_batch"] = min(EXAM_BATCHES)
        if unended := sum(map(unended_reasoning, answers)):
            notice(
                f"{exam.name}: {unended} of {len(answers)} answers never came, since reasoning did not end within "
                "the most tokens of an answer; they are empty (a larger max_tokens in the exam's `decode` helps)"
            )

    why: dict[str, object] = {
        "exam": exam.name,
        "learner": spec.learner_name,
        "step": lesson,
        "items": len(exam.examples),
    }
    why["machine"] = machine_of(trajectory.machine, spec.model)
    folder = store.once("ask", key_, make, why)
    answers = list(read_jsonl(folder / "answers.jsonl", Answer))
    return ExamResult.asked(exam, lesson, answers, key_)


def answers_of(learner: Responder, exam: Exam, documents: bool = False) -> list[Answer]:
    """Let a learner sit an exam, without the right answers.

    Args:
        learner: Who is asked.
        exam: What is asked.
        documents: Let it see what answers each question of a task (`told_documents`): for bounds alone.

    Raises:
        UserError: It cannot; names the exam and, where it is one, the question, or the hook that breaks.
    """
    try:
        examples = told_documents(exam) if documents else exam.examples
        asked = [unanswered(e, documents=documents) for e in examples]
        found = learner.respond(asked, exam.decode)
        end_copy()
        return found
    except UserError as error:
        if error.where.startswith("example ") or isinstance(error, LearnerError | LessonError):
            raise type(error)(error.what, where=f"exam {exam.name}, {error.where}", mend=error.mend) from error
        raise


def unanswered(example: Example, *, documents: bool = False) -> Example:
    """Return an example as an answerer sees it: without targets, checks and rubrics, which only graders need.

    Nor does it see the document that answers the question, unless it is a bound that declares `sees_documents`.
    """
    hidden: dict[str, Any] = {"targets": (), "check": "", "rubric": ()}
    return example.model_copy(update=hidden if documents else hidden | {"document": ""})


def told_documents(exam: Exam) -> tuple[Example, ...]:
    """Return the questions of an exam, each with the document that answers it.

    Where a task has no documents, the question and its answer stand for one, as in-context learners write down what
    they were taught. Exams of abilities tell nothing: no lesson teaches what they ask, so no learner could know it.
    """
    if exam.kind != "task":
        return tuple(e.model_copy(update={"document": ""}) for e in exam.examples)
    return tuple(e.model_copy(update={"document": text_of(e)}) for e in exam.examples)


def check_answers(answers: Sequence[Answer], exam: Exam, learner: str) -> None:
    """Refuse answers that are not one per question, in their order: they would be graded as answers to others.

    Raises:
        LearnerError: Names the learner and the first question that is not answered in its place.
    """
    where, mend = f"{learner}, exam {exam.name}", FITTING
    if why := unfit_answers(answers, exam.examples):
        raise LearnerError(why, where=where, mend=mend)
    for example, answer in zip(exam.examples, answers, strict=True):
        if exam.decode.kind == "raw" and len(answer.replies) != len(example.requests):
            what = f"{len(answer.replies)} replies to the {len(example.requests)} requests of {example.id!r}"
            raise LearnerError(what, where=where, mend=mend)
