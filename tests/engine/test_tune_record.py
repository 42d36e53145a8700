"""The files of a tuning: nothing else is written over, and a recipe refuses settings of its own stream."""

import json

import pytest
import yaml

from clbench.cli.main import main
from clbench.core.errors import SpecError
from clbench.core.spec import Machine
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.tune_recipe import check_apart, load_tuning
from clbench.engine.tune_record import record_of, table_of, write_tuned
from clbench.engine.tune_rule import RULE, Search, Tried
from tests.builders.tuning import REPORTED, change

pytestmark = pytest.mark.models


def record_in(folder):
    """Return a record of scores that nobody ran: `sft` is best at its default, `ewc` is left at an edge."""
    change(folder, "strength: [1.0]", "strength: 1.0")
    tuning, searches = load_tuning(folder / "tune.yaml"), {}
    for name, grid in tuning.grids.items():
        searches[name] = Search(grid.values, grid.fixed, 3, 0, lambda settings, setting, value: value)
        for place, settings in enumerate(grid.combinations):
            ap = 0.5 + (0.1 * place if name == "ewc" else -0.1 * place)
            searches[name].tried.append(Tried(settings, (ap, ap, ap), (0.0, -0.0, 0.25)))
    return record_of(tuning, check_apart(tuning, Machine()), searches, [{"cpu": "one"}])


def test_the_record_says_who_is_left_at_the_edge_and_what_the_control_is(tuning_folder):
    record = record_in(tuning_folder)
    assert record["settings"]["sft-tenth"] == {"lr": 1.0e-4}
    sft, ewc = record["learners"]["sft"], record["learners"]["ewc"]
    assert (sft["chosen"], sft["inside"], sft["why"]) == ({"lr": 1.0e-3}, True, "the highest AP")
    assert (ewc["chosen"]["lr"], ewc["inside"]) == (2.0e-3, False)
    assert ewc["edges"] == {"lr": "0 widenings are the most"}
    assert (ewc["grid"], ewc["fixed"]) == ({"lr": [1.0e-3, 5.0e-4, 2.0e-3]}, {"strength": 1.0, "fisher_examples": 4})
    assert record["hardware"] == [{"cpu": "one"}]
    text = table_of(record)
    assert "ewc: lr 0.002 is left at the edge of its grid: 0 widenings are the most" in text
    assert len({line.count("|") for line in text.split("\n\n", maxsplit=1)[0].splitlines()}) == 1


def test_three_files_are_written_and_written_over(tuning_folder):
    record = record_in(tuning_folder)
    for _ in range(2):
        write_tuned(record, tuning_folder / "new" / "tuned.yaml", tuning_folder / "tune.yaml")
    assert json.loads((tuning_folder / "new" / "tuned.json").read_text()) == record
    chosen = yaml.safe_load((tuning_folder / "new" / "tuned.yaml").read_text())
    assert chosen == {k: record[k] for k in ("rule", "stream", "settings")} | {"record": "tuned.json"}
    assert RULE in (tuning_folder / "new" / "tuned.md").read_text()


@pytest.mark.parametrize("name", ["tuned.yaml", "tuned.json", "tuned.md"])
def test_no_other_file_is_written_over(name, tuning_folder, capsys):
    (tuning_folder / name).write_text("name: precious\n")
    assert main(["tune", "tune.yaml"]) == 2
    assert f"{name} exists and is not a file of `clbench tune`" in capsys.readouterr().err
    assert (tuning_folder / name).read_text() == "name: precious\n"


def test_the_settings_are_not_written_where_the_record_goes(tuning_folder, capsys):
    assert main(["tune", "tune.yaml", "--out", "tuned.json"]) == 2
    assert "ends in .yaml" in capsys.readouterr().err


def test_settings_of_the_stream_itself_are_not_taken_over(tuning_folder):
    tuned, reported = tuning_folder / "tuned.yaml", tuning_folder / "reported.yaml"
    tuned.write_text(f"rule: {RULE!r}\nstream: worlds-tiny\nsettings: {{ewc: {{strength: 3.0}}}}\n")
    reported.write_text(REPORTED.format(stream="worlds-tiny") + "tuned: tuned.yaml\n")
    with pytest.raises(SpecError, match="chosen on the stream 'worlds-tiny' itself"):
        load_recipe(reported).specs()
    assert load_recipe(reported, ["stream=worlds"]).specs()[1].learner["strength"] == 3.0
    tuned.unlink()
    with pytest.raises(SpecError, match="there is no file"):
        load_recipe(reported).specs()
    tuned.write_text("settings: {ewc: 3}\nstream: x\n")
    with pytest.raises(SpecError, match="not a file of `clbench tune`"):
        load_recipe(reported).specs()
