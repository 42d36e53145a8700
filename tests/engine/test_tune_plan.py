"""The plan of a tuning says how many runs it takes at most."""

import json

import pytest

from clbench.cli.main import main

pytestmark = pytest.mark.models


def test_the_runs_of_each_phase_are_counted(tuning_folder, capsys):
    assert main(["tune", "tune.yaml", "--plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["tries"], plan["kept"], plan["runs"]) == (3, 2, [6, 2 * 2 * 2, 2 * 1 * 3])
    assert (plan["runs_at_most"], plan["seconds"]) == (20, None)
    assert plan["grids"]["ewc"]["fisher_examples"] == [4]
    assert main(["tune", "tune.yaml", "--plan", "--only", "sft"]) == 0
    assert "10 runs at most of 1 learners: time unknown" in capsys.readouterr().out
    assert not (tuning_folder / "clbench-store").exists()
