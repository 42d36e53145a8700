"""One checkpoint and several exams: one that is broken costs the others nothing."""

import csv
import io
import json
from pathlib import Path

import pytest

from clbench.cli.main import main
from clbench.cli.side_by_side import on_record
from clbench.core.errors import ModelError, UserError
from clbench.core.spec import Machine, ModelSpec
from clbench.data.exams.exam import open_named
from clbench.engine.checkpoint_exam import examine
from clbench.store.store import Store
from tests.builders.places import ROOT

pytestmark = pytest.mark.models


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: bad\nsource: {ability: nosuch}\n")
    return tmp_path


def test_a_broken_exam_of_several(here, capsys):
    exams = ["--exam", "bad.yaml", "--exam", "nosuch", "--exam", "mini_code"]
    assert main(["exam", "tiny-bert", *exams, "--exam", "mini_arithmetic", "--items", "2", "--json"]) == 2
    said = capsys.readouterr()
    assert [row["exam"] for row in json.loads(said.out)] == ["mini_arithmetic"]
    for name, why in (("bad", "there is no ability"), ("nosuch", "no exam or suite"), ("mini_code", "needs text")):
        assert f"exam {name!r} is left out: " in said.err
        assert why in said.err


def test_a_broken_exam_alone_is_an_error(here, capsys):
    assert main(["exam", "tiny-bert", "--exam", "bad.yaml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "there is no ability 'nosuch'" in said.err


def test_a_model_that_does_not_load_is_told_once(here, monkeypatch):
    def does_not_load(*_):
        raise ModelError("does not load")

    monkeypatch.setattr("clbench.engine.trajectory.Trajectory.learner_after", does_not_load)
    broken: dict[str, UserError] = {}
    exams = open_named(["abilities-labels"], 2, None)
    with pytest.raises(ModelError, match="does not load"):
        list(examine(ModelSpec(name="tiny-bert"), exams, Store(here / "store"), Machine(), broken))
    assert broken == {}


def test_checkpoints_side_by_side_and_what_the_other_verbs_see_of_them(here, capsys):
    asked = ["--exam", "mini_arithmetic", "--exam", "mini_code", "--items", "4", "--store", "st"]
    assert main(["exam", "tiny-bert", "nosuch", "tiny-llama", *asked, "--out", "page.html", "--format", "csv"]) == 2
    said = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [(r["exam"], r["checkpoint"], r["items"]) for r in rows] == [
        ("mini_arithmetic", "tiny-bert", "4"), ("mini_arithmetic", "tiny-llama", "4"),
        ("mini_code", "tiny-bert", "0"), ("mini_code", "tiny-llama", "4"),
    ]  # fmt: skip
    assert "tiny-bert: exam 'mini_code' is left out: " in said.err
    assert "nosuch is left out: model.name: there is no model 'nosuch'" in said.err
    assert "mini_arithmetic" in (here / "page.html").read_text()
    for verb, says in (("report", "Against tiny-bert. tiny-llama: "), ("compare", "Against tiny-llama. tiny-bert: ")):
        assert main([verb, "st", *(["--format", "table"] if verb == "report" else ["--against", "tiny-llama"])]) == 0
        assert says in capsys.readouterr().out
    files = sorted(map(str, (here / "st" / "checkpoints").iterdir()), reverse=True)
    assert main(["compare", *files]) == 0
    assert "Against tiny-llama. tiny-bert: " in capsys.readouterr().out, "files are compared in their order"
    demo = str(ROOT / "tests" / "fixtures" / "recorded")
    found = on_record([Path("st"), Path(demo)], None, runs_only=False)
    assert ([c.label for c in found.checkpoints], found.runs) == (["tiny-bert", "tiny-llama"], (Path(demo),))
    assert main(["leaderboard", "build", "st", "-o", "site"]) == 0
    assert "2 examined checkpoints, 2 ranked" in capsys.readouterr().out
    found = json.loads((here / "site" / "leaderboard.json").read_text())
    assert {row["checkpoint"] for row in found} == {"tiny-bert", "tiny-llama"}
    assert all((here / "site" / "pages" / f"{row['id']}.html").is_file() for row in found)


def test_a_wrong_option_of_several_is_refused_before_anything_is_asked(here, capsys, monkeypatch):
    monkeypatch.setattr("clbench.cli.exam.machine", lambda *_: pytest.fail("asked"))
    for words, says in (
        ("tiny-bert --against tiny-bert", "there is only one checkpoint"),
        ("tiny-bert tiny-llama --against tiny-lama", "did you mean 'tiny-llama'"),
        ("tiny-bert tiny-llama --out x.pdf", "no .pdf is written"),
    ):
        assert main(["exam", *words.split()]) == 2
        assert says in capsys.readouterr().err
