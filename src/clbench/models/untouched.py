"""Ask a model that somebody else is training, and leave it, and all randomness, exactly as they were."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from clbench.core.errors import ModelError
from clbench.core.spec import ModelSpec
from clbench.models import source
from clbench.models.causal import Causal
from clbench.models.pretrained import load_tokenizer
from clbench.models.probe import cache_bytes, check_causal

DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


@contextmanager
def untouched(module: nn.Module) -> Generator[None]:
    """Run a block with a model in evaluation mode; afterwards it, and all generators, are as before.

    Restored are the mode of each part (a frozen part may be in evaluation mode already), buffers that a pass puts
    anew (those made without gradients could not be trained with), the settings of generation, and the generators of
    Python, NumPy and torch on every device.
    """
    modes = [(part, part.training) for part in module.modules()]
    buffers, generation = dict(module.named_buffers()), vars(module).get("generation_config")
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # that of others is kept
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        for name, value in list(module.named_buffers()):
            owner, _, leaf = name.rpartition(".")
            if value is not buffers.get(name, value):
                setattr(module.get_submodule(owner), leaf, buffers[name])
        if generation is not None:
            module.generation_config = generation
        random.setstate(states[0])
        np.random.set_state(states[1])  # same
        torch.set_rng_state(states[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def net_of(module: nn.Module, checkpoint: str, tokenizer: Any, exam_batch: int) -> Causal:
    """Return a model that is being trained as exams ask it; it shares the weights.

    Args:
        module: The model; of peft, the wrapped one with its adapter.
        checkpoint: Where its tokenizer and chat template lie.
        tokenizer: That of the training, which must be the same; None if it is not known.
        exam_batch: Most questions side by side.

    Raises:
        ModelError: It is not a causal model, or is trained with another tokenizer or template than the checkpoint's.
    """
    inner = _inside_peft(module)
    dtype = DTYPES.get(next(inner.parameters()).dtype, "float32")
    spec = source.settled(ModelSpec.model_validate({"name": checkpoint, "dtype": dtype}))
    family = source.family_of(spec, list(source.configuration(spec).get("architectures") or []))
    if family != "causal":
        raise ModelError(f"{checkpoint} is of the family {family}", where="ExamCallback", mend="take a causal model")
    own = load_tokenizer(spec, source.locate(spec))
    _check_same(own, tokenizer, checkpoint)
    net = Causal(spec, inner, own, exam_batch)
    with untouched(inner):
        net.decode_plainly()
        check_causal(net)
        net.token_bytes = cache_bytes(net)
    return net


def _inside_peft(module: nn.Module) -> nn.Module:
    if "peft_config" not in vars(module):
        return module
    from peft import PeftModel

    if not isinstance(module, PeftModel):
        return module
    if module.active_peft_config.is_prompt_learning:
        what = "the adapter changes what the model reads, and no weights"
        raise ModelError(what, where="ExamCallback", mend="examine what it saves, by a program that knows it")
    inner: Any = module.get_base_model()
    return inner


def _check_same(own: Any, other: Any, checkpoint: str) -> None:
    mend = "save the tokenizer that you train with beside the weights you begin with, and name the folder: model=FOLDER"
    if other is None or "chat_template" not in dir(other):
        return
    if own.get_vocab() != other.get_vocab():
        raise ModelError(f"it is trained with other words than {checkpoint} has", where="ExamCallback", mend=mend)
    if own.chat_template != other.chat_template:
        what = f"it is trained with another chat template than {checkpoint} has"
        raise ModelError(what, where="ExamCallback", mend=mend)
