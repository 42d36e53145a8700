"""What the system says of a path, the disk or a package, as an error that the user can mend."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clbench.core.errors import SpecError, UserError
from clbench.core.extras import explained


def as_user_error(error: BaseException) -> UserError | None:
    """Return an error that the user can mend as such: a missing extra, a path, the disk; None for any other."""
    if isinstance(error, ImportError):
        return explained(error)
    return _of_the_system(error) if isinstance(error, OSError) else None


def _of_the_system(error: OSError) -> UserError | None:
    where = _path_of(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        mend = "free some space, or write elsewhere; finished work is kept, and the same command resumes"
        return UserError("the disk is full", where=where, mend=mend)
    if error.errno == errno.EFBIG:
        mend = "raise the limit of your account or batch job, or write elsewhere"
        return UserError("a file would be larger than the system allows (ulimit -f)", where=where, mend=mend)
    if error.errno == errno.ENOENT and not _stands_somewhere():
        return UserError("the folder that this process works in is gone", mend="go to one that exists: cd, os.chdir")
    if error.filename is None or not error.strerror:
        return None
    mend = "check that the path is right, that it can be read or written, and that the disk is not full"
    return UserError(error.strerror[:1].lower() + error.strerror[1:], where=where, mend=mend)


def _stands_somewhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def user_path(value: Any, where: str, mend: str) -> Path:
    """Return a path as a user's code gave it, `~` read as the home folder.

    Args:
        value: What was given; users' code is not always checked.
        where: The argument's name.
        mend: What to give.

    Raises:
        SpecError: It is not a path, or no system could take it.
    """
    text: Any = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None  # pyright: ignore[reportUnknownArgumentType]  # a bare PathLike has no text type
    if not isinstance(text, str):
        raise SpecError(f"{value!r:.60} is not a path", where=where, mend=mend)
    try:
        fits = b"\0" not in os.fsencode(text)
        path = Path(text).expanduser()
    except (UnicodeEncodeError, RuntimeError):  # half a character; the home of nobody
        fits, path = False, Path()
    if not fits:
        raise SpecError(f"{text!r:.60} cannot be the path of a file", where=where, mend=mend)
    return path


def check_place() -> None:
    """Refuse to go on where the working folder is gone.

    Raises:
        UserError: It is.
    """
    if not _stands_somewhere():
        raise UserError("the folder that this process works in is gone", mend="go to one that exists: cd, os.chdir")


@contextmanager
def as_user_errors() -> Generator[None]:
    """Turn what the system says inside of the block into errors that the user can mend; see `as_user_error`.

    Raises:
        UserError: The system refused a path, the disk is full, or a package is missing.
    """
    try:
        yield
    except (OSError, ImportError) as error:
        known = as_user_error(error)
        if known is None:
            raise
        raise known from error


def _path_of(error: OSError) -> str:
    found = error.filename
    return os.fsdecode(found) if isinstance(found, (str, bytes)) else "" if found is None else str(found)
