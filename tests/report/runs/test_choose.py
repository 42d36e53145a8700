import csv
import io
import json
import re
from dataclasses import replace

import pytest

from clbench.core.errors import DataError
from clbench.report.runs.choose import Choice, choose_runs
from clbench.report.tables.exports import EXPORTS, to_csv, to_json, to_latex, to_markdown
from clbench.report.tables.figure_tables import figure_tables
from clbench.report.tables.parquet import write_parquet
from clbench.report.tables.summary import summary_text
from tests.builders.reported import ROWS, record


def on(stream, learner="sft", model="tiny-llama", seed=0, made_by="run", jitter=0.0):
    rows = [[*row] for row in ROWS["sft"]]
    rows[-1][0] += jitter
    run = record(learner, rows, seed, name=f"{made_by}-{stream}-{learner}-s{seed}")
    model = run.spec.model.model_copy(update={"name": model})
    spec = run.spec.model_copy(update={"stream": stream, "model": model})
    return replace(run, spec=spec, provenance={"arguments": [made_by, "r.yaml"]})


RUNS = [on("a"), on("a", "ewc"), on("b"), on("b", model="out/My Model")]


def names(choice, runs=RUNS):
    return [(r.spec.stream, r.spec.learner_name, r.spec.model.name) for r in choose_runs(runs, choice)]


def test_runs_are_chosen_by_what_they_are():
    assert len(names(Choice())) == 4
    assert names(Choice(stream=("a",), learner=("e*",))) == [("a", "ewc", "tiny-llama")]
    assert names(Choice(model=("My Model",))) == [("b", "sft", "out/My Model")]
    assert names(Choice(run=("run-b-*",))) == [("b", "sft", "tiny-llama"), ("b", "sft", "out/My Model")]
    assert len(names(Choice(stream=("a", "b")))) == 4


def test_the_name_of_a_recipe_takes_all_its_runs():
    assert len(names(Choice(run=("run-b",)))) == 2
    assert len(names(Choice(run=("run",)))) == 4
    assert names(Choice(run=("run-a-sft-s0",))) == [("a", "sft", "tiny-llama")]
    with pytest.raises(DataError, match="no run is named 'ru'"):
        names(Choice(run=("ru",)))


def test_a_table_says_first_what_was_not_learnt():
    flat = [[0.3, 0.0, 0.8]] * 3
    assert "No task" not in summary_text(RUNS[:1])
    nothing = record("sft", flat)
    text = " ".join(summary_text([replace(nothing, spec=RUNS[0].spec)]).split())
    assert "No task was learnt: right after their own lessons, no method is above guessing on world_a" in text
    assert text.index("No task was learnt") < text.index("Scores in percent")


def test_what_matches_nothing_is_named_with_its_neighbour():
    with pytest.raises(DataError, match="no run has the learner 'ewcc'") as error:
        names(Choice(learner=("ewcc",)))
    assert "ewc" in error.value.mend
    with pytest.raises(DataError, match="no run matches all"):
        names(Choice(stream=("b",), learner=("ewc",)))


def test_runs_of_a_tuning_are_left_out_unless_asked_for(heard):
    mixed = [*RUNS, on("a", "lwf", made_by="tune")]
    assert len(names(Choice(), mixed)) == 4
    assert "runs: 1" in heard[0]
    assert "tune-a-lwf-s0" in heard[0]
    assert names(Choice(run=("tune-*",)), mixed) == [("a", "lwf", "tiny-llama")]
    assert len(names(Choice(), [on("a", "lwf", made_by="tune")])) == 1, "alone they are what was asked for"


def test_no_table_mixes_streams_or_models():
    titles = [table.title for table in figure_tables(RUNS)]
    assert len(titles) == len(set(titles)) == 2
    assert [table.title for table in figure_tables(RUNS[:2])] == [""]
    for text in (summary_text(RUNS), to_markdown(RUNS)):
        for title in titles:
            assert title in text
    assert to_latex(RUNS).count(r"\begin{table}") == 2


def test_latex_can_stand_in_a_paper():
    text = to_latex([*(on("a", "ewc", seed=s, jitter=0.3) for s in (0, 1)), *(on("a", seed=s) for s in (0, 1))])
    assert r"\caption{a, tiny-llama." in text
    assert r"\label{tab:a-tiny-llama}" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert r"AP ↑ (\%)" in rows[0] or r"AP $\uparrow$ (\%)" in rows[0]
    assert r"\textbf{75.0 ± 0.0}" in rows[1] or r"\textbf{75.0 $\pm$ 0.0}" in rows[1]
    assert r"\textbf" not in rows[2]
    assert " s ±" not in text, "units stand in the heads"


def test_columns_are_chosen_by_name_or_symbol():
    (table,) = figure_tables(RUNS[:2], ["AP", "kept_bytes", "fm"])
    assert table.names == ["average_performance", "kept_bytes", "forgetting"]
    with pytest.raises(Exception, match="there is no figure 'APP'"):
        figure_tables(RUNS, ["APP"])


def test_every_export_tells_apart_who_learns_in_weights_and_who_in_the_prompt():
    both = [on("a", "ewc"), on("a", "in_context"), on("a", "frozen")]
    (head, *lines) = csv.reader(io.StringIO(to_csv(both)))
    assert [line[head.index("learns_in")] for line in lines] == ["weights", "prompt", ""]
    assert [run["learns_in"] for run in json.loads(to_json(both))] == ["weights", "prompt", None]
    texts = {name: EXPORTS[name](both) for name in ("markdown", "rows", "methods", "items")}
    for name, text in texts.items():
        assert "| learner | learns in |" in text, name
        assert re.search(r"\| in.context \| prompt \|", text) or name == "items"
    latex = to_latex(both)
    assert r"\begin{tabular}{ll" in latex
    assert "learner & learns in & " in latex
    assert re.search(r"in\\_context & prompt & ", latex)
    widths = {line.count("&") for line in latex.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1
    for name, text in {name: EXPORTS[name]([on("a", "ewc")]) for name in texts}.items():
        assert "learns in" not in text, f"{name}: all learn alike"


def test_parquet_tells_them_apart_too(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    figures, _ = write_parquet([on("a", "ewc"), on("a", "in_context"), on("a", "frozen")], tmp_path)
    table = pq.read_table(figures).to_pydict()
    assert dict(zip(table["learner"], table["learns_in"], strict=True)) == {
        "ewc": "weights",
        "in_context": "prompt",
        "frozen": None,
    }
