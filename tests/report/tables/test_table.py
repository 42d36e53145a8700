"""Tables as text: no figure loses its unit, and what the numbers rest on is said in words."""

from dataclasses import replace

import pytest
from rich.table import Table

from clbench.core.results import Costs
from clbench.report.page.html import html_report
from clbench.report.tables.summary import summary_text
from clbench.report.tables.table import as_text
from tests.builders.reported import ROWS, record


def costly(label, seed):
    run = record("sft", ROWS["sft"], seed)
    settings = {"name": "sft", "lr": 0.0005, "about": label}
    costs = Costs(train_s=654.321 + 300 * seed, peak_memory_bytes=987_654_321, kept_bytes=15_500 + seed)
    scores = {**run.scores, "train_seconds": costs.train_s, "peak_memory_bytes": 9.9e8, "kept_bytes": costs.kept_bytes}
    spec = run.spec.model_copy(update={"learner": settings})
    return replace(run, spec=spec, costs=costs, scores=scores)


@pytest.mark.parametrize("columns", ["80", "250", None])
def test_no_figure_is_cut_however_long_the_labels_are(columns, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    text = summary_text([costly(label, seed) for label in ("x" * 70, "y" * 70) for seed in (0, 1)])
    assert "…" not in text
    assert "x" * 70 in text
    assert "15.5 kB" in text
    assert "990.0 MB" in text


def test_columns_that_wrap_give_way_to_those_that_do_not():
    table = Table()
    table.add_column("figure", no_wrap=True)
    table.add_column("why")
    table.add_row("1.0 MB " * 19, "a reason " * 40)
    text = as_text(table)
    assert ("1.0 MB " * 19).strip() in text
    assert text.count("reason") == 40
    assert max(map(len, text.splitlines())) <= 150


def test_seeds_are_counted_by_row():
    runs = [record("sft", ROWS["sft"], 0), record("sft", ROWS["sft"], 1), record("frozen", ROWS["frozen"])]
    assert "over items and seeds, 1 or 2 seeds a row." in " ".join(summary_text(runs).split())
    assert "Means over seeds (1 or 2 seeds a row)" in html_report(runs, "t")
    assert "随机种子的平均值（每行 1 或 2 个种子）" in html_report(runs, "t", "zh")
