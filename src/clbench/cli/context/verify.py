"""`clbench context verify`: can a submission be taken as it stands?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.context.asking import Asking, with_asking
from clbench.cli.context.rejudging import judged_again, rejudged_section
from clbench.cli.options import Json, Lang, say, say_json

if TYPE_CHECKING:
    from clbench.context.tables import Section
    from clbench.context.verify import Verdict

FOUND = 2
Effort = Annotated[Literal["low", "medium", "high"] | None, typer.Option(help="Of the judge (default: not sent).")]


@with_asking
def verify(
    asking: Asking,
    submission: Annotated[
        list[Path], typer.Argument(help="Graded files: parts, or a trial each; or a folder of them.")
    ],
    dataset: Annotated[Path, typer.Option(help="The data set that was to be answered.")],
    trials: Annotated[int | None, typer.Option(min=1, help="How many trials it claims.")] = None,
    as_json: Json = False,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the report.")] = "text",
    rejudge: Annotated[int | None, typer.Option(min=1, help="Judge so many of its answers again.")] = None,
    judge: Annotated[str, typer.Option(help="With --rejudge: openai, local or exact.")] = "openai",
    judge_model: Annotated[str, typer.Option(help="With --rejudge: the judge that the submission had.")] = "gpt-5.1",
    reasoning_effort: Effort = None,
    rejudged: Annotated[
        Path | None,
        typer.Option(help="Grades of the sample (default: in outputs/, by its name)."),
    ] = None,
    lang: Lang = None,
) -> int:
    """Hold a submission against its data set. Exit code 0: nothing found, 2: findings, 3: it cannot be read."""
    from clbench.context.findings import counted, finding_sections
    from clbench.context.grades import files_of, system_name
    from clbench.context.tables import as_values, shown
    from clbench.context.verify import MEANINGS
    from clbench.context.verify import verify as verified

    paths = [each for path in submission for each in files_of(path)]
    found = verified(paths, dataset, trials)
    again = None
    if rejudge is not None:
        out = rejudged or Path("outputs") / f"{system_name(submission[0])}_rejudged.jsonl"
        again = judged_again(paths, dataset, rejudge, out, asking, (judge, judge_model, reasoning_effort))
    code = FOUND if found.findings or (again is not None and again.verdict == "overstated") else 0
    if as_json:
        more = {} if again is None else {"rejudged": {"verdict": again.verdict, **as_values(again)}}
        values = {"verdict": "findings" if code else "clean", "counts": counted(found.findings)}
        say_json({**values, **as_values(found), **more})
        return code
    more = [] if again is None else [rejudged_section(again, found.recomputed)]
    say(shown(lambda: [_head(found), *finding_sections(found.findings, MEANINGS), *more], format_))
    return code


def _head(found: Verdict) -> Section:
    from clbench.context.tables import Section, percent

    rows = (
        ("tasks of the data set", str(found.tasks)),
        ("trials", str(found.trials)),
        ("rows", str(found.rows)),
        ("solved, %, as the rows declare", percent(found.declared)),
        ("solved, %, by labels over tasks x trials", percent(found.recomputed)),
        ("findings", str(len(found.findings))),
    )
    notes = () if found.findings else ("nothing was found",)
    return Section("submission", ("figure", "value"), rows, notes, words=True)
