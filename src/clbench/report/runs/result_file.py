"""Where results lie, and what their files say: `<run>.json` beside `items.parquet`, or a folder of eight files.

A folder is what a store holds, and what older records are. What is read may be a stranger's: links and pipes, huge
files and keys that are written twice are refused.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clbench.core.errors import DataError, said_of
from clbench.core.item_scores import ItemScores
from clbench.core.keys import digest
from clbench.data.tasks.card_file import read_text
from clbench.report.runs.item_table import FILE, read_items

FILES = (
    "spec.yaml",
    "stream.json",
    "matrix.json",
    "items.json",
    "examples.json",
    "scores.json",
    "costs.json",
    "provenance.json",
)
PARTS = ("spec", "stream", "matrix", "scores", "costs", "provenance", "exams", "items", "examples")  # of `<run>.json`
OLDER = {"costs.json": "meters.json"}  # older name of a file
LARGEST = 200_000_000  # bytes of one file of a result
MODELS = {  # the parts of a result, by the class that reads them
    "RunSpec": "spec",
    "StreamSummary": "stream",
    "Costs": "costs",
    "ItemScores": "items",
    "ExamScores": "items",
    "ExampleItems": "examples",
}
HEAD = 4096  # bytes in which a record names its first part
AGAIN = "run the same spec again"
RECORD_AGAIN = f"take `<run>.json` and {FILE} from where they come again, or record the runs anew (--record)"


def find_results(path: Path) -> list[Path]:
    """Return the results at a path: itself, those in it, in its store, or in its folders of recorded runs; by name."""
    if path.suffix == ".json" and not path.is_dir():
        return [path]
    if (path / "spec.yaml").is_file():
        return [path]
    found: list[Path] = []
    for pattern, folder in (("*/spec.yaml", path), ("runs/*/spec.yaml", path / "runs")):
        found = found or [*(p.parent for p in path.glob(pattern)), *record_files(folder)]
    # A folder of folders that hold recorded runs, such as `results`.
    found = found or [place for items in path.glob(f"*/{FILE}") for place in record_files(items.parent)]
    return sorted(found, key=lambda place: (place.parent, name_of(place)))


def record_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are meant as recorded runs: all `.json` beside items, others by their head."""
    beside = os.path.lexists(folder / FILE)
    found = sorted(p for p in folder.glob("*.json") if not p.is_dir())
    return [p for p in found if beside or (p.is_file() and begins_as_record(p))]


def begins_as_record(path: Path) -> bool:
    """Return whether a file begins as a recorded run does."""
    try:
        with path.open("rb") as file:
            return b'"spec"' in file.read(HEAD)
    except OSError:
        return False


def name_of(place: Path) -> str:
    """Return the name of a run by where it is recorded: its folder's, or its file's without `.json`."""
    return place.name if place.is_dir() else place.name.removesuffix(".json")


def files_of(place: Path) -> list[Path]:
    """Return the files that a result is read from."""
    if place.is_dir():
        return [file_of(place, name) for name in FILES]
    return [place, place.parent / FILE]


def file_of(folder: Path, name: str) -> Path:
    """Return the path of a file of a result folder, which may be older than the file's name."""
    older = folder / OLDER.get(name, name)
    return older if older.is_file() and not (folder / name).exists() else folder / name


def read_parts(place: Path) -> dict[str, Any]:
    """Read what a result says, by `PARTS`; `exams` are its ItemScores, everything else is as JSON has it.

    Raises:
        DataError: A file is not a regular file, or is too large.
        ValueError, LookupError, OSError: A file is missing or damaged.
        ExtraError: Its items are a Parquet file, which cannot be read here.
    """
    for path in files_of(place):
        _check_file(path, place)
    return _of_folder(place) if place.is_dir() else _of_file(place)


def _check_file(path: Path, place: Path) -> None:
    seen = path.stat()
    if not stat.S_ISREG(seen.st_mode):  # a pipe or a device has no end
        raise DataError(f"{path.name} is not a file", where=str(place), mend=_mend(place))
    if seen.st_size > LARGEST:
        what = f"{path.name} has {seen.st_size:,} bytes; more than {LARGEST:,} are not read"
        raise DataError(what, where=str(place))


def _mend(place: Path) -> str:
    return AGAIN if place.is_dir() else RECORD_AGAIN


def broken_result(place: Path, error: Exception) -> DataError:
    """Return the error that tells what is missing or damaged in a result, by what reading it raised."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{Path(str(error.filename)).name} is missing", where=str(place), mend=_mend(place))
    return DataError(f"the result is broken: {_fault(error)}", where=str(place), mend=_mend(place))


def _fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        return f"{MODELS.get(error.title, error.title)}: {field + ': ' if field else ''}{said}"
    if isinstance(error, KeyError):
        return f"there is no {error.args[0]!r} in one of its parts"
    if isinstance(error, (TypeError, AttributeError, LookupError)):  # a text where a list is due, and the like
        return f"a part does not have the form that clbench writes ({said_of(error)})"
    return (str(error).splitlines() or [type(error).__name__])[0]


def _of_folder(place: Path) -> dict[str, Any]:
    parts = {name: _json(file_of(place, f"{name}.json")) for name in PARTS if name not in {"spec", "exams", "items"}}
    items = ItemScores.model_validate(_json(place / "items.json"))
    return {**parts, "spec": read_text(place / "spec.yaml").values, "exams": items}


def _of_file(place: Path) -> dict[str, Any]:
    parts = _json(place)
    if not isinstance(parts, dict) or set(parts) != set(PARTS):
        raise ValueError(f"{place.name} does not hold {', '.join(PARTS)}")
    items = read_items(place.parent / FILE, name_of(place), parts["exams"])
    if digest(items) != parts["items"]:
        raise ValueError(f"{FILE} does not hold the items of this run: their digest is another")
    return {**parts, "exams": items}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not JSON in UTF-8: {str(error).partition(' (decode')[0]}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping of which no key is written twice: which of two values is read would depend on who reads."""
    names = [key for key, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} is written twice")
    return dict(pairs)


# What stands in a provenance, by type; None where clbench did not know. Older records lack some of it.
TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("model", "packages", "recorded", "machine", "threads", "learner", "memory"), dict),
    **dict.fromkeys(("gpus", "arguments", "stages"), list),
    **dict.fromkeys(("made", "python", "platform", "cpu"), str),
    "git": (dict, type(None)),
    "cores": int,
}


def read_provenance(value: Any) -> dict[str, Any]:
    """Return a provenance as it was read, if its parts have the types that readers of it rely on.

    Raises:
        ValueError: Names the first part that has not.
    """
    if not isinstance(value, dict):
        raise ValueError("provenance: this is not a mapping")
    wrong = [part for part, kind in TYPES.items() if part in value and not isinstance(value[part], kind)]
    lists = [] if wrong else ["gpus", "arguments"]
    wrong += [part for part in lists if not all(isinstance(v, str) for v in value.get(part, []))]
    if wrong:
        raise ValueError(f"provenance: {wrong[0]} is not what clbench writes")
    return value
