"""The page of a run: its numbers are those of the rows, its texts are only texts, in both languages."""

import json
import re

import pytest

from clbench.cli.main import main
from clbench.context.grades import load_grades
from clbench.context.item_browser import LONGEST, chosen
from clbench.context.page_texts import TEXTS
from clbench.context.spending import spending_of
from clbench.core.errors import DataError
from tests.builders.context_rows import answers, data_set, graded_row, task_row, write

ROWS = data_set(8, 3)


def table_of(page, place):
    """Return the rows of the first table of a section as lists of texts."""
    section = page.partition(f'id="{place}"')[2]
    table = section.partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in table.split("</tr>") if "<t" in row]


@pytest.fixture
def graded(tmp_path):
    rows = answers(ROWS, 0.8)
    for n, row in enumerate(rows):
        row["usage"] = {"prompt": 100 + n, "cached": 10, "completion": 5, "reasoning": 1}
        row["judge_usage"] = {"prompt": 7, "cached": 0, "completion": 2, "reasoning": 0}
        row["latency_s"] = n / 10
        row["state"] = "ok"
    rows[3] |= {"state": "truncated", "requirement_status": [], "score": 0}
    rows[4] |= {"state": "judge_error", "requirement_status": [], "score": 0}
    return rows


def page_of(tmp_path, rows, *more):
    path = write(tmp_path / "m_graded.jsonl", rows)
    assert main(["context", "report", str(path), "--out", str(tmp_path / "p.html"), *map(str, more)]) == 0
    return (tmp_path / "p.html").read_text(encoding="utf-8")


def test_its_numbers_are_those_of_the_rows(tmp_path, graded):
    page = page_of(tmp_path, graded)
    solved = sum(row["score"] for row in graded)
    (rate, *_) = table_of(page, "rates")
    assert rate[:2] == ["tasks solved", f"{100 * solved / 24:.1f}"]
    by_category = {name: value for name, _, _, value, *_ in table_of(page, "categories")}
    for category in ("Rules", "Laws"):
        own = [row["score"] for row in graded if row["metadata"]["context_category"] == category]
        assert by_category[category] == f"{100 * sum(own) / len(own):.1f}"
    assert [row[:2] for row in table_of(page, "errors")] == [["ok", "22"], ["truncated", "1"], ["judge_error", "1"]]
    prompt = sum(100 + n for n in range(24))
    assert table_of(page, "cost")[0][:5] == ["answers", "24", str(prompt), "240", "120"]
    assert table_of(page, "cost")[1][:3] == ["verdicts", "24", str(7 * 24)]
    missed = [row["requirement_status"].count("no") for row in graded if row["state"] == "ok"]
    drawn = re.findall(r"<title>(\d+)\+?: (\d+)</title>", page.partition('class="histogram"')[2].partition("</svg>")[0])
    assert [int(n) for _, n in drawn] == [missed.count(k) for k in range(11)]
    low, high = solved / 24, (solved + 1) / 24
    assert f"1 answers are not judged: the rate lies between {100 * low:.1f} and {100 * high:.1f} %." in page


def test_each_rubric_of_an_item_has_its_mark(tmp_path, graded):
    page = page_of(tmp_path, graded)
    items = page.split('<details class="item"')[1:]
    assert len(items) == 24
    by_task = {re.search(r"</span> (t\d+-\d)", item)[1]: item for item in items}
    for row in graded:
        item = by_task[row["metadata"]["task_id"]]
        assert item.count("✓ met") == row["requirement_status"].count("yes")
        assert item.count("✗ not met") == row["requirement_status"].count("no")
        assert item.count("– no verdict") == 3 - len(row["requirement_status"])
        assert row["messages"][-1]["content"] in item


def test_texts_of_strangers_stay_texts(tmp_path):
    bad = "<script>alert(1)</script>\x1b[31m\u202e" + "x" * (LONGEST + 5)
    row = graded_row(task_row("<b>t</b>", category="<img src=x>"), "yyn", answer=bad, grading_rationale=bad)
    page = page_of(tmp_path, [row], "--title", "<i>title</i>")
    assert page.count("<script>") == 1
    assert not re.search(r"<(b|img|i)\b[^>]*>(t|title|\b)", page.partition("<main>")[2].partition('class="marks"')[0])
    assert "\x1b" not in page and "\u202e" not in page
    left_out = len(bad) - LONGEST
    assert f"{left_out} characters are left out." in page


def test_both_languages_say_the_same_things(tmp_path, graded):
    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    for name, text in TEXTS["en"].items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", TEXTS["zh"][name])), name
    page = page_of(tmp_path, graded, "--lang", "zh")
    assert '<html lang="zh">' in page
    assert "评分点" in page
    assert not re.search(r">\d+ (?:to \d+|or more)<", page), "bins have no English words"


def test_shown_answers_are_of_every_category_and_outcome(tmp_path):
    grades = load_grades([write(tmp_path / "g.jsonl", answers(data_set(40, 3), 0.75))])
    kinds = {(row.task.category, row.score) for row in grades.rows.values()}
    assert len(kinds) == 4
    few = chosen(grades, 8)
    assert sorted((grades.rows[p].task.category, grades.rows[p].score) for p in few) == sorted([*kinds, *kinds])
    near = [3 - grades.rows[p].num_met for p in few if not grades.rows[p].score]
    assert near == [1] * 4
    assert chosen(grades, 0) == []
    assert len(chosen(grades, 1000)) == 120


def test_money_comes_from_the_manifests_beside_the_file(tmp_path, graded):
    for name, usd in (("m_graded", 0.25), ("m", 1.5)):
        manifest = {"spent": {"usd": usd}, "prices": {"dated": "2026-01-31"}}
        (tmp_path / f"{name}.manifest.json").write_text(json.dumps(manifest))
    path = write(tmp_path / "m_graded.jsonl", graded)
    found = spending_of([path])
    assert (found.answers.usd, found.verdicts.usd, found.memory.rows) == (1.5, 0.25, 0)
    assert found.within(0.5) == 1.1
    (tmp_path / "m.manifest.json").write_text("[")
    with pytest.raises(DataError, match="is not a manifest"):
        spending_of([path])


def test_classes_of_errors_are_counted_and_strange_ones_refused(tmp_path, graded, capsys):
    failed = [row["metadata"]["task_id"] for row in graded if not row["score"]]
    rows = [
        {"task_id": name, "trial": 0, "classes": ["format"] + ["refusal"] * (n < 2)} for n, name in enumerate(failed)
    ]
    classes = write(tmp_path / "e.jsonl", rows)
    page = page_of(tmp_path, graded, "--errors", classes)
    second = page.partition('id="errors"')[2].split("<tbody>")[2]
    assert re.findall(r'<th scope="row">(\w+)</th><td>(\d+)', second)[:2] == [
        ("format", str(len(failed))),
        ("refusal", "2"),
    ]
    write(classes, [{"task_id": "other", "classes": ["format"]}])
    assert main(["context", "report", str(tmp_path / "m_graded.jsonl"), "--errors", str(classes)]) == 2
    assert "answers that are not graded here, such as other" in capsys.readouterr().err
    write(classes, [{"task_id": "other"}])
    assert main(["context", "report", str(tmp_path / "m_graded.jsonl"), "--errors", str(classes)]) == 2
    assert "has no classes" in capsys.readouterr().err


def test_slim_rows_take_their_texts_from_the_data_set(tmp_path, graded):
    data = write(tmp_path / "d.jsonl", ROWS)
    slim = [{k: v for k, v in row.items() if k not in ("messages", "rubrics")} for row in graded]
    assert page_of(tmp_path, slim, "--dataset", data) == page_of(tmp_path, graded, "--dataset", data)
