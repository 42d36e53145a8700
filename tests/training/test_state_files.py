"""Tensor files are those that safetensors writes, to the byte, and come back from wherever the store has put them."""

import pytest
import torch
from safetensors.torch import save_file

from clbench.core.errors import StoreError
from clbench.core.keys import folder_digest
from clbench.core.spec import ExamBudget, Machine, RunSpec
from clbench.engine.inputs import Inputs
from clbench.engine.units import open_run
from clbench.store import shared
from clbench.store.store import Store
from clbench.training.state_files import load_tensors, save_tensors

pytestmark = pytest.mark.models
CPU = torch.device("cpu")
NAMES = (
    "b",
    "a",
    "a.10",
    "a.9",
    "Z",
    "é",
    "中文",
    'quo"te',
    "back\\slash",
    "tab\tline\n",
    "\x01\x1f\x7f",
    "\u2028",
    "😀",
    "/",
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_files_are_those_of_the_library(tmp_path, dtype):
    torch.manual_seed(0)
    shapes = [(3, 5), (7,), (), (0,), (1, 1, 2), (0, 4), (13,)]
    for count in range(1, len(NAMES) + 1):
        tensors = {n: torch.randn(shapes[i % len(shapes)]).to(dtype) for i, n in enumerate(NAMES[:count])}
        save_tensors(tmp_path / "ours", tensors)
        save_file({n: tensors[n] for n in sorted(tensors)}, tmp_path / "theirs")
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_what_is_not_contiguous_or_of_several_types_is_written_as_it_reads(tmp_path):
    wide = torch.arange(12.0).reshape(3, 4)
    for tensors in ({"t": wide.T, "s": wide[:, 1]}, {"f": wide, "i": torch.arange(5), "b": torch.tensor([True])}):
        save_tensors(tmp_path / "f", tensors)
        found = load_tensors(tmp_path / "f", CPU)
        assert found.keys() == tensors.keys() and all(torch.equal(found[n], tensors[n]) for n in tensors)


STREAM = """\
name: few
worlds: [{num: 3, kinds: [facts], languages: [en], seed: 7, items: 8, classes: 3, wordings: 1, exam_items: 4}]
task_ids: given
about: {license: Apache-2.0, text: small lessons}
"""


def trajectory(folder, learner):
    folder.mkdir(exist_ok=True)
    (folder / "few.yaml").write_text(STREAM)
    spec = RunSpec(name="a", learner=learner, stream=str(folder / "few.yaml"), budget=ExamBudget(policy="seen"))
    machine = Machine(store=folder / "store", device="cpu")
    return open_run(spec, Inputs(None), Store(machine.store), machine).trajectory


QUICK = {"lr": 1e-3, "epochs": 1, "batch_size": 8}
KEEPING = (
    {"name": "ewc", "per_task": True, "fisher_examples": 2},
    {"name": "merge", "how": "ties"},
    {"name": "separate"},
    {"name": "olora", "rank": 4},
)


def linked(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_nlink > 1]


@pytest.mark.slow
@pytest.mark.parametrize("settings", KEEPING, ids=lambda settings: settings["name"])
def test_shared_states_are_those_that_are_whole(tmp_path, monkeypatch, settings):
    """The same keys, fingerprints and counts, and a learner that wakes as the same; the disk holds less."""
    made = trajectory(tmp_path / "shared", {**settings, **QUICK})
    known = [dict(made.reach(lesson)) for lesson in (1, 2, 3)]
    monkeypatch.setattr("clbench.engine.trajectory.share", lambda state, earlier: None)
    monkeypatch.setattr("clbench.training.settled._linked", lambda file, state, earlier: False)
    whole = trajectory(tmp_path / "whole", {**settings, **QUICK})
    assert made.keys == whole.keys
    assert known == [dict(whole.reach(lesson)) for lesson in (1, 2, 3)]
    assert any(linked(made.folder(3))) and not any(linked(whole.folder(3)))
    for lesson in (1, 2, 3):
        folders = []
        for each in (made, whole):
            woken = each._fresh()
            woken.load(each.folder(lesson))
            folders.append(tmp_path / f"{lesson}-{each is made}")
            woken.save(folders[-1])
        assert folder_digest(folders[0]) == folder_digest(folders[1])
        stored = whole.folder(lesson)
        saved = [p for p in sorted(stored.rglob("*")) if p.is_file() and p.name != "stage.json"]
        assert folder_digest(folders[0]) == folder_digest(stored, [p.relative_to(stored).as_posix() for p in saved])
    sizes = [shared.disk_bytes([each.store.folder / "state"]) for each in (made, whole)]
    assert sizes[0] < 0.9 * sizes[1]


def test_a_damaged_layout_is_told(tmp_path):
    path = tmp_path / "answers" / "weights.safetensors"
    path.parent.mkdir()
    for text in ("", "{", "[]", "null", '{"sha256": "x", "parts": [], "tensors": {"a": 0}}', '{"parts": 1}'):
        path.with_name(f"{path.name}.parts").write_text(text)
        with pytest.raises(StoreError, match="cannot be read"):
            load_tensors(path, CPU)
    path.with_name(f"{path.name}.parts").write_text('{"sha256": "x", "parts": ["y"], "tensors": {"a": 0}}')
    with pytest.raises(StoreError, match="cannot be read"):
        load_tensors(path, CPU)
