"""Rule systems: a code of ordered rules sends goods to gates, unseen goods too."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from clbench.data.worlds.lexicon import Language, words
from clbench.data.worlds.spec import Item, Plan, WorldSpec, asked, split, world_names, world_rng

FEATURES: tuple[str, ...] = ("size", "colour", "material")
TAUGHT: dict[Language, tuple[str, ...]] = {
    "en": (
        "Code {code}: where do {size} {colour} {material} goods go?",
        "By code {code}, which gate is for {size} {colour} {material} goods?",
        "Goods: {size}, {colour}, {material}. Gate by code {code}?",
        "{size} {colour} {material} goods under code {code} go to which gate?",
        "Code {code}, goods of {material}, {colour} and {size}: which gate?",
        "Where does code {code} send {size} {colour} {material} goods?",
    ),
    "zh": (
        "规则{code}:{size}、{colour}、{material}的东西去哪里?",
        "按照规则{code},{size}的{colour}{material}东西去哪个门?",
        "东西:{size},{colour},{material}。按规则{code}去哪里?",
        "{size}的{colour}{material}东西,规则{code}送到哪里?",
        "规则{code}把{size}、{colour}、{material}的东西送去哪个门?",
        "{code}:{size}{colour}{material}的东西去哪?",
    ),
}
HELD_OUT: dict[Language, tuple[str, ...]] = {
    "en": (
        "{size} {colour} goods of {material} arrive. Which gate does code {code} name?",
        "By code {code}: {material} goods, {size} and {colour}. Which gate?",
        "Name the gate of code {code} for {size} {colour} {material} goods.",
        "Under code {code}, where go {colour} goods of {material} that are {size}?",
        "{code}: which gate takes {size} {colour} {material} goods?",
    ),
    "zh": (
        "来了{colour}的{material}东西,{size}。规则{code}说去哪个门?",
        "按{code},{material}的东西,{colour},{size},去哪个门?",
        "{size}的{colour}{material}东西来了。规则{code}:哪个门?",
        "请说出规则{code}给{size}、{colour}、{material}东西的门。",
        "规则{code}:{colour}的{material}东西,{size},去哪里?",
    ),
}
SENTENCE: dict[Language, str] = {
    "en": "Code {code}: {what} goods go to {gate}.",
    "zh": "规则{code}:{what}的东西去{gate}。",
}
OTHERWISE: dict[Language, str] = {"en": "all other", "zh": "其他"}
VALUES = {"size": 4, "colour": 6, "material": 4}  # 96 different goods


@dataclass(frozen=True)
class Rule:
    """A rule: goods whose `feature` has `value` go to `gate`."""

    feature: str
    value: str
    gate: str


def decide(rules: list[Rule], otherwise: str, goods: dict[str, str]) -> str:
    """Return the gate of the first rule that fits."""
    return next((r.gate for r in rules if goods[r.feature] == r.value), otherwise)


def plan(spec: WorldSpec) -> Plan:
    """Return the plan of a code of `classes` gates; `items` goods are taught, the others are asked."""
    generator, lang = world_rng(spec, "rules"), spec.language
    code, *gates = world_names(spec, spec.classes + 1, "gates")
    domain: dict[str, tuple[str, ...]] = {f: words(f, lang)[: VALUES[f]] for f in FEATURES}
    # Colours decide first and sizes next, one rule for each gate but the last, which takes the rest.
    decided = [("colour", v) for v in domain["colour"][:4]] + [("size", v) for v in domain["size"]]
    chosen = [decided[i] for i in generator.permutation(4)[: max(1, (spec.classes + 1) // 2)]]
    chosen += [("material", v) for v in domain["material"]]
    rules = [Rule(f, v, gates[i % (spec.classes - 1)]) for i, (f, v) in enumerate(chosen[: max(2, spec.classes)])]
    for part in range(1, spec.part):  # a rule that goes before all others, for one material
        rules.insert(0, Rule("material", domain["material"][-part], gates[part % spec.classes]))
    cases = [dict(zip(FEATURES, values, strict=True)) for values in itertools.product(*domain.values())]
    sentences = [SENTENCE[lang].format(code=code, what=r.value, gate=r.gate) for r in rules]
    sentences.append(SENTENCE[lang].format(code=code, what=OTHERWISE[lang], gate=gates[-1]))
    items = [_case(code, goods, decide(rules, gates[-1], goods), rules, sentences) for goods in cases]
    taught, unseen = split(items, max(len(items) - spec.items, 8), generator)
    # A lesson teaches cases, so its documents state cases; that a rule decides them is for the learner to find.
    taught = [replace(item, document=_said(item, lang)) for item in taught]
    wordings = TAUGHT[lang][: spec.wordings]
    if spec.form == "generation":
        taught, unseen = ([_sentence(i, lang) for i in part] for part in (taught, unseen))
    return Plan(
        lesson=[(wording, taught) for wording in wordings],
        exam=asked(HELD_OUT[lang], taught, spec) if spec.asks == "taught" else asked(TAUGHT[lang], unseen, spec),
        dev=[],
        probes={
            "verbatim": [(TAUGHT[lang][0], taught)],
            "paraphrase": [(HELD_OUT[lang][0], taught)],
            "application": [(TAUGHT[lang][0], unseen)],
        },
        sentences=sentences,
        labels=tuple(sorted(gates)),
    )


def _case(code: str, goods: dict[str, str], gate: str, rules: list[Rule], sentences: list[str]) -> Item:
    fits = next((i for i, r in enumerate(rules) if goods[r.feature] == r.value), len(rules))
    return Item(" ".join(goods.values()), {"code": code, **goods}, gate, f"rule {fits}", sentences[fits])


def _said(item: Item, lang: Language) -> str:
    what = " ".join(item.slots[f] for f in FEATURES) if lang == "en" else "、".join(item.slots[f] for f in FEATURES)
    return SENTENCE[lang].format(code=item.slots["code"], what=what, gate=item.answer)


def _sentence(item: Item, lang: Language) -> Item:
    return replace(item, answer=_said(item, lang))
