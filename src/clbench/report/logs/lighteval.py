"""Logs of lighteval: `results/MODEL/results_DATE.json`, and `details/MODEL/DATE/details_TASK_DATE.parquet` beside it.

Details are written by --save-details. Read are the form with `doc`, `metric`, `model_response`, and the older one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError, near_paths
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.data.readers import parquet
from clbench.report.logs.log import Log, LoggedExam, LoggedItem
from clbench.report.logs.reading import (
    NOT_KNOWN,
    as_text,
    check_found,
    chosen_metric,
    comparable,
    json_object,
    merged,
    number,
)

NAME = "lighteval"
NEEDED = ("config_general", "results", "versions")
RANKED = (
    "acc",
    "loglikelihood_acc",
    "acc_norm",
)  # begin metrics of a question of which one of several answers is right


def read(path: Path, metrics: Mapping[str, str]) -> Log:
    """Return what a log says.

    Args:
        path: `results_DATE.json`, or the folder of --output-dir.
        metrics: Task (without suite and examples) -> metric; else the log's first, with a notice.

    Raises:
        DataError: There is no log or no details, one cannot be read, or nothing is comparable.
    """
    file = _results(path)
    stated = json_object(file, NEEDED, "lighteval")
    date = file.stem.removeprefix("results_")
    details = sorted(p for p in _top(file).rglob(f"details_*_{date}.parquet") if p.is_file())
    if not details:
        mend = "run lighteval again with --save-details: without it no item is on record"
        raise DataError("there are no details of the same date beside it", where=str(file), mend=mend)
    tasks = [(p.name.removeprefix("details_").removesuffix(f"_{date}.parquet"), p) for p in details]
    exams = [exam for task, place in tasks if (exam := _exam(task, place, stated, metrics)) is not None]
    general: Mapping[str, Any] = stated["config_general"] or {}
    config = general.get("model_config") or {}
    model = general.get("model_name") or (config.get("model_name") if isinstance(config, Mapping) else None)
    dtype = general.get("model_dtype") or (config.get("dtype") if isinstance(config, Mapping) else None)
    return Log(
        place=file,
        harness=NAME,
        version=str(general.get("lighteval_sha") or "").removeprefix("?"),  # a sign for a version that it does not know
        model=str(model or NOT_KNOWN),
        exams=check_found(exams, metrics, file),
        dtype=str(dtype or "").removeprefix("torch."),
        made=f"{date[:10]}{date[10:].replace('-', ':')}" if date[:4].isdigit() else "",
    )


def _results(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(p for p in path.rglob("results_*.json") if p.is_file()) if path.is_dir() else []
    if not found:
        mend = "name the folder of --output-dir" if path.is_dir() else near_paths(path)
        raise DataError("there is no log of lighteval here", where=str(path), mend=mend)
    if len({p.parent for p in found}) > 1:
        names = ", ".join(sorted({p.parent.name for p in found})[:4])
        raise DataError(
            f"there are logs of several models: {names}", where=str(path), mend="name one results_DATE.json"
        )
    if len(found) > 1:
        notice(f"{path}: {len(found)} logs, of which the last one is taken ({found[-1].name})")
    return found[-1]


def _top(file: Path) -> Path:
    """Return the folder under which the details lie: that of --output-dir, else the log's own."""
    return next((above.parent for above in file.parents if above.name == "results"), file.parent)


def _exam(task: str, file: Path, stated: Mapping[str, Any], metrics: Mapping[str, str]) -> LoggedExam | None:
    rows = [row for _, row in parquet.rows(file)]
    if not rows:
        raise DataError("it holds no item", where=str(file), mend="bring the file again")
    *before, examples = task.split("|") if "|" in task else [task, NOT_KNOWN]
    name = before[-1]
    values = [_metrics(row, file) for row in rows]
    there = list(dict.fromkeys(metric for each in values for metric in each))
    metric = chosen_metric(name, there, metrics.get(name, ""))
    items = [_item(row, each.get(metric), metric) for row, each in zip(rows, values, strict=True)]
    settings = {
        "metric": metric,
        "task version": stated["versions"].get(
            task, (stated.get("config_tasks") or {}).get(task, {}).get("version", NOT_KNOWN)
        ),
        "examples": examples,
        "generation": as_text(_generation(stated["config_general"] or {})),
    }
    whole = (stated["results"].get(task) or stated["results"].get(task.replace("|", ":")) or {}).get(metric)
    return comparable(LoggedExam(name, settings, merged(name, items)), whole)


def _generation(general: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of generation that are set; they stand under `model_config` since lighteval 0.9."""
    config = general.get("model_config")
    found: Any = general.get("generation_parameters") or (
        config.get("generation_parameters") if isinstance(config, Mapping) else None
    )
    return {k: v for k, v in found.items() if v is not None} if isinstance(found, Mapping) else {}


def _metrics(row: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    found = row.get("metric", row.get("metrics"))
    if not isinstance(found, Mapping):
        what = "its items were written as texts, from which no score can be read" if found else "it has no metrics"
        raise DataError(
            what, where=str(file), mend="run lighteval again: nested values are kept where all have one form"
        )
    return found


def _item(row: Mapping[str, Any], value: Any, metric: str) -> LoggedItem:
    doc: Any = row.get("doc")
    newer = isinstance(doc, Mapping)
    doc = doc if newer else row
    query = doc.get("query") if newer else row.get("full_prompt") or row.get("example")
    choices = [choice for choice in doc.get("choices") or [] if choice is not None]
    gold = doc.get("gold_index") if newer else row.get("gold")
    shots = [_bare(shot) for shot in doc.get("fewshot_samples") or []] if newer else []
    response: Any = row.get("model_response") if newer else row.get("predictions")
    said = response.get("text") if isinstance(response, Mapping) else response
    ranked = metric.startswith(RANKED) and len(choices) > 1
    asked = digest([query, choices, gold, doc.get("instruction"), shots])
    return LoggedItem(
        id=f"{doc['id']}" if newer and doc.get("id") not in (None, "") else digest([query, choices])[:16],
        asked=asked,
        score=number(value),
        question=as_text(query),
        expected=_expected(choices, gold),
        answer=_said(said) or (_most_likely(response, choices) if ranked and "norm" not in metric else ""),
        guess_rate=1 / len(choices) if ranked else 0.0,
    )


def _said(said: Any) -> str:
    return as_text((said or [None])[0] if isinstance(said, list) else said)


def _most_likely(response: Any, choices: Sequence[Any]) -> str:
    nats = response.get("logprobs") if isinstance(response, Mapping) else None
    return as_text(choices[nats.index(max(nats))]) if isinstance(nats, list) and len(nats) == len(choices) else ""


def _bare(shot: Any) -> Any:
    return [shot.get("query"), shot.get("choices")] if isinstance(shot, Mapping) else shot


def _expected(choices: Sequence[Any], gold: Any) -> str:
    places = gold if isinstance(gold, list) else [gold]
    found = [choices[p] if isinstance(p, int) and 0 <= p < len(choices) else p for p in places]
    return " | ".join(as_text(one) for one in found)
