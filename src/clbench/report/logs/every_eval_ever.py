"""Records of every_eval_ever (schema 0.2): a JSON file of one model's scores, with its items as JSON Lines beside it.

The schema is that of github.com/evaleval/every_eval_ever (`eval.schema.json`, `instance_level_eval.schema.json`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from clbench.core.errors import DataError, near_paths
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.report.logs.log import Log, LoggedExam, LoggedItem
from clbench.report.logs.reading import (
    NOT_KNOWN,
    as_text,
    check_found,
    comparable,
    json_lines,
    json_object,
    merged,
    number,
)

NAME = "every-eval-ever"
NEEDED = ("schema_version", "evaluation_id", "model_info", "eval_library", "evaluation_results")
OF_ITEM = ("evaluation_name", "sample_id", "input", "evaluation")


def read(path: Path, metrics: Mapping[str, str]) -> Log:
    """Return what a record says.

    Args:
        path: The record's file, or a folder that holds one.
        metrics: Not used: a record states one score of each evaluation.

    Raises:
        DataError: There is no record, it has no items, a file cannot be read, or nothing is comparable.
    """
    file = _file(path)
    stated = json_object(file, NEEDED, "every_eval_ever")
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in json_lines(_items_file(file, stated), OF_ITEM, "every_eval_ever"):
        by_name.setdefault(str(row["evaluation_name"]), []).append(row)
    results = {str(r.get("evaluation_name")): r for r in stated["evaluation_results"] if isinstance(r, Mapping)}
    library = stated["eval_library"] or {}
    exams = [
        exam
        for name, rows in by_name.items()
        if (exam := _exam(name, rows, results.get(name) or {}, str(library.get("name", NOT_KNOWN)))) is not None
    ]
    info = stated["model_info"] or {}
    return Log(
        place=file,
        harness=NAME,
        version=str(library.get("version") or ""),
        model=str(info.get("id") or info.get("name") or NOT_KNOWN),
        exams=check_found(exams, metrics, file),
        made=str(stated.get("evaluation_timestamp") or ""),
    )


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(p for p in path.rglob("*.json") if p.is_file()) if path.is_dir() else []
    if len(found) != 1:
        what = f"there are {len(found)} records here" if found else "there is no record of every_eval_ever here"
        mend = "name one file" if path.is_dir() else near_paths(path)
        raise DataError(what, where=str(path), mend=mend)
    return found[0]


def _items_file(file: Path, stated: Mapping[str, Any]) -> Path:
    """Return the file of items: the one that the record names, by its name alone, in the record's own folder."""
    named = (stated.get("detailed_evaluation_results") or {}).get("file_path")
    names = [PurePosixPath(str(named)).name] if named else []
    names += [f"{file.stem}_samples.jsonl", f"{file.stem}.jsonl"]
    found = next((file.parent / name for name in names if name and os.path.isfile(file.parent / name)), None)  # noqa: PTH113  # False of a name that no file system takes
    if found is None:
        mend = f"bring {names[0]} from where the record lies: scores without items cannot be compared"
        raise DataError("there are no items beside it", where=str(file), mend=mend)
    return found


def _exam(name: str, rows: list[dict[str, Any]], result: Mapping[str, Any], library: str) -> LoggedExam | None:
    config = result.get("metric_config") or {}
    if config.get("lower_is_better"):
        notice(f"{name} is left out: lower values are better")
        return None
    settings = {
        "metric": str(config.get("evaluation_description") or NOT_KNOWN),
        "library": library,
        "data": as_text((result.get("source_data") or {}).get("dataset_name") or NOT_KNOWN),
        "generation": as_text(result.get("generation_config") or NOT_KNOWN),
    }
    items = merged(name, [_item(row) for row in rows])
    return comparable(LoggedExam(name, settings, items), (result.get("score_details") or {}).get("score"))


def _item(row: Mapping[str, Any]) -> LoggedItem:
    asked, output, graded = row["input"] or {}, row.get("output") or {}, row["evaluation"] or {}
    said = output.get("raw") if isinstance(output, Mapping) else None
    choices = asked.get("choices") or []
    return LoggedItem(
        id=str(row["sample_id"]),
        asked=digest([asked.get("formatted") or asked.get("raw"), asked.get("reference"), choices]),
        score=None if row.get("error") else number(graded.get("score")),
        question=as_text(asked.get("raw")),
        expected=" | ".join(as_text(one) for one in asked.get("reference") or []),
        answer=as_text(said[0] if isinstance(said, list) and said else said),
    )
