"""Load a checkpoint with the transformers library, with clear errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from clbench.core.errors import ModelError
from clbench.core.extras import explained
from clbench.core.spec import ModelSpec
from clbench.models.loaded import check_loaded, check_shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pretrained(auto: Any, spec: ModelSpec, folder: Any, **settings: Any) -> Any:
    """Return what `auto.from_pretrained` loads from a folder or a pinned Hub id, or raise a clear error.

    Raises:
        ModelError: It does not load, or its weights are not those of the model (`check_loaded`).
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours stand on stderr already
    logging.set_verbosity_error()  # we report what matters
    has_weights = auto.__name__.startswith("AutoModel")
    if has_weights:
        settings |= {"output_loading_info": True, "weights_only": True}  # a pickle may hold tensors, and no code
    place = str(folder) if folder is not None else spec.name
    revision: dict[str, Any] = {} if folder is not None else {"revision": spec.revision}
    try:
        # Without this setting, transformers asks at the terminal whether code of the checkpoint may run.
        found = auto.from_pretrained(place, trust_remote_code=False, **revision, **settings)
    except Exception as error:  # whatever the library meets in a file that is not what it seems
        if isinstance(error, ImportError) and explained(error) is not None:
            raise
        check_shapes(auto, spec.name, folder)
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if type(error).__name__ == "UnpicklingError":
            first = f"{type(error).__name__}: a file of weights holds more than tensors (nothing of it was run)"
        raise ModelError(
            f"{spec.name!r} does not load: {first}",
            where="model.name",
            mend="the folder must hold config.json, weights and tokenizer files in Hugging Face format",
        ) from error
    if not has_weights:
        return found
    module, info = found
    check_loaded(spec.name, info, module)
    return module


def output_name(module: nn.Module) -> str:
    """Return the name of the vocabulary layer, which adapters leave alone."""
    output = cast("PreTrainedModel", module).get_output_embeddings()
    return next((name for name, part in module.named_modules() if part is output), "lm_head")
