"""What a recipe may hold, in Python too; of a file of another kind, what it is and where it belongs."""

import copy
import math
import pickle
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from clbench.core.errors import DataError, SpecError
from clbench.data.tasks.card_file import read_text
from clbench.engine.recipe.recipe import Recipe, load_recipe, read_values

TASK = "name: a\nsource: {path: a}\nprompt: [{role: user, content: '{q}'}]\ntarget: '{a}'\n"


@pytest.mark.parametrize(
    ("text", "what", "mend"),
    [
        (TASK, "a task's card", "`exams:`"),
        ("name: a\ntasks: [agnews]\n", "a stream's card", "`stream:`"),
        ("name: a\nkind: general\nsource: {ability: reading}\n", "an exam's card", "--exam FILE"),
        ("models: {a: {}}\n", "a recipe of models", "clbench pretrain"),
    ],
)
def test_a_card_is_no_recipe(tmp_path, text, what, mend):
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    for read in (load_recipe, read_values):
        with pytest.raises(SpecError, match=f"this is {what}, not a recipe") as told:
            read(path)
        assert mend in told.value.mend
        assert told.value.where == str(path)


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(SpecError, match="a folder, not a recipe"):
        read_values(tmp_path)


@pytest.mark.parametrize(("text", "encoding"), [("name: a", "utf-16"), ("name: a\nabout: 天气怎么样", "gb18030")])
def test_a_card_in_another_encoding_says_which(tmp_path, text, encoding):
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match="not UTF-8") as told:
        read_text(path)
    assert told.value.mend.endswith(f"iconv -f {encoding.upper()} -t UTF-8 a.yaml")


def recipe(**fields):
    return Recipe(**{"name": "a", "stream": "worlds-tiny", "learner": "sft", "budget": {"items": 1}} | fields)


@pytest.mark.parametrize("seeds", [np.arange(2), list(np.arange(2)), (np.uint8(0), np.int64(1)), range(2)])
def test_numbers_of_numpy_are_those_of_python(seeds):
    specs = recipe(axes={"seed": seeds}).specs()
    assert [(spec.name, spec.seed, type(spec.seed)) for spec in specs] == [("a-s0", 0, int), ("a-s1", 1, int)]
    assert specs[1].key == recipe(axes={"seed": [0, 1]}).specs()[1].key


@pytest.mark.parametrize("rate", [np.float32(0.1), np.float64(0.1), np.array(0.1), np.array(0.1, dtype=np.float32)])
def test_a_float_of_numpy_is_its_shortest_decimal(rate):
    (plain,) = recipe(learner={"name": "sft", "lr": 0.1}).specs()
    for made in (recipe(learner={"name": "sft", "lr": rate}), recipe(training={"lr": rate})):
        assert made.specs()[0].key == plain.key
    assert recipe(axes={"learner.lr": [rate]}).specs()[0].name == "a-l0.1"


def test_a_path_is_its_text():
    assert recipe(axes={"learner": [{"name": "sft", "as": Path("a/b")}]}).axes["learner"][0]["as"] == "a/b"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"learner": {"name": "sft", "lr": 1j}}, "learner.lr"),
        ({"training": {"lr": Decimal("0.1")}}, "training.lr"),
        ({"axes": {"seed": [np.datetime64("2020-01-01")]}}, "axes.seed.0"),
        ({"axes": {"learner": ["sft", {"name": "combine", "methods": [object()]}]}}, "axes.learner.1.methods.0"),
    ],
)
def test_what_no_file_could_hold_is_refused(fields, path):
    with pytest.raises(SpecError, match="has no place in a recipe") as told:
        recipe(**fields)
    assert told.value.where == path


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_number_that_is_not_finite_is_named(number):
    for fields in ({"learner": {"name": "sft", "lr": number}}, {"axes": {"learner.lr": [number]}}):
        with pytest.raises(SpecError, match=f"a setting is a finite number, not {float(number)}"):
            recipe(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"learner": ["sft", "replay"]}, "axes: {learner: [...]}"),
        ({"seed": [0, 1]}, "axes: {seed: [...]}"),
        ({"seed": np.arange(2)}, "axes: {seed: [...]}"),
        ({"stream": ["worlds-tiny", "worlds-tune"]}, "axes: {stream: [...]}"),
        ({"model": ["tiny-llama"]}, "axes: {model: [...]}"),
        ({"budget": {"items": [1, 2]}}, "axes: {budget.items: [...]}"),
        ({"learner": {"name": "sft", "lr": [0.1, 0.2]}}, "axes: {learner.lr: [...]}"),
        ({"training": {"lr": [0.1, 0.2]}}, "axes: {learner.lr: [...]}"),
    ],
)
def test_a_list_where_one_value_belongs_leads_to_axes(fields, said):
    with pytest.raises(SpecError, match="one value is wanted here; several of them stand under") as told:
        recipe(**fields).specs()
    assert said in told.value.what


def test_a_switch_is_not_a_seed_in_python_either():
    with pytest.raises(SpecError, match="a number or a switch is wanted, not True"):
        recipe(seed=True)


def test_a_recipe_is_copied_and_pickled():
    made = recipe(axes={"seed": np.arange(2)})
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made.model_copy() == made
