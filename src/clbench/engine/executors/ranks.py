"""Make a run with several ranks: rank 0 makes it as one process does, and the others do their part of each unit."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clbench.core.errors import RankError, SpecError, StoreError, UserError, WorkerError, said_of
from clbench.core.events import notice
from clbench.core.process import end_with
from clbench.core.ranks import precision_asked, sharing_asked
from clbench.core.spec import Machine
from clbench.engine.shared_learner import End, follow
from clbench.store.origin import packages

if TYPE_CHECKING:
    from clbench.training.team import Team

SEEN_S = 20.0  # in which all ranks see a file of rank 0: a network file system may take its time
STARTED_BY = "CLBENCH_STARTED_BY"  # the process that has started the ranks, if it was clbench
T = TypeVar("T")


def together(work: Callable[[], T], machine: Machine) -> T:
    """Do the work of a run on rank 0, with the other ranks at hand; return what comes out, on every rank.

    Raises:
        UserError: The work raised it; or the ranks do not meet, or see different stores.
    """
    from clbench.training.team import open_team

    if starter := os.environ.get(STARTED_BY):
        threading.Thread(target=end_with, args=(int(starter),), daemon=True).start()
    team = open_team(machine)
    _check_store(team, machine.store)
    _compare_packages(team)
    if not team.place.leads:
        end = follow(team, machine)
        if end.error is not None:
            raise end.error
        return end.outcome
    try:
        outcome = work()
    except RankError:
        raise  # nobody is left who would hear it
    except Exception as error:
        with suppress(RankError):
            team.say(End(error=error if isinstance(error, UserError) else WorkerError(said_of(error), where="rank 0")))
        raise
    team.say(End(outcome))
    return outcome


def check_ranks(machine: Machine) -> None:
    """Refuse options that do not go together with several ranks, or with one alone.

    Raises:
        SpecError: Names them; or says that who is to share weights out by a launcher's wish does not.
    """
    _check_wishes(machine)
    if machine.processes == 1:
        if machine.shard:
            what = "one process has nobody to share weights with"
            raise SpecError(what, where="--shard", mend="start several: --processes N, torchrun or accelerate launch")
        return
    if machine.workers > 1:
        what = f"{machine.processes} processes work together on each unit, so no units go side by side"
        raise SpecError(what, where=f"--workers {machine.workers}", mend="leave --workers out")
    if machine.exam_server or machine.serve:
        mend = "take one process; it asks the server side by side"
        raise SpecError("a server is asked by one process", where="--exam-server, --serve", mend=mend)
    if machine.limit_s is not None:
        mend = "leave it out; a rank that ends takes the others with it"
        raise SpecError("a unit of several processes cannot be cut short", where="--limit", mend=mend)


def _check_wishes(machine: Machine) -> None:
    """Refuse, or tell of, what a launcher was asked to set up and clbench does itself.

    Raises:
        SpecError: Weights are to be shared out by something else, and `--shard` is not given.
    """
    if sharing := sharing_asked():
        what = f"accelerate asks for {sharing}, and clbench shares weights and moments out by torch's FSDP alone"
        if not machine.shard:
            mend = "launch it without, for example with --multi_gpu, and give `clbench run` --shard"
            raise SpecError(what, where="accelerate launch", mend=mend)
        notice(f"{what}: --shard does, and the configuration of {sharing} is not read")
    if precision := precision_asked():
        notice(
            f"--mixed_precision {precision} of accelerate is not read: `precision` and `model.dtype` of the recipe "
            "decide, so that a run is the same under every launcher"
        )


def _check_store(team: Team, folder: Path) -> None:
    """See that every rank finds what rank 0 writes: states of a store are read by all.

    Raises:
        StoreError: One does not.
    """
    probe: Path | None = None
    if team.place.leads:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder.resolve() / f".ranks-{secrets.token_hex(8)}"
        probe.touch()
    try:
        named: Path = team.say(probe)
        until = time.monotonic() + SEEN_S
        while not (seen := named.exists()) and time.monotonic() < until:
            time.sleep(0.1)
        all_see = team.all_arrive(well=seen)
    finally:
        if probe is not None:
            probe.unlink(missing_ok=True)
    if not all_see:
        what = "a rank does not see what rank 0 writes there"
        mend = "put the store on a file system that all machines share, under the same path"
        raise StoreError(what, where=str(named.parent), mend=mend)


def _compare_packages(team: Team) -> None:
    every = team.gather(packages()) or []
    if others := [rank for rank, found in enumerate(every) if found != every[0]]:
        notice(f"rank {others[0]} has other versions of packages than rank 0; those of rank 0 are on record")
