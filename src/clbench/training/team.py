"""The ranks of a run while they work: what one of them tells the others, and what they add up.

Every rank holds the whole model and walks the same lesson with the same seeds. Of each optimiser step's batch it takes
its share, and losses and gradients are summed over the ranks before they are edited and clipped, so that every hook of
a method sees what it sees in one process. That is data parallelism as in DistributedDataParallel, but it sums once a
step and not within the backward pass: a method's own forward passes, unequal shares and parameters without a gradient
on some rank need no rules of their own.
Source: Li et al. 2020, "PyTorch Distributed", VLDB 13(12), arXiv:2006.15704.
"""

from __future__ import annotations

import atexit
import re
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from clbench.core.errors import RankError, SpecError, WorkerError
from clbench.core.process import leave
from clbench.core.ranks import Place, place
from clbench.core.spec import Machine
from clbench.models.load import device_of
from clbench.training.passes import Passes

MEET = timedelta(hours=2)  # longest wait of one rank for another within a lesson: rank 0 writes checkpoints there
PATIENCE = timedelta(days=30)  # between them, while rank 0 grades, writes and reports
GRACE = timedelta(seconds=60)  # that a rank which cannot go on waits for the others to say so too
BUCKET = 1 << 24  # numbers that are summed at a time
LOST = re.compile(r"Connection (closed|reset|refused)|Broken pipe|[Gg]loo|NCCL|[Oo]peration timed out|TCPStore")
T = TypeVar("T")
_opened: list[Team] = []  # at most one in a process, as of torch's own process group
_gone: list[RankError] = []  # why its ranks cannot work together any more


class Team:
    """This process among the ranks.

    Attributes:
        place: Where it stands.
        device: What it computes on.
    """

    def __init__(self, place: Place, device: torch.device) -> None:
        self.place = place
        self.device = device
        # A group of its own for words: they wait longer than sums do, and need no accelerator.
        words = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(words, dist.ProcessGroup), "every rank is in it"
        self._words = words

    # --- words ----------------------------------------------------------------------------------------------

    def say(self, word: Any = None) -> Any:
        """Return what rank 0 says here; the others' own words are not heard."""
        box = [word]
        with _heard(self.place):
            dist.broadcast_object_list(box, src=0, group=self._words)
        return box[0]

    def gather(self, word: T) -> list[T] | None:
        """Return the words of all ranks in their order, on rank 0; None on the others."""
        box: list[Any] | None = [None] * self.place.size if self.place.leads else None
        with _heard(self.place):
            dist.gather_object(word, box, dst=0, group=self._words)
        return box

    def all_arrive(self, *, well: bool) -> bool:
        """Wait until every rank has come here; return whether all are well.

        Raises:
            RankError: A rank ended; or this one is not well, and another has not come here within a minute, because
                it still waits for this one's part in a sum.
        """
        ill = torch.tensor([0 if well else 1])
        with _heard(self.place):
            work = dist.all_reduce(ill, group=self._words, async_op=True)
            assert work is not None, "it is asynchronous"
            work.wait() if well else work.wait(GRACE)
        return not int(ill)

    # --- sums -----------------------------------------------------------------------------------------------

    def step(
        self, backward: Callable[[], float], params: Sequence[Tensor], passes: Passes, *, wish: bool, shards: bool
    ) -> tuple[float, bool]:
        """Run this rank's share of a step backward; sum losses, gradients and counts of tokens over the ranks.

        Args:
            backward: Runs its share forward and backward, and returns its part of the loss.
            params: What learns, in the same order on every rank.
            passes: Counts its tokens; they become those of all ranks.
            wish: Whether rank 0 wants a checkpoint after this step.
            shards: Gradients of shards are summed already.

        Returns:
            The loss of the whole batch, and the wish of rank 0.

        Raises:
            ElsewhereError: This rank's share is sound, and another's is not.
            RankError: A rank ended.
        """
        before, broken, loss = passes.counted(), None, 0.0
        try:
            loss = backward()
        except Exception as error:
            if shards:  # the others wait inside their backward pass, where nothing can be said
                raise
            broken = error
        own = passes.counted() - before
        present = [p.grad is not None for p in params]
        said = [loss, float(broken is not None), float(wish and self.place.leads), *map(float, present)]
        joined = torch.cat([torch.tensor(said, dtype=torch.float64, device=self.device), own.double()])
        self._sum(joined)
        passes.add(joined[-2:].long() - own)
        total, failed, wished, *found = joined[:-2].tolist()
        if broken is not None:
            raise broken
        if failed:
            raise ElsewhereError("another rank could not take its share of a step", where=f"rank {self.place.rank}")
        if not shards:
            self._sum_gradients([p for p, number in zip(params, found, strict=True) if number])
        return total, bool(wished)

    def _sum_gradients(self, params: Sequence[Tensor]) -> None:
        for bucket in _buckets(params):
            grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            flat = torch.cat([g.reshape(-1) for g in grads])
            self._sum(flat)
            for param, piece in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                param.grad = piece.view_as(param)

    def _sum(self, value: Tensor) -> None:
        with _heard(self.place):
            dist.all_reduce(value)

    def equalise(self, params: Iterable[Tensor]) -> None:
        """Put the weights of rank 0 on every rank: replicas may part in their last digits, and would drift."""
        with _heard(self.place), torch.no_grad():
            for param in params:
                dist.broadcast(param.data, src=0)


def open_team(machine: Machine) -> Team:
    """Return this process's place among the ranks, after all of them have met.

    Raises:
        SpecError: The ranks of this machine have not a device each.
        RankError: They do not meet.
    """
    if _gone:
        raise _gone[0]
    if _opened:  # it stays for all runs of a process: ranks cannot meet twice
        return _opened[0]
    here, device = place(), device_of(machine)
    if ":" in machine.device:
        what = f"{machine.device!r} is one device, and every process takes its own"
        raise SpecError(what, where="--device", mend="--device cuda, or auto")
    if device.type not in ("cpu", "cuda"):
        mend = "take --device cpu, or one process"
        raise SpecError(f"several processes cannot share work on {device.type}", where="--device", mend=mend)
    with _heard(here):
        if device.type == "cuda":
            torch.cuda.set_device(device)
            dist.init_process_group("nccl", timeout=MEET, device_id=device)
        else:
            dist.init_process_group("gloo", timeout=MEET)
        _opened.append(Team(here, device))
    atexit.register(close_team)
    return _opened[0]


def close_team() -> None:
    """Let the ranks part, at the end of the process; where one is gone, end it here: torch would wait for that one."""
    if _gone:
        sys.stdout.flush()
        sys.stderr.flush()
        leave(1)
    if _opened:
        _opened.clear()
        with suppress(RuntimeError):
            dist.destroy_process_group()


def team_of(machine: Machine) -> Team | None:
    """Return this process's place among the ranks; None where there is one process alone."""
    return open_team(machine) if machine.processes > 1 else None


@contextmanager
def _heard(here: Place) -> Generator[None]:
    """Say what it means if others are not heard of any more.

    Raises:
        RankError: In place of the error of torch.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        if (known := lost(error, here)) is None:
            raise
        raise known from error


def lost(error: BaseException, here: Place) -> RankError | None:
    """Return the error for the user where one of torch says that another rank is gone; else None."""
    of_torch = isinstance(error, (RuntimeError, OSError)) and LOST.search(str(error)) is not None
    if not isinstance(error, dist.DistError) and not of_torch:
        return None
    gone = RankError(
        "another rank has ended, or does not answer",
        where=f"rank {here.rank} of {here.size}",
        mend="look above for what it said; what is finished is kept, and the same command resumes, also with another "
        "number of processes",
    )
    _gone.append(gone)
    return gone


class ElsewhereError(WorkerError):
    """Another rank could not take its share of a step; its own error says why."""


def _buckets(params: Sequence[Tensor]) -> Generator[list[Tensor]]:
    """Yield parameters in pieces of one type and about `BUCKET` numbers."""
    bucket: list[Tensor] = []
    for param in params:
        if bucket and (bucket[0].dtype != param.dtype or sum(p.numel() for p in bucket) >= BUCKET):
            yield bucket
            bucket = []
        bucket.append(param)
    if bucket:
        yield bucket
