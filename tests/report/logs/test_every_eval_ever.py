"""Records of every_eval_ever as its converters write them: several results of an item, a record for each task."""

import json

import pytest

from clbench.core.errors import DataError
from clbench.report.logs import every_eval_ever
from clbench.report.logs.as_run import as_run

SCORES = [1.0, 0.0, 1.0, 0.25]


def result(key, score, name="arith", **config):
    return {
        "evaluation_result_id": key,
        "evaluation_name": name,
        "source_data": {"dataset_name": name, "source_type": "other"},
        "metric_config": {"lower_is_better": False, "metric_id": key, **config},
        "score_details": {"score": score},
    }


def row(i, key, score, name="arith", **more):
    found = {
        "evaluation_id": "x",
        "evaluation_name": name,
        "evaluation_result_id": key,
        "sample_id": f"q{i}",
        "interaction_type": "single_turn",
        "input": {"raw": f"What is {i}?", "reference": [str(i)]},
        "output": {"raw": [f"said {i}"]},
        "evaluation": {"score": score, "is_correct": score == 1},
    }
    return found | more


def written(folder, results, rows, name="one", change=None, model="org/m", total=None):
    record = {
        "schema_version": "0.3.0",
        "evaluation_id": "x",
        "model_info": {"name": model, "id": model},
        "eval_library": {"name": "inspect_ai", "version": "1"},
        "evaluation_results": results,
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"data/a/b/c/{name}_samples.jsonl",
            "total_rows": len(rows) if total is None else total,
        },
    }
    if change is not None:
        change(record)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record))
    (folder / f"{name}_samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return folder


def two_results(folder, **more):
    """An item of a scorer that states a spread and a mean: the items are the same, and one of them is their mean."""
    results = [result("match/stderr", 0.2), result("match/accuracy", sum(SCORES) / 4), result("f1", 0.5)]
    rows = [row(i, key, s) for i, s in enumerate(SCORES) for key in ("match/stderr", "match/accuracy")]
    return written(folder, results, rows + [row(i, "f1", 0.5) for i in range(4)], **more)


def test_of_several_results_of_an_item_one_is_taken(tmp_path, heard):
    folder = two_results(tmp_path)
    (exam,) = every_eval_ever.read(folder, {}).exams
    assert [item.score for item in exam.items] == SCORES
    assert heard == ["arith: match/accuracy is taken; --metric arith=METRIC takes another (f1)"]
    (exam,) = every_eval_ever.read(folder, {"arith": "f1"}).exams
    assert [item.score for item in exam.items] == [0.5] * 4
    assert dict(exam.settings)["metric"] == "f1"
    with pytest.raises(DataError, match="arith has no metric 'f2'"):
        every_eval_ever.read(folder, {"arith": "f2"})
    with pytest.raises(DataError, match="there is no score of a task 'arith'"):
        every_eval_ever.read(folder, {"arith": "match/stderr"})
    assert heard[-1] == "arith is left out: its match/stderr (0.2) is not the mean of its items (0.5625)"


def test_two_results_are_not_compared(tmp_path):
    logs = [every_eval_ever.read(two_results(tmp_path), {"arith": key}) for key in ("f1", "match/accuracy")]
    with pytest.raises(DataError, match="exam arith: metric f1 and match/accuracy"):
        as_run(logs, "x")


def test_a_folder_of_records_of_one_model_is_one_log(tmp_path, heard):
    for name in ("arith", "logic"):
        rows = [row(i, "acc", s, name) for i, s in enumerate(SCORES)]
        written(tmp_path / "org" / "m", [result("acc", sum(SCORES) / 4, name)], rows, name)
    log = every_eval_ever.read(tmp_path, {})
    assert [exam.name for exam in log.exams] == ["arith", "logic"]
    (tmp_path / "org" / "m" / "logic_samples.jsonl").unlink()
    assert [exam.name for exam in every_eval_ever.read(tmp_path, {}).exams] == ["arith"]
    assert any("1 of 2 records are left out: no items" in text for text in heard)
    written(tmp_path / "org" / "n", [result("acc", 1.0)], [row(0, "acc", 1.0)], model="org/n")
    with pytest.raises(DataError, match="several models: org/m, org/n"):
        every_eval_ever.read(tmp_path, {})


def test_items_that_were_cut_off_or_are_of_another_record_are_refused(tmp_path):
    with pytest.raises(DataError, match="it holds 12 items, and says 13"):
        every_eval_ever.read(two_results(tmp_path / "cut", total=13), {})
    folder = two_results(tmp_path / "other", change=lambda record: record.update(evaluation_id="y"))
    with pytest.raises(DataError, match="these are items of x, and the record is y"):
        every_eval_ever.read(folder, {})


def test_of_several_turns_the_last_of_the_model_is_the_answer(tmp_path):
    turns = [
        {"turn_idx": 0, "role": "user", "content": "What is 1?"},
        {"turn_idx": 1, "role": "assistant", "content": "I look it up"},
        {"turn_idx": 2, "role": "tool", "content": "1"},
        {"turn_idx": 3, "role": "assistant", "content": "One"},
    ]
    rows = [row(1, None, 1.0, interaction_type="agentic", output=None, messages=turns)]
    folder = written(tmp_path, [result(None, 1.0)], rows)
    ((item,),) = [exam.items for exam in every_eval_ever.read(folder, {}).exams]
    assert (item.question, item.answer) == ("What is 1?", "One")


def test_questions_that_are_kept_secret_differ_by_their_hash(tmp_path):
    def secret(name, sha):
        rows = [row(0, "acc", 1.0, input={"raw": "", "reference": []}, sample_hash=sha)]
        return every_eval_ever.read(written(tmp_path / name, [result("acc", 1.0)], rows), {})

    as_run([secret("a", "1"), secret("b", "1")], "x")
    with pytest.raises(DataError, match="1 of 1 items were put in other words"):
        as_run([secret("a", "1"), secret("c", "2")], "x")


def test_other_judges_are_refused(tmp_path):
    def judged(name, judge):
        llm = {"judges": [{"model_info": {"name": judge, "id": judge}}], "input_prompt": "?"}
        results = [result("acc", 1.0, llm_scoring=llm)]
        return every_eval_ever.read(written(tmp_path / name, results, [row(0, "acc", 1.0)]), {})

    with pytest.raises(DataError, match=r'exam arith: judges \["one"\] and \["two"\]'):
        as_run([judged("a", "one"), judged("b", "two")], "x")
