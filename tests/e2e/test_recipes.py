"""Every scenario recipe, in a small form: few examples and questions, one pass; real data and worlds."""

from pathlib import Path

import pytest
import yaml

from clbench.core.spec import Machine
from clbench.data.card import CARDS, WorldSource, load_task_card
from clbench.data.streamcard import load_stream_card
from clbench.engine.grid import load_grid, run_grid
from clbench.report.gather import load_runs
from clbench.store.store import Store

ROOT = Path(__file__).parents[2]
SCENARIOS = ("til", "dil", "cil", "mixed")
SMALL = ("training.epochs=1", "training.batch_size=32", "budget={items: 4, policy: seen}")


def small_run(name, tmp_path, data):
    shipped = yaml.safe_load((CARDS / "streams" / f"{name}.yaml").read_text())
    card = tmp_path / "small.yaml"
    card.write_text(yaml.safe_dump({**shipped, "name": "small", "labels_per_task": 30}))
    grid = load_grid(ROOT / "recipes" / f"{name}.yaml", [*SMALL, f"stream={card}"])
    machine = Machine(store=tmp_path / "store", data=data, device="cpu")
    return load_runs(run_grid(grid, Store(machine.store), machine))


def check(runs, axes):
    assert [run.spec.learner_name for run in runs] == ["sft", "replay"]
    moved = {axis for each in runs[0].outline.rounds for axis in each.moved}
    assert moved == axes
    for run in runs:
        own = run.matrix.select("own")
        assert run.matrix.num_lessons == len(run.outline.rounds)
        assert len(own) == len(run.outline.tasks)
        assert (run.matrix.n[-1, list(own)] == 4).all()
        # What sft keeps is the rows that new labels added to its head, and no data.
        assert run.meters.kept_bytes == run.meters.added_bytes or run.spec.learner_name == "replay"


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
    from clbench.data.stream import open_stream

    stream = open_stream("cil", data_root)
    assert [len(each.new_labels["clinc150"]) for each in stream.rounds] == [15] * 10


def test_worlds_recipes_need_no_data():
    for name in SCENARIOS:
        card = load_stream_card(f"{name}-worlds")
        assert all(isinstance(load_task_card(task).source, WorldSource) for task in card.tasks)
