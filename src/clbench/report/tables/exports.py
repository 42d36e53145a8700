"""The table of methods as CSV, JSON, LaTeX (booktabs) and Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence

from clbench.metrics import all_metrics
from clbench.report.escape import csv_cell, latex, markdown, plain
from clbench.report.runs.groups import group_runs
from clbench.report.runs.item_changes import item_changes
from clbench.report.runs.load import RunRecord
from clbench.report.runs.orders import by_performance, by_scenario, methods_of
from clbench.report.tables.item_changes import to_items
from clbench.report.tables.table import TABLE, cell, defined, heading, methods_table, printed, seeds_note
from clbench.report.tables.translations import TRANSLATIONS


def to_csv(runs: Sequence[RunRecord]) -> str:
    """Return one line per run with every figure in full precision; undefined is empty."""
    names = sorted({name for run in runs for name in run.scores})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "learner", "model", "stream", "seed", *names])
    for run in runs:
        values = [run.scores.get(n, math.nan) for n in names]
        spec = run.spec
        row = [*map(csv_cell, (spec.name, spec.learner_name, spec.model.name, spec.stream)), spec.seed]
        writer.writerow([*row, *("" if math.isnan(v) else repr(v) for v in values)])
    return out.getvalue()


def to_json(runs: Sequence[RunRecord]) -> str:
    """Return every run with spec, matrix, figures, changes of items, costs and provenance; undefined is null."""
    values = [
        {
            "spec": run.spec.model_dump(mode="json"),
            "matrix": run.matrix.to_json(),
            "scores": {k: None if math.isnan(v) else v for k, v in run.scores.items()},
            "item_changes": [change.record() for change in item_changes([run])],
            "costs": run.costs.model_dump(mode="json"),
            "provenance": run.provenance,
        }
        for run in runs
    ]
    return json.dumps(values, indent=1, ensure_ascii=False)


def to_latex(runs: Sequence[RunRecord]) -> str:
    """Return a booktabs table, methods as rows."""
    header, rows, note = figure_table(runs)
    lines = [r"\begin{tabular}{l" + "r" * (len(header) - 1) + "}", r"\toprule"]
    lines += [" & ".join(map(latex, header)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(latex, row)) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}", f"% {plain(note)}"]
    return "\n".join(lines) + "\n"


def to_markdown(runs: Sequence[RunRecord]) -> str:
    """Return a Markdown table, methods as rows."""
    header, rows, note = figure_table(runs)
    return "\n".join([_markdown_table(header, rows), "", note]) + "\n"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(map(markdown, row)) + " |" for row in rows)])


def to_methods(runs: Sequence[RunRecord]) -> str:
    """Return a Markdown table of the methods of each scenario, each over all orders of its tasks and all seeds."""
    parts: list[str] = []
    for groups in by_scenario(group_runs(runs)):
        methods = by_performance(methods_of(groups))
        counts = sorted({len(method.runs) for method in methods})
        orders = max(len(set(method.orders)) for method in methods)
        note = TRANSLATIONS["en"]["methods_note"].format(orders=orders, runs=", ".join(map(str, counts)))
        parts += [_markdown_table(*methods_table(methods)), note]
    return "\n\n".join(parts) + "\n"


def to_rows(runs: Sequence[RunRecord]) -> str:
    """Return a Markdown table of the tasks: guess rate, untouched model, and each method's first and last scores."""
    groups = group_runs(runs)
    first = groups[0].mean
    tasks = first.select("task")
    lines = [
        "| learner | score | " + " | ".join(markdown(first.exams[c]) for c in tasks) + " |",
        "|---|---|" + "---:|" * len(tasks),
    ]
    guess_rates = [first.columns[c].guess_rate for c in tasks]
    lines.append(_row("guessing", "guess rate", guess_rates))
    lines.append(_row("untouched model", "before all lessons", [float(first.values[0, c]) for c in tasks]))
    for group in groups:
        values, columns = group.mean.values, group.mean.columns
        places = {name: place for place, name in enumerate(group.mean.exams)}
        own = [places.get(first.exams[c]) for c in tasks]  # None: a stream without that task
        learnt = [math.nan if c is None else float(values[columns[c].taught or 0, c]) for c in own]
        lines.append(_row(group.label, "after its lesson", learnt))
        last = [math.nan if c is None else float(values[-1, c]) for c in own]
        lines.append(_row(group.label, "after the last lesson", last))
    return "\n".join([*lines, "", seeds_note(groups)]) + "\n"


def _row(label: str, row: str, values: Sequence[float]) -> str:
    return f"| {markdown(label)} | {row} | " + " | ".join(printed(v, "score") for v in values) + " |"


def figure_table(runs: Sequence[RunRecord]) -> tuple[list[str], list[list[str]], str]:
    """Return the table of methods as text: its heading, a row per method, and the note below it."""
    groups = group_runs(runs)
    names = defined(groups, TABLE)
    header = ["learner", *(heading(all_metrics()[n]) for n in names)]
    return header, [[g.label, *(cell(g, n) for n in names)] for g in groups], seeds_note(groups)


EXPORTS: Mapping[str, Callable[[Sequence[RunRecord]], str]] = {
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
    "markdown": to_markdown,
    "rows": to_rows,
    "methods": to_methods,
    "items": to_items,
}
