"""Chinese numerals, alone (三万五千, 百分之五, 三点五) and after figures (3.5万, 1亿2000万)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2}
UNITS = {"十": 10, "百": 100, "千": 1000}
MYRIADS = {"万": 10**4, "亿": 10**8}
TRILLION = {"兆": 10**12}  # in Japanese and Korean; in Chinese a million or a million millions
WHOLE_SIZES = frozenset({"ja", "ko"})
SAME = str.maketrans("〇萬億兩負點", "零万亿两负点")
FINANCIAL = str.maketrans("壹贰叁肆伍陆柒捌玖拾佰仟貳參陸", "一二三四五六七八九十百千二三六")
# Alone these characters are words of another meaning (大陆, 收拾).
IN_CHEQUES = re.compile("[壹贰叁肆伍陆柒捌玖拾佰仟貳參陸万亿零]{2,}")
KOREAN = str.maketrans("만억조천백", "万亿兆千百")
ALL = "".join([*DIGITS, *UNITS, *MYRIADS, *TRILLION])
MOST = 20  # characters of a numeral
UNIT = "(?:(?!千[克米瓦卡赫帕焦伏安升字比])[十百千万亿兆]){1,3}"  # 5千克 is five kilograms: 千 is a part of the unit
MIXED = re.compile(
    rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,20}})(?:\.\d{{1,20}})?\s?{UNIT}(?:\d{{1,8}}{UNIT})*(?:\d{{1,8}}(?![\d.,/:%]))?"
)
NUMERAL = re.compile(
    rf"(?P<sign>负?)(?P<share>百分之)?(?P<value>[{ALL}]+)(?:分之(?P<over>[{ALL}]+)|点(?P<part>[{ALL}]+))?"
)
# 一定 (certainly), 十分 (very), 万一 (in case), ...: words, not numbers.
NO_NUMBERS = re.compile(
    rf"(?<![{ALL}])(?:一(?:[定起样直些般旦切共下边致向旁律面时味再概同贯路举]|点(?![{ALL}]))|十分(?!之)|万一|千万)|[统統唯]一"
)


def plain(text: str) -> str:
    """Return a text with one form of each numeral (traditional, of cheques, Korean), and -5 for 零下5 and 负5."""
    text = re.sub(r"(?<=[만억천])\s(?=\d)", "", text)
    text = re.sub(r"(?<=\d)\s?[만억조천백]+", lambda m: m.group().translate(KOREAN), text.translate(SAME))
    text = IN_CHEQUES.sub(lambda m: m.group().translate(FINANCIAL), text)
    return re.sub(r"(?:零下|负)(?=[\d.])", "-", text).replace("零下", "负")


def numerals(text: str, language: str = "zh") -> Iterator[tuple[str, tuple[Fraction, ...]]]:
    """Yield the numerals of a text in order, each with its readings; no readings where it is not one certain number.

    Example:
        >>> [str(values[0]) for _, values in numerals("三万五千，百分之五，三点五，五分之三")]
        ['35000', '5', '7/2', '3/5']
    """
    for found in NUMERAL.finditer(NO_NUMBERS.sub(lambda m: " " * len(m.group()), text)):
        value = value_of(found["value"], language)
        if found["over"]:
            over = value_of(found["over"], language)
            value = over / value if value and over is not None else None
        elif found["part"]:
            value = _with_part(value, found["part"])
        if value is None:
            yield found.group(), ()
            continue
        value = -value if found["sign"] else value
        yield found.group(), (value, value / 100) if found["share"] else (value,)


def _with_part(value: Fraction | None, part: str) -> Fraction | None:
    if value is None or not all(c in DIGITS for c in part):
        return None
    return value + Fraction(int("".join(str(DIGITS[c]) for c in part)), 10 ** len(part))


def value_of(numeral: str, language: str = "zh") -> Fraction | None:
    """Return the value of a numeral; None where it is not well formed (三四 is "three or four").

    Japanese writes 千五百 for 1,500, and its 三百二 is 302 where that of Chinese is short for 320.

    Example:
        >>> int(value_of("一亿二千万")), int(value_of("二零二四")), value_of("三四")
        (120000000, 2024, None)
        >>> int(value_of("千五百", "ja")), value_of("千五百"), int(value_of("三百二", "ja")), int(value_of("三百二"))
        (1500, None, 302, 320)
    """
    if len(numeral) > MOST:
        return None
    if all(c in DIGITS for c in numeral):
        alone = len(numeral) != 2 or "零" in numeral
        return Fraction(int("".join(str(DIGITS[c]) for c in numeral))) if alone else None
    return _summed([Fraction(DIGITS[c]) if c in DIGITS else c for c in numeral], language)


def mixed(text: str, language: str = "zh") -> Fraction | None:
    """Return the value of figures with Chinese units.

    Example:
        >>> int(mixed("3.5万")), int(mixed("1亿2000万")), int(mixed("3万5")), int(mixed("3万5000"))
        (35000, 120000000, 35000, 35000)
    """
    figures = re.findall(r"\d+(?:\.\d+)?|[^\d\s]", text.replace(",", ""))
    return _summed([Fraction(p) if p[0].isdigit() else p for p in figures], language)


def _summed(parts: list[Fraction | str], language: str) -> Fraction | None:
    """Return the sum of digits and units, from the left.

    None where two digits meet, where nothing stands before 百 and beyond (in Chinese), or where a size is not agreed
    on (兆 in Chinese).
    """
    bare = UNITS if language == "ja" else ("十",)
    sizes = MYRIADS | (TRILLION if language in WHOLE_SIZES else {})
    total = section = Fraction(0)
    digit: Fraction | None = None
    size = 0  # of the last 万 or 亿
    for part in parts:
        if isinstance(part, Fraction):
            if digit:  # 零 may stand before a digit
                return None
            digit = part
        elif part in UNITS:
            if not digit and (part not in bare or section % (10 * UNITS[part])):
                return None
            section, digit = section + (digit or 1) * UNITS[part], None
        elif part in sizes and (section or digit or total):
            count, above = section + (digit or 0), sizes[part] > size > 0
            total = (total + count) * sizes[part] if above else total + count * sizes[part]
            section, digit, size = Fraction(0), None, sizes[part]
        else:
            return None
    return total + section + (digit or 0 if language in WHOLE_SIZES else _last(parts, digit))


def _last(parts: list[Fraction | str], digit: Fraction | None) -> Fraction:
    """Return what the last digit counts in Chinese: 三万五 is 35,000, 三万零五 is 30,005."""
    before = parts[-2] if len(parts) > 1 else ""
    short = digit is not None and 0 < digit < 10 and isinstance(before, str) and before not in ("", "十")
    return (digit or Fraction(0)) * ((UNITS | MYRIADS | TRILLION)[str(before)] // 10 if short else 1)
