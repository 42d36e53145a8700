"""Stored examples: how much room there is, who stays in it, and which of them go into a step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from clbench.core.types import Budget, Example, Lesson
from clbench.training.kept import example_bytes, size
from clbench.training.method import Method


def room_for(memory: int, most_bytes: int | None, budget: Budget) -> Budget:
    """Return the tighter of a learner's own limits and its lesson's.

    Example:
        >>> room_for(200, None, Budget(examples=50, bytes=900))
        Budget(examples=50, bytes=900)
    """
    limits = [b for b in (most_bytes, budget.bytes) if b is not None]
    examples = memory if budget.examples is None else min(memory, budget.examples)
    return Budget(examples=examples, bytes=min(limits, default=None))


def storable(examples: Iterable[Example], room: Budget) -> list[Example]:
    """Leave out examples that would not fit even alone."""
    return [e for e in examples if room.bytes is None or size([e]) <= room.bytes]


def choose(memory: Sequence[Example], share: float, batch: int, rng: np.random.Generator) -> list[int]:
    """Draw slots of the memory without repeats: on average `share` times as many as a batch has new examples.

    Where that is not a whole number, it is rounded at random: a small share of a small batch is not always zero.
    Methods draw in `compose_batch` alone: its generator is the same in every process of a distributed run.
    """
    wanted = share * batch
    num = int(wanted) + int(wanted % 1 > 0 and rng.random() < wanted % 1)
    num = min(num, len(memory))
    return rng.choice(len(memory), num, replace=False).tolist() if num else []


def mixed(batch: list[Example], memory: Sequence[Example], share: float, rng: np.random.Generator) -> list[Example]:
    """Return the batch with old examples after it, drawn uniformly without repeats."""
    old = [memory[i] for i in choose(memory, share, len(batch), rng)]
    return [*batch, *old] if old else batch


# --- a uniform sample of all that was ever taught -----------------------------------------------------------


class Sample(NamedTuple):
    """A uniform sample of a stream.

    Attributes:
        examples: What is kept.
        seen: Examples it was drawn from.
        cap: Size to which bytes have cut it back; a sample that grew again would favour what comes late.
            None where they never did.
        origin: For each example its slot in the sample before, None where it is new.
    """

    examples: list[Example]
    seen: int = 0
    cap: int | None = None
    origin: tuple[int | None, ...] = ()


def reservoir(old: Sample, lesson: Lesson, room: Budget, rng: np.random.Generator) -> Sample:
    """Let the examples of a lesson pass a reservoir: every example seen so far stays with equal probability.

    Source: Vitter 1985, "Random Sampling with a Reservoir", ACM TOMS 11(1), Algorithm R. What does not fit into
    `room.bytes` is dropped at random, which leaves the sample uniform, but smaller for good.
    """
    items: list[tuple[Example, int | None]] = [(e, slot) for slot, e in enumerate(old.examples)]
    limits = [n for n in (room.examples, old.cap) if n is not None]
    most = min(limits, default=len(items) + len(lesson.examples))
    seen = old.seen
    for example in storable(lesson.examples, room):
        seen += 1
        if len(items) < most:
            items.append((example, None))
        elif (slot := int(rng.integers(seen))) < most:
            items[slot] = (example, None)
    full, total = len(items), 0 if room.bytes is None else size(e for e, _ in items)
    while items and (len(items) > most or (room.bytes is not None and total > room.bytes)):
        example, _ = items.pop(int(rng.integers(len(items))))
        total -= example_bytes(example)
    cap = max(len(items), 1) if len(items) < full else old.cap
    return Sample([e for e, _ in items], seen, cap, tuple(slot for _, slot in items))


class ReservoirMethod(Method):
    """A method that keeps a uniform sample of all that was ever taught.

    Attributes:
        memory, seen, cap: The sample; see `Sample`.
    """

    def __init__(self) -> None:
        self.memory: list[Example] = []
        self.seen = 0
        self.cap: int | None = None

    def pass_reservoir(self, lesson: Lesson, room: Budget, rng: np.random.Generator) -> tuple[int | None, ...]:
        """Let a lesson pass the reservoir; return for each example that stays its slot before, None where it is new."""
        found = reservoir(Sample(self.memory, self.seen, self.cap), lesson, room, rng)
        self.memory, self.seen, self.cap, origin = found
        return origin

    def state(self) -> dict[str, Any]:
        """Return the sample; nothing where no example is kept."""
        cap = {} if self.cap is None else {"cap": self.cap}
        return {"memory": self.memory, "seen": self.seen, **cap} if self.memory else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the sample."""
        self.memory = list(state.get("memory", []))
        self.seen = state.get("seen", 0)
        self.cap = state.get("cap")


# --- groups with equal room, ranked within ------------------------------------------------------------------


class Ranked(NamedTuple):
    """A stored example.

    Attributes:
        group: Whose room it takes.
        rank: Within its group, the highest rank goes first.
    """

    example: Example
    group: str
    rank: float


def group_of(example: Example, number: int) -> str:
    """Say whose room an example takes: its label's, or for free text its lesson's."""
    return f"label {example.targets[0]}" if example.choices else f"lesson {number}"


def equal_room(items: Sequence[Ranked], room: Budget) -> list[Ranked]:
    """Drop from the largest group the one of highest rank until the rest fits; the order stays.

    Groups end with equal numbers, give or take one, except those that never had as many. Among groups of
    equal size the oldest gives way.

    Example:
        >>> from clbench.core.types import Message
        >>> e = Example(id="x", prompt=(Message(role="user", content="?"),))
        >>> [tuple(i[1:]) for i in equal_room([Ranked(e, g, r) for g, r in ("a1", "a0", "b5")], Budget(examples=2))]
        [('a', '0'), ('b', '5')]
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[item.group].append(index)
    for indices in groups.values():
        indices.sort(key=lambda i: (items[i].rank, i))
    left, total = len(items), 0 if room.bytes is None else size(i.example for i in items)
    while left and (
        (room.examples is not None and left > room.examples) or (room.bytes is not None and total > room.bytes)
    ):
        dropped = max(groups.values(), key=len).pop()
        left, total = left - 1, total - example_bytes(items[dropped].example)
    kept = sorted(i for indices in groups.values() for i in indices)
    return [items[i] for i in kept]
