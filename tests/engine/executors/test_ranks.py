"""Options of several ranks, and which accelerator each process takes."""

import os
from functools import partial

import pytest

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.events import notice_listener
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.engine.ask import answers_key
from clbench.engine.executors import devices, processes
from clbench.engine.executors.ranks import check_ranks
from clbench.engine.resolve import check_shards
from clbench.store import origin
from tests.builders.forked import fork_workers


@pytest.mark.parametrize(("options", "said"), [
    ({"shard": True}, "--shard: one process has nobody"),
    ({"processes": 2, "workers": 2}, "--workers 2: 2 processes work together"),
    ({"processes": 2, "limit_s": 5.0}, "--limit: a unit of several processes"),
])  # fmt: skip
def test_options_that_do_not_go_together(options, said):
    with pytest.raises(SpecError) as told:
        check_ranks(Machine(**options))
    assert said in str(told.value)


@pytest.mark.parametrize("wish", ["DEEPSPEED", "FSDP", "MEGATRON_LM"])
def test_another_way_to_share_weights_out_is_refused_or_told(monkeypatch, wish):
    """What `accelerate launch --use_deepspeed` sets must not be dropped in silence: the run would not fit."""
    monkeypatch.setenv(f"ACCELERATE_USE_{wish}", "true")
    for options in ({}, {"processes": 2}):
        with pytest.raises(SpecError, match="give `clbench run` --shard") as told:
            check_ranks(Machine(**options))
        assert "accelerate launch: accelerate asks for" in str(told.value)
    heard = []
    token = notice_listener.set(heard.append)
    check_ranks(Machine(processes=2, shard=True))
    monkeypatch.setenv(f"ACCELERATE_USE_{wish}", "false")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    check_ranks(Machine(processes=2))
    assert len(heard) == 1 and "--shard does" in heard[0]
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    check_ranks(Machine(processes=2))
    notice_listener.reset(token)
    assert heard[1:] == [text for text in heard if text.startswith("--mixed_precision fp16 of accelerate is not read")]


def test_options_that_do():
    check_ranks(Machine(workers=4, limit_s=5.0))
    check_ranks(Machine(processes=2, shard=True))


WHOLE = {"agem", "derpp", "generative_replay", "lwf", "osf", "progressive_prompts"}  # they need it in every step


def test_which_learners_shard():
    refused = set()
    for name in plugins.names("learner"):
        spec = RunSpec(name="a", learner={"name": name}, stream="s")
        check_shards(spec, Machine(processes=2))
        try:
            check_shards(spec, Machine(processes=2, shard=True))
        except SpecError as error:
            assert f"{name!r} looks at whole weights or gradients" in str(error)
            refused.add(name)
    assert refused == WHOLE


def test_a_combination_shards_if_all_its_parts_do():
    parts = [{"name": "replay"}, {"name": "agem"}]
    check_shards(RunSpec(name="a", learner={"name": "combine"}, stream="s"), Machine(processes=2, shard=True))
    with pytest.raises(SpecError, match="'combine' looks at whole"):
        check_shards(
            RunSpec(name="a", learner={"name": "combine", "parts": parts}, stream="s"),
            Machine(processes=2, shard=True),
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_number_of_ranks_is_part_of_a_key_in_16_bits_alone(dtype):
    from clbench.core.types import Decode, Exam, ScorerSpec

    asked = {"examples": (), "decode": Decode(kind="label"), "scorer": ScorerSpec(name="exact")}
    exam = Exam(name="e", needs=frozenset({"label"}), digest="d", **asked)
    model = ModelSpec(dtype=dtype, max_tokens=64)
    one, two = (answers_key("f", exam, model, Machine(processes=number)) for number in (1, 2))
    assert (one == two) == (dtype == "float32")


@pytest.fixture
def three_accelerators(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(origin, "gpus", lambda: ("GPU 0: A", "GPU 1: A", "GPU 2: A"))
    monkeypatch.setattr(origin, "package_version", lambda _: "2.9.0+cu128")


@pytest.mark.parametrize(
    ("visible", "number"), [(None, 3), ("1,2", 2), ("", 0), ("-1", 0), ("0,-1,2", 1), ("GPU-ab", 1)]
)
def test_accelerators_are_those_that_this_process_may_use(three_accelerators, monkeypatch, visible, number):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert origin.accelerators() == number


def test_without_support_in_torch_there_is_no_accelerator(three_accelerators, monkeypatch):
    monkeypatch.setattr(origin, "package_version", lambda _: "2.9.0+cpu")
    assert origin.accelerators() == 0


def test_one_worker_for_each_accelerator(three_accelerators, monkeypatch):
    assert [devices.room_for_workers(name) for name in ("auto", "cuda", "cuda:1", "mps")] == [3, 3, 1, 1]
    assert devices.room_for_workers("cpu") == origin.cores()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.room_for_workers("auto") == origin.cores()


def test_workers_take_accelerators_in_turn(three_accelerators):
    assert devices.seats(Machine(device="auto"), 4) == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    assert devices.seats(Machine(device="cuda:1"), 4) == devices.seats(Machine(device="cpu"), 4) == []


def _own_device(folder):
    import time

    (folder / f"{os.getpid()}").write_text(processes._worker.device)
    while len(list(folder.iterdir())) < 3:
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_worker_is_pinned_to_an_accelerator_of_its_own(tmp_path, monkeypatch):
    fork_workers(monkeypatch)
    pools = processes.Pools(3, ["cuda:0", "cuda:1", "cuda:2"])
    try:
        for future in [pools.submit(slot, partial(_own_device, tmp_path), "device") for slot in range(3)]:
            future.result()
    finally:
        pools.close()
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["cuda:0", "cuda:1", "cuda:2"]


def test_a_unit_is_made_on_the_worker_s_own_device(monkeypatch):
    seen = []
    monkeypatch.setattr(processes, "make_unit", lambda unit, workplace: seen.append(workplace.machine.device))
    monkeypatch.setattr(processes, "_worker", processes._Worker(tell=lambda _: None, device="cuda:2"))
    processes._make("unit", Machine(device="auto"))
    assert seen == ["cuda:2"]
