"""`clbench context stats`: the seven rows of the public pipeline's failures, trials, parts, and the formats."""

import csv
import io
import json
import math

import pytest

from clbench.cli.main import main
from clbench.context.graded import read_tasks
from clbench.context.grades import load_grades
from clbench.context.summary import summary_of
from tests.builders.context_rows import answers, data_set, graded_row, task_row, write

SEVEN = [task_row(f"t{n}", f"c{n}") for n in range(7)]


def seven_rows():
    """Good; empty; judge failed; prose-wrapped yes; score "1"; no with score 1; judge said nothing."""
    return [
        graded_row(SEVEN[0], "yyy"),
        graded_row(SEVEN[1], "", answer=""),
        graded_row(SEVEN[2], "", state="judge_error"),
        graded_row(SEVEN[3], "yyy"),
        graded_row(SEVEN[4], "yyy", score="1"),
        graded_row(SEVEN[5], "nyy", score=1),
        graded_row(SEVEN[6], "", state="judge_error"),
    ]


def test_the_seven_rows(tmp_path):
    found = summary_of(load_grades([write(tmp_path / "a.jsonl", seven_rows())]))
    assert found.rate.value == pytest.approx(3 / 7)
    assert found.limits == (pytest.approx(3 / 7), pytest.approx(5 / 7))
    assert found.states == {"ok": 4, "empty": 1, "judge_error": 2}
    assert found.doubts.disagree == 1
    assert found.unjudged == 2


def test_dropped_rows_stay_in_the_denominator_of_the_data_set(tmp_path):
    known = read_tasks(write(tmp_path / "data.jsonl", SEVEN))
    kept = [row for row in seven_rows() if row.get("state") != "judge_error"]
    found = summary_of(load_grades([write(tmp_path / "a.jsonl", kept)], known))
    assert found.rate.value == pytest.approx(3 / 7)
    assert found.limits.high == pytest.approx(5 / 7)
    assert found.states["missing"] == 2
    assert summary_of(load_grades([tmp_path / "a.jsonl"])).rate.value == pytest.approx(3 / 5)


def test_tasks_without_rubrics_fail_for_sure(tmp_path):
    rows = [graded_row(SEVEN[0], "yyy"), graded_row(SEVEN[1] | {"rubrics": []}, "", score=1)]
    found = summary_of(load_grades([write(tmp_path / "a.jsonl", rows)]))
    assert found.limits == (0.5, 0.5)
    assert (found.unjudged, found.doubts.without_rubrics) == (0, 1)


def test_rubrics_thresholds_and_misses(tmp_path):
    row = task_row("t", rubrics=10)
    other = task_row("u", rubrics=2)
    rows = [graded_row(row, "y" * 9 + "n"), graded_row(other, "nn")]
    found = summary_of(load_grades([write(tmp_path / "a.jsonl", rows)]))
    assert found.micro.value == pytest.approx(9 / 12)
    assert found.macro.value == pytest.approx(0.45)
    assert {t: v for t, v in found.curve.items() if v} == dict.fromkeys((90, 85, 80, 75, 70, 65, 60, 55, 50), 0.5)
    assert {n: v for n, v in found.misses.items() if v} == {1: 1, 2: 1}
    assert [p.name for p in found.parts["rubrics"]] == ["0 to 5", "6 to 10"]


def test_trials(tmp_path):
    rows = data_set(contexts=8, each=2)
    paths = [write(tmp_path / f"{n}.jsonl", answers(rows, 0.8, seed=n)) for n in range(3)]
    found = summary_of(load_grades(paths))
    passed = load_grades(paths).passed()
    assert found.trials == 3
    assert found.by_trial == passed.mean(axis=0).tolist()
    assert found.deviation == pytest.approx(passed.mean(axis=0).std(ddof=1))
    by_k = {each.k: each for each in found.of_trials}
    assert by_k[1].any_passes.value == pytest.approx(passed.mean())
    assert by_k[3].any_passes.value == pytest.approx(passed.max(axis=1).mean())
    assert by_k[3].all_pass.value == pytest.approx(passed.min(axis=1).mean())
    assert found.split.trial > 0


def test_parts_are_in_order_and_complete(tmp_path):
    rows = data_set(contexts=6, each=12)
    found = summary_of(load_grades([write(tmp_path / "a.jsonl", answers(rows, 0.7))]))
    assert [p.name for p in found.parts["turn"]] == [str(n) for n in range(1, 13)]
    for parts in found.parts.values():
        assert sum(p.rate.tasks for p in parts) == 72
        weighted = sum(p.rate.value * p.rate.tasks for p in parts) / 72
        assert weighted == pytest.approx(found.rate.value)


def test_one_context_tells_nothing_of_others(tmp_path):
    rows = [graded_row(task_row(f"t{n}", "c", turn=n + 1), "yyy") for n in range(3)]
    found = summary_of(load_grades([write(tmp_path / "a.jsonl", rows)]))
    assert (found.rate.low, found.rate.high) == (0, 1)
    assert math.isnan(found.split.icc)


def test_the_command(tmp_path, capsys):
    path = str(write(tmp_path / "gpt_graded.jsonl", seven_rows()))
    assert main(["context", "stats", path]) == 0
    text = capsys.readouterr().out
    assert "42.9 to 71.4" in text
    assert "1 rows whose own score their rubrics contradict" in text
    assert main(["context", "stats", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rate"]["value"] == pytest.approx(3 / 7)
    assert found["limits"] == {"low": pytest.approx(3 / 7), "high": pytest.approx(5 / 7)}
    assert found["deviation"] is None
    assert main(["context", "stats", path, "--format", "markdown"]) == 0
    assert "| tasks solved, % | 42.9 |" in capsys.readouterr().out
    assert main(["context", "stats", path, "--format", "csv"]) == 0
    assert ["gpt", "tasks solved, %", "42.9"] in list(csv.reader(io.StringIO(capsys.readouterr().out)))


def test_texts_of_files_cannot_write_to_the_terminal(tmp_path, capsys):
    row = task_row("t", category="\x1b[31m|x", sub="=1+1")
    path = str(write(tmp_path / "a.jsonl", [graded_row(row, "yyy")]))
    for form in ("text", "markdown", "csv"):
        assert main(["context", "stats", path, "--format", form]) == 0
        assert "\x1b" not in capsys.readouterr().out


def test_errors_are_one_line_and_how_to_mend_it(tmp_path, capsys):
    assert main(["context", "stats", str(tmp_path / "absent.jsonl")]) == 2
    said = capsys.readouterr().err
    assert "no such file" in said
    assert "to mend" in said
    (tmp_path / "empty").mkdir()
    assert main(["context", "stats", str(tmp_path / "empty")]) == 2
