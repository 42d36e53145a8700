"""Options of verbs that ask a model, what is built of them, and the lines that such verbs write."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clbench.cli.options import Device, complain, machine, model_spec, say
from clbench.cli.shared import with_shared
from clbench.core.errors import SpecError, UserError
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.context.cost import Budget
    from clbench.models.api.client import Address
    from clbench.models.api.limits import Limits
    from clbench.models.here import Here

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
Manifest = Annotated[Path | None, typer.Option(help="Where the manifest is written (default: beside the output).")]
MaxFailRate = Annotated[
    float, typer.Option(min=0, max=1, help="Exit 3 if a larger share of rows has no answer or verdict.")
]


@dataclass(frozen=True)
class Asking:
    """The options that every verb has that asks a model; see `with_asking`."""

    base_url: BaseUrl = None
    api_key: ApiKey = None
    workers: Workers = 1
    max_retries: MaxRetries = 3
    retry_delay: RetryDelay = 3
    timeout: Timeout = 600
    rpm: Rpm = None
    tpm: Tpm = None
    budget_usd: BudgetUsd = None
    budget_tokens: BudgetTokens = None
    prices: PriceFile = None
    cache: Cache = None
    manifest: Manifest = None
    max_fail_rate: MaxFailRate = 0.05
    device: Device = "auto"

    def address(self, *, quiet: bool = False) -> Address:
        """Return the address that is asked; unless `quiet`, a line says it where it is the user's own.

        Raises:
            ExtraError: aiohttp is not installed.
            SpecError: The public address is asked, and there is no key.
        """
        from clbench.core.extras import need
        from clbench.models.api.client import PUBLIC, Address

        need("context", "aiohttp", "asking a model over HTTP")
        url = self.base_url or os.environ.get("OPENAI_BASE_URL") or PUBLIC
        key = self.api_key or os.environ.get("OPENAI_API_KEY") or ""
        if url == PUBLIC and not key:
            mend = "set OPENAI_API_KEY or use --api-key; a server without keys is named with --base-url"
            raise SpecError("there is no key", where="--api-key", mend=mend)
        if self.base_url and not quiet:
            tell(f"🔗 Using custom API: {self.base_url}")
        if not url.startswith(("http://", "https://")):
            raise SpecError(f"{url!r} is not an address", where="--base-url", mend="write http://... or https://...")
        return Address(url, key, self.timeout, self.max_retries, self.retry_delay)

    def limits(self) -> Limits:
        """Return how fast is asked."""
        from clbench.models.api.limits import limits_of

        return limits_of(self.workers, self.rpm, self.tpm)

    def budget(self, model: str) -> Budget:
        """Return what may be spent on a model.

        Raises:
            SpecError: A limit in USD has no prices, or the file of prices cannot be used.
        """
        from clbench.context.cost import Budget, prices_of

        return Budget(self.budget_usd, self.budget_tokens, prices_of(self.prices, model))

    def here(self, model: str) -> Here:
        """Return a model in this process.

        Raises:
            ExtraError: No model can be loaded here.
            ModelError: There is no such model, or it writes no answers.
            SpecError: An option is for an address.
        """
        if self.base_url or self.api_key or self.rpm or self.tpm:
            mend = "leave out --base-url, --api-key, --rpm and --tpm"
            raise SpecError("a model in this process has no address", where="--base-url", mend=mend)
        spec = model_spec(model)  # says first what lacks, if no model can be loaded here
        from clbench.models.here import open_here

        return open_here(spec, machine(None, None, 1, self.device))


with_asking = with_shared("asking", Asking)


def what_is_left(asking: Asking, budget: Budget) -> Asking:
    """Return the options with what was spent taken off the budget, for what is asked next."""
    spent, prices = budget.spent, budget.prices
    usd, tokens = asking.budget_usd, asking.budget_tokens
    return replace(
        asking,
        budget_usd=usd if usd is None or prices is None else max(0.0, usd - prices.usd(spent)),
        budget_tokens=tokens if tokens is None else max(0, tokens - spent.total),
    )


def tell(line: str) -> None:
    """Write a line with the time before it, as the public scripts do.

    Their own lines are the same in every language, since programs read them.
    """
    say(f"[{datetime.now():%Y-%m-%d %H:%M:%S}] {line}")


def tell_all(lines: Iterable[str]) -> None:
    """Write several such lines."""
    for line in lines:
        tell(line)


def keep_apart(read: Iterable[Path | None], written: Path, option: str = "--output") -> None:
    """Refuse to write over what is read.

    Args:
        read: Files that are read; None is left out.
        written: The file that is written.
        option: The option that names it.

    Raises:
        SpecError: It is one of them.
    """
    for path in read:
        if path is not None and path.resolve() == written.resolve():
            raise SpecError(f"{written} is read, too, and would be lost", where=option, mend="name another file")


def finish(stopped: UserError | None, num_failed: int, total: int, most: float, what: str) -> None:
    """End a verb: with the error that stopped it, or with exit code 3 if too much failed.

    Raises:
        UserError: The run was stopped.
        typer.Exit: Too much failed.
    """
    if stopped is not None:
        raise stopped
    if total and num_failed / total > most:
        shares = f"{num_failed / total:.1%} > {most:.1%}"
        head = tr(
            "{num} of {total} rows have no {what} ({shares})", num=num_failed, total=total, what=tr(what), shares=shares
        )
        mend = tr("run the same command again, it asks for these rows alone; or raise --max-fail-rate")
        complain(f"{head}\n  {tr('to mend: ')}{mend}")
        raise typer.Exit(TOO_MANY_FAILED)
