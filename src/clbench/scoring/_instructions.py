"""IFEval's 25 kinds of verifiable instructions and five for Chinese, each (answer, arguments) -> followed or not.

Each of the 25 accepts what the original checker accepts (google-research/instruction_following_eval, Apache-2.0),
quirks included: keywords are regular expressions, a bullet may begin with "-", an end phrase may be followed by a
quotation mark. Where the original draws at random (a missing argument, a "letter" that is not one, the language
guesser), this does not; docs/ifeval.md names the cases.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from clbench.core.errors import SpecError

Arguments = Mapping[str, Any]
Check = Callable[[str, Arguments], bool]

HAN = re.compile(r"[\u4e00-\u9fff]")
KANA_OR_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
# Not between ？ and ！, nor before a closing quotation mark; after that only where a new line or a blank follows.
ENDS_ZH = re.compile(r"(?<=[。！？])(?![。！？”’」』])|(?<=[。！？][”’」』])(?=\s)|(?<=[!?])(?=[\u4e00-\u9fff])")
NUMBERS = re.compile(r"^[ \t]*\d+[.)]\s+", re.MULTILINE)


def _compared(count: int, relation: str, wanted: int) -> bool:
    return count < wanted if relation == "less than" else count >= wanted


@lru_cache(maxsize=1)
def _sentence_tokenizer() -> Any:
    """Return NLTK's Punkt with its model of English, which comes from a package (the original fetches it)."""
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english

    parameters = PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES)
    parameters.collocations = set(english.COLLOCATIONS)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.ortho_context.update(english.ORTHO_CONTEXT)
    return PunktSentenceTokenizer(parameters)


def sentences(text: str) -> list[str]:
    """Cut a text into sentences: Punkt (Kiss and Strunk 2006) with its model of English, as the original does.

    The marks 。！？ end a sentence too, which the original does not know. In a text with Chinese so do ! and ? before a
    Chinese character; the numbers of a list's items are left out, and what has no letter does not count.

    Example:
        >>> sentences("真的吗？！他说：“走。”便走了。")
        ['真的吗？！', '他说：“走。”便走了。']
    """
    chinese = HAN.search(text) is not None
    found: list[str] = _sentence_tokenizer().tokenize(NUMBERS.sub("", text) if chinese else text)
    parts = [part for s in found for part in ENDS_ZH.split(s)]
    return [part.strip() for part in parts if (re.search(r"[^\W\d_]", part) if chinese else part.strip())]


def words(text: str) -> list[str]:
    r"""Return the runs of word characters; a run of Chinese characters counts each of them.

    The original takes a whole run of Chinese as one word; texts without Chinese count as there, with NLTK's present
    reading of Hindi and its kin: a mark belongs to the letter before it.

    Example:
        >>> words("It's 3 o'clock."), words("三点了 ok")
        (['It', 's', '3', 'o', 'clock'], ['三', '点', '了', 'ok'])
        >>> len(words("हिंदी वाक्य है।"))
        3
    """
    return _word().findall(text)


@lru_cache(maxsize=1)
def _word() -> re.Pattern[str]:
    marks = "".join(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c)[0] == "M")
    return re.compile(rf"[\u4e00-\u9fff]|(?:(?![\u4e00-\u9fff])\w[{marks}]*)+")


def language_of(text: str) -> str | None:
    """Return the likely language, always the same for one text; None where nothing tells it.

    Raises:
        SpecError: langdetect is not installed.
    """
    try:
        import langdetect
    except ImportError:
        raise SpecError(
            "IFEval's questions on language need langdetect", where="scorer", mend='pip install "clbench[abilities]"'
        ) from None
    # The library draws at random; the seed is put back, since it is global there.
    before = langdetect.DetectorFactory.seed
    langdetect.DetectorFactory.seed = 0
    try:
        return str(langdetect.detect(text))
    except langdetect.LangDetectException:
        return None
    finally:
        langdetect.DetectorFactory.seed = before


def _is(text: str, language: str) -> bool:
    """Return whether a text is in a language; True where nothing tells, as in the original.

    "zh" goes by the script: the guesser takes short Chinese texts for Korean, and simplified ones for traditional.
    """
    if language == "zh":
        num = len(HAN.findall(text))
        others = sum(not word.isdigit() and not HAN.match(word) for word in words(text))
        # A Chinese word has about two characters; Japanese has them too, among its own.
        return num >= 2 * others and num >= 10 * len(KANA_OR_HANGUL.findall(text))
    return (found := language_of(text)) is None or found == language


def _num_capital_words(text: str) -> int:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    return sum(token.isupper() for s in _sentence_tokenizer().tokenize(text) for token in tokenizer.tokenize(s))


def _paragraphs(text: str, wanted: int) -> bool:
    parts = re.split(r"\s?\*\*\*\s?", text)
    empty = [i for i, part in enumerate(parts) if not part.strip()]
    return all(i in (0, len(parts) - 1) for i in empty) and len(parts) - len(empty) == wanted


def _first_word(text: str, wanted: Arguments) -> bool:
    parts = re.split(r"\n\n", text)
    num = sum(bool(part.strip()) for part in parts)
    place = int(wanted["nth_paragraph"])
    if place > num or not parts[place - 1].strip():
        return False
    word = parts[place - 1].split()[0].lstrip("'").lstrip('"')
    said = re.split(r"[.,?!'\"]", word)[0].lower()
    return num == wanted["num_paragraphs"] and said == str(wanted["first_word"]).lower()


def _postscript(text: str, marker: str) -> bool:
    known = {"P.P.S": r"\s*p\.\s?p\.\s?s.*$", "P.S.": r"\s*p\.\s?s\..*$"}
    pattern = known.get(marker.strip(), r"\s*" + marker.strip().lower() + r".*$")
    return bool(re.findall(pattern, text.lower(), flags=re.MULTILINE))


def _highlights(text: str, wanted: int) -> bool:
    single = re.findall(r"\*[^\n\*]*\*", text)
    double = re.findall(r"\*\*[^\n\*]*\*\*", text)
    num = sum(bool(h.strip("*").strip()) for h in single)
    num += sum(bool(h.removeprefix("**").removesuffix("**").strip()) for h in double)
    return num >= wanted


def _json(text: str) -> bool:
    text = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _two_responses(text: str) -> bool:
    parts = text.split("******")
    if any(not part.strip() for part in parts[1:-1]):
        return False
    said = [part.strip() for part in parts if part.strip()]
    return len(said) == 2 and said[0] != said[1]


def _ends(text: str, phrase: str) -> bool:
    # Chinese closes with other marks; English phrases keep to the original's.
    marks = '"”」』' if HAN.search(phrase) else '"'
    return text.strip().strip(marks).lower().endswith(phrase.strip().lower())


def _num_bullets(text: str) -> int:
    stars = re.findall(r"^\s*\*[^\*].*$", text, flags=re.MULTILINE)
    return len(stars) + len(re.findall(r"^\s*-.*$", text, flags=re.MULTILINE))


def _sections(text: str, wanted: Arguments) -> bool:
    divider = r"\s?" + str(wanted["section_spliter"]).strip() + r"\s?\d+\s?"
    return len(re.split(divider, text)) - 1 >= wanted["num_sections"]


ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
ANSWERS_ZH = ("我的回答是：是。", "我的回答是：否。", "我的回答是：不确定。")
# At the beginning of a line: elsewhere 《》 stand around the names of books.
TITLE_ZH = re.compile(r"^[ \t#*]*(?:标题[：:][ \t]*)?《(?=[^《》\n]*[^《》\s])[^《》\n]*》", re.MULTILINE)
CHECKS: Mapping[str, Check] = {
    "keywords:existence": lambda t, a: all(re.search(k, t, re.IGNORECASE) for k in a["keywords"]),
    "keywords:frequency": lambda t, a: _compared(
        len(re.findall(a["keyword"].strip(), t, re.IGNORECASE)), a["relation"], a["frequency"]
    ),
    "keywords:forbidden_words": lambda t, a: (
        not any(re.search(r"\b" + w + r"\b", t, re.IGNORECASE) for w in a["forbidden_words"])
    ),
    "keywords:letter_frequency": lambda t, a: _compared(
        t.lower().count(a["letter"].strip().lower()), a["let_relation"], a["let_frequency"]
    ),
    "language:response_language": lambda t, a: _is(t, a["language"]),
    "length_constraints:number_sentences": lambda t, a: _compared(len(sentences(t)), a["relation"], a["num_sentences"]),
    "length_constraints:number_paragraphs": lambda t, a: _paragraphs(t, a["num_paragraphs"]),
    "length_constraints:number_words": lambda t, a: _compared(len(words(t)), a["relation"], a["num_words"]),
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": lambda t, a: len(re.findall(r"\[.*?\]", t)) >= a["num_placeholders"],
    "detectable_content:postscript": lambda t, a: _postscript(t, a["postscript_marker"]),
    "detectable_format:number_bullet_lists": lambda t, a: _num_bullets(t) == a["num_bullets"],
    "detectable_format:constrained_response": lambda t, _: any(answer in t.strip() for answer in ANSWERS),
    "detectable_format:number_highlighted_sections": lambda t, a: _highlights(t, a["num_highlights"]),
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": lambda t, _: _json(t),
    "detectable_format:title": lambda t, _: any(
        title.lstrip("<").rstrip(">").strip() for title in re.findall(r"<<[^\n]+>>", t)
    ),
    "combination:two_responses": lambda t, _: _two_responses(t),
    "combination:repeat_prompt": lambda t, a: t.strip().lower().startswith(a["prompt_to_repeat"].strip().lower()),
    "startend:end_checker": lambda t, a: _ends(t, a["end_phrase"]),
    "startend:quotation": lambda t, _: len(t.strip()) > 1 and t.strip()[0] == t.strip()[-1] == '"',
    "change_case:capital_word_frequency": lambda t, a: _compared(
        _num_capital_words(t), a["capital_relation"], a["capital_frequency"]
    ),
    "change_case:english_capital": lambda t, _: t.isupper() and _is(t, "en"),
    "change_case:english_lowercase": lambda t, _: t.islower() and _is(t, "en"),
    "punctuation:no_comma": lambda t, _: "," not in t,
    # Ours, for prompts in Chinese, where the marks are others and words have no edges.
    "keywords:forbidden_words_zh": lambda t, a: not any(w in t for w in a["forbidden_words"]),
    "punctuation:no_comma_zh": lambda t, _: not set(",，、") & set(t),
    "startend:quotation_zh": lambda t, _: len(t.strip()) > 1 and t.strip()[0] + t.strip()[-1] in ("“”", "「」", "『』"),
    "detectable_format:title_zh": lambda t, _: bool(TITLE_ZH.search(t)),
    "detectable_format:constrained_response_zh": lambda t, _: any(answer in t for answer in ANSWERS_ZH),
}
SEEDED = ("language:response_language", "change_case:english_capital", "change_case:english_lowercase")


def loosened(text: str) -> tuple[str, ...]:
    """Return the eight forms of an answer, one of which must do in the loose mode: ends cut off, asterisks out."""
    lines = text.split("\n")
    forms = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return (*forms, *(form.replace("*", "") for form in forms))


def obeys(kind: str, arguments: Arguments, text: str, *, loose: bool) -> bool:
    """Return whether an answer obeys an instruction; an empty answer obeys none.

    Raises:
        KeyError: There is no such kind, or an argument is missing (the original would draw one at random).
    """
    check = CHECKS[kind]
    given = {name: value for name, value in arguments.items() if value}
    return any(bool(form.strip()) and check(form, given) for form in (loosened(text) if loose else (text,)))
