"""Which learner states stay in the store once their runs are complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from clbench.core.errors import UserError
from clbench.core.events import notice
from clbench.core.spec import Keep
from clbench.engine.units import Run
from clbench.store.gc import collect
from clbench.store.store import Store


def drop_states(
    runs: Sequence[Run | UserError], outcomes: Sequence[Path | UserError], store: Store, keep: Keep
) -> None:
    """Remove states of complete runs that `keep` does not name, and say how many; all else in the store stays.

    States of runs of the same recipe that are not complete stay, so that the same command goes on from them.

    Args:
        runs: Those of a recipe; an error for one whose model cannot be used.
        outcomes: The result of each, or why there is none.
        store: The store.
        keep: See `Machine.keep`.
    """
    if keep == "all":
        return
    pairs_of = [(run, end) for run, end in zip(runs, outcomes, strict=True) if isinstance(run, Run)]
    complete = [run for run, end in pairs_of if isinstance(end, Path)]
    others = [run for run, end in pairs_of if not isinstance(end, Path)]
    mine = {key for run in complete for key in _chain(run)}
    last = {run.trajectory.keys[-1] for run in complete}
    needed = {key for run in others for key in _chain(run)}
    pairs = {pair for run in [*complete, *others] for pair in _steps(run)}
    starts = Counter(parent for parent, _ in pairs)
    branches = {key for key, num in starts.items() if num > 1} if keep == "branch" else set[str]()
    done = collect(store, (), needed | last | branches, among=mine)
    if done.dropped:
        notice(
            f"--keep {keep}: {len(done.dropped)} states of earlier lessons are removed ({done.bytes / 1e6:,.1f} MB of "
            "disk); answers and results stay, and what needs such a state again learns its lessons again"
        )


def _chain(run: Run) -> tuple[str, ...]:
    """Return the keys of all states that a run goes through, with those that it takes its first lesson from."""
    shared = run.trajectory.shared
    return run.trajectory.keys if shared is None else (*run.trajectory.keys, *shared.keys[:2])


def _steps(run: Run) -> list[tuple[str, str]]:
    """Return which state is made from which: (earlier, later)."""
    keys, shared = run.trajectory.keys, run.trajectory.shared
    steps = list(pairwise(keys))
    return steps if shared is None else [(shared.keys[1], keys[1]), *steps[1:]]
