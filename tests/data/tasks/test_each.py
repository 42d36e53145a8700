"""Rows that hold several questions on one document."""

import json

import pytest

from clbench.core.errors import DataError
from clbench.data.exams.exam import named, open_exam
from clbench.data.tasks.task import open_task

CARD = """
name: mine
source: {path: rows}
each: [questions, answers]
prompt: [{role: user, content: "{text} {questions}"}]
target: "{answers}"
splits: {lesson: null, dev: null, exam: test}
"""
ROWS = [
    {"text": "a document", "questions": ["one?", "two?"], "answers": ["1", "2"]},
    {"text": "another", "questions": ["three?"], "answers": ["3"]},
]


def card(tmp_path, rows, text=CARD):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "test.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    (tmp_path / "mine.yaml").write_text(text)
    return str(tmp_path / "mine.yaml")


def test_every_place_is_an_example_and_a_row_is_a_group(tmp_path):
    exam = open_task(card(tmp_path, ROWS), None).exam
    asked = {e.prompt[0].content: e for e in exam}
    assert set(asked) == {"a document one?", "a document two?", "another three?"}
    one, two = asked["a document one?"], asked["a document two?"]
    assert (one.targets, two.targets) == (("1",), ("2",))
    assert one.group == two.group != asked["another three?"].group
    assert {one.id, two.id} == {f"{one.group}-1", f"{one.group}-2"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "d", "questions": ["one?"], "answers": []}, "lists of different lengths"),
        ({"text": "d", "questions": "one?", "answers": ["1"]}, "column 'questions' must be a list"),
        ({"text": "d", "answers": ["1"]}, "there is no column 'questions'"),
        ({"text": "d", "questions": ["one?", " "], "answers": ["1", "2"]}, "column 'questions' is empty"),
        ({"text": "d", "questions": [["one?"]], "answers": ["1"]}, "column 'questions' holds list"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, message):
    path = card(tmp_path, [ROWS[0], row])
    with pytest.raises(DataError, match=message) as error:
        open_task(path, None)
    assert "test.jsonl:2" in str(error.value)


def test_a_world_has_no_rows_to_part(tmp_path):
    (tmp_path / "w.yaml").write_text("name: w\nsource: {world: {kind: facts, language: en, seed: 1}}\neach: [x]\n")
    with pytest.raises(DataError, match="writes its own"):
        open_task(str(tmp_path / "w.yaml"), None)


def test_an_exam_may_have_accepted_answers_alone(tmp_path):
    text = CARD.replace("each: [questions, answers]\n", "").replace('target: "{answers}"', 'accept: "{answers}"')
    exam = open_task(card(tmp_path, ROWS, text.replace("{text} {questions}", "{text}")), None).exam
    assert {e.targets for e in exam} == {("1", "2"), ("3",)}
    taught = text.replace("splits: {lesson: null, dev: null, exam: test}", "splits: {lesson: test, exam: test}")
    (tmp_path / "mine.yaml").write_text(taught)
    with pytest.raises(DataError, match="needs prompt and target"):
        open_task(str(tmp_path / "mine.yaml"), None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "items", "documents"),
    [
        ("leval_quality", 202, 15),
        ("leval_natural_question", 104, 20),
        ("leval_scientific_qa", 176, 22),
        ("leval_topic_retrieval", 150, 50),
    ],
)
def test_l_eval_on_real_rows(data_root, name, items, documents):
    (found,) = named(name)
    exam = open_exam(found, None, data_root)
    assert (len(exam.examples), len({e.group for e in exam.examples})) == (items, documents)
    assert exam.kind == "long_context"
    if name == "leval_quality":
        assert {e.targets[0] for e in exam.examples} == set("ABCD")


def test_longbench_has_all_its_sets():
    names = [c.name for c in named("longbench") if c.name.startswith("longbench_")]
    assert len(names) == 21
    scorers = {n: open_card(n).scorer.settings for n in names}
    assert scorers["longbench_trec"] == {"metric": "classification", "first_line": True}
    assert scorers["longbench_repobench_p"] == {"metric": "code_sim"}
    assert scorers["longbench_passage_retrieval_zh"] == {"metric": "retrieval_zh"}


def open_card(name):
    from clbench.data.tasks.card import load_task_card

    return load_task_card(name)
