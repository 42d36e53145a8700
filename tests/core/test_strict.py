"""Where a number is wanted, a text that looks like one is refused, in recipes, changes and cards; so is a switch."""

import pytest

from clbench.core.errors import DataError, SpecError
from clbench.core.strict import turned_into_number
from clbench.data.tasks.card import load_task_card
from clbench.engine.recipe.recipe import load_recipe

RECIPE = "name: r\nstream: worlds-tiny\nlearner: {name: replay}\n"
WRONG = {
    "seed: 1_000": "seed",
    "seed: '3'": "seed",
    "seed: true": "seed",
    "training: {lr: '1e-3'}": "training.lr",
    "training: {epochs: 1_0}": "training.epochs",
    "training: {epochs: true}": "training.epochs",
    "budget: {items: '8'}": "budget.items",
    "model: {name: tiny-llama, max_tokens: 1_28}": "model.max_tokens",
    "axes: {seed: [0, 1_000]}": "seed",
    "axes: {learner.share: ['0.5']}": "learner.share",
    "axes: {learner: [{name: combine, parts: [{name: replay, share: '0.5'}]}]}": "learner.parts[0].share",
}
RIGHT = ["seed: 1000", "seed: 0o17", "training: {lr: 1, epochs: 2}", "training: {lr: 1e-3}", "budget: {items: null}"]


def grid(folder, line, sets=()):
    (folder / "r.yaml").write_text(f"{RECIPE}{line}\n", encoding="utf-8")
    return load_recipe(folder / "r.yaml", sets).specs()


@pytest.mark.parametrize("line", WRONG)
def test_a_text_or_switch_where_a_number_is_wanted_is_refused(line, tmp_path):
    with pytest.raises(SpecError, match="a number or a switch is wanted") as error:
        grid(tmp_path, line)
    assert error.value.where == WRONG[line]


@pytest.mark.parametrize("line", RIGHT)
def test_numbers_are_taken(line, tmp_path):
    assert grid(tmp_path, line)


def test_changes_from_the_command_line_follow_the_same_rule(tmp_path):
    assert grid(tmp_path, "", ["seed=3", "training.lr=1e-3"])[0].seed == 3
    with pytest.raises(SpecError, match="not '1_000'"):
        grid(tmp_path, "", ["seed=1_000"])


def test_a_card_follows_it_too_and_names_the_line(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"q": "a", "a": "b"}\n', encoding="utf-8")
    card = tmp_path / "t.yaml"
    card.write_text(
        "name: t\nsource: {path: .}\nprompt: [{role: user, content: '{q}'}]\ntarget: '{a}'\n"
        "splits: {lesson: train, dev: null, exam: train}\nabout: {license: own, language: en, kind: generation}\n"
        "take: {lesson: 1_0}\n",
        encoding="utf-8",
    )
    with pytest.raises(DataError, match="not '1_0'") as error:
        load_task_card(str(card))
    assert error.value.where == f"{card}:7 take.lesson"


def test_other_shapes_are_not_compared():
    assert turned_into_number({"a": "x", "b": [1, "2"]}, {"a": "x", "b": (1, "2")}, "") is None
    assert turned_into_number({"a": [1, "2"]}, {"a": (1, 2)}, "") == ("a.1", "2")
    assert turned_into_number({"a": 1}, {"a": True}, "x") == ("x.a", 1)
