"""The Hugging Face Hub, through the datasets library, pinned to a commit."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from clbench.core.errors import AbsentError
from clbench.core.events import notice
from clbench.data.readers.saved import rows_of

SECONDS = 5.0  # for the Hub to answer a first question; its library alone would try for 23 s, with every data set


def rows(repo: str, config: str | None, revision: str, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (repo@commit/split:row N, row), N from 1, from the local cache or the Hub.

    Where the Hub cannot be reached, which is looked at once a process, the cache alone is read.

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
        with _offline(unreachable()):
            found = datasets.load_dataset(repo, config, revision=revision, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        raise AbsentError(
            f"the data set cannot be loaded: {error}",
            where=where,
            mend="check the network, the name and the commit; or download it and use {path: ...}",
        ) from None
    yield from rows_of(found, where)


@cache
def unreachable() -> bool:
    """Return whether the Hub cannot be reached, or is not to be; proxies and mirrors are those of its library."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return True
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception as error:  # of whatever library asks: its classes differ between versions
        notice(f"the Hub cannot be reached ({type(error).__name__}): data sets come from its cache alone")
        return True
    return False


@contextmanager
def _offline(on: bool) -> Generator[None]:
    """Let the libraries of the Hub read their cache alone: they would ask again and again."""
    from datasets import config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE
    if on:
        constants.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE = before
