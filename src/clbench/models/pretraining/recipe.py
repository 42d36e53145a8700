"""The inputs of pretraining: a recipe, and the text made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from clbench.core.types import Decode, Example
from clbench.core.value import Value


class Recipe(Value):
    """How one tiny model is made.

    Attributes:
        name: Name of the model.
        architecture: "llama" and "hunyuan" are causal, "bert" is an encoder.
        vocab: Tokens of the vocabulary.
        hidden, layers, heads, inner: Width, depth, attention heads and width of the feed-forward layers.
        positions: Longest input in tokens.
        start: Checkpoint whose tokenizer and weights it begins with, a shipped model's name or a folder; None begins
            with random weights.
        stored: Type of the numbers in the finished file.
        steps: Optimiser steps.
        batch_tokens: Tokens per batch, padding included.
        lr: Peak learning rate; warmed up over `warmup` steps, then cosine down to a tenth.
        weight_decay: AdamW's, on matrices only.
        dropout: Dropout of the encoder.
        spread: Standard deviation of the first weights; about 1 / sqrt(hidden), since with the 0.02 of large models
            attention stays uniform for thousands of steps and recall never forms.
        growth: Share of the steps over which documents grow to full length, in (0, 1].
        repeats: Share of batches that are repeated random tokens (causal), falling to a fifth of it.
        drills: Share of batches that are random entries in two orders, falling as `repeats` does (causal).
        all_tokens: Share of batches with loss on all tokens, not on answers alone (causal).
        masked: Share of batches that are masked-token prediction (encoder).
        shares: Ability -> weight in the mixture.
        late: The same from `late_from` of the steps on; empty keeps `shares`.
        late_from: In [0, 1].
        seed: Seed of everything.
        log_every: Steps between log entries.
        save_every: Steps after which the training is stored, so that it can be resumed.
    """

    name: str
    architecture: Literal["llama", "hunyuan", "bert"]
    vocab: int = 2560
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 384
    positions: int = 1024
    start: str | None = None
    stored: Literal["float32", "bfloat16"] = "float32"
    steps: int = Field(default=3000, ge=1)
    batch_tokens: int = 4096
    lr: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    dropout: float = 0.0
    spread: float = 0.08
    growth: float = Field(default=0.6, gt=0.0, le=1.0)
    repeats: float = Field(default=0.15, ge=0.0, le=1.0)
    drills: float = Field(default=0.0, ge=0.0, le=1.0)
    all_tokens: float = Field(default=0.15, ge=0.0, le=1.0)
    masked: float = Field(default=0.5, ge=0.0, le=1.0)
    shares: Mapping[str, float]
    late: Mapping[str, float] = Field(default_factory=dict[str, float])
    late_from: float = Field(default=0.6, ge=0.0, le=1.0)
    seed: int = 0
    log_every: int = 100
    save_every: int = Field(default=250, ge=1)

    @property
    def family(self) -> Literal["causal", "encoder"]:
        """The family, which decides the loop that trains it."""
        return "encoder" if self.architecture == "bert" else "causal"


@dataclass(frozen=True)
class Material:
    """The texts to learn and the exams; made elsewhere, so that models do not depend on data.

    Attributes:
        sample: (seed, num, level in [0, 1], most questions each or None) -> conversations; earlier turns in the prompt.
        late: The same for the later part of a training.
        lines: Text that the tokenizer is made from.
        labels: Rows of the encoder's label head.
        exams: Name -> (held-out questions, how they are asked, guess rate).
        num_told: Conversation -> how many of its first turns only tell; what they answer is not learnt.
    """

    sample: Callable[[int, int, float, int | None], Sequence[Example]]
    late: Callable[[int, int, float, int | None], Sequence[Example]]
    lines: Sequence[str]
    labels: Sequence[str]
    exams: Mapping[str, tuple[Sequence[Example], Decode, float]]
    num_told: Callable[[Example], int]
