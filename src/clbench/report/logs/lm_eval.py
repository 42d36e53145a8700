"""Logs of lm-evaluation-harness: `results_DATE.json` and, by `--log_samples`, `samples_TASK_DATE.jsonl` beside it.

The form is that of lm_eval 0.4.13 (`loggers/evaluation_tracker.py`); the harness is not needed to read it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError, near_paths
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.report.logs.log import Log, LoggedExam, LoggedItem

NAME = "lm-eval"
CLOSE = 1e-6  # by which a score may differ from the mean of its items
RANKED = ("acc", "acc_norm")  # metrics of a question of which one of several answers is right
SAMPLES = "run lm_eval again with --log_samples: without it no item is on record"


def read(path: Path, metrics: Mapping[str, str]) -> Log:
    """Return what a log says.

    Args:
        path: `results_DATE.json`, or the folder that `--output_path` named.
        metrics: Task -> "METRIC" or "METRIC,FILTER" to take; for the others the first of the log's, with a notice.

    Raises:
        DataError: There is no log, or several, it is damaged or cut off, or no score of it is a mean over items.
    """
    file = _results_file(path)
    stated = _object(file)
    exams: list[LoggedExam] = []
    names = {_task_of(samples, file): samples for samples in _samples_files(file)}
    if without := sorted(name for name in stated["results"].keys() - names.keys() if not _is_group(name, stated)):
        notice(f"{file.name}: {len(without)} tasks are left out, of which no items lie beside it: {', '.join(without)}")
    for task, samples in names.items():
        if task not in stated["results"]:
            raise DataError(f"{file.name} has no task {task!r}", where=str(samples), mend="bring both from one run")
        if (exam := _exam(task, samples, stated, metrics.get(task, ""))) is not None:
            exams.append(exam)
    if unknown := sorted(metrics.keys() - {exam.name for exam in exams}):
        raise DataError(f"there is no score of a task {unknown[0]!r} in the log", where="--metric", mend=str(file))
    if not exams:
        raise DataError("no score in it is a mean over items, so none can be compared", where=str(file))
    return _log(file, stated, tuple(exams))


# --- files --------------------------------------------------------------------------------------------------


def _results_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError("there is no such log", where=str(path), mend=near_paths(path))
    found = sorted(p for p in path.rglob("*.json") if p.is_file() and _is_results(p))
    if not found:
        mend = "name the folder that lm_eval wrote (--output_path), with its results_DATE.json"
        raise DataError("there is no log of lm_eval here", where=str(path), mend=mend)
    if len({p.parent for p in found}) > 1:
        names = ", ".join(sorted({str(p.parent) for p in found})[:4])
        raise DataError(f"there are logs of several models: {names}", where=str(path), mend="name one of them")
    last = max(found, key=_date)
    if len(found) > 1:
        notice(f"{path}: {len(found)} logs, of which the last one is taken ({last.name})")
    return last


def _is_results(path: Path) -> bool:
    """Return whether a file is named as lm_eval names results, by its date."""
    date = _date(path)
    return date[:4].isdigit() and "T" in date and not path.name.startswith("samples_")


def _date(path: Path) -> str:
    return path.stem.rpartition("_")[2]


def _samples_files(file: Path) -> list[Path]:
    found = sorted(file.parent.glob(f"samples_*_{_date(file)}.jsonl"))
    if not found:
        raise DataError(
            "there are no items beside it (samples_*.jsonl of the same date)", where=str(file), mend=SAMPLES
        )
    return found


def _task_of(samples: Path, file: Path) -> str:
    return samples.name.removeprefix("samples_").removesuffix(f"_{_date(file)}.jsonl")


def _is_group(task: str, stated: Mapping[str, Any]) -> bool:
    """Return whether a name stands for several tasks, each of which has items of its own."""
    return bool((stated.get("group_subtasks") or {}).get(task)) or task in (stated.get("groups") or {})


def _object(file: Path) -> dict[str, Any]:
    try:
        value: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"it cannot be read: {error}", where=str(file), mend="bring the file again") from None
    parts = ("results", "configs", "versions", "n-shot")
    if not isinstance(value, dict) or not all(isinstance(value.get(part), dict) for part in parts):
        what = f"this is not a result of lm_eval: it lacks one of {', '.join(parts)}"
        raise DataError(what, where=str(file), mend="name results_DATE.json")
    return value


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                value: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                mend = "the file was cut off or damaged: bring it again"
                raise DataError(f"this is not JSON: {error}", where=f"{file}:{number}", mend=mend) from None
            if not isinstance(value, dict) or not {"doc_id", "doc", "target", "arguments", "filter"} <= value.keys():
                mend = "run it again: lm_eval says metric and filter of an item since 0.4.7"
                raise DataError("this is not an item of lm_eval", where=f"{file}:{number}", mend=mend)
            yield value


# --- exams --------------------------------------------------------------------------------------------------


def _exam(task: str, file: Path, stated: Mapping[str, Any], wanted: str) -> LoggedExam | None:
    """Return a task by one metric and filter; None, with a notice, where its score is not a mean over items."""
    rows = list(_lines(file))
    if not rows:
        raise DataError("it holds no item", where=str(file), mend=SAMPLES)
    metric, chosen = _chosen(task, rows, wanted)
    taken = sorted(
        (row for row in rows if row["filter"] == chosen), key=lambda row: (str(type(row["doc_id"])), row["doc_id"])
    )
    _check_count(task, taken, stated, file)
    config = stated["configs"].get(task) or {}
    items = tuple(_item(row, metric, str(config.get("output_type", ""))) for row in taken)
    if len({item.id for item in items}) < len(items):
        raise DataError(f"an item of {task} is there twice", where=str(file), mend="bring the log of one run")
    if why := _unfit(task, metric, chosen, items, stated):
        notice(f"{task} is left out: {why}")
        return None
    settings = {
        "metric": metric,
        "filter": chosen,
        "task version": stated["versions"].get(task, "not known"),
        "examples": stated["n-shot"].get(task, "not known"),
    }
    return LoggedExam(task, settings, items)


def _chosen(task: str, rows: Sequence[Mapping[str, Any]], wanted: str) -> tuple[str, str]:
    """Return the metric and the filter to take.

    Raises:
        DataError: The log has no such ones.
    """
    there = list(dict.fromkeys((str(m), str(row["filter"])) for row in rows for m in row.get("metrics") or ()))
    metric, _, chosen = wanted.partition(",")
    fitting = [pair for pair in there if metric in ("", pair[0]) and chosen in ("", pair[1])]
    if not fitting:
        listed = "; ".join(map(",".join, there))
        raise DataError(f"{task} has no metric {wanted!r}", where="--metric", mend=f"its log has {listed or 'none'}")
    if len(fitting) > 1:
        others = "; ".join(",".join(pair) for pair in fitting[1:])
        notice(f"{task}: {','.join(fitting[0])} is taken; --metric {task}=METRIC,FILTER takes another ({others})")
    return fitting[0]


def _check_count(task: str, taken: Sequence[Any], stated: Mapping[str, Any], file: Path) -> None:
    due = (stated.get("n-samples") or {}).get(task) or {}
    num = due.get("effective")
    if isinstance(num, int) and num != len(taken):
        what = f"{len(taken)} items, and the results count {num}"
        raise DataError(what, where=str(file), mend="it was cut off, or is of another run: bring it again")


def _item(row: Mapping[str, Any], metric: str, kind: str) -> LoggedItem:
    value, arguments = row.get(metric), row["arguments"]
    requests: Sequence[Any] = list(arguments.values()) if isinstance(arguments, Mapping) else list(arguments)
    first: Any = next(iter(requests), "")
    prompt = first.get("arg_0", "") if isinstance(first, Mapping) else next(iter(first), "") if first else ""
    known = isinstance(value, (bool, int, float)) and math.isfinite(value)
    ranked = kind == "multiple_choice" and metric in RANKED and len(requests) > 1
    return LoggedItem(
        id=f"{row['doc_id']}-{digest(row['doc'])[:12]}",
        asked=digest([requests, str(row["target"])]),
        score=float(value) if known and value is not None else None,
        question=str(prompt),
        expected=str(row["target"]),
        answer=_answer(row.get("filtered_resps"), kind),
        guess_rate=1 / len(requests) if ranked else 0.0,
    )


def _answer(replies: Any, kind: str) -> str:
    """Return what was said: the text, or the place of the choice that is most likely."""
    found: list[Any] = replies if isinstance(replies, list) else [replies]
    if kind == "multiple_choice":
        try:
            nats = [float(reply[0]) for reply in found]
        except (TypeError, ValueError, LookupError):
            return ""
        return str(max(range(len(nats)), key=lambda place: nats[place])) if nats else ""
    first = found[0] if found else ""
    return first if isinstance(first, str) else json.dumps(first, ensure_ascii=False)


def _unfit(task: str, metric: str, chosen: str, items: Sequence[LoggedItem], stated: Mapping[str, Any]) -> str:
    """Return why a score cannot be compared item by item; "" where it can."""
    if (stated.get("higher_is_better") or {}).get(task, {}).get(metric) is False:
        return f"lower values of {metric} are better"
    scores = [item.score for item in items if item.score is not None]
    if not scores:
        return f"{metric} of one item is not a number"
    if not all(0 <= score <= 1 for score in scores):
        return f"{metric} of one item is not in [0, 1]"
    whole: Any = stated["results"][task].get(f"{metric},{chosen}")
    mean = math.fsum(scores) / len(scores)
    if not isinstance(whole, (int, float)) or abs(whole - mean) > CLOSE:
        return f"its {metric} ({whole}) is not the mean of its items ({mean:.6g})"
    return ""


def _log(file: Path, stated: Mapping[str, Any], exams: tuple[LoggedExam, ...]) -> Log:
    config: Mapping[str, Any] = stated.get("config") or {}
    model = str(stated.get("model_name") or config.get("model") or "not known")
    date: Any = stated.get("date")
    versions = {"lm_eval": stated.get("lm_eval_version"), "transformers": stated.get("transformers_version")}
    return Log(
        place=file,
        harness=NAME,
        version=str(stated.get("lm_eval_version") or ""),
        model=model,
        exams=exams,
        dtype=str(config.get("model_dtype") or "").removeprefix("torch."),
        made=datetime.fromtimestamp(date, UTC).isoformat(timespec="seconds") if isinstance(date, (int, float)) else "",
        machine={"device": str(config["device"])} if config.get("device") else {},
        packages={name: str(version) for name, version in versions.items() if version},
    )
