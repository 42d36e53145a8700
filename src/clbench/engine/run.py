"""The control path, of the command line and of Python. Read `_attempt` first: it shows how the parts fit together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml

from clbench.core.errors import BudgetError, ModelError, UserError
from clbench.core.events import notice
from clbench.core.keys import canonical
from clbench.core.matrix import Matrix
from clbench.core.results import Costs, ExamResult
from clbench.core.spec import Machine, Spending
from clbench.core.value import written
from clbench.data.streams.summary import stream_summary
from clbench.engine.ask import ask
from clbench.engine.costs import judged_of, measure_costs
from clbench.engine.executors.execute import execute
from clbench.engine.executors.executor import UNWATCHED, Watch
from clbench.engine.executors.ranks import check_ranks, together
from clbench.engine.fitting import fitting
from clbench.engine.grade import grade
from clbench.engine.inputs import Inputs
from clbench.engine.judge import judge_all
from clbench.engine.keep import drop_states
from clbench.engine.make_unit import is_made
from clbench.engine.memory import beside_measured
from clbench.engine.plan import plan
from clbench.engine.provenance import foreign, provenance, stages_of
from clbench.engine.recipe.recipe import Recipe
from clbench.engine.resolve import check_device
from clbench.engine.result_items import example_items, item_scores
from clbench.engine.serving import check_serving
from clbench.engine.spending import told_spending
from clbench.engine.units import Run, check_models, open_runs
from clbench.metrics import compute
from clbench.report.results import Runs
from clbench.store.origin import origin
from clbench.store.store import Store

OF_STAGES = ("made", "stages", "model", "git", "packages", "learner")  # of a provenance: stages alone determine them


def run(recipe: Recipe, store: Store, machine: Machine) -> Runs:
    """Make every run of a recipe, and record what came out; work that is in the store already is reused.

    Returns:
        The results, in the order of the recipe's runs.

    Raises:
        UserError: A run could not be made. The others are finished and recorded first.
    """
    outcomes = attempt(recipe, store, machine)
    if failed := next((one for one in outcomes if isinstance(one, UserError)), None):
        raise failed
    return Runs([one for one in outcomes if isinstance(one, Path)])


def attempt(recipe: Recipe, store: Store, machine: Machine, watch: Watch = UNWATCHED) -> list[Path | UserError]:
    """Make every run of a recipe as `run` does; `watch` looks on, and may stop the work between two units.

    Returns:
        For each run, in the recipe's order, its result folder, or why it could not be made.
    """
    check_device(machine)
    check_ranks(machine)
    if machine.spending is None:
        machine = machine.model_copy(update={"spending": Spending(name=recipe.name, session=token_hex(8))})
    if machine.processes > 1:  # all of them come here: rank 0 makes the runs, and the others do their part
        return together(lambda: _attempt(recipe, store, machine, watch), machine)
    return _attempt(recipe, store, machine, watch)


def _attempt(recipe: Recipe, store: Store, machine: Machine, watch: Watch) -> list[Path | UserError]:
    inputs = Inputs(machine.data)  # cards -> tasks, streams and exams, each read once
    broken: dict[str, UserError] = {}  # models that cannot be used: they end their own runs alone
    runs = open_runs(recipe.specs(broken), broken, inputs, store, machine)  # what cannot work is refused here
    runs = fitting(runs, store, inputs, machine)  # and what cannot fit
    units = plan(run for run in runs if isinstance(run, Run))  # what to learn and to ask, each once over all runs
    watch.planned([run for run in runs if isinstance(run, Run)], units)
    missing = [unit for unit in units if not is_made(unit, store, machine)]
    failed = check_models(missing)
    missing = [unit for unit in missing if unit.key not in failed]
    if missing:
        asked = [exam for unit in units for exam in unit.exams]
        machine = check_serving([run.trajectory for run in runs if isinstance(run, Run)], asked, machine)
    failed |= execute(missing, machine, inputs, watch)  # each by `make_unit`: learn what is missing, ask its exams
    outcomes = [run if isinstance(run, UserError) else _outcome(run, failed, store, machine) for run in runs]
    outcomes = told_spending(outcomes, machine)
    drop_states(runs, outcomes, store, machine.keep)
    _tell_foreign(Runs([one for one in outcomes if isinstance(one, Path)]))
    return outcomes


def _outcome(run: Run, failed: Mapping[str, UserError], store: Store, machine: Machine) -> Path | UserError:
    why = next((failed[key] for key in run.trajectory.keys if key in failed), None)
    if why is not None:
        return why
    try:
        return record(run, store, machine)
    except (BudgetError, ModelError) as error:  # of a judge that does not answer: the other runs are recorded
        return error


def record(run: Run, store: Store, machine: Machine) -> Path:
    """Grade what a run's learner answered after every lesson, and write down what came out.

    Returns:
        The result folder: spec.yaml, stream.json, matrix.json, items.json, examples.json, scores.json, costs.json,
        provenance.json.
    """
    matrix, results = Matrix.blank(len(run.stream) + 1, run.exams), list[ExamResult]()
    judge = judge_all(run.spec.judge, machine, store)
    for lesson, column, exam in run.due_cells:  # row 0: before any lesson; on long streams not every cell is due
        asked = ask(run.trajectory, lesson, exam, store)  # a unit has asked it: the store holds the answers
        result = grade(asked, store, judge)
        matrix = matrix.with_cell(column, result)
        results.append(result)
    costs = measure_costs(run.trajectory, results)
    scores = compute(run.spec.metrics, matrix, costs, references={})  # figures that need other runs: in reports
    files = _figures(run, matrix, costs, scores) | {
        "items.json": item_scores(results),
        "examples.json": example_items(results),
        "provenance.json": _provenance(run, results, costs, machine),
    }
    return store.write_run(run.spec.name, run.spec.key, {name: _text(value) for name, value in files.items()})


def _figures(run: Run, matrix: Matrix, costs: Costs, scores: Mapping[str, float]) -> dict[str, object]:
    return {
        "spec.yaml": yaml.safe_dump(written(run.spec), sort_keys=False, allow_unicode=True),
        "stream.json": stream_summary(run.stream),
        "matrix.json": matrix.to_json(),
        "scores.json": {name: None if math.isnan(value) else value for name, value in scores.items()},
        "costs.json": costs.record(),
    }


def _provenance(run: Run, results: Sequence[ExamResult], costs: Costs, machine: Machine) -> Mapping[str, Any]:
    """Return the provenance on file if the same stages made it, so that running a spec again changes no record."""
    trajectory, store = run.trajectory, run.trajectory.store
    found = provenance(machine, run.spec.model, stages_of(trajectory, results)) | {"learner": trajectory.traits}
    if judged := judged_of(run.spec.judge, results, store):
        found["judge"] = judged
    try:
        kept = json.loads(store.run_file(run.spec.name, run.spec.key, "provenance.json") or "{}")
    except (ValueError, RecursionError):  # damaged: it is written anew
        kept = {}
    if isinstance(kept, dict) and all(kept.get(part) == found[part] for part in OF_STAGES):
        return kept
    memory = beside_measured(run, costs, machine)
    return found | ({"memory": memory} if memory else {})


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical(value)


def _tell_foreign(results: Runs) -> None:
    """Say once if stages were made by another version of the code: they were taken as they are."""
    made_by = [
        json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["stages"] for folder in results.folders
    ]
    if others := sum(foreign(stages, origin()) for stages in made_by):
        whole = sum(each["made"] for stages in made_by for each in stages)
        notice(
            f"{others} of {whole} stages of these results were made by another version of clbench, of its packages or "
            "of your checkout than runs now; they were taken as they are (a new --store makes them anew)"
        )
