"""`clbench store merge`: what another store holds is taken whole, and that store stays as it is."""

import hashlib
import shutil

import pytest

from clbench.cli.main import main
from clbench.core.account import account_of
from clbench.core.chat import Usage
from clbench.core.errors import StoreError
from clbench.core.keys import key
from clbench.core.prices import Prices
from clbench.core.spec import Spending
from clbench.store.gc import PARENTS
from clbench.store.merge import merge
from clbench.store.shared import share
from clbench.store.store import Store
from tests.builders.contents import content_digest

np = pytest.importorskip("numpy")


def bytes_of(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def add(store, *numbers, text="answer {}"):
    for number in numbers:
        store.once(
            "ask", key("ask", n=number), lambda f, n=number: (f / "a.jsonl").write_text(text.format(n)), {"n": 1}
        )


def add_states(store, num):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    places = []
    for number in range(1, num + 1):

        def make(folder, number=number):
            (folder / "answers").mkdir()
            held = {str(i): np.full(100_000, i, np.float32) for i in range(number)}
            save_file(held, str(folder / "answers" / "weights.safetensors"))
            share(folder, places)

        places[:] = [store.once("state", key("state", n=number), make, {})]


@pytest.fixture
def two(tmp_path):
    """Give two stores: answers 1 to 3, and answers 3 to 5 with states that share files."""
    ours, theirs = Store(tmp_path / "ours"), Store(tmp_path / "theirs")
    add(ours, 1, 2, 3)
    add(theirs, 3, 4, 5)
    add_states(theirs, 3)
    theirs.write_run("r", "0123456789", {"scores.json": "{}"})
    return ours, theirs


def test_what_is_merged_equals_what_one_store_would_hold(two, tmp_path):
    ours, theirs = two
    before = bytes_of(theirs.folder)
    done = merge(ours, theirs)
    assert (done.taken, done.had, done.beside) == (5, 1, 1)
    assert (done.differ, done.broken, done.beside_differ, done.left) == ((), (), (), ())
    whole = Store(tmp_path / "whole")
    add(whole, 1, 2, 3, 4, 5)
    add_states(whole, 3)
    assert content_digest(Store(ours.folder)) == content_digest(whole)
    assert bytes_of(theirs.folder) == before
    assert (ours.folder / "runs" / "r-01234567" / "scores.json").read_text() == "{}"
    assert not list((ours.folder / "drafts").iterdir())
    again = merge(Store(ours.folder), Store(theirs.folder))
    assert (again.taken, again.had, again.beside) == (0, 6, 0)


def test_files_that_states_share_are_shared_here_too(two):
    ours, theirs = two
    merge(ours, theirs)

    def on_disk(store):
        return sum(
            {p.stat().st_ino: p.stat().st_size for p in store.folder.rglob("state/**/*") if p.is_file()}.values()
        )

    assert on_disk(ours) < 1.05 * on_disk(theirs)


def test_what_both_made_otherwise_stays_as_it_is_here(two):
    ours, theirs = two
    add(theirs, 1, text="another machine's {}")
    ours.write_run("r", "0123456789", {"scores.json": '{"a": 1}'})
    done = merge(ours, theirs)
    assert done.differ == (("ask", key("ask", n=1)),)
    assert done.beside_differ == ("runs/r-01234567",)
    assert (ours.find("ask", key("ask", n=1)) / "a.jsonl").read_text() == "answer 1"


@pytest.mark.parametrize("damage", ["flipped", "removed", "no stage.json"])
def test_damage_is_not_taken_and_the_other_store_is_not_touched(two, damage, capsys):
    ours, theirs = two
    path = theirs.place("ask", key("ask", n=4)) / ("stage.json" if damage == "no stage.json" else "a.jsonl")
    path.unlink() if damage != "flipped" else path.write_text("Answer 4")
    before = bytes_of(theirs.folder)
    code = main(["store", "merge", str(theirs.folder), "--store", str(ours.folder)])
    said = capsys.readouterr().out
    assert bytes_of(theirs.folder) == before
    assert ours.find("ask", key("ask", n=4)) is None
    assert ours.find("ask", key("ask", n=5)) is not None
    if damage != "no stage.json":  # without it, it is a leftover of a kind that no store reads
        assert code == 2
        assert "is damaged there" in said


def paid(store, session, prompt):
    account = account_of(store.folder, Spending(name="r", session=session, tokens=1000))
    account.settle(account.reserve("m", Usage(prompt, 0, 1)), "answers", "m", Usage(prompt, 0, 1))


def test_a_budget_counts_what_both_stores_paid_once(two):
    ours, theirs = two
    paid(ours, "one", 10)
    (theirs.folder / "spent").mkdir()
    shutil.copy2(ours.folder / "spent" / "r.jsonl", theirs.folder / "spent" / "r.jsonl")
    paid(ours, "two", 10)
    paid(theirs, "three", 200)
    with (theirs.folder / "spent" / "r.jsonl").open("a") as file:
        file.write('{"cut sh')
    assert merge(ours, theirs).paid == 2, "a reservation and what was used; the copied lines stand here already"
    assert merge(ours, theirs).paid == 0
    account = account_of(
        ours.folder, Spending(name="r", prices={"m": Prices(input=1.0, cached=1.0, output=1.0)})
    ).refresh()
    assert account.usage() == Usage(220, 0, 3)


def test_a_folder_that_is_no_store_is_refused(two, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    assert main(["store", "merge", str(tmp_path / "other"), "--store", str(two[0].folder)]) == 2
    said = capsys.readouterr()
    assert "holds nothing of a store" in said.err
    assert said.out == ""


def test_parents_of_dropped_states_are_kept(two):
    ours, theirs = two
    theirs.write(PARENTS, '{"a":"b","c":null}')
    ours.write(PARENTS, '{"a":"x"}')
    merge(ours, theirs)
    assert (ours.folder / PARENTS).read_text() == '{"a":"x","c":null}'


def test_a_merge_that_is_stopped_goes_on(two, monkeypatch):
    ours, theirs = two
    copy, calls = shutil.copy2, []

    def stops(source, target):
        calls.append(source)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return copy(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", stops)
        with pytest.raises(KeyboardInterrupt):
            merge(ours, theirs)
    assert not list((ours.folder / "drafts").iterdir())
    done = merge(ours, theirs)
    assert done.broken == () and done.taken >= 1
    assert {(k, n) for k, n, _ in ours.stages()} >= {(k, n) for k, n, _ in theirs.stages()}
    assert main(["store", "verify", "--store", str(ours.folder)]) == 0


@pytest.mark.parametrize("place", ["itself", "inside", "around"])
def test_a_store_is_not_merged_with_itself(two, place):
    ours, _ = two
    other = {"itself": ours.folder, "inside": ours.folder / "ask", "around": ours.folder.parent}[place]
    with pytest.raises(StoreError, match="are one folder"):
        merge(ours, Store(other))


@pytest.mark.parametrize(("arguments", "said"), [
    (["merge"], "no store is named"),
    (["merge", "nowhere"], "there is no such store"),
    (["verify", "elsewhere"], "only merge takes other stores"),
])  # fmt: skip
def test_what_cannot_be_merged_is_told(two, capsys, arguments, said):
    assert main(["store", *arguments, "--store", str(two[0].folder)]) == 2
    assert said in capsys.readouterr().err
