"""LongBench's measures against the published code's values (recorded with its own packages) and by hand."""

import json

import pytest

from clbench.core.types import Answer, Example, Message
from clbench.data.exams.exam import named, open_exam, open_named
from clbench.data.tasks import template
from clbench.data.tasks.card import load_task_card
from clbench.engine.grade import open_scorer
from clbench.scoring.longbench import MEASURES, rouge_l
from tests.builders.places import FIXTURES

RECORDED = json.loads((FIXTURES / "longbench.json").read_text(encoding="utf-8"))
CHINESE = [m for m in MEASURES if m.endswith("_zh")]


def example(targets, choices=()):
    return Example(id="e", prompt=(Message(role="user", content="?"),), targets=targets, choices=choices)


def score(metric, said, *targets, choices=(), **settings):
    scorer = open_scorer("longbench").build({"metric": metric, **settings})
    return scorer(example(targets, choices), Answer(example_id="e", text=said)).score


@pytest.mark.slow
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


# set -> (measure, whether the first line alone is read, most new tokens, language, family), as LongBench has it
SETS = {
    "narrativeqa": ("qa_f1", False, 128, "en", "single-document QA"),
    "qasper": ("qa_f1", False, 128, "en", "single-document QA"),
    "multifieldqa_en": ("qa_f1", False, 64, "en", "single-document QA"),
    "multifieldqa_zh": ("qa_f1_zh", False, 64, "zh", "single-document QA"),
    "hotpotqa": ("qa_f1", False, 32, "en", "multi-document QA"),
    "2wikimqa": ("qa_f1", False, 32, "en", "multi-document QA"),
    "musique": ("qa_f1", False, 32, "en", "multi-document QA"),
    "dureader": ("rouge_zh", False, 128, "zh", "multi-document QA"),
    "gov_report": ("rouge", False, 512, "en", "summarisation"),
    "qmsum": ("rouge", False, 512, "en", "summarisation"),
    "multi_news": ("rouge", False, 512, "en", "summarisation"),
    "vcsum": ("rouge_zh", False, 512, "zh", "summarisation"),
    "trec": ("classification", True, 64, "en", "few-shot"),
    "triviaqa": ("qa_f1", True, 32, "en", "few-shot"),
    "samsum": ("rouge", True, 128, "en", "few-shot"),
    "lsht": ("classification", True, 64, "zh", "few-shot"),
    "passage_count": ("count", False, 32, "en", "synthetic"),
    "passage_retrieval_en": ("retrieval", False, 32, "en", "synthetic"),
    "passage_retrieval_zh": ("retrieval_zh", False, 32, "zh", "synthetic"),
    "lcc": ("code_sim", False, 64, "en", "code"),
    "repobench_p": ("code_sim", False, 64, "en", "code"),
}
WITHOUT_QUESTION = {"gov_report", "multi_news", "vcsum", "passage_count", "lcc"}


def test_the_suite_has_every_set():
    assert {c.name.removeprefix("longbench_") for c in named("longbench") if "leval" not in c.name} == set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_a_card_is_asked_and_marked_as_published(name):
    card = load_task_card(f"longbench_{name}")
    metric, first_line, num_tokens, language, family = SETS[name]
    assert card.scorer.settings == {"metric": metric, **({"first_line": True} if first_line else {})}
    assert card.decode.max_tokens == num_tokens
    assert (card.about["language"], card.about["domain"]) == (language, family)
    (message,) = card.prompt
    wanted = {"context"} if name in WITHOUT_QUESTION else {"context", "input"}
    assert set(template.parse(message.content).fields) == wanted
    assert (card.choices == "{all_classes}") is (metric == "classification")


def test_sets_whose_rows_are_not_here_are_left_out_with_a_notice(tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "longbench_trec"
    folder.mkdir(parents=True)
    row = {"_id": "1", "input": "Q", "context": "C", "answers": ["City"], "all_classes": ["City", "Date"]}
    (folder / "test.jsonl").write_text(json.dumps(row), encoding="utf-8")
    said = []
    monkeypatch.setattr("clbench.data.exams.exam.notice", said.append)
    assert [exam.name for exam in open_named(["longbench"], 1, tmp_path)] == ["longbench_trec"]
    (notice,) = said
    assert "without 24 exams" in notice
    assert "longbench_lcc" in notice
    assert "longbench_trec" not in notice
