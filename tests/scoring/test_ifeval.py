"""IFEval's 25 kinds: item by item the original checker's verdicts, recorded here and asked again where it is there."""

import json

import pytest

from clbench.core.types import Answer, Example, Message
from clbench.data.exams.exam import named, open_exam
from clbench.data.tasks.task import open_task
from clbench.engine.grade import combine_grades, open_scorer
from clbench.scoring import _instructions
from clbench.scoring._instructions import CHECKS, SEEDED, language_of, loosened, obeys, sentences, words
from tests.builders.places import FIXTURES

pytest.importorskip("langdetect", reason="langdetect is not installed (extra `abilities`)")
FIXTURE = FIXTURES / "ifeval.jsonl"
RECORDED = [json.loads(line) for line in FIXTURE.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("mode", ["strict", "loose"])
def test_recorded_verdicts_of_the_original_checker(mode):
    wrong = []
    for row in RECORDED:
        pairs = zip(row["kinds"], row["kwargs"], strict=True)
        found = [obeys(kind, arguments, row["text"], loose=mode == "loose") for kind, arguments in pairs]
        wrong += [(row["kinds"], row["text"], found)] if found != row[mode] else []
    assert wrong == []


def test_the_record_covers_every_kind_both_ways():
    kinds = {kind for kind in CHECKS if not kind.endswith("_zh")}
    assert len(kinds) == 25
    verdicts = {}
    for row in RECORDED:
        for kind, strict, loose in zip(row["kinds"], row["strict"], row["loose"], strict=True):
            verdicts.setdefault(kind, set()).update({("strict", strict), ("loose", loose)})
    assert set(verdicts) == kinds
    assert all({("strict", True), ("strict", False)} <= seen for seen in verdicts.values())
    assert any(row["strict"] != row["loose"] for row in RECORDED)


def test_the_original_checker_says_the_same_today(monkeypatch):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "find", lambda *args, **kwargs: True)  # it would fetch data when it is imported
    original = pytest.importorskip("lm_eval.tasks.ifeval.utils")
    from lm_eval.tasks.ifeval import instructions_util

    ours = _instructions._sentence_tokenizer()
    tokenizer = nltk.tokenize.destructive.NLTKWordTokenizer()
    monkeypatch.setattr(instructions_util, "_get_sentence_tokenizer", lambda: ours)
    monkeypatch.setattr(nltk, "word_tokenize", lambda t: [w for s in ours.tokenize(t) for w in tokenizer.tokenize(s)])
    for row in RECORDED:
        if set(row["kinds"]) & set(SEEDED):  # it draws at random there
            continue
        asked = original.InputExample(0, row["kinds"], "", row["kwargs"])
        strict = original.test_instruction_following_strict(asked, row["text"]).follow_instruction_list
        loose = original.test_instruction_following_loose(asked, row["text"]).follow_instruction_list
        assert ([*map(bool, strict)], [*map(bool, loose)]) == (row["strict"], row["loose"]), row


def test_languages_are_told_alike_every_time_and_the_seed_is_put_back():
    import langdetect

    langdetect.DetectorFactory.seed = 7
    text = "no und"
    assert len({language_of(text) for _ in range(20)}) == 1
    assert langdetect.DetectorFactory.seed == 7
    langdetect.DetectorFactory.seed = None
    assert language_of("123") is None


def test_sentences_and_words():
    assert len(sentences("Dr. Smith paid 3.5 dollars. He left at 5 p.m. on Monday. Why? No!")) == 4
    assert sentences("你好。今天好吗？很好！") == ["你好。", "今天好吗？", "很好！"]
    assert len(words("河水流过 the town")) == 6


@pytest.mark.parametrize(
    ("text", "num"),
    [
        ("We met on Sun. The day was fine.", 2),
        ("The cat sat. Then it slept. I said no. Nobody heard.", 4),
        ("Apples, pears, etc. They are good.", 2),
        ("He works at Acme Co. It is big.", 2),
        ("Eat a fig. It is sweet.", 2),
        ("The sun was up. It was 5 p.m. He left.", 3),
        ("I live in the U.S. It is big.", 2),
        ("It is in the U.S. Senate now.", 1),
        ("Dr. Smith met J. Jones of Acme Co. in Jan. 1999.", 1),
        ("I mean it... The end. and so on. No. 5 is alive!", 5),
        ('He asked (why?) and left. "Go!" she said.', 4),
        ("We sell mt. bikes. Mt. Fuji is high. It is 3 ft. The rope is short.", 6),
    ],
)
def test_sentences_are_counted_as_by_the_english_punkt_that_the_original_loads(text, num):
    assert len(sentences(text)) == num, sentences(text)


def test_the_model_of_sentences_is_that_of_nltk(monkeypatch):
    nltk = pytest.importorskip("nltk")
    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        pytest.skip("nltk's own data (punkt_tab) are not here")
    from nltk.tokenize.punkt import PunktTokenizer

    theirs, ours = PunktTokenizer("english")._params, _instructions._sentence_tokenizer()._params
    assert (theirs.abbrev_types, theirs.collocations) == (ours.abbrev_types, ours.collocations)
    assert (theirs.sent_starters, dict(theirs.ortho_context)) == (ours.sent_starters, dict(ours.ortho_context))


def test_loose_forms():
    assert loosened("a\n*b*\nc") == ("a\n*b*\nc", "*b*\nc", "a\n*b*", "*b*", "a\nb\nc", "b\nc", "a\nb", "b")


def example(kinds, kwargs, name="e"):
    check = json.dumps({"instruction_id_list": kinds, "kwargs": kwargs})
    return Example(id=name, prompt=(Message(role="user", content="?"),), check=check)


def test_levels_modes_and_groups():
    asked = [
        example(["punctuation:no_comma", "keywords:existence"], [{}, {"keywords": ["sea"]}], "a"),
        example(["startend:quotation"], [{}], "b"),
    ]
    said = [Answer(example_id="a", text="the sea, here"), Answer(example_id="b", text='"yes"')]

    def graded(**settings):
        scorer = open_scorer("ifeval").build(settings)
        return [scorer(e, a) for e, a in zip(asked, said, strict=True)]

    def score(**settings):
        return combine_grades(graded(**settings), open_scorer("ifeval"))

    assert score() == 0.5
    assert score(level="instruction") == pytest.approx(2 / 3)
    assert score(level="instruction", group="format") == 0.5
    assert score(level="instruction", group="content") == 1.0
    assert graded(level="instruction", group="content")[1].score is None  # it has no such instruction
    assert score(group="combined") == 0.0
    assert graded()[0].note == "punctuation:no_comma"


def test_what_cannot_be_verified_is_not_marked():
    scorer = open_scorer("ifeval").build({})
    assert scorer(example(["keywords:existence"], [{}]), Answer(example_id="e", text="x")).score is None
    assert scorer(example(["no:such_kind"], [{}]), Answer(example_id="e", text="x")).score is None


@pytest.mark.slow
@pytest.mark.data
def test_real_prompts_and_a_suite_that_asks_them_once(data_root):
    task = open_task("ifeval", data_root)
    assert len(task.exam) == 541
    scorer = open_scorer("ifeval").build({})
    grades = [scorer(e, Answer(example_id=e.id, text="Hello there.")) for e in task.exam]
    assert all(g.score is not None for g in grades)
    assert 0 < sum(g.score for g in grades) < 100
    exams = [open_exam(card, 3, data_root) for card in named("ifeval")]
    assert len(exams) == 7
    assert len({e.digest for e in exams}) == 1  # one set of answers, marked seven ways
