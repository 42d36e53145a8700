"""Cards, readers, templates, take and streams."""

import csv
import gzip
import json
import lzma

import pytest

from clbench.core.errors import DataError
from clbench.core.types import Budget
from clbench.data.exams.exam import open_exams
from clbench.data.exams.show import examples_of
from clbench.data.readers import open_rows
from clbench.data.streams.card import load_stream_card
from clbench.data.streams.stream import lessons, merge_lessons, open_stream
from clbench.data.tasks import template
from clbench.data.tasks.card import list_cards, load_task_card
from clbench.data.tasks.fetch import data_root
from clbench.data.tasks.task import open_task

ROWS = [{"text": f"text {i} 文字", "label": "ab"[i % 2]} for i in range(20)]
CARD = """\
name: mine
source: {path: rows}
prompt: [{role: user, content: "Label of: {text}"}]
target: "{label}"
labels: from-data
splits: {lesson: train, dev: null, exam: test}
"""


def write(path, rows):
    lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    if path.name.endswith(".jsonl.xz"):
        path.write_bytes(lzma.compress(lines.encode()))
    elif path.name.endswith(".jsonl.gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".jsonl":
        path.write_text(lines, encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as f:
            writer = csv.DictWriter(f, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        from pyarrow import Table, parquet

        parquet.write_table(Table.from_pylist(rows), path)


def own(tmp_path, card=CARD, suffix=".jsonl", train=ROWS[:12], test=ROWS[12:]):
    folder = tmp_path / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / f"train{suffix}", train)
    write(folder / f"test{suffix}", test)
    (tmp_path / "mine.yaml").write_text(card)
    return str(tmp_path / "mine.yaml")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.xz", ".json", ".csv", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    task = open_task(own(tmp_path / "a", suffix=suffix), None)
    same = open_task(own(tmp_path / "b"), None)
    assert task.digest == same.digest
    assert [row for _, row in open_rows(tmp_path / "a" / "rows" / f"test{suffix}")] == ROWS[12:]


def test_a_saved_folder_is_read(tmp_path):
    from datasets import Dataset, DatasetDict

    path = own(tmp_path)
    expected = open_task(path, None).digest
    for file in (tmp_path / "rows").iterdir():
        file.unlink()
    parts = {"train": Dataset.from_list(ROWS[:12]), "test": Dataset.from_list(ROWS[12:])}
    DatasetDict(parts).save_to_disk(str(tmp_path / "rows"))
    assert open_task(path, None).digest == expected


def test_take_survives_row_order(tmp_path):
    card = CARD + "take: {lesson: 5, exam: 3, seed: 1}\n"
    task = open_task(own(tmp_path / "a", card), None)
    turned = open_task(own(tmp_path / "b", card, train=ROWS[:12][::-1], test=ROWS[12:][::-1]), None)
    assert task.digest == turned.digest
    assert (len(task.lesson), len(task.exam)) == (5, 3)
    other = open_task(own(tmp_path / "c", card.replace("seed: 1", "seed: 2")), None)
    assert {e.id for e in other.lesson} != {e.id for e in task.lesson}


def test_prompt_target_and_choices_are_those_of_the_card(tmp_path):
    task = open_task(own(tmp_path), None)
    example = next(e for e in task.lesson if "text 1 " in e.prompt[0].content)
    assert example.prompt[0].content == "Label of: text 1 文字"
    assert example.targets == ("b",)
    assert example.choices == ("a", "b") == task.labels
    assert task.decode.kind == "label"
    assert task.guess_rate == 0.5


def test_templates_hold_fields_and_nothing_else():
    assert template.parse("{a} and {{b}}").render({"a": "1"}) == "1 and {b}"
    for hostile in ("{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{", "{}"):
        with pytest.raises(ValueError, match=r"."):
            template.parse(hostile)


def test_clip_cuts_at_a_word():
    assert template.clip("one two three", 8) in ("one two", "one two ")
    assert template.clip("short", 80) == "short"


def test_stream_reveals_no_more_than_it_says():
    stream = open_stream("worlds-tiny", None)
    assert all(lesson.task_name is None for lesson in lessons(stream))
    told = lessons(stream.model_copy(update={"task_ids": "given"}))
    assert [lesson.task_name for lesson in told] == [t.name for t in stream.tasks]
    budget = Budget(examples=3)
    assert all(x.budget == budget for x in lessons(stream.model_copy(update={"budget": budget})))


def test_merged_holds_every_lesson_once():
    taught = lessons(open_stream("worlds-tiny", None))
    whole = merge_lessons(taught)
    assert whole.number == 1
    assert len(whole.examples) == sum(len(lesson.examples) for lesson in taught)
    assert len({e.id for e in whole.examples}) == len(whole.examples)


def test_exams_are_own_tasks_then_suites_and_never_to_be_learnt():
    stream = open_stream("worlds-tiny", None)
    exams = open_exams(["abilities-labels"], stream, 8)
    assert [e.taught for e in exams[:3]] == [1, 2, 3]
    assert all(e.taught is None and e.kind != "task" for e in exams[3:])
    assert all(len(e.examples) <= 8 and all(x.eval_only for x in e.examples) for e in exams)
    assert all("label" in e.needs for e in exams)
    again = open_exams(["mini_reading", "abilities-labels"], stream, 8)
    assert len(again) == len(exams)
    with pytest.raises(DataError, match="did you mean"):
        open_exams(["abilitys"], stream, None)


def test_fewer_items_are_the_same_items():
    stream = open_stream("worlds-tiny", None)
    few, more = (open_exams([], stream, n)[0] for n in (4, 8))
    assert {e.id for e in few.examples} < {e.id for e in more.examples}
    assert few.digest != more.digest


def test_every_stream_names_cards_that_are_there():
    tasks = set(list_cards("tasks"))
    for name in list_cards("streams"):
        assert set(load_stream_card(name).tasks) <= tasks


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["real-text", "real-labels"])
def test_real_streams_open(name, data_root):
    stream = open_stream(name, data_root)
    assert len(stream) == 4
    languages = {t.about["language"] for t in stream.tasks}
    kinds = {t.about["kind"] for t in stream.tasks}
    if name == "real-text":
        assert languages == {"en", "zh"}
        assert {"generation", "classification"} <= kinds


def test_missing_data_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    with pytest.raises(DataError, match="no data folder") as error:
        open_task("agnews", None)
    assert "--data" in str(error.value)
    with pytest.raises(DataError, match="no folder"):
        data_root(tmp_path / "nowhere")
    monkeypatch.setenv("CLBENCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match="not there"):
        open_task("agnews", None)


def test_show_walks_lessons_and_exams():
    shown = list(examples_of("world_tiny_facts", 2, None))
    assert [where for where, _ in shown] == ["world_tiny_facts lesson"] * 2 + ["world_tiny_facts exam"] * 2
    assert len(list(examples_of("mini_code", 3, None))) == 3


def test_cards_know_their_file():
    card = load_task_card("agnews")
    assert card.path.stem == "agnews"
    assert card.shipped
