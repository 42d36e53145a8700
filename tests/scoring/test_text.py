"""What `exact` and its kin take for one answer and for two, and words of every script."""

import random
import string
import time
import unicodedata

import pytest
from rouge_score.rouge_scorer import RougeScorer

from clbench.core.types import Answer, Example, Message
from clbench.engine.grade import combine_grades, open_scorer
from clbench.scoring._text import fold, normal, words


def grade(scorer, said, *targets, choices=(), **settings):
    example = Example(id="e", prompt=(Message(role="user", content="?"),), targets=targets, choices=choices)
    return open_scorer(scorer).build(settings)(example, Answer(example_id="e", text=said))


ONE = [
    # case, blanks, invisible characters
    *[("paris", "PARIS"), (" Paris ", "Paris"), ("New  York", "New\nYork"), ("a\u00a0b", "a b"), ("a\u3000b", "a b")],
    *[("a\u200bb", "ab"), ("\ufeffa", "a"), ("co\u00adop", "coop"), ("a\u2060", "a"), ("\u200ea", "a")],
    *[("葛\U000e0100", "葛"), ("a\u3164", "a"), ("a\ufe00", "a"), ("ab\u200d", "ab"), ("a\u206a", "a")],
    # form
    *[("e\u0301", "é"), ("Ａ１", "A1"), ("１２％", "12%"), ("（５）", "(5)"), ("ﬁn", "fin"), ("Ⅳ", "IV"), ("℃", "°C")],
    *[("㎡", "m²"), ("㎏", "kg"), ("ｶﾞ", "ガ"), ("가", "\u1100\u1161"), ("½", "1/2"), ("1½", "1 1/2"), ("H₂O", "H2O")],
    *[("Σας", "ΣΑΣ"), ("ß", "ẞ"), ("，", ","), ("Q＆A", "Q&A"), ("ﷲ", "الله"), ("…", "..."), ("𝐱", "x")],
    # dashes and quotes
    *[
        ("−5", "-5"),
        ("–5", "-5"),
        ("－5", "-5"),
        ("3–5", "3-5"),
        ("it’s", "it's"),
        ("x′", "x'"),
        ("well‑known", "well-known"),
    ],
    *[("6′2″", "6'2\""), ("1⁄2", "1/2"), ("नई दिल्ली॥", "नई दिल्ली"), ("yes‼", "yes"), ("yes⋯⋯", "yes"), ("այո։", "այո")],
    # marks that end a sentence
    *[
        ("5.", "5"),
        ("5 .", "5"),
        ("C.", "C"),
        ("C++.", "C++"),
        ("C#.", "C#"),
        ("A-.", "A-"),
        ("50%.", "50%"),
        ("no.", "no"),
    ],
    *[
        ("yes!", "yes"),
        ("yes!!", "yes"),
        ("Who?", "Who"),
        ("Paris,", "Paris"),
        ("Paris;", "Paris"),
        ("Paris:", "Paris"),
    ],
    *[
        ("是。", "是"),
        ("是！", "是"),
        ("是？", "是"),
        ("红色，", "红色"),
        ("红色；", "红色"),
        ("5。", "5"),
        ("5！", "5"),
        ("-5。", "-5"),
    ],
    *[("well…", "well"), ("well...", "well"), ("等等……", "等等"), ("U.S.", "U.S"), ("نعم؟", "نعم"), ("हाँ।", "हाँ")],
    *[
        ("yes —", "yes"),
        ("in 1990!", "in 1990"),
        ("GPT-4!", "GPT-4"),
        ("答案是5!", "答案是5"),
        ("f(x).", "f(x)"),
        ("x'.", "x'"),
    ],
    # marks that begin one
    *[(": yes", "yes"), ("…well", "well"), ("...well", "well"), ("¿Qué?", "qué"), ("¡Hola!", "hola"), ("，是", "是")],
    # pairs around all of it
    *[("'yes'", "yes"), ('"yes"', "yes"), ("‘yes’", "yes"), ("“yes”", "yes"), ("„ja“", "ja"), ("„tak”", "tak")],
    *[("«oui»", "oui"), ("« oui »", "oui"), ("»ja«", "ja"), ("‹oui›", "oui"), ("「是」", "是"), ("『是』", "是")],
    *[("《红楼梦》", "红楼梦"), ("〈是〉", "是"), ("【是】", "是"), ("〔是〕", "是"), ("（是）", "是"), ("［5］", "5")],
    *[("(5)", "5"), ("[5]", "5"), ("{5}", "5"), ("(-5)", "-5"), ("(a)", "a"), ("((5))", "5"), ("(f(x))", "f(x)")],
    *[("“yes.”", "yes"), ("“yes”.", "yes"), ("“是”。", "是"), ("'don't'", "don't"), ("`x`", "x"), ("**5**", "5")],
    *[
        ("**Paris**.", "Paris"),
        ("*x*", "x"),
        ("$5$", "5"),
        ("$x^2$", "x^2"),
        ("“C++”", "C++"),
        ("【北京，上海】", "北京，上海"),
    ],
]
TWO = [
    # signs beside a digit
    *[
        ("-5", "5"),
        ("—5", "5"),
        ("+5", "5"),
        ("+5", "-5"),
        ("−5", "5"),
        ("–5", "5"),
        (".5", "5"),
        ("．５", "5"),
        (",5", "5"),
        ("0.5", ".5"),
    ],
    *[
        ("<5", ">5"),
        ("<5", "5"),
        ("≤5", "5"),
        ("=5", "5"),
        ("~5", "5"),
        ("≈5", "5"),
        ("±5", "5"),
        ("5%", "5"),
        ("50%", "50"),
    ],
    *[
        ("5‰", "5%"),
        ("5°", "5"),
        ("5℃", "5"),
        ("5°C", "5°F"),
        ("$5", "5"),
        ("5$", "5"),
        ("€5", "5"),
        ("5€", "5"),
        ("£5", "$5"),
    ],
    *[
        ("¥5", "5"),
        ("#1", "1"),
        ("№1", "1"),
        ("5!", "5"),
        ("5+", "5"),
        ("5-", "5"),
        ("5*", "5"),
        ("5'", "5"),
        ('5"', "5'"),
    ],
    *[
        ("/5", "5"),
        ("5/", "5"),
        ("^5", "5"),
        ("_5", "5"),
        ("&5", "5"),
        ("@5", "5"),
        ("|5", "5"),
        ("\\5", "5"),
        ("- 5", "5"),
    ],
    # signs beside a letter
    *[
        ("C", "C++"),
        ("C++", "C#"),
        ("C", "C#"),
        ("A+", "A"),
        ("A-", "A"),
        ("A+", "A-"),
        ("-A", "A"),
        ("A*", "A"),
        ("*p", "&p"),
    ],
    *[
        ("*p", "p"),
        ("@x", "x"),
        ("x'", "x"),
        ("x''", "x'"),
        ("f'", "f"),
        ("'s", "s"),
        ("!x", "x"),
        ("~a", "a"),
        ("¬a", "a"),
    ],
    *[
        ("n!", "n"),
        ("(n+1)!", "(n+1)"),
        ("H+", "H"),
        ("Na+", "Na-"),
        ("B-", "B"),
        ("x_", "x"),
        ("__init__", "init"),
        ("$x", "x"),
    ],
    *[(".NET", "NET"), ("#tag", "tag"), ("?x", "x"), (":x", "x"), ("&c", "c"), ("x=", "x"), ("<b>", "b"), ("™", "tm ")],
    # superscripts, subscripts, circles
    *[
        ("10⁵", "105"),
        ("m²", "m2"),
        ("m²", "m³"),
        ("x²", "x2"),
        ("㎡", "m2"),
        ("10₂", "102"),
        ("log₂8", "log28"),
        ("①", "1"),
    ],
    *[("½", "12"), ("1½", "11/2"), ("½", "¼"), ("xⁿ", "xn"), ("2ⁿ", "2n"), ("º", "o")],
    # inside
    *[("1/2", "12"), ("3:00", "300"), ("1,000", "1000"), ("3.0", "3"), ("1.000", "1000"), ("x^2", "x2"), ("a_b", "ab")],
    *[
        ("a-b", "ab"),
        ("Q&A", "QA"),
        ("O(n)", "O n"),
        ("f(x)", "fx"),
        ("f(x)", "f x"),
        ("and/or", "andor"),
        ("3-5", "35"),
    ],
    *[
        ("a b", "ab"),
        ("e.g", "eg"),
        ("don't", "dont"),
        ("我 是", "我是不"),
        ("a→b", "a←b"),
        ("x≠y", "x=y"),
        ("0.33...", "0.33"),
    ],
    # what is not a pair around all of it
    *[
        ("(a) or (b)", "a) or (b"),
        ("“a” and “b”", "a” and “b"),
        ("「a」和「b」", "a」和「b"),
        ("'a' or 'b'", "a' or 'b"),
    ],
    *[
        ("(5", "5"),
        ("5)", "5"),
        ("A)", "A"),
        ("(5]", "5"),
        ('"5', "5"),
        ("(0, 1)", "[0, 1]"),
        ("{1, 2}", "(1, 2)"),
        ("[1;2]", "1;2"),
    ],
    # nothing else is there
    *[
        ("{}", "[]"),
        ("()", "{}"),
        ("?", "!"),
        ("。", "，"),
        ("…", "."),
        ("?!", "!?"),
        ("-", "+"),
        ("*", "**"),
        ("", "-"),
    ],
    *[("😀", "😢"), ("", "."), ("“”", "「」"), ("Straße", "Strase"), ("Maße", "Masse"), ("İ", "i")],
]


@pytest.mark.parametrize(("one", "other"), ONE)
def test_one_answer_written_in_two_ways(one, other):
    assert grade("exact", one, other).score == grade("exact", other, one).score == 1


@pytest.mark.parametrize(("one", "other"), TWO)
def test_two_answers(one, other):
    assert grade("exact", one, other).score == grade("exact", other, one).score == 0


def test_folding_is_done_once():
    for text in {text for pair in ONE + TWO for text in pair}:
        once = fold(text, case_sensitive=False, strip_punctuation=True)
        assert fold(once, case_sensitive=False, strip_punctuation=True) == once
        assert normal(normal(text)) == normal(text)


def test_every_ascii_sign_beside_an_answer_counts_but_those_of_sentences_and_pairs():
    for sign in string.punctuation:
        before, after = grade("exact", f"{sign}5", "5").score, grade("exact", f"5{sign}", "5").score
        assert before == 0, sign
        assert after == (sign in ".,;:?"), sign
        assert grade("exact", f"{sign}word{sign}", "word").score == (sign in "\"'`*$"), sign


def test_settings_of_exact():
    assert grade("exact", "mW", "MW").score == 1
    assert grade("exact", "mW", "MW", case_sensitive=True).score == 0
    assert grade("exact", "yes.", "yes", strip_punctuation=False).score == 0
    assert grade("exact", "Ｙes", "yes", strip_punctuation=False).score == 1


@pytest.mark.parametrize("scorer", ["label", "macro_f1", "exact"])
@pytest.mark.parametrize(
    ("choices", "said", "target", "score"),
    [
        (("mW", "MW"), "MW", "mW", 0),
        (("mW", "MW"), "mW", "mW", 1),
        (("mW", "MW"), " mW\n", "mW", 1),
        (("mW", "MW"), "mw", "mW", 0),  # it may be either
        (("mW", "MW"), "ｍＷ", "mW", 1),  # width folds, and its case tells which
        (("mW", "MW"), "ＭＷ", "mW", 0),
        (("m2", "m²", "m³"), "m2", "m²", 0),
        (("m2", "m²", "m³"), "m²", "m²", 1),
        (("m2", "m²", "m³"), "ｍ²", "m²", 1),
        (("Polish", "polish"), "Polish", "polish", 0),
        (("yes", "no"), "Yes", "yes", 1),  # generated: it can only be the one
        (("Yes", "No"), "ＹＥＳ", "Yes", 1),
        (("Yes", "No"), "no", "Yes", 0),
        (("是", "否"), "是", "是", 1),
        (("caf\u00e9", "tea"), "cafe\u0301", "caf\u00e9", 1),
        (("C", "C++", "C#"), "C#", "C++", 0),
        (("-1", "0", "1"), "1", "-1", 0),
        (("①", "1"), "1", "①", 0),
    ],
)
def test_a_closed_set_is_compared_by_identity(scorer, choices, said, target, score):
    assert grade(scorer, said, target, choices=choices).score == score


def test_an_answer_outside_the_choices():
    assert grade("label", "mw", "mW", choices=("mW", "MW")).note == "no such label"
    assert grade("label", "yes.", "yes", choices=("yes", "no")).score == 0
    assert grade("exact", "yes.", "yes", choices=("yes", "no")).score == 1
    assert [grade("exact", "**mW**.", target, choices=("mW", "MW")).score for target in ("mW", "MW")] == [1, 0]
    assert grade("exact", "Peking", "Beijing", "Peking", choices=("Beijing", "Rome")).score == 1  # accepted besides


def test_macro_f1_counts_labels_by_identity():
    # mW right twice and said once: 2/3; MW right once, said twice: 2/3. Folded they would be one class, always right.
    pairs = [("mW", "mW"), ("MW", "mW"), ("MW", "MW")]
    grades = [grade("macro_f1", said, target, choices=("mW", "MW")) for said, target in pairs]
    assert combine_grades(grades, open_scorer("macro_f1")) == pytest.approx(2 / 3)


def published_rouge(said, target):
    return RougeScorer(["rougeL"], use_stemmer=False).score(target, said)["rougeL"].fmeasure


def test_rouge_is_that_of_rouge_score_on_ascii():
    draw = random.Random(0)
    for _ in range(300):
        said, target = (
            "".join(draw.choices("ab AB 12 .,-_'%() x", k=draw.randint(1, 30))).strip() or "a" for _ in range(2)
        )
        if words(target):
            assert grade("rouge", said, target).score == pytest.approx(min(published_rouge(said, target), 1.0))


def test_words_of_scripts():
    assert words("Good 天气！3.5") == ["good", "天", "气", "3", "5"]
    assert words("「今天」，《天气》。") == list("今天天气")
    assert words("प्रधानमन्त्री का") == ["प्रधानमन्त्री", "का"]
    assert words("東京タワー") == list("東京タワー")
    assert words("한국어 단어") == ["한국어", "단어"]
    assert words("สวัสดี") == ["ส", "วั", "ส", "ดี"]
    assert words("Cafe\u0301 a_b ＡＢＣ") == ["café", "a", "b", "abc"]
    assert words("…—😀!?") == []


@pytest.mark.parametrize(
    "text",
    [
        "…",
        "?!",
        "😀",
        "。",
        "「」",
        "cafe\u0301",
        "สวัสดี",
        "पूर्व",
        "ﷲ",
        "ＡＢＣ",
        "天气。",
        "m²",
        "İstanbul",
        "a\u200bb",
        "½",
        "-5",
    ],
)
@pytest.mark.parametrize("scorer", ["rouge", "bleu", "chrf", "squad", "edit_similarity", "exact", "label", "numeric"])
def test_equal_texts_score_1(scorer, text):
    assert grade(scorer, text, text).score == 1
    assert grade(scorer, unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)).score == 1


def test_rouge_of_texts_without_words():
    assert grade("rouge", "!", "?").score == 0
    assert grade("rouge", "", "…").score == 0
    assert grade("rouge", "天气", "…").score == 0
    assert grade("rouge", "天气", "天气。").score == 1  # a mark is no word


@pytest.mark.parametrize(
    ("scorer", "said", "target"),
    [
        ("entity_f1", "NUM: -5", "NUM: 5"),
        ("entity_f1", "LANG: C++", "LANG: C#"),
        ("entity_f1", "AREA: 5 m²", "AREA: 5 m2"),
        ("triple_f1", "a | temperature | -5", "a | temperature | 5"),
        ("triple_f1", "a | area | 10⁵", "a | area | 105"),
    ],
)
def test_signs_count_in_lists(scorer, said, target):
    assert grade(scorer, said, target).score == 0
    assert grade(scorer, said, said).score == 1


def test_what_surrounds_the_things_of_a_list_does_not_count():
    assert grade("entity_f1", "(PER: Ann)；“LOC: Rome”。", "PER: Ann; LOC: Rome").score == 1
    assert (
        grade(
            "triple_f1",
            "(Ann, Lee | knows | Bob).\n1、(小明｜住在｜北京)",
            "Ann, Lee | knows | Bob; 小明 | 住在 | 北京",
        ).score
        == 1
    )


@pytest.mark.parametrize("scorer", ["exact", "numeric", "entity_f1", "rouge", "label"])
def test_a_runaway_answer_takes_no_time(scorer):
    start = time.process_time()
    for text in ("." * 20_000, "!" * 20_000, "(" * 20_000, "'" * 20_000, "(" * 9_000 + ")" * 9_000, "1 000 " * 4_000):
        grade(scorer, text, "PER: 5")
    assert time.process_time() - start < 5
