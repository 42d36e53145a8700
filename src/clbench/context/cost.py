"""What is spent: tokens, money at the user's prices, and a budget that stops a run in a state that can go on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
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


def prices_of(path: Path | None, model: str) -> Prices | None:
    """Return a model's prices from a file; None if no file is named.

    Raises:
        SpecError: The file is not a list of prices, or lacks the model.
    """
    if path is None:
        return None
    try:
        given = cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))
        models = cast(dict[str, dict[str, float]], given["models"])
        if model not in models:
            raise SpecError(f"has no prices of {model}", where=str(path), mend=f"add them: {FORM}")
        one = models[model]
        cached = float(one.get("cached", one["input"]))
        return Prices(float(one["input"]), cached, float(one["output"]), str(given.get("dated", "")))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise SpecError(f"is not a file of prices: {error!r}", where=str(path), mend=f"write {FORM}") from error


@dataclass
class Budget:
    """A budget of one run; what is in flight is reserved by a guess.

    Attributes:
        usd, tokens: Most that may be spent, None for no limit.
        prices: Needed for a limit in USD.
        spent: Tokens so far, those of earlier sessions of the same run included.
    """

    usd: float | None = None
    tokens: int | None = None
    prices: Prices | None = None
    spent: Usage = field(default_factory=Usage)
    _reserved: Usage = field(default_factory=Usage, init=False)

    def __post_init__(self) -> None:
        if self.usd is not None and self.prices is None:
            raise SpecError("needs prices", where="--budget-usd", mend=f"name a file with --prices: {FORM}")

    def reserve(self, guess: Usage) -> bool:
        """Reserve a guess and return True; return False if it does not fit any more."""
        wanted = self.spent + self._reserved + guess
        if self.tokens is not None and wanted.total > self.tokens:
            return False
        if self.usd is not None and self.prices is not None and self.prices.usd(wanted) > self.usd:
            return False
        self._reserved = self._reserved + guess
        return True

    def settle(self, guess: Usage, used: Usage) -> None:
        """Replace a guess by what was used."""
        back = Usage(-guess.prompt, -guess.cached, -guess.completion, -guess.reasoning)
        self._reserved, self.spent = self._reserved + back, self.spent + used

    def account(self) -> dict[str, Any]:
        """Return what was spent, as a manifest holds it; money only where there are prices."""
        usd = None if self.prices is None else round(self.prices.usd(self.spent), 6)
        return {**self.spent.plain(), "usd": usd}

    def said(self) -> str:
        """Return what was spent, as a line."""
        s = self.spent
        money = f", {self.prices.usd(s):.4f} USD" if self.prices is not None else ""
        return f"{s.prompt} prompt tokens ({s.cached} cached), {s.completion} completion tokens{money}"
