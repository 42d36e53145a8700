"""Abilities answered in free text: following an instruction, copying and reversing, simple code."""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator

from clbench.data.worlds import lexicon
from clbench.data.worlds.ability_scenes import Scene, Turn, between, draw, pick
from clbench.data.worlds.lexicon import Language

SIMPLE = ("colour", "animal", "object", "food", "material")
COUNT_ZH = {2: "两", 3: "三", 4: "四"}
COUNT_EN = {2: "two", 3: "three", 4: "four"}


def simple_words(lang: Language) -> tuple[str, ...]:
    """Return the plain nouns and adjectives that text abilities play with."""
    return tuple(w for kind in SIMPLE for w in lexicon.words(kind, lang))


def some_words(rng: Generator, lang: Language, num: int) -> list[str]:
    """Return different words drawn at random, now and then with a nonsense name among them."""
    found = draw(rng, simple_words(lang), num)
    if rng.random() < 0.25:
        found[between(rng, 0, num - 1)] = lexicon.name(rng, lang)
    return found


def _brackets(rng: Generator, lang: Language) -> tuple[str, str, str]:
    word = some_words(rng, lang, 1)[0]
    name_en, name_zh, left, right = pick(
        rng, (("round", "圆", "(", ")"), ("square", "方", "[", "]"), ("curly", "花", "{", "}"))
    )
    ask = f"Put {word} in {name_en} brackets." if lang == "en" else f"把{word}放进{name_zh}括号里。"
    return ask, f"{left}{word}{right}", name_en


def _times(rng: Generator, lang: Language) -> tuple[str, str, str]:
    word, count = some_words(rng, lang, 1)[0], between(rng, 2, 4)
    ask = f"Write {word} {COUNT_EN[count]} times." if lang == "en" else f"把{word}写{COUNT_ZH[count]}遍。"
    return ask, " ".join([word] * count), str(count)


def _stars(rng: Generator, lang: Language) -> tuple[str, str, str]:
    word, count = some_words(rng, lang, 1)[0], between(rng, 2, 4)
    ask = (
        f"Write {word} and then {COUNT_EN[count]} stars."
        if lang == "en"
        else f"写{word}，后面加{COUNT_ZH[count]}个星号。"
    )
    return ask, " ".join([word] + ["*"] * count), str(count)


def _place(rng: Generator, lang: Language) -> tuple[str, str, str]:
    words = some_words(rng, lang, between(rng, 3, 5))
    en, zh, index = pick(rng, (("first", "第一", 0), ("second", "第二", 1), ("last", "最后一", -1)))
    listed = " ".join(words)
    ask = f"Write only the {en} word: {listed}" if lang == "en" else f"只写{zh}个词：{listed}"
    return ask, words[index], en


def _join(rng: Generator, lang: Language) -> tuple[str, str, str]:
    words = some_words(rng, lang, between(rng, 2, 3))
    en, zh, sign = pick(rng, (("dashes", "横线", "-"), ("plus signs", "加号", "+"), ("slashes", "斜线", "/")))
    listed = " ".join(words)
    ask = f"Join the words with {en}: {listed}" if lang == "en" else f"用{zh}把词连起来：{listed}"
    return ask, sign.join(words), en


def _capitals(rng: Generator, lang: Language) -> tuple[str, str, str]:
    letters = draw(rng, lexicon.LETTERS, between(rng, 2, 4))
    listed = " ".join(letters).lower()
    ask = f"Write in capitals: {listed}" if lang == "en" else f"写成大写：{listed}"
    return ask, " ".join(letters), "capitals"


Instruction = Callable[[Generator, Language], tuple[str, str, str]]
INSTRUCTIONS: dict[str, Instruction] = {
    "brackets": _brackets,
    "times": _times,
    "stars": _stars,
    "place": _place,
    "join": _join,
    "capitals": _capitals,
}


def instruction(rng: Generator, lang: Language, level: float) -> Scene:
    """Return instructions whose answers can be checked exactly."""
    del level
    turns: list[Turn] = []
    for _ in range(6):
        kind = pick(rng, tuple(INSTRUCTIONS))
        ask, answer, variant = INSTRUCTIONS[kind](rng, lang)
        key = f"{kind} {variant} {answer}" if kind != "place" else f"{kind} {variant} {ask}"
        turns.append(Turn(ask, answer, key))
    return Scene("", tuple(turns))


def copy_reverse(rng: Generator, lang: Language, level: float) -> Scene:
    """Return lists of words to be written again, forwards or backwards."""
    turns: list[Turn] = []
    for _ in range(5):
        words = some_words(rng, lang, between(rng, 2, 3 if level < 0.1 else 5))
        listed = " ".join(words)
        if rng.random() < 0.5:
            ask, answer = (f"Copy: {listed}" if lang == "en" else f"照着写：{listed}"), listed
        else:
            ask = f"Reverse: {listed}" if lang == "en" else f"倒着写：{listed}"
            answer = " ".join(reversed(words))
        turns.append(Turn(ask, answer, f"{sorted(words)}"))
    return Scene("", tuple(turns))


def _assign(rng: Generator, lang: Language) -> tuple[str, str]:
    num = between(rng, 2, 4)
    variables, words = draw(rng, "abcdefghxyz", num), draw(rng, simple_words(lang), num)
    lines = [f'{v} = "{w}"' for v, w in zip(variables, words, strict=True)]
    chosen = between(rng, 0, num - 1)
    return "\n".join([*lines, f"print({variables[chosen]})"]), words[chosen]


def _alias(rng: Generator, lang: Language) -> tuple[str, str]:
    first, second, third = draw(rng, "abcdefghxyz", 3)
    one, two = draw(rng, simple_words(lang), 2)
    source, answer = pick(rng, ((first, one), (second, two)))
    return f'{first} = "{one}"\n{second} = "{two}"\n{third} = {source}\nprint({third})', answer


def _index(rng: Generator, lang: Language) -> tuple[str, str]:
    words = draw(rng, simple_words(lang), between(rng, 2, 4))
    listed, chosen = ", ".join(f'"{w}"' for w in words), between(rng, 0, len(words) - 1)
    return f"a = [{listed}]\nprint(a[{chosen}])", words[chosen]


def _repeat(rng: Generator, lang: Language) -> tuple[str, str]:
    word, count = pick(rng, simple_words(lang)), between(rng, 2, 4)
    return f'print("{word}" * {count})', word * count


def _close(rng: Generator, lang: Language) -> tuple[str, str]:
    del lang
    pairs = {"(": ")", "[": "]", "{": "}"}
    openings = [pick(rng, tuple(pairs)) for _ in range(between(rng, 2, 5))]
    return "close: " + " ".join(openings), " ".join(pairs[o] for o in reversed(openings))


PROGRAMS: dict[str, Callable[[Generator, Language], tuple[str, str]]] = {
    "assign": _assign,
    "alias": _alias,
    "index": _index,
    "repeat": _repeat,
    "close": _close,
}


def code(rng: Generator, lang: Language, level: float) -> Scene:
    """Return very short programs; the answer is what they print, or the missing brackets."""
    del level
    turns: list[Turn] = []
    for _ in range(4):
        kind = pick(rng, tuple(PROGRAMS))
        program, answer = PROGRAMS[kind](rng, lang)
        turns.append(Turn(program, answer, program))
    return Scene("", tuple(turns))
