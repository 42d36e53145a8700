"""Where a base model comes from and what identifies it; reads files, imports no torch."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from clbench.core.errors import ModelError, did_you_mean, near_paths
from clbench.core.keys import digest, folder_digest
from clbench.core.spec import ModelSpec
from clbench.core.types import Ability
from clbench.models import tiny
from clbench.models.adapter import FILES, check_adapter
from clbench.models.reasoning import mark_of

# What a checkpoint's answers depend on. Logs and optimiser files beside it do not change who it is.
IDENTITY_FILES = ("*.json", "*.safetensors", "*.bin", "*.model", "*.txt", "*.jinja")
NOT_IDENTITY = frozenset({"pretraining.json", "trainer_state.json", "training_args.bin", "generation_config.json"})
HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
COMMIT = re.compile(r"^[0-9a-f]{40}$")
LAST_PLACE = frozenset({"xlnet"})
ENCODER_SUFFIXES = ("ForSequenceClassification", "ForMaskedLM", "ForPreTraining")


def locate(spec: ModelSpec) -> Path | None:
    """Give the checkpoint's folder, or None for a model on the Hub.

    Raises:
        ModelError: There is no such model, the folder is no checkpoint, or a Hub id is not pinned.
    """
    if spec.name in tiny.NAMES:
        return tiny.folder(spec.name)
    folder = Path(spec.name).expanduser()
    if folder.exists():
        _check_folder(folder, spec)
        return folder
    if spec.revision is None and _means_a_folder(spec.name):
        raise ModelError(f"there is no folder {spec.name!r}", where="model.name", mend=near_paths(folder))
    if not HUB_ID.match(spec.name):
        near = did_you_mean(spec.name, [*tiny.NAMES, *_checkpoints_here()])
        raise ModelError(
            f"there is no model {spec.name!r}", where="model.name", mend=f"a folder, a Hub id or a shipped one; {near}"
        )
    if spec.revision is None or not COMMIT.match(spec.revision):
        raise ModelError(
            f"there is no folder {spec.name!r}, and as a Hub model it is not pinned (revision: {spec.revision})",
            where="model.revision",
            mend="correct the path; or give the 40-hex commit: a branch name moves under your results",
        )
    return None


def _means_a_folder(name: str) -> bool:
    """Tell a path from a Hub id, `owner/name`: by its form, or since its first part is a folder here."""
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1 or name.endswith("/"):
        return True
    return "/" in name and Path(name).parent.is_dir()


def _checkpoints_here() -> list[str]:
    return sorted(path.parent.as_posix() for path in Path().glob("*/config.json"))


def _check_folder(folder: Path, spec: ModelSpec) -> None:
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder", where="model.name", mend="name the checkpoint's folder")
    check_adapter(folder, spec)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} holds no config.json, so it is no Hugging Face checkpoint",
            where="model.name",
            mend="name the folder that `save_pretrained` wrote",
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(
            f"{folder} holds no weights (*.safetensors or *.bin)", where="model.name", mend="finish the download"
        )


@lru_cache(maxsize=64)
def _folder_identity(folder: Path, _stamp: tuple[tuple[str, int, int], ...]) -> str:
    return folder_digest(folder, [name for name, _, _ in _stamp])


def identity(spec: ModelSpec) -> str:
    """Give the digest of all that the base model's answers depend on: weights, tokenizer, template, dtype, length.

    So is the mark that ends its reasoning, where it has one.
    """
    folder = locate(spec)
    if folder is None:
        source: Any = {"hub": spec.name, "revision": spec.revision}
    else:
        names = {p.name for pattern in IDENTITY_FILES for p in folder.glob(pattern)} - NOT_IDENTITY
        names -= FILES if spec.adapter == "ignore" else set()
        stats = [(n, (folder / n).stat()) for n in sorted(names)]
        source = _folder_identity(folder, tuple((n, s.st_size, s.st_mtime_ns) for n, s in stats))
    mark = mark_of(spec, folder)
    answer = {"answer_after": mark} if mark else {}
    own = {"source": source, "family": spec.family, "dtype": spec.dtype, "max_tokens": spec.max_tokens}
    return digest({**own, **answer})


def configuration(spec: ModelSpec) -> dict[str, Any]:
    """Read the checkpoint's config.json; empty for a Hub model, whose configuration is read when it is loaded."""
    folder = locate(spec)
    if folder is None:
        return {}
    try:
        value = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(
            f"config.json cannot be read: {error}", where=str(folder), mend="write the checkpoint again"
        ) from error
    if not isinstance(value, dict):
        raise ModelError("config.json is no JSON object", where=str(folder), mend="write the checkpoint again")
    return value


def abilities(spec: ModelSpec) -> frozenset[Ability] | None:
    """Tell what a model can without loading it; None for a Hub model, whose configuration is not at hand."""
    check_architecture(spec)
    architectures = configuration(spec).get("architectures") or []
    if not architectures and spec.family == "auto" and locate(spec) is None:
        return None
    causal = family_of(spec, architectures) == "causal"
    return frozenset({"text", "loglik", "label"}) if causal else frozenset({"label"})


def check_architecture(spec: ModelSpec) -> None:
    """Refuse checkpoints that this package cannot ask or train rightly, before anything is loaded.

    Raises:
        ModelError: It reads with an encoder and writes with a decoder; or it reads its answer off the last place of a
            row, padding or not.
    """
    found = configuration(spec)
    why = ""
    if found.get("is_encoder_decoder"):
        why = "reads with an encoder and writes with a decoder"
    elif found.get("model_type") in LAST_PLACE:
        why = "takes its answer from the last place of a row, where padding stands"
    if why:
        raise ModelError(
            f"{spec.name!r} ({found.get('model_type')}) {why}, which is not supported",
            where="model.name",
            mend="take a causal language model, or an encoder such as BERT, RoBERTa or DeBERTa",
        )


def weights_bytes(spec: ModelSpec) -> int:
    """Give the size of the checkpoint's weights in bytes; 0 for a Hub model that is not at hand."""
    folder = locate(spec)
    if folder is None:
        return 0
    return sum(p.stat().st_size for pattern in ("*.safetensors", "*.bin") for p in folder.glob(pattern))


def family_of(spec: ModelSpec, architectures: list[str]) -> Literal["causal", "encoder"]:
    """Tell the family from the spec, or from the architectures that the configuration names.

    Raises:
        ModelError: "auto" and the architecture is neither.
    """
    if spec.family != "auto":
        return spec.family
    if any(a.endswith(ENCODER_SUFFIXES) for a in architectures):
        return "encoder"
    if any(a.endswith(("ForCausalLM", "LMHeadModel")) for a in architectures):
        return "causal"
    raise ModelError(
        f"cannot tell the family of {spec.name!r} from its architectures {architectures}",
        where="model.family",
        mend="say `family: causal` or `family: encoder`",
    )
