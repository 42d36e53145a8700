"""Examples side by side: padding, and batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

MOST_ROWS = 512  # continuations scored in one forward pass; bounds the memory of a spread cache


MOST_TOKENS = 64 * 512  # of the prompts of one forward pass, padding counted: long inputs go by themselves
PASS = 64  # tokens that cost as much as a forward pass of its own
MOST_CACHE = 1 << 32  # bytes of keys and values of one forward pass, 4 GiB; one prompt goes even if it takes more


def padded(rows: Sequence[Sequence[int]], filler: int, device: torch.device) -> Tensor:
    """Return rows of ids as one tensor of shape (B, T), padded on the right."""
    ids_BT = np.full((len(rows), max(map(len, rows))), filler, dtype=np.int64)
    for row, ids in zip(ids_BT, rows, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(ids_BT).to(device)


def like_lengths(mask_BT: Tensor, least: int = PASS, *, together: bool = False) -> list[tuple[Tensor, int]]:
    """Return the rows of a right-padded batch in parts by length, split wherever that saves a tenth of the tokens.

    Batches of a lesson have similar lengths, but old examples that a method adds do not, and padding would be costly.

    Args:
        mask_BT: 1 where a token stands.
        least: Tokens that a split must save, >= 0: a forward pass of its own costs about as much.
        together: Keep them all in one part.

    Returns:
        Parts, each (its rows in rising order, its longest row in tokens).
    """
    parts = parts_of(mask_BT.sum(1).tolist(), least, together=together)
    return [(torch.tensor(rows, device=mask_BT.device), longest) for rows, longest in parts]


def parts_of(lengths: Sequence[int], least: int = PASS, *, together: bool = False) -> list[tuple[list[int], int]]:
    """Return rows of these lengths in parts, as `like_lengths` does: (the rows of each in rising order, its longest).

    Example:
        >>> parts_of([90, 7, 100, 5])
        [([1, 3], 7), ([0, 2], 100)]
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    if together:
        return [(list(range(len(lengths))), max(lengths))]
    split = _split([lengths[row] for row in order], least)
    return [(sorted(order[start:end]), lengths[order[end - 1]]) for start, end in split]


def same_lengths(mask_BT: Tensor) -> list[tuple[Tensor, int]]:
    """Return the rows of a right-padded batch in parts without padding, in the form of `like_lengths`."""
    lengths = mask_BT.sum(1)
    return [((lengths == length).nonzero()[:, 0], int(length)) for length in lengths.unique().tolist()]


def _split(lengths: Sequence[int], least: int) -> list[tuple[int, int]]:
    """Return the (start, end) of parts of rising lengths: split in two where that saves most, and the halves again."""
    num, longest = len(lengths), lengths[-1]
    saved = [at * (longest - lengths[at - 1]) for at in range(1, num)]
    most = max(saved, default=0)
    if most <= max(least, 0.1 * num * longest):
        return [(0, num)]
    at = 1 + saved.index(most)
    return _split(lengths[:at], least) + [(at + start, at + end) for start, end in _split(lengths[at:], least)]


def by_length(
    lengths: Sequence[int], rows: Sequence[int], batch: int, cache: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Yield batches of indices of similar length, at most `MOST_ROWS` rows and `MOST_TOKENS` in a batch.

    Args:
        lengths: Tokens of each prompt.
        rows: Rows that each has.
        batch: Most prompts in a batch.
        cache: Bytes of keys and values of each, in a row of its own; a batch has at most `MOST_CACHE` of them.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    batch_rows: list[int] = []
    total = most = 0
    for i in order:
        more, held = len(batch_rows) + 1, max(most, cache[i]) if cache else 0
        full = len(batch_rows) == batch or total + rows[i] > MOST_ROWS
        full = full or more * lengths[i] > MOST_TOKENS or more * held > MOST_CACHE
        if batch_rows and full:
            yield batch_rows
            batch_rows, total, held = [], 0, cache[i] if cache else 0
        batch_rows.append(i)
        total, most = total + rows[i], held
    if batch_rows:
        yield batch_rows
