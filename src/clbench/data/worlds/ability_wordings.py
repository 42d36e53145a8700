"""Wordings of what is shown and asked in lookups: whole ones of the worlds, many composed ones, and some held out.

Held-out wordings stand in exams alone. Parts of them may stand in others: "Which colour does Zanmir have?" is never
trained on, "What colour does Zanmir have?" is.
"""

from __future__ import annotations

from numpy.random import Generator

from clbench.data.worlds import facts, rules
from clbench.data.worlds.ability_reading import ASK_FORMS, FACT_FORMS
from clbench.data.worlds.ability_scenes import pick
from clbench.data.worlds.lexicon import LANGUAGES, Language

Wordings = dict[Language, tuple[str, ...]]
TRAINED = 3  # wordings of a lesson that pretraining holds; more would change the shipped models' recipe
NOT_STATED: dict[Language, str] = {"en": "not in the text", "zh": "文中没有"}

PHRASES: Wordings = {
    "en": ("the {relation} of {name}", "{name}'s {relation}", "the {relation} that {name} has"),
    "zh": ("{name}的{relation}", "{name}的那个{relation}", "{name}有的{relation}"),
}
# What a phrase is put into.
OPENINGS: Wordings = {
    "en": tuple(
        """What is {}?|Tell me {}.|Say {}.|Name {}.|Give {}.|State {}.|Do you know {}?|I want to know {}.|{}?|
        {} is what?|{} is|
        Now {}?|Please say {}.|Look up {}.|Find {}.|And {}?|What about {}?|Write {}.|What was {}?|Read {}.|{}:|
        Which is {}?|I ask for {}.|Here, what is {}?|So what is {}?""".replace("\n        ", "").split("|")
    ),
    "zh": tuple(
        """{}是什么?|请说出{}。|{}?|请问{}是什么?|告诉我{}。|{}是哪个?|{}为?|说说{}。|{}是|我想知道{}。|你知道{}吗?|写出{}。|
        请看,{}是什么?|{}呢?|那么{}是什么?|{}:|哪个是{}?|请回答{}。|{}叫什么?|找出{}。|现在{}是什么?|{}是多少?|
        看看{}。|{}到底是什么?""".replace("\n        ", "").split("|")
    ),
}
CLAUSES: Wordings = {
    "en": tuple(
        """{name} has which {relation}?|{name} has what {relation}?|What {relation} does {name} have?|
        What {relation} has {name}?|Which {relation} has {name}?|Which {relation} belongs to {name}?|
        For {name}, which {relation}?|For {name}, what is the {relation}?|{name}: {relation}?|{name}: which {relation}?|
        {relation} of {name}?|{relation} of {name} =|{name} {relation} =|{name}, {relation}?|{relation}, {name}?|
        {relation}: {name}?|What does {name} have as {relation}?|As {relation}, what does {name} have?|
        About {name}: what {relation}?|With {name}, what is the {relation}?|Take {name}. Which {relation}?|
        See {name}: the {relation}?|Say which {relation} {name} has.|Tell me what {relation} {name} has.|
        The {relation} is what for {name}?|Of {name}, say the {relation}.|Which {relation} is that of {name}?|
        Which {relation} did {name} have?|Now which {relation} for {name}?|{name}? Which {relation} is it?""".replace(
            "\n        ", ""
        ).split("|")
    ),
    "zh": tuple(
        """{name}有什么{relation}?|{name}有哪个{relation}?|{name}是什么{relation}?|{relation}:{name}?|
        {name},{relation}?|{name},{relation}是什么?|对{name},{relation}是什么?|{name}:{relation}?|
        {name}的{relation},是什么?|什么{relation}是{name}的?|哪个{relation}是{name}的?|{relation}是什么,{name}的?|
        看{name},说出{relation}。|{name}用什么{relation}?|{name}:什么{relation}?|请看{name}。{relation}是什么?|
        {name}{relation}=|{name}的{relation}=|{relation}、{name}?|说出{relation},{name}的。|什么{relation}属于{name}?|
        什么,{name}的{relation}?|{name}?{relation}是哪个?|什么是{relation},对{name}?|问什么是{name}有的{relation}。""".replace(
            "\n        ", ""
        ).split("|")
    ),
}
BEFORE: Wordings = {
    "en": ("Question: ", "Q: ", "Please: ", "Now: ", "Next: ", "Read and say: ", "One question. "),
    "zh": ("问:", "问题:", "请问", "现在,", "请回答:", "看上文。", "再问:"),
}
AFTER: Wordings = {
    "en": (" Answer:", "\nAnswer:", " Say only that.", " One word.", " Look above."),
    "zh": ("答:", "\n答案:", "只说这个。", "请简短回答。", "看上文。"),
}
RESTATE: Wordings = {
    "en": ("Say it all again.", "List all that is known.", "Write all in another order."),
    "zh": ("全部再说一遍。", "列出知道的事。", "换个次序全部写出。"),
}
IN_A_SENTENCE: dict[Language, str] = {"en": " Say it in a sentence.", "zh": "请说完整的句子。"}
HELD_OUT: Wordings = {
    "en": (facts.HELD_OUT["en"][0], "Can you say what {relation} it is that {name} has?"),
    "zh": (facts.HELD_OUT["zh"][0], "{name}有的是什么{relation}?"),
}
WHOLE: Wordings = {
    lang: tuple(
        dict.fromkeys([*facts.TAUGHT[lang][:TRAINED], *(f.replace("{rel}", "{relation}") for f in ASK_FORMS[lang])])
    )
    for lang in LANGUAGES
}
STATED: Wordings = {
    lang: tuple(dict.fromkeys([facts.SENTENCE[lang], *(f.replace("{rel}", "{relation}") for f in FACT_FORMS[lang])]))
    for lang in LANGUAGES
}
SAID: Wordings = {
    "en": (
        *STATED["en"],
        "{name} has {value} as {relation}.",
        "{name}: the {relation} is {value}.",
        "For {name}, the {relation} is {value}.",
        "As {relation}, {name} has {value}.",
        "The {relation} that {name} has is {value}.",
        "Of {name} the {relation} is {value}.",
        "{name} has {relation}: {value}.",
        "The {relation} of {name}: {value}.",
        "{name}, {relation} {value}.",
    ),
    "zh": (
        *STATED["zh"],
        "{name},{relation}是{value}。",
        "{name}的{relation}:{value}。",
        "对{name},{relation}是{value}。",
        "{name}有{relation}{value}。",
        "{name}的{relation}就是{value}。",
        "{relation}方面,{name}是{value}。",
        "{name}:{relation}{value}。",
        "知道{name}的{relation}是{value}。",
    ),
}
RULE_ASKED: Wordings = {
    "en": (
        *rules.TAUGHT["en"][:TRAINED],
        "Code {code}: which gate for {size} {colour} {material} goods?",
        "{size} {colour} {material} goods: which gate by code {code}?",
        "{colour} goods of {material}, {size}. Which gate has code {code}?",
        "By code {code}: {material}, {colour}, {size}. Where?",
        "{size} goods of {colour} {material} come. Where do they go by code {code}?",
        "Goods of {material} are {size} and {colour}. Code {code} says which gate?",
        "{size} {colour} goods, {material}. What gate does code {code} say?",
        "Which gate of code {code} is for {colour} {size} goods of {material}?",
    ),
    "zh": (
        *rules.TAUGHT["zh"][:TRAINED],
        "规则{code}:{colour}的{material}东西,{size},去哪个门?",
        "{size}的{colour}东西,{material}的,按规则{code}去哪里?",
        "有{colour}的{material}东西,{size}。按规则{code},是哪个门?",
        "按规则{code}:{material},{colour},{size}。哪里?",
        "{material}的东西来了,{size},{colour}。规则{code}是哪个门?",
        "规则{code}说{size}、{colour}、{material}去哪个门?",
    ),
}
RULE_HELD_OUT: Wordings = {lang: (rules.HELD_OUT[lang][0],) for lang in LANGUAGES}
RULE_SAID: Wordings = {
    "en": (
        rules.SENTENCE["en"],
        rules.SENTENCE["en"],
        "By code {code}, {what} goods go to {gate}.",
        "Code {code}: {what} goods, gate {gate}.",
        "In code {code} the gate of {what} goods is {gate}.",
    ),
    "zh": (
        rules.SENTENCE["zh"],
        rules.SENTENCE["zh"],
        "按规则{code},{what}的东西去{gate}。",
        "规则{code}:{what}的东西,门是{gate}。",
        "规则{code}说{what}的东西去{gate}。",
    ),
}
HEADINGS: Wordings = {
    "en": ("Notes:", "Text:", "Facts:", "Read this.", "What is known:"),
    "zh": ("Notes:", "文章:", "笔记:", "请看:", "知道的事:"),
}
FILLERS: Wordings = {
    "en": (
        "There is {weather} in the {place}.",
        "A {animal} is near the {object}.",
        "{other} sees the {animal}.",
        "{other} goes to the {place}.",
        "The {object} is by the {place}.",
        "{other} and {another} have {food}.",
    ),
    "zh": (
        "{place}有{weather}。",
        "{animal}在{object}边上。",
        "{other}看见{animal}。",
        "{other}去{place}。",
        "{object}在{place}。",
        "{other}和{another}有{food}。",
    ),
}


def asked(rng: Generator, lang: Language, held_out: bool) -> str:
    """Return a wording of a question with the fields `name` and `relation`.

    Args:
        rng: The generator.
        lang: The language.
        held_out: A wording that no training holds; else one that exams share with training, whole.
    """
    return pick(rng, (HELD_OUT if held_out else WHOLE)[lang])


def composed(rng: Generator, lang: Language) -> str:
    """Return a wording put together of parts, for training: a third are whole wordings of the worlds."""
    drawn = rng.random()
    if drawn < 0.3:
        return pick(rng, WHOLE[lang])
    text = pick(rng, CLAUSES[lang]) if drawn < 0.65 else pick(rng, OPENINGS[lang]).format(pick(rng, PHRASES[lang]))
    if rng.random() < 0.15 and text[-1] in "?.。":
        text = text[:-1]
    if rng.random() < 0.15:
        text = pick(rng, BEFORE[lang]) + text
    elif rng.random() < 0.3 and lang == "en":
        text = text[0].upper() + text[1:]
    if rng.random() < 0.12:
        text += pick(rng, AFTER[lang])
    return text.replace("?", "？") if lang == "zh" and rng.random() < 0.3 else text
