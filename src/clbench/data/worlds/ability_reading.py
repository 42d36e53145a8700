"""Abilities that look things up in the prompt: recall of pairs, reading documents, Chinese."""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator

from clbench.data.worlds import lexicon
from clbench.data.worlds.ability_scenes import Scene, Turn, between, draw, pick
from clbench.data.worlds.lexicon import Language

# Relations whose values come from a closed list, so that they can be asked with choices.
CLOSED: dict[str, str] = {
    "colour": "colour",
    "job": "job",
    "home": "place",
    "pet": "animal",
    "food": "food",
    "tool": "object",
    "material": "material",
    "size": "size",
}
FACT_FORMS: dict[Language, tuple[str, ...]] = {
    "en": ("The {rel} of {name} is {value}.", "{name} has the {rel} {value}.", "{name}'s {rel} is {value}."),
    "zh": ("{name}的{rel}是{value}。", "{name}有一个{rel}，是{value}。", "{name}的{rel}为{value}。"),
}
ASK_FORMS: dict[Language, tuple[str, ...]] = {
    "en": ("What is the {rel} of {name}?", "{name}'s {rel}?", "Question: what {rel} does {name} have?"),
    "zh": ("{name}的{rel}是什么？", "问：{name}的{rel}？", "请问{name}有什么{rel}？"),
}
RECALL_KINDS = ("animal", "object", "food")
MOST_PAIRS = 50_000


def recall(rng: Generator, lang: Language, level: float) -> Scene:
    """Return a list of pairs and questions for values: 4 to 8 pairs at first, up to 32 later."""
    sizes = (
        (2, 3, 4)
        if level < 0.08
        else (4, 6, 8)
        if level < 0.2
        else (4, 8, 8, 16, 24)
        if level < 0.4
        else (4, 8, 16, 32)
    )
    keys = lexicon.CHARACTERS if lang == "zh" else tuple(w for k in RECALL_KINDS for w in lexicon.words(k, "en"))
    chosen = draw(rng, keys, pick(rng, sizes))
    choices = lexicon.words("colour", lang)
    values = [pick(rng, choices) for _ in chosen]
    document = "\n".join(f"{k}={v}" for k, v in zip(chosen, values, strict=True))
    turns = tuple(Turn(f"{chosen[i]}=?", values[i], document, choices) for i in rng.permutation(len(chosen)).tolist())
    return Scene(document, turns)


def long_recall(rng: Generator, lang: Language, num: int) -> Scene:
    """Return a list of `num` pairs, in 1..`MOST_PAIRS`, and a question for one value: recall at any length.

    A pair is about four tokens of a vocabulary that knows the words. Lists that outgrow the words have nonsense names
    of two syllables or characters for keys, about two tokens more, and three where they outgrow those too.
    """
    words = lexicon.CHARACTERS if lang == "zh" else tuple(w for k in RECALL_KINDS for w in lexicon.words(k, "en"))
    chosen = draw(rng, words, num) if num <= len(words) else _names(rng, lang, num)
    choices = lexicon.words("colour", lang)
    values = [choices[i] for i in rng.integers(len(choices), size=num).tolist()]
    document = "\n".join(f"{k}={v}" for k, v in zip(chosen, values, strict=True))
    asked = between(rng, 0, num - 1)
    return Scene(document, (Turn(f"{chosen[asked]}=?", values[asked], document, choices),))


def _names(rng: Generator, lang: Language, num: int) -> list[str]:
    """Return distinct names of two different parts, or of three if there are not enough of those."""
    parts = lexicon.CHARACTERS if lang == "zh" else lexicon.SYLLABLES
    of_two = len(parts) * (len(parts) - 1)
    more = 1 if num <= of_two else len(parts)
    chosen = rng.choice(of_two * more, size=num, replace=False).tolist()
    found: list[str] = []
    for place in chosen:
        pair, third = divmod(place, more)
        first, second = divmod(pair, len(parts) - 1)
        found.append(parts[first] + parts[second + (second >= first)] + (parts[third] if more > 1 else ""))
    return found if lang == "zh" else [name.capitalize() for name in found]


def knowledge(rng: Generator, lang: Language, level: float) -> Scene:
    """Return questions on the kind of word that answers a question about somebody unknown.

    No document helps: that a pet is an animal and a tool is an object must have been learnt before. The choices are
    words of four relations, of which one is the asked one's.
    """
    del level
    rel, *others = draw(rng, tuple(CLOSED), 4)
    choices = [pick(rng, lexicon.words(CLOSED[r], lang)) for r in (rel, *others)]
    form = pick(rng, ASK_FORMS[lang])
    ask = form.format(name=lexicon.name(rng, lang), rel=_relation(rel, lang))
    listed = tuple(draw(rng, choices, 4))
    return Scene("", (Turn(ask, choices[0], f"{ask} {' '.join(listed)}", listed),))


def _relation(rel: str, lang: Language) -> str:
    return lexicon.RELATIONS[rel][lang]


def _people(rng: Generator, lang: Language, num: int, level: float) -> list[str]:
    if level < 0.3 and rng.random() < 0.5:  # one-token names come first: they are looked up more easily
        pool = lexicon.CHARACTERS if lang == "zh" else tuple(s.capitalize() for s in lexicon.SYLLABLES)
        return draw(rng, pool, num)
    return lexicon.names(rng, num, lang)


def _facts(rng: Generator, lang: Language, level: float) -> Scene:
    num_people = between(rng, 1, 2) if level < 0.1 else between(rng, 2, 4)
    relations = draw(rng, tuple(CLOSED), 1 if level < 0.1 else between(rng, 1, 2))
    people = _people(rng, lang, num_people, level)
    facts = [(p, r, pick(rng, lexicon.words(CLOSED[r], lang))) for p in people for r in relations]
    facts = [facts[i] for i in rng.permutation(len(facts)).tolist()]
    form = pick(rng, FACT_FORMS[lang])
    joiner = " " if lang == "en" else ""
    document = joiner.join(form.format(name=p, rel=_relation(r, lang), value=v) for p, r, v in facts)
    turns: list[Turn] = []
    for person, rel, value in draw(rng, facts, len(facts)):
        ask = pick(rng, ASK_FORMS[lang]).format(name=person, rel=_relation(rel, lang))
        turns.append(Turn(ask, value, document, lexicon.words(CLOSED[rel], lang)))
        turns.extend(_reversed(facts, (person, rel, value), lang, document))
    return Scene(document, tuple(turns))


def _reversed(
    facts: list[tuple[str, str, str]], fact: tuple[str, str, str], lang: Language, document: str
) -> list[Turn]:
    person, rel, value = fact
    if sum(r == rel and v == value for _, r, v in facts) > 1:
        return []
    ask = f"Whose {_relation(rel, lang)} is {value}?" if lang == "en" else f"谁的{_relation(rel, lang)}是{value}？"
    return [Turn(ask, person, document, exam=False)]


def _statements(rng: Generator, lang: Language, level: float) -> Scene:
    scene = _facts(rng, lang, level * 0.5)
    verdicts = lexicon.words("verdict", lang)
    turns: list[Turn] = []
    for turn in scene.turns:
        if not turn.choices:
            continue
        true = rng.random() < 0.5
        claim = turn.answer if true else pick(rng, [c for c in turn.choices if c != turn.answer])
        ask = f"{turn.question} Is it {claim}?" if lang == "en" else f"{turn.question}是{claim}吗？"
        turns.append(Turn(ask, verdicts[0 if true else 1], scene.document, verdicts))
    return Scene(scene.document, tuple(turns))


def _table(rng: Generator, lang: Language, level: float) -> Scene:
    people = _people(rng, lang, between(rng, 2, 3 if level < 0.3 else 4), level)
    relations = draw(rng, tuple(CLOSED), between(rng, 1, 2))
    head = "name" if lang == "en" else "名字"
    rows = {p: [pick(rng, lexicon.words(CLOSED[r], lang)) for r in relations] for p in people}
    lines = [" | ".join([head, *(_relation(r, lang) for r in relations)])]
    lines += [" | ".join([p, *values]) for p, values in rows.items()]
    document = "\n".join(lines)
    turns = [
        Turn(
            pick(rng, ASK_FORMS[lang]).format(name=p, rel=_relation(r, lang)),
            rows[p][i],
            document,
            lexicon.words(CLOSED[r], lang),
        )
        for p in people
        for i, r in enumerate(relations)
    ]
    return Scene(document, tuple(draw(rng, turns, len(turns))))


def _rules(rng: Generator, lang: Language, level: float) -> Scene:
    num = 2 if level < 0.2 else between(rng, 2, 4)
    kind = pick(rng, ("colour", "material", "size"))
    values, rulings = draw(rng, lexicon.words(kind, lang), num), lexicon.words("ruling", lang)
    verdict = {v: pick(rng, rulings) for v in values}
    rel = _relation(kind, lang)
    form = "If the {rel} is {value}, it is {ruling}." if lang == "en" else "如果{rel}是{value}，那么{ruling}。"
    document = (" " if lang == "en" else "").join(form.format(rel=rel, value=v, ruling=r) for v, r in verdict.items())
    turns: list[Turn] = []
    for value in draw(rng, values, num):
        person = lexicon.name(rng, lang)
        case = FACT_FORMS[lang][0].format(rel=rel, name=person, value=value)
        ask = f"{case} Is {person} allowed or forbidden?" if lang == "en" else f"{case}{person}允许还是禁止？"
        turns.append(Turn(ask, verdict[value], document, rulings))
    return Scene(document, tuple(turns))


def _machine(rng: Generator, lang: Language, level: float) -> Scene:
    states, goods = lexicon.words("state", lang), draw(rng, lexicon.words("object", lang), 2)
    starts = draw(rng, states, 2 if level < 0.2 else between(rng, 2, 3))
    moves = {(s, g): pick(rng, [x for x in states if x != s]) for s in starts for g in goods[: between(rng, 1, 2)]}
    form = "In state {s}, {g} leads to {to}." if lang == "en" else "在{s}状态，{g}使它变成{to}。"
    document = (" " if lang == "en" else "").join(form.format(s=s, g=g, to=to) for (s, g), to in moves.items())
    turns = [
        Turn(
            f"The state is {s}. Now {g}. What is the state?" if lang == "en" else f"现在状态是{s}。用{g}。状态是什么？",
            to,
            document,
            states,
        )
        for (s, g), to in moves.items()
    ]
    return Scene(document, tuple(draw(rng, turns, len(turns))))


READINGS: dict[str, Callable[[Generator, Language, float], Scene]] = {
    "facts": _facts,
    "yes-no": _statements,
    "table": _table,
    "rules": _rules,
    "machine": _machine,
}
SHARES = ("facts", "facts", "facts", "table", "rules", "machine", "yes-no")


def reading(rng: Generator, lang: Language, level: float) -> Scene:
    """Return a document about nonsense names, rules, a machine or a table, and questions that it answers."""
    return READINGS[pick(rng, SHARES)](rng, lang, level)


KIND_NAMES_ZH = {"colour": "颜色", "animal": "动物", "food": "食物", "job": "工作", "object": "物品", "weather": "天气"}


def chinese(rng: Generator, lang: Language, level: float) -> Scene:
    """Return Chinese questions on the kinds of words: which kind, and which word does not belong."""
    del lang, level
    turns: list[Turn] = []
    for _ in range(5):
        kind, other = draw(rng, tuple(KIND_NAMES_ZH), 2)
        if rng.random() < 0.5:
            listed = draw(rng, lexicon.words(kind, "zh"), 3)
            ask, answer = "、".join(listed) + "，这些词属于哪一类？", KIND_NAMES_ZH[kind]
            choices = tuple(KIND_NAMES_ZH.values())
        else:
            odd = pick(rng, lexicon.words(other, "zh"))
            listed = draw(rng, [*draw(rng, lexicon.words(kind, "zh"), 3), odd], 4)
            ask, answer = "、".join(listed) + "，哪个词和别的不同类？", odd
            choices = tuple(listed)
        turns.append(Turn(ask, answer, " ".join(sorted(listed)), choices))
    return Scene("", tuple(turns))
