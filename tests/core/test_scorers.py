"""Scorers follow the language of a task; where they cannot, a notice says so."""

import json
import random
import re
import string
import sys
import unicodedata
from collections import Counter

import pytest
import sacrebleu

from clbench.core.errors import SpecError
from clbench.core.language import codes, told_by_letters
from clbench.core.scorers import adapt_to_language, depends_on_language
from clbench.core.types import Answer, Example, Message, ScorerSpec
from clbench.data.tasks.task import open_task
from clbench.engine.grade import open_scorer

ZH = "今天下午我们一起去公园看第{}朵花，然后回家吃晚饭，再读一会儿书，最后早点睡觉。"
JA = "きのうの夜は友だちと東京タワーの近くで{}時までラーメンを食べました。"
TH = "วันนี้เราไปเที่ยวสวนสาธารณะด้วยกันแล้วกลับบ้านกินข้าว{}"


def grade(spec, said, *targets):
    example = Example(id="e", prompt=(Message(role="user", content="?"),), targets=targets)
    return open_scorer(spec.name).build(spec.settings)(example, Answer(example_id="e", text=said))


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("en", ("en",)),
        ("zh-CN", ("zh",)),
        ("zh_Hans", ("zh",)),
        ("Chinese", ("zh",)),
        ("中文", ("zh",)),
        ("en+zh", ("en", "zh")),
        ("en, zh", ("en", "zh")),
        ("English/German", ("en", "de")),
        ("code", ()),
        ("", ()),
        ("klingon", ()),
    ],
)
def test_codes(named, found):
    assert codes(named) == found


def test_languages_are_told_by_letters():
    assert told_by_letters([ZH]) == "zh"
    assert told_by_letters([JA]) == "ja"
    assert told_by_letters([TH]) == "th"
    assert told_by_letters(["나는 학교에 갔다"]) == "ko"
    assert told_by_letters(["Мы пошли в парк"]) == "ru"
    assert told_by_letters(["wir gehen", "5", "天"]) == "en"
    assert told_by_letters([]) == told_by_letters(["1 2 3"]) == "en"


@pytest.mark.parametrize(
    ("scorer", "language", "settings"),
    [
        ("bleu", "zh", {"tokenize": "zh"}),
        ("bleu", "zh-CN", {"tokenize": "zh"}),
        ("bleu", "en+zh", {"tokenize": "zh"}),
        ("bleu", "ja", {"tokenize": "char"}),
        ("bleu", "th", {"tokenize": "char"}),
        ("bleu", "ko", {}),
        ("bleu", "en", {}),
        ("sari", "zh", {"tokenize": "zh"}),
        ("squad", "zh", {"language": "zh"}),
        ("squad", "de", {"language": "de"}),
        ("squad", "en", {}),
        ("numeric", "de", {"language": "de"}),
        ("numeric", "en", {}),
        ("rouge", "zh", {}),
        ("exact", "zh", {}),
    ],
)
def test_settings_follow_the_language(scorer, language, settings):
    assert adapt_to_language(ScorerSpec(name=scorer), {"language": language}).settings == settings
    assert adapt_to_language(ScorerSpec(name=scorer), {}).settings == {}


def test_what_a_card_sets_stays(heard):
    card = ScorerSpec(name="bleu", settings={"tokenize": "intl"})
    assert adapt_to_language(card, {"language": "zh"}) == card
    assert adapt_to_language(ScorerSpec(name="numeric", settings={"which": "first"}), {"language": "de"}).settings == {
        "which": "first",
        "language": "de",
    }
    assert adapt_to_language(ScorerSpec(name="numeric"), {"language": "klingon"}).settings == {}
    assert "klingon" in heard[0]
    with pytest.raises(SpecError, match="blue"):
        adapt_to_language(ScorerSpec(name="blue"), {"language": "zh"})
    assert depends_on_language("bleu")
    assert not depends_on_language("exact")


@pytest.mark.parametrize(("language", "text"), [("zh", ZH), ("ja", JA), ("th", TH)])
@pytest.mark.parametrize("scorer", ["bleu", "squad", "chrf", "rouge"])
def test_nearly_the_same_text_scores_near_1_in_every_script(scorer, language, text):
    spec = adapt_to_language(ScorerSpec(name=scorer), {"language": language})
    assert grade(spec, text.format(1), text.format(1)).score == 1
    # CMRC counts the longest run in common, so one other character in the middle costs most there.
    assert (
        (0.5 if (scorer, language) == ("squad", "zh") else 0.85) < grade(spec, text.format(1), text.format(2)).score < 1
    )
    assert 0.6 < grade(spec, text.format(1)[:-4], text.format(1)).score < 1


@pytest.mark.parametrize(("language", "tokenize", "text"), [("zh", "zh", ZH), ("ja", "char", JA), ("th", "char", TH)])
def test_bleu_is_that_of_sacrebleu_in_the_language(language, tokenize, text):
    spec = adapt_to_language(ScorerSpec(name="bleu"), {"language": language})
    said, target = text.format(1)[3:-3], text.format(2)
    published = sacrebleu.BLEU(tokenize=tokenize, effective_order=True).sentence_score(said, [target]).score / 100
    assert grade(spec, said, target).score == pytest.approx(published)


# --- MLQA's own script, written again from its description -----------------------------------------------------

MARKS = {chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("P")} | set(
    string.punctuation
)
ARTICLES = {
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": r"\sال^|ال",
}


def mlqa_f1(said, target, language):
    def words(text):
        text = "".join(c for c in text.lower() if c not in MARKS)
        return re.sub(ARTICLES[language], " ", text).split() if language in ARTICLES else text.split()

    a, b = words(said), words(target)
    same = (Counter(a) & Counter(b)).total()
    if not same:
        return 0.0
    precision, recall = same / len(a), same / len(b)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("language", "vocabulary"),
    [
        ("de", "der Hund läuft, «schnell» in das Haus. Ein Über-Ich"),
        ("es", "la casa ¿verde? el perro unos años"),
        ("vi", "những con chó của tôi là lớn."),
        ("ar", "البيت كبير، جدا في المدينة"),
        ("hi", "यह एक बड़ा घर है। पानी"),
        ("fr", "la maison verte, l'eau du lac"),
    ],
)
def test_squad_in_other_languages_is_that_of_mlqa(language, vocabulary):
    draw, words = random.Random(0), vocabulary.split()
    for _ in range(100):
        said, target = (" ".join(draw.choices(words, k=draw.randint(2, 6))) for _ in range(2))
        found = grade(ScorerSpec(name="squad", settings={"language": language}), said, target).score
        if mlqa_f1(target, target, language):  # else nothing is left of the target, and it is compared as it is
            assert found == pytest.approx(mlqa_f1(said, target, language))


def squad_f1(said, target):
    """F1 as the evaluate script of SQuAD v1.1 computes it."""

    def words(text):
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    a, b = words(said), words(target)
    same = (Counter(a) & Counter(b)).total()
    return 2 * same / (len(a) + len(b)) if same else 0.0


def test_squad_in_english_is_that_of_its_script():
    draw, words = random.Random(1), "The cat, a dog's well-known 3.5 and an (old) House.".split()
    for _ in range(200):
        said, target = (" ".join(draw.choices(words, k=draw.randint(3, 7))) for _ in range(2))
        if squad_f1(target, target):
            assert grade(ScorerSpec(name="squad"), said, target).score == pytest.approx(squad_f1(said, target))


# --- cards ------------------------------------------------------------------------------------------------------


def card(folder, scorer, language, rows):
    (folder / "rows").mkdir()
    for split in ("train", "test"):
        lines = [json.dumps({"q": f"{split} {i}", "a": a}, ensure_ascii=False) for i, a in enumerate(rows)]
        (folder / "rows" / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    path = folder / "own.yaml"
    text = 'name: own\nsource: {path: rows}\nprompt: [{role: user, content: "{q}"}]\ntarget: "{a}"\n'
    text += f"splits: {{lesson: train, dev: null, exam: test}}\nscorer: {scorer}\nabout: {{license: own{language}}}\n"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("scorer", "language", "rows", "told"),
    [
        ("{name: bleu}", ", language: zh", [ZH], ""),
        ("{name: bleu}", ", language: en", [ZH], "language zh"),
        ("{name: bleu}", "", [ZH], "language zh"),
        ("{name: bleu, settings: {tokenize: intl}}", ", language: zh", [ZH], "tokenize 'intl'"),
        ("{name: bleu}", ", language: zh", [JA], "language ja"),
        ("{name: bleu}", ", language: ja", [JA], ""),
        ("{name: bleu}", ", language: en", [TH], "language th"),
        ("{name: bleu}", ", language: en", ["a cat"], ""),
        ("{name: squad}", ", language: zh", [ZH], ""),
        ("{name: squad}", ", language: en", [ZH], "language zh"),
        ("{name: squad}", ", language: de", ["das Haus"], ""),
        ("{name: numeric}", ", language: de", ["3,5"], ""),
        ("{name: numeric}", ", language: en", ["3,5"], "1 of 1 targets"),
        ("{name: rouge}", ", language: en", [ZH], ""),
        ("{name: chrf}", ", language: en", [ZH], ""),
    ],
)
def test_a_wrong_pair_gives_a_notice(tmp_path, heard, scorer, language, rows, told):
    task = open_task(card(tmp_path, scorer, language, rows), None)
    assert [told in text for text in heard] == ([True] if told else [])
    if not told:
        assert grade(task.scorer, rows[0], *task.exam[0].targets).score == 1


def test_a_german_task_of_numbers_is_marked_as_german(tmp_path):
    task = open_task(card(tmp_path, "{name: numeric}", ", language: de", ["16,00 €"]), None)
    assert grade(task.scorer, "Das macht 16 Euro.", "16,00 €").score == 1
    assert grade(task.scorer, "16.000 Euro", "16,00 €").score == 0
