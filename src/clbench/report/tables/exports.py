"""The table of methods as CSV, JSON, LaTeX (booktabs) and Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence

from clbench.metrics import all_metrics
from clbench.report.escape import csv_cell, latex, markdown, plain
from clbench.report.runs.groups import Group, group_runs, item_intervals, settings_of
from clbench.report.runs.item_changes import item_changes
from clbench.report.runs.leaders import is_bound
from clbench.report.runs.load import RunRecord
from clbench.report.runs.orders import by_performance, by_scenario, methods_of
from clbench.report.runs.traits import way_of
from clbench.report.tables.figure_tables import (
    FigureTable,
    cell_without_unit,
    column_unit,
    figure_tables,
    ways_by_label,
    with_ways,
)
from clbench.report.tables.item_changes import to_items
from clbench.report.tables.table import heading, methods_table, printed, seeds_note
from clbench.report.tables.translations import TRANSLATIONS
from clbench.stats.bootstrap import UNKNOWN


def to_csv(runs: Sequence[RunRecord]) -> str:
    """Return one line per run with every figure in full precision, and the ends of its 95 % interval over items.

    Undefined is empty. `settings` are those of the learner, as JSON; `learns_in` is "weights", "prompt", or empty where
    it is neither, or not known.
    """
    names = sorted({name for run in runs for name in run.scores})
    ends = [f"{name}_{end}" for name in names for end in ("low", "high")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "learner", "model", "stream", "seed", *names, *ends, "settings", "learns_in"])
    for run in runs:
        spec, intervals = run.spec, item_intervals(run)
        values = [run.scores.get(n, math.nan) for n in names]
        values += [end for n in names for end in intervals.get(n, UNKNOWN)[:2]]
        row = [*map(csv_cell, (spec.name, spec.learner_name, spec.model.name, spec.stream)), spec.seed]
        settings = csv_cell(json.dumps(settings_of(run), ensure_ascii=False))
        written = ["" if math.isnan(v) else repr(v) for v in values]
        writer.writerow([*row, *written, settings, way_of(spec.learner, run.provenance)])
    return out.getvalue()


def to_json(runs: Sequence[RunRecord]) -> str:
    """Return every run with spec, matrix, figures, intervals over items, changes of items, costs and provenance.

    Undefined is null.
    """
    values = [
        {
            "spec": run.spec.model_dump(mode="json"),
            "learns_in": way_of(run.spec.learner, run.provenance) or None,
            "matrix": run.matrix.to_json(),
            "scores": {k: None if math.isnan(v) else v for k, v in run.scores.items()},
            "intervals": {
                k: [None if math.isnan(end) else end for end in ends[:2]] for k, ends in item_intervals(run).items()
            },
            "item_changes": [change.record() for change in item_changes([run])],
            "costs": run.costs.model_dump(mode="json", exclude={*run.costs.unknown}),
            "provenance": run.provenance,
        }
        for run in runs
    ]
    return json.dumps(values, indent=1, ensure_ascii=False)


def to_latex(runs: Sequence[RunRecord], columns: Sequence[str] = ()) -> str:
    """Return a booktabs table for each scenario, methods as rows, in a floating environment with caption and label.

    Bounds stand above a line; leading values are bold (see `leaders`); units stand in the heads.

    Args:
        runs: At least one.
        columns: Names or symbols of figures; empty takes the usual ones.

    Raises:
        SpecError: There is no such figure.
    """
    return "\n".join(_latex_table(table) for table in figure_tables(runs, columns))


def _latex_table(table: FigureTable) -> str:
    bounds = [_latex_row(table, g) for g in table.groups if is_bound(g)]
    methods = [_latex_row(table, g) for g in table.groups if not is_bound(g)]
    heads = [latex(table.way)] if table.ways else []
    for name in table.names:
        unit = column_unit(table.groups, name).name
        heads.append(latex(f"{heading(all_metrics()[name])} ({unit})" if unit else heading(all_metrics()[name])))
    first = table.groups[0].runs[0].spec
    label = re.sub(r"[^a-z0-9]+", "-", f"{first.stream}-{first.model.name}".lower()).strip("-")
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{latex(f'{first.stream}, {first.model.name}. {plain(table.note)}')}}}",
            f"\\label{{tab:{label}}}",
            r"\begin{tabular}{l" + ("l" if table.ways else "") + "r" * len(table.names) + "}",
            r"\toprule",
            " & ".join(["learner", *heads]) + r" \\",
            r"\midrule",
            *(([*bounds, r"\midrule"] if methods else bounds) if bounds else []),
            *methods,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex_row(table: FigureTable, group: Group) -> str:
    cells = [latex(group.label), *([latex(table.ways[group.label])] if table.ways else [])]
    for name in table.names:
        text = latex(cell_without_unit(group, name, column_unit(table.groups, name)))
        cells.append(f"\\textbf{{{text}}}" if group.label in table.leaders[name] else text)
    return " & ".join(cells) + r" \\"


def to_markdown(runs: Sequence[RunRecord], columns: Sequence[str] = ()) -> str:
    """Return a Markdown table for each scenario, methods as rows; `columns` as in `to_latex`."""
    parts: list[str] = []
    for table in figure_tables(runs, columns):
        head = [f"**{table.title}**"] if table.title else []
        parts += [*head, _markdown_table(table.header, table.rows), table.note]
    return "\n\n".join(parts) + "\n"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Return a table; its first `words` columns are words, the others figures."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * words + "---:|" * (len(header) - words)]
    return "\n".join([*lines, *("| " + " | ".join(map(markdown, row)) + " |" for row in rows)])


def to_methods(runs: Sequence[RunRecord]) -> str:
    """Return a Markdown table of the methods of each scenario, each over all orders of its tasks and all seeds."""
    parts: list[str] = []
    scenarios = [by_performance(methods_of(groups)) for groups in by_scenario(group_runs(runs))]
    ways = ways_by_label([method for methods in scenarios for method in methods], TRANSLATIONS["en"])
    for methods in scenarios:
        counts = sorted({len(method.runs) for method in methods})
        orders = max(len(set(method.orders)) for method in methods)
        note = TRANSLATIONS["en"]["methods_note"].format(orders=orders, runs=", ".join(map(str, counts)))
        parts += [_markdown_table(*with_ways(methods_table(methods), ways), words=2 if ways else 1), note]
    return "\n\n".join(parts) + "\n"


def to_rows(runs: Sequence[RunRecord]) -> str:
    """Return a Markdown table of the tasks: guess rate, untouched model, and each method's first and last scores."""
    groups = group_runs(runs)
    first = groups[0].mean
    tasks = first.select("task")
    guess_rates = [first.columns[c].guess_rate for c in tasks]
    rows = [
        _row("guessing", "guess rate", guess_rates),
        _row("untouched model", "before all lessons", [float(first.values[0, c]) for c in tasks]),
    ]
    for group in groups:
        values, columns = group.mean.values, group.mean.columns
        places = {name: place for place, name in enumerate(group.mean.exams)}
        own = [places.get(first.exams[c]) for c in tasks]  # None: a stream without that task
        learnt = [math.nan if c is None else float(values[columns[c].taught or 0, c]) for c in own]
        rows.append(_row(group.label, "after its lesson", learnt))
        last = [math.nan if c is None else float(values[-1, c]) for c in own]
        rows.append(_row(group.label, "after the last lesson", last))
    heads = ["learner", "score", *(markdown(first.exams[c]) for c in tasks)]
    table = with_ways((heads, rows), ways_by_label(groups, TRANSLATIONS["en"]))
    return "\n\n".join([_markdown_table(*table, words=len(table[0]) - len(tasks)), seeds_note(groups)]) + "\n"


def _row(label: str, row: str, values: Sequence[float]) -> list[str]:
    return [label, row, *(printed(v, "score") for v in values)]


EXPORTS: Mapping[str, Callable[[Sequence[RunRecord]], str]] = {
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
    "markdown": to_markdown,
    "rows": to_rows,
    "methods": to_methods,
    "items": to_items,
}
