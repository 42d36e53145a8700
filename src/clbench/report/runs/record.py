"""Write runs as they are committed: one indented JSON a run, the items of all in one Parquet file, texts in another."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.core.errors import SpecError
from clbench.core.events import notice
from clbench.core.extras import need
from clbench.core.keys import digest
from clbench.report.runs.flipped_texts import flipped_texts
from clbench.report.runs.item_table import FILE, heads, write_items
from clbench.report.runs.load import RunRecord
from clbench.report.runs.result_file import begins_as_record, files_of
from clbench.report.runs.text_table import TEXT_FILE, write_texts

WIDTH, OF_PLAIN, OF_NUMBERS = 120, 200, 2000  # characters of a line: of nested, plain and numeric parts

# Fields that came after the first records. They are left out where they say nothing: a result that is recorded again
# stays what it was, to the byte.
LATER = frozenset(
    {
        *("exam_server", "attention", "template", "trust_code", "provider"),
        *("trained_by_lesson", "unreached_by_lesson", "judge_tokens", "api_tokens"),
        "unknown",
    }
)


def check_record_folder(folder: Path) -> None:
    """Refuse a folder into which no runs can be recorded, before the work that would be.

    Raises:
        SpecError: It holds something else than results, which would be lost.
        ExtraError: No Parquet file can be written here.
    """
    need("data", "pyarrow", "--record")
    known = {FILE, TEXT_FILE, *(p.name for p in folder.glob("*.json") if p.is_file() and begins_as_record(p))}
    strange = sorted(p.name for p in folder.glob("*") if p.name not in known and not (p / "spec.yaml").is_file())
    if strange:
        raise SpecError(
            f"{folder} holds {strange[0]!r}, which is not a result", where="--record", mend="name a new folder"
        )


def record_runs(runs: Sequence[RunRecord], folder: Path) -> None:
    """Put these runs, and no others, into a folder: `<run>.json` for each, `items.parquet`, and `texts.parquet`.

    Texts are those of items that flipped, as far as they are at hand: in the stores of the runs, or where they were
    recorded. There is no `texts.parquet` where none is.

    Raises:
        SpecError: The folder holds something else.
        DataError: The items of a run do not fit together.
        ExtraError: No Parquet file can be written here.
    """
    folder = folder.resolve()  # `.` and links have no name of their own
    check_record_folder(folder)
    names = {f"{run.name}.json" for run in runs}
    if gone := sorted(p.stem for p in folder.glob("*.json") if p.name not in names):
        listed = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
        notice(f"{folder}: {len(gone)} recorded runs that are not among the new ones go: {listed}")
    new, old = (folder.parent / f".{folder.name}.{word}" for word in ("new", "old"))
    shutil.rmtree(new, ignore_errors=True)  # what is there stays whole until all is written
    new.mkdir(parents=True)
    for run in runs:
        (new / f"{run.name}.json").write_text(record_text(run), encoding="utf-8", newline="\n")
    write_items({run.name: run.item_scores for run in runs}, new / FILE)
    if texts := flipped_texts(runs):
        write_texts(texts, new / TEXT_FILE)
    shutil.rmtree(old, ignore_errors=True)
    old.mkdir()
    folder.mkdir(exist_ok=True)  # it stays the same folder: a shell may stand in it
    for place, target in ((folder, old), (new, folder)):
        for path in place.iterdir():
            path.rename(target / path.name)
    new.rmdir()
    shutil.rmtree(old)


def copy_result(run: RunRecord, target: Path) -> None:
    """Put the files of one run into a new folder, in the form in which it is recorded."""
    target.mkdir(parents=True)
    if run.folder.is_dir():
        for path in files_of(run.folder):
            shutil.copyfile(path, target / path.name)
        return
    shutil.copyfile(run.folder, target / run.folder.name)
    write_items({run.name: run.item_scores}, target / FILE)
    if texts := flipped_texts([run]):
        write_texts(texts, target / TEXT_FILE)


def record_text(run: RunRecord) -> str:
    """Return a run as JSON: everything but its items."""
    scores = {name: run.scores[name] for name in run.recorded}
    spec = _plain(run.spec.model_dump(mode="json"))
    parts = {
        "spec": spec | {"model": _plain(spec["model"])},
        "stream": run.stream.model_dump(mode="json"),
        "matrix": run.matrix.to_json(),
        "scores": {name: None if math.isnan(value) else value for name, value in scores.items()},
        "costs": _plain(run.costs.model_dump(mode="json", exclude={*run.costs.unknown})),
        "provenance": run.provenance,
        "exams": heads(run.item_scores),
        "items": digest(run.item_scores),
        "examples": run.example_items.model_dump(mode="json", exclude_defaults=True),
    }
    return indented(parts) + "\n"


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in LATER or value not in (None, [])}


def indented(value: Any, depth: int = 0) -> str:
    """Return JSON over several lines, in which what fits on a line stands on one, so that changes can be read.

    Example:
        >>> print(indented({"n": [1, 2], "rows": [[1], [2, 3]]}))
        {
         "n": [1, 2],
         "rows": [[1], [2, 3]]
        }
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not value or not isinstance(value, (Mapping, list, tuple)) or (depth and len(line) + depth < _most(value)):
        return line
    if isinstance(value, Mapping):
        parts: Iterable[str] = (
            f"{json.dumps(k, ensure_ascii=False)}: {indented(v, depth + 1)}" for k, v in value.items()
        )
        return _block("{", parts, "}", depth)
    return _block("[", (indented(part, depth + 1) for part in value), "]", depth)


def _most(value: Mapping[str, Any] | Sequence[Any]) -> int:
    parts = list(value.values() if isinstance(value, Mapping) else value)
    if any(isinstance(part, (Mapping, list, tuple)) for part in parts):
        return WIDTH
    return OF_PLAIN if any(isinstance(part, str) for part in parts) else OF_NUMBERS


def _block(opens: str, parts: Iterable[str], closes: str, depth: int) -> str:
    space = " " * depth
    return f"{opens}\n" + ",\n".join(f"{space} {part}" for part in parts) + f"\n{space}{closes}"
