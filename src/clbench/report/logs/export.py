"""Write a row of a run in the forms of others: a record of every_eval_ever, or a log of lm-evaluation-harness.

Texts are written as far as they are on record; what is not is left empty and said so.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from clbench.core.errors import DataError
from clbench.core.item_scores import ExampleItem, ExamScores
from clbench.core.keys import digest, file_digest
from clbench.core.matrix import Column
from clbench.report.runs.load import RunRecord

SCHEMA = "0.2.1"
NO_TEXT = "not on record"
SOURCE = {
    "source_name": "clbench",
    "source_type": "evaluation_run",
    "source_organization_name": "not known",
    "evaluator_relationship": "other",
}


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
    _check(run)
    folder.mkdir(parents=True, exist_ok=True)
    name, model = f"{run.name}-lesson-{lesson}", run.spec.model.name
    made = _seconds(run)
    identity = f"{run.spec.stream}/{model.replace('/', '_')}/{made}"
    items = folder / f"{name}_samples.jsonl"
    shown = _texts(run)
    rows = [
        _instance(run, sheet, place, lesson, shown) | {"evaluation_id": identity}
        for sheet, place in _graded(run, lesson)
    ]
    items.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    record = {
        "schema_version": SCHEMA,
        "evaluation_id": identity,
        "evaluation_timestamp": str(run.provenance.get("made") or made),
        "retrieved_timestamp": made,
        "source_metadata": SOURCE,
        "eval_library": {"name": "clbench", "version": _version(run)},
        "model_info": {"name": model, "id": model, "additional_details": _about(run, lesson)},
        "evaluation_results": [
            _result(run, column, lesson) for column in run.matrix.columns if not math.isnan(_score(run, column, lesson))
        ],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": items.name,
            "hash_algorithm": "sha256",
            "checksum": file_digest(items),
            "total_rows": len(rows),
        },
    }
    file = folder / f"{name}.json"
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [file, items]


def write_harness_log(run: RunRecord, lesson: int, folder: Path) -> list[Path]:
    """Write a log as lm-evaluation-harness writes it with --log_samples; arguments and returns as of `write_record`."""
    _check(run)
    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.fromtimestamp(int(_seconds(run))).isoformat().replace(":", "-")
    columns = [c for c in run.matrix.columns if not math.isnan(_score(run, c, lesson))]
    names = [c.name.replace("/", "_") for c in columns]  # they name files
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
    for column in columns:
        sheet = run.item_scores.named(column.name)
        files.append(folder / f"samples_{column.name.replace('/', '_')}_{date}.jsonl")
        lines = [_sample(sheet, place, lesson, shown) for place in range(len(sheet.ids))]
        files[-1].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines), encoding="utf-8")
    return files


# --- parts ------------------------------------------------------------------------------------------------------


def _check(run: RunRecord) -> None:
    if not run.item_scores.exams:
        raise DataError("its items are not on record", where=run.name, mend="run it again: clbench run RECIPE")


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
        "evaluation_name": column.name,
        "source_data": {"dataset_name": column.name, "source_type": "other"},
        "metric_config": {
            "evaluation_description": f"scorer {sheet.scorer.name}",
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
    run: RunRecord, sheet: ExamScores, place: int, lesson: int, shown: Mapping[tuple[str, str], ExampleItem]
) -> dict[str, Any]:
    name, score = sheet.ids[place], float(sheet.rows[lesson].values()[place])
    item = shown.get((sheet.exam, name))
    said = item.answers[lesson].text if item is not None and lesson in item.answers else ""
    question, expected = ("", []) if item is None else (item.question, list(item.expected))
    return {
        "schema_version": f"instance_level_eval_{SCHEMA}",
        "model_id": run.spec.model.name,
        "evaluation_name": sheet.exam,
        "sample_id": name,
        "sample_hash": digest(question + "".join(expected)) if item is not None else None,
        "interaction_type": "single_turn",
        "input": {"raw": question, "reference": expected},
        "output": {"raw": [said]},
        "answer_attribution": [],
        "evaluation": {"score": score, "is_correct": score == 1.0},
        "metadata": {"texts": "on record" if item is not None else NO_TEXT},
    }


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
