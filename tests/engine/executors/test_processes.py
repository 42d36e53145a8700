"""Workers that do not start or end: told by what they said and how they ended, never guessed."""

import os
import signal
import time

import pytest

from clbench.core import events
from clbench.core.errors import UserError, WorkerError
from clbench.core.spec import Machine
from clbench.engine.executors import processes as local
from clbench.engine.units import Unit


def units(num=2):
    return [Unit(key=f"k{i}", spec=None, lesson=0, label=f"unit {i}", needs=None, weight=1) for i in range(num)]


def make_with(monkeypatch, unit_maker, warm="clbench.core.events"):
    """Run the real pool on a stand-in for the work; the workers are forked here, so that they see it."""
    import multiprocessing

    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(fork, "set_forkserver_preload", lambda modules: None, raising=False)
    monkeypatch.setattr(local, "Workers", lambda: fork)
    monkeypatch.setattr(local, "make_unit", unit_maker)
    monkeypatch.setattr(local, "_single_thread", lambda: __import__(warm))
    return local.execute(units(), Machine(workers=2))


def killed(unit, machine):
    time.sleep(0.5)  # the pool has seen its workers by then
    os.kill(os.getpid(), signal.SIGKILL)


def crashed(unit, machine):
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGUSR1)


def left(unit, machine):
    time.sleep(0.5)
    os._exit(7)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("how", "said"), [
    (killed, "was killed, perhaps because memory ran out"),
    (crashed, "a worker ended by SIGUSR1"),
    (left, "a worker ended with exit code 7"),
])  # fmt: skip
def test_how_a_worker_ended(monkeypatch, how, said):
    failed = make_with(monkeypatch, how)
    assert failed.keys() == {"k0", "k1"}
    unseen = (
        "a worker ended; what it said stands above"  # on a machine with much else to do, one ends before it is seen
    )
    assert all(isinstance(error, WorkerError) for error in failed.values())
    assert all(said in error.what or error.what == unseen for error in failed.values()), failed
    assert failed["k0"].where in {"unit 0", "unit 1"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_a_killed_worker_was_at_is_begun_again_and_the_others_go_on(monkeypatch, tmp_path):
    def once(unit, machine):
        time.sleep(0.3)
        with (tmp_path / unit.key).open("a") as f:
            f.write("x")
        if unit.key == "k0" and (tmp_path / unit.key).read_text() == "x":
            os.kill(os.getpid(), signal.SIGKILL)

    heard = []
    token = events.notice_listener.set(heard.append)
    try:
        assert make_with(monkeypatch, once) == {}
    finally:
        events.notice_listener.reset(token)
    assert {key: (tmp_path / key).read_text() for key in ("k0", "k1")} == {"k0": "xx", "k1": "x"}
    assert any(text.startswith("unit 0: a worker was killed") and "begun again" in text for text in heard)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_one_that_ends_by_itself_is_not_tried_again(monkeypatch, tmp_path):
    def leaves(unit, machine):
        (tmp_path / f"{unit.key}-{os.getpid()}").touch()
        time.sleep(0.3)
        os._exit(7) if unit.key == "k0" else None

    failed = make_with(monkeypatch, leaves)
    assert failed.keys() == {"k0"}
    assert len(list(tmp_path.glob("k0-*"))) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_worker_that_does_not_start_says_why(monkeypatch):
    with pytest.raises(WorkerError, match="a worker did not start: ModuleNotFoundError: No module named 'no_such'"):
        make_with(monkeypatch, lambda unit, machine: None, warm="no_such")


def tells(unit, machine):
    events.notice("the same in every worker")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_notices_of_workers_come_once(monkeypatch):
    heard = []
    token = events.notice_listener.set(heard.append)
    try:
        assert make_with(monkeypatch, tells) == {}
    finally:
        events.notice_listener.reset(token)
    assert heard == ["the same in every worker"]


def test_missing_modules_are_told_by_their_extra():
    told = local._why(ModuleNotFoundError("No module named 'pynvml'", name="pynvml"))
    assert isinstance(told, UserError)
    assert told.mend == 'pip install "clbench[energy]"' or "does not import" in told.what
