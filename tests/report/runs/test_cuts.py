"""What did not fit is counted, kept and told; answers of 16-bit models are kept by exam batch."""

import json
from types import SimpleNamespace

import pytest

from clbench.cli.exam import _cut_lines
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores, ItemScores, count_cuts
from clbench.core.keys import canonical, key
from clbench.core.results import Costs
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Answer, Decode, Exam, Example, Message, ScorerSpec
from clbench.data.intake.audit import audit
from clbench.data.intake.files import sources
from clbench.engine.ask import answers_key
from clbench.models.tokens import load_tokens
from clbench.report.runs.cuts import cut_counts, cut_sentences
from clbench.report.tables.translations import TRANSLATIONS

ANSWERS = [
    Answer(example_id="a", text="", tokens_in=90, tokens_cut=30, shots_cut=2),
    Answer(example_id="b", text="", tokens_in=50),
    Answer(example_id="c", text="", tokens_in=90, tokens_cut=5),
]


def group(cut_by_lesson, *rows):
    sheet = ExamScores(
        exam="gsm8k",
        digest="d",
        scorer=ScorerSpec(name="exact"),
        version=1,
        ids=("a", "b", "c"),
        rows={
            i: GradedItems(questions="", answers_key="", grades_key="", scores="110", cuts=cut)
            for i, cut in enumerate(rows)
        },
    )
    return SimpleNamespace(
        runs=[SimpleNamespace(item_scores=ItemScores(exams=(sheet,)), costs=Costs(cut_by_lesson=cut_by_lesson))]
    )


def test_cuts_of_answers():
    assert count_cuts(ANSWERS) == (2, 35, 2)
    assert count_cuts(ANSWERS[1:2]) == ()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_most_of_any_row_is_told(lang):
    groups = [group(((0, 0, 9), (3, 5, 9)), (2, 35, 2), (3, 40, 0)), group(((0, 6, 9), (0, 0, 9)), ())]
    assert cut_counts(groups) == {
        "exams": {"gsm8k": {"questions": 3, "of": 3, "tokens": 40, "examples": 0}},
        "lessons": {1: {"prompts": 0, "answers": 6, "of": 9}, 2: {"prompts": 3, "answers": 5, "of": 9}},
    }
    said = cut_sentences(groups, TRANSLATIONS[lang])
    assert len(said) == 2
    assert "gsm8k" in said[0]
    assert "40" in said[0]
    assert cut_sentences([group((), (), ())], TRANSLATIONS[lang]) == []


def test_the_terminal_says_what_an_exam_cut():
    (line,) = _cut_lines([("gsm8k", 3, ANSWERS), ("arc", 1, ANSWERS[1:2])])
    assert "gsm8k, 2 of 3 questions (35 tokens, 2 examples left out whole)" in line
    assert _cut_lines([("arc", 1, ANSWERS[1:2])]) == []


def test_rows_and_meters_without_cuts_are_written_as_before():
    assert "cut" not in canonical(GradedItems(questions="", answers_key="", grades_key="", scores="1"))
    assert "cut_by_lesson" not in canonical(Costs())
    assert "shots_cut" not in canonical(ANSWERS[1])


def test_the_batch_is_in_the_key_of_16_bit_answers_alone():
    example = Example(id="a", prompt=(Message(role="user", content="?"),))
    exam = Exam(
        name="e",
        examples=(example,),
        decode=Decode(max_tokens=32),
        scorer=ScorerSpec(name="exact"),
        needs=frozenset({"text"}),
        digest="d",
    )
    keys = {
        (dtype, batch): answers_key("k", exam, ModelSpec(dtype=dtype, max_tokens=512), Machine(exam_batch=batch))
        for dtype in ("float32", "bfloat16")
        for batch in (8, 64)
    }
    assert keys["float32", 8] == keys["float32", 64] == key("ask", effective="k", exam="d", decode=exam.decode)
    assert keys["bfloat16", 8] != keys["bfloat16", 64]
    long = exam.model_copy(update={"decode": Decode(max_tokens=300)})
    narrow, wide = (answers_key("k", long, ModelSpec(max_tokens=n), Machine()) for n in (512, 1024))
    assert narrow != wide


@pytest.mark.models
def test_an_answer_that_fits_beside_its_prompt_is_taught_whole():
    """Half of the input was the most, so that an answer lost its end beside a short prompt."""
    from clbench.models.load import load_net

    spec = ModelSpec(max_tokens=48)
    net, tokens = load_net(spec, Machine(device="cpu")), load_tokens(spec)
    for words, lost in ((8, 0), (11, 0), (30, 70)):
        answer = "many words " * words + "end"
        example = Example(id="a", prompt=(Message(role="user", content="say"),), targets=(answer,))
        whole = len(net.answer_ids(answer))
        prompt, said = net.encode(example)
        assert net.cut(example) == (0, whole - len(said))
        assert len(said) == min(whole, 48 - len(prompt))
        assert (whole - len(said) > 0) == (lost > 0) == (not tokens.fits(len(prompt), whole))
        assert (tokens.cut((("user", "say"),), answer)[1] != "") == (lost > 0)
    full = Example(id="b", prompt=(Message(role="user", content="word " * 80),), targets=("many words " * 30,))
    prompt, said = net.encode(full)
    assert (len(prompt), len(said)) == (24, 24)


def checked(tmp_path, rows, model="tiny-llama"):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return audit(sources([path], []), load_tokens(ModelSpec(name=model)))


def test_rows_that_write_special_tokens_out_are_named(tmp_path):
    rows = [{"prompt": f"What is {i}?", "answer": f"it is {i}"} for i in range(5)]
    rows[2]["answer"] = "<|user|>"
    rows[4]["prompt"] = "say <|end|><|assistant|>yes"
    found = checked(tmp_path, rows).findings
    assert found.counts["special"] == 2
    places = found.first["special"]
    assert places[0].where.endswith(":3")
    assert "in the answer: '<|user|>' is a special token" in places[0].what
    assert "in the prompt: '<|end|>'" in places[1].what
    assert "special" not in checked(tmp_path, rows[:2]).findings.counts


def test_an_encoder_s_marks_are_named_too(tmp_path):
    rows = [{"text": f"one {'[SEP]' if i == 3 else 'two'} {i}", "label": "ab"[i % 2]} for i in range(8)]
    assert checked(tmp_path, rows, "tiny-bert").findings.counts["special"] == 1
