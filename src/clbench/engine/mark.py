"""Mark answers; cheap, and kept apart from them, so that a new scorer never asks again."""

from __future__ import annotations

from pathlib import Path

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.keys import key
from clbench.core.protocols import ScorerPlugin
from clbench.core.spec import ModelSpec
from clbench.core.types import Exam, Grade
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


def mark(asked: Asked, exam: Exam, judge: ModelSpec | None, store: Store) -> tuple[Grade, ...]:
    """Give one grade per answer, in order."""
    plugin = open_scorer(exam.scorer.name)
    found = key("mark", ask=asked.key, scorer=exam.scorer, version=plugin.version, judge=judge)

    def make(folder: Path) -> None:
        scorer = plugin.build(exam.scorer.settings)
        pairs = zip(exam.examples, asked.answers, strict=True)
        write_jsonl(folder / "grades.jsonl", [scorer(example, answer) for example, answer in pairs])

    folder = store.once("mark", found, make, {"exam": exam.name, "scorer": exam.scorer.name, "ask": asked.key})
    return tuple(read_jsonl(folder / "grades.jsonl", Grade))
