"""A plug-in that does not ship is known by its code: who edits a module of their own may not raise its version."""

import sys

import pytest

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import ScorerSpec
from clbench.data.streams.stream import open_stream
from clbench.engine.grade import grade_key, open_scorer
from clbench.engine.resolve import resolve
from clbench.engine.trajectory import Trajectory
from clbench.store.store import Store

METHOD = """
from clbench.training.method import Method
from clbench.training.settings import Training
from clbench.training.plugin import plugin
from outpack.words import WORD


class Mine(Method):
    def __init__(self, config):
        self.word = WORD


PLUGIN = plugin(Training, Mine, version=1)
"""
SCORER = """
from clbench.core.protocols import ScorerPlugin
from clbench.scoring.exact import PLUGIN as EXACT

PLUGIN = EXACT
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package on the path, and what a new process knows of it after its files were written."""
    folder = tmp_path / "lib" / "outpack"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder.parent))

    def write(**files):
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(text)
        for name in [n for n in sys.modules if n.partition(".")[0] in ("outpack", "outside")]:
            del sys.modules[name]
        plugins.code_of.cache_clear()

    yield write
    write()


def keys(learner, tmp_path):
    spec = resolve(RunSpec(name="r", model=ModelSpec(name="tiny-llama"), learner=learner, stream="worlds"))
    return Trajectory(spec, open_stream("worlds", None), Store(tmp_path / "store"), Machine()).keys


@pytest.mark.parametrize(
    "learner", [{"name": "outpack.mine"}, {"name": "combine", "parts": [{"name": "outpack.mine"}]}], ids=str
)
def test_an_edited_module_is_another_learner(installed, tmp_path, learner):
    installed(mine=METHOD, words="WORD = 'red'")
    first = keys(learner, tmp_path)
    installed(mine=METHOD, words="WORD = 'blue'")
    edited = keys(learner, tmp_path)
    installed(mine=METHOD, words="WORD = 'red'")
    assert keys(learner, tmp_path) == first
    assert edited[0] == first[0], "the untouched model is nobody's"
    assert edited[1:] != first[1:]


def test_a_module_beside_a_lone_one_counts(installed, tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_installed", lambda kind: {"lone": "outside"})
    (tmp_path / "lib" / "outside.py").write_text(METHOD)

    def known():
        return plugins.code_of("learner", "lone")

    installed(words="WORD = 'red'")
    first = known()
    installed(words="WORD = 'blue'")
    assert known() != first
    assert plugins.code_of("learner", "sft") == ""


def test_grades_of_a_scorer_from_outside_hang_on_its_code(installed, monkeypatch):
    monkeypatch.setattr(plugins, "_installed", lambda kind: {"mine": "outpack.mine"} if kind == "scorer" else {})

    def key():
        return grade_key("a", ScorerSpec(name="mine"), open_scorer("mine").version, declined=False)

    installed(mine=SCORER)
    first = key()
    installed(mine=SCORER + "# edited\n")
    assert key() != first


def test_a_card_does_not_choose_what_is_imported(installed, capsys):
    installed(mine="print('it runs')\n" + SCORER)
    with pytest.raises(SpecError, match=r"there is no scorer 'outpack\.mine'"):
        open_scorer("outpack.mine")
    assert "it runs" not in capsys.readouterr().out
    assert "outpack.mine" not in sys.modules


def test_plugins_are_files():
    assert {"sft", "ewc", "replay", "lora", "joint", "frozen"} <= set(plugins.names("learner"))
    assert not any(n.startswith("_") for kind in plugins.ROOMS for n in plugins.names(kind))
    with pytest.raises(SpecError, match="repaly") as error:
        plugins.load("learner", "repaly", "PLUGIN")
    assert "did you mean 'replay'?" in str(error.value)
    with pytest.raises(SpecError, match="declares no NOPE"):
        plugins.load("learner", "sft", "NOPE")
    assert plugins.load("learner", "clbench.learners.sft", "PLUGIN") is plugins.load("learner", "sft", "PLUGIN")
