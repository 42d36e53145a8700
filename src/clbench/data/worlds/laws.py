"""Empirical laws: a table of measurements with a hidden law behind its classes, which also decides unseen rows."""

from __future__ import annotations

import itertools

from clbench.data.worlds.lexicon import Language
from clbench.data.worlds.spec import Item, Plan, WorldSpec, asked, split, world_names, world_rng

TAUGHT: dict[Language, tuple[str, ...]] = {
    "en": (
        "A {thing} of size {a} and heat {b} is of which class?",
        "{thing}: size {a}, heat {b}. Class?",
        "Which class is a {thing} with size {a} and heat {b}?",
        "Size {a}, heat {b}: of which class is this {thing}?",
        "Tell me the class of a {thing} of size {a} and heat {b}.",
        "{thing} with heat {b} and size {a}: its class?",
    ),
    "zh": (
        "{thing}:大小{a},热{b}。什么类型?",
        "大小{a}、热{b}的{thing}是什么类型?",
        "一个{thing},大小{a},热{b},类型是?",
        "大小{a},热{b}:这个{thing}是什么类型?",
        "告诉我大小{a}、热{b}的{thing}的类型。",
        "{thing},热{b},大小{a},类型?",
    ),
}
HELD_OUT: dict[Language, tuple[str, ...]] = {
    "en": (
        "Heat {b} and size {a}: name the class of this {thing}.",
        "What class has a {thing} if its size is {a} and its heat {b}?",
        "A {thing}, heat {b}, size {a}. Which class?",
        "Say the class: {thing}, size {a}, heat {b}.",
        "Of which class is a {thing} whose heat is {b} and whose size is {a}?",
    ),
    "zh": (
        "热{b},大小{a}的{thing},请说出类型。",
        "如果大小是{a},热是{b},{thing}是什么类型?",
        "{thing}:热{b},大小{a}。哪个类型?",
        "说出类型:{thing},大小{a},热{b}。",
        "热是{b}、大小是{a}的{thing}属于什么类型?",
    ),
}
SENTENCE: dict[Language, str] = {
    "en": "A {thing} of size {a} and heat {b} is {value}.",
    "zh": "大小{a}、热{b}的{thing}是{value}。",
}
LARGEST = 12  # measurements run from 1 to 12


def law(weights: tuple[int, int], cuts: list[float], a: int, b: int) -> int:
    """Return the class of a measurement: the number of bounds that the weighted sum exceeds."""
    return sum(weights[0] * a + weights[1] * b > bound for bound in cuts)


def plan(spec: WorldSpec) -> Plan:
    """Return the plan of a law with `classes` classes of about equal size; `items` rows are taught, others asked."""
    generator, lang = world_rng(spec, "laws"), spec.language
    thing, *classes = world_names(spec, spec.classes + 1, "classes")
    weights = [(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2)][int(generator.integers(6))]
    table = list(itertools.product(range(1, LARGEST + 1), repeat=2))
    sums = sorted(weights[0] * a + weights[1] * b for a, b in table)
    cuts = [sums[len(sums) * k // spec.classes] - 0.5 for k in range(1, spec.classes)]
    for part in range(1, spec.part):  # one bound moves to above the next sum
        moved = (part - 1) % len(cuts)
        cuts[moved] = min(s for s in sums if s > cuts[moved]) + 0.5
    rows = [_row(thing, a, b, classes[law(weights, cuts, a, b)], spec) for a, b in table]
    taught, unseen = split(rows, max(len(rows) - spec.items, 8), generator)
    wordings = TAUGHT[lang][: spec.wordings]
    return Plan(
        lesson=[(wording, taught) for wording in wordings],
        exam=asked(HELD_OUT[lang], taught, spec) if spec.asks == "taught" else asked(TAUGHT[lang], unseen, spec),
        dev=[],
        probes={
            "verbatim": [(TAUGHT[lang][0], taught)],
            "paraphrase": [(HELD_OUT[lang][0], taught)],
            "application": [(TAUGHT[lang][0], unseen)],
        },
        sentences=[SENTENCE[lang].format(**i.slots) for i in taught],
        labels=tuple(sorted(classes)),
    )


def _row(thing: str, a: int, b: int, value: str, spec: WorldSpec) -> Item:
    slots = {"thing": thing, "a": str(a), "b": str(b), "value": value}
    sentence = SENTENCE[spec.language].format_map(slots)
    return Item(f"{a} {b}", slots, sentence if spec.form == "generation" else value, value, sentence)
