"""`clbench context`: the list of its verbs."""

from __future__ import annotations

import typer

from clbench.cli.context import estimate, evaluate, export, infer, replay, stub
from clbench.cli.options import say

app = typer.Typer(
    name="context",
    help="Context learning: the new knowledge stands in the prompt, nothing is trained.",
)


@app.callback(invoke_without_command=True)
def top(context: typer.Context) -> None:
    """Context learning: the new knowledge stands in the prompt, nothing is trained."""
    if context.invoked_subcommand is None:
        say(context.get_help())


app.command("infer")(infer.infer)
app.command("eval")(evaluate.eval_)
app.command("export")(export.export)
app.command("replay")(replay.replay)
app.command("estimate")(estimate.estimate)
app.command("stub")(stub.stub)
