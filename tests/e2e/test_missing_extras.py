"""The package alone, without an extra: every verb works or names the extra, before anything is opened or planned."""

import json
import sys

import pytest

from clbench.core.errors import ExtraError
from clbench.core.extras import MODULES, explained, need_models
from tests.builders.child import run_python

# It bars modules as if they were not installed, then runs lines of the command line one after another.
BARRED = """
import json, sys
barred, lines = json.loads(sys.argv[1]), json.loads(sys.argv[2])
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in barred:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Bar())
import contextlib, io
from clbench.cli.main import main
for line in lines:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line.split())
    print(json.dumps([line, code, out.getvalue()[-2000:], err.getvalue()]))
"""


def outcomes(folder, extras, lines):
    barred = [module for extra in extras for module in MODULES[extra]]
    done = run_python(BARRED, json.dumps(barred), json.dumps(lines), cwd=folder)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "name: a\nmodel: {name: tiny-bert}\nstream: worlds-tiny\naxes: {learner: [sft, frozen], seed: [0, 1]}\n"
    )
    (tmp_path / "a.jsonl").write_text('{"text": "a b", "label": "x"}\n{"text": "c d", "label": "y"}\n')
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "t.yaml").write_text("stream: worlds-tune\nreported: [a.yaml]\nlearners: {sft: {}}\n")
    (tmp_path / "p.yaml").write_text("models: []\n")
    return tmp_path


def test_the_package_alone(folder):
    refused = [
        "run a.yaml",
        "run a.yaml --workers 1",
        "tune t.yaml",
        "exam tiny-llama",
        "exam nowhere",
        "baseline tiny-llama",
        "pretrain p.yaml",
        "check learner sft",
        "check scorer rouge",
        "check scorer bleu",
        "show world_facts_en --model tiny-llama",
        "data check a.jsonl --model tiny-llama",
    ]
    for line, code, out, err in outcomes(folder, MODULES, refused):
        assert code == 2, (line, err)
        assert err.startswith("clbench: "), (line, err)
        assert err.count("\n") == 2, (line, err)
        assert err.endswith('to mend: pip install "clbench[train]"\n'), (line, err)
        assert out == "", line
    assert not (folder / "clbench-store").exists()
    works = [
        "list learners",
        "list models --json",
        "show worlds",
        "check metric forgetting",
        "data check a.jsonl",
        "doctor",
    ]
    for line, code, _, err in outcomes(folder, MODULES, works):
        assert code == 0, (line, err)
    (planned, data) = outcomes(folder, MODULES, ["run a.yaml --plan", "data check a.parquet"])
    assert planned[1] == 0
    assert 'pip install "clbench[train]"' in planned[3]
    assert data[1] == 2
    assert "clbench[data]" in data[2] + data[3]


def test_modules_are_told_by_their_extra():
    assert explained(ModuleNotFoundError("no", name="somebody.elses")) is None
    broken = explained(ImportError("libx.so: cannot open\nmore", name="torch"))
    assert broken is not None
    assert "torch is installed and does not import: ImportError: libx.so: cannot open" in str(broken)


def test_what_cannot_load_a_model_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ExtraError, match="a run needs accelerate, which is not installed"):
        need_models("a run")
