"""What a user's file changes for its whole process reaches no answers but its own."""

from pathlib import Path

import pytest

from clbench.core.plugins import find_user_file, load_user_file
from clbench.core.process import in_its_folder
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.engine.executors.processes import apart
from clbench.engine.inputs import Inputs
from clbench.engine.plan import plan
from clbench.engine.resolve import resolve
from clbench.engine.units import open_run
from clbench.store.store import Store
from clbench.training.hooks import Hooks
from clbench.training.new_method import new_method

FILE = """
import os

from clbench.training.method import Method

os.chdir("/")


class Mine(Method):
    def __init__(self):
        os.chdir("/")

    def consolidate(self, net, lesson, rng):
        os.chdir("/")


class Other(Method):
    pass
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path


def test_files_and_shipped_learners_work_in_processes_of_their_own(here):
    """`sft` took over a function that the file of another learner of the recipe had patched."""
    named = ["mine.py:Mine", "sft", "mine.py:Other"]
    specs = [
        resolve(RunSpec(name="r", model=ModelSpec(name="tiny-llama"), learner={"name": n}, stream="worlds"))
        for n in named
    ]
    inputs, store = Inputs(None), Store(here / "store")
    units = plan(open_run(spec, inputs, store, Machine()) for spec in specs)
    assert units[0].label == "untouched model"
    assert units[0].spec.learner["name"] == "frozen", "row 0 runs without the file, whose run comes first"
    groups = apart(units)
    first, *files = groups
    assert first == ()
    assert {u.spec.learner["name"] for u in groups[()]} == {"frozen", "sft"}
    assert [[n.partition("@")[0] for n in name] for name in files] == [["mine.py:Mine"], ["mine.py:Other"]]
    assert sum(map(len, groups.values())) == len(units)
    done = {u.key for u in groups[()]}
    assert all(u.needs is None or u.needs in done | {v.key for v in groups[g]} for g in files for u in groups[g])


def test_a_hook_that_leaves_the_folder_comes_back(here):
    """Then a relative store was another, and the file itself was not found."""
    found = find_user_file("mine.py:Mine")
    assert found is not None
    kind = load_user_file(found)
    assert Path.cwd() == here
    method = new_method(lambda _: kind(), None)
    assert Path.cwd() == here
    Hooks(method).consolidate(None, None, None)
    assert Path.cwd() == here


def test_a_folder_that_is_gone_is_no_error(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with in_its_folder():
        pass
