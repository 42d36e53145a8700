"""Rooms and arrows: import-linter's contracts, and circles; each with planted violations that are caught."""

import ast
import configparser
import graphlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.places import ROOT, SRC

LINT = Path(sys.executable).parent / "lint-imports"
CONTRACTS = configparser.ConfigParser()
CONTRACTS.read(ROOT / ".importlinter")
NAMES = {
    section.rpartition(":")[2]: CONTRACTS[section]["name"]
    for section in CONTRACTS.sections()
    if section.startswith("importlinter:contract:")
}
# The contracts that catch it, and the files that are planted. An arrow against another one is a circle, too.
PLANTED = [
    ("layers", {"data/planted.py": "import clbench.models.net"}),
    ("layers", {"stats/planted.py": "from clbench.metrics import average"}),
    ("layers", {"models/planted.py": "def f():\n    from clbench.scoring import exact\n    return exact"}),
    ("layers", {"context/planted.py": "import clbench.engine.run"}),
    ("layers", {"unroomed/__init__.py": ""}),
    ("layers circles", {"core/planted.py": "from clbench.engine import run"}),
    ("layers circles", {"store/planted.py": "from clbench.report.page import html"}),
    ("data", {"data/streams/planted.py": "from clbench.data.intake import text"}),
    ("data", {"data/readers/planted.py": "from clbench.data.worlds import spec"}),
    ("data circles", {"data/tasks/planted.py": "from clbench.data.exams import exam"}),
    ("report circles", {"report/runs/planted.py": "from clbench.report.tables import table"}),
    ("report circles", {"report/tables/planted.py": "from clbench.report.page import html"}),
    (
        "circles",
        {
            "stats/planted.py": "from clbench.stats import planted_too",
            "stats/planted_too.py": "def f():\n    from clbench.stats import planted\n    return planted",
        },
    ),
    ("torch", {"core/planted.py": "import torch"}),
    ("torch", {"engine/planted.py": "def f():\n    import transformers\n    return transformers"}),
    ("torch", {"report/runs/planted.py": "from peft import PeftModel"}),
    ("http", {"metrics/planted.py": "import urllib.request"}),
    ("http", {"context/planted.py": "import aiohttp"}),
    ("context", {"context/planted.py": "from clbench.learners import sft"}),
    ("http", {"learners/planted.py": "def f():\n    import requests\n    return requests"}),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    place = tmp_path_factory.mktemp("planted")
    shutil.copytree(SRC, place / "clbench", ignore=lambda _, names: [n for n in names if n == "__pycache__"])
    shutil.copy(ROOT / ".importlinter", place)
    return place / "clbench"


def broken(place):
    env = {"PYTHONPATH": str(place), "PATH": os.defpath}
    found = subprocess.run([LINT, "--no-cache", "--no-logo"], cwd=place, capture_output=True, text=True, env=env)
    kept = {key for key, name in NAMES.items() if re.search(rf"^{re.escape(name)} KEPT", found.stdout, flags=re.M)}
    assert (found.returncode == 0) == (kept == set(NAMES)), found.stdout + found.stderr
    return set(NAMES) - kept


def test_the_contracts_hold(package):
    assert broken(package.parent) == set()


@pytest.mark.slow
@pytest.mark.parametrize(("contracts", "files"), PLANTED, ids=lambda x: "+".join(x) if isinstance(x, dict) else x)
def test_a_planted_violation_is_caught_by_its_contract_alone(package, contracts, files):
    for name, text in files.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    try:
        assert broken(package.parent) == set(contracts.split())
    finally:
        for name in files:
            (package / name).unlink()
        if (package / "unroomed").exists():
            (package / "unroomed").rmdir()


def test_every_contract_has_a_planted_violation():
    assert {c for contracts, _ in PLANTED for c in contracts.split()} == set(NAMES)


def for_type_checkers(tree):
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    return {id(inner) for block in blocks for part in block.body for inner in ast.walk(part)}


def imports_of(text, modules):
    """Return the modules that a text imports, also inside of functions, but not for type checkers alone."""
    tree = ast.parse(text)
    unread = for_type_checkers(tree)
    found = set()
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{a.name}" for a in node.names}
            found |= {name if name in modules else node.module for name in full}
    return found & set(modules)


def circle_of(texts):
    """Return modules that import each other in a circle, from {module: its text}; none gives ()."""
    graph = {name: imports_of(text, texts) - {name} for name, text in texts.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as found:
        return tuple(found.args[1])
    return ()


def module_of(path):
    return ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.slow
def test_no_circles_with_lazy_imports_counted():
    texts = {module_of(path): path.read_text(encoding="utf-8") for path in SRC.rglob("*.py")}
    assert len(texts) > 200
    assert imports_of("from clbench.core import errors\nimport clbench.core.keys", texts) == {
        "clbench.core.errors",
        "clbench.core.keys",
    }
    assert circle_of(texts) == ()


LAZY = "def f():\n    from p import a\n    return a"


@pytest.mark.parametrize(
    ("texts", "circle"),
    [
        ({"p.a": "import p.b", "p.b": "import p.a"}, True),
        ({"p.a": "from p import b", "p.b": LAZY}, True),
        ({"p.a": "from p.b import x", "p.b": "from p.c import y", "p.c": "from p.a import z"}, True),
        ({"p": "from p.a import x", "p.a": "from p import y"}, True),
        ({"p.a": "from p import b", "p.b": "if TYPE_CHECKING:\n    from p import a"}, False),
        ({"p.a": "from p import b", "p.b": "if not TYPE_CHECKING:\n    pass\nelse:\n    x = 1"}, False),
        ({"p.a": "import p.b", "p.b": "import json"}, False),
    ],
)
def test_planted_circles_are_found(texts, circle):
    assert bool(circle_of(texts)) == circle
