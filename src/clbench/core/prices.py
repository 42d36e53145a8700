"""What tokens of a model behind an API cost, by the user's own prices."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clbench.core.chat import Usage
from clbench.core.errors import SpecError

MILLION = 1_000_000
FORM = (
    '{"dated": "2026-01-31", "models": {"gpt-5.1": {"input": 1.25, "cached": 0.125, "output": 10}}}, '
    "in USD for a million tokens"
)


@dataclass(frozen=True)
class Prices:
    """Prices of a model in USD for a million tokens, and from when they are."""

    input: float
    cached: float
    output: float
    dated: str = ""

    def usd(self, usage: Usage) -> float:
        """Return what tokens cost.

        Example:
            >>> Prices(1.25, 0.125, 10).usd(Usage(prompt=1_000_000, cached=500_000, completion=100_000))
            1.6875
        """
        fresh = usage.prompt - usage.cached
        return (fresh * self.input + usage.cached * self.cached + usage.completion * self.output) / MILLION


def model_prices(values: Mapping[str, Any], where: str) -> dict[str, Prices]:
    """Return model -> prices of what a price file holds.

    Args:
        values: `{"dated": ..., "models": {name: {"input": ..., "cached": ..., "output": ...}}}`; what is cached costs
            as much as the rest where it has no price.
        where: The file.

    Raises:
        SpecError: It is not such a file, or a price is not a number >= 0.
    """
    found: dict[str, Prices] = {}
    try:
        for name, one in cast(Mapping[str, Mapping[str, Any]], values["models"]).items():
            each = [one["input"], one.get("cached", one["input"]), one["output"]]
            if any(isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < math.inf for p in each):
                raise SpecError(f"{name}: {each!r:.100} are not prices", where=where, mend=f"write {FORM}")
            found[str(name)] = Prices(*map(float, each), dated=str(values.get("dated", "")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SpecError(f"is not a file of prices: {error!r}", where=where, mend=f"write {FORM}") from error
    return found


def read_model_prices(path: Path) -> dict[str, Prices]:
    """Return model -> prices of a JSON file; see `model_prices`.

    Raises:
        SpecError: It cannot be read, or is not a file of prices.
    """
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        raise SpecError(f"is not a file of prices: {error!r}", where=str(path), mend=f"write {FORM}") from error
    return model_prices(values, str(path))
