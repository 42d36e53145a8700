"""Options of verbs that ask a provider, what is built of them, and the lines that such verbs write."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clbench.cli.options import complain, say
from clbench.core.errors import SpecError, UserError

if TYPE_CHECKING:
    from clbench.context.cost import Budget
    from clbench.models.api.client import Address

TOO_MANY_FAILED = 3
BaseUrl = Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible API (default: $OPENAI_BASE_URL).")]
ApiKey = Annotated[str | None, typer.Option(help="Key of the API (default: $OPENAI_API_KEY).")]
Workers = Annotated[int, typer.Option(min=1, help="Most requests at a time; fewer where the provider is overloaded.")]
MaxRetries = Annotated[int, typer.Option(min=1, help="Most requests for one answer; ten times as many after a 429.")]
RetryDelay = Annotated[float, typer.Option(min=0, help="Seconds before the second try; later ones wait longer.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds for one request.")]
Rpm = Annotated[float | None, typer.Option(min=0.1, help="Most requests a minute.")]
Tpm = Annotated[float | None, typer.Option(min=1, help="Most tokens a minute.")]
BudgetUsd = Annotated[float | None, typer.Option(min=0, help="Stop before more is spent; needs --prices.")]
BudgetTokens = Annotated[int | None, typer.Option(min=0, help="Stop before more tokens are used.")]
PriceFile = Annotated[Path | None, typer.Option("--prices", help="JSON file of prices; see docs/context.md.")]
Cache = Annotated[Path | None, typer.Option(help="Folder of replies that are paid for once.")]
MaxFailRate = Annotated[
    float, typer.Option(min=0, max=1, help="Exit 3 if a larger share of rows has no answer or verdict.")
]


def tell(line: str) -> None:
    """Write a line with the time before it, as the public scripts do."""
    say(f"[{datetime.now():%Y-%m-%d %H:%M:%S}] {line}")


def tell_all(lines: Iterable[str]) -> None:
    """Write several such lines."""
    for line in lines:
        tell(line)


def address_of(base_url: str | None, api_key: str | None, timeout: float, tries: int, retry_delay: float) -> Address:
    """Return the address that is asked.

    Raises:
        ExtraError: aiohttp is not installed.
        SpecError: The public address is asked, and there is no key.
    """
    from clbench.core.extras import need
    from clbench.models.api.client import PUBLIC, Address

    need("context", "aiohttp", "asking a model over HTTP")
    url = base_url or os.environ.get("OPENAI_BASE_URL") or PUBLIC
    key = api_key or os.environ.get("OPENAI_API_KEY") or ""
    if url == PUBLIC and not key:
        mend = "set OPENAI_API_KEY or use --api-key; a server without keys is named with --base-url"
        raise SpecError("there is no key", where="--api-key", mend=mend)
    if base_url:
        tell(f"🔗 Using custom API: {base_url}")
    if not url.startswith(("http://", "https://")):
        raise SpecError(f"{url!r} is not an address", where="--base-url", mend="write http://... or https://...")
    return Address(url, key, timeout, tries, retry_delay)


def keep_apart(input_: Path, output: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        SpecError: Both are one file.
    """
    if input_.resolve() == output.resolve():
        raise SpecError(f"{output} is the input, too", where="--output", mend="name another file")


def budget_of(prices: Path | None, model: str, usd: float | None, tokens: int | None) -> Budget:
    """Return what may be spent on a model.

    Raises:
        SpecError: A limit in USD has no prices, or the file of prices cannot be used.
    """
    from clbench.context.cost import Budget, prices_of

    return Budget(usd, tokens, prices_of(prices, model))


def finish(stopped: UserError | None, num_failed: int, total: int, most: float, what: str) -> None:
    """End a verb: with the error that stopped it, or with exit code 3 if too much failed.

    Raises:
        UserError: The run was stopped.
        typer.Exit: Too much failed.
    """
    if stopped is not None:
        raise stopped
    if total and num_failed / total > most:
        complain(
            f"{num_failed} of {total} rows have no {what} ({num_failed / total:.1%} > {most:.1%})\n"
            "  to mend: run the same command again, it asks for these rows alone; or raise --max-fail-rate"
        )
        raise typer.Exit(TOO_MANY_FAILED)
