"""Every method says what it is, keeps, needs and costs; its page is made of that."""

import json
import re

import pytest
from pydantic import Field

from clbench.core import plugins
from clbench.core.protocols import LearnerPlugin
from clbench.training.settings import Training
from docs.build import methods, pages
from docs.build.methods import OPTIONAL, SECTIONS, describe, described, meanings, own_settings, values_of
from tests.builders.places import ROOT

NAMES = plugins.shipped("learner")
FORMULATED = ("regularisation", "isolation", "light fine-tuning")  # what these do is an equation
SOURCE = re.compile(r"arXiv:|doi:|ISBN|https?://|Source: ours")


def lacks(said, plugin):
    """What a method's file does not say."""
    found = [f"section {title}" for title in SECTIONS if title not in OPTIONAL and not said.sections.get(title)]
    traits = plugin.traits(plugin.config())
    open_ = {"family", "stores", "uses_boundaries", "trains"} if plugin.elsewhere is not None else set()
    stated = {k: v for k, v in traits.record().items() if k not in open_}  # who learnt elsewhere may say these
    found += [f"trait {k}" for k, v in stated.items() if v is None or (v == "" and k == "about")]
    found += ["an about on one line"] if len(traits.about) > 100 or "\n" in traits.about else []
    found += ["an idea in one sentence"] if not said.idea.endswith(".") or len(said.idea) > 160 else []
    if traits.family in FORMULATED and not re.search(r"(?m)^    \S", said.body):
        found.append("an equation")
    if traits.family != "hybrid":  # what is put together from others has no source of its own
        found += ["a source"] if not SOURCE.search(said.body) else []
        found += ["the paper of its source"] if traits.paper.rpartition(" ")[2] not in said.body else []
    said_of = meanings(plugin.config)
    return found + [f"the meaning of {name}" for name in own_settings(plugin.config) if not said_of.get(name)]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_says_all(name):
    assert lacks(*describe(name)) == []


def test_what_is_not_said_is_noticed():
    class Silent(Training):
        strength: float = 1.0

    said = described("An idea\n\nA body.\n\nKeeps:\nTold: nothing.")
    _, plugin = describe("sft")
    silent = LearnerPlugin(config=Silent, build=plugin.build, version=1, family="isolation")
    found = lacks(said, silent)
    assert found == [
        "section Defaults",
        "section Keeps",
        "section Not for",
        "trait stores",
        "trait uses_task_ids",
        "trait uses_boundaries",
        "trait trains",
        "trait about",
        "an idea in one sentence",
        "an equation",
        "a source",
        "the meaning of strength",
    ]
    assert lacks(describe("sft")[0], plugin) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The pages as `make docs` writes them, beside the tracked ones that they lead to."""
    root = tmp_path_factory.mktemp("docs")
    for folder in ("docs", "src"):
        (root / folder).mkdir()
    (root / "src" / "clbench").symlink_to(ROOT / "src" / "clbench")
    (root / "docs" / "adr").symlink_to(ROOT / "docs" / "adr")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # what was measured lies below it
        pages.write_pages(root / "docs")
    for name in ("tutorial-method.md", "elsewhere.md", "trainers.md"):
        (root / "docs" / name).write_bytes((ROOT / "docs" / name).read_bytes())
    return root / "docs"


@pytest.mark.slow
def test_there_is_a_page_for_every_method_and_no_other(written):
    assert sorted(p.stem for p in (written / "methods").glob("*.md")) == NAMES


@pytest.mark.slow
def test_links_of_the_pages_lead_somewhere(written):
    for page in [written / "methods.md", *(written / "methods").glob("*.md")]:
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


class Nested(Wide):
    inner: Wide = Wide(low=3)
    either: dict[str, int] | list[int] | dict[int, str] = Field(default={})


def test_settings_that_hold_settings_are_told_as_they_are_written():
    inner, either = (methods.settings_table(Nested, {n: Nested.model_fields[n]})[2] for n in ("inner", "either"))
    assert inner.startswith('| `inner` | `{"lr": 0.5, ')
    assert '"low": 3}` | mapping |' in inner
    assert '"high"' not in inner, "null is left out"
    assert "| mapping or list |" in either


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
