"""Every file of a store, damaged in eight ways: the damage is found, what it held is made again, records are equal."""

import shutil

import pytest

from clbench.core.spec import Machine
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import run as run_recipe
from clbench.store.store import Store
from tests.builders.contents import content_digest

pytestmark = pytest.mark.attack
RECIPE = """\
name: small
model: {name: tiny-llama}
stream: worlds-tiny
training: {lr: 1.0e-3, epochs: 1, batch_size: 8}
budget: {policy: seen, items: 4}
axes: {learner: [replay]}
"""
RECORDS = ("spec.yaml", "stream.json", "matrix.json", "items.json", "examples.json")


def cut(path, other):
    path.write_bytes(path.read_bytes()[:-3])


def emptied(path, other):
    path.write_bytes(b"")


def flipped(path, other):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def longer(path, other):
    path.write_bytes(path.read_bytes() + b"\n{}\n")


def removed(path, other):
    path.unlink()


def folder(path, other):
    path.unlink()
    path.mkdir()


def loop(path, other):
    path.unlink()
    path.symlink_to(path.name)


def swapped(path, other):
    path.write_bytes(other.read_bytes() if path.read_bytes() != other.read_bytes() else b"{}")


DAMAGES = (cut, emptied, flipped, longer, removed, folder, loop, swapped)


def run_in(store, recipe, said):
    opened = Store(store, notice=said.append)
    (result,) = run_recipe(load_recipe(recipe), opened, Machine(store=store, device="cpu")).folders
    return {name: (result / name).read_bytes() for name in RECORDS}


def files_of(store):
    stages = [p for kind in ("state", "effective", "ask", "mark", "exam") for p in (store / kind).rglob("*")]
    return sorted(p.relative_to(store) for p in stages if p.is_file())


def test_every_file_damaged_in_eight_ways(tmp_path):
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    whole = tmp_path / "whole"
    records, names, done = run_in(whole, recipe, []), files_of(whole), 0
    content = content_digest(Store(whole))
    assert len(names) > 20
    for place, name in enumerate(names):
        for damage in DAMAGES:
            store = tmp_path / "damaged"
            shutil.copytree(whole, store)
            damage(store / name, whole / names[place - 1])
            said, what = [], f"{damage.__name__} {name}"
            assert run_in(store, recipe, said) == records, what
            found = content_digest(Store(store, notice=said.append))
            if name.parts[0] == "state":  # one behind answers that are there is made again when a lesson needs it
                assert found != content, what
            else:
                assert any("made again" in text for text in said), what
                assert found == content, what
            assert not list((store / "drafts").glob("*")), what
            shutil.rmtree(store)
            done += 1
    assert done == 8 * len(names)
