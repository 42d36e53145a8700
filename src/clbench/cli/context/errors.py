"""`clbench context errors`: what kind of errors does a system make?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.context.asking import Asking, finish, keep_apart, tell, what_is_left, with_asking
from clbench.cli.options import Lang, progress_bars, say
from clbench.core.errors import SpecError
from clbench.core.wording import tr, translated

if TYPE_CHECKING:
    from clbench.context.errors import ErrorPlan

Models = Annotated[
    list[str] | None, typer.Option(help="Judge model name (default: gpt-5.1); a second one shows kappa.")
]


@with_asking
def errors(
    asking: Asking,
    files: Annotated[list[Path], typer.Argument(help="Graded files of one system: trials or parts; or a folder.")],
    output: Annotated[
        Path | None, typer.Option(help="Classes (default: beside the first file, _errors.jsonl).")
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="The data set, where rows lack their task.")] = None,
    judge_model: Models = None,
    judge: Annotated[
        Literal["openai", "local"], typer.Option(help="An address, or a model in this process.")
    ] = "openai",
    reasoning_effort: Annotated[str | None, typer.Option(help="Of the judge (default: not sent).")] = None,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the tables.")] = "text",
    lang: Lang = None,
) -> None:
    """Say why answers failed: context ignored or misused, format, refusal; what code can see is not asked."""
    from clbench.context.errors import ErrorPlan
    from clbench.context.graded import read_tasks
    from clbench.context.grades import files_of, load_grades, system_name
    from clbench.context.infer import manifest_beside

    paths = [each for path in files for each in files_of(path)]
    first = output or paths[0].with_name(f"{system_name(paths[0])}_errors.jsonl")
    places = _places(judge_model or ["gpt-5.1"], first)
    for place in places.values():
        keep_apart([*paths, dataset], place)
    keep_apart([*paths, dataset, first], asking.manifest or manifest_beside(first), "--manifest")
    grades = load_grades(paths, None if dataset is None else read_tasks(dataset), system_name(files[0]))
    plans: list[ErrorPlan] = []
    for name, place in places.items():
        plans.append(_classified(asking, judge, ErrorPlan(grades, dataset, place, name, reasoning_effort)))
        asking = replace(what_is_left(asking, plans[-1].budget), manifest=None)
    _show(plans, format_)


def _places(names: list[str], first: Path) -> dict[str, Path]:
    """Return where the classes of each judge are written.

    Raises:
        SpecError: A judge is named twice.
    """
    from clbench.context.panel import part_of

    places = {name: part_of(first, name) if number else first for number, name in enumerate(names)}
    if len({part_of(first, name) for name in names}) < len(names):
        raise SpecError("a judge is named twice", where="--judge-model", mend="name each once")
    return places


def _classified(asking: Asking, judge: str, plan: ErrorPlan) -> ErrorPlan:
    """Classify errors with one judge, and return what was done.

    Raises:
        UserError: The run was stopped.
        typer.Exit: Too much failed.
    """
    from clbench.context.errors import run_errors

    plan.budget, plan.manifest = asking.budget(plan.model), asking.manifest
    plan.here = asking.here(plan.model) if judge == "local" else None
    address = asking.address() if plan.here is None else plan.here.address
    with progress_bars():
        outcome = run_errors(plan, address, asking.limits(), tell)
    tell(tr("   Output: {path}; spent: {spent}", path=plan.output, spent=translated(plan.budget.said())))
    total = len(plan.asked())
    finish(outcome.stop.error, total - outcome.num_judged, total, asking.max_fail_rate, "class")
    return plan


def _show(plans: list[ErrorPlan], form: Literal["text", "markdown", "csv"]) -> None:
    """Write the classes of the first judge and, of several, how far they agree."""
    from clbench.context.errors_text import agreement_section, class_section
    from clbench.context.item_browser import read_classes
    from clbench.context.tables import shown

    grades = plans[0].grades
    contexts = {task.id: task.context for task in grades.tasks}
    found = {plan.model: read_classes(plan.output) for plan in plans}
    title = f"errors of {grades.name}"
    say("\n" + shown(lambda: [class_section(found[plans[0].model], contexts, title)], form))
    if len(plans) > 1:
        asked = {(row.task.id, row.trial) for row in plans[0].asked()}
        judged = {name: {key: given for key, given in each.items() if key in asked} for name, each in found.items()}
        say("\n" + shown(lambda: [agreement_section(judged, contexts)], form))
