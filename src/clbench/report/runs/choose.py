"""Which of the runs found are shown: chosen by name, stream, model and learner, without those of a tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from clbench.core.errors import DataError, did_you_mean
from clbench.core.events import notice
from clbench.report.runs.load import RunRecord


@dataclass(frozen=True)
class Choice:
    """What runs must match; each is a list of names in which `*` and `?` stand for anything, and empty matches all.

    Attributes:
        run: Names of runs, with or without the key's beginning, or of recipes, whose name begins those of their runs.
        stream, model, learner: As in the spec; a model also by the last part of its path, a learner by its class.
    """

    run: tuple[str, ...] = ()
    stream: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    learner: tuple[str, ...] = ()


def choose_runs(runs: Sequence[RunRecord], choice: Choice) -> list[RunRecord]:
    """Return the runs that match every part of the choice.

    Runs that `clbench tune` made are left out with a notice where there are others, unless they are asked for by name.

    Raises:
        DataError: None is left; it names what there is.
    """
    chosen = list(runs)
    for option in ("run", "stream", "model", "learner"):
        patterns: tuple[str, ...] = vars(choice)[option]
        if option == "run":
            patterns = tuple(_runs_of_recipe(runs, pattern) for pattern in patterns)
        for pattern in patterns:
            if not any(_matches(run, option, [pattern]) for run in runs):
                known = sorted({_names(run, option)[0] for run in runs})
                mend = did_you_mean(pattern, known)
                what = f"no run is named {pattern!r}" if option == "run" else f"no run has the {option} {pattern!r}"
                raise DataError(what, where=f"--{option}", mend=mend)
        chosen = [run for run in chosen if not patterns or _matches(run, option, patterns)]
    if not chosen:
        raise DataError(
            "no run matches all of the options", where="--run, --stream, --model, --learner", mend="drop one"
        )
    tried = [run for run in chosen if of_tuning(run)]
    if tried and len(tried) < len(chosen) and not choice.run:
        notice(
            f"left out, because `clbench tune` made them (runs: {len(tried)}): --run {tried[0].spec.name!r} shows one"
        )
        return [run for run in chosen if not of_tuning(run)]
    return chosen


def of_tuning(run: RunRecord) -> bool:
    """Return whether `clbench tune` made a run, to choose settings by."""
    return list(run.provenance.get("arguments") or ())[:1] == ["tune"]


def _runs_of_recipe(runs: Sequence[RunRecord], name: str) -> str:
    """Return the pattern that takes all runs of a recipe; the name itself where a run has it, or none begins so."""
    pattern = f"{name}-*"
    named = any(_matches(run, "run", [name]) for run in runs)
    return pattern if not named and any(_matches(run, "run", [pattern]) for run in runs) else name


def _matches(run: RunRecord, option: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in _names(run, option) for pattern in patterns)


def _names(run: RunRecord, option: str) -> tuple[str, ...]:
    spec = run.spec
    if option == "run":
        return spec.name, run.name if run.folder else spec.name
    if option == "learner":
        return spec.learner_label, spec.learner_name
    name = spec.stream if option == "stream" else spec.model.name
    return name, name.rstrip("/").rpartition("/")[2]
