"""Causal language models of any family: they generate, rank labels by log-likelihood, and are trained on answers.

Shapes: B prompts, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.core.keys import seed_of
from clbench.core.spec import ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Prompt
from clbench.models import source
from clbench.models.adapter import base_alone, with_adapter
from clbench.models.backoff import memory_explained, within_memory
from clbench.models.batching import padded
from clbench.models.continuations import Scores, in_batches, score_batch
from clbench.models.ends import left_aside
from clbench.models.finite import check_finite
from clbench.models.four_bits import quantise
from clbench.models.loaded import check_vocabulary
from clbench.models.net import Batch, Cut, Forward
from clbench.models.packing import Packing
from clbench.models.plain import answer_raw
from clbench.models.pretrained import DTYPES, load_tokenizer, output_name, pretrained
from clbench.models.probe import Way, cache_bytes, check_causal, check_known, known_rows, scale_border, way_of
from clbench.models.reader import LEAST, Read, Reader
from clbench.models.reasoning import Reasons, decoded, mark_in, opening, without_reasoning
from clbench.models.stops import before_end, before_stop
from clbench.models.taught import IGNORED, predictions, splits_as
from clbench.models.writing import How, Question, Writer, write


class Causal:
    """A causal language model with its tokenizer.

    Attributes:
        module: The Hugging Face model; methods may change it in place.
        tokenizer: Its tokenizer.
        reader: Makes tokens of prompts and answers.
        answer_after: The mark that ends reasoning, if an exam names none; "" if the model does not reason.
    """

    def __init__(self, spec: ModelSpec, module: nn.Module, tokenizer: Any, exam_batch: int) -> None:
        self.spec = spec
        self.module = module
        self.tokenizer = tokenizer
        self.reader = Reader(tokenizer, spec)
        self.exam_batch = exam_batch
        self.micro_batch: int | None = None
        self.server: Writer | None = None  # writes in the place of this model while an exam is asked there
        self.packing: Packing | None = None  # how the examples of a lesson share rows; None keeps them apart
        self.head_name = output_name(module)
        self.rows = known_rows(module)
        self.token_bytes = 0  # keys and values of a token in the cache
        self.scale_border = scale_border(module, spec.longest)
        self.answer_after = spec.answer.after if spec.answer else mark_in(self.reader.templates)
        self._mark = ""  # the end of reasoning in the exam that is being asked
        self._encoded: dict[Example, tuple[list[int], list[int]]] = {}
        self._cuts: dict[Example, Cut] = {}
        self._noticed: set[int] = set()

    @classmethod
    def load(cls, spec: ModelSpec, folder: Path | None, device: torch.device, exam_batch: int) -> Self:
        """Return the model with weights and tokenizer from a checkpoint folder or a pinned Hub id."""
        from transformers import AutoModelForCausalLM, GenerationConfig

        tokenizer = load_tokenizer(spec, folder)
        plain = GenerationConfig()  # not the checkpoint's: `decode_plainly` ignores it, and loading may refuse it
        with base_alone(folder) as base:
            module = pretrained(AutoModelForCausalLM, spec, base, generation_config=plain)
        check_vocabulary(spec.name, tokenizer, module)
        module = with_adapter(module, source.adapter_of(spec), spec)
        if spec.quantised:
            quantise(module, output_name(module), DTYPES[spec.dtype], device)
        net = cls(spec, module.to(device).eval(), tokenizer, exam_batch)
        net.decode_plainly()
        check_causal(net)
        net.token_bytes = cache_bytes(net)  # measured with its way, before a learner changes anything
        return net

    def decode_plainly(self) -> None:
        """Ignore the checkpoint's decoding settings, except for its ends, and give the tokenizer a valid padding token.

        Raises:
            ModelError: No token is known to end an answer.
        """
        from transformers import GenerationConfig

        module: Any = self.module
        check_known([self.reader.end], self.rows, self.tokenizer, self.spec.name)
        aside = left_aside(source.stated(self.spec, "generation_config.json"), source.configuration(self.spec))
        if aside:
            notice(f"{self.spec.name}: the checkpoint sets {', '.join(aside)}; answers are decoded without")
        pad = self.tokenizer.pad_token_id
        # Padding is always masked, so any token will do.
        if pad is None or pad < 0 or (self.rows is not None and pad >= self.rows):
            self.tokenizer.pad_token = self.tokenizer.convert_ids_to_tokens(self.reader.end)
        module.generation_config = GenerationConfig(eos_token_id=list(self.reader.ends))

    @property
    def identity(self) -> str:
        """Digest of the base checkpoint: reading all of it takes a while, so only where it is asked for."""
        return source.identity(self.spec)

    @property
    def can(self) -> frozenset[Ability]:
        """All three abilities: it generates, scores and ranks."""
        return frozenset({"text", "loglik", "label"})

    @property
    def labels(self) -> tuple[str, ...]:
        """Empty: it has no label head."""
        return ()

    def grow(self, labels: Iterable[str]) -> None:
        """Do nothing: labels are words, not rows of a head."""

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.module.parameters()).device

    # --- encoding -------------------------------------------------------------------------------------------

    def render(self, prompt: Prompt) -> str:
        """Return a prompt as the model reads it: by its chat template, or as plain paragraphs without one."""
        return self.reader.render(prompt)

    def prompt_ids(self, prompt: Prompt, room: int = 0) -> list[int]:
        """Return the tokens of a prompt so that `room` more tokens fit; see `Reader.fit` for what is left out."""
        return self._read(prompt, room).ids

    def _read(self, prompt: Prompt, room: int) -> Read:
        read = self.reader.fit(prompt, max(self.spec.longest - room, LEAST))
        self.known(read.ids)
        return read

    def known(self, ids: list[int]) -> list[int]:
        """Return tokens as they are; see `probe.check_known`."""
        return check_known(ids, self.rows, self.tokenizer, self.spec.name)

    def answer_ids(self, text: str) -> list[int]:
        """Return the tokens of an answer, encoded apart from its prompt: training and exams see the same tokens."""
        return self.known(self.reader.answer_ids(text))

    def encode(self, example: Example) -> tuple[list[int], list[int]]:
        """Return the tokens of (prompt, first target); they are kept, since a lesson is read several times."""
        if example not in self._encoded:
            if len(self._encoded) >= 100_000:
                self._encoded.clear()
                self._cuts.clear()
            if example.choices:
                self.reader.check_labels(example.choices, f"example {example.id}")
            full = self.answer_ids(example.targets[0])
            answer = full[: self.reader.room(example.prompt, len(full))]
            read = self._read(example.prompt, len(answer))
            self._encoded[example] = (read.ids, answer)
            if read.lost or len(answer) < len(full):
                self._cuts[example] = Cut(read.lost, len(full) - len(answer))
        return self._encoded[example]

    def cut(self, example: Example) -> Cut:
        """Return how many tokens of an example do not fit when it is trained on."""
        self.encode(example)
        return self._cuts.get(example, Cut(0, 0))

    def length(self, example: Example) -> int:
        """Return the number of tokens of prompt and target."""
        prompt, answer = self.encode(example)
        return len(prompt) + len(answer)

    # --- training -------------------------------------------------------------------------------------------

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Return prompts + targets, padded on the right, with loss on the targets alone."""
        pairs = [self.encode(e) for e in examples]
        return Batch(
            ids_BT=padded([p + a for p, a in pairs], self.tokenizer.pad_token_id, self.device),
            mask_BT=padded([[1] * (len(p) + len(a)) for p, a in pairs], 0, self.device),
            labels=padded([[IGNORED] * len(p) + a for p, a in pairs], IGNORED, self.device),
            num_tokens=sum(len(p) + len(a) for p, a in pairs),
            num_targets=sum(len(a) for _, a in pairs),
        )

    def forward(self, module: nn.Module, batch: Batch) -> Forward:
        """Return the predictions of the target tokens; no logits are computed where there is no loss."""
        return predictions(self, module, batch)

    def hidden(self, ids_BT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """Return the last layer's states, (B, T, H)."""
        options = {"use_cache": False, "logits_to_keep": 1, "output_hidden_states": True}
        return self.module(input_ids=ids_BT, attention_mask=mask_BT, **options).hidden_states[-1]

    # --- answering ------------------------------------------------------------------------------------------

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Return answers, generated or the best of each example's choices."""
        if not examples:
            return []
        mark = self.answer_after if decode.answer is None else decode.answer.after
        if mark and decode.kind != "label":
            return self._without_reasoning(examples, decode, mark)
        with memory_explained(self.spec), torch.inference_mode():
            if decode.kind == "raw":
                return answer_raw(self, examples, decode)
            return self._rank(examples) if decode.kind == "label" else self._generate(examples, decode)

    def _without_reasoning(self, examples: Sequence[Example], decode: Decode, mark: str) -> list[Answer]:
        def begins_inside(example: Example) -> bool:
            begins = opening(mark)
            return bool(begins) and self.render(example.prompt).rstrip().endswith(begins)

        def num_tokens(text: str) -> int:
            return len(self.tokenizer.encode(text, add_special_tokens=False, verbose=False))

        before, self._mark = self._mark, mark
        try:
            return without_reasoning(self.respond, examples, decode, Reasons(mark, begins_inside, num_tokens))
        finally:
            self._mark = before

    def loglik(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """Return ln p(continuation | prompt) in nats, summed over the continuation's own tokens (no end token)."""
        if not pairs:
            return []
        texts = [[self.reader.text_ids(text)] for _, text in pairs]
        prompts = [self.prompt_ids(p, len(own)) for (p, _), (own,) in zip(pairs, texts, strict=True)]
        with torch.inference_mode():
            found = [nats for scores in self.score(prompts, texts) for nats, _ in scores]
        check_finite(found, self.spec.name, "one of the scored texts")
        return found

    def _rank(self, examples: Sequence[Example]) -> list[Answer]:
        for example in examples:
            if not example.choices:
                raise ModelError("no choices to rank", where=f"example {example.id}", mend="give the task `labels`")
            self.reader.check_labels(example.choices, f"example {example.id}")
        # The end token counts, so that "1" is not preferred for being the beginning of "10".
        choices = [[self.answer_ids(c) for c in e.choices] for e in examples]
        rooms = [max(map(len, ids)) for ids in choices]
        for example, room in zip(examples, rooms, strict=True):
            if room > self.spec.longest - LEAST:
                raise ModelError(
                    f"a choice of {room} tokens leaves no room for the question in {self.spec.longest}",
                    where=f"example {example.id}",
                    mend="shorten the labels, give the model more max_tokens, or use one with more positions",
                )
        read = [self._read(e.prompt, room) for e, room in zip(examples, rooms, strict=True)]
        answers: list[Answer] = []
        for example, scores, found in zip(examples, self.score([r.ids for r in read], choices), read, strict=True):
            check_finite([nats for nats, _ in scores], self.spec.name, f"example {example.id}")
            best = max(range(len(scores)), key=lambda place: (scores[place][0], -place))
            answers.append(
                Answer(
                    example_id=example.id,
                    text=example.choices[best],
                    tokens_in=len(found.ids),
                    tokens_cut=found.lost,
                    shots_cut=found.dropped,
                )
            )
        return answers

    @cached_property
    def splits(self) -> bool:
        """Whether the logits of a lesson can be made piece by piece (see `taught`)."""
        return splits_as(self)

    @cached_property
    def way(self) -> Way:
        """How continuations are scored: packed in one row, each on a copy of the cache, or uncached (see `probe`)."""
        return way_of(self)

    @property
    def caches(self) -> bool:
        """Whether it can go on from a cache, padded or not; else every row is read from its start, without padding."""
        return self.way != "whole"

    @property
    def packs(self) -> bool:
        """Whether continuations may share a row."""
        return self.way == "packed"

    def score(self, prompts: Sequence[list[int]], continuations: Sequence[list[list[int]]]) -> list[Scores]:
        """Return (nats, is greedy) of each continuation; those of a prompt share one reading of it."""
        scores: list[Scores] = [[] for _ in prompts]

        def scored(rows: list[int]) -> list[Scores]:
            return score_batch(self, [prompts[i] for i in rows], [continuations[i] for i in rows])

        for rows, found in within_memory(self.spec, in_batches(self, prompts, continuations), scored):
            for i, values in zip(rows, found, strict=True):
                scores[i] = values
        return scores

    def left_pad(self, prompts: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Return ids and mask of prompts, (B, T), padded on the left."""
        longest = max(map(len, prompts))
        pad = self.tokenizer.pad_token_id
        ids = [[pad] * (longest - len(p)) + p for p in prompts]
        mask = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)

    def _generate(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        room = self.answer_room(decode.max_tokens)
        read = [self._read(e.prompt, room) for e in examples]
        asked = [Question(f"example {e.id}", seed_of(decode.seed, 0, f"sample {e.id}")) for e in examples]
        prompts = [r.ids for r in read]
        written = self.write(prompts, room, decode.stop, decode.temperature, self.reader.ends, asked)
        return [self._answer(e.id, r, ids, decode) for e, r, ids in zip(examples, read, written, strict=True)]

    def answer_room(self, wanted: int) -> int:
        """Return the most tokens that an answer may have: what the task allows, or half of the input if it is less."""
        if wanted <= self.spec.longest - LEAST:
            return wanted
        if wanted not in self._noticed:
            self._noticed.add(wanted)
            notice(
                f"{self.spec.name}: an answer may have {wanted} tokens, and prompt and answer together "
                f"{self.spec.longest}; each has at most half of them"
            )
        return self.spec.longest // 2

    def write(
        self,
        prompts: list[list[int]],
        max_tokens: int,
        stop: Sequence[str],
        temperature: float,
        ends: Sequence[int],
        questions: Sequence[Question] = (),
    ) -> list[list[int]]:
        """Return the tokens that follow each prompt, in order; see `writing.write`."""
        how = How(max_tokens, tuple(stop), temperature, tuple(ends))
        questions = questions or [Question("a prompt", 0)] * len(prompts)
        return self.server.write(prompts, how, questions) if self.server else write(self, prompts, how, questions)

    def text_of(self, ids: Sequence[int]) -> str:
        """Return generated tokens as text, without special tokens except the mark that ends reasoning."""
        return decoded(self.tokenizer, ids, self._mark)

    def _answer(self, example_id: str, read: Read, ids: list[int], decode: Decode) -> Answer:
        kept = before_end(ids, self.reader.ends)
        written = self.text_of(kept)
        text = before_stop(written, decode.stop)
        return Answer(
            example_id=example_id,
            text=text.strip(),
            finish="stop" if len(kept) < len(ids) or len(text) < len(written) else "length",
            tokens_in=len(read.ids),
            tokens_cut=read.lost,
            shots_cut=read.dropped,
            tokens_out=len(kept),
        )
