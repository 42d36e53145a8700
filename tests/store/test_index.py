"""The index follows the folders; cleaning drops only what can be made again."""

import os
import sqlite3
import subprocess
import sys
import time

import pytest

from clbench.core.keys import key
from clbench.store.gc import collect
from clbench.store.index import Index
from clbench.store.stage import STAGE, here
from clbench.store.store import Store
from tests.builders.child import environment


def make(store, kind, name, **why):
    where = key(kind, name=name)
    store.once(kind, where, lambda f: (f / "file").write_text(name), why)
    return where


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", lambda message: None)


# --- index ------------------------------------------------------------------------------------------------------


def test_rows_follow_the_folders(store):
    assert Index(store).rows() == []
    assert not store.folder.exists()
    a = make(store, "ask", "one", exam="x", step=1)
    b = make(store, "mark", "four", exam="y")
    rows = Index(store).rows()
    assert [(r.kind, r.key, r.bytes) for r in rows] == [("ask", a, 3), ("mark", b, 4)]
    c = make(store, "ask", "three", exam="x", step=2)
    store.drop(store.place("ask", a))  # as many as before, yet others
    assert {r.key for r in Index(store).rows()} == {b, c}
    assert [r.key for r in Index(store).rows("mark")] == [b]
    assert [r.key for r in Index(store).rows(where={"exam": "x", "step": 2})] == [c]
    assert Index(store).rows(where={"exam": "nothing"}) == []


def test_a_stage_that_went_and_came_back_is_listed_as_it_is_now(store):
    a = make(store, "state", "one", step=1)
    Index(store).rows()
    store.drop(store.place("state", a))
    assert Index(store).rows() == []
    make(store, "state", "one", step=2)
    assert [r.why for r in Index(store).rows()] == ['{"step": 2}']


def test_totals_by_kind(store):
    make(store, "ask", "one")
    make(store, "ask", "three")
    make(store, "mark", "four")
    totals = Index(store).totals()
    assert {k: (t.num, t.bytes) for k, t in totals.items()} == {"ask": (2, 8), "mark": (1, 4)}
    assert totals["ask"].wall_s > 0


def test_rebuild_equals_what_grew(store):
    for name in ("one", "two", "three"):
        make(store, "ask", name)
        grown = Index(store).rows()
    assert Index(store).rebuild() == 3
    assert Index(store).rows() == grown


@pytest.mark.parametrize("garbage", [b"this is no database" * 100, b"", b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_index_is_made_anew(store, garbage):
    make(store, "ask", "one")
    Index(store).rows()
    (store.folder / "index.sqlite").write_bytes(garbage)
    assert len(Index(store).rows()) == 1
    assert len(Index(store).rows()) == 1


def test_a_lost_index_costs_nothing(store):
    make(store, "ask", "one")
    before = Index(store).rows()
    (store.folder / "index.sqlite").unlink()
    assert Index(store).rows() == before


def test_without_a_database_the_folders_answer(store, monkeypatch):
    make(store, "ask", "one")

    def read_only(*args, **kwargs):
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert len(Index(store).rows()) == 1


def test_a_damaged_stage_is_told_and_left_out(store):
    told = []
    store.notice = told.append
    make(store, "ask", "one")
    b = make(store, "ask", "two")
    (store.place("ask", b) / STAGE).write_text("{")
    assert Index(store).rebuild() == 1
    assert len(told) == 1 and b in told[0]


def test_several_readers_at_once(store):
    for number in range(30):
        make(store, "mark", str(number))
    code = (
        "import sys; from pathlib import Path; from clbench.store.index import Index; "
        "from clbench.store.store import Store; print(len(Index(Store(Path(sys.argv[1]))).rows()))"
    )
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(store.folder)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for _ in range(4)
    ]
    assert [reader.communicate()[0].strip() for reader in readers] == ["30"] * 4


# --- gc ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(store):
    """Two learners that share their first lesson: a -> b1 -> c1 and a -> b2; and what was asked of them."""
    a = make(store, "state", "a", parent=key("state", name="base"), step=1)
    b1 = make(store, "state", "b1", parent=a, step=2)
    b2 = make(store, "state", "b2", parent=a, step=2)
    c1 = make(store, "state", "c1", parent=b1, step=3)
    for kind in ("effective", "ask", "mark"):
        make(store, kind, "kept", parent=a)
    store.write_run("demo", a, {"matrix.json": "[]"})
    return {"a": a, "b1": b1, "b2": b2, "c1": c1}


def left(store, tree):
    return {name for name, where in tree.items() if store.find("state", where)}


@pytest.mark.parametrize(
    ("keep", "in_use", "stay"),
    [
        (("last", "branch"), (), {"a", "b2", "c1"}),
        (("last",), (), {"b2", "c1"}),
        (("branch",), (), {"a"}),
        ((), (), set()),
        ((), ("b1",), {"b1"}),
    ],
)
def test_gc_keeps_last_and_branching_states_and_every_record(store, tree, keep, in_use, stay):
    report = collect(store, keep, [tree[name] for name in in_use])
    assert left(store, tree) == stay
    assert report.kept_states == len(stay)
    assert report.bytes > 0 and len(report.dropped) == 4 - len(stay)
    assert {kind for kind, _, _ in store.stages()} >= {"effective", "ask", "mark"}
    assert (store.folder / "runs" / f"demo-{tree['a'][:8]}" / "matrix.json").exists()
    assert not list((store.folder / "drafts").iterdir())


def test_the_usual_gc_is_done_after_one_pass(store, tree):
    collect(store, ("last", "branch"))
    assert collect(store, ("last", "branch")).dropped == ()


def test_a_dry_run_tells_and_drops_nothing(store, tree):
    told = collect(store, (), dry_run=True)
    assert left(store, tree) == set(tree)
    done = collect(store, ())
    assert (told.dropped, told.bytes, told.kept_states) == (done.dropped, done.bytes, done.kept_states)


def test_gc_leaves_a_damaged_state_to_find(store, tree):
    (store.place("state", tree["b1"]) / STAGE).write_text("{")
    report = collect(store, ())
    assert store.place("state", tree["b1"]).exists() and report.kept_states == 1


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_drafts_of_the_dead_go_and_those_of_the_living_stay(store):
    drafts = store.folder / "drafts"
    where = key("state", name="x")
    names = {
        "dead": f"state-{where}-{here()}-{dead_pid()}-00000000",
        "alive": f"state-{where}-{here()}-{os.getpid()}-00000000",
        "elsewhere": f"state-{where}-ffffffff-{dead_pid()}-00000000",
        "elsewhere, long ago": f"state-{where}-ffffffff-{dead_pid()}-00000001",
        "unknown": "x",
    }
    for name in names.values():
        (drafts / name).mkdir(parents=True)
    long_ago = time.time() - 2 * 86_400
    for name in ("alive", "elsewhere, long ago"):  # a lesson may take longer than a day
        os.utime(drafts / names[name], (long_ago, long_ago))
    collect(store, ("last",))
    assert {n for n, folder in names.items() if (drafts / folder).exists()} == {"alive", "elsewhere", "unknown"}


def test_checkpoints_go_once_their_stage_is_finished(store):
    done = make(store, "state", "done")
    for where in (done, key("state", name="running")):
        store.progress("state", where).mkdir(parents=True)
    collect(store, ("last",))
    assert not store.progress("state", done).exists()
    assert store.progress("state", key("state", name="running")).exists()
