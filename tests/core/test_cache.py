"""Digests of large files are remembered, and a file that was changed is read again however well it hides it."""

import hashlib
import os
import time

import pytest

from clbench.core import cache


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Remember files of 100 bytes; count the files that are read."""
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "WORTH", 100)
    monkeypatch.setattr(cache, "SETTLED_NS", -1)
    monkeypatch.setattr(
        cache, "file_digest", lambda path, read=cache.file_digest: reads.append(path.name) or read(path)
    )
    reads = []
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"a" * 200)
    return path, reads


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_large_file_is_read_once_and_a_small_one_each_time(place, tmp_path):
    path, reads = place
    assert cache.remembered_digest(path) == cache.remembered_digest(path) == sha(path)
    assert reads == [path.name]
    small = tmp_path / "config.json"
    small.write_bytes(b"{}")
    assert cache.remembered_digest(small) == cache.remembered_digest(small) == sha(small)
    assert reads == [path.name, *[small.name] * 2]


def test_equal_size_and_restored_time_do_not_hide_a_change(place):
    path, _ = place
    cache.remembered_digest(path)
    before = path.stat()
    path.write_bytes(b"b" * 200)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert cache.remembered_digest(path) == sha(path)


def test_another_file_in_its_place_is_read(place, tmp_path):
    path, _ = place
    cache.remembered_digest(path)
    seen = path.stat()
    other = tmp_path / "other"
    other.write_bytes(b"c" * 200)
    os.utime(other, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    other.replace(path)
    assert cache.remembered_digest(path) == sha(path)


def test_a_link_that_is_turned_to_another_file_is_followed(place, tmp_path):
    path, reads = place
    link = tmp_path / "link"
    link.symlink_to(path)
    assert cache.remembered_digest(link) == cache.remembered_digest(path)
    assert reads == [link.name]
    (tmp_path / "second").write_bytes(b"d" * 200)
    link.unlink()
    link.symlink_to(tmp_path / "second")
    assert cache.remembered_digest(link) == sha(tmp_path / "second")


def test_what_has_just_changed_is_not_remembered(place, monkeypatch):
    path, reads = place
    monkeypatch.setattr(cache, "SETTLED_NS", 2_000_000_000)
    cache.remembered_digest(path)
    cache.remembered_digest(path)
    assert len(reads) == 2
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + 3_000_000_000)
    cache.remembered_digest(path)
    cache.remembered_digest(path)
    assert len(reads) == 3


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b'{"path": 1, "stamp": [], "sha256": "x"}', b"null"])
def test_a_damaged_record_is_none(place, tmp_path, damage):
    path, reads = place
    cache.remembered_digest(path)
    (record,) = (tmp_path / "cache" / "digests").iterdir()
    record.write_bytes(damage)
    assert cache.remembered_digest(path) == sha(path)
    assert cache.remembered_digest(path) == sha(path) and len(reads) == 2


def test_where_nothing_can_be_kept_it_is_read_each_time(place, tmp_path):
    path, reads = place
    (tmp_path / "cache").write_text("a file")
    assert cache.remembered_digest(path) == cache.remembered_digest(path) == sha(path)
    assert len(reads) == 2


def test_verifying_finds_what_no_stamp_shows_and_forgets_what_is_gone(place, tmp_path, monkeypatch):
    path, _ = place
    other = tmp_path / "other"
    other.write_bytes(b"e" * 200)
    for each in (path, other):
        cache.remembered_digest(each)
    kept = cache.stamp(path)
    path.write_bytes(b"f" * 200)
    monkeypatch.setattr(cache, "stamp", lambda p, own=cache.stamp: kept if p == path else own(p))  # as past the system
    assert cache.remembered_digest(path) != sha(path)
    assert dict(cache.wrong_digests()) == {path: True, other: False}
    assert cache.remembered_digest(path) == sha(path)
    other.unlink()
    assert dict(cache.wrong_digests()) == {path: False}
    assert len(list((tmp_path / "cache" / "digests").iterdir())) == 1


def test_a_models_identity_follows_a_weight_file_that_hides_its_change(tmp_path, monkeypatch):
    import shutil

    from clbench.core.spec import ModelSpec
    from clbench.models.source import identity, locate

    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "WORTH", 100)
    monkeypatch.setattr(cache, "SETTLED_NS", -1)
    folder = tmp_path / "model"
    shutil.copytree(locate(ModelSpec(name="tiny-llama")), folder)
    spec = ModelSpec(name=str(folder), max_tokens=64)
    first = identity(spec)
    assert first == identity(spec.model_copy())
    path = folder / "model.safetensors"
    seen, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert identity(spec) != first
    content[-1] ^= 1
    path.write_bytes(content)
    assert identity(spec) == first
