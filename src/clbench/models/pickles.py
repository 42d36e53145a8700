"""Weights in the pickles of PyTorch (`pytorch_model.bin`, `adapter_model.bin`), read as tensors alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clbench.core.errors import ModelError
from clbench.models.weight_files import AGAIN


def of_pickle(path: Path) -> dict[str, Tensor]:
    """Return the weights that a pickle holds, as tensors without values; code in it does not run.

    Raises:
        ModelError: It holds more than tensors by their names, or cannot be read.
    """
    try:
        try:
            stated: Any = torch.load(path, map_location="meta", weights_only=True, mmap=True)
        except RuntimeError:  # a file of an old form cannot be mapped
            stated = torch.load(path, map_location="meta", weights_only=True)
    except Exception as error:  # whatever a damaged file leads to
        if type(error).__name__ == "UnpicklingError":
            what = f"{path.name} holds more than tensors (nothing of it was run)"
            mend = "write it again with `save_pretrained`, from the program that made it"
        else:
            what, mend = f"{path.name} cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}", AGAIN
        raise ModelError(what, where=str(path.parent), mend=mend) from error
    if not isinstance(stated, dict) or not all(isinstance(value, Tensor) for value in stated.values()):
        what = f"{path.name} is not a mapping of names to weights"
        raise ModelError(what, where=str(path.parent), mend="write the model with `save_pretrained`")
    return {str(name): value for name, value in stated.items()}
