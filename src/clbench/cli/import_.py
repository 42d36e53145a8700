"""`clbench import`: logs of another evaluation harness as results that every verb reads."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clbench.cli.options import Json, Lang, say, say_json
from clbench.core.errors import DataError, SpecError, did_you_mean, said_of
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.report.logs.log import Log

READERS = {
    "lm-eval": "lm_eval",
    "inspect": "inspect_ai",
    "lighteval": "lighteval",
    "evalscope": "evalscope",
    "every-eval-ever": "every_eval_ever",
}
FORMATS = tuple(READERS)


def import_(
    harness: Annotated[str, typer.Argument(help="lm-eval, inspect, lighteval, evalscope or every-eval-ever.")],
    paths: Annotated[list[Path], typer.Argument(help="A log for each checkpoint, oldest first: file, or its folder.")],
    to: Annotated[Path, typer.Option(help="Folder of the result; one that holds results is replaced.")],
    name: Annotated[str, typer.Option(help="Name of the result.")] = "imported",
    metric: Annotated[
        list[str] | None, typer.Option(help="TASK=METRIC or TASK=METRIC,FILTER (default: the log's first; repeatable).")
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Read logs item by item, so that compare, gate, watch and report work on them; nothing is asked again."""
    from clbench.core.spec import RunSpec
    from clbench.core.validation import validated
    from clbench.report.logs.as_run import as_run
    from clbench.report.runs.record import check_record_folder, record_runs

    if harness not in FORMATS:
        what = f"logs of {harness!r} are not read"
        raise SpecError(what, where="HARNESS", mend=did_you_mean(harness, FORMATS))
    validated(RunSpec, {"name": name, "learner": {"name": harness}, "stream": "none"}, "")
    check_record_folder(to)
    wanted = dict(_wanted(each) for each in metric or ())
    reader = importlib.import_module(f"clbench.report.logs.{READERS[harness]}")
    run = as_run([_read(reader, harness, path, wanted) for path in paths], name)
    record_runs([run], to)
    told = {
        "result": str(to / f"{run.name}.json"),
        "rows": len(paths),
        "exams": {c.name: c.size for c in run.matrix.columns},
    }
    if as_json:
        say_json(told)
        return
    for column, value in zip(run.matrix.columns, run.matrix.values[-1], strict=True):
        say(tr("{exam}: {score} % of {num}", exam=column.name, score=f"{100 * value:.1f}", num=column.size))
    say(tr("written to {path}", path=(to / f"{run.name}.json").resolve()))


def _read(reader: Any, harness: str, path: Path, metrics: dict[str, str]) -> Log:
    """Return what a log says.

    Raises:
        DataError: It cannot be read, or its parts are not of the kinds that the harness writes.
    """
    from clbench.report.logs.log import writable

    try:
        return writable(reader.read(path, metrics))
    except (AttributeError, TypeError, LookupError, ValueError, ArithmeticError, RecursionError) as error:
        what = f"it is not as {harness} writes it: {said_of(error)}"
        raise DataError(what, where=str(path), mend="bring the log again, or report its version") from error


def _wanted(text: str) -> tuple[str, str]:
    task, sign, metric = text.partition("=")
    if not sign or not task or not metric:
        raise SpecError(f"{text!r} does not name a metric", where="--metric", mend="--metric arc_easy=acc_norm")
    return task, metric
