"""What a graded run took: tokens of answers, notes and verdicts, seconds, and money where a manifest says it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from clbench.context.graded import Raw, rows
from clbench.core.chat import Usage, usage_of_record
from clbench.core.errors import DataError


@dataclass
class Spent:
    """What one side of a run took.

    Attributes:
        what: "answers", "memory" or "verdicts".
        rows: How many rows say what they took.
        usage: Tokens.
        usd: Money at the prices of the run, None where no manifest says it.
        dated: From when the prices are.
    """

    what: str
    rows: int = 0
    usage: Usage = field(default_factory=Usage)
    usd: float | None = None
    dated: str = ""

    def add(self, found: object) -> None:
        """Count the tokens of a row; a row that says nothing of them is not counted."""
        if isinstance(found, dict):
            self.rows += 1
            self.usage = self.usage + usage_of_record(cast(Raw, found))


@dataclass
class Spending:
    """What a graded run took.

    Attributes:
        answers, memory, verdicts: Tokens and money of the answers, of notes on contexts, and of the judge; the money of
            the answers holds that of the notes.
        seconds: How long each answer took, sorted; empty where rows do not say.
        manifests: The manifests that were found, by file name.
    """

    answers: Spent = field(default_factory=lambda: Spent("answers"))
    memory: Spent = field(default_factory=lambda: Spent("memory"))
    verdicts: Spent = field(default_factory=lambda: Spent("verdicts"))
    seconds: list[float] = field(default_factory=list[float])
    manifests: dict[str, Raw] = field(default_factory=dict[str, Raw])

    @property
    def parts(self) -> tuple[Spent, Spent, Spent]:
        """Its three parts."""
        return (self.answers, self.memory, self.verdicts)

    def within(self, share: float) -> float:
        """Return the seconds within which a share of the answers came; NaN where rows do not say."""
        return self.seconds[int(share * (len(self.seconds) - 1))] if self.seconds else math.nan


def spending_of(paths: Sequence[Path]) -> Spending:
    """Return what the runs behind graded files took.

    Tokens and seconds stand in the rows. Money stands in the manifests beside a file: `x_graded.manifest.json` is that
    of the judge, `x.manifest.json` that of the answers.

    Raises:
        DataError: A file of rows cannot be read.
    """
    found = Spending()
    for path in paths:
        for _, row in rows(path):
            found.answers.add(row.get("usage"))
            found.memory.add(row.get("memory_usage"))
            found.verdicts.add(row.get("judge_usage"))
            seconds = row.get("latency_s")
            if isinstance(seconds, (int, float)) and math.isfinite(seconds):
                found.seconds.append(float(seconds))
        stem = path.name.removesuffix(".xz").removesuffix(".jsonl")
        for name, part in ((stem, found.verdicts), (stem.removesuffix("_graded"), found.answers)):
            if name != stem or part is found.verdicts:
                _add_manifest(path.with_name(f"{name}.manifest.json"), part, found)
    found.seconds.sort()
    return found


def _add_manifest(path: Path, part: Spent, found: Spending) -> None:
    if not path.is_file():
        return
    manifest = read_manifest(path)
    found.manifests[path.name] = manifest
    spent, prices = manifest.get("spent"), manifest.get("prices")
    usd = cast(Raw, spent).get("usd") if isinstance(spent, dict) else None
    if isinstance(usd, (int, float)):
        part.usd = (part.usd or 0.0) + float(usd)
        part.dated = str(cast(Raw, prices).get("dated") or "") if isinstance(prices, dict) else ""


def read_manifest(path: Path) -> Raw:
    """Return a manifest.

    Raises:
        DataError: It is not one.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        mend = "delete it, or restore it from a copy: the figures do not need it"
        raise DataError(f"is not a manifest: {error}", where=str(path), mend=mend) from error
    if not isinstance(found, dict):
        raise DataError("is not a manifest", where=str(path), mend="delete it: the figures do not need it")
    return cast(Raw, found)
