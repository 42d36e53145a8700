"""Cut runs into units that several processes can make side by side: one unit is one state and its exams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clbench.core.errors import UserError
from clbench.core.events import notice
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Exam, Stream
from clbench.engine.ask import due_cells
from clbench.engine.by_api import check_provider
from clbench.engine.grade import check_scorers
from clbench.engine.inputs import Inputs
from clbench.engine.judge import check_judge, with_judge
from clbench.engine.resolve import check_abilities, check_learner, check_model, check_shards, model_key
from clbench.engine.trajectory import Trajectory
from clbench.models import source
from clbench.store.store import Store


@dataclass
class Unit:
    """One state K_t, and the exams due after it. Runs that share the state share the unit.

    Attributes:
        key: The state's key.
        spec: A run that it belongs to.
        lesson: A row of that run's matrix in which it stands.
        label: For people.
        needs: Key of the unit that must be made before, or None.
        weight: Examples to be trained on, as a measure of its time.
        answerer: Digest of who answers its exams; empty where it is the net alone.
        exams: Exams to be asked.
        adopts: Whether its lesson is taken over from the unit that it needs, which another learner has made.
        askers: The runs that these come from, each with the row in which it asks them.
    """

    key: str
    spec: RunSpec
    lesson: int
    label: str
    needs: str | None
    weight: int
    answerer: str = ""
    exams: tuple[Exam, ...] = field(default=(), repr=False)
    adopts: bool = False
    askers: tuple[tuple[RunSpec, int], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Run:
    """A run before anything of it is made.

    Attributes:
        spec: What is run; the model's own length is written in it.
        stream: What is taught.
        exams: What is asked: the columns of the matrix.
        trajectory: The learner on its way; keys are known, nothing is loaded.
    """

    spec: RunSpec
    stream: Stream
    exams: tuple[Exam, ...]
    trajectory: Trajectory

    @property
    def due_cells(self) -> Iterator[tuple[int, int, Exam]]:
        """The cells of its matrix that are due, as (lesson, column, exam as it is asked then)."""
        return due_cells(self.exams, len(self.stream), self.spec.budget)


def open_runs(
    specs: Sequence[RunSpec],
    broken: Mapping[str, UserError],
    inputs: Inputs,
    store: Store,
    machine: Machine,
    identity: Callable[[ModelSpec], str] = source.identity,
) -> list[Run | UserError]:
    """Open runs in their order; give in the place of one whose model is broken why it is.

    Args:
        specs: The runs.
        broken: Models that cannot be used, `resolve.model_key` -> why.
        inputs: What they are about.
        store: Where they are kept.
        machine: What they run on.
        identity: See `open_run`.

    Raises:
        UserError: All models are broken; or a run asks for what its learner or its model cannot do.
    """
    found = [broken.get(model_key(spec.model)) or open_run(spec, inputs, store, machine, identity) for spec in specs]
    if found and all(isinstance(one, UserError) for one in found):
        raise next(iter(broken.values()))
    return found


def check_models(units: Iterable[Unit]) -> dict[str, UserError]:
    """Return the units whose model its files show not to work, and why, where there are several models.

    A single one is seen when it is loaded, at once.
    """
    units = list(units)
    models = {model_key(unit.spec.model): unit.spec.model for unit in units}
    broken: dict[str, UserError] = {}
    for key, model in models.items() if len(models) > 1 else ():
        try:
            check_model(model)
        except UserError as error:
            broken[key] = error
            notice(f"{model.name} cannot be used, and the other models go on: {error.what}")
    return {unit.key: broken[key] for unit in units if (key := model_key(unit.spec.model)) in broken}


def open_run(
    spec: RunSpec,
    inputs: Inputs,
    store: Store,
    machine: Machine,
    identity: Callable[[ModelSpec], str] = source.identity,
) -> Run:
    """Open what a run is about, and refuse what its learner or its model cannot do.

    Args:
        spec: The run.
        inputs: Streams and exams that have been read.
        store: Where its states lie.
        machine: How it is made.
        identity: The digest of a base model; a plan over an empty store need not read its weights.
    """
    stream, exams = inputs.of(spec)
    check_judge(spec.judge, exams, machine)
    exams = with_judge(exams, spec.judge)
    check_learner(spec, stream)
    check_provider(spec, machine)
    check_shards(spec, machine)
    check_abilities(spec, exams)
    check_scorers(exams)
    trajectory = Trajectory(spec, stream, store, machine, identity)
    return Run(trajectory.spec, stream, exams, trajectory)
