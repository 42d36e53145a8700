"""`clbench context estimate`: tokens and money before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.context.asking import PriceFile
from clbench.cli.options import Json, say, say_json


def estimate(
    input_: Annotated[Path, typer.Option("--input", help="The data set.")] = Path("CL-bench.jsonl"),
    model: Annotated[str, typer.Option(help="The answering model, for its prices.")] = "gpt-5.1",
    judge_model: Annotated[str, typer.Option(help="The judge, for its prices.")] = "gpt-5.1",
    trials: Annotated[int, typer.Option(min=1, help="Answers for each row.")] = 1,
    output_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer, a guess.")] = 1500,
    prices: PriceFile = None,
    as_json: Json = False,
) -> None:
    """Estimate tokens and, with prices, money of a run: a token counts as four characters."""
    from dataclasses import asdict

    from clbench.context.estimate import estimated
    from clbench.context.rows import read_index, require_sound

    found = estimated(require_sound(read_index(input_)), trials, output_tokens, prices, (model, judge_model))
    if as_json:
        say_json([asdict(part) for part in found])
        return
    for part in found:
        money = "" if part.usd is None else f", about {part.usd:.2f} USD"
        say(
            f"{part.what:<8} {part.requests} requests, about {part.prompt} prompt tokens "
            f"({part.cached} of them cached), {part.completion} completion tokens{money}"
        )
    if prices is None:
        say("no prices: name a file with --prices for money")
