"""The shipped tiny models: one of each family, pretrained by `clbench pretrain pretrain-tiny`. No torch here."""

from __future__ import annotations

from pathlib import Path

NAMES: tuple[str, ...] = ("tiny-llama", "tiny-hunyuan", "tiny-bert")


def folder(name: str) -> Path:
    """Return the checkpoint folder of a shipped model.

    Args:
        name: One of `NAMES`.

    Raises:
        KeyError: The model is not shipped.
    """
    if name not in NAMES:
        raise KeyError(name)
    return Path(__file__).parent / name
