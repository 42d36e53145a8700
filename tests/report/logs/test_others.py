"""Logs of Inspect, lighteval, EvalScope and every_eval_ever: read item by item, and refused where they differ."""

import json
import zipfile
from contextlib import suppress

import pytest
import yaml

from clbench.cli.main import main
from clbench.core.errors import DataError
from clbench.report.decide.compare import comparisons, sides_of
from clbench.report.logs import evalscope, every_eval_ever, inspect_ai, lighteval
from clbench.report.logs.as_run import as_run
from clbench.report.logs.reading import as_text

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra `data`)")
ONE, TWO = [1, 0, 1, 1, 0, 1, 0, 1], [1, 1, 0, 1, 0, 0, 0, 1]


def question(i):
    return f"What is {i}?"


# --- each harness, as it writes ---------------------------------------------------------------------------------


def inspect_log(folder, scores, model="openai/a", change=None, name="log.json", task="arith"):
    samples = [
        {
            "id": i,
            "epoch": 1,
            "input": [{"id": f"made-{folder.name}-{i}", "role": "user", "content": question(i)}],
            "target": str(i),
            "output": {"model": model, "completion": f"It is {i}"},
            "scores": {"match": {"value": "C" if score else "I", "answer": str(i)}},
        }
        for i, score in enumerate(scores)
    ]
    mean = sum(scores) / len(scores)
    log = {
        "version": 2,
        "status": "success",
        "eval": {
            "task": task,
            "task_version": 1,
            "task_args": {"fewshot": 2},
            "model": model,
            "created": "2026-01-02T00:00:00+00:00",
            "config": {"epochs": 1},
            "packages": {"inspect_ai": "0.3.285"},
        },
        "plan": {"steps": [{"solver": "generate", "params": {}}], "config": {"temperature": 0.0}},
        "results": {"scores": [{"name": "match", "scorer": "match", "metrics": {"accuracy": {"value": mean}}}]},
        "samples": samples,
    }
    if change is not None:
        change(log)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(log))
    return folder


def lighteval_log(folder, scores, change=None, examples=0, older=False, date="2026-01-02T10-00-00.000001"):
    import pyarrow as pa

    rows = []
    for i, score in enumerate(scores):
        doc = {
            "query": question(i),
            "choices": ["1", "2", "3", "4"],
            "gold_index": [i % 4],
            "instruction": "",
            "id": str(i),
        }
        row = {"doc": doc, "metric": {"acc": float(score)}, "model_response": {"text": [f"said {i}"]}}
        if older:
            row = {
                "full_prompt": question(i),
                "choices": doc["choices"],
                "gold": [i % 4],
                "metrics": {"acc": float(score)},
            }
            row |= {"predictions": [f"said {i}"]}
        rows.append(row)
    if change is not None:
        change(rows)
    task = f"lighteval|arith|{examples}"
    stated = {
        "config_general": {"model_name": "a/model", "model_dtype": "torch.bfloat16", "lighteval_sha": "abc"},
        "results": {task: {"acc": sum(scores) / len(scores)}},
        "versions": {task: 3},
    }
    (folder / "results" / "a" / "model").mkdir(parents=True)
    (folder / "results" / "a" / "model" / f"results_{date}.json").write_text(json.dumps(stated))
    details = folder / "details" / "a" / "model" / date
    details.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), details / f"details_{task}_{date}.parquet")
    return folder


def evalscope_log(folder, scores, change=None, shots=4):
    rows = [
        {
            "index": i,
            "input": question(i),
            "target": str(i),
            "sample_score": {
                "sample_id": i,
                "score": {"value": {"acc": float(score)}, "extracted_prediction": f"said {i}"},
            },
        }
        for i, score in enumerate(scores)
    ]
    report = {
        "dataset_name": "arith",
        "metrics": [
            {
                "name": "mean_acc",
                "categories": [{"subsets": [{"name": "main", "score": round(sum(scores) / len(scores), 4)}]}],
            }
        ],
    }
    if change is not None:
        change(rows)
    for place in ("reviews/m", "reports/m", "configs"):
        (folder / place).mkdir(parents=True)
    (folder / "reviews" / "m" / "arith_main.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "reports" / "m" / "arith.json").write_text(json.dumps(report))
    config = {"model": "m", "dataset_args": {"arith": {"few_shot_num": shots}}, "generation_config": {"temperature": 0}}
    (folder / "configs" / "task_config_1.yaml").write_text(yaml.safe_dump(config))
    return folder


def record_log(folder, scores, change=None):
    rows = [
        {
            "evaluation_name": "arith",
            "sample_id": f"q{i}",
            "input": {"raw": question(i), "reference": [str(i)]},
            "output": {"raw": [f"said {i}"]},
            "evaluation": {"score": score, "is_correct": bool(score)},
        }
        for i, score in enumerate(scores)
    ]
    record = {
        "schema_version": "0.2.1",
        "evaluation_id": "x",
        "model_info": {"name": "m", "id": "org/m"},
        "eval_library": {"name": "helm", "version": "1"},
        "evaluation_results": [
            {
                "evaluation_name": "arith",
                "source_data": {"dataset_name": "arith"},
                "metric_config": {"lower_is_better": False, "evaluation_description": "exact"},
                "score_details": {"score": sum(scores) / len(scores)},
            }
        ],
        "detailed_evaluation_results": {"format": "jsonl", "file_path": "data/x/items.jsonl"},
    }
    if change is not None:
        change(record)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


WRITERS = {
    "inspect": (inspect_log, inspect_ai, "arith"),
    "lighteval": (lighteval_log, lighteval, "arith"),
    "evalscope": (evalscope_log, evalscope, "arith_main"),
    "every-eval-ever": (record_log, every_eval_ever, "arith"),
}


@pytest.mark.parametrize("harness", WRITERS)
def test_two_logs_become_results_that_are_compared_item_by_item(harness, tmp_path, capsys):
    write, _, name = WRITERS[harness]
    for place, scores in (("one", ONE), ("two", TWO)):
        write(tmp_path / place, scores)
        assert main(["import", harness, str(tmp_path / place), "--to", str(tmp_path / f"in-{place}")]) == 0
    sides = sides_of([tmp_path / "in-one", tmp_path / "in-two"])
    rows = [side.runs[0].item_scores.named(name).rows[0].values().tolist() for side in sides]
    assert sorted(map(sum, rows)) == sorted((sum(ONE), sum(TWO)))
    assert rows == [ONE, TWO]
    (found,) = comparisons(sides, None)
    (exam,) = found.exams
    assert (exam.one, exam.two) == pytest.approx((sum(ONE) / 8, sum(TWO) / 8))
    assert all(flip.question.startswith("What is") and flip.expected for flip in found.flips)
    capsys.readouterr()
    gate = ["gate", str(tmp_path / "in-two"), "--baseline", str(tmp_path / "in-one"), "--max-drop", "99pp"]
    assert main([*gate, "--lang", "en", "--store", str(tmp_path / "store")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "results do not say template, tokenizer and generation settings" in said
    assert "make a new baseline" not in said, "there is none to make"
    assert main(["leaderboard", "verify", str(tmp_path / "in-one")]) != 0
    assert f"learner '{harness}' is not known here" in capsys.readouterr().out


def asked_otherwise(harness, log):
    """A change by which a log's first question is another one."""
    if harness == "inspect":
        return lambda found: found["samples"][0].update(input="Another?")
    if harness == "lighteval":
        return lambda rows: rows[0]["doc"].update(query="Another?")
    return lambda rows: rows[0].update(input="Another?")


@pytest.mark.parametrize("harness", ["inspect", "lighteval", "evalscope"])
def test_logs_of_other_prompts_or_items_are_no_rows_of_one_matrix(harness, tmp_path):
    write, reader, name = WRITERS[harness]
    first = reader.read(write(tmp_path / "one", ONE), {})
    other = reader.read(write(tmp_path / "two", TWO, change=asked_otherwise(harness, None)), {})
    fewer = reader.read(write(tmp_path / "three", ONE[:6]), {})
    with pytest.raises(DataError, match=f"exam {name}: 1 of 8 items were put in other words"):
        as_run([first, other], "x")
    with pytest.raises(DataError, match=f"exam {name}: other items \\(2 of one are not in two, 0 of two"):
        as_run([first, fewer], "x")


SETTINGS = {
    "examples of lighteval": (lighteval_log, lighteval, {"examples": 5}, "exam arith: examples 0 and 5"),
    "examples of evalscope": (evalscope_log, evalscope, {"shots": 0}, "exam arith_main: examples 4 and 0"),
    "arguments of inspect": (
        inspect_log,
        inspect_ai,
        {"change": lambda log: log["eval"].update(task_args={"fewshot": 0})},
        "exam arith: task arguments",
    ),
    "version of inspect": (
        inspect_log,
        inspect_ai,
        {"change": lambda log: log["eval"].update(task_version=2)},
        "exam arith: task version 1 and 2",
    ),
    "solver of inspect": (
        inspect_log,
        inspect_ai,
        {"change": lambda log: log["plan"]["steps"].insert(0, {"solver": "chain_of_thought", "params": {}})},
        "exam arith: solver",
    ),
    "scorer of a record": (
        record_log,
        every_eval_ever,
        {"change": lambda r: r["evaluation_results"][0]["metric_config"].update(evaluation_description="judge")},
        "exam arith: metric exact and judge",
    ),
}


@pytest.mark.parametrize(("write", "reader", "changes", "said"), SETTINGS.values(), ids=SETTINGS.keys())
def test_logs_of_other_settings_are_refused_with_the_difference(write, reader, changes, said, tmp_path):
    first, other = (
        reader.read(write(tmp_path / "one", ONE), {}),
        reader.read(write(tmp_path / "two", ONE, **changes), {}),
    )
    with pytest.raises(DataError) as told:
        as_run([first, other], "x")
    assert said in str(told.value)


def test_logs_of_two_harnesses_are_refused(tmp_path):
    logs = [
        inspect_ai.read(inspect_log(tmp_path / "a", ONE), {}),
        every_eval_ever.read(record_log(tmp_path / "b", ONE), {}),
    ]
    with pytest.raises(DataError, match="logs of inspect and of every-eval-ever"):
        as_run(logs, "x")


# --- what a stranger's files may be -----------------------------------------------------------------------------


def test_inspect_as_a_zip_and_as_text_are_the_same(tmp_path):
    folder = inspect_log(tmp_path / "one", ONE)
    log = json.loads((folder / "log.json").read_text())
    with zipfile.ZipFile(tmp_path / "log.eval", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("header.json", json.dumps({k: v for k, v in log.items() if k != "samples"}))
        for sample in reversed(log["samples"]):
            packed.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    assert inspect_ai.read(tmp_path / "log.eval", {}).exams == inspect_ai.read(folder, {}).exams


def test_a_zip_that_python_does_not_unpack_names_what_does(tmp_path):
    place = tmp_path / "log.eval"
    with zipfile.ZipFile(place, "w") as packed:
        packed.writestr("header.json", "{}")
    data = bytearray(place.read_bytes())
    for start in (8, data.index(b"PK\x01\x02") + 10):
        data[start : start + 2] = (93).to_bytes(2, "little")  # Zstandard
    place.write_bytes(data)
    with pytest.raises(DataError) as told:
        inspect_ai.read(place, {})
    assert "inspect log convert" in told.value.mend or "cannot be read" in told.value.what
    place.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(DataError, match="cannot be read"):
        inspect_ai.read(place, {})


def test_inspect_counts_partial_answers_epochs_errors_and_parts(tmp_path, heard):
    def change(log):
        log["results"] = {}
        for sample, value in zip(log["samples"], ("C", "I", "P", "N", 0.25, True, None, "C"), strict=True):
            sample["scores"] = {"match": {"value": value}, "parts": {"value": {"a": 1, "b": 0}}}
        log["samples"][7]["error"] = {"message": "time out"}
        log["samples"].append({**log["samples"][0], "epoch": 2, "scores": {"match": {"value": "I"}}})

    folder = inspect_log(tmp_path, ONE, change=change)
    (exam,) = inspect_ai.read(folder, {}).exams
    assert [item.score for item in exam.items] == [0.5, 0.0, 0.5, 0.0, 0.25, 1.0, None, 1.0]
    assert any("match is taken; --metric arith=METRIC takes another (parts.a, parts.b)" in text for text in heard)
    assert any("up to 2 times" in text for text in heard)
    assert "arith: 1 of 8 items have no score" in heard, "an error that was scored counts, as in the harness"
    (exam,) = inspect_ai.read(folder, {"arith": "parts.b"}).exams
    assert [item.score for item in exam.items] == [0.0] * 8


def test_a_folder_of_inspect_is_one_model_and_the_last_log_of_a_task_counts(tmp_path, heard):
    inspect_log(tmp_path, ONE, name="a.json")
    inspect_log(tmp_path, TWO, name="b.json", change=lambda log: log["eval"].update(created="2026-02-01"))
    inspect_log(tmp_path, ONE, name="c.json", task="other")
    log = inspect_ai.read(tmp_path, {})
    assert [exam.name for exam in log.exams] == ["arith", "other"]
    assert [item.score for item in log.exams[0].items] == TWO
    assert any("arith: 2 logs, of which the last is taken (b.json)" in text for text in heard)
    inspect_log(tmp_path, ONE, name="d.json", model="openai/b")
    with pytest.raises(DataError, match="several models: openai/a, openai/b"):
        inspect_ai.read(tmp_path, {})


def test_both_forms_of_lighteval_are_read(tmp_path):
    newer, older = (lighteval.read(lighteval_log(tmp_path / n, ONE, older=n == "old"), {}) for n in ("new", "old"))
    assert sorted(i.score for i in older.exams[0].items) == sorted(i.score for i in newer.exams[0].items)
    assert {item.guess_rate for item in newer.exams[0].items} == {0.25}
    assert (newer.model, newer.dtype, newer.version) == ("a/model", "bfloat16", "abc")
    assert dict(newer.exams[0].settings)["task version"] == 3


WRONG = {
    "inspect, not done": (
        "inspect",
        {"change": lambda log: log.update(status="error")},
        "did not finish (status error)",
    ),
    "inspect, no samples": ("inspect", {"change": lambda log: log.pop("samples")}, "no item is on record"),
    "inspect, no scores": (
        "inspect",
        {"change": lambda log: [s.pop("scores") for s in log["samples"]]},
        "no item of arith has a score",
    ),
    "inspect, another mean": (
        "inspect",
        {"change": lambda log: log["results"]["scores"][0]["metrics"]["accuracy"].update(value=0.1)},
        "no score in it is a mean",
    ),
    "lighteval, texts": (
        "lighteval",
        {"change": lambda rows: [row.update(metric=str(row["metric"])) for row in rows]},
        "written as texts",
    ),
    "lighteval, above 1": (
        "lighteval",
        {"change": lambda rows: rows[0].update(metric={"acc": 3.0})},
        "no score in it is a mean",
    ),
    "evalscope, older": (
        "evalscope",
        {"change": lambda rows: rows[0].pop("sample_score")},
        "this is not an item of EvalScope",
    ),
    "a record, worse is better": (
        "every-eval-ever",
        {"change": lambda r: r["evaluation_results"][0]["metric_config"].update(lower_is_better=True)},
        "no score in it is a mean",
    ),
}


@pytest.mark.parametrize(("harness", "changes", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_read_or_compared_is_told(harness, changes, said, tmp_path, heard):
    write, reader, _ = WRITERS[harness]
    with pytest.raises(DataError) as told:
        reader.read(write(tmp_path / "log", ONE, **changes), {})
    assert said in str(told.value)


@pytest.mark.parametrize("harness", WRITERS)
def test_files_that_are_none_are_told_without_a_traceback(harness, tmp_path, capsys):
    write, _, _ = WRITERS[harness]
    rubbish = tmp_path / "rubbish.json"
    odd = {"eval": 3, "samples": [3], "config_general": 3, "results": 3, "versions": 3, "schema_version": 3}
    odd |= {"evaluation_id": 3, "model_info": 3, "eval_library": 3, "evaluation_results": 3}
    for text in ("", "[]", "{", '{"eval": 3}', '"x"', "\x00\x01", json.dumps(odd)):
        rubbish.write_text(text)
        assert main(["import", harness, str(rubbish), "--to", str(tmp_path / "in")]) == 2
    for place in (tmp_path / "none", tmp_path):
        assert main(["import", harness, str(place), "--to", str(tmp_path / "in")]) == 2
    folder = write(tmp_path / "log", ONE)
    assert main(["import", harness, str(folder), "--to", str(tmp_path / "in"), "--metric", "other=acc"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "there is no score of a task 'other'" in said


def test_what_no_file_can_hold_is_replaced_and_told(tmp_path, capsys):
    def change(log):
        log["eval"] |= {"task": "ari\ud800th", "task_version": float("nan")}
        log["samples"][0]["output"]["completion"] = "half \udc00"

    folder = inspect_log(tmp_path / "log", ONE, change=change)
    assert main(["import", "inspect", str(folder), "--to", str(tmp_path / "in"), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["exams"] == {"ari\ufffdth": 8}
    assert "2 texts hold half a character" in said.err
    (result,) = (tmp_path / "in").glob("*.json")
    assert '"task version": "nan"' in result.read_text(encoding="utf-8")


def test_numbers_and_names_without_measure_are_told_without_a_traceback(tmp_path, capsys):
    huge = inspect_log(tmp_path / "huge", ONE)
    text = (huge / "log.json").read_text().replace('"value": 0.625', '"value": 1' + "0" * 400)
    (huge / "log.json").write_text(text)
    long = record_log(
        tmp_path / "long", ONE, change=lambda log: log["detailed_evaluation_results"].update(file_path="1" * 400)
    )
    assert main(["import", "inspect", str(huge), "--to", str(tmp_path / "in")]) == 2
    assert main(["import", "every-eval-ever", str(long), "--to", str(tmp_path / "in")]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "int too large" in said
    assert "there are no items beside it" in said


def test_every_flipped_byte_of_a_packed_log_is_told_or_does_not_matter(tmp_path):
    folder = inspect_log(tmp_path / "one", ONE[:2])
    log = json.loads((folder / "log.json").read_text())
    place = tmp_path / "log.eval"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("header.json", json.dumps({k: v for k, v in log.items() if k != "samples"}))
        for sample in log["samples"]:
            packed.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    whole = place.read_bytes()
    for at in range(0, len(whole), 11):
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with suppress(DataError):
            inspect_ai.read(place, {})


def test_a_record_names_no_file_outside_its_folder(tmp_path):
    def change(record):
        record["detailed_evaluation_results"]["file_path"] = "../../items.jsonl"

    log = every_eval_ever.read(record_log(tmp_path / "a" / "b", ONE, change=change), {})
    assert len(log.exams[0].items) == 8, "its name alone counts"
    (tmp_path / "a" / "b" / "items.jsonl").rename(tmp_path / "items.jsonl")
    with pytest.raises(DataError, match="no items beside it"):
        every_eval_ever.read(tmp_path / "a" / "b", {})


def test_texts_of_messages_and_parts():
    assert as_text([{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"content": "b"}]) == "a\nb"
    assert as_text({"b": 1}) == '{"b": 1}'
    assert as_text(None) == ""
