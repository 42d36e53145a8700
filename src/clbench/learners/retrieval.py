"""Retrieval: the taught examples most like a question stand before it in the prompt; no weight changes.

Likeness of a question q to a taught text d, over the words that both hold ("bm25"):

    score(q, d) = sum_w idf(w) tf(w, d) / (tf(w, d) + k1 (1 - b + b |d| / mean |d|))
    idf(w) = ln(1 + (N - n_w + 0.5) / (n_w + 0.5))

with tf the count of w in d, n_w the number of the N kept texts that hold w, and each Chinese or Japanese character a
word of its own. Where an example is shown as a document, d is that document; an example without one is found by its
prompt alone, for its answer would draw questions that name it. Source: Robertson and Zaragoza 2009, "The Probabilistic
Relevance Framework: BM25 and Beyond", Foundations and Trends in Information Retrieval 3(4), section 3.4. Otherwise than
there: 1 is added in the logarithm, so that a word in more than half of the texts never counts against one; a word
counts once per question. "embedding" takes the cosine between mean hidden states of the base's last layer instead.

The `num` best are shown, the best one next to the question: as documents at its head, each once (`show: documents`; an
example without a document is its prompt and its answer as lines of text), or as earlier turns (`show: turns`). A
question is never cut to make room: where little is left, fewer are shown.
Source of retrieval for prompts: Liu et al. 2022, "What Makes Good In-Context Examples for GPT-3?", arXiv:2101.06804.

Defaults: k1 = 1.2 and b = 0.75 lie in the ranges that Robertson and Zaragoza recommend; 4 examples fit most prompts.
Keeps: at most `memory` examples as they are, evenly over lessons and classes; a smaller `Lesson.budget` wins.
Told: nothing; it does not use the task's name where it is told.
Not for: data that must not be stored; lessons that no single example teaches.
Falls short: it finds nearly all facts and seven in ten of what rules decide among four answers; of laws it gets little
more right than the untouched model: a guess is that the nearest examples hold the answer to another case. Where an exam
wants a whole sentence, it mostly names what is right and scores next to nothing, since no training taught that form.
Ability questions are shown examples too, and suffer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clbench.core.errors import SpecError
from clbench.core.protocols import Learner, LearnerPlugin
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Lesson, Message, Prompt
from clbench.core.value import Value
from clbench.data.bm25 import Bm25
from clbench.data.streams.similarity import words
from clbench.learners._shared import prompts_shown as shown
from clbench.training.schedule import refuse_eval_only

if TYPE_CHECKING:
    from clbench.models.causal import Causal

F64 = NDArray[np.float64]
Likeness = Callable[[Example], F64]  # question -> likeness to each kept example


class Config(Value):
    """Settings of retrieval.

    Attributes:
        num: Most examples shown with a question, >= 0; 0 shows none, as the base.
        by: "bm25" compares words, "embedding" the base's mean hidden states.
        memory: Most examples kept over all lessons; a smaller `Lesson.budget` wins.
        k1: How slowly repeated words stop counting (BM25), >= 0; 0 asks only whether a word is there.
        b: How far long prompts are discounted (BM25), in [0, 1].
        show: "documents" writes what was taught as sentences, "turns" shows examples as earlier exchanges.
    """

    num: int = Field(default=4, ge=0)
    by: Literal["bm25", "embedding"] = "bm25"
    memory: int = Field(default=2000, ge=0)
    k1: float = Field(default=1.2, ge=0)
    b: float = Field(default=0.75, ge=0, le=1)
    show: shown.Show = "documents"


class RetrievalLearner:
    """Shows the kept examples that are most like the question.

    Attributes:
        taught: What is kept.
    """

    def __init__(self, config: Config, net: shown.Reader, seed: int) -> None:
        self.config = config
        self.net = net
        self.seed = seed
        self.number = 0
        self.taught: list[shown.Taught] = []
        self._likeness: Likeness | None = None

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Keep the lesson's examples, and of all lessons what fits, evenly."""
        refuse_eval_only(lesson)
        new = [shown.Taught(lesson=lesson.number, example=e) for e in lesson.examples]
        ordered = shown.distinct(shown.in_turn([*self.taught, *new], self.seed), self.config.show)
        most = self.config.memory if self.config.num else 0
        self._take(lesson.number, shown.fitting(ordered, lesson.budget, most, lambda _: 0, None))

    def _take(self, number: int, taught: list[shown.Taught]) -> None:
        self.number, self.taught, self._likeness = number, taught, None

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer with the most similar examples before each question; as many as fit."""
        if not self.taught:
            return self.net.respond(examples, decode)
        return shown.answer_with(self.net, examples, decode, self.prompt)

    def prompt(self, question: Example, room: int) -> Prompt:
        """Return a question's prompt with the most similar examples before it, the most similar one last."""
        best = self.nearest(question)

        def with_first(num: int) -> Prompt:
            return shown.with_taught(best[:num][::-1], question.prompt, self.config.show)

        return shown.longest(len(best), with_first, lambda p: shown.num_tokens(self.net, p), room)

    def nearest(self, question: Example) -> list[Example]:
        """Return the `num` most similar kept examples, the most similar one first."""
        if self._likeness is None:  # made on first use: it follows from what is kept
            kept = [t.example for t in self.taught]
            self._likeness = self._words(kept) if self.config.by == "bm25" else self._states(kept)
        scores = np.round(self._likeness(question), 6)  # machines sum otherwise, and must agree on the order
        order = np.argsort(-scores, kind="stable")[: self.config.num]
        return [self.taught[i].example for i in order.tolist()]

    def _words(self, kept: Sequence[Example]) -> Likeness:
        index = Bm25([words(asked_text(self._text(e))) for e in kept], self.config.k1, self.config.b)
        return lambda question: index.scores(words(asked_text(question.prompt)))

    def _states(self, kept: Sequence[Example]) -> Likeness:
        net: Any = self.net
        states_NH = np.stack([mean_state(net, self._text(e)) for e in kept])
        return lambda question: states_NH @ mean_state(net, question.prompt)

    def _text(self, example: Example) -> Prompt:
        """Return the text by which a kept example is found, as a prompt."""
        if self.config.show == "documents" and example.document:
            return (Message(role="user", content=example.document),)
        return example.prompt

    def save(self, folder: Path) -> None:
        """Write what is kept."""
        shown.save_shown(folder, self.number, "memory", self.taught)

    def load(self, folder: Path) -> None:
        """Take over what is kept."""
        number, values = shown.load_shown(folder, "memory")
        self._take(number, [shown.Taught.model_validate(v) for v in values])


def asked_text(prompt: Prompt) -> str:
    """Return a prompt as one text."""
    return "\n".join(m.content for m in prompt)


def mean_state(net: Causal, prompt: Prompt) -> F64:
    """Return the mean of the base's last hidden states over a prompt's tokens, of length 1, shape (H,).

    One prompt at a time, so that no prompt's state depends on its neighbours in a batch.
    """
    import torch

    ids_1T = torch.tensor([net.prompt_ids(prompt)], device=net.device)
    with torch.inference_mode():
        hidden_TH = net.hidden(ids_1T)[0]
    state_H = hidden_TH.double().mean(0).cpu().numpy()
    return state_H / max(float(np.linalg.norm(state_H)), 1e-12)


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Load the base model; the seed decides which of equal examples are kept.

    Raises:
        SpecError: It is to be found by hidden states, and the model is behind an API.
    """
    if model.provider is not None and config.by == "embedding":
        what = f"hidden states of {model.name!r} are behind an API"
        raise SpecError(what, where="learner.by", mend="take by: bm25")
    return RetrievalLearner(config, shown.load_reader("retrieval", model, machine), seed)


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
    paper="Liu et al. 2022, arXiv:2101.06804",
    about="Show the stored examples that are most like the question; no weight changes.",
)
