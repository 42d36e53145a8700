"""The nouns: frozen values that every room shares. No torch, no files, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Ability = Literal["text", "loglik", "label"]
ExamKind = Literal["own", "general", "instruction", "long_context"]
Reveals = Literal["nothing", "boundary", "task"]
Axis = Literal["task", "domain", "class", "recurring"]


class Frozen(BaseModel):
    """A value: immutable, and an unknown field is an error.

    Attributes:
        later: Fields newer than the first keys; keys leave them out at their defaults, so stores and locks stay valid.
    """

    later: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Frozen):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[Message, ...]


class Request(Frozen):
    """A plain question to a language model: text that is read as it is, without a chat template.

    Attributes:
        kind: "loglik": ln p(continuation | context); "rolling": ln p(continuation), long texts in windows, no context;
            "text": what the model writes after the context.
        context: What stands before.
        continuation: What is scored.
        max_tokens: Most tokens that are written.
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
    later: ClassVar[frozenset[str]] = frozenset({"starts"})


class Reply(Frozen):
    """What came back to a plain question.

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
    later: ClassVar[frozenset[str]] = frozenset({"reasoning"})


class Example(Frozen):
    """One item to learn from or to be asked.

    Attributes:
        id: Unique within its task and split; stable under row order.
        prompt: The conversation up to the answer.
        targets: Accepted answers; the first is the one that is taught.
        choices: The closed set of answers, empty for free text.
        rubric: Criteria for a judge, empty where a checker is exact.
        check: What a scorer needs beyond the targets, as text: tests of a program, instructions to verify.
        requests: Plain questions that are asked instead of the prompt (`Decode.kind` "raw"); the prompt then only
            shows what it is about.
        group: Items of one group are not independent (same fact, same document); statistics cluster on it.
        eval_only: Must never be trained on; learners refuse it.
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
    later: ClassVar[frozenset[str]] = frozenset({"check", "requests"})


class Budget(Frozen):
    """What a learner may keep from a stream between lessons; None is no limit.

    Attributes:
        examples: Most stored examples over all lessons, >= 0.
        bytes: Most bytes of stored examples as canonical JSON, >= 0; other method state is metered, not limited.
    """

    examples: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)


class Lesson(Frozen):
    """What is taught in one step. It names neither the number of lessons nor any exam.

    Attributes:
        step: 1..T.
        examples: What is taught, in the task's own order.
        task_name: The task's name if the stream reveals it, else None; `a+b` where one lesson teaches two tasks.
        budget: What may be kept.
        passes: Most times that an example may be shown; 1 in an online stream, None leaves it to the learner.
        digest: sha256 over the materialised examples.
    """

    step: int = Field(ge=1)
    examples: tuple[Example, ...]
    task_name: str | None = None
    budget: Budget = Budget()
    passes: int | None = Field(default=None, ge=1)
    digest: str


class AnswerRule(Frozen):
    """Which part of what a model writes is its answer.

    Attributes:
        after: The mark that ends reasoning ("</think>"): the answer is what follows its last occurrence. "" takes all.
    """

    after: str


class Decode(Frozen):
    """How an answer is drawn. Part of the identity of an answer.

    Attributes:
        kind: "text" generates; "label" ranks `Example.choices` by log-likelihood (or by the label head of an encoder);
            "raw" puts `Example.requests` as they are, and what else stands here is not heeded.
        max_tokens: Longest generated answer in tokens of the model's tokenizer.
        stop: Generation ends before the first of these strings.
        temperature: 0 is greedy.
        seed: Seed of the sampling, unused when greedy.
        told: Name of the task that the question belongs to, where the stream reveals it; None says nothing.
        answer: Which part of the text is the answer; None leaves it to the model (`ModelSpec.answer`).
    """

    kind: Literal["text", "label", "raw"] = "text"
    max_tokens: int = Field(default=32, ge=1)
    stop: tuple[str, ...] = ()
    temperature: float = Field(default=0.0, ge=0.0)
    seed: int = 0
    told: str | None = None
    answer: AnswerRule | None = None
    later: ClassVar[frozenset[str]] = frozenset({"answer"})


class ScorerSpec(Frozen):
    """Which scorer marks an exam, and its settings."""

    name: str
    settings: Mapping[str, Any] = {}


class Exam(Frozen):
    """Held-out questions, how they are asked and how they are marked: one column of the matrix.

    Attributes:
        name: Name of the column.
        kind: "own" for a task of the stream, else which ability it watches.
        ability: Finer name of what it watches ("knowledge", "mathematics", "code", ...), for reports; may be empty.
        needs: Abilities that a model must have to sit it.
        chance: Expected score of an answerer that knows nothing, in [0, 1].
        taught: First step (1..T) that teaches it; None for abilities that no lesson teaches.
        growth: Where the label set grows with the stream: (first step that teaches it, label), in the order of
            the set; empty where every row asks the same. See `clbench.data.exam.exam_at`.
        digest: sha256 over examples, decode and needs (the scorer is keyed apart: marks can be made again).
    """

    name: str
    kind: ExamKind = "own"
    ability: str = ""
    examples: tuple[Example, ...]
    decode: Decode
    scorer: ScorerSpec
    needs: frozenset[Ability]
    chance: float = Field(default=0.0, ge=0.0, le=1.0)
    taught: int | None = None
    growth: tuple[tuple[int, str], ...] = ()
    digest: str


class Task(Frozen):
    """One named, pinned, split data set, or some classes of one.

    Attributes:
        name: The card's name; `set-1`, `set-2`, ... for its parts.
        lesson: Examples that are taught.
        exam: Examples that are asked; disjoint from `lesson` by normalised prompt.
        dev: Examples for choosing settings, may be empty.
        labels: The closed label set, empty for free text.
        decode, scorer, chance: How its exam is asked and marked.
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
    chance: float = 0.0
    about: Mapping[str, Any] = {}
    part_of: str = ""
    digest: str


class Round(Frozen):
    """What one step teaches.

    Attributes:
        teaches: Names of the tasks whose turn it is.
        examples: All that is taught, ids unique.
        moved: What changed against the round before: "task" (the form of the question), "domain" (or language),
            "class" (new classes of a set that was taught before), "recurring" (a task is taught again).
        new_labels: Task, or set of which it is a part -> labels that no earlier round has taught.
        ahead: Number of examples that belong to the next round (blurred boundaries).
    """

    teaches: tuple[str, ...] = Field(min_length=1)
    examples: tuple[Example, ...]
    moved: tuple[Axis, ...] = ()
    new_labels: Mapping[str, tuple[str, ...]] = {}
    ahead: int = 0


class Stream(Frozen):
    """What is taught, in rounds, and what the learner is told about it.

    Attributes:
        name: The card's name.
        tasks: Every task once, in the order of its first round; each is a column of the matrix.
        rounds: What each step teaches.
        reveals: What the learner is told.
        budget: What a learner may keep.
        passes: Most times that an example may be shown; 1 in an online stream.
        dropped: Task -> number of its examples that were left out because an exam asks the same.
        missing: Tasks that are not here and were skipped.
    """

    name: str
    tasks: tuple[Task, ...]
    rounds: tuple[Round, ...]
    reveals: Reveals = "boundary"
    budget: Budget = Budget()
    passes: int | None = Field(default=None, ge=1)
    dropped: Mapping[str, int] = {}
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Give the number of lessons T."""
        return len(self.rounds)


class Answer(Frozen):
    """What a responder said to one example.

    Attributes:
        finish: "stop" ended by itself, "length" was cut at `max_tokens`, "error" could not be answered (see `text`).
        tokens_in, tokens_out: Tokens read and written, padding not counted.
        tokens_cut: Tokens of the prompt that were left out because it did not fit.
        shots_cut: Examples (earlier exchanges) among them that were left out whole.
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
    later: ClassVar[frozenset[str]] = frozenset({"tokens_cut", "shots_cut", "replies", "reasoning", "tokens_reasoning"})


class Grade(Frozen):
    """The mark of one answer.

    Attributes:
        score: In [0, 1]; None = the question could not be marked whatever was said; it is counted as ungraded.
        declined: No answer was given: it counts 0, since abstaining must not be free, and as ungraded too.
        parts: Sub-scores, one per rubric or component of a scorer, or the counts behind a corpus-level score.
        note: Why, in words.
    """

    example_id: str
    score: float | None
    parts: tuple[float, ...] = ()
    note: str = ""
    declined: bool = False
    later: ClassVar[frozenset[str]] = frozenset({"declined"})


class Marks(Frozen):
    """What one exam came to.

    Attributes:
        grades: One per answer, in order.
        score: In [0, 1], made of the graded answers by the scorer's rule; None where no answer could be marked.
        key: Of the grades in the store; empty where they lie in none.
    """

    grades: tuple[Grade, ...]
    score: float | None
    key: str = ""


class Meters(Frozen):
    """What one run cost, summed over its stages as they were first made.

    Attributes:
        train_s, exam_s: Wall seconds of learning and of examining.
        train_tokens: Tokens that went forward while it learnt, padding not counted: batches, old examples, teachers,
            Fisher passes, texts that it wrote itself.
        forward_tokens: Those among them of which no gradient was asked.
        exam_answers: Answers given.
        exam_latency_s: Seconds per answer, one value per (step, exam) cell.
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
        kept_bytes_by_step, parameters_by_step, train_s_by_step: One value per lesson; parameters of the whole model.
        buffer_bytes_by_step, buffer_examples_by_step: Of stored examples after each lesson: bytes and number.
        joules: Energy of the machine while it learnt and was examined; None where no counter could be read.
        reasoning_tokens: Tokens of reasoning before answers, over all exams and rows.
        cut_by_step: Of every lesson (prompts cut, answers cut, examples taught); empty where all of it fitted.
        prices: What the user pays, for `money`: "machine_hour", "kilowatt_hour", "labelled_example"; empty: not known.
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
    kept_bytes_by_step: tuple[int, ...] = ()
    parameters_by_step: tuple[int, ...] = ()
    train_s_by_step: tuple[float, ...] = ()
    joules: float | None = None
    prices: Mapping[str, float] = {}
    forward_tokens: int = 0
    buffer_bytes: int = 0
    state_bytes: int = 0
    added_bytes: int = 0
    buffer_bytes_by_step: tuple[int, ...] = ()
    buffer_examples_by_step: tuple[int, ...] = ()
    reasoning_tokens: int = 0
    cut_by_step: tuple[tuple[int, int, int], ...] = ()
    later: ClassVar[frozenset[str]] = frozenset(
        {
            *("joules", "prices", "forward_tokens", "buffer_bytes", "state_bytes", "added_bytes"),
            *("buffer_bytes_by_step", "buffer_examples_by_step", "reasoning_tokens", "cut_by_step"),
        }
    )
