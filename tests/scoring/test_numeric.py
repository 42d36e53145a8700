"""Numbers as languages write them; what can be read in several ways is not read."""

import json
import lzma
import re
from fractions import Fraction

import pytest

from clbench.core.errors import SpecError
from clbench.core.types import Answer, Example, Message
from clbench.engine.grade import open_scorer
from clbench.scoring._hanzi import value_of
from clbench.scoring._number import COMMA, decimal, numbers
from clbench.scoring.numeric import doubts, number


def grade(said, *targets, **settings):
    example = Example(id="e", prompt=(Message(role="user", content="?"),), targets=targets)
    return open_scorer("numeric").build(settings)(example, Answer(example_id="e", text=said))


READ = {
    "en": {
        "-5": "-5",
        "−5": "-5",
        "–5": "-5",
        "+5": "5",
        "x = - 3": "-3",
        "(-5)": "-5",
        "3–5": "5",
        "12-5": "5",
        "3 – 5": "5",
        "1,234.5": "1234.5",
        "1.234,5": "1234.5",
        "1,234": "1234",
        "1,234,567": "1234567",
        "1.234.567": "1234567",
        "12,34,567": "1234567",
        "1 000": "1000",
        "1\u202f234": "1234",
        "1'234": "1234",
        "1’234.5": "1234.5",
        "1_000": "1000",
        "1{,}000": "1000",
        "2020 100": "100",
        ".5": ".5",
        "5.": "5",
        "007": "7",
        "1, 2, 3": "3",
        "10^5": "100000",
        "10⁵": "100000",
        "10**5": "100000",
        "10^{-2}": ".01",
        "10⁻²": ".01",
        "2^10": "1024",
        "1.5 × 10^5": "150000",
        "1.5\\times10^{5}": "150000",
        "1e5": "100000",
        "1E-3": ".001",
        "1e5.": "100000",
        "3/4": "3/4",
        "1 3/4": "7/4",
        "3½": "7/2",
        "½": "1/2",
        "-½": "-1/2",
        "\\frac{3}{4}": "3/4",
        "⅓": "1/3",
        "1 million": "1000000",
        "1.5 billion people": "1500000000",
        "2 hundred thousand": "200000",
        "5k": "5000",
        "3 crore": "30000000",
        "5 km": "5",
        "5m": "5",
        "$1.5M": "1500000",
        "minus 5": "-5",
        "x minus 5": "5",
        "10,000/100,000": "1/10",
        "1.5/2": "3/4",
        "is negative 5": "-5",
        "10 minus 5": "5",
        "$5": "5",
        "-$5": "-5",
        "$-5": "-5",
        "US$ 5": "5",
        "16.00 €": "16",
        "5 m²": "5",
        "5 m^2": "5",
        "**42**": "42",
        "\\boxed{42}": "42",
        "#### 18": "18",
        "5 millionaires": "5",
    },
    "de": {
        "16,00 €": "16",
        "1.234,5": "1234.5",
        "1.234": "1234",
        "3,5": "3.5",
        "3.5": "3.5",
        "1 234": "1234",
        "1'234": "1234",
        "1.000.000,25": "1000000.25",
        "1,234.5": "1234.5",
        "-3,5": "-3.5",
        "–3,5": "-3.5",
        ",5": ".5",
        "0,125": ".125",
        "5 Millionen": "5000000",
        "1,5 Mio. Euro": "1500000",
        "2 Mrd.": "2000000000",
        "1 Billion": "1000000000000",
        "12 345,6 km": "12345.6",
        "3,5·10^3": "3500",
        "1,5e3": "1500",
        "1 1/2": "3/2",
    },
    "fr": {
        "1 234,5": "1234.5",
        "1\u202f234": "1234",
        "3,5": "3.5",
        "2 milliards": "2000000000",
        "1.234.567": "1234567",
        "moins 5": "-5",
        "La réponse est moins 3,5": "-3.5",
        "au moins 5": "5",
        "5 milliers": "5000",
    },
    "it": {"3 mln": "3000000", "2,5 mld": "2500000000", "è meno 5": "-5"},
    "nl": {"3 mln": "3000000", "2 miljard": "2000000000"},
    "sv": {"5 miljoner": "5000000", "2,5 miljarder kr": "2500000000", "är minus 5": "-5"},
    "da": {"3 mio.": "3000000", "2 milliarder": "2000000000"},
    "nb": {"3 millioner": "3000000", "2 tusen": "2000"},
    "pl": {"5 milionów": "5000000", "2,5 mld zł": "2500000000", "3 tys. zł": "3000", "2 tysiące": "2000"},
    "cs": {"5 milionů": "5000000", "2 tisíce": "2000"},
    "tr": {"5 milyon": "5000000", "3 bin": "3000"},
    "id": {"5 juta": "5000000", "3 ribu": "3000"},
    "vi": {"5 triệu": "5000000", "2 tỷ": "2000000000"},
    "uk": {"5 мільйонів": "5000000", "3 тис.": "3000"},
    "es": {
        "1.234,5": "1234.5",
        "3 mil": "3000",
        "2 mil millones": "2000000000",
        "5 millones": "5000000",
        "menos 5": "-5",
    },
    "ru": {"минус 5": "-5", "равно минус 5": "-5", "1 234,5": "1234.5", "5 млн": "5000000", "3 тысячи": "3000"},
    "zh": {
        "3.5万": "35000",
        "3千": "3000",
        "5百万": "5000000",
        "1,234万": "12340000",
        "1.2亿": "120000000",
        "10万亿": "10000000000000",
        "1亿2000万": "120000000",
        "2万5千": "25000",
        "3万5": "35000",
        "3万5000": "35000",
        "5千克": "5",
        "4.2千米": "4.2",
        "三万五千": "35000",
        "三万五": "35000",
        "一百二": "120",
        "一百零二": "102",
        "一百一十五": "115",
        "一亿二千万": "120000000",
        "三千万亿": "3000000000000000",
        "八亿五千三百万": "853000000",
        "二〇二四年": "2024",
        "十": "10",
        "两千零四": "2004",
        "壹万贰仟": "12000",
        "叁拾伍": "35",
        "三萬五千": "35000",
        "负十二": "-12",
        "零下五度": "-5",
        "零下5度": "-5",
        "三点五": "3.5",
        "一点五": "1.5",
        "五分之三": "3/5",
        "－５": "-5",
        "答案是３５": "35",
        "1，234": "1234",
        "一定是三个": "3",
    },
    "ja": {"３万５千": "35000", "三千円": "3000", "1,234": "1234", "マイナス5": "-5", "答えはマイナス5です": "-5"},
    "ko": {"영하 5도": "-5", "3만 5천": "35000", "2억": "200000000"},
}
MORE = {
    "en": {
        "Rs.500": "500",
        "EUR5": "5",
        "-₿5": "-5",
        "1⁄2": "1/2",
        "1∕2": "1/2",
        "5 thousands": "5000",
        "$3 mn": "3000000",
        "\\frac34": "3/4",
        "-\\frac{3}{4}": "-3/4",
        "\\dfrac{-3}{4}": "-3/4",
        "3 \\frac{1}{4}": "13/4",
    },
    "de": {"CHF1’234.50": "1234.5", "5 Tsd.": "5000"},
    "sv": {"kr500": "500"},
    "id": {"Rp1.500.000": "1500000"},
    "tr": {"-₺5": "-5"},
    "ar": {
        "٣٫٥": "3.5",
        "١٬٢٣٤٫٥": "1234.5",
        "-٣٫٥": "-3.5",
        "3.5 مليون": "3500000",
        "3 آلاف": "3000",
    },
    "fa": {"۳٫۵": "3.5", "۲ هزار": "2000"},
    "he": {"3 מיליון": "3000000"},
    "hi": {"5 लाख": "500000", "५ करोड़": "50000000", "5 हज़ार": "5000", "2.5 lakh": "250000"},
    "bn": {"৫ লাখ": "500000"},
    "th": {"5 ล้านบาท": "5000000", "3 พัน": "3000", "2 แสนล้าน": "200000000000"},
    "ja": {
        "千五百": "1500",
        "百": "100",
        "三千百五十": "3150",
        "三百二": "302",
        "三万五": "30005",
        "2兆円": "2000000000000",
    },
    "ko": {"2조": "2000000000000", "5천만": "50000000"},
    "ro": {"3 milioane": "3000000"},
    "hu": {"3 millió": "3000000"},
    "fi": {"3 miljoonaa": "3000000"},
    "el": {"3 εκατομμύρια": "3000000"},
}
PERCENTAGES = {
    "zh": "百分之25",
    "tr": "%25",
    "ar": "٪٢٥",
    "fa": "۲۵ درصد",
    "hi": "25 प्रतिशत",
    "th": "ร้อยละ 25",
    "ja": "25パーセント",
    "ko": "25퍼센트",
    "he": "25 אחוזים",
}
UNREAD = {
    "en": [
        "3,5",
        "1 234",
        "100 200",
        "5 100 m",
        "0,5",
        "1,2,3",
        "12,3456",
        "0,500",
        "1.2.3",
        "192.168.0.1",
        "3:00",
        "10:30:15",
        "16:9",
        "2024-05-01",
        "1/2/2020",
    ],
    "de": ["1,2,3", "3.5.2024", "1,234,5", "12:30"],
    "fr": ["1.234"],
    "ru": ["1.234"],
    "zh": ["3,5", "5兆", "三四个", "百万富翁", "3:00"],
}
UNREAD["en"] += ["1/0", "3/4/5", "√2", "\\sqrt{2}", "3π", "2\\pi", "9" * 41, "10^99999", "1,234.5.6"]
NONE = [
    "",
    "no",
    "CO2",
    "H₂O",
    "A1",
    "v2",
    "m²",
    "x_1",
    "twelve",
    "一定",
    "十分好",
    "大陆",
    "千万别",
    "統一",
    "唯一",
    "万一",
]


@pytest.mark.parametrize(
    ("language", "text", "value"), [(lang, text, value) for lang, all_ in READ.items() for text, value in all_.items()]
)
def test_a_number_is_read_as_its_language_writes_it(language, text, value):
    assert number(text, -1, language)[:1] == (Fraction(value),)
    assert grade(text, f"{Fraction(value).numerator}/{Fraction(value).denominator}", language=language).score == 1


@pytest.mark.parametrize(("language", "text"), [(lang, text) for lang, texts in UNREAD.items() for text in texts])
def test_what_can_be_read_in_several_ways_is_not_guessed(language, text):
    found = numbers(text, language)
    assert found[-1].readings == ()
    digits = re.findall(r"\d+", text)
    for guess in {*digits, "".join(digits)} - {text}:
        wrong = grade(text, guess, language=language)
        assert wrong.score == 0
        assert wrong.note
    assert grade(text, text, language=language).score == 1  # such a target is compared as text


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_number(text):
    assert numbers(text, "zh") == []


def test_every_language_reads_what_it_writes():
    values = [Fraction(n, 100) for n in (5, 99, 350, 123456, 99999999, 123456789, 100000000)]
    for language in ("en", "zh", *sorted(COMMA)):
        mark, groups = (",", (" ", "\u202f", "'")) if language in COMMA else (".", (",", "\u202f", "'"))
        for value in values:
            whole_, cents = divmod(value.numerator * (100 // value.denominator), 100)
            for group in groups:
                text = f"{whole_:,}".replace(",", group) + f"{mark}{cents:02d}"
                assert number(f"= {text} kg", -1, language) == (value,), (language, text)


def test_chinese_numerals_against_an_independent_writer():
    digits = "零一二三四五六七八九"

    def below_myriad(n):
        text, zero = "", False
        for unit, size in (("千", 1000), ("百", 100), ("十", 10), ("", 1)):
            d, n = divmod(n, size)
            if d:
                text += ("零" if zero and text else "") + digits[d] + unit
                zero = False
            else:
                zero = True
        return text

    def written(n):
        text = ""
        for unit, size in (("亿", 10**8), ("万", 10**4), ("", 1)):
            part, n = divmod(n, size)
            if part:
                text += ("零" if text and part < 1000 else "") + below_myriad(part) + unit
        return text

    for n in [
        *range(1, 2000, 7),
        *range(10**4, 10**6, 7919),
        *range(10**7, 10**9, 12345679),
        10**4,
        10**8,
        20004,
        30050,
    ]:
        assert value_of(written(n)) == n, written(n)


@pytest.mark.parametrize(("language", "text", "value"), [(k, t, v) for k, row in MORE.items() for t, v in row.items()])
def test_marks_money_and_sizes_of_more_languages(language, text, value):
    assert number(text, -1, language) == (Fraction(value),)


@pytest.mark.parametrize(("language", "text"), PERCENTAGES.items())
def test_percentages_of_more_languages_have_two_readings(language, text):
    assert number(text, -1, language) == (Fraction(25), Fraction(1, 4))


def test_one_in_a_thousand_has_two_readings():
    assert number("5‰", -1) == (Fraction(5), Fraction(1, 200))


@pytest.mark.parametrize(("language", "text"), [("zh", "2兆"), ("zh", "二兆"), ("zh", "千五百"), ("ar", "٣،٥")])
def test_what_is_read_in_one_language_is_not_guessed_in_another(language, text):
    assert number(text, -1, language) == ()


def test_percentages_have_two_readings():
    for text in ("25%", "25 %", "25％", "25\\%", "25 percent", "百分之二十五"):
        assert number(text, -1) == (Fraction(25), Fraction(1, 4))


def test_the_place_asked_for_decides():
    assert grade("3,5 or 7", "7").score == 1
    assert grade("7 or 3,5", "7").score == 0
    assert "'3,5'" in grade("7 or 3,5", "7").note
    assert grade("7 or 3,5", "7", which="first").score == 1
    assert decimal("1,5", "en") is None


def test_the_language_is_a_code():
    with pytest.raises(SpecError, match="german"):
        grade("1", "1", language="german")


def test_targets_that_the_language_cannot_read_are_doubted():
    assert doubts({}, ["5", "Friday", "1,234.5"]) == ""
    assert "2 of 3 targets" in doubts({}, ["3,5", "5", "16,00 €"])
    assert doubts({"language": "de"}, ["3,5", "5", "16,00 €"]) == ""
    assert "'5,600'" in doubts({"language": "de"}, ["5", "5,600"])  # 5.6, or 5600 as in MGSM
    assert doubts({"language": "de"}, ["5,600", "3,5"]) == ""
    assert doubts({"language": "de", "targets": "en"}, ["5,600"]) == ""


def test_targets_may_be_written_as_in_another_language():
    assert grade("5.600 Euro", "5,600", language="de", targets="en").score == 1
    assert grade("5.600 Euro", "5,600", language="de").score == 0
    assert grade("5,6 Euro", "5,600", language="de").score == 1


@pytest.mark.data
def test_answers_of_gsm8k_are_those_of_its_own_pattern(data_root):
    with lzma.open(data_root / "probes" / "gsm8k" / "test.jsonl.xz", "rt", encoding="utf-8") as file:
        answers = [json.loads(line)["answer"] for line in file]
    for answer in answers:
        gold = re.search(r"#### (-?[0-9.,]+)", answer).group(1).replace(",", "")
        assert number(answer, -1) == (Fraction(gold),)
