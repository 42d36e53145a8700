"""From checked files to a task of the user: a card beside a folder with one file per split."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import yaml

from clbench.core.errors import DataError, SpecError, did_you_mean
from clbench.core.events import notice
from clbench.core.keys import canonical, normal_text, plain_label
from clbench.core.language import BLANKLESS, NAMES, codes, told_by_letters
from clbench.core.scorers import depends_on_language
from clbench.data.intake.audit import Audit
from clbench.data.intake.files import SPLITS, TEST, TRAIN, VALIDATION, walk_files
from clbench.data.intake.form import Form
from clbench.data.intake.part import Part, hash64, row_hash64
from clbench.data.intake.report import written
from clbench.data.intake.rows import numbers
from clbench.data.intake.written_rows import accept_column, columns_of, others_of, replaced_of
from clbench.data.tasks.card import list_cards
from clbench.data.tasks.source import NAME

SCORERS = {"classification": "label", "qa": "exact", "generation": "rouge"}
SHARES = (90, 10)
CHARACTERS_PER_TOKEN = 3  # of text in letters; fewer than tokenizers manage, so that answers are not cut
MOST_ANSWER = 512  # tokens


@dataclass(frozen=True)
class Wish:
    """The user's choices.

    Attributes:
        name: The task's name.
        shares: Shares of (train, test) or (train, validation, test) that divide one file; None: 90/10, except for a
            file of test rows.
        seed: Seed of the division.
        scorer: Name of the scorer; None is the usual one of the kind of task.
        language: "en", "zh", ...; None recognises it by the letters.
        license: Licence of the data, for listings.
    """

    name: str
    shares: tuple[int, ...] | None = None
    seed: int = 0
    scorer: str | None = None
    language: str | None = None
    license: str = "own"


def shares_of(text: str) -> tuple[int, ...]:
    """Return the shares in a text such as `90/10` or `80/10/10`.

    Raises:
        SpecError: It is something else.

    Example:
        >>> shares_of("80/10/10")
        (80, 10, 10)
    """
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(p.isascii() and p.isdigit() and int(p) > 0 for p in parts):
        raise SpecError(
            f"{text!r} is not a division", where="--split", mend="train/test as in 90/10, or train/validation/test"
        )
    return tuple(int(p) for p in parts)


def refuse_language(name: str | None) -> None:
    """Refuse a language that clbench does not know; "code" stands for programs.

    Raises:
        SpecError: The language is unknown.
    """
    if name is not None and name != "code" and not codes(name):
        mend = f"a code such as en, de or zh, or {did_you_mean(name, NAMES)}"
        raise SpecError(f"{name!r} is not a language", where="--language", mend=mend)


def refuse_name(name: str, out: Path) -> None:
    """Refuse a name that is not valid, that a shipped card has, or that exists already.

    Raises:
        SpecError: One of these.
    """
    if not re.fullmatch(NAME, name):
        mend = "at most 200 letters, digits, '.', '_' and '-'"
        raise SpecError(f"{name[:60]!r} is not a valid name", where="--task", mend=mend)
    if name in list_cards("tasks"):
        raise SpecError(f"{name!r} is a shipped card's name", where="--task", mend="choose another name")
    if out.exists() and not out.is_dir():
        raise SpecError(f"{out} is a file, not a folder", where="--out", mend="name a folder; it is made if missing")
    for path in (out / f"{name}.yaml", out / name):
        if path.exists():
            raise SpecError(f"{path} is there already", where="--task", mend="choose another --task or --out")


def refuse_splits(names: set[str], wish: Wish, *, given: bool) -> None:
    """Refuse splits that do not make a task: one file is divided, several need test and, to be taught, train.

    Args:
        names: Names of the splits.
        wish: Whether a division was asked for.
        given: Whether the user named a split, which is then not divided.

    Raises:
        SpecError: The splits do not make a task.
    """
    listed = ", ".join(sorted(names))
    if wish.shares is not None and (given or len(names) > 1):
        what = "several splits are given" if len(names) > 1 else f"the file is given as {listed}"
        mend = f"drop {'/'.join(map(str, wish.shares))}, or give one file without the name of a split"
        raise SpecError(f"{what}, so none is divided", where="--split", mend=mend)
    if names == {TEST} or (divides(names, wish) and not given):
        return
    if TEST not in names or not names <= set(SPLITS):
        raise SpecError(
            f"the splits are {listed}" if len(names) > 1 else f"there is only a split named {listed}",
            where="--split",
            mend="a task has train and test, and perhaps validation: --split train=FILE --split test=FILE; "
            "an exam has test alone; one file without the name of a split is divided",
        )


def divides(names: set[str], wish: Wish) -> bool:
    """Return whether the only file is divided; one of test or validation rows only if the user asks for it."""
    return len(names) == 1 and (wish.shares is not None or not names & {TEST, VALIDATION})


def refuse_clash(audit: Audit) -> None:
    """Refuse labels that are one once folded: they could not be distinguished as classes.

    Raises:
        DataError: There are such labels.
    """
    if audit.shape is not None and audit.shape.labels and (found := audit.findings.first.get("folded")):
        raise DataError(found[0].what, where=found[0].where, mend="write them in one way, then add the files again")


@contextmanager
def draft(out: Path, name: str) -> Generator[Path]:
    """Yield a folder to write a task in, which is removed afterwards in any case.

    Raises:
        DataError: The disk is full, or the folder cannot be written.
    """
    is_new = not out.exists()
    folder = None
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=out))
        yield folder
    except OSError as error:
        mend = "free some space, or name another folder with --out"
        raise DataError(f"the task cannot be written: {error.strerror or error}", where=str(out), mend=mend) from None
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if is_new and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def publish(folder: Path, out: Path, name: str) -> Path:
    """Move a finished draft to its place and return its card, which is moved last: a card is never incomplete."""
    refuse_name(name, out)
    rows, card = out / name, out / f"{name}.yaml"
    (folder / name).rename(rows)  # fails if another process put its own there
    try:
        (folder / f"{name}.yaml").rename(card)
    except BaseException:
        shutil.rmtree(rows, ignore_errors=True)
        raise
    return card


def write_task(audit: Audit, wish: Wish, folder: Path) -> dict[str, int]:
    """Write card and rows of a task into a folder.

    Args:
        audit: A check of the files without errors.
        wish: The user's choices.
        folder: Where to write.

    Returns:
        Split -> rows written; exact repeats are written once.

    Raises:
        DataError: There are too few rows to divide, or a file changed since it was checked.
        OSError: The folder cannot be written.
    """
    assert audit.form is not None and audit.shape is not None, "a check without errors has both"
    split_of = _splitter(audit, wish)
    rows = folder / wish.name
    rows.mkdir()
    counts = _write_rows(audit, split_of, rows)
    taught = TRAIN in audit.parts or divides(set(audit.parts), wish)
    for split in (TRAIN, TEST) if taught else (TEST,):
        if split not in counts:
            raise DataError(f"no row is left for {split}", where=wish.name, mend="give more rows")
    text = card_text(audit, wish, [s for s in SPLITS if s in counts])
    _flushed(folder / f"{wish.name}.yaml", text)
    return counts


def _splitter(audit: Audit, wish: Wish) -> Callable[[str, int], str]:
    """Return a function: (split of a row's file, hash of its prompt) -> its split in the task."""
    if divides(set(audit.parts), wish):
        held = divided(audit.main, wish, repair=bool(audit.shape and audit.shape.labels))
        return lambda _, prompt: held.get(prompt, TRAIN)
    return lambda split, _: split


def divided(part: Part, wish: Wish, *, repair: bool) -> dict[int, str]:
    """Return the prompts that are held out, chosen by hash: equal prompts stay together, whatever the order of rows.

    Args:
        part: The rows.
        wish: Shares and seed.
        repair: Whether every answer must be taught: its last row in the order of hashes goes back to train if not.

    Returns:
        Hash of the prompt -> "validation" or "test"; all others are taught.

    Raises:
        DataError: There are too few different prompts.
    """

    def place(prompt: int) -> bytes:
        return hashlib.sha256(f"{wish.seed}\0{prompt}".encode()).digest()

    prompts, answers = numbers(part.prompts), numbers(part.classes if repair else part.answers)
    ranked = sorted(np.unique(prompts).tolist(), key=place)
    shares = wish.shares or SHARES
    total = sum(shares)
    num_test = max(1, round(len(ranked) * shares[-1] / total))
    num_dev = max(1, round(len(ranked) * shares[1] / total)) if len(shares) == 3 else 0
    held = {prompt: TEST if i < num_test else VALIDATION for i, prompt in enumerate(ranked[: num_test + num_dev])}
    if repair:
        out = np.isin(prompts, np.array(list(held), dtype=np.uint64))
        for answer in np.setdiff1d(answers[out], answers[~out]).tolist():
            if answer not in answers[~out]:
                back = max(set(prompts[(answers == answer) & out].tolist()), key=place)
                del held[back]
                out &= prompts != back
    if len(held) == len(ranked) or TEST not in held.values():
        raise DataError(
            f"{len(ranked)} different prompts are too few to divide {'/'.join(map(str, shares))}",
            where=str(part.sources[0].path),
            mend="give more rows, or a file for each split",
        )
    return held


def _write_rows(audit: Audit, split_of: Callable[[str, int], str], folder: Path) -> dict[str, int]:
    form = audit.form
    assert form is not None, "told by the caller"
    counts: dict[str, int] = {}
    written: dict[str, set[int]] = {split: set() for split in SPLITS}
    lost: dict[str, int] = {}
    replaced: dict[str, None] = {}
    sources = [s for part in audit.parts.values() for s in part.sources]
    with ExitStack() as files:
        outputs: dict[str, TextIO] = {}
        for source, rows in walk_files(sources, "writing"):
            for number, row in rows:
                try:
                    if isinstance(row, DataError):
                        raise row
                    reading = form.read(row)
                    values = columns_of(form, row, reading, audit.roles)
                    kept = others_of(form, row, values, lost)
                    replaced |= dict.fromkeys(replaced_of(form, row, values))
                except DataError as error:
                    raise DataError(f"{error.what}: the file changed", where=source.where(number)) from None
                split = split_of(source.split, hash64(normal_text("\n".join(text for _, text in reading.turns))))
                if (key := row_hash64(reading)) in written[split]:
                    continue
                written[split].add(key)
                if split not in outputs:
                    path = folder / f"{split}.jsonl"
                    outputs[split] = files.enter_context(path.open("x", encoding="utf-8", newline="\n"))
                outputs[split].write(canonical(kept | values) + "\n")
                counts[split] = counts.get(split, 0) + 1
        for file in outputs.values():
            file.flush()
            os.fsync(file.fileno())
    if form.turns and len(audit.roles) > 1:
        notice("the conversations have turns of different roles: what stands before an answer is one text, `user: ...`")
    for column in replaced:
        notice(
            f"column {column!r} of the files is left out: the task has one of that name, made of {form.derived_from}"
        )
    for column, num in lost.items():
        notice(f"column {column!r} holds what JSON cannot in {num:,} rows: it is left out there")
    return counts


def card_text(audit: Audit, wish: Wish, splits: list[str]) -> str:
    """Return the text of the card."""
    form, shape = audit.form, audit.shape
    assert form is not None and shape is not None, "told by the caller"
    messages, target = _templates(form, audit.roles)
    lines = [f"name: {_quoted(wish.name)}", f"source: {{path: {_quoted(wish.name)}}}", "prompt:"]
    for role, text in messages:
        lines += [f"  - role: {role}", f"    content: {json.dumps(text, ensure_ascii=not text.isprintable())}"]
    lines.append(f"target: {json.dumps(target, ensure_ascii=not target.isprintable())}")
    if form.accept:
        lines.append(f"accept: {_quoted('{' + accept_column(form) + '}')}")
    if shape.labels:
        lines.append(f"labels: {'from-data' if TRAIN in splits else _listed(audit)}")
    if form.id is not None:
        lines.append(f"id: {form.id}")
    dev = VALIDATION if VALIDATION in splits else "null"
    lesson = TRAIN if TRAIN in splits else "null"
    lines.append(f"splits: {{lesson: {lesson}, dev: {dev}, exam: {TEST}}}")
    scorer = wish.scorer or SCORERS[shape.kind]
    if scorer != ("label" if shape.labels else "exact"):
        lines.append(f"scorer: {{name: {scorer}}}")
    if not shape.labels:
        lines.append(f"decode: {{kind: text, max_tokens: {answer_tokens(audit)}}}")
    language = wish.language or language_of(audit)
    if wish.language is None and depends_on_language(scorer):
        notice(f"scorer {scorer} reads answers of language {language}, told by the letters; --language says another")
    about = f"license: {_quoted(wish.license)}, language: {_quoted(language)}"
    lines.append(f"about: {{{about}, kind: {shape.kind}}}")
    return "\n".join(lines) + "\n"


def _listed(audit: Audit) -> str:
    """Return the closed set of a task that teaches nothing: all labels of its files, folded, as JSON."""
    found = {plain_label(label) for part in audit.parts.values() for label in part.labels or ()}
    return json.dumps(sorted(found), ensure_ascii=False)


def _templates(form: Form, roles: tuple[tuple[str, ...], ...]) -> tuple[list[tuple[str, str]], str]:
    if not form.turns:
        return [("user", written(form.prompt))], written(form.target)
    if len(roles) == 1:
        return [(role, f"{{turn{i}}}") for i, role in enumerate(roles[0], 1)], "{answer}"
    return [("user", "{prompt}")], "{answer}"


def _quoted(text: str) -> str:
    """Return a text in YAML, in quotes if it would be read as something else."""
    plain = re.fullmatch(r"[A-Za-z][\w .-]*", text) and yaml.safe_load(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def language_of(audit: Audit) -> str:
    """Return the languages of prompts and answers by their letters: "zh", "en+zh", ...; Latin letters are "en"."""
    asked, answered = (told_by_letters(texts) for texts in (audit.main.sample, audit.main.replies))
    return asked if answered in (asked, "en") else f"{asked}+{answered}"


def answer_tokens(audit: Audit) -> int:
    """Return the room for an answer in tokens: the longest one, rounded up to a multiple of 8."""
    part = audit.main
    longest = max(part.units[1] if audit.measure.exact else part.characters[1])
    if not audit.measure.exact and told_by_letters(part.replies) not in BLANKLESS:
        longest = -(-longest // CHARACTERS_PER_TOKEN)
    return min(-(-(longest + 1) // 8) * 8, MOST_ANSWER)


def _flushed(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
