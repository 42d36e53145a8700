"""What exams come to, and what runs cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import model_validator

from clbench.core.graded import GradedItems, mean_rule, score_row
from clbench.core.item_scores import count_cuts, count_reasoning, guess_rate_at
from clbench.core.protocols import Weigh
from clbench.core.scorers import rule_of
from clbench.core.types import Answer, Exam, Grade
from clbench.core.value import Renamed, written


class ExamResult(GradedItems):
    """What one exam came to after one lesson: its graded items, and beside them what results do not keep.

    Attributes:
        exam: The questions, as they were asked.
        lesson: Row of the matrix: lessons learnt before it, 0..T.
        answers: One per question, in order.
        grades: One per answer, in order; none before it is graded, when all scores are NaN.
        score: In [0, 1], made of the grades by the scorer's rule; None where no answer could be graded.
        seconds: Wall time of asking and grading; what the store holds already costs next to nothing.
    """

    exam: Exam
    lesson: int
    answers: tuple[Answer, ...]
    grades: tuple[Grade, ...] = ()
    score: float | None = None
    seconds: float = 0.0

    @model_validator(mode="after")
    def _by_rule(self) -> ExamResult:
        if self.parts and self.is_mean:  # read from JSON or a pickle, which do not hold the rule
            vars(self)["rule"] = rule_of(self.exam.scorer.name)
        return self

    def __eq__(self, other: object) -> bool:
        """Return whether all is the same; beside graded items of another kind, whether the items are."""
        own = ExamResult.model_fields.keys() - GradedItems.model_fields.keys()
        same = not isinstance(other, ExamResult) or all(vars(self)[name] == vars(other)[name] for name in own)
        return same and super().__eq__(other)

    __hash__ = GradedItems.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is pickled: without its rule, which may be a function that cannot be."""
        fields = {name: value for name, value in vars(self).items() if name != "rule"}
        return type(self).model_validate, (fields,)

    @classmethod
    def asked(cls, exam: Exam, lesson: int, answers: Sequence[Answer], key: str = "") -> ExamResult:
        """Return the answers to an exam, not graded yet; `key` is theirs in the store."""
        return cls(
            exam=exam,
            lesson=lesson,
            answers=tuple(answers),
            questions=exam.digest,
            answers_key=key,
            grades_key="",
            scores=np.full(len(answers), np.nan),
            reasoning=count_reasoning(answers),
            cuts=count_cuts(answers),
            guess_rate=guess_rate_at(exam),
        )

    def graded(
        self, grades: Sequence[Grade], score: float | None, key: str = "", rule: Weigh = mean_rule
    ) -> ExamResult:
        """Return a copy with its grades, one per answer, and the score that they come to.

        Args:
            grades: In the order of the answers.
            score: By the scorer's rule.
            key: Of the grades in the store.
            rule: The scorer's; if it is not the mean, the parts of the grades are kept with the scores.
        """
        found = {
            "grades": tuple(grades),
            "grades_key": key,
            "score": score,
            "scores": score_row(grades),
            "parts": () if rule is mean_rule else tuple(g.parts for g in grades),
            "declined": tuple(place for place, g in enumerate(grades) if g.declined),
            "rule": rule,
        }
        return self.model_copy(update=found)


class Costs(Renamed):
    """What one run cost, summed over its stages as they were first made.

    Attributes:
        train_s, exam_s: Wall seconds of learning and of examining.
        train_tokens: Tokens that went forward while it learnt, padding not counted: batches, old examples, teachers,
            Fisher passes, texts that it wrote itself.
        forward_tokens: Those among them of which no gradient was asked.
        exam_answers: Answers given.
        exam_latency_s: Seconds per answer, one value per (lesson, exam) cell.
        peak_memory_bytes: Largest resident set of a process that made a stage.
        device_memory_bytes: Largest accelerator allocation, 0 on CPU.
        kept_bytes: Bytes kept beside the base model after the last lesson: `buffer_bytes` + `state_bytes` +
            `added_bytes`.
        buffer_bytes: Of stored examples, as canonical JSON, which is how a budget counts them.
        state_bytes: Of the method's other state: Fisher matrices, anchors, old scores, notes, master copies of weights.
        added_bytes: Of the parameters that it added to the base model.
        added_parameters: Parameters the method added to the base model.
        examples_used: Labelled examples taught.
        stream_bytes: Bytes of all examples of the stream, against which stored bytes are compared.
        kept_bytes_by_lesson, parameters_by_lesson, train_s_by_lesson: One value per lesson; parameters are those of
            the whole model.
        buffer_bytes_by_lesson, buffer_examples_by_lesson: Of stored examples after each lesson: bytes and number.
        joules: Energy of the machine while it learnt and was examined; None where no counter could be read.
        reasoning_tokens: Tokens of reasoning before answers, over all exams and rows.
        cut_by_lesson: Of every lesson (prompts cut, answers cut, examples taught); empty where all of it fitted.
        trained_by_lesson: Weights that learn in each lesson; empty where none do, and in older results.
        unreached_by_lesson: Of them in each lesson (those that no gradient reached, those of experts that no token
            with a loss chose); empty where all were reached.
        judge_tokens: Of the judge that graded answers: (prompt, cached among them, completion); empty where none did.
        api_tokens: Of a model behind an API, in answers and in what it wrote in lessons: (prompt, cached among them,
            completion), as its provider counts them; empty where none was asked.
        prices: What the user pays, for `money`: "machine_hour", "kilowatt_hour", "labelled_example"; empty: not known.
            "answers" and "verdicts" are what all tokens of a model behind an API, and of a judge, came to.
        unknown: Names of the fields above that nobody has measured, since the learning was done elsewhere. What they
            hold means nothing, and is not written down.
    """

    train_s: float = 0.0
    exam_s: float = 0.0
    train_tokens: int = 0
    exam_answers: int = 0
    exam_latency_s: tuple[float, ...] = ()
    peak_memory_bytes: int = 0
    device_memory_bytes: int = 0
    kept_bytes: int = 0
    added_parameters: int = 0
    examples_used: int = 0
    stream_bytes: int = 0
    kept_bytes_by_lesson: tuple[int, ...] = ()
    parameters_by_lesson: tuple[int, ...] = ()
    train_s_by_lesson: tuple[float, ...] = ()
    joules: float | None = None
    prices: Mapping[str, float] = {}
    forward_tokens: int = 0
    buffer_bytes: int = 0
    state_bytes: int = 0
    added_bytes: int = 0
    buffer_bytes_by_lesson: tuple[int, ...] = ()
    buffer_examples_by_lesson: tuple[int, ...] = ()
    reasoning_tokens: int = 0
    cut_by_lesson: tuple[tuple[int, int, int], ...] = ()
    trained_by_lesson: tuple[int, ...] = ()
    unreached_by_lesson: tuple[tuple[int, int], ...] = ()
    judge_tokens: tuple[int, ...] = ()
    api_tokens: tuple[int, ...] = ()
    unknown: tuple[str, ...] = ()
    absent_at_default: ClassVar[frozenset[str]] = frozenset(
        {
            *("joules", "prices", "forward_tokens", "buffer_bytes", "state_bytes", "added_bytes"),
            *("buffer_bytes_by_lesson", "buffer_examples_by_lesson", "reasoning_tokens", "cut_by_lesson"),
            *("trained_by_lesson", "unreached_by_lesson", "judge_tokens", "api_tokens"),
            "unknown",
        }
    )
    formerly: ClassVar[Mapping[str, str]] = {
        f"{name}_by_step": f"{name}_by_lesson"
        for name in ("kept_bytes", "parameters", "train_s", "buffer_bytes", "buffer_examples", "cut")
    }

    @model_validator(mode="after")
    def _are_costs(self) -> Costs:
        for name, value in self:
            if (wrong := next((v for v in _numbers(value) if not 0 <= v < math.inf), None)) is not None:
                raise ValueError(f"{name} has {wrong!r}: a cost is a finite number, 0 or more")
        if strange := sorted({*self.unknown} - {*type(self).model_fields}):
            raise ValueError(f"{strange[0]!r} is said not to be known, and is not a cost")
        return self

    def known(self, name: str) -> float:
        """Return a field that is a number; NaN where it is not known."""
        return math.nan if name in self.unknown else float(vars(self)[name])

    def record(self) -> dict[str, Any]:
        """Return what is written down: the fields that are known, as JSON values."""
        return {name: value for name, value in written(self).items() if name not in self.unknown}


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = tuple(value.values())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # a bare Mapping has no item types
    if isinstance(value, tuple):
        for part in value:  # pyright: ignore[reportUnknownVariableType]  # same
            yield from _numbers(part)  # pyright: ignore[reportUnknownArgumentType]  # same
    elif isinstance(value, (int, float)):
        yield value
