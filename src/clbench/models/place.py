"""Where a checkpoint's files lie: its folder, and the folder of an adapter that is merged into it. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clbench.core.errors import ModelError, did_you_mean, near_paths
from clbench.core.spec import QLORA, ModelSpec
from clbench.models import tiny
from clbench.models.adapter import CONFIG, WEIGHTS, check_adapter, is_adapter_alone
from clbench.models.files import check_pointer, named_as_weights, shards
from clbench.models.pins import unpinned
from clbench.models.weight_files import META

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
COMMIT = re.compile(r"^[0-9a-f]{40}$")
# Weights in forms of other programs -> how they become a checkpoint.
OTHER_FORMS = {
    "*.gguf": "GGUF weights are those of llama.cpp: name the Hugging Face checkpoint that they were made from",
    "*.h5": "these are weights of TensorFlow: write them with `save_pretrained` of PyTorch",
    "*.msgpack": "these are weights of Flax: write them with `save_pretrained` of PyTorch",
    "*.onnx": "these are weights of ONNX: name the checkpoint that they were made from",
    "consolidated*": META,
    "*.pth": "these are bare tensors: write the model with `save_pretrained`",
    "*.pt": "these are bare tensors: write the model with `save_pretrained`",
    "zero_to_fp32.py": "the weights are in parts of DeepSpeed: run its zero_to_fp32.py, which writes them as one",
    "*.distcp": "the weights are in parts of FSDP: merge them with `accelerate merge-weights`",
}


def locate(spec: ModelSpec) -> Path | None:
    """Return the folder of a checkpoint's weights, or None if it is not here; that of the base for an adapter.

    Raises:
        ModelError: There is no such model, the folder is not a checkpoint, or a Hub id is not pinned.
    """
    if spec.provider is not None:
        return None
    if spec.name in tiny.NAMES:
        return tiny.folder(spec.name)
    folder = path_of(spec.name)
    if not folder.exists():
        return _on_the_hub(spec, folder)
    if not folder.is_dir():
        mend = OTHER_FORMS.get(f"*{folder.suffix}", "name the checkpoint's folder")
        raise ModelError(f"{folder} is not a folder", where="model.name", mend=mend)
    if is_adapter_alone(folder) and spec.adapter in (None, "use"):
        return _base_of(folder)
    _check_folder(folder, spec)
    return folder


def is_shipped(spec: ModelSpec) -> bool:
    """Return whether a model is a shipped one as it is: without a template, an adapter or attention of the user's."""
    own = (spec.template, spec.attention, spec.trust_code, spec.provider)
    return spec.name in tiny.NAMES and spec.adapter in (None, "ignore") and own == (None,) * 4


def path_of(name: str) -> Path:
    """Return a name as a path; a leading `~` is the home folder, unless a folder of that very name is here."""
    path = Path(name)
    if not name.startswith("~") or path.exists():
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # `~someone`, and there is nobody of that name
        return path


def adapter_of(spec: ModelSpec) -> Path | None:
    """Return the folder of the adapter that is merged into the weights; None without one.

    Raises:
        ModelError: `adapter` is a path, and no adapter lies there.
    """
    if spec.adapter in ("ignore", QLORA):
        return None
    if spec.adapter not in (None, "use"):
        folder = path_of(unpinned(spec.adapter))
        if not (folder / CONFIG).is_file() or not any((folder / name).is_file() for name in WEIGHTS):
            what = f"{folder} holds no adapter ({CONFIG} and {' or '.join(WEIGHTS)})"
            mend = f"name the folder that peft wrote, or write `use`, `ignore` or `qlora`; {near_paths(folder)}"
            raise ModelError(what, where="model.adapter", mend=mend)
        return folder
    if spec.name in tiny.NAMES:
        return None
    folder = path_of(spec.name)
    return folder if spec.adapter == "use" or is_adapter_alone(folder) else None


def _base_of(folder: Path) -> Path:
    """Return the folder of the base that a lone adapter names.

    Raises:
        ModelError: It names none, or none that is here.
    """
    mend = f"name both: model: {{name: FOLDER OF THE BASE, adapter: {folder}}}"
    try:
        stated: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        check_pointer(folder / CONFIG)
        raise ModelError(f"{CONFIG} cannot be read: {error}", where=str(folder), mend="write it again") from error
    named: Any = stated.get("base_model_name_or_path") if isinstance(stated, dict) else None
    if not isinstance(named, str) or not named:
        raise ModelError(f"{folder} holds a PEFT adapter, and does not name its base", where="model.name", mend=mend)
    if not any((folder / name).is_file() for name in WEIGHTS):
        what = f"{folder} holds the {CONFIG} of an adapter, and no weights of it ({' or '.join(WEIGHTS)})"
        raise ModelError(what, where="model.name", mend="finish the download")
    places = [path_of(named), folder / named]
    whole = [p for p in places if (p / "config.json").is_file() or (p / CONFIG).is_file()]
    place = next((p for p in whole if p.resolve() != folder.resolve()), None)
    if place is None and named not in tiny.NAMES:
        what = f"{folder} holds a PEFT adapter alone, and its base {named!r} is not a checkpoint here"
        raise ModelError(what, where="model.name", mend=f"download the base, and {mend}")
    if place is not None and is_adapter_alone(place):
        what = f"{folder} holds a PEFT adapter alone, and its base {named!r} is one too"
        raise ModelError(what, where="model.name", mend="merge that one into its base first, with `merge_and_unload`")
    base = locate(ModelSpec(name=named if place is None else str(place)))
    assert base is not None, "a folder, or a shipped model"
    return base


def _on_the_hub(spec: ModelSpec, folder: Path) -> None:
    if spec.revision is None and _means_a_folder(spec.name):
        raise ModelError(f"there is no folder {spec.name!r}", where="model.name", mend=near_paths(folder))
    if not HUB_ID.match(spec.name):
        near = did_you_mean(spec.name, [*tiny.NAMES, *_checkpoints_in(Path())])
        raise ModelError(
            f"there is no model {spec.name!r}", where="model.name", mend=f"a folder, a Hub id or a shipped one; {near}"
        )
    if spec.revision is None or not COMMIT.match(spec.revision):
        raise ModelError(
            f"there is no folder {spec.name!r}, and as a Hub model it is not pinned (revision: {spec.revision})",
            where="model.revision",
            mend="correct the path; or give the 40-hex commit: a branch name moves under your results",
        )


def _means_a_folder(name: str) -> bool:
    """Return whether a name is a path, not a Hub id `owner/name`: by its form, or because its parent folder exists."""
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1 or name.endswith("/"):
        return True
    return "/" in name and Path(name).parent.is_dir()


def _checkpoints_in(folder: Path) -> list[str]:
    """Return the folders below in which a checkpoint lies: one level down, or where the Hub's cache keeps them."""
    found = [*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json")]
    return sorted(path.parent.as_posix() for path in found)


def _check_folder(folder: Path, spec: ModelSpec) -> None:
    check_adapter(folder, spec)
    others = [hint for pattern, hint in OTHER_FORMS.items() if any(folder.glob(pattern))]
    if not (folder / "config.json").is_file():
        below = _checkpoints_in(folder)
        mend = f"name the one that is meant: {_first(below)}" if below else _first(others)
        raise ModelError(
            f"{folder} holds no config.json, so it is not a Hugging Face checkpoint",
            where="model.name",
            mend=mend or "name the folder that `save_pretrained` wrote",
        )
    if not named_as_weights(folder) and not shards(folder):
        mend = _first(others) or "finish the download"
        raise ModelError(f"{folder} holds no weights (*.safetensors or *.bin)", where="model.name", mend=mend)


def _first(texts: Iterable[str], most: int = 3) -> str:
    texts = list(texts)
    return " or ".join(texts[:most]) + (f" or one of {len(texts) - most} more" if len(texts) > most else "")
