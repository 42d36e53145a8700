"""The money that runs cost, by a user's price table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clbench.core.chat import Usage
from clbench.core.errors import DataError, SpecError, did_you_mean
from clbench.core.prices import FORM, Prices, model_prices
from clbench.data.tasks.card_file import read_text
from clbench.report.runs.load import RunRecord, cost_figures

KNOWN = ("machine_hour", "kilowatt_hour", "labelled_example")
OF_TOKENS = ("models", "dated")
MEND = f"a mapping of {', '.join(KNOWN)} to numbers, and of tokens {FORM}"


def read_prices(path: Path) -> dict[str, float]:
    """Read a price table: YAML, for example `{machine_hour: 2.5, kilowatt_hour: 0.3, labelled_example: 0.05}`.

    It may also hold prices of tokens, which `read_token_prices` gives.

    Raises:
        SpecError: It cannot be read, names something else, or a price is not a number >= 0.
    """
    found, mend = _values(path), MEND
    if not found:
        raise SpecError("not a price table", where=str(path), mend=mend)
    prices: dict[str, float] = {}
    for name, price in found.items():
        if name in OF_TOKENS:
            continue
        if name not in KNOWN:
            raise SpecError(f"there is no price {name!r}", where=str(path), mend=did_you_mean(str(name), KNOWN))
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < float("inf"):
            raise SpecError(f"{name} is not a valid price: {price!r}", where=str(path), mend=mend)
        prices[str(name)] = float(price)
    return prices


def read_token_prices(path: Path) -> dict[str, Prices]:
    """Return model -> prices of its tokens, of the same table; empty where it has none.

    Raises:
        SpecError: It cannot be read, or a price is not a number >= 0.
    """
    found = _values(path)
    return model_prices(found, str(path)) if "models" in found or not set(found) & set(KNOWN) else {}


def _values(path: Path) -> Mapping[str, Any]:
    try:
        return read_text(path).values
    except DataError as error:
        raise SpecError(error.what, where=error.where, mend=MEND) from None


def add_prices(
    runs: Sequence[RunRecord], prices: Mapping[str, float], models: Mapping[str, Prices] | None = None
) -> list[RunRecord]:
    """Return the runs with their cost in money.

    Args:
        runs: The runs.
        prices: Of machines, energy and labels.
        models: Model -> prices of its tokens. Money is not known of a run that asked a model that has none.
    """
    found: list[RunRecord] = []
    for run in runs:
        costs = run.costs.model_copy(update={"prices": {**prices, **_of_tokens(run, models or {})}})
        found.append(replace(run, costs=costs, scores={**run.scores, "money": cost_figures(costs)["money"]}))
    return found


def _of_tokens(run: RunRecord, models: Mapping[str, Prices]) -> dict[str, float]:
    """Return what the tokens of a run's model and judge came to, as far as they have prices."""
    judge = run.spec.judge.model if run.spec.judge is not None else None
    asked = (("answers", run.spec.model, run.costs.api_tokens), ("verdicts", judge, run.costs.judge_tokens))
    found: dict[str, float] = {}
    for name, model, tokens in asked:
        if model is not None and tokens and model.provider is None:
            found[name] = 0.0  # a model of this machine costs its time
        elif model is not None and tokens and model.name in models:
            found[name] = models[model.name].usd(Usage(*tokens))
    return found
