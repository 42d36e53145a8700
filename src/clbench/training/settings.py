"""Settings of training, the order in which a lesson is walked, and how a trained learner is built.

Files of this room import torch inside functions only: what is already in the store is found without it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from clbench.core.value import Value

LOOP = 3  # version of the training loop: part of the keys of learners that are not the package's own
NO_FLOAT16 = "{what} trains weights, and gradients of `dtype: float16` are lost without loss scaling"
INSTEAD = (
    "write `dtype: bfloat16` (it learns on float32 master copies) or `dtype: float32` (with `precision: bf16` products "
    "are bfloat16): both read a float16 checkpoint, which float16 itself can only be asked"
)
FLOAT16 = 2  # part of the keys of states on float16 models: none is trained, and those that read or note keep theirs


class Training(Value):
    """Settings that every trained method shares; all of them are part of a result's identity.

    Attributes:
        lr: Highest learning rate of AdamW. The default suits full fine-tuning of large models.
        epochs: Passes over a lesson.
        batch_size: Examples per optimiser step, over all devices together.
        warmup: Share of the steps in which the rate rises linearly from 0, in [0, 1].
        decay: After warm-up the rate falls linearly to 0 ("linear") or stays ("constant").
        weight_decay: Decoupled weight decay of AdamW, >= 0.
        clip: Largest global gradient norm, > 0.
        precision: "no" computes in the model's dtype, "bf16" in bfloat16 (autocast). Weights in bfloat16 have
            float32 master copies while they learn; float16 models do not learn.
        bucket: Batches are cut from runs of `bucket * batch_size` shuffled examples sorted by length, so that
            little is padded; 1 switches it off.
        packing: Whether several examples share a row, each blind to the others, so that less is padded. What is learnt
            is equal but for rounding. A model that cannot read such rows reads its examples apart, with a notice.
    """

    lr: float = Field(default=2e-5, gt=0)
    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=16, ge=1)
    warmup: float = Field(default=0.1, ge=0, le=1)
    decay: Literal["constant", "linear"] = "linear"
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    precision: Literal["no", "bf16"] = "no"
    bucket: int = Field(default=16, ge=1)
    packing: bool = False
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"packing"})
