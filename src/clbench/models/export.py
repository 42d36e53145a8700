"""Write a net as a checkpoint that plain transformers loads: all weights, or a PEFT adapter to the base."""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from clbench.core.errors import ModelError
from clbench.models import source, template_file
from clbench.models.adapter import CONFIG
from clbench.models.files import identity_files
from clbench.models.four_bits import left_whole, plainly
from clbench.models.pretrained import DTYPES, how_to_build, trust
from clbench.models.probe import SHARE, SHARE_16, TEXT

if TYPE_CHECKING:
    from clbench.models.causal import Causal
    from clbench.models.encoder import Encoder

    Model = Causal | Encoder

WEIGHTS = (".safetensors", ".bin", ".index.json")
OURS = frozenset({"config.json", CONFIG, "generation_config.json"})  # written by us, or not of the exported model
PREFIX = "base_model.model."  # of weights in a PEFT folder


def has_adapter(net: Model) -> bool:
    """Return whether low-rank adapters are in the model."""
    from peft.tuners.lora import LoraLayer

    return any(isinstance(part, LoraLayer) for part in net.module.modules())


def write_checkpoint(net: Model, folder: Path) -> str:
    """Write all weights, adapters merged into them, with configuration, tokenizer, template and generation settings.

    Returns:
        What was written, and how near the reloaded logits are.

    Raises:
        ModelError: The model has parts that a plain checkpoint has no place for, or answers otherwise when reloaded.
    """
    if net.spec.quantised:
        raise ModelError(
            "its base stands in four bits, to which merged weights would be rounded anew",
            where="export",
            mend=f"without --merge the adapter is written alone; the untouched base is {net.spec.name} itself",
        )
    module: Any = _merged(copy.deepcopy(net.module))
    module.config.architectures = [type(module).__name__]
    if net.labels:
        module.config.id2label = dict(enumerate(net.labels))
        module.config.label2id = {label: place for place, label in enumerate(net.labels)}
        module.config.num_labels = len(net.labels)
    module.config.dtype = str(module.dtype).removeprefix("torch.")
    state: dict[str, Tensor] = module.state_dict()
    if strange := sorted(name for name in state if name not in _plain_names(module)):
        raise ModelError(
            f"{len(strange)} of its weights have no place in a {type(module).__name__}, for example {strange[0]}",
            where="export",
            mend="ask it in clbench's exams; to take a model out, use a learner that adds no parts (ewc, replay, lora)",
        )
    _beside(net, folder)
    module.save_pretrained(folder)
    _generation(net, folder)
    return f"{type(module).__name__}, {sum(p.numel() for p in module.parameters()):,} weights, {_reloaded(net, folder)}"


def write_adapter(net: Model, folder: Path) -> str:
    """Write the one low-rank adapter that acts, as a PEFT folder; the base is named, and not written.

    Returns:
        What was written, and how near the reloaded logits are.

    Raises:
        ModelError: There is no adapter, or several act together, or weights beside it have changed.
    """
    from peft.tuners.lora import LoraLayer
    from safetensors.torch import save_file

    module: Any = net.module
    layers = {name: part for name, part in module.named_modules() if isinstance(part, LoraLayer)}
    acting = {tuple(layer.active_adapters) for layer in layers.values()}
    why = "it has no low-rank adapter" if not layers else ""
    if layers and (len(acting) != 1 or len(next(iter(acting))) != 1):
        why = f"{len(next(iter(acting)))} adapters act together"
    if net.labels:
        why = "its label head has learnt beside the adapter"
    if source.adapter_of(net.spec) is not None:
        why = "another adapter is merged into its base"
    if why:
        mend = "ask it in clbench's exams" if net.spec.quantised else "export whole weights: --merge"
        raise ModelError(f"{why}, so no PEFT folder says it", where="export", mend=mend)
    ((name,),) = acting
    found = {
        key: value
        for key, value in module.state_dict().items()
        if f".lora_A.{name}." in key or f".lora_B.{name}." in key
    }
    named = {PREFIX + key.replace(f".{name}.", "."): value.contiguous().cpu() for key, value in found.items()}
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(module.peft_config[name])
    config.base_model_name_or_path = _base_name(net)
    config.revision = net.spec.revision
    config.task_type = "CAUSAL_LM"
    config.inference_mode = True
    config.save_pretrained(folder)
    save_file(named, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"})
    _beside(net, folder)
    base = f"{_base_name(net)}{f', loaded with {base_settings(net)}' if net.spec.quantised else ''}"
    return f"PEFT adapter of rank {config.r} for {base}, {_readapted(net, folder)}"


def base_settings(net: Model) -> str:
    """Return the settings of `from_pretrained` that load the base as it learnt, as code; "" for one that is whole."""
    if not net.spec.quantised:
        return ""
    how = ", ".join(f"{name}={value!r}" for name, value in _in_four_bits(net).items())
    return f"dtype={net.spec.dtype!r}, quantization_config=BitsAndBytesConfig({how})"


def _base_name(net: Model) -> str:
    place = source.locate(net.spec)
    return str(place.resolve()) if place is not None else str(net.spec.name)


def _plain_names(module: nn.Module) -> set[str]:
    """Return the names of the weights that a fresh model of this configuration has."""
    model: Any = module
    make: Any = type(module)
    with torch.device("meta"):
        fresh: nn.Module = make(model.config)
    return set(fresh.state_dict())


def _merged(module: nn.Module) -> nn.Module:
    """Merge the adapters that act into their layers, and take them out."""
    from peft.tuners.lora import LoraLayer

    outermost: list[tuple[str, str, nn.Module]] = []
    for name, part in module.named_modules():
        if isinstance(part, LoraLayer):
            layer: Any = part
            layer.merge(adapter_names=list(layer.active_adapters))
            above, _, own = name.rpartition(".")
            # Adapters of several blocks of one module stand around each other: the outermost takes their place.
            if not isinstance(module.get_submodule(above), LoraLayer):
                outermost.append((above, own, layer.get_base_layer()))
    for above, own, base in outermost:
        setattr(module.get_submodule(above), own, base)
    vars(module).pop("peft_config", None)
    return module


def _beside(net: Model, folder: Path) -> None:
    """Copy tokenizer and template as the base has them."""
    folder.mkdir(parents=True, exist_ok=True)
    base = source.locate(net.spec)
    if base is None:
        from transformers import AutoTokenizer

        spec = net.spec
        AutoTokenizer.from_pretrained(spec.name, revision=spec.revision).save_pretrained(folder)
        return
    home = source.tokenizer_home(net.spec, base)
    for name in sorted(identity_files(home)):
        if not name.endswith(WEIGHTS) and name not in OURS:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(home / name, folder / name)
    if (text := template_file.text_of(net.spec)) is not None:
        (folder / "chat_template.jinja").write_text(text, encoding="utf-8")


def _generation(net: Model, folder: Path) -> None:
    """Write the base's generation settings: clbench decodes without them, whoever serves the model wants them."""
    if stated := source.stated(net.spec, "generation_config.json"):
        (folder / "generation_config.json").write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")


def _reloaded(net: Model, folder: Path) -> str:
    """Load the folder with plain transformers, and compare its logits with the net's."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    auto = AutoModelForSequenceClassification if net.labels else AutoModelForCausalLM
    loaded: Any = auto.from_pretrained(folder, **how_to_build(net.spec), **trust(net.spec))
    return _compared(net, loaded)


def _readapted(net: Model, folder: Path) -> str:
    """Load the base with plain transformers and the adapter with peft, and compare."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    spec = net.spec
    how = how_to_build(spec) | trust(spec)
    if spec.quantised:
        from transformers.utils.quantization_config import BitsAndBytesConfig

        how |= {"quantization_config": BitsAndBytesConfig(**_in_four_bits(net)), "device_map": {"": net.device}}
    base: Any = plainly(AutoModelForCausalLM.from_pretrained(_base_name(net), revision=spec.revision, **how))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft calls transformers by names that it will drop
        adapted = PeftModel.from_pretrained(base, str(folder))
    return _compared(net, adapted)


def _in_four_bits(net: Model) -> dict[str, Any]:
    """Return the settings of transformers' `BitsAndBytesConfig` that make the same base of four bits."""
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": net.spec.dtype,
        "llm_int8_skip_modules": left_whole(net.module),
    }


def _compared(net: Model, loaded: Any) -> str:
    """Return how far the logits of a loaded model are from the net's, on a few tokens.

    Raises:
        ModelError: Farther than merging an adapter in this precision explains.
    """
    module: Any = net.module
    ids = torch.tensor([_some_ids(net)], device=module.device)
    with torch.inference_mode():
        wanted = module(input_ids=ids).logits.float()
        found = loaded.to(module.device).eval()(input_ids=ids).logits.float()
    far = float((wanted - found).abs().max()) if wanted.shape == found.shape else float("inf")
    if far > SHARE.get(DTYPES[net.spec.dtype], SHARE_16) * float(wanted.std()):
        raise ModelError(
            f"what was written answers otherwise when transformers loads it (logits differ by up to {far:.3g})",
            where="export",
            mend="nothing was left behind; report this model and learner",
        )
    return "reloaded: the same logits to the bit" if far == 0 else f"reloaded: logits within {far:.1g}"


def _some_ids(net: Model) -> list[int]:
    """Return some tokens that the model knows."""
    ids = net.tokenizer.encode(TEXT, add_special_tokens=True)
    return [i for i in ids if net.rows is None or i < net.rows][:32] or [0, 0, 0]
