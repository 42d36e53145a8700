"""`clbench context`: the list of its verbs."""

from __future__ import annotations

import typer

from clbench.cli.context import (
    agree,
    attack,
    audit,
    calibrate,
    compare,
    demo,
    errors,
    estimate,
    evaluate,
    export,
    infer,
    make,
    replay,
    report,
    stats,
    stub,
    verify,
)

app = typer.Typer(
    name="context",
    help="Context learning: the new knowledge stands in the prompt, nothing is trained.",
    no_args_is_help=True,
)


app.command("infer")(infer.infer)
app.command("eval")(evaluate.eval_)
app.command("export")(export.export)
app.command("replay")(replay.replay)
app.command("estimate")(estimate.estimate)
app.command("stub")(stub.stub)
app.command("make")(make.make)
app.command("demo")(demo.demo)
app.command("attack")(attack.attack)
app.command("agree")(agree.agree)
app.command("audit")(audit.audit)
app.command("calibrate")(calibrate.calibrate)
app.command("errors")(errors.errors)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("stats")(stats.stats)
app.command("verify")(verify.verify)
