"""The table of methods as CSV, JSON, LaTeX (booktabs) and Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence

from clbench.metrics import all_metrics
from clbench.report.gather import RunRecord, group_runs
from clbench.report.safe import csv_cell, latex, markdown, plain
from clbench.report.table import TABLE, cell, heading, printed, seeds_note, shown


def to_csv(runs: Sequence[RunRecord]) -> str:
    """One line per run with every figure in full precision; undefined is empty."""
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
    """Every run with spec, matrix, figures and provenance; undefined is null."""
    values = [
        {
            "spec": run.spec.model_dump(mode="json"),
            "matrix": run.matrix.to_json(),
            "scores": {k: None if math.isnan(v) else v for k, v in run.scores.items()},
            "meters": run.meters.model_dump(mode="json"),
            "provenance": run.provenance,
        }
        for run in runs
    ]
    return json.dumps(values, indent=1, ensure_ascii=False)


def to_latex(runs: Sequence[RunRecord]) -> str:
    """A booktabs table, methods as rows."""
    header, rows, note = _table(runs)
    lines = [r"\begin{tabular}{l" + "r" * (len(header) - 1) + "}", r"\toprule"]
    lines += [" & ".join(map(latex, header)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(latex, row)) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}", f"% {plain(note)}"]
    return "\n".join(lines) + "\n"


def to_markdown(runs: Sequence[RunRecord]) -> str:
    """A Markdown table, methods as rows."""
    header, rows, note = _table(runs)
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(map(markdown, row)) + " |" for row in rows]
    return "\n".join([*lines, "", note]) + "\n"


def to_rows(runs: Sequence[RunRecord]) -> str:
    """A Markdown table of the stream's own tasks: chance, row 0, the diagonal and the last row of each method."""
    groups = group_runs(runs)
    first = groups[0].mean
    own = first.select("own")
    lines = [
        "| learner | row | " + " | ".join(markdown(first.exams[c]) for c in own) + " |",
        "|---|---|" + "---:|" * len(own),
    ]
    chances = [first.columns[c].chance for c in own]
    lines.append(_row("guessing", "chance", chances))
    lines.append(_row("untouched model", "row 0", [float(first.values[0, c]) for c in own]))
    for group in groups:
        values, columns = group.mean.values, group.mean.columns
        lines.append(_row(group.label, "own lesson", [float(values[columns[c].taught or 0, c]) for c in own]))
        lines.append(_row(group.label, "last", [float(values[-1, c]) for c in own]))
    return "\n".join([*lines, "", seeds_note(groups)]) + "\n"


def _row(label: str, row: str, values: Sequence[float]) -> str:
    return f"| {markdown(label)} | {row} | " + " | ".join(printed(v, "score") for v in values) + " |"


def _table(runs: Sequence[RunRecord]) -> tuple[list[str], list[list[str]], str]:
    groups = group_runs(runs)
    names = shown(groups, TABLE)
    header = ["learner", *(heading(all_metrics()[n]) for n in names)]
    return header, [[g.label, *(cell(g, n) for n in names)] for g in groups], seeds_note(groups)


EXPORTS: Mapping[str, Callable[[Sequence[RunRecord]], str]] = {
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
    "markdown": to_markdown,
    "rows": to_rows,
}
