"""Several processes that learn together learn what one process learns, up to rounding."""

import pytest
import torch

from clbench.core.errors import SpecError
from clbench.core.ranks import Place, place
from clbench.core.spec import Machine
from tests.builders import ranks

pytestmark = [pytest.mark.xdist_group("ranks")]
LEARNERS = ("sft", "ewc", "olora", "replay", "merge")
WAYS = {"every rank holds the model": False, "every rank holds a part": True}
MOST = 1e-3  # distance from one process, as a share of what the second lesson changed
LARGEST = 1e-3  # difference of any weight, at a rate of 1e-3: AdamW turns a gradient that is only rounding into a step


def error(found, first, last):
    wrong = sum(float((last[n] - found[n]).double().square().sum()) for n in last)
    moved = sum(float((last[n] - first.get(n, 0)).double().square().sum()) for n in last)
    return (wrong / moved) ** 0.5


def largest(found, last):
    return max(float((last[n] - found[n]).abs().max()) for n in last)


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    cases = [(name, shard, True) for name in LEARNERS for shard in WAYS.values()]
    codes = ranks.run_ranks(2, ranks.teach, folder, [*cases, ("sft", False, False)], 2)
    assert codes == [0, 0]
    return folder


@pytest.fixture(scope="module")
def alone():
    return {name: ranks.taught(name) for name in LEARNERS}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LEARNERS)
def test_two_ranks_learn_what_one_process_learns(name, way, on_two, alone):
    _, found, tokens = torch.load(on_two / f"{name}-{WAYS[way]}-True.pt")
    first, last, known = alone[name]
    assert error(found, first, last) < MOST
    assert largest(found, last) < LARGEST
    assert tokens == known


@pytest.mark.slow
def test_ranks_that_are_weighed_alike_would_be_seen(on_two, alone):
    _, found, _ = torch.load(on_two / "sft-False-False.pt")
    first, last, _ = alone["sft"]
    assert error(found, first, last) > 10 * MOST


@pytest.mark.slow
def test_four_ranks_learn_what_one_process_learns(tmp_path, alone):
    assert ranks.run_ranks(4, ranks.teach, tmp_path, [("ewc", False, True), ("replay", True, True)], 4) == [0] * 4
    for name, shard in (("ewc", False), ("replay", True)):
        _, found, tokens = torch.load(tmp_path / f"{name}-{shard}-True.pt")
        first, last, known = alone[name]
        assert error(found, first, last) < MOST
        assert tokens == known


@pytest.mark.slow
def test_a_lesson_is_resumed_with_another_number_of_ranks(tmp_path):
    ranks.interrupt("sft", tmp_path / "by-one")
    assert ranks.run_ranks(2, ranks.interrupt_and_resume, tmp_path, 2) == [0, 0]
    whole = ranks.resume("sft", None)
    assert list((tmp_path / "by-two").glob("step-*"))
    for found in (torch.load(tmp_path / "resumed.pt"), ranks.resume("sft", tmp_path / "by-two")):
        assert largest(found, whole) < LARGEST


@pytest.mark.slow
def test_a_rank_that_is_killed_is_noticed_by_the_others(tmp_path):
    codes = ranks.run_ranks(2, ranks.end_in_a_lesson, tmp_path, 2, seconds=60)
    assert codes[1] == -9
    assert codes[0] is not None, "it waits for ever"
    assert "another rank has ended" in (tmp_path / "said").read_text()


LAUNCHED = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def told(monkeypatch, **changes):
    for name, value in {**LAUNCHED, **changes}.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    return place()


def test_the_place_is_what_a_launcher_says(monkeypatch):
    assert told(monkeypatch) == Place(1, 2, 1)
    assert not place().leads
    assert told(monkeypatch, WORLD_SIZE="1") == Place()
    assert told(monkeypatch, **dict.fromkeys(LAUNCHED)) == Place()


@pytest.mark.parametrize(("changes", "said"), [
    ({"RANK": None}, "RANK is not set"),
    ({"MASTER_PORT": ""}, "MASTER_PORT is not set"),
    ({"RANK": "2"}, "not a rank"),
    ({"RANK": "first"}, "not a rank"),
    ({"WORLD_SIZE": "many"}, "not a rank"),
    ({"LOCAL_RANK": "-1"}, "not a rank"),
])  # fmt: skip
def test_what_is_not_a_place_is_refused(monkeypatch, changes, said):
    with pytest.raises(SpecError, match=said):
        told(monkeypatch, **changes)


def test_every_rank_of_a_machine_takes_an_accelerator_of_its_own(monkeypatch):
    from clbench.models.load import device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    told(monkeypatch)
    for device in ("auto", "cuda"):
        assert device_of(Machine(device=device, processes=2)) == torch.device("cuda:1")
    assert device_of(Machine(device="cpu", processes=2)) == torch.device("cpu")
    told(monkeypatch, RANK="2", LOCAL_RANK="2", WORLD_SIZE="3")
    with pytest.raises(SpecError, match="rank 2 of this machine has no accelerator: there are 2"):
        device_of(Machine(processes=3))
