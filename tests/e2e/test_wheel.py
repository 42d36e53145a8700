"""The wheel: what is in it, and what it does in fresh environments, without extras and with each of them.

Environments take minutes and a package index: `make wheel` runs them, `make test` looks into the wheel alone.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile

import pytest

from clbench.core.extras import MODULES
from clbench.report.runs.load import read_runs
from tests.builders.places import FIXTURES, RECORDED, ROOT
from tests.builders.result_folders import as_folder

pytestmark = pytest.mark.xdist_group("wheel")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
EXTRAS -= {"dev", "docs"}  # of those who work on clbench itself
ALONE = """
import json, sys
barred = json.loads(sys.argv[1])
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in barred:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Bar())
import clbench
from clbench.cli.main import main
print(clbench.__file__)
sys.exit(main(sys.argv[2:]))
"""


def ran(command, folder, env=None):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the wheel of this checkout, built as a user's pip builds it."""
    pytest.importorskip("hatchling", reason="nothing to build a wheel with: `make setup` installs it")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    built = ran([*pip, ROOT], folder)
    assert built.returncode == 0, built.stderr
    (made,) = folder.glob("clbench-*.whl")
    return made


def test_every_tracked_file_of_the_package_is_in_it(wheel):
    tracked = ran(["git", "ls-files", "clbench"], ROOT / "src").stdout.split()
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "clbench/py.typed" in names
    assert {n for n in names if n.startswith("clbench/")} >= set(tracked)
    assert not [n for n in names if n.startswith(("tests/", "docs/", "results/"))]


def test_what_is_in_it_is_enough_to_plan_a_run_in_an_empty_folder(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
    (tmp_path / "empty").mkdir()
    barred = json.dumps([module for modules in MODULES.values() for module in modules])
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "unpacked")}
    for line in (["--help"], ["list", "learners"], ["list", "models"], ["run", "demo", "--plan"]):
        done = ran([sys.executable, "-c", ALONE, barred, *line], tmp_path / "empty", env)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout.startswith(str(tmp_path / "unpacked"))
    assert list((tmp_path / "empty").iterdir()) == []
    replay = ["demo", "--replay", "--lang", "en"]
    done = ran([sys.executable, "-c", ALONE, barred, *replay], tmp_path / "empty", env)
    assert done.returncode == 0, done.stderr
    assert 'to make it yourself: pip install "clbench[train]"' in done.stdout
    page = (tmp_path / "empty" / "clbench-report" / "demo.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    done = ran([sys.executable, "-c", ALONE, barred, "demo"], tmp_path / "empty", env)
    assert done.returncode == 2
    assert "or show what it gave: clbench demo --replay" in done.stderr


@pytest.mark.slow
def test_plug_ins_from_outside_type_check_strictly_against_it(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
    (tmp_path / "mine").mkdir()
    shutil.copy(FIXTURES / "outside" / "my_method.py", tmp_path / "mine")
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    config = {"include": ["mine"], "extraPaths": ["unpacked"], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    good = ran(pyright, tmp_path)
    assert good.returncode == 0, good.stdout
    mine = tmp_path / "mine" / "my_method.py"
    mine.write_text(mine.read_text().replace("version=1,", 'version="1",', 1).replace("lesson.number", "lesson.step"))
    bad = ran(pyright, tmp_path).stdout
    assert 'Cannot access attribute "step" for class "Lesson"' in bad
    assert 'parameter "version" of type "int"' in bad


def installed(wheel, place, extra=None):
    """Make a fresh environment, install the wheel with one extra into it, and return its folder of commands."""
    venv.create(place, with_pip=True)
    commands = place / ("Scripts" if os.name == "nt" else "bin")
    what = f"{wheel}[{extra}]" if extra else str(wheel)
    pip = [commands / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", what]
    done = ran(pip, place, fresh())
    assert done.returncode == 0, done.stderr
    checked = ran([commands / "python", "-m", "pip", "check"], place, fresh())
    assert checked.returncode == 0, checked.stdout
    return commands


def fresh():
    """Return this process's environment without what would lead into the checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CLBENCH"))}


@pytest.mark.wheel
def test_without_extras_in_a_fresh_environment(wheel, tmp_path):
    commands = installed(wheel, tmp_path / "env")
    (tmp_path / "empty").mkdir()
    as_folder(read_runs([RECORDED])[0], tmp_path / "results")  # recorded runs need the extra `data`
    works = (
        ["clbench", "--help"],
        ["clbench", "list", "learners"],
        ["clbench", "run", "demo", "--plan"],
        ["clbench", "demo", "--replay", "--out", str(tmp_path / "report")],
        ["clbench", "report", str(tmp_path / "results"), "--out", str(tmp_path / "report")],
        ["python", "-c", "import clbench, sys; assert 'torch' not in sys.modules; print(clbench.Recipe)"],
    )
    for name, *arguments in works:
        done = ran([commands / name, *arguments], tmp_path / "empty", fresh())
        assert done.returncode == 0, (name, arguments, done.stderr)
        assert done.stdout, (name, arguments)
    assert list((tmp_path / "empty").iterdir()) == []
    assert (tmp_path / "report" / "report.html").is_file()
    for arguments in (["run", "demo"], ["exam", "tiny-llama"], ["check", "learner", "sft"]):
        done = ran([commands / "clbench", *arguments], tmp_path / "empty", fresh())
        assert done.returncode == 2, (arguments, done.stderr)
        assert 'pip install "clbench[train]"' in done.stderr, arguments
        assert "Traceback" not in done.stderr, arguments


def test_extras_are_those_that_messages_name():
    assert set(MODULES) == EXTRAS


@pytest.mark.wheel
@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_with_an_extra_in_a_fresh_environment(wheel, tmp_path, extra):
    commands = installed(wheel, tmp_path / "env", extra)
    (tmp_path / "empty").mkdir()
    # Each in a process of its own: which of them comes first must not matter.
    for module in MODULES[extra]:
        done = ran([commands / "python", "-c", f"import {module}"], tmp_path / "empty", fresh())
        assert done.returncode == 0, done.stderr
    done = ran([commands / "clbench", "run", "demo", "--plan"], tmp_path / "empty", fresh())
    assert done.returncode == 0, done.stderr
    if extra == "train":
        recipe = "name: a\nmodel: {name: tiny-llama}\nstream: worlds-tiny\nlearner: {name: sft, epochs: 1}\n"
        (tmp_path / "empty" / "a.yaml").write_text(recipe + "budget: {items: 4}\n")
        done = ran([commands / "clbench", "run", "a.yaml"], tmp_path / "empty", fresh())
        assert done.returncode == 0, done.stderr
