"""Settings are chosen by one rule, on a stream that shares nothing with the reported one."""

import json
import math

import pytest
import yaml

from clbench.cli.main import main
from clbench.core.errors import SpecError
from clbench.core.spec import Machine
from clbench.data.streams.stream import asked, open_stream
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.tune import RULE, Tried, at_edge, check_apart, choose, load_tuning, write_tuned
from tests.builders.places import RECIPES

pytestmark = [pytest.mark.xdist_group("runs"), pytest.mark.models]
TUNE = """\
name: small
stream: {stream}
reported: [reported.yaml]
training: {{lr: 1.0e-3, epochs: 2, batch_size: 8}}
budget: {{policy: seen, items: 6}}
learners:
  sft: {{}}
  ewc: {{strength: [1.0, 1000.0], fisher_examples: 4}}
"""
WORLD = "{{kind: {kind}, form: classification, language: en, seed: {seed}, items: 12, classes: 3, wordings: 1}}"
REPORTED = "name: told\nstream: {stream}\naxes: {{learner: [sft, ewc], seed: [0]}}\n"


def card(folder, name, *tasks):
    (folder / f"{name}.yaml").write_text(
        yaml.safe_dump({"name": name, "tasks": list(tasks), "about": {"license": "own"}})
    )
    return str(folder / f"{name}.yaml")


def task(folder, name, seed, kind="facts"):
    text = f"name: {name}\nsource: {{world: {WORLD.format(kind=kind, seed=seed)}}}\nabout: {{license: own}}\n"
    (folder / f"{name}.yaml").write_text(text)
    return name


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stream = card(tmp_path, "mine", task(tmp_path, "one", 901), task(tmp_path, "two", 902, "laws"))
    (tmp_path / "tune.yaml").write_text(TUNE.format(stream=stream))
    (tmp_path / "reported.yaml").write_text(REPORTED.format(stream="worlds-tiny"))
    return tmp_path


def changed(folder, old, new):
    path = folder / "tune.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_the_choice_is_the_best_of_what_was_run_and_goes_into_a_recipe(here, capsys):
    command = ["tune", "tune.yaml", "--device", "cpu", "--workers", "1"]
    assert main([*command, "--set", "seeds=[0, 1]"]) == 0
    record = yaml.safe_load((here / "tuned.yaml").read_text())
    assert record["rule"] == RULE
    assert list(record["tried"]) == ["sft", "ewc"]
    runs = sorted((here / "clbench-store" / "runs").iterdir())
    assert len(runs) == 3 * 2  # sft, two strengths; two seeds each
    scores = {}
    for run in runs:
        spec = yaml.safe_load((run / "spec.yaml").read_text())
        at = (spec["learner"]["name"], spec["learner"].get("strength"))
        scores.setdefault(at, {})[spec["seed"]] = json.loads((run / "scores.json").read_text())["average_performance"]
    for one in record["tried"]["ewc"]:
        by_seed = scores["ewc", one["settings"]["strength"]]
        assert one["AP_by_seed"] == pytest.approx([by_seed[0], by_seed[1]], abs=1e-6)
        assert one["AP"] == pytest.approx(sum(by_seed.values()) / 2, abs=1e-6)
        assert one["settings"]["fisher_examples"] == 4
    best = max(record["tried"]["ewc"], key=lambda one: (one["AP"], -one["FM"]))
    assert record["settings"] == {"ewc": best["settings"]}
    assert record["at_edge"] == {"ewc": ["strength"]}
    assert "try values beyond it" in capsys.readouterr().out

    # Again: nothing is made, and the file is the same.
    before = {p: p.stat().st_mtime_ns for p in (here / "clbench-store").glob("state/*/*")}
    text = (here / "tuned.yaml").read_bytes()
    assert main([*command, "--set", "seeds=[0, 1]"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (here / "clbench-store").glob("state/*/*")} == before
    assert (here / "tuned.yaml").read_bytes() == text

    (here / "reported.yaml").write_text(REPORTED.format(stream="worlds-tiny") + "tuned: tuned.yaml\n")
    sft, ewc = load_recipe(here / "reported.yaml").specs()
    assert ewc.learner["strength"] == best["settings"]["strength"]
    assert "strength" not in sft.learner
    (own,) = load_recipe(
        here / "reported.yaml", ["axes={}", "learner={name: ewc, strength: 7}", "training={lr: 0.5}"]
    ).specs()
    assert (own.learner["strength"], own.learner["fisher_examples"], own.learner["lr"]) == (7, 4, 0.5)


def tried(*points):
    return [Tried("ewc", {"strength": s}, ap, fm, (ap,)) for s, ap, fm in points]


def test_the_rule():
    assert choose(tried((1, 0.5, 0.0), (2, 0.6, 0.9))).settings == {"strength": 2}
    assert choose(tried((1, 0.5, 0.3), (2, 0.5, 0.2))).settings == {"strength": 2}
    assert choose(tried((1, 0.5, 0.2), (2, 0.5, 0.2))).settings == {"strength": 1}
    assert choose(tried((1, 0.5, 0.3), (2, 0.5 + 1e-9, 0.4))).settings == {"strength": 1}, "noise of the last digits"
    assert choose(tried((1, math.nan, 0.0), (2, 0.1, math.nan))).settings == {"strength": 2}
    assert choose(tried((1, 0.1, math.nan), (2, 0.1, 0.9))).settings == {"strength": 2}


def test_a_best_value_at_the_edge_is_told():
    points = tried((1, 0.1, 0), (3, 0.2, 0), (9, 0.3, 0))
    assert [at_edge(p, points) for p in points] == [["strength"], [], ["strength"]]
    assert at_edge(points[0], points[:1]) == []


def test_the_reported_stream_is_refused(here):
    changed(here, str(here / "mine.yaml"), "worlds-tiny")
    with pytest.raises(SpecError, match="same stream"):
        check_apart(load_tuning(here / "tune.yaml"), Machine())


def test_a_stream_on_an_axis_of_the_reported_recipe_is_refused(here):
    (here / "reported.yaml").write_text(
        f"name: told\nstream: worlds\naxes: {{stream: [{here / 'mine.yaml'}, worlds]}}\n"
    )
    with pytest.raises(SpecError, match="same stream"):
        check_apart(load_tuning(here / "tune.yaml"), Machine())


def test_a_task_under_another_name_is_refused(here):
    other = card(here, "other", task(here, "three", 903), task(here, "alias", 902, "laws"))
    (here / "reported.yaml").write_text(REPORTED.format(stream=other))
    with pytest.raises(SpecError, match="'alias' has the rows of 'two'"):
        check_apart(load_tuning(here / "tune.yaml"), Machine())


def test_a_question_of_a_reported_exam_is_refused(here):
    text = (here / "two.yaml").read_text().replace("wordings: 1", "wordings: 2")
    (here / "more.yaml").write_text(text.replace("name: two", "name: more"))
    (here / "reported.yaml").write_text(REPORTED.format(stream=card(here, "other", "more")))
    with pytest.raises(SpecError, match="the exam of 'more' asks what example"):
        check_apart(load_tuning(here / "tune.yaml"), Machine())


def test_nothing_is_run_before_the_streams_are_known_to_be_apart(here, capsys):
    changed(here, str(here / "mine.yaml"), "worlds-tiny")
    for more in ([], ["--plan"]):
        assert main(["tune", "tune.yaml", *more]) == 2
        assert "same stream" in capsys.readouterr().err
    assert not (here / "clbench-store").exists()


REFUSED = {
    "a budget of its own": ("strength: [1.0, 1000.0]", "epochs: [1, 2]", "equal for all"),
    "too many tries": ("[1.0, 1000.0]", "[1, 2, 3, 4, 5, 6, 7, 8, 9]", "9 combinations, and 8"),
    "no values": ("[1.0, 1000.0]", "[]", "no values to try"),
    "unknown learner": ("ewc:", "ewk:", "did you mean 'ewc'"),
    "unknown setting": ("strength", "stregth", "did you mean 'strength'"),
    "value out of range": ("[1.0, 1000.0]", "[-1]", "learner.strength"),
    "unknown field": ("reported:", "reportd:", "reportd"),
    "no reported recipe": ("[reported.yaml]", "[]", "reported"),
    "reported recipe not there": ("[reported.yaml]", "[reprted.yaml]", "there is no recipe"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_refused(case, here, capsys):
    old, new, said = REFUSED[case]
    changed(here, old, new)
    assert main(["tune", "tune.yaml", "--device", "cpu"]) == 2
    assert said in capsys.readouterr().err
    assert not (here / "tuned.yaml").exists()


def test_no_other_file_is_written_over(here, capsys):
    (here / "tuned.yaml").write_text("name: precious\n")
    assert main(["tune", "tune.yaml"]) == 2
    assert "not a file of `clbench tune`" in capsys.readouterr().err
    assert (here / "tuned.yaml").read_text() == "name: precious\n"


def test_settings_of_the_stream_itself_are_not_taken_over(here):
    write_tuned(
        {"rule": RULE, "stream": "worlds-tiny", "settings": {"ewc": {"strength": 3.0}}},
        here / "tuned.yaml",
        here / "tune.yaml",
    )
    (here / "reported.yaml").write_text(REPORTED.format(stream="worlds-tiny") + "tuned: tuned.yaml\n")
    with pytest.raises(SpecError, match="chosen on the stream 'worlds-tiny' itself"):
        load_recipe(here / "reported.yaml").specs()
    assert load_recipe(here / "reported.yaml", ["stream=worlds"]).specs()[1].learner["strength"] == 3.0
    (here / "tuned.yaml").unlink()
    with pytest.raises(SpecError, match="there is no file"):
        load_recipe(here / "reported.yaml").specs()
    (here / "tuned.yaml").write_text("settings: {ewc: 3}\nstream: x\n")
    with pytest.raises(SpecError, match="not a file of `clbench tune`"):
        load_recipe(here / "reported.yaml").specs()


def test_the_shipped_tuning_stream_is_like_worlds_and_apart_from_it():
    tuning, reported = open_stream("worlds-tune", None), open_stream("worlds", None)
    for a, b in zip(tuning.tasks, reported.tasks, strict=True):
        assert a.name.removeprefix("world_tune_") == b.name.removeprefix("world_")
        assert (len(a.lesson), len(a.exam), len(a.labels), a.decode) == (
            len(b.lesson),
            len(b.exam),
            len(b.labels),
            b.decode,
        )
    taught = {asked(e) for t in tuning.tasks for e in (*t.lesson, *t.exam)}
    assert taught.isdisjoint({asked(e) for t in reported.tasks for e in t.exam})


def test_the_shipped_recipe_is_sound_and_trains_as_much_as_the_reported_one():
    tuning = load_tuning(RECIPES / "tune.yaml")
    check_apart(tuning, Machine())
    reported = yaml.safe_load((RECIPES / "methods.yaml").read_text())
    assert "methods.yaml" in tuning.recipe.reported
    assert tuning.recipe.training == reported["training"]
    named = {name if isinstance(name, str) else name["name"] for name in reported["axes"]["learner"]}
    assert set(tuning.recipe.learners) <= named
