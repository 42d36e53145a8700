"""One checkpoint and several exams: one that is broken costs the others nothing."""

import json

import pytest

from clbench.cli.main import main
from clbench.core.errors import ModelError, UserError
from clbench.core.spec import Machine, ModelSpec
from clbench.data.exams.exam import open_named
from clbench.engine.checkpoint_exam import examine
from clbench.store.store import Store

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
