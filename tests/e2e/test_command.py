"""Other people's trainers as learners: whole runs, from a recipe to the report, killed and gone on with."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from clbench.cli.main import main
from clbench.engine.verify.rerun import _refuse_strange
from clbench.report.page.leaderboard import build_site, entries
from clbench.report.page.ranking import ranks_table
from clbench.report.runs.groups import group_runs
from clbench.report.runs.leaders import leaders
from clbench.report.runs.load import load_runs
from tests.builders.places import ROOT

pytestmark = [pytest.mark.xdist_group("command"), pytest.mark.slow]
PAGE = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
RECIPE = {"model": "tiny-llama", "stream": "worlds-tiny", "budget": {"items": 6}}


def scripts():
    """Return the Python scripts of the page by the name in their first line."""
    blocks = re.findall(r"```python\n# (\w+\.py)[^\n]*\n(.*?)```", PAGE, re.DOTALL)
    return dict(blocks)


def commands():
    """Return the commands of the page's table by trainer."""
    found = yaml.safe_load_all("\n---\n".join(re.findall(r"```yaml\n# learner: .*?\n(.*?)```", PAGE, re.DOTALL)))
    return {key: value for part in found for key, value in part.items()}


def ran(folder, learners, name="others", *more):
    recipe = {"name": name, **RECIPE, "axes": {"learner": learners}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    place = ["--store", str(folder / "store"), "--out", str(folder / "report"), "--workers", "1"]
    return main(["run", str(folder / f"{name}.yaml"), *place, *more])


def test_the_script_of_the_page_beside_plain_fine_tuning(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = scripts()["train.py"]
    assert len(script.splitlines()) <= 30
    Path("train.py").write_text(script)
    learn = f"{sys.executable} train.py {{lesson}} {{previous}} {{out}} {{seed}}"
    assert ran(tmp_path, ["sft", {"name": "command", "learn": learn}]) == 0
    assert "unbounded, made by" in " ".join(capsys.readouterr().out.split())
    runs = load_runs([tmp_path / "store"])
    (own,) = [run for run in runs if run.spec.learner_name == "command"]
    (sft,) = [run for run in runs if run.spec.learner_name == "sft"]
    assert own.matrix.values.shape == sft.matrix.values.shape
    assert own.matrix.values[0].tolist() == sft.matrix.values[0].tolist(), "both begin with the same model"
    assert not (own.matrix.values[1:] == own.matrix.values[0]).all(), "it has learnt something"
    assert own.costs.train_s > 0
    assert own.costs.peak_memory_bytes > 100_000_000
    assert {"train_tokens", "kept_bytes"} <= set(own.costs.unknown)
    assert main(["leaderboard", "verify", str(own.folder)]) == 0, "what is not known is no fault"
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Unbounded, made by commands" in page
    assert learn.split()[1] in page
    _ranked_apart(runs, tmp_path / "site")


def _ranked_apart(runs, site):
    groups = group_runs(runs)
    assert all(len(leaders(groups, name)) in (0, 1) for name in ("average_performance",))
    assert "**Unbounded, made by commands**" in ranks_table(runs)
    rows = entries(runs, {})
    build_site(rows, site, "a board")
    page = (site / "index.html").read_text()
    assert "worlds-tiny (unbounded, made by commands)" in page
    (strange,) = [run.spec for run in runs if run.spec.learner_name == "command"]
    with pytest.raises(Exception, match="learner did not come with clbench"):
        _refuse_strange(strange)


NUDGE = """
import shutil, sys, time
number, previous, out, place = sys.argv[1:5]
open(f"{place}/runs.txt", "a").write(number)
shutil.copytree(previous, out, dirs_exist_ok=True)
with open(f"{out}/model.safetensors", "r+b") as file:
    file.seek(-4, 2)
    file.write(bytes([int(number)]))
if number == "2" and open(f"{place}/runs.txt").read().count("2") == 1:
    time.sleep(600)
"""


def test_a_killed_run_goes_on_with_the_lesson_that_was_not_finished(tmp_path):
    (tmp_path / "nudge.py").write_text(NUDGE)
    learn = f"{sys.executable} {tmp_path}/nudge.py {{number}} {{previous}} {{out}} {tmp_path}"
    recipe = {"name": "killed", **RECIPE, "learner": {"name": "command", "learn": learn}}
    (tmp_path / "killed.yaml").write_text(yaml.safe_dump(recipe))
    line = [sys.executable, "-m", "clbench", "run", str(tmp_path / "killed.yaml"), "--store", str(tmp_path / "store")]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with (tmp_path / "said.txt").open("wb") as said:
        ours = subprocess.Popen([*line, "--out", str(tmp_path / "r")], stdout=said, stderr=said, env=env)
        for _ in range(3000):
            if (tmp_path / "runs.txt").exists() and "2" in (tmp_path / "runs.txt").read_text():
                break
            assert ours.poll() is None, (tmp_path / "said.txt").read_text()
            time.sleep(0.1)
        ours.send_signal(signal.SIGKILL)
        ours.wait()
    assert (tmp_path / "runs.txt").read_text() == "12"
    assert main([*line[3:], "--out", str(tmp_path / "r"), "--workers", "1"]) == 0
    assert (tmp_path / "runs.txt").read_text() == "1223", "the first lesson is not learnt again"
    assert main([*line[3:], "--out", str(tmp_path / "r"), "--workers", "1"]) == 0
    assert (tmp_path / "runs.txt").read_text() == "1223", "nor anything when all is there"


def test_a_command_that_fails_costs_the_other_learners_nothing(tmp_path, capsys):
    fails = {"name": "command", "learn": shlex.join(["bash", "-c", "echo no such GPU >&2; exit 4"])}
    assert ran(tmp_path, ["frozen", fails], "fails") == 2
    said = capsys.readouterr()
    assert "exit code 4: no such GPU" in said.err
    assert [run.spec.learner_name for run in load_runs([tmp_path / "store"])] == ["frozen"]
    log = re.search(r"lies in (\S+said\.txt)", said.err)
    assert "no such GPU" in Path(log[1]).read_text()


def test_trl_as_a_learner(tmp_path):
    pytest.importorskip("trl", reason="TRL is not installed (extra `dev`)")
    learn = commands()["trl"].replace("python ", f"{sys.executable} ", 1)
    tiny = "--use_cpu true --bf16 false --max_length 128 --per_device_train_batch_size 32 --learning_rate 3e-3"
    learn = re.sub(r"--learning_rate \S+", "", learn) + f" {tiny} --num_train_epochs 1"
    assert ran(tmp_path, [{"name": "command", "learn": learn}], "trl") == 0
    (run,) = load_runs([tmp_path / "store"])
    assert not (run.matrix.values[1:] == run.matrix.values[0]).all(), "it has learnt something"
    assert "train_tokens" in run.costs.unknown, "without a trainer_state.json nobody counts them"
