"""What the store promises: a stage is whole or not there, and what is broken is made again."""

import errno
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from clbench.core.errors import LessonError, StoreError
from clbench.core.keys import canonical, key
from clbench.store import stage as stage_file
from clbench.store.gc import collect
from clbench.store.measure import measure
from clbench.store.stage import STAGE, here, read_stage
from clbench.store.store import Store
from tests.builders.contents import content_digest

KEY = key("ask", number=1)
OTHER = key("ask", number=2)


class Told(list):
    """Notices, as a list."""

    def __call__(self, message):
        self.append(message)


def writes(text, name="answers.jsonl"):
    def make(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return make


def forbidden(folder):
    raise AssertionError("a finished stage is not made again")


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def store(tmp_path, told):
    return Store(tmp_path / "store", told)


def leftovers(store):
    drafts = store.folder / "drafts"
    return list(drafts.iterdir()) if drafts.exists() else []


# --- a stage comes into being once --------------------------------------------------------------------------------


def test_opening_a_store_touches_nothing(tmp_path):
    assert Store(tmp_path / "s").find("ask", KEY) is None
    assert not (tmp_path / "s").exists()


def test_once_makes_and_then_finds(store):
    made = store.once("ask", KEY, writes("a"), {"exam": "x"})
    assert made == store.folder / "ask" / KEY[:2] / KEY
    assert (made / "answers.jsonl").read_text() == "a"
    assert store.once("ask", KEY, forbidden, {}) == made
    assert Store(store.folder).once("ask", KEY, forbidden, {}) == made
    assert leftovers(store) == []


def test_stage_json_says_what_why_and_what_it_cost(store):
    store.once("ask", KEY, writes("abc", "deep/er.txt"), {"exam": "x", "step": 3})
    stage = store.stage("ask", KEY)
    assert (stage["kind"], stage["key"], stage["format"]) == ("ask", KEY, stage_file.FORMAT)
    assert stage["why"] == {"exam": "x", "step": 3}
    assert stage["files"]["deep/er.txt"]["bytes"] == 3
    assert set(stage["meter"]) == {"wall_s", "cpu_s", "peak_memory_bytes"}
    assert stage["meter"]["peak_memory_bytes"] > 1_000_000
    assert store.stage("ask", OTHER) is None


def test_an_error_in_make_passes_through_and_leaves_nothing(store):
    for error in (ValueError("ours"), LessonError("theirs"), ConnectionResetError(errno.ECONNRESET, "net")):

        def make(folder, error=error):
            (folder / "half").write_text("x")
            raise error

        with pytest.raises(type(error)) as caught:
            store.once("state", KEY, make, {})
        assert caught.value is error
    assert store.find("state", KEY) is None
    assert leftovers(store) == []


def test_a_file_that_make_misses_outside_the_store_is_no_fault_of_the_store(store, tmp_path):
    with pytest.raises(FileNotFoundError):
        store.once("ask", KEY, lambda folder: (tmp_path / "absent").read_text(), {})
    with pytest.raises(NotADirectoryError):
        (tmp_path / "file").write_text("")
        store.once("ask", KEY, lambda folder: (tmp_path / "file" / "in").read_text(), {})


def test_the_store_keeps_its_own_names_to_itself(store):
    with pytest.raises(AssertionError):
        store.once("drafts", KEY, writes("a"), {})
    with pytest.raises(AssertionError):
        store.once("ask", KEY, writes("a", STAGE), {})


def test_progress_outlives_a_failure_and_goes_with_the_finished_stage(store):
    def interrupted(folder):
        place = store.progress("state", KEY)
        place.mkdir(parents=True)
        (place / "step-1").write_text("half way")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.once("state", KEY, interrupted, {})
    assert (store.progress("state", KEY) / "step-1").read_text() == "half way"
    assert leftovers(store) == []
    store.once("state", KEY, writes("done"), {})
    assert not store.progress("state", KEY).exists()


# --- races ------------------------------------------------------------------------------------------------------


def test_the_first_of_two_makers_wins(store, told):
    def slow(folder):
        Store(store.folder, told).once("ask", KEY, writes("first"), {})
        writes("second")(folder)

    assert (store.once("ask", KEY, slow, {}) / "answers.jsonl").read_text() == "first"
    assert leftovers(store) == [] and told == []


def test_a_maker_whose_checkpoints_the_winner_cleared_takes_the_winners_stage(store):
    def robbed(folder):
        Store(store.folder).once("state", KEY, writes("first"), {})
        raise FileNotFoundError(errno.ENOENT, "cleared", str(store.progress("state", KEY) / "step-1"))

    assert (store.once("state", KEY, robbed, {}) / "answers.jsonl").read_text() == "first"


def test_a_broken_winner_is_replaced(store, told):
    def slow(folder):
        winner = Store(store.folder, told).once("ask", KEY, writes("first"), {})
        (winner / "answers.jsonl").write_text("FIRST")
        writes("second")(folder)

    assert (store.once("ask", KEY, slow, {}) / "answers.jsonl").read_text() == "second"
    assert len(told) == 1


def test_threads_that_race_end_with_one_stage(store):
    barrier = threading.Barrier(8)
    ends = []

    def work(number):
        own = Store(store.folder)
        barrier.wait()
        ends.append((own.once("ask", KEY, writes(f"{number}"), {}) / "answers.jsonl").read_text())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 8 and len(set(ends)) == 1
    assert leftovers(store) == []


def test_a_good_stage_that_took_a_broken_ones_place_is_not_set_aside(store, told, monkeypatch):
    """One process judges a broken stage; before it acts, another has set that aside and made the stage again."""
    broken = store.once("ask", KEY, writes("a"), {})
    (broken / "answers.jsonl").write_text("x")
    late = Store(store.folder, told)
    judge = stage_file.verify

    def judged_before_the_other_acts(folder, kind, key):
        verdict = judge(folder, kind, key)
        monkeypatch.setattr("clbench.store.store.verify", judge)
        Store(store.folder, told).once("ask", KEY, writes("a"), {})
        return verdict

    monkeypatch.setattr("clbench.store.store.verify", judged_before_the_other_acts)
    late.find("ask", KEY)
    assert (late.find("ask", KEY) / "answers.jsonl").read_text() == "a"
    assert len(told) == 1


# --- what is broken is set aside --------------------------------------------------------------------------------


def truncate(folder):
    path = folder / "answers.jsonl"
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(folder):
    path = folder / "answers.jsonl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit_a_claim(folder):
    stage = json.loads((folder / STAGE).read_text())
    stage["files"]["answers.jsonl"]["bytes"] += 1
    (folder / STAGE).write_text(canonical(stage))


DAMAGE = {
    "truncated file": truncate,
    "flipped bit": flip_a_bit,
    "missing file": lambda f: (f / "answers.jsonl").unlink(),
    "folder for a file": lambda f: ((f / "answers.jsonl").unlink(), (f / "answers.jsonl").mkdir()),
    "missing stage.json": lambda f: (f / STAGE).unlink(),
    "empty stage.json": lambda f: (f / STAGE).write_bytes(b""),
    "garbage stage.json": lambda f: (f / STAGE).write_bytes(b"\xff\x00{"),
    "stage.json of another shape": lambda f: (f / STAGE).write_text("[1, 2]"),
    "edited stage.json": edit_a_claim,
}


@pytest.mark.parametrize("kind_of_damage", DAMAGE)
@pytest.mark.parametrize("same_process", [False, True])
def test_damage_is_seen_told_kept_and_mended(store, told, kind_of_damage, same_process):
    folder = store.once("ask", KEY, writes("answer " * 100), {})
    DAMAGE[kind_of_damage](folder)
    reader = store if same_process else Store(store.folder, told)
    assert reader.find("ask", KEY) is None
    assert len(told) == 1 and KEY[:12] in told[0] and "made again" in told[0]
    assert len(list((store.folder / "broken").iterdir())) == 1, "nothing is deleted"
    assert (reader.once("ask", KEY, writes("answer " * 100), {}) / "answers.jsonl").read_text() == "answer " * 100
    assert len(told) == 1


def test_a_stage_under_another_key_is_not_taken_for_it(store, told):
    store.once("ask", KEY, writes("a"), {})
    target = store.place("ask", OTHER)
    target.parent.mkdir(parents=True, exist_ok=True)
    store.place("ask", KEY).rename(target)
    assert Store(store.folder, told).find("ask", OTHER) is None
    assert len(told) == 1


def test_a_stage_that_somebody_removed_is_missing_not_remembered(store, told):
    store.once("state", KEY, writes("a"), {})
    store.drop(store.place("state", KEY))
    assert store.find("state", KEY) is None
    assert told == [] and leftovers(store) == []


def test_a_newer_format_is_refused_and_left_alone(store, monkeypatch):
    newer = stage_file.FORMAT + 1
    monkeypatch.setattr(stage_file, "FORMAT", newer)
    monkeypatch.setitem(stage_file.CHECKED, newer, ("key",))
    store.once("state", KEY, writes("a"), {"parent": None})
    monkeypatch.undo()
    with pytest.raises(StoreError, match=f"format {newer}"):
        Store(store.folder).find("state", KEY)
    assert read_stage(store.place("state", KEY)) is not None
    assert collect(store, []).dropped == ()
    assert read_stage(store.place("state", KEY)) is not None


def test_a_stage_of_the_first_format_is_still_read(store, monkeypatch, told):
    monkeypatch.setattr(stage_file, "FORMAT", 1)
    store.once("ask", KEY, writes("a"), {})
    monkeypatch.undo()
    assert Store(store.folder, told).find("ask", KEY) is not None and told == []


@pytest.mark.parametrize("part", ["meter", "why", "made", "origin", "files", "kind"])
def test_nothing_in_a_stage_can_be_changed_unseen(store, told, part):
    folder = store.once("ask", KEY, writes("a"), {"step": 1})
    path = folder / STAGE
    stage = json.loads(path.read_text(encoding="utf-8"))
    stage[part] = {**stage[part], "wall_s": 0.003} if isinstance(stage[part], dict) else f"{stage[part]}x"
    path.write_text(json.dumps(stage), encoding="utf-8")
    assert Store(store.folder, told).find("ask", KEY) is None
    assert "has been changed" in told[0]


def _loop(path):
    path.symlink_to(path.name)


def _dangling(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("put", [Path.mkdir, Path.touch, _loop, _dangling], ids=["folder", "file", "loop", "dangling"])
@pytest.mark.parametrize("where", ["", STAGE, "answers.jsonl"], ids=["the stage", "stage.json", "a file"])
def test_what_stands_in_place_of_a_stage_or_file_is_set_aside_and_made_again(store, told, put, where):
    folder = store.once("ask", KEY, writes("abc"), {})
    place = folder / where if where else folder
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    put(place)
    again = Store(store.folder, told)
    assert again.find("ask", KEY) is None
    made = again.once("ask", KEY, writes("abc"), {})
    assert (made / "answers.jsonl").read_text() == "abc" and len(told) == 1
    assert Store(store.folder, told).find("ask", KEY) == made


PLACES = ("ask", f"ask/{KEY[:2]}", "drafts", "progress", f"progress/ask-{KEY}", "broken", "runs")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("put", [Path.touch, _loop, _dangling], ids=["file", "loop", "dangling"])
def test_what_stands_in_place_of_the_stores_own_folders_is_set_aside_and_made_again(store, told, put, place):
    store.once("ask", KEY, writes("first"), {})
    store.write_run("r", "key", {"a": "b"})
    path = store.folder / place
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(exist_ok=True)
    put(path)
    fresh = Store(store.folder, told)
    if place == "broken":
        (store.place("ask", KEY) / "answers.jsonl").write_text("damaged")
    assert (fresh.once("ask", KEY, writes("first"), {}) / "answers.jsonl").read_text() == "first"
    fresh.progress("ask", KEY).mkdir(parents=True, exist_ok=True)
    assert (fresh.write_run("r", "key", {"a": "c"}) / "a").read_text() == "c"
    assert sum("stands where the store keeps its own" in text for text in told) == 1
    assert path.is_dir()
    assert any(os.path.lexists(p) for p in [*store.folder.glob("broken/*"), *store.folder.glob("broken-*")])


def test_a_link_to_a_folder_elsewhere_holds_a_part_of_the_store(store, told, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    store.folder.mkdir(exist_ok=True)
    (store.folder / "ask").symlink_to(tmp_path / "elsewhere")
    store.once("ask", KEY, writes("first"), {})
    assert (tmp_path / "elsewhere" / KEY[:2] / KEY / "answers.jsonl").read_text() == "first"
    assert not told


def test_the_default_notice_goes_to_stderr(tmp_path, capsys):
    store = Store(tmp_path)
    truncate(store.once("ask", KEY, writes("abc"), {}))
    store.find("ask", KEY)
    said = capsys.readouterr()
    assert "answers.jsonl has 2 bytes instead of 3" in said.err and said.out == ""


# --- disks ------------------------------------------------------------------------------------------------------


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_in_make_is_told_and_nothing_is_lost(store):
    store.once("ask", KEY, writes("kept"), {})
    with pytest.raises(StoreError, match="disk is full") as caught:
        store.once("ask", OTHER, full, {})
    assert "clbench store gc" in caught.value.mend
    assert leftovers(store) == []
    assert (store.find("ask", KEY) / "answers.jsonl").read_text() == "kept"
    assert store.find("ask", OTHER) is None


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.write_text", "pathlib.Path.rename"])
def test_a_disk_that_fills_up_at_any_step_is_told(store, monkeypatch, step):
    make = writes("x")
    draft_text = Path.write_text
    with monkeypatch.context() as patch:
        patch.setattr(step, full)
        with pytest.raises(StoreError, match="disk is full"):
            store.once("ask", KEY, lambda f: (f / "a").write_bytes(b"1"), {})
    assert Path.write_text is draft_text
    assert leftovers(store) == [] and store.find("ask", KEY) is None
    assert store.once("ask", KEY, make, {}).is_dir()


def test_a_full_disk_behind_another_library_is_told(store):
    def make(folder):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(StoreError, match="disk is full"):
        store.once("state", KEY, make, {})


def test_a_store_that_cannot_be_written_is_told(store, monkeypatch):
    def read_only(self, *args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(StoreError, match="cannot be written") as caught:
        store.once("ask", KEY, writes("x"), {})
    assert "--store" in caught.value.mend and caught.value.where == str(store.folder)


def test_a_file_in_the_stores_place_is_told(tmp_path):
    (tmp_path / "s").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "s").once("ask", KEY, writes("x"), {})


def test_a_stage_that_cannot_be_read_is_told_and_not_set_aside(store, monkeypatch):
    folder = store.once("ask", KEY, writes("x"), {})

    def unreadable(path):
        raise PermissionError(errno.EACCES, "denied", str(path))

    monkeypatch.setattr(stage_file, "file_digest", unreadable)
    with pytest.raises(StoreError, match="cannot be read"):
        Store(store.folder).find("ask", KEY)
    assert folder.is_dir()


def test_what_costs_reaches_the_disk_before_it_gets_its_name(store, monkeypatch):
    """Recorded in order: every fsync of a draft, then the rename. Marks are cheap, and are not forced."""
    steps = []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "rename", lambda self, to: (steps.append("rename"), rename(self, to))[1])
    store.once("ask", KEY, writes("x"), {})
    assert steps == ["fsync", "fsync", "fsync", "rename"], "answers.jsonl, stage.json, their folder"
    steps.clear()
    store.once("mark", KEY, writes("x"), {})
    assert steps == ["rename"]


# --- runs and content -------------------------------------------------------------------------------------------


def test_a_run_is_recorded_and_equal_files_are_left_alone(store):
    files = {"spec.yaml": "name: x\n", "matrix.json": "[0]"}
    run = store.write_run("demo", KEY, files)
    assert run == store.folder / "runs" / f"demo-{KEY[:8]}"
    before = run.stat().st_ino
    assert store.write_run("demo", KEY, files).stat().st_ino == before
    store.write_run("demo", KEY, {"spec.yaml": "name: x\n", "matrix.json": "[1]"})
    assert (run / "matrix.json").read_text() == "[1]"
    store.write_run("demo", KEY, {"spec.yaml": "name: x\n"})
    assert [p.name for p in run.iterdir()] == ["spec.yaml"]
    assert leftovers(store) == []


def test_a_record_of_which_a_file_is_a_folder_or_a_loop_is_written_anew(store):
    run = store.write_run("demo", KEY, {"matrix.json": "[0]"})
    (run / "matrix.json").unlink()
    (run / "matrix.json").mkdir()
    store.write_run("demo", KEY, {"matrix.json": "[0]"})
    assert (run / "matrix.json").read_text() == "[0]"
    (run / "matrix.json").unlink()
    (run / "matrix.json").symlink_to("matrix.json")
    store.write_run("demo", KEY, {"matrix.json": "[0]"})
    assert (run / "matrix.json").read_text() == "[0]"


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", '{"a": [1], "b": {"c": 1}}', "x", None])
def test_damaged_parents_stop_no_gc(store, text):
    for name in (KEY, KEY[::-1]):
        store.once("state", name, lambda folder: (folder / "x").write_text("x"), {"parent": None})
    path = store.folder / "parents.json"
    path.mkdir() if text is None else path.write_text(text)
    assert len(collect(store, []).dropped) == 2
    assert json.loads(path.read_text())[KEY] is None


def test_a_failed_record_leaves_the_old_one(store, monkeypatch):
    run = store.write_run("demo", KEY, {"matrix.json": "[0]"})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError):
            store.write_run("demo", KEY, {"matrix.json": "[1]"})
    assert (run / "matrix.json").read_text() == "[0]"


def test_content_digest_is_about_content(tmp_path, told):
    one, two, three = (Store(tmp_path / n, told) for n in "abc")
    one.once("ask", KEY, writes("x"), {"why": 1})
    one.once("mark", OTHER, writes("y"), {})
    two.once("mark", OTHER, writes("y"), {"other": "reason"})
    time.sleep(0.01)
    two.once("ask", KEY, writes("x"), {})
    three.once("ask", KEY, writes("z"), {})
    three.once("mark", OTHER, writes("y"), {})
    assert content_digest(one) == content_digest(two) != content_digest(three)
    flip_a_bit(two.place("ask", KEY))
    assert content_digest(one) != content_digest(Store(tmp_path / "b", told))
    assert len(told) == 1


def test_a_draft_says_where_and_by_whom_it_is_made_without_naming_the_host(store):
    names = []
    store.once("ask", KEY, lambda folder: names.append(folder.name), {})
    assert names[0].startswith(f"ask-{KEY}-{here()}-{os.getpid()}-")
    assert os.uname().nodename not in here()


def test_finds_are_fast(store):
    keys = [key("mark", number=i) for i in range(300)]
    for k in keys:
        store.once("mark", k, writes("x" * 2000), {})
    fresh = Store(store.folder)
    started = time.process_time()
    assert all(fresh.find("mark", k) for k in keys)
    first = time.process_time() - started
    started = time.process_time()
    assert all(fresh.find("mark", k) for k in keys)
    again = (time.process_time() - started) / len(keys)
    assert first < 0.5, "300 finds of a fresh process, digests compared"
    assert again < 0.001, "a find of what has been verified"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak cannot be set back here")
def test_the_peak_of_one_stage_is_not_that_of_the_next():
    with measure() as first:
        held = b"x" * 200_000_000
        del held
    with measure() as second:
        pass
    with measure() as outer:
        held = b"x" * 150_000_000
        del held
        with measure() as inner:
            pass
    assert first["peak_memory_bytes"] > second["peak_memory_bytes"] + 150_000_000
    assert outer["peak_memory_bytes"] > inner["peak_memory_bytes"] + 100_000_000
