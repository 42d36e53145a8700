"""What learning takes, before anything is loaded: a model's shape, its tokenizer, a method's `prepare`, and lessons."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from clbench.core.events import unheard
from clbench.core.keys import rng
from clbench.core.spec import ModelSpec
from clbench.core.types import Example, Lesson
from clbench.models import source
from clbench.models.batching import like_lengths
from clbench.models.causal import Causal
from clbench.models.encoder import Encoder
from clbench.models.four_bits import count, shape_in_four_bits
from clbench.models.net import Net
from clbench.models.pretrained import DTYPES, load_tokenizer, output_name
from clbench.models.shape import empty_model, on_processor, shortened, stack_of
from clbench.training.method import Method
from clbench.training.precision import Masters
from clbench.training.schedule import pieces, schedule, without_documents
from clbench.training.settings import Training
from clbench.training.step_memory import Pass, StepMemory, beyond, shares_of, walk, without_content

READ = 2000  # examples of a stream that are made into tokens, the longest first; the others are judged by their letters


@dataclass(frozen=True)
class Way:
    """How lessons are walked on a machine.

    Attributes:
        micro_batch: Most examples at a time; None is all of a batch.
        recompute: Whether activations are made again.
        card: Whether it is an accelerator.
        ranks: Processes that share each batch.
        shard: Whether they share weights too, and walk their examples in one part each.
    """

    micro_batch: int | None
    recompute: bool
    card: bool
    ranks: int = 1
    shard: bool = False


class ModelShape:
    """A model by its shape, with its real tokenizer; no weights are read.

    Attributes:
        parameters: Weights of the base model.
        layers: Layers of its stack; None where it has no stack of like layers.
        vocabulary: Words of the output layer; 0 for an encoder.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = source.settled(spec)
        self._whole = empty_model(self.spec)
        self._tokenizer = load_tokenizer(self.spec, source.locate(self.spec))
        stack = stack_of(self._whole)
        self.layers = None if stack is None else len(stack)
        self.parameters = sum(p.numel() for p in self._whole.parameters())
        head: Any = self._whole.get_output_embeddings()  # pyright: ignore[reportCallIssue]  # of transformers' models
        self.vocabulary = 0 if head is None else int(head.weight.shape[0])
        if self.spec.quantised:
            shape_in_four_bits(self._whole, output_name(self._whole))
        self.reader = self._net(self._whole)
        self._known: dict[Any, StepMemory] = {}

    def _net(self, module: nn.Module) -> Net:
        kind = Causal if source.abilities(self.spec) != frozenset({"label"}) else Encoder
        return kind(self.spec, module, self._tokenizer, 1)

    def step(self, method: Callable[[], Method], lesson: int, taken: Pass, training: Training, way: Way) -> StepMemory:
        """Return what a step of lesson `lesson` takes, over the method's own copies.

        Raises:
            Exception: Whatever a method or a model does that cannot be done without content.
        """
        sizes = (1, 2) if self.layers is not None else (None,)
        found = [self._at(size, method, lesson, taken, (training.precision, way)) for size in sizes]
        return found[0] if self.layers is None else beyond(found[0], found[1], self.layers - 1)

    def _at(
        self, layers: int | None, method: Callable[[], Method], lesson: int, taken: Pass, how: tuple[Any, Way]
    ) -> StepMemory:
        module = shortened(self._whole, layers) if layers is not None else copy.deepcopy(self._whole)
        net, masters, own = self._net(module), Masters(module), method()
        trained: set[str] = set()
        # What a method says of a short model, such as its number of layers, is not so of the whole one.
        with nullcontext() if layers is None else unheard():
            for number in range(1, lesson + 1):
                own.prepare(net, number)
                trained |= {name for name, p in module.named_parameters() if p.requires_grad}
                if number < lesson:
                    own.finish(net, number)
        own_bytes = sum(p.numel() * p.element_size() for n, p in module.named_parameters() if n in trained)
        masters.widen(module)
        with without_content():
            on_processor(module)
            params = [(n, p.shape, p.dtype, p.requires_grad) for n, p in module.named_parameters()]
            key = (layers, tuple(params), taken, how)
            if key not in self._known:
                compute = masters.compute(how[0])
                self._known[key] = walk(module, taken, compute, recompute=how[1].recompute, card=how[1].card)
        values = [*module.parameters(), *module.buffers()]
        return replace(
            self._known[key],
            weights=sum(v.numel() * v.element_size() for v in values),
            parameters=sum(count(p) for p in module.parameters()),
            trained=sum(p.numel() for p in module.parameters() if p.requires_grad),
            own=own_bytes,
            **shares_of(module),
        )

    def largest(self, lessons: Sequence[Lesson], training: Training, seed: int, way: Way, rows: float) -> Passes:
        """Return the largest pass over some lessons, as the loop schedules them.

        Args:
            lessons: All that are learnt.
            training: Settings.
            seed: The run's.
            way: How a batch is cut.
            rows: Old examples per example of a batch; the longest seen is taken for each.
        """
        sizes = self.sizes(lessons)
        longest = max(size for of in sizes for size in of)
        most: Passes | None = None
        for lesson, lengths in zip(lessons, sizes, strict=True):
            order = rng(seed, lesson.number, "order")
            batches = schedule([p + a for p, a in lengths], training, order, lesson.passes, lesson.kinds)
            batch = max(batches, key=lambda batch: sum(sum(lengths[i]) for i in batch))
            taken = [lengths[i] for i in batch] + [longest] * math.ceil(rows * len(batch))
            share = sorted(taken, key=sum, reverse=True)[:: way.ranks]  # of the first rank, which has the longest
            parts = pieces(share, way.micro_batch)
            found = Passes(self._pass(parts[0], together=way.shard), len(parts))
            if most is None or found.first.rows * found.first.tokens > most.first.rows * most.first.tokens:
                most = found
        assert most is not None, "a stream has a lesson"
        return most

    def _pass(self, sizes: Sequence[tuple[int, int]], *, together: bool) -> Pass:
        """Return the pass over examples of these tokens (prompt, answer), in parts by length as the model does it."""
        lengths = [sum(size) for size in sizes]
        mask_BT = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        parts = [(rows.tolist(), longest) for rows, longest in like_lengths(mask_BT.long(), together=together)]
        tokens = sum(len(rows) * longest for rows, longest in parts)
        padded = any(lengths[row] != longest for rows, longest in parts for row in rows)
        if not self.vocabulary:
            return Pass(len(sizes), math.ceil(tokens / len(sizes)), 1, len(sizes), padded)
        places = 0
        for rows, _ in parts:
            asked = {place for row in rows for place in range(sizes[row][0] - 1, sum(sizes[row]) - 1)}
            places += len(rows) * len(asked)
        targets = sum(answer for _, answer in sizes)
        return Pass(len(sizes), math.ceil(tokens / len(sizes)), max(math.ceil(places / len(sizes)), 1), targets, padded)

    def sizes(self, lessons: Sequence[Lesson]) -> list[list[tuple[int, int]]]:
        """Return (tokens of the prompt, of the answer) of every example; beyond `READ` by their letters."""
        every = [e for lesson in lessons for e in without_documents(lesson).examples]
        read = {id(e): self._tokens(e) for e in sorted(every, key=_letters, reverse=True)[:READ]}
        if not every:
            return [[] for _ in lessons]
        letters = sum(_letters(e) for e in every if id(e) in read)
        share = sum(sum(size) for size in read.values()) / max(letters, 1)
        answer = max(1, round(sum(size[1] for size in read.values()) / len(read)))
        numbers = iter([read.get(id(e)) or (max(1, round(share * _letters(e)) - answer), answer) for e in every])
        return [[next(numbers) for _ in lesson.examples] for lesson in lessons]

    def _tokens(self, example: Example) -> tuple[int, int]:
        if isinstance(self.reader, Causal):
            prompt, answer = self.reader.encode(example)
            return len(prompt), len(answer)
        return self.reader.length(example), 0

    def exam_tokens(self, examples: Sequence[Example]) -> int:
        """Return the tokens of the longest question, of those that have the most letters."""
        longest = sorted(examples, key=_letters, reverse=True)[:4]
        if isinstance(self.reader, Causal):
            return max(len(self.reader.prompt_ids(e.prompt)) for e in longest)
        return max(self.reader.length(e) for e in longest)

    @property
    def loaded_bytes(self) -> int:
        """Bytes of the base model's weights when they are read, before any are put into four bits."""
        return self.parameters * DTYPES[self.spec.dtype].itemsize

    @property
    def base_bytes(self) -> int:
        """Bytes of the weights of the base model, with the scales of those in four bits."""
        if not self.spec.quantised:
            return self.loaded_bytes
        return sum(v.numel() * v.element_size() for v in [*self._whole.parameters(), *self._whole.buffers()])


@dataclass(frozen=True)
class Passes:
    """The passes of an optimiser step: the largest, and how many there are."""

    first: Pass
    parts: int


def _letters(example: Example) -> int:
    return sum(len(message.content) for message in example.prompt) + len(example.targets[0])
