"""LongBench's measures against the published code's values (recorded with its own packages) and by hand."""

import json
from pathlib import Path

import pytest

from clbench.core.types import Answer, Example, Message
from clbench.data.exam import named, open_exam
from clbench.engine.mark import open_scorer
from clbench.scoring.longbench import MEASURES, rouge_l

RECORDED = json.loads((Path(__file__).parents[1] / "fixtures" / "longbench.json").read_text(encoding="utf-8"))
CHINESE = [m for m in MEASURES if m.endswith("_zh")]


def example(targets, choices=()):
    return Example(id="e", prompt=(Message(role="user", content="?"),), targets=targets, choices=choices)


def score(metric, said, *targets, choices=(), **settings):
    scorer = open_scorer("longbench").build({"metric": metric, **settings})
    return scorer(example(targets, choices), Answer(example_id="e", text=said)).score


@pytest.mark.parametrize("metric", list(MEASURES))
def test_recorded_values_of_the_published_code(metric):
    if metric in CHINESE:
        pytest.importorskip("jieba", reason="jieba is not installed (extra `abilities`)")
    rows = [row for row in RECORDED if row["metric"] == metric]
    assert len(rows) >= 2
    for row in rows:
        found = score(metric, row["said"], row["wanted"], choices=tuple(row["classes"]))
        assert found == pytest.approx(row["score"], abs=1e-6), row


def test_by_hand():
    # said: cat sat (2 words, "the" left out); wanted: cat ran here (3); one in common: P 1/2, R 1/3
    assert score("qa_f1", "The cat sat.", "a cat ran here") == pytest.approx(0.4)
    # different words: the cat sat it ran = 5 of said, 5 of wanted; common: {the, cat} and {it}
    assert rouge_l("the cat sat. it ran", "the cat went. it slept") == pytest.approx(0.6, abs=1e-6)
    assert score("count", "3, or 4", "4") == 0.5


def test_the_best_answer_counts_and_the_first_line_alone_where_asked():
    assert score("qa_f1", "blue", "red", "blue") == 1.0
    assert score("qa_f1", "\nblue\nbecause it is so", "blue", first_line=True) == 1.0
    assert score("qa_f1", "\nblue\nbecause it is so", "blue") < 0.6


@pytest.mark.data
def test_the_set_at_hand_is_asked_whole_and_in_its_own_words(data_root):
    pytest.importorskip("jieba", reason="jieba is not installed (extra `abilities`)")
    (card,) = named("longbench_multifieldqa_zh")
    exam = open_exam(card, 5, data_root)
    assert exam.kind == "long_context"
    assert len(exam.examples) == 5
    scorer = open_scorer(exam.scorer.name).build(exam.scorer.settings)
    for asked in exam.examples:
        assert "问题：" in asked.prompt[0].content
        assert scorer(asked, Answer(example_id=asked.id, text=asked.targets[0])).score == 1.0
