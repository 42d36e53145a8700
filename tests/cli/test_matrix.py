"""What `clbench matrix` and `clbench gate` of results refuse, before anything is loaded."""

import pytest

from clbench.cli.main import main
from clbench.models import tiny

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("export")]
TINY = str(tiny.folder("tiny-llama"))
STREAM = ["--stream", "worlds-tiny"]
WRONG = {
    "one checkpoint": (["tiny-llama", *STREAM], "one checkpoint makes one row"),
    "two for three lessons": (["tiny-llama", TINY, TINY, *STREAM], "has what 2 lessons left, and 'worlds-tiny' has 3"),
    "no such folder": (
        ["tiny-llama", "out/c1", TINY, TINY, *STREAM],
        "checkpoint of lesson 1 (./out/c1): there is no folder",
    ),
    "no such base": (["nowhere/at/all", TINY, TINY, TINY, *STREAM], "nowhere/at/all"),
    "no such stream": (["tiny-llama", TINY, "--stream", "worlds-tinny"], "worlds-tiny"),
    "no such exam": (["tiny-llama", TINY, TINY, TINY, *STREAM, "--exams", "mini_knowlege"], "mini_knowledge"),
    "no such costs": (["tiny-llama", TINY, TINY, TINY, *STREAM, "--costs", "costs.yaml"], "costs.yaml"),
    "costs of fewer lessons": (
        ["tiny-llama", TINY, TINY, TINY, *STREAM, "--costs", "few.yaml"],
        "1 values for 3 lessons",
    ),
    "costs that are a list": (["tiny-llama", TINY, TINY, TINY, *STREAM, "--costs", "list.json"], "list.json"),
    "costs of another name": (
        ["tiny-llama", TINY, TINY, TINY, *STREAM, "--costs", "odd.yaml"],
        "or 'train_s'?",
    ),
    "an encoder": (["tiny-bert", TINY, TINY, TINY, *STREAM], "not defined on encoder models"),
    "a file": (["tiny-llama", "few.yaml", TINY, TINY, *STREAM], "few.yaml is not a folder"),
    "a name for a folder": (["tiny-llama", TINY, TINY, TINY, *STREAM, "--name", "a/b"], "name"),
    "a field that is not there": (["tiny-llama", TINY, TINY, TINY, *STREAM, "--set", "learner.folder=[x]"], "folders"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "few.yaml": "train_s: [1]\n",
        "list.json": "[1, 2]",
        "odd.yaml": "train_seconds: [1, 2, 3]\n",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_told(here, capsys, arguments, said):
    assert main(["matrix", *arguments, "--store", "st"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (here / "st" / "runs").exists()


def test_a_result_is_compared_with_a_result(here, capsys):
    (here / "results").mkdir()
    assert main(["gate", "tiny-llama", "--baseline", "results", "--store", "st"]) == 3
    assert "there is no result here" in capsys.readouterr().err
