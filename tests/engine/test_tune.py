"""Learners are tuned on tiny lessons: the record is that of the runs, and the same wherever and however it is made."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from clbench.cli.main import main
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.tune_rule import RULE
from tests.builders.tuning import REPORTED, change

pytestmark = [pytest.mark.xdist_group("runs"), pytest.mark.models, pytest.mark.slow]
COMMAND = ["tune", "tune.yaml", "--device", "cpu", "--workers", "1"]


def scores_in(store):
    """Return (learner, rate) -> seed -> AP, from the runs themselves."""
    found = {}
    for run in (store / "runs").iterdir():
        spec = yaml.safe_load((run / "spec.yaml").read_text())
        at = (spec["learner"]["name"], spec["learner"]["lr"])
        found.setdefault(at, {})[spec["seed"]] = json.loads((run / "scores.json").read_text())["average_performance"]
    return found


def test_the_record_is_that_of_the_runs_and_its_choice_goes_into_a_recipe(tuning_folder, capsys):
    assert main(COMMAND) == 0
    record = json.loads((tuning_folder / "tuned.json").read_text())
    assert (record["rule"], record["seeds"], record["tries"], record["kept"]) == (RULE, [0, 1, 2], 3, 2)
    scores = scores_in(tuning_folder / "clbench-store")
    for name, entry in record["learners"].items():
        assert len(entry["tried"]) == 3 + entry["widenings"]
        assert entry["runs"] == sum(len(scores[name, one["settings"]["lr"]]) for one in entry["tried"])
        for one in entry["tried"]:
            of_runs = scores[name, one["settings"]["lr"]]
            assert dict(zip(one["seeds"], one["AP_by_seed"], strict=True)) == pytest.approx(of_runs, abs=1e-6)
            assert one["AP"] == pytest.approx(np.mean(list(of_runs.values())), abs=1e-6)
        assert sum(one["seeds"] == [0, 1, 2] for one in entry["tried"]) >= 2
    chosen = yaml.safe_load((tuning_folder / "tuned.yaml").read_text())
    assert chosen["settings"] == record["settings"]
    ewc, sft = record["settings"]["ewc"], record["settings"]["sft"]
    assert (ewc["strength"], ewc["fisher_examples"]) == (1.0, 4)
    assert record["settings"]["sft-tenth"] == {"lr": pytest.approx(sft["lr"] / 10)}
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] in (tuning_folder / "tuned.md").read_text()
    for name, entry in record["learners"].items():
        assert all(f"{name}: {setting}" in shown for setting in entry["edges"])

    axes = "axes: {learner: [sft, {name: sft, as: sft-tenth}, ewc, {name: ewc, lr: 0.5}]}\n"
    (tuning_folder / "reported.yaml").write_text(f"name: told\nstream: worlds-tiny\ntuned: tuned.yaml\n{axes}")
    runs = [spec.learner for spec in load_recipe(tuning_folder / "reported.yaml").specs()]
    assert [run["lr"] for run in runs] == [sft["lr"], pytest.approx(sft["lr"] / 10), ewc["lr"], 0.5]
    assert runs[3]["fisher_examples"] == 4


def test_the_same_tuning_gives_the_same_bytes_in_another_store_and_after_a_kill(tuning_folder):
    start = "from clbench.cli.main import entry; entry()"
    started = [sys.executable, "-c", start, *COMMAND, "--store", "broken", "--out", "broken.yaml"]
    killed = subprocess.Popen(started, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=os.environ)
    while killed.poll() is None and not list((tuning_folder / "broken").glob("runs/*")):
        time.sleep(0.05)  # a run is recorded where the first seed is done
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tuning_folder / "broken.json").exists()

    # One entry alone, and the rest later in the same store.
    assert main([*COMMAND, "--store", "two", "--only", "ewc", "--out", "ewc.yaml"]) == 0
    made = {"one": "a/tuned", "two": "b/tuned", "broken": "broken"}
    for store, place in [*made.items(), ("one", "again")]:
        assert main([*COMMAND, "--store", store, "--out", f"{place}.yaml"]) == 0
    for suffix in ("json", "md"):
        assert len({(tuning_folder / f"{place}.{suffix}").read_bytes() for place in (*made.values(), "again")}) == 1
    whole, alone = (json.loads((tuning_folder / name).read_text()) for name in ("a/tuned.json", "ewc.json"))
    assert alone["learners"] == {"ewc": whole["learners"]["ewc"]}
    assert alone["settings"] == {"ewc": whole["settings"]["ewc"]}


def test_a_learner_alone_writes_nothing_and_a_rate_that_diverges_is_undefined(tuning_folder, capsys):
    change(tuning_folder, "sft: {lr: [1.0e-3, 5.0e-4, 2.0e-3]}", "sft: {lr: [1.0e-3, 1.0e+30, 1.0e+31]}")
    assert main([*COMMAND, "--only", "sft", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)["learners"]["sft"]
    assert [one["AP"] is None for one in entry["tried"][:3]] == [False, True, True]
    assert entry["chosen"] == {"lr": 1.0e-3}
    assert not (tuning_folder / "tuned.yaml").exists()


def test_an_error_that_is_not_of_the_settings_ends_the_tuning(tuning_folder, capsys):
    change(tuning_folder, "ewc: {", "separate: {lr: [1.0e-3, 5.0e-4, 2.0e-3]}\n  ewc: {")
    (tuning_folder / "reported.yaml").write_text(REPORTED.format(stream="worlds-tiny"))
    assert main(COMMAND) == 2
    assert "must be told the task" in capsys.readouterr().err
    assert not (tuning_folder / "tuned.yaml").exists()


def test_a_tuning_that_cannot_fit_is_refused_before_it_begins(tuning_folder, capsys):
    assert main([*COMMAND, "--memory", "1MB"]) == 2
    assert "memory: a processor has 1.0 MB, and " in capsys.readouterr().err
    assert not list(tuning_folder.glob("**/stage.json"))
