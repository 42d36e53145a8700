"""Mark answers; cheap, and kept apart from them, so that a new scorer never asks again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.keys import key
from clbench.core.protocols import ScorerPlugin
from clbench.core.spec import ModelSpec
from clbench.core.types import Exam, Grade, Marks
from clbench.engine.ask import Asked
from clbench.store.records import read_jsonl, write_jsonl
from clbench.store.store import Store


def open_scorer(name: str) -> ScorerPlugin:
    """Give a scorer's plug-in.

    Raises:
        SpecError: There is none of that name.
    """
    plugin = plugins.load("scorer", name, "PLUGIN", where="scorer.name")
    if not isinstance(plugin, ScorerPlugin):
        raise SpecError(f"{name!r} declares no ScorerPlugin", where="scorer.name", mend="see CONTRIBUTING.md")
    return plugin


def mark(asked: Asked, exam: Exam, judge: ModelSpec | None, store: Store) -> Marks:
    """Give one grade per answer, in order, and the score that they come to."""
    plugin = open_scorer(exam.scorer.name)
    found = key("mark", ask=asked.key, scorer=exam.scorer, version=plugin.version, judge=judge)

    def make(folder: Path) -> None:
        scorer = plugin.build(exam.scorer.settings)
        pairs = zip(exam.examples, asked.answers, strict=True)
        write_jsonl(folder / "grades.jsonl", [scorer(example, answer) for example, answer in pairs])

    folder = store.once("mark", found, make, {"exam": exam.name, "scorer": exam.scorer.name, "ask": asked.key})
    return combined(read_jsonl(folder / "grades.jsonl", Grade), plugin).model_copy(update={"key": found})


def combined(grades: Sequence[Grade], plugin: ScorerPlugin) -> Marks:
    """Make the score of an exam from its grades, by the scorer's rule; what could not be marked stays out of it."""
    graded = [g for g in grades if g.score is not None]
    scores = [g.score for g in graded if g.score is not None]
    if not graded:
        return Marks(grades=tuple(grades), score=None)
    score = plugin.combine(graded) if plugin.combine else float(np.mean(scores))
    return Marks(grades=tuple(grades), score=score)
