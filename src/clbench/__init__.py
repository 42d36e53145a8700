"""clbench measures what a language model keeps when it keeps learning.

Users and authors of plug-ins import from here only. Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clbench.api import exam, load, run
    from clbench.core.errors import UserError
    from clbench.core.matrix import Matrix
    from clbench.core.protocols import LearnerPlugin, MetricPlugin, ScorerPlugin, Specimen
    from clbench.core.results import Costs, ExamResult
    from clbench.core.types import Answer, Decode, Example, Grade, Lesson, Message
    from clbench.engine.recipe.recipe import Recipe
    from clbench.exam_callback import ExamCallback
    from clbench.models.net import Batch, Forward, Net
    from clbench.report.results import Runs
    from clbench.testing import check_card, check_learner, check_metric, check_scorer
    from clbench.training.method import Method
    from clbench.training.plugin import plugin
    from clbench.training.settings import Training

__version__ = "0.2.0.dev0"

_PLACES = {
    "clbench.api": ("exam", "load", "run"),
    "clbench.core.errors": ("UserError",),
    "clbench.core.matrix": ("Matrix",),
    "clbench.core.protocols": ("LearnerPlugin", "MetricPlugin", "ScorerPlugin", "Specimen"),
    "clbench.core.results": ("Costs", "ExamResult"),
    "clbench.core.types": ("Answer", "Decode", "Example", "Grade", "Lesson", "Message"),
    "clbench.engine.recipe.recipe": ("Recipe",),
    "clbench.exam_callback": ("ExamCallback",),
    "clbench.models.net": ("Batch", "Forward", "Net"),
    "clbench.report.results": ("Runs",),
    "clbench.testing": ("check_card", "check_learner", "check_metric", "check_scorer"),
    "clbench.training.method": ("Method",),
    "clbench.training.plugin": ("plugin",),
    "clbench.training.settings": ("Training",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Answer",
    "Batch",
    "Costs",
    "Decode",
    "ExamCallback",
    "ExamResult",
    "Example",
    "Forward",
    "Grade",
    "LearnerPlugin",
    "Lesson",
    "Matrix",
    "Message",
    "Method",
    "MetricPlugin",
    "Net",
    "Recipe",
    "Runs",
    "ScorerPlugin",
    "Specimen",
    "Training",
    "UserError",
    "__version__",
    "check_card",
    "check_learner",
    "check_metric",
    "check_scorer",
    "exam",
    "load",
    "plugin",
    "run",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it.

    Raises:
        AttributeError: There is no such public name.
        ExtraError: It needs a package that is not installed.
    """
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'clbench' has no public name {name!r}")
    try:
        found = vars(importlib.import_module(_MODULE_OF[name]))[name]
    except ImportError as error:
        from clbench.core.extras import explained

        raise explained(error) or error from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
