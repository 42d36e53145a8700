"""Questions and answers of recorded runs as one Parquet table beside their items: those of items that flipped, in full.

The table is for readers: no figure rests on it, and a result without it, or with a damaged one, is read all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from clbench.core.events import notice
from clbench.core.extras import need

TEXT_FILE = "texts.parquet"
COLUMNS = ("kind", "key", "item", "text", "expected")
MOST_ROWS, MOST_BYTES = 5_000_000, 200_000_000  # of a table that is read
QUESTION, ANSWER = "question", "answer"


class TextKey(NamedTuple):
    """What a text is: the question of an item by its exam's digest, or the answer to it by the key of the answers."""

    kind: str
    key: str
    item: str


class Text(NamedTuple):
    """A text, and of a question the right answers."""

    text: str
    expected: tuple[str, ...] = ()


def write_texts(texts: Mapping[TextKey, Text], path: Path) -> None:
    """Write texts, sorted by their keys.

    Raises:
        ExtraError: pyarrow is not installed.
    """
    need("data", "pyarrow", "a table of texts")
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(*key, text, json.dumps(right, ensure_ascii=False)) for key, (text, right) in sorted(texts.items())]
    columns = {name: [row[k] for row in rows] for k, name in enumerate(COLUMNS)}
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd", write_page_checksum=True)


def recorded_texts(folder: Path) -> Mapping[TextKey, Text]:
    """Return the texts beside recorded runs; empty where there are none, with a notice where they cannot be read."""
    path = folder / TEXT_FILE
    if not path.is_file():
        return {}
    seen = path.stat()
    return _read(path, seen.st_mtime_ns, seen.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, changed_ns: int, size: int) -> Mapping[TextKey, Text]:
    del changed_ns  # a table that was written anew is read anew
    try:
        if path.is_symlink() or size > MOST_BYTES:
            raise ValueError("it is a link, or larger than any that clbench writes")
        return dict(_rows(path))
    except (ValueError, OSError, TypeError, RuntimeError) as error:  # pyarrow's own errors are of these
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        notice(f"{path} is not read, so questions and answers may lack: {reason}")
        return {}


def _rows(path: Path) -> Iterable[tuple[TextKey, Text]]:
    need("data", "pyarrow", "a table of texts")
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, page_checksum_verification=True)
    if [(f.name, str(f.type)) for f in file.schema_arrow] != [(name, "string") for name in COLUMNS]:
        raise ValueError(f"its columns are not {', '.join(COLUMNS)}, all of them texts")
    known = file.metadata
    unpacked = sum(known.row_group(i).total_byte_size for i in range(known.num_row_groups))
    if known.num_rows > MOST_ROWS or unpacked > MOST_BYTES:
        raise ValueError(f"{known.num_rows:,} rows in {unpacked:,} bytes are more than are read")
    columns = [file.read().column(name).to_pylist() for name in COLUMNS]
    for kind, key, item, text, expected in zip(*columns, strict=True):
        right = json.loads(expected)
        if not isinstance(right, list) or not all(isinstance(each, str) for each in [kind, key, item, text, *right]):
            raise ValueError("a row of it has the wrong types")
        yield TextKey(kind, key, item), Text(text, tuple(right))
