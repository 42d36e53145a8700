"""Rows of context-learning files (data sets, answers, grades) as JSON Lines, one in memory at a time.

Three shapes are read: CL-bench (`metadata.context_id`), CL-bench Life (`metadata.context_subcategory`, no context id)
and the old shape, whose `task_id` named the context: there the n-th row of an id gets the id `<old id>#<n>`, and the
old id names the context.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from clbench.context.lines import (
    MEND,
    Raw,
    Wrong,
    is_cut_short,
    is_packed,
    numbered,
    opened,
    parsed,
    rubric_text,
    wrong_list,
    wrong_message,
)
from clbench.core.errors import DataError
from clbench.core.events import notice

Schema = Literal["clbench", "life", "old"]
UNKNOWN = "Unknown"
MOST_TRIALS = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a file as the index knows it: everything but its texts.

    Attributes:
        line, offset, size: Where it stands.
        task_id: Its identity; `line-<n>` where the row names none.
        trial: The trial of an answer or a grade, 0 in data sets.
        context_id: Rows with the same one share a context.
        category, sub_category: As the row says, else "Unknown".
        num_messages, num_chars, num_rubrics: Sizes; a blank rubric is not counted.
        digest: Of its messages, to tell a duplicate from a row of the old shape.
        problem: What is wrong with the row, empty if nothing is.
    """

    line: int
    offset: int
    size: int
    task_id: str
    trial: int
    context_id: str
    category: str
    sub_category: str
    num_messages: int
    num_chars: int
    num_rubrics: int
    digest: str
    problem: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """Task and trial: what an answer or a grade is one of."""
        return (self.task_id, self.trial)


@dataclass(frozen=True)
class BadLine:
    """A line that is not a row: its number, what is wrong with it, and how to mend it."""

    line: int
    what: str
    mend: str = MEND


@dataclass(frozen=True)
class Index:
    """The rows of a file without their texts.

    Attributes:
        path: The file.
        sha256: Of its contents (of what a packed file holds).
        schema: Which shape its rows have.
        entries: Its rows in the order of the file, each task and trial once.
        duplicates: Later rows of a task and trial that was there already.
        bad: Lines that are not rows.
        torn: The last line is cut short, as after a crash; it counts as absent.
    """

    path: Path
    sha256: str
    schema: Schema
    entries: tuple[Entry, ...]
    duplicates: tuple[Entry, ...] = ()
    bad: tuple[BadLine, ...] = ()
    torn: bool = False

    def by_key(self) -> dict[tuple[str, int], Entry]:
        """Return the rows by task and trial."""
        return {entry.key: entry for entry in self.entries}


class Reader:
    """Reads single rows of an indexed file again; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = opened(path)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, entry: Entry) -> Raw:
        """Return the row of an entry, as it stands in the file."""
        self._file.seek(entry.offset)
        return cast(Raw, json.loads(self._file.read(entry.size)))


def metadata_of(row: Raw) -> Raw:
    """Return a row's metadata; a row that has none, or `null`, has an empty one."""
    found = row.get("metadata")
    return cast(Raw, found) if isinstance(found, dict) else {}


def rubrics_of(row: Raw) -> list[str]:
    """Return the texts of a row's rubrics, without blank ones.

    Example:
        >>> rubrics_of({"rubrics": ["a", {"rubric_criteria": " b "}, "  "]})
        ['a', 'b']
    """
    found = row.get("rubrics")
    texts = [rubric_text(r) for r in cast(list[Any], found)] if isinstance(found, list) else []
    return [text for text in texts if isinstance(text, str) and text]


def messages_of(row: Raw) -> list[Raw]:
    """Return a row's messages; an empty list where it has none, or something else in their place."""
    found = row.get("messages")
    given = cast(list[Any], found) if isinstance(found, list) else []
    return given if all(isinstance(m, dict) for m in given) else []


def dumped(row: Raw) -> bytes:
    r"""Return a row as one line of JSON, as the public scripts write it; half a character becomes an escape.

    Example:
        >>> dumped({"a": "é"}).decode()
        '{"a": "é"}\n'
    """
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def write_lines(path: Path, lines: Iterable[bytes]) -> int:
    """Write a file line by line, completely or not at all; return the number of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name[:80]}.{os.getpid()}")
    num = 0
    try:
        with draft.open("wb") as f:
            for line in lines:
                f.write(line)
                num += 1
            f.flush()
            os.fsync(f.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return num


def read_index(path: Path) -> Index:
    """Read a file once and return what it holds, without the texts of its rows.

    A byte order mark is skipped, a last line that is cut short is told as a notice, and later rows of the same task and
    trial are set apart.

    Args:
        path: The file, plain or packed by xz, gzip or bzip2.

    Returns:
        Its index. Whatever is wrong with a line stands in it, with the line's number.

    Raises:
        DataError: There is no such file, or it holds something else than lines of JSON.
    """
    entries: list[Entry] = []
    bad: list[BadLine] = []
    schema: Schema = "clbench"
    torn = named_context = False
    digest = hashlib.sha256()
    for number, offset, line in numbered(path):
        digest.update(line)
        text, skipped = _stripped(line, number)
        if not text.strip():
            continue
        found = parsed(text, number)
        wrong = found if isinstance(found, Wrong) else misshapen(found)
        if wrong is not None or isinstance(found, Wrong):
            torn = isinstance(found, Wrong) and is_cut_short(line)
            bad += [] if torn or wrong is None else [BadLine(number, wrong.what, wrong.mend)]
            continue
        metadata = metadata_of(found)
        schema = "life" if "context_subcategory" in metadata else schema
        named_context = named_context or "context_id" in metadata
        entries.append(_entry(found, number, offset + skipped, len(text)))
    if torn:
        notice(f"{path}: the last line is cut short, as after a crash; it counts as absent")
    if schema == "clbench" and not named_context:
        entries, schema = _of_the_old_shape(entries)
    kept, repeated = _split(entries)
    return Index(path, digest.hexdigest(), schema, tuple(kept), tuple(repeated), tuple(bad), torn)


def require_sound(index: Index) -> Index:
    """Return an index whose lines are all rows, before anything is spent on them.

    Raises:
        DataError: A line is not a row, or there is none; names the first such line.
    """
    if index.bad:
        first, num = index.bad[0], len(index.bad)
        more = f" (and {num - 1} more such lines)" if num > 1 else ""
        raise DataError(f"{first.what}{more}", where=f"{index.path}:{first.line}", mend=first.mend)
    if not index.entries:
        raise DataError("holds no rows", where=str(index.path), mend="name a file with one JSON object a line")
    if len(index.entries) > 200 and is_packed(index.path):
        notice(f"{index.path}: rows of a packed file are slow to read out of order; unpack it for a whole run")
    if index.duplicates:
        first = index.duplicates[0]
        notice(
            f"{index.path}: {len(index.duplicates)} rows repeat a task, the first is {first.task_id} in line "
            f"{first.line}; each task counts once"
        )
    return index


def misshapen(row: Raw) -> Wrong | None:
    """Return what of a row has another shape than figures can read, so that it is not paid for; None if nothing has.

    Example:
        >>> misshapen({"messages": [], "rubrics": "one"}).what
        'rubrics is not a list but str'
    """
    for field in ("messages", "rubrics"):
        if (wrong := wrong_list(field, row.get(field))) is not None:
            return wrong
    checks = [wrong_message(m) for m in cast(list[Any], row.get("messages") or [])]
    checks += [r if isinstance(r := rubric_text(each), Wrong) else None for each in row.get("rubrics") or []]
    checks += [_wrong_answer(row), wrong_metadata(row), wrong_trial(row)]
    return next((wrong for wrong in checks if wrong is not None), None)


def _wrong_answer(row: Raw) -> Wrong | None:
    found = row.get("model_output")
    if found is None or isinstance(found, str):
        return None
    return Wrong(f"model_output is not a text but {type(found).__name__}", "write the answer as one text")


def wrong_metadata(row: Raw) -> Wrong | None:
    """Return what is wrong with a row whose metadata is a text that holds an object, as tables hold it."""
    found = row.get("metadata")
    if isinstance(found, str) and found.lstrip().startswith("{"):
        return Wrong("metadata is not an object but a text", "write the object itself, not a text that holds it")
    return None


def wrong_trial(row: Raw) -> Wrong | None:
    """Return what is wrong with the trial of a row; a row that names none is of trial 0."""
    trial = row.get("trial", 0)
    if isinstance(trial, bool) or not isinstance(trial, int) or not 0 <= trial < MOST_TRIALS:
        return Wrong(f"trial is {trial!r:.40}", f"give a whole number below {MOST_TRIALS}, 0 for the first trial")
    return None


def _stripped(line: bytes, number: int) -> tuple[bytes, int]:
    """Return a line without byte order mark and line end, and how many bytes were skipped before it."""
    skipped = len(codecs.BOM_UTF8) if number == 1 and line.startswith(codecs.BOM_UTF8) else 0
    return line[skipped:].rstrip(b"\r\n"), skipped


def _entry(row: Raw, number: int, offset: int, size: int) -> Entry:
    metadata, messages = metadata_of(row), messages_of(row)
    task_id = _task_id(row, metadata, number)
    texts = [str(m.get("content") or "") for m in messages]
    return Entry(
        line=number,
        offset=offset,
        size=size,
        task_id=task_id,
        trial=int(row.get("trial", 0)),
        context_id=str(metadata.get("context_id") or task_id.partition("#")[0]),
        category=str(metadata.get("context_category") or UNKNOWN),
        sub_category=str(metadata.get("sub_category") or metadata.get("context_subcategory") or UNKNOWN),
        num_messages=len(messages),
        num_chars=sum(map(len, texts)),
        num_rubrics=len(rubrics_of(row)),
        digest=hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:16],
        problem="" if messages or "model_output" in row else "the row has no messages",
    )


def _task_id(row: Raw, metadata: Raw, number: int) -> str:
    own, idx = metadata.get("task_id"), row.get("idx")
    if own is None:
        return f"line-{number}" if idx in (None, -1, "") else str(idx)
    return str(idx) if isinstance(idx, str) and idx.startswith(f"{own}#") else str(own)


def _of_the_old_shape(entries: list[Entry]) -> tuple[list[Entry], Schema]:
    """Return rows with ids of their own where ids repeat over different messages: contexts had no ids then."""
    messages: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for e in entries:
        messages[e.key].setdefault(e.digest, len(messages[e.key]) + 1)
    if all(len(seen) == 1 for seen in messages.values()):
        return entries, "clbench"
    found = [replace(e, task_id=f"{e.task_id}#{messages[e.key][e.digest]}", context_id=e.task_id) for e in entries]
    return found, "old"


def _split(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    seen: set[tuple[str, int]] = set()
    kept: list[Entry] = []
    repeated: list[Entry] = []
    for entry in entries:
        (repeated if entry.key in seen else kept).append(entry)
        seen.add(entry.key)
    return kept, repeated
