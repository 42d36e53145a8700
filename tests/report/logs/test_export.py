"""Scores for others: by the schema of every_eval_ever, as a log of lm_eval, and read back as they were."""

import hashlib
import json
import math

import pytest

from clbench.cli.main import main
from clbench.report.logs import every_eval_ever, lm_eval
from clbench.report.logs.export import SCHEMA
from clbench.report.runs.load import read_runs
from tests.builders.places import FIXTURES, RECORDED

SCHEMAS = FIXTURES / "every_eval_ever"  # as published; its README names source and version
jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (extra `dev`)")


def schema(name):
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text())


def faults(value, name):
    """Return what does not fit a published schema."""
    check = jsonschema.Draft7Validator(schema(name))
    return [f"{fault.json_path}: {fault.message}" for fault in check.iter_errors(value)]


def test_the_schemas_are_the_published_ones():
    """Their digests are those of the package; a schema that was eased here would pass anything."""
    known = {
        "eval": "c9c6195aec8a9dfa0b2aba4924ac1aa8a184c9d8ca97cee778cb531088e39b48",
        "instance_level_eval": "b16b7fa7f0aa32763444179d94ffb2336ddb12c3fd2903835fe491666c1ff3e6",
    }
    for name, sha256 in known.items():
        jsonschema.Draft7Validator.check_schema(schema(name))
        assert hashlib.sha256((SCHEMAS / f"{name}.schema.json").read_bytes()).hexdigest() == sha256
        assert schema(name)["version"] == SCHEMA


@pytest.fixture(scope="module")
def run():
    return read_runs([RECORDED])[0]


def place_of(run):
    return str(RECORDED / f"{run.name}.json")


@pytest.mark.parametrize("lesson", [0, None])
def test_a_record_fits_the_schema_and_is_read_as_it_was(run, lesson, tmp_path, capsys):
    more = [] if lesson is None else ["--lesson", str(lesson)]
    assert main(["export", "every-eval-ever", place_of(run), "--to", str(tmp_path / "out"), *more]) == 0
    row = run.matrix.num_lessons if lesson is None else lesson
    place = tmp_path / "out"
    (file,) = place.rglob("*.json")
    record = json.loads(file.read_text())
    assert faults(record, "eval") == []
    source = place / record["detailed_evaluation_results"]["file_path"]
    assert source == file.with_name(f"{file.stem}_samples.jsonl")
    items = [json.loads(line) for line in source.read_text().splitlines()]
    assert [fault for item in items for fault in faults(item, "instance_level_eval")] == []
    assert record["detailed_evaluation_results"]["total_rows"] == len(items)
    assert record["detailed_evaluation_results"]["checksum"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert {(item["evaluation_id"], item["model_id"]) for item in items} == {
        (record["evaluation_id"], record["model_info"]["id"])
    }
    assert file.relative_to(place).parts[2:4] == tuple(record["model_info"]["id"].split("/"))
    assert (f"lesson-{row}" in record["model_info"]["id"]) == (row > 0), "what a run made is not its base"
    for item in items:
        texts = [item["input"]["raw"], *item["input"]["reference"]]
        if item["sample_hash"] is not None:
            assert item["sample_hash"] == hashlib.sha256("".join(texts).encode()).hexdigest()
    log = every_eval_ever.read(tmp_path / "out", {})
    for exam in log.exams:
        sheet = run.item_scores.named(exam.name)
        known = dict(zip(sheet.ids, sheet.rows[row].values().tolist(), strict=True))
        assert {item.id: item.score for item in exam.items} == {k: v for k, v in known.items() if not math.isnan(v)}
    assert len(log.exams) > 3
    assert any(item["metadata"]["texts"] == "on record" and item["input"]["raw"] for item in items)


def test_a_log_of_the_harness_is_read_as_it_was(run, tmp_path):
    assert main(["export", "lm-eval", place_of(run), "--to", str(tmp_path / "out")]) == 0
    log = lm_eval.read(tmp_path / "out", {})
    assert log.model == run.spec.model.name
    for exam in log.exams:
        sheet = run.item_scores.named(exam.name)
        known = sheet.rows[run.matrix.num_lessons].values().tolist()
        assert [item.score for item in exam.items] == [None if math.isnan(v) else v for v in known]
    assert len(log.exams) > 3


def test_a_model_card_alone(run, tmp_path):
    assert main(["export", "model-card", place_of(run), "--to", str(tmp_path / "card")]) == 0
    text = (tmp_path / "card" / "README.md").read_text()
    assert "model-index:" in text
    assert run.spec.learner_label in text


def test_what_is_refused(run, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    new = ["--to", str(tmp_path / "new")]
    wrong = {
        "there is something in": ["every-eval-ever", place_of(run), "--to", str(tmp_path / "full")],
        "no lesson 99": ["model-card", place_of(run), *new, "--lesson", "99"],
        "did you mean 'lm-eval'": ["lm_eval", place_of(run), *new],
        "one run is wanted": ["a", "b", "c", *new],
        "has no effect on lm-eval": ["lm-eval", place_of(run), *new, "--merge"],
        "holds": ["lm-eval", str(RECORDED), *new],
    }
    for said, words in wrong.items():
        assert main(["export", *words]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
