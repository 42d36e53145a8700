"""`clbench check`: run the contract suite of a card, learner, scorer or metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Data, Lang, say
from clbench.core.wording import tr, translated

if TYPE_CHECKING:
    from clbench.testing import Outcome


def check(
    kind: Annotated[Literal["card", "learner", "scorer", "metric"], typer.Argument(help="What it is.")],
    name: Annotated[
        str,
        typer.Argument(
            help="Its name; of your own: a card's path, a learner's file.py:Class, a module, module.FIGURE."
        ),
    ],
    data: Data = None,
    lock: Annotated[
        bool, typer.Option("--lock", help="For a card: write its lock after a check without failures.")
    ] = False,
    lang: Lang = None,
) -> None:
    """Check a card, learner, scorer or metric against its contract; exit 2 if a check fails."""
    from clbench import testing
    from clbench.core.extras import need_models
    from clbench.data.tasks.fetch import data_root

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
        status = "skip" if outcome.skipped else "FAIL" if outcome.problem else "ok"
        why = outcome.problem or outcome.skipped
        say(f"{status:<4}  {tr(outcome.check)}{tr(': ') if why else ''}{translated(why)}")
    failures = [o for o in outcomes if o.problem]
    if failures:
        raise typer.Exit(2)
    if kind == "card" and lock:
        from clbench.data.tasks.lock import write_lock

        say(tr("locked: {path}", path=write_lock(name, data_root(data))))


def _learner(name: str) -> list[Outcome]:
    """Return the checks of a learner; a user's file is checked in another process, which it may end or block."""
    from functools import partial

    from clbench import testing
    from clbench.core.plugins import find_user_file, tell_trust
    from clbench.engine.executors.processes import in_worker

    owned = find_user_file(name, where="NAME")
    if owned is None:
        return testing.check_learner(name)
    tell_trust(owned)  # here, since workers give no such notice
    return in_worker(partial(testing.contained_check, name), f"check of {name}")


def _task_card(name: str) -> str:
    from clbench.core.errors import SpecError
    from clbench.data.exams.show import find

    kind, found = find(name)
    if kind != "tasks":
        what = f"{name!r} is the card of {'an exam' if kind == 'exams' else 'a stream'}; only task cards are checked"
        raise SpecError(what, where="NAME", mend=f"look at it: clbench show {name}")
    return found
