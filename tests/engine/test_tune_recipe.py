"""A tuning recipe tunes all learners equally hard, on a stream that shares nothing with a reported one."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from clbench.cli.main import main
from clbench.core.errors import SpecError
from clbench.core.plugins import shipped
from clbench.core.spec import Machine
from clbench.data.streams.stream import asked, open_stream
from clbench.engine.tune_recipe import check_apart, load_tuning
from tests.builders.places import RECIPES
from tests.builders.tuning import REPORTED, card, change, task

pytestmark = pytest.mark.models


def test_the_reported_stream_is_refused(tuning_folder):
    change(tuning_folder, str(tuning_folder / "mine.yaml"), "worlds-tiny")
    with pytest.raises(SpecError, match="same stream"):
        check_apart(load_tuning(tuning_folder / "tune.yaml"), Machine())


def test_a_stream_on_an_axis_of_the_reported_recipe_is_refused(tuning_folder):
    (tuning_folder / "reported.yaml").write_text(
        f"name: told\nstream: worlds\naxes: {{stream: [{tuning_folder / 'mine.yaml'}, worlds]}}\n"
    )
    with pytest.raises(SpecError, match="same stream"):
        check_apart(load_tuning(tuning_folder / "tune.yaml"), Machine())


def test_a_task_under_another_name_is_refused(tuning_folder):
    other = card(tuning_folder, "other", task(tuning_folder, "three", 903), task(tuning_folder, "alias", 902, "laws"))
    (tuning_folder / "reported.yaml").write_text(REPORTED.format(stream=other))
    with pytest.raises(SpecError, match="'alias' has the rows of 'two'"):
        check_apart(load_tuning(tuning_folder / "tune.yaml"), Machine())


def test_a_question_of_a_reported_exam_is_refused(tuning_folder):
    text = (tuning_folder / "two.yaml").read_text().replace("wordings: 1", "wordings: 2")
    (tuning_folder / "more.yaml").write_text(text.replace("name: two", "name: more"))
    (tuning_folder / "reported.yaml").write_text(REPORTED.format(stream=card(tuning_folder, "other", "more")))
    with pytest.raises(SpecError, match="the exam of 'more' asks what example"):
        check_apart(load_tuning(tuning_folder / "tune.yaml"), Machine())


def test_nothing_is_run_before_the_streams_are_known_to_be_apart(tuning_folder, capsys):
    change(tuning_folder, str(tuning_folder / "mine.yaml"), "worlds-tiny")
    for more in ([], ["--plan"]):
        assert main(["tune", "tune.yaml", *more]) == 2
        assert "same stream" in capsys.readouterr().err
    assert not (tuning_folder / "clbench-store").exists()


SFT, EWC = "sft: {lr: [1.0e-3, 5.0e-4, 2.0e-3]}", "strength: [1.0]"
REFUSED = {
    "a budget of its own": (EWC, "epochs: [1, 2]", "equal for all"),
    "a rate for all": ("training: {", "training: {lr: 0.1, ", "every learner tunes its own rate"),
    "unequal tries": (EWC, "strength: [1, 2]", "differ (3: sft; 6: ewc)"),
    "one rate": (SFT, "sft: {lr: 1.0e-3}", "rates to try: 1, and at least 3"),
    "two rates": (SFT, "sft: {lr: [1.0e-3, 2.0e-3]}", "rates to try: 2, and at least 3"),
    "too many values": (EWC, "strength: [1, 2, 3, 4, 5]", "5 values, and 4 are the most"),
    "a value twice": (EWC, "strength: [1, 1.0]", "a value stands twice"),
    "nothing to tune": (SFT, "frozen: {}", "nothing to tune"),
    "no values": (EWC, "strength: []", "no values to try"),
    "two seeds": ("widen: 1", "seeds: [0, 1]", "seeds"),
    "a seed twice": ("widen: 1", "seeds: [0, 1, 1]", "a seed stands twice"),
    "unknown learner": ("ewc:", "ewk:", "did you mean 'ewc'"),
    "unknown setting": ("strength", "stregth", "did you mean 'strength'"),
    "value out of range": (EWC, "strength: [-1]", "learner.strength"),
    "unknown field": ("reported:", "reportd:", "reportd"),
    "no reported recipe": ("[reported.yaml]", "[]", "reported"),
    "reported recipe not there": ("[reported.yaml]", "[reprted.yaml]", "there is no recipe"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_refused(case, tuning_folder, capsys):
    old, new, said = REFUSED[case]
    change(tuning_folder, old, new)
    assert main(["tune", "tune.yaml", "--device", "cpu"]) == 2
    assert said in capsys.readouterr().err
    assert not (tuning_folder / "tuned.yaml").exists()


def test_one_learner_alone_is_named(tuning_folder, capsys):
    assert main(["tune", "tune.yaml", "--only", "ewk", "--plan"]) == 2
    assert "did you mean 'ewc'" in capsys.readouterr().err


def test_a_new_value_stays_in_the_range_of_its_setting(tuning_folder):
    tuning = load_tuning(tuning_folder / "tune.yaml")
    assert tuning.legal("replay", {"share": 0.5}, "share", 0.9) == 0.9
    assert tuning.legal("replay", {"share": 0.5}, "share", 2.0) == 1, "cut off at its limit"
    assert tuning.legal("replay", {"share": 1.0}, "share", 2.0) is None
    assert tuning.legal("lora", {"lora_dropout": 0.9}, "lora_dropout", 1.0) is None, "comes close to it only"
    assert tuning.legal("osf", {"free": 0.75}, "free", 1.1) == 0.9


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


NOTHING_TO_TUNE = {"frozen", "right_document"}


@pytest.mark.parametrize(
    ("tuned", "reported"), [("tune.yaml", "methods.yaml"), ("tune-labels.yaml", "methods-labels.yaml")]
)
def test_the_shipped_recipes_tune_every_learner_that_is_reported(tuned, reported):
    tuning = load_tuning(RECIPES / tuned)
    check_apart(tuning, Machine())
    recipe = yaml.safe_load((RECIPES / reported).read_text())
    assert reported in {Path(one).name for one in tuning.recipe.reported}
    assert tuning.recipe.training.items() <= recipe["training"].items(), "trained as much as what is reported"
    learners = {value if isinstance(value, str) else value["name"] for value in recipe["axes"]["learner"]}
    assert set(tuning.grids) == learners - NOTHING_TO_TUNE
    assert tuning.tries == 6


ON_REAL_DATA = {"real-text", "real-labels", "cil", "mixed"}
READ = [
    (name, path)
    for path in sorted(RECIPES.glob("*.yaml"))
    if (name := str(yaml.safe_load(path.read_text()).get("tuned", ""))) and path.stem not in ON_REAL_DATA
]


@pytest.mark.parametrize(("tuned", "path"), READ, ids=lambda value: Path(value).stem)
def test_whoever_reads_tuned_settings_reports_other_tasks(tuned, path):
    tuning = load_tuning(RECIPES / tuned.replace("tuned", "tune"))
    recipe = tuning.recipe.model_copy(update={"reported": (path.name,)})
    check_apart(replace(tuning, recipe=recipe), Machine())


def test_all_learners_are_reported():
    recipe = yaml.safe_load((RECIPES / "methods.yaml").read_text())
    learners = {value if isinstance(value, str) else value["name"] for value in recipe["axes"]["learner"]}
    assert learners == set(shipped("learner")) - {"checkpoints", "command"}, "all that learn here"
