"""What changed between two versions of a data set, task by task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clbench.context.findings import Finding
from clbench.context.graded import facts_of, of_the_old_shape, rows
from clbench.context.reference import value_digest
from clbench.core.errors import DataError

MEANINGS = {
    "gone task": "grades of it have no place in the new version",
    "new task": "grades of the old version lack it",
    "other messages": "answers to the old ones are answers to another question",
    "other rubrics": "grades by the old ones do not count for the new ones",
    "other metadata": "tables by category, and contexts as groups, may change",
}


@dataclass(frozen=True)
class _Version:
    """A task as one version has it: where it stands, and digests of its parts."""

    where: str
    messages: str
    rubrics: tuple[str, ...]
    metadata: str


def changes(old: Path, new: Path) -> list[Finding]:
    """Return what changed, by kind.

    Raises:
        DataError: A version cannot be read, or has a task twice.
    """
    before, after = _read(old), _read(new)
    found = [Finding("gone task", before[name].where, f"task {name}") for name in before if name not in after]
    found += [Finding("new task", after[name].where, f"task {name}") for name in after if name not in before]
    for name in before:
        if name in after:
            found += _differences(name, before[name], after[name])
    order = {kind: place for place, kind in enumerate(MEANINGS)}
    return sorted(found, key=lambda f: order[f.kind])


def _differences(name: str, one: _Version, two: _Version) -> Iterator[Finding]:
    if one.messages != two.messages:
        yield Finding("other messages", two.where, f"task {name}")
    if one.rubrics != two.rubrics:
        gone, new = (Counter(a) - Counter(b) for a, b in ((one.rubrics, two.rubrics), (two.rubrics, one.rubrics)))
        moved = "" if gone or new else "in another order"
        said = moved or f"{gone.total()} of {len(one.rubrics)} are gone, {new.total()} of {len(two.rubrics)} are new"
        yield Finding("other rubrics", two.where, f"task {name}: {said}")
    if one.metadata != two.metadata:
        yield Finding("other metadata", two.where, f"task {name}")


def _read(path: Path) -> dict[str, _Version]:
    read = [
        (f"{path}:{line}", facts_of(row, f"{path}:{line}"), value_digest(row.get("metadata")))
        for line, row in rows(path)
    ]
    named = of_the_old_shape([facts for _, facts, _ in read], numbered=True)
    found: dict[str, _Version] = {}
    for facts, (where, _, metadata) in zip(named, read, strict=True):
        if facts.id in found:
            what = f"task {facts.id} is there twice, also at {found[facts.id].where}"
            raise DataError(what, where=where, mend="delete one of the rows")
        found[facts.id] = _Version(where, facts.prompt, facts.rubrics, metadata)
    if not found:
        raise DataError("holds no rows", where=str(path), mend="name the data set, one JSON object per line")
    return found
