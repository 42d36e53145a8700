"""Units as orders: small enough for a queue, and filled by a worker that has nothing but the store and the cards."""

import pickle

import pytest

from clbench.core.spec import Machine
from clbench.engine.executors.orders import absolute, filled, order_of
from clbench.engine.inputs import Inputs
from clbench.engine.plan import plan
from clbench.engine.recipe.recipe import Recipe
from clbench.engine.run import run
from clbench.engine.units import open_runs
from clbench.store.store import Store
from tests.builders.contents import content_digest

FIELDS = {
    "name": "o",
    "model": {"name": "tiny-llama"},
    "stream": "worlds-tiny",
    "training": {"lr": 1e-3, "epochs": 1, "batch_size": 8},
    "budget": {"policy": "every", "every": 3, "items": 3},
    "axes": {"learner": ["sft", "replay"]},
}


@pytest.mark.models
@pytest.mark.slow
def test_orders_that_are_filled_make_what_a_run_makes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where `filled` goes, and stays
    recipe = Recipe.model_validate(FIELDS)
    machine = absolute(Machine(store=tmp_path / "orders", device="cpu", workers=4))
    store = Store(machine.store)
    units = plan(open_runs(recipe.specs(), {}, Inputs(None), store, machine))
    orders = [pickle.loads(pickle.dumps(order_of(unit))) for unit in units]
    made, told = filled(orders, machine, str(tmp_path))
    assert [one.key for one in made] == [unit.key for unit in units]
    assert all(one.error is None for one in made) and told == []
    whole = Machine(store=tmp_path / "whole", device="cpu")
    results = run(recipe, Store(whole.store), whole).folders
    found = run(recipe, store, machine).folders
    for ours, theirs in zip(found, results, strict=True):
        assert (ours / "matrix.json").read_bytes() == (theirs / "matrix.json").read_bytes()
    assert content_digest(store) == content_digest(Store(whole.store))


def test_an_order_is_small_and_a_worker_with_other_cards_says_so(tmp_path):
    recipe = Recipe.model_validate(FIELDS)
    machine = absolute(Machine(store=tmp_path, device="cpu"))
    units = plan(open_runs(recipe.specs(), {}, Inputs(None), Store(tmp_path), machine))
    asked = next(unit for unit in units if unit.exams)
    order = order_of(asked)
    assert len(pickle.dumps(order)) < len(pickle.dumps(asked)) / 2
    from dataclasses import replace

    from clbench.engine.executors.orders import _unit
    from clbench.engine.make_unit import Workplace

    workplace = Workplace(machine)
    assert [exam.digest for exam in _unit(order, workplace).exams] == list(order.exams)
    with pytest.raises(Exception, match="other cards or data"):
        _unit(replace(order, exams=("0" * 32,)), workplace)


def test_paths_mean_the_same_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = absolute(Machine(store="s", data="d", workers=7))
    assert (found.store, found.data, found.workers) == (tmp_path / "s", tmp_path / "d", 1)
