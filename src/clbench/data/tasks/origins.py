"""Where the rows of folders below `--data` come from, and which files such a folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from clbench.core.value import Value
from clbench.data.tasks.card import CARDS
from clbench.data.tasks.card_file import read_text
from clbench.data.tasks.source import Name, Sha256

FILE = CARDS / "origins.yaml"


class OriginFile(Value):
    """One file of a folder: its size and digest, where the rows are pinned."""

    bytes: int | None = Field(default=None, ge=0)
    sha256: Sha256 | None = None


class Origin(Value):
    """One folder below `--data`.

    Attributes:
        origin: Where its rows come from, in one line.
        files: Name -> file; there may be files that no card reads.
    """

    origin: str = Field(min_length=1)
    files: Mapping[Name, OriginFile] = {}


@lru_cache(maxsize=1)
def origins(path: Path = FILE) -> Mapping[str, Origin]:
    """Return what is known of every folder below `--data`: path -> origin."""
    return {str(folder): Origin.model_validate(value) for folder, value in read_text(path).values.items()}
