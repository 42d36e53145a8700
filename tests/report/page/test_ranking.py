"""Ranks over seeds, orders and tasks; bounds above the line; differences to plain fine-tuning."""

from dataclasses import replace

import numpy as np
import pytest

from clbench.core.matrix import Matrix
from clbench.report.page.html import html_report
from clbench.report.page.ranking import rank_heads, ranking, ranks_figure, ranks_table
from clbench.report.runs.groups import group_runs
from clbench.report.tables.translations import TRANSLATIONS
from tests.builders.reported import COLUMNS, OUTLINE, ROWS, RUNS, record

EN = TRANSLATIONS["en"]
SKILL = {"sft": 0.3, "replay": 0.7, "agem": 0.5}  # told nothing
TOLD_MORE = {"ewc": 0.6, "l2": 0.4, "lora_per_task": 0.9, "adapters": 0.2, "merge": 0.1}
ALL = SKILL | TOLD_MORE
THREE = ("told_nothing", "told_boundaries", "told_task")


def learnt(name, seed=0, order=("world_a", "world_b"), stream="worlds", task_ids="boundaries", **settings):
    last = {task: ALL[name] + 0.02 * seed + 0.1 * (task == "world_b") for task in order}
    rows = [[0.2, 0.1, 0.8], [0.9, 0.1, 0.3], [*last.values(), 0.1]]
    made = record(name, rows, seed)
    columns = [COLUMNS[0].model_copy(update={"name": order[0]}), COLUMNS[1].model_copy(update={"name": order[1]})]
    spec = made.spec.model_copy(update={"stream": stream, "learner": {"name": name, **settings}})
    outline = OUTLINE.model_copy(update={"tasks": order, "name": stream, "task_ids": task_ids})
    matrix = Matrix.of(rows, [*columns, COLUMNS[2]])
    return made.__class__(**{**vars(made), "spec": spec, "stream": outline, "matrix": matrix})


def test_blocks_are_seeds_and_tasks():
    (found,) = ranking(group_runs([learnt(n, s) for n in SKILL for s in (0, 1, 2)]), EN)
    assert [(row[0], row[2].split(" ")[0]) for row in found.rows] == [
        ("replay", "1.0"),
        ("agem", "2.0"),
        ("sft", "3.0"),
    ]
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
    assert [row[0] for row in found.rows] == ["replay", "agem", "sft"]


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
    gap = np.mean([r.scores["average_performance"] for r in runs if r.spec.learner_name == "agem"]) - np.mean(
        [r.scores["average_performance"] for r in runs if r.spec.learner_name == "sft"]
    )
    assert rows["agem"][4].startswith(f"+{100 * gap:.1f}")
    without = ranking(group_runs([r for r in runs if r.spec.learner_name != "sft"]), EN)[0]
    assert {row[4] for row in without.rows} == {"–"}


def test_one_method_among_bounds_has_no_rank():
    (found,) = ranking(group_runs(RUNS), EN)
    assert (found.drawing, [row[2] for row in found.rows]) == ("", ["–"])
    assert (found.over, found.told) == (EN["too_few_ranked"], EN["told_nothing"])
    assert ranking(group_runs(RUNS[:1]), EN) == []


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_and_the_table_show_it(lang):
    runs = [*RUNS, *(learnt(n) for n in ("replay", "agem"))]
    page = html_report(runs, "t", lang)
    assert page.count('<svg class="ranks"') == 1
    assert page.count(TRANSLATIONS[lang]["bounds_above"]) == 1
    table = ranks_table(runs)
    lines = table.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("| Above: bounds"))
    assert any("joint" in line for line in lines[:place])
    assert not any("joint" in line for line in lines[place:])
    assert ranks_figure(runs).startswith("<svg ")


# --- what methods are told decides their table ----------------------------------------------------------------------


def tables(runs, lang="en"):
    return {found.told: found for found in ranking(group_runs(runs), TRANSLATIONS[lang])}


def names(found):
    return [row[0] for row in found.rows]


def of_all(**more):
    bounds = [record(n, ROWS["joint"], s) for n in ("joint", "cumulative") for s in (0, 1)]
    bounds = [replace(b, stream=learnt("sft", **more).stream) for b in bounds]
    return [*bounds, *(learnt(n, s, **more) for n in ALL if n != "merge" for s in (0, 1))]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_methods_that_are_told_more_stand_apart(lang):
    found = tables(of_all(task_ids="given"), lang)
    assert list(found) == [TRANSLATIONS[lang][told] for told in THREE]
    assert [names(one) for one in found.values()] == [
        ["replay", "agem", "sft"],
        ["ewc", "l2", "sft"],
        ["lora_per_task", "sft", "adapters"],
    ]
    for one in found.values():
        assert {row[0] for row in one.bounds} == {"joint", "cumulative"}
        assert one.drawing.count("<title>") == 3
        assert one.told in one.drawing
        assert "CD = 1.66" in one.over, "of three methods in four blocks"


@pytest.mark.parametrize(
    ("task_ids", "told"),
    [("given", ["nothing", "boundaries", "task"]), ("boundaries", ["nothing", "boundaries"]), ("hidden", ["nothing"])],
)
def test_nobody_uses_what_the_stream_does_not_tell(task_ids, told):
    found = tables(of_all(task_ids=task_ids))
    assert list(found) == [EN[f"told_{one}"] for one in told]
    assert set().union(*map(names, found.values())) == set(ALL) - {"merge"}
    assert sum(len(one.rows) for one in found.values()) == len(ALL) - 1 + len(told) - 1, "sft alone stands in each"


def test_settings_decide_where_traits_hang_on_them():
    runs = [learnt(n, s) for n in ("sft", "ewc") for s in (0, 1)]
    found = tables([*runs, *(learnt("l2", s, to="first") for s in (0, 1))])
    assert [names(one) for one in found.values()] == [["l2", "sft"], ["ewc", "sft"]]
    found = tables([*runs, *(learnt("replay", s, keep="ring") for s in (0, 1))])
    assert [names(one) for one in found.values()] == [["replay", "ewc", "sft"]]


def test_corrections_are_of_one_table():
    runs = [learnt(n, s) for n in ("sft", "replay", "agem", "ewc") for s in (0, 1, 2)]
    alone = tables([run for run in runs if run.spec.learner_name in ("sft", "ewc")])
    assert tables(runs)[EN["told_boundaries"]].rows == alone[EN["told_boundaries"]].rows


def test_a_record_speaks_before_the_plug_in_and_who_does_not_say_is_told_nothing():
    said = {"version": 1, "family": "replay", "uses_boundaries": True}
    made = [learnt("agem", s) for s in (0, 1)]
    made = [replace(m, provenance={"learner": said}) for m in made]
    found = tables([*made, *(learnt("sft", s) for s in (0, 1))])
    assert list(found) == [EN["told_boundaries"]]
    theirs = {"learner": {"name": "x.py:New@0"}}
    silent = {"provenance": {"learner": {"family": "replay"}}}
    made = [replace(m, spec=m.spec.model_copy(update=theirs), **silent) for m in made]
    assert list(tables([*made, *(learnt("sft", s) for s in (0, 1))])) == [EN["told_nothing"]]


def test_one_method_on_streams_that_tell_more_and_less_is_two():
    runs = [learnt(n, s) for n in ("sft", "lora_per_task") for s in (0, 1)]
    given = [learnt("lora_per_task", s, stream="worlds-told", task_ids="given") for s in (0, 1)]
    found = tables([*runs, *given])
    assert list(found) == [EN["told_boundaries"], EN["told_task"]]
    assert all(len(one.rows) == 2 for one in found.values())


def test_every_table_has_its_heading_and_the_largest_is_drawn():
    runs = of_all(task_ids="given")
    lines = ranks_table(runs).splitlines()
    assert [line for line in lines if line.startswith("**")] == [f"**{EN[told]}**" for told in THREE]
    assert sum(line.startswith("| Above: bounds") for line in lines) == 3
    assert EN["told_nothing"] in ranks_figure(runs)
    more = [learnt("merge", s, task_ids="given") for s in (0, 1)]
    assert EN["told_boundaries"] in ranks_figure([*runs, *more])
    page = html_report(runs, "t", "en")
    assert page.count('<svg class="ranks"') == 3
    assert all(f"· {EN[told]}</h3>" in page for told in THREE)
