"""Texts beside recorded runs: those of flipped items, read without the store, bounded, and never in the way."""

import shutil
from dataclasses import replace

import pytest

from clbench.cli.main import main
from clbench.core.types import Answer, Example, Message
from clbench.report.decide.compare import compare
from clbench.report.runs import flipped_texts as chosen
from clbench.report.runs import store_texts
from clbench.report.runs.groups import group_runs
from clbench.report.runs.item_histories import item_histories
from clbench.report.runs.load import read_runs
from clbench.report.runs.record import record_runs
from clbench.report.runs.text_table import QUESTION, TEXT_FILE, Text, TextKey, recorded_texts, write_texts
from tests.builders.compared import NUM, cells, run


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Two runs of a store that holds each question and answer: said is what was asked, by whom and in which row."""
    runs = []
    for name, kept in (("sft", 10), ("replay", 45)):
        made = run(name, cells(kept), folder=tmp_path / "store" / "runs" / f"c-{name}-{kept}")
        runs.append(made)
    (tmp_path / "store" / "ask").mkdir(parents=True)

    def questions(store, digest):
        exam = digest.removeprefix("q ")
        prompts = [(Message(role="user", content=f"a question that is long enough\n{exam} {i}?"),) for i in range(NUM)]
        return tuple(Example(id=f"{exam}-{i}", prompt=p, targets=("yes", "ja")) for i, p in enumerate(prompts))

    def answers(store, key):
        return tuple(Answer(example_id=str(i), text=f"{key} {i}" + "x" * 2000 * (i == 59)) for i in range(NUM))

    monkeypatch.setattr("clbench.report.runs.item_histories.questions", questions)
    monkeypatch.setattr("clbench.report.runs.item_histories.answers", answers)
    return runs


def without_store(runs, tmp_path):
    record_runs(runs, tmp_path / "rec")
    shutil.rmtree(tmp_path / "store")
    return read_runs([tmp_path / "rec"])


@pytest.mark.parametrize("fate", ["forgotten", "learnt", "never"])
def test_recorded_items_have_the_texts_that_the_store_gives(stored, tmp_path, fate):
    before = {r.spec.name: item_histories(r, fate) for r in stored}
    after = {r.spec.name: item_histories(r, fate) for r in without_store(stored, tmp_path)}
    assert after == before
    assert sum(map(len, after.values())) > 0
    for items in after.values():
        assert all(item.question and item.expected and set(item.said) == set(item.scores) for item in items)


def test_a_comparison_of_recorded_runs_has_no_blank_question(stored, tmp_path):
    def flips(runs):
        sides = {g.runs[0].spec.learner_name: g for g in group_runs(runs)}
        return compare(sides["sft"], sides["replay"], 100).flips

    before = flips(stored)
    assert flips(without_store(stored, tmp_path)) == before
    assert len(before) == 35, "10 and 45 of facts are kept"
    assert all(f.question and f.expected and f.one.startswith("sft") and f.two.startswith("replay") for f in before)


def test_what_is_recorded_again_without_its_store_keeps_its_texts_to_the_byte(stored, tmp_path):
    runs = without_store(stored, tmp_path)
    text = (tmp_path / "rec" / TEXT_FILE).read_bytes()
    record_runs(runs, tmp_path / "again")
    assert (tmp_path / "again" / TEXT_FILE).read_bytes() == text
    record_runs(runs, tmp_path / "rec")
    assert (tmp_path / "rec" / TEXT_FILE).read_bytes() == text
    assert max(len(t.text) for t in recorded_texts(tmp_path / "rec").values()) < store_texts.LONGEST + 20


def test_where_no_text_is_at_hand_there_is_no_table(stored, tmp_path):
    loose = [replace(r, folder=tmp_path / "elsewhere" / r.name) for r in stored]
    record_runs(loose, tmp_path / "rec")
    assert not (tmp_path / "rec" / TEXT_FILE).exists()


def test_there_is_a_bound_that_is_told_and_what_was_forgotten_comes_first(stored, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(chosen, "MOST_BYTES", 9000)
    found = chosen.flipped_texts(stored)
    size = sum(chosen.ROW + len(t.text.encode()) + sum(len(e.encode()) for e in t.expected) for t in found.values())
    assert 8000 < size <= 9000
    forgotten = {item.id for r in stored for item in item_histories(r, "forgotten")}
    items = {key.item for key in found}
    assert len(items & forgotten) > 8
    assert len(items - forgotten) <= 2, "a shorter one may have the room that is left"
    assert {item.partition("-")[0] for item in items & forgotten} == {"facts", "sums"}, "exams take turns"
    assert "holds at most 9,000 bytes of texts: of" in capsys.readouterr().err


def damaged(path, how):
    if how == "cut":
        path.write_bytes(path.read_bytes()[:300])
    elif how == "no table":
        path.write_text("hello")
    elif how == "link":
        path.rename(path.with_suffix(".moved"))
        path.symlink_to(path.with_suffix(".moved"))
    elif how == "types":
        write_texts({TextKey(QUESTION, "q", "a"): Text("t", (1,))}, path)
    elif how == "columns":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"kind": [1]}), path)
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize("how", ["cut", "no table", "link", "types", "columns", "empty"])
def test_a_damaged_table_costs_texts_alone_and_is_told(stored, tmp_path, capsys, how):
    runs = without_store(stored, tmp_path)
    damaged(tmp_path / "rec" / TEXT_FILE, how)
    assert all(not item.question for r in runs for item in item_histories(r, "forgotten"))
    assert f"{TEXT_FILE} is not read" in capsys.readouterr().err


def test_the_command_shows_recorded_questions(stored, tmp_path, capsys):
    without_store(stored, tmp_path)
    assert main(["show", str(tmp_path / "rec"), "--forgotten", "--exam", "facts", "2"]) == 0
    said = capsys.readouterr().out
    assert "not at hand" not in said
    assert "facts 10?" in said
    assert "sft0facts2 10" in said
