"""Terminals that cannot show everything, libraries that would speak by themselves, and cards of the current folder."""

import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from clbench.cli import main as cli
from clbench.cli import terminal
from clbench.cli.main import main
from clbench.core import events
from clbench.core.errors import UserError, near_paths
from tests.builders.places import RECORDED

TEXT = "é 世界 😀 ━│ ± \ud83d"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "cp1252", "utf-8"])
@pytest.mark.parametrize("arguments", [["show"], ["list", "--json"], ["report", "--format", "json"]])
def test_no_text_breaks_a_stream(monkeypatch, encoding, arguments):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    terminal.prepare(arguments)
    exact = "show" not in arguments
    sys.stdout.write(json.dumps(TEXT, ensure_ascii=False) if exact else TEXT)
    sys.stdout.flush()
    written = raw.getvalue()
    if exact:
        assert json.loads(written.decode()) == TEXT
        assert written.isascii() or encoding == "utf-8"
    else:
        assert (
            written.decode(encoding)
            == {
                "ascii": "\\u00e9 \\u4e16\\u754c \\ud83d\\ude00 -| +/- \\ud83d",
                "latin-1": "é \\u4e16\\u754c \\ud83d\\ude00 -| ± \\ud83d",
                "gbk": "é 世界 \\ud83d\\ude00 ━│ ± \\ud83d",
                "cp1252": "é \\u4e16\\u754c \\ud83d\\ude00 -| ± \\ud83d",
                "utf-8": "é 世界 😀 ━│ ± \\ud83d",
            }[encoding]
        )


# One process that stands for many: an import of the package costs more than what is tried here.
MANY = """
import sys
from clbench.cli import main, terminal
terminal.prepare(sys.argv[1:])
for line in sys.argv[1:]:
    sys.stdout.write(f'### {main.main(line.split())}\\n')
"""


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_verbs_on_a_poor_terminal(tmp_path, encoding):
    (tmp_path / "a.csv").write_text("text,label\n世界 é,好\n你好,坏\n", encoding="utf-8")
    demo = str(RECORDED)
    lines = ["show world_facts_zh 1", "show worlds", "list learners", "list streams", "data check a.csv", "doctor",
             f"report {demo} --format table", f"report {demo} --format markdown", f"advise {demo}", f"watch {demo}",
             "show 世界", "run 世界.yaml", "--help", "store"]  # fmt: skip
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "COLUMNS": "30", "TERM": "dumb", "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", MANY, *lines], cwd=tmp_path, env=env, capture_output=True)
    assert b"Traceback" not in done.stderr, done.stderr.decode(encoding)
    said = done.stdout.decode(encoding)
    assert [line for line in said.splitlines() if line.startswith("### ")] == [
        "### 2" if "世界" in line or "watch" in line else "### 0"
        for line in lines  # something has fallen in the demo
    ]
    assert ("\\u5976\\u916a" if encoding == "ascii" else "奶酪") in said


def test_what_a_library_warns_of_is_a_notice_or_nothing(monkeypatch):
    heard = []
    token = events.notice_listener.set(heard.append)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    for name in events.QUIET:
        monkeypatch.delenv(name, raising=False)
    try:
        events.quiet_libraries()
        place = "/x/site-packages/torch/nn/a.py"
        warnings.showwarning(UserWarning("\nfirst line\nsecond"), UserWarning, place, 1)
        warnings.showwarning(FutureWarning("goes away"), FutureWarning, place, 1)
    finally:
        events.notice_listener.reset(token)
    assert heard == ["torch says: first line"]
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "error"


def test_near_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "checkpoint-10").mkdir(parents=True)
    assert near_paths(Path("out/checkpoint-11")) == "did you mean 'out/checkpoint-10'?"
    assert "no folder 'uot'" in near_paths(Path("uot/checkpoint-10"))
    assert near_paths(Path("out/xyz")) == "look into 'out'"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_card_of_this_folder_comes_first(here, capsys):
    (here / "worlds-tiny.yaml").write_text("name: worlds-tiny\ntasks: [world_tiny_laws]\n")
    (here / "own.yaml").write_text("name: own\nstream: worlds-tiny\nlearner: {name: sft, epochs: 1}\n")
    (here / "mini_code.yaml").write_text("name: mini_code\nsource: {ability: recall, items: 3, seed: 5}\n")
    assert main(["show", "worlds-tiny"]) == 0
    said = capsys.readouterr()
    assert "world_tiny_laws" in said.out
    assert "world_tiny_facts" not in said.out
    assert "'worlds-tiny' is the card worlds-tiny.yaml of this folder, not the shipped stream of that name" in said.err
    assert main(["run", "own.yaml", "--plan"]) == 0
    said = capsys.readouterr()
    assert "1 runs, 2 units" in said.out
    assert said.err.count("of this folder") == 1
    assert main(["show", "mini_code", "1"]) == 0
    assert "recall" not in capsys.readouterr().err


def test_a_recipe_is_no_card_and_says_what_to_do(here, capsys):
    (here / "til-worlds.yaml").write_text("name: til-worlds\nstream: til-worlds\nlearner: sft\n")
    assert main(["show", "til-worlds.yaml"]) == 2
    assert (
        "this is a recipe, not a card\n  to mend: show its stream: clbench show til-worlds" in capsys.readouterr().err
    )
    assert main(["show", "til-worlds"]) == 0  # the shipped stream: a recipe beside it is no card of that name


@pytest.mark.parametrize(("model", "said"), [
    ("out/does-not-exist", "there is no folder 'out/does-not-exist', and as a Hub model it is not pinned"),
    ("./x", "there is no folder './x'"),
    ("ckpts/step-11", "did you mean 'ckpts/step-10'?"),
    ("a/b/c", "there is no folder 'a/b/c'"),
    ("tiny-lama", "did you mean 'tiny-llama' or"),
    ("stepp", "did you mean 'step'"),
])  # fmt: skip
def test_a_model_that_is_not_there(here, model, said):
    from clbench.core.spec import ModelSpec
    from clbench.models import source

    (here / "ckpts" / "step-10").mkdir(parents=True)
    (here / "step").mkdir()
    (here / "step" / "config.json").write_text("{}")
    with pytest.raises(UserError) as error:
        source.locate(ModelSpec(name=model))
    assert said in str(error.value)


@pytest.mark.slow
def test_listings_have_fields(capsys):
    found = {}
    for what in ("learners", "tasks", "streams", "exams", "models", "metrics", "scorers"):
        assert main(["list", what, "--json"]) == 0
        found[what] = json.loads(capsys.readouterr().out)
        assert all(row["name"] == name and len(row) >= 4 for name, row in found[what].items())
    assert found["learners"]["replay"]["model_families"] == ["causal", "encoder"]
    assert found["learners"]["ewc"]["family"] == "regularisation"
    assert found["learners"]["replay"]["stores"] == "examples"
    assert found["learners"]["replay"]["settings"]["memory"] > 0
    assert found["tasks"]["world_facts_zh"]["language"] == "zh"
    assert found["metrics"]["forgetting"]["better"] == "low"
    assert found["models"]["tiny-bert"]["family"] == "encoder"
    assert "abilities" in found["exams"]["mini_arithmetic"]["suites"]


def test_an_interrupt_says_what_is_kept(monkeypatch, capsys):
    from clbench.cli import options
    from clbench.core.events import Progress, report_progress

    def stops(*_):
        with options.progress_bars():
            report_progress(Progress("units", 11, 28, slot=0))
            raise KeyboardInterrupt

    monkeypatch.setattr("clbench.data.exams.show.find", stops)
    assert main(["show", "worlds"]) == 130
    assert "clbench: stopped; 11 of 28 units are kept, and the same command resumes here" in capsys.readouterr().err


def test_help_into_a_closed_pipe_is_no_error_of_a_learner(monkeypatch, capsys):
    def printed(**_):
        try:
            raise BrokenPipeError
        except OSError:
            sys.exit(1)  # as click does

    monkeypatch.setattr(cli, "app", printed)
    with pytest.raises(BrokenPipeError):
        cli.main(["advise", "--help"])
    assert capsys.readouterr().err == ""
