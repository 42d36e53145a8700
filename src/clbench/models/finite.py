"""Scores that are not numbers: an answer chosen by them means nothing, so they are an error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clbench.core.errors import ModelError

MEND = (
    "its weights are damaged, or what was learnt has broken them (a lower learner.lr); "
    "in float16 use bfloat16 or float32"
)


def check_finite(values: Iterable[float], name: str, where: str) -> None:
    """Refuse the scores of a question if one of them is NaN or infinite.

    Args:
        values: Log-likelihoods, or logits.
        name: The model.
        where: The question, as an error names it.

    Raises:
        ModelError: Names model and question.
    """
    wrong = next((value for value in values if not math.isfinite(value)), None)
    if wrong is not None:
        raise ModelError(f"a score of model {name!r} is {wrong}, which is not a number", where=where, mend=MEND)


@dataclass(frozen=True)
class Watched:
    """A logits processor of `generate` that checks the scores of each written token, and changes nothing.

    A single word may be forbidden (minus infinity); NaN, plus infinity and a row without any word are refused.

    Attributes:
        name: The model.
        rows: The question of each row, as an error names it.
    """

    name: str
    rows: Sequence[str]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores, (B, V), as they are.

        Raises:
            ModelError: Names model and question.
        """
        best_B = scores.amax(-1)  # NaN wherever there is one
        if not bool(torch.isfinite(best_B).all()):
            for where, best in zip(self.rows, best_B.tolist(), strict=True):
                check_finite((best,), self.name, where)
        return scores
