"""Paths of a recipe count from its file; what is not there is looked for where the command is given."""

from pathlib import Path

from clbench.cli.main import main
from clbench.engine.recipe.paths import place_paths

RECIPE = """name: paper
model: {name: tiny-llama}
stream: my-stream.yaml
axes: {learner: [sft, {name: "my_file.py:Mine", lr: 1.0e-3}], seed: [0]}
"""
LEARNER = """import clbench as cl


class Mine(cl.Method):
    stores = "none"
"""


def placed(values, folder):
    place_paths(values, Path(folder))
    return values


def test_cards_and_files_of_learners_count_from_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "u1" / "cards").mkdir(parents=True)
    for name in ("u1/my-stream.yaml", "u1/cards/qa.yaml", "u1/mine.yaml", "u1/my_file.py", "here.yaml", "here.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    found = placed(
        {
            "stream": "my-stream.yaml",
            "exams": ["cards/qa.yaml", "abilities", "here.yaml", "harness:x/y"],
            "reported": ["mine.yaml", "nosuch.yaml"],
            "learners": {"my_file.py:Mine": {"lr": [1]}, "sft": {}},
            "axes": {
                "learner": ["sft", {"name": "my_file.py:Mine@ab"}, "here.py:X"],
                "stream": ["my-stream.yaml", "til"],
            },
        },
        "u1",
    )
    assert found == {
        "stream": "u1/my-stream.yaml",
        "exams": ["u1/cards/qa.yaml", "abilities", "here.yaml", "harness:x/y"],
        "reported": ["u1/mine.yaml", "nosuch.yaml"],
        "learners": {"u1/my_file.py:Mine": {"lr": [1]}, "sft": {}},
        "axes": {
            "learner": ["sft", {"name": "u1/my_file.py:Mine@ab"}, "here.py:X"],
            "stream": ["u1/my-stream.yaml", "til"],
        },
    }


def test_odd_values_stay_for_the_recipe_to_refuse(tmp_path):
    odd = {
        "stream": 3,
        "exams": None,
        "learner": ["sft"],
        "learners": [1],
        "axes": {"learner": "sft", "stream": {"a": 1}},
    }
    assert placed(dict(odd), tmp_path) == odd


def test_a_recipe_runs_from_another_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / "u1").mkdir()
    (tmp_path / "u1" / "my-stream.yaml").write_text("name: my-stream\ntasks: [world_tiny_facts]\n", encoding="utf-8")
    (tmp_path / "u1" / "paper.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "u1" / "my_file.py").write_text(LEARNER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "u1/paper.yaml", "--plan"]) == 0
    there = capsys.readouterr().out
    monkeypatch.chdir(tmp_path / "u1")
    assert main(["run", "paper.yaml", "--plan"]) == 0
    assert "2 runs" in there
    assert there.splitlines()[-1] == capsys.readouterr().out.splitlines()[-1]
