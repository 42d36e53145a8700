"""Logs of Inspect: `.json` as its documentation describes them, and `.eval`, the same in a zip file.

Of an `.eval` packed in a way that Python does not unpack, the library's own `read_eval_log` is asked where it is here.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
    json_object,
    merged,
    number,
)

NAME = "inspect"
GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}  # correct, partial, incorrect, no answer
NEEDED = ("eval", "samples")
WHOLE = ("accuracy", "mean")  # metrics that are means over items


def read(path: Path, metrics: Mapping[str, str]) -> Log:
    """Return what the logs of one model say, one exam for each task.

    Args:
        path: A log, or a folder of logs of one model.
        metrics: Task -> scorer, or SCORER.PART of one that gives several values; else the first, with a notice.

    Raises:
        DataError: There is no log, one is of another model, did not finish or cannot be read, or nothing is comparable.
    """
    files = _files(path)
    logs = _latest([(file, _log(file)) for file in files])
    models = {str(log["eval"].get("model", NOT_KNOWN)) for _, log in logs}
    if len(models) > 1:
        raise DataError(
            f"there are logs of several models: {', '.join(sorted(models))}", where=str(path), mend="name one"
        )
    exams = [exam for file, log in logs if (exam := _exam(file, log, metrics)) is not None]
    last = logs[-1][1]["eval"]
    packages = {str(name): str(version) for name, version in (last.get("packages") or {}).items()}
    return Log(
        place=path,
        harness=NAME,
        version=packages.get("inspect_ai", ""),
        model=models.pop(),
        exams=check_found(exams, metrics, path),
        made=str(last.get("created") or ""),
        packages=packages,
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = (
        sorted(p for p in path.rglob("*") if p.suffix in (".eval", ".json") and p.is_file()) if path.is_dir() else []
    )
    if not found:
        mend = near_paths(path) if not path.is_dir() else "name the folder of --log-dir"
        raise DataError("there is no log of Inspect here", where=str(path), mend=mend)
    return found


def _latest(logs: Sequence[tuple[Path, dict[str, Any]]]) -> list[tuple[Path, dict[str, Any]]]:
    """Return the last log of every task, with a notice where there are earlier ones."""
    by_task: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for file, log in sorted(logs, key=lambda one: str(one[1]["eval"].get("created", ""))):
        by_task.setdefault(f"{log['eval'].get('model')} {log['eval'].get('task')}", []).append((file, log))
    for same in by_task.values():
        if len(same) > 1:
            notice(
                f"{same[0][1]['eval'].get('task')}: {len(same)} logs, of which the last is taken ({same[-1][0].name})"
            )
    return [same[-1] for same in by_task.values()]


def _log(file: Path) -> dict[str, Any]:
    log = json_object(file, NEEDED, "Inspect") if file.suffix != ".eval" else _unpacked(file)
    if log.get("status", "success") != "success":
        what = f"the evaluation did not finish (status {log['status']})"
        raise DataError(what, where=str(file), mend="inspect eval-retry LOG, and import the new log")
    return log


def _unpacked(file: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as packed:
            names = packed.namelist()
            header = json.loads(packed.read("header.json"))
            samples = [
                json.loads(packed.read(n)) for n in sorted(names) if n.startswith("samples/") and n.endswith(".json")
            ]
        return {**header, "samples": samples}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, RecursionError) as error:
        raise DataError(f"it cannot be read: {error}", where=str(file), mend="bring the file again") from None
    except RuntimeError:  # packed in a way that this Python does not know
        return _by_the_library(file)


def _by_the_library(file: Path) -> dict[str, Any]:
    try:
        from inspect_ai.log import read_eval_log  # pyright: ignore[reportMissingImports]  # not one of ours
    except ImportError:
        mend = f"pip install inspect-ai; or inspect log convert {file} --to json --output-dir FOLDER"
        raise DataError("it is packed in a way that Python does not unpack", where=str(file), mend=mend) from None
    found: Any = read_eval_log(str(file))
    return json.loads(found.model_dump_json())


def _exam(file: Path, log: Mapping[str, Any], metrics: Mapping[str, str]) -> LoggedExam | None:
    about, samples = log["eval"], log["samples"] or []
    task = str(about.get("task") or file.stem).rpartition("/")[2]
    scored = [dict(_values(sample)) for sample in samples]
    metric = chosen_metric(
        task, list(dict.fromkeys(name for values in scored for name in values)), metrics.get(task, "")
    )
    items = [_item(sample, values.get(metric)) for sample, values in zip(samples, scored, strict=True)]
    plan = log.get("plan") or {}
    settings = {
        "metric": metric,
        "task version": about.get("task_version", NOT_KNOWN),
        "task arguments": as_text(about.get("task_args") or {}),
        "solver": as_text([{k: step.get(k) for k in ("solver", "params")} for step in plan.get("steps") or []]),
        "generation": as_text({k: v for k, v in (plan.get("config") or {}).items() if v is not None and k in DECODING}),
        "epochs": (about.get("config") or {}).get("epochs") or 1,
    }
    return comparable(LoggedExam(task, settings, merged(task, items)), _whole(log, metric))


DECODING = ("temperature", "top_p", "top_k", "max_tokens", "stop_seqs", "seed", "num_choices", "reasoning_effort")


def _values(sample: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (metric, value) of a sample; of a scorer with several values each, as SCORER.PART."""
    for scorer, score in (sample.get("scores") or {}).items():
        value = score.get("value") if isinstance(score, Mapping) else score
        if isinstance(value, Mapping):
            yield from ((f"{scorer}.{part}", one) for part, one in value.items())
        else:
            yield str(scorer), value


def _item(sample: Mapping[str, Any], value: Any) -> LoggedItem:
    asked = [bare_turns(sample.get("input")), sample.get("choices"), sample.get("target")]
    output = sample.get("output") or {}
    score = GRADES.get(value) if isinstance(value, str) else number(value)
    return LoggedItem(
        id=str(sample.get("id")),
        asked=digest(asked),
        score=None if sample.get("error") else score,
        question=as_text(sample.get("input")),
        expected=as_text(sample.get("target")),
        answer=as_text(output.get("completion") if isinstance(output, Mapping) else None),
    )


def _whole(log: Mapping[str, Any], metric: str) -> Any:
    """Return the score of a whole task as the log states it; None where it states none that is a mean."""
    for score in (log.get("results") or {}).get("scores") or []:
        if metric in (score.get("name"), score.get("scorer")):
            known = {name: each.get("value") for name, each in (score.get("metrics") or {}).items()}
            return next((known[name] for name in WHOLE if name in known), None)
    return None
