"""Scores for others: by the schema of every_eval_ever, as a log of lm_eval, and read back as they were."""

import json
import math

import pytest

from clbench.cli.main import main
from clbench.report.logs import every_eval_ever, lm_eval
from clbench.report.runs.load import read_runs
from tests.builders.places import FIXTURES, RECORDED

SCHEMAS = json.loads((FIXTURES / "every_eval_ever.json").read_text())
TYPES = {
    "string": str,
    "object": dict,
    "array": list,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def faults(value, schema, where=""):
    """Yield what does not fit a JSON schema, of the few words that the fixture uses."""
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    kinds = schema.get("type")
    if kinds is not None:
        named = [kinds] if isinstance(kinds, str) else kinds
        fits = any(isinstance(value, TYPES[k]) and (k == "boolean" or not isinstance(value, bool)) for k in named)
        if not fits:
            yield f"{where}: {value!r} is not {kinds}"
            return
    if isinstance(value, dict):
        yield from (f"{where}: {name} is missing" for name in schema.get("required", ()) if name not in value)
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, part in value.items():
            if name not in known and others is False:
                yield f"{where}: {name} is not known"
            else:
                yield from faults(part, known.get(name, others or {}), f"{where}.{name}")
    if isinstance(value, list):
        for place, part in enumerate(value):
            yield from faults(part, schema.get("items", {}), f"{where}[{place}]")


def test_the_check_of_the_schema_bites():
    good = {"name": "a", "version": "1"}
    part = SCHEMAS["record"]["properties"]["eval_library"]
    assert list(faults(good, part)) == []
    assert list(faults({"name": 1}, part)) == [": version is missing", ".name: 1 is not string"]
    assert list(faults({"a": 1}, {"additionalProperties": False})) == [": a is not known"]
    assert list(faults(True, {"type": "number"})) == [": True is not number"]


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
    (file,) = (tmp_path / "out").glob("*.json")
    record = json.loads(file.read_text())
    assert list(faults(record, SCHEMAS["record"])) == []
    items = [json.loads(line) for line in next((tmp_path / "out").glob("*.jsonl")).read_text().splitlines()]
    assert [fault for item in items for fault in faults(item, SCHEMAS["item"])] == []
    assert record["detailed_evaluation_results"]["total_rows"] == len(items)
    assert {item["evaluation_id"] for item in items} == {record["evaluation_id"]}
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
