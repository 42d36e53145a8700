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
OUTSIDE = re.findall(r"```\n(clbench exam .*?)```", PAGES[0], flags=re.S)[0]
ADDRESS = "http://127.0.0.1:8808/v1"


def test_both_languages_show_the_same():
    assert BLOCKS[0] == BLOCKS[1]
    assert len(FILES) == 7


@pytest.mark.models
@pytest.mark.slow
def test_the_example_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    monkeypatch.setenv("CLBENCH_LANG", "en")
    for name, text in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with running(Stub(Script(otherwise=answered_from_context))) as stub:
        plan, run, report = (line.replace(ADDRESS, stub.url) for line in COMMANDS.splitlines())
        assert called(plan) == 0
        assert stub.num_requests == 0
        said = capsys.readouterr()
        assert "9 runs, " in said.out
        assert re.search(r"answers of stub-model: \d+ requests, .* USD", said.out)
        assert re.search(r"verdicts of stub-judge: \d+ requests, .* USD", said.out)
        assert "stub-model: left out, since they are not defined on it: sft (" in said.err
        assert called(run) == 0
        said = capsys.readouterr()
        assert "learns in" in said.out
        assert "both: spent on replies so far, in this store:" in said.err
        asked = stub.num_requests
        assert called(run) == 0
        assert called(report) == 0
        assert stub.num_requests == asked
        for line in OUTSIDE.splitlines()[:2]:
            assert called(line.replace(ADDRESS, stub.url)) == 0
        assert called(OUTSIDE.splitlines()[2].replace(ADDRESS, stub.url).replace("./checkpoint", "tiny-llama")) == 0
        capsys.readouterr()
        assert called(f"{run} --set axes.learner=[sft] --set 'axes.model=[{{provider: stub, name: a}}]'") == 2
        assert "'sft' trains weights, and those of 'a' are behind an API" in capsys.readouterr().err
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "Graded by a judge: codes by stub-judge (stub)" in page
    assert "learns in" in page
    assert "judge tokens" in page
    runs = {
        p.parent.name.rpartition("-")[0]: json.loads(p.read_text())
        for p in tmp_path.glob("clbench-store/runs/*/items.json")
    }
    learners = ("frozen", "in_context", "retrieval", "notebook")
    assert set(runs) == {f"both-{m}-{name}" for m in ("tiny-llama", "stub-model") for name in learners} | {
        "both-tiny-llama-sft"
    }
    last = {name: items["exams"][0]["rows"]["1"]["scores"] for name, items in runs.items()}
    assert last["both-stub-model-frozen"] == "000000"
    assert last["both-stub-model-in_context"].count("1") >= 3  # the stub knows a part of what it is shown
    assert last["both-stub-model-retrieval"] == last["both-stub-model-in_context"]


def called(line):
    words = shlex.split(line)[1:]
    return main([*words, *(["--workers", "1"] if words[0] == "run" else [])])
