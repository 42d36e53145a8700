"""Logs of EvalScope: `reviews/MODEL/DATASET_SUBSET.jsonl` with `reports/MODEL/DATASET.json` and `configs/` beside.

Read are the form of its first versions, where a review holds the question as `input`, and the newer one, where it holds
all `messages`; reports name a metric (`mean_acc`), or say its `identity` (name, aggregation).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from clbench.core.errors import DataError, near_paths
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.report.logs.log import Log, LoggedExam, LoggedItem
from clbench.report.logs.reading import (
    NOT_KNOWN,
    as_text,
    bare_turns,
    check_found,
    chosen_metric,
    comparable,
    json_lines,
    json_object,
    merged,
    number,
)

NAME = "evalscope"
ROUNDED = 5e-5  # reports keep four digits
OF_SPEED = {"batch_size", "stream", "timeout", "retries", "retry_interval"}  # settings that change no answer
ALIASES = {"acc": "accuracy", "f1_score": "f1", "em": "exact_match"}  # a score of an item -> its name in newer reports


def read(path: Path, metrics: Mapping[str, str]) -> Log:
    """Return what a log says, one exam for each subset.

    Args:
        path: The folder of one run: that of `reviews` and `reports`.
        metrics: DATASET_SUBSET -> metric; else the log's first, with a notice.

    Raises:
        DataError: There is no log, it is of several models or an older form, or nothing is comparable.
    """
    folder = _folder(path)
    files = sorted((folder / "reviews").glob("*/*.jsonl"))
    models = sorted({file.parent.name for file in files})
    if len(models) != 1:
        what = f"there are reviews of several models: {', '.join(models)}" if models else "it holds no reviews"
        raise DataError(what, where=str(folder), mend="name the folder of one model's run")
    config = _config(folder)
    exams = [exam for file in files if (exam := _exam(file, folder, config, metrics)) is not None]
    return Log(
        place=folder,
        harness=NAME,
        version=str(config.get("evalscope_version") or ""),
        model=str(config.get("model") or models[0]),
        exams=check_found(exams, metrics, folder),
    )


def _folder(path: Path) -> Path:
    if (path / "reviews").is_dir():
        return path
    found = sorted(p.parent for p in path.glob("*/reviews")) if path.is_dir() else []
    if len(found) == 1:
        return found[0]
    if found:
        what = f"there are logs of {len(found)} runs: {', '.join(p.name for p in found[:4])}"
        raise DataError(what, where=str(path), mend="name one of them")
    mend = "name the folder that holds `reviews`" if path.is_dir() else near_paths(path)
    raise DataError("there is no log of EvalScope here", where=str(path), mend=mend)


def _config(folder: Path) -> dict[str, Any]:
    """Return the settings of a run; {} where they are not there or cannot be read."""
    for file in sorted((folder / "configs").glob("*.y*ml")):
        try:
            found: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _exam(file: Path, folder: Path, config: Mapping[str, Any], metrics: Mapping[str, str]) -> LoggedExam | None:
    name = file.stem
    rows = list(json_lines(file, ("index", "sample_score"), "EvalScope"))
    if not rows:
        raise DataError("it holds no item", where=str(file), mend="bring the file again")
    values = [_values(row) for row in rows]
    main = [str(row["sample_score"]["score"].get("main_score_name") or "") for row in rows[:1] if values[0]]
    there = list(dict.fromkeys(m for each in values for m in each))
    metric = chosen_metric(name, sorted(there, key=lambda m: m not in main), metrics.get(name, ""))
    items = [_item(row, each.get(metric)) for row, each in zip(rows, values, strict=True)]
    report = _report(folder, file)
    dataset = str((report or {}).get("dataset_name") or name)
    settings = {"metric": metric, **_settings(config, dataset)}
    subset = name.removeprefix(f"{dataset}_")
    stated = _stated(report, metric)
    if (stated.get("semantics") or {}).get("direction") == "lower_is_better":
        notice(f"{name} is left out: lower values of {metric} are better")
        return None
    return comparable(LoggedExam(name, settings, merged(name, items)), _whole(stated, subset), ROUNDED)


def _settings(config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Return how a data set was asked; newer versions write down what they took where nothing was said."""
    resolved = (config.get("resolved_benchmarks") or {}).get(dataset) or {}
    said = (config.get("dataset_args") or {}).get(dataset) or {}
    identity = ((config.get("evaluation_identity") or {}).get("benchmarks") or {}).get(dataset) or {}
    decoding = {k: v for k, v in (config.get("generation_config") or {}).items() if k not in OF_SPEED and v is not None}
    judges = [j.get("model_id") or j.get("model") for j in (config.get("judge") or {}).get("models") or []]
    older = (config.get("judge_model_args") or {}).get("model_id")
    return {
        "task version": identity.get("evaluation_version", NOT_KNOWN),
        "examples": said.get("few_shot_num", resolved.get("few_shot_num", NOT_KNOWN)),
        "generation": as_text(decoding or NOT_KNOWN),
        "repeats": config.get("repeats") or 1,
        "judges": as_text(judges or ([older] if older else [])),
    }


def _values(row: Mapping[str, Any]) -> Mapping[str, Any]:
    score: Any = (row["sample_score"] or {}).get("score")
    value = score.get("value") if isinstance(score, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _item(row: Mapping[str, Any], value: Any) -> LoggedItem:
    graded = row["sample_score"] or {}
    score: Any = graded.get("score") or {}
    asked = _asked(row)
    name = graded.get("group_id")  # of a question that was asked several times, each of which has an index of its own
    return LoggedItem(
        id=str(row["index"] if name is None else name),
        asked=digest([bare_turns(asked), row.get("target")]),
        score=number(value),
        question=as_text(asked),
        expected=" | ".join(map(as_text, target)) if isinstance(target := row.get("target"), list) else as_text(target),
        answer=as_text(score.get("extracted_prediction") or score.get("prediction")),
    )


def _asked(row: Mapping[str, Any]) -> Any:
    """Return what a model was asked: of messages those that are not its own, or of a tool."""
    if row.get("input"):
        return row["input"]
    return [m for m in row.get("messages") or [] if isinstance(m, Mapping) and m.get("role") in ("system", "user")]


def _report(folder: Path, file: Path) -> dict[str, Any] | None:
    """Return the report of the dataset that a file of reviews belongs to; None where there is none."""
    found = [p for p in (folder / "reports" / file.parent.name).glob("*.json") if file.stem.startswith(f"{p.stem}_")]
    if not found:
        return None
    report = json_object(max(found, key=lambda p: len(p.stem)), ("metrics",), "EvalScope")
    return report if isinstance(report["metrics"], list) else None


def _stated(report: Mapping[str, Any] | None, metric: str) -> Mapping[str, Any]:
    """Return what the report states of the mean of a metric; {} where it does not."""
    names = (metric, f"mean_{metric}", f"{ALIASES.get(metric, metric)} mean")
    return next((each for each in (report or {}).get("metrics") or [] if _name(each) in names), {})


def _name(stated: Mapping[str, Any]) -> str:
    identity = stated.get("identity")
    if not isinstance(identity, Mapping):
        return str(stated.get("name", ""))
    return "" if identity.get("dimensions") else f"{identity.get('name')} {identity.get('aggregation')}"


def _whole(stated: Mapping[str, Any], subset: str) -> Any:
    """Return the score of a subset as the report states it; None where it does not."""
    parts = [part for each in stated.get("categories") or [] for part in each.get("subsets") or []]
    return next((part.get("score") for part in parts if part.get("name") == subset), None)
