"""Ask a learner an exam; the answers are kept for ever under what they depend on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clbench.core.budget import due_columns
from clbench.core.keys import key
from clbench.core.progress import Progress, report
from clbench.core.spec import ExamBudget, Machine, ModelSpec
from clbench.core.types import Answer, Exam
from clbench.data.exam import exam_at
from clbench.engine.fingerprint import machine_of
from clbench.engine.trajectory import Trajectory
from clbench.store.records import read_jsonl, write_jsonl
from clbench.store.store import Store


@dataclass(frozen=True)
class Asked:
    """Answers and the key they are kept under."""

    key: str
    answers: tuple[Answer, ...]


def due(exams: Sequence[Exam], step: int, last: int, budget: ExamBudget) -> Iterator[tuple[int, Exam]]:
    """Walk the cells of row `step` of 0..`last` that are due, as (column, exam as it is asked in that row)."""
    for column in due_columns(exams, step, last, budget):
        yield column, exam_at(exams[column], step)


def ask_key(effective: str, exam: Exam, model: ModelSpec, machine: Machine) -> str:
    """Key of answers: what they depend on, the questions and the decoding.

    In 16 bits an answer may depend on the questions that are asked beside it, so their number is part of the key. So
    is it that an answer of more than half of the input has the room that its task allows, and not half.
    """
    more: dict[str, Any] = {} if model.dtype == "float32" else {"batch": machine.exam_batch}
    if longest_answer(exam) > model.longest // 2:
        more["room"] = "as the task allows"
    return key("ask", effective=effective, exam=exam.digest, decode=exam.decode, **more)


def longest_answer(exam: Exam) -> int:
    """Give the most tokens that an answer to an exam may have; 0 where nothing is written."""
    if exam.decode.kind == "raw":
        return max((r.max_tokens for e in exam.examples for r in e.requests if r.kind == "text"), default=0)
    return exam.decode.max_tokens if exam.decode.kind == "text" else 0


def keep_questions(exam: Exam, store: Store) -> None:
    """Keep an exam's questions beside its answers, so that both can be read without the data they came from."""
    why = {"exam": exam.name, "items": len(exam.examples)}
    store.once("exam", exam.digest, lambda folder: write_jsonl(folder / "questions.jsonl", exam.examples), why)


def ask(trajectory: Trajectory, step: int, exam: Exam, store: Store) -> Asked:
    """Give the answers of the learner after `step` lessons to an exam; asked only if they are not in the store."""
    found = ask_key(trajectory.effective(step), exam, trajectory.spec.model, trajectory.machine)
    keep_questions(exam, store)

    def make(folder: Path) -> None:
        learner = trajectory.at(step)
        started = time.monotonic()
        answers = learner.respond(exam.examples, exam.decode)
        report(Progress(f"{exam.name}: {time.monotonic() - started:.1f} s", len(answers), len(exam.examples)))
        write_jsonl(folder / "answers.jsonl", answers)

    why: dict[str, object] = {
        "exam": exam.name,
        "learner": trajectory.spec.learner_name,
        "step": step,
        "items": len(exam.examples),
    }
    why["machine"] = machine_of(trajectory.machine, trajectory.spec.model)
    folder = store.once("ask", found, make, why)
    return Asked(found, tuple(read_jsonl(folder / "answers.jsonl", Answer)))
