"""What a test must leave as it was, since the tests after it in the same process stand on it."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from clbench.core.events import QUIET
from clbench.core.ranks import TOLD

EXPECTED = {"PYTEST_CURRENT_TEST", *QUIET}  # which test runs, in which phase; what commands set, once a process
# New names count if they are ours, Python's, a launcher's or of a language: libraries set many of their own on import.
COUNTED = (*TOLD, "CLBENCH_", "PYTHON", "LANG", "LC_", "OMP_")


def changed(before, after):
    """Return what differs between two environments, a line for each variable.

    >>> changed({"A": "1", "B": "2"}, {"B": "3", "LANG": "4", "SET_ON_IMPORT": "5"})
    ["A was '1', and is gone", "B was '2', and is '3'", "LANG was not there, and is '4'"]
    """
    every = (before.keys() | after.keys()) - EXPECTED
    names = sorted(name for name in every if name in before or name.startswith(COUNTED))
    here = {name: f"is {after[name]!r:.80}" if name in after else "is gone" for name in names}
    was = {name: f"was {before[name]!r:.80}" if name in before else "was not there" for name in names}
    return [f"{name} {was[name]}, and {here[name]}" for name in names if before.get(name) != after.get(name)]


def folder():
    """Return the working folder, "" where it is gone."""
    try:
        return os.getcwd()  # noqa: PTH109  # it takes a microsecond
    except FileNotFoundError:
        return ""


@contextmanager
def nothing_left():
    """Fail where the block leaves an environment variable or the working folder changed, and put them back."""
    environment, place = dict(os.environ), folder()
    yield
    told = [] if os.environ == environment else changed(environment, dict(os.environ))
    if told:
        os.environ.clear()
        os.environ.update(environment)
    if (now := folder()) != place:
        told.append(f"the working folder was {place}, and is {now or 'gone'}")
        os.chdir(place if Path(place).is_dir() else Path(__file__).parents[2])
    if told:
        pytest.fail(f"the test leaves this changed: {'; '.join(told)}", pytrace=False)
