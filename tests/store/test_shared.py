"""States share what is equal to the byte, and each of them is whole all the same."""

import errno
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clbench.core import events
from clbench.core.keys import folder_digest, key
from clbench.store import shared
from clbench.store.gc import collect
from clbench.store.shared import disk_bytes, has_tensors, layout_of, share, whole_digest
from clbench.store.store import Store

safetensors = pytest.importorskip("safetensors")
KB = 1024


def tensor(seed, kb=100):
    return np.random.default_rng(seed).standard_normal(kb * KB // 4).astype(np.float32)


def write(folder, **files):
    """Write a state of tensor files, `answers__weights={name: tensor}`, and a small file beside them."""
    from safetensors.numpy import save_file

    for file, tensors in files.items():
        path = folder.joinpath(*file.split("__")).with_suffix(".safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, str(path))
    (folder / "counts.json").write_text("{}")
    return folder


def read(path):
    """Read a tensor file, whole or taken apart."""
    from safetensors.numpy import load_file

    layout = layout_of(path)
    if layout is None:
        return load_file(str(path))
    found = {}
    for name, (file, there) in layout.tensors.items():
        with safetensors.safe_open(str(file), framework="np") as f:
            found[name] = f.get_tensor(there)
    return found


def same(found, expected):
    return found.keys() == expected.keys() and all(np.array_equal(found[n], expected[n]) for n in found)


def taken(folder):
    """Give the bytes of all files below a folder, one of several names once."""
    return sum({(s.st_dev, s.st_ino): s.st_size for p in folder.rglob("*") if p.is_file() for s in [p.stat()]}.values())


@pytest.fixture
def told(monkeypatch):
    shared._tell.cache_clear()
    said = []
    token = events.notice_listener.set(said.append)
    yield said
    events.notice_listener.reset(token)
    shared._tell.cache_clear()


def test_parts_of_every_lesson_stand_on_the_disk_once(tmp_path):
    states, wholes, held = [], [], {}
    for lesson in range(20):
        held = {**held, f"part.{lesson}": tensor(lesson)}
        state = write(tmp_path / f"{lesson}", answers__weights=held, keeps__method={"key": tensor(1000 + lesson)})
        wholes.append(folder_digest(state))
        share(state, states[-1:])
        states.append(state)
    assert 20 * 200 * KB < taken(tmp_path) < 20 * 200 * KB * 1.05
    for lesson, state in enumerate(states):
        assert whole_digest(state) == wholes[lesson]
        expected = {f"part.{i}": tensor(i) for i in range(lesson + 1)}
        assert same(read(state / "answers" / "weights.safetensors"), expected)
        assert has_tensors(state / "answers" / "weights.safetensors")
    assert not has_tensors(states[0] / "answers" / "other.safetensors")


def test_a_state_needs_no_other(tmp_path):
    first = write(tmp_path / "1", answers__weights={"a": tensor(1)})
    second = write(tmp_path / "2", answers__weights={"a": tensor(1), "b": tensor(2)})
    share(second, [first])
    shutil.rmtree(first)
    shutil.copytree(second, tmp_path / "copied")
    assert same(read(tmp_path / "copied" / "answers" / "weights.safetensors"), {"a": tensor(1), "b": tensor(2)})


def test_an_equal_file_is_one_more_name_of_it(tmp_path):
    first = write(tmp_path / "1", answers__weights={"a": tensor(1)})
    second = write(tmp_path / "2", answers__weights={"a": tensor(1)})
    share(second, [first])
    files = [folder / "answers" / "weights.safetensors" for folder in (first, second)]
    assert files[0].samefile(files[1]) and not (second / "parts").exists()


def test_a_tensor_is_found_under_another_name_also_in_the_state_itself(tmp_path):
    weights = {"w": tensor(1)}
    state = write(
        tmp_path / "1", answers__weights=weights, keeps__method={"anchor.1/w": tensor(1), "fisher": tensor(2)}
    )
    share(state, [])
    assert taken(state) < 205 * KB
    assert same(read(state / "keeps" / "method.safetensors"), {"anchor.1/w": tensor(1), "fisher": tensor(2)})
    assert same(read(state / "answers" / "weights.safetensors"), weights)


def test_a_file_of_which_little_is_used_is_not_kept_for_it(tmp_path):
    first = write(tmp_path / "1", answers__weights={"small": tensor(1, 80), "large": tensor(2, 400)})
    second = write(tmp_path / "2", answers__weights={"small": tensor(1, 80), "large": tensor(3, 400)})
    share(second, [first])
    assert layout_of(second / "answers" / "weights.safetensors") is None


def test_equal_edges_are_not_equal_tensors(tmp_path):
    other = tensor(1)
    other[5000] += 1
    first = write(tmp_path / "1", answers__weights={"a": tensor(1), "b": tensor(2)})
    second = write(tmp_path / "2", answers__weights={"a": other, "c": tensor(2)})
    share(second, [first])
    assert same(read(second / "answers" / "weights.safetensors"), {"a": other, "c": tensor(2)})


@pytest.mark.parametrize(
    "damage", [b"", b"\x00", b"\xff" * 200, b"\x08\0\0\0\0\0\0\0{}      ", b"\x02\0\0\0\0\0\0\0[]"]
)
def test_nothing_is_shared_with_a_damaged_state(tmp_path, damage):
    first = write(tmp_path / "1", answers__weights={"a": tensor(1)})
    (first / "answers" / "weights.safetensors").write_bytes(damage)
    second = write(tmp_path / "2", answers__weights={"a": tensor(1)})
    share(second, [first, tmp_path / "absent"])
    assert same(read(second / "answers" / "weights.safetensors"), {"a": tensor(1)})
    assert not (second / "parts").exists()


@pytest.mark.parametrize("working", [0, 1])
def test_without_links_states_are_whole_and_it_is_said_once(tmp_path, monkeypatch, told, working):
    """The first link fails, or a later one: a file may have too many names already."""
    first = write(tmp_path / "1", answers__weights={"a": tensor(1)}, keeps__method={"b": tensor(2)})
    link, calls = os.link, []

    def refuse(source, target):
        calls.append(target)
        if len(calls) > working:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)
    second = write(tmp_path / "2", answers__weights={"a": tensor(1), "b": tensor(2), "c": tensor(3)})
    before = folder_digest(second)
    share(second, [first])
    share(second, [first])
    assert folder_digest(second) == before or not any((second / "parts").iterdir())
    assert layout_of(second / "answers" / "weights.safetensors") is None
    assert len(told) == 1 and "written whole" in told[0]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)
STATES = st.lists(st.dictionaries(NAMES, st.sampled_from(range(6)), min_size=1, max_size=5), min_size=2, max_size=4)
POOL = [
    tensor(0, 64),
    tensor(1, 64),
    tensor(2, 40).astype(np.float16),
    np.zeros(0, np.float32),
    tensor(3, 3),
    np.arange(20_000),
]


@settings(max_examples=40, deadline=None)
@given(STATES)
def test_whatever_states_hold_comes_back(tmp_path_factory, states):
    folder, done = tmp_path_factory.mktemp("s"), []
    for number, chosen in enumerate(states):
        tensors = {name: POOL[i] for name, i in chosen.items() if name != "__metadata__"}
        state = write(folder / f"{number}", answers__weights=tensors)
        before = folder_digest(state)
        share(state, done)
        assert whole_digest(state) == before
        assert same(read(state / "answers" / "weights.safetensors"), tensors)
        done.append(state)


# --- in a store -------------------------------------------------------------------------------------------------


def grow(store, lessons):
    """Make states that each add a tensor to those before; give their keys."""
    keys = []
    for lesson in range(lessons):

        def make(folder, lesson=lesson):
            write(folder, answers__weights={f"p{i}": tensor(i) for i in range(lesson + 1)})
            share(folder, [store.place("state", keys[-1])] if keys else [])

        here = key("state", number=lesson)
        store.once("state", here, make, {"parent": keys[-1] if keys else None})
        keys.append(here)
    return keys


def test_stage_json_tells_the_true_digests_of_shared_files(tmp_path):
    store = Store(tmp_path)
    for here in grow(store, 4):
        folder = store.place("state", here)
        for name, said in json.loads((folder / "stage.json").read_text())["files"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == said["sha256"]
        assert Store(tmp_path).find("state", here) == folder


def test_a_damaged_shared_file_breaks_every_state_that_has_it_and_no_other(tmp_path):
    told = []
    keys = grow(Store(tmp_path), 3)
    part = next(p for p in sorted(Store(tmp_path).place("state", keys[2]).glob("parts/*")) if p.stat().st_nlink == 2)
    with part.open("r+b") as f:
        f.seek(-100, os.SEEK_END)
        f.write(b"damaged")
    fresh = Store(tmp_path, told.append)
    assert [fresh.find("state", here) is not None for here in keys] == [True, False, False]
    assert len(told) == 2
    grow(fresh, 3)
    assert same(
        read(fresh.find("state", keys[2]) / "answers" / "weights.safetensors"), {f"p{i}": tensor(i) for i in range(3)}
    )


def test_gc_counts_what_it_frees_and_later_states_stay_whole(tmp_path):
    store = Store(tmp_path)
    keys = grow(store, 5)
    before = taken(tmp_path / "state")
    dry = collect(store, ("last",), dry_run=True)
    done = collect(store, ("last",))
    assert dry.bytes == done.bytes == before - taken(tmp_path / "state") < 100 * KB
    last = Store(tmp_path).find("state", keys[-1])
    assert same(read(last / "answers" / "weights.safetensors"), {f"p{i}": tensor(i) for i in range(5)})
    assert disk_bytes([last]) == taken(last)


def test_only_named_states_go(tmp_path):
    store = Store(tmp_path)
    keys = grow(store, 4)
    store.progress("state", keys[0]).mkdir(parents=True)  # left over
    done = collect(store, ("last",), among=keys[:1])
    assert [f.name for f in done.dropped] == [keys[0]] and done.kept_states == 3
    assert store.progress("state", keys[0]).exists()


def test_a_make_that_ends_while_it_shares_leaves_nothing(tmp_path, monkeypatch):
    store = Store(tmp_path)
    grow(store, 1)

    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(shared, "_write_new", stopped)
    with pytest.raises(KeyboardInterrupt):
        grow(store, 2)
    monkeypatch.undo()
    assert not list((tmp_path / "drafts").iterdir())
    assert len(list(store.stages())) == 1
    assert all(Store(tmp_path).find("state", here) for here in grow(store, 3))
