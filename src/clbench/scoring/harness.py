"""Grades of a task of lm-evaluation-harness, by its own filters and rules.

`Example.check` holds {"task", "changes", "splits", "doc"}; replies are those to `Example.requests`. The score is
`metric`: as it is where it lies in [0, 1] (acc, acc_norm, exact_match); for a rolling log-likelihood 2^-bits_per_byte,
the geometric mean probability of a byte, in (0, 1] and higher as perplexity falls, with `parts` (nats, words, bytes).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.errors import SpecError
from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.core.types import Answer, Example, Grade
from clbench.scoring import _weighing
from clbench.scoring._settings import settings_of, ungradable

DEFAULTS: dict[str, Any] = {"metric": "", "filter": ""}
ROLLING = ("word_perplexity", "byte_perplexity", "bits_per_byte")


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer: `metric` of the lm_eval task under `filter` (its first ones where they are empty)."""
    how = settings_of("harness", settings, DEFAULTS)
    tasks: dict[str, Any] = {}

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if answer.finish == "error" and (grade := ungradable(example, answer)) is not None:
            return grade
        if not example.check:
            return Grade(example_id=example.id, score=None, note="it is not a question of an lm_eval task")
        if len(answer.replies) != len(example.requests):
            return Grade(example_id=example.id, score=None, note="not asked as an lm_eval exam is")
        found = _results(example, answer, tasks)
        name = str(how["filter"]) or next(iter(found))
        if name not in found:
            raise SpecError(f"the lm_eval task has no filter {name!r}", where="scorer", mend=f"it has {sorted(found)}")
        return _grade(example.id, found[name], str(how["metric"]) or next(iter(found[name])))

    return grade_answer


def _results(example: Example, answer: Answer, tasks: dict[str, Any]) -> dict[str, dict[str, Any]]:
    from clbench.lm_eval.task import open_task, results, untouched

    about = json.loads(example.check)
    known = json.dumps([about["task"], about["changes"]], sort_keys=True)
    if known not in tasks:
        # The document has been processed already, and grading needs no examples.
        changes = {**about["changes"], "process_docs": None, "num_fewshot": 0}
        splits = {split: [about["doc"]] for split in about["splits"]}
        with open_task(about["task"], splits, changes) as task:
            tasks[known] = task
    with untouched():
        return results(tasks[known], about["doc"], answer.replies)


def _grade(name: str, values: Mapping[str, Any], metric: str) -> Grade:
    if metric in ROLLING:
        nats, size = values.get("bits_per_byte") or values["byte_perplexity"]
        words = float(values["word_perplexity"][1]) if "word_perplexity" in values else math.nan
        parts = (float(nats), *(() if math.isnan(words) else (words,)), float(size))
        return Grade(example_id=name, score=math.exp(min(nats / size, 0.0)) if size else None, parts=parts)
    if metric not in values:
        raise SpecError(f"the lm_eval task has no metric {metric!r}", where="scorer", mend=f"it has {sorted(values)}")
    value = values[metric]
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        return Grade(example_id=name, score=None, note=f"{metric} of one question is no score: {value!r}")
    others = [float(v) for k, v in sorted(values.items()) if k != metric and isinstance(v, (int, float))]
    return Grade(example_id=name, score=float(value), parts=tuple(others))


def combine(grades: Sequence[Grade]) -> float:
    """Return the mean; of rolling ones the geometric mean probability of a byte over all texts together."""
    rolling = [g.parts for g in grades if len(g.parts) >= 2 and g.parts[0] < 0]
    if len(rolling) == len(grades):
        return math.exp(sum(p[0] for p in rolling) / sum(p[-1] for p in rolling))
    return sum(g.score or 0.0 for g in grades) / len(grades)


_SPECIMEN = Specimen(
    prompt="Question: 2 + 2?\nAnswer:",
    targets=("2 + 2 = 4\n#### 4",),
    wrong="#### 5",
    check=json.dumps(
        {
            "task": "gsm8k",
            "changes": {"num_fewshot": 0},
            "splits": ["train", "test"],
            "doc": {"question": "2 + 2?", "answer": "4"},
        }
    ),
    plain=True,
)
PLUGIN = ScorerPlugin(
    build=build,
    version=1,
    about="the grades of an lm_eval task by its own rules",
    combine=combine,
    weigh=_weighing.lm_eval,
    specimens=(_SPECIMEN,),
)
