"""The checkpoint that another program left after a lesson: checked, completed, and merged if it is an adapter.

This module imports torch inside functions only.
"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from clbench.core.errors import LessonError, UserError
from clbench.core.events import notice
from clbench.core.spec import Machine, ModelSpec
from clbench.learners._shared.handed_over import copy_files
from clbench.models import source
from clbench.models.adapter import CONFIG, is_adapter_alone
from clbench.models.differences import differences
from clbench.models.files import TOKENIZER, WORDS, has_tokenizer, identity_files
from clbench.models.place import locate

OF_TRAINERS = re.compile(r"checkpoint-\d+")  # folders of the middle of a training, with optimiser states
GENERATION = "generation_config.json"  # answers depend on it, though it is not of a checkpoint's identity
COUNTS = ("num_input_tokens_seen", "num_tokens")  # of trainer_state.json: transformers' trainer, and TRL's


def spec_of(folder: Path, base: ModelSpec) -> ModelSpec:
    """Return how a checkpoint is loaded: as the base model is, in precision, length and template."""
    return base.model_copy(update={"name": str(folder), "revision": None, "adapter": None})


def write_base(base: ModelSpec, folder: Path, machine: Machine) -> None:
    """Write the base model as a checkpoint folder that any program loads."""
    place = locate(base)
    own_template = base.template is not None and base.template.file is not None
    if place is not None and source.adapter_of(base) is None and not own_template:
        copy_files(place, folder, answering(place))
        return
    from clbench.models.export import write_checkpoint
    from clbench.models.load import load_net

    net: Any = load_net(base, machine)
    write_checkpoint(net, folder)


def answering(folder: Path) -> set[str]:
    """Return the files of a checkpoint that its answers depend on."""
    return identity_files(folder) | ({GENERATION} if (folder / GENERATION).is_file() else set())


def beside(folder: Path) -> set[str]:
    """Return the other files that a program left, without the middles of a training that trainers write."""
    every = {f.relative_to(folder) for f in folder.rglob("*") if f.is_file()}
    kept = {f.as_posix() for f in every if not OF_TRAINERS.fullmatch(f.parts[0])}
    return kept - answering(folder)


def take_over(out: Path, previous: Path, base: ModelSpec, machine: Machine, where: str) -> Any:
    """Check what a program left, and make a whole checkpoint of it, in its place.

    Args:
        out: Its folder. An adapter is merged into `previous`; what lacks a tokenizer gets that of `previous`.
        previous: The checkpoint that it began with, as it was.
        base: How it is to be loaded.
        machine: Where.
        where: The lesson, for errors.

    Returns:
        The model as it is loaded.

    Raises:
        LessonError: It left nothing.
        UserError: What it left is not a checkpoint, is damaged, holds NaN, or is of another architecture.
    """
    if not any(f.is_file() for f in out.rglob("*")):
        raise LessonError(
            f"it ended well and left nothing in {out}",
            where=where,
            mend="let it save the model there: the folder is {out}, and $CLBENCH_OUT in its environment",
        )
    try:
        return _loaded(out, previous, base, machine)
    except UserError as error:
        error.what = f"what it left cannot be used: {error.what}"
        error.where = where
        raise


def _loaded(out: Path, previous: Path, base: ModelSpec, machine: Machine) -> Any:
    from clbench.models.load import load_net

    if is_adapter_alone(out):
        _merge(out, previous, base, machine)
    spec = spec_of(out, base)
    locate(spec)
    _same_architecture(out, previous)
    if not has_tokenizer(out):
        _complete(out, previous)
    net = load_net(source.settled(spec), machine)
    for text in differences(spec_of(previous, base), spec):
        notice(f"after this lesson {text}, against what it was given; a change of scores may come from there")
    return net


def _same_architecture(out: Path, previous: Path) -> None:
    was, now = (_stated(folder / "config.json").get("architectures") for folder in (previous, out))
    if was and now and was != now:
        raise LessonError(
            f"it is a {now[0]}, and a {was[0]} was handed over", mend="let it save the model it was given"
        )


def _complete(out: Path, previous: Path) -> None:
    """Copy the tokenizer of the checkpoint that was handed over."""
    names = {f.name for pattern in (*WORDS, *TOKENIZER) for f in previous.glob(pattern)}
    copy_files(previous, out, names)
    notice("it left no tokenizer, so that of the checkpoint that was handed over stands beside the weights")


def _merge(out: Path, previous: Path, base: ModelSpec, machine: Machine) -> None:
    """Put the weights with an adapter merged into them in its place; what else lies there stays."""
    from clbench.models.export import write_checkpoint
    from clbench.models.load import load_net

    adapter = out.with_name("adapter")
    shutil.rmtree(adapter, ignore_errors=True)
    out.rename(adapter)
    spec = spec_of(previous, base).model_copy(update={"adapter": str(adapter)})
    net: Any = load_net(source.settled(spec), machine)
    write_checkpoint(net, out)
    more = {name for name in beside(adapter) if not (out / name).exists()}
    copy_files(adapter, out, more - {CONFIG})
    shutil.rmtree(adapter)


def tokens_of(out: Path, costs: Path) -> int | None:
    """Return the tokens that went forward in a lesson, as the program said or its trainer counted; None if neither."""
    stated = _stated(costs).get("train_tokens")
    if isinstance(stated, int) and not isinstance(stated, bool) and stated >= 0:
        return stated
    places = [out, *sorted(out.glob("checkpoint-*"), key=lambda f: int((re.findall(r"\d+", f.name) or [0])[-1]))]
    for state in (_stated(place / "trainer_state.json") for place in reversed(places)):
        logs = state.get("log_history")
        for entry in (state, *reversed(logs if isinstance(logs, list) else [])):
            for name in COUNTS:
                num: Any = entry.get(name) if isinstance(entry, dict) else None
                if isinstance(num, (int, float)) and num > 0:
                    return int(num)
    return None


def _stated(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; {} where there is none."""
    with suppress(OSError, ValueError, RecursionError):
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}
