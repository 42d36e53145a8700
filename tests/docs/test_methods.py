"""Every method says what it is, keeps, needs and costs; its page is made of that."""

import json
import re
from pathlib import Path

import pytest
from pydantic import Field

from clbench.core import plugins
from clbench.learners._training import Training
from clbench.testing import methods
from clbench.testing.methods import FAMILIES, OPTIONAL, SECTIONS, describe, described, meanings, own_settings, values_of

ROOT = Path(__file__).parents[2]
NAMES = plugins.shipped("learner")
SOURCE = re.compile(r"arXiv:|doi:|ISBN|https?://|Source: ours")


def lacks(said, plugin):
    """What a method's file does not say."""
    found = [f"section {title}" for title in SECTIONS if title not in OPTIONAL and not said.sections.get(title)]
    found += ["a known family"] if said.sections.get("Family") not in FAMILIES else []
    found += ["an idea in one sentence"] if not said.idea.endswith(".") or len(said.idea) > 160 else []
    if said.sections.get("Family") != "hybrid":  # what is put together from others has neither of its own
        found += ["an equation"] if not re.search(r"(?m)^    \S", said.body) else []
        found += ["a source"] if not SOURCE.search(said.body) else []
    said_of = meanings(plugin.config)
    return found + [f"the meaning of {name}" for name in own_settings(plugin.config) if not said_of.get(name)]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_says_all(name):
    assert lacks(*describe(name)) == []


def test_what_is_not_said_is_noticed():
    class Silent(Training):
        strength: float = 1.0

    said = described("An idea\n\nA body.\n\nFamily: unknown\nKeeps:\nTold: nothing.")
    _, plugin = describe("sft")
    found = lacks(said, type("P", (), {"config": Silent}))
    assert found == [
        "section Defaults",
        "section Keeps",
        "section Privacy",
        "section Not for",
        "a known family",
        "an idea in one sentence",
        "an equation",
        "a source",
        "the meaning of strength",
    ]
    assert lacks(describe("sft")[0], plugin) == []


def test_there_is_a_page_for_every_method_and_no_other():
    assert sorted(p.stem for p in (ROOT / "docs" / "methods").glob("*.md")) == NAMES


def test_links_of_the_pages_lead_somewhere():
    pages = [
        ROOT / "docs" / "methods.md",
        ROOT / "docs" / "tutorial-method.md",
        *(ROOT / "docs" / "methods").glob("*.md"),
    ]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


class Wide(Training):
    """Settings.

    Attributes:
        low, high: Bounds of a thing
            on two lines.
        lr: Ours.
    """

    low: int = Field(default=1, ge=1)
    high: float | None = Field(default=None, gt=0, lt=2)
    lr: float = 0.5


class Wider(Wide):
    """More of them.

    Attributes:
        high: Said anew.
    """


def test_settings_are_told_with_values_and_meaning():
    assert {k: v for k, v in meanings(Wider).items() if k in ("low", "high", "lr")} == {
        "low": "Bounds of a thing on two lines.",
        "high": "Said anew.",
        "lr": "Ours.",
    }
    assert list(own_settings(Wide)) == ["lr", "low", "high"]
    assert [values_of(Wide.model_fields[n]) for n in ("low", "high")] == ["integer >= 1", "null or number > 0, < 2"]


def test_the_cost_table_says_what_held(tmp_path):
    row = {
        "learner": "ewc",
        "settings": {"strength": 3},
        "step": 1.1,
        "lesson": 1.4,
        "after": 0.6,
        "exam": 1.0,
        "memory": 1.05,
        "kept_bytes": 9_400_000,
        "example_ms": 3.0,
        "bars": {"step": 1.15, "after": 0.5},
    }
    measured = {"about": ["Made somewhere."], "methods": {"ewc": row, "notebook": {**row, "step": None, "bars": {}}}}
    (tmp_path / "methods.json").write_text(json.dumps(measured))
    table = methods.cost_table(tmp_path / "methods.json")
    assert "Made somewhere." in table
    assert "step <= 1.15: held; after <= 0.5: not held" in table[-2]
    assert "9.4 MB" in table[-2]
    assert "3.00 ms per example" in table[-1]
    assert methods.cost_table(tmp_path / "none.json") == ["Not measured yet: `make bench`."]
