"""The Hugging Face Hub, through the datasets library, pinned to a commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clbench.core.errors import AbsentError
from clbench.data.readers.saved import rows_of


def rows(repo: str, config: str | None, revision: str, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (repo@commit/split:row N, row), N from 1, from the local cache or the Hub.

    Raises:
        AbsentError: datasets is not installed, or the data set cannot be loaded.
    """
    where = f"{repo}@{revision[:12]}/{split}"
    try:
        import datasets
    except ImportError:
        raise AbsentError(
            "a data set of the Hub needs datasets", where=where, mend="pip install 'clbench[data]'"
        ) from None
    try:
        found = datasets.load_dataset(repo, config, revision=revision, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        raise AbsentError(
            f"the data set cannot be loaded: {error}",
            where=where,
            mend="check the network, the name and the commit; or download it and use {path: ...}",
        ) from None
    yield from rows_of(found, where)
