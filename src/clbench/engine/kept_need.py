"""What a learner takes, kept between commands: a plan that was made once is shown again without loading a library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import TypeVar

from clbench.core import plugins
from clbench.core.kept import Form, code_digest, kept
from clbench.core.keys import canonical
from clbench.core.spec import RunSpec
from clbench.core.types import Exam, Lesson
from clbench.models.place import is_shipped

T = TypeVar("T")
ROOMS = ("core", "data", "engine", "learners", "models", "training")
LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "bitsandbytes", "accelerate")


def kept_need(
    spec: RunSpec,
    how: Mapping[str, object],
    inputs: tuple[Sequence[Lesson], Sequence[Exam]],
    make: Callable[[], T],
    read: Callable[[bytes], T],
) -> T:
    """Return what a run takes as it was kept, or find it out and keep it.

    Of a user's own model, or of a learner that does not ship with clbench, nothing is kept: their files would have to
    be read to know that they are the same.

    Args:
        spec: The run.
        how: The way that its lessons are walked and its questions are asked.
        inputs: Its lessons and its exams.
        make: Finds it out.
        read: Makes it again from its JSON.
    """
    lessons, exams = inputs
    if not is_shipped(spec.model) or not set(plugins.learners_in(spec.learner)) <= set(plugins.shipped("learner")):
        return make()
    about = {
        "code": code_digest(*ROOMS),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "model": spec.model,
        "learner": spec.learner,
        "seed": spec.seed,
        "how": how,
        "lessons": [[e.digest, len(e.examples), e.task_name, e.budget, e.passes, list(e.kinds)] for e in lessons],
        "exams": [[exam.digest, exam.decode] for exam in exams],
    }
    return kept(Form[T]("needs", lambda need: canonical(vars(need)).encode(), read), about, make)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
