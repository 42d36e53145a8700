"""The hooks of a method as the training loop calls them: what goes wrong in one is said by file, hook and lesson."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from pathlib import Path
from typing import Any

from torch import Tensor

from clbench.core.errors import LessonError, UserError
from clbench.core.process import end_copy
from clbench.learners._method import Method


class Hooks:
    """The hooks of a method, under their own names; a break in one becomes a `LessonError`, and its cause is kept.

    Attributes:
        step: The lesson that an error names, 0 before the first.
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self.step = 0

    def loss(self, *args: Any) -> Tensor:
        """Call `penalise`, and see that it gives a loss: one number as a tensor, of which there is a gradient."""
        found = self.penalise(*args)
        why = ""
        if not isinstance(found, Tensor) or found.numel() != 1:
            why = f"it gives {type(found).__name__}, where a loss is one number as a tensor"
        elif not found.requires_grad:
            why = "no gradient reaches what learns: it has no part in the loss"
        if why:
            raise LessonError(
                why,
                where=f"{_place(self._method)}.penalise, lesson {self.step}",
                mend="return a loss made of out.loss; if it is, this method does not fit this kind of model",
            )
        return found

    def __getattr__(self, name: str) -> Callable[..., Any]:
        hook = attrgetter(name)(self._method)

        @wraps(hook)
        def called(*args: Any, **kwargs: Any) -> Any:
            try:
                return hook(*args, **kwargs)
            except UserError:
                raise
            except Exception as error:
                raise _lesson_error(self._method, name, self.step, error) from error
            finally:
                end_copy()

        return called


def _lesson_error(method: Method, hook: str, step: int, error: Exception) -> LessonError:
    owner, line = _broke_in(method, hook, error)
    first = next((text for text in str(error).splitlines() if text.strip()), "")
    when = f"lesson {step}" if step else "before the first lesson"
    return LessonError(
        f"{type(error).__name__}: {first}{line}",
        where=f"{_place(owner)}.{hook}, {when}",
        mend="correct this hook; `clbench check learner` runs it over lessons that bring new labels, stops and sleeps",
    )


def _broke_in(method: Method, hook: str, error: Exception) -> tuple[Method, str]:
    """Give the innermost method whose hook broke (`combine` calls those of its parts), and the line of its file."""
    owner, line = method, ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        own = frame.f_locals.get("self")
        if isinstance(own, Method):
            if frame.f_code.co_name == hook:
                owner = own
            line = f" (line {number} of {Path(frame.f_code.co_filename).name})"
    return owner, line


def _place(method: Method) -> str:
    """Give `my_file.py:MyL2` of a method."""
    kind = type(method)
    try:
        return f"{Path(inspect.getfile(kind)).name}:{kind.__name__}"
    except (TypeError, OSError):
        return kind.__name__
