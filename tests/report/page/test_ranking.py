"""Ranks over seeds, orders and tasks; bounds above the line; differences to plain fine-tuning."""

import numpy as np
import pytest

from clbench.core.matrix import Matrix
from clbench.report.page.html import html_report
from clbench.report.page.ranking import rank_heads, ranking, ranks_figure, ranks_table
from clbench.report.runs.groups import group_runs
from clbench.report.tables.translations import TRANSLATIONS
from tests.builders.reported import COLUMNS, OUTLINE, ROWS, RUNS, record

EN = TRANSLATIONS["en"]
SKILL = {"sft": 0.3, "replay": 0.7, "ewc": 0.5}


def learnt(name, seed=0, order=("world_a", "world_b"), stream="worlds"):
    last = {task: SKILL[name] + 0.02 * seed + 0.1 * (task == "world_b") for task in order}
    rows = [[0.2, 0.1, 0.8], [0.9, 0.1, 0.3], [*last.values(), 0.1]]
    made = record(name, rows, seed)
    columns = [COLUMNS[0].model_copy(update={"name": order[0]}), COLUMNS[1].model_copy(update={"name": order[1]})]
    spec = made.spec.model_copy(update={"stream": stream})
    outline = OUTLINE.model_copy(update={"tasks": order, "name": stream})
    matrix = Matrix.of(rows, [*columns, COLUMNS[2]])
    return made.__class__(**{**vars(made), "spec": spec, "stream": outline, "matrix": matrix})


def test_blocks_are_seeds_and_tasks():
    (found,) = ranking(group_runs([learnt(n, s) for n in SKILL for s in (0, 1, 2)]), EN)
    assert [(row[0], row[2].split(" ")[0]) for row in found.rows] == [("replay", "1.0"), ("ewc", "2.0"), ("sft", "3.0")]
    assert "6 blocks (seeds: 3, orders: 1, tasks: 2)" in found.over
    assert "Friedman chi2 = 12.00, F = inf, p <0.001" in found.over
    assert "CD = 1.35" in found.over
    assert found.drawing.count("<title>") == 3
    assert all(len(row) == len(rank_heads(EN)) for row in found.rows)


def test_orders_of_the_same_tasks_are_one_scenario():
    turned = {"order": ("world_b", "world_a"), "stream": "turned"}
    runs = [learnt(n, s, **more) for n in SKILL for s in (0, 1) for more in ({}, turned)]
    (found,) = ranking(group_runs(runs), EN)
    assert found.scenario.startswith("worlds, turned · ") or found.scenario.startswith("turned, worlds · ")
    assert "8 blocks (seeds: 2, orders: 2, tasks: 2)" in found.over
    assert [row[0] for row in found.rows] == ["replay", "ewc", "sft"]


def test_where_no_seed_is_shared_tasks_are_the_blocks():
    (found,) = ranking(group_runs([learnt("sft", 0), learnt("ewc", 1)]), EN)
    assert found.over.startswith("No seed in common")
    assert [row[0] for row in found.rows] == ["ewc", "sft"]


def test_bounds_stand_above_the_line():
    names = ("frozen", "joint", "cumulative", "separate")
    bounds = [record(n, ROWS["joint" if n != "frozen" else n], s) for n in names for s in (0, 1)]
    (found,) = ranking(group_runs([*bounds, *(learnt(n, s) for n in SKILL for s in (0, 1))]), EN)
    assert {row[0] for row in found.bounds} == set(names)
    assert {row[2] for row in found.bounds} == {"–"}
    assert {row[0] for row in found.rows} == set(SKILL), "plain fine-tuning is ranked"
    assert "joint" not in found.drawing


def test_differences_to_plain_fine_tuning_are_corrected_for_their_number():
    runs = [learnt(n, s) for n in SKILL for s in (0, 1, 2)]
    (found,) = ranking(group_runs(runs), EN)
    rows = {row[0]: row for row in found.rows}
    assert rows["sft"][4:] == ["–", "–"]
    gap = np.mean([r.scores["average_performance"] for r in runs if r.spec.learner_name == "ewc"]) - np.mean(
        [r.scores["average_performance"] for r in runs if r.spec.learner_name == "sft"]
    )
    assert rows["ewc"][4].startswith(f"+{100 * gap:.1f}")
    without = ranking(group_runs([r for r in runs if r.spec.learner_name != "sft"]), EN)[0]
    assert {row[4] for row in without.rows} == {"–"}


def test_one_method_among_bounds_has_no_rank():
    (found,) = ranking(group_runs(RUNS), EN)
    assert (found.drawing, [row[2] for row in found.rows]) == ("", ["–"])
    assert found.over == EN["too_few_ranked"]
    assert ranking(group_runs(RUNS[:1]), EN) == []


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_and_the_table_show_it(lang):
    runs = [*RUNS, *(learnt(n) for n in ("replay", "ewc"))]
    page = html_report(runs, "t", lang)
    assert page.count('<svg class="ranks"') == 1
    assert page.count(TRANSLATIONS[lang]["bounds_above"]) == 1
    table = ranks_table(runs)
    lines = table.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("| Above: bounds"))
    assert any("joint" in line for line in lines[:place])
    assert not any("joint" in line for line in lines[place:])
    assert ranks_figure(runs).startswith("<svg ")
