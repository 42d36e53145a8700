"""A learner that all ranks hold: what rank 0 asks of it, each of them does, and what they find comes back to rank 0.

Rank 0 alone knows recipe, plan and store; the others do what it orders (`follow`). Where a rank cannot, rank 0 goes on
without that unit, as one process would; a rank that is gone ends the run of all.
"""

from __future__ import annotations

import sys
import traceback
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clbench.core.errors import ModelError, RankError, UserError, WorkerError, said_of
from clbench.core.events import notice, notice_listener
from clbench.core.plain import plain
from clbench.core.process import staying
from clbench.core.protocols import Learner
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Ability, Answer, Decode, Example, Lesson
from clbench.engine.resolve import open_learner
from clbench.models import source

if TYPE_CHECKING:
    from clbench.training.team import Team

_numbers = count()  # of the learners of rank 0
_forgotten: list[int] = []  # those that are gone there; the others are told with the next order


class Order(NamedTuple):
    """What every rank is to do.

    Attributes:
        number: Of which learner.
        verb: "build", or what is asked of it (`Held.do`).
        arguments: The verb's.
        forgotten: Numbers of learners that are not needed any more.
    """

    number: int
    verb: str
    arguments: tuple[Any, ...]
    forgotten: tuple[int, ...]


class End(NamedTuple):
    """There is nothing more to do.

    Attributes:
        outcome: What came out.
        error: Why nothing did; None if something did.
    """

    outcome: Any = None
    error: UserError | None = None


@dataclass
class _Done:
    """What came of an order on one rank; it is pickled.

    Attributes:
        found: What was found.
        error: Why nothing was.
        notices: What was said meanwhile.
    """

    found: Any = None
    error: UserError | None = None
    notices: list[str] = field(default_factory=list)


class Held:
    """A learner on one rank, and what can be asked of it there."""

    def __init__(self, spec: RunSpec, team: Team, machine: Machine) -> None:
        self._place = team.place
        self._plugin, config = open_learner(spec.learner)
        self.learner: Learner = self._plugin.build(config, spec.model, spec.seed, machine)

    def do(self, verb: str, *arguments: Any) -> Any:
        """Do what an order says."""
        verbs: dict[str, Callable[..., Any]] = {
            "respond": self._respond,
            "learn": self.learner.learn,
            "adopt": self._adopt,
            "load": self.learner.load,
        }
        return verbs[verb](*arguments)

    def _respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        share = examples[self._place.rank :: self._place.size]
        return self.learner.respond(share, decode) if share else []

    def _adopt(self, folder: Path, lesson: Lesson) -> None:
        assert self._plugin.adopt_first_lesson is not None, "declared beside first_lesson_as"
        self._plugin.adopt_first_lesson(self.learner, folder, lesson)


class SharedLearner:
    """Stands on rank 0 for one learner on every rank; it is taught and asked as any other."""

    def __init__(self, spec: RunSpec, machine: Machine) -> None:
        from clbench.training.team import open_team

        self._team = open_team(machine)
        self._number = next(_numbers)
        weakref.finalize(self, _forgotten.append, self._number)
        held: dict[int, Held] = {}
        found = self._together("build", partial(_build, spec, self._number, held, self._team, machine), spec)
        self._own = held[self._number]
        if others := [rank for rank, identity in enumerate(found) if identity != found[0]]:
            what = f"rank {others[0]} has another model under this name than rank 0"
            raise ModelError(what, where=f"model.name {spec.model.name!r}", mend="give every machine the same folder")

    @property
    def can(self) -> frozenset[Ability]:
        """The abilities of the learner."""
        return self._own.learner.can

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer: each rank its share."""
        shares = self._all("respond", list(examples), decode)
        return [shares[i % len(shares)][i // len(shares)] for i in range(len(examples))]

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Learn a lesson together; see `Learner.learn`."""
        self._all("learn", lesson, None if progress is None else progress.resolve())

    def adopt_first_lesson(self, folder: Path, lesson: Lesson) -> None:
        """Take over a first lesson, every rank by the plug-in's own rule."""
        self._all("adopt", folder.resolve(), lesson)

    def save(self, folder: Path) -> None:
        """Write the state, which is whole on this rank."""
        self._own.learner.save(folder)

    def load(self, folder: Path) -> None:
        """Let every rank read a state."""
        self._all("load", folder.resolve())

    def _all(self, verb: str, *arguments: Any) -> list[Any]:
        return self._together(verb, partial(self._own.do, verb, *arguments), *arguments)

    def _together(self, verb: str, own: Callable[[], Any], *arguments: Any) -> list[Any]:
        """Order something of every rank and do this one's part; return what each has found, in order."""
        gone, _forgotten[:] = tuple(_forgotten), []
        self._team.say(Order(self._number, verb, arguments, gone))
        return _settled(self._team, *_attempted(own, self._team))


def follow(team: Team, machine: Machine) -> End:
    """Do what rank 0 orders, until it says that there is nothing more; return that word."""
    held: dict[int, Held] = {}
    while isinstance(said := team.say(), Order):
        for number in said.forgotten:
            held.pop(number, None)
        if said.verb == "build":
            work = partial(_build, *said.arguments, said.number, held, team, machine)
        else:
            work = partial(held[said.number].do, said.verb, *said.arguments)
        _settled(team, *_attempted(work, team))
    return said


def _build(spec: RunSpec, number: int, held: dict[int, Held], team: Team, machine: Machine) -> str:
    """Build a learner; return what identifies its model, which must be the same everywhere."""
    held[number] = Held(spec, team, machine)
    return source.identity(spec.model)


def _attempted(work: Callable[[], Any], team: Team) -> tuple[_Done, BaseException | None]:
    """Do this rank's part; return what came of it, and the error as it was.

    Raises:
        RankError: Another rank is gone.
    """
    from clbench.training.team import lost

    done = _Done()
    with _noted(done.notices, tell=team.place.leads):
        try:
            with staying():
                done.found = work()
        except (RankError, KeyboardInterrupt):
            raise
        except BaseException as error:  # also SystemExit, of a user's file
            if (gone := lost(error, team.place)) is not None:
                raise gone from error
            done.error = error if isinstance(error, UserError) else _unforeseen(error, team)
            return done, error
    return done, None


def _unforeseen(error: BaseException, team: Team) -> WorkerError:
    if not team.place.leads:  # rank 0 raises it as it is
        sys.stderr.write(plain("".join(traceback.format_exception(error))) + "\n")
    return WorkerError(said_of(error), where=f"rank {team.place.rank}", mend="its traceback stands above")


@contextmanager
def _noted(notices: list[str], *, tell: bool) -> Generator[None]:
    """Note what is said in a block; tell it as well, or leave that to rank 0."""
    before = notice_listener.get()

    def note(text: str) -> None:
        notices.append(text)
        if tell:
            before(text)

    token = notice_listener.set(note)
    try:
        yield
    finally:
        notice_listener.reset(token)


def _settled(team: Team, done: _Done, raw: BaseException | None) -> list[Any]:
    """Hear what came of an order on all ranks; return what each has found, in order, on rank 0.

    Raises:
        UserError: Of the first rank that could not do it; on rank 0 alone, which decides what becomes of it.
        RankError: A rank is gone; or this one could not do it, and another cannot go on without it.
    """
    try:
        well = team.all_arrive(well=raw is None)
    except RankError:
        if done.error is None:
            raise
        mend = f"{done.error.mend}; the others wait for this rank in vain, so the run ends; what is finished is kept"
        where = f"rank {team.place.rank}, {done.error.where}"
        raise RankError(done.error.what, where=where, mend=mend) from raw
    every = team.gather(done)
    if every is None:
        return []
    for text in dict.fromkeys(text for one in every[1:] for text in one.notices if text not in done.notices):
        notice(text)
    if not well:
        raise _first_error(every, raw)
    return [one.found for one in every]


def _first_error(every: Sequence[_Done], raw: BaseException | None) -> BaseException:
    from clbench.training.team import ElsewhereError

    found = [one.error for one in every if one.error is not None and not isinstance(one.error, ElsewhereError)]
    if raw is not None and (not isinstance(raw, ElsewhereError) or not found):
        return raw
    return found[0]
