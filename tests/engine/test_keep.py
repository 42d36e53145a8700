"""Which states stay once runs are complete, and what is said and learnt again when one that went is needed."""

import pytest

from clbench.core.errors import LessonError
from clbench.core.events import notice_listener
from clbench.core.spec import Machine
from clbench.engine import run as engine
from clbench.engine.inputs import Inputs
from clbench.engine.recipe.recipe import Recipe
from clbench.engine.units import open_run
from clbench.store.store import Store

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("runs")]
TRAINING = {"lr": 1e-3, "epochs": 1, "batch_size": 8}


@pytest.fixture
def said():
    heard = []
    token = notice_listener.set(heard.append)
    yield heard
    notice_listener.reset(token)


def made(folder, keep, learners=("sft", "replay")):
    """Run learners over three lessons; give the recipe's runs."""
    recipe = Recipe(
        name="kept",
        axes={"learner": [{"name": name} for name in learners]},
        training=TRAINING,
        stream="worlds-tiny",
        budget={"policy": "seen", "items": 2},
    )
    machine = Machine(store=folder, device="cpu", keep=keep)
    engine.run(recipe, Store(folder), machine)
    return [open_run(spec, Inputs(None), Store(folder), machine) for spec in recipe.specs()]


def there(folder, runs):
    """Give, for each run, the lessons whose states are in the store."""
    store = Store(folder)
    return [[i for i, key in enumerate(run.trajectory.keys) if store.find("state", key)] for run in runs]


@pytest.mark.parametrize(("keep", "stay"), [("all", [[1, 2, 3]] * 2), ("last", [[3]] * 2), ("branch", [[1, 3], [3]])])
def test_what_stays(tmp_path, said, keep, stay):
    """Replay takes its first lesson from sft, whose own chain goes on from it too."""
    runs = made(tmp_path, keep)
    assert there(tmp_path, runs) == stay
    gone = 6 - sum(map(len, stay))
    assert sum(f"--keep {keep}: {gone} states of earlier lessons are removed" in text for text in said) == (gone > 0)
    said.clear()
    assert there(tmp_path, made(tmp_path, keep)) == stay  # the same command makes nothing
    assert not any("learnt again" in text for text in said)


def test_a_state_that_is_gone_is_learnt_again_and_that_is_said(tmp_path, said):
    (run,) = made(tmp_path, "last", ("sft",))
    before = run.trajectory.reach(2)
    said.clear()
    run.trajectory.learner_after(2)
    (told,) = said
    assert told.startswith("sft: the state after lesson 2 is no longer in the store (--keep, or `clbench store gc`)")
    assert told.endswith("lessons 1 to 2 are learnt again")
    assert there(tmp_path, [run]) == [[1, 2, 3]]
    assert run.trajectory.reach(2) == before


def test_states_of_other_runs_stay(tmp_path):
    others = made(tmp_path, "all", ("lora",))
    made(tmp_path, "last", ("sft",))
    assert there(tmp_path, others) == [[1, 2, 3]]


def test_states_of_a_run_that_could_not_be_made_stay(tmp_path, monkeypatch):
    from clbench.learners.replay import Replay

    def breaks(self, *args):
        raise LessonError("broken", where="here")

    monkeypatch.setattr(Replay, "compose_batch", breaks)
    with pytest.raises(LessonError):
        made(tmp_path, "last")
    monkeypatch.undo()
    store = Store(tmp_path)
    states = [store.stage(kind, key)["why"] for kind, key, _ in store.stages() if kind == "state"]
    assert sorted((why["learner"], why["step"]) for why in states) == [("replay", 1), ("sft", 1), ("sft", 3)]
    assert there(tmp_path, made(tmp_path, "last")) == [[3], [3]]
