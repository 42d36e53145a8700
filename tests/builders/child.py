"""Processes that tests start: from this repository's root, in the environment that the tests began with."""

import os
import subprocess
import sys

import pytest

from clbench.core.ranks import TOLD
from tests.builders.places import ROOT

# What a test has left there, and a launcher that tests are started under, does not reach a child.
AT_FIRST = {name: value for name, value in os.environ.items() if name not in TOLD}
PATH = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
LAST = 4000  # characters of what a child said that a failure shows


def environment(**more):
    """Return the environment of a child, with this checkout's packages first, and `more`."""
    return {**AT_FIRST, "PYTHONPATH": PATH, **more}


def run_child(command, *, ends=0, cwd=ROOT, timeout=600, **more):
    """Run a command; return what it said. Where it ends with another exit code than `ends`, what it said is shown."""
    command = [str(part) for part in command]
    given = {"cwd": cwd, "timeout": timeout, "env": environment(**more)}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **given)
    if done.returncode != ends:
        shown = " ".join(command)[:LAST]
        pytest.fail(
            f"ended with {done.returncode}, not {ends}: {shown}\n{done.stdout[-LAST:]}\n{done.stderr[-LAST:]}",
            pytrace=False,
        )
    return done


def run_python(code, *arguments, **how):
    """Run Python code as `run_child` does a command."""
    return run_child([sys.executable, "-c", code, *arguments], **how)
