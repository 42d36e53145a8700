"""The contract of a trainable model, whatever its family."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from clbench.core.types import Ability, Answer, Decode, Example, Prompt


@dataclass(frozen=True)
class Batch:
    """Examples as tensors. Shapes: B examples, T tokens (padded).

    Attributes:
        ids_BT: Token ids.
        mask_BT: 1 for a token, 0 for padding.
        labels: Causal: (B, T), -100 without loss (prompt, padding). Encoder: (B,), label rows.
        num_tokens: Tokens without padding.
        num_targets: Positions with loss.
        share: Where the batch is one part of an optimiser step's: its share of that batch's targets, in (0, 1]. The
            loop weighs the part's loss by it, so that a mean over targets becomes the mean over all.
        whole: That batch; None where this is it.
        part, parts: Which part it is, from 0, and of how many.
        together: Whether it must go forward in one pass, however unequal its lengths.
    """

    ids_BT: Tensor
    mask_BT: Tensor
    labels: Tensor
    num_tokens: int
    num_targets: int
    share: float = 1.0
    whole: Batch | None = None
    part: int = 0
    parts: int = 1
    together: bool = False


class Forward:
    """The predictions of a model for a batch, at the N positions with loss.

    Attributes:
        loss: Scalar, mean cross-entropy in nats over the N positions.
        labels_N: The taught ids.
    """

    def __init__(self, loss: Tensor, logits_NV: Tensor | Callable[[], Tensor], labels_N: Tensor) -> None:
        self.loss = loss
        self.labels_N = labels_N
        self._logits = logits_NV

    @cached_property
    def logits_NV(self) -> Tensor:  # noqa: N802  # dimensions stand in names
        """Scores over the vocabulary, or over the label rows; those of a large vocabulary are made when asked for."""
        return self._logits() if callable(self._logits) else self._logits


class Cut(NamedTuple):
    """The number of tokens of a prompt and of an answer that are left out because both together do not fit."""

    prompt: int
    answer: int


class Net(Protocol):
    """A model that can be trained and asked."""

    module: nn.Module
    micro_batch: int | None  # most examples that go forward and backward at a time; None is all
    head_name: str  # the output layer: label head or vocabulary

    @property
    def identity(self) -> str:
        """Digest of the base checkpoint."""
        ...

    @property
    def can(self) -> frozenset[Ability]:
        """The kinds of answers that it can give."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Rows of the label head; empty for models without one."""
        ...

    def grow(self, labels: Iterable[str]) -> None:
        """Add rows for labels that the head does not know; do nothing for models without a head."""
        ...

    def render(self, prompt: Prompt) -> str:
        """Return a prompt as the model reads it."""
        ...

    def length(self, example: Example) -> int:
        """Return the number of tokens of the example as it is trained on."""
        ...

    def cut(self, example: Example) -> Cut:
        """Return how many tokens of the example do not fit when it is trained on."""
        ...

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Return examples as tensors, on the model's device."""
        ...

    def forward(self, module: nn.Module, batch: Batch) -> Forward:
        """Return the predictions of `module` (this net's, perhaps wrapped for distribution) for a batch."""
        ...

    def hidden(self, ids_BT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """Return the last layer's states of some tokens, (B, T, H); without a mask all tokens count."""
        ...

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Return the answers to examples, in order."""
        ...


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None]:
    """Run a block with its own seed and leave the global generators as they were."""
    if device.type == "cuda":
        with torch.random.fork_rng(devices=[device]):
            torch.manual_seed(seed)
            yield
        return
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)  # torch.manual_seed asks every backend, which is slow
    try:
        yield
    finally:
        torch.set_rng_state(before)
