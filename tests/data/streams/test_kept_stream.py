"""A stream is built once over all commands, and is the same stream when it is read from what was kept."""

import pytest
import yaml

from clbench.core import keys
from clbench.data.exams import exam
from clbench.data.exams.exam import open_exams
from clbench.data.streams import kept_stream, stream
from clbench.data.streams.stream import lessons, merge_lessons, open_stream

WORLD = {"kinds": ["facts"], "languages": ["en"], "num": 3, "items": 12, "classes": 3, "wordings": 1, "exam_items": 6}
CARDS = {
    "plain": {},
    "fresh": {"recur": {"every": 2, "fresh": True}},
    "blurred": {"blur": {"share": 0.25}},
    "given": {"task_ids": "given", "labels_per_task": 6, "per_lesson": 2},
}
BUILT: list[str] = []


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    for room in (kept_stream, stream, exam):
        monkeypatch.setattr(room, "WORTH", 1)
    build = stream.build
    monkeypatch.setattr(stream, "build", lambda card, *rest: BUILT.append(card.name) or build(card, *rest))
    BUILT.clear()
    return tmp_path


def written(folder, **more):
    card = {"name": "mine", "worlds": [WORLD | {"seed": 7}], "about": {"license": "CC0-1.0", "text": "x"}, **more}
    (folder / "mine.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return str(folder / "mine.yaml")


@pytest.mark.parametrize("kind", CARDS)
def test_a_stream_is_built_once_and_read_as_it_was(place, kind):
    path = written(place, **CARDS[kind])
    first, again = open_stream(path, None), open_stream(path, None)
    assert BUILT == ["mine"]
    assert first == again
    assert first.model_dump_json() == again.model_dump_json()
    assert keys.digest(first) == keys.digest(again)
    assert lessons(first) == lessons(again)
    for items in (None, 2):
        assert open_exams((), first, items) == open_exams((), again, items)


def test_examples_of_lessons_are_those_of_tasks_not_copies(place):
    path = written(place)
    open_stream(path, None)
    found = open_stream(path, None)
    own = {id(e) for task in found.tasks for e in task.lesson}
    assert all(id(e) in own for plan in found.plans for e in plan.examples)


def test_another_card_is_another_stream(place):
    open_stream(written(place), None)
    changed = open_stream(written(place, order="reverse"), None)
    assert BUILT == ["mine"] * 2
    assert [p.teaches for p in changed.plans] == [p.teaches for p in open_stream(written(place), None).plans][::-1]


def test_other_code_builds_again(place, monkeypatch):
    path = written(place)
    open_stream(path, None)
    monkeypatch.setattr(kept_stream, "code_digest", lambda *_: "other")
    open_stream(path, None)
    assert BUILT == ["mine"] * 2


def test_exams_and_lessons_together_are_digested_once(place, monkeypatch):
    path = written(place)
    first = open_stream(path, None)
    exams, merged = open_exams((), first, None), merge_lessons(lessons(first))

    def no(*_):
        raise AssertionError("it is digested again")

    monkeypatch.setattr(exam, "digest", no)
    monkeypatch.setattr(stream, "digest", no)
    again = open_stream(path, None)
    assert open_exams((), again, None) == exams
    assert merge_lessons(lessons(again)) == merged
    monkeypatch.undo()
    assert merged.digest == keys.digest(merged.examples)
    assert [e.digest for e in exams] == [
        keys.digest({"examples": e.examples, "decode": e.decode, "needs": e.needs}) for e in exams
    ]
