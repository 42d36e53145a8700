"""Checkpoints inside a lesson: everything that the next optimiser step depends on."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from clbench.core.errors import StoreError
from clbench.core.keys import canonical, digest, folder_digest
from clbench.training.aside import Aside
from clbench.training.shards import like, whole_tensor
from clbench.training.state_files import load_state, load_tensors, save_state, save_tensors

SHARE = 0.05  # of a lesson's time that its checkpoints may take


class Rhythm:
    """When a checkpoint inside a lesson is due, so that writing them takes at most `SHARE` of the time.

    The interval follows the time that the last one kept the steps waiting. That of the first is not known, so it comes
    after the least. While one is still written, none is due.
    """

    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._least_s = self._write_s = 0.0
        self._since = time.monotonic()

    def begin(self, least_s: float) -> None:
        """Begin a lesson with at least `least_s` between two; at 0 one is due after every step, whatever it costs."""
        self._least_s = least_s
        self._since = time.monotonic()

    def due(self) -> bool:
        """Return whether it is time for the next one."""
        if self._aside.busy:
            return False
        wait = max(self._least_s, self._write_s / SHARE) if self._least_s else 0.0
        return time.monotonic() - self._since >= wait

    @contextmanager
    def writing(self) -> Generator[None]:
        """Measure the block that writes one."""
        began = time.monotonic()
        yield
        self._since = time.monotonic()
        self._write_s = self._since - began


@dataclass(frozen=True)
class Point:
    """Where a lesson stands.

    Attributes:
        index: Optimiser steps done.
        train_tokens: Tokens that have gone forward since the learner was made.
        forward_tokens: Those of which no gradient was asked.
        slots: What packed rows held, under the names of `counts.json`; empty where examples are not packed.
    """

    index: int
    train_tokens: int
    forward_tokens: int
    slots: Mapping[str, int] = field(default_factory=dict[str, int])


def write(
    progress: Path | None,
    point: Point,
    params: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    aside: Aside | None = None,
) -> None:
    """Keep what the next optimiser step depends on; older checkpoints go once the new one is whole.

    What is shared out over ranks is put together, so that any number of them can go on; all of them must call this,
    and one of them names a folder. With `aside` all is copied to the CPU here, and written there while steps go on.
    """
    moments = {
        f"{i}.{name}": value for i, values in optimizer.state_dict()["state"].items() for name, value in values.items()
    }
    params, moments = (_gathered(tensors, progress is not None) for tensors in (params, moments))
    if progress is None:
        return
    if aside is None:
        _put(progress, point, params, moments, state)
        return
    aside.wait()  # before the copies are made: there is room for one
    params, moments, state = (_copied(part) for part in (params, moments, state))
    aside.run(partial(_put, progress, point, params, moments, state))


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state that further steps do not change: tensors as copies on the CPU, collections one level deep."""
    return {name: _copy_of(value) for name, value in state.items()}


def _copy_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {name: _copy_of(part) for name, part in value.items()}  # pyright: ignore[reportUnknownVariableType]  # as above
    return list(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]  # examples are values


def _put(
    progress: Path, point: Point, params: dict[str, Tensor], moments: dict[str, Tensor], state: dict[str, Any]
) -> None:
    draft = progress / f"draft-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_tensors(draft / "weights.safetensors", params)
    save_tensors(draft / "optimizer.safetensors", moments)
    save_state(draft / "keeps", state)
    meta = {**asdict(point), "files": folder_digest(draft)}
    (draft / "meta.json").write_text(canonical({**meta, "check": digest(meta)}), encoding="utf-8")
    target = progress / f"step-{point.index:08d}"
    try:
        draft.rename(target)
    except OSError:  # another process made the same checkpoint of the same lesson: equal bytes
        shutil.rmtree(draft, ignore_errors=True)
    for old in sorted(progress.glob("step-*"))[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def _gathered(tensors: dict[str, Tensor], wanted: bool) -> dict[str, Tensor]:
    """Return tensors of shards as whole ones on the CPU, one after another; nothing where they are not wanted here."""
    if not any(isinstance(value, DTensor) for value in tensors.values()):
        return tensors
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():  # in the same order on every rank
        one = whole_tensor(value)
        if wanted:
            found[name] = one.cpu()
    return found


def latest(progress: Path) -> tuple[Point, Path] | None:
    """Return the newest whole checkpoint and its folder; broken ones are passed over."""
    for folder in sorted(progress.glob("step-*"), reverse=True):
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            check = meta.pop("check")
            names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
            whole = folder_digest(folder, [n for n in names if n != "meta.json"])
            if check == digest(meta) and meta["files"] == whole:
                counts = meta["train_tokens"], meta["forward_tokens"], meta.get("slots", {})
                return Point(meta["index"], *counts), folder
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
    return None


def resume(
    progress: Path, params: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> tuple[Point, dict[str, Any]] | None:
    """Take over the newest whole checkpoint; give where it stands and the method's state, None where there is none.

    Another process that learns the same lesson may put a newer one in its place while it is read, or clear them all.

    Raises:
        StoreError: It is whole and cannot be read, or is another model's.
    """
    while (found := latest(progress)) is not None:
        point, folder = found
        try:
            return point, read(folder, params, optimizer)
        except (StoreError, OSError):
            if latest(progress) == found:
                raise
    return None


def read(folder: Path, params: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Take over a checkpoint's weights and optimiser state, all or nothing; give the method's state."""
    device = next(iter(params.values())).device
    weights = load_tensors(folder / "weights.safetensors", device)
    # AdamW counts its steps on the CPU, whatever the device of the weights.
    stored = load_tensors(folder / "optimizer.safetensors", torch.device("cpu"))
    state = load_state(folder / "keeps", device)
    if set(weights) != set(params):
        raise StoreError(
            "belongs to another model", where=str(folder), mend="delete the folder; the lesson starts anew"
        )
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(like(weights[name], param))
    described = optimizer.state_dict()
    learning = [param for group in optimizer.param_groups for param in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in stored.items():
        i, _, field = name.partition(".")
        moments.setdefault(int(i), {})[field] = value if field == "step" else like(value, learning[int(i)])
    described["state"] = moments
    optimizer.load_state_dict(described)
    return state
