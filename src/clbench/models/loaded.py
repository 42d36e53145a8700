"""What a checkpoint lacked, and what of it was not used, in our words: the library's own report is for its authors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from clbench.core.errors import ModelError
from clbench.core.notice import notice
from clbench.core.spec import ModelSpec

# The label head grows with the labels that are taught, and its rows are ours: that a checkpoint has none is no news.
OWN_HEAD = ("classifier.", "score.")
SHOWN = 3


def tell_loaded(name: str, info: Mapping[str, Any]) -> None:
    """Tell, as a notice, which weights a model has that its checkpoint does not hold, and the other way round.

    Args:
        name: The model, as the user names it.
        info: What `from_pretrained(..., output_loading_info=True)` gives beside the model.
    """
    new = sorted(key for key in map(str, info.get("missing_keys") or ()) if not key.startswith(OWN_HEAD))
    unused = sorted(map(str, info.get("unexpected_keys") or ()))
    if new:
        notice(f"{name}: not in the checkpoint, so drawn at random, alike in every run: {_listed(new)}")
    if unused:
        notice(f"{name}: in the checkpoint, and no part of this model, so not used: {_listed(unused)}")


def refuse_broken(spec: ModelSpec, module: nn.Module) -> None:
    """Refuse weights that are no numbers: such a model has not forgotten anything, its file is broken.

    Raises:
        ModelError: Names the weights that hold NaN or infinity.
    """
    broken = [name for name, weight in module.named_parameters() if not torch.isfinite(weight.detach()).all()]
    if broken:
        raise ModelError(
            f"{spec.name!r} holds NaN or infinity, read as {spec.dtype}, in {_listed(broken)}",
            where="model.name",
            mend="training has diverged or the file is damaged: take an earlier checkpoint; "
            "where its numbers are too large for 16 bits, read it as float32",
        )


def _listed(keys: Iterable[str]) -> str:
    """Name some weights and how many there are.

    Example:
        >>> _listed(["a", "b", "c", "d"])
        '4 weights (a, b, c, ...)'
    """
    names = list(keys)
    first = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} weight{'s' if len(names) > 1 else ''} ({first})"
