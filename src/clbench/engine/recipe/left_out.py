"""Pairs of a model and a learner that a recipe names by its axes, and that are left out: they do not go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from clbench.core.errors import SpecError, UserError
from clbench.core.events import notice
from clbench.core.spec import RunSpec
from clbench.engine.resolve import inapplicable, model_key


def not_of_both(spec: RunSpec, axes: Iterable[str], broken: Mapping[str, UserError]) -> SpecError | None:
    """Return why a learner is not defined on a model, where both are varied: such a pair is left out.

    Args:
        spec: What would be run.
        axes: What the recipe varies.
        broken: Models that cannot be used, `resolve.model_key` -> why: of them nothing is known.
    """
    rooms = {axis.partition(".")[0] for axis in axes}
    both = {"model", "learner"} <= rooms and model_key(spec.model) not in broken
    return inapplicable(spec) if both else None


def tell_left_out(left_out: Mapping[str, Mapping[str, SpecError]], runs: Sequence[RunSpec]) -> None:
    """Say which learners were left out of which models, in one line a model.

    Args:
        left_out: Model -> learner -> why.
        runs: What is left.

    Raises:
        SpecError: Nothing is.
    """
    for model, learners in left_out.items():
        first = next(iter(learners.values()))
        if not runs:
            raise first
        notice(f"{model}: left out, since they are not defined on it: {', '.join(learners)} ({first.what})")
