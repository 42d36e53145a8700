"""Workers that do not start or end: told by what they said and how they ended, never guessed."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import pytest

from clbench.core import events, process
from clbench.core.errors import UserError, WorkerError
from clbench.core.spec import Machine
from clbench.engine.executors import processes as local
from clbench.engine.units import Unit
from tests.builders.forked import ForkedWorkers, fork_workers


def units(num=2):
    return [Unit(key=f"k{i}", spec=None, lesson=0, label=f"unit {i}", needs=None, weight=1) for i in range(num)]


def make_with(monkeypatch, unit_maker, warm="clbench.core.events"):
    """Run the real pool on a stand-in for the work."""
    fork_workers(monkeypatch, lambda: __import__(warm))
    monkeypatch.setattr(local, "make_unit", unit_maker)
    return local.execute(units(), Machine(workers=2))


def killed(unit, machine):
    os.kill(os.getpid(), signal.SIGKILL)


def crashed(unit, machine):
    os.kill(os.getpid(), signal.SIGUSR1)


def left(unit, machine):
    os._exit(7)


WAYS = [
    (killed, "a worker was killed, perhaps because memory ran out"),
    (crashed, "a worker ended by SIGUSR1; what it said stands above"),
    (left, "a worker ended with exit code 7; what it said stands above"),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("how", "said"), WAYS)
def test_how_a_worker_ended(monkeypatch, how, said):
    """It ends at once, before anybody can look whether it lives."""
    failed = make_with(monkeypatch, how)
    assert {key: (error.where, error.what) for key, error in failed.items()} == {
        "k0": ("unit 0", said),
        "k1": ("unit 1", said),
    }
    assert all(isinstance(error, WorkerError) for error in failed.values())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pool_that_hears_late_of_an_end_still_knows_its_exit_code(monkeypatch):
    """The worker is gone, and collected, before its pool looks for it."""
    fork_workers(monkeypatch)
    pools = local.Pools(1)
    try:
        for code in (7, 8):
            future = pools.submit(0, partial(os._exit, code), "unit")
            wait([future])
            multiprocessing.active_children()  # which forgets those that have ended
            assert pools.how_it_ended(0)[0].what == f"a worker ended with exit code {code} before its work was done"
            pools._replace(0)
    finally:
        pools.close()


@pytest.mark.models
@pytest.mark.slow
def test_workers_that_a_server_forks_end_with_their_exit_code():
    """Several threads wait for each: who reads its exit code takes it from the others."""
    for code in (3, 4, 5):
        with pytest.raises(WorkerError, match=f"unit: a worker ended with exit code {code} before its work was done"):
            local.in_worker(partial(process.leave, code), "unit")


def test_threads_that_wait_for_one_process_all_get_its_exit_code():
    for code in range(20):
        ended = ForkedWorkers().Process(target=os._exit, args=(code,))
        ended.start()
        with ThreadPoolExecutor(4) as threads:
            found = [threads.submit(ended._popen.poll, 0) for _ in range(4)]
        assert [one.result() for one in found] == [code] * 4
        ended.join()


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
