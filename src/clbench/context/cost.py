"""What is spent: tokens, money at the user's prices, and a budget that stops a run in a state that can go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clbench.core.chat import Usage
from clbench.core.errors import SpecError
from clbench.core.prices import FORM, Prices, read_model_prices


def prices_of(path: Path | None, model: str) -> Prices | None:
    """Return a model's prices from a file; None if no file is named.

    Raises:
        SpecError: The file is not a list of prices, or lacks the model.
    """
    if path is None:
        return None
    found = read_model_prices(path)
    if model not in found:
        raise SpecError(f"has no prices of {model}", where=str(path), mend=f"add them: {FORM}")
    return found[model]


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
