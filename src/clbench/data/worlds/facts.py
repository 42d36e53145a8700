"""Facts and relations: every entity has a friend (another entity) and a value (a word of a closed list)."""

from __future__ import annotations

from clbench.data.worlds.lexicon import RELATIONS, Language, words
from clbench.data.worlds.spec import Item, Plan, WorldSpec, asked, world_names, world_rng

LISTS = {"colour": "colour", "job": "job", "pet": "animal", "food": "food", "tool": "object", "material": "material"}
TAUGHT: dict[Language, tuple[str, ...]] = {
    "en": (
        "What is the {relation} of {name}?",
        "{name} has which {relation}?",
        "Tell me the {relation} of {name}.",
        "Name the {relation} that {name} has.",
        "Say which {relation} {name} has.",
        "{relation} of {name}?",
    ),
    "zh": (
        "{name}的{relation}是什么?",
        "请说出{name}的{relation}。",
        "{name}有什么{relation}?",
        "{name}的{relation}?",
        "告诉我{name}的{relation}。",
        "{name}的{relation}叫什么?",
    ),
}
HELD_OUT: dict[Language, tuple[str, ...]] = {
    "en": (
        "Which {relation} does {name} have?",
        "{name}: what {relation}?",
        "I want to know the {relation} of {name}.",
        "Do you know which {relation} {name} has?",
        "What {relation} has {name}?",
    ),
    "zh": (
        "什么是{name}的{relation}?",
        "{name}的{relation}是哪个?",
        "我想知道{name}的{relation}。",
        "你知道{name}的{relation}吗?",
        "问:{name},{relation}?",
    ),
}
BACKWARDS: dict[Language, str] = {"en": "Who has {value} as {relation}?", "zh": "谁的{relation}是{value}?"}
TWO_HOP: dict[Language, str] = {
    "en": "What is the {relation} of the friend of {name}?",
    "zh": "{name}的朋友的{relation}是什么?",
}
APPLIED: dict[Language, str] = {
    "en": "{name} and a stranger with {other} as {relation} meet. Do they have the same {relation}?",
    "zh": "{name}遇到一个{relation}是{other}的人。他们的{relation}一样吗?",
}
SENTENCE: dict[Language, str] = {
    "en": "The {relation} of {name} is {value}.",
    "zh": "{name}的{relation}是{value}。",
}

# What part k of a world asks about: what belongs to what part k - 1 asks about.
BELONGING: dict[Language, tuple[str, ...]] = {
    "en": ("{name}", "the house of {name}", "the door of the house of {name}", "the key of the door of {name}"),
    "zh": ("{name}", "{name}的房子", "{name}的房门", "{name}的房门钥匙"),
}
UNLIKE = 4  # one thing in so many is not like its owner


def plan(spec: WorldSpec) -> Plan:
    """Return the plan of a world of `items` facts of one relation, and as many friendships for two-hop questions."""
    generator, lang = world_rng(spec, "facts"), spec.language
    kind = list(LISTS)[int(generator.integers(len(LISTS)))]
    relation, friend = RELATIONS[kind][lang], RELATIONS["friend"][lang]
    values = [words(LISTS[kind], lang)[i] for i in generator.permutation(len(words(LISTS[kind], lang)))[: spec.classes]]
    people = world_names(spec, spec.items, "people")
    # Every value is used about equally often, so that guessing the commonest gains nothing.
    drawn = [values[i % len(values)] for i in generator.permutation(spec.items)]
    following = generator.permutation(spec.items).tolist()
    drawn = _inherited(drawn, values, spec)
    people = [BELONGING[lang][spec.part - 1].format(name=name) for name in people]
    friends = {people[a]: people[b] for a, b in zip(following, following[1:] + following[:1], strict=True)}
    known = dict(zip(people, drawn, strict=True))
    facts = [_fact(n, relation, v, v, lang) for n, v in known.items()]
    friendships = [_fact(n, friend, friends[n], friends[n], lang) for n in people]
    lesson = [(TAUGHT[lang][w], facts) for w in range(spec.wordings)]
    if spec.form == "qa":  # answers in a word may be names as well
        lesson += [(TAUGHT[lang][0], friendships)]
    if spec.form == "generation":
        facts = [
            _fact(n, relation, v, SENTENCE[lang].format(relation=relation, name=n, value=v), lang)
            for n, v in known.items()
        ]
        lesson = [(TAUGHT[lang][w], facts) for w in range(spec.wordings)]
    alone = [n for n in people if drawn.count(known[n]) == 1]
    return Plan(
        lesson=lesson,
        exam=asked(HELD_OUT[lang], facts, spec),
        dev=[],
        probes={
            "verbatim": [(TAUGHT[lang][0], facts)],
            "paraphrase": [(HELD_OUT[lang][0], facts)],
            "reversal": [(BACKWARDS[lang], [_fact(n, relation, known[n], n, lang) for n in alone])],
            "composition": [
                (TWO_HOP[lang], [_fact(n, relation, known[friends[n]], known[friends[n]], lang) for n in people])
            ],
            "application": [(APPLIED[lang], [_same(n, relation, known, values, lang) for n in people])],
        },
        sentences=[
            *(SENTENCE[lang].format(relation=relation, name=n, value=v) for n, v in known.items()),
            *(SENTENCE[lang].format(relation=friend, name=n, value=f) for n, f in friends.items()),
        ],
        labels=tuple(sorted(values)),
    )


def _inherited(drawn: list[str], values: list[str], spec: WorldSpec) -> list[str]:
    """Return the values of this part's things: those of their owners, but for one in `UNLIKE` in every part."""
    for part in range(2, spec.part + 1):
        odd = set(world_rng(spec, f"facts part {part}").permutation(len(drawn))[: len(drawn) // UNLIKE].tolist())
        drawn = [values[(values.index(v) + 1) % len(values)] if i in odd else v for i, v in enumerate(drawn)]
    return drawn


def _fact(name: str, relation: str, value: str, answer: str, lang: Language) -> Item:
    slots = {"name": name, "relation": relation, "value": value}
    return Item(f"{relation} of {name}", slots, answer, f"{relation} of {name}", SENTENCE[lang].format_map(slots))


def _same(name: str, relation: str, known: dict[str, str], values: list[str], lang: Language) -> Item:
    # Half of the strangers have the same value: even positions of the name among the people.
    same = list(known).index(name) % 2 == 0
    other = known[name] if same else values[(values.index(known[name]) + 1) % len(values)]
    yes, no = words("verdict", lang)
    slots = {"name": name, "relation": relation, "other": other}
    return Item(f"same {relation} as {name}", slots, yes if same else no, f"{relation} of {name}")
