"""Trends for the terminal, as JSON, and as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich import box
from rich.table import Table

from clbench.report.figures import curves
from clbench.report.safe import plain
from clbench.report.table import as_text
from clbench.report.watch import Watched

ANEW = "asks otherwise"
BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Draw values in [0, 1] as bars; a dot is a round that was not due.

    Example:
        >>> sparkline([0.0, 0.5, 1.0])
        '▁▅█'
    """
    return "".join("·" if math.isnan(v) else BARS[min(int(v * 8), 7)] for v in values)


def summary(found: Sequence[Watched], rate: float) -> str:
    """Say in one sentence or two what rings, and what is not watched yet."""
    rings, idle = sum(w.rang is not None for w in found), [w for w in found if w.more_to_fall]
    slow = [w for w in found if w.more_to_drift and not w.asked_anew]
    said = [f"{rings} of {len(found)} series ring."]
    if idle:
        said.append(f"{len(idle)} not watched at all: {_rounds(max(w.more_to_fall for w in idle))}.")
    if anew := sum(w.asked_anew for w in found):
        said.append(f"{anew} not watched, since every round {ANEW}.")
    if slow:
        said.append(f"{len(slow)} not watched for a slow decline: {_rounds(max(w.more_to_drift for w in slow))}.")
    said.append(f"If nothing changes, any of them rings with a chance of {100 * rate:g} % at most.")
    return " ".join(said)


def _rounds(more: int) -> str:
    return f"{more} more round{'s' if more > 1 else ''}"


def _told(place: int | None, lacking: int, watched: Watched) -> str:
    if place is not None:
        return f"ROUND {watched.series.rounds[place]}"
    if watched.asked_anew:
        return f"not watched: {ANEW}"
    return f"not watched: {_rounds(lacking)}" if lacking else "–"


def as_table(found: Sequence[Watched], rate: float) -> str:
    """Give the trends as a table for the terminal."""
    note = (
        "Percent. Fall: a round lies below the first ones (paired test over the same items, after Holm's correction "
        "over all rounds and series). Slow decline: how far the score lies below its first rounds, summed up (CUSUM, "
        "in deviations), is above the limit (simulated). Each may ring with half of the rate. Rounds that failed, in "
        "the gate or here, are none of the first ones. Where labels grow, questions with more choices are not compared."
    )
    table = Table(box=box.SIMPLE_HEAD, caption=note, caption_justify="left")
    for head in ("of", "what", "rounds", "trend", "at first", "last", "fall", "sum", "limit", "slow decline"):
        left = head in ("of", "what", "trend", "fall", "slow decline")
        table.add_column(head, justify="left" if left else "right", no_wrap=True)
    for each in found:
        drift, values = each.drift, each.series.values
        known = [v for v in values if not math.isnan(v)]
        sums = ("–", "–") if drift is None else (f"{drift.sums[-1]:.1f}", f"{drift.limit:.1f}")
        row = [each.series.source, each.series.name, str(len(values)), sparkline(values[-40:]), _percent(each.target)]
        row += [f"{100 * known[-1]:.1f}" if known else "–", _told(each.fell, each.more_to_fall, each), *sums]
        table.add_row(*map(plain, [*row, _told(each.declined, each.more_to_drift, each)]))
    return f"{summary(found, rate)}\n{as_text(table)}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def as_json(found: Sequence[Watched], rate: float) -> dict[str, Any]:
    """Give the trends as a JSON value; what is not known is null."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    def name(watched: Watched, place: int | None) -> str | None:
        return None if place is None else watched.series.rounds[place]

    return {
        "false_alarm_rate": rate,
        "summary": summary(found, rate),
        "series": [
            {
                "source": w.series.source,
                "name": w.series.name,
                "rounds": w.series.rounds,
                "values": [number(v) for v in w.series.values],
                "failed_in_gate": [w.series.rounds[k] for k in sorted(w.series.failed)],
                "reference": [w.series.rounds[k] for k in w.first],
                "target": number(w.target),
                "deviation": number(w.deviation),
                "state": w.state,
                "asked_anew": w.asked_anew,
                "alarm": w.alarm,
                "fall": {"alarm": name(w, w.fell), "p": [number(p) for p in w.falls], "more_rounds": w.more_to_fall},
                "decline": {
                    "alarm": name(w, w.declined),
                    "sums": list(w.drift.sums) if w.drift else None,
                    "limit": w.drift.limit if w.drift else None,
                    "more_rounds": w.more_to_drift,
                },
            }
            for w in found
        ],
    }


def watch_page(found: Sequence[Watched], rate: float, title: str = "clbench watch") -> str:
    """Give the trends as one HTML page: a curve for each series, with its alarm, or what it lacks to be watched."""
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    drawn = [
        (
            plain(f"{w.series.source} · {w.series.name}"),
            plain(f"alarm in round {w.alarm}") if w.alarm else "",
            plain(_known(w)),
            Markup(
                curves(
                    {w.series.name: w.series.values},
                    f"{w.series.source} {w.series.name}",
                    w.rang,
                    0.0,
                    _sparse(w.series.rounds),
                )
            ),
        )
        for w in found
        if any(not math.isnan(v) for v in w.series.values)
    ]
    template = environment.get_template("watch.html.jinja")
    return plain(template.render(title=title, drawn=drawn, summary=summary(found, rate), rounds=_checkpoints(found)))


def _checkpoints(found: Sequence[Watched]) -> list[tuple[str, str]]:
    """Give (name, what the gate failed) of every checkpoint that passed through the gate."""
    gates = [w.series for w in found if w.series.source == "gate"]
    names = gates[0].rounds if gates else ()
    return [(plain(n), plain(", ".join(s.name for s in gates if k in s.failed))) for k, n in enumerate(names)]


def _known(watched: Watched) -> str:
    """Say what is lacking, or how far the sum is from its limit."""
    if watched.more_to_fall:
        return f"not watched: {_rounds(watched.more_to_fall)}"
    if watched.asked_anew:
        return f"not watched: every round {ANEW}"
    if watched.drift is None:
        return f"slow decline not watched: {_rounds(watched.more_to_drift)}"
    return f"sum {watched.drift.sums[-1]:.1f}, limit {watched.drift.limit:.1f}"


def _sparse(rounds: Sequence[str]) -> list[str]:
    """Give the names of some of the rounds, so that an axis can be read."""
    every = max(1, len(rounds) // 8)
    return [r.partition(" ")[0] if k % every == 0 else "" for k, r in enumerate(rounds)]
