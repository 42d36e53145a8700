"""`clbench check`: run the contract suite of a card, learner, scorer or metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Data, say

if TYPE_CHECKING:
    from clbench.testing import Outcome


def check(
    kind: Annotated[Literal["card", "learner", "scorer", "metric"], typer.Argument(help="What it is.")],
    name: Annotated[str, typer.Argument(help="Its name; of your own: a path, file.py:Class, dotted module.")],
    data: Data = None,
    lock: Annotated[bool, typer.Option("--lock", help="Card: write its lock after a clean check.")] = False,
) -> None:
    """Check a card, learner, scorer or metric against its contract; exit 2 if it breaks it."""
    from clbench import testing
    from clbench.core.extras import need_models
    from clbench.data.fetch import data_root

    if kind == "card":
        name = _task_card(name)
        outcomes = testing.check_card(name, data_root(data), locked=not lock)
    elif kind == "learner":
        need_models("checking a learner")
        outcomes = _learner(name)
    elif kind == "scorer":
        outcomes = testing.check_scorer(name)
    else:
        outcomes = testing.check_metric(name)
    for outcome in outcomes:
        mark = "skip" if outcome.skipped else "FAIL" if outcome.problem else "ok"
        why = outcome.problem or outcome.skipped
        say(f"{mark:<4}  {outcome.check}{': ' if why else ''}{why}")
    broken = [o for o in outcomes if o.problem]
    if broken:
        raise typer.Exit(2)
    if kind == "card" and lock:
        from clbench.data.lock import write_lock

        say(f"locked: {write_lock(name, data_root(data))}")


def _learner(name: str) -> list[Outcome]:
    """Check a learner; a user's own file in a process of its own, which it may end or stop."""
    from functools import partial

    from clbench import testing
    from clbench.core.plugins import runs_own
    from clbench.engine.executors.local import in_worker

    if not runs_own(name):
        return testing.check_learner(name)
    return in_worker(partial(testing.contained_check, name), f"check of {name}")


def _task_card(name: str) -> str:
    from clbench.core.errors import SpecError
    from clbench.data.show import find

    kind, found = find(name)
    if kind != "tasks":
        what = f"{name!r} is a card of {'an exam' if kind == 'exams' else 'a stream'}, and task cards are checked"
        raise SpecError(what, where="NAME", mend=f"look at it: clbench show {name}; check the cards of its tasks")
    return found
