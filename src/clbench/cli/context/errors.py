"""`clbench context errors`: what kind of errors does a system make?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.context.asking import Asking, finish, keep_apart, tell, what_is_left, with_asking
from clbench.cli.options import progress_bars, say
from clbench.core.errors import SpecError

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
) -> None:
    """Say why answers failed: context ignored or misused, format, refusal; what code can see is not asked."""
    from clbench.context.errors import ErrorPlan, run_errors
    from clbench.context.errors_text import agreement_section, class_section
    from clbench.context.graded import read_tasks
    from clbench.context.grades import files_of, load_grades, system_name
    from clbench.context.infer import manifest_beside
    from clbench.context.item_browser import read_classes
    from clbench.context.panel import part_of
    from clbench.context.tables import rendered

    names = judge_model or ["gpt-5.1"]
    if len({part_of(Path("x"), name) for name in names}) < len(names):
        raise SpecError("a judge is named twice", where="--judge-model", mend="name each once")
    paths = [each for path in files for each in files_of(path)]
    grades = load_grades(paths, None if dataset is None else read_tasks(dataset), system_name(files[0]))
    first = output or paths[0].with_name(f"{system_name(paths[0])}_errors.jsonl")
    for number, name in enumerate(names):
        keep_apart([*paths, dataset], part_of(first, name) if number else first)
    keep_apart([*paths, dataset, first], asking.manifest or manifest_beside(first), "--manifest")
    contexts = {task.id: task.context for task in grades.tasks}
    found, left = {}, asking
    for number, name in enumerate(names):
        here = left.here(name) if judge == "local" else None
        plan = ErrorPlan(grades, dataset, first if number == 0 else part_of(first, name), name, reasoning_effort)
        plan.budget, plan.here, plan.manifest = left.budget(name), here, left.manifest if number == 0 else None
        with progress_bars():
            outcome = run_errors(plan, left.address() if here is None else here.address, left.limits(), tell)
        left = what_is_left(left, plan.budget)
        tell(f"   Output: {plan.output}; spent: {plan.budget.said()}")
        total = len(plan.asked())
        finish(outcome.stop.error, total - outcome.num_judged, total, asking.max_fail_rate, "class")
        found[name] = read_classes(plan.output)
    say("\n" + rendered([class_section(found[names[0]], contexts, f"errors of {grades.name}")], format_))
    if len(names) > 1:
        asked = {(row.task.id, row.trial) for row in ErrorPlan(grades, dataset, first, "").asked()}
        judged = {name: {key: given for key, given in each.items() if key in asked} for name, each in found.items()}
        say("\n" + rendered([agreement_section(judged, contexts)], format_))
