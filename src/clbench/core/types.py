"""The core data types: immutable values that every package of clbench shares. No torch, no files, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from clbench.core.value import Renamed, Value

Ability = Literal["text", "loglik", "label"]
# Values in older files -> their present names.
OLDER_VALUES = {"own": "task", "nothing": "hidden", "boundary": "boundaries"}


def _read_older_value(value: object) -> object:
    return OLDER_VALUES.get(value, value) if isinstance(value, str) else value


def _read_older_task_ids(value: object) -> object:
    return "given" if value == "task" else _read_older_value(value)


ExamKind = Annotated[Literal["task", "general", "instruction", "long_context"], BeforeValidator(_read_older_value)]
TaskIds = Annotated[Literal["hidden", "boundaries", "given"], BeforeValidator(_read_older_task_ids)]
Axis = Literal["task", "domain", "class", "recurring"]


class Message(Value):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[Message, ...]


class Request(Value):
    """A plain question to a language model: text that is read as it is, without a chat template.

    Attributes:
        kind: "loglik": ln p(continuation | context); "rolling": ln p(continuation), long texts in windows, no context;
            "text": what the model writes after the context.
        context: The text before the continuation or the answer.
        continuation: The text that is scored.
        max_tokens: Most tokens to write.
        stop: Writing ends before the first of these.
        temperature: 0 is greedy.
        starts: Where the examples in `context` begin and the question after them, in characters, rising: a context that
            does not fit loses whole examples, the first ones first. Empty: it loses its beginning token by token.
    """

    kind: Literal["loglik", "rolling", "text"]
    context: str = ""
    continuation: str = ""
    max_tokens: int = Field(default=256, ge=1)
    stop: tuple[str, ...] = ()
    temperature: float = Field(default=0.0, ge=0.0)
    starts: tuple[int, ...] = ()
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"starts"})


class Reply(Value):
    """The reply to a plain question.

    Attributes:
        loglik: In nats, summed over the tokens scored; None where text was asked for.
        greedy: Whether the continuation is what greedy decoding would have written.
        text: What was written, without the reasoning before it.
        reasoning: What was written before the mark that ends reasoning.
    """

    loglik: float | None = None
    greedy: bool = False
    text: str = ""
    reasoning: str = ""
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"reasoning"})


class Example(Value):
    """One item to learn from or to be asked.

    Attributes:
        id: Unique within its task and split; stable under row order.
        prompt: The conversation up to the answer.
        targets: Accepted answers; the first is the one that is taught.
        choices: The closed set of answers, empty for free text.
        rubric: Criteria for a judge; empty if a checker is exact.
        check: What a scorer needs beyond the targets, as text: tests of a program, instructions to verify.
        requests: Plain questions that are asked instead of the prompt (`Decode.kind` "raw"); the prompt then only
            shows what it is about.
        group: Items of one group are not independent (same fact, same document); statistics cluster on it.
        eval_only: Must never be trained on; learners refuse it.
        document: Of what is taught, a sentence or more that state it; of a question of an exam, what answers it, which
            only bounds see that declare `sees_documents`. Empty if the task has none.
    """

    id: str
    prompt: Prompt
    targets: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    rubric: tuple[str, ...] = ()
    check: str = ""
    requests: tuple[Request, ...] = ()
    group: str | None = None
    eval_only: bool = False
    document: str = ""
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"check", "requests", "document"})


class Budget(Value):
    """What a learner may keep from a stream between lessons; None sets no limit.

    Attributes:
        examples: Most stored examples over all lessons, >= 0.
        bytes: Most bytes of stored examples as canonical JSON, >= 0; other method state is measured, not limited.
    """

    examples: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)


class Lesson(Value):
    """What is taught at one time. It names neither the number of lessons nor any exam.

    Attributes:
        number: 1..T.
        examples: The examples to learn, in the task's own order.
        task_name: The task's name if the stream gives task ids, else None; `a+b` if one lesson teaches two tasks.
        budget: What the learner may keep.
        passes: Most times that an example may be shown; 1 in an online stream, None leaves it to the learner.
        digest: sha256 over the materialised examples.
        kinds: The number of the task that each example belongs to, in a lesson of several: the training loop mixes
            tasks in every batch. Empty if there is one. Numbers begin anew in every lesson and name no task.
    """

    number: int = Field(ge=1)
    examples: tuple[Example, ...]
    task_name: str | None = None
    budget: Budget = Budget()
    passes: int | None = Field(default=None, ge=1)
    digest: str
    kinds: tuple[int, ...] = ()
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"kinds"})


class AnswerRule(Value):
    """Which part of what a model writes is its answer.

    Attributes:
        after: The mark that ends reasoning ("</think>"): the answer is what follows its last occurrence. "" takes all.
    """

    after: str


class Decode(Renamed):
    """How an answer is drawn. Part of the identity of an answer.

    Attributes:
        kind: "text" generates; "label" ranks `Example.choices` by log-likelihood (or by the label head of an encoder);
            "raw" asks `Example.requests` as they are, and ignores the other fields.
        max_tokens: Longest generated answer in tokens of the model's tokenizer.
        stop: Generation ends before the first of these strings.
        temperature: 0 is greedy.
        seed: Seed of the sampling, unused when greedy.
        task_id: Name of the task that the question belongs to, where the stream gives it; else None.
        answer: Which part of the text is the answer; None leaves it to the model (`ModelSpec.answer`).
    """

    kind: Literal["text", "label", "raw"] = "text"
    max_tokens: int = Field(default=32, ge=1)
    stop: tuple[str, ...] = ()
    temperature: float = Field(default=0.0, ge=0.0)
    seed: int = 0
    task_id: str | None = None
    answer: AnswerRule | None = None
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"answer"})
    stored_as: ClassVar[Mapping[str, str]] = {"task_id": "told"}


class ScorerSpec(Value):
    """The scorer that grades an exam, and its settings."""

    name: str
    settings: Mapping[str, Any] = {}


class Exam(Value):
    """Held-out questions, how they are asked and how they are graded: one column of the matrix.

    Attributes:
        name: Name of the column.
        kind: "task" for a task of the stream, else which ability it watches.
        ability: Finer name of what it watches ("knowledge", "mathematics", "code", ...), for reports; may be empty.
        needs: Abilities that a model must have to be asked.
        guess_rate: Expected score of guessing, in [0, 1].
        taught: First lesson (1..T) that teaches it; None for abilities that no lesson teaches.
        growth: If the label set grows with the stream: (first lesson that teaches it, label), in the order of the set;
            empty if every row asks the same. See `clbench.data.exams.exam.exam_at`.
        digest: sha256 over examples, decode and needs (the scorer has a key of its own: answers can be graded again).
    """

    name: str
    kind: ExamKind = "task"
    ability: str = ""
    examples: tuple[Example, ...]
    decode: Decode
    scorer: ScorerSpec
    needs: frozenset[Ability]
    guess_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    taught: int | None = None
    growth: tuple[tuple[int, str], ...] = ()
    digest: str


class Task(Value):
    """One named, pinned, split data set, or some classes of one.

    Attributes:
        name: The card's name; `set-1`, `set-2`, ... for its parts.
        lesson: Examples that are taught.
        exam: Examples that are asked; disjoint from `lesson` by normalised prompt.
        dev: Examples for choosing settings, may be empty.
        labels: The closed label set, empty for free text.
        decode, scorer, guess_rate: How its exam is asked and graded.
        about: Licence, language, kind, domain: for listings and reports.
        part_of: The data set that this is a part of, by classes; empty for a whole one. Parts of one set share
            one label set, which grows as they are taught.
        digest: sha256 over the materialised rows, not over the name; of a part, over the whole's and the ids in it.
    """

    name: str
    lesson: tuple[Example, ...]
    exam: tuple[Example, ...]
    dev: tuple[Example, ...] = ()
    labels: tuple[str, ...] = ()
    decode: Decode
    scorer: ScorerSpec
    guess_rate: float = 0.0
    about: Mapping[str, Any] = {}
    part_of: str = ""
    digest: str


class LessonPlan(Value):
    """What one lesson teaches, with more than a learner may know.

    Attributes:
        teaches: Names of the tasks whose turn it is.
        examples: All that is taught, ids unique.
        moved: What changed against the lesson before: "task" (the form of the question), "domain" (or language),
            "class" (new classes of a set that was taught before), "recurring" (a task is taught again).
        new_labels: Task, or set of which it is a part -> labels that no earlier lesson has taught.
        ahead: Number of examples that belong to the next lesson (blurred boundaries).
        kinds: Which of the lesson's tasks each example belongs to, by number; empty if all belong to one.
        digest: Of the examples, made once where several runs share a plan; "" is not known yet.
    """

    teaches: tuple[str, ...] = Field(min_length=1)
    examples: tuple[Example, ...]
    moved: tuple[Axis, ...] = ()
    new_labels: Mapping[str, tuple[str, ...]] = {}
    ahead: int = 0
    kinds: tuple[int, ...] = ()
    digest: str = ""
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"kinds", "digest"})


class Stream(Value):
    """What is taught, lesson by lesson, and what the learner knows of it.

    Attributes:
        name: The card's name.
        tasks: Every task once, in the order of its first lesson; each is a column of the matrix.
        plans: What each lesson teaches.
        task_ids: What the learner knows of tasks: "hidden" is nothing, "boundaries" where a lesson ends, "given" also
            the name of the task.
        budget: What a learner may keep.
        passes: Most times that an example may be shown; 1 in an online stream.
        dropped: Task -> number of its examples that were left out because an exam asks the same.
        missing: Tasks that were skipped because their data are missing.
    """

    name: str
    tasks: tuple[Task, ...]
    plans: tuple[LessonPlan, ...]
    task_ids: TaskIds = "boundaries"
    budget: Budget = Budget()
    passes: int | None = Field(default=None, ge=1)
    dropped: Mapping[str, int] = {}
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of lessons T."""
        return len(self.plans)


class Answer(Value):
    """The answer of a responder to one example.

    Attributes:
        finish: "stop" ended by itself, "length" was cut at `max_tokens`, "error" could not be answered (see `text`).
        tokens_in, tokens_out: Tokens read and written, padding not counted.
        tokens_cached: Of those read, what a provider had in its cache.
        tokens_cut: Tokens of the prompt that were left out because it did not fit.
        shots_cut: Examples (earlier exchanges) that were dropped.
        replies: To the plain questions of the example, in their order.
        reasoning: What was written before the mark that ends reasoning; `text` is what follows. Reasoning without
            `text` was never ended: there is no answer.
        tokens_reasoning: Tokens of it, among `tokens_out`.
    """

    example_id: str
    text: str
    finish: Literal["stop", "length", "error"] = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cut: int = 0
    shots_cut: int = 0
    replies: tuple[Reply, ...] = ()
    reasoning: str = ""
    tokens_reasoning: int = 0
    tokens_cached: int = 0
    absent_at_default: ClassVar[frozenset[str]] = frozenset(
        {"tokens_cut", "shots_cut", "replies", "reasoning", "tokens_reasoning", "tokens_cached"}
    )


class Grade(Value):
    """The grade of one answer.

    Attributes:
        score: In [0, 1]; None if the answer could not be graded: it is left out of the mean, and counted as ungraded.
        declined: No answer was given: the score is 0, since abstaining must not be free; it counts as ungraded too.
        parts: Sub-scores, one per rubric or component of a scorer, or the counts behind a corpus-level score.
        note: The reason, in words.
    """

    example_id: str
    score: float | None
    parts: tuple[float, ...] = ()
    note: str = ""
    declined: bool = False
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"declined"})
