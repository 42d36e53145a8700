"""What lies in a saved state: examples as they are, and their texts, as text or as numbers.

Found are: text in JSON and in the bytes of other files, also inside of zip and gzip files, whatever its case; and
token ids, code points or bytes of a text as whole numbers, in JSON lists and in tensors of safetensors files. Not found
is what is enciphered, or no longer a run of characters or tokens, such as a list of words.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from clbench.core.types import Example

QUOTE = 12  # characters of an example that are hardly a coincidence
TOKENS = 6  # tokens that are hardly one
TYPES = {"U8": "<u1", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"}


def stored_examples(folder: Path) -> Iterator[Example]:
    """Yield everything that looks like an example in all saved JSON."""
    stack: list[Any] = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.rglob("*.json"))]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            found = _example(value)
            if found is not None:
                yield found
            else:
                stack += list(value.values())
        elif isinstance(value, list):
            stack += value


def _example(value: dict[str, Any]) -> Example | None:
    if not {"id", "prompt", "targets"} <= value.keys():
        return None
    try:
        return Example.model_validate(value)
    except ValidationError:  # a mapping of the method's own, with the same names
        return None


def quoted_example(
    folder: Path, examples: Sequence[Example], tokens_of: Callable[[Example], Sequence[int]]
) -> Example | None:
    """Return an example of whose text a part lies in a saved state; None where none is found.

    Labels, which answers of a closed set are, do not count as text.

    Args:
        folder: The state.
        examples: What was taught.
        tokens_of: Example -> its ids, as the model is trained on it.
    """
    texts, numbers = _contents(folder)
    sought: list[tuple[Example, list[bytes], list[bytes]]] = []
    for example in examples:
        own = texts_of(example)
        written = [_as_bytes(piece) for text in own for piece in pieces(text, QUOTE)]
        coded = [spell(p) for text in own for codes in (map(ord, text), text.encode()) for p in pieces([*codes], QUOTE)]
        coded += [spell(piece) for piece in pieces([*tokens_of(example)], TOKENS)]
        sought.append((example, written, coded))
    common = Counter(piece for _, written, coded in sought for piece in {*written, *coded})
    for example, *kinds in sought:
        for found, haystacks in zip(kinds, (texts, numbers), strict=True):
            rare = [
                piece for piece in found if 2 * common[piece] <= len(examples)
            ]  # of a template they would be common
            if any(piece in haystack for haystack in haystacks for piece in rare):
                return example
    return None


def texts_of(example: Example) -> list[str]:
    """Return the texts of an example: of its messages, and of answers that are not chosen from labels."""
    answers = () if example.choices else example.targets
    return [text for text in (*(m.content for m in example.prompt), *answers) if len(text) >= QUOTE]


def pieces(whole: Any, size: int) -> list[Any]:
    """Return all pieces of one size that a sequence has.

    Example:
        >>> pieces("abcde", 3)
        ['abc', 'bcd', 'cde']
    """
    return [whole[i : i + size] for i in range(len(whole) - size + 1)]


def spell(numbers: Iterable[int]) -> bytes:
    """Write numbers so that a row of them is found in a longer one.

    Example:
        >>> spell([2, 3]) in spell([1, 2, 3]), spell([2, 3]) in spell([12, 3])
        (True, False)
    """
    return " ".join(["", *map(str, numbers), ""]).encode()


def _as_bytes(text: str) -> bytes:
    return text.lower().encode()


def _contents(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """Return all that was saved: texts in lower case, and rows of whole numbers."""
    texts: list[bytes] = []
    numbers: list[bytes] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        texts.append(_as_bytes(path.name))
        for data in _unpacked(path.read_bytes()):
            if path.suffix == ".json":
                found, rows = _in_json(json.loads(data))
                texts.append(_as_bytes("\n".join(found)))
                numbers += rows
            elif path.suffix == ".safetensors":
                header, rows = _in_tensors(data)
                texts.append(header.lower())
                numbers += rows
            else:
                texts.append(data.lower())
    return texts, numbers


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Return the content of a file: of a zip file that of its parts, of a gzip file the one inside."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield archive.read(name)
        return
    try:
        yield gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        yield data


def _in_json(value: Any) -> tuple[list[str], list[bytes]]:
    """Return every text of a JSON value, keys among them, and every list of whole numbers."""
    texts: list[str] = []
    rows: list[bytes] = []
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, Mapping):
            stack += [*value, *value.values()]
        elif isinstance(value, list):
            whole = bool(value) and all(isinstance(v, (int, float)) and v == int(v) for v in value)
            rows += [spell(int(v) for v in value)] if whole else []
            stack += [] if whole else value
    return texts, rows


def _in_tensors(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the header of a safetensors file, and every tensor that holds whole numbers alone."""
    begin = 8 + int.from_bytes(data[:8], "little")
    rows: list[bytes] = []
    for name, entry in json.loads(data[8:begin]).items():
        if name != "__metadata__" and entry["dtype"] in TYPES:
            first, last = entry["data_offsets"]
            row = np.frombuffer(data[begin + first : begin + last], dtype=TYPES[entry["dtype"]])
            if row.size and np.isfinite(row).all() and (row == np.floor(row)).all():
                rows.append(spell(row.astype(np.int64).tolist()))
    return data[8:begin], rows
