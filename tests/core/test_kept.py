"""What is kept between commands is made once, is never out of date, and may be damaged, full or not writable."""

import os
import time

import pytest

from clbench.core import kept as kept_module
from clbench.core.events import notice, notice_listener
from clbench.core.kept import DRAFT, Form, kept

TEXT = Form[str]("texts", str.encode, bytes.decode)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kept"


class Maker:
    """Makes a text, counts how often, and sends a notice."""

    def __init__(self, text="made"):
        self.text, self.times = text, 0

    def __call__(self):
        self.times += 1
        notice(f"making {self.text}")
        return self.text


def heard(about, make, **more):
    sent = []
    token = notice_listener.set(sent.append)
    try:
        return kept(TEXT, about, make, **more), sent
    finally:
        notice_listener.reset(token)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_value_is_made_once_and_its_notices_are_sent_each_time(folder):
    make = Maker()
    for _ in range(3):
        assert heard({"of": 1}, make) == ("made", ["making made"])
    assert make.times == 1
    other = Maker("other")
    assert heard({"of": 2}, other) == ("other", ["making other"])
    assert other.times == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"made", b"fade")),
        lambda path: path.write_bytes(b"\xff" * 100),
        lambda path: path.write_bytes(b"\n\n\n"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_damaged_file_is_made_again(folder, damage):
    kept(TEXT, 1, Maker())
    (path,) = files(folder)
    damage(path)
    again = Maker()
    assert kept(TEXT, 1, again) == "made"
    assert again.times == 1
    if path.is_file():
        kept(TEXT, 1, third := Maker())
        assert third.times == 0, "it was written anew"


def test_a_file_of_another_key_is_not_taken(folder):
    kept(TEXT, 1, Maker("one"))
    (one,) = files(folder)
    kept(TEXT, 2, Maker("two"))
    (two,) = set(files(folder)) - {one}
    two.replace(one)
    assert kept(TEXT, 1, Maker("one")) == "one"


def test_a_value_that_its_form_cannot_read_is_made_again(folder):
    def no(_):
        raise ValueError("not mine")

    kept(TEXT, 1, Maker())
    kept(Form[str]("texts", str.encode, no), 1, again := Maker())
    assert again.times == 1


def test_what_does_not_hold_any_more_once_it_is_made_is_not_kept(folder):
    kept(TEXT, 1, Maker(), still=lambda: False)
    assert files(folder) == []


def test_what_cannot_be_written_is_made_each_time(folder):
    half = Form[str]("texts", str.encode, bytes.decode)
    assert kept(half, 1, Maker("\ud800")) == "\ud800"
    assert files(folder) == []


def test_where_nothing_can_be_written_it_is_made_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "file"))
    make = Maker()
    assert kept(TEXT, 1, make) == kept(TEXT, 1, make) == "made"
    assert make.times == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_only_be_read_still_serves(folder):
    kept(TEXT, 1, Maker())
    for path in (folder / "texts", folder):
        path.chmod(0o500)
    try:
        kept(TEXT, 1, make := Maker())
        assert make.times == 0
        assert kept(TEXT, 2, make) == "made"
    finally:
        for path in (folder, folder / "texts"):
            path.chmod(0o700)


def test_a_full_disk_ends_no_command(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_module.Path, "replace", full)
    assert kept(TEXT, 1, Maker()) == "made"
    assert files(folder) == [], "not even a draft is left"


def test_what_was_not_used_for_longest_goes_first(folder, monkeypatch):
    monkeypatch.setattr(kept_module, "MOST_FILES", 5)
    for number in range(5):
        kept(TEXT, number, Maker(str(number)))
    first = {path.name: path for path in files(folder)}
    for place, path in enumerate(sorted(first.values(), key=lambda p: p.stat().st_mtime_ns)):
        os.utime(path, (1_000 + place, 1_000 + place))
    make = Maker("0")
    assert kept(TEXT, 0, make) == "0", "it is used, so it is young again"
    assert make.times == 0
    kept(TEXT, 5, Maker("5"))
    assert len(files(folder)) == 4
    kept(TEXT, 0, make)
    kept(TEXT, 5, make)
    assert make.times == 0


def test_drafts_of_killed_commands_are_swept_after_a_day_and_younger_ones_are_left(folder):
    kept(TEXT, 1, Maker())
    old, young = folder / "texts" / f"{DRAFT}old", folder / "texts" / f"{DRAFT}young"
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (time.time() - 100_000,) * 2)
    kept(TEXT, 2, Maker())
    assert not old.exists()
    assert young.exists()


def test_the_digest_of_the_code_follows_its_content(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_module, "PACKAGE", tmp_path)
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("x = 1")
    found = []
    for text in ("x = 1", "x = 2", "x = 1"):
        (tmp_path / "room" / "a.py").write_text(text)
        kept_module.code_digest.cache_clear()
        found.append(kept_module.code_digest("room"))
    kept_module.code_digest.cache_clear()
    assert found[0] == found[2] != found[1]
