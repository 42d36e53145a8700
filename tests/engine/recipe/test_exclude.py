"""Points of a grid that are left out: by what they are called, and never by a slip of the pen."""

import itertools

import pytest
import yaml

from clbench.core.errors import SpecError
from clbench.engine.recipe.recipe import Recipe, load_recipe

AXES = {
    "learner": ["sft", {"name": "sft", "as": "slow", "lr": 1e-5}, "joint", "ewc"],
    "seed": [0, 1, 2],
    "stream": ["worlds", "worlds-tiny"],
}


def recipe(**fields):
    return Recipe.model_validate({"name": "g", "stream": "worlds-tiny", "axes": AXES} | fields)


def names(exclude):
    return [spec.name for spec in recipe(exclude=exclude).specs()]


def test_what_is_left_is_what_a_filter_by_hand_leaves():
    exclude = [{"learner": ["joint", "slow"], "seed": [1, 2]}, {"stream": "worlds", "learner": "ewc"}]
    left = [
        f"g-{learner}-s{seed}-{stream}"
        for learner, seed, stream in itertools.product(["sft", "slow", "joint", "ewc"], [0, 1, 2], AXES["stream"])
        if not (learner in ("joint", "slow") and seed in (1, 2)) and not (stream == "worlds" and learner == "ewc")
    ]
    assert names(exclude) == left
    assert len(left) == 24 - 8 - 3


def test_without_an_entry_nothing_is_left_out_and_keys_stay():
    assert len(names([])) == 24
    whole = {spec.name: spec.key for spec in recipe().specs()}
    assert all(whole[spec.name] == spec.key for spec in recipe(exclude=[{"learner": "joint"}]).specs())


@pytest.mark.parametrize(("entry", "where", "said"), [
    ({"lerner": "joint"}, "exclude.0", "'lerner' is not an axis"),
    ({"learner": "joimt"}, "exclude.0.learner", "no point of the axis learner is 'joimt'"),
    ({"seed": [0, 7]}, "exclude.0.seed", "no point of the axis seed is 7"),
    ({"seed": True}, "exclude.0.seed", "no point of the axis seed is True"),
    ({}, "exclude.0", "names no axis"),
    ({"stream": ["worlds", "worlds-tiny"]}, "exclude", "all runs are left out"),
])  # fmt: skip
def test_an_entry_that_would_do_nothing_or_everything_is_refused(entry, where, said):
    with pytest.raises(SpecError, match=said) as found:
        names([entry])
    assert found.value.where == where
    assert found.value.mend


@pytest.mark.parametrize("wrong", ["joint", {"learner": "joint"}, [["learner", "joint"]], 3])
def test_what_is_not_a_list_of_entries_is_refused_by_name(wrong):
    with pytest.raises(SpecError, match="exclude"):
        recipe(exclude=wrong).specs()


@pytest.mark.parametrize(("change", "left"), [
    ("axes.seed=[0]", 8),  # the entry names seeds that are gone: nothing to leave out
    ("axes.seed=[0, 1]", 16 - 2),
    ("axes.learner=[sft, ewc]", 12),
])  # fmt: skip
def test_an_axis_may_be_narrowed_on_the_command_line(tmp_path, change, left):
    path = tmp_path / "g.yaml"
    values = {"name": "g", "stream": "worlds-tiny", "axes": AXES, "exclude": [{"learner": "joint", "seed": [1, 2]}]}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert len(load_recipe(path, [change]).specs()) == left
