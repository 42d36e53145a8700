"""Memory that runs out in an exam: smaller batches, the same answers, and the user is told."""

import pytest
import torch

from clbench.core import events
from clbench.core.errors import ModelError
from clbench.core.resource_probes import EXAM_BATCHES
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message, Request
from clbench.models.backoff import ran_out, within_memory
from clbench.models.load import load_net

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("models")]
CHOICES = ("red", "blue", "a longer choice")
EXAMPLES = [
    Example(
        id=str(i),
        prompt=(Message(role="user", content="What is it? " + "zanmir vek " * i),),
        choices=CHOICES,
        requests=(
            Request(kind="text", context="say " * (i + 1), max_tokens=4),
            Request(kind="loglik", context="it is " * (i + 1), continuation=" red"),
        ),
    )
    for i in range(7)
]
ASKED = [Decode(max_tokens=6), Decode(max_tokens=4, temperature=1.0), Decode(kind="label"), Decode(kind="raw")]
ALLOCATOR = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-bert"])
def net(request):
    return load_net(ModelSpec(name=request.param), Machine(device="cpu"))


@pytest.fixture
def told():
    said = []
    token = events.notice_listener.set(said.append)
    EXAM_BATCHES.clear()
    yield said
    events.notice_listener.reset(token)


def small(net, most, error):
    """Let forward passes of more than `most` rows fail."""

    def check(_, __, given):
        if len(given["input_ids"]) > most:
            raise error

    return net.module.register_forward_pre_hook(check, with_kwargs=True)


def near(answers):
    return [
        a.model_copy(update={"replies": tuple((r.text, round(r.loglik or 0.0, 3)) for r in a.replies)}) for a in answers
    ]


@pytest.mark.parametrize("way", ["packed", "whole"])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(ALLOCATOR)])
def test_smaller_batches_give_the_same_answers(net, error, way, told, monkeypatch):
    decodes = ASKED if not net.labels and net.can >= {"text"} else [Decode(kind="label")]
    if len(decodes) > 1:
        monkeypatch.setattr(net, "way", way)
    expected = [near(net.respond(EXAMPLES, decode)) for decode in decodes]
    hook = small(net, 2, error)
    try:
        assert [near(net.respond(EXAMPLES, decode)) for decode in decodes] == expected
    finally:
        hook.remove()
    if way == "packed":
        assert told[0] == f"{net.spec.name}: memory ran out with 7 questions side by side; 3 are asked at a time"
        assert min(EXAM_BATCHES) == 1


def test_a_single_question_that_does_not_fit_is_told(net, told):
    hook = small(net, 0, torch.OutOfMemoryError("CUDA out of memory."))
    try:
        with pytest.raises(ModelError, match="as few questions side by side as can be asked") as error:
            net.respond(EXAMPLES, Decode(kind="label"))
    finally:
        hook.remove()
    assert "max_tokens" in error.value.mend
    assert EXAM_BATCHES[-1] == 1


def test_other_errors_pass(net):
    hook = small(net, 2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    try:
        with pytest.raises(RuntimeError, match="shapes cannot"):
            net.respond(EXAMPLES, Decode(kind="label"))
    finally:
        hook.remove()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_16_bits_the_batch_is_not_made_smaller(dtype):
    def ask(rows):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(ModelError, match="16 bits") as error:
        list(within_memory(ModelSpec(name="m", dtype=dtype), [[0, 1, 2]], ask))
    assert "--exam-batch 1" in error.value.mend


def test_every_question_is_asked_once_whatever_fits(told):
    done = []

    def ask(rows):
        if len(rows) * max(rows) > 9:
            raise MemoryError
        done.extend(rows)
        return sum(rows)

    found = list(within_memory(ModelSpec(name="m"), [[0, 1, 2, 3, 4], [5, 6, 7], [8]], ask))
    assert done == [*range(9)] == [i for rows, _ in found for i in rows]
    assert all(sum(rows) == value for rows, value in found)
    assert [text.rpartition("; ")[2] for text in told] == ["2 are asked at a time", "1 are asked at a time"]


def test_what_says_that_memory_ran_out():
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 60, dtype=torch.uint8)  # more than any machine has
    assert ran_out(refused.value)
    assert not ran_out(ValueError("out of memory"))
