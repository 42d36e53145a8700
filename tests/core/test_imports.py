"""A user's file is known by the modules of its folder too: edited ones make another learner, others do not."""

import os
import sys

import pytest

from clbench.core import imports, plugins
from clbench.core.errors import SpecError
from clbench.core.keys import file_digest
from clbench.engine.resolve import open_learner

PATHS = "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\n"
TOPS = ("helper", "chain", "pack", "loose", "libmod", "upstairs", "other", "a", "b")
METHOD = """
from clbench.training.method import Method


class Mine(Method):
    def lr_scale(self, name):
        {late}
        return {value}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(imports, "_claims", {})
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("clbench_own_") or name.partition(".")[0] in TOPS:
            del sys.modules[name]


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def mine(top="", late="pass", value="1.0"):
    return PATHS + top + METHOD.format(late=late, value=value)


# What a learner imports -> its file, the module that is edited.
WAYS = {
    "import": (mine("import helper\n", value="helper.K"), "helper.py"),
    "from": (mine("from helper import K\n", value="K"), "helper.py"),
    "star": (mine("from helper import *\n", value="K"), "helper.py"),
    "late": (mine(late="import helper", value="helper.K"), "helper.py"),
    "by name": (mine("import importlib\n", late="h = importlib.import_module('helper')", value="h.K"), "helper.py"),
    "by dunder": (mine(late="h = __import__('helper')", value="h.K"), "helper.py"),
    "by file": (mine("import runpy\nK = runpy.run_path('helper.py')['K']\n", value="K"), "helper.py"),
    "package": (mine("import pack\n", value="pack.K"), "pack/__init__.py"),
    "of package": (mine("from pack.deep import K\n", value="K"), "pack/deep.py"),
    "module of package": (mine("from pack import deep\n", value="deep.K"), "pack/deep.py"),
    "inside package": (mine("import pack\n", value="pack.K"), "pack/inner/most.py"),
    "no package": (mine("from loose.deep import K\n", value="K"), "loose/deep.py"),
    "no package, module": (mine("from loose import deep\n", value="deep.K"), "loose/deep.py"),
    "relative": (mine("from loose import outer\n", value="outer.K"), "loose/deep.py"),
    "of another module": (mine("import chain\n", value="chain.K"), "helper.py"),
    "folder of its own": (
        mine("sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\nimport libmod\n", value="libmod.K"),
        "lib/libmod.py",
    ),
}
BESIDE = {
    "helper.py": "K = 1.0\n",
    "chain.py": "from helper import K\n",
    "pack/__init__.py": "K = 1.0\nfrom .inner.most import L\n",
    "pack/deep.py": "K = 1.0\n",
    "pack/inner/__init__.py": "",
    "pack/inner/most.py": "L = K = 1.0\n",
    "loose/deep.py": "K = 1.0\n",
    "loose/outer.py": "from .deep import K\n",
    "lib/libmod.py": "K = 1.0\n",
    "unused.py": "K = 1.0\n",
    "unused/__init__.py": "",
}


def lr_scale(name="mine.py:Mine"):
    plugin, config = open_learner({"name": name})
    return plugin.method(config).lr_scale("x")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_an_edited_module_makes_another_learner_that_runs_as_edited(way, here):
    text, edited = WAYS[way]
    write(here, {"mine.py": text, **BESIDE})
    first, stamp = plugins.find_user_file("mine.py:Mine"), (here / edited).stat()
    assert lr_scale() == 1.0
    write(here, {"unused.py": "K = 5.0\n", "unused/more.py": ""})
    assert plugins.find_user_file("mine.py:Mine") == first, "what it does not import is no part of it"
    write(here, {edited: BESIDE[edited].replace("1.0", "2.0")})
    os.utime(here / edited, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # of equal size and time
    second = plugins.find_user_file("mine.py:Mine")
    assert second.pin != first.pin
    assert lr_scale() == (1.0 if way == "inside package" else 2.0)
    with pytest.raises(SpecError, match="no longer the file that this name means"):
        plugins.find_user_file(first.name)


@pytest.mark.parametrize("way", WAYS)
def test_its_place_is_no_part_of_it(way, here):
    write(here / "a", {"mine.py": WAYS[way][0], **BESIDE})
    write(here / "b", {"mine.py": WAYS[way][0], **BESIDE})
    assert plugins.find_user_file("a/mine.py:Mine").pin == plugins.find_user_file("b/mine.py:Mine").pin


def test_a_file_alone_is_known_by_its_own_digest(here):
    write(here, {"mine.py": mine("import json, clbench.core.keys, torch\n"), "unused.py": ""})
    assert plugins.find_user_file("mine.py:Mine").pin == file_digest(here / "mine.py")[: plugins.DIGITS]


def test_modules_that_import_each_other_and_broken_ones_are_read_once(here):
    write(here, {"mine.py": mine("import a\n"), "a.py": "import b, mine\n", "b.py": "import a\nclass(\n"})
    assert set(plugins.find_user_file("mine.py:Mine").parts) == {"a.py", "b.py"}


def test_two_files_with_different_modules_of_one_name_are_refused(here):
    for folder, value in (("a", "1.0"), ("b", "2.0"), ("c", "1.0")):
        write(here / folder, {"mine.py": mine("import helper\n", value="helper.K"), "helper.py": f"K = {value}\n"})
    assert lr_scale("a/mine.py:Mine") == lr_scale("c/mine.py:Mine") == 1.0
    with pytest.raises(SpecError, match="each import a module 'helper' of their own, and they differ"):
        lr_scale("b/mine.py:Mine")


def test_what_it_imports_from_elsewhere_is_said(here, capsys, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(here / "cache"))
    top = "sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))\nimport upstairs\n"
    write(here, {"sub/mine.py": mine(top, value="upstairs.K"), "upstairs.py": "K = 1.0\n"})
    assert lr_scale("sub/mine.py:Mine") == 1.0
    assert "imports upstairs, neither installed nor found in its folder" in capsys.readouterr().err
    assert "upstairs.py" not in plugins.find_user_file("sub/mine.py:Mine").parts


def test_shipped_learners_that_it_imports_are_named(here):
    write(here, {"mine.py": mine("from clbench.learners.replay import Replay\nimport other\n")})
    write(here, {"other.py": "import clbench.learners.ewc, clbench.training.settings\n"})
    assert plugins.learners_used(plugins.find_user_file("mine.py:Mine")) == ["ewc", "replay"]
