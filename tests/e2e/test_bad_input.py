"""What a user may get wrong: each mistake gets one clear message, exit 2, no traceback, and nothing is made."""

import lzma
import os
import shutil

import pytest

from clbench.cli.main import main
from clbench.models import tiny

RECIPE = "name: bad\nmodel: {name: tiny-llama}\nstream: worlds-tiny\nlearner: {name: sft, epochs: 1}\n"
CARD = (
    'name: mine\nsource: {path: rows}\nprompt: [{role: user, content: "{text}"}]\ntarget: "{label}"\n'
    "labels: [a, b]\nsplits: {lesson: train, dev: null, exam: test}\n"
)
TRAIN = '{"text": "one", "label": "a"}\n{"text": "two", "label": "b"}\n'
TEST = '{"text": "three", "label": "a"}\n{"text": "four", "label": "b"}\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, arguments, *said):
    code = main([str(a) for a in arguments])
    err = capsys.readouterr().err
    assert code == 2, err
    assert "Traceback" not in err
    for part in said:
        assert part in err, err


SPECS = {
    "malformed YAML": ("name: [", "bad.yaml"),
    "a key twice": (RECIPE + "name: again\n", "written twice"),
    "a YAML tag": (RECIPE + "about: !!python/object/apply:os.system [ls]\n", "tags"),
    "no mapping": ("- a\n- b\n", "mapping"),
    "unknown key": (RECIPE + "sede: 1\n", "did you mean 'seed'"),
    "unknown learner": (RECIPE.replace("name: sft", "name: stf"), "did you mean 'sft'"),
    "unknown setting": (RECIPE.replace("epochs", "epocs"), "did you mean 'epochs'"),
    "wrong type": (RECIPE.replace("epochs: 1", "epochs: many"), "learner.epochs"),
    "out of range": (RECIPE.replace("epochs: 1", "lr: -1"), "learner.lr"),
    "unknown stream": (RECIPE.replace("worlds-tiny", "world-tiny"), "did you mean 'worlds-tiny'"),
    "unknown exam": (RECIPE + "exams: [mini_arithmetics]\n", "did you mean 'mini_arithmetic'"),
    "unknown metric": (RECIPE + "metrics: [forgeting]\n", "did you mean 'forgetting'"),
    "unknown model": (RECIPE.replace("tiny-llama", "tiny-lama"), "did you mean 'tiny-llama'"),
    "Hub model without revision": (RECIPE.replace("tiny-llama", "org/model"), "not pinned"),
    "branch as revision": (RECIPE.replace("name: tiny-llama", "name: org/model, revision: main"), "40-hex"),
    "negative seed": (RECIPE + "seed: -1\n", "seed"),
    "bad run name": (RECIPE.replace("name: bad", "name: 'a/b'"), "name"),
    "no learner": (RECIPE.replace("learner: {name: sft, epochs: 1}\n", ""), "no learner is named"),
    "unknown axis": (RECIPE + "axes: {sede: [1]}\n", "did you mean 'seed'"),
    "empty axis": (RECIPE + "axes: {seed: []}\n", "no values to vary"),
    "encoder asked for text": (RECIPE.replace("tiny-llama", "tiny-bert") + "exams: [mini_code]\n", "needs text"),
    "training setting of no method": (RECIPE + "training: {lrr: 1}\n", "lrr"),
}


@pytest.mark.parametrize("mistake", SPECS)
def test_specs(here, capsys, mistake):
    text, said = SPECS[mistake]
    (here / "bad.yaml").write_text(text)
    refused(capsys, ["run", "bad.yaml", "--plan"], said)
    assert not (here / "clbench-store").exists()


ARGUMENTS = {
    "missing file": (["run", "nowhere.yaml"], "no recipe"),
    "a folder for a file": (["run", "."], "this is a folder, not a recipe"),
    "bad --set": (["run", "good.yaml", "--set", "seed"], "not a change"),
    "bad value of --set": (["run", "good.yaml", "--set", "seed=[1"], "not a YAML value"),
    "unknown --set": (["run", "good.yaml", "--set", "learner.epocs=2", "--plan"], "did you mean 'epochs'"),
    "unknown verb": (["rnu", "good.yaml"], "did you mean 'run'"),
    "unknown option": (["run", "good.yaml", "--plna"], "--plan"),
    "store is a file": (["run", "good.yaml", "--store", "good.yaml"], "is a file"),
    "no workers": (["run", "good.yaml", "--workers", "0", "--plan"], "workers"),
    "data folder missing": (["run", "good.yaml", "--data", "nowhere"], "no folder"),
    "nothing to report": (["report", "."], "no result here"),
    "unknown list": (["list", "lerners"], "learners"),
    "unknown card": (["show", "agnew"], "did you mean 'agnews'"),
    "unknown kind of check": (["check", "cart", "x"], "card"),
    "unknown metric to check": (["check", "metric", "forgeting"], "did you mean 'forgetting'"),
    "unknown scorer to check": (["check", "scorer", "exakt"], "did you mean 'exact'"),
    "unknown learner to check": (["check", "learner", "repaly"], "did you mean 'replay'"),
    "spec is there already": (["init", "good"], "already exists"),
    "unknown states to keep": (["store", "gc", "--keep", "lats"], "did you mean 'last'"),
    "recipe makes no such model": (["pretrain", "pre.yaml", "--only", "tiny-lama"], "did you mean 'tiny-llama'"),
}


@pytest.mark.parametrize("mistake", ARGUMENTS)
def test_arguments(here, capsys, mistake):
    (here / "good.yaml").write_text(RECIPE)
    (here / "pre.yaml").write_text("models: [{name: tiny-llama, architecture: llama, shares: {code: 1}}]\n")
    arguments, said = ARGUMENTS[mistake]
    refused(capsys, arguments, said)


ROWS = {
    "missing column": ("train.jsonl", '{"txt": "one", "label": "a"}\n', "train.jsonl:1", "did you mean"),
    "broken JSON": ("train.jsonl", TRAIN + '{"text": \n', "train.jsonl:3"),
    "no object": ("train.jsonl", "[1, 2]\n", "train.jsonl:1"),
    "label outside the set": ("train.jsonl", '{"text": "one", "label": "c"}\n', "train.jsonl:1", "outside the set"),
    "duplicate row": ("train.jsonl", TRAIN + TRAIN, "duplicate", "train.jsonl:3"),
    "empty field": ("train.jsonl", '{"text": " ", "label": "a"}\n', "train.jsonl:1", "empty"),
    "empty split": ("test.jsonl", "", "exam split"),
    "lesson example in the exam": ("test.jsonl", '{"text": "ONE ", "label": "a"}\n', "lesson example in the exam"),
    "a list for a text": ("train.jsonl", '{"text": [1], "label": "a"}\n', "train.jsonl:1"),
}


def own_task(here, card=CARD):
    (here / "rows").mkdir()
    (here / "rows" / "train.jsonl").write_text(TRAIN)
    (here / "rows" / "test.jsonl").write_text(TEST)
    (here / "mine.yaml").write_text(card)
    (here / "stream.yaml").write_text("name: stream\ntasks: [mine]\n")
    (here / "good.yaml").write_text(RECIPE.replace("worlds-tiny", "stream.yaml"))


@pytest.mark.parametrize("mistake", ROWS)
def test_rows(here, capsys, mistake):
    own_task(here)
    file, text, *said = ROWS[mistake]
    (here / "rows" / file).write_text(text)
    refused(capsys, ["run", "good.yaml", "--plan"], *said)


def test_an_own_task_is_fine_as_it_stands(here, capsys):
    own_task(here)
    assert main(["run", "good.yaml", "--plan"]) == 0
    assert main(["show", "mine.yaml", "1"]) == 0
    assert "[user] " in capsys.readouterr().out


def test_bytes_that_are_no_text(here, capsys):
    own_task(here)
    (here / "rows" / "train.jsonl").write_bytes(TRAIN.encode() + b'{"text": "\xff", "label": "a"}\n')
    refused(capsys, ["run", "good.yaml", "--plan"], "train.jsonl:3", "UTF-8")


def test_truncated_xz(here, capsys):
    own_task(here)
    (here / "rows" / "train.jsonl").unlink()
    (here / "rows" / "train.jsonl.xz").write_bytes(lzma.compress(TRAIN.encode() * 500)[:-20])
    refused(capsys, ["run", "good.yaml", "--plan"], "train.jsonl.xz")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(here, capsys):
    own_task(here)
    (here / "rows" / "train.jsonl").chmod(0)
    refused(capsys, ["run", "good.yaml", "--plan"], "train.jsonl")


HOSTILE = {
    "path out of the folder": (CARD.replace("path: rows", "path: ../../etc"), "must be relative"),
    "absolute path": (CARD.replace("path: rows", "path: /etc"), "must be relative"),
    "attribute in a template": (CARD.replace("{text}", "{text.__class__}"), "text.__class__"),
    "index in a template": (CARD.replace("{text}", "{text[0]}"), "text[0]"),
    "code tag": (CARD + "about: !!python/name:os.system x\n", "tags"),
    "name is not the file's": (CARD.replace("name: mine", "name: other"), "must equal the file's name"),
    "branch as revision": (CARD.replace("{path: rows}", "{repo: a/b, revision: main}"), "not a commit"),
    "unknown field": (CARD + "promt: x\n", "did you mean 'prompt'"),
}


@pytest.mark.parametrize("mistake", HOSTILE)
def test_cards(here, capsys, mistake):
    text, said = HOSTILE[mistake]
    own_task(here, text)
    refused(capsys, ["run", "good.yaml", "--plan"], said)


def test_wrong_checkpoint_folders(here, capsys):
    (here / "empty").mkdir()
    (here / "bad.yaml").write_text(RECIPE.replace("tiny-llama", "./empty"))
    refused(capsys, ["run", "bad.yaml", "--plan"], "no config.json")
    shutil.copytree(tiny.folder("tiny-llama"), here / "cut")
    (here / "cut" / "model.safetensors").write_bytes(b"cut")
    (here / "bad.yaml").write_text(RECIPE.replace("tiny-llama", "./cut"))
    refused(capsys, ["run", "bad.yaml", "--plan"], "model.safetensors is cut off")
    refused(capsys, ["run", "bad.yaml", "--workers", "1"], "model.safetensors is cut off")
