"""Older names that users' files use, and what to write instead: such a file is refused with the new word."""

from __future__ import annotations

import re

from clbench.core.errors import did_you_mean
from clbench.core.traits import NAMES as TRAITS

HOOKS = {
    "widen": "expand",
    "speed": "lr_scale",
    "mix": "compose_batch",
    "penalise": "loss",
    "project": "edit_gradients",
    "settle": "consolidate",
    "guide": "answer_state",
}
KEYWORDS = {
    "families": "model_families",
    "needs_task": "needs_task_ids",
    "settle": "adopt_first_lesson",
    "settle_copy": "adopt_first_lesson",
}
ATTRIBUTES = {
    ("Lesson", "step"): "number",
    ("Decode", "told"): "task_id",
    ("Task", "chance"): "guess_rate",
    ("Exam", "chance"): "guess_rate",
    ("Stream", "rounds"): "plans",
    ("Stream", "reveals"): "task_ids",
}
NAMES = {
    "Frozen": "Value",
    "Round": "LessonPlan",
    "RoundOutline": "LessonSummary",
    "Outline": "StreamSummary",
    "Meters": "Costs",
    "Reveals": "TaskIds",
}
FIELDS = (*TRAITS, "config", "method", "version", "first_lesson_as", "neutral", "teaches", "starts_as_base", "answers")
PUBLIC = ("Answer", "Batch", "Decode", "Example", "Forward", "Lesson", "Method", "Net", "Training", "plugin")
MODULES = {
    "clbench.core.gauge": "clbench.core.resource_probes",
    "clbench.core.notice": "clbench.core.events",
    "clbench.core.progress": "clbench.core.events",
    "clbench.data.card": "clbench.data.tasks.card",
    "clbench.data.exam": "clbench.data.exams.exam",
    "clbench.data.stream": "clbench.data.streams.stream",
    "clbench.data.task": "clbench.data.tasks.task",
    "clbench.engine.grid": "clbench.engine.recipe.recipe",
    "clbench.learners._adapters": "clbench.learners._shared.adapters",
    "clbench.learners._columns": "clbench.learners._shared.columns",
    "clbench.learners._files": "clbench.training.state_files",
    "clbench.learners._gradient": "clbench.training.loop",
    "clbench.learners._kept": "clbench.training.kept",
    "clbench.learners._memory": "clbench.learners._shared.memory",
    "clbench.learners._method": "clbench",
    "clbench.learners._parts": "clbench.learners._shared.task_parts",
    "clbench.learners._pull": "clbench.learners._shared.anchors",
    "clbench.learners._shown": "clbench.learners._shared.prompts_shown",
    "clbench.learners._training": "clbench",
    "clbench.report.gather": "clbench.report.runs.load",
    "clbench.stock": "clbench.lm_eval",
}
FROM_MODULE = {"clbench.learners._method": "Method", "clbench.learners._training": "Training, plugin"}


def new_word(error: BaseException) -> str:
    """Say what to write instead of the older name that an error came of; "" where it came of none.

    Example:
        >>> new_word(ModuleNotFoundError("No module named 'clbench.core.notice'", name="clbench.core.notice"))
        'clbench.core.notice is clbench.core.events now'
        >>> new_word(TypeError("plugin() got an unexpected keyword argument 'families'"))
        'write model_families= instead of families='
    """
    if isinstance(error, ModuleNotFoundError):
        return _of_module(error.name or "")
    said = str(error) if isinstance(error, (ImportError, TypeError, AttributeError)) else ""
    if found := re.search(r"cannot import name '(\w+)' from '(clbench[\w.]*)'", said):
        return _of_name(found[1])
    if found := re.search(r"(plugin|LearnerPlugin\.__init__)\(\) got an unexpected keyword argument '(\w+)'", said):
        return new_keyword(found[1], found[2])
    if found := re.search(r"'(\w+)' object has no attribute '(\w+)'", said):
        new = ATTRIBUTES.get((found[1], found[2]))
        return f"{found[2]} of {found[1]} is called {new} now" if new else ""
    return ""


def new_keyword(function: str, name: str) -> str:
    """Say what to write instead of a keyword that `plugin` or `LearnerPlugin` does not take.

    Example:
        >>> new_keyword("plugin", "store")
        "did you mean 'stores'?"
    """
    new = KEYWORDS.get(name, "")
    if function == "plugin" and new == "adopt_first_lesson":
        return f"leave {name}= out: first_lesson_as= says it all"
    return f"write {new}= instead of {name}=" if new else did_you_mean(name, FIELDS)


def _of_module(name: str) -> str:
    if name in FROM_MODULE:
        return f"{name} is gone: write `from clbench import {FROM_MODULE[name]}`"
    if name in MODULES:
        return f"{name} is {MODULES[name]} now"
    if name.startswith("clbench."):
        return f"{name} is not a module of this version: write `from clbench import ...`; there are {', '.join(PUBLIC)}"
    return ""


def _of_name(name: str) -> str:
    if name in PUBLIC:
        return f"write `from clbench import {name}`"
    return f"{name} is called {NAMES[name]} now" if name in NAMES else ""
