"""Procedures: a machine moves from state to state as buttons are pressed, in single moves and longer runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from clbench.data.worlds.lexicon import LETTERS, Language, words
from clbench.data.worlds.spec import Item, Plan, WorldSpec, split, world_names, world_rng

BUTTONS = LETTERS[:3]
TAUGHT: dict[Language, tuple[str, ...]] = {
    "en": (
        "Machine {machine} is {start}. Press {inputs}. What is it now?",
        "{machine}: {start}, then {inputs}. Which state?",
        "Start {machine} at {start} and press {inputs}. Where does it end?",
    ),
    "zh": (
        "机器{machine}现在是{start}。按{inputs}。现在是什么状态?",
        "{machine}:{start},然后{inputs}。什么状态?",
        "机器{machine}从{start}开始,按{inputs}。最后是什么?",
    ),
}
PARAPHRASE: dict[Language, str] = {
    "en": "After {inputs}, what is machine {machine} that was {start}?",
    "zh": "{machine}本来是{start},{inputs}之后是什么?",
}
BACKWARDS: dict[Language, str] = {
    "en": "Machine {machine} is {start}. Which button makes it {end}?",
    "zh": "机器{machine}现在是{start}。按什么变成{end}?",
}
SENTENCE: dict[Language, str] = {
    "en": "When machine {machine} is {start}, button {inputs} makes it {end}.",
    "zh": "机器{machine}是{start}的时候,按{inputs}变成{end}。",
}
Moves = Mapping[tuple[str, str], str]


def follow(moves: Moves, start: str, inputs: Sequence[str]) -> list[str]:
    """Return the states that a machine passes, without the start."""
    passed: list[str] = []
    for button in inputs:
        start = moves[start, button]
        passed.append(start)
    return passed


def plan(spec: WorldSpec) -> Plan:
    """Return the plan of a machine of `classes` states: single moves and `items` runs are taught, others are asked."""
    generator, lang = world_rng(spec, "procedures"), spec.language
    (machine,) = world_names(spec, 1, "machine")
    known = words("colour", lang)
    states = [known[i] for i in generator.permutation(len(known))[: spec.classes]]
    moves: dict[tuple[str, str], str] = {}
    for button in BUTTONS:  # each button permutes the states, so no state is more likely than another
        for start, end in zip(states, [states[i] for i in generator.permutation(len(states))], strict=True):
            moves[start, button] = end
    singles = [_run(machine, moves, s, (b,), spec) for s in states for b in BUTTONS]
    pairs = [_run(machine, moves, s, two, spec) for s in states for two in itertools.product(BUTTONS, repeat=2)]
    taught, unseen = split(pairs, max(len(pairs) - spec.items, len(pairs) // 4), generator)
    wordings = TAUGHT[lang][: spec.wordings]
    unique = [(s, b) for s in states for b in BUTTONS if [moves[s, x] for x in BUTTONS].count(moves[s, b]) == 1]
    return Plan(
        lesson=[(wording, [*singles, *taught]) for wording in wordings],
        exam=[(PARAPHRASE[lang], singles), (TAUGHT[lang][0], unseen)],
        dev=[],
        probes={
            "verbatim": [(TAUGHT[lang][0], [*singles, *taught])],
            "paraphrase": [(PARAPHRASE[lang], singles)],
            "reversal": [(BACKWARDS[lang], [_back(machine, moves, s, b) for s, b in unique])],
            "composition": [(TAUGHT[lang][0], unseen)],
        },
        sentences=[_move(machine, s, b, e, lang) for (s, b), e in moves.items()],
        labels=tuple(sorted(states)),
    )


def _run(machine: str, moves: Moves, start: str, inputs: tuple[str, ...], spec: WorldSpec) -> Item:
    passed = follow(moves, start, inputs)
    # Written out, a run is its trace; asked in a word, only its end.
    answer = " ".join(passed) if spec.form == "generation" else passed[-1]
    slots = {"machine": machine, "start": start, "inputs": " ".join(inputs)}
    # A run is stated by its moves, each of which is taught by itself too.
    moved = zip([start, *passed], inputs, passed, strict=False)
    document = " ".join(_move(machine, *move, spec.language) for move in moved)
    return Item(f"{start} {' '.join(inputs)}", slots, answer, f"{start} {inputs[0]}", document)


def _move(machine: str, start: str, button: str, end: str, lang: Language) -> str:
    return SENTENCE[lang].format(machine=machine, start=start, inputs=button, end=end)


def _back(machine: str, moves: Moves, start: str, button: str) -> Item:
    slots = {"machine": machine, "start": start, "end": moves[start, button]}
    return Item(f"{start} to {moves[start, button]}", slots, button, f"{start} {button}")
