"""The notebooks: each is its script, run; and what it shows is what it gives today."""

import json

import pytest

from docs.build import notebooks
from tests.builders.places import ROOT

NAMES = sorted(path.stem for path in notebooks.PLACE.glob("*.py"))
TRAINING = {"trainers"}  # notebooks that need torch
TODAY = [pytest.param(name, marks=[pytest.mark.models] if name in TRAINING else []) for name in NAMES]


def told(cell):
    """What a reader sees of a cell's output as text."""
    parts = [part.get("text") or part["data"]["text/plain"] for part in cell.get("outputs", ())]
    return "".join(line for lines in parts for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_its_script_and_was_run(name):
    found = json.loads((notebooks.PLACE / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in found["cells"]]
    assert cells == notebooks.cells_of((notebooks.PLACE / f"{name}.py").read_text(encoding="utf-8"))
    code = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert any(told(cell) for cell in code)
    assert "/tmp/" not in json.dumps(found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the libraries that a notebook shows
@pytest.mark.parametrize("name", TODAY)
def test_it_shows_what_it_gives_today(name, tmp_path):
    (tmp_path / "results").symlink_to(ROOT / "results")
    script = (notebooks.PLACE / f"{name}.py").read_text(encoding="utf-8")
    made = notebooks.notebook(script, tmp_path)
    kept = json.loads((notebooks.PLACE / f"{name}.ipynb").read_text(encoding="utf-8"))
    today = [told(cell).replace(str(tmp_path.resolve()), "...") for cell in made["cells"]]
    assert today == [told(cell) for cell in kept["cells"]]


def test_how_far_work_is_belongs_to_no_notebook(tmp_path):
    script = "# %%\nprint('units: 1 of 3 after 59 s, ...')\nprint('a')\n\n# %%\nprint('units: 1 of 2 after 3')\n"
    first, second = notebooks.notebook(script, tmp_path)["cells"]
    assert told(first) == "a\n"
    assert second["outputs"] == []


def test_cells_printed_lines_and_values(tmp_path):
    script = "# %% [markdown]\n# # A head\n#\n# Text.\n\n# %%\nx = 2\nprint('a')\nx + 1\n\n# %%\nx = 5\n"
    found = notebooks.notebook(script, tmp_path)["cells"]
    assert "".join(found[0]["source"]) == "# A head\n\nText."
    assert [o["output_type"] for o in found[1]["outputs"]] == ["stream", "execute_result"]
    assert told(found[1]) == "a\n3"
    assert found[2]["outputs"] == []
