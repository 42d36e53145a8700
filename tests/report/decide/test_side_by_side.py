"""Checkpoints side by side: numbers held against scipy and by hand, what cannot be compared, and every format."""

import csv
import io
import json

import pytest
from scipy.stats import binomtest

from clbench.core.baseline import write_baseline
from clbench.core.errors import DataError, SpecError
from clbench.core.graded import GradedItems
from clbench.report.decide import side_by_side_text as texts
from clbench.report.decide.side_by_side import side_by_side
from clbench.report.page.checkpoint_board import checkpoint_board
from clbench.report.runs.checkpoints import Checkpoint, checkpoint_files, labelled, read_checkpoints
from clbench.stats.single import score_interval
from tests.builders.gate import NUM, baseline, taken


def sides(*records, **more):
    return labelled([Checkpoint("", record, **more) for record in records])


OLD = baseline("out/old", sums=70, programs=40)
WORSE = baseline("out/worse", sums=69, programs=20)


def test_differences_are_paired_and_corrected_over_the_whole_table():
    found = side_by_side(sides(OLD, WORSE))
    (sums, programs), mean = found.rows, found.mean
    assert [c.score for c in programs.cells] == [0.5, 0.25]
    assert (programs.cells[0].low, programs.cells[0].high) == score_interval([1] * 40 + [0] * 40)[1:]
    raw = [binomtest(lost, lost).pvalue for lost in (1, 20, 21)]  # exact McNemar: so many fell, and none rose
    changes = [row.cells[1].change for row in (sums, programs, mean)]
    assert [c.p for c in changes] == pytest.approx([min(1.0, p) for p in raw])
    assert [c.adjusted for c in changes] == pytest.approx([1.0, 2 * raw[1], 3 * raw[2]])
    assert (programs.cells[1].change.gained, programs.cells[1].change.lost) == (0, 20)
    assert mean.cells[1].change.change.value == pytest.approx((69 - 70 + 20 - 40) / 2 / NUM)
    assert "worse: better in 0, worse in 1, no difference shown in 1 of 2 exams" in texts.headline(found)


def test_the_side_that_others_are_compared_with_is_chosen_by_label_or_name():
    for name in ("worse", "out/worse"):
        assert side_by_side(sides(OLD, WORSE), name).rows[1].cells[1].change.gained == 20
    with pytest.raises(SpecError, match="there is no checkpoint 'wors'"):
        side_by_side(sides(OLD, WORSE), "wors")


def test_what_was_not_asked_alike_is_shown_and_not_compared():
    exam = taken("sums", 60)
    other = exam.model_copy(
        update={"scores": exam.scores.model_copy(update={"ids": tuple(f"x{i}" for i in range(NUM))})}
    )
    odd = baseline("odd", programs=30).model_copy(update={"exams": (other,)})
    found = side_by_side([*sides(OLD), Checkpoint("odd", odd, missing={"programs": "needs text"})])
    assert found.mean is None
    sums, programs = found.rows
    assert sums.cells[1].score == 60 / NUM
    assert sums.cells[1].change is None
    assert "other items" in sums.cells[1].why
    assert programs.cells[1].why == "needs text"
    table = texts.as_table(found)
    assert "sums, odd: not compared: other items" in table
    assert "programs, odd: needs text" in table


def test_ungraded_items_count_on_neither_side():
    exam = taken("sums", 70)
    row = GradedItems(questions="q", answers_key="b", grades_key="m", scores="-" * 10 + "1" * 50 + "0" * 20)
    half = exam.model_copy(update={"scores": exam.scores.model_copy(update={"rows": {0: row}})})
    found = side_by_side(sides(OLD, baseline("half", sums=1).model_copy(update={"exams": (half,)})))
    cell = found.rows[0].cells[1]
    assert (cell.items, cell.ungraded, cell.change.change.items) == (70, 10, 70)
    assert cell.change.one == 60 / 70


def test_the_very_same_answers_differ_by_nothing():
    found = side_by_side(sides(OLD, OLD.model_copy(update={"model": WORSE.model})))
    assert [tuple(row.cells[1].change.change) for row in found.rows] == [(0, 0, 0, NUM)] * 2
    assert "the same weights, asked in the same way" in texts.as_table(found)


def test_labels_are_as_short_as_they_can_be_told_apart():
    moved = OLD.model_copy(update={"identity": "another"}).sealed()
    far = baseline("elsewhere/old", sums=1)
    assert [c.label for c in sides(OLD, WORSE)] == ["old", "worse"]
    assert [c.label for c in sides(OLD, far)] == ["out/old", "elsewhere/old"]
    assert [c.label for c in sides(OLD, moved)] == [f"old ({r.identity[:8]})" for r in (OLD, moved)]


def test_every_format_holds_the_same_numbers():
    found = side_by_side(sides(OLD, WORSE))
    rows = list(csv.DictReader(io.StringIO(texts.as_csv(found))))
    value = json.loads(json.dumps(texts.as_json(found), allow_nan=False))
    (one,) = [r for r in rows if r["exam"] == "programs" and r["checkpoint"] == "worse"]
    (other,) = [r for r in value["exams"][1]["results"] if r["checkpoint"] == "worse"]
    assert float(one["change"]) == other["change"] == -0.25
    assert float(one["p_holm"]) == other["p_holm"]
    assert one["against"] == "old"
    assert "| programs | worse | 25.0 |" in texts.as_markdown(found)
    page = texts.side_by_side_page(found, "two")
    assert 'class="worse">25.0<small>-25.0' in page
    assert "http" not in page
    assert "<script" not in page


def test_names_and_answers_are_anybodys_text():
    evil = baseline("=cmd|<b>", sums=1)
    found = side_by_side(sides(OLD, evil))
    assert "'=cmd|<b>" in texts.as_csv(found)
    assert "<b>" not in texts.as_markdown(found)
    assert "cmd|<b>" not in texts.side_by_side_page(found, "x")


def test_records_are_read_once_and_broken_ones_left_out(tmp_path):
    folder = tmp_path / "checkpoints"
    for name, record in (("a", OLD), ("copy", OLD), ("b", WORSE)):
        write_baseline(folder / f"{name}.json", record)
    edited = json.loads((folder / "b.json").read_text())
    edited["identity"] = "forged"
    (folder / "c.json").write_text(json.dumps(edited))
    (folder / "run.json").write_text('{"spec": {}, "clbench": "", "exams": []}')
    files = checkpoint_files(tmp_path)
    assert [f.name for f in files] == ["a.json", "b.json", "c.json", "copy.json"]
    assert sorted(c.label for c in read_checkpoints(files)) == ["old", "worse"]
    assert [c.label for c in read_checkpoints(files, ["wor*"])] == ["worse"]
    with pytest.raises(DataError, match="no checkpoint has the model 'wurse'"):
        read_checkpoints(files, ["wurse"])
    with pytest.raises(DataError, match="was edited"):
        read_checkpoints([folder / "c.json"])


def test_the_board_ranks_only_what_was_asked_alike_and_leaves_ties_open():
    alike = baseline("out/alike", sums=69, programs=40)
    other = baseline("out/other", sums=80)
    board = checkpoint_board(sides(WORSE, alike, OLD, other))
    heads = [name for name, _ in board.heads]
    rows = [dict(zip(heads, (text for text, _ in row.cells), strict=True)) for row in board.rows]
    assert [(r["checkpoint"], r["rank"]) for r in rows] == [
        ("old", "1–2"), ("alike", "1–2"), ("worse", "3"), ("other", "1"),
    ]  # fmt: skip
    assert rows[2]["programs"].startswith("25.0 (")
    assert rows[3]["programs"] == "–"
    assert rows[0]["asked"] != rows[3]["asked"]
    assert len({row.id for row in board.rows}) == 4
    assert checkpoint_board([]) is None
