"""Records: the same items give the same bytes, and come back exactly."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.core.errors import StoreError
from clbench.core.types import Answer, Grade
from clbench.store.records import read_jsonl, write_jsonl

TEXTS = st.text(st.characters(codec=None))
ANSWERS = st.builds(Answer, example_id=TEXTS, text=TEXTS, tokens_in=st.integers(0, 10**9))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
GRADES = st.builds(
    Grade, example_id=st.just("x"), score=st.none() | FINITE, parts=st.lists(FINITE, max_size=3).map(tuple)
)


def same(one, two):
    return type(one) is type(two) and one == two and math.copysign(1, one or 0) == math.copysign(1, two or 0)


@given(st.lists(ANSWERS, max_size=5))
def test_any_text_comes_back(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("r") / "answers.jsonl"
    write_jsonl(path, answers)
    first = path.read_bytes()
    back = read_jsonl(path, Answer)
    assert back == answers
    write_jsonl(path, back)
    assert path.read_bytes() == first


@given(st.lists(GRADES, max_size=5))
def test_numbers_come_back_exactly(tmp_path_factory, grades):
    path = tmp_path_factory.mktemp("r") / "grades.jsonl"
    write_jsonl(path, grades)
    for before, after in zip(grades, read_jsonl(path, Grade), strict=True):
        assert same(before.score, after.score)
        assert all(map(same, before.parts, after.parts))


@pytest.mark.parametrize("text", ["\ud800", "a\u2028b\u0085c", "\r\n\x00\x1c", "逗号，", "\ufeff", '"\\'])
def test_odd_texts_are_one_line_each(tmp_path, text):
    write_jsonl(tmp_path / "a", [Answer(example_id=text, text=text)] * 2)
    assert (tmp_path / "a").read_bytes().count(b"\n") == 2
    assert [a.text for a in read_jsonl(tmp_path / "a", Answer)] == [text] * 2


def test_nothing_is_an_empty_file(tmp_path):
    write_jsonl(tmp_path / "a", [])
    assert (tmp_path / "a").read_bytes() == b""
    assert read_jsonl(tmp_path / "a", Answer) == []


def test_a_line_that_is_none_is_named(tmp_path):
    path = tmp_path / "answers.jsonl"
    for line in (b"not json", b'{"example_id": "a"}', b'{"example_id": "a", "text": "b", "more": 1}', b"\xff\xfe", b""):
        write_jsonl(path, [Answer(example_id="a", text="b")])
        path.write_bytes(path.read_bytes() + line + b"\n")
        with pytest.raises(StoreError, match=r"answers.jsonl:2: is not a valid Answer"):
            read_jsonl(path, Answer)


def test_a_draft_cut_short_keeps_its_whole_lines(tmp_path):
    """At whatever byte the process died, the lines before it are read."""
    path = tmp_path / "answers.jsonl"
    answers = [Answer(example_id=str(i), text="问") for i in range(3)]
    write_jsonl(path, answers)
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        assert read_jsonl(path, Answer, draft=True) == answers[: whole[:end].count(b"\n")]
        if whole[:end] and whole[end - 1 : end] != b"\n":
            with pytest.raises(StoreError, match="cut short"):
                read_jsonl(path, Answer)
