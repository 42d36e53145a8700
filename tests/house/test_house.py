"""The rules of the house, each with a planted counter-example that proves that its check bites."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.builders.child import run_python
from tests.builders.places import ROOT

SRC = ROOT / "src" / "clbench"
FILES = sorted(SRC.rglob("*.py"))
TRACKED = [
    ROOT / line
    for line in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
]
TEXTS = [p for p in TRACKED if p.suffix in {".py", ".md", ".yaml", ".toml", ".cff", ".txt", ""} and p.is_file()]
SEVEN_NOUNS_NEED_NO = ("Trainer", "Strategy", "Manager", "Handler", "Context", "Callback", "Pipeline")
CALLED_SO_BY_OTHERS = {"ExamCallback"}  # transformers calls by this noun what its trainers take
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BESIDE_THE_ROOMS = {"attack", "contract", "docs", "e2e", "house", "property"}
NO_ROOM_FOR = {"utils", "common", "base", "helpers", "util", "misc"}


def functions(text):
    return [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def too_long(text, most=50):
    return [f.name for f in functions(text) if f.end_lineno - f.lineno + 1 > most]


def too_many_parameters(text, most=6):
    def num(f):
        given = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]
        return len([a for a in given if a.arg not in ("self", "cls")])

    return [f.name for f in functions(text) if num(f) > most]


def bad_classes(text):
    classes = [n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)]
    return [c for c in classes if c.endswith(SEVEN_NOUNS_NEED_NO) and c not in CALLED_SO_BY_OTHERS]


def probing(text):
    calls = [n.func.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return [c for c in calls if c in ("hasattr", "getattr")]


def unfinished(text):
    return re.findall(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b", text)


def silenced(text):
    """A silenced check without a reason beside it."""
    found = re.findall(r"#\s*(?:noqa|type: ignore|pyright: ignore)[^#\n]*(?:#.*)?", text)
    return [f for f in found if f.count("#") < 2]


def imported_tests(text):
    """Return the lines that import a test module, also those of a script that is written out."""
    lines = re.findall(r"^\s*((?:from|import)\s[\w., ]*)", text, flags=re.M)
    return [line.strip() for line in lines if re.search(r"\btest_\w+", line)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_a_file(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert path.stem not in NO_ROOM_FOR
    assert ast.get_docstring(ast.parse(text)), "every module says what it is"
    assert too_long(text) == []
    if "cli" not in path.parts:  # an option of the command line is a parameter
        assert too_many_parameters(text) == []
    assert bad_classes(text) == []
    assert probing(text) == []
    assert unfinished(text) == []
    assert silenced(text) == []


@pytest.mark.parametrize(
    ("check", "text", "found"),
    [
        (too_long, "def f():\n" + "    x = 1\n" * 50, ["f"]),
        (too_long, "def f():\n" + "    x = 1\n" * 49, []),
        (too_long, "class A:\n    async def f():\n" + "        x = 1\n" * 50, ["f"]),
        (too_many_parameters, "def f(a, b, c, d, e, f, g): ...", ["f"]),
        (too_many_parameters, "def f(a, b, c, /, d, e, *, f, g): ...", ["f"]),
        (too_many_parameters, "class A:\n    def f(self, a, b, c, d, e, f): ...", []),
        (bad_classes, "class ContinualTrainer: ...", ["ContinualTrainer"]),
        (bad_classes, "class Trained: ...", []),
        (probing, "hasattr(x, 'y')", ["hasattr"]),
        (probing, "getattr(x, 'y')", ["getattr"]),
        (unfinished, "# TO" + "DO: later", ["TO" + "DO"]),
        (unfinished, "raise NotImplemented" + "Error", ["NotImplemented" + "Error"]),
        (silenced, "x = 1  # no" + "qa: E501", ["# no" + "qa: E501"]),
        (silenced, "x = 1  # type: ig" + "nore", ["# type: ig" + "nore"]),
        (silenced, "x = 1  # no" + "qa: E501  # the address is long", []),
        (imported_tests, "from test_compare import run", ["from test_compare import run"]),
        (imported_tests, "from tests.docs import test_pages", ["from tests.docs import test_pages"]),
        (imported_tests, "def f():\n    import tests.docs.test_pages", ["import tests.docs.test_pages"]),
        (imported_tests, 'SCRIPT = """\nfrom tests.test_a import A\n"""', ["from tests.test_a import A"]),
        (imported_tests, "from tests.builders.places import ROOT", []),
    ],
)
def test_a_planted_counter_example_is_caught(check, text, found):
    assert check(text) == found


@pytest.mark.parametrize("path", TESTS, ids=lambda p: str(p.relative_to(ROOT / "tests")))
def test_no_test_module_imports_another(path):
    assert imported_tests(path.read_text(encoding="utf-8")) == []


def unroomed(folders, rooms):
    """Return folders of tests for which the package has no room."""
    return sorted(set(folders) - set(rooms) - BESIDE_THE_ROOMS)


def test_tests_mirror_the_rooms():
    tests, rooms = (
        {str(p.parent.relative_to(top)) for p in top.rglob(files)}
        for top, files in ((ROOT / "tests", "test_*.py"), (SRC, "__init__.py"))
    )
    assert unroomed(tests, rooms) == []
    assert unroomed({*tests, "unit"}, rooms) == ["unit"]


def test_run_is_the_architecture_on_one_screen():
    (run,) = [f for f in functions((SRC / "engine" / "run.py").read_text()) if f.name == "run"]
    assert run.end_lineno - run.lineno + 1 <= 25


def heavy_modules(code, names=("torch", "transformers", "datasets", "peft")):
    seen = f"{code}\nimport sys\nprint([m for m in {names} if m in sys.modules])"
    return run_python(seen).stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_help_and_report_need_no_torch():
    help_ = "from clbench.cli.main import main\nmain(['--help'])"
    assert heavy_modules(help_) == "[]"
    # Half a second is all that help may take, and these two take most of that.
    assert heavy_modules(help_, ("pydantic", "numpy")) == "[]"
    assert heavy_modules("import clbench.core.spec", ("pydantic", "numpy")) != "[]"
    assert (
        heavy_modules(
            "import clbench.report.page.html, clbench.engine.recipe.recipe, clbench.testing, clbench.store.gc"
        )
        == "[]"
    )
    assert heavy_modules("import torch") == "['torch']"


def test_public_surface_is_small():
    import clbench

    assert len([name for name in clbench.__all__ if not name.startswith("_")]) <= 30


def surface(group, command):
    """Return the verbs of a group of commands, with the groups in it, and their options."""
    for verb, found in sorted(command.commands.items()):
        name = f"{group}{verb}"
        if "commands" in vars(found):
            yield from surface(f"{name} ", found)
        else:
            yield name, sorted(o for p in found.params for o in p.opts)


def test_command_line_surface_is_frozen():
    import typer

    from clbench.cli.main import app

    lines = [f"{verb}: {' '.join(options)}" for verb, options in surface("", typer.main.get_command(app))]
    frozen = (Path(__file__).parent / "cli_surface.txt").read_text().splitlines()
    assert lines == frozen, "the command line changed: if that is meant, change cli_surface.txt and the changelog"


def test_no_machine_paths_and_no_registry_hosts():
    mine = "/" + "work" + "/"
    hosts = ("pypi" + ".org", "files.python" + "hosted", "registry." + "npmjs")
    for path in TEXTS:
        if path.name == "LICENSE":
            continue
        text = path.read_text(encoding="utf-8")
        assert mine not in text, path
        assert not any(h in text for h in hosts), path


def test_version_stands_once():
    import clbench

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == clbench.__version__


def tree_of(text):
    return set(re.findall(r"^  (\w+)/", text.partition("src/clbench/\n")[2].partition("```")[0], flags=re.M))


def test_the_tree_of_the_architecture_is_the_real_tree():
    real = {p.name for p in SRC.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert tree_of((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")) == real


def commands_of(text):
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.S)
    lines = [line.partition("#")[0].split() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line[:1] == ["clbench"]]


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_readme_commands_exist(name):
    import typer

    from clbench.cli.main import app

    verbs = typer.main.get_command(app).commands
    found = commands_of((ROOT / name).read_text(encoding="utf-8"))
    assert found
    for _, verb, *rest in found:
        options = {o for p in verbs[verb].params for o in p.opts}
        assert {r for r in rest if r.startswith("--")} <= options


@pytest.mark.models
def test_readme_method_is_a_sound_method(tmp_path, monkeypatch):
    from clbench.testing import check_learner

    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    (tmp_path / "readme_pkg").mkdir()
    (tmp_path / "readme_pkg" / "__init__.py").write_text("")
    (tmp_path / "readme_pkg" / "my_method.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    for check in ("neutral settings equal sft", "same seed, same bytes", "sleep changes nothing"):
        (outcome,) = check_learner("readme_pkg.my_method", only=check)
        assert outcome.problem == ""


def test_changelog_has_an_unreleased_part():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, flags=re.M)
    assert "\n### Added\n" in text
