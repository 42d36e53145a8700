"""Procedures: a machine moves from state to state as buttons are pressed, in single moves and longer runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from clbench.data.worlds.lexicon import LETTERS, Language, words
from clbench.data.worlds.spec import Item, Plan, WorldSpec, asked, split, world_names, world_rng

BUTTONS = LETTERS[:3]
TAUGHT: dict[Language, tuple[str, ...]] = {
    "en": (
        "Machine {machine} is {start}. Press {inputs}. What is it now?",
        "{machine}: {start}, then {inputs}. Which state?",
        "Start {machine} at {start} and press {inputs}. Where does it end?",
        "Machine {machine}, now {start}. Buttons {inputs}. New state?",
        "Press {inputs} while {machine} is {start}. What does it become?",
        "{machine} was {start}. Somebody pressed {inputs}. Its state?",
    ),
    "zh": (
        "机器{machine}现在是{start}。按{inputs}。现在是什么状态?",
        "{machine}:{start},然后{inputs}。什么状态?",
        "机器{machine}从{start}开始,按{inputs}。最后是什么?",
        "机器{machine}:{start}。按{inputs}。新的状态?",
        "{machine}是{start}的时候按{inputs},会变成什么?",
        "{machine}现在{start},有人按了{inputs}。它的状态?",
    ),
}
HELD_OUT: dict[Language, tuple[str, ...]] = {
    "en": (
        "After {inputs}, what is machine {machine} that was {start}?",
        "From {start}, buttons {inputs}: the state of {machine}?",
        "Name the state of {machine} when {inputs} are pressed at {start}.",
        "{machine} stands at {start}. What is it after {inputs}?",
        "Which state does {machine} reach from {start} by {inputs}?",
    ),
    "zh": (
        "{machine}本来是{start},{inputs}之后是什么?",
        "从{start}按{inputs}:{machine}的状态?",
        "{machine}在{start}。按{inputs}之后是什么?",
        "请说出{machine}从{start}按{inputs}后的状态。",
        "{start}的{machine},按了{inputs},到哪个状态?",
    ),
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
    known_runs = [*singles, *taught]
    unique = [(s, b) for s in states for b in BUTTONS if [moves[s, x] for x in BUTTONS].count(moves[s, b]) == 1]
    return Plan(
        lesson=[(wording, known_runs) for wording in wordings],
        exam=asked(HELD_OUT[lang], known_runs, spec)
        if spec.asks == "taught"
        else [*asked(HELD_OUT[lang], singles, spec), *asked(TAUGHT[lang], unseen, spec)],
        dev=[],
        probes={
            "verbatim": [(TAUGHT[lang][0], known_runs)],
            "paraphrase": [(HELD_OUT[lang][0], singles)],
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
