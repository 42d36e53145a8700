"""Scores for others: by the schema of every_eval_ever, as a log of lm_eval, and read back as they were."""

import hashlib
import json
import math
from pathlib import Path

import pytest

from clbench.cli.main import main
from clbench.core.errors import DataError
from clbench.report.logs import every_eval_ever, lm_eval
from clbench.report.logs.as_run import as_run
from clbench.report.logs.export import SCHEMA, write_harness_log, write_record
from clbench.report.logs.log import Log, LoggedExam, LoggedItem
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


def imported(model="org/m", **exams):
    """A result of one row whose exams have these scores, under names that a stranger gave."""
    made = []
    for name, scores in exams.items():
        items = [LoggedItem(id=str(i), asked=str(i), score=score) for i, score in enumerate(scores)]
        made.append(LoggedExam(name, {"metric": "acc"}, tuple(items)))
    return as_run([Log(place=Path("x"), harness="lm-eval", version="1", model=model, exams=tuple(made))], "run")


MODELS = {
    "org/m": "org/m",
    "机构/模型": "机构/模型",
    "/home/me/secret/base": "local/base",
    "../../up": "local/up",
    "con/aux.txt": "_con/_aux.txt",
    "data/unknown": "_data/_unknown",
    "": "local/_",
    'a"b/c: {x}\n': "a_b/c___x__",
    "org/" + "m" * 400: "org/" + "m" * 150,
}


@pytest.mark.parametrize(("model", "known"), MODELS.items(), ids=range(len(MODELS)))
def test_models_of_any_name_lie_in_the_collection(model, known, tmp_path):
    file, items = write_record(imported(model, e=[1.0, 0.0]), 0, tmp_path / "out")
    record = json.loads(file.read_text())
    assert faults(record, "eval") == []
    assert record["model_info"]["id"] == known
    assert file.parent == items.parent == tmp_path / "out" / "data" / "clbench" / known
    assert "secret" not in file.read_text()


def test_exams_whose_names_are_alike_in_files_are_kept_apart(tmp_path):
    names = {"a/b": [1.0], "a_b": [0.0], "../x": [1.0, 1.0], "日本 語\n": [0.0, 1.0], "n" * 400: [1.0]}
    run = imported(**names)
    write_harness_log(run, 0, tmp_path / "log")
    log = lm_eval.read(tmp_path / "log", {})
    assert [[i.score for i in e.items] for e in log.exams if e.name.startswith("a_b")] == [[1.0], [0.0]]
    assert len(log.exams) == len(names)
    write_record(run, 0, tmp_path / "record")
    found = {e.name: [i.score for i in e.items] for e in every_eval_ever.read(tmp_path / "record", {}).exams}
    assert found == names


@pytest.mark.parametrize("write", [write_record, write_harness_log])
def test_a_row_without_a_score_is_refused(write, tmp_path):
    with pytest.raises(DataError, match="no item has a score after lesson 0"):
        write(imported(e=[None, None]), 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    some = imported(e=[None, 1.0], f=[None])
    write(some, 0, tmp_path / "out")
    reader = every_eval_ever if write is write_record else lm_eval
    assert [e.name for e in reader.read(tmp_path / "out", {}).exams] == ["e"]


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
