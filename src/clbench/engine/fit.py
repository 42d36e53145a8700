"""Whether runs fit into the memory and onto the disk that are there, and what would fit where they do not."""

from __future__ import annotations

import heapq
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.core.errors import SpecError, UserError
from clbench.core.events import notice
from clbench.core.spec import Machine, RunSpec
from clbench.core.wording import cells, padded, tr
from clbench.engine.inputs import Inputs, StreamAndExams
from clbench.engine.memory import Need, Needs
from clbench.engine.resolve import check_shards, open_learner, resolve

if TYPE_CHECKING:
    from clbench.models.room import Room

GB = 1e9
MARGIN = 0.15  # by which a plan may be off, as a share of what is there: within it nothing is refused
ANYWAY = "or, on the command line, --anyway makes it all the same"
COLUMNS = ("weights", "gradients", "moments", "activations", "logits", "method", "exams", "process", "peak", "state")


@dataclass(frozen=True)
class Fit:
    """What runs need, and what is there.

    Attributes:
        needs: One for each model, learner and stream.
        device: The device, for people.
        room: Bytes of its memory; None where it is not known.
        together: Bytes of the processes that stand on one device side by side.
        processes: How many work together on each unit; needs are those of each of them.
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
    processes: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**vars(self), "needs": [need.as_dict() for need in self.needs]}

    def as_text(self) -> str:
        """Return the needs as a table, in GB of 10^9 bytes, and what is there."""
        names = [name_of(need) for need in self.needs]
        head = tr("memory in GB")
        width = max(map(cells, [*names, head]))
        columns = "".join(f"  {padded(tr(c), 11, right=True)}" for c in COLUMNS)
        rows = [f"{padded(head, width)}  {padded(tr('B/weight'), 8, right=True)}{columns}"]
        for name, need in zip(names, self.needs, strict=True):
            values = "".join(f"  {vars(need)[c] / GB:>11.3f}" for c in COLUMNS)
            rows.append(f"{name:<{width}}  {need.per_weight:>8.2f}{values}")
        room = tr("of unknown size") if self.room is None else _size(self.room)
        text = "device: {device}, {room}; side by side on it: {size}"
        rows.append(tr(text, device=self.device, room=room, size=_size(self.together)))
        if self.processes > 1:
            rows.append(tr("{num} processes work together: memory is that of each of them", num=self.processes))
        sizes = {"size": f"{self.disk / GB:.2f}", "free": f"{self.free / GB:.1f}"}
        rows.append(tr("disk: {size} GB to write, {free} GB free", **sizes))
        text = "not counted for {name}: {what}"
        rows += [tr(text, name=name_of(need), what=need.unknown) for need in self.needs if need.unknown]
        return "\n".join(rows)

    def too_large(self) -> SpecError | None:
        """Return the error that says which needs do not fit, each by itself, and what would; None where all fit."""
        if self.room is None or not self.advice:
            return None
        wrong = [f"{name_of(n)} takes {_size(n.peak)}" for n in self.needs if name_of(n) in self.advice]
        alike: dict[tuple[str, ...], list[str]] = {}
        for name, advice in self.advice.items():
            alike.setdefault(advice, []).append(name)
        mend = [f"for {', '.join(names)}: {'; '.join(advice)}" for advice, names in alike.items()]
        return SpecError(
            f"{self.device} has {_size(self.room)}, and {', '.join(wrong)}",
            where="memory",
            mend="\n    ".join([*mend, ANYWAY]),
        )

    def _too_many(self) -> SpecError | None:
        if self.room is None or not beyond(self.together, self.room):
            return None
        who, mend = "workers", "take fewer: --workers 1"
        if self.processes > 1:
            who, mend = "processes", "take fewer, or let them share weights out: --shard"
        return SpecError(
            f"{self.device} has {_size(self.room)}, and the {who} side by side take {_size(self.together)}",
            where=f"--{who}",
            mend=f"{mend}; {ANYWAY}",
        )

    def _too_long(self) -> SpecError | None:
        if not beyond(self.disk, self.free):
            return None
        return SpecError(
            f"the disk has {self.free / GB:.3f} GB free, and {self.disk / GB:.3f} GB are to be written",
            where="--store",
            mend=f"name a folder on a larger disk; lora and its kin write adapters alone; {ANYWAY}",
        )

    def check(self) -> None:
        """Refuse what cannot fit; say what may not, since a plan may be off by `MARGIN`.

        Raises:
            SpecError: Says what does not fit, and what would.
        """
        for error in (self.too_large(), self._too_many(), self._too_long()):
            if error is not None:
                raise error
        self.tell_near()

    def tell_near(self) -> None:
        """Say what is planned to take more than is there, by no more than a plan may be off."""
        peaks = {name_of(need): need.peak for need in self.needs}
        if self.together > max(peaks.values(), default=0):
            peaks["all of them side by side"] = self.together
        room = self.room or 0
        near = [f"{name} {_size(peak)}" for name, peak in peaks.items() if room < peak and not beyond(peak, room)]
        may = f"a plan may be off by {MARGIN:.0%}, so it may fit or not"
        if near:
            notice(f"{self.device} has {_size(room)}, and planned are: {', '.join(near)}; {may}")
        if self.free < self.disk and not beyond(self.disk, self.free):
            notice(f"the disk has {self.free / GB:.3f} GB free, and {self.disk / GB:.3f} GB are to be written; {may}")


def _size(num_bytes: float) -> str:
    """Return bytes for people.

    Example:
        >>> _size(40e9), _size(27_300_000)
        ('40.0 GB', '27.3 MB')
    """
    return f"{num_bytes / GB:.1f} GB" if num_bytes >= GB else f"{num_bytes / 1e6:.1f} MB"


def beyond(planned: float, there: float) -> bool:
    """Return whether more is planned than is there, also if the plan is off by `MARGIN`."""
    return planned > there * (1 + MARGIN)


def name_of(need: Need) -> str:
    """Name a need for people, by learner, model and its type."""
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
    makes, room = open_needs(machine, inputs.of)
    return sum_up([(spec, makes.of(spec)) for spec in specs], states, makes, room), makes


def open_needs(machine: Machine, read: Callable[[RunSpec], StreamAndExams]) -> tuple[Needs, Room]:
    """Return what makes the needs of runs on a machine, and the memory of its device."""
    from clbench.models.room import room_of

    room = room_of(machine)
    return Needs(machine, read, room.card), room


def sum_up(pairs: Sequence[tuple[RunSpec, Need]], states: Sequence[RunSpec], makes: Needs, room: Room) -> Fit:
    """Return what runs need beside what is there, from what each of them does."""
    machine = makes.machine
    needs: dict[str, Need] = {}
    first: dict[str, RunSpec] = {}
    for spec, need in pairs:
        name = name_of(need)
        first.setdefault(name, spec)
        needs[name] = max(need, needs.get(name, need), key=lambda each: each.peak)
    advice = {
        name: tuple(_advice(first[name], need, makes, room))
        for name, need in needs.items()
        if room.bytes is not None and beyond(need.peak, room.bytes)
    }
    beside = -(-min(machine.workers, len(pairs)) // room.devices)
    local = os.environ.get("LOCAL_WORLD_SIZE", "")
    ranks = 1 if room.card else int(local) if local.isdigit() else machine.processes  # each has a card of its own
    folder = next(p for p in (machine.store, *machine.store.absolute().parents) if p.is_dir())
    made = [makes.of(spec) for spec in states]
    inside = heapq.nlargest(min(machine.workers, len(made)), [need.checkpoint for need in made])
    return Fit(
        needs=tuple(needs.values()),
        device=room.name,
        room=room.bytes,
        together=ranks * sum(heapq.nlargest(beside, [need.peak for _, need in pairs])),
        disk=sum(need.adds for need in made) + sum(inside),
        free=shutil.disk_usage(folder).free,
        advice=advice,
        processes=machine.processes,
    )


def _advice(spec: RunSpec, need: Need, makes: Needs, room: Room) -> Iterator[str]:
    """Yield what would fit in the place of a run: with the same result first, then other models and methods."""
    assert room.bytes is not None, "asked where the room is known"
    bare = need.weights + 3 * need.gradients + need.method + need.process
    least = need.peak
    found = False
    learns, tried = need.peak > need.asked, list[tuple[str, Machine]]()
    if learns:
        tried += _same(makes.machine) if bare < room.bytes else []
        tried += _among_cards(spec, makes.machine) if room.card else []
    elif makes.machine.exam_batch > 1:
        tried.append(("--exam-batch 1", makes.machine.model_copy(update={"exam_batch": 1})))
    for text, other in [*((text, (spec, how)) for text, how in tried), *_others(spec, need, makes.machine)]:
        try:
            peak = makes.of(*other).peak if learns else makes.of(*other).asked
        except Exception:  # that model or method is not defined here, or cannot be looked at: it is advice alone
            continue
        least = min(least, peak)
        if peak <= room.bytes:
            found = True
            yield f"{text} takes {_size(peak)}"
    if not found:
        yield f"nothing tried fits; the least takes {_size(least)}: a larger device, several, or a smaller model"


def _same(machine: Machine) -> list[tuple[str, Machine]]:
    """Return ways that give the same result with less memory while a lesson is learnt."""
    ways: list[tuple[str, dict[str, Any]]] = []
    if not machine.recompute:
        ways.append(("--recompute", {"recompute": True}))
    if machine.micro_batch != 1:
        ways.append(("--micro-batch 1", {"micro_batch": 1}))
    if len(ways) == 2:
        ways.append(("--micro-batch 1 --recompute", {"recompute": True, "micro_batch": 1}))
    return [(text, machine.model_copy(update=how)) for text, how in ways]


def _among_cards(spec: RunSpec, machine: Machine) -> list[tuple[str, Machine]]:
    """Return ways to share weights out over several accelerators, where the learner can."""
    found: list[tuple[str, Machine]] = []
    for number in (2, 8) if machine.processes == 1 else ():
        how = machine.model_copy(update={"processes": number, "shard": True, "workers": 1})
        try:
            check_shards(spec, how)
        except UserError:
            continue
        found.append((f"--processes {number} --shard, on each of {number},", how))
    return found


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
