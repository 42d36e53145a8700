"""Forward passes of a lesson: each is counted, and runs in the lesson's precision, whoever asks for it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Passes:
    """Counts the tokens that go forward through a model while it learns.

    One place for all of them: the batches of a lesson, old examples, teachers, Fisher passes, and what the model itself
    writes. Padding is not counted, nor are vectors that stand for no token (soft prompts).

    Attributes:
        compute: The type in which matrices are multiplied (autocast); None leaves each layer to its weights' own.
    """

    def __init__(self, device: torch.device, compute: torch.dtype | None) -> None:
        self.compute = compute
        self._device = device
        # Sums stay on the device: reading one in each pass would make the device wait.
        self._with_gradient = torch.zeros((), dtype=torch.int64, device=device)
        self._without = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def tokens(self) -> int:
        """All tokens that went forward."""
        return int(self._with_gradient) + int(self._without)

    @property
    def forward_tokens(self) -> int:
        """Those of which no gradient was asked."""
        return int(self._without)

    def start_from(self, tokens: int, forward_tokens: int) -> None:
        """Take over counts that were made before."""
        self._with_gradient.fill_(tokens - forward_tokens)
        self._without.fill_(forward_tokens)

    def counted(self) -> Tensor:
        """Return both counts as they stand, (2,): with a gradient and without; it stays on the device."""
        return torch.stack([self._with_gradient, self._without])

    def add(self, more: Tensor) -> None:
        """Add what others have counted, in the form of `counted`."""
        self._with_gradient += more[0]
        self._without += more[1]

    @contextmanager
    def of(self, module: nn.Module) -> Generator[None]:
        """Count the passes of a model, for the length of a block."""
        original, patched = module.forward, "forward" in vars(module)

        @wraps(original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            self._count(args, kwargs)
            with self._precision():
                return original(*args, **kwargs)

        module.forward = forward
        try:
            yield
        finally:
            if patched:
                module.forward = original
            else:
                del module.forward

    def _precision(self) -> Any:
        return nullcontext() if self.compute is None else torch.autocast(self._device.type, dtype=self.compute)

    def _count(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else kwargs.get("inputs_embeds"))
        if not isinstance(ids, Tensor):
            return
        mask = kwargs.get("attention_mask")
        rows, width = ids.shape[:2]
        total = self._with_gradient if torch.is_grad_enabled() else self._without
        if isinstance(mask, Tensor) and mask.dim() == 2:
            total.add_(
                mask[:, -width:].sum(dtype=torch.int64)
            )  # with a cache, the mask also covers what was read before
        elif mask is None and isinstance(places := kwargs.get("position_ids"), Tensor) and places.dim() == 2:
            followed = functional.pad(places[:, 1:] == 1, (0, 1))  # padding of packed rows stands at 0, followed by 0
            total.add_(((places > 0) | followed).sum(dtype=torch.int64))
        else:
            total.add_(rows * width)
