"""Orders of increments: as given, reversed, drawn, from easy to hard, along similarity, or in turns.

given: as the card lists them. reverse: from the last to the first. {seed: N}: a permutation drawn with N.
easy-first: by `ease`, highest first. similar-first: from the first task on, always the task most similar to the one
before; dissimilar-first: the least similar. {interleave: N}: families take turns of N. {named: ...}: a published order.
Ties keep the given order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import rng
from clbench.core.types import Task
from clbench.data.streams.card import Interleaved, Named, Order, Seeded
from clbench.data.streams.increments import form_of
from clbench.data.streams.similarity import ease, similarity
from clbench.data.tasks.card_file import read_text

ORDERS = Path(__file__).parent / "orders.yaml"


def named_order(name: str, where: str = "order") -> tuple[str, ...]:
    """Return the tasks of a published order.

    Raises:
        DataError: There is no order of that name.
    """
    orders = read_text(ORDERS).values
    if name not in orders:
        raise DataError(f"there is no order {name!r}", where=where, mend=did_you_mean(name, orders))
    return tuple(orders[name])


def ordered(units: Sequence[Task], order: Order) -> list[Task]:
    """Return increments in the order that a card names."""
    if isinstance(order, Seeded):
        return [units[i] for i in rng(order.seed, 0, "order").permutation(len(units))]
    if isinstance(order, Interleaved):
        return _interleaved(units, order.interleave)
    if isinstance(order, Named) or order == "given":
        return list(units)
    if order == "reverse":
        return list(reversed(units))
    if order == "easy-first":
        return sorted(units, key=lambda task: -ease(task))
    return _chain(units, sign=1 if order == "similar-first" else -1)


def _interleaved(units: Sequence[Task], turn: int) -> list[Task]:
    families: dict[object, list[Task]] = {}
    for task in units:
        families.setdefault(task.part_of or form_of(task), []).append(task)
    mixed: list[Task] = []
    while any(families.values()):
        for members in families.values():
            mixed += members[:turn]
            del members[:turn]
    return mixed


def _chain(units: Sequence[Task], sign: int) -> list[Task]:
    near_NN = similarity(units)
    chain, left = [0], list(range(1, len(units)))
    while left:
        chain.append(max(left, key=lambda i: sign * near_NN[chain[-1], i]))
        left.remove(chain[-1])
    return [units[i] for i in chain]
