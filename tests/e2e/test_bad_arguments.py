"""Every verb with files and folders that are not what it needs: one message, a code that says so, no traceback."""

import errno
import shutil
from pathlib import Path

import pytest

from clbench.cli.main import main
from tests.builders.places import RECORDED

FILES = {
    "empty": b"",
    "binary": bytes(range(256)) * 8,
    "text": "世界 is no YAML: [".encode(),
    "list": b"[1, 2, 3]\n",
    "null": b"null\n",
    "deep": b"[" * 5000,
}
# Verbs by what stands for a file or folder in them: {} is the bad one, {out} a place to write to.
WITH_FILE = (
    "run {}",
    "run {} --plan",
    "tune {}",
    "pretrain {}",
    "show {}",
    "check card {}",
    "exam {}",
    "exam ./{}",
    "exam tiny-bert --exam {}",
    "baseline {}",
    "baseline tiny-bert --exam {}",
    "gate tiny-bert --baseline {}",
    "report {}",
    "report {} --format csv",
    "compare {} {}",
    "watch {}",
    "advise {}",
    "leaderboard build {}",
    "leaderboard verify {}",
    "data check {}",
    "data add {} --task t",
    "check learner {}.py:Mine",
    "check learner {}:Mine",
)
WITH_FOLDER = (
    "run good.yaml --plan --store {}",
    "run good.yaml --plan --data {}",
    "store --store {}",
    "store gc --store {}",
    "store rebuild --store {}",
    "doctor --store {}",
    "exam tiny-bert --store {}",
    "exam tiny-bert --data {}",
    "exam tiny-bert --suite general --data {}",
    "show agnews --data {}",
)
RECIPE = "name: good\nmodel: {name: tiny-bert}\nstream: worlds-tiny\nlearner: {name: sft, epochs: 1}\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    monkeypatch.setattr("clbench.core.extras.absent", lambda modules: [])
    (tmp_path / "good.yaml").write_text(RECIPE)
    (tmp_path / "folder").mkdir()
    for name, content in FILES.items():
        for suffix in (".yaml", ".json", ".jsonl", ".zip", ".py", ".xyz"):
            (tmp_path / f"{name}{suffix}").write_bytes(content)
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def refused(capsys, line):
    try:
        code = main(line.split(" "))
    except Exception as error:
        raise AssertionError(f"{line}: {type(error).__name__}: {error}") from error
    said = capsys.readouterr()
    assert code in (2, 3), (line, code, said.out[-500:], said.err[-500:])
    assert said.err.strip() or said.out.strip(), line
    assert "Traceback" not in said.err, line


BAD = ["empty.yaml", "binary.yaml", "text.yaml", "list.yaml", "null.yaml", "deep.yaml", "empty.jsonl", "binary.jsonl"]
BAD += [
    "list.jsonl",
    "binary.zip",
    "deep.json",
    "text.xyz",
    "nowhere",
    "no/where.yaml",
    "./folder",
    "loop",
    "good.yaml/x",
]


@pytest.mark.parametrize("bad", BAD)
def test_verbs_that_take_a_file(here, capsys, bad):
    for line in WITH_FILE:
        refused(capsys, line.replace("{}", bad))
    assert not (here / "clbench-store" / "state").exists()


@pytest.mark.parametrize("bad", ["empty.json", "good.yaml/x", "loop"])
def test_verbs_that_take_a_folder(here, capsys, bad):
    for line in WITH_FOLDER:
        refused(capsys, line.replace("{}", bad))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-h",
        "--version",
        "list tasks",
        "list tasks --json",
        "doctor --json",
        "store --store folder",
    ],
)
def test_what_is_right_stays_right(here, capsys, line):
    assert main(line.split()) == 0
    said = capsys.readouterr()
    assert said.out.strip()
    assert said.err == ""


ARGUMENTS = (
    "run good.yaml --plan --set x",
    "run good.yaml --plan --set =1",
    "run good.yaml --plan --set a..b=1",
    "run good.yaml --plan --set axes=3",
    "run good.yaml --plan --set axes.seed=3",
    "run good.yaml --plan --set seed.x=3",
    "run good.yaml --plan --set learner=",
    "run good.yaml --plan --set learner=[sft]",
    "run good.yaml --plan --set model=5",
    "run good.yaml --plan --set stream=[]",
    "run good.yaml --plan --set judge=tiny-llama",
    "run good.yaml --plan --set tuned=no",
    "run good.yaml --plan --set training=5",
    "run good.yaml --plan --set exams=5",
    "run good.yaml --plan --set exams=[5]",
    "run good.yaml --plan --set metrics=[no]",
    "run good.yaml --plan --set budget=x",
    "run good.yaml --device nowhere",
    "run good.yaml --plan --workers x",
    "exam tiny-bert --items 0",
    "exam tiny-bert --dtype int8",
    "exam tiny-bert --exam no",
    "exam tiny-bert --max-tokens 1",
    "exam tiny-bert --exam harness:",
    "exam tiny-bert --device gpu9",
    "advise folder --max-memory much",
    "advise folder --max-hours -1",
    "watch folder --first 1",
    "compare folder",
    "list",
    "list no",
    "show",
    "show no",
    "check",
    "check card",
    "check learner no",
    "check metric no",
    "check scorer no",
    "data",
    "data check",
    "data add",
    "data add good.yaml",
    "init",
    "init a/b",
    "init ..",
    "store no",
    "store gc --keep no",
    "leaderboard",
    "leaderboard no folder",
    "report folder --format no",
    "report folder --prices no",
    "gate tiny-bert",
    "gate tiny-bert --baseline no --max-drop 3",
    "nonsense",
    "--nonsense",
)


@pytest.mark.parametrize("line", ARGUMENTS)
def test_arguments(here, capsys, line):
    refused(capsys, line)


def test_places_that_cannot_be_written(here, capsys):
    shutil.copytree(RECORDED, here / "r")
    for line in (
        "init folder/new", "leaderboard build {r} --out good.yaml", "report {r} --out good.yaml",
        "report {r} --format parquet --out good.yaml", "compare {r} {r} --out good.yaml", "watch {r} --out good.yaml",
        "report {r} --prices binary.yaml", "report {r} --prices list.yaml", "report {r} --prices folder",
    ):  # fmt: skip
        refused(capsys, line.replace("{r}", "r"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system", "out/report.html"),
    ],
)
def test_a_disk_that_is_full_or_read_only(here, capsys, monkeypatch, error):
    def fails(*_, **__):
        raise error

    shutil.copytree(RECORDED, here / "r")
    monkeypatch.setattr(Path, "write_text", fails)
    for line in (
        "init new",
        "report r --out out",
        "compare r --against sft --out out",
        "leaderboard build r --out out",
    ):
        assert main(line.split()) == 2, line
        said = capsys.readouterr().err
        assert "the disk is full" in said or "out/report.html: read-only file system" in said
