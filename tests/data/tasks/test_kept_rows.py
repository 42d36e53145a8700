"""Rows of a card are read once over all commands, and never served when card, files or code have changed."""

import gzip
import json
import os

import pytest

from clbench.core import cache
from clbench.core.errors import DataError
from clbench.data.tasks import kept_rows, task
from clbench.data.tasks.rendering import Rendering
from clbench.data.tasks.task import open_task

CARD = """\
name: mine
source: {path: rows}
prompt: [{role: user, content: "Say: {text}"}]
target: "{label}"
labels: from-data
splits: {lesson: train, dev: null, exam: test}
take: {lesson: 30}
"""
SHOWN: list[str] = []


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A card beside its rows, a cache of its own; every question that is rendered is counted in `SHOWN`."""
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept_rows, "WORTH", 1)
    render = Rendering.example
    monkeypatch.setattr(Rendering, "example", lambda self, *args: SHOWN.append(args[1]) or render(self, *args))
    SHOWN.clear()
    (tmp_path / "rows").mkdir()
    write(tmp_path, "train", rows("train", 60))
    write(tmp_path, "test", rows("test", 6))
    (tmp_path / "mine.yaml").write_text(CARD, encoding="utf-8")
    return tmp_path


def rows(split, num):
    return [{"text": f"{split} {i}", "label": "abc"[i % 3]} for i in range(num)]


def write(folder, split, found):
    (folder / "rows" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, found)), encoding="utf-8")


def opened(folder):
    """Return the task, and how many questions were rendered for it."""
    before = len(SHOWN)
    found = open_task(str(folder / "mine.yaml"), None)
    return found, len(SHOWN) - before


def alone(folder):
    """Return the task without anything that is kept."""
    card = task.load_task_card(str(folder / "mine.yaml"))
    return task.read_task(card, None, task.Folds())


def test_a_second_command_renders_nothing_and_finds_the_same_task(place):
    first, shown = opened(place)
    again, none = opened(place)
    assert (shown, none) == (36, 0)
    assert first == again == alone(place)
    assert first.model_dump_json() == again.model_dump_json()


@pytest.mark.parametrize("restored", [False, True])
def test_an_edited_file_of_the_same_size_is_read_again_also_if_its_time_is_set_back(place, monkeypatch, restored):
    monkeypatch.setattr(cache, "WORTH", 1)  # as for large files, whose digests are remembered by their stamps
    monkeypatch.setattr(cache, "SETTLED_NS", -1)
    opened(place)
    opened(place)
    path = place / "rows" / "train.jsonl"
    before = path.stat()
    path.write_text(path.read_text().replace("train 1", "drain 1"))
    if restored:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    found, shown = opened(place)
    assert shown == 36
    assert found == alone(place)
    assert any("drain" in e.prompt[0].content for e in found.lesson)


def test_a_file_that_was_only_touched_or_copied_over_is_known_by_its_content(place):
    opened(place)
    path = place / "rows" / "train.jsonl"
    text = path.read_bytes()
    path.unlink()
    path.write_bytes(text)
    os.utime(path, (1, 1))
    assert opened(place)[1] == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Say:", "Tell:"),
        ("lesson: 30", "lesson: 31"),
        ("lesson: 30", "lesson: 30, seed: 1"),
        ("from-data", "[a, b, c]"),
    ],
)
def test_another_card_is_another_task(place, old, new):
    opened(place)
    (place / "mine.yaml").write_text(CARD.replace(old, new), encoding="utf-8")
    found, shown = opened(place)
    assert shown >= 36
    assert found == alone(place)


def test_other_code_renders_again(place, monkeypatch):
    opened(place)
    monkeypatch.setattr(kept_rows, "code_digest", lambda *_: "other")
    assert opened(place)[1] == 36


def test_another_version_of_what_reads_the_rows_renders_again(place, monkeypatch):
    opened(place)
    monkeypatch.setattr(kept_rows, "_libraries", lambda _: {"python": "4.0"})
    assert opened(place)[1] == 36


def test_a_damaged_file_is_made_again(place):
    first, _ = opened(place)
    (path,) = (place / "cache" / "kept" / "tasks").iterdir()
    path.write_bytes(path.read_bytes().replace(b"train 1", b"drain 1"))
    again, shown = opened(place)
    assert shown == 36
    assert again == first
    assert opened(place)[1] == 0


def test_a_file_that_changes_while_it_is_read_is_not_kept(place, monkeypatch):
    chosen = task._chosen

    def meanwhile(*args):
        found = chosen(*args)
        write(place, "train", rows("late", 60))
        return found

    monkeypatch.setattr(task, "_chosen", meanwhile)
    opened(place)
    monkeypatch.setattr(task, "_chosen", chosen)
    found, shown = opened(place)
    assert shown == 36
    assert all("late" in e.prompt[0].content for e in found.lesson)


def test_a_split_in_another_file_is_seen(place):
    opened(place)
    path = place / "rows" / "train.jsonl"
    with gzip.open(path.with_suffix(".jsonl.gz"), "wb") as packed:
        packed.write(path.read_bytes())
    with pytest.raises(DataError, match="both there"):
        opened(place)
    path.unlink()
    assert opened(place)[1] == 36, "notices would name the other file"


def test_what_was_folded_is_told_each_time(place, capsys):
    write(place, "train", [*rows("train", 60), {"text": "odd", "label": "a\u00ad"}])
    opened(place)
    told = capsys.readouterr().err
    assert "1 labels or choices have invisible characters" in told
    assert opened(place)[1] == 0
    assert capsys.readouterr().err == told


def test_a_row_that_is_wrong_is_refused_each_time(place):
    write(place, "train", [*rows("train", 60), {"text": "train 60", "label": " "}, {"text": "no label"}])
    for _ in range(2):
        with pytest.raises(DataError, match="column 'label'"):
            opened(place)


def test_rows_that_went_away_are_not_served(place):
    opened(place)
    (place / "rows" / "test.jsonl").unlink()
    with pytest.raises(DataError, match="there is no file test"):
        opened(place)


def test_answers_of_a_closed_set_are_read_as_without_memory(place, capsys):
    odd = [
        ("a", "a"),
        ("b ", "b"),
        (1, "1"),
        (True, "true"),
        ("1", "1"),
        (1.0, "1.0"),
        ("true", "true"),
        ("b", "b"),
    ] * 3
    write(place, "train", [{"text": f"row {i}", "label": label} for i, (label, _) in enumerate(odd)])
    write(place, "test", [{"text": "t", "label": "a"}])
    found, _ = opened(place)
    assert {e.prompt[0].content: e.targets[0] for e in found.lesson} == {
        f"Say: row {i}": shown for i, (_, shown) in enumerate(odd)
    }
    assert found.labels == ("1", "1.0", "a", "b", "true")
    assert "3 labels or choices have invisible" in capsys.readouterr().err, "each row that is folded counts"
