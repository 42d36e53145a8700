"""A notebook: at learning time the model notes what a lesson teaches; at exam time the notes stand in the prompt.

For each lesson the base is shown a few examples at a time and asked, greedily, what is to be remembered of them:

    Here is what was taught. ... Write a short note of what should be remembered to answer questions about it.

What was taught is written as sentences: the documents of the examples, each once, or else prompt and answer as lines of
text (`show: turns`: a question, and its answer below). Examples are taken evenly over classes. Notes are kept up to
`tokens`, evenly over lessons: the first note of every lesson goes before the second of any, and among equals a hash of
lesson and seed decides. They are read from old to new, at the head of the first question. A question is never cut to
make room: where little is left, fewer are read.
Source: the idea of written memory, as in Packer et al. 2023, "MemGPT", arXiv:2310.08560, and Suzgun et al. 2025,
"Dynamic Cheatsheet", arXiv:2504.07952. Otherwise than there: notes are written in lessons alone, never in exams, are
not rewritten later, and there is no search among them.

Defaults: chosen to fit the 512 tokens that a model reads by default; nobody's recommendation.
Keeps: the notes as text, at most `tokens` long; no example as such, but notes may quote them.
Told: nothing; it does not use the task's name where it is told.
Not for: models that do not follow instructions: what a very small model notes is of little use, and can mislead it.
Falls short: it ends no better than the untouched model. A guess: a tiny model was never trained to write notes, so that
they hold little of what was taught.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from clbench.core.chat import Usage
from clbench.core.counts import read_counts, write_counts
from clbench.core.events import track
from clbench.core.keys import digest
from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Lesson, Message, Prompt
from clbench.core.value import Renamed, Value
from clbench.learners._shared import prompts_shown as shown
from clbench.training.schedule import refuse_eval_only

ASK = (
    "Here is what was taught.\n\n{examples}\n\n"
    "Write a short note of what should be remembered to answer questions about it."
)


class Config(Value):
    """Settings of the notebook.

    Attributes:
        tokens: Most tokens of notes in a prompt, >= 0; 0 keeps none, as the base.
        notes: Notes asked for per lesson, >= 1.
        examples: Examples shown for one note, >= 1.
        note_tokens: Longest note, in tokens, >= 1.
        ask: How a note is asked for; `{examples}` stands for the examples.
        heading: What stands above the notes when they are read.
        show: The examples for a note stand as "documents", sentences that state them, or as "turns", a question with
            its answer below.
    """

    tokens: int = Field(default=256, ge=0)
    notes: int = Field(default=4, ge=1)
    examples: int = Field(default=4, ge=1)
    note_tokens: int = Field(default=48, ge=1)
    ask: str = Field(default=ASK, pattern=r"\{examples\}")
    heading: str = "Notes:"
    show: shown.Show = "documents"


class Note(Renamed):
    """What the model wrote, and in which lesson."""

    lesson: int
    text: str
    stored_as: ClassVar[Mapping[str, str]] = {"lesson": "step"}


class NotebookLearner:
    """Writes notes in lessons and reads them in exams.

    Attributes:
        notes: What is kept, the most wanted first.
    """

    def __init__(self, config: Config, net: shown.Reader, seed: int) -> None:
        self.config = config
        self.net = net
        self.seed = seed
        self.number = 0
        self.notes: list[Note] = []
        self.paid = Usage()  # of a model behind an API, for all notes so far
        self.requests = 0  # of them

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    # --- writing --------------------------------------------------------------------------------------------

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Have notes written, and keep of all lessons' notes what fits, evenly."""
        refuse_eval_only(lesson)
        new_examples = [shown.Taught(lesson=lesson.number, example=e) for e in lesson.examples]
        ordered = shown.distinct(shown.in_turn(new_examples, self.seed), self.config.show)
        size = self.config.examples
        starts = range(0, min(len(ordered), self.config.notes * size), size) if self.config.tokens else range(0)
        texts = [n.text for n in self.notes]
        new: list[Note] = []
        for start in track(starts, f"lesson {lesson.number}: notes", total=len(starts)):
            text = self._write([t.example for t in ordered[start : start + size]])
            if text and text not in texts:
                texts.append(text)
                new.append(Note(lesson=lesson.number, text=text))
        self.notes = self._fitting([*self.notes, *new])
        self.number = lesson.number

    def _write(self, examples: Sequence[Example]) -> str:
        """Ask for one note; with fewer examples where they do not fit, and nothing where not one does."""
        decode = Decode(max_tokens=self.config.note_tokens)

        def asking(num: int) -> Prompt:
            page = shown.page_of(examples[:num])
            if self.config.show == "turns":
                page = "\n\n".join(as_pair(e) for e in examples[:num])
            return (Message(role="user", content=self.config.ask.replace("{examples}", page)),)

        room = self.net.spec.longest - decode.max_tokens
        prompt = shown.longest(len(examples), asking, lambda p: shown.num_tokens(self.net, p), room)
        if prompt == asking(0):
            return ""
        (answer,) = self.net.respond([Example(id="note", prompt=prompt)], decode)
        if self.net.spec.provider is not None:
            self.paid = self.paid + Usage(answer.tokens_in, answer.tokens_cached, answer.tokens_out)
            self.requests += 1
        return " ".join(answer.text.split())

    def _fitting(self, notes: Sequence[Note]) -> list[Note]:
        """Keep notes, lessons in turn, while they fit together."""
        turns: Counter[int] = Counter()
        keyed: list[tuple[int, str, Note]] = []
        for note in notes:
            keyed.append((turns[note.lesson], digest([self.seed, "lesson", note.lesson]), note))
            turns[note.lesson] += 1
        kept: list[Note] = []
        for _, _, note in sorted(keyed, key=lambda k: k[:2]):
            page = self._page([*kept, note])
            if len(self.net.tokenizer.encode(page, add_special_tokens=False)) <= self.config.tokens:
                kept.append(note)
        return kept

    # --- reading --------------------------------------------------------------------------------------------

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer with the notes before each question; as many as fit."""
        if not self.notes:
            return self.net.respond(examples, decode)
        return shown.answer_with(self.net, examples, decode, self.prompt)

    def prompt(self, question: Example, room: int) -> Prompt:
        """Return a question's prompt with as many notes at its head as fit in `room` tokens."""

        def with_first(num: int) -> Prompt:
            return shown.headed(self._page(self.notes[:num]), question.prompt) if num else question.prompt

        return shown.longest(len(self.notes), with_first, lambda p: shown.num_tokens(self.net, p), room)

    def _page(self, notes: Sequence[Note]) -> str:
        old_to_new = sorted(notes, key=lambda n: n.lesson)
        return "\n".join([self.config.heading, *(f"- {n.text}" for n in old_to_new)])

    # --- sleeping and waking --------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write the notes."""
        shown.save_shown(folder, self.number, "notes", self.notes)
        if self.number and self.paid.total:
            paid = {f"api_{name}": num for name, num in self.paid.plain().items() if name != "reasoning"}
            write_counts(folder, {**read_counts(folder), **paid, "api_requests": self.requests})

    def load(self, folder: Path) -> None:
        """Take over the notes."""
        self.number, values = shown.load_shown(folder, "notes")
        self.notes = [Note.model_validate(v) for v in values]
        counts = read_counts(folder)
        self.paid = Usage(*(counts.get(f"api_{name}", 0) for name in ("prompt", "cached", "completion")))
        self.requests = counts.get("api_requests", 0)


def as_pair(example: Example) -> str:
    """Write an example as the model sees it when it takes notes: the question, and its answer below."""
    return "\n".join([*(m.content for m in example.prompt), f"-> {example.targets[0]}"])


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model; the seed decides which of equal examples are read and which of equal notes are kept."""
    return NotebookLearner(config, shown.load_reader("notebook", model, machine), seed)


PLUGIN = LearnerPlugin(
    config=Config,
    build=build,
    version=3,
    stores="may_quote",
    model_families=("causal",),
    family="in-context",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="none",
    paper="Packer et al. 2023, arXiv:2310.08560",
    about="The model takes notes in lessons and reads them before every question.",
)
