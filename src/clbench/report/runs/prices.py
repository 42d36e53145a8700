"""The money that runs cost, by a user's price table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clbench.core.errors import DataError, SpecError, did_you_mean
from clbench.data.tasks.card_file import read_text
from clbench.report.runs.load import RunRecord, cost_figures

KNOWN = ("machine_hour", "kilowatt_hour", "labelled_example")


def read_prices(path: Path) -> dict[str, float]:
    """Read a price table: YAML, for example `{machine_hour: 2.5, kilowatt_hour: 0.3, labelled_example: 0.05}`.

    Raises:
        SpecError: It cannot be read, names something else, or a price is not a number >= 0.
    """
    mend = f"a mapping of {', '.join(KNOWN)} to numbers"
    try:
        found = read_text(path).values
    except DataError as error:
        raise SpecError(error.what, where=error.where, mend=mend) from None
    if not found:
        raise SpecError("not a price table", where=str(path), mend=mend)
    prices: dict[str, float] = {}
    for name, price in found.items():
        if name not in KNOWN:
            raise SpecError(f"there is no price {name!r}", where=str(path), mend=did_you_mean(str(name), KNOWN))
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < float("inf"):
            raise SpecError(f"{name} is not a valid price: {price!r}", where=str(path), mend=mend)
        prices[str(name)] = float(price)
    return prices


def add_prices(runs: Sequence[RunRecord], prices: Mapping[str, float]) -> list[RunRecord]:
    """Return the runs with their cost in money."""
    found: list[RunRecord] = []
    for run in runs:
        costs = run.costs.model_copy(update={"prices": dict(prices)})
        found.append(replace(run, costs=costs, scores={**run.scores, "money": cost_figures(costs)["money"]}))
    return found
