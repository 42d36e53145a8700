"""The page of a context-learning run: one self-contained HTML file, readable without a script or a network."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clbench.context.grades import Grades
from clbench.context.item_browser import Classes, Item
from clbench.context.page_texts import TEXTS
from clbench.context.spending import Spending, Spent
from clbench.context.summary import MOST_MISSES, Part, Summary
from clbench.context.tables import decimal, percent
from clbench.report.drawings.figures import curves
from clbench.report.drawings.shares import bars, histogram
from clbench.report.escape import plain

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Shown:
    """What a page shows.

    Attributes:
        grades, summary: Of the system.
        spending: What it took.
        items: Answers to look at.
        classes: Classes of errors, by task and trial; empty where no judge said them.
    """

    grades: Grades
    summary: Summary
    spending: Spending
    items: Sequence[Item] = ()
    classes: Classes = field(default_factory=dict[tuple[str, int], tuple[str, ...]])


def html_page(shown: Shown, title: str, lang: str = "en") -> str:
    """Return the page of one system.

    Args:
        shown: What it shows.
        title: Its title.
        lang: "en" or "zh".
    """
    t, found = TEXTS[lang], shown.summary
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("context.html.jinja").render(
        title=title,
        lang=lang,
        t=t,
        summary=_sentences(found, t),
        rates=_rates(found, t),
        categories=Markup(bars([_bar(p) for p in found.parts["category"]], t["categories"])),
        parts=[(t[name], [_part_cells(p, t) for p in parts]) for name, parts in found.parts.items()],
        threshold=Markup(_threshold(found, t)),
        by_length=Markup(_by_length(found, t)),
        misses=Markup(histogram(_misses(found), t["misses"])),
        states=[(state, num, percent(num / _answers(found))) for state, num in found.states.items()],
        classes=_class_rows(shown.classes),
        num_classified=len(shown.classes),
        spent=[_spent_cells(p, t) for p in shown.spending.parts if p.rows],
        cost_notes=_cost_notes(shown.spending, t),
        items=shown.items,
        choices={name: sorted({vars(i)[name] for i in shown.items}) for name in ("category", "state")},
        browser_note=t["browser_note"].format(shown=len(shown.items), total=len(shown.grades.rows)),
        judges=[name or t["not_recorded"] for name in found.judges] or [t["not_recorded"]],
        manifests=[(n, json.dumps(m, indent=1, ensure_ascii=False)) for n, m in shown.spending.manifests.items()],
    )
    return plain(page)  # questions and answers hold anybody's text


def span(low: float, high: float) -> str:
    """Return an interval of shares in percent, without a word, since the page has two languages.

    Example:
        >>> span(0.25, 0.5)
        '25.0–50.0'
    """
    return "–" if math.isnan(low) else f"{percent(low)}–{percent(high)}"


def _answers(found: Summary) -> int:
    return found.tasks * found.trials


def _sentences(found: Summary, t: Texts) -> list[str]:
    rate = found.rate
    counts = {"tasks": found.tasks, "contexts": found.contexts, "trials": found.trials}
    lines = [t["solved_line"].format(rate=percent(rate.value), span=span(rate.low, rate.high), **counts)]
    if found.unjudged:
        low, high = map(percent, found.limits)
        lines.append(t["unjudged_line"].format(num=found.unjudged, low=low, high=high))
    near = (found.misses[1] + found.misses[2]) / _answers(found)
    lines.append(t["rubric_line"].format(micro=percent(found.micro.value), near=percent(near)))
    lines += _extremes(found.parts["category"], t)
    return [*lines, *(t[f"doubt_{name}"].format(num=num) for name, num in vars(found.doubts).items() if num)]


def _extremes(parts: Sequence[Part], t: Texts) -> list[str]:
    """Return a sentence on the highest and the lowest category, where they differ."""
    ranked = sorted((p for p in parts if not math.isnan(p.rate.value)), key=lambda p: p.rate.value)
    if len(ranked) < 2 or ranked[0].rate.value == ranked[-1].rate.value:
        return []
    worst, best = ranked[0], ranked[-1]
    said = {
        name: f"{p.name}, {percent(p.rate.value)} % ({span(p.rate.low, p.rate.high)})"
        for name, p in (("best", best), ("worst", worst))
    }
    apart = best.rate.low > worst.rate.high
    return [f"{t['best_line'].format(**said)} {t['no_overlap' if apart else 'overlap']}"]


def _rates(found: Summary, t: Texts) -> list[tuple[str, str, str]]:
    deviation = t["one_trial"] if math.isnan(found.deviation) else f"± {percent(found.deviation)}"
    rows = [
        (t["rate"], percent(found.rate.value), span(found.rate.low, found.rate.high)),
        (t["board"], percent(found.mean), deviation),
        (t["micro"], percent(found.micro.value), span(found.micro.low, found.micro.high)),
        (t["macro"], percent(found.macro.value), span(found.macro.low, found.macro.high)),
    ]
    if found.unjudged:
        rows.append((t["limits"], "", span(*found.limits)))
    for each in found.of_trials[1:]:
        for name, rate in (("pass_at", each.any_passes), ("pass_all", each.all_pass)):
            rows.append((t[name].format(k=each.k), percent(rate.value), span(rate.low, rate.high)))
    return rows


def _bar(part: Part) -> tuple[str, float, float, float]:
    return part.name, part.rate.value, part.rate.low, part.rate.high


def _part_cells(part: Part, t: Texts) -> tuple[str, ...]:
    rate = part.rate
    name = t["not_recorded"] if part.name == "not recorded" else _bin(part.name)
    solved = (percent(rate.value), span(rate.low, rate.high))
    return (name, str(rate.tasks), str(rate.contexts), *solved, percent(part.rubrics.value))


def _bin(name: str) -> str:
    """Return a bin without a word, since the page has two languages; another name as it is.

    Example:
        >>> _bin("0 to 5"), _bin("11 or more"), _bin("Rules")
        ('0–5', '11+', 'Rules')
    """
    if found := re.fullmatch(r"(\d+) to (\d+)", name):
        return f"{found[1]}–{found[2]}"
    return re.sub(r"^(\d+) or more$", r"\1+", name)


def _threshold(found: Summary, t: Texts) -> str:
    ordered = dict(sorted(found.curve.items()))
    return curves({found.name: list(ordered.values())}, t["threshold"], ticks=[str(k) for k in ordered])


def _by_length(found: Summary, t: Texts) -> str:
    """Draw the rate over the bins of length, where there are two or more."""
    parts = [p for p in found.parts["characters of the prompt"] if p.name != "not recorded"]
    if len(parts) < 2:
        return ""
    names = [_thousands(p.name) for p in parts]
    return curves({found.name: [p.rate.value for p in parts]}, t["by_length"], ticks=names)


def _thousands(name: str) -> str:
    """Return a bin in thousands.

    Example:
        >>> _thousands("16001 to 32000"), _thousands("128001 or more")
        ('16–32', '128+')
    """
    low, _, high = name.partition(" to ")
    if not high:
        return f"{int(name.partition(' ')[0]) // 1000}+"
    return f"{int(low) // 1000}–{int(high) // 1000}"


def _misses(found: Summary) -> list[tuple[str, int]]:
    return [(f"{num}+" if num == MOST_MISSES else str(num), count) for num, count in found.misses.items()]


def _class_rows(classes: Classes) -> list[tuple[str, int, str]]:
    counts = Counter(name for given in classes.values() for name in given)
    return [(name, num, percent(num / len(classes))) for name, num in counts.most_common()]


def _spent_cells(part: Spent, t: Texts) -> tuple[str, ...]:
    used = part.usage
    tokens = (used.prompt, used.cached, used.completion, used.reasoning)
    return (t[part.what], str(part.rows), *map(str, tokens), "–" if part.usd is None else f"{part.usd:.4f}")


def _cost_notes(spending: Spending, t: Texts) -> list[str]:
    notes: list[str] = []
    if spending.seconds:
        times = {"median": decimal(spending.within(0.5)), "p95": decimal(spending.within(0.95))}
        notes.append(t["seconds"].format(**times))
    dates = sorted({p.dated for p in spending.parts if p.dated})
    return [*notes, *([t["dated"].format(dated=", ".join(dates))] if dates else [])]
