"""Whether runs fit into the memory and onto the disk that are there, and what would fit where they do not."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.core.errors import SpecError, UserError
from clbench.core.spec import Machine, RunSpec
from clbench.engine.inputs import Inputs
from clbench.engine.memory import Need, Needs
from clbench.engine.resolve import open_learner, resolve

if TYPE_CHECKING:
    from clbench.models.room import Room

GB = 1e9
COLUMNS = ("weights", "gradients", "moments", "activations", "logits", "method", "exams", "process", "peak", "state")


@dataclass(frozen=True)
class Fit:
    """What runs need, and what is there.

    Attributes:
        needs: One for each model, learner and stream.
        device: The device, for people.
        room: Bytes of its memory; None where it is not known.
        together: Bytes of the processes that stand on one device side by side.
        disk: Bytes that are to be written, checkpoints inside lessons among them.
        free: Bytes that are free there.
        advice: Learner and model of what does not fit -> what would, the same result first.
    """

    needs: tuple[Need, ...]
    device: str
    room: int | None
    together: int
    disk: int
    free: int
    advice: dict[str, tuple[str, ...]]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**vars(self), "needs": [need.as_dict() for need in self.needs]}

    def as_text(self) -> str:
        """Return the needs as a table, in GB of 10^9 bytes, and what is there."""
        names = [_name(need) for need in self.needs]
        width = max(map(len, [*names, "memory in GB"]))
        rows = [f"{'memory in GB':<{width}}  {'B/weight':>8}" + "".join(f"  {c:>11}" for c in COLUMNS)]
        for name, need in zip(names, self.needs, strict=True):
            values = "".join(f"  {vars(need)[c] / GB:>11.3f}" for c in COLUMNS)
            rows.append(f"{name:<{width}}  {need.per_weight:>8.2f}{values}")
        room = "of unknown size" if self.room is None else f"{self.room / GB:.1f} GB"
        rows.append(f"device: {self.device}, {room}; side by side on it: {self.together / GB:.1f} GB")
        rows.append(f"disk: {self.disk / GB:.2f} GB to write, {self.free / GB:.1f} GB free")
        rows += [f"not counted for {_name(need)}: {need.unknown}" for need in self.needs if need.unknown]
        return "\n".join(rows)

    def check(self) -> None:
        """Refuse what cannot fit.

        Raises:
            SpecError: Says what does not fit, and what would.
        """
        if self.room is not None and self.advice:
            wrong = [f"{_name(n)} takes {n.peak / GB:.1f} GB" for n in self.needs if _name(n) in self.advice]
            alike: dict[tuple[str, ...], list[str]] = {}
            for name, advice in self.advice.items():
                alike.setdefault(advice, []).append(name)
            mend = [f"for {', '.join(names)}: {'; '.join(advice)}" for advice, names in alike.items()]
            raise SpecError(
                f"{self.device} has {self.room / GB:.1f} GB, and {', '.join(wrong)}",
                where="--plan",
                mend="\n    ".join(mend),
            )
        if self.room is not None and self.together > self.room:
            raise SpecError(
                f"{self.device} has {self.room / GB:.1f} GB, and the workers side by side take "
                f"{self.together / GB:.1f} GB",
                where="--workers",
                mend="take fewer: --workers 1",
            )
        if self.disk > self.free:
            raise SpecError(
                f"the disk has {self.free / GB:.3f} GB free, and {self.disk / GB:.3f} GB are to be written",
                where="--store",
                mend="name a folder on a larger disk; lora and its kin write adapters alone",
            )


def _name(need: Need) -> str:
    short = Path(need.model).name if "/" in need.model else need.model
    return f"{need.learner} on {short} ({need.dtype})"


def fit(specs: Sequence[RunSpec], states: Sequence[RunSpec], inputs: Inputs, machine: Machine) -> tuple[Fit, Needs]:
    """Return what runs need beside what is there.

    Args:
        specs: The runs.
        states: The run of each state that is to be made.
        inputs: Streams and exams that have been read.
        machine: How they are made.
    """
    from clbench.models.room import room_of

    room = room_of(machine)
    makes = Needs(machine, inputs.of, room.card)
    needs = {_name(need): need for spec in specs if (need := makes.of(spec))}
    first = {_name(makes.of(spec)): spec for spec in reversed(specs)}
    beside = -(-min(machine.workers, len(specs)) // room.devices)
    advice: dict[str, tuple[str, ...]] = {}
    for name, need in needs.items():
        if room.bytes is not None and need.peak > room.bytes:
            advice[name] = tuple(_advice(first[name], need, makes, room))
    folder = next(p for p in (machine.store, *machine.store.absolute().parents) if p.is_dir())
    made = [makes.of(spec) for spec in states]
    inside = heapq.nlargest(min(machine.workers, len(made)), [need.checkpoint for need in made])
    return Fit(
        needs=tuple(needs.values()),
        device=room.name,
        room=room.bytes,
        together=sum(heapq.nlargest(beside, [makes.of(spec).peak for spec in specs])),
        disk=sum(need.state for need in made) + sum(inside),
        free=shutil.disk_usage(folder).free,
        advice=advice,
    ), makes


def _advice(spec: RunSpec, need: Need, makes: Needs, room: Room) -> Iterator[str]:
    """Yield what would fit in the place of a run: with the same result first, then other models and methods."""
    assert room.bytes is not None, "asked where the room is known"
    bare = need.weights + 3 * need.gradients + need.method + need.process
    least = need.peak
    found = False
    tried = _same(makes.machine) if bare < room.bytes and need.trained else []
    for text, other in [*((text, (spec, how)) for text, how in tried), *_others(spec, need, makes.machine)]:
        try:
            peak = makes.of(*other).peak
        except UserError:  # that model or method is not defined here
            continue
        least = min(least, peak)
        if peak <= room.bytes:
            found = True
            yield f"{text} takes {peak / GB:.1f} GB"
    if not found:
        yield f"nothing tried fits; the least takes {least / GB:.1f} GB: a larger device, several, or a smaller model"


def _same(machine: Machine) -> list[tuple[str, Machine]]:
    """Return ways that give the same result with less memory."""
    ways: list[tuple[str, dict[str, Any]]] = []
    if not machine.recompute:
        ways.append(("--recompute", {"recompute": True}))
    if machine.micro_batch != 1:
        ways.append(("--micro-batch 1", {"micro_batch": 1}))
    if len(ways) == 2:
        ways.append(("--micro-batch 1 --recompute", {"recompute": True, "micro_batch": 1}))
    return [(text, machine.model_copy(update=how)) for text, how in ways]


def _others(spec: RunSpec, need: Need, machine: Machine) -> list[tuple[str, tuple[RunSpec, Machine]]]:
    """Return other runs that take less: a model of 16 bits, low-rank adapters, and both."""
    small = machine.model_copy(update={"recompute": True, "micro_batch": 1})
    half = spec.model.model_copy(update={"dtype": "bfloat16"})
    plugin, _ = open_learner({"name": "lora"})
    lora = {"name": "lora", **{k: v for k, v in spec.learner.items() if k in plugin.config.model_fields}}
    found: list[tuple[str, RunSpec]] = []
    if need.dtype == "float32":
        found.append(("model.dtype bfloat16", spec.model_copy(update={"model": half})))
    if 2 * need.trained > need.parameters:
        found.append(("learner lora", spec.model_copy(update={"learner": lora})))
        if need.dtype == "float32":
            found.append(("learner lora with bfloat16", spec.model_copy(update={"model": half, "learner": lora})))
    plain = [(text, (resolve(other), machine)) for text, other in found]
    return plain + [(f"{text}, --micro-batch 1 --recompute", (other, small)) for text, (other, _) in plain]
