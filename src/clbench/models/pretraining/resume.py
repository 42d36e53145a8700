"""The file from which an interrupted pretraining goes on, bit for bit as if it had not been interrupted."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clbench.core.errors import ModelError
from clbench.core.keys import digest
from clbench.models.pretraining.batches import Place
from clbench.models.pretraining.recipe import Recipe

FILE = "training.pt"
PACE = {"log_every", "save_every", "stored"}  # what does not touch the weights, and may differ where a training goes on


@dataclass
class Course:
    """How far a training is.

    Attributes:
        step: Optimiser steps done.
        place: Where its batches are.
        log: Entries of the loss log.
        losses: Losses since the last entry, by kind of batch.
        tokens: Tokens read.
        seconds: Time taken, all attempts together.
    """

    step: int = 0
    place: Place = field(default_factory=Place)
    log: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    losses: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    tokens: int = 0
    seconds: float = 0.0


def store(out: Path, recipe: Recipe, course: Course, parts: nn.ModuleList, optimiser: torch.optim.Optimizer) -> None:
    """Write everything that the next step depends on; the file before stays whole until the new one is."""
    draft = out / f"{FILE}.{os.getpid()}"
    state = {
        "recipe": _identity(recipe),
        "course": asdict(course),
        "parts": parts.state_dict(),
        "optimiser": optimiser.state_dict(),
        "randomness": torch.get_rng_state(),
    }
    torch.save(state, draft)
    draft.replace(out / FILE)


def resume(out: Path, recipe: Recipe, parts: nn.ModuleList, optimiser: torch.optim.Optimizer) -> Course | None:
    """Take over what was stored and return how far it was; None if nothing was.

    Raises:
        ModelError: The file is broken or another recipe's.
    """
    path = out / FILE
    if not path.is_file():
        return None
    mend = "delete it to begin anew, or give another --out"
    try:
        state: Any = torch.load(path, weights_only=True)
    except Exception as error:  # whatever the unpickler meets in a damaged file
        raise ModelError(f"the stored training cannot be read: {error}", where=str(path), mend=mend) from error
    if state["recipe"] != _identity(recipe):
        raise ModelError("the stored training is of another recipe", where=str(path), mend=mend)
    parts.load_state_dict(state["parts"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["randomness"])
    course = Course(**state["course"])
    course.place = Place(**state["course"]["place"])
    return course


def clear(out: Path) -> None:
    """Delete what was stored, once the model is finished."""
    (out / FILE).unlink(missing_ok=True)


def _identity(recipe: Recipe) -> str:
    return digest(recipe.model_dump(exclude=PACE))
