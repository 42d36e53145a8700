"""Causal language models of any family: they generate, rank labels by log-likelihood, and are trained on answers.

Shapes: B prompts, T tokens, R rows (one per prompt and continuation), L continuation tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from clbench.core.errors import ModelError
from clbench.core.keys import seed_of
from clbench.core.spec import ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Prompt
from clbench.models import source
from clbench.models.adapter import base_alone, with_adapter
from clbench.models.net import DTYPES, Batch, Forward, by_length, cut_middle, like_lengths, padded, pretrained, seeded
from clbench.models.raw import answer_raw, stops_at
from clbench.models.reasoning import Reasons, decoded, mark_in, opening, without_reasoning
from clbench.models.tokens import as_read
from clbench.models.tree import Scores

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IGNORED = -100


class Causal:
    """A causal language model with its tokenizer.

    Attributes:
        module: The Hugging Face model; methods may change it in place.
        tokenizer: Its tokenizer.
        identity: Digest of the base checkpoint.
        answer_after: The mark that ends reasoning, where an exam names none; "" where nothing is reasoning.
    """

    def __init__(self, spec: ModelSpec, module: nn.Module, tokenizer: Any, exam_batch: int) -> None:
        self.spec = spec
        self.module = module
        self.tokenizer = tokenizer
        self.exam_batch = exam_batch
        self.identity = source.identity(spec)
        self.head_name = _output_name(module)
        self.answer_after = spec.answer.after if spec.answer else mark_in(tokenizer.chat_template)
        self._mark = ""  # of the reasoning that is looked for just now
        self._encoded: dict[Example, tuple[list[int], list[int]]] = {}

    @classmethod
    def load(cls, spec: ModelSpec, folder: Path | None, device: torch.device, exam_batch: int) -> Self:
        """Load weights and tokenizer from a checkpoint folder or a pinned Hub id."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = pretrained(AutoTokenizer, spec, folder)
        if tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no end token", where=spec.name, mend="set eos_token in its config")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token  # padding is always masked, so any token will do
        with base_alone(folder) as base:
            module = pretrained(AutoModelForCausalLM, spec, base, dtype=DTYPES[spec.dtype])
        module = with_adapter(module, folder, spec)
        return cls(spec, module.to(device).eval(), tokenizer, exam_batch)

    @property
    def can(self) -> frozenset[Ability]:
        """All three: it generates, scores and ranks."""
        return frozenset({"text", "loglik", "label"})

    @property
    def labels(self) -> tuple[str, ...]:
        """It has no label head."""
        return ()

    def grow(self, labels: Iterable[str]) -> None:
        """Do nothing: labels are words, not rows of a head."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

    # --- encoding -------------------------------------------------------------------------------------------

    def render(self, prompt: Prompt) -> str:
        """Write a prompt as the model reads it: its chat template, or plain paragraphs where it has none."""
        return as_read(self.tokenizer, prompt)

    def prompt_ids(self, prompt: Prompt, room: int = 0) -> list[int]:
        """Encode a prompt, cut in the middle so that `room` more tokens fit."""
        ids = self.tokenizer.encode(self.render(prompt), add_special_tokens=False, verbose=False)
        return cut_middle(ids, max(self.spec.max_tokens - room, 8))

    def _lost(self, prompt: Prompt, kept: list[int], room: int) -> int:
        """Count the tokens of a prompt's middle that `prompt_ids` left out."""
        if len(kept) < max(self.spec.max_tokens - room, 8):
            return 0
        return len(self.tokenizer.encode(self.render(prompt), add_special_tokens=False, verbose=False)) - len(kept)

    def answer_ids(self, text: str) -> list[int]:
        """Encode an answer, always apart from its prompt: training and exams see the same tokens."""
        return [*self.tokenizer.encode(text, add_special_tokens=False), self.tokenizer.eos_token_id]

    def encode(self, example: Example) -> tuple[list[int], list[int]]:
        """Encode (prompt, first target); kept, since a lesson is walked several times."""
        if example not in self._encoded:
            if len(self._encoded) >= 100_000:
                self._encoded.clear()
            answer = self.answer_ids(example.targets[0])[: self.spec.max_tokens // 2]
            self._encoded[example] = (self.prompt_ids(example.prompt, len(answer)), answer)
        return self._encoded[example]

    def length(self, example: Example) -> int:
        """Tokens of prompt and target."""
        prompt, answer = self.encode(example)
        return len(prompt) + len(answer)

    # --- training -------------------------------------------------------------------------------------------

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Right-pad prompt + target; loss on the target alone."""
        pairs = [self.encode(e) for e in examples]
        return Batch(
            ids_BT=padded([p + a for p, a in pairs], self.tokenizer.pad_token_id, self.device),
            mask_BT=padded([[1] * (len(p) + len(a)) for p, a in pairs], 0, self.device),
            labels=padded([[IGNORED] * len(p) + a for p, a in pairs], IGNORED, self.device),
            num_tokens=sum(len(p) + len(a) for p, a in pairs),
            num_targets=sum(len(a) for _, a in pairs),
        )

    def forward(self, module: nn.Module, batch: Batch) -> Forward:
        """Predict each target token from what stands before it; no scores are made where no loss is taken."""
        taught_BT = batch.labels[:, 1:] != IGNORED
        parts = like_lengths(batch.mask_BT)
        found = [self._taught_logits(module, batch, taught_BT, rows, longest) for rows, longest in parts]
        logits_NV = found[0]
        if len(parts) > 1:
            owner_N = taught_BT.nonzero()[:, 0]
            order_N = torch.cat([torch.isin(owner_N, rows).nonzero()[:, 0] for rows, _ in parts])
            logits_NV = torch.cat(found)[order_N.argsort()]
        labels_N = batch.labels[:, 1:][taught_BT]
        return Forward(functional.cross_entropy(logits_NV, labels_N), logits_NV, labels_N)

    def _taught_logits(
        self, module: nn.Module, batch: Batch, taught_BT: Tensor, rows_B: Tensor, longest: int
    ) -> Tensor:
        """Give the scores at the places of some rows on which loss is taken, in the order of the batch."""
        taught_BT = taught_BT[rows_B]
        places_K = taught_BT.any(0).nonzero()[:, 0]
        logits_BKV = module(
            input_ids=batch.ids_BT[rows_B, :longest],
            attention_mask=batch.mask_BT[rows_B, :longest],
            use_cache=False,
            logits_to_keep=places_K,
        ).logits
        return logits_BKV[taught_BT[:, places_K]].float()

    # --- answering ------------------------------------------------------------------------------------------

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer by generating, or by ranking each example's choices."""
        if not examples:
            return []
        mark = self.answer_after if decode.answer is None else decode.answer.after
        if mark and decode.kind != "label":
            return self._without_reasoning(examples, decode, mark)
        if decode.kind == "raw":
            return answer_raw(self, examples, decode)
        with torch.inference_mode():
            return self._rank(examples) if decode.kind == "label" else self._generate(examples, decode)

    def _without_reasoning(self, examples: Sequence[Example], decode: Decode, mark: str) -> list[Answer]:
        def opened(example: Example) -> bool:
            begins = opening(mark)
            return bool(begins) and self.render(example.prompt).rstrip().endswith(begins)

        def num_tokens(text: str) -> int:
            return len(self.tokenizer.encode(text, add_special_tokens=False, verbose=False))

        before, self._mark = self._mark, mark
        try:
            return without_reasoning(self.respond, examples, decode, Reasons(mark, opened, num_tokens))
        finally:
            self._mark = before

    def loglik(self, pairs: Sequence[tuple[Prompt, str]]) -> list[float]:
        """Give ln p(continuation | prompt) in nats, summed over the continuation's own tokens (no end token)."""
        if not pairs:
            return []
        prompts = [self.prompt_ids(p) for p, _ in pairs]
        texts = [[self.tokenizer.encode(text, add_special_tokens=False)] for _, text in pairs]
        with torch.inference_mode():
            return [nats for scores in self.score(prompts, texts) for nats, _ in scores]

    def _rank(self, examples: Sequence[Example]) -> list[Answer]:
        for example in examples:
            if not example.choices:
                raise ModelError("no choices to rank", where=f"example {example.id}", mend="give the task `labels`")
        # The end token counts, so that "1" is not preferred for being the beginning of "10".
        choices = [[self.answer_ids(c) for c in e.choices] for e in examples]
        rooms = [max(map(len, ids)) for ids in choices]
        prompts = [self.prompt_ids(e.prompt, room) for e, room in zip(examples, rooms, strict=True)]
        answers: list[Answer] = []
        for i, scores in enumerate(self.score(prompts, choices)):
            best = max(range(len(scores)), key=lambda place: (scores[place][0], -place))
            text, lost = examples[i].choices[best], self._lost(examples[i].prompt, prompts[i], rooms[i])
            answers.append(Answer(example_id=examples[i].id, text=text, tokens_in=len(prompts[i]), tokens_cut=lost))
        return answers

    @cached_property
    def packs(self) -> bool:
        """Whether continuations may share a row (see `_packs`)."""
        start = torch.tensor([[self.tokenizer.eos_token_id]], device=self.device)
        return _packs(self.module, self.module(input_ids=start, use_cache=True).past_key_values)

    def score(self, prompts: Sequence[list[int]], continuations: Sequence[list[list[int]]]) -> list[Scores]:
        """Give nats of every continuation and whether greedy decoding writes it; those of one prompt share its pass."""
        scores: list[Scores] = [[] for _ in prompts]
        for rows in by_length([len(p) for p in prompts], [len(c) for c in continuations], self.exam_batch):
            found = self._score_batch([prompts[i] for i in rows], [continuations[i] for i in rows])
            for i, values in zip(rows, found, strict=True):
                scores[i] = values
        return scores

    def _score_batch(self, prompts: list[list[int]], continuations: list[list[list[int]]]) -> list[Scores]:
        ids_BT, mask_BT = self._left_pad(prompts)
        out = self.module(
            input_ids=ids_BT, attention_mask=mask_BT, position_ids=_positions(mask_BT), use_cache=True, logits_to_keep=1
        )
        owner_R = torch.tensor([b for b, c in enumerate(continuations) for _ in c], device=self.device)
        flat = [c for group in continuations for c in group]
        longest = max(map(len, flat))
        pad = self.tokenizer.pad_token_id
        ids_RL = torch.tensor([c + [pad] * (longest - len(c)) for c in flat], device=self.device)
        real_RL = torch.tensor([[1] * len(c) + [0] * (longest - len(c)) for c in flat], device=self.device)
        logits_RLV = out.logits[:, -1:][owner_R]
        if longest > 1:
            follow = self._follow_packed if _packs(self.module, out.past_key_values) else self._follow_spread
            more_RLV = follow(out.past_key_values, mask_BT, owner_R, ids_RL[:, :-1], real_RL[:, :-1])
            logits_RLV = torch.cat([logits_RLV, more_RLV], dim=1)
        logp_RLV = functional.log_softmax(logits_RLV.float(), dim=-1)
        sums_R = (logp_RLV.gather(-1, ids_RL[..., None])[..., 0] * real_RL).sum(1)
        greedy_R = ((logp_RLV.argmax(-1) == ids_RL) | (real_RL == 0)).all(1)
        values = iter(zip(sums_R.tolist(), greedy_R.tolist(), strict=True))
        return [[next(values) for _ in group] for group in continuations]

    def _follow_packed(self, cache: Any, mask_BT: Tensor, owner_R: Tensor, ids_RL: Tensor, real_RL: Tensor) -> Tensor:
        """Run all continuations of a prompt as one row after it, each blind to the others: the cache stays as it is."""
        rows, steps = ids_RL.shape
        counts_B = torch.bincount(owner_R, minlength=len(mask_BT))
        most = int(counts_B.max())
        slot_R = torch.arange(rows, device=self.device) - (counts_B.cumsum(0) - counts_B)[owner_R]
        ids_BKL = ids_RL.new_full((len(mask_BT), most, steps), self.tokenizer.pad_token_id)
        ids_BKL[owner_R, slot_R] = ids_RL
        own_SS = torch.eye(most, dtype=torch.bool, device=self.device).repeat_interleave(steps, 0)
        own_SS = own_SS.repeat_interleave(steps, 1).tril()
        seen_BST = torch.cat(
            [mask_BT.bool()[:, None, :].expand(-1, most * steps, -1), own_SS.expand(len(mask_BT), -1, -1)], dim=2
        )
        floor = torch.finfo(self.module.dtype).min  # type: ignore[arg-type]  # every Hugging Face model has a dtype
        bias = torch.zeros(seen_BST.shape, dtype=self.module.dtype, device=self.device)  # type: ignore[arg-type]  # as above
        places_L = torch.arange(steps, device=self.device).repeat(most)
        logits_BSV = self.module(
            input_ids=ids_BKL.flatten(1),
            attention_mask=bias.masked_fill(~seen_BST, floor)[:, None],
            position_ids=mask_BT.sum(1)[:, None] + places_L,
            past_key_values=cache,
            use_cache=True,
        ).logits
        return logits_BSV.unflatten(1, (most, steps))[owner_R, slot_R]

    def _follow_spread(self, cache: Any, mask_BT: Tensor, owner_R: Tensor, ids_RL: Tensor, real_RL: Tensor) -> Tensor:
        """Run every continuation as its own row on a copy of its prompt's cache: slower, and right for any model."""
        cache.batch_select_indices(owner_R)
        return self.module(
            input_ids=ids_RL,
            attention_mask=torch.cat([mask_BT[owner_R], real_RL], dim=1),
            position_ids=mask_BT.sum(1)[owner_R, None] + torch.arange(ids_RL.shape[1], device=self.device),
            past_key_values=cache,
            use_cache=True,
        ).logits

    def _left_pad(self, prompts: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        longest = max(map(len, prompts))
        pad = self.tokenizer.pad_token_id
        ids = [[pad] * (longest - len(p)) + p for p in prompts]
        mask = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)

    def _generate(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        room = min(decode.max_tokens, self.spec.max_tokens // 2)  # a long answer leaves at least half to its prompt
        prompts = [self.prompt_ids(e.prompt, room) for e in examples]
        answers: dict[int, Answer] = {}
        # A sample depends on its own example alone, so each is drawn by itself.
        batch = self.exam_batch if decode.temperature == 0 else 1
        for rows in by_length([len(p) for p in prompts], [1] * len(prompts), batch):
            seed = seed_of(decode.seed, 0, f"sample {examples[rows[0]].id}")
            with seeded(seed, self.device):
                out = self.write([prompts[i] for i in rows], room, decode.stop, decode.temperature)
            for i, ids in zip(rows, out, strict=True):
                lost = self._lost(examples[i].prompt, prompts[i], room)
                answers[i] = self._answer(examples[i].id, (len(prompts[i]), lost), ids, decode)
        return [answers[i] for i in range(len(examples))]

    def write(
        self, prompts: list[list[int]], max_tokens: int, stop: Sequence[str], temperature: float
    ) -> list[list[int]]:
        """Give the tokens that follow each prompt, up to its end, and little further than the first of the stops."""
        ids_BT, mask_BT = self._left_pad(prompts)
        drawn: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if temperature > 0:
            drawn = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
        if stop:
            drawn["stopping_criteria"] = stops_at(self.tokenizer, stop, ids_BT.shape[1])
        generate: Any = self.module.generate
        out_BT = generate(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            max_new_tokens=max_tokens,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            **drawn,
        )
        return out_BT[:, ids_BT.shape[1] :].tolist()

    def text_of(self, ids: Sequence[int]) -> str:
        """Return what was written as text, without special tokens but for the mark that ends reasoning."""
        return decoded(self.tokenizer, ids, self._mark)

    def _answer(self, example_id: str, read: tuple[int, int], ids: list[int], decode: Decode) -> Answer:
        end = self.tokenizer.eos_token_id
        finished = end in ids
        kept = ids[: ids.index(end)] if finished else ids
        text = self.text_of(kept)
        cuts = [text.index(s) for s in decode.stop if s in text]
        text = text[: min(cuts)] if cuts else text
        return Answer(
            example_id=example_id,
            text=text.strip(),
            finish="stop" if finished or cuts else "length",
            tokens_in=read[0],
            tokens_cut=read[1],
            tokens_out=len(kept),
        )


def _output_name(module: nn.Module) -> str:
    """Find the vocabulary layer, which adapters leave alone."""
    output = cast("PreTrainedModel", module).get_output_embeddings()
    return next((name for name, part in module.named_modules() if part is output), "lm_head")


def _packs(module: nn.Module, cache: Any) -> bool:
    """Say whether continuations may share a row: positions are rotary, and attention reaches over the whole row."""
    from transformers.cache_utils import DynamicLayer

    config: Any = module.config
    rotary = "rope_parameters" in config.to_dict() or "rope_theta" in config.to_dict()
    return rotary and all(type(layer) is DynamicLayer for layer in cache.layers)


def _positions(mask_BT: Tensor) -> Tensor:
    """Count positions from the first real token, so that left padding moves nothing."""
    return (mask_BT.cumsum(1) - 1).clamp(min=0)
