"""A method from a user's own file: found by `file.py:Class`, known by its content, refused with a clear message."""

import importlib
import os
import py_compile
import sys
from pathlib import Path

import pytest

from clbench.cli.main import main
from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.protocols import LearnerPlugin
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.data.streams.stream import open_stream
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.resolve import open_learner, resolve
from clbench.engine.trajectory import Trajectory
from clbench.store.store import Store
from clbench.training.settings import Training

pytestmark = pytest.mark.models

FILE = """\
from clbench.training.method import Method
from clbench.training.settings import Training
from clbench.training.plugin import plugin


class Config(Training):
    pull: float = 0.5


class Mine(Method):
    def __init__(self, config):
        self.config = config


class Inner(Method):
    class Config(Training):
        push: int = 3


class Plain(Method):
    pass


class NoMethod:
    pass


class Greedy(Method):
    def __init__(self, config, more): ...


class Loose(Method):
    class Config:
        pass


VALUE = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith("clbench_own_")]:
        del sys.modules[name]


def test_a_bare_class_is_wrapped_with_its_settings(here):
    plugin, config = open_learner({"name": "mine.py:Mine", "pull": 2})
    assert (config.pull, config.epochs, plugin.neutral) == (2, 3, None)
    assert plugin.method(config).config is config
    assert open_learner({"name": "mine.py:Inner"})[1].push == 3
    assert open_learner({"name": "./mine.py:Mine"})[0].config is plugin.config, "a file is run once"
    with pytest.raises(SpecError, match="no such setting"):
        open_learner({"name": "mine.py:Inner", "pull": 2})


def test_without_a_config_the_settings_are_those_of_training(here):
    (here / "mine.py").write_text(FILE.replace("class Config(Training):\n    pull: float = 0.5", ""))
    plugin, config = open_learner({"name": "mine.py:Plain"})
    assert plugin.config is Training
    assert type(plugin.method(config)).__name__ == "Plain"


def test_a_declared_plugin_is_taken(here):
    (here / "mine.py").write_text(FILE + "PLUGIN = plugin(Config, Mine, version=7, neutral={'pull': 0.0})\n")
    assert open_learner({"name": "mine.py:Mine"})[0].version == 7
    assert isinstance(open_learner({"name": "mine.py:PLUGIN"})[0], LearnerPlugin)
    with pytest.raises(SpecError, match="does not say that it trains with Plain"):
        open_learner({"name": "mine.py:Plain"})


def spec(name="mine.py:Mine", **changes):
    return RunSpec(name="a", stream="worlds-tiny", learner={"name": name, **changes})


def keys(of, tmp_path):
    return Trajectory(of, open_stream("worlds-tiny", None), Store(tmp_path / "store"), Machine()).keys


def test_another_content_is_another_result_and_another_place_is_not(here):
    (here / "folder").mkdir()
    (here / "folder" / "copy.py").write_text(FILE)
    first = resolve(spec())
    assert keys(first, here) == keys(spec(), here) == keys(spec("folder/copy.py:Mine"), here)
    (here / "mine.py").write_text(FILE + "# a comment\n")
    second = resolve(spec())
    assert second.key != first.key
    assert not set(keys(second, here)[1:]) & set(keys(spec("folder/copy.py:Mine"), here)[1:])
    assert keys(second, here)[0] == keys(spec("folder/copy.py:Mine"), here)[0], "the untouched model is the same"


def test_a_pinned_name_means_one_content(here):
    pinned = resolve(spec())
    assert resolve(pinned) == pinned
    assert pinned.learner_label == "Mine"
    assert spec("replay").learner_label == "replay"
    (here / "mine.py").write_text(FILE + "# a comment\n")
    with pytest.raises(SpecError, match="no longer the file that this name means"):
        resolve(pinned)


def test_a_changed_file_is_run_anew(here):
    assert open_learner({"name": "mine.py:Mine"})[1].pull == 0.5
    (here / "mine.py").write_text(FILE.replace("0.5", "0.75"))
    assert open_learner({"name": "mine.py:Mine"})[1].pull == 0.75


def test_a_recipe_names_the_run_after_the_class(here):
    (here / "a.yaml").write_text("name: a\nstream: worlds-tiny\naxes: {learner: [sft, 'mine.py:Mine']}\n")
    assert [s.name for s in load_recipe(here / "a.yaml").specs()] == ["a-sft", "a-Mine"]


def test_it_learns(here):
    plugin, config = open_learner({"name": "mine.py:Mine", "lr": 1e-3})
    learner = plugin.build(config, ModelSpec(), 0, Machine(device="cpu"))
    assert type(learner.method).__name__ == "Mine"


REFUSED = {
    "mne.py:Mine": "did you mean 'mine.py'",
    "nowhere/mine.py:Mine": "there is no file",
    "mine.py": "names a file and nothing in it",
    "mine.py:": "names a file and nothing in it",
    "mine.py:Mime": "did you mean 'Mine'",
    "mine.py:os": "declares no 'os'",
    "mine.py:NoMethod": "is not a Method",
    "mine.py:VALUE": "is not a Method",
    "mine.py:Greedy": "def __init__(self, config)",
    "mine.py:Loose": "does not extend Training",
}


@pytest.mark.parametrize("name", REFUSED)
def test_mistakes_are_refused(name, here, capsys):
    assert main(["check", "learner", name]) == 2
    err = capsys.readouterr().err
    assert REFUSED[name] in err
    assert "Traceback" not in err


BROKEN = {
    "a syntax error": ("class Mine(:\n", "mine.py:1", "SyntaxError"),
    "an error on import": ("x = 1\ny = x / 0\n", "mine.py:2", "ZeroDivisionError"),
    "a module that is not there": ("import no_such_module_here\n", "mine.py:1", "ModuleNotFoundError"),
    "an end": ("import sys\nsys.exit(0)\n", "mine.py:2", "SystemExit"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_does_not_import_is_refused(case, here, capsys):
    text, *said = BROKEN[case]
    (here / "mine.py").write_text(text)
    for _ in range(2):  # and leaves nothing half made behind
        assert main(["check", "learner", "mine.py:Mine"]) == 2
        err = capsys.readouterr().err
        assert all(part in err for part in said), err
        assert "Traceback" not in err


METHOD = "from clbench.training.method import Method\n"
PLUGIN = "from clbench.training.settings import Training\nfrom clbench.training.plugin import plugin\n"
OLDER = {
    "a hook": (
        METHOD + "class Mine(Method):\n    def penalise(self, net, batch, out): ...\n",
        "mine.py:Mine defines penalise, a hook that is called loss now",
    ),
    "a hook of a class above it": (
        METHOD + "class Above(Method):\n    def widen(self, *args): ...\nclass Mine(Above): ...\n",
        "mine.py:Above defines widen, a hook that is called expand now",
    ),
    "a hook of a method that is made": (
        METHOD + PLUGIN + "class Made(Method):\n    def mix(self, batch, rng): ...\n"
        "Mine = plugin(Training, lambda _: Made(), version=1)\n",
        "mine.py:Made defines mix, a hook that is called compose_batch now",
    ),
    "a module": ("from clbench.learners._method import Method\n", "from clbench import Method"),
    "another module": ("from clbench.learners._training import plugin\n", "from clbench import Training, plugin"),
    "a room that is gone": ("import clbench.core.notice\n", "clbench.core.notice is clbench.core.events now"),
    "a module nobody knows": ("import clbench.core.nothing\n", "from clbench import ..."),
    "a name": ("from clbench.core.types import Meters\n", "Meters is called Costs now"),
    "a public name": ("from clbench.core.types import Method\n", "from clbench import Method"),
    "a keyword": (
        "from clbench.training.plugin import plugin\nPLUGIN = plugin(int, str, version=1, families=('causal',))\n",
        "write model_families= instead of families=",
    ),
    "another keyword": (
        "from clbench.core.protocols import LearnerPlugin\nLearnerPlugin(needs_task=True)\n",
        "write needs_task_ids= instead of needs_task=",
    ),
}


@pytest.mark.parametrize("case", OLDER)
def test_older_names_are_refused_with_the_new_word(case, here, capsys):
    text, says = OLDER[case]
    (here / "mine.py").write_text(text)
    assert main(["check", "learner", "mine.py:Mine"]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert "Traceback" not in err


def test_an_older_attribute_in_a_hook_is_named_anew(here, capsys):
    text = "from clbench.training.method import Method\nclass Mine(Method):\n    def expand(self, net, lesson, rng): "
    (here / "mine.py").write_text(text + "return lesson.step\n")
    assert main(["check", "learner", "mine.py:Mine"]) == 2
    assert "step of Lesson is called number now" in capsys.readouterr().err


@pytest.mark.parametrize("beside", ["helper_one.py", "helper_two/__init__.py"])
def test_a_module_beside_a_file_says_how_it_is_found(here, beside, monkeypatch):
    name = Path(beside).parts[0].removesuffix(".py")
    (here / beside).parent.mkdir(exist_ok=True)
    (here / beside).write_text("RATE = 1.0\n")
    (here / "mine.py").write_text(f"import {name}\n{FILE}")
    with pytest.raises(SpecError, match=f"No module named '{name}'") as told:
        open_learner({"name": "mine.py:Mine"})
    assert "python FILE" not in told.value.mend
    written = told.value.mend.partition("write before the import: ")[2]
    monkeypatch.setattr(sys, "path", list(sys.path))
    (here / "mine.py").write_text(f"{written}\nimport {name}\n{FILE}")
    try:
        assert open_learner({"name": "mine.py:Mine"})
    finally:
        sys.modules.pop(name, None)


def test_a_module_that_is_nowhere_is_to_be_installed(here):
    (here / "mine.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(SpecError) as told:
        open_learner({"name": "mine.py:Mine"})
    assert told.value.mend.startswith("install nowhere_to_be_found")


def test_other_names_are_no_files():
    assert plugins.find_user_file("replay") is None
    assert plugins.find_user_file("mypackage.methods.x") is None


DECLARED = METHOD + PLUGIN + "class Mine(Method): ...\nPLUGIN = plugin(Training, lambda _: Mine(), {given})\n"
TRAITS = {
    'version="1"': "version is '1'",
    'version=1, teaches="at-once"': "did you mean 'at_once'?",
    'version=1, answers="nett"': "did you mean 'net'?",
    'version=1, model_families="causal"': "model_families is 'causal'",
    'version=1, model_families=("bert",)': "some of causal, encoder",
    'version=1, needs_task_ids="no"': "write True or False",
    'version=1, uses_task_ids="yes"': "uses_task_ids is 'yes'",
    "version=1, paper=None": "write a text",
    "version=1, neutral=3": "neutral is 3",
    'version=1, stores=lambda c: "nix"': "stores is 'nix'",
    "version=1, stores=lambda c: c.nosuch": "the function of stores breaks: AttributeError",
    "version=1, model_familes=()": "did you mean 'model_families'?",
}


@pytest.mark.parametrize("given", TRAITS)
def test_wrong_traits_are_refused(given, here, capsys):
    (here / "mine.py").write_text(DECLARED.format(given=given))
    assert main(["check", "learner", "mine.py:PLUGIN"]) == 2
    said = capsys.readouterr()
    assert TRAITS[given] in said.err + said.out
    assert "Traceback" not in said.err


def test_a_plugin_that_is_none_is_refused(here, capsys):
    (here / "mine.py").write_text(METHOD + "class Mine(Method): ...\nPLUGIN = Mine\n")
    assert main(["check", "learner", "mine.py:Mine"]) == 2
    assert "PLUGIN of mine.py is a type, not what cl.plugin(...) returns" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["losss = 1", "def consolidte(self): ...", "families = ('causal',)", "store = 'none'"])
def test_names_that_nothing_reads_are_told(word, here, heard):
    (here / "mine.py").write_text(METHOD + f"class Mine(Method):\n    stores = 'none'\n    own = 3\n    {word}\n")
    plugin, config = open_learner({"name": "mine.py:Mine"})
    assert plugin.stored(config) == "none"
    (told,) = (text for text in heard if "does not read" in text)
    assert "mine.py:Mine has" in told


def test_all_traits_of_a_class_alone_count(here):
    (here / "mine.py").write_text(
        METHOD + "class Mine(Method):\n    needs_task_ids = True\n    model_families = ('causal',)\n"
    )
    plugin, _ = open_learner({"name": "mine.py:Mine"})
    assert (plugin.needs_task_ids, plugin.model_families) == (True, ("causal",))
    (here / "mine.py").write_text(METHOD + "class Mine(Method):\n    paper = 5\n")
    with pytest.raises(SpecError, match="paper is 5"):
        open_learner({"name": "mine.py:Mine"})


def test_the_file_itself_runs_as_edited_beside_older_compiled_text(here, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    text = METHOD + "RATE = 1.0\nclass Mine(Method):\n    def lr_scale(self, name):\n        return RATE\n"
    (here / "mine.py").write_text(text)
    stamp = (here / "mine.py").stat()
    py_compile.compile(str(here / "mine.py"))
    (here / "mine.py").write_text(text.replace("1.0", "2.0"))
    os.utime(here / "mine.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # of equal size and time
    plugin, config = open_learner({"name": "mine.py:Mine"})
    assert plugin.method(config).lr_scale("x") == 2.0


def test_what_the_caller_imported_before_is_imported_anew(here, monkeypatch):
    monkeypatch.syspath_prepend(str(here))
    (here / "imported_before.py").write_text("RATE = 1.0\n")
    importlib.import_module("imported_before")
    (here / "imported_before.py").write_text("RATE = 25.0\n")
    hook = "    def lr_scale(self, name):\n        return imported_before.RATE\n"
    (here / "mine.py").write_text(METHOD + "import imported_before\nclass Mine(Method):\n" + hook)
    plugin, config = open_learner({"name": "mine.py:Mine"})
    assert plugin.method(config).lr_scale("x") == 25.0


def test_compiled_text_that_cannot_be_removed_is_refused_where_it_is_older(here, monkeypatch):
    (here / "beside_it.py").write_text("RATE = 1.0\n")
    stamp = (here / "beside_it.py").stat()
    py_compile.compile(str(here / "beside_it.py"))
    (here / "mine.py").write_text(METHOD + "import beside_it\nclass Mine(Method): ...\n")
    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.syspath_prepend(str(here))
    open_learner({"name": "mine.py:Mine"})  # as compiled
    (here / "beside_it.py").write_text("RATE = 2.0\n")
    os.utime(here / "beside_it.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(SpecError, match="compiled text is of another version"):
        open_learner({"name": "mine.py:Mine"})


def refuse(self, missing_ok=False):
    raise PermissionError(self)


def test_a_class_above_says_its_traits_and_its_slips_too(here, heard):
    said = "    stores = 'examples'\n    teaches = 'at_once'\n    def edit_gradient(self, net): ...\n"
    above = "class Above(Method):\n" + said
    declared = "class Mine(Above): ...\nD = plugin(Training, Mine, version=1)\n"
    (here / "mine.py").write_text(METHOD + PLUGIN + above + declared)
    plugin, config = open_learner({"name": "mine.py:D"})
    assert plugin.stored(config) is None
    assert [word for word in ("edit_gradient", "teaches") if any(f"has {word!r}" in text for text in heard)] == [
        "edit_gradient",
        "teaches",
    ]
    (here / "mine.py").write_text(METHOD + above + "class Mine(Above): ...\n")
    plugin, config = open_learner({"name": "mine.py:Mine"})
    assert plugin.stored(config) == "examples"


def test_a_trait_that_breaks_is_told_before_anything_is_spent(here):
    (here / "mine.py").write_text(DECLARED.format(given="version=1, stores=lambda c: c.no"))
    with pytest.raises(SpecError, match="the function of stores breaks"):
        resolve(RunSpec(name="r", learner={"name": "mine.py:PLUGIN"}, stream="worlds-tiny"))
