"""What a learner says of itself: which values are allowed, what is recorded, what older records lack."""

import pytest

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.footprint import Footprint
from clbench.core.traits import LATER, NAMES, Traits, fault_of, read_traits
from clbench.report.runs.traits import traits_of

NOTHING = (
    "agem cumulative derpp frozen in_context joint lora lora_plus notebook rehearsal replay replay_lora retrieval "
    "right_document sft"
).split()


@pytest.mark.parametrize("value", [True, False, None])
def test_what_is_said_of_boundaries_is_recorded_and_read_again(value):
    said = Traits(family="replay", uses_boundaries=value)
    assert said.record()["uses_boundaries"] is value
    assert read_traits(said.record()) == said


def test_other_values_are_not_said_or_refused():
    assert read_traits({"uses_boundaries": "yes"}).uses_boundaries is None
    assert fault_of("uses_boundaries", "yes") == "one of True, False, None"
    odd = plugins.load("learner", "l2", "PLUGIN")
    with pytest.raises(SpecError, match="uses_boundaries is 'yes'"):
        odd.__class__(**{**vars(odd), "uses_boundaries": "yes"})


def test_every_shipped_learner_says_it():
    loaded = {name: plugins.load("learner", name, "PLUGIN") for name in plugins.shipped("learner")}
    said = {name: plugin.traits(plugin.config()).uses_boundaries for name, plugin in loaded.items()}
    elsewhere = {name for name, plugin in loaded.items() if plugin.elsewhere is not None}
    assert {name for name, uses in said.items() if uses is None} == elsewhere == {"checkpoints", "command"}
    assert {name for name, uses in said.items() if uses is False} == {*NOTHING, "combine"}


@pytest.mark.parametrize(
    ("learner", "uses"),
    [
        ({"name": "l2"}, True),
        ({"name": "l2", "to": "first"}, False),
        ({"name": "replay", "keep": "class-balanced"}, True),
        ({"name": "replay_lora", "keep": "ring"}, True),
        ({"name": "combine", "parts": ["lora", "replay"]}, False),
        ({"name": "combine", "parts": ["lora", "ewc"]}, True),
        ({"name": "combine", "parts": ["lora", {"name": "replay", "keep": "ring"}]}, True),
        ({"name": "combine", "parts": ["lora", "nobody"]}, None),
        ({"name": "my.py:Mine@0"}, None),
    ],
)
def test_it_can_hang_on_settings(learner, uses):
    assert traits_of(learner).uses_boundaries is uses


def test_records_that_lack_it_have_it_from_the_plug_in():
    assert set(LATER) < set(NAMES)
    older = {k: v for k, v in Traits(family="bounds", trains="none").record().items() if k not in LATER}
    found = traits_of({"name": "ewc"}, {"learner": older})
    assert (found.family, found.trains, found.uses_boundaries) == ("bounds", "none", True)
    assert traits_of({"name": "my.py:Mine@0"}, {"learner": older}).uses_boundaries is None
    assert traits_of({"name": "ewc"}, {"learner": {**older, "uses_boundaries": False}}).uses_boundaries is False


def test_what_a_method_holds_is_said_as_a_mapping_and_refused_where_it_is_not():
    def held(said):
        plain = plugins.load("learner", "sft", "PLUGIN")
        return plain.__class__(**{**vars(plain), "footprint": said}).holds(None)

    assert held({"later": 2, "step": 1}) == Footprint(later=2, step=1) == held(lambda _: {"later": 2, "step": 1})
    assert held(None) is None
    for wrong in (3, {"later": 2, "twice": 1}, lambda _: 1 / 0):
        with pytest.raises(SpecError, match="footprint"):
            held(wrong)


def test_every_shipped_learner_that_learns_by_one_loop_says_what_it_holds():
    silent = {"generative_replay"}  # what it dreams is not known before it dreams
    for name in plugins.names("learner"):
        plugin = plugins.load("learner", name, "PLUGIN")
        if plugin.method is not None and name not in silent:
            assert plugin.holds(plugin.config()) is not None, name
