"""The corrected figures: every row of the data set counts, in every trial, and what nobody judged makes an interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from clbench.context.public import category_lines
from clbench.context.rows import UNKNOWN, Raw, metadata_of
from clbench.core.wording import tr, translated
from clbench.scoring.rubric.verdicts import STATES, says_solved
from clbench.scoring.rubric.verdicts import UNKNOWN as UNKNOWN_STATES

SHOWN = 3  # reasons
LONGEST = 200  # characters of one


@dataclass
class Figures:
    """Counts over rows and trials.

    Attributes:
        total: The denominator.
        solved: Rows with score 1.
        states: How many rows are in each state.
        disagreements: Rows whose own score, as the judge wrote it, differs from the one that follows from the statuses.
        flags: How often each flag was set.
        met, asked: Rubrics that are met, and rubrics with a status, over judged rows.
        categories: Counts by `context_category`, under `total`, `score_1`, `score_0`.
        reasons: Why rows have no verdict, and how many for each reason.
    """

    total: int = 0
    solved: int = 0
    states: Counter[str] = field(default_factory=Counter[str])
    disagreements: int = 0
    flags: Counter[str] = field(default_factory=Counter[str])
    met: int = 0
    asked: int = 0
    categories: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    reasons: Counter[str] = field(default_factory=Counter[str])

    def add(self, row: Raw) -> None:
        """Count a graded row."""
        score, state = int(row.get("score") == 1), str(row.get("state") or "ok")
        self.total, self.solved = self.total + 1, self.solved + score
        self.states[state] += 1
        if state in UNKNOWN_STATES and (why := str(row.get("grading_rationale") or "")):
            self.reasons[why] += 1
        self.flags.update(str(flag) for flag in row.get("flags") or ())
        own = says_solved(row.get("judge_score"))
        self.disagreements += own is not None and state == "ok" and own != bool(score)
        status = [s for s in row.get("requirement_status") or () if s in ("yes", "no")]
        self.met, self.asked = self.met + status.count("yes"), self.asked + len(status)
        name = str(metadata_of(row).get("context_category") or UNKNOWN)
        counts = self.categories.setdefault(name, {"total": 0, "score_0": 0, "score_1": 0})
        counts["total"] += 1
        counts[f"score_{score}"] += 1

    @property
    def unjudged(self) -> int:
        """Rows of which nobody knows whether they are solved."""
        return sum(self.states[state] for state in UNKNOWN_STATES)

    @property
    def rate(self) -> float:
        """Solved rows over all rows; what was not judged counts as not solved."""
        return self.solved / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The rate if all unjudged rows fail, and if all of them pass."""
        return (self.rate, (self.solved + self.unjudged) / self.total) if self.total else (0.0, 0.0)


def figures_of(rows: Iterable[Raw]) -> Figures:
    """Return the figures over graded rows."""
    found = Figures()
    for row in rows:
        found.add(row)
    return found


def statistics(found: Figures) -> list[str]:
    """Return the corrected figures as lines: those that the public script prints, and what it does not say."""
    lines = [
        "\n📊 Final Statistics:",
        f"   Total samples: {found.total}",
        f"   Score 0: {found.total - found.solved}",
        f"   Score 1: {found.solved}",
        f"\n📈 Solving Rate: {found.rate:.4f} ({found.solved}/{found.total})",
        *explained(found),
        *category_lines(found.categories),
    ]
    return [*lines, "=" * 60]


def reason_lines(reasons: Counter[str]) -> list[str]:
    """Return lines on the commonest reasons why rows lack what was asked for."""
    shown = reasons.most_common(SHOWN)
    lines = [f"     {num}: {translated(' '.join(why.split())[:LONGEST])}" for why, num in shown]
    left = len(reasons) - SHOWN
    return [*lines, *([tr("     {num} other reasons", num=left)] if left > 0 else [])]


def explained(found: Figures) -> list[str]:
    """Return lines on what stands behind the rate: states, unjudged rows, rubrics, disagreements, flags."""
    lines: list[str] = []
    if found.unjudged:
        low, high = found.interval
        most = f"{found.solved + found.unjudged}/{found.total}"
        bounds = f"[{low:.4f}, {high:.4f}] ({found.solved}/{found.total} to {most})"
        lines.append(tr("   {num} not judged: the rate lies in {bounds}", num=found.unjudged, bounds=bounds))
        lines += reason_lines(found.reasons)
    shown = ", ".join(f"{state} {found.states[state]}" for state in STATES if found.states[state])
    lines.append(tr("   States: {states}", states=shown))
    if found.asked:
        rate = f"{found.met / found.asked:.4f}"
        lines.append(tr("   Rubrics met: {rate} ({met}/{asked})", rate=rate, met=found.met, asked=found.asked))
    if found.disagreements:
        what = "   The judge's own score disagrees with its statuses in {num} rows; the statuses count"
        lines.append(tr(what, num=found.disagreements))
    if found.flags:
        flags = ", ".join(f"{flag} {num}" for flag, num in sorted(found.flags.items()))
        lines.append(tr("   Flags: {flags}", flags=flags))
    return lines
