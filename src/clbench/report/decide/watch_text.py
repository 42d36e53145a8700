"""Trends for the terminal, as JSON, and as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich import box
from rich.table import Table

from clbench.report.decide.watch import Watched
from clbench.report.drawings.figures import curves
from clbench.report.escape import plain
from clbench.report.tables.table import as_text

NOT_COMPARABLE = "asked differently"
BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Draw values in [0, 1] as bars; a dot is a checkpoint that was not asked.

    Example:
        >>> sparkline([0.0, 0.5, 1.0])
        '▁▅█'
    """
    return "".join("·" if math.isnan(v) else BARS[min(int(v * 8), 7)] for v in values)


def summary(found: Sequence[Watched], rate: float) -> str:
    """Return sentences on which series alarm, and which are not watched yet."""
    alarms, idle = sum(w.alarm_at is not None for w in found), [w for w in found if w.more_to_fall]
    slow = [w for w in found if w.more_to_drift and not w.never_comparable]
    sentences = [f"Alarm in {alarms} of {len(found)} series."]
    if idle:
        needed = _more(max(w.more_to_fall for w in idle))
        sentences.append(f"{len(idle)} not watched at all: needs {needed}.")
    if never := sum(w.never_comparable for w in found):
        sentences.append(f"{never} not watched: every checkpoint is {NOT_COMPARABLE}.")
    if slow:
        needed = _more(max(w.more_to_drift for w in slow))
        sentences.append(f"{len(slow)} not watched for a slow decline: needs {needed}.")
    sentences.append(f"If nothing changes, the probability of any alarm is at most {100 * rate:g} %.")
    return " ".join(sentences)


def _more(checkpoints: int) -> str:
    return f"{checkpoints} more checkpoint{'s' if checkpoints > 1 else ''}"


def _verdict(place: int | None, lacking: int, watched: Watched) -> str:
    if place is not None:
        return f"ALARM at {watched.series.checkpoints[place]}"
    if watched.never_comparable:
        return f"not watched: {NOT_COMPARABLE}"
    return f"needs {_more(lacking)}" if lacking else "–"


def as_table(found: Sequence[Watched], rate: float) -> str:
    """Return the trends as a table for the terminal."""
    note = (
        "Percent. Fall: a checkpoint lies below the first ones (paired test over the same items, after Holm's "
        "correction over all checkpoints and series). Slow decline: the sum of how far the score lies below its first "
        "checkpoints (CUSUM, in deviations) is above the simulated limit. Each gets half of the false-alarm rate. "
        "Checkpoints that failed, in the gate or here, are not among the first ones. Where labels grow, questions with "
        "more choices are not compared."
    )
    table = Table(box=box.SIMPLE_HEAD, caption=note, caption_justify="left")
    for head in ("source", "what", "checkpoints", "trend", "at first", "last", "fall", "sum", "limit", "slow decline"):
        left = head in ("source", "what", "trend", "fall", "slow decline")
        table.add_column(head, justify="left" if left else "right", no_wrap=True)
    for each in found:
        drift, values = each.drift, each.series.values
        known = [v for v in values if not math.isnan(v)]
        sums = ("–", "–") if drift is None else (f"{drift.sums[-1]:.1f}", f"{drift.limit:.1f}")
        row = [each.series.source, each.series.name, str(len(values)), sparkline(values[-40:]), _percent(each.target)]
        row += [f"{100 * known[-1]:.1f}" if known else "–", _verdict(each.fall_at, each.more_to_fall, each), *sums]
        table.add_row(*map(plain, [*row, _verdict(each.decline_at, each.more_to_drift, each)]))
    return f"{summary(found, rate)}\n{as_text(table)}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def as_json(found: Sequence[Watched], rate: float) -> dict[str, Any]:
    """Return the trends as a JSON value; what is not known is null."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    def name(watched: Watched, place: int | None) -> str | None:
        return None if place is None else watched.series.checkpoints[place]

    return {
        "false_alarm_rate": rate,
        "summary": summary(found, rate),
        "series": [
            {
                "source": w.series.source,
                "name": w.series.name,
                "checkpoints": w.series.checkpoints,
                "values": [number(v) for v in w.series.values],
                "failed_in_gate": [w.series.checkpoints[k] for k in sorted(w.series.failed)],
                "reference": [w.series.checkpoints[k] for k in w.reference],
                "target": number(w.target),
                "deviation": number(w.deviation),
                "state": w.state,
                "never_comparable": w.never_comparable,
                "alarm": w.alarm,
                "fall": {
                    "alarm": name(w, w.fall_at),
                    "p": [number(p) for p in w.fall_p],
                    "more_checkpoints": w.more_to_fall,
                },
                "decline": {
                    "alarm": name(w, w.decline_at),
                    "sums": list(w.drift.sums) if w.drift else None,
                    "limit": w.drift.limit if w.drift else None,
                    "more_checkpoints": w.more_to_drift,
                },
            }
            for w in found
        ],
    }


def watch_page(found: Sequence[Watched], rate: float, title: str = "clbench watch") -> str:
    """Return the trends as one HTML page: a curve for each series, with its alarm or what it needs to be watched."""
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    drawn = [
        (
            plain(f"{w.series.source} · {w.series.name}"),
            plain(f"alarm at {w.alarm}") if w.alarm else "",
            plain(_state_text(w)),
            Markup(
                curves(
                    {w.series.name: w.series.values},
                    f"{w.series.source} {w.series.name}",
                    w.alarm_at,
                    0.0,
                    _some(w.series.checkpoints),
                )
            ),
        )
        for w in found
        if any(not math.isnan(v) for v in w.series.values)
    ]
    template = environment.get_template("watch.html.jinja")
    return plain(
        template.render(title=title, drawn=drawn, summary=summary(found, rate), checkpoints=_checkpoints(found))
    )


def _checkpoints(found: Sequence[Watched]) -> list[tuple[str, str]]:
    """Return (name, exams that failed) of every checkpoint that was tested by the gate."""
    gates = [w.series for w in found if w.series.source == "gate"]
    names = gates[0].checkpoints if gates else ()
    return [(plain(n), plain(", ".join(s.name for s in gates if k in s.failed))) for k, n in enumerate(names)]


def _state_text(watched: Watched) -> str:
    """Return what is needed to be watched, or how far the sum is from its limit."""
    if watched.more_to_fall:
        return f"not watched: needs {_more(watched.more_to_fall)}"
    if watched.never_comparable:
        return f"not watched: every checkpoint is {NOT_COMPARABLE}"
    if watched.drift is None:
        return f"slow decline not watched: needs {_more(watched.more_to_drift)}"
    return f"sum {watched.drift.sums[-1]:.1f}, limit {watched.drift.limit:.1f}"


def _some(names: Sequence[str]) -> list[str]:
    """Return some of the names, and empty texts for the others, so that an axis can be read."""
    every = max(1, len(names) // 8)
    return [name.partition(" ")[0] if k % every == 0 else "" for k, name in enumerate(names)]
