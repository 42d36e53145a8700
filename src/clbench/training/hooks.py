"""The hooks of a method as the training loop calls them: what goes wrong in one is said by file, hook and lesson."""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from clbench.core.errors import LearnerError, LessonError, UserError, said_of
from clbench.core.extras import explained
from clbench.core.keys import canonical
from clbench.core.older_names import new_word
from clbench.core.process import in_its_folder, leave
from clbench.core.types import Answer, Decode, Example
from clbench.training.answers import FITTING, unfit_answers
from clbench.training.method import Method
from clbench.training.new_method import place_of


class Hooks:
    """The hooks of a method, under their own names; a break in one becomes a `LessonError`, and its cause is kept.

    Attributes:
        number: The lesson that an error names, 0 before the first.
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self.number = 0

    def loss(self, *args: Any) -> Tensor:
        """Call `loss`, and see that it gives a loss: one number as a tensor, of which there is a gradient."""
        found = self.__getattr__("loss")(*args)
        why = ""
        if not isinstance(found, Tensor) or found.numel() != 1:
            why = f"it gives {type(found).__name__}, where a loss is one number as a tensor"
        elif not found.requires_grad:
            why = "no gradient reaches what learns: it has no part in the loss"
        if why:
            raise LessonError(
                why,
                where=f"{place_of(self._method)}.loss, lesson {self.number}",
                mend="return a loss made of out.loss; if it is, this method does not fit this kind of model",
            )
        return found

    def lr_scale(self, name: str) -> float:
        """Call `lr_scale`, and see that it gives a finite number above 0: others would unlearn, or end in NaN."""
        found: object = self.__getattr__("lr_scale")(name)
        if isinstance(found, (int, float)) and 0 < found < math.inf:
            return float(found)
        raise LessonError(
            f"it gives {str(found)[:50]!r} for {name}, where a multiple of the learning rate is a number above 0",
            where=f"{place_of(self._method)}.lr_scale, {_when(self.number)}",
            mend="to leave a parameter as it is, set its requires_grad to False in prepare",
        )

    def state(self) -> Mapping[str, Any]:
        """Call `state`, and see that it can be written: tensors, examples and JSON values under names."""
        return self._written("state")

    def answer_state(self) -> Mapping[str, Any]:
        """Call `answer_state`, and see that it can be written, as of `state`."""
        return self._written("answer_state")

    def states(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return what `state` and `answer_state` give; their names differ, since `restore` is given one mapping."""
        state, of_answers = self.state(), self.answer_state()
        if both := sorted(state.keys() & of_answers.keys()):
            raise LessonError(
                f"{both[0]!r} is also a name in answer_state, and restore would be given one of the two",
                where=f"{place_of(self._method)}.state, {_when(self.number)}",
                mend="name one of them otherwise",
            )
        return state, of_answers

    def whole_state(self) -> dict[str, Any]:
        """Return what `states` gives, as one mapping."""
        state, of_answers = self.states()
        return {**state, **of_answers}

    def answer(self, net: Any, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Call `answer`, and see that it gives one Answer to each question, in their order.

        Raises:
            LearnerError: It does not; says what it gives instead.
        """
        found = self.__getattr__("answer")(net, examples, decode)
        if why := unfit_answers(found, examples):
            raise LearnerError(
                why,
                where=f"{place_of(self._method)}.answer, {_when(self.number)}",
                mend=FITTING,
            )
        return list(found)

    def _written(self, hook: str) -> Mapping[str, Any]:
        found = self.__getattr__(hook)()
        why = ""
        if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
            why = f"it gives {type(found).__name__}, where values under names are kept"
        else:
            unfit = next((name for name, value in found.items() if not _can_be_written(value)), None)
            why = "" if unfit is None else f"{unfit!r} is a {type(found[unfit]).__name__}, which cannot be written"
        if why:
            raise LessonError(
                why,
                where=f"{place_of(self._method)}.{hook}, {_when(self.number)}",
                mend="return a dict of tensors, dicts of tensors, lists of examples, and what JSON can hold",
            )
        return found

    def __getattr__(self, name: str) -> Callable[..., Any]:
        hook = attrgetter(name)(self._method)

        @wraps(hook)
        def called(*args: Any, **kwargs: Any) -> Any:
            home = os.getpid()
            try:
                with in_its_folder():
                    return hook(*args, **kwargs)
            except (UserError, KeyboardInterrupt):
                raise
            except BaseException as error:  # also SystemExit: it would end the process as if all were made
                absent = explained(error) if isinstance(error, ImportError) else None
                raise absent or _lesson_error(self._method, name, self.number, error) from error
            finally:
                if os.getpid() != home:  # a fork that came out of its hook would make the same results once more
                    leave(1)

        return called


def _can_be_written(value: object) -> bool:
    parts = (
        list(value.values()) if isinstance(value, Mapping) else list(value) if isinstance(value, list | tuple) else []
    )
    if isinstance(value, Tensor) or (parts and all(isinstance(part, Tensor | Example) for part in parts)):
        return True
    try:
        canonical({"value": value})
    except (TypeError, ValueError):
        return False
    return True


def _when(number: int) -> str:
    return f"lesson {number}" if number else "before the first lesson"


def _lesson_error(method: Method, hook: str, number: int, error: BaseException) -> LessonError:
    owner, line = _broke_in(method, hook, error)
    said = said_of(error)
    if isinstance(error, ValidationError):  # its first line counts only
        one = error.errors(include_url=False)[0]
        said = f"ValidationError: {error.title}.{'.'.join(map(str, one['loc']))}: {one['msg']}"
    return LessonError(
        f"{said}{line}",
        where=f"{place_of(owner)}.{hook}, {_when(number)}",
        mend=new_word(error)
        or "correct this hook; `clbench check learner` runs it over lessons that bring new labels, stops and sleeps",
    )


def _broke_in(method: Method, hook: str, error: BaseException) -> tuple[Method, str]:
    """Return the innermost method whose hook broke (`combine` calls those of its parts), and the line of its file."""
    owner, line = method, ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        own = frame.f_locals.get("self")
        if isinstance(own, Method):
            if frame.f_code.co_name == hook:
                owner = own
            line = f" (line {number} of {Path(frame.f_code.co_filename).name})"
    return owner, line
