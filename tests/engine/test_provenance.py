"""Provenance tells enough to repeat a result, and nothing about who made it where."""

import json
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from clbench.core.spec import Machine, ModelSpec
from clbench.engine.provenance import foreign, origins, provenance, without_folders
from clbench.models.load import load_net
from clbench.store import origin as room
from clbench.store.origin import git_revision, gpus, origin, package_version, same_code
from clbench.store.store import Store
from tests.builders.child import run_python

CODE = {"code": {"commit": "a" * 40, "dirty": False}, "packages": {"clbench": "1", "numpy": "2"}, "python": "3.11"}
STAGE = {"made": "2026-01-02T03:04:05+00:00", "origin": {**CODE, "device": "cpu"}}


@pytest.fixture(autouse=True)
def _fresh():
    caches = (gpus, git_revision, room._unchanging)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def test_it_tells_code_packages_and_machine(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["clbench", "run", "demo.yaml"])
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    told = provenance(Machine(workers=2), ModelSpec(), [STAGE])
    assert told["python"] == platform.python_version()
    assert told["recorded"]["packages"]["numpy"] and told["recorded"]["packages"]["pydantic"]
    assert told["machine"]["workers"] == 2
    assert told["threads"]["OMP_NUM_THREADS"] == "3"
    assert told["arguments"] == ["run", "demo.yaml"]
    assert told["cores"] >= 1 and told["cpu"]
    assert told["made"].endswith("+00:00")
    json.dumps(told, allow_nan=False)


def test_it_names_neither_host_nor_folders(monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    arguments = ["--store=/home/someone/s", "/home/someone/spec.yaml"]
    monkeypatch.setattr(sys, "argv", ["/home/someone/bin/clbench", *arguments])
    told = json.dumps(provenance(Machine(store=Path("/home/someone/s"), data=Path("/home/someone/d")), ModelSpec(), []))
    assert "secret-host" not in told and "someone" not in told and "spec.yaml" in told


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("/a/b/c.yaml", "c.yaml"),
        ("--store=/a/b", "--store=b"),
        ("~/q/r", "r"),
        ("learner={from: /a/b/c, x: 1}", "learner={from: c, x: 1}"),
        ("/a b/c d/e", "e"),
        ("https://host/path", "https://host/path"),
        ("../shared/data", "../shared/data"),
        ("recipes/demo.yaml", "recipes/demo.yaml"),
        ("seed=3", "seed=3"),
        ("", ""),
    ],
)
def test_private_paths_are_cut_to_names(argument, expected):
    assert without_folders(argument) == expected


def test_a_package_that_is_not_there_has_no_version():
    assert package_version("no-such-package-anywhere") is None


def answers(stdout="", code=0, error=None):
    def run(*args, **kwargs):
        assert kwargs["timeout"] > 0
        if error is not None:
            raise error
        return subprocess.CompletedProcess(args, code, stdout, "")

    return run


def tools(run):
    """Stand in for the module in this room only: `platform` starts programs of its own."""
    return SimpleNamespace(run=run, SubprocessError=subprocess.SubprocessError)


def test_gpus_are_named_without_their_serial_numbers(monkeypatch):
    said = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n  MIG 1g.10gb Device 0: (UUID: MIG-2)\nGPU 1: B (UUID: GPU-3)\n"
    monkeypatch.setattr(room.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(room, "subprocess", tools(answers(said)))
    assert gpus() == ("GPU 0: NVIDIA H100 80GB HBM3", "GPU 1: B")


@pytest.mark.parametrize(
    "run",
    [answers(code=9), answers(error=subprocess.TimeoutExpired("x", 10)), answers(error=PermissionError())],
    ids=["fails", "hangs", "may not be run"],
)
def test_a_tool_that_fails_never_fails_the_run(monkeypatch, run):
    monkeypatch.setattr(room.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(room, "subprocess", tools(run))
    told = provenance(Machine(), ModelSpec(), [])
    assert told["gpus"] == () and told["recorded"]["git"] is None


def test_without_git_there_is_no_revision(monkeypatch):
    monkeypatch.setattr(room.shutil, "which", lambda name: None)
    assert git_revision() is None and gpus() == ()


def test_dirty_is_about_the_source(monkeypatch, tmp_path):
    """In a repository of our own: a result beside the source is not a change of it."""
    place = tmp_path / "src" / "clbench" / "store" / "origin.py"
    place.parent.mkdir(parents=True)
    place.write_text("x = 1\n")

    def git(*arguments):
        names = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *names, *arguments], check=True, capture_output=True)

    if room.shutil.which("git") is None:
        pytest.skip("git is not installed")
    monkeypatch.setattr(room, "__file__", str(place))
    assert git_revision() is None
    git_revision.cache_clear()
    git("init")
    git("add", "-A")
    git("commit", "-m", "one")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "scores.json").write_text("{}")
    clean = git_revision()
    assert clean is not None and len(clean["commit"]) == 40 and clean["dirty"] is False
    git_revision.cache_clear()
    place.write_text("x = 2\n")
    assert git_revision() == {"commit": clean["commit"], "dirty": True}


def test_torch_is_not_imported():
    code = (
        "import sys; from clbench.engine.provenance import provenance; "
        "from clbench.core.spec import Machine, ModelSpec; "
        "provenance(Machine(), ModelSpec(), []); sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    run_python(code)


def test_a_result_is_what_its_stages_were_made_by_not_who_looked_last():
    told = provenance(Machine(), ModelSpec(), [STAGE, {**STAGE, "made": "2026-01-03T00:00:00+00:00"}])
    assert told["git"] == CODE["code"] and told["packages"] == CODE["packages"]
    assert told["made"] == "2026-01-03T00:00:00+00:00"
    assert told["stages"] == [{"origin": STAGE["origin"], "made": 2}]
    dirty = {**STAGE, "origin": {**STAGE["origin"], "code": {"commit": "a" * 40, "dirty": True}}}
    mixed = provenance(Machine(), ModelSpec(), [STAGE, STAGE, dirty])
    assert mixed["git"] is None and mixed["packages"] == CODE["packages"]
    assert [o["made"] for o in mixed["stages"]] == [2, 1]


def test_stages_of_other_code_are_counted_and_unknown_code_is_other_code():
    other = {"made": "x", "origin": {**CODE, "packages": {"clbench": "2", "numpy": "2"}}}
    moved = {"made": "x", "origin": {**CODE, "device": "cuda:0"}}
    made_by = origins([STAGE, moved, other, {"made": "x"}])
    assert foreign(made_by, CODE) == 2
    assert not same_code({}, {})


def test_a_process_says_what_it_makes_stages_by(monkeypatch):
    monkeypatch.setitem(room.DEVICE, "device", "cuda:1")
    assert origin()["device"] == "cuda:1" and origin()["packages"]["numpy"]


def test_a_stage_says_how_its_model_was_told_to_learn_and_answer(tmp_path):
    """A store may be resumed with other options; which stages were made with which can be told afterwards."""
    store, made_by = Store(tmp_path), []
    for how in ({}, {"micro_batch": 4, "recompute": True}, {"exam_batch": 8, "workers": 2}, {}):
        load_net(ModelSpec(), Machine(device="cpu", **how))
        key = f"{len(made_by):032d}"
        store.once("state", key, lambda draft: (draft / "file").write_text("x"), {})
        made_by.append(store.stage("state", key))
    told = [stage["origin"].get("how") for stage in made_by]
    assert told == [None, {"micro_batch": 4, "recompute": True}, {"exam_batch": 8}, None]
    assert [group["made"] for group in origins(made_by)] == [2, 1, 1]
