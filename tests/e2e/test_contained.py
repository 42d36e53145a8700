"""Users' files that end, copy or stop their process; names and settings out of bounds; what a terminal is shown."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clbench.cli import terminal
from clbench.cli.main import main
from clbench.cli.options import say, say_json
from clbench.core import events, plugins, process, scratch
from clbench.core.errors import LearnerError, LessonError, SpecError, WorkerError
from clbench.core.spec import Machine, RunSpec
from clbench.engine import make_unit as work
from clbench.engine.executors import processes as local
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.units import Unit
from clbench.training.hooks import Hooks
from clbench.training.method import Method
from clbench.training.new_method import new_method
from tests.builders.forked import fork_workers

HOSTILE = "a\x1b[31m\x1b]8;;http://e\x07b\u202ec\x9b[bold]\x7f"
SEEN = "a\\x1b[31m\\x1b]8;;http://e\\x07b\\u202ec\\x9b[bold]\\x7f"


# --- users' files -------------------------------------------------------------------------------------------


def unit(key="k"):
    return Unit(key=key, spec=None, lesson=0, label="Mine lesson 1", needs=None, weight=1)


@pytest.mark.parametrize("way", [sys.exit, lambda: os._exit(0), lambda: os._exit(3)])
def test_a_learner_that_exits_is_an_error(monkeypatch, way):
    monkeypatch.setattr(work, "_learn_and_ask", lambda unit, workplace: way())
    with pytest.raises(LearnerError, match="Mine lesson 1: it ended its process"):
        work.make_unit(unit(), work.Workplace(Machine()))
    assert os._exit is process.leave


def in_workers(monkeypatch, how, limit_s=60.0):
    """Run the real pool on a stand-in for the work."""
    fork_workers(monkeypatch)
    monkeypatch.setattr(local, "make_unit", how)
    return local.execute([unit("a")], Machine(limit_s=limit_s))


def error_in_workers(monkeypatch, how, limit_s=60.0):
    (error,) = in_workers(monkeypatch, how, limit_s).values()
    raise error


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_worker_that_ends_with_0_has_not_done_its_work(monkeypatch):
    def leaves(unit, machine):
        process.leave(0)

    with pytest.raises(WorkerError, match="a worker ended with exit code 0 before its work was done"):
        error_in_workers(monkeypatch, leaves)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_silence_is_told_and_the_limit_ends_it(monkeypatch):
    monkeypatch.setattr(local, "SILENCE_S", 0.3)
    heard = []
    token = events.notice_listener.set(heard.append)
    try:
        with pytest.raises(WorkerError, match="Mine lesson 1: it takes longer than 2 seconds, and was ended"):
            error_in_workers(monkeypatch, lambda unit, machine: time.sleep(60), limit_s=2.0)
    finally:
        events.notice_listener.reset(token)
    assert [text for text in heard if text.startswith("Mine lesson 1: nothing heard for")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_worker_that_ends_says_what_it_was_at(monkeypatch):
    with pytest.raises(WorkerError) as error:
        error_in_workers(monkeypatch, lambda unit, machine: process.leave(3))
    assert error.value.where == "Mine lesson 1"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_thread_that_never_ends_does_not_hold_the_command(monkeypatch):
    monkeypatch.setattr("clbench.engine.executors.workers.ENDS_S", 0.5)
    began = time.monotonic()
    assert in_workers(monkeypatch, lambda unit, machine: threading.Thread(target=time.sleep, args=(40,)).start()) == {}
    assert time.monotonic() - began < 20


class OddError(BaseException):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OddError(), "OddError: (its text cannot be had)"),
        (GeneratorExit("x"), "GeneratorExit: x"),
        (MemoryError(), "MemoryError: "),
        (ValueError("\n\nyes\nno"), "ValueError: yes"),
        (ValueError("x" * 10**6), f"ValueError: {'x' * 300}..."),
        (BaseExceptionGroup("g", [KeyboardInterrupt()]), "BaseExceptionGroup: g (1 sub-exception)"),
    ],
)
def test_whatever_a_hook_or_an_init_raises_is_told(error, said):
    class Mine(Method):
        def __init__(self, config):
            if config:
                raise error

        def compose_batch(self, batch, rng):
            raise error

    with pytest.raises(LessonError) as told:
        Hooks(Mine(None)).compose_batch([], None)
    assert (told.value.what.partition(" (line")[0], told.value.where) == (
        said,
        "test_contained.py:Mine.compose_batch, before the first lesson",
    )
    with pytest.raises(LearnerError) as told:
        new_method(Mine, "settings")
    assert (told.value.what, told.value.where) == (said, "test_contained.py:Mine.__init__")
    with pytest.raises(LearnerError, match="a list comes out, which is not a Method"):
        new_method(list, ())


@pytest.mark.parametrize("rate", [-1.0, 0, float("nan"), float("inf"), "x", None])
def test_a_rate_is_a_number_above_0(rate):
    class Mine(Method):
        def lr_scale(self, name):
            return rate

    with pytest.raises(LessonError, match=r"Mine\.lr_scale, before the first lesson: it gives"):
        Hooks(Mine()).lr_scale("weight")
    assert Hooks(Method()).lr_scale("weight") == 1.0


def test_what_a_users_learner_breaks_is_told_and_what_ours_does_is_a_bug(monkeypatch):
    def broken(unit, machine):
        raise TypeError("no")

    monkeypatch.setattr(work, "_learn_and_ask", broken)
    spec = RunSpec(name="a", learner={"name": "mine.py:Mine"}, stream="worlds")
    with pytest.raises(LearnerError, match="Mine lesson 1: TypeError: no"):
        work.make_unit(dataclasses.replace(unit(), spec=spec), work.Workplace(Machine()))
    with pytest.raises(TypeError):
        work.make_unit(
            dataclasses.replace(unit(), spec=spec.model_copy(update={"learner": {"name": "sft"}})),
            work.Workplace(Machine()),
        )


ENTERED = "import sys; sys.argv[0] = 'clbench'; from clbench.cli.main import entry; entry()"
RECIPE = "name: a\nmodel: {name: tiny-llama}\nstream: worlds\naxes: {learner: [{name: 'mine.py:Mine'}]}\n"


@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        ("import ctypes; ctypes.CDLL(None)._exit(0)", "mine.py: the process ended with exit code 0 while", 2),
        ("import os; os.execv('/bin/true', ['true'])", "mine.py: the process ended with exit code 0 while", 2),
        ("import os; os.kill(os.getpid(), 9)", "mine.py: the process was killed", 2),
        ("import ctypes; ctypes.string_at(0)", "mine.py: the process ended by SIGSEGV", 2),
        ("import os, signal; os.kill(os.getppid(), signal.SIGTERM); import time; time.sleep(9)", "stopped", 130),
        ("import atexit, os, sys; atexit.register(os._exit, 0); sys.exit(0)", "does not import: SystemExit: 0", 2),
        ("import os; os.fork(); raise ValueError('once')", "does not import: ValueError: once", 2),
        ("import threading as t, time; t.Thread(target=time.sleep, args=(50,)).start(); x", "NameError", 2),
    ],
)
def test_a_file_that_ends_the_command_that_reads_it_is_no_success(tmp_path, text, said, code):
    (tmp_path / "mine.py").write_text(text)
    (tmp_path / "a.yaml").write_text(RECIPE)
    command = [sys.executable, "-c", ENTERED, "run", "a.yaml", "--store", "store", "--plan"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, done.stderr.count(said)) == (code, 1), done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_takes_long_to_be_read_is_told_of(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plugins, "LONG_S", 0.1)
    (tmp_path / "mine.py").write_text("import time\ntime.sleep(0.6)\nX = 1\n")
    assert plugins.load_user_file(plugins.find_user_file(f"{tmp_path}/mine.py:X")) == 1
    assert "it is still being read" in capsys.readouterr().err


def test_a_copy_that_comes_back_from_a_hook_is_ended(tmp_path):
    class Forks(Method):
        def compose_batch(self, batch, rng):
            os.fork()
            return batch

    mark = tmp_path / "came-back"
    with process.staying():
        Hooks(Forks()).compose_batch([], None)
        with mark.open("a") as file:
            file.write("x")
    time.sleep(0.5)
    assert mark.read_text() == "x"


def test_a_file_is_told_of_once_for_each_content(monkeypatch, tmp_path):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "mine.py"
    heard = []
    token = events.notice_listener.set(heard.append)
    try:
        for text in ("X = 1", "X = 1", "X = 2"):
            path.write_text(text)
            plugins.load_user_file(plugins.find_user_file(f"{path}:X"))
    finally:
        events.notice_listener.reset(token)
    assert len(heard) == 2
    assert "with all your rights" in heard[0]


def test_a_file_that_exits_when_it_is_read_is_no_success(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import os\nos._exit(0)\n")
    with pytest.raises(SpecError, match="does not import: SystemExit"):
        plugins.load_user_file(plugins.find_user_file(f"{path}:X"))


def test_who_runs_a_users_file():
    assert plugins.runs_user_file({"name": "a.py:B", "lr": 1})
    assert plugins.runs_user_file({"name": "combine", "methods": [{"name": "a.py:B"}, "sft"]})
    assert not plugins.runs_user_file({"name": "sft", "lr": 1e-3})


def test_an_exit_from_inside_a_command_is_no_success(monkeypatch, capsys):
    monkeypatch.setattr("clbench.cli.listing.LISTERS", {"tasks": lambda: sys.exit(0)})
    assert main(["list", "tasks"]) == 2
    assert "ended clbench with exit code 0, and there is no result" in capsys.readouterr().err


# --- settings and names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "says"), [
    ("learner: {name: sft, lr: .inf}", "learner.lr: a setting is a finite number"),
    ("learner: {name: sft, lr: .nan}", "learner.lr"),
    ("learner: {name: sft, lr: 'inf'}", "learner.lr"),
    ("learner: sft\ntraining: {weight_decay: .inf}", "training.weight_decay"),
    ("learner: {name: ewc, strength: .inf}", "learner.strength"),
    ("learner: sft\naxes: {learner.lr: [1e-3, .inf]}", "axes.learner.lr.1"),
    ("learner: {name: combine, methods: [{name: lora, lr: .inf}, replay]}", "learner.methods.0.lr"),
    (f"axes: {{learner: [{{name: sft, as: {'b' * 220}}}]}}", "characters"),
])  # fmt: skip
def test_what_no_run_can_take_is_refused_before_it(tmp_path, text, says):
    (tmp_path / "r.yaml").write_text(f"name: a\nstream: worlds-tiny\n{text}\n")
    with pytest.raises(SpecError, match=says):
        load_recipe(tmp_path / "r.yaml").specs()


def test_long_names_are_refused_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(f"name: {'a' * 250}\nstream: worlds-tiny\nlearner: sft\n")
    (tmp_path / "a.csv").write_text("text,label\nx,y\n")
    long = "b" * 250
    for line in (["run", "r.yaml"], ["init", long], ["data", "add", "a.csv", "--task", long], ["show", "c" * 5000]):
        assert main(line) == 2
        assert "Traceback" not in capsys.readouterr().err


# --- what a terminal is shown --------------------------------------------------------------------------------


def test_nothing_of_a_stranger_reaches_the_terminal_as_it_is(capsys):
    say(HOSTILE)
    events.notice(HOSTILE)
    assert main(["show", HOSTILE]) == 2
    assert main([HOSTILE]) == 2
    said = capsys.readouterr()
    assert SEEN in said.out
    assert said.err.count("\\x1b[31m") >= 3
    for text in (said.out, said.err):
        assert not set(text) & set("\x1b\x07\x9b\x7f\u202e")


def test_json_reads_back_as_the_same(capsys):
    say_json({HOSTILE: [HOSTILE]})
    said = capsys.readouterr().out
    assert json.loads(said) == {HOSTILE: [HOSTILE]}
    assert not set(said) & set("\x1b\x07\x9b\x7f\u202e")


def test_progress_is_plain():
    heard = []
    token = events.progress_listener.set(heard.append)
    try:
        events.report_progress(events.Progress(HOSTILE, 1, 2))
    finally:
        events.progress_listener.reset(token)
    assert heard[0].what == SEEN


def test_tables_take_text_for_text(monkeypatch, capsys):
    from rich.table import Table

    from clbench.report.tables.table import as_text

    table = Table("[/red]head", caption="[link=http://e]x[/link]")
    table.add_row(HOSTILE + " :smile:")
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal.console().print(table)
    say(as_text(table))
    said = capsys.readouterr().out
    assert said.count("[/red]head") == said.count(":smile:") == 2
    assert not set(said) & set("\x07\x9b\x7f\u202e")
    assert "\x1b]8" not in said


def test_a_traceback_is_plain(capsys):
    error = ValueError(HOSTILE)
    terminal._write_traceback(ValueError, error, None)
    assert SEEN in capsys.readouterr().err


# --- what killed commands leave ------------------------------------------------------------------------------


def test_what_a_killed_process_left_is_swept(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = "import time; from clbench.core.scratch import new_scratch as n; print(n('a'), flush=True); time.sleep(60)"
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        folder = child.stdout.readline().strip()
        assert scratch.sweep() == 0  # its process lives
        child.send_signal(signal.SIGKILL)
    other = tmp_path / "clbench-cell-x"
    other.mkdir()
    assert scratch.sweep() == 1
    assert not Path(folder).exists()
    assert other.is_dir()


def test_a_file_larger_than_allowed_is_told(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(27, os.strerror(27))

    monkeypatch.setattr("clbench.cli.listing.LISTERS", {"tasks": full})
    assert main(["list", "tasks"]) == 2
    assert "ulimit -f" in capsys.readouterr().err
