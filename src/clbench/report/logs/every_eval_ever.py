"""Records of every_eval_ever (schemas 0.2 and 0.3): a JSON file of a model's scores, its items as JSON Lines beside it.

The schema is that of github.com/evaleval/every_eval_ever (`eval.schema.json`, `instance_level_eval.schema.json`). Its
converters write a record for each task, and an item once for each result that it counts in (`evaluation_result_id`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from clbench.core.errors import DataError, near_paths
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.report.logs.log import Log, LoggedExam, LoggedItem
from clbench.report.logs.reading import (
    NOT_KNOWN,
    as_text,
    check_count,
    check_found,
    chosen_metric,
    comparable,
    json_lines,
    json_object,
    merged,
    number,
    unfit,
)

NAME = "every-eval-ever"
NEEDED = ("schema_version", "evaluation_id", "model_info", "eval_library", "evaluation_results")
OF_ITEM = ("evaluation_name", "sample_id", "input", "evaluation")


def read(path: Path, metrics: Mapping[str, str]) -> Log:
    """Return what the records of one model say, one exam for each evaluation.

    Args:
        path: A record's file, or a folder of records of one model.
        metrics: Evaluation -> `evaluation_result_id`, where it has several results; else the first that is a mean
            over items, with a notice.

    Raises:
        DataError: There is no record, they are of several models, none has items, a file cannot be read, or nothing
            is comparable.
    """
    files = _files(path)
    records = [(file, json_object(file, NEEDED, "every_eval_ever")) for file in files]
    models = {_model(stated) for _, stated in records}
    if len(models) > 1:
        what = f"there are records of several models: {', '.join(sorted(models)[:4])}"
        raise DataError(what, where=str(path), mend="name a file or a folder of one of them")
    with_items = [(file, stated, items) for file, stated in records if (items := _items_file(file, stated))]
    if not with_items:
        raise DataError("there are no items beside it", where=str(files[0]), mend=_wanted_items(*records[0]))
    if num := len(records) - len(with_items):
        notice(f"{path}: {num} of {len(records)} records are left out: no items lie beside them")
    exams = [exam for each in with_items for exam in _exams(*each, metrics)]
    file, stated, _ = max(with_items, key=lambda each: str(each[1].get("evaluation_timestamp") or ""))
    return Log(
        place=path if len(files) > 1 else file,
        harness=NAME,
        version=str((stated["eval_library"] or {}).get("version") or ""),
        model=models.pop(),
        exams=check_found(exams, metrics, path),
        made=_date(stated.get("evaluation_timestamp")),
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    there = sorted(p for p in path.rglob("*.json") if p.is_file()) if path.is_dir() else []
    found = [file for file in there if _is_record(file)]
    if num := len(there) - len(found):
        notice(f"{path}: {num} other JSON files in it are left out")
    if not found:
        mend = "name a record's file" if path.is_dir() else near_paths(path)
        raise DataError("there is no record of every_eval_ever here", where=str(path), mend=mend)
    return found


def _is_record(file: Path) -> bool:
    try:
        json_object(file, NEEDED, "every_eval_ever")
    except DataError:
        return False
    return True


def _model(stated: Mapping[str, Any]) -> str:
    info = stated["model_info"] or {}
    return str(info.get("id") or info.get("name") or NOT_KNOWN)


def _date(said: Any) -> str:
    """Return a date that may be said in seconds since 1970."""
    try:
        return datetime.fromtimestamp(float(said), UTC).isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return str(said or "")


def _items_file(file: Path, stated: Mapping[str, Any]) -> Path | None:
    """Return the file of items, which is named by the record or after it, in the record's own folder."""
    names = [_named(stated), f"{file.stem}_samples.jsonl", f"{file.stem}.jsonl"]
    return next((file.parent / name for name in names if name and os.path.isfile(file.parent / name)), None)  # noqa: PTH113  # False of a name that no file system takes


def _named(stated: Mapping[str, Any]) -> str:
    return PurePosixPath(str((stated.get("detailed_evaluation_results") or {}).get("file_path") or "")).name


def _wanted_items(file: Path, stated: Mapping[str, Any]) -> str:
    name = _named(stated) or f"{file.stem}_samples.jsonl"
    return f"bring {name} from where the record lies: scores without items cannot be compared"


def _exams(file: Path, stated: Mapping[str, Any], items: Path, metrics: Mapping[str, str]) -> list[LoggedExam]:
    """Return the evaluations of a record, each by one of its results."""
    rows = list(json_lines(items, OF_ITEM, "every_eval_ever"))
    check_count(len(rows), (stated.get("detailed_evaluation_results") or {}).get("total_rows"), items)
    if other := {str(row["evaluation_id"]) for row in rows if row.get("evaluation_id")} - {stated["evaluation_id"]}:
        what = f"these are items of {min(other)}, and the record is {stated['evaluation_id']}"
        raise DataError(what, where=str(items), mend="bring both files from one place")
    by_name: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        results = by_name.setdefault(str(row["evaluation_name"]), {})
        results.setdefault(str(row.get("evaluation_result_id") or ""), []).append(row)
    library = str((stated["eval_library"] or {}).get("name", NOT_KNOWN))
    found = [_exam(n, r, stated["evaluation_results"], library, metrics.get(n, "")) for n, r in by_name.items()]
    return [exam for exam in found if exam is not None]


def _exam(
    name: str, rows: Mapping[str, list[dict[str, Any]]], stated: Sequence[Any], library: str, wanted: str
) -> LoggedExam | None:
    """Return an evaluation by the wanted result, else by the first that is a mean over items."""
    tried = {key: (_result(stated, name, key), items) for key, items in rows.items()}
    exams = {key: _of_result(name, result, items, library) for key, (result, items) in tried.items()}
    fit = [key for key in exams if not unfit(exams[key], _score(tried[key][0])) and not _is_lower(tried[key][0])]
    metric = chosen_metric(name, list(exams) if wanted or not fit else fit, wanted)
    if _is_lower(tried[metric][0]):
        notice(f"{name} is left out: lower values are better")
        return None
    exam = exams[metric]
    return comparable(replace(exam, items=merged(name, exam.items)), _score(tried[metric][0]))


def _result(stated: Sequence[Any], name: str, key: str) -> Mapping[str, Any]:
    """Return the result that items belong to, by its id, else by the name of the evaluation; {} without one."""
    same = [each for each in stated if isinstance(each, Mapping) and str(each.get("evaluation_name")) == name]
    return next((each for each in same if str(each.get("evaluation_result_id") or "") == key), (same or [{}])[0])


def _score(result: Mapping[str, Any]) -> Any:
    return (result.get("score_details") or {}).get("score")


def _is_lower(result: Mapping[str, Any]) -> bool:
    return bool((result.get("metric_config") or {}).get("lower_is_better"))


def _of_result(name: str, result: Mapping[str, Any], rows: list[dict[str, Any]], library: str) -> LoggedExam:
    config, source = result.get("metric_config") or {}, result.get("source_data") or {}
    said = [config.get(k) for k in ("metric_id", "metric_name", "evaluation_description", "metric_parameters")]
    judges = (config.get("llm_scoring") or {}).get("judges") or []
    settings = {
        "metric": ", ".join(dict.fromkeys(as_text(one) for one in said if one)) or NOT_KNOWN,
        "judges": as_text([(judge.get("model_info") or {}).get("id") for judge in judges]),
        "library": library,
        "data": as_text([source[k] for k in ("dataset_name", "hf_repo", "hf_split") if source.get(k)] or NOT_KNOWN),
        "generation": as_text(result.get("generation_config") or NOT_KNOWN),
    }
    return LoggedExam(name, settings, tuple(_item(row) for row in rows))


def _item(row: Mapping[str, Any]) -> LoggedItem:
    asked, graded = row["input"] or {}, row["evaluation"] or {}
    choices = asked.get("choices") or []
    question = asked.get("formatted") or asked.get("raw") or row.get("sample_hash")
    return LoggedItem(
        id=str(row["sample_id"]),
        asked=digest([question, asked.get("reference"), choices]),
        score=None if row.get("error") else number(graded.get("score")),
        question=as_text(asked.get("raw")),
        expected=" | ".join(as_text(one) for one in asked.get("reference") or []),
        answer=_answer(row),
    )


def _answer(row: Mapping[str, Any]) -> str:
    """Return what was said: the output, or of several turns the last of the model's."""
    output = row.get("output")
    said = output.get("raw") if isinstance(output, Mapping) else None
    if said is None:
        turns = [t for t in row.get("messages") or [] if isinstance(t, Mapping) and t.get("role") == "assistant"]
        said = turns[-1].get("content") if turns else None
    return as_text(said[0] if isinstance(said, list) and said else said)
