"""`clbench context estimate`: tokens and money before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.context.asking import PriceFile
from clbench.cli.options import Json, Lang, say, say_json
from clbench.core.wording import padded, tr


def estimate(
    input_: Annotated[Path, typer.Option("--input", help="The data set.")] = Path("CL-bench.jsonl"),
    model: Annotated[str, typer.Option(help="The answering model, for its prices.")] = "gpt-5.1",
    judge_model: Annotated[str, typer.Option(help="The judge, for its prices.")] = "gpt-5.1",
    trials: Annotated[int, typer.Option(min=1, help="Answers for each row.")] = 1,
    output_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer, a guess.")] = 1500,
    prices: PriceFile = None,
    as_json: Json = False,
    lang: Lang = None,
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
        money = "" if part.usd is None else tr(", about {usd} USD", usd=f"{part.usd:.2f}")
        counts = {"prompt": part.prompt, "cached": part.cached, "completion": part.completion}
        tokens = "about {prompt} prompt tokens ({cached} of them cached), {completion} completion tokens"
        asked = tr("{requests} requests, {tokens}", requests=part.requests, tokens=tr(tokens, **counts))
        say(f"{padded(tr(part.what), 8)} {asked}{money}")
    if prices is None:
        say(tr("no prices: name a file with --prices for money"))
