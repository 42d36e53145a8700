import json
import lzma
import math
import random
from fractions import Fraction
from itertools import pairwise

import pytest
import sacrebleu
from nltk.tokenize import NLTKWordTokenizer

from clbench.core.errors import SpecError
from clbench.core.matrix import Matrix
from clbench.core.results import ExamResult
from clbench.core.types import Answer, Decode, Exam, Example, Grade, Message, ScorerSpec
from clbench.engine.grade import combine_grades, open_scorer
from clbench.engine.grade import grade as grade_exam
from clbench.scoring.edit_similarity import similarity
from clbench.scoring.rouge import Tokenizer
from clbench.scoring.sari import sari, source_of
from clbench.store.store import Store


def ask_for(text):
    return (Message(role="user", content=text),)


ASKED = ask_for("?")


def grade(scorer, said, *targets, choices=(), asked="?", **settings):
    example = Example(id="e", prompt=ask_for(asked), targets=targets, choices=choices)
    return open_scorer(scorer).build(settings)(example, Answer(example_id="e", text=said))


@pytest.mark.parametrize(
    ("said", "target", "score"),
    [
        ("Paris", "paris", 1),
        (" paris. ", "Paris", 1),
        ("Paris, France", "Paris", 0),
        ("红色。", "红色", 1),
        ("３", "3", 1),
    ],
)
def test_exact(said, target, score):
    assert grade("exact", said, target).score == score


def test_exact_settings():
    assert grade("exact", "Paris", "paris", case_sensitive=True).score == 0
    assert grade("exact", "!", "?").score == 0
    with pytest.raises(SpecError, match="case_senstive"):
        grade("exact", "x", "y", case_senstive=True)
    with pytest.raises(SpecError, match="give a bool"):
        grade("exact", "x", "y", case_sensitive="yes")


def test_label_notes_what_is_no_label():
    assert grade("label", "cat", "dog", choices=("dog", "cat")).note == ""
    assert grade("label", "cow", "dog", choices=("dog", "cat")).note == "no such label"


def lcs_f1(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    return 2 * common / (len(a) + len(b)) if common else 0.0


@pytest.mark.parametrize(
    ("said", "target"),
    [
        ("the cat sat on the mat", "a cat was on the mat"),
        ("今天天气很好", "今天的天气不好"),
        ("iPhone很好用", "iPhone 不好用"),
        ("nothing alike", "天气"),
        ("x", "x y z"),
    ],
)
def test_rouge_against_an_independent_subsequence(said, target):
    split = Tokenizer().tokenize
    assert grade("rouge", said, target).score == pytest.approx(lcs_f1(split(said), split(target)))


def test_rouge_takes_the_best_target():
    assert grade("rouge", "good food", "bad place", "good food").score == 1.0


def test_settings_must_be_known_and_of_their_kind():
    with pytest.raises(SpecError, match="zhh") as error:
        grade("bleu", "x", "y", tokenize="zhh")
    assert "'zh'" in str(error.value)
    with pytest.raises(SpecError, match="give a float"):
        grade("numeric", "1", "1", tolerance="small")
    with pytest.raises(SpecError, match="0 or more"):
        grade("numeric", "1", "1", tolerance=math.nan)
    assert grade("numeric", "2", "1", tolerance=1).score == 1  # a whole number where a float is due


def exam_of(scorer, answers, **settings):
    """Mark (said, target or targets) pairs; give the grades and the score of the exam."""
    pairs = [(said, (right,) if isinstance(right, str) else right) for said, right in answers]
    grades = [grade(scorer, said, *right, **settings) for said, right in pairs]
    return grades, combine_grades(grades, open_scorer(scorer))


def test_an_exam_without_a_rule_of_its_own_is_the_mean_of_what_could_be_marked():
    plugin = open_scorer("exact")
    grades = [Grade(example_id=str(i), score=s) for i, s in enumerate([1.0, None, 0.0, 0.5])]
    assert combine_grades(grades, plugin) == 0.5
    assert combine_grades(grades[1:2], plugin) is None
    assert combine_grades([], plugin) is None


def test_answers_that_failed_count_as_empty_ones_in_a_corpus_score(tmp_path):
    texts = [("PER: Ann", "stop"), ("timeout", "error"), ("LOC: Rome; LOC: Pisa", "stop")]
    answers = tuple(Answer(example_id=str(i), text=t, finish=f) for i, (t, f) in enumerate(texts))
    targets = ("PER: Ann", "PER: Bob; PER: Cid", "LOC: Rome")
    examples = tuple(Example(id=str(i), prompt=ASKED, targets=(t,)) for i, t in enumerate(targets))
    exam = Exam(
        name="ner",
        examples=examples,
        decode=Decode(),
        scorer=ScorerSpec(name="entity_f1"),
        needs=frozenset({"text"}),
        digest="d",
    )
    asked = ExamResult.asked(exam, 0, answers, "k" * 32)
    marks = grade_exam(asked, Store(tmp_path))
    assert [g.score for g in marks.grades] == [1.0, 0.0, pytest.approx(2 / 3)]
    assert marks.score == pytest.approx(4 / 7)  # 2 * 2 right / (3 said + 4 gold), the failed answer said nothing
    assert grade_exam(ExamResult.asked(exam, 0, answers, "k" * 32), Store(tmp_path)) == marks  # read back, the same
    matrix = Matrix.blank(1, [exam]).with_cell(0, marks)
    assert (matrix.values[0, 0], matrix.n[0, 0], matrix.ungraded[0, 0]) == (marks.score, 2, 1)


@pytest.mark.parametrize(
    ("answers", "score"),
    [
        # a: tp 1, gold 2, said 1 -> 2/3; b: tp 1, gold 1, said 2 -> 2/3
        ([("a", "a"), ("b", "a"), ("b", "b")], 2 / 3),
        # c is said and never right: no class; a: tp 1, gold 2, said 1 -> 2/3; b: 1
        ([("a", "a"), ("c", "a"), ("b", "b")], (2 / 3 + 1) / 2),
        # always the commonest: a: 2*3/(3+4) = 6/7, b: 0
        ([("a", "a"), ("a", "a"), ("a", "a"), ("a", "b")], 3 / 7),
        ([("nothing like it", "a"), ("", "b")], 0),
        ([(" A.", "a")], 0),
        ([(" Ａ ", "a")], 1),
        # of several accepted labels the one that was said is the right one: only b occurs
        ([("b", ("a", "b"))], 1),
    ],
)
def test_macro_f1(answers, score):
    grades, of_exam = exam_of("macro_f1", answers)
    assert of_exam == pytest.approx(score)
    assert [g.score for g in grades] == [
        grade("label", s, *((t,) if isinstance(t, str) else t)).score for s, t in answers
    ]


@pytest.mark.parametrize(
    ("said", "target", "score", "parts"),
    [
        ("PER: Ann Lee; LOC: Rome", "LOC: Rome; PER: Ann Lee", 1, (2, 2, 2)),
        ("- per: ann  lee\n2. LOC： “Rome”.", "PER: Ann Lee; LOC: Rome", 1, (2, 2, 2)),
        ("ORG: Rome", "LOC: Rome", 0, (0, 1, 1)),
        ("LOC: Rome", "LOC: Rome; LOC: Rome; PER: Ann", 0.5, (1, 1, 3)),
        ("LOC: Rome; LOC: Rome; LOC: Rome", "LOC: Rome", 0.5, (1, 3, 1)),
        ("I see LOC: Rome", "LOC: Rome", 0, (0, 1, 1)),
        ("Rome and Ann", "LOC: Rome", 0, (0, 0, 1)),
        ("地名：北京；人名：小明", "人名: 小明; 地名: 北京", 1, (2, 2, 2)),
        ("misc: Phase 1 : Start", "MISC: Phase 1 : Start", 1, (1, 1, 1)),
        ("None.", "none", 1, (0, 0, 0)),
        ("[PER: Ann Lee; LOC: Rome]", "PER: Ann Lee; LOC: Rome", 1, (2, 2, 2)),
        ("(PER: Ann Lee); (LOC: Rome)", "PER: Ann Lee; LOC: Rome", 1, (2, 2, 2)),
        ("– PER: Ann Lee\n+ LOC: Rome\n▪ PER: Bob", "PER: Ann Lee; LOC: Rome; PER: Bob", 1, (3, 3, 3)),
        ("NUM: -5", "NUM: 5", 0, (0, 1, 1)),
        ("没有实体。", "none", 1, (0, 0, 0)),
        ("No entities found.", "none", 1, (0, 0, 0)),
        ("", "none", 0, (0, 0, 0)),
        ("there is nothing", "none", 0, (0, 0, 0)),
        ("None", "LOC: Rome", 0, (0, 0, 1)),
        ("LOC: Rome", "none", 0, (0, 1, 0)),
        ("**PER:** Ann Lee\n**LOC:** Rome", "PER: Ann Lee; LOC: Rome", 1, (2, 2, 2)),
        ("(1) PER: Ann\n（2）LOC: Rome\n③ LOC: Oslo", "PER: Ann; LOC: Rome; LOC: Oslo", 1, (3, 3, 3)),
        ("PER: Ann؛ LOC: Rome", "PER: Ann; LOC: Rome", 1, (2, 2, 2)),
        ("PER: 2**3; NUM: **", "PER: 23; NUM: **", 0.5, (1, 2, 2)),
        ("なし", "none", 1, (0, 0, 0)),
    ],
)
def test_entity_f1(said, target, score, parts):
    found = grade("entity_f1", said, target)
    assert (found.score, found.parts) == (score, parts)


def test_lists_are_micro_averaged():
    answers = [
        ("LOC: Rome", "LOC: Rome"),
        ("LOC: a; LOC: b; LOC: c", "LOC: a"),
        ("none", "none"),
        ("", "PER: x; PER: y"),
    ]
    grades, score = exam_of("entity_f1", answers)
    assert [g.score for g in grades] == [1, 0.5, 1, 0]
    assert score == pytest.approx(2 * 2 / (4 + 4))  # right 2, said 1 + 3, gold 1 + 1 + 2
    assert exam_of("entity_f1", [("none", "none"), ("", "none")])[1] == 0.5  # nothing to count: the mean
    assert grade("entity_f1", "LOC: Rome", "Rome").score is None  # a target in another form is not marked as 0
    assert grade("entity_f1", "B: x", "A: x", "B: x").score == 1  # best target


@pytest.mark.parametrize(
    ("said", "target", "score"),
    [
        ("(Ann Lee | knows | Bob)\n(Bob | age | 3)", "Bob | age | 3; Ann_Lee | knows | Bob", 1),
        ("Bob | knows | Ann", "Ann | knows | Bob", 0),
        ("Ann | knows | Bob; Ann | knows; a | b | c | d", "Ann | knows | Bob", 1),
        ("Ann | knows | Bob; Ann | knows | Cid", "Ann | knows | Bob", 2 / 3),
        ("Airport | runwayName | 18L/36R", 'Airport | runwayName | "18L/36R"', 1),
        ("北京｜首都｜中国；", "北京 | 首都 | 中国", 1),
        ("a | | c", "a | b | c", 0),
        ("| Ann | knows | Bob |\n|---|---|---|\n| Bob | age | 3 |", "Ann | knows | Bob; Bob | age | 3", 1),
        ("| Ann | knows | Bob |", "Ann | knows | Bob", 1),
        ("[Ann | knows | Bob; Bob | age | 3]", "Ann | knows | Bob; Bob | age | 3", 1),
        ("none", "none", 1),
    ],
)
def test_triple_f1(said, target, score):
    assert grade("triple_f1", said, target).score == pytest.approx(score)


WORDS = "the a cat sat on mat , dog's 3.5 red . 天 气 很好 今天 的 iPhone".split()


def sentences(seed, num=60, least=4, most=14):
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(least, most))) for _ in range(num)]


@pytest.mark.parametrize("tokenize", ["13a", "zh", "char", "intl", "none"])
def test_bleu_is_that_of_sacrebleu(tokenize):
    said, one, two = sentences(0), sentences(1), sentences(2)
    grades, score = exam_of("bleu", list(zip(said, zip(one, two, strict=True), strict=True)), tokenize=tokenize)
    whole = sacrebleu.BLEU(tokenize=tokenize).corpus_score(said, [one, two]).score / 100
    assert score == pytest.approx(whole, abs=1e-10)
    single = sacrebleu.BLEU(tokenize=tokenize, effective_order=True)
    for found, text, *references in zip(grades, said, one, two, strict=True):
        assert found.score == pytest.approx(single.sentence_score(text, references).score / 100, abs=1e-10)
    assert abs(score - sum(g.score for g in grades) / len(grades)) > 0.01  # a corpus score is not the mean


def test_bleu_by_hand():
    # 13a: unigrams 4/5, bigrams 3/4, trigrams 2/3, 4-grams 1/2; five tokens against five, no penalty
    found = grade("bleu", "a b c d x", "a b c d e")
    assert found.parts == (4, 3, 2, 1, 5, 4, 3, 2, 5, 5)
    assert found.score == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert grade("bleu", "a b c", "a b c d e").score == pytest.approx(math.exp(1 - 5 / 3))
    assert grade("bleu", "今天天气", "今天天气好").score == 0  # 13a sees one word
    assert grade("bleu", "今天天气", "今天天气好", tokenize="zh").score == pytest.approx(math.exp(1 - 5 / 4))
    assert exam_of("bleu", [("yes", "yes"), ("no way", "no way")])[1] == 1  # short answers, no order of four


def test_chrf_is_that_of_sacrebleu():
    said, one, two = sentences(3, least=0), sentences(4, least=1), sentences(5, least=1)
    grades, score = exam_of("chrf", list(zip(said, zip(one, two, strict=True), strict=True)))
    assert score == pytest.approx(sacrebleu.CHRF().corpus_score(said, [one, two]).score / 100, abs=1e-10)
    for found, text, *references in zip(grades, said, one, two, strict=True):
        assert found.score == pytest.approx(sacrebleu.CHRF().sentence_score(text, references).score / 100, abs=1e-10)
    assert "" in said


def test_chrf_by_hand():
    # n=1: 2 of 2 said, 2 of 3 gold; n=2: 1 of 1, 1 of 2; the answer has no trigram. P = 1, R = 7/12
    assert grade("chrf", "a b", "abc").score == pytest.approx(5 * (7 / 12) / (4 + 7 / 12))


def paper_sari(source, said, references):
    """SARI from the equations of Xu et al. 2016 in exact fractions, n-gram by n-gram; 0/0 = 1."""

    def count(tokens, gram):
        return sum(tuple(tokens[i : i + len(gram)]) == gram for i in range(len(tokens) - len(gram) + 1))

    def ratio(part, whole):
        return Fraction(part) / Fraction(whole) if whole else Fraction(1)

    def f1(p, r):
        return 2 * p * r / (p + r) if p + r else Fraction(0)

    total = Fraction(0)
    for n in (1, 2, 3, 4):
        grams = {tuple(t[i : i + n]) for t in (source, said, *references) for i in range(len(t) - n + 1)}
        keep, kept, keepable, cut, cuts, new, news, newable = [0] * 8
        for g in grams:
            i, o = count(source, g), count(said, g)
            r = Fraction(sum(count(ref, g) for ref in references), len(references))
            keep, kept, keepable = keep + min(i, o, r), kept + min(i, o), keepable + min(i, r)
            cut, cuts = cut + min(max(i - o, 0), max(i - r, 0)), cuts + max(i - o, 0)
            new, news, newable = new + (o > 0 == i < r), news + (o > 0 == i), newable + (r > 0 == i)
        total += f1(ratio(keep, kept), ratio(keep, keepable)) + ratio(cut, cuts)
        total += f1(ratio(new, news), ratio(new, newable))
    return float(total / 12)


def test_sari_against_the_equations_of_the_paper():
    draw = random.Random(0)
    for _ in range(60):
        source, said, *references = (
            [draw.choice("abcd") for _ in range(draw.randint(1, 8))] for _ in range(draw.choice([3, 4, 5]))
        )
        assert sari(source, said, references) == pytest.approx(paper_sari(source, said, references))


def test_sari_by_hand():
    # unigrams: nothing to keep 1, x deleted rightly 1, y added wrongly 0; no longer n-grams: 1
    assert sari(["x"], ["y"], [["z"]]) == pytest.approx((2 / 3 + 3) / 4)
    # the example in the documentation of Hugging Face evaluate: 26.953601953601954
    said = "About 95 you now get in."
    known = (
        "About 95 species are currently known.",
        "About 95 species are now accepted.",
        "95 species are now accepted.",
    )
    assert grade("sari", said, *known, asked="About 95 species are currently accepted.").score == pytest.approx(
        0.26953601953601954
    )


def test_sari_finds_its_source():
    asked = "Simplify.\nText: a text: the old cat\n\nSimplification:"
    how = {"strip_before": "Text: ", "strip_after": "\n\nSimplification:"}
    assert source_of(Example(id="e", prompt=ask_for(asked)), *how.values()) == "a text: the old cat"
    assert grade("sari", "a cat", "a cat", asked=asked, **how).score == 1
    copied = grade("sari", "a text: the old cat", "a cat", asked=asked, **how).score
    source = "a text : the old cat".split()
    assert copied == pytest.approx(paper_sari(source, source, [["a", "cat"]]))
    assert grade("sari", "a cat", "a cat", asked="no marker", **how).score is None
    chat = (*ask_for("the source"), Message(role="assistant", content="an answer"))
    assert source_of(Example(id="e", prompt=chat), "", "") == "the source"
    assert source_of(Example(id="e", prompt=chat[1:]), "", "") is None
    assert grade("sari", " ", "a cat", asked="the old cat").score == 0


def indel_ratio(a, b):
    """1 - d / (|a| + |b|), d the insertions and deletions, from the usual table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], last if x == y else 1 + min(row[j], row[j - 1])
    return 1 - row[-1] / (len(a) + len(b)) if a or b else 0.0


def test_edit_similarity_against_the_usual_table():
    draw = random.Random(0)
    for _ in range(300):
        a, b = ("".join(draw.choices("abc =(天", k=draw.randint(0, 30))) for _ in range(2))
        assert similarity(a, b) == pytest.approx(indel_ratio(a, b))


@pytest.mark.parametrize(
    ("said", "target", "score", "exact"),
    [
        ("x = 0", "x = <NUM_LIT>", 1, 1),
        ("x = ''\n", "x = '<STR_LIT>'", 1, 1),
        ("f ( 'utf8' )", "f ( '<STR_LIT:utf8>' )", 1, 1),
        ("f ( a )", "f  ( a )", 14 / 15, 1),  # blanks inside count for the similarity, not for exact match
        ("kitten", "sitting", 8 / 13, 0),
        ("", "<STR_LIT>", 0, 0),
        ("<STR_LIT>", "<STR_LIT>", 1, 1),
        ("return x", "pass", 0, 0),
    ],
)
def test_edit_similarity(said, target, score, exact):
    found = grade("edit_similarity", said, target)
    assert (found.score, found.parts) == (pytest.approx(score), (exact,))


@pytest.mark.parametrize(
    ("said", "target", "right"),
    [
        ("6 times 7 is 42.", "42", 1),
        ("42 is 6 times 7", "42", 0),
        ("the answer is 3/4.", "0.75", 1),
        ("1 1/2 cups", "1.5", 1),
        ("3½", "3.5", 1),
        ("$1,234.50", "1234.5", 1),
        ("so −5", "-5", 1),
        ("12-5", "5", 1),
        ("25%", "0.25", 1),
        ("25 %", "25", 1),
        ("0.25", "25", 0),
        ("答案是３５", "35", 1),
        ("一共三十五个", "35", 1),
        ("35，一定", "35", 1),
        ("两千零四", "2004", 1),
        ("一亿二千万", "120000000", 1),
        ("二〇二四年", "2024", 1),
        ("3.5万", "35000", 1),
        ("负十二", "-12", 1),
        ("H2O", "2", 0),
        ("1e3", "1000", 1),
        ("1/0", "1", 0),
        ("9" * 50, "8" * 50, 0),
        ("no idea", "42", 0),
        ("friday.", "Friday", 1),
        ("Friday 13", "Friday", 0),
        ("", "Friday", 0),
        ("1.0000001", "1", 0),
        ("#### 18", "9 + 9 = 18\n#### 18", 1),
    ],
)
def test_numeric(said, target, right):
    assert grade("numeric", said, target).score == right


def test_numeric_settings():
    assert grade("numeric", "42 since 6 * 7", "42", which="first").score == 1
    assert grade("numeric", "0.3", "1/3", tolerance=0.05).score == 1
    assert grade("numeric", "0.1", "1/3", tolerance=0.05).score == 0
    assert grade("numeric", "8", "Friday", "8").score == 1


@pytest.mark.parametrize(
    ("said", "target", "score", "exact"),
    [
        ("The Normans", "Normans", 1, 1),
        ("in the 10th and 11th centuries", "10th and 11th centuries", 8 / 9, 0),
        ("a cat, a cat", "cat", 2 / 3, 0),
        ("Denmark", "France", 0, 0),
        ("A", "a", 1, 1),
        ("the", "a", 0, 0),
        ("well-known", "wellknown", 1, 1),
    ],
)
def test_squad(said, target, score, exact):
    found = grade("squad", said, target)
    assert (found.score, found.parts) == (pytest.approx(score), (exact,))


@pytest.mark.parametrize(
    ("said", "target", "score", "exact"),
    [
        ("《红楼梦》", "红楼梦", 1, 1),
        ("是红楼梦", "红楼梦", 6 / 7, 0),
        ("红色楼梦", "红楼梦", 4 / 7, 0),  # the longest run is 楼梦: a substring, not a subsequence
        ("iPhone 4s手机", "iphone 4s", 2 * 2 / 6, 0),
        ("3.5公里。", "3.5公里", 1, 1),
        ("，", "，", 1, 1),
        ("", "，", 0, 0),
    ],
)
def test_squad_in_chinese(said, target, score, exact):
    found = grade("squad", said, target, language="zh")
    assert (found.score, found.parts) == (pytest.approx(score), (exact,))


CMRC_MARKS = list("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def cmrc_f1(said, target):
    """F1 as the CMRC 2018 script computes it, with nltk's words."""

    split = NLTKWordTokenizer().tokenize

    def segments(text):
        found, word = [], ""
        for c in text.lower().strip():
            if c in CMRC_MARKS:
                continue
            if "\u4e00" <= c <= "\u9fa5":
                found, word = [*found, *(split(word) if word else []), c], ""
            else:
                word += c
        return found + split(word)

    a, b = segments(said), segments(target)
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else 0
    run = max(map(max, table))
    return 2 * run / (len(a) + len(b)) if run else 0.0


@pytest.mark.data
def test_squad_in_chinese_against_the_script_of_cmrc(data_root):
    with lzma.open(data_root / "zh" / "cmrc2018" / "validation.jsonl.xz", "rt", encoding="utf-8") as f:
        rows = [json.loads(line) for line in f][:100]
    pairs = [(row["answer"][1:] + row["question"][:5], row["answer"]) for row in rows]
    pairs += [(a["answer"], b["answer"]) for a, b in pairwise(rows)] + [(r["answer"], r["answer"]) for r in rows]
    gaps = [abs(grade("squad", said, target, language="zh").score - cmrc_f1(said, target)) for said, target in pairs]
    assert sum(gap > 1e-12 for gap in gaps) <= 3  # words with odd quotes or dots, which nltk splits otherwise
    assert max(gaps) < 0.1


# --- questions that were not answered ---------------------------------------------------------------------------------


def _declines(name, settings, targets, **fields):
    from clbench.engine.grade import grade_answer, open_scorer

    prompt = (Message(role="user", content="q"),)
    example = Example(id="a", prompt=prompt, targets=targets, **fields)
    scorer = open_scorer(name).build(settings)
    answer = Answer(example_id="a", text="I decline", finish="error")
    return grade_answer(scorer, example, answer), example, scorer


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("exact", ("x",)),
        ("label", ("x",)),
        ("macro_f1", ("x",)),
        ("numeric", ("7",)),
        ("rouge", ("a b",)),
        ("bleu", ("a b c d e",)),
        ("chrf", ("abc",)),
        ("squad", ("a b",)),
        ("entity_f1", ("person: a",)),
        ("edit_similarity", ("abc",)),
    ],
)
def test_what_was_not_answered_counts_nothing_and_is_said(name, targets):
    choices = ("x", "y") if name in ("label", "macro_f1") else ()
    grade, _, _ = _declines(name, {}, targets, choices=choices)
    assert grade.score == 0.0 and grade.declined and "I decline" in grade.note


def test_declining_what_would_be_wrong_gains_nothing():
    """Eight of twelve are declined: the score is that of eight wrong answers, by the exam's own rule too."""
    from clbench.core.matrix import Matrix
    from clbench.engine.grade import combine_grades, grade_answer, open_scorer

    for name in ("label", "macro_f1", "bleu"):
        plugin = open_scorer(name)
        scorer, prompt = plugin.build({}), (Message(role="user", content="q"),)
        examples = [
            Example(id=str(i), prompt=prompt, targets=("x y z u v",), choices=("x y z u v", "b")) for i in range(12)
        ]
        right = [Answer(example_id=str(i), text="x y z u v") for i in range(4)]
        declined = [Answer(example_id=str(i), text="no", finish="error") for i in range(4, 12)]
        grades = [grade_answer(scorer, e, a) for e, a in zip(examples, [*right, *declined], strict=True)]
        score = combine_grades(grades, plugin)
        exam = Exam(name="e", examples=(), decode=Decode(), scorer=ScorerSpec(name=name), needs=frozenset(), digest="d")
        silent = [Answer(example_id=str(i), text="") for i in range(4, 12)]
        wrong = combine_grades(
            [grade_answer(scorer, e, a) for e, a in zip(examples, [*right, *silent], strict=True)], plugin
        )
        assert score == pytest.approx(wrong) and score < 1
        assert sum(g.declined for g in grades) == 8
        matrix = Matrix.blank(1, [exam]).with_cell(0, ExamResult.asked(exam, 0, []).graded(grades, score))
        assert (int(matrix.n[0, 0]), int(matrix.ungraded[0, 0])) == (4, 8)
