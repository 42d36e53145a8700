"""Streams and exams that results are held against are opened once a command, however many results there are."""

import pytest

from clbench.core.errors import AbsentError
from clbench.core.keys import canonical
from clbench.core.spec import ModelSpec, RunSpec
from clbench.data.streams.stream import lessons, merge_lessons
from clbench.data.streams.summary import stream_summary
from clbench.engine.verify import cards
from clbench.engine.verify.cards import Cards


def spec(**more):
    values = {"name": "x", "model": ModelSpec(name="tiny-llama"), "learner": {"name": "sft"}, "stream": "worlds-tiny"}
    return RunSpec(**values | more)


def test_a_stream_is_opened_once_for_all_results_and_looked_at_once(monkeypatch):
    opened, outlined = [], []
    monkeypatch.setattr(cards, "open_stream", lambda *a, way=cards.open_stream: opened.append(a) or way(*a))
    monkeypatch.setattr(cards, "stream_summary", lambda s, way=cards.stream_summary: outlined.append(s) or way(s))
    known = Cards(None)
    for seed in range(3):
        found = known.of(spec(seed=seed))
        assert found.outline == stream_summary(found.stream).model_dump()
    assert (len(opened), len(outlined)) == (1, 1)
    known.of(spec(exams=("abilities",)))
    assert len(opened) == 2, "other columns"
    taught = lessons(found.stream)
    assert found.bytes_by_lesson == tuple(len(canonical(each.examples).encode()) for each in taught)
    assert found.bytes_at_once == len(canonical(merge_lessons(taught).examples).encode())


def test_data_that_are_not_at_hand_are_looked_for_once(monkeypatch):
    tried = []

    def gone(*a):
        tried.append(a)
        raise AbsentError("gone", where="here", mend="bring it")

    monkeypatch.setattr(cards, "open_stream", gone)
    known = Cards(None)
    for _ in range(2):
        with pytest.raises(AbsentError, match="gone"):
            known.of(spec())
    assert len(tried) == 1
