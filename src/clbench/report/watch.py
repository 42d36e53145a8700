"""The trend of every ability over many rounds, and an alarm where one declines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich import box
from rich.table import Table

from clbench.metrics.average import average_by_lesson
from clbench.report.abilities import ability_curves
from clbench.report.figures import curves
from clbench.report.gather import RunRecord
from clbench.report.safe import plain
from clbench.report.table import as_text
from clbench.stats.drift import Drift, cusum, limit_at
from clbench.store.history import Passed

BARS = "▁▂▃▄▅▆▇█"
LEAST = 3  # rounds after the first ones, without which there is nothing to watch


@dataclass(frozen=True)
class Series:
    """One score over rounds.

    Attributes:
        source: Run, or "gate" for checkpoints that passed through it.
        name: Ability or exam; "own tasks" for the average of what was taught so far.
        values: In [0, 1], one per round, oldest first.
        items: Answers behind a value.
        rounds: Names of the rounds.
    """

    source: str
    name: str
    values: tuple[float, ...]
    items: int
    rounds: tuple[str, ...]


@dataclass(frozen=True)
class Watched:
    """A series and what the alarm saw.

    Attributes:
        series: It.
        target, deviation: Of its first rounds.
        drift: Over the rounds after those; None where there are too few.
        first: Number of those first rounds.
    """

    series: Series
    target: float
    deviation: float
    drift: Drift | None
    first: int

    @property
    def alarm(self) -> str | None:
        """The round in which the alarm rang."""
        if self.drift is None or self.drift.alarm is None:
            return None
        return self.series.rounds[self.first + self.drift.alarm]


def run_series(runs: Sequence[RunRecord]) -> list[Series]:
    """Give the abilities of every run over its rounds, and the average of its own tasks so far; row 0 is left out."""
    found: list[Series] = []
    for run in runs:
        rounds = tuple(str(k) for k in range(1, run.matrix.num_lessons + 1))
        for curve in ability_curves(run.matrix):
            found.append(Series(run.spec.name, curve.ability, curve.scores[1:], curve.items[-1], rounds))
        own = average_by_lesson(run.matrix)
        items = int(run.matrix.n[-1, run.matrix.select("own")].sum())
        found.append(Series(run.spec.name, "own tasks", tuple(own), items, rounds))
    return found


def gate_series(passed: Sequence[Passed]) -> list[Series]:
    """Give every exam over the checkpoints that passed through the gate."""
    names = dict.fromkeys(name for p in passed for name in p.scores)
    rounds = tuple(f"{k} {Path(p.model).name}" for k, p in enumerate(passed, start=1))
    return [
        Series(
            "gate",
            name,
            tuple(p.scores[name][0] if name in p.scores else math.nan for p in passed),
            max(p.scores[name][1] for p in passed if name in p.scores),
            rounds,
        )
        for name in names
    ]


def watched(series: Sequence[Series], first: int, rate: float, slack: float = 0.5) -> list[Watched]:
    """Watch every series for a decline against its first rounds.

    Target and deviation are those of the first rounds, the deviation at least what other items would change
    (sqrt(s (1 - s) / n)). The limit is such that any of the series rings with a chance of `rate` at most, if nothing
    changes: it is found by simulation, with target and deviation estimated from as many rounds as here
    (`clbench.stats.drift.limit_at`), and the rate is shared out evenly over the series.

    Args:
        series: What is watched; one with too few rounds is not, and says so.
        first: Rounds that say how it was, >= 2.
        rate: False-alarm rate over all series and rounds, in (0, 1).
        slack: See `cusum`.
    """
    long_enough = [s for s in series if len(s.values) >= first + LEAST]
    share = rate / max(len(long_enough), 1)
    return [_watch(s, first, share, slack) for s in series]


def _watch(series: Series, first: int, rate: float, slack: float) -> Watched:
    start = np.array(series.values[:first])
    start = start[~np.isnan(start)]
    target = float(start.mean()) if len(start) else math.nan
    noise = math.sqrt(max(target * (1 - target), 0.0) / max(series.items, 1)) if len(start) else math.nan
    deviation = max(float(start.std(ddof=1)) if len(start) > 1 else 0.0, noise, 1e-3) if len(start) else math.nan
    rest = series.values[first:]
    if len(rest) < LEAST or len(start) < 2:
        return Watched(series, target, deviation, None, first)
    limit = limit_at(rate, len(rest), first, slack)
    return Watched(series, target, deviation, cusum(rest, target, deviation, limit, slack), first)


def sparkline(values: Sequence[float]) -> str:
    """Draw values in [0, 1] as bars; a dot is a round that was not due.

    Example:
        >>> sparkline([0.0, 0.5, 1.0])
        '▁▅█'
    """
    return "".join("·" if math.isnan(v) else BARS[min(int(v * 8), 7)] for v in values)


def as_table(found: Sequence[Watched], rate: float) -> str:
    """Give the trends as a table for the terminal."""
    note = (
        "Percent. Sum: how far the score lies below its first rounds, summed up (CUSUM, in deviations); it rings "
        f"above the limit. If nothing changes, any of these series rings with a chance of {rate:g} at most (simulated)."
    )
    table = Table(box=box.SIMPLE_HEAD, caption=note, caption_justify="left")
    for head in ("of", "what", "rounds", "trend", "at first", "last", "sum", "limit", "alarm"):
        table.add_column(head, justify="left" if head in ("of", "what", "trend", "alarm") else "right", no_wrap=True)
    for each in found:
        drift, values = each.drift, each.series.values
        known = [v for v in values if not math.isnan(v)]
        state = "too few rounds" if drift is None else f"ROUND {each.alarm}" if each.alarm else "–"
        sums = ("–", "–") if drift is None else (f"{drift.sums[-1]:.1f}", f"{drift.limit:.1f}")
        last = f"{100 * known[-1]:.1f}" if known else "–"
        row = [
            each.series.source,
            each.series.name,
            str(len(values)),
            sparkline(values[-40:]),
            _percent(each.target),
            last,
        ]
        table.add_row(*map(plain, [*row, *sums, state]))
    return as_text(table)


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def as_json(found: Sequence[Watched], rate: float) -> dict[str, Any]:
    """Give the trends as a JSON value."""
    return {
        "false_alarm_rate": rate,
        "series": [
            {
                "source": w.series.source,
                "name": w.series.name,
                "rounds": w.series.rounds,
                "values": [None if math.isnan(v) else v for v in w.series.values],
                "target": None if math.isnan(w.target) else w.target,
                "deviation": None if math.isnan(w.deviation) else w.deviation,
                "sums": list(w.drift.sums) if w.drift else None,
                "limit": w.drift.limit if w.drift else None,
                "alarm": w.alarm,
            }
            for w in found
        ],
    }


def watch_page(found: Sequence[Watched], rate: float, title: str = "clbench watch") -> str:
    """Give the trends as one HTML page: a curve for each series, with its alarm."""
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    drawn = [
        (
            plain(f"{w.series.source} · {w.series.name}"),
            plain(f"alarm in round {w.alarm}") if w.alarm else "",
            Markup(
                curves(
                    {w.series.name: w.series.values},
                    f"{w.series.source} {w.series.name}",
                    None if w.drift is None or w.drift.alarm is None else w.first + w.drift.alarm,
                    0.0,
                    _sparse(w.series.rounds),
                )
            ),
        )
        for w in found
        if any(not math.isnan(v) for v in w.series.values)
    ]
    template = environment.get_template("watch.html.jinja")
    alarms = sum(w.alarm is not None for w in found)
    return plain(template.render(title=title, drawn=drawn, rate=f"{100 * rate:g}", alarms=alarms))


def _sparse(rounds: Sequence[str]) -> list[str]:
    """Give the names of some of the rounds, so that an axis can be read."""
    every = max(1, len(rounds) // 8)
    return [r.partition(" ")[0] if k % every == 0 else "" for k, r in enumerate(rounds)]
