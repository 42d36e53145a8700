"""One self-contained HTML file: no network; a script is needed for the item browser alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clbench.core.errors import SpecError
from clbench.core.spec import HEADLINE
from clbench.metrics import all_metrics
from clbench.report.decide.compare import Comparison
from clbench.report.decide.compare_text import exam_rows, figure_cells
from clbench.report.decide.texts import TEXTS
from clbench.report.drawings.figures import curves, heat_map, key_line
from clbench.report.drawings.plots import MOST_BARS
from clbench.report.escape import plain
from clbench.report.page.browser import browser
from clbench.report.page.header import header_rows
from clbench.report.page.item_browser import item_browser
from clbench.report.page.item_change_rows import item_change_section
from clbench.report.page.lengths import length_rows, length_series
from clbench.report.page.overview import over_orders, overview_note, profile, retention, spread, tradeoffs
from clbench.report.page.ranking import rank_heads, ranking
from clbench.report.page.sentences import summary_sentences
from clbench.report.page.stream_page import columns, lesson_cells, similarity_map, stream_note
from clbench.report.runs.abilities import ability_curves, ability_rows
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.leaders import is_bound, leaders
from clbench.report.runs.load import RunRecord
from clbench.report.runs.orders import by_scenario
from clbench.report.runs.remarks import remarks
from clbench.report.runs.unlearnt import unlearnt_sentences
from clbench.report.tables.exports import EXPORTS
from clbench.report.tables.figure_names import figure_name, key_to_symbols
from clbench.report.tables.figure_tables import ways_by_label
from clbench.report.tables.table import cell, defined, heading
from clbench.report.tables.translations import TRANSLATIONS
from clbench.report.tables.words import word

FAMILIES = ("performance", "stability", "efficiency", "cost")
SUFFIX = {
    "csv": "csv",
    "json": "json",
    "latex": "tex",
    "markdown": "md",
    "rows": "rows.md",
    "methods": "methods.md",
    "items": "items.md",
}


def html_report(runs: Sequence[RunRecord], title: str, lang: str = "en", comparisons: Sequence[Comparison] = ()) -> str:
    """Return one HTML page that shows runs side by side.

    Args:
        runs: At least one.
        title: Title of the page.
        lang: "en" or "zh".
        comparisons: Comparisons of sides of these runs, which are shown before everything else.
    """
    groups = group_runs(runs)
    texts = TRANSLATIONS[lang]
    environment = Environment(
        loader=PackageLoader("clbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    page = environment.get_template("report.html.jinja").render(
        title=title,
        lang=lang,
        t=texts,
        header=header_rows(groups, texts),
        summary=[*unlearnt_sentences(groups, texts), *summary_sentences(groups, texts), *remarks(groups, texts)],
        comparisons=[_comparison_texts(c, TEXTS[lang]) for c in comparisons],
        families=_families(groups, texts, lang),
        overview_note=overview_note(groups, texts),
        labels=[(g.label, Markup(key_line(i))) for i, g in enumerate(groups)],
        tradeoffs=[(caption, Markup(svg)) for caption, svg in tradeoffs(groups, texts)],
        crowded=len(groups) > MOST_BARS,
        profile=Markup(profile(groups, texts)),
        spread=Markup(spread(groups, texts)),
        rankings=ranking(groups, texts),
        rank_heads=rank_heads(texts),
        orders=over_orders(groups, texts),
        retained=retention(groups, texts),
        key_line=lambda number: Markup(key_line(number)),
        markup=Markup,
        maps=[(g.label, len(g.runs), Markup(heat_map(g.mean, f"R {g.label}", texts))) for g in groups],
        streams=_streams(groups, texts),
        tasks=_curves(groups, taught=True),
        abilities=_ability_curves(groups, texts),
        ability_exams=_curves(groups, taught=False),
        lengths=_lengths(groups, texts),
        abilities_left=_abilities_left(groups, texts),
        item_changes=item_change_section(groups, texts),
        changed=item_browser(groups, lang),
        items=browser(groups),
        specs=[(r.spec.name, _yaml(r.spec.model_dump(mode="json"))) for g in groups for r in g.runs],
        provenance=[(r.spec.name, _json(r.provenance)) for g in groups for r in g.runs],
        definitions=_definitions(groups, lang),
    )
    return plain(page)  # names, questions and answers may hold anybody's text


def _comparison_texts(found: Comparison, texts: dict[str, str]) -> dict[str, Any]:
    """Return a comparison as texts."""
    return {
        "one": found.one.label,
        "two": found.two.label,
        "settings": found.settings,
        "figures": [figure_cells(f, texts) for f in found.figures],
        "exams": exam_rows(found, texts),
        "flips": [
            (f, plain(f.question), plain(" | ".join(f.expected)), plain(f.one), plain(f.two)) for f in found.flips
        ],
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _streams(groups: Sequence[Group], texts: dict[str, str]) -> list[dict[str, Any]]:
    """Return each stream of the runs once: its lessons as rows, and the similarity map of its tasks."""
    summaries = {run.stream.name: run.stream for group in groups for run in group.runs}
    return [
        {
            "name": name,
            "columns": columns(texts),
            "rows": [lesson_cells(each, texts) for each in summary.lessons],
            "note": stream_note(summary, texts),
            "map": Markup(similarity_map(summary, f"{texts['similar']} {name}")),
        }
        for name, summary in summaries.items()
    ]


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def _to(texts: dict[str, str]) -> str:
    """Return how the ends of an interval are written."""
    return TEXTS["zh" if texts is TRANSLATIONS["zh"] else "en"]["to"]


def _abilities_left(groups: Sequence[Group], texts: dict[str, str]) -> dict[str, Any] | None:
    """Return the table of abilities over lessons, or None where none was examined."""
    last = max(g.mean.num_lessons for g in groups)
    found = [row for group in groups for row in ability_rows(group, last, _to(texts))]
    rows = [[label, word(ability, texts), *cells] for label, ability, *cells in found]
    heads = [texts["learner"], texts["ability"], *map(str, range(last + 1)), texts["lost_in"], texts["left"]]
    return {"columns": heads, "rows": rows} if rows and last <= 20 else None


def _ability_curves(groups: Sequence[Group], texts: dict[str, str]) -> list[tuple[str, Markup]]:
    """Draw every ability, the mean of its exams, over lessons."""
    found = {g.label: {c.ability: c.scores for c in ability_curves(g.mean)} for g in groups}
    names = dict.fromkeys(name for curves_of in found.values() for name in curves_of)
    drawn: list[tuple[str, Markup]] = []
    for name in names:
        series = {label: list(curves_of.get(name, [math.nan])) for label, curves_of in found.items()}
        drawn.append((word(name, texts), Markup(curves(series, word(name, texts)))))
    return drawn


def _lengths(groups: Sequence[Group], texts: dict[str, str]) -> dict[str, Any] | None:
    """Return the curve and the table of long context by length, or None for fewer than two lengths."""
    ticks, series = length_series(groups, texts["untouched"])
    if len(ticks) < 2:
        return None
    untouched, *labels = series
    ordered = {**{label: series[label] for label in labels}, untouched: series[untouched]}
    heads = [texts["learner"], texts["up_to"], texts["answers"], texts["untouched"], texts["after_last"], texts["left"]]
    return {
        "drawing": Markup(curves(ordered, texts["lengths"], ticks=ticks)),
        "labels": [(label, Markup(key_line(i))) for i, label in enumerate(ordered)],
        "columns": heads,
        "rows": [row for group in groups for row in length_rows(group, _to(texts))],
    }


def _families(groups: Sequence[Group], texts: dict[str, str], lang: str) -> list[dict[str, Any]]:
    """Return the families of figures: column heads, what they stand for, and the rows of each scenario.

    A row is (label, whether it is a bound, cells), a cell (text, whether its value leads).
    """
    families: list[dict[str, Any]] = []
    scenarios, ways = by_scenario(groups), ways_by_label(groups, texts)
    for family in FAMILIES:
        names = defined(groups, [n for n in _ordered() if all_metrics()[n].group == family])
        if not names:
            continue
        lead = {n: leaders(groups, n) for n in names}
        parts = [
            (_title(members) if len(scenarios) > 1 else "", [_line(g, names, lead, ways) for g in members])
            for members in scenarios
        ]
        columns = [(texts["way"], "")] if ways else []
        columns += [(heading(all_metrics()[n]), _about(n)) for n in names]
        families.append(
            {"title": texts[family], "columns": columns, "parts": parts, "key": key_to_symbols(names, lang)}
        )
    return families


def _title(groups: Sequence[Group]) -> str:
    streams = dict.fromkeys(run.spec.stream for group in groups for run in group.runs)
    return f"{', '.join(streams)} · {groups[0].runs[0].spec.model.name}"


def _line(
    group: Group, names: Sequence[str], lead: Mapping[str, frozenset[str]], ways: Mapping[str, str]
) -> tuple[str, bool, list[tuple[str, bool]]]:
    way = [(ways[group.label], False)] if ways else []
    return group.label, is_bound(group), [*way, *((cell(group, n), group.label in lead[n]) for n in names)]


def _ordered() -> list[str]:
    """Return all figures, the headline ones first."""
    return [*HEADLINE, *(n for n in all_metrics() if n not in HEADLINE)]


def _about(name: str) -> str:
    return f"{name}: {' '.join((all_metrics()[name].compute.__doc__ or '').split())}"


def _curves(groups: Sequence[Group], *, taught: bool) -> list[tuple[str, Markup]]:
    drawn: list[tuple[str, Markup]] = []
    for column in dict.fromkeys(c for g in groups for c in g.mean.columns if (c.kind == "task") == taught):
        series: dict[str, list[float]] = {}
        for group in groups:
            values = group.mean.values
            place = group.mean.exams.index(column.name) if column.name in group.mean.exams else None
            series[group.label] = [math.nan] if place is None else values[:, place].tolist()
        drawn.append((column.name, Markup(curves(series, column.name, column.taught, column.guess_rate))))
    return drawn


def _definitions(groups: Sequence[Group], lang: str) -> list[tuple[str, str]]:
    names = defined(groups, list(all_metrics()))
    return [(f"{all_metrics()[n].symbol} – {figure_name(n, lang)}", _about(n)) for n in names]


NOT_PAGES = (".pdf", ".svg", ".png", ".jpg", ".md", ".tex", ".csv", ".json", ".docx")


def page_at(out: Path, name: str) -> Path:
    """Make the folder of a page and return the page's path: `out` if that ends in .html, else `name` inside of it.

    Raises:
        SpecError: The folder is a file, or the name is that of another kind of file.
    """
    if out.suffix.lower() in NOT_PAGES:
        raise SpecError(f"no {out.suffix} is written", where=str(out), mend="name a folder, or a .html file")
    page = out if out.suffix.lower() in (".html", ".htm") else out / name
    if page.parent.is_file():
        mend = "name a folder, or a file that ends in .html"
        raise SpecError(f"{page.parent} is a file, so no page can lie in it", where="out", mend=mend)
    page.parent.mkdir(parents=True, exist_ok=True)
    return page


def write_page(
    runs: Sequence[RunRecord], out: Path, title: str, lang: str, comparisons: Sequence[Comparison] = ()
) -> Path:
    """Write the page alone, to a file that ends in .html or as report.html into a folder, and return its path."""
    page = page_at(out, "report.html")
    page.write_text(html_report(runs, title, lang, comparisons), encoding="utf-8")
    return page


def write_report(runs: Sequence[RunRecord], out: Path, title: str, lang: str = "en") -> Path:
    """Write the page, with the table as CSV, JSON, LaTeX and Markdown beside it, and return the page's path."""
    page = write_page(runs, out, title, lang)
    for name, export in EXPORTS.items():
        page.with_name(f"summary.{SUFFIX[name]}").write_text(export(runs), encoding="utf-8")
    return page
