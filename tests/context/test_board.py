"""Context-learning results on the leaderboard: ranks, trials, and what keeps a system from being ranked."""

import json
import re

import pytest

from clbench.cli.main import main
from clbench.context.board import context_board
from clbench.context.grades import files_of
from tests.builders.asked import read
from tests.builders.context_rows import answers, data_set, write

ROWS = data_set(30, 3)
JUDGE = {"name": "openai", "model": "gpt-5.1"}


def submit(folder, name, rate, seed=0, **extra):
    folder.mkdir(parents=True, exist_ok=True)
    given = {"judge": JUDGE, "served_model": name, "state": "ok"} | extra
    rows = answers(ROWS, rate, seed, **given)
    for row in rows:
        row["usage"] = {"prompt": 10, "cached": 0, "completion": 5, "reasoning": 0}
    return write(folder / f"{name}_graded.jsonl", rows)


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "data.jsonl", ROWS)


def rows_of(board):
    heads = [name for name, _ in board.heads]
    return [dict(zip(heads, (text for text, _ in row.cells), strict=True)) | {"why": row.why_not} for row in board.rows]


def test_systems_are_ranked_by_what_tests_leave_open(tmp_path, data):
    for name, rate in (("good", 0.97), ("alike", 0.965), ("bad", 0.5)):
        submit(tmp_path / "out", name, rate, seed=len(name))
    rows = rows_of(context_board([tmp_path / "out"], data))
    assert [row["why"] for row in rows] == [()] * 3
    assert {row["system"]: row["rank"] for row in rows} == {"good": "1–2", "alike": "1–2", "bad": "3"}
    for row in rows:
        own = [each["score"] for each in read(tmp_path / "out" / f"{row['system']}_graded.jsonl")]
        assert row["solved"].startswith(f"{100 * sum(own) / 90:.1f} (")
        assert row["tokens"] == f"{90 * 15:,}"


def test_files_of_one_model_in_a_folder_are_its_trials(tmp_path, data):
    folder = tmp_path / "out"
    for seed in range(3):
        submit(folder, "m", 0.9, seed).rename(folder / f"m-{seed}_graded.jsonl")
    submit(folder, "other", 0.9, 7)
    submit(tmp_path / "elsewhere", "m", 0.9, 8)
    rows = rows_of(context_board([folder, tmp_path / "elsewhere"], data))
    assert sorted(row["trials"] for row in rows) == ["1", "1", "3"]
    rates = [sum(row["score"] for row in read(folder / f"m-{s}_graded.jsonl")) / 90 for s in range(3)]
    mean = sum(rates) / 3
    std = (sum((r - mean) ** 2 for r in rates) / 2) ** 0.5
    (three,) = [row for row in rows if row["trials"] == "3"]
    assert three["± std"] == f"{100 * std:.1f}"


def test_what_does_not_fit_the_data_set_is_shown_and_not_ranked(tmp_path, data):
    folder = tmp_path / "out"
    submit(folder, "sound", 0.9)
    path = submit(folder, "short", 0.9)
    kept = [row for row in read(path) if row["score"]]
    write(path, kept)
    forged = submit(folder, "forged", 0.6)
    write(forged, [row | {"score": 1} for row in read(forged)])
    (folder / "torn_graded.jsonl").write_text('{"idx": 1}\nnot json\n')
    rows = {row["system"]: row for row in rows_of(context_board([folder], data))}
    assert set(rows) == {"sound", "short", "forged"}
    assert (rows["sound"]["rank"], rows["sound"]["why"]) == ("1", ())
    assert rows["short"]["why"] == (f"missing: {90 - len(kept)}",)
    assert rows["short"]["solved"].startswith(f"{100 * len(kept) / 90:.1f} ("), "dropped rows stay in the denominator"
    assert rows["forged"]["why"][0].startswith("score: ")
    assert rows["forged"]["rank"] == "–"
    (one, *_) = rows_of(context_board([folder], None))
    assert one["why"] == ("not held against its data set: name that with --dataset",)


def test_other_judges_are_ranked_apart(tmp_path, data):
    submit(tmp_path / "out", "a", 0.97)
    submit(tmp_path / "out", "b", 0.5, judge={"name": "openai", "model": "o3"})
    rows = rows_of(context_board([tmp_path / "out"], data))
    assert [row["rank"] for row in rows] == ["1", "1"]
    assert len({row["data"] for row in rows}) == 2


def test_the_site_shows_no_text_of_tasks_and_answers(tmp_path, data, capsys):
    path = submit(tmp_path / "out", "<b>m", 0.9)
    manifest = {"params": {"context_policy": "rag:4"}, "started": "2026-01-31T00:00:00", "spent": {"usd": 2.5}}
    (tmp_path / "out" / "<b>m.manifest.json").write_text(json.dumps(manifest))
    site = tmp_path / "site"
    given = ["leaderboard", "build", str(tmp_path / "out"), "--dataset", str(data), "--out", str(site)]
    assert main(given) == 0
    said = capsys.readouterr()
    assert "1 context-learning systems, 1 ranked" in said.out
    assert said.err == ""
    index = (site / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;m (rag:4)" in index
    assert not re.search(r"<b>m", index)
    for found in ("2026-01-31", "2.50", "gpt-5.1"):
        assert found in index
    texts = "".join(p.read_text(encoding="utf-8") for p in site.rglob("*") if p.is_file())
    row = read(path)[0]
    for secret in (row["model_output"], row["rubrics"][0], row["messages"][-1]["content"]):
        assert secret not in texts
    (value,) = json.loads((site / "leaderboard.json").read_text(encoding="utf-8"))
    assert (value["kind"], value["ranks"], value["figures"]["tasks"]) == ("context", [1, 1], 90)
    assert main(given) == 0, "a site is built again in its place"


def test_files_that_cannot_be_read_make_no_site(tmp_path, capsys):
    path = write(tmp_path / "m_graded.jsonl", [])
    assert main(["leaderboard", "build", str(path), "--out", str(tmp_path / "site")]) == 2
    assert "there is no result to show" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_folder_of_runs_holds_each_grade_once(tmp_path):
    for name in ("m_graded", "m_graded.corrected", "p_graded", "p_graded.by-a", "p_graded.by-b", "m_graded.log", "m"):
        write(tmp_path / f"{name}.jsonl", [])
    assert [p.name for p in files_of(tmp_path)] == ["m_graded.corrected.jsonl", "p_graded.jsonl"]
