"""What a recipe has spent on replies of models behind APIs, in one file for all processes and sessions."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, Literal, cast

from clbench.core.chat import Usage, usage_of_record
from clbench.core.errors import BudgetError, StoreError
from clbench.core.prices import Prices
from clbench.core.spec import Spending

FOLDER = "spent"  # beside replies, in the store
For = Literal["answers", "verdicts"]


def said_of_usage(usage: Usage, usd: float | None) -> str:
    """Return what was spent, in words.

    Example:
        >>> said_of_usage(Usage(1200, 200, 34), 0.5)
        '1200 prompt tokens (200 cached), 34 completion tokens, 0.5000 USD'
    """
    money = "" if usd is None else f", {usd:.4f} USD"
    return f"{usage.prompt} prompt tokens ({usage.cached} cached), {usage.completion} completion tokens{money}"


@dataclass
class Account:
    """The account of one recipe in a store: a line for each reply that was paid for, and each that is on its way.

    A process reads what others have written since it last looked, under a lock. What a process that was killed had on
    its way counts until the session (one command) ends, and then no more.

    Attributes:
        path: Its file.
        spending: What may be spent, and in which session.
    """

    path: Path
    spending: Spending
    spent: defaultdict[tuple[str, str], Usage] = field(default_factory=lambda: defaultdict(Usage))
    num_paid: int = 0  # by this session
    _open: dict[str, tuple[str, Usage]] = field(default_factory=dict[str, tuple[str, Usage]], init=False)
    _offset: int = field(default=0, init=False)

    def reserve(self, model: str, guess: Usage) -> str | None:
        """Reserve a guess and return its number; None if it does not fit any more."""
        if not self.spending.is_limited:
            return ""
        with self._locked() as file:
            self._read(file)
            if not self._fits(model, guess):
                return None
            name = token_hex(6)
            self._write(file, {"session": self.spending.session, "id": name, "model": model, "guess": guess.plain()})
        return name

    def settle(self, name: str, kind: For, model: str, used: Usage) -> None:
        """Write down what was used in place of a guess; nothing, if that was nothing."""
        record = {"session": self.spending.session, "id": name, "kind": kind, "model": model, "used": used.plain()}
        if name or used.total:
            with self._locked() as file:
                self._write(file, record)

    def refresh(self) -> Account:
        """Read what has been written, and return it."""
        if self.path.exists():
            with self._locked() as file:
                self._read(file)
        return self

    def take(self, other: Path) -> int:
        """Take the lines of another account that this one has not, a copy of it or not; return how many those were."""
        theirs = other.read_bytes().splitlines()
        new = list[dict[str, Any]]()
        with self._locked() as file:
            file.seek(0)
            mine = Counter(file.read().splitlines())
            for line in theirs:
                if mine[line]:
                    mine[line] -= 1
                elif (record := _record(line)) is not None:
                    new.append(record)
            for record in new:
                self._write(file, record)
        return len(new)

    def usd(self, kind: For | None = None) -> float | None:
        """Return the money spent, on one kind or on all; None where a model has no price."""
        total = 0.0
        for (what, model), usage in self.spent.items():
            if kind in (None, what):
                price = self.spending.prices.get(model)
                if price is None and usage.total:
                    return None
                total += 0.0 if price is None else price.usd(usage)
        return total

    def usage(self, kind: For | None = None) -> Usage:
        """Return the tokens spent, on one kind or on all."""
        return sum((usage for (what, _), usage in self.spent.items() if kind in (None, what)), Usage())

    @property
    def said(self) -> str:
        """What was spent, in words."""
        return said_of_usage(self.usage(), self.usd() if self.spending.prices else None)

    def over(self) -> BudgetError:
        """Return the error with which asking ends where the budget allows no further request."""
        limits = self.spending
        most = [f"{limits.usd:g} USD"] if limits.usd is not None else []
        most += [f"{limits.tokens} tokens"] if limits.tokens is not None else []
        what = f"the budget of {' and '.join(most)} allows no further request; spent so far: {self.refresh().said}"
        mend = "raise --budget-usd or --budget-tokens and run the same command again: replies so far are kept"
        return BudgetError(what, where=limits.name, mend=mend)

    def _fits(self, model: str, guess: Usage) -> bool:
        waiting = [*self._open.values(), (model, guess)]
        limits, total = self.spending, self.usage().total + sum(usage.total for _, usage in waiting)
        if limits.tokens is not None and total > limits.tokens:
            return False
        if limits.usd is None:
            return True
        money = sum(_usd(limits.prices, m, usage) for (_, m), usage in self.spent.items())
        return money + sum(_usd(limits.prices, m, usage) for m, usage in waiting) <= limits.usd

    @contextmanager
    def _locked(self) -> Generator[IO[bytes]]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # freed when the file is closed
                yield file
        except OSError as error:
            mend = "look at the room on the disk and the rights on the store"
            raise StoreError(f"cannot be written: {error}", where=str(self.path), mend=mend) from error

    def _read(self, file: IO[bytes]) -> None:
        file.seek(self._offset)
        for line in file.read().splitlines():
            self._take(line)
        self._offset = file.tell()

    def _write(self, file: IO[bytes], record: Mapping[str, Any]) -> None:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":  # a writer was killed within a line
                file.write(b"\n")
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()

    def _take(self, line: bytes) -> None:
        if (record := _record(line)) is None:
            return
        name, model, mine = str(record.get("id")), str(record.get("model")), record.get("session")
        if isinstance(used := record.get("used"), dict):
            self._open.pop(name, None)
            key = (str(record.get("kind")), model)
            usage = usage_of_record(cast(dict[str, Any], used))
            self.spent[key] = self.spent[key] + usage
            self.num_paid += mine == self.spending.session and usage.total > 0
        elif isinstance(guess := record.get("guess"), dict) and mine == self.spending.session:
            self._open[name] = (model, usage_of_record(cast(dict[str, Any], guess)))


def _record(line: bytes) -> dict[str, Any] | None:
    """Return what a line says; None where it was cut short."""
    try:
        found: Any = json.loads(line)
    except ValueError:
        return None
    return cast(dict[str, Any], found) if isinstance(found, dict) else None


def _usd(prices: Mapping[str, Prices], model: str, usage: Usage) -> float:
    price = prices.get(model)
    return 0.0 if price is None else price.usd(usage)


def account_of(store: Path, spending: Spending) -> Account:
    """Return the account of a recipe in a store; nothing is read yet."""
    return Account(store / FOLDER / f"{spending.name}.jsonl", spending)
