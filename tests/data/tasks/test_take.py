"""What a card takes: rows chosen by id alone, whatever their order; ids and closed answers of all rows are read."""

import hashlib
import json
import random

import pytest

from clbench.core.errors import DataError
from clbench.data.tasks.task import open_task

HEAD = """\
name: mine
source: {path: rows}
prompt: [{role: user, content: "{text}"}]
target: "{label}"
splits: {lesson: train, dev: null, exam: test}
id: key
"""
ROWS = [{"key": f"k{i}", "text": f"text {i}", "label": "abc"[i % 3]} for i in range(40)]
TESTS = [{"key": f"t{i}", "text": f"test {i}", "label": "abc"[i % 3]} for i in range(6)]


def by_rank(rows):
    return sorted(rows, key=lambda row: hashlib.sha256(f"0\0{row['key']}".encode()).hexdigest())


def opened(folder, rows, more="", head=HEAD):
    (folder / "rows").mkdir(exist_ok=True)
    for split, part in (("train", rows), ("test", TESTS)):
        (folder / "rows" / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in part))
    (folder / "mine.yaml").write_text(head + more, encoding="utf-8")
    return open_task(str(folder / "mine.yaml"), None)


@pytest.mark.parametrize("num", [1, 7, 39, 40, 100])
def test_the_rows_of_smallest_hash_are_taken_in_the_order_of_their_hashes(tmp_path, num):
    wanted = [row["key"] for row in by_rank(ROWS)[:num]]
    for seed in range(3):
        rows = random.Random(seed).sample(ROWS, len(ROWS))
        task = opened(tmp_path, rows, f"labels: from-data\ntake: {{lesson: {num}}}\n")
        assert [e.id for e in task.lesson] == wanted
        assert task.labels == ("a", "b", "c"), "labels of rows that are not taken count"


@pytest.mark.parametrize(("field", "value"), [("text", ""), ("text", ["a", "list"])])
@pytest.mark.parametrize("turned", [False, True])
def test_a_bad_text_is_refused_where_it_is_taken_whatever_the_order(tmp_path, field, value, turned):
    last = by_rank(ROWS)[-1]["key"]
    rows = [row | {field: value} if row["key"] == last else row for row in ROWS][:: -1 if turned else 1]
    assert len(opened(tmp_path, rows, "take: {lesson: 39}\n").lesson) == 39
    with pytest.raises(DataError, match=f"column '{field}'"):
        opened(tmp_path, rows, "take: {lesson: 40}\n")


@pytest.mark.parametrize("label", ["x\ud800", "  "])
def test_a_bad_label_is_found_in_rows_that_are_not_taken(tmp_path, label):
    last = by_rank(ROWS)[-1]["key"]
    rows = [row | {"label": label} if row["key"] == last else row for row in ROWS]
    with pytest.raises(DataError, match=r"half a character|is empty"):
        opened(tmp_path, rows, "labels: from-data\ntake: {lesson: 2}\n")


def test_rows_that_cannot_be_asked_make_room_for_the_next(tmp_path, heard):
    order = by_rank(ROWS)
    spoilt = {order[0]["key"], order[2]["key"]}
    rows = [row | {"offer": ["a", "a" if row["key"] in spoilt else "b", "c"]} for row in ROWS]
    tests = [row | {"offer": ["a", "b", "c"]} for row in TESTS]
    (tmp_path / "rows").mkdir()
    for split, part in (("train", rows), ("test", tests)):
        (tmp_path / "rows" / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in part))
    (tmp_path / "mine.yaml").write_text(HEAD + 'choices: "{offer}"\ntake: {lesson: 3}\n')
    task = open_task(str(tmp_path / "mine.yaml"), None)
    assert [e.id for e in task.lesson] == [order[i]["key"] for i in (1, 3, 4)]
    assert any("goes on without 2 rows" in text for text in heard)


def test_a_row_that_cannot_be_asked_may_hold_anything(tmp_path):
    """It is left out before its id is made of all it holds."""
    head = HEAD.replace("id: key\n", "")
    rows = [row | {"offer": ["a", "b", "c"]} for row in ROWS] + [
        {"key": "odd", "text": "half \ud800", "label": "a", "offer": ["a", "a"]}
    ]
    (tmp_path / "rows").mkdir()
    for split, part in (("train", rows), ("test", [r | {"offer": ["a", "b", "c"]} for r in TESTS])):
        (tmp_path / "rows" / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in part))
    (tmp_path / "mine.yaml").write_text(head + 'choices: "{offer}"\n')
    assert len(open_task(str(tmp_path / "mine.yaml"), None).lesson) == len(ROWS)


def test_a_missing_column_of_ids_is_named_before_lists_are_split(tmp_path):
    rows = [{"text": ["a", "b"], "label": ["x", "y"]}]
    with pytest.raises(DataError, match="there is no column 'key'"):
        opened(tmp_path, rows, "each: [text, label]\n")
