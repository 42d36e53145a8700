"""Examples of a batch side by side in one row, so that little is padded: packed rows.

The positions of every example begin at 0 and no mask is given: transformers then lets a token see its own example
alone, whatever the attention is (full, sliding, chunked). A row is as long as the batch's longest example, so that its
attention costs no more than that example's. Whether a model reads packed rows as it reads its examples apart is
measured before a lesson, with all that a method has hooked into it.

Shapes: B examples, T tokens, R rows of L slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clbench.models.batching import PASS, parts_of

PADDING = -1
COUNTS = {"packing_tokens": "tokens", "packing_slots_apart": "apart", "packing_slots": "packed"}


@dataclass
class Packing:
    """How rows of a lesson were filled, in slots, padding among them.

    Attributes:
        tokens: Slots that held a token.
        apart: Slots that the examples would have taken in rows of their own.
        packed: Slots that they took.
    """

    tokens: int = 0
    apart: int = 0
    packed: int = 0

    def counts(self) -> dict[str, int]:
        """Return what was counted, under the names of `counts.json`; nothing where no row was packed."""
        return {name: vars(self)[of] for name, of in COUNTS.items()} if self.packed else {}

    def start_from(self, counts: Mapping[str, int]) -> None:
        """Take over counts that were made before."""
        self.tokens, self.apart, self.packed = (counts.get(name, 0) for name in COUNTS)

    def rows(self, mask_BT: Tensor) -> list[Tensor] | None:
        """Return a right-padded batch as packed rows, in parts of like lengths, and count the slots.

        Returns:
            Of each part the slot of the batch that stands in each slot of its rows, (R, L); `PADDING` for none. Slot
            (b, t) of the batch is b * T + t. None where rows of their own take no more time: parts of like lengths
            may be padded as little.
        """
        lengths: list[int] = mask_BT.sum(1).tolist()
        rows = filled(lengths, max(lengths))
        alone, parts = parts_of(lengths), parts_of([sum(lengths[i] for i in row) for row in rows])
        apart, packed = (sum(len(members) * longest for members, longest in each) for each in (alone, parts))
        better = packed + PASS * len(parts) < apart + PASS * len(alone)
        self.tokens += sum(lengths)
        self.apart += apart
        self.packed += packed if better else apart
        if not better:
            return None
        slots = [_slots([rows[r] for r in members], lengths, (longest, mask_BT.shape[1])) for members, longest in parts]
        return [torch.from_numpy(each).to(mask_BT.device) for each in slots]


def filled(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Return the examples of each row, the longest first, each in the first row that has room for it.

    Example:
        >>> filled([5, 2, 9, 4, 3], 9)
        [[2], [0, 3], [4, 1]]
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((r for r, left in enumerate(free) if left >= lengths[i]), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(room)
        rows[row].append(i)
        free[row] -= lengths[i]
    return rows


def _slots(rows: Sequence[Sequence[int]], lengths: Sequence[int], widths: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return the slots of a batch as they stand in rows, from the widths of a row and of the batch."""
    width, of_batch = widths
    slots_RL = np.full((len(rows), width), PADDING, dtype=np.int64)
    for own_L, row in zip(slots_RL, rows, strict=True):
        at = 0
        for i in row:
            own_L[at : at + lengths[i]] = np.arange(lengths[i]) + i * of_batch
            at += lengths[i]
    return slots_RL


def inputs_of(ids_BT: Tensor, slots_RL: Tensor) -> dict[str, Tensor]:
    """Return what a model is given for packed rows; `Passes` knows padding by position 0 that no 1 follows."""
    real_RL = slots_RL != PADDING
    taken_RL = slots_RL.clamp(min=0)
    return {
        "input_ids": ids_BT.flatten()[taken_RL],
        "position_ids": (taken_RL % ids_BT.shape[1]).where(real_RL, 0),
    }
