"""The right document: the untouched model is told, with each question, the very sentence that answers it; a ceiling.

It learns nothing. What it scores is what the model makes of a prompt in which the right sentence stands alone, so no
in-context learner, however well it keeps and finds what was taught, should be expected to score more: where this row is
low, the model cannot read, or answers in another form than the exam wants, which no training taught it; and where it is
high and a learner is low, the learner kept or found the wrong things. The sentence is the document of the question
(`Example.document`); where a task has no documents, the question and its answer, as lines of text. Exams
of abilities are asked without one, as no lesson teaches them. A question is never cut: where the sentence does not fit,
the question stands alone.
Source: the "oracle" or "gold passage" row of reading and retrieval, for example Lewis et al. 2020, "Retrieval-Augmented
Generation for Knowledge-Intensive NLP Tasks", NeurIPS, arXiv:2005.11401. Otherwise than there: nothing is retrieved.

Defaults: it has none.
Keeps: nothing.
Told: what answers each question, from row 0 on, which no learner may see; so it is a bound, and declares it.
Not for: anything but a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Lesson, Prompt
from clbench.core.value import Value
from clbench.learners._shared import prompts_shown as shown
from clbench.training.schedule import refuse_eval_only


class Config(Value):
    """It has no settings."""


class RightDocumentLearner:
    """Puts the document of each question at its head."""

    def __init__(self, net: shown.Reader) -> None:
        self.net = net

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Look at the lesson and keep nothing."""
        refuse_eval_only(lesson)

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer with its document before each question that has one."""
        return shown.answer_with(self.net, examples, decode, self.prompt)

    def prompt(self, question: Example, room: int) -> Prompt:
        """Return a question's prompt with its document at the head, if both fit in `room` tokens."""

        def with_first(num: int) -> Prompt:
            return shown.headed(question.document, question.prompt) if num else question.prompt

        most = 1 if question.document else 0
        return shown.longest(most, with_first, lambda p: shown.num_tokens(self.net, p), room)

    def save(self, folder: Path) -> None:
        """Write nothing: no lesson has left a trace."""
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, folder: Path) -> None:
        """Have nothing to take over."""


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model; neither settings nor seed matter."""
    return RightDocumentLearner(shown.load_reader("right_document", model, machine))


PLUGIN = LearnerPlugin(
    config=Config,
    build=build,
    version=1,
    starts_as_base=False,
    answers="own",
    stores="none",
    model_families=("causal",),
    family="bounds",
    uses_task_ids=False,
    uses_boundaries=False,
    sees_documents=True,
    trains="none",
    paper="Lewis et al. 2020, arXiv:2005.11401",
    about="The untouched model, told with each question the sentence that answers it.",
)
