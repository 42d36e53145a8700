"""Generative replay: before a new lesson the model writes and answers questions of the old ones, and learns them too.

    loss = CE(answer | question) + lm_weight * CE(question)

so that it can write questions as well as answer them. Before the next lesson, `share` pseudo-examples per new example
are sampled: the user's turn is drawn token by token, and the model, as the earlier lessons left it, answers greedily.
A filter drops what is malformed, empty, too long or said before, and, where all that was taught has labels, every
answer that is not one of them; what it dropped is counted in the method's state. Pseudo-examples are balanced: each of
the t - 1 earlier lessons may fill a (t - 1)-th part of the room and no more, so that the lesson that the model dreams
of most does not crowd out the others; one that it no longer dreams of within its `tries` leaves its room empty. A
question belongs to the lesson whose words it is most like:

    i(q) = argmax_i cos(f(q), key_i),   key_i = mean of f over lesson i's questions

with f the frequencies of a text's words, hashed to 1024 numbers.
Source: Sun, Ho and Lee 2020, "LAMOL: LAnguage MOdeling for Lifelong Language Learning", ICLR, arXiv:1909.03329.
Otherwise than there: a question is a chat's user turn and not a text behind a [GEN] token, without a token per task;
questions are filtered and balanced by words, where the paper draws as many behind each task's own token; and answers
are greedy where the paper samples them.

Defaults: share, lm_weight and top_k of the paper (gamma 0.2, lambda 0.25, k 20), temperature 1.

Keeps: no examples; the labels taught so far, the counts, and frequencies of hashed words per lesson. But what it dreams
may repeat, word for word, questions that it has memorised.

Told: boundaries.

Not for: questions of several turns or with a system message, whose first user turn alone is dreamt; models too small,
or taught too briefly, to write a question; encoders, which write nothing.

Falls short: no gain in AP over plain fine-tuning is shown, and abilities fall further. A guess: a tiny model dreams few
of the facts that it was taught, and answers them itself, so that its errors are taught again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clbench.core.errors import ModelError
from clbench.core.keys import digest, normal_text
from clbench.core.types import Decode, Example, Lesson, Message
from clbench.data.streams.similarity import words
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.causal import Causal
    from clbench.models.net import Batch, Forward, Net

F64 = NDArray[np.float64]
MARK = "QUESTION"
HASHED = 1024  # numbers to which words are hashed
AT_ONCE = 32  # questions drawn in one pass; it decides which random numbers a question gets, so it is not a setting


class Config(Training):
    """Settings of generative replay.

    Attributes:
        share: Pseudo-examples per new example, in [0, 4]; fewer come where the filter drops too many.
        lm_weight: Weight of writing the questions, >= 0. With share 0 as well it is plain fine-tuning.
        temperature: Of the sampling of questions, > 0.
        top_k: Tokens among which each is drawn, the likeliest, >= 1.
        question_tokens: Longest question in tokens.
        answer_tokens: Longest answer in tokens.
        tries: Most questions drawn per pseudo-example that is wanted, >= 1.
        balanced: Earlier lessons have equal room; else what is dreamt most fills it.
    """

    share: float = Field(default=0.2, ge=0, le=4)
    lm_weight: float = Field(default=0.25, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    top_k: int = Field(default=20, ge=1)
    question_tokens: int = Field(default=128, ge=1)
    answer_tokens: int = Field(default=32, ge=1)
    tries: int = Field(default=4, ge=1)
    balanced: bool = True


class GenerativeReplay(Method):
    """The model's own questions and answers stand for the lessons that are past."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.labels: list[str] = []
        self.free = False  # free text has been taught, so that any answer may be one
        self.counts: Counter[str] = Counter()
        self.words: dict[str, list[float]] = {}  # lesson -> mean frequencies of its questions' words

    def expand(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """Add pseudo-examples of what was taught before; before the first lesson there is nothing to dream of."""
        wanted = round(self.config.share * len(lesson.examples))
        if wanted == 0 or not (self.labels or self.free):
            return lesson
        room = evenly(wanted, sorted(self.words, key=int) if self.config.balanced and self.words else [""])
        dreamt: list[Example] = []
        known: set[str] = set()
        for _ in range(-(-wanted * self.config.tries // AT_ONCE)):
            sound = self._sifted(sample_questions(net, self.config, AT_ONCE), known)
            asked = [text for text in sound if self._has_room(text, room)]
            for example in self._answered(net, lesson.number, asked):
                lesson_ = self._lesson_of(example.prompt[0].content, room)
                if room[lesson_]:
                    room[lesson_] -= 1
                    dreamt.append(example)
            if not any(room.values()):
                break
        self.counts["learnt"] += len(dreamt)
        return lesson.model_copy(update={"examples": (*lesson.examples, *dreamt)})

    def _sifted(self, drawn: Sequence[Drawn], known: set[str]) -> Iterator[str]:
        """Pass on sound questions, each once, and count the others."""
        for question in drawn:
            self.counts["drawn"] += 1
            fault = question.fault or ("repeated" if normal_text(question.text) in known else "")
            if fault:
                self.counts[fault] += 1
                continue
            known.add(normal_text(question.text))
            yield question.text

    def _lesson_of(self, question: str, room: Mapping[str, int]) -> str:
        """Return the lesson, of those that have room of their own, whose words a question is most like."""
        if len(room) == 1:
            return next(iter(room))
        found = frequencies(question)
        return max(room, key=lambda number: cosine(found, np.array(self.words[number])))

    def _has_room(self, question: str, room: Mapping[str, int]) -> bool:
        """Say whether a question's lesson has room, and count it where it has none."""
        has = room[self._lesson_of(question, room)] > 0
        self.counts["enough of its lesson"] += not has
        return has

    def _answered(self, net: Net, number: int, questions: Sequence[str]) -> list[Example]:
        """Let the model answer, and drop what is not an answer."""
        asked = [
            Example(id=f"dream-{number}-{self.counts['asked'] + i}", prompt=(Message(role="user", content=text),))
            for i, text in enumerate(questions)
        ]
        self.counts["asked"] += len(asked)
        answers = net.respond(asked, Decode(max_tokens=self.config.answer_tokens))
        kept: list[Example] = []
        for example, answer in zip(asked, answers, strict=True):
            if answer.finish != "stop":
                self.counts["answer too long"] += 1
            elif not answer.text or not (self.free or answer.text in self.labels):
                self.counts["answer unknown"] += 1
            else:
                kept.append(example.model_copy(update={"targets": (answer.text,)}))
        return kept

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add the loss of writing the questions, from a second forward pass."""
        if self.config.lm_weight == 0:
            return out.loss
        asked, weight = questions_of(batch), self.config.lm_weight
        if batch.whole is not None:  # a part holds other shares of the questions' tokens than of the answers'
            of_answers = batch.num_targets / batch.whole.num_targets
            weight *= asked.num_targets / questions_of(batch.whole).num_targets / of_answers
        return out.loss + weight * net.forward(net.module, asked).loss

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Note which labels there are, for the filter, and which words the questions have."""
        if self.config.share == 0:
            return
        closed = [e for e in lesson.examples if e.choices]
        self.free = self.free or len(closed) < len(lesson.examples)
        self.labels = sorted({*self.labels, *(e.targets[0] for e in closed)})
        own = [e for e in lesson.examples if not e.id.startswith("dream-")]
        asked = [next((m.content for m in e.prompt if m.role == "user"), "") for e in own]
        if asked:
            self.words[str(lesson.number)] = np.mean([frequencies(q) for q in asked], axis=0).round(6).tolist()

    def state(self) -> dict[str, Any]:
        """Return labels, counts and words."""
        if not (self.labels or self.free):
            return {}
        return {"labels": self.labels, "free": self.free, "counts": dict(self.counts), "words": self.words}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over labels, counts and words."""
        self.labels = list(state.get("labels", []))
        self.free = state.get("free", False)
        self.counts = Counter(state.get("counts", {}))
        self.words = dict(state.get("words", {}))


def evenly(num: int, lessons: Sequence[str]) -> dict[str, int]:
    """Share out room among lessons; what is left over goes to the first ones, which are longest past.

    Example:
        >>> evenly(8, ["1", "2", "3"])
        {'1': 3, '2': 3, '3': 2}
    """
    return {name: num // len(lessons) + (i < num % len(lessons)) for i, name in enumerate(lessons)}


def frequencies(text: str) -> F64:
    """Return how often each word of a text occurs in it, as shares, hashed to `HASHED` numbers."""
    found = np.zeros(HASHED)
    for word in words(text):
        found[int(digest(word)[:8], 16) % HASHED] += 1
    return found / max(found.sum(), 1.0)


def cosine(a: F64, b: F64) -> float:
    """Return the cosine between two texts' frequencies, in [0, 1]; 0 where one has no words."""
    return round(float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)), 9)


class Drawn(NamedTuple):
    """A question that the model wrote; `fault` names what is wrong with it, and is empty for a sound one."""

    text: str
    fault: str


def questions_of(batch: Batch) -> Batch:
    """Return the batch with its loss on the prompt's tokens instead of the answer's."""
    from clbench.models.taught import IGNORED

    asked_BT = (batch.labels == IGNORED) & (batch.mask_BT == 1)
    labels_BT = batch.ids_BT.where(asked_BT, IGNORED)
    return type(batch)(batch.ids_BT, batch.mask_BT, labels_BT, batch.num_tokens, int(asked_BT[:, 1:].sum()))


def sample_questions(net: Net, config: Config, num: int) -> list[Drawn]:
    """Let a causal model write the user's turn, with torch's generator, which the caller seeds.

    Raises:
        ModelError: The model's template does not say where a user's turn begins and ends.
    """
    import torch

    causal: Causal = net  # pyright: ignore[reportAssignmentType]  # the plug-in admits this family alone
    tokenizer: Any = causal.tokenizer
    opening, closing = frame(net)
    ids = tokenizer.encode(opening, add_special_tokens=False)
    # A turn ends with the template's first special token after it, or else (plain paragraphs) with its text.
    end = tokenizer.encode(closing, add_special_tokens=False)[0]
    special = end in tokenizer.all_special_ids or tokenizer.convert_ids_to_tokens(end) in tokenizer.get_added_vocab()
    generate: Any = causal.module.generate
    with torch.inference_mode():
        ids_BT = torch.tensor([ids] * num, device=causal.device)
        out_BT = generate(
            input_ids=ids_BT,
            attention_mask=torch.ones_like(ids_BT),
            max_new_tokens=max(min(config.question_tokens, causal.spec.longest - len(ids) - config.answer_tokens), 1),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=[*causal.reader.ends, *([end] if special else [])],
            do_sample=True,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=1.0,
        )
    texts = tokenizer.batch_decode(out_BT[:, len(ids) :].tolist(), skip_special_tokens=False)
    return [
        judge_text(text, tokenizer.decode([end]) if special else closing, tokenizer.all_special_tokens)
        for text in texts
    ]


def frame(net: Net) -> tuple[str, str]:
    """Return what stands before and after the words of a user's turn, as the model reads it.

    Raises:
        ModelError: The template does not show the turn as it is, or nothing before or after it.
    """
    opening, found, closing = net.render((Message(role="user", content=MARK),)).partition(MARK)
    if not (found and opening and closing):
        raise ModelError(
            "its chat template does not show where a user's turn begins and ends, so that it cannot write questions",
            where="model.name",
            mend="take a model with a chat template or a begin token, or another learner (replay)",
        )
    return opening, closing


def judge_text(text: str, ending: str, special: Sequence[str]) -> Drawn:
    r"""Cut a drawn question at its end, and say what is wrong with it.

    Example:
        >>> judge_text("Who?</s><pad>", "</s>", ["</s>", "<pad>"]), judge_text("Who</s>", "\n", ["</s>"]).fault
        (Drawn(text='Who?', fault=''), 'unfinished')
    """
    question, ended, _ = text.partition(ending)
    question = question.strip()
    if not ended:
        return Drawn(question, "unfinished")
    if not question:
        return Drawn(question, "empty")
    return Drawn(question, "malformed" if any(s in question for s in special) else "")


PLUGIN = plugin(
    Config,
    GenerativeReplay,
    version=3,
    stores="may_quote",
    neutral={"share": 0.0, "lm_weight": 0.0},
    model_families=("causal",),
    family="replay",
    uses_task_ids=False,
    uses_boundaries=True,
    trains="all",
    paper="Sun, Ho and Lee 2020, arXiv:1909.03329",
    about="LAMOL: replay questions that the model dreams up itself.",
)
