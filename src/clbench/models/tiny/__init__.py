"""The shipped tiny models: one of each family, and a second generation that looks up what its prompt shows.

Made by `clbench pretrain` from the recipes pretrain-tiny and pretrain-tiny-2. No torch here.
"""

from __future__ import annotations

from pathlib import Path

NAMES: tuple[str, ...] = ("tiny-llama", "tiny-hunyuan", "tiny-bert", "tiny-llama-2", "tiny-hunyuan-2")


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
