"""What a grid is planned to take: counts by hand, savings one by one, limits that hold."""

import itertools

import pytest
import yaml

from clbench.core.spec import Machine
from clbench.engine.grid_plan import Budget, beyond_budget, num_shared, plan_grid
from clbench.engine.inputs import Inputs
from clbench.engine.plan import plan
from clbench.engine.recipe.recipe import Recipe
from clbench.engine.units import open_runs
from clbench.store.store import Store

TASKS = [
    *("world2_facts_en", "world2_rules_zh", "world2_laws_en", "world2_facts_zh", "world2_rules_en"),
    "world2_second_laws_en",
]
ORDERS = ([0, 1, 2, 3, 4, 5], [0, 1, 3, 2, 5, 4], [0, 1, 5, 4, 3, 2])  # all three begin with the same two tasks
LIKE_SFT = ["replay", "selective_replay", "derpp", "agem", "ewc", "mas", "lwf"]  # their first lesson is that of sft
SEEDS = [0, 1, 2]


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """Give a grid of eight methods, three orders of six tasks and three seeds."""
    monkeypatch.chdir(tmp_path)
    streams = []
    for number, order in enumerate(ORDERS):
        card = {"name": f"order-{number}", "tasks": [TASKS[place] for place in order], "labels_per_task": 8}
        about = {"license": "Apache-2.0", "text": "six tasks"}
        (tmp_path / f"order-{number}.yaml").write_text(yaml.safe_dump({**card, "task_ids": "given", "about": about}))
        streams.append(f"order-{number}.yaml")
    axes = {"stream": streams, "learner": ["sft", *LIKE_SFT], "seed": SEEDS}
    fields = {"name": "g", "model": {"name": "tiny-llama-2"}, "stream": streams[0], "axes": axes}
    training = {"epochs": 2, "batch_size": 8}
    return Recipe.model_validate({**fields, "training": training, "budget": {"policy": "seen", "items": 3}})


def planned(recipe, tmp_path):
    machine = Machine(store=tmp_path / "store", device="cpu", workers=2)
    return plan_grid(recipe.specs(), Store(machine.store), machine, {})


def test_work_that_is_shared_is_counted_once_as_by_hand(grid, tmp_path):
    found = planned(grid, tmp_path)
    methods, seeds, num = 1 + len(LIKE_SFT), len(SEEDS), len(TASKS)
    apart = methods * len(ORDERS) * num * seeds
    prefixes = {tuple(order[: lesson + 1]) for order in ORDERS for lesson in range(num)}  # lessons that differ
    adopted = len(LIKE_SFT) * len({order[0] for order in ORDERS}) * seeds
    together = methods * len(prefixes) * seeds - adopted
    assert (found.runs, found.lessons_apart, found.lessons) == (72, apart, together) == (72, 432, 315)
    assert 1 - found.lessons / found.lessons_apart > 0.25
    assert 1 - found.walked / found.walked_apart > 0.25
    each = 8 * 2  # examples of a lesson, walked twice
    assert (found.walked_apart, found.walked) == (apart * each, together * each)
    named = {saving.what: saving for saving in found.savings}
    assert (named["prefix"].apart, named["prefix"].together) == (apart, methods * len(prefixes) * seeds)
    assert (named["first_lesson"].apart, named["first_lesson"].together) == (adopted, 0)
    assert (named["untouched"].apart, named["untouched"].together) == (72 * num, num)
    assert named["prefix"].examples + named["first_lesson"].examples == found.walked_apart - found.walked
    assert (named["streams"].apart, named["streams"].together) == (72, 3)
    asked = sum(min(lesson, num) for lesson in range(1, num + 1)) + num
    # In the row of a lesson the tasks that were taught are asked; the last row asks all.
    assert found.exams_apart == 72 * asked


def test_units_are_what_is_made(grid, tmp_path):
    machine = Machine(store=tmp_path / "store", device="cpu")
    runs = open_runs(grid.specs(), {}, Inputs(None), Store(machine.store), machine)
    units = plan(runs)
    found = planned(grid, tmp_path)
    assert found.units == len(units) == 315 + 21 + 1  # lessons, first lessons that are taken over, the untouched model
    assert len({unit.key for unit in units}) == len(units)
    assert sum(unit.adopts for unit in units) == 21
    assert num_shared(runs, units) == 72 * 7 - len(units)
    for unit in units:  # a worker that has the specs alone finds the exams of a unit again
        told = {
            exam.digest
            for spec, lesson in unit.askers
            for run in runs
            if run.spec == spec
            for row, _, exam in run.due_cells
            if row == lesson
        }
        assert {exam.digest for exam in unit.exams} <= told


def test_nothing_is_known_of_the_time_of_an_empty_store(grid, tmp_path):
    found = planned(grid, tmp_path)
    assert (found.hours, found.seconds, found.critical_hours, found.source) == (None, None, None, "")
    assert found.in_store == 0
    assert beyond_budget(found, Budget(hours=5)) == [("hours", None, 5)], "a limit that nothing is held against is none"


@pytest.mark.models
@pytest.mark.parametrize(("budget", "over"), [
    (Budget(), []),
    (Budget(disk=1), ["disk"]),
    (Budget(disk=10**15), []),
    (Budget(money=0.0), []),  # nobody is asked behind an API
])  # fmt: skip
def test_limits(grid, tmp_path, budget, over):
    assert [name for name, _, _ in beyond_budget(planned(grid, tmp_path), budget)] == over


def test_points_that_are_left_out_cost_nothing(grid, tmp_path):
    some = grid.model_copy(update={"exclude": ({"learner": LIKE_SFT},)})
    found = planned(some, tmp_path)
    lessons = {tuple(order[: n + 1]) for order, n in itertools.product(ORDERS, range(6))}
    assert (found.runs, found.lessons) == (9, 3 * len(lessons))
    assert all(saving.what != "first_lesson" for saving in found.savings)
