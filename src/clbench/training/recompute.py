"""Gradient checkpointing: activations are made again in the backward pass, so that only those of one layer stand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

from torch import nn

from clbench.core.events import notice


@contextmanager
def recomputed(module: nn.Module, on: bool) -> Generator[None]:
    """Recompute activations for the length of a block: the same gradients to the bit, one more forward pass a step.

    Says so where an architecture cannot.
    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.
    """
    model = cast("Any", module)
    able = bool(model.supports_gradient_checkpointing)
    if on and not able:
        notice(f"{type(module).__name__} has no gradient checkpointing: its activations are kept")
    if not (on and able):
        yield
        return
    _quietly(model.gradient_checkpointing_enable, gradient_checkpointing_kwargs={"use_reentrant": False})
    try:
        yield
    finally:
        _quietly(model.gradient_checkpointing_disable)


def _quietly(switch: Callable[..., None], **settings: Any) -> None:
    """Call a switch by the name that all supported versions of transformers know; the newest ones warn of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        switch(**settings)
