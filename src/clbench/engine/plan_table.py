"""What a grid would make and what is there, with time and disk, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clbench.core.errors import UserError
from clbench.core.extras import TO_LOAD, absent
from clbench.core.keys import canonical
from clbench.core.spec import Machine, RunSpec
from clbench.core.wording import padded, tr
from clbench.engine.fit import Fit, fit
from clbench.engine.inputs import Inputs
from clbench.engine.make_unit import answers_missing
from clbench.engine.memory import Needs
from clbench.engine.plan import plan
from clbench.engine.plan_spending import Expected, expected, spent_before
from clbench.engine.resolve import check_model, model_key
from clbench.engine.units import Run, Unit, open_runs
from clbench.models import source
from clbench.store.index import Index
from clbench.store.store import Store


@dataclass(frozen=True)
class Line:
    """One unit of the plan.

    Attributes:
        unit: What it is.
        state: "have" or "need"; "none" for the untouched model, which is not stored.
        asks_have, asks_need: Exams already answered, and to be asked.
        seconds: Estimated, None where nothing like it has been made in this store.
        bytes: Estimated disk of the state.
    """

    unit: str
    state: str
    asks_have: int
    asks_need: int
    seconds: float | None
    bytes: int


@dataclass(frozen=True)
class Plan:
    """The lines of a plan, and how many runs share them.

    Attributes:
        broken: Models that cannot be used, as their names and why; their runs have no lines.
        fit: What the runs need beside what is there; None where no model can be looked at.
        asked: What models behind APIs are expected to take.
        spent: What commands before have spent on them, in words.
    """

    runs: int
    lines: tuple[Line, ...]
    workers: int
    broken: tuple[tuple[str, str], ...] = ()
    fit: Fit | None = None
    asked: tuple[Expected, ...] = ()
    spent: str = ""

    @property
    def untimed(self) -> bool:
        """Whether the time of a unit that is to be made is not known."""
        return any(line.seconds is None for line in self.lines if line.state == "need" or line.asks_need)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        memory = None if self.fit is None else self.fit.as_dict()
        lines = [asdict(line) for line in self.lines]
        rest = {"workers": self.workers, "broken": self.broken, "memory": memory}
        asked = {"replies": [asdict(one) for one in self.asked], "spent": self.spent} if self.asked else {}
        return {"runs": self.runs, "lines": lines, **rest, **asked}

    def as_text(self) -> str:
        """Return the plan as a table and a sum."""
        width = max(len(line.unit) for line in self.lines)
        rows = [tr("{unit}  state  exams have/need  est. s   est. MB", unit=padded(tr("unit"), width))]
        for line in self.lines:
            seconds = "?" if line.seconds is None else f"{line.seconds:.1f}"
            asks = f"{line.asks_have}/{line.asks_need}"
            rows.append(f"{line.unit:<{width}}  {line.state:<5}  {asks:>15}  {seconds:>6}  {line.bytes / 1e6:>8.1f}")
        need = [line for line in self.lines if line.state == "need" or line.asks_need]
        known = [line.seconds for line in need if line.seconds is not None]
        seconds = f"{sum(known) / self.workers:.0f}"
        time = tr(
            "about {seconds} s with {workers} workers" if known else "time unknown",
            seconds=seconds,
            workers=self.workers,
        )
        if len(known) < len(need):
            time += tr(" ({num} units of unknown time)", num=len(need) - len(known))
        counts = {"runs": self.runs, "units": len(self.lines), "need": len(need)}
        text = "{runs} runs, {units} units, {need} to be made: {time}, {size} MB"
        rows.append(tr(text, time=time, size=f"{sum(line.bytes for line in need) / 1e6:.0f}", **counts))
        rows += [] if self.fit is None else ["", self.fit.as_text()]
        rows += [""] * bool(self.asked) + [one.text for one in self.asked]
        if self.asked and any(one.usd is None for one in self.asked):
            rows.append(tr("no prices of all of them: name a file with --prices for money"))
        return "\n".join([*rows, *([tr("spent so far: {what}", what=self.spent)] if self.spent else [])])


def tabulate(
    specs: Sequence[RunSpec],
    store: Store,
    machine: Machine,
    broken: Mapping[str, UserError] | None = None,
    *,
    probe: bool = False,
) -> Plan:
    """Plan runs: keys are computed, and models are built without their weights.

    Args:
        specs: The runs.
        store: Where they are kept.
        machine: What they run on.
        broken: Models that are known not to work, `resolve.model_key` -> why.
        probe: Whether each learner learns some steps, so that time is known where the store has no record.

    Raises:
        UserError: No model works; or a run asks for what its learner or its model cannot do.
    """
    runs, inputs, names = open_planned(specs, store, machine, broken or {})
    lines, found = _lines(runs, inputs, store, machine, probe)
    asked = tuple(expected(runs, plan(runs), store, machine))
    return Plan(len(runs), lines, machine.workers, names, found, asked, spent_before(machine))


def open_planned(
    specs: Sequence[RunSpec], store: Store, machine: Machine, broken: Mapping[str, UserError]
) -> tuple[list[Run], Inputs, tuple[tuple[str, str], ...]]:
    """Open runs to be planned, those of models that cannot be used left out; see `tabulate`.

    Returns:
        The runs; the inputs that were read for them; models that cannot be used, as their names and why.
    """
    why = dict(broken)
    models = {model_key(spec.model): spec.model for spec in specs}
    for key, model in models.items():
        try:
            if key not in why:
                check_model(model, tell=True)
        except UserError as error:
            why[key] = error
    inputs = Inputs(machine.data)
    empty = not store.folder.is_dir() or next(store.stages(), None) is None
    identity = source.unread_identity if empty else source.identity  # where nothing is stored, nothing is looked up
    runs = open_runs(specs, why, inputs, store, machine, identity)
    names = tuple((models[key].name, str(e)) for key, e in why.items())
    return [run for run in runs if isinstance(run, Run)], inputs, names


def needs_of(
    runs: Sequence[Run], units: Sequence[Unit], made: Mapping[str, int | None], inputs: Inputs, machine: Machine
) -> tuple[Fit | None, Needs | None]:
    """Return what runs need beside what is there, and what makes it; None where no model can be looked at.

    Args:
        runs: The runs.
        units: Theirs.
        made: Key of a unit -> what `answers_missing` says of it.
        inputs: Streams and exams that have been read.
        machine: What they run on.
    """
    states = [u.spec for u in units if made[u.key] is None and u.weight and u.spec.model.provider is None]
    here = [run.spec for run in runs if run.spec.model.provider is None]  # of others nothing is here
    return (None, None) if absent(TO_LOAD) or not here else fit(here, states, inputs, machine)


def _lines(
    runs: Sequence[Run], inputs: Inputs, store: Store, machine: Machine, probe: bool
) -> tuple[tuple[Line, ...], Fit | None]:
    units = plan(runs)
    made = {unit.key: answers_missing(unit, store, machine) for unit in units}
    here = [run.spec for run in runs if run.spec.model.provider is None]
    found, needs = needs_of(runs, units, made, inputs, machine)
    usual, probed = rates(units, store), probed_times(here, machine, inputs) if probe else {}
    lines: list[Line] = []
    for unit in units:
        weighed = needs if unit.spec.model.provider is None else None
        size = source.weights_bytes(unit.spec.model) if weighed is None else weighed.of(unit.spec).adds
        lines.append(_line(unit, made[unit.key], probed.get(_who(unit.spec), usual), size))
    return tuple(lines), found


def probed_times(specs: Sequence[RunSpec], machine: Machine, inputs: Inputs) -> dict[str, tuple[float, float]]:
    """Return the seconds for an example and for an exam, by model and learner."""
    from clbench.engine.probe_time import took

    first = {_who(spec): spec for spec in reversed(specs)}
    found = {who: took(spec, machine, inputs) for who, spec in first.items()}
    return {who: seconds for who, seconds in found.items() if seconds is not None}


def _who(spec: RunSpec) -> str:
    return canonical([spec.model, spec.learner])


def _line(unit: Unit, missing: int | None, took: tuple[float | None, float | None], size: int) -> Line:
    rate, ask_s = took
    need = len(unit.exams) if missing is None else missing
    have = len(unit.exams) - need
    state = "have" if missing is not None else "need" if unit.weight else "none"
    parts = [0.0 if state != "need" else None if rate is None else rate * unit.weight]
    parts.append(0.0 if not need else None if ask_s is None else ask_s * need)
    seconds = None if any(p is None for p in parts) else sum(p for p in parts if p is not None)
    return Line(unit.label, state, have, need, seconds, size if state == "need" else 0)


def rates(units: Sequence[Unit], store: Store) -> tuple[float | None, float | None]:
    """Return seconds per example walked, and per exam, from stages of the same kind in this store."""
    if not store.folder.is_dir():
        return None, None
    asks = [row.wall_s for row in Index(store).rows("ask")]
    walked = [
        (stage["meter"]["wall_s"], u.weight) for u in units if (stage := store.stage("state", u.key)) and u.weight
    ]
    rate = sum(s for s, _ in walked) / sum(w for _, w in walked) if walked else None
    return rate, sum(asks) / len(asks) if asks else None
