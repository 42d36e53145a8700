"""Make a method from its settings; what goes wrong there is said by file and class. No torch is imported here."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clbench.core.errors import LearnerError, UserError, said_of
from clbench.core.plugins import own_line
from clbench.core.process import in_its_folder, leave
from clbench.learners._method import Method


def new_method(make: Callable[[Any], object], config: Any) -> Method:
    """Make a method from its settings.

    Raises:
        LearnerError: It breaks there or would end its process, or what comes out is no `Method`.
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
            f"{said_of(error)}{own_line(error)}",
            where="making the method" if owner is None else f"{place_of(owner)}.__init__",
            mend="correct its __init__, which is given the settings",
        ) from error
    finally:
        if os.getpid() != home:  # a copy that came out of it would do the same work once more
            leave(1)
    if not isinstance(found, Method):
        what = f"a {type(found).__name__} comes out, which is no Method"
        raise LearnerError(what, where="making the method", mend="name a class that extends Method")
    return found


def _owners(error: BaseException) -> list[object]:
    """Give whose functions an error came through, the innermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [frame.f_locals.get("self") for frame in reversed(frames)]


def place_of(method: Method) -> str:
    """Give `my_file.py:MyL2` of a method."""
    kind = type(method)
    try:
        return f"{Path(inspect.getfile(kind)).name}:{kind.__name__}"
    except (TypeError, OSError):
        return kind.__name__
