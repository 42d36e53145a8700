"""The tutorial's code is what it says it is: written out, checked, run and tuned."""

import json
import re

import pytest
import yaml

from clbench.cli.main import main
from clbench.testing import check_learner
from tests.builders.places import ROOT

pytestmark = [pytest.mark.xdist_group("learners"), pytest.mark.models]
TEXT = (ROOT / "docs" / "tutorial-method.md").read_text(encoding="utf-8")
CLASS, PROMISE = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
RECIPE, TUNE = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.S)
CHECK, RUN, TUNING = (line.split() for line in re.findall(r"```bash\nclbench (.*?)\n```", TEXT))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_file.py").write_text(CLASS)
    return tmp_path


def test_the_class_alone_is_checked_and_two_checks_are_skipped(here):
    for check in ("neutral settings equal sft", "first lesson as declared"):
        (outcome,) = check_learner(CHECK[-1], only=check)
        assert outcome.skipped
    (outcome,) = check_learner(CHECK[-1], only="sleep changes nothing")
    assert (outcome.problem, outcome.skipped) == ("", "")


@pytest.mark.slow
def test_with_its_promises_it_passes_the_whole_suite(here, capsys):
    (here / "my_file.py").write_text(CLASS + PROMISE)
    assert main(CHECK) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 17
    assert {line.split()[0] for line in lines} == {"ok"}


def test_it_runs_and_forgets_otherwise_than_sft(here):
    (here / "my_file.py").write_text(CLASS + PROMISE)
    (here / "mine.yaml").write_text(RECIPE)
    assert (
        main([*RUN, "--device", "cpu", "--workers", "1", "--set", "axes.learner=[sft, {name: 'my_file.py:MyL2'}]"]) == 0
    )
    runs = sorted((here / "clbench-store" / "runs").iterdir())
    assert [run.name.rpartition("-")[0] for run in runs] == ["mine-MyL2", "mine-sft"]
    mine, sft = (json.loads((run / "matrix.json").read_text())["values"] for run in runs)
    assert mine[:2] == sft[:2], "its first lesson is that of sft"
    name = yaml.safe_load((runs[0] / "spec.yaml").read_text())["learner"]["name"]
    assert re.fullmatch(r"my_file\.py:MyL2@[0-9a-f]{16}", name)


def test_its_tuning_recipe_is_sound(here, capsys):
    (here / "my_file.py").write_text(CLASS + PROMISE)
    (here / "mine.yaml").write_text(RECIPE)
    (here / "tune-mine.yaml").write_text(TUNE)
    assert main([*TUNING, "--plan"]) == 0
    assert "38 runs at most of 2 learners" in capsys.readouterr().out
