"""Items of recorded runs as one Parquet table: a row for every item of every cell, and the way back without loss."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError
from clbench.core.extras import need
from clbench.core.graded import KEPT, GradedItems
from clbench.core.item_scores import ExamScores, ItemScores

FILE = "items.parquet"
TEXTS = ("run", "exam", "item", "group", "parts")
NUMBERS = {"lesson": "int32", "length": "int64", "score": "float64", "declined": "bool"}
COLUMNS = ("run", "exam", "lesson", "item", "group", "length", "score", "parts", "declined")
OF_ITEMS = frozenset({"ids", "groups", "lengths"})  # fields of ExamScores that the table holds
OF_CELLS = frozenset({"scores", "parts", "declined"})  # fields of GradedItems that the table holds
MOST_ROWS = 50_000_000
MOST_BYTES = 1_000_000_000  # of all columns, unpacked
Cells = dict[tuple[str, int | None], list[int]]


def heads(scores: ItemScores) -> list[dict[str, Any]]:
    """Return what is known of exams and cells as a whole, which stands beside the table as JSON."""
    found: list[dict[str, Any]] = []
    for exam in scores.exams:
        alike = set[str]() if exam.guess_rates else {"guess_rates"}
        told = exam.model_dump(mode="json", exclude=set(OF_ITEMS | {"rows"} | alike))
        cells = {
            str(k): r.model_dump(mode="json", include=set(KEPT) - OF_CELLS, exclude_defaults=True)
            for k, r in exam.rows.items()
        }
        found.append({**told, "rows": cells})
    return found


def write_items(runs: Mapping[str, ItemScores], path: Path) -> None:
    """Write the items of runs, a row group for each run, so that one run can be read alone.

    Raises:
        DataError: A run's items cannot be written so that they are read as they were.
        ExtraError: pyarrow is not installed.
    """
    need("data", "pyarrow", "a table of items")
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {**dict.fromkeys(TEXTS, pa.string()), **{n: pa.type_for_alias(t) for n, t in NUMBERS.items()}}
    schema = pa.schema([(name, types[name]) for name in COLUMNS])
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for run, scores in runs.items():
            columns = _columns(run, scores)
            if _rebuilt(columns, heads(scores)) != scores:
                raise DataError("its items do not fit together, and cannot be recorded", where=run)
            if columns["run"]:
                writer.write_table(pa.table(columns, schema=schema), row_group_size=len(columns["run"]))


def read_items(path: Path, run: str, told: Sequence[Mapping[str, Any]]) -> ItemScores:
    """Read the items of one run.

    Args:
        path: The table.
        run: Name of the run.
        told: What `heads` gave of it.

    Raises:
        ValueError: The table is damaged, or its cells are not those that are told of.
        ExtraError: pyarrow is not installed.
    """
    columns = _read(path, run)
    if told and not columns["run"]:
        raise ValueError(f"{FILE} has no items of a run {run!r}; a record keeps the file name that it was written with")
    return _rebuilt(columns, told)


def runs_of(path: Path) -> set[str]:
    """Return the names of the runs that a table has items of; raises as `read_items`."""
    return set(_read(path, None)["run"])


def _columns(run: str, scores: ItemScores) -> dict[str, list[Any]]:
    rows: list[tuple[Any, ...]] = []
    for exam in scores.exams:
        num = len(exam.ids)
        groups, lengths = exam.groups or (None,) * num, exam.lengths or (None,) * num
        for lesson, cell in exam.rows.items() or [(None, None)]:
            values = _scores(cell) if cell else (None,) * num
            parts = [json.dumps(p) for p in cell.parts] if cell and cell.parts else (None,) * num
            declined = {*(cell.declined if cell else ())}
            if not num == len(groups) == len(lengths) == len(values) == len(parts):
                raise DataError(f"its items of {exam.exam} do not fit together, and cannot be recorded", where=run)
            rows += [
                (run, exam.exam, lesson, exam.ids[i], groups[i], lengths[i], values[i], parts[i], i in declined)
                for i in range(num)
            ]
    return {name: [row[k] for row in rows] for k, name in enumerate(COLUMNS)}


def _scores(cell: GradedItems) -> Sequence[float | None]:
    return [None if math.isnan(value) else value for value in cell.values().tolist()]


def _read(path: Path, run: str | None) -> dict[str, list[Any]]:
    """Read the columns of one run; without a run, the column of the runs' names alone."""
    need("data", "pyarrow", "a recorded result")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if pq.read_schema(path).names != list(COLUMNS):
            raise ValueError(f"{FILE} has other columns than {', '.join(COLUMNS)}")
        file = pq.ParquetFile(path, read_dictionary=list(TEXTS), page_checksum_verification=True)
        _check_size(file)
        groups = range(file.num_row_groups) if run is None else _groups_of(file, run)
        table = file.read_row_groups(list(groups), columns=["run"] if run is None else list(COLUMNS))
        found = {name: _values(name, table.column(name)) for name in table.column_names}
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:  # a checksum that fails is an OSError
        raise ValueError(f"{FILE} is damaged: {(str(error).splitlines() or [''])[0][:200]}") from None
    if run is None or all(name == run for name in found["run"]):
        return found
    places = [i for i, name in enumerate(found["run"]) if name == run]
    return {name: [column[i] for i in places] for name, column in found.items()}


def _check_size(file: Any) -> None:
    """Refuse a table whose columns have other types, or one that unpacks to more than anybody measured."""
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    due = {name: text if name in TEXTS else pa.type_for_alias(NUMBERS[name]) for name in COLUMNS}
    if [(f.name, f.type) for f in file.schema_arrow] != list(due.items()):
        raise ValueError(f"{FILE} has columns of other types than clbench writes")
    known = file.metadata
    size = sum(known.row_group(i).total_byte_size for i in range(known.num_row_groups))
    if known.num_rows > MOST_ROWS or size > MOST_BYTES:
        raise ValueError(f"{FILE} has {known.num_rows:,} rows in {size:,} bytes; so much is not read")


def _groups_of(file: Any, run: str) -> Iterable[int]:
    """Return the row groups that may hold a run's items, by the statistics of the file."""
    for place in range(file.num_row_groups):
        known = file.metadata.row_group(place).column(0).statistics
        if known is None or not known.has_min_max or known.min <= run <= known.max:
            yield place


def _values(name: str, column: Any) -> list[Any]:
    """Return a column as a list; a text stands in memory once, however often it is there."""
    if name not in TEXTS:
        return column.to_pylist()
    found: list[Any] = []
    for chunk in column.chunks:
        words = chunk.dictionary.to_pylist()
        found += [None if i is None else words[i] for i in chunk.indices.to_pylist()]
    return found


def _rebuilt(columns: Mapping[str, Sequence[Any]], told: Sequence[Mapping[str, Any]]) -> ItemScores:
    """Return the items of one run as they were before they were written; raises ValueError."""
    if any(OF_ITEMS & exam.keys() or any(OF_CELLS & cell.keys() for cell in exam["rows"].values()) for exam in told):
        raise ValueError(f"items stand in {FILE}, and nowhere else")
    cells: Cells = {}
    for place, cell in enumerate(zip(columns["exam"], columns["lesson"], strict=True)):
        cells.setdefault(cell, []).append(place)
    due = [(exam["exam"], lesson) for exam in told for lesson in map(int, exam["rows"])]
    due += [(exam["exam"], None) for exam in told if not exam["rows"] and (exam["exam"], None) in cells]
    if len(set(due)) < len(due) or set(due) != cells.keys():
        odd = sorted(map(str, set(due) ^ cells.keys())) or ["one is told of twice"]
        raise ValueError(f"{FILE} does not hold the cells that the run tells of: {', '.join(odd[:3])}")
    return ItemScores(exams=tuple(_exam(columns, exam, cells) for exam in told))


def _exam(columns: Mapping[str, Sequence[Any]], told: Mapping[str, Any], cells: Cells) -> ExamScores:
    lessons = [int(k) for k in told["rows"]] or [None]
    places = [cells.get((told["exam"], lesson), []) for lesson in lessons]
    shared: dict[str, list[Any]] = {}
    for name in ("item", "group", "length"):
        each = [[columns[name][i] for i in cell] for cell in places]
        if any(values != each[0] for values in each):
            raise ValueError(f"{FILE}: {told['exam']} has other items in one row than in another ({name})")
        shared[name] = each[0] if any(v is not None for v in each[0]) else []
    rows = {
        lesson: {**cell, **_cell(columns, place)}
        for (lesson, cell), place in zip(told["rows"].items(), places, strict=False)
    }
    fields = {"ids": shared["item"], "groups": shared["group"], "lengths": shared["length"], "rows": rows}
    return ExamScores.model_validate({**told, **fields})


def _cell(columns: Mapping[str, Sequence[Any]], place: Sequence[int]) -> dict[str, Any]:
    parts = [columns["parts"][i] for i in place]
    return {
        "scores": [columns["score"][i] for i in place],
        "parts": [json.loads(text) for text in parts] if any(text is not None for text in parts) else (),
        "declined": [k for k, i in enumerate(place) if columns["declined"][i]],
    }
