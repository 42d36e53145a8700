"""The order of work: by context, so that a provider's prefix cache serves the siblings; and samples of a data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from clbench.context.rows import Entry
from clbench.core.keys import rng

SampleBy = Literal["task", "context", "stratified"]


def by_context(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return rows grouped by context, the shortest conversation first; groups stand in the order of the file.

    The first row of a group is to be asked alone: what the siblings share with it is then cached.
    """
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.context_id].append(entry)
    return [sorted(group, key=lambda e: (e.num_messages, e.num_chars, e.trial, e.line)) for group in groups.values()]


def sample(entries: Sequence[Entry], num: int | None, by: SampleBy, seed: int) -> list[Entry]:
    """Return a sample of rows in the order of the file.

    Args:
        entries: The rows.
        num: How many tasks ("task", "stratified") or contexts ("context"); None takes all.
        by: "task" draws rows, "context" whole contexts, "stratified" rows in proportion to the categories.
        seed: The same seed draws the same rows of the same file.
    """
    if num is None:
        return list(entries)
    if by == "context":
        names = list(dict.fromkeys(e.context_id for e in entries))
        drawn = {names[k] for k in _drawn(len(names), num, seed, "context")}
        return [e for e in entries if e.context_id in drawn]
    if by == "task":
        wanted = set(_drawn(len(entries), num, seed, "task"))
        return [e for k, e in enumerate(entries) if k in wanted]
    return _stratified(entries, num, seed)


def _stratified(entries: Sequence[Entry], num: int, seed: int) -> list[Entry]:
    strata: dict[str, list[int]] = defaultdict(list)
    for k, e in enumerate(entries):
        strata[e.category].append(k)
    exact = {name: num * len(places) / len(entries) for name, places in strata.items()}
    sizes = {name: int(size) for name, size in exact.items()}
    for name in sorted(exact, key=lambda n: (sizes[n] - exact[n], n))[
        : max(0, min(num, len(entries)) - sum(sizes.values()))
    ]:
        sizes[name] += 1
    wanted = {places[k] for name, places in strata.items() for k in _drawn(len(places), sizes[name], seed, name)}
    return [e for k, e in enumerate(entries) if k in wanted]


def _drawn(total: int, num: int, seed: int, purpose: str) -> list[int]:
    if num >= total:
        return list(range(total))
    return [int(k) for k in rng(seed, 0, f"context sample {purpose}").permutation(total)[:num]]
