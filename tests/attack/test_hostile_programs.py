"""More than a hundred hostile programs at each level of the sandbox, as root and as a user: contained, none passes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import clbench
from clbench.scoring import _doors

pytestmark = pytest.mark.attack
RUNNER = Path(__file__).with_name("hostile.py")
LISTS = ("calls", "files", "bombs", "forged", "unaware")
USER = 12_345
PYTHONS = [python for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")) if python]
# What level "limits" promises only where the kernel has Landlock.
READ_FILES = {"environments_of_others", "files_of_the_host", "folders_of_the_host", "open_files_of_the_parent"}


def run(level, listed, *, as_user):
    """Run a list in a Python that the user can read; None where there is none, or the level cannot be made."""
    if as_user and os.geteuid() != 0:
        return None
    for python in PYTHONS:
        sources = str(Path(clbench.__file__).parents[1])
        # From a folder that anybody may read, without the environment of the tests.
        program = f"import runpy, sys; sys.argv[1:] = [{level!r}, {listed!r}]; "
        program += f"runpy.run_path({str(RUNNER)!r}, run_name='__main__')"
        who = {"user": USER, "group": USER, "extra_groups": []} if as_user else {}
        environment = {"PYTHONPATH": sources, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [python, "-c", program], cwd="/", env=environment, capture_output=True, text=True, check=False, **who
            )
        except PermissionError:
            continue
        if done.returncode == 0:
            return [json.loads(line) for line in done.stdout.splitlines()]
        if done.stdout:
            raise AssertionError(done.stderr)
    return None


@pytest.mark.parametrize("listed", LISTS)
@pytest.mark.parametrize(
    ("level", "as_user"),
    [("namespaces", False), ("namespaces", True), ("bwrap", True), ("limits", False), ("limits", True)],
)
def test_hostile_programs_are_contained_and_none_passes(level, as_user, listed):
    rows = run(level, listed, as_user=as_user)
    if rows is None:
        pytest.skip(f"level {level!r} cannot be tried here {'as a user' if as_user else 'as this user'}")
    if level == "limits" and not _doors.can_fence():
        rows = [row for row in rows if row["name"] not in READ_FILES]
    assert len(rows) > 5
    assert [row for row in rows if row["passed"] or row["bad"] or not row["note"]] == []


def test_there_are_a_hundred_and_fifty():
    assert sum((RUNNER.parent / "programs" / f"{listed}.txt").read_text().count("### ") for listed in LISTS) > 150
