"""`clbench context attack`: can answers talk a judge into a score?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clbench.cli.context.asking import Asking, finish, tell, with_asking
from clbench.cli.options import Lang, say
from clbench.core.wording import tr, translated


@with_asking
def attack(
    asking: Asking,
    judge_model: Annotated[str, typer.Option(help="Judge model name.")] = "gpt-5.1",
    judge: Annotated[
        Literal["openai", "local"], typer.Option(help="An address, or a model in this process.")
    ] = "openai",
    judge_prompt: Annotated[
        Path | None, typer.Option(help="The public eval.py, or a prompt, to compare with (default: its outline).")
    ] = None,
    answers: Annotated[int, typer.Option(min=3, help="Honest answers; the wrong ones among them attack.")] = 30,
    format_: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="Of the tables.")] = "text",
    lang: Lang = None,
) -> None:
    """Ask a judge about answers that attack it: how many succeed, under the default and the public prompt."""
    from clbench.context.attack_suite import run_suite, suite_sections
    from clbench.context.public_prompts import prompt_template
    from clbench.context.tables import shown

    template = None if judge_prompt is None else prompt_template(judge_prompt)
    here = asking.here(judge_model) if judge == "local" else None
    address = asking.address() if here is None else here.address
    budget = asking.budget(judge_model)
    found = run_suite(here, address, asking.limits(), (judge_model, template, answers), budget)
    tell(tr("   Spent: {spent}", spent=translated(budget.said())))
    say("\n" + shown(lambda: suite_sections(found), format_))
    finish(None, found.silent, found.asked, asking.max_fail_rate, "verdict")
