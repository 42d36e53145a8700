"""A stage that another process makes is waited for, as long as that process lives; a dead one holds nobody up."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import pytest

from clbench.store import drafts
from clbench.store.drafts import beating, drafts_of, owner_of
from clbench.store.stage import here
from clbench.store.store import Store

KEY = "ab" * 16
ELSEWHERE = "0" * 8


def draft_in(folder, where, pid, age_s=0.0):
    draft = folder / "drafts" / f"state-{KEY}-{where}-{pid}-0123abcd"
    draft.mkdir(parents=True)
    then = time.time() - age_s
    os.utime(draft, (then, then))
    return draft


@pytest.fixture
def dead():
    """Give the id of a process that is gone."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.mark.parametrize(("whose", "age_s", "lives"), [
    ("another machine's", 0, True),
    ("another machine's", drafts.QUIET_S + 5, False),
    ("the parent's", 0, True),
    ("the parent's", drafts.QUIET_S + 5, False),  # its id may belong to somebody else by now
    ("our own", 0, False),  # nobody waits for himself
    ("a dead one's", 0, False),
])  # fmt: skip
def test_who_makes_a_stage_just_now(tmp_path, dead, whose, age_s, lives):
    pids = {"another machine's": dead, "the parent's": os.getppid(), "our own": os.getpid(), "a dead one's": dead}
    draft = draft_in(tmp_path, ELSEWHERE if whose == "another machine's" else here(), pids[whose], age_s)
    assert list(drafts_of(tmp_path / "drafts", "state", KEY)) == ([draft] if lives else [])
    assert Store(tmp_path).is_made_elsewhere("state", KEY) is lives
    assert not Store(tmp_path).is_made_elsewhere("ask", KEY)


def test_a_name_that_says_nothing_belongs_to_nobody(tmp_path):
    assert owner_of(tmp_path / "drafts" / "odd") == ("", 0)
    assert owner_of(tmp_path / f"state-{KEY}-{ELSEWHERE}-12-0123abcd") == (ELSEWHERE, 12)


def test_a_draft_is_touched_as_long_as_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(drafts, "BEAT_S", 0.02)
    draft = draft_in(tmp_path, ELSEWHERE, 1, age_s=1000)
    with beating(draft):
        until = time.monotonic() + 20
        while time.time() - draft.stat().st_mtime > 500 and time.monotonic() < until:
            time.sleep(0.02)
    assert time.time() - draft.stat().st_mtime < 500


@pytest.mark.slow
def test_a_maker_on_another_machine_that_falls_silent_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(drafts, "QUIET_S", 1.0)
    draft_in(tmp_path, ELSEWHERE, 1)
    began = time.monotonic()
    Store(tmp_path).once("state", KEY, lambda folder: (folder / "a").write_text("mine"), {})
    assert 0.5 < time.monotonic() - began < 30


def test_a_stage_that_comes_while_one_waits_is_taken(tmp_path):
    draft = draft_in(tmp_path, ELSEWHERE, 1)

    ready = Store(tmp_path / "other").once("state", KEY, lambda folder: (folder / "a").write_text("theirs"), {})

    def other():  # stands for another machine
        time.sleep(0.5)
        place = Store(tmp_path).place("state", KEY)
        place.parent.mkdir(parents=True)
        ready.rename(place)
        draft.rmdir()

    patient = threading.Thread(target=other)
    patient.start()
    found = Store(tmp_path).once("state", KEY, lambda folder: pytest.fail("made twice"), {})
    patient.join()
    assert (found / "a").read_text() == "theirs"


def _make_some(folder, log, start):
    start.wait()
    store = Store(folder)
    for number in range(12):
        key = f"{number:02x}" * 16

        def make(draft, key=key):
            with log.open("a") as f:
                f.write(f"{key}\n")
            time.sleep(0.03)
            (draft / "a").write_text(key)

        store.once("state", key, make, {})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_processes_in_lockstep_make_each_stage_once(tmp_path):
    fork = multiprocessing.get_context("fork")
    start, log = fork.Barrier(4), tmp_path / "log"
    others = [fork.Process(target=_make_some, args=(tmp_path / "store", log, start)) for _ in range(4)]
    for one in others:
        one.start()
    for one in others:
        one.join()
        assert one.exitcode == 0
    made = log.read_text().split()
    assert len(set(made)) == 12
    assert len(made) <= 13, "all four begin at once; only within the same moment may one be made twice"
