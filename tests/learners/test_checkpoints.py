"""Checkpoints of others: what is refused, told and pinned before anything is asked."""

import json
import shutil
from pathlib import Path

import pytest

from clbench.core.errors import UserError
from clbench.core.results import Costs
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.value import written
from clbench.engine.recipe.paths import place_paths
from clbench.engine.resolve import check_learner, open_learner, resolve
from clbench.learners.checkpoints import Config, checkpoint_spec, pin_files
from clbench.metrics import all_metrics, compute
from clbench.models import source
from clbench.report.runs.load import NO_MATRIX
from tests.builders.checkpoints import configured, write_base


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("first"))


def spec(base, *folders, **more):
    learner = {"name": "checkpoints", "folders": [*map(str, folders)], **more}
    return RunSpec(name="x", model=ModelSpec(name=str(base)), learner=learner, stream="s")


def copied(base, to, change=None):
    shutil.copytree(base, to)
    if change is not None:
        change(to)
    return to


def changed_json(name, **fields):
    def change(folder):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return change


def test_only_what_is_not_weights_is_told(base, tmp_path, heard):
    def template(folder):
        (folder / "chat_template.jinja").write_text(
            "{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
        )

    def padded(folder):  # as trainers leave it: how batches were cut says nothing of the model
        changed_json(
            "tokenizer.json",
            truncation={"max_length": 8, "stride": 0, "strategy": "LongestFirst", "direction": "Right"},
        )(folder)
        configured(transformers_version="4.0.0", use_cache=False)(folder)

    words = changed_json("tokenizer.json", normalizer={"type": "NFC"})
    folders = [
        copied(base, tmp_path / name, change)
        for name, change in {
            "same": None,
            "padded": padded,
            "template": template,
            "words": words,
            "words2": words,
            "theta": configured(rope_theta=500.0),
        }.items()
    ]
    pin_files(Config(folders=tuple(map(str, folders))), source.settled(ModelSpec(name=str(base))))
    heard[:] = [text for text in heard if "against row 0" in text]
    assert [text.partition(" against row 0: ")[0] for text in heard] == [
        "checkpoints, row 3",
        "checkpoints, rows 4, 5",
        "checkpoints, row 6",
    ]
    assert "chat template is another" in heard[0]
    assert "tokenizer.json says otherwise: normalizer" in heard[1]
    assert "config.json says otherwise: rope" in heard[2]


def test_the_order_of_a_shell_is_told_of(base, tmp_path, heard):
    later, earlier = (copied(base, tmp_path / f"checkpoint-{n}") for n in (1000, 200))
    resolve(spec(base, later, earlier))
    assert "checkpoints, rows 1, 2: they hold the same files" in heard
    (told,) = [text for text in heard if "order" in text]
    assert "checkpoint-1000" in told
    heard.clear()
    resolve(spec(base, earlier, later))
    assert not [text for text in heard if "order" in text]


def without(*names):
    def change(folder):
        for name in names:
            (folder / name).unlink()

    return change


UNUSABLE = {
    "no folder": (None, "there is no folder"),
    "no config": (without("config.json"), "holds no config.json"),
    "no weights": (without("model.safetensors"), "holds no weights"),
    "no tokenizer": (without("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"), "holds no tokenizer"),
    "other shapes": (configured(hidden_size=32), "do not fit config.json"),
    "shorter": (configured(max_position_embeddings=64), "64 positions"),
}


@pytest.mark.parametrize(("change", "said"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_folder_that_cannot_be_asked_is_refused_by_its_lesson(base, tmp_path, change, said):
    good = copied(base, tmp_path / "good")
    bad = tmp_path / "bad"
    if change is not None:
        copied(base, bad, change)
    with pytest.raises(UserError) as told:
        resolve(spec(base, good, bad))
    assert str(told.value).startswith("checkpoint of lesson 2 (")
    assert said in str(told.value)


def test_a_folder_is_pinned_and_one_that_changed_is_refused(base, tmp_path):
    folder = copied(base, tmp_path / "c1")
    first = resolve(spec(base, folder))
    (pinned,) = first.learner["folders"]
    assert pinned.startswith(f"{folder}@")
    assert resolve(first).key == first.key
    plugin, config = open_learner(first.learner)
    made = plugin.build(config, first.model, 0, Machine(device="cpu"))
    made._turn_to(1)
    made.save(tmp_path / "state")
    assert not list((tmp_path / "state").rglob("*.safetensors")), "a reference, not a copy"
    configured(rope_theta=500.0)(folder)
    with pytest.raises(UserError, match="is not what it was"):
        resolve(first)
    with pytest.raises(UserError, match="is not what it was"):
        plugin.build(config, first.model, 0, Machine(device="cpu")).load(tmp_path / "state")
    assert resolve(spec(base, folder)).key != first.key


class Lessons:
    name, task_ids = "some", "hidden"

    def __len__(self):
        return 3


def test_as_many_folders_as_lessons(base):
    with pytest.raises(UserError, match="has what 0 lessons left, and 'some' has 3 lessons"):
        check_learner(spec(base), Lessons())
    check_learner(spec(base, "a", "b", "c"), Lessons())


WRONG = {
    "too few times": ({"train_s": [1.0]}, "train_s has 1 values for 2 lessons"),
    "a time below zero": ({"train_s": [1.0, -1.0]}, "below zero"),
    "no such cost": ({"train_seconds": [1.0, 2.0]}, "train_s"),
    "no memory at all": ({"peak_memory_bytes": 0}, "peak_memory_bytes"),
    "no number": ({"joules": "much"}, "joules"),
}


@pytest.mark.parametrize(("costs", "said"), WRONG.values(), ids=WRONG.keys())
def test_costs_that_are_wrong(costs, said):
    with pytest.raises(UserError) as told:
        open_learner({"name": "checkpoints", "folders": ["a", "b"], "costs": costs})
    assert said in str(told.value)


def test_a_path_counts_from_the_recipe_and_is_never_a_name():
    values = {
        "learner": {"name": "checkpoints", "folders": ["c1", "/c2"]},
        "axes": {"learner": [{"folders": ["c3"]}, "sft"]},
    }
    place_paths(values, Path("recipes"))
    assert values["learner"]["folders"] == ["recipes/c1", "/c2"]
    assert values["axes"]["learner"] == [{"folders": ["recipes/c3"]}, "sft"]
    assert Config(folders=("tiny-llama",)).folders == ("./tiny-llama",)


def test_a_label_is_the_name_of_the_run_and_costs_are_what_is_stated(base):
    config = open_learner({"name": "checkpoints", "folders": ["a"], "costs": {"train_s": [2.0]}})[1]
    assert written(config) == {"folders": ["./a"], "costs": {"train_s": [2.0]}}
    assert written(Config(folders=("a",))) == {"folders": ["./a"]}
    assert spec(base, "a").told_settings == {"folders": "x"}
    other = spec(base).model_copy(update={"learner": {"name": "l2", "version": 2, "strength": 1e-5, "to": "first"}})
    assert other.told_settings == {"strength": "strength=1e-05", "to": "to=first"}


def test_it_is_loaded_as_the_base_is(base, tmp_path):
    first = ModelSpec(name=str(base), dtype="bfloat16", max_tokens=64, attention="eager")
    found = checkpoint_spec(f"{tmp_path}@0123456789abcdef", first)
    assert found == first.model_copy(update={"name": str(tmp_path)})


def test_what_is_not_known_is_never_a_number():
    costs = Costs(
        exam_s=2.0,
        exam_answers=4,
        exam_latency_s=(0.5,),
        train_s=9.0,
        prices={"machine_hour": 1.0, "labelled_example": 1.0},
    )
    unknown = ("train_s", "train_tokens", "examples_used", "kept_bytes", "added_parameters", "peak_memory_bytes")
    part = costs.model_copy(update={"unknown": unknown})
    names = [name for name, plugin in all_metrics().items() if plugin.needs == "costs"]
    figures = compute(names, NO_MATRIX, part, {})
    assert {name for name in names if figures[name] == figures[name]} == {
        "exam_seconds",
        "exam_latency_s_p50",
        "exam_latency_s_p95",
    }
    assert not set(unknown) & part.record().keys()
    assert Costs.model_validate(part.record()).unknown == unknown
    assert Costs.model_validate(part.record()).record() == part.record()
    assert "unknown" not in costs.record()
    with pytest.raises(ValueError, match="not a cost"):
        Costs(unknown=("time",))
