"""Logs of Inspect: `.json` as its documentation describes them, and `.eval`, the same in a zip file.

Newer versions pack the zip file by Zstandard, which Python unpacks since 3.14; before, pyarrow does, else the library's
own `read_eval_log` where it is here.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError, near_paths, said_of
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.report.logs.log import Log, LoggedExam, LoggedItem
from clbench.report.logs.reading import (
    NOT_KNOWN,
    as_text,
    bare_turns,
    check_count,
    check_found,
    chosen_metric,
    comparable,
    json_object,
    merged,
    number,
)

NAME = "inspect"
GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}  # correct, partial, incorrect, no answer
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}  # in small or capital letters
WHOLE = ("accuracy", "mean")  # metrics that are means over items
NAMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d.*\.json|.*\.eval")  # as the harness names logs
SAMPLES = "inspect eval writes items unless told not to (--no-log-samples)"
ZSTANDARD = 93  # how a part of a zip file is packed
UNFINISHED = "inspect eval-retry LOG, and import the new log"


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
    """Return the logs of a folder: those that are named as the harness names them, else all JSON files."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError("there is no log of Inspect here", where=str(path), mend=near_paths(path))
    there = sorted(p for p in path.rglob("*") if p.suffix in (".eval", ".json") and p.is_file())
    if not there:
        raise DataError("there is no log of Inspect here", where=str(path), mend="name the folder of --log-dir")
    return [p for p in there if NAMED.fullmatch(p.name)] or there


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
    log = json_object(file, ("eval",), "Inspect") if file.suffix != ".eval" else _unpacked(file)
    if log.get("status", "success") != "success":
        what = f"the evaluation did not finish (status {log['status']})"
        raise DataError(what, where=str(file), mend=UNFINISHED)
    if not log.get("samples"):
        raise DataError("no item is on record", where=str(file), mend=SAMPLES)
    check_count(len(log["samples"]), (log.get("results") or {}).get("completed_samples"), file)
    return log


def _unpacked(file: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as packed:
            names = packed.namelist()
            if "header.json" not in names and "_journal/start.json" in names:
                raise DataError("the evaluation did not finish", where=str(file), mend=UNFINISHED)
            header = json.loads(_part(packed, "header.json", file))
            wanted = [name for name in sorted(names) if name.startswith("samples/") and name.endswith(".json")]
            samples = [json.loads(_part(packed, name, file)) for name in wanted]
        return {**header, "samples": samples}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, RecursionError) as error:
        raise DataError(f"it cannot be read: {said_of(error)}", where=str(file), mend="bring the file again") from None
    except (ImportError, RuntimeError):  # packed in a way that nothing here unpacks
        return _by_the_library(file)


def _part(packed: zipfile.ZipFile, name: str, file: Path) -> bytes:
    """Return a file of a zip file.

    Raises:
        ImportError, RuntimeError: Nothing here unpacks it.
    """
    about = packed.getinfo(name)
    try:
        return packed.read(about)
    except RuntimeError:
        if about.compress_type != ZSTANDARD:
            raise
    import pyarrow as pa

    with file.open("rb") as whole:
        whole.seek(about.header_offset)
        whole.seek(sum(struct.unpack("<26x2H", whole.read(30))), 1)  # past its name and what is added to it
        data = whole.read(about.compress_size)
    with pa.input_stream(pa.BufferReader(data), compression="zstd") as stream:
        found = stream.read()
    if zlib.crc32(found) != about.CRC:
        raise zipfile.BadZipFile(f"{name} is damaged")
    return found


def _by_the_library(file: Path) -> dict[str, Any]:
    try:
        from inspect_ai.log import read_eval_log  # pyright: ignore[reportMissingImports]  # not one of ours
    except ImportError:
        mend = f"pip install 'clbench[data]'; or inspect log convert {file} --to json --output-dir FOLDER"
        raise DataError("it is packed in a way that Python does not unpack", where=str(file), mend=mend) from None
    found: Any = read_eval_log(str(file))
    return json.loads(found.model_dump_json())


def _exam(file: Path, log: Mapping[str, Any], metrics: Mapping[str, str]) -> LoggedExam | None:
    about, samples = log["eval"], log["samples"]
    task = str(about.get("task") or file.stem).rpartition("/")[2]
    scored = [dict(_values(sample)) for sample in samples]
    metric = chosen_metric(
        task, list(dict.fromkeys(name for values in scored for name in values)), metrics.get(task, "")
    )
    chosen = metric == "choice"  # the scorer of its multiple_choice
    items = [_item(sample, values.get(metric), chosen) for sample, values in zip(samples, scored, strict=True)]
    plan, stated = log.get("plan") or {}, _stated(log, metric)
    settings = {
        "metric": metric,
        "task version": about.get("task_version", NOT_KNOWN),
        "task arguments": as_text(about.get("task_args") or {}),
        "solver": as_text([{k: step.get(k) for k in ("solver", "params")} for step in plan.get("steps") or []]),
        "generation": as_text({k: v for k, v in (plan.get("config") or {}).items() if v is not None and k in DECODING}),
        "epochs": (about.get("config") or {}).get("epochs") or 1,
        "scorer settings": as_text(stated.get("params") or {}),
        "judges": as_text(_judges(about, metric, stated.get("params") or {})),
    }
    known = {name: each.get("value") for name, each in (stated.get("metrics") or {}).items()}
    whole = next((known[name] for name in WHOLE if name in known), None)
    return comparable(LoggedExam(task, settings, merged(task, items)), whole)


DECODING = ("temperature", "top_p", "top_k", "max_tokens", "stop_seqs", "seed", "num_choices", "reasoning_effort")


def _values(sample: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (metric, value) of a sample; of a scorer with several values each, as SCORER.PART."""
    first = (
        {"score": sample["score"]} if sample.get("score") else {}
    )  # of the first logs, which have one without a name
    for scorer, score in (sample.get("scores") or first).items():
        value = score.get("value") if isinstance(score, Mapping) else score
        if isinstance(value, Mapping):
            yield from ((f"{scorer}.{part}", one) for part, one in value.items())
        else:
            yield str(scorer), value


def _item(sample: Mapping[str, Any], value: Any, chosen: bool) -> LoggedItem:
    choices, target = sample.get("choices") or [], sample.get("target")
    one_is_right = chosen and len(choices) > 1 and len(target or "") == 1
    return LoggedItem(
        id=str(sample.get("id")),
        asked=digest([bare_turns(sample.get("input")), sample.get("choices"), target]),
        score=_grade(value),
        question=as_text(sample.get("input")),
        expected=as_text(target),
        answer=_answer(sample.get("output")),
        guess_rate=1 / len(choices) if one_is_right else 0.0,
    )


def _grade(value: Any) -> float | None:
    """Return a value as the harness's own `value_to_float` reads it; None for what that does not know."""
    if not isinstance(value, str):
        return number(value)
    known = GRADES.get(value, WORDS.get(value.lower()))
    try:
        return number(float(value)) if known is None else known
    except ValueError:
        return None


def _answer(output: Any) -> str:
    """Return what was said; logs of before 2024-11 have it in the first choice alone."""
    if not isinstance(output, Mapping):
        return ""
    first = next(iter(output.get("choices") or []), None) or {}
    return as_text(output.get("completion") or (first.get("message") or {}).get("content"))


def _judges(about: Mapping[str, Any], metric: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the models that took part beside the one in question; one that grades itself is its own judge."""
    roles = {k: v.get("model") if isinstance(v, Mapping) else v for k, v in (about.get("model_roles") or {}).items()}
    itself = metric.startswith("model_graded") and not params.get("model") and "grader" not in roles
    return {**roles, "grader": about.get("model")} if itself else roles


def _stated(log: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    """Return what the log states of a metric of a whole task: its settings and its means; {} where it does not."""
    scores = (log.get("results") or {}).get("scores") or []
    names = [(s.get("name"), s.get("scorer"), f"{s.get('scorer')}.{s.get('name')}") for s in scores]
    fitting = [score for score, known in zip(scores, names, strict=True) if metric in known]
    return next((score for score in fitting if score.get("reducer") in (None, "mean")), {})
