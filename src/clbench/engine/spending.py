"""What is spent on replies of models behind APIs: refused where its price is not known, and told at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from clbench.core.account import account_of
from clbench.core.errors import BudgetError, SpecError, UserError
from clbench.core.events import notice
from clbench.core.prices import FORM
from clbench.core.spec import Machine, ModelSpec

T = TypeVar("T")


def check_price(model: ModelSpec | None, machine: Machine) -> None:
    """Refuse a model behind an API of which no price is known, where a limit in money is set.

    Raises:
        SpecError: Names it.
    """
    limits = machine.spending
    if limits is None or limits.usd is None or model is None or model.provider is None or model.name in limits.prices:
        return
    raise SpecError(f"there are no prices of {model.name!r}", where="--prices", mend=f"add them: {FORM}")


def told_spending(outcomes: Sequence[T | UserError], machine: Machine) -> list[T | UserError]:
    """Tell what this command and those before spent, if it paid for anything.

    Returns:
        The outcomes; where the budget stopped some, all say the same, with what is spent once all has come to its end.
    """
    if machine.spending is None:
        return list(outcomes)
    account = account_of(machine.store, machine.spending).refresh()
    if account.num_paid:
        notice(f"{machine.spending.name}: spent on replies so far, in this store: {account.said}")
    over = account.over() if machine.spending.is_limited else None
    return [over if isinstance(one, BudgetError) and over is not None else one for one in outcomes]
