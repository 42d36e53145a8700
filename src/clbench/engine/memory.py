"""The memory and disk that runs will take, by model and learner, before anything is loaded.

Sizes come from the model's shape, the lessons as they will be scheduled, and what the method says of itself
(`Footprint`); nothing of the weights is read. `memory_sums.add_up` is the whole arithmetic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from clbench.core.errors import UserError, said_of
from clbench.core.events import notice
from clbench.core.extras import TO_LOAD, absent
from clbench.core.footprint import PLAIN, Footprint
from clbench.core.keys import canonical
from clbench.core.protocols import LearnerPlugin
from clbench.core.results import Costs
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Exam, Lesson
from clbench.data.streams.stream import lessons, merge_lessons
from clbench.engine.inputs import StreamAndExams
from clbench.engine.kept_need import kept_need
from clbench.engine.memory_sums import Work, add_up
from clbench.engine.resolve import open_learner
from clbench.engine.units import Run
from clbench.models import source
from clbench.models.lengths import cache_bytes
from clbench.training.kept import example_bytes
from clbench.training.method import shapes_the_net
from clbench.training.new_method import new_method

if TYPE_CHECKING:
    from clbench.training.planned import ModelShape, Way
    from clbench.training.step_memory import StepMemory

WORTH = 100_000_000  # bytes of a checkpoint from which on a record says what was planned: the process takes more
PROCESS = 450_000_000  # bytes of a process on Linux that has loaded a model and learnt a lesson, without its tensors
BEYOND = "what sharing weights out takes on a processor beside its tensors"  # measured, and of unknown cause


@dataclass(frozen=True)
class Need:
    """What a learner takes on a model at its most, in bytes; where several processes work together, in each of them.

    Attributes:
        learner, model, dtype: What is meant.
        parameters, trained: Weights of the model with what was added to it, and those that learn in a lesson.
        weights, gradients, moments: As they stand while a lesson is learnt, master copies among them.
        activations, logits: Of the largest pass: what is kept for the backward pass, with 16-bit copies of weights;
            predictions with their loss and what stands for a moment.
        method: What the method holds: anchors, Fishers, teachers, other models, stored examples.
        exams: Keys and values of the largest batch of questions.
        process: The process itself, on a processor; 0 on an accelerator.
        peak: The most at one time; gradients come while activations go, so it is less than the sum.
        asked: The most while questions are asked.
        state: On disk, of the last lesson.
        adds: What a state adds on disk to that of the lesson before it: equal tensors are kept once.
        checkpoint: On disk, inside a lesson.
        per_weight: Bytes for each weight of the model, without activations, logits and process.
        unknown: What could not be counted; "" where all is.
    """

    learner: str
    model: str
    dtype: str
    parameters: int
    trained: int
    weights: int
    gradients: int
    moments: int
    activations: int
    logits: int
    method: int
    exams: int
    process: int
    peak: int
    asked: int
    state: int
    adds: int
    checkpoint: int
    per_weight: float
    unknown: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


class Needs:
    """Makes the needs of runs; models are looked at once."""

    def __init__(
        self, machine: Machine, read: Callable[[RunSpec], StreamAndExams], card: bool, process: float | None = None
    ) -> None:
        """Plan for `machine`.

        Args:
            machine: How runs are made.
            read: Gives a run's stream and exams.
            card: Whether lessons are learnt on an accelerator.
            process: Bytes of a process on a processor; None takes those of this one, which must have loaded no model
                (`resident`).
        """
        self._process = process
        self.machine = machine
        self._read = read
        self._card = card
        self._shapes: dict[ModelSpec, ModelShape] = {}
        self._found: dict[str, Need] = {}

    def shape(self, model: ModelSpec) -> ModelShape:
        """Return a model by its shape."""
        from clbench.training.planned import ModelShape

        model = source.settled(model)
        if model not in self._shapes:
            self._shapes[model] = ModelShape(model)
        return self._shapes[model]

    def way(self, machine: Machine | None = None) -> Way:
        """Return how lessons are walked."""
        from clbench.training.planned import Way

        how = machine or self.machine
        return Way(how.micro_batch, how.recompute, self._card, how.processes, how.shard)

    def of(self, spec: RunSpec, machine: Machine | None = None) -> Need:
        """Return what a run takes; runs that differ in the seed or the exams alone take the same.

        Args:
            spec: The run.
            machine: How it is made, if otherwise than planned.
        """
        how = machine or self.machine
        passes = [how.micro_batch, how.recompute, how.exam_batch, how.processes, how.shard]
        about = canonical([spec.model, spec.learner, spec.stream, *passes])
        if about not in self._found:
            self._found[about] = self._known(spec, machine)
        return self._found[about]

    def _known(self, spec: RunSpec, machine: Machine | None) -> Need:
        """Return what a run takes, as far as it was found out before and kept."""
        stream, exams = self._read(spec)
        taught, used = lessons(stream), machine or self.machine
        how = {name: vars(used)[name] for name in ("micro_batch", "recompute", "exam_batch", "processes", "shard")}
        how |= {"card": self._card, "process": self._process}
        make, read = partial(self._made, spec, machine, taught, exams), _need_of
        return kept_need(spec, how, (taught, exams), make, read)

    def _made(self, spec: RunSpec, machine: Machine | None, taught: Sequence[Lesson], exams: Sequence[Exam]) -> Need:
        plugin, config = open_learner(spec.learner)
        shape, way = self.shape(spec.model), self.way(machine)
        taught = (merge_lessons(taught),) if plugin.teaches == "at_once" else taught
        held = plugin.holds(config)
        unknown = "" if held is not None else "what its method holds"
        held = held or PLAIN
        step, second, parts, targets = _nothing(shape), None, 1, 0
        how = machine or self.machine
        if plugin.method is not None:
            try:
                step, second, parts, targets = self._steps(spec, taught, held, way)
            except UserError:
                raise
            except Exception as error:  # whatever a model or a method does that needs the content of tensors
                unknown = f"what its lessons take ({said_of(error)})"
        elif plugin.elsewhere is not None and plugin.elsewhere.lessons is None:
            unknown = "what its lessons take (another program trains)"
        elif plugin.elsewhere is None and plugin.traits(config).trains != "none":
            unknown = "what its lessons take (it has no `method`)"
        if how.shard and not self._card:
            unknown = "; ".join(filter(None, [unknown, BEYOND]))
        work = Work(
            held=held,
            lessons=len(taught),
            parts=parts,
            vocabulary=4.0 * shape.vocabulary * targets,
            second=second,
            halves=spec.model.dtype != "float32" and step.trained > 0,
            stored=_stored(held, taught) + _scores(held, taught, shape),
            exams=self._exams(shape, exams, how),
            process=0.0 if self._card else resident() if self._process is None else self._process,
            ranks=how.processes,
            shard=how.shard,
            whole_in_loss=how.shard and _looks_at_weights(plugin, config),
        )
        found = add_up(step, shape.base_bytes, work)
        if plugin.from_state:  # a whole checkpoint; while a lesson is learnt, that before it and that after it
            found |= {"state": shape.base_bytes, "adds": shape.base_bytes, "checkpoint": 2.0 * shape.base_bytes}
        found["peak"] = max(found["peak"], work.process + (0 if self._card else shape.loaded_bytes))
        sizes: dict[str, Any] = {k: v if k == "per_weight" else round(v) for k, v in found.items()}
        sizes |= {"parameters": round(step.parameters), "trained": round(step.trained), "unknown": unknown}
        model = source.settled(spec.model)
        dtype = f"nf4, {model.dtype}" if model.quantised else model.dtype
        return Need(learner=spec.learner_label, model=model.name, dtype=dtype, **sizes)

    def _steps(
        self, spec: RunSpec, taught: Sequence[Lesson], held: Footprint, way: Way
    ) -> tuple[StepMemory, StepMemory | None, int, int]:
        """Return the step of the last lesson, that of old examples, the parts of a step, and its places with loss."""
        from clbench.training.step_memory import beyond

        plugin, config = open_learner(spec.learner)
        shape = self.shape(spec.model)
        make = _method(plugin, config)
        largest = shape.largest(taught, config, spec.seed, way, held.rows)
        step = shape.step(make, 1, largest.first, config, way)
        if len(taught) > 1 and shapes_the_net(make()):
            again = shape.step(make, 2, largest.first, config, way)
            step = beyond(step, again, len(taught) - 1)
        second = None
        if held.reference:
            old = shape.largest(taught, config, spec.seed, way, 0.0).first
            rows = min(round(held.reference * config.batch_size), way.micro_batch or 1 << 30)
            each = max(rows / old.rows, 1 / old.rows)
            second = _scaled(step, each)
        return step, second, largest.parts, largest.first.targets

    def _exams(self, shape: ModelShape, exams: Sequence[Exam], machine: Machine) -> float:
        """Return the bytes of keys and values of the largest batch of questions; 0 for an encoder, which keeps none."""
        from clbench.models.batching import MOST_CACHE, MOST_TOKENS

        if not shape.vocabulary:
            return 0.0
        each = cache_bytes(source.configuration(shape.spec), shape.spec.dtype)
        most = 0
        for exam in exams:
            read = shape.exam_tokens(exam.examples)
            written = exam.decode.max_tokens if exam.decode.kind != "label" else 0
            held = each * min(read + written, shape.spec.longest)
            rows = min(machine.exam_batch, len(exam.examples), MOST_TOKENS // read, MOST_CACHE // max(held, 1))
            most = max(most, max(rows, 1) * held)  # one goes even if it takes more
        return float(most)


def _need_of(written: bytes) -> Need:
    return Need(**json.loads(written))


def _scaled(step: StepMemory, by: float) -> StepMemory:
    """Return the pass of another number of rows: all but the copies of weights goes with them."""
    grown_by = {name: vars(step)[name] * by for name in ("activations", "logits", "last")}
    return type(step)(**{**vars(step), **grown_by})


def _nothing(shape: ModelShape) -> StepMemory:
    """Return the step of a learner that is not trained: the model alone."""
    from clbench.training.step_memory import StepMemory

    return StepMemory(weights=float(shape.base_bytes), parameters=float(shape.parameters))


def _method(plugin: LearnerPlugin[Any], config: Any) -> Callable[[], Any]:
    assert plugin.method is not None, "asked of learners that have one"
    made = plugin.method
    return lambda: new_method(made, config)


def _looks_at_weights(plugin: LearnerPlugin[Any], config: Any) -> bool:
    """Return whether a method's loss is its own: then shards are put together until the backward pass."""
    from clbench.training.method import Method

    return plugin.method is not None and type(_method(plugin, config)()).loss is not Method.loss


def _stored(held: Footprint, taught: Sequence[Lesson]) -> float:
    """Return the bytes of stored examples, as a budget counts them."""
    every = [example for lesson in taught for example in lesson.examples]
    if not held.examples or not every:
        return 0.0
    looked = every[:: max(len(every) // 100, 1)]
    return min(held.examples, len(every)) * sum(map(example_bytes, looked)) / len(looked)


def _scores(held: Footprint, taught: Sequence[Lesson], shape: ModelShape) -> float:
    """Return the bytes of what is kept for each token of the answers of stored examples."""
    each = held.per_place + held.per_word * shape.vocabulary
    if not held.examples or not each:
        return 0.0
    sizes = [answer for lesson in shape.sizes(taught) for _, answer in lesson]
    return each * min(held.examples, len(sizes)) * sum(sizes) / max(len(sizes), 1)


def resident() -> float:
    """Return the bytes that this process takes: a worker with the same libraries takes about as many.

    They are at least those of a process that has learnt: the model's own code, its tokenizer, and what optimisers and
    matrix products load come with the first model and the first lesson.
    """
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS:"):
                return max(int(line.split()[1]) * 1024.0, float(PROCESS))
    return float(PROCESS)


def beside_measured(run: Run, costs: Costs, machine: Machine) -> dict[str, Any]:
    """Return the memory that is planned for a run beside what it took; {} for a small model, and where none loads.

    Returns:
        "planned": a `Need`; "measured": bytes; "off": how much more is planned, as a share of what was measured.
    """
    if costs.unknown or absent(TO_LOAD) or source.weights_bytes(run.spec.model) < WORTH:
        return {}
    card = costs.device_memory_bytes > 0
    measured = costs.device_memory_bytes if card else costs.peak_memory_bytes
    try:
        need = Needs(machine, lambda _: (run.stream, run.exams), card, PROCESS).of(run.spec)
    except UserError as error:  # what is made is recorded, also where it cannot be planned any more
        return {"measured": measured, "unknown": error.what}
    off = round(need.peak / measured - 1, 3) if measured else None
    notice(f"{run.spec.name}: a peak of {need.peak / 1e9:.2f} GB is planned, and {measured / 1e9:.2f} GB were measured")
    planned = {name: value for name, value in need.as_dict().items() if name != "model"}  # it may be a private path
    return {"planned": planned, "measured": measured, "off": off}
