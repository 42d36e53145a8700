"""Pretraining of the tiny models from nothing: one short loop for causal models, one for the encoder.

Recall from a long prompt does not appear by itself in so small a model. What makes it appear: documents that grow
during training, many questions per conversation with loss on every answer, and batches of random tokens repeated,
with loss on all tokens, which form induction heads (Olsson et al. 2022, "In-context Learning and Induction Heads").

Shapes: B rows, T tokens, H hidden, N positions with loss, V vocabulary.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from clbench.core.errors import LessonError
from clbench.core.keys import rng as generator
from clbench.core.keys import seed_of
from clbench.core.progress import Progress
from clbench.core.spec import ModelSpec
from clbench.core.types import Decode, Example, Frozen
from clbench.models import pretrain_start, pretrain_tokenizer
from clbench.models.net import seeded

IGNORED = -100
NUM_SPECIAL = len(pretrain_tokenizer.CHAT_TOKENS) + len(pretrain_tokenizer.ENCODER_TOKENS)
POOL = 1500  # conversations sorted by length at a time


class Recipe(Frozen):
    """How one tiny model is made.

    Attributes:
        name: Name of the model.
        architecture: "llama" and "hunyuan" are causal, "bert" is an encoder.
        vocab: Tokens of the vocabulary.
        hidden, layers, heads, inner: Width, depth, attention heads and width of the feed-forward layers.
        positions: Longest input in tokens.
        steps: Optimiser steps.
        batch_tokens: Tokens per batch, padding included.
        lr: Peak learning rate; warmed up over `warmup` steps, then cosine down to a tenth.
        weight_decay: AdamW's, on matrices only.
        dropout: Of the encoder.
        spread: Standard deviation of the first weights; about 1 / sqrt(hidden), since with the 0.02 of large models
            attention stays uniform for thousands of steps and recall never forms.
        growth: Share of the steps over which documents grow to full length, in (0, 1].
        repeats: Share of batches that are repeated random tokens (causal), falling to a fifth of it.
        all_tokens: Share of batches with loss on all tokens, not on answers alone (causal).
        masked: Share of batches that are masked-token prediction (encoder).
        shares: Ability -> weight in the mixture.
        seed: Seed of everything.
        log_every: Steps between log entries.
    """

    name: str
    architecture: Literal["llama", "hunyuan", "bert"]
    vocab: int = 2560
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 384
    positions: int = 1024
    steps: int = Field(default=3000, ge=1)
    batch_tokens: int = 4096
    lr: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    dropout: float = 0.0
    spread: float = 0.08
    growth: float = Field(default=0.6, gt=0.0, le=1.0)
    repeats: float = Field(default=0.15, ge=0.0, le=1.0)
    all_tokens: float = Field(default=0.15, ge=0.0, le=1.0)
    masked: float = Field(default=0.5, ge=0.0, le=1.0)
    shares: Mapping[str, float]
    seed: int = 0
    log_every: int = 100

    @property
    def family(self) -> Literal["causal", "encoder"]:
        """Which loop trains it."""
        return "encoder" if self.architecture == "bert" else "causal"


@dataclass(frozen=True)
class Material:
    """What is learnt and examined; made elsewhere, so that models know no data.

    Attributes:
        sample: (seed, num, level in [0, 1], most questions each or None) -> conversations; earlier turns in the prompt.
        lines: Text that the tokenizer is made from.
        labels: Rows of the encoder's label head.
        exams: Name -> (held-out questions, how they are asked, score of chance).
    """

    sample: Callable[[int, int, float, int | None], Sequence[Example]]
    lines: Sequence[str]
    labels: Sequence[str]
    exams: Mapping[str, tuple[Sequence[Example], Decode, float]]


@dataclass(frozen=True)
class Rows:
    """A batch: ids and targets of shape (B, T), or targets of shape (B,) for labels."""

    ids: Tensor
    mask: Tensor
    targets: Tensor
    kind: str


def pretrain(
    recipe: Recipe, material: Material, out: Path, progress: Callable[[Progress], None] = lambda _: None
) -> dict[str, Any]:
    """Make one model from nothing and write its folder.

    Args:
        recipe: How.
        material: From what.
        out: The checkpoint folder; files of the same names are overwritten.
        progress: Told after every step.

    Returns:
        What `pretraining.json` holds: recipe, hardware, seconds, loss log, exam scores with chance.

    Raises:
        LessonError: The loss is not finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.monotonic()
    try:
        tokenizer = pretrain_tokenizer.make(material.lines, recipe.vocab)
        pretrain_tokenizer.save(tokenizer, out, recipe.family, recipe.positions)
        with seeded(seed_of(recipe.seed, 0, "pretraining"), torch.device("cpu")):
            module = build(recipe, tokenizer, material.labels)
            pretrain_start.look_back(module, recipe.architecture)
            log = _train(recipe, material, module, tokenizer, progress)
        module.eval().save_pretrained(str(out))  # type: ignore[operator]  # a Hugging Face model, of any class
        scores = examine(out, material.exams)
    finally:
        torch.set_num_threads(threads)
    record = {
        "recipe": recipe.model_dump(),
        "parameters": sum(p.numel() for p in module.parameters()),
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "threads": 1, "torch": torch.__version__},
        "wall_s": round(time.monotonic() - started, 1),
        "scores": scores,
        "log": log,
    }
    (out / "pretraining.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return record


def build(recipe: Recipe, tokenizer: Any, labels: Sequence[str]) -> nn.Module:
    """Make the untrained model; its chance comes from torch's generator."""
    import transformers

    shape: dict[str, Any] = {
        "vocab_size": recipe.vocab,
        "hidden_size": recipe.hidden,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "intermediate_size": recipe.inner,
        "max_position_embeddings": recipe.positions,
        "initializer_range": recipe.spread,
        "pad_token_id": tokenizer.token_to_id("<|pad|>"),
    }
    if recipe.architecture == "bert":
        config = transformers.BertConfig(
            **shape,
            type_vocab_size=1,
            hidden_dropout_prob=recipe.dropout,
            attention_probs_dropout_prob=recipe.dropout,
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
        )
        return transformers.BertForSequenceClassification(config)
    shape |= {
        "num_key_value_heads": recipe.heads,
        "tie_word_embeddings": True,
        "attention_bias": True,
        "bos_token_id": tokenizer.token_to_id("<|begin|>"),
        "eos_token_id": tokenizer.token_to_id("<|end|>"),
    }
    if recipe.architecture == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))
    head = recipe.hidden // recipe.heads
    return transformers.HunYuanDenseV1ForCausalLM(transformers.HunYuanDenseV1Config(**shape, head_dim=head))


def examine(
    folder: Path, exams: Mapping[str, tuple[Sequence[Example], Decode, float]]
) -> dict[str, dict[str, float | int]]:
    """Sit the exams with a finished checkpoint: share of right answers, by the code that benchmarks use."""
    from clbench.core.spec import Machine
    from clbench.models.net import load_net

    net = load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    scores: dict[str, dict[str, float | int]] = {}
    for name, (examples, decode, chance) in exams.items():
        if decode.kind not in net.can:
            continue
        answers = net.respond(examples, decode)
        right = sum(a.text.strip() == e.targets[0] for a, e in zip(answers, examples, strict=True))
        scores[name] = {"score": round(right / len(examples), 4), "chance": round(chance, 4), "items": len(examples)}
    return scores


def _train(
    recipe: Recipe, material: Material, module: nn.Module, tokenizer: Any, progress: Callable[[Progress], None]
) -> list[dict[str, float]]:
    head = None if recipe.family == "causal" else MaskedHead(module, recipe)
    parameters = [*module.parameters(), *(head.parameters() if head else [])]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.98), fused=True)
    batches = _causal_batches(recipe, material, tokenizer)
    if head is not None:
        batches = _encoder_batches(recipe, material, tokenizer)
    log: list[dict[str, float]] = []
    sums: dict[str, list[float]] = {}
    started, tokens = time.monotonic(), 0
    module.train()
    for step in range(1, recipe.steps + 1):
        rows = next(batches)
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * _lr_share(step, recipe)
        loss = _causal_loss(module, rows) if head is None else _encoder_loss(module, head, rows)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise LessonError(f"the loss is {value}", where=f"{recipe.name} step {step}", mend="lower the recipe's lr")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        tokens += int(rows.mask.sum())
        sums.setdefault(rows.kind, []).append(value)
        if step % recipe.log_every == 0 or step == recipe.steps:
            means = {f"loss_{k}": round(float(np.mean(v)), 4) for k, v in sorted(sums.items())}
            log.append({"step": step, **means, "tokens_per_s": round(tokens / (time.monotonic() - started))})
            sums = {}
        progress(Progress(recipe.name, step, recipe.steps))
    return log


def _lr_share(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup:
        return step / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * done))


# --- causal models ----------------------------------------------------------------------------------------------


def _causal_loss(module: nn.Module, rows: Rows) -> Tensor:
    # Rows are padded on the right, so no mask is needed: no position with loss sees what comes after it.
    hidden_BTH = module.model(input_ids=rows.ids, use_cache=False).last_hidden_state  # type: ignore[operator]  # Hugging Face body
    wanted_BT = rows.targets[:, 1:] != IGNORED
    logits_NV = module.lm_head(hidden_BTH[:, :-1][wanted_BT])  # type: ignore[operator]  # Hugging Face head
    return functional.cross_entropy(logits_NV, rows.targets[:, 1:][wanted_BT])


def _causal_batches(recipe: Recipe, material: Material, tokenizer: Any) -> Iterator[Rows]:
    rng = generator(recipe.seed, 0, "pretraining batches")
    everything = np.arange(NUM_SPECIAL, recipe.vocab)
    step = 0
    while True:
        seed = seed_of(recipe.seed, step, "pretraining pool")
        level = min(1.0, step / (recipe.growth * recipe.steps))
        encoded = [_conversation(e, tokenizer) for e in material.sample(seed, POOL, level, None)]
        encoded = [e for e in encoded if len(e[0]) <= recipe.positions]
        known = _known(encoded)
        for group in _by_length(encoded, recipe.batch_tokens, rng):
            share = recipe.repeats * max(0.2, 1 - 2 * step / recipe.steps)
            if rng.random() < share:
                yield _repeated(recipe, known if rng.random() < 0.8 else everything, rng)
                step += 1
            yield _padded(group, everything=bool(rng.random() < recipe.all_tokens))
            step += 1


def _ids(text: str, tokenizer: Any) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def _conversation(example: Example, tokenizer: Any) -> tuple[list[int], list[bool]]:
    """Encode every message by itself, as exams do, and mark the assistant's tokens."""
    ids, taught = [tokenizer.token_to_id("<|begin|>")], [False]
    end = tokenizer.token_to_id("<|end|>")
    for role, content in [*((m.role, m.content) for m in example.prompt), ("assistant", example.targets[0])]:
        tokens = [*_ids(content, tokenizer), end]
        ids += [tokenizer.token_to_id(f"<|{role}|>"), *tokens]
        taught += [False, *[role == "assistant"] * len(tokens)]
    return ids, taught


def _by_length(items: list[tuple[list[int], Any]], budget: int, rng: Generator) -> Iterator[list[Any]]:
    """Give groups of similar length whose padded size is at most `budget` tokens, in random order."""
    ordered = sorted(items, key=lambda item: len(item[0]))
    groups: list[list[Any]] = [[]]
    for item in ordered:
        if groups[-1] and (len(groups[-1]) + 1) * len(item[0]) > budget:
            groups.append([])
        groups[-1].append(item)
    for i in rng.permutation(len(groups)).tolist():
        yield groups[i]


def _padded(group: list[tuple[list[int], list[bool]]], everything: bool) -> Rows:
    longest = max(len(ids) for ids, _ in group)
    ids_BT = torch.zeros(len(group), longest, dtype=torch.long)
    mask_BT = torch.zeros(len(group), longest, dtype=torch.long)
    targets_BT = torch.full((len(group), longest), IGNORED)
    for row, (ids, taught) in enumerate(group):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        mask_BT[row, : len(ids)] = 1
        wanted = ids if everything else [t if x else IGNORED for t, x in zip(ids, taught, strict=True)]
        targets_BT[row, : len(ids)] = torch.tensor(wanted)
    return Rows(ids_BT, mask_BT, targets_BT, "text" if everything else "answers")


def _known(encoded: Sequence[tuple[list[int], Any]]) -> NDArray[np.int64]:
    """Give the tokens that the conversations use, special ones left out."""
    return np.array(sorted({i for ids, _ in encoded for i in ids if i >= NUM_SPECIAL}))


def _repeated(recipe: Recipe, tokens: NDArray[np.int64], rng: Generator) -> Rows:
    """Random tokens, then the same again: only looking back predicts the second half."""
    half = int(rng.integers(8, 49))
    num = max(1, recipe.batch_tokens // (2 * half))
    first = torch.from_numpy(tokens[rng.integers(0, len(tokens), size=(num, half))])
    ids_BT = torch.cat([first, first], dim=1)
    targets_BT = ids_BT.clone()
    targets_BT[:, :half] = IGNORED
    return Rows(ids_BT, torch.ones_like(ids_BT), targets_BT, "repeats")


# --- the encoder ------------------------------------------------------------------------------------------------


class MaskedHead(nn.Module):
    """Predicts masked tokens from the body's hidden states; used in pretraining only and not kept."""

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.dense = nn.Linear(recipe.hidden, recipe.hidden)
        self.norm = nn.LayerNorm(recipe.hidden)
        self.bias = nn.Parameter(torch.zeros(recipe.vocab))
        embeddings = module.get_input_embeddings()  # type: ignore[operator]  # Hugging Face model
        self._embeddings = [embeddings]  # in a list, so that its weights are not counted twice

    def forward(self, hidden_NH: Tensor) -> Tensor:
        """Give logits_NV."""
        states_NH = self.norm(functional.gelu(self.dense(hidden_NH)))
        return functional.linear(states_NH, self._embeddings[0].weight, self.bias)


def _encoder_loss(module: nn.Module, head: MaskedHead, rows: Rows) -> Tensor:
    if rows.kind == "labels":
        logits_BK = module(input_ids=rows.ids, attention_mask=rows.mask).logits
        return functional.cross_entropy(logits_BK, rows.targets)
    hidden_BTH = module.bert(input_ids=rows.ids, attention_mask=rows.mask).last_hidden_state  # type: ignore[operator]  # body
    wanted_BT = rows.targets != IGNORED
    return functional.cross_entropy(head(hidden_BTH[wanted_BT]), rows.targets[wanted_BT])


def _encoder_batches(recipe: Recipe, material: Material, tokenizer: Any) -> Iterator[Rows]:
    rng = generator(recipe.seed, 0, "pretraining batches")
    index = {label: i for i, label in enumerate(material.labels)}
    step = 0
    while True:
        level = min(1.0, step / (recipe.growth * recipe.steps))
        seeds = [seed_of(recipe.seed, step, f"pretraining pool {kind}") for kind in ("masked", "labels")]
        masked = [_masked_text(e, tokenizer) for e in material.sample(seeds[0], POOL, level, None)]
        known = _known(masked)
        single = [e for e in material.sample(seeds[1], 2 * POOL, level, 1) if e.choices]
        labelled = [(_text_ids([e.prompt[-1].content], tokenizer), index[e.targets[0]]) for e in single]
        queues = [
            _by_length([x for x in items if len(x[0]) <= recipe.positions], recipe.batch_tokens, rng)
            for items in (masked, labelled)
        ]
        while True:
            which = 0 if rng.random() < recipe.masked else 1
            group = next(queues[which], None)
            if group is None:
                break
            if which == 0 and rng.random() < recipe.repeats:
                rows = _repeated(recipe, known, rng)
                yield _masked(rows, torch.where(rows.targets == IGNORED, 0.0, 0.3), tokenizer, rng)
                step += 1
            yield _masked_rows(group, tokenizer, rng) if which == 0 else _label_rows(group)
            step += 1


def _text_ids(contents: Sequence[str], tokenizer: Any) -> list[int]:
    ids = _ids("\n".join(contents), tokenizer)
    return [tokenizer.token_to_id("[CLS]"), *ids, tokenizer.token_to_id("[SEP]")]


def _masked_text(example: Example, tokenizer: Any) -> tuple[list[int], list[bool]]:
    """Encode a conversation as one text and mark the answers, whose tokens are masked more often."""
    ids, answer = [tokenizer.token_to_id("[CLS]")], [False]
    for role, content in [*((m.role, m.content) for m in example.prompt), ("assistant", example.targets[0])]:
        tokens = _ids(content + "\n", tokenizer)
        ids += tokens
        answer += [role == "assistant"] * len(tokens)
    return [*ids, tokenizer.token_to_id("[SEP]")], [*answer, False]


def _masked_rows(group: list[tuple[list[int], list[bool]]], tokenizer: Any, rng: Generator) -> Rows:
    rows = _padded(group, everything=True)
    answer_BT = _padded(group, everything=False).targets != IGNORED
    return _masked(rows, torch.where(answer_BT, 0.6, 0.08) * rows.mask, tokenizer, rng)


def _masked(rows: Rows, chance_BT: Tensor, tokenizer: Any, rng: Generator) -> Rows:
    wanted_BT = torch.from_numpy(rng.random(rows.ids.shape)) < chance_BT
    wanted_BT &= rows.ids >= NUM_SPECIAL
    ids_BT = rows.ids.masked_fill(wanted_BT, tokenizer.token_to_id("[MASK]"))
    kind = "repeats" if rows.kind == "repeats" else "masked"
    return Rows(ids_BT, rows.mask, rows.ids.masked_fill(~wanted_BT, IGNORED), kind)


def _label_rows(group: list[tuple[list[int], int]]) -> Rows:
    rows = _padded([(ids, [False] * len(ids)) for ids, _ in group], everything=False)
    return Rows(rows.ids, rows.mask, torch.tensor([label for _, label in group]), "labels")
