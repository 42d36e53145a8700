"""Make a method from its settings; what goes wrong there is said by file and class. No torch is imported here."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from clbench.core.errors import LearnerError, SpecError, UserError, said_of
from clbench.core.older_names import HOOKS, new_word
from clbench.core.plugins import user_file_line
from clbench.core.process import in_its_folder, leave
from clbench.training.method import Method


def new_method(make: Callable[[Any], object], config: Any) -> Method:
    """Make a method from its settings.

    Raises:
        LearnerError: It breaks there or would end its process, or what comes out is not a `Method`.
        SpecError: See `refuse_older_hooks`.
    """
    home = os.getpid()
    try:
        with in_its_folder():
            found = make(config)
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        owner = next((own for own in _owners(error) if isinstance(own, Method)), None)
        raise LearnerError(
            f"{said_of(error)}{user_file_line(error)}",
            where="making the method" if owner is None else f"{place_of(owner)}.__init__",
            mend=new_word(error) or "correct its __init__, which is given the settings",
        ) from error
    finally:
        if os.getpid() != home:  # a copy that came out of it would do the same work once more
            leave(1)
    if not isinstance(found, Method):
        what = f"a {type(found).__name__} comes out, which is not a Method"
        raise LearnerError(what, where="making the method", mend="name a class that extends Method")
    refuse_older_hooks(type(found))
    _refuse_older_hook(type(found), [name for name, value in vars(found).items() if callable(value)], "learner.name")
    return found


def refuse_older_hooks(kind: type[Method], where: str = "learner.name") -> None:
    """Refuse a class whose hooks have older names: nobody would call them.

    Raises:
        SpecError: Names file, class, hook and its name today.
    """
    for owner in kind.__mro__:
        own = () if owner.__module__.startswith("clbench.") else vars(owner)
        _refuse_older_hook(owner, own, where)


def _refuse_older_hook(owner: type, names: Collection[str], where: str) -> None:
    if old := next((name for name in HOOKS if name in names), None):
        raise SpecError(
            f"{place_of(owner)} defines {old}, a hook that is called {HOOKS[old]} now",
            where=where,
            mend=f"write {HOOKS[old]} instead of {old}; a function of your own needs another name",
        )


def _owners(error: BaseException) -> list[object]:
    """Return whose functions an error came through, the innermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [frame.f_locals.get("self") for frame in reversed(frames)]


def place_of(method: Method | type) -> str:
    """Return `my_file.py:MyL2` of a method, or of its class."""
    kind = method if isinstance(method, type) else type(method)
    try:
        return f"{Path(inspect.getfile(kind)).name}:{kind.__name__}"
    except (TypeError, OSError):
        return kind.__name__
