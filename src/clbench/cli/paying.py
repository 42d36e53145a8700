"""Options of verbs that may ask a model behind an API: where it is, what may be spent, and who judges."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clbench.cli.options import provider_addresses
from clbench.cli.run_options import Providers
from clbench.core.errors import SpecError

if TYPE_CHECKING:
    from clbench.core.prices import Prices
    from clbench.core.spec import JudgeSpec, Machine

BudgetUsd = Annotated[float | None, typer.Option(min=0, help="Stop before more is spent; needs --prices.")]
BudgetTokens = Annotated[int | None, typer.Option(min=0, help="Stop before more tokens are used.")]
PriceFile = Annotated[Path | None, typer.Option("--prices", help="Prices of models behind APIs, JSON or YAML.")]
NamedJudge = Annotated[
    str | None,
    typer.Option("--judge", help="Who grades by rubrics: exact, a model here, or a YAML file of a recipe's `judge:`."),
]


@dataclass(frozen=True)
class Paying:
    """The options of every verb that may ask a model behind an API."""

    provider: Providers = None
    budget_usd: BudgetUsd = None
    budget_tokens: BudgetTokens = None
    prices: PriceFile = None

    def token_prices(self) -> Mapping[str, Prices]:
        """Return model -> prices of tokens, as far as a file is named.

        Raises:
            SpecError: It is not a file of prices.
        """
        if self.prices is None:
            return {}
        from clbench.report.runs.prices import read_token_prices

        return read_token_prices(self.prices)

    def on(self, machine: Machine, name: str) -> Machine:
        """Return a machine that asks there, and within the budget of the account of that name.

        Raises:
            SpecError: A provider is not named as it should be, or a limit in USD has no prices.
        """
        from clbench.core.prices import FORM
        from clbench.core.spec import Spending

        if self.budget_usd is not None and self.prices is None:
            raise SpecError("needs prices", where="--budget-usd", mend=f"name a file with --prices: {FORM}")
        spending = Spending(
            name=name,
            session=secrets.token_hex(8),
            usd=self.budget_usd,
            tokens=self.budget_tokens,
            prices=self.token_prices(),
        )
        return machine.model_copy(update={"providers": provider_addresses(self.provider), "spending": spending})


@dataclass(frozen=True)
class Judging(Paying):
    """The options of a verb that grades exams outside of a recipe: those of `Paying`, and who judges."""

    judge: NamedJudge = None

    def named(self) -> JudgeSpec | None:
        """Return who grades by rubrics; None where nobody is named.

        Raises:
            SpecError: It is not a judge.
        """
        if self.judge is None:
            return None
        from clbench.engine.judge_file import read_judge

        return read_judge(self.judge)
