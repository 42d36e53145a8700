"""Numbers in a text: found as a reader of its language finds them, and never guessed.

See `numeric` for what is read. A text is first brought into one form (`_plain`); `TOKEN` then finds all that looks like
a number, whether or not it can be read, so that an unreadable one is never taken for two others; `_value` reads it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial

from clbench.core.language import BLANKLESS, CODES
from clbench.scoring import _hanzi
from clbench.scoring._settings import clip

# Languages that write 1.234,5; the others write 1,234.5. Of these some group by points, all by blanks.
COMMA = frozenset(
    "af az be bg bs ca cs da de el es et eu fi fr gl hr hu hy id is it ka kk lt lv mk nb nl nn no pl pt ro ru sk sl sq "
    "sr sv tr uk uz vi".split()
)
POINT_GROUPS = frozenset("bs ca da de el es eu gl hr id is it mk nl pt ro sl sq sr tr vi".split())
INDIAN = frozenset("en hi bn gu kn ml mr ne or pa ta te ur si".split())  # 12,34,567
_in_form = partial(unicodedata.normalize, "NFKC")
# Words of size that follow figures; long and short scale by language.
_words: dict[str, dict[str, int]] = {
    "en": {
        "hundred thousand": 5,
        "hundred million": 8,
        "hundreds?": 2,
        "thousands?": 3,
        "lakhs?": 5,
        "millions?": 6,
        "crores?": 7,
        "billions?": 9,
        "trillions?": 12,
    },
    "de": {
        "tausend|tsd\\.?": 3,
        "millionen": 6,
        "million": 6,
        "mio\\.?": 6,
        "milliarden?": 9,
        "mrd\\.?": 9,
        "billion(?:en)?": 12,
    },
    "fr": {"mille|milliers?": 3, "millions?": 6, "milliards?": 9, "billions?": 12},
    "es": {"mil millones": 9, "mil": 3, "millón|millones": 6, "billón|billones": 12},
    "it": {"mila": 3, "milione|milioni|mln\\.?": 6, "miliardo|miliardi|mld\\.?": 9},
    "pt": {"mil milhões": 9, "mil": 3, "milhão|milhões": 6, "bilhão|bilhões": 9},
    "nl": {"duizend": 3, "miljoen|mln\\.?": 6, "miljard|mrd\\.?|mld\\.?": 9},
    "sv": {"tusen": 3, "miljon(?:er)?": 6, "miljard(?:er)?": 9},
    "da": {"tusind(?:e)?": 3, "million(?:er)?|mio\\.?": 6, "milliard(?:er)?|mia\\.?": 9},
    **{
        key: {"tusen": 3, "million(?:er|ar)?|mill\\.?": 6, "milliard(?:er|ar)?|mrd\\.?": 9}
        for key in ("nb", "nn", "no")
    },
    "pl": {"tys\\.?|tysiąc|tysiące|tysięcy": 3, "mln|milion(?:y|ów)?": 6, "mld|miliard(?:y|ów)?": 9},
    "cs": {"tis\\.?|tisíce?": 3, "mil\\.?|milion(?:y|ů)?": 6, "mld\\.?|miliard[ay]?": 9},
    "tr": {"bin": 3, "milyon": 6, "milyar": 9},
    "id": {"ribu": 3, "juta": 6, "miliar": 9, "triliun": 12},
    "vi": {"nghìn|ngàn": 3, "triệu": 6, "tỷ|tỉ": 9},
    "uk": {"тис\\.?|тисяч[аі]?": 3, "млн\\.?|мільйон(?:и|ів)?": 6, "млрд\\.?|мільярд(?:и|ів)?": 9},
    "ro": {"mii": 3, "mil\\.|milioane": 6, "mld\\.?|miliarde": 9},
    "hu": {"ezer": 3, "millió": 6, "milliárd": 9},
    "fi": {"tuhatta": 3, "milj\\.?|miljoonaa": 6, "mrd\\.?|miljardia": 9},
    "el": {"χιλιάδες": 3, "εκατ\\.|εκατομμύρι(?:α|ο)": 6, "δισ\\.|δισεκατομμύρι(?:α|ο)": 9},
    "ar": {"[أا]لف|آلاف": 3, "مليون|ملايين": 6, "مليار(?:ات)?|بليون": 9, "تريليون": 12},
    "fa": {"هزار": 3, "م[یي]ل[یي]ون": 6, "م[یي]ل[یي]ارد": 9},
    "he": {"אלף|אלפים": 3, "מיליון": 6, "מיליארד": 9},
    "hi": {"लाख करोड़": 12, "हज़ार|हजार": 3, "लाख": 5, "करोड़": 7, "अरब": 9},
    "mr": {"हजार": 3, "लाख": 5, "कोटी": 7},
    "bn": {"হাজার": 3, "লাখ|লক্ষ": 5, "কোটি": 7},
    "ur": {"ہزار": 3, "لاکھ": 5, "کروڑ": 7, "ارب": 9},
    "th": {"พันล้าน": 9, "หมื่นล้าน": 10, "แสนล้าน": 11, "พัน": 3, "หมื่น": 4, "แสน": 5, "ล้าน": 6},
    "ru": {"тыс\\.?|тысяч[аи]?": 3, "млн\\.?|миллион(?:а|ов)?": 6, "млрд\\.?|миллиард(?:а|ов)?": 9},
}
# Languages of India write lakh and crore in Latin letters too; forms are those that texts are brought into.
_words.update({key: _words.get(key, {}) | _words["en"] for key in INDIAN - {"en"}})
SCALES = {key: {_in_form(word): power for word, power in words.items()} for key, words in _words.items()}
SHORT = {"mn": 10**6, "m": 10**6, "bn": 10**9, "b": 10**9, "tn": 10**12}  # behind money; 5m alone are five metres
PERCENT = _in_form(
    "percent|per cent|prozent|pour cent|por ciento|per cento|por cento|procent|prosent(?:tia)?|persen|phần trăm"
    "|százalék|процент(?:а|ов)?|τοις εκατό|(?:في |ب)الم(?:ئة|ائة)|درصد|فیصد|אחוז(?:ים)?|प्रतिशत|फ़ीसदी|फीसदी|শতাংশ"
)
PERCENT_JOINED = _in_form("パーセント|퍼센트|เปอร์เซ็นต์")  # in scripts that need no blank before it
PERCENT_BEFORE = _in_form("%|百分之|ร้อยละ|yüzde")  # %25 in Turkish, 百分之25
MONEY = "rp|rs|rm|kr|chf|usd|eur|gbp|jpy|cny|rmb|inr|idr|myr|sek|nok|dkk"  # Rp1.500
MOST_DIGITS = 40  # what is longer is a runaway answer, and costs time without end
MOST_POWER = 4000  # digits of a power
OPEN = "\x1e"  # a blank that groups, or parts two numbers: nobody can tell
GROUP = f",.'_\u2009{OPEN}"  # marks inside a number; a thin blank stands for every blank that groups
CURRENCY = "[$¢£¤¥֏؋৳฿₠-₿]"
LETTER = "A-Za-zÀ-ɏͰ-ϿЀ-ӿ_"

TOKEN = re.compile(
    rf"""(?<![{LETTER}\d.^])
    (?:(?<![)\]])(?P<sign>[-+]))?(?P<money>(?:(?:us|hk|nt|[ac])?{CURRENCY}\s?|(?:{MONEY})\.?)(?P<inner>[-+])?)?(?P<root>√\s?|\\sqrt\{{?)?
    (?: (?P<odd>\d+(?::\d+)+ | \d{{1,4}}(?P<sep>[-/.])\d{{1,2}}(?P=sep)\d{{1,4}}(?![\d,]))
      | (?P<over>\d+(?:[{GROUP}]\d+)*)\s?/\s?(?P<under>\d+(?:[{GROUP}]\d+)*)
      | (?P<value>[.,]?\d+(?:[{GROUP}]\d+)*)
        (?: e(?P<power>[-+]?\d+)(?!\d|[.,]\d)
          | (?:\s?(?:×|·|x|\*|\\times|\\cdot)\s?(?P<ten>10))?(?:\s?\^\s?|\*\*)(?P<raised>[-+]?\d+)
          | \s(?P<part>\d+/\d+) )?
    )(?P<left>(?:[/^]\d|[{GROUP}]?\d|\s?(?:π|√|\\pi|\\sqrt))*)""",
    re.VERBOSE,
)
FIGURES = re.compile(r"\d")
END = r"(?![^\W\d_])"  # of a word; \b sees an end before the marks of Indian letters
SIGNS = str.maketrans(
    {"\u2044": "/", "\u2215": "/", "\u066a": "%", "\u2012": "-", "\u2013": "-", "\u2212": "-", "’": "'"}
)
FORMS = (
    (re.compile(r"\\[cdt]?frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))"), r" \1\2/\3\4"),
    (re.compile(r"\\[cdt]?frac\s*\{\s*-\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r" -\1/\2"),
    (re.compile(r"(?<![\d)\]}])-\s+(?=\d+/\d)"), "-"),  # of -\frac{3}{4}
    (re.compile(r"(?<=\d) {2,}(?=\d+/\d)"), " "),
    (re.compile(rf"(?<!\d)(?<!\d\s)(?:{PERCENT_BEFORE})\s?([-+]?\d+(?:[.,'٬٫]\d+)*)"), r"\1%"),
    (re.compile(r"\{,\}"), ","),  # LaTeX's comma without a blank
    (re.compile(r"\\,"), "\x1f"),  # and its thin blank
    (re.compile(r"\\(?=[%$])"), ""),
    (re.compile(r"\^[{(]([-+]?\d+)[)}]"), r"^\1"),
    (re.compile(rf"(?<=[{LETTER}])\^[-+]?\d+"), ""),  # the 2 of m² is not a number
    (re.compile(r"(?<=[=(:])\s*-\s(?=[\d.])"), "-"),
    (
        re.compile(
            r"(^|\b(?:is|was|be|equals|to|at|of|ist|war|beträgt|est|était|vaut|es|era|è|é|vale|är|er|to|jest|равно|равен|это)"
            r" |[=:(]\s*)(?:minus|negative|moins|menos|meno|минус) (?=[\d.])"
        ),
        r"\1-",
    ),
    (re.compile(r"(?<!\d)(?:マイナス|氷点下|마이너스|영하)\s?(?=\d)"), "-"),
)


ARABIC_COMMA = re.compile(r"(?<=\d)،(?=\d)")
BLANKS = re.compile(rf"(?<![\d.,'{LETTER}])(?<!\d[ \x1f])\d{{1,3}}(?:[ \x1f]\d{{3}})+(?!\d)")


@dataclass(frozen=True)
class Found:
    """Something in a text that looks like a number.

    Attributes:
        text: As it is written.
        readings: The values that it may have: two of a percentage, none if it cannot be read.
    """

    text: str
    readings: tuple[Fraction, ...]


def numbers(text: str, language: str) -> list[Found]:
    """Return all that looks like a number, in order; Chinese numerals only where the text holds no figures.

    Args:
        text: At most 20,000 characters of it are looked at.
        language: "en", "de", ...: which mark is the decimal one, and the words of size.

    Example:
        >>> [str(found.readings[0]) for found in numbers("16,00 € statt 1.234,5", "de")]
        ['16', '2469/2']
        >>> numbers("3,5", "en")
        [Found(text='3,5', readings=())]
    """
    text = _plain(text, language)
    if not FIGURES.search(text):
        return [Found(written, values) for written, values in _hanzi.numerals(text, language)]
    tail = _tail(language)
    found: list[Found] = []
    start = 0
    while (match := TOKEN.search(text, start)) is not None:
        mixed = _hanzi.MIXED.match(text, match.start("value")) if match["value"] else None
        end = mixed.end() if mixed else match.end()
        after = tail.match(text, end)
        found.append(_found(match, mixed, after, language))
        start = after.end() if after else end
    return found


def _found(match: re.Match[str], mixed: re.Match[str] | None, after: re.Match[str] | None, language: str) -> Found:
    written = (match if mixed is None else mixed).group().strip().replace("\u2009", " ").replace(OPEN, " ")
    value = _hanzi.mixed(mixed.group(), language) if mixed else _value(match, language)
    if value is None:
        return Found(written, ())
    value *= -1 if "-" in (match["sign"], match["inner"]) else 1
    if after is None:
        return Found(written, (value,))
    if after["percent"]:
        return Found(written, (value, value / (1000 if "‰" in after["percent"] else 100)))
    if after["short"]:
        return Found(written, (value * (SHORT[after["short"]] if match["money"] else 1),))
    word = after["scale"]
    power = next(n for stem, n in SCALES[language].items() if re.fullmatch(stem, word)) if word else 3
    return Found(written, (value * 10**power,))


@lru_cache(maxsize=len(CODES))
def _tail(language: str) -> re.Pattern[str]:
    """Return the pattern of what may follow figures: a percent sign, a word of size, the 5k and $5m of English."""
    scales = "|".join(SCALES.get(language, {})) or "(?!)"
    short = rf"(?:k|\s?(?P<short>{'|'.join(SHORT)}))(?![\w/])" if language == "en" else "(?P<short>(?!))"
    percent = rf"\s?[%‰]|\s(?:{PERCENT}){END}|\s?(?:{PERCENT_JOINED})"
    end = "" if language in BLANKLESS else END
    return re.compile(rf"(?P<percent>{percent})|\s?(?P<scale>{scales}){end}|{short}")


def _plain(text: str, language: str) -> str:
    """Return a text with one form for each sign that numbers are made with, in lower case."""
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", clip(text))  # else the 3 of 3½ is joined to the half
    text = re.sub("[⁺⁻]?[⁰¹²³⁴-⁹]+", lambda m: "^" + _level(m.group()), re.sub("[₀-₉]+", "", text))
    text = re.sub(r"(?<!\d)(\d{1,3}(?:，\d{3})+)(?!\d)", lambda m: m.group().replace("，", ","), text)
    text = re.sub(r"[\u2009\u202f\u00a0](?=\d{3}(?!\d))", "\x1f", re.sub("[，、]", ", ", text))
    text = ARABIC_COMMA.sub(",", text.replace("\u066c", "\x1f")).replace("\u066b", "," if language in COMMA else ".")
    text = unicodedata.normalize("NFKC", text).translate(SIGNS).lower()
    for pattern, instead in FORMS:
        text = pattern.sub(instead, text)
    return _hanzi.plain(BLANKS.sub(lambda m: _joined(m.group(), language), text).replace("\x1f", " "))


def _joined(groups: str, language: str) -> str:
    """Replace the blanks between groups of three digits: they group in some languages, and nobody writes 000 alone."""
    sure = language in COMMA or "\x1f" in groups or " 0" in groups
    return re.sub("[ \x1f]", "\u2009" if sure else OPEN, groups)


def _level(raised: str) -> str:
    return unicodedata.normalize("NFKC", raised).replace("\u2212", "-")


def _value(match: re.Match[str], language: str) -> Fraction | None:
    """Return the value of a match without its sign; None where it cannot be read in one way only."""
    digits = sum(c.isdigit() for c in match.group())
    if match["odd"] or match["root"] or match["left"] or digits > MOST_DIGITS:
        return None
    if match["over"]:
        return _ratio(decimal(match["over"], language), decimal(match["under"], language))
    value = decimal(match["value"], language)
    if value is None:
        return None
    if match["part"]:
        part = _ratio(*(Fraction(int(figures)) for figures in match["part"].split("/")))
        return None if part is None or value.denominator > 1 else value + part
    if match["power"] or match["ten"]:
        return _raised(Fraction(10), int(match["power"] or match["raised"]), value)
    return _raised(value, int(match["raised"])) if match["raised"] else value


def _ratio(over: Fraction | None, under: Fraction | None) -> Fraction | None:
    return None if over is None or not under else over / under


def _raised(base: Fraction, power: int, times: Fraction = Fraction(1)) -> Fraction | None:
    if abs(power) * len(str(base)) > MOST_POWER or (not base and power < 0):
        return None
    return times * base**power


def decimal(figures: str, language: str) -> Fraction | None:
    """Return the value of figures with marks between them; None where the language leaves it open.

    Two different marks leave nothing open (1.234,5 and 1,234.5), nor does one that comes twice (1.234.567).

    Example:
        >>> decimal("1.234", "de"), decimal("1,234", "en"), decimal("1,234", "de"), decimal("3,5", "en")
        (Fraction(1234, 1), Fraction(1234, 1), Fraction(617, 500), None)
    """
    marks = [c for c in figures if not c.isdigit()]
    last = marks[-1] if marks else ""
    if not marks:
        return Fraction(int(figures))
    grouped = _grouped(figures, last, language)
    if len(marks) == 1 and last in ".,":
        own = last == ("," if language in COMMA else ".")
        if own or (last == "." and grouped is None):  # a point that groups nothing is decimal in every language
            return _with_decimals(figures, last)
        return grouped if last == "," or language in POINT_GROUPS else None
    if len({*marks}) == 1:
        return grouped
    integer, _, decimals = figures.rpartition(last)
    grouped = _grouped(integer, marks[0], language) if {*marks[:-1]} == {marks[0]} and last in ".," else None
    return None if grouped is None else grouped + _with_decimals(f".{decimals}", ".")


def _with_decimals(figures: str, mark: str) -> Fraction:
    integer, decimals = figures.split(mark)
    return Fraction(int(integer + decimals), 10 ** len(decimals))


def _grouped(figures: str, mark: str, language: str) -> Fraction | None:
    """Return the value of a whole number that is grouped by a mark; None where it is not grouped rightly."""
    first, *groups = figures.split(mark)
    if mark == OPEN or not 0 < len(first) <= 3 or first.startswith("0") or len(groups[-1]) != 3:
        return None
    sizes = {len(group) for group in groups[:-1]}
    indian = mark == "," and language in INDIAN and sizes == {2} and len(first) <= 2
    return Fraction(int(figures.replace(mark, ""))) if sizes <= {3} or indian else None
