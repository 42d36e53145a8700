"""Comparison of the rows of a task by their hashes: repeats, leaks, labels."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from decimal import Context, Decimal
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.keys import normal_text, plain_label
from clbench.data.intake.files import TEST, TRAIN
from clbench.data.intake.findings import FIRST, Findings
from clbench.data.intake.form import Form
from clbench.data.intake.part import LONGEST_LABEL, MOST_LABELS, Part, Shape, main_of
from clbench.data.intake.text import printable

Labels = Literal["auto", "from-data", "none"]
MISSING = frozenset(
    "nan NaN NAN null NULL None <NA> NaT #N/A undefined inf -inf Infinity -Infinity "
    "#REF! #DIV/0! #VALUE! #NAME? #NUM! #NULL!".split()
)
DECIMAL = re.compile(r"-?\d+\.0", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eE][+-]?\d{1,4})?", re.ASCII)
EXACT = Context(prec=100)  # digits: no label is rounded
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
IMBALANCE = 10.0  # rows of the commonest label per row of the rarest, from which on a warning is given
SHORT = 60  # characters: answers that are mostly no longer are short answers, which are graded exactly
ROWS_PER_LABEL = 3  # fewer rows per different answer are free text


def numbers(values: array[int]) -> U64:
    """Return an array of 64-bit numbers as a numpy array, without copying."""
    return np.frombuffer(values, dtype=np.uint64) if len(values) else np.zeros(0, dtype=np.uint64)


def repeats(keys: U64) -> tuple[I64, I64]:
    """Return the index of every repeated key, and the index of its first occurrence; ascending.

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
    """Return the index of every key that is among the others, and its first index there."""
    if not len(others):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    order = np.argsort(others, kind="stable")
    place = np.minimum(np.searchsorted(others[order], keys), len(others) - 1)
    found = np.flatnonzero(others[order][place] == keys)
    return found, order[place[found]]


def shape_of(parts: dict[str, Part], form: Form | None, labels: Labels) -> Shape | None:
    """Return the kind of task that the rows are, by the answers that are taught.

    Raises:
        SpecError: Labels were asked for, and the answers cannot be labels.
    """
    part = main_of(parts)
    if part is None or form is None:
        return None
    sizes = np.sort(np.frombuffer(part.characters[1], dtype=np.uint32))
    usual = int(sizes[int(0.95 * (len(sizes) - 1))])
    folded: Counter[str] = Counter()
    for label, (num, _) in (part.labels or {}).items():
        folded[plain_label(label)] += num
    counts = dict(sorted(folded.items(), key=lambda x: (-x[1], x[0])))
    if labels == "from-data" and not counts:
        raise SpecError(
            f"over {MOST_LABELS} different answers, or one over {LONGEST_LABEL} characters, cannot be labels",
            where="--labels",
            mend="leave it out, or name the column of the labels with --target",
        )
    if len(counts) == 1 and labels == "from-data":
        what = f"every row answers '{printable(next(iter(counts)))}': one label is not a set of labels"
        raise SpecError(what, where="--labels", mend="leave it out, or name another column with --target")
    if len(counts) == 1:  # a set of one would be right whatever is said
        counts = {}
    few = f"{len(counts)} different answers in {len(part):,} rows"
    if labels == "from-data" and counts:
        return Shape("classification", f"{few}; labels were asked for", counts)
    if labels != "none" and counts:
        if form.name == "text and label" and len(counts) < len(part):
            return Shape("classification", f"a column 'label' with {few}", counts)
        if len(part) >= ROWS_PER_LABEL * len(counts):
            return Shape("classification", few, counts)
    num = len(np.unique(numbers(part.answers)))
    many = f"{num:,} different answer{'s' if num > 1 else ''} in {len(part):,} rows"
    if usual <= SHORT:
        return Shape("qa", f"{many}, most of them at most {SHORT} characters", {})
    return Shape("generation", f"{many}, up to {int(sizes[-1]):,} characters", {})


def compare(parts: dict[str, Part], shape: Shape | None, findings: Findings) -> None:
    """Add findings on repeats within a split, prompts that splits share, and labels."""
    for part in parts.values():
        _within(part, findings)
    for a, b in combinations(sorted(parts, key=lambda name: (name != TRAIN, name == TEST)), 2):
        _across(parts[a], parts[b], findings)
    for part in parts.values():
        _gaps(part, findings)
    main = main_of(parts)
    if main is not None and len(main.labels or {}) == 1 and len(main) > 1:
        findings.add("single", main.where(0), f"every row answers '{printable(next(iter(main.labels or {})))}'")
    if shape is not None and shape.labels:
        _labels(parts, shape, findings)


def _keep(kind: str, part: Part, found: I64, described: list[tuple[int, str]], findings: Findings) -> None:
    for index, what in described:
        findings.add(kind, part.where(index), what)
    findings.count(kind, len(found) - len(described))


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
    described = [(i, f"this {other.name} row asks what {part.where(j)} {_verb(leak)}") for i, j in pairs]
    _keep("leak" if leak else "overlap", other, found, described, findings)


def _gaps(part: Part, findings: Findings) -> None:
    """Add findings on answers that stand for a missing value, and whole numbers that a gap made decimals."""
    labels = part.labels or {}
    for label, (rows, first) in labels.items():
        if label in MISSING:
            findings.add("missing", part.where(first), f"the answer is the text '{label}'")
            findings.count("missing", rows - 1)
    decimal = [label for label in labels if label not in MISSING]
    gap = part.seen > len(part) or len(decimal) < len(labels)
    if gap and decimal and all(DECIMAL.fullmatch(label) for label in decimal):
        first = labels[decimal[0]][1]
        findings.add(
            "upcast", part.where(first), f"'{printable(decimal[0])}' and all other answers end in .0, beside gaps"
        )


def _verb(leak: bool) -> str:
    return "teaches" if leak else "asks"


def _labels(parts: dict[str, Part], shape: Shape, findings: Findings) -> None:
    part = main_of(parts)
    assert part is not None, "a shape needs rows"
    taught = part.labels or {}
    commonest, rarest = next(iter(shape.labels)), list(shape.labels)[-1]
    most, least = shape.labels[commonest], shape.labels[rarest]
    if most > IMBALANCE * least:
        first = next(first for label, (_, first) in taught.items() if plain_label(label) == rarest)
        what = (
            f"'{printable(commonest)}' {most:,} times, '{printable(rarest)}' {least:,} times: {most / least:.0f} to 1, "
            f"and {IMBALANCE:.0f} to 1 is the threshold"
        )
        findings.add("imbalance", part.where(first), what)
    _alike(parts, findings)
    for each in parts.values():
        _mixed(each, findings)
    if TEST in parts and part.name == TRAIN:
        _unseen(parts[TEST], taught, findings)


def _alike(parts: dict[str, Part], findings: Findings) -> None:
    """Add findings on labels that are one once folded, and on labels of the taught split that look alike."""
    read: dict[str, str] = {}
    folded: dict[str, str] = {}
    main = main_of(parts)
    for part in sorted(parts.values(), key=lambda part: part is not main):
        for label, (rows, first) in (part.labels or {}).items():
            form = read.setdefault(plain_label(label), label)
            if form != label:
                what = f"label {label!a}, elsewhere {form!a}: both are read as {plain_label(label)!a}"
                findings.add("folded", part.where(first), what)
                findings.count("folded", rows - 1)
                continue
            other = folded.setdefault(_as_number(normal_text(label)), label)
            if part is main and other != label:
                findings.add(
                    "variants", part.where(first), f"label '{printable(label)}', elsewhere '{printable(other)}'"
                )


def _as_number(text: str) -> str:
    """Return one text for all forms of a number: 1, 01, 1.0, +1, 1e0; -1 with a hyphen or a minus sign."""
    text = text.replace("\u2212", "-")
    if not NUMBER.fullmatch(text):
        return text
    number = Decimal(text)
    return str(number.normalize(EXACT)) if number else "0"


def _mixed(part: Part, findings: Findings) -> None:
    """Add findings on labels of several types: as texts, 1 and 1.0 are two labels, and 1 and "1" are one."""
    if len(part.kinds) < 2:
        return
    commonest = max(part.kinds, key=lambda kind: part.kinds[kind][1])
    for kind, (first, rows) in part.kinds.items():
        if kind != commonest:
            findings.add("mixed", part.where(first), f"{kind}, {rows:,} times; most labels are {commonest}")
            findings.count("mixed", rows - 1)


def _unseen(test: Part, taught: dict[str, list[int]], findings: Findings) -> None:
    if test.labels is None:
        findings.add("unseen", test.where(0), f"the answers of test are not labels, and train has {len(taught)}")
        return
    known = {plain_label(label) for label in taught}
    for label, (rows, first) in test.labels.items():
        if plain_label(label) not in known:
            near = did_you_mean(label, known) if findings.wants("unseen") else ""
            findings.add("unseen", test.where(first), f"no train row has the label '{printable(label)}'", near)
            findings.count("unseen", rows - 1)
