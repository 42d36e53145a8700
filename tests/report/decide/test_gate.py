"""Baselines, verdicts, files for CI, and the watch over many rounds."""

import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from clbench.cli.gate import points
from clbench.cli.main import main
from clbench.core.baseline import Baseline, read_baseline, write_baseline
from clbench.core.errors import DataError, SpecError, StoreError
from clbench.core.spec import ModelSpec
from clbench.core.types import ScorerSpec
from clbench.engine.baseline import check_exams
from clbench.report.decide import gate, gate_text, watch, watch_text
from clbench.report.decide.texts import TEXTS
from clbench.stats.drift import cusum, limit_at
from clbench.store.history import history, remember
from tests.builders.gate import EXAMS, NUM, OLD, WORSE, exam, taken

EVIL = "<script>alert(1)</script>=1+1\x1b[31m\u202e\\input{x}"


def test_a_baseline_is_read_back_and_an_edited_one_is_refused(tmp_path):
    path = tmp_path / "base.json"
    write_baseline(path, OLD)
    assert read_baseline(path) == OLD
    assert read_baseline(path, OLD.seal[:10]) == OLD
    with pytest.raises(DataError, match="does not have the seal 0000"):
        read_baseline(path, "0" * 16)
    for no_seal in ("", OLD.seal[:3]):  # such as a variable of CI that is not set
        with pytest.raises(DataError, match="is not a seal"):
            read_baseline(path, no_seal)
    text = path.read_text()
    path.write_text(text.replace('"scores":"1111', '"scores":"0111'))
    with pytest.raises(DataError, match="was edited"):
        read_baseline(path)
    path.write_text(text.replace('"format":2', '"format":3'))
    with pytest.raises(DataError, match="newer"):
        read_baseline(path)
    path.write_text(text[:100])
    with pytest.raises(DataError, match="is not a baseline"):
        read_baseline(path)
    with pytest.raises(DataError, match="no such baseline"):
        read_baseline(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"digest": "other"}, "asks other questions"),
        ({"scorer": ScorerSpec(name="exact")}, "graded otherwise"),
        ({"name": "other"}, "'sums' of the baseline is not here"),
    ],
)
def test_other_exams_than_the_baselines_are_refused(change, says):
    check_exams(OLD, EXAMS)
    with pytest.raises(DataError, match=says):
        check_exams(OLD, (EXAMS[0].model_copy(update=change), EXAMS[1]))


def test_the_exam_that_fell_is_named_with_its_worst_items():
    report = gate.gate_report(OLD, WORSE, EXAMS, 0.02, {})
    assert [v.exam for v in report.regressed] == ["programs"]
    assert len(report.worst["programs"]) == 3
    assert report.worst["programs"][0].question == "How much is 50?"
    said = "\n".join(gate.repair(report))
    assert gate.repair(report, TEXTS["zh"])[0].startswith("退化的能力：代码。")
    assert "learner={name: replay" in said
    assert "abilities: [code]" in said
    assert "docs/abilities.md" in said
    assert gate.repair(gate.gate_report(OLD, OLD, EXAMS, 0.02, {})) == []
    text = gate_text.as_table(report)
    assert "1 of 2 exams regressed" in text
    assert "expected: 50" in text
    assert "the model of the baseline itself" in gate_text.as_table(gate.gate_report(OLD, OLD, EXAMS, 0.02, {}))


def test_margins_of_an_exam_and_of_an_ability():
    assert not gate.gate_report(OLD, WORSE, EXAMS, 0.3, {}).regressed
    assert gate.gate_report(OLD, WORSE, EXAMS, 0.3, {"programs": 0.1}).regressed
    assert gate.gate_report(OLD, WORSE, EXAMS, 0.3, {"code": 0.1}).regressed
    assert not gate.gate_report(OLD, WORSE, EXAMS, 0.02, {"code": 0.1, "programs": 0.3}).regressed
    with pytest.raises(SpecError, match=r"no 'program'"):
        gate.check_margins(OLD, {"program": 0.1})


@pytest.mark.parametrize(("text", "value"), [("2pp", 0.02), ("2 %", 0.02), ("0.02", 0.02), ("0", 0.0), ("100pp", 1.0)])
def test_margins_are_read(text, value):
    assert points(text, "x") == pytest.approx(value)


@pytest.mark.parametrize("text", ["two", "-1pp", "150pp", "2", "", "nan"])
def test_bad_margins_are_refused(text):
    with pytest.raises(SpecError, match="not a valid margin"):
        points(text, "x")


def hostile():
    old = Baseline(
        model=ModelSpec(name=EVIL),
        identity="a",
        names=(EVIL,),
        items=None,
        exams=(taken(EVIL, 70, "mathematics", (EVIL,) * NUM),),
    ).sealed()
    new = Baseline(
        model=ModelSpec(name=EVIL),
        identity="b",
        names=(EVIL,),
        items=None,
        exams=(taken(EVIL, 20, "mathematics", (EVIL,) * NUM),),
    ).sealed()
    asked = exam("x", EVIL.replace("{x}", "{{x}}") + "{}").model_copy(update={"name": EVIL})
    return gate.gate_report(old, new, (asked,), 0.02, {})


def test_junit_markdown_and_terminal_are_safe_with_hostile_names_and_answers():
    report = hostile()
    tree = ET.fromstring(gate_text.as_junit(report))
    assert tree.attrib["failures"] == "1"
    (case,) = tree.findall("testcase")
    assert case.attrib["name"].startswith("<script>"), "kept as text, escaped in the file"
    assert "<script" not in gate_text.as_junit(report)
    markdown = gate_text.as_markdown(report)
    assert "<script" not in markdown
    for text in (
        gate_text.as_junit(report),
        markdown,
        gate_text.as_table(report),
        json.dumps(gate_text.as_json(report)),
    ):
        assert "\x1b" not in text
    for text in (gate_text.as_junit(report), markdown, gate_text.as_table(report)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\u202e" in text


def test_junit_passes_where_nothing_fell():
    tree = ET.fromstring(gate_text.as_junit(gate.gate_report(OLD, OLD, EXAMS, 0.02, {})))
    assert (tree.attrib["tests"], tree.attrib["failures"]) == ("3", "0")
    assert [c.find("failure") for c in tree.findall("testcase")] == [None, None, None]


@pytest.mark.parametrize(
    "arguments",
    [
        ["gate"],
        ["gate", "tiny-llama", "--baseline", "nowhere.json"],
        ["gate", "tiny-llama", "--baseline", "x", "--level", "7"],
        ["watch"],
        ["watch", "nowhere"],
    ],
)
def test_usage_is_exit_3_for_verbs_that_judge(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 3
    assert "to mend" in capsys.readouterr().err


# --- history and watch ---------------------------------------------------------------------------------------------


def test_history_keeps_every_other_checkpoint(tmp_path):
    for each in (OLD, OLD, WORSE, OLD):
        remember(tmp_path, each)
    found = history(tmp_path)
    assert [p.model for p in found] == ["old", "new", "old"]
    assert found[1].scores["programs"] == (50 / NUM, NUM)
    with (tmp_path / "gates.jsonl").open("a") as f:
        f.write('{"cut')
    assert len(history(tmp_path)) == 3, "a line that was cut short is left out"
    remember(tmp_path, WORSE)
    assert [p.model for p in history(tmp_path)] == ["old", "new", "old", "new"], "and what follows does not hang on it"
    (tmp_path / "gates.jsonl").write_text('{"model": 1}\n')
    with pytest.raises(StoreError, match="not an entry of the history"):
        history(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"model":"new"', b'"model":"\xff"'),
        (b'"scores":"1', b'"scores":"11'),
        (b'"groups":[]', b'"groups":["a","b"]'),
        (b'"scores":{"programs":[0.625,80]', b'"scores":{"programs":[NaN,80]'),
        (b'"scores":{"programs":[0.625,80]', b'"scores":{"programs":[0.625,0]'),
    ],
)
def test_a_damaged_line_of_the_history_is_named(tmp_path, old, new):
    for each in (OLD, WORSE):
        remember(tmp_path, each)
    path = tmp_path / "gates.jsonl"
    first, second, _ = path.read_bytes().split(b"\n")
    assert old in second
    path.write_bytes(first + b"\n" + second.replace(old, new, 1) + b"\n")
    with pytest.raises(StoreError, match="is not an entry of the history") as caught:
        history(tmp_path)
    assert str(caught.value).startswith(f"{path}:2")


def series(values, items=400):
    return watch.Series("run", "maths", tuple(values), items, tuple(map(str, range(1, len(values) + 1))))


def test_a_slow_decline_rings_and_a_steady_series_does_not():
    rng = np.random.default_rng(0)
    steady = 0.8 + 0.01 * rng.standard_normal(30)
    falling = steady.copy()
    falling[12:] -= 0.02 * np.arange(18)
    quiet, rang, short = watch.watch_series([series(steady), series(falling), series([0.8] * 6)], first=5, rate=0.05)
    assert quiet.alarm is None
    assert 13 <= int(rang.alarm) <= 22
    assert short.drift is None
    text = watch_text.as_table([quiet, rang, short], 0.05)
    assert f"ALARM at {rang.alarm}" in text
    assert "needs 2 more checkpoints" in text
    assert "is at most 5 %" in text
    assert [w.state for w in (quiet, rang, short)] == ["quiet", "alarm", "not watched"]
    assert json.loads(json.dumps(watch_text.as_json([quiet, rang, short], 0.05)))["series"][1]["alarm"] == rang.alarm
    page = watch_text.watch_page([quiet, rang, short], 0.05)
    assert page.count('class="with-alarm"') == 1
    assert "Alarm in 1 of 3 series" in page


def test_the_false_alarm_rate_is_the_one_that_is_stated():
    """Ten series of 20 rounds in which nothing changes: in at most 5 % of stores does any of them ring."""
    rng, rings = np.random.default_rng(3), 0
    limit = limit_at(0.05 / 10, 15, 5)
    for _ in range(400):
        values = rng.standard_normal((10, 20))
        target, deviation = values[:, :5].mean(axis=1), values[:, :5].std(axis=1, ddof=1)
        rings += any(
            cusum(row[5:], m, s, limit).alarm is not None for row, m, s in zip(values, target, deviation, strict=True)
        )
    assert 0.01 <= rings / 400 <= 0.08


def test_holes_and_hostile_names():
    holes = series([math.nan, 0.8, 0.8, math.nan, 0.8, 0.8, 0.8, 0.8, 0.8])
    (found,) = watch.watch_series([holes], 5, 0.05)
    assert found.alarm is None
    assert watch_text.sparkline(holes.values).startswith("·")
    evil = watch.Series(EVIL, EVIL, (0.5,) * 9, 10, (EVIL,) * 9)
    page = watch_text.watch_page(watch.watch_series([evil], 5, 0.05), 0.05)
    assert "<script" not in page
    assert "\x1b" not in watch_text.as_table(watch.watch_series([evil], 5, 0.05), 0.05)
