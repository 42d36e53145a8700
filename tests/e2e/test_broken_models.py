"""A broken model among several, on the command line; and where the paths of a recipe lie."""

import json
import shutil
from pathlib import Path

import pytest

from clbench.cli.main import main
from clbench.core.errors import ModelError
from clbench.engine.recipe.recipe import load_recipe
from tests.builders.checkpoints import (
    KEY,
    weighed,
    write_base,
)

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]

RECIPE = """
name: grid
stream: {stream}
learner: frozen
budget: {{items: 2}}
metrics: [average_performance]
"""


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """Make a recipe in a folder of its own, with a whole model and one without a weight, and stand elsewhere."""
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    shutil.copytree(write_base(tmp_path / "base"), recipes / "whole")
    shutil.copytree(tmp_path / "base", recipes / "broken")
    weighed(lambda w: {k: v for k, v in w.items() if k != KEY})(recipes / "broken")
    (recipes / "grid.yaml").write_text(RECIPE.format(stream="worlds-tiny") + "axes: {model.path: [broken, whole]}\n")
    (recipes / "one.yaml").write_text(RECIPE.format(stream="worlds-tiny") + "model: {path: broken}\n")
    monkeypatch.chdir(tmp_path)
    return recipes


@pytest.mark.slow
def test_a_broken_model_of_a_grid_ends_its_own_runs_alone(grid, capsys):
    def ended(*arguments):
        code = main([*arguments, "--store", "store"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err.splitlines()

    lacks = f"the checkpoint lacks 1 weight ({KEY})"
    code, out, err = ended("run", "recipes/grid.yaml", "--plan")
    assert code == 2
    assert "1 runs, 4 units" in out
    assert err[-2].startswith("clbench: ./recipes/broken cannot be used: ")
    assert lacks in err[-2]
    code, out, err = ended("run", "recipes/grid.yaml", "--workers", "1")
    assert code == 2
    assert err[-2].startswith("clbench: 1 of 2 runs could not be made: ./recipes/broken: ")
    assert lacks in err[-2]
    assert len(list(Path("store/runs").iterdir())) == 1
    assert Path("clbench-report/report.html").is_file() or list(Path("clbench-report").iterdir())
    words = set()
    for arguments in (["run", "recipes/one.yaml", "--plan"], ["run", "recipes/one.yaml", "--workers", "1"]):
        code, _, err = ended(*arguments)
        assert code == 2
        words.add(tuple(err[-2:]))
    code, _, err = ended("exam", "./recipes/broken", "--exam", "mini_arithmetic")
    assert code == 2
    words.add(tuple(err[-2:]))
    assert len(words) == 1, words


def test_paths_of_a_model_count_from_the_recipe(grid):
    model = {"path": "whole", "template": {"file": "chat.jinja", "arguments": {"a": True}}, "adapter": "peft"}
    (grid / "a.yaml").write_text(RECIPE.format(stream="worlds-tiny") + f"model: {json.dumps(model)}\n")
    found = load_recipe(Path("recipes/a.yaml")).model
    assert (found.name, found.adapter) == ("./recipes/whole", "recipes/peft")
    assert found.template.file == "recipes/chat.jinja"
    with pytest.raises(ModelError, match=r"there is no file 'recipes/chat.jinja'|holds no adapter"):
        load_recipe(Path("recipes/a.yaml")).specs()
    assert load_recipe(Path("recipes/a.yaml"), ["model.path=recipes/whole"]).model.name == "./recipes/whole"
    assert load_recipe(Path("recipes/a.yaml"), ["model.name=tiny-llama"]).model.name == "tiny-llama"
    (grid / "b.yaml").write_text(RECIPE.format(stream="worlds-tiny") + "axes: {model: [{path: whole}, tiny-llama]}\n")
    assert [s.model.name for s in load_recipe(Path("recipes/b.yaml")).specs()] == ["./recipes/whole", "tiny-llama"]
