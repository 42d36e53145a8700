"""Write a row of a run in the forms of others: a record of every_eval_ever, or a log of lm-evaluation-harness.

Texts are written as far as they are on record; what is not is left empty and said so. A record lies where the
collection of every_eval_ever wants it: `data/clbench/DEVELOPER/MODEL/UUID.json`, its items beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from clbench.core.errors import DataError
from clbench.core.item_scores import ExampleItem, ExamScores
from clbench.core.keys import digest, file_digest
from clbench.core.matrix import Column
from clbench.report.runs.load import RunRecord
from clbench.report.runs.store_texts import is_shortened

SCHEMA = "0.3.0"
COLLECTION = "clbench"
NOBODY = "local"  # developer of a model whose name says none
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|data|unknown", re.IGNORECASE)  # no names of folders there
NO_TEXT = "not on record"
SOURCE = {
    "source_name": "clbench",
    "source_type": "evaluation_run",
    "source_organization_name": "not known",
    "evaluator_relationship": "other",
}
DEPLOYED = {"deployment_type": "unknown", "model_availability": "unknown"}  # a run does not say them


def write_record(run: RunRecord, lesson: int, folder: Path) -> list[Path]:
    """Write a record of every_eval_ever with its items.

    Args:
        run: The run; its items must be on record.
        lesson: The row of its matrix.
        folder: Where; it is made.

    Returns:
        The record's file, and that of its items.

    Raises:
        DataError: The items are not on record.
    """
    _check(run, lesson)
    made, (developer, model) = _seconds(run), _names(run, lesson)
    identity = f"{COLLECTION}/{developer}_{model}/{made}"
    name = str(uuid.UUID(bytes=bytes.fromhex(digest([run.spec.key, run.name, lesson, made]))[:16], version=4))
    place = folder / "data" / COLLECTION / developer / model
    place.mkdir(parents=True, exist_ok=True)
    items = place / f"{name}_samples.jsonl"
    shown, common = _texts(run), {"evaluation_id": identity, "model_id": f"{developer}/{model}"}
    rows = [_instance(sheet, at, lesson, shown) | common for sheet, at in _graded(run, lesson)]
    items.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    columns = [column for column in run.matrix.columns if not math.isnan(_score(run, column, lesson))]
    record = {
        "schema_version": SCHEMA,
        "evaluation_id": identity,
        "evaluation_timestamp": str(run.provenance.get("made") or made),
        "retrieved_timestamp": made,
        "source_metadata": SOURCE,
        "eval_library": {"name": "clbench", "version": _version(run)},
        "model_info": {
            "name": f"{Path(run.spec.model.name).name} after lesson {lesson}" if lesson else model,
            "id": f"{developer}/{model}",
            "developer": developer,
            "additional_details": DEPLOYED | _about(run, lesson),
        },
        "evaluation_results": [_result(run, column, lesson) for column in columns],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": items.relative_to(folder).as_posix(),
            "hash_algorithm": "sha256",
            "checksum": file_digest(items),
            "total_rows": len(rows),
        },
    }
    file = place / f"{name}.json"
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [file, items]


def write_harness_log(run: RunRecord, lesson: int, folder: Path) -> list[Path]:
    """Write a log as lm-evaluation-harness writes it with --log_samples; arguments and returns as of `write_record`."""
    _check(run, lesson)
    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.fromtimestamp(int(_seconds(run))).isoformat().replace(":", "-")
    columns = [c for c in run.matrix.columns if not math.isnan(_score(run, c, lesson))]
    names = _file_names([column.name for column in columns])
    scores = {n: {"alias": n, "score,none": _score(run, c, lesson)} for n, c in zip(names, columns, strict=True)}
    about = {
        "results": scores,
        "configs": {name: {"task": name, "output_type": "generate_until", "metadata": {}} for name in names},
        "versions": dict.fromkeys(scores, "clbench"),
        "n-shot": dict.fromkeys(scores, 0),
        "higher_is_better": {name: {"score": True} for name in scores},
        "n-samples": {n: {"original": c.size, "effective": c.size} for n, c in zip(names, columns, strict=True)},
        "config": {"model": "clbench", "model_args": _about(run, lesson), "model_dtype": run.spec.model.dtype},
        "date": float(_seconds(run)),
        "model_name": run.spec.model.name,
    }
    files = [folder / f"results_{date}.json"]
    files[0].write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shown = _texts(run)
    for name, column in zip(names, columns, strict=True):
        sheet = run.item_scores.named(column.name)
        files.append(folder / f"samples_{name}_{date}.jsonl")
        lines = [_sample(sheet, place, lesson, shown) for place in range(len(sheet.ids))]
        files[-1].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines), encoding="utf-8")
    return files


# --- parts ------------------------------------------------------------------------------------------------------


def _check(run: RunRecord, lesson: int) -> None:
    if not run.item_scores.exams:
        raise DataError("its items are not on record", where=run.name, mend="run it again: clbench run RECIPE")
    if not any(_graded(run, lesson)):
        what = f"no item has a score after lesson {lesson}"
        raise DataError(what, where=run.name, mend="name another one by --lesson, or have it graded")


def _file_names(names: Sequence[str]) -> list[str]:
    """Return a name of a file for each name, no two alike."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[/\\\x00-\x1f]", "_", name).encode()[:150].decode(errors="ignore")
        other = next(n for k in count(1) if (n := plain if k == 1 else f"{plain}_{k}") not in found)
        found.append(other)
    return found


def _names(run: RunRecord, lesson: int) -> tuple[str, str]:
    """Return developer and name of the model of a row: of the base, or of what the run made of it.

    Both are names of folders that every system takes; of a folder's path the last part counts.
    """
    name = run.spec.model.name
    developer, sign, model = name.partition("/")
    if not sign or not developer or Path(name).is_absolute() or developer.startswith("."):
        developer, model = NOBODY, Path(name).name
    return _portable(developer), _portable(model if lesson == 0 else f"{model}--{run.name}-lesson-{lesson}")


def _portable(name: str) -> str:
    found = re.sub(r"[^\w.+-]", "_", name)[-150:].strip(". ") or "_"
    return f"_{found}" if RESERVED.fullmatch(found) else found


def _seconds(run: RunRecord) -> str:
    """Return when a run was made, in seconds since 1970; now where it does not say."""
    try:
        return str(int(datetime.fromisoformat(str(run.provenance.get("made"))).timestamp()))
    except ValueError:
        return str(int(time.time()))


def _version(run: RunRecord) -> str:
    packages: Any = run.provenance.get("packages")
    return str(packages.get("clbench") or "unknown") if isinstance(packages, Mapping) else "unknown"


def _about(run: RunRecord, lesson: int) -> dict[str, str]:
    found = {"learner": run.spec.learner_label, "stream": run.spec.stream, "lesson": str(lesson)}
    return found | {"seed": str(run.spec.seed), "dtype": run.spec.model.dtype, "run": run.name}


def _score(run: RunRecord, column: Column, lesson: int) -> float:
    return float(run.matrix.values[lesson, run.matrix.columns.index(column)])


def _result(run: RunRecord, column: Column, lesson: int) -> dict[str, Any]:
    sheet, score = run.item_scores.named(column.name), _score(run, column, lesson)
    known = [v for v in sheet.rows[lesson].values().tolist() if not math.isnan(v)]
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    error = {"value": round(spread / math.sqrt(len(known)), 9), "method": "analytic"}
    return {
        "evaluation_result_id": column.name,
        "evaluation_name": column.name,
        "source_data": {"dataset_name": column.name, "source_type": "other"},
        "metric_config": {
            "evaluation_description": f"scorer {sheet.scorer.name}",
            "metric_name": sheet.scorer.name,
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
        "score_details": {"score": score, "uncertainty": {"standard_error": error, "num_samples": len(known)}},
    }


def _texts(run: RunRecord) -> dict[tuple[str, str], ExampleItem]:
    return {(item.exam, item.id): item for item in run.example_items.items}


def _graded(run: RunRecord, lesson: int) -> Iterator[tuple[ExamScores, int]]:
    """Yield (exam, place of an item) of what has a score in a row."""
    for sheet in run.item_scores.exams:
        if lesson not in sheet.rows:
            continue
        for place, value in enumerate(sheet.rows[lesson].values().tolist()):
            if not math.isnan(value):
                yield sheet, place


def _instance(
    sheet: ExamScores, place: int, lesson: int, shown: Mapping[tuple[str, str], ExampleItem]
) -> dict[str, Any]:
    name, score = sheet.ids[place], float(sheet.rows[lesson].values()[place])
    item = shown.get((sheet.exam, name))
    said = item.answers[lesson].text if item is not None and lesson in item.answers else ""
    question, expected = ("", []) if item is None else (item.question, list(item.expected))
    return {
        "schema_version": SCHEMA,
        "evaluation_name": sheet.exam,
        "evaluation_result_id": sheet.exam,
        "sample_id": name,
        "sample_hash": _sample_hash(question, expected) if item is not None else None,
        "interaction_type": "single_turn",
        "input": {"raw": question, "reference": expected},
        "output": {"raw": [said]},
        "answer_attribution": [],
        "evaluation": {"score": score, "is_correct": score == 1.0},
        "metadata": {"texts": "on record" if item is not None else NO_TEXT},
    }


def _sample_hash(question: str, expected: list[str]) -> str | None:
    """Return the hash of whole texts as the schema wants it; None where one was shortened."""
    texts = [question, *expected]
    return None if any(map(is_shortened, texts)) else hashlib.sha256("".join(texts).encode()).hexdigest()


def _sample(sheet: ExamScores, place: int, lesson: int, shown: Mapping[tuple[str, str], ExampleItem]) -> dict[str, Any]:
    score, item = float(sheet.rows[lesson].values()[place]), shown.get((sheet.exam, sheet.ids[place]))
    said = item.answers[lesson].text if item is not None and lesson in item.answers else ""
    question = NO_TEXT if item is None else item.question
    return {
        "doc_id": place,
        "doc": {"id": sheet.ids[place], "question": question, "asked": sheet.rows[lesson].questions},
        "target": " | ".join(item.expected) if item is not None else "",
        "arguments": {"gen_args_0": {"arg_0": question, "arg_1": {}}},
        "resps": [[said]],
        "filtered_resps": [said],
        "filter": "none",
        "metrics": ["score"],
        "score": None if math.isnan(score) else score,
    }
