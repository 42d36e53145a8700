"""What a later lesson leaves alone is linked, not written, and a state says the same whoever wrote it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from clbench.core import plugins
from clbench.core.counts import read_counts
from clbench.core.keys import folder_digest
from clbench.core.spec import Machine, ModelSpec
from clbench.data.streams.stream import lessons, open_stream
from clbench.learners.sft import PLUGIN as SFT
from clbench.store.shared import share, whole_digest
from clbench.training.method import Method
from clbench.training.plugin import trained
from clbench.training.settled import LIST, Settled, packed, unpacked
from clbench.training.state_files import load_state, load_tensors, save_state, save_tensors, whole_bytes

pytestmark = pytest.mark.models
CPU = torch.device("cpu")
QUICK = {"lr": 1e-3, "epochs": 1, "batch_size": 8}
GROWING = (
    ("lora_per_task", {"rank": 4}),
    ("olora", {"rank": 4}),
    ("adapters", {"bottleneck": 8}),
    ("separate", {}),
    ("merge", {"how": "ties"}),
    ("ewc", {"per_task": True, "fisher_examples": 1}),
)
LESSONS = [
    each.model_copy(update={"examples": each.examples[:4]})
    for each in lessons(open_stream("worlds-tiny", None).model_copy(update={"task_ids": "given"}))
]


def built(name, settings, dtype="float32"):
    plugin = plugins.load("learner", name, "PLUGIN")
    model = ModelSpec(name="tiny-llama", dtype=dtype)
    return plugin.build(plugin.config(**QUICK, **settings), model, 0, Machine(device="cpu"))


def added(states):
    """Give the bytes of tensor files that each state added to the disk."""
    seen, found = set(), []
    for state in states:
        files = {(p.stat().st_dev, p.stat().st_ino): p.stat().st_size for p in state.rglob("*") if p.is_file()}
        found.append(sum(size for file, size in files.items() if file not in seen))
        seen |= files.keys()
    return found


@pytest.mark.parametrize(
    ("name", "settings", "dtype"),
    [*((name, settings, "float32") for name, settings in GROWING), ("lora_per_task", {"rank": 4}, "bfloat16")],
)
def test_a_state_is_the_same_whenever_it_was_written_or_read(tmp_path, name, settings, dtype):
    """Never saved, saved after each lesson, and asleep after each: equal to the byte, and only what is new is added."""
    awake, saved, states = built(name, settings, dtype), built(name, settings, dtype), []
    for number, lesson in enumerate(LESSONS[:3], 1):
        awake.learn(lesson)
        saved.learn(lesson)
        states.append(tmp_path / str(number))
        saved.save(states[-1], states[-2:-1])
        share(states[-1], states[-2:-1])
        asleep = built(name, settings, dtype)
        if number > 1:
            asleep.load(tmp_path / f"asleep-{number - 1}")
        asleep.learn(lesson)
        asleep.save(tmp_path / f"asleep-{number}")
    awake.save(tmp_path / "awake")
    wholes = {whole_digest(folder) for folder in (tmp_path / "awake", tmp_path / "3", tmp_path / "asleep-3")}
    assert len(wholes) == 1
    assert read_counts(tmp_path / "awake") == read_counts(tmp_path / "3")
    assert [p.name for p in sorted((tmp_path / "3" / "parts").iterdir()) if p.stat().st_nlink > 1]
    sizes = added(states)
    assert sizes[2] < 1.3 * sizes[1]


class Moving(Method):
    """Adds a row in each lesson, and writes to the rows of earlier ones past what torch can see."""

    def prepare(self, net, number):
        for past in range(1, number):
            row = net.module.get_parameter(f"row_{past}")
            row.requires_grad_(False)
            row.data += 1
        net.module.register_parameter(f"row_{number}", torch.nn.Parameter(torch.full((3,), float(number))))


def learner_of(method):
    return trained(SFT.config(), method, ModelSpec(name="tiny-llama"), 0, Machine(device="cpu"))


def test_what_a_method_from_outside_writes_to_is_written_again(tmp_path):
    learner = learner_of(Moving())
    for number in (1, 2, 3):
        learner.number = number
        learner._prepare(number)
        _, changed, learning = learner._weights()
        learner._settled.close(changed, learning)
        learner.save(tmp_path / str(number), [tmp_path / str(number - 1)])
    woken = learner_of(Moving())
    woken.load(tmp_path / "3")
    rows = {name: p.tolist() for name, p in woken.net.module.named_parameters() if name.startswith("row_")}
    assert rows == {"row_1": [3.0] * 3, "row_2": [3.0] * 3, "row_3": [3.0] * 3}


def test_of_a_method_that_ships_what_torch_has_seen_is_written_again(tmp_path):
    known = Settled(Method(), save_tensors, load_tensors)
    one, other = torch.ones(5), torch.zeros(5)
    first = known.keep("a", {"x": one, "y": other}, tmp_path / "1", [])
    assert known.keep("a", {"x": one, "y": other}, tmp_path / "2", [tmp_path / "1"]) == first
    assert (tmp_path / "2" / "parts" / first).samefile(tmp_path / "1" / "parts" / first)
    other.add_(1)
    second = known.keep("a", {"x": one, "y": other}, tmp_path / "3", [tmp_path / "2"])
    assert second != first and not list((tmp_path / "3" / "parts").glob("new"))
    equal = known.keep("a", {"x": one.clone(), "y": other.clone()}, tmp_path / "4", [tmp_path / "3"])
    assert equal == second and (tmp_path / "4" / "parts" / equal).stat().st_nlink == 2
    assert known.keep("a", {"x": one, "y": other}, tmp_path / "5", [tmp_path / "gone"]) == second
    assert load_tensors(tmp_path / "5" / "parts" / second, CPU)["y"].tolist() == [1.0] * 5


def test_weights_that_come_back_into_training_or_change_are_loose(tmp_path):
    known = Settled(Method(), save_tensors, load_tensors)
    weights = {name: torch.full((4,), float(i)) for i, name in enumerate("abc")}

    def put(held, learning, number):
        known.close(held, learning)
        return known.split(held, tmp_path / str(number), [tmp_path / str(number - 1)]).keys()

    assert put({"a": weights["a"]}, {"a"}, 1) == {"a"}
    assert not (tmp_path / "1" / LIST).exists()
    two = {n: weights[n] for n in "ab"}
    assert put(two, {"b"}, 2) == {"b"}
    assert put(weights, {"c"}, 3) == {"c"}
    assert [group.names for group in known.groups] == [("a",), ("b",)]
    weights["a"].add_(1)
    assert put(weights, {"c"}, 4) == {"a", "c"}
    assert put(weights, {"b", "c"}, 5) == {"a", "b", "c"}
    found = Settled(Method(), save_tensors, load_tensors).read(tmp_path / "3", CPU)
    assert found["a"].tolist() == [0.0] * 4 and found["b"].tolist() == [1.0] * 4


@given(st.integers(0, 2**31), st.floats(0, 1), st.sampled_from([torch.float32, torch.bfloat16, torch.int64]))
@settings(max_examples=25, deadline=None)
def test_packed_tensors_come_back_to_the_bit(seed, filled, dtype):
    generator = torch.Generator().manual_seed(seed)
    shape = (int(torch.randint(1, 80, (), generator=generator)), 33)
    dense = torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < filled)
    dense[0, 0] = -0.0
    given_ = {"a": dense.to(dtype), "b": torch.zeros(2000), "c": torch.zeros(0, 5)}
    found = unpacked(packed(given_))
    assert found.keys() == given_.keys()
    for name, tensor in given_.items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape
        assert bytes(found[name].reshape(-1).view(torch.uint8)) == bytes(tensor.reshape(-1).view(torch.uint8))


def test_bytes_are_counted_as_if_all_stood_in_one_file(tmp_path):
    part = {f'layer.{i}.é"': torch.from_numpy(np.random.default_rng(i).standard_normal((i, 7))) for i in range(12)}
    part = {name: tensor.float() for name, tensor in part.items()}
    state = {"part.3": part, "part.10": {"w": torch.zeros(5000)}, "key": torch.ones(3), "num": 4}
    told = {}
    keep = Settled(Method(), save_tensors, load_tensors)
    sizes = [
        save_state(tmp_path / "whole" / "keeps", state),
        save_state(tmp_path / "apart" / "keeps", state, lambda n, v: keep.keep(n, v, tmp_path / "apart", [])),
    ]
    assert sizes[0] == sizes[1]
    assert len(list((tmp_path / "apart" / "parts").iterdir())) == 2
    found = load_state(tmp_path / "apart" / "keeps", CPU, lambda name, tensors, file: told.update({name: file}))
    assert set(told) == {"part.3", "part.10"} and found["num"] == 4 and torch.equal(found["key"], state["key"])
    assert all(torch.equal(found["part.3"][n], part[n]) for n in part) and found["part.10"]["w"].shape == (5000,)
    save_file({"x": torch.ones(3, 4)}, tmp_path / "x")
    assert whole_bytes({"x": torch.ones(3, 4)}) == (tmp_path / "x").stat().st_size
    assert folder_digest(tmp_path / "whole") != folder_digest(tmp_path / "apart")
