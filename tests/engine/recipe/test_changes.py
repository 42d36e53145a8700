"""`--set`: every change takes effect or is refused, also where an axis varies what it changes."""

import pytest

from clbench.core import events
from clbench.core.errors import SpecError
from clbench.engine.recipe.recipe import load_recipe
from tests.builders.places import RECIPES

RECIPE = """name: mine
stream: worlds-tiny
training: {epochs: 1}
axes:
  learner: [sft, {name: replay, memory: 50}]
  seed: [0, 1]
"""


@pytest.fixture
def specs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(*sets, text=RECIPE):
        (tmp_path / "mine.yaml").write_text(text)
        return load_recipe("mine.yaml", sets).specs()

    return made


@pytest.fixture
def noted():
    heard = []
    token = events.notice_listener.set(heard.append)
    yield heard
    events.notice_listener.reset(token)


def learners(specs):
    return [s.learner["name"] for s in specs]


def test_a_change_of_an_axis_replaces_it(specs):
    assert learners(specs("learner=lora")) == ["lora", "lora"]
    assert learners(specs("learner={name: ewc, strength: 7}", "seed=5")) == ["ewc"]
    assert [s.seed for s in specs("seed=5")] == [5, 5]
    assert learners(specs("axes.learner=[frozen, sft]", "seed=0")) == ["frozen", "sft"]


def test_a_change_below_an_axis_reaches_every_point(specs):
    assert [s.learner["epochs"] for s in specs("learner.epochs=4")] == [4] * 4
    both = specs("model.max_tokens=64", text=RECIPE.replace("axes:", "axes:\n  model: [tiny-llama, {name: tiny-bert}]"))
    assert {(s.model.name, s.model.max_tokens) for s in both} == {("tiny-llama", 64), ("tiny-bert", 64)}
    assert {s.learner["memory"] for s in specs("axes.learner=[{name: replay}]", "learner.memory=9")} == {9}
    assert {s.learner["lr"] for s in specs("learner=sft", "axes.learner.lr=[0.1, 0.2]")} == {0.1, 0.2}
    assert {s.learner["lr"] for s in specs("axes.learner.lr=[0.1, 0.2]", "learner.lr=0.3")} == {0.3}


def test_a_model_may_be_named_alone(specs):
    assert {s.model.name for s in specs("model=tiny-bert")} == {"tiny-bert"}


@pytest.mark.parametrize(("change", "said"), [
    ("learner.name=ewc", "every point of it has a name"),
    ("learner.memory=9", "sft: no setting 'memory'"),
    ("learner.lrr=1", "did you mean 'lr'"),
    ("training.lrr=1", "training.lrr"),
    ("judge={name: tiny-llama}", "judge.name: no such setting"),
    ("axes.judge=[{name: tiny-llama}]", "judge.name: no such setting"),
    ("a..b=1", "not a change"),
])  # fmt: skip
def test_what_nothing_would_read_is_refused(specs, change, said):
    with pytest.raises(SpecError) as error:
        specs(change)
    assert said in str(error.value)


def test_a_setting_that_an_axis_places_over_is_refused(specs):
    text = RECIPE.replace("axes:", "axes:\n  learner.lr: [0.1]").replace(
        "  learner: [sft, {name: replay, memory: 50}]\n", ""
    )
    with pytest.raises(SpecError, match="cannot bring its own lr"):
        specs("learner={name: sft, lr: 0.5}", text=text)
    with pytest.raises(SpecError, match="no learner reads it"):
        specs("learner=sft", "training.lr=0.5", text=text)


def test_own_settings_win_over_training_and_it_is_said(specs, noted):
    own = RECIPE.replace("[sft, {name: replay, memory: 50}]", "[sft, {name: replay, lr: 0.2}]")
    assert [s.learner["lr"] for s in specs("training.lr=0.5", "seed=0", text=own)] == [0.5, 0.2]
    assert any("training.lr is not read by replay" in text for text in noted)
    with pytest.raises(SpecError, match="no learner reads it: replay"):
        specs("training.lr=0.5", text=own.replace("sft, ", ""))


def test_a_field_beside_its_axis_is_said(specs, noted):
    specs(text=RECIPE + "seed: 4\n")
    assert noted == ["seed: not read, since `axes` of the recipe varies it"]


def test_a_null_judge_is_as_none_at_all(specs):
    assert specs("judge=null")[0].key == specs()[0].key


@pytest.mark.parametrize("recipe", ["demo", "til-worlds", "long"])
def test_the_repairs_that_the_gate_prints_take_effect(recipe):
    repairs = {
        "replay": "learner={name: replay, memory: 1000, share: 0.5}",
        "lora": "learner={name: lora}",
        "combine": "learner={name: combine, parts: [{name: replay, memory: 1000, share: 0.5}, "
        "{name: rehearsal, share: 0.5, abilities: [arithmetic]}]}",
    }
    for name, change in repairs.items():
        assert set(learners(load_recipe(RECIPES / f"{recipe}.yaml", [change]).specs())) == {name}
