"""`clbench context replay`: every figure again from recorded replies, with no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clbench.cli.context.asking import tell
from clbench.cli.options import Lang
from clbench.core.errors import DataError
from clbench.core.wording import tr


def replay(
    log: Annotated[Path, typer.Argument(help="The .log.jsonl that `context eval` wrote.")],
    input_: Annotated[Path, typer.Option("--input", help="The answers that were graded.")],
    output: Annotated[Path, typer.Option(help="Where the grades are written again.")],
    dataset: Annotated[Path | None, typer.Option(help="Data set: its rows are the denominator.")] = None,
    lang: Lang = None,
) -> None:
    """Grade again from the judge's recorded replies with today's code: nothing is asked and nothing is paid."""
    from clbench.cli.context.figures import show
    from clbench.context import judges
    from clbench.context.evaluate import EvalPlan, run_eval
    from clbench.context.manifest import recorded_manifest
    from clbench.context.rows import read_index, require_sound
    from clbench.models.api.client import Address
    from clbench.models.api.limits import limits_of
    from clbench.scoring.rubric.judge import settings_from

    replies = judges.recorded_replies(log)
    manifest = recorded_manifest(log)
    if manifest is None or manifest["verb"] != "eval":
        raise DataError("is not the log of an evaluation", where=str(log), mend="name the log beside the graded file")
    params: dict[str, Any] = manifest["params"]
    settings = settings_from(params)
    index = require_sound(read_index(input_))
    whole = None if dataset is None else require_sound(read_index(dataset))
    plan = EvalPlan(index, whole, output, settings, str(params["judge"]), judges.from_replies(replies, settings))
    outcome = run_eval(plan, Address(""), limits_of(1), tell)
    show(
        plan,
        lambda failed: tell(tr("   Read again: {num} grades, {failed} failed", num=outcome.num_judged, failed=failed)),
    )
