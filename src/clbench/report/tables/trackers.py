"""Send finished runs to a tracker: MLflow, Weights & Biases or trackio. Nothing is sent unless it is asked for."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from clbench.core.errors import SpecError
from clbench.core.events import Progress, report_progress
from clbench.report.runs.load import RunRecord

Tracker = Literal["mlflow", "wandb", "trackio"]
PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb", "trackio": "trackio"}


def send(runs: Sequence[RunRecord], tracker: Tracker, project: str) -> None:
    """Send every run: its spec as parameters, its scores after each lesson as steps, its figures as the last values.

    The tracker's own environment variables say where it goes (server, account, folder).

    Raises:
        SpecError: The tracker's package is not installed.
    """
    try:
        library: Any = importlib.import_module(tracker)
    except ImportError:
        mend = f'pip install "clbench[{tracker}]" (package {PACKAGES[tracker]})'
        raise SpecError(f"{tracker} is not installed", where="--to", mend=mend) from None
    for done, run in enumerate(runs):
        report_progress(Progress(f"to {tracker}", done, len(runs), slot=0))
        (_mlflow if tracker == "mlflow" else _stepwise)(library, run, project)
    report_progress(Progress(f"to {tracker}", len(runs), len(runs), slot=0))


def _mlflow(library: Any, run: RunRecord, project: str) -> None:
    library.set_experiment(project)
    with library.start_run(run_name=run.spec.name):
        library.log_params({name: str(value)[:500] for name, value in _flat(_settings(run))})
        library.set_tags({"clbench.key": run.spec.key, "clbench.commit": _commit(run)})
        for lesson, values in enumerate(_rows(run)):
            library.log_metrics({_slug(name): value for name, value in values.items()}, step=lesson)
        library.log_metrics({_slug(f"figure.{name}"): value for name, value in _known(run.scores).items()})


def _stepwise(library: Any, run: RunRecord, project: str) -> None:
    """Send a run to Weights & Biases or trackio, which take the same calls."""
    config = {**dict(_flat(_settings(run))), "key": run.spec.key, "commit": _commit(run)}
    library.init(project=project, name=run.spec.name, config=config)
    figures = {f"figure/{name}": value for name, value in _known(run.scores).items()}
    rows = list(_rows(run))
    for lesson, values in enumerate(rows):
        named = {f"R/{name}": value for name, value in values.items()}
        library.log({**named, **(figures if lesson == len(rows) - 1 else {})}, step=lesson)
    library.finish()


def _settings(run: RunRecord) -> dict[str, Any]:
    return run.spec.model_dump(mode="json", exclude={"name", "metrics"})


def _commit(run: RunRecord) -> str:
    git = run.provenance.get("git")
    return str(git.get("commit", "")) if isinstance(git, dict) else ""


def _rows(run: RunRecord) -> Iterator[dict[str, float]]:
    for values in run.matrix.values:
        yield _known(dict(zip(run.matrix.exams, map(float, values), strict=True)))


def _known(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values that are defined: trackers draw NaN as a hole or refuse it."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        if isinstance(part, Mapping):
            yield from _flat(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part


def _slug(name: str) -> str:
    """Return a name with only the characters that MLflow takes in a metric's name."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. /") else "_" for c in name)
