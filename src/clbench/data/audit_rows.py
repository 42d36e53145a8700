"""Compare the rows of a task with each other by their hashes: repeats, leaks, labels."""

from __future__ import annotations

from array import array
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.keys import normal_text
from clbench.data.audit_files import TEST, TRAIN
from clbench.data.audit_findings import FIRST, Findings
from clbench.data.audit_form import Form
from clbench.data.audit_part import LONGEST_LABEL, MOST_LABELS, Part, Shape
from clbench.data.audit_text import shown

Labels = Literal["auto", "from-data", "none"]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
IMBALANCE = 10.0  # rows of the commonest label per row of the rarest, from which on a warning is given
SHORT = 60  # characters: answers that are mostly no longer are short answers, which are marked exactly
ROWS_PER_LABEL = 3  # fewer rows per different answer are free text


def numbers(values: array[int]) -> U64:
    """See an array of eight-byte numbers as numpy does; nothing is copied."""
    return np.frombuffer(values, dtype=np.uint64) if len(values) else np.zeros(0, dtype=np.uint64)


def repeats(keys: U64) -> tuple[I64, I64]:
    """Give the index of every key that stood before, and the index at which it stood first; ascending.

    Example:
        >>> [r.tolist() for r in repeats(np.array([7, 5, 7, 7], dtype=np.uint64))]
        [[2, 3], [0, 0]]
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.ones(len(keys), dtype=np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    first = order[new][np.cumsum(new) - 1]
    again, before = order[~new], first[~new]
    sort = np.argsort(again)
    return again[sort], before[sort]


def shared(keys: U64, others: U64) -> tuple[I64, I64]:
    """Give the index of every key that is among the others, and the first index at which it stands there."""
    if not len(others):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    order = np.argsort(others, kind="stable")
    place = np.minimum(np.searchsorted(others[order], keys), len(others) - 1)
    found = np.flatnonzero(others[order][place] == keys)
    return found, order[place[found]]


def shape_of(parts: dict[str, Part], form: Form | None, labels: Labels) -> Shape | None:
    """Tell what kind of task the rows are, from the answers that are taught.

    Raises:
        SpecError: Labels were asked for, and the answers are none.
    """
    part = parts.get(TRAIN) or next((p for p in parts.values() if len(p)), None)
    if part is None or form is None or not len(part):
        return None
    sizes = np.sort(np.frombuffer(part.characters[1], dtype=np.uint32))
    usual = int(sizes[int(0.95 * (len(sizes) - 1))])
    found = part.labels or {}
    counts = dict(sorted(((label, n) for label, (n, _) in found.items()), key=lambda x: (-x[1], x[0])))
    if labels == "from-data" and not counts:
        raise SpecError(
            f"over {MOST_LABELS} different answers, or one over {LONGEST_LABEL} characters, are no labels",
            where="--labels",
            mend="leave it out, or name the column of the labels with --target",
        )
    few = f"{len(counts)} different answers in {len(part):,} rows"
    if labels == "from-data" and counts:
        return Shape("classification", f"{few}; labels were asked for", counts)
    if labels != "none" and counts:
        if form.name == "text and label" and len(counts) < len(part):
            return Shape("classification", f"a column 'label' with {few}", counts)
        if len(part) >= ROWS_PER_LABEL * len(counts):
            return Shape("classification", few, counts)
    many = f"{len(np.unique(numbers(part.answers))):,} different answers in {len(part):,} rows"
    if usual <= SHORT:
        return Shape("qa", f"{many}, most of them at most {SHORT} characters", {})
    return Shape("generation", f"{many}, up to {int(sizes[-1]):,} characters", {})


def compare(parts: dict[str, Part], shape: Shape | None, findings: Findings) -> None:
    """Find repeats within a split, prompts that splits share, and what is wrong with the labels."""
    for part in parts.values():
        _within(part, findings)
    for a, b in combinations(sorted(parts, key=lambda name: (name != TRAIN, name == TEST)), 2):
        _across(parts[a], parts[b], findings)
    if shape is not None and shape.labels:
        _labels(parts, shape, findings)


def _keep(kind: str, part: Part, found: I64, told: list[tuple[int, str]], findings: Findings) -> None:
    for index, what in told:
        findings.add(kind, part.where(index), what)
    findings.count(kind, len(found) - len(told))


def _within(part: Part, findings: Findings) -> None:
    prompts, answers, wholes = (numbers(values) for values in (part.prompts, part.answers, part.wholes))
    again, before = repeats(numbers(part.ids))
    pairs = list(zip(again[:FIRST].tolist(), before[:FIRST].tolist(), strict=True))
    _keep("id", part, again, [(i, f"the id of {part.beside(j, i)}") for i, j in pairs], findings)
    again, before = repeats(wholes)
    exact = np.zeros(len(part), dtype=np.bool_)
    exact[again] = True
    pairs = list(zip(again[:FIRST].tolist(), before[:FIRST].tolist(), strict=True))
    _keep("exact", part, again, [(i, f"the same as {part.beside(j, i)}") for i, j in pairs], findings)
    again, before = repeats(prompts)
    same = answers[again] == answers[before]
    for kind, chosen, what in (
        ("near", same & ~exact[again], "but for case, width or blanks the same as"),
        ("two", ~same & ~exact[again], "another answer than at"),
    ):
        rows = again[chosen]
        pairs = list(zip(rows[:FIRST].tolist(), before[chosen][:FIRST].tolist(), strict=True))
        _keep(kind, part, rows, [(i, f"{what} {part.beside(j, i)}") for i, j in pairs], findings)


def _across(part: Part, other: Part, findings: Findings) -> None:
    leak = part.name == TRAIN and other.name == TEST
    found, at = shared(numbers(other.prompts), numbers(part.prompts))
    pairs = list(zip(found[:FIRST].tolist(), at[:FIRST].tolist(), strict=True))
    told = [(i, f"this {other.name} row asks what {part.where(j)} {_verb(leak)}") for i, j in pairs]
    _keep("leak" if leak else "overlap", other, found, told, findings)


def _verb(leak: bool) -> str:
    return "teaches" if leak else "asks"


def _labels(parts: dict[str, Part], shape: Shape, findings: Findings) -> None:
    part = parts.get(TRAIN) or next(p for p in parts.values() if len(p))
    taught = part.labels or {}
    commonest, rarest = next(iter(shape.labels)), list(shape.labels)[-1]
    most, least = shape.labels[commonest], shape.labels[rarest]
    if len(shape.labels) == 1:
        findings.add("single", part.where(0), f"every row answers '{shown(commonest)}'")
    if most > IMBALANCE * least:
        what = (
            f"'{shown(commonest)}' {most:,} times, '{shown(rarest)}' {least:,} times: {most / least:.0f} to 1, "
            f"and {IMBALANCE:.0f} to 1 is the threshold"
        )
        findings.add("imbalance", part.where(taught[rarest][1]), what)
    folded: dict[str, str] = {}
    for label, (_, first) in taught.items():
        other = folded.setdefault(normal_text(label), label)
        if other != label:
            findings.add("variants", part.where(first), f"label {shown(label)!r}, elsewhere {shown(other)!r}")
    if TEST in parts and part.name == TRAIN:
        _unseen(parts[TEST], taught, findings)


def _unseen(test: Part, taught: dict[str, list[int]], findings: Findings) -> None:
    if test.labels is None:
        findings.add("unseen", test.where(0), f"the answers of test are no labels, and train has {len(taught)}")
        return
    for label, (rows, first) in test.labels.items():
        if label not in taught:
            near = did_you_mean(label, taught) if findings.wants("unseen") else ""
            findings.add("unseen", test.where(first), f"no train row bears the label '{shown(label)}'", near)
            findings.count("unseen", rows - 1)
