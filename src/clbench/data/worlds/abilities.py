"""Abilities in miniature: what the tiny models can do before any lesson, and may forget.

Every ability makes exam items (`generate`) and pretraining conversations (`conversations`). The content of an item is
hashed, and the hash decides whether it belongs to training or to the exam, so the two never share an item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from numpy.random import Generator

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import digest
from clbench.core.keys import rng as generator
from clbench.core.types import Example, Message
from clbench.data.worlds import ability_lookup, lexicon
from clbench.data.worlds.ability_reading import (
    CLOSED,
    KIND_NAMES_ZH,
    MOST_PAIRS,
    chinese,
    knowledge,
    long_recall,
    reading,
    recall,
)
from clbench.data.worlds.ability_scenes import Cell, Scene, Turn, between, pick
from clbench.data.worlds.ability_text import code, copy_reverse, instruction
from clbench.data.worlds.ability_wordings import NOT_STATED
from clbench.data.worlds.lexicon import LANGUAGES, Language

Split = Literal["train", "exam"]
EXAM_SHARE = 8  # one content in eight belongs to the exam
SYSTEM: dict[Language, tuple[str, ...]] = {
    "en": ("Answer in few words.", "You are a careful assistant."),
    "zh": ("请简短回答。", "你是一个认真的助手。"),
}


@dataclass(frozen=True)
class Ability:
    """One ability.

    Attributes:
        name: Name in `source: {ability: ...}` of an exam card.
        kind: "label" if every exam item has choices, else "text".
        scene: (rng, language, level) -> scene; level in [0, 1] is how far pretraining is.
        languages: Languages it comes in.
        turns: Most questions in one pretraining conversation.
        guess_rate: Score of guessing among the choices, in [0, 1].
        practised: Whether pretraining contains it.
        at_length: (rng, language, length) -> scene, for abilities that can be asked at any length.
        cells: What an exam asks in equal parts, for abilities whose questions come in several forms.
        in_cell: (rng, cell) -> scene, for the same.
    """

    name: str
    kind: Literal["text", "label"]
    scene: Callable[[Generator, Language, float], Scene]
    languages: tuple[Language, ...] = LANGUAGES
    turns: int = 6
    guess_rate: float = 0.0
    practised: bool = True
    at_length: Callable[[Generator, Language, int], Scene] | None = None
    cells: tuple[Cell, ...] = ()
    in_cell: Callable[[Generator, Cell], Scene] | None = None


def _arithmetic(rng: Generator, lang: Language, level: float) -> Scene:
    """Return sums and differences whose terms and results lie in 0..20."""
    del level
    turns: list[Turn] = []
    for _ in range(8):
        total = between(rng, 0, 20)
        part = between(rng, 0, total)
        if rng.random() < 0.5:
            left, sign, right, result = part, "+", total - part, total
        else:
            left, sign, right, result = total, "-", part, total - part
        forms = ("{} {} {} =", "What is {} {} {}?") if lang == "en" else ("{} {} {} 等于", "{} {} {} 是多少？")
        ask = pick(rng, forms).format(left, sign, right)
        turns.append(Turn(ask, str(result), f"{left}{sign}{right}", lexicon.NUMBERS))
    return Scene("", tuple(turns))


ABILITIES: dict[str, Ability] = {
    a.name: a
    for a in (
        Ability("instruction", "text", instruction, turns=4),
        Ability("copy_reverse", "text", copy_reverse, turns=4),
        Ability("arithmetic", "label", _arithmetic, turns=8, guess_rate=1 / 21),
        Ability("recall", "label", recall, turns=12, guess_rate=1 / 12, at_length=long_recall),
        Ability("reading", "label", reading, turns=8, guess_rate=0.18),
        Ability("code", "text", code, turns=4),
        Ability("chinese", "label", chinese, languages=("zh",), turns=5, guess_rate=0.21),
        Ability("knowledge", "label", knowledge, turns=1, guess_rate=0.25, practised=False),
        Ability(
            "lookup",
            "label",
            ability_lookup.lookup,
            turns=10,
            guess_rate=0.12,
            cells=ability_lookup.CELLS,
            in_cell=ability_lookup.in_cell,
        ),
    )
}

# The tokenizer of the shipped models is made from these, and stays as it is when an ability is added.
TOKENIZED = ("instruction", "copy_reverse", "arithmetic", "recall", "reading", "code", "chinese")


def _split_of(key: str) -> Split:
    return "exam" if hashlib.sha256(key.encode()).digest()[0] % EXAM_SHARE == 0 else "train"


def find(name: str) -> Ability:
    """Return an ability by name.

    Raises:
        DataError: There is none of this name.
    """
    if name not in ABILITIES:
        raise DataError(f"there is no ability {name!r}", where="source.ability", mend=did_you_mean(name, ABILITIES))
    return ABILITIES[name]


def generate(
    ability: str, num: int, seed: int, split: Split, length: int | None = None, cell: Cell | None = None
) -> list[Example]:
    """Return single questions, all different.

    Args:
        ability: A name in `ABILITIES`.
        num: How many, >= 0.
        seed: Same seed, same items.
        split: "train" and "exam" never share what they ask about.
        length: Pairs in the list of "recall", in 1..50000, or facts shown in "lookup"; None is as in pretraining.
        cell: The form, language and wording of "lookup" that are asked; None asks all in equal parts.

    Raises:
        DataError: There is no such ability, it has fewer different items, or it cannot be asked so.
    """
    one = find(ability)
    wanted = replace(cell or Cell(), length=length)
    scenes = _in_cells(one, wanted) if one.cells else _in_languages(one, wanted)
    said = "".join(f" {part}" for part in (length, *((cell.form, cell.language, cell.wording) if cell else ())) if part)
    rng = generator(seed, 0, f"ability {ability} {split}{said}")
    found: dict[str, Example] = {}
    for tried in range(num * 200 + 1):
        if len(found) == num:
            return list(found.values())
        lang, scene, group = scenes(rng, len(found) if one.cells else tried)
        turns = [t for t in scene.turns if t.exam and _split_of(t.key) == split]
        if turns:
            example = _example(one, lang, replace(scene, turns=tuple(turns[:1])), (), group)
            found[example.id] = example
    raise DataError(
        f"ability {ability!r} has fewer than {num} different items", where="source.items", mend="ask for fewer items"
    )


Scenes = Callable[[Generator, int], tuple[Language, Scene, str | None]]


def _in_languages(ability: Ability, wanted: Cell) -> Scenes:
    """Return what makes the scene of a number, languages in turn."""
    if wanted.form or wanted.language or wanted.wording:
        able = ", ".join(name for name, a in ABILITIES.items() if a.cells)
        mend = f"leave form, language and wording out; what has them: {able}"
        raise DataError(f"ability {ability.name!r} comes in one form", where="source.form", mend=mend)
    scene_of = _at_length(ability, wanted.length)

    def scene(rng: Generator, number: int) -> tuple[Language, Scene, str | None]:
        lang = ability.languages[number % len(ability.languages)]
        return lang, scene_of(rng, lang), None

    return scene


def _in_cells(ability: Ability, wanted: Cell) -> Scenes:
    """Return what makes the scene of a number, cells in turn and in an order of which every beginning is mixed."""
    cells, make = sorted((c for c in ability.cells if wanted.fits(c)), key=lambda c: digest(c.name)), ability.in_cell
    if not cells or make is None:
        forms = ", ".join(dict.fromkeys(str(c.form) for c in ability.cells))
        lengths = ", ".join(dict.fromkeys(str(c.length) for c in ability.cells))
        mend = f"forms: {forms}; lengths: {lengths}; languages: {', '.join(LANGUAGES)}; wordings: taught, held-out"
        raise DataError(f"ability {ability.name!r} has no such questions", where="source.form", mend=mend)

    def scene(rng: Generator, number: int) -> tuple[Language, Scene, str | None]:
        cell = cells[number % len(cells)]
        return cell.language or "en", make(rng, cell), cell.name

    return scene


def _at_length(ability: Ability, length: int | None) -> Callable[[Generator, Language], Scene]:
    if length is None:
        return lambda rng, lang: ability.scene(rng, lang, 1.0)
    make = ability.at_length
    if make is None:
        able = ", ".join(name for name, a in ABILITIES.items() if a.at_length)
        mend = f"leave it out; what can: {able}"
        raise DataError(f"ability {ability.name!r} cannot be asked at a length", where="source.length", mend=mend)
    if length > MOST_PAIRS:
        raise DataError(f"there are no {length} different keys", where="source.length", mend=f"at most {MOST_PAIRS}")
    return lambda rng, lang: make(rng, lang, length)


def conversations(
    seed: int, num: int, level: float, shares: Mapping[str, float], most_turns: int | None = None
) -> list[Example]:
    """Return pretraining conversations: several questions and answers each, none of them from an exam.

    Args:
        seed: Same seed, same conversations.
        num: How many.
        level: How far pretraining is, in [0, 1]: documents grow with it.
        shares: Ability -> weight.
        most_turns: Most questions each; None leaves it to the ability.

    Returns:
        Examples whose prompt holds the earlier turns; every assistant turn may be learnt from but those that
        `num_told` counts.
    """
    rng = generator(seed, 0, "pretraining conversations")
    abilities = [find(name) for name in shares]
    weights = [shares[a.name] for a in abilities]
    total = sum(weights)
    drawn = rng.choice(len(abilities), size=num, p=[w / total for w in weights]).tolist()
    return [_conversation(abilities[i], rng, level, most_turns) for i in drawn]


def num_told(conversation: Example) -> int:
    """Return how many of a pretraining conversation's first turns only tell: their replies follow from nothing."""
    return int(conversation.check or 0)


def _conversation(ability: Ability, rng: Generator, level: float, most_turns: int | None) -> Example:
    lang = pick(rng, ability.languages)
    while True:
        scene = ability.scene(rng, lang, level)
        turns = [t for t in scene.turns if _split_of(t.key) == "train"]
        if turns:
            system = (pick(rng, SYSTEM[lang]),) if rng.random() < 0.05 else ()
            asked = replace(scene, turns=tuple(turns[: most_turns or ability.turns]))
            example = _example(ability, lang, asked, system, None)
            return example.model_copy(update={"check": str(len(scene.told))}) if scene.told else example


def _example(ability: Ability, lang: Language, scene: Scene, system: tuple[str, ...], group: str | None) -> Example:
    messages = [Message(role="system", content=s) for s in system]
    for i, turn in enumerate([*scene.told, *scene.turns]):
        asked = f"{scene.document}\n{turn.question}" if scene.document and i == 0 else turn.question
        messages.append(Message(role="user", content=asked))
        messages.append(Message(role="assistant", content=turn.answer))
    last = scene.turns[-1]
    content = "\n".join(m.content for m in messages[:-1])
    name = hashlib.sha256(content.encode()).hexdigest()[:12]
    return Example(
        id=f"{ability.name}-{lang}-{name}",
        prompt=tuple(messages[:-1]),
        targets=(last.answer,),
        choices=last.choices,
        group=group,
    )


def closed_answers(lookups: bool = False) -> tuple[str, ...]:
    """Return every answer that a label ability can have, in fixed order: the label head of the tiny encoder.

    Args:
        lookups: Whether lookups are among the abilities, which adds that the text does not say it.
    """
    kinds = [*CLOSED.values(), "weather", "verdict", "ruling", "state"]
    listed = [w for kind in kinds for lang in LANGUAGES for w in lexicon.words(kind, lang)]
    absent = NOT_STATED.values() if lookups else ()
    return tuple(dict.fromkeys([*lexicon.NUMBERS, *listed, *KIND_NAMES_ZH.values(), *absent]))


def tokenizer_lines(seed: int) -> list[str]:
    """Return the lines that the tiny models' tokenizer is made from: conversations, names and the word lists."""
    rng = generator(seed, 0, "tokenizer lines")
    examples = conversations(seed, 6000, 1.0, dict.fromkeys(TOKENIZED, 1.0))
    lines = [m.content for e in examples for m in e.prompt] + [e.targets[0] for e in examples]
    for lang in LANGUAGES:
        lines += [f"{lexicon.name(rng, lang)} {lexicon.name(rng, lang)}" for _ in range(8000)]
    for syllable in lexicon.SYLLABLES:  # every syllable, with and without a blank or a capital, becomes one token
        lines += [f"{syllable} {syllable}\n{syllable.capitalize()} {syllable.capitalize()}"] * 400
    listed = [w for kind in lexicon.WORDS for w in lexicon.words(kind, "en")]
    lines += [f"{w} {w}" for w in listed] * 200
    lines += [f"{w} {w}" for w in lexicon.COMMON_EN] * 30
    lines += list(dict.fromkeys([*lexicon.COMMON_ZH, *lexicon.CHARACTERS])) * 100
    return lines
