"""Languages: their codes, the names that cards use, and the language of a text by its letters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

# ISO 639-1, and the Chinese languages of ISO 639-3 that cards of data sets name.
CODES = frozenset(
    """aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en
    eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka
    kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl
    nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw
    ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu yue wuu lzh""".split()
)
_NAMED = {
    "en": "english eng 英文 英语",
    "zh": "chinese mandarin cmn zho 中文 汉语 漢語 普通话",
    "de": "german deutsch deu",
    "fr": "french français fra",
    "es": "spanish español spa",
    "it": "italian italiano",
    "pt": "portuguese português",
    "nl": "dutch nederlands",
    "ru": "russian русский",
    "ja": "japanese jpn 日本語 日语",
    "ko": "korean kor 한국어",
    "th": "thai",
    "ar": "arabic",
    "hi": "hindi",
    "vi": "vietnamese",
    "tr": "turkish",
    "pl": "polish",
    "sv": "swedish",
    "id": "indonesian",
    "uk": "ukrainian",
    "yue": "cantonese",
}
NAMES = {name: code for code, names in _NAMED.items() for name in names.split()}
CHINESE = frozenset({"zh", "yue", "wuu", "lzh"})
BLANKLESS = CHINESE | {"ja", "th", "lo", "km", "my", "bo", "dz"}  # no blanks between words
# First word of a letter's Unicode name -> the language that texts of such letters are assumed to have.
SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "MYANMAR": "my",
    "TIBETAN": "bo",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "ARABIC": "ar",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "TAMIL": "ta",
    "TELUGU": "te",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
}
SHARE = 0.3  # of the letters: Chinese texts hold Latin names and formulas


def codes(text: str) -> tuple[str, ...]:
    """Return the codes of the languages that a card names, in its order; unknown names are left out.

    Example:
        >>> codes("en+zh"), codes("zh-Hans"), codes("German"), codes("code")
        (('en', 'zh'), ('zh',), ('de',), ())
    """
    found: list[str] = []
    for name in re.split(r"[^\w-]+", text.lower().replace("_", "-")):
        code = NAMES.get(name, name.partition("-")[0])
        if code in CODES and code not in found:
            found.append(code)
    return tuple(found)


@lru_cache(maxsize=2**16)
def script(character: str) -> str:
    """Return the language that a letter's script stands for; "" for Latin letters and for other characters.

    Example:
        >>> script("天"), script("カ"), script("e"), script("。")
        ('zh', 'ja', '', '')
    """
    if not unicodedata.category(character).startswith("L"):
        return ""
    name = unicodedata.name(character, "").removeprefix("HALFWIDTH ")
    return SCRIPTS.get(name.partition(" ")[0], "")


def told_by_letters(texts: Iterable[str]) -> str:
    """Return the language that texts seem to be in; "en" stands for every language of Latin letters.

    Example:
        >>> told_by_letters(["今天我用 iPhone"]), told_by_letters(["東京タワーの高さ"]), told_by_letters(["guten Tag"])
        ('zh', 'ja', 'en')
    """
    letters = Counter(script(c) for text in texts for c in text if c.isalpha())
    if letters["ja"] and letters["ja"] + letters["zh"] > SHARE * letters.total() and letters["ja"] > letters["zh"] / 10:
        return "ja"
    most, number = max(((s, n) for s, n in letters.items() if s), key=lambda pair: pair[1], default=("", 0))
    return most if number > SHARE * letters.total() else "en"
