"""A label head gains a row for each new label: what a method has kept of it before has fewer rows than it has now.

All other parameters keep their shape, and pass through unchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor


def known_rows(now: Tensor, kept: Tensor) -> Tensor:
    """Return those rows of `now` that `kept` has: the first ones.

    Example:
        >>> known_rows(torch.tensor([1, 2, 3]), torch.tensor([7, 8]))
        tensor([1, 2])
    """
    return now if now.shape == kept.shape else now[: len(kept)]


def with_new_rows(kept: Tensor, now: Tensor) -> Tensor:
    """Return `kept`, and behind it the rows that only `now` has, as they stand there.

    Example:
        >>> with_new_rows(torch.tensor([7, 8]), torch.tensor([1, 2, 3]))
        tensor([7, 8, 3])
    """
    return kept if kept.shape == now.shape else torch.cat([kept, now[len(kept) :]])


def with_zero_rows(kept: Tensor, now: Tensor) -> Tensor:
    """Return `kept` in the shape and the type of `now`: rows that only `now` has are 0.

    Example:
        >>> with_zero_rows(torch.tensor([7, 8]), torch.tensor([1, 2, 3]))
        tensor([7, 8, 0])
    """
    if kept.shape == now.shape:
        return kept
    filled = now.new_zeros(now.shape)
    filled[: len(kept)] = kept
    return filled


def add_to_known_rows(total: Tensor, kept: Tensor) -> None:
    """Add `kept` in place to the rows of `total` that it has.

    Example:
        >>> total = torch.tensor([1, 2, 3])
        >>> add_to_known_rows(total, torch.tensor([7, 8]))
        >>> total
        tensor([ 8, 10,  3])
    """
    total[: len(kept)] += kept
