"""`clbench store verify`, the disk that states share, and choices that there are not."""

import pytest

from clbench.cli.main import main
from clbench.core import cache
from clbench.core.keys import key
from clbench.store.shared import share
from clbench.store.store import Store

np = pytest.importorskip("numpy")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Give a store of two states that share a tensor of 400 kB, and an answer."""
    save_file = pytest.importorskip("safetensors.numpy").save_file
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    made = Store(tmp_path / "store")
    places = []
    for number in (1, 2):

        def make(folder, number=number):
            (folder / "answers").mkdir()
            held = {"a": np.arange(100_000, dtype=np.float32), "b": np.full(100_000, number, np.float32)}
            save_file({n: held[n] for n in list(held)[:number]}, str(folder / "answers" / "weights.safetensors"))
            share(folder, places)

        places.append(made.once("state", key("state", number=number), make, {}))
    made.once("ask", key("ask", number=1), lambda folder: (folder / "answers.jsonl").write_text("answer"), {})
    return made


def test_a_whole_store_is_verified(store, capsys):
    assert main(["store", "verify", "--store", str(store.folder)]) == 0
    assert capsys.readouterr().out == "3 stages and 0 checkpoint files read; 0 damaged\n"


@pytest.mark.parametrize(("pattern", "damaged"), [("ask/*/*/answers.jsonl", 1), ("state/*/*/answers/*.parts", 1)])
def test_what_is_damaged_is_told_and_set_aside(store, capsys, pattern, damaged):
    (path,) = store.folder.glob(pattern)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert main(["store", "verify", "--store", str(store.folder)]) == 2
    said = capsys.readouterr()
    assert said.out == f"3 stages and 0 checkpoint files read; {damaged} damaged\n"
    assert "set aside" in said.err
    assert main(["store", "verify", "--store", str(store.folder)]) == 0


def test_remembered_digests_are_verified(store, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "WORTH", 10)
    monkeypatch.setattr(cache, "SETTLED_NS", -1)
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"a" * 100)
    cache.remembered_digest(model)
    assert main(["store", "verify", "--store", str(store.folder)]) == 0
    assert "1 checkpoint files read; 0 damaged" in capsys.readouterr().out
    (record,) = (tmp_path / "cache" / "digests").iterdir()
    record.write_text(record.read_text().replace('"sha256":"', '"sha256":"0'))
    assert main(["store", "verify", "--store", str(store.folder)]) == 2
    assert f"{model} is not what it was" in capsys.readouterr().out


def test_the_listing_says_what_the_disk_holds(store, capsys):
    assert main(["store", "ls", "--store", str(store.folder)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("state")]
    assert "1.2 MB" in line and "0.8 MB on the disk, since they share files" in line


def test_a_choice_that_there_is_not_is_told(capsys, tmp_path):
    assert main(["run", "demo", "--keep", "lsat", "--store", str(tmp_path), "--plan"]) == 2
    said = capsys.readouterr().err
    assert "there is no choice 'lsat'" in said and "--keep" in said and "last" in said
