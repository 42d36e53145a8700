"""Examples side by side: padding, and batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

MOST_ROWS = 512  # continuations scored in one forward pass; bounds the memory of a spread cache


MOST_TOKENS = 64 * 512  # of the prompts of one forward pass, padding counted: long inputs go by themselves


def padded(rows: Sequence[Sequence[int]], filler: int, device: torch.device) -> Tensor:
    """Return rows of ids as one tensor of shape (B, T), padded on the right."""
    ids_BT = np.full((len(rows), max(map(len, rows))), filler, dtype=np.int64)
    for row, ids in zip(ids_BT, rows, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(ids_BT).to(device)


def like_lengths(mask_BT: Tensor, least: int = 64, *, together: bool = False) -> list[tuple[Tensor, int]]:
    """Return the rows of a right-padded batch in parts by length, split wherever that saves a tenth of the tokens.

    Batches of a lesson have similar lengths, but old examples that a method adds do not, and padding would be costly.

    Args:
        mask_BT: 1 where a token stands.
        least: Tokens that a split must save, >= 0: a forward pass of its own costs about as much.
        together: Keep them all in one part.

    Returns:
        Parts, each (its rows in rising order, its longest row in tokens).
    """
    lengths = mask_BT.sum(1).tolist()
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    parts = [(0, len(order))] if together else _split([lengths[row] for row in order], least)
    parts = [order[start:end] for start, end in parts]
    return [(torch.tensor(sorted(rows), device=mask_BT.device), lengths[rows[-1]]) for rows in parts]


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


def by_length(lengths: Sequence[int], rows: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Yield batches of indices of similar length, `rows[i]` rows each, at most MOST_ROWS and MOST_TOKENS in a batch."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    batch_rows: list[int] = []
    total = 0
    for i in order:
        full = (
            len(batch_rows) == batch or total + rows[i] > MOST_ROWS or (len(batch_rows) + 1) * lengths[i] > MOST_TOKENS
        )
        if batch_rows and full:
            yield batch_rows
            batch_rows, total = [], 0
        batch_rows.append(i)
        total += rows[i]
    if batch_rows:
        yield batch_rows
