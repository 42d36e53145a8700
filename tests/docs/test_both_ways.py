"""The pages on both ways: their files and commands are run as they stand, against the stub server."""

import json
import re
import shlex

import pytest

from clbench.cli.main import main
from clbench.testing.stub import Script, Stub, running
from clbench.testing.stub.made_rows import answered_from_context
from tests.builders.places import ROOT

PAGES = [(ROOT / "docs" / f"both-ways{language}.md").read_text(encoding="utf-8") for language in ("", ".zh-CN")]
BLOCKS = [re.findall(r"```\w*\n.*?```", page, flags=re.S) for page in PAGES]
FILES = re.findall(r"`([\w/.-]+)`:\n\n```\w+\n(.*?)```", PAGES[0], flags=re.S)
(COMMANDS,) = re.findall(r"```bash\n(.*?)```", PAGES[0], flags=re.S)


def test_both_languages_show_the_same():
    assert BLOCKS[0] == BLOCKS[1]
    assert len(FILES) == 6


@pytest.mark.models
@pytest.mark.slow
def test_the_example_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    for name, text in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with running(Stub(Script(otherwise=answered_from_context))) as stub:
        lines = [line.replace("http://127.0.0.1:8808/v1", stub.url) for line in COMMANDS.splitlines()]
        for line in lines:
            assert main([*shlex.split(line)[1:], *(["--workers", "1"] if " run " in line else [])]) == 0
        asked = stub.num_requests
        assert main([*shlex.split(lines[0])[1:], "--workers", "1"]) == 0
        assert stub.num_requests == asked
        capsys.readouterr()
        assert main([*shlex.split(lines[0])[1:], "--set", "axes.learner=[sft]"]) == 2
        assert "'sft' trains weights, and those of 'stub-model' are behind an API" in capsys.readouterr().err
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "Graded by a judge: codes by stub-judge (stub)" in page
    runs = {
        p.parent.name.rpartition("-")[0]: json.loads(p.read_text())
        for p in tmp_path.glob("clbench-store/runs/*/items.json")
    }
    assert set(runs) == {
        "prompt-frozen",
        "prompt-in_context",
        "prompt-retrieval",
        "prompt-notebook",
        "weights-frozen",
        "weights-sft",
    }
    last = {name: items["exams"][0]["rows"]["1"]["scores"] for name, items in runs.items()}
    assert last["prompt-frozen"] == "000000"
    assert last["prompt-in_context"].count("1") >= 3  # the stub knows a part of what it is shown
    assert last["prompt-retrieval"] == last["prompt-in_context"]
