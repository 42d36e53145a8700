"""Every scenario recipe, in a small form: few examples and questions, one pass; real data and worlds."""

import pytest
import yaml

from clbench.core.spec import Machine
from clbench.data.streams.card import load_stream_card
from clbench.data.tasks.card import CARDS, WorldSource, load_task_card
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import run as run_recipe
from clbench.report.runs.load import load_runs
from clbench.store.store import Store
from tests.builders.places import ROOT

SCENARIOS = ("til", "dil", "cil", "mixed")
SMALL = (
    "training.epochs=1",
    "training.batch_size=32",
    "budget={items: 4, policy: seen}",
    "axes={learner: [sft, {name: replay, memory: 60}]}",
)


def small_run(name, tmp_path, data):
    shipped = yaml.safe_load((CARDS / "streams" / f"{name}.yaml").read_text())
    card = tmp_path / "small.yaml"
    card.write_text(yaml.safe_dump({**shipped, "name": "small", "labels_per_task": 30}))
    recipe = load_recipe(ROOT / "src" / "clbench" / "cards" / "recipes" / f"{name}.yaml", [*SMALL, f"stream={card}"])
    machine = Machine(store=tmp_path / "store", data=data, device="cpu")
    return load_runs(run_recipe(recipe, Store(machine.store), machine).folders)


def check(runs, axes):
    assert [run.spec.learner_name for run in runs] == ["sft", "replay"]
    moved = {axis for each in runs[0].stream.lessons for axis in each.moved}
    assert moved == axes
    for run in runs:
        own = run.matrix.select("task")
        assert run.matrix.num_lessons == len(run.stream.lessons)
        assert len(own) == len(run.stream.tasks)
        assert (run.matrix.n[-1, list(own)] == 4).all()
        # What sft keeps is the rows that new labels added to its head, and no data.
        assert run.costs.kept_bytes == run.costs.added_bytes or run.spec.learner_name == "replay"


AXES = {"til": {"task", "domain"}, "dil": {"domain"}, "cil": {"class"}, "mixed": {"task", "domain", "class"}}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_on_real_data(name, tmp_path, data_root):
    check(small_run(name, tmp_path, data_root), AXES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_on_worlds(name, tmp_path):
    check(small_run(f"{name}-worlds", tmp_path, None), AXES[name])


def test_class_increments_of_clinc150_are_ten_of_fifteen(data_root):
    from clbench.data.streams.stream import open_stream

    stream = open_stream("cil", data_root)
    assert [len(each.new_labels["clinc150"]) for each in stream.plans] == [15] * 10


def test_worlds_recipes_need_no_data():
    for name in SCENARIOS:
        card = load_stream_card(f"{name}-worlds")
        assert all(isinstance(load_task_card(task).source, WorldSource) for task in card.tasks)
