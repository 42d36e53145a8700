"""Units of a plan bear names that tell them apart."""

from clbench.core.spec import Machine
from clbench.engine.inputs import Inputs
from clbench.engine.plan import plan
from clbench.engine.recipe.recipe import Recipe
from clbench.engine.units import Run, open_runs
from clbench.store.store import Store


def labels(tmp_path, **fields):
    base = {"name": "p", "model": {"name": "tiny-llama"}, "stream": "worlds-tiny", "training": {"epochs": 1}}
    specs = Recipe.model_validate(base | fields).specs()
    machine = Machine(store=tmp_path, device="cpu")
    runs = open_runs(specs, {}, Inputs(machine.data), Store(tmp_path), machine)
    return [unit.label for unit in plan([run for run in runs if isinstance(run, Run)])]


def test_units_that_differ_say_in_what(tmp_path):
    learners = [{"name": "sft", "lr": 1e-3}, {"name": "sft", "lr": 1e-4}, "frozen"]
    found = labels(tmp_path, axes={"learner": learners, "seed": [0, 1]})
    assert len(set(found)) == len(found)
    assert found.count("untouched model") == 1
    assert "sft lesson 2 lr=0.001 seed 0" in found
    assert "sft lesson 2 lr=0.0001 seed 1" in found


def test_units_that_stand_alone_bear_the_plain_name(tmp_path):
    assert labels(tmp_path, learner="sft") == [
        "untouched model",
        "sft lesson 1",
        "sft lesson 2",
        "sft lesson 3",
    ]


def test_units_on_one_model_taken_in_two_ways_say_how(tmp_path):
    found = labels(tmp_path, learner="frozen", axes={"model.dtype": ["float32", "bfloat16"], "model.max_tokens": [64]})
    assert {"untouched model dtype=float32", "untouched model dtype=bfloat16"} <= set(found)
    found = labels(tmp_path, learner="frozen", axes={"model.attention": ["eager", None]})
    assert {"untouched model attention=eager", "frozen lesson 3 attention=null"} <= set(found)
    assert len(set(found)) == len(found)
