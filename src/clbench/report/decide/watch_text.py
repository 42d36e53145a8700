"""Trends for the terminal, as JSON, and as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich import box
from rich.table import Table

from clbench.report.decide.texts import TEXTS, heads
from clbench.report.decide.watch import Watched
from clbench.report.drawings.figures import curves
from clbench.report.escape import plain
from clbench.report.tables.table import as_text

GATE = "gate"  # source of the series of checkpoints that the gate has tested
BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Draw values in [0, 1] as bars; a dot is a checkpoint that was not asked.

    Example:
        >>> sparkline([0.0, 0.5, 1.0])
        '▁▅█'
    """
    return "".join("·" if math.isnan(v) else BARS[min(int(v * 8), 7)] for v in values)


def summary(found: Sequence[Watched], rate: float, texts: dict[str, str] = TEXTS["en"]) -> str:
    """Return sentences on which series alarm, and which are not watched yet."""
    alarms, idle = sum(w.alarm_at is not None for w in found), [w for w in found if w.more_to_fall]
    slow = [w for w in found if w.more_to_drift and not w.never_comparable]
    sentences = [texts["alarms"].format(alarms=alarms, of=len(found))]
    if idle:
        needed = _more(max(w.more_to_fall for w in idle), texts)
        sentences.append(texts["idle"].format(num=len(idle), more=needed))
    if never := sum(w.never_comparable for w in found):
        sentences.append(texts["never"].format(num=never))
    if slow:
        needed = _more(max(w.more_to_drift for w in slow), texts)
        sentences.append(texts["slow"].format(num=len(slow), more=needed))
    sentences.append(texts["rate"].format(rate=f"{100 * rate:g}"))
    return texts["space"].join(sentences)


def _more(checkpoints: int, texts: dict[str, str]) -> str:
    return texts["more"].format(num=checkpoints) if checkpoints > 1 else texts["one_more"]


def _verdict(place: int | None, lacking: int, watched: Watched, texts: dict[str, str]) -> str:
    if place is not None:
        return texts["alarm_at"].format(name=watched.series.checkpoints[place])
    if watched.never_comparable:
        return texts["not_watched"].format(why=texts["asked_differently"])
    return texts["needs"].format(more=_more(lacking, texts)) if lacking else "–"


LEFT = (0, 1, 3, 6, 9)  # columns of text: source, what, trend, fall, slow decline


def as_table(found: Sequence[Watched], rate: float, texts: dict[str, str] = TEXTS["en"]) -> str:
    """Return the trends as a table for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, caption=texts["watch_note"], caption_justify="left")
    for column, head in enumerate(heads(texts, "watch_heads")):
        table.add_column(head, justify="left" if column in LEFT else "right", no_wrap=True)
    for each in found:
        drift, values = each.drift, each.series.values
        known = [v for v in values if not math.isnan(v)]
        sums = ("–", "–") if drift is None else (f"{drift.sums[-1]:.1f}", f"{drift.limit:.1f}")
        row = [_source(each, texts), each.series.name, str(len(values)), sparkline(values[-40:]), _percent(each.target)]
        row += [f"{100 * known[-1]:.1f}" if known else "–", _verdict(each.fall_at, each.more_to_fall, each, texts)]
        table.add_row(*map(plain, [*row, *sums, _verdict(each.decline_at, each.more_to_drift, each, texts)]))
    return f"{summary(found, rate, texts)}\n{as_text(table)}"


def _source(watched: Watched, texts: dict[str, str]) -> str:
    source = watched.series.source
    return texts["source_gate"] if source == GATE else source


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


def watch_page(
    found: Sequence[Watched], rate: float, title: str = "clbench watch", lang: str = "en", first: int | None = None
) -> str:
    """Return the trends as one HTML page: a curve for each series, with its alarm or what it needs to be watched.

    Args:
        found: The series.
        rate: The false-alarm rate over all of them.
        title: Of the page.
        lang: "en" or "zh".
        first: Number of first checkpoints that later ones are compared with, to be told.
    """
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    texts = TEXTS[lang]
    shown = [w for w in found if any(not math.isnan(v) for v in w.series.values)]
    return plain(
        environment.get_template("watch.html.jinja").render(
            lang=lang,
            texts=texts,
            title=title,
            drawn=[_drawn(w, texts) for w in shown],
            summary=summary(found, rate, texts),
            limits="" if first is None else texts["watch_limits"].format(first=first, rate=f"{100 * rate:g}"),
            checkpoints=_checkpoints(found, texts),
        )
    )


def _drawn(watched: Watched, texts: dict[str, str]) -> tuple[str, str, str, Markup]:
    """Return the name of a series, its alarm, what is needed to watch it, and its curve."""
    series = watched.series
    alarm = texts["alarm_mark"].format(name=watched.alarm) if watched.alarm else ""
    curve = curves(
        {series.name: series.values}, f"{series.source} {series.name}", watched.alarm_at, 0.0, _some(series.checkpoints)
    )
    name = f"{_source(watched, texts)} · {series.name}"
    return plain(name), plain(alarm), plain(_state_text(watched, texts)), Markup(curve)


def _checkpoints(found: Sequence[Watched], texts: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return (name, date, exams that failed) of every checkpoint that was tested by the gate."""
    gates = [w.series for w in found if w.series.source == GATE]
    named = zip_longest(gates[0].checkpoints, gates[0].dates, fillvalue="") if gates else ()
    return [
        (plain(name), plain(date[:10]), plain(texts["join"].join(s.name for s in gates if k in s.failed)))
        for k, (name, date) in enumerate(named)
    ]


def _state_text(watched: Watched, texts: dict[str, str]) -> str:
    """Return what is needed to be watched, or how far the sum is from its limit."""
    if watched.more_to_fall:
        needed = texts["needs"].format(more=_more(watched.more_to_fall, texts))
        return texts["not_watched"].format(why=needed)
    if watched.never_comparable:
        return texts["not_watched"].format(why=texts["every_differently"])
    if watched.drift is None:
        return texts["slow_not_watched"].format(more=_more(watched.more_to_drift, texts))
    return texts["sum_limit"].format(sum=f"{watched.drift.sums[-1]:.1f}", limit=f"{watched.drift.limit:.1f}")


def _some(names: Sequence[str]) -> list[str]:
    """Return some of the names, and empty texts for the others, so that an axis can be read."""
    every = max(1, len(names) // 8)
    return [name.partition(" ")[0] if k % every == 0 else "" for k, name in enumerate(names)]
