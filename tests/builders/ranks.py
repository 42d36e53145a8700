"""Ranks of a run as processes of their own, forked from a server that has imported torch once."""

import os
import socket
import sys

from clbench.core import plugins
from clbench.core.errors import LessonError, UserError
from clbench.core.keys import digest
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Decode, Example, Lesson, Message
from clbench.engine.executors.processes import PRELOAD
from clbench.engine.executors.workers import Workers

SMALL = {"memory": 8, "batch_size": 8, "epochs": 1, "lr": 1e-3}


def run_ranks(number, work, *arguments, seconds=150):
    """Call a function in every rank; return their exit codes."""
    context = Workers()
    context.set_forkserver_preload([*PRELOAD, "clbench.training.loop", "clbench.engine.executors.ranks"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = (number, port, [*sys.path], work, arguments)
    ranks = [context.Process(target=_rank, args=(rank, *given)) for rank in range(number)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(seconds)
        if rank.is_alive():
            rank.kill()
    return [rank.exitcode for rank in ranks]


def _rank(rank, number, port, path, work, arguments):
    sys.path[:] = path
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(number))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    work(*arguments)


def lesson(number, num=11):
    """Questions and answers of very different lengths, an odd number of them: shares are unequal."""
    examples = tuple(
        Example(
            id=f"{number}-{i}",
            prompt=(Message(role="user", content=f"what is {i} " + "zan " * (i * 5 % 13)),),
            targets=(["red", "a deep and rather unusual shade of blue"][(i + number) % 2],),
        )
        for i in range(num)
    )
    return Lesson(number=number, examples=examples, digest=digest(examples))


def built(name, **how):
    plugin = plugins.load("learner", name, "PLUGIN")
    known = {k: v for k, v in SMALL.items() if k in plugin.config.model_fields}
    return plugin.build(plugin.config(**known), ModelSpec(), 0, Machine(device="cpu", **how))


def taught(name, **how):
    """Return the weights after one lesson and after two, and the tokens of both."""
    learner, found = built(name, **how), []
    for number in (1, 2):
        learner.learn(lesson(number))
        found.append({n: p.detach().clone() for n, p in learner.net.module.named_parameters()})
    return *found, (learner._passes.tokens, learner._passes.forward_tokens)


def teach(folder, cases, number):
    """Teach two lessons in every case, (learner, shard, whether shares are weighed as they must be); rank 0 saves."""
    import torch

    from clbench.training.loop import GradientLearner
    from clbench.training.team import close_team

    sound = GradientLearner._parts
    for name, shard, weighed in cases:
        GradientLearner._parts = sound if weighed else _all_alike
        found = taught(name, processes=number, shard=shard)
        GradientLearner._parts = sound
        if os.environ["RANK"] == "0":
            torch.save(found, folder / f"{name}-{shard}-{weighed}.pt")
    close_team()


def _all_alike(self, examples, rank=0, ranks=1):
    """Weigh the ranks alike, however many targets each has."""
    from dataclasses import replace

    return [replace(self.net.batch(examples[rank::ranks]), share=1 / ranks, parts=ranks, part=rank)]


class StopError(LessonError):
    """The power fails."""


def interrupt(name, progress, **how):
    """Teach the first lesson until its first checkpoint stands."""
    learner = built(name, checkpoint_s=0.0, **how)

    def fail(net):
        if list(progress.glob("step-*")):
            raise StopError("the power fails")

    learner.method.after_step = fail
    try:
        learner.learn(lesson(1), progress)
    except StopError:
        return
    raise AssertionError("it was not interrupted")


def resume(name, progress, **how):
    """Go on with the first lesson; return the weights."""
    learner = built(name, **how)
    learner.learn(lesson(1), progress)
    return {n: p.detach().clone() for n, p in learner.net.module.named_parameters()}


def interrupt_and_resume(folder, number):
    """Leave a checkpoint of shards behind, and go on from one that a single process has left."""
    import torch

    from clbench.training.team import close_team

    interrupt("sft", folder / "by-two", processes=number, shard=True)
    found = resume("sft", folder / "by-one", processes=number, shard=True)
    if os.environ["RANK"] == "0":
        torch.save(found, folder / "resumed.pt")
    close_team()


def fail_on_one(folder, number):
    """Let a hook of rank 1 fail once in a lesson; rank 0 is told, and goes on with another learner."""
    from clbench.engine.executors.ranks import together
    from clbench.engine.shared_learner import SharedLearner
    from clbench.learners.ewc import Ewc

    sound = Ewc.loss

    def loss(self, net, batch, out):
        if os.environ["RANK"] == "1":
            raise ZeroDivisionError("only here")
        return sound(self, net, batch, out)

    machine = Machine(device="cpu", processes=number, store=folder / "store")

    def work():
        Ewc.loss = loss
        told = "nothing"
        spec = RunSpec(name="a", learner={"name": "ewc", **{k: SMALL[k] for k in ("epochs", "lr")}}, stream="none")
        try:
            SharedLearner(spec, machine).learn(lesson(1))
        except UserError as error:
            told = f"{type(error).__name__}: {error}"
        other = SharedLearner(spec.model_copy(update={"learner": {"name": "sft"}}), machine)
        other.learn(lesson(1))
        answers = other.respond(lesson(2).examples, Decode(kind="text", max_tokens=4))
        return told, [answer.example_id for answer in answers]

    if os.environ["RANK"] == "1":
        Ewc.loss = loss
    told = together(work, machine)
    (folder / f"told-{os.environ['RANK']}").write_text(repr(told))


def end_in_a_lesson(folder, number):
    """Let rank 1 be killed in the middle of a lesson."""
    import signal

    from clbench.core.errors import RankError
    from clbench.learners.ewc import Ewc

    learner = built("ewc", processes=number)
    if os.environ["RANK"] == "1":
        Ewc.loss = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    try:
        learner.learn(lesson(1))
    except RankError as error:
        (folder / "said").write_text(str(error))


def fail_before_the_others_meet(folder, number):
    """Let rank 1 fail where no other rank does, before a step in which they wait for it."""
    from datetime import timedelta

    from clbench.core.errors import RankError
    from clbench.engine.executors.ranks import together
    from clbench.engine.shared_learner import SharedLearner
    from clbench.learners.ewc import Ewc
    from clbench.training import team

    def prepare(self, net, number):
        raise ZeroDivisionError("only here")

    team.GRACE = timedelta(seconds=1)
    if os.environ["RANK"] == "1":
        Ewc.prepare = prepare
    machine = Machine(device="cpu", processes=number, store=folder / "store")
    spec = RunSpec(name="a", learner={"name": "ewc"}, stream="none")
    try:
        together(lambda: SharedLearner(spec, machine).learn(lesson(1)), machine)
    except RankError as error:
        (folder / f"told-{os.environ['RANK']}").write_text(str(error))
