"""Logs of lm-evaluation-harness as a stranger has them: damaged, cut off, mixed, of scores that are not means."""

import json
import re

import pytest

from clbench.cli.main import main
from clbench.core.errors import DataError
from clbench.report.decide.compare import comparisons, sides_of
from clbench.report.logs.lm_eval import read
from clbench.report.runs.load import load_runs

DATE = "2026-11-28T10-00-00.123456"
RIGHT = {"one": [1, 1, 1, 0, 1, 1, 0, 1, 1, 1], "two": [0, 1, 0, 0, 1, 0, 0, 1, 0, 1]}


def sample(doc, value, filter_="none", metric="acc", **more):
    """An item as `EvaluationTracker.save_results_samples` writes it."""
    choices = ["yes", "no"]
    return {
        "doc_id": doc,
        "doc": {"question": f"Is {doc} even?"},
        "target": "0",
        "arguments": {f"gen_args_{k}": {"arg_0": f"Is {doc} even?", "arg_1": f" {c}"} for k, c in enumerate(choices)},
        "resps": [[["-1.0", "False"]], [["-2.0", "False"]]],
        "filtered_resps": [["-1.0", "False"], ["-2.0", "False"]],
        "filter": filter_,
        "metrics": [metric],
        "doc_hash": "d",
        "prompt_hash": "p",
        "target_hash": "t",
        metric: value,
    } | more


def results(tasks, **changes):
    """What `save_results_aggregated` writes, for tasks of (score name -> value, items)."""
    return {
        "results": {name: {"alias": name, **scores} for name, (scores, _) in tasks.items()},
        "configs": {name: {"task": name, "output_type": "multiple_choice"} for name in tasks},
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {name: {"acc": True} for name in tasks},
        "n-samples": {name: {"original": num, "effective": num} for name, (_, num) in tasks.items()},
        "config": {"model": "hf", "model_args": "pretrained=x", "device": "cuda:0", "model_dtype": "torch.bfloat16"},
        "date": 1764324000.5,
        "transformers_version": "5.23.0",
        "lm_eval_version": "0.4.13",
        "model_name": "some/model",
    } | changes


def written(folder, values, samples=None, date=DATE, task="even", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    samples = [sample(i, float(v)) for i, v in enumerate(values)] if samples is None else samples
    mean = sum(values) / len(values)
    (folder / f"results_{date}.json").write_text(
        json.dumps(results({task: ({"acc,none": mean}, len(values))}, **changes))
    )
    (folder / f"samples_{task}_{date}.jsonl").write_text("".join(json.dumps(s) + "\n" for s in samples))
    return folder


def brought(folder, name, *options):
    to = folder / f"in-{name}"
    assert main(["import", "lm-eval", str(folder / name), "--to", str(to), *options]) == 0
    return to


def test_what_a_log_says_stands_in_the_result_and_nothing_else(tmp_path):
    written(tmp_path / "one", RIGHT["one"])
    (run,) = load_runs([brought(tmp_path, "one", "--name", "mine")])
    assert (run.spec.name, run.spec.model.name, run.spec.model.dtype) == ("mine", "some/model", "bfloat16")
    (column,) = run.matrix.columns
    assert (column.name, column.guess_rate, column.size) == ("even", 0.5, 10)
    assert run.matrix.values.tolist() == [[0.8]]
    (sheet,) = run.item_scores.exams
    assert sheet.rows[0].values().tolist() == RIGHT["one"]
    assert dict(sheet.scorer.settings) == {"metric": "acc", "filter": "none", "task version": 1.0, "examples": 0}
    assert run.provenance["packages"] == {"lm_eval": "0.4.13", "transformers": "5.23.0"}
    assert run.provenance["made"] == "2025-11-28T10:00:00+00:00"
    for figure in ("train_seconds", "exam_seconds", "peak_memory_bytes", "kept_bytes", "examples_used"):
        assert run.scores[figure] != run.scores[figure], figure
    assert {item.answers[0].text for item in run.example_items.items} == {"0"}


def test_the_order_of_lines_does_not_matter_and_p_is_that_of_signs(tmp_path):
    written(tmp_path / "one", RIGHT["one"])
    two = [sample(i, float(v)) for i, v in enumerate(RIGHT["two"])][::-1]  # as several processes leave them
    written(tmp_path / "two", RIGHT["two"], two)
    (found,) = comparisons(sides_of([brought(tmp_path, n) for n in ("one", "two")]), None)
    (exam,) = found.exams
    assert (exam.gained, exam.lost) == (0, 4)
    assert exam.p == pytest.approx(2 * 0.5**4)


def test_the_last_of_several_logs_is_taken_and_several_models_are_refused(tmp_path, capsys):
    written(tmp_path / "log" / "a", RIGHT["one"])
    written(tmp_path / "log" / "a", RIGHT["two"], date="2026-11-29T10-00-00.123456")
    assert read(tmp_path / "log", {}).exams[0].items[0].score == 0
    assert "2 logs, of which the last one is taken" in capsys.readouterr().err
    assert read(tmp_path / "log" / "a" / f"results_{DATE}.json", {}).exams[0].items[0].score == 1
    written(tmp_path / "log" / "b", RIGHT["one"])
    with pytest.raises(DataError, match="several models"):
        read(tmp_path / "log", {})


def test_a_metric_and_a_filter_are_chosen(tmp_path, capsys):
    both = [s for i, v in enumerate(RIGHT["one"]) for s in (
        sample(i, float(v), "strict", "match"), sample(i, 1.0 - v, "flexible", "match"))]  # fmt: skip
    folder = written(
        tmp_path / "one", RIGHT["one"], both, results={"even": {"match,strict": 0.8, "match,flexible": 0.2}}
    )
    assert sum(i.score for i in read(folder, {}).exams[0].items) == 8
    assert (
        "match,strict is taken; --metric even=METRIC,FILTER takes another (match,flexible)" in capsys.readouterr().err
    )
    assert sum(i.score for i in read(folder, {"even": "match,flexible"}).exams[0].items) == 2
    with pytest.raises(DataError, match="no metric 'bleu'") as told:
        read(folder, {"even": "bleu"})
    assert "match,strict; match,flexible" in told.value.mend
    with pytest.raises(DataError, match="no score of a task 'odd'"):
        read(folder, {"odd": "match"})


TEN = [sample(i, 1.0) for i in range(10)]
LEFT_OUT = {
    "not the mean": ({"results": {"even": {"acc,none": 0.5}}}, TEN, "is not the mean of its items"),
    "an error rate": ({"higher_is_better": {"even": {"acc": False}}}, TEN, "lower values"),
    "a perplexity": ({}, [sample(i, [-3.5, 12]) for i in range(10)], "not a number"),
    "points of a hundred": ({}, [sample(i, 80.0) for i in range(10)], r"not in \[0, 1\]"),
}


@pytest.mark.parametrize(("changes", "samples", "why"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_scores_that_are_not_means_over_items_are_left_out(tmp_path, capsys, changes, samples, why):
    folder = written(tmp_path / "one", [1] * 10, samples, **changes)
    with pytest.raises(DataError, match="no score in it is a mean over items"):
        read(folder, {})
    assert re.search(f"even is left out: .*{why}", capsys.readouterr().err)


def damaged(name, text):
    def change(folder):
        (folder / name).write_text(text)

    return change


def gone(name):
    return lambda folder: (folder / name).unlink()


SAMPLES, RESULTS = f"samples_even_{DATE}.jsonl", f"results_{DATE}.json"
BROKEN = {
    "no items": (gone(SAMPLES), "--log_samples"),
    "no results": (gone(RESULTS), "no log of lm_eval here"),
    "half a line": (damaged(SAMPLES, json.dumps(sample(0, 1.0)) + '\n{"doc_id": 1, "do'), f"{SAMPLES}:2"),
    "fewer items": (damaged(SAMPLES, json.dumps(sample(0, 1.0)) + "\n"), "1 items, and the results count 10"),
    "empty": (damaged(SAMPLES, ""), "it holds no item"),
    "another program's lines": (damaged(SAMPLES, '{"input": "x"}\n'), "not an item of lm_eval"),
    "a list": (damaged(RESULTS, "[]"), "not a result of lm_eval"),
    "not JSON": (damaged(RESULTS, "results"), "cannot be read"),
    "another program's results": (damaged(RESULTS, '{"results": {}}'), "not a result of lm_eval"),
    "bytes": (lambda folder: (folder / RESULTS).write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "an item twice": (damaged(SAMPLES, "".join(json.dumps(sample(i % 5, 1.0)) + "\n" for i in range(10))), "twice"),
    "another task": (damaged(f"samples_odd_{DATE}.jsonl", json.dumps(sample(0, 1.0))), "has no task 'odd'"),
}


@pytest.mark.parametrize(("change", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_log_is_refused_with_its_place(tmp_path, capsys, change, said):
    folder = written(tmp_path / "one", RIGHT["one"])
    change(folder)
    assert main(["import", "lm-eval", str(folder), "--to", str(tmp_path / "to")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert str(folder) in told
    assert not (tmp_path / "to").exists()


UNLIKE = {
    "a version": ({"versions": {"even": 2.0}}, None, "task version 1.0 and 2.0"),
    "examples": ({"n-shot": {"even": 5}}, None, "examples 0 and 5"),
    "a prompt": ({}, [sample(i, 1.0, target="1") for i in range(10)], "put in other words"),
    "items": ({}, [sample(i + 3, 1.0) for i in range(10)], "3 of one are not in two, 3 of two not in one"),
}


@pytest.mark.parametrize(("changes", "samples", "said"), UNLIKE.values(), ids=UNLIKE.keys())
def test_logs_of_other_questions_are_not_compared(tmp_path, capsys, changes, samples, said):
    written(tmp_path / "one", [1] * 10)
    written(tmp_path / "two", [1] * 10, samples, **changes)
    logs = [str(tmp_path / name) for name in ("one", "two")]
    assert main(["import", "lm-eval", *logs, "--to", str(tmp_path / "both")]) == 2
    assert said in capsys.readouterr().err
    sides = [str(brought(tmp_path, name)) for name in ("one", "two")]
    capsys.readouterr()
    assert main(["compare", *sides]) == 2
    told = capsys.readouterr().err
    assert "cannot be compared" in told
    first = said.removeprefix("put ").split(" and ")[0]
    assert first in told


WRONG = {
    "another harness": (["other", "x", "--to", "y"], "lm-eval"),
    "no such folder": (["lm-eval", "nowhere", "--to", "y"], "there is no such log"),
    "a metric without a name": (["lm-eval", "x", "--to", "y", "--metric", "even"], "arc_easy=acc_norm"),
    "a name that is no folder's": (["lm-eval", "x", "--to", "y", "--name", "a/b"], "name"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG.keys())
def test_arguments_that_are_wrong(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(["import", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    written(tmp_path / "one", RIGHT["one"])
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").touch()
    assert main(["import", "lm-eval", str(tmp_path / "one"), "--to", str(tmp_path / "to")]) == 2
    assert (tmp_path / "to" / "mine.txt").exists()


def test_values_of_odd_types_are_not_taken_for_scores(tmp_path):
    values = [True, False, 1, 0, 0.5, None, "1", float("nan"), 1.0, 0.0]
    samples = [sample(i, v) for i, v in enumerate(values)]
    folder = written(tmp_path / "one", [1] * 10, samples, results={"even": {"acc,none": 3.5 / 7}})
    assert [i.score for i in read(folder, {}).exams[0].items] == [1, 0, 1, 0, 0.5, None, None, None, 1, 0]


def test_tasks_without_items_are_told_and_groups_are_not(tmp_path, capsys):
    written(tmp_path / "one", RIGHT["one"])
    file = tmp_path / "one" / f"results_{DATE}.json"
    stated = json.loads(file.read_text())
    stated["results"] |= {name: {"acc,none": 0.5} for name in ("odd", "prime", "numbers", "all")}
    stated |= {"group_subtasks": {"numbers": ["even", "odd"], "odd": []}, "groups": {"all": {}}}
    file.write_text(json.dumps(stated))
    brought(tmp_path, "one")
    said = " ".join(capsys.readouterr().err.split())
    assert "2 tasks are left out, of which no items lie beside it: odd, prime" in said


def test_items_of_before_they_said_their_filter_name_the_version_that_does(tmp_path):
    old = [{k: v for k, v in sample(i, 1.0).items() if k not in ("filter", "metrics")} for i in range(3)]
    with pytest.raises(DataError, match=r"since 0\.4\.7"):
        read(written(tmp_path, [1, 1, 1], old), {})
