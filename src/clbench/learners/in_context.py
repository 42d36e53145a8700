"""In-context learning: what past lessons taught stands in the prompt, as documents or turns; no weight changes.

Of all that was taught, it keeps what fits in `tokens` of the model's own tokenizer, evenly over lessons and, within a
lesson, over classes: they take turns, and among equals a hash of the example's id and the seed decides. So each new
lesson takes room from the older ones. They are shown from old to new, at the head of the question, as sentences that
state what was taught (`show: documents`): an example's document, where its task has documents, else its prompt and its
answer as lines of text; a document that several examples share is shown once. With `show: turns` they are earlier turns
of the conversation, in the model's own chat template, and an example's instruction (system message) goes into its
question. A question is never cut to make room: where a long one leaves less, fewer are shown, again evenly.
Source: Brown et al. 2020, "Language Models are Few-Shot Learners", NeurIPS, arXiv:2005.14165, section 2.
Otherwise than there: examples are of all lessons so far, and not of the task that is asked; sentences in place of
solved examples are ours.

Defaults: 384 tokens leave room for a question in the 512 that a model reads by default; raise both together.
Keeps: the examples that it shows, as JSON, at most `tokens` long; a smaller `Lesson.budget` wins. They
are shown to the model with every question.
Told: nothing; it does not use the task's name where it is told.
Not for: lessons of which a few examples do not say everything; models that cannot follow examples (very small ones).
Falls short: what no longer fits into the prompt is gone, laws are not answered by examples of other cases, an exam that
wants a whole sentence is not answered in that form, and ability questions suffer from what stands before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from clbench.core.documents import text_of
from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Lesson, Prompt
from clbench.core.value import Value
from clbench.learners._shared import prompts_shown as shown
from clbench.training.schedule import refuse_eval_only


class Config(Value):
    """Settings of in-context learning.

    Attributes:
        tokens: Most tokens of examples in a prompt, >= 0; 0 shows none, as the base.
        show: "documents" writes what was taught as sentences, "turns" shows examples as earlier exchanges.
    """

    tokens: int = Field(default=384, ge=0)
    show: shown.Show = "documents"


class InContextLearner:
    """Shows what fits of past lessons.

    Attributes:
        taught: What is shown, the most wanted first: a beginning of it is even over lessons and classes too.
    """

    def __init__(self, config: Config, net: shown.Reader, seed: int) -> None:
        self.config = config
        self.net = net
        self.seed = seed
        self.number = 0
        self.taught: list[shown.Taught] = []

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Keep of this lesson and the earlier ones what fits, evenly."""
        refuse_eval_only(lesson)
        new = [shown.Taught(lesson=lesson.number, example=e) for e in lesson.examples]
        ordered = shown.distinct(shown.in_turn([*self.taught, *new], self.seed), self.config.show)
        self.taught = shown.fitting(ordered, lesson.budget, None, self._size, self.config.tokens)
        self.number = lesson.number

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer with the examples before each question; as many as fit."""
        if not self.taught:
            return self.net.respond(examples, decode)
        return shown.answer_with(self.net, examples, decode, self.prompt)

    def prompt(self, question: Example, room: int) -> Prompt:
        """Return a question's prompt with as many examples before it as fit in `room` tokens, old to new."""

        def with_first(num: int) -> Prompt:
            old_to_new = sorted(self.taught[:num], key=lambda t: t.lesson)
            return shown.with_taught([t.example for t in old_to_new], question.prompt, self.config.show)

        return shown.longest(len(self.taught), with_first, lambda p: shown.num_tokens(self.net, p), room)

    def _size(self, example: Example) -> int:
        if self.config.show == "documents":
            return len(self.net.tokenizer.encode(f"{text_of(example)}\n\n", add_special_tokens=False))
        return shown.num_tokens(self.net, shown.as_turns(example))

    def save(self, folder: Path) -> None:
        """Write what is shown."""
        shown.save_shown(folder, self.number, "shown", self.taught)

    def load(self, folder: Path) -> None:
        """Take over what is shown."""
        self.number, values = shown.load_shown(folder, "shown")
        self.taught = [shown.Taught.model_validate(v) for v in values]


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model; the seed decides which of equal examples are shown."""
    return InContextLearner(config, shown.load_reader("in_context", model, machine), seed)


PLUGIN = LearnerPlugin(
    config=Config,
    build=build,
    version=3,
    stores="examples",
    model_families=("causal",),
    family="in-context",
    uses_task_ids=False,
    uses_boundaries=False,
    trains="none",
    paper="Brown et al. 2020, arXiv:2005.14165",
    about="Show what was taught before every question; no weight changes.",
)
