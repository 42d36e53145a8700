"""A run counts once, however often and under whatever names it is on record."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import yaml

from clbench.cli.main import main
from clbench.core.errors import DataError
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import distinct, load_runs, read_runs
from clbench.report.tables.exports import to_rows
from clbench.report.tables.parquet import _figures
from clbench.report.tables.summary import summary_text
from tests.builders import compared
from tests.builders.places import RECORDED, RESULTS
from tests.builders.result_folders import as_folder

DEMO = RECORDED
(SFT,) = read_runs([*DEMO.glob("demo-sft-*.json")])


def copied(folder, name, seed=0, edit=None, made="2026-01-01T00:00:00"):
    """Write the run of the demo again, as if it had been run under another name."""
    target = folder / f"{name}-s{seed}"
    as_folder(SFT, target)
    spec = yaml.safe_load((target / "spec.yaml").read_text())
    (target / "spec.yaml").write_text(yaml.safe_dump(spec | {"name": name, "seed": seed}))
    provenance = json.loads((target / "provenance.json").read_text())
    (target / "provenance.json").write_text(json.dumps(provenance | {"made": made}))
    if edit:
        matrix = json.loads((target / "matrix.json").read_text())
        matrix["values"][1][0] = edit
        (target / "matrix.json").write_text(json.dumps(matrix))
    return target


@pytest.fixture
def stores(tmp_path):
    """One store with two seeds under one name, one with the same two under three names."""
    for name in "abc":
        for seed in (0, 1):
            copied(tmp_path / "three", name, seed, made=f"2026-01-0{ord(name) - 96}")
    for seed in (0, 1):
        copied(tmp_path / "one", "a", seed)
    return tmp_path


@pytest.mark.slow
def test_names_alone_make_no_further_seeds(stores, capsys):
    one, three = (group_runs(load_runs([stores / n])) for n in ("one", "three"))
    assert [len(g.runs) for g in three] == [2]
    assert str(one[0].intervals) == str(three[0].intervals), "as text, for NaN"
    assert summary_text(load_runs([stores / "three"])) == summary_text(load_runs([stores / "one"]))
    said = capsys.readouterr().err
    assert "on record more than once, counted once (runs: 2): c-s0 (also a-s0, b-s0)" in said
    assert len(read_runs([stores / "three"])) == 6


@pytest.mark.slow
def test_every_reader_counts_a_run_once(stores, capsys):
    three = str(stores / "three")
    rows = [len(_figures(load_runs([stores / n]))["figure"]) for n in ("one", "three")]
    assert rows[0] == rows[1]
    assert main(["leaderboard", "build", three, "--out", str(stores / "site")]) == 0
    rows = json.loads((stores / "site" / "leaderboard.json").read_text())
    # What a test has written does not verify, so each seed has a row of its own.
    assert sorted(seed for row in rows for seed in row["seeds"]) == [0, 1]
    capsys.readouterr()
    assert main(["watch", three, "--json", "--only", "a"]) in (0, 2, 4)
    assert {s["source"] for s in json.loads(capsys.readouterr().out)["series"]} == {"a"}
    assert main(["report", three, "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_the_same_folder_given_twice_is_one_run(capsys):
    assert len(load_runs([SFT.folder, SFT.folder])) == 1
    assert "more than once" in capsys.readouterr().err


def test_records_that_differ_are_told_and_the_last_one_counts(tmp_path, capsys):
    copied(tmp_path, "z", made="2026-01-01")
    copied(tmp_path, "y", made="2026-01-02", edit=0.123)
    (run,) = distinct(read_runs([tmp_path]))
    assert run.spec.name == "y"
    assert "y-s0 and z-s0 are one run, and their answers differ" in capsys.readouterr().err


def test_a_matrix_that_its_items_contradict_is_refused(tmp_path):
    edited = copied(tmp_path, "edited", edit=0.123)
    with pytest.raises(DataError, match=r"its matrix has 0\.1230 for world_facts_en after lesson 1, its items 0\.85"):
        load_runs([edited])


def changed(folder, file, **changes):
    """Write the run of the demo again, with an edit of one of its files."""
    target = copied(folder, "edited")
    values = json.loads((target / file).read_text())
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("__"))
        place = values
        for part in parents:
            place = place[part]
        place[last] = value
    (target / file).write_text(json.dumps(values))
    return target


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"columns__0__taught": 2},
            r"has world_facts_en as 'task', taught first in lesson 2; stream\.lessons has it taught first in lesson 1",
        ),
        (
            {"columns__0__kind": "general", "columns__0__taught": None},
            r"has world_facts_en as 'general', not taught; stream\.lessons has it taught first in lesson 1",
        ),
        ({"columns__0__kind": "general"}, r"matrix\.columns has world_facts_en as 'general', taught first in lesson 1"),
        (
            {"columns__0__name": "mine"},
            r"matrix\.columns has mine as 'task', taught first in lesson 1; .* it not taught",
        ),
        ({"columns__0__size": 7}, r"matrix\.columns counts 7 questions of world_facts_en, its items \d\d"),
    ],
)
def test_columns_that_stream_or_items_contradict_are_refused(tmp_path, changes, said):
    with pytest.raises(DataError, match=said):
        load_runs([changed(tmp_path, "matrix.json", **changes)])


def test_lessons_that_the_matrix_does_not_have_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"stream\.lessons 0"):
        load_runs([changed(tmp_path, "stream.json", lessons=[])])
    with pytest.raises(DataError, match=r"stream\.lessons has mine taught first in lesson 2; matrix\.columns does not"):
        load_runs([changed(tmp_path / "other", "stream.json", lessons__1__teaches=[second_task(), "mine"])])


def second_task():
    return next(c.name for c in SFT.matrix.columns if c.taught == 2)


def test_exams_of_the_items_and_of_the_matrix_are_the_same(tmp_path):
    renamed = next(place for place, c in enumerate(SFT.matrix.columns) if c.kind != "task")
    with pytest.raises(DataError, match=r"its matrix\.columns have the exam a_mine, its items do not"):
        load_runs([changed(tmp_path, "matrix.json", **{f"columns__{renamed}__name": "a_mine"})])


@pytest.mark.parametrize(("field", "value"), [("train_s", -5), ("exam_s", math.nan), ("exam_latency_s", [1.0, -0.1])])
def test_costs_below_zero_are_refused(tmp_path, field, value):
    with pytest.raises(DataError, match=rf"costs: {field} has .*: a cost is a finite number, 0 or more"):
        load_runs([changed(tmp_path, "costs.json", **{field: value})])


def test_names_without_the_key_of_their_spec_are_told_in_one_line(tmp_path, heard):
    key = SFT.spec.key[:8]
    load_runs([SFT.folder, as_folder(SFT, tmp_path / f"any-name-{key}")])
    assert not [text for text in heard if "keys" in text]
    load_runs([as_folder(SFT, tmp_path / "mine"), as_folder(SFT, tmp_path / "demo-sft-00000000")])
    (text,) = (text for text in heard if "keys" in text)
    assert f"not named by the keys of their specs (records: 2): mine ({key}), demo-sft-00000000 ({key})" in text


@pytest.mark.slow
def test_a_folder_of_recorded_folders_is_read_and_a_run_that_two_recipes_share_counts_once(heard):
    specs = [json.loads(record.read_text())["spec"] | {"name": ""} for record in RESULTS.glob("*/*.json")]
    once = {json.dumps(spec, sort_keys=True) for spec in specs}
    assert len(load_runs([RESULTS])) == len(once)
    shared = len(specs) - len(once)
    told = [f"on record more than once, counted once (runs: {shared})"] if shared else []
    assert [text.split("):")[0] + ")" for text in heard] == told


def test_a_record_under_another_name_says_so(tmp_path):
    shutil.copy(SFT.folder, tmp_path / "mine.json")
    shutil.copy(SFT.folder.parent / "items.parquet", tmp_path)
    with pytest.raises(DataError, match="has no items of a run 'mine'"):
        load_runs([tmp_path / "mine.json"])


def settings_of(lr, items=60, seed=0):
    spec = compared.run("sft", compared.cells(20)).spec
    learner = {"name": "sft", "lr": lr}
    budget = spec.budget.model_copy(update={"items": items})
    return spec.model_copy(update={"learner": learner, "budget": budget, "seed": seed})


def test_labels_say_what_differs():
    runs = [compared.run("sft", compared.cells(k)) for k in (20, 30, 40)]
    specs = [settings_of(1e-3), settings_of(2e-3), settings_of(2e-3, items=30)]
    groups = group_runs([replace(run, spec=spec) for run, spec in zip(runs, specs, strict=True)])
    assert {g.label for g in groups} == {"sft lr=0.001 items=60", "sft lr=0.002 items=60", "sft lr=0.002 items=30"}


def test_bounds_of_other_questions_are_not_measured_by():
    sft, joint = compared.run("sft", compared.cells(20)), compared.run("joint", compared.cells(50))
    other = joint.spec.model_copy(update={"budget": joint.spec.budget.model_copy(update={"items": 7})})
    for run, known in ((joint, True), (replace(joint, spec=other), False)):
        (group,) = (g for g in group_runs([sft, run]) if g.runs[0].spec.learner_name == "sft")
        assert math.isnan(group.score("gap_to_joint")) != known


def test_a_bound_is_measured_by_itself_exactly():
    runs = [compared.run(name, compared.cells(k)) for name, k in (("frozen", 5), ("sft", 20), ("joint", 50))]
    groups = {g.label: g for g in group_runs(runs)}
    for label, figure, value in (
        ("joint", "gap_to_joint", 0),
        ("frozen", "gain_over_frozen", 0),
        ("joint", "normalised_ap", 1),
    ):
        ends = groups[label].intervals[figure]
        assert (groups[label].score(figure), ends.low, ends.high) == (value, value, value)
    assert groups["sft"].intervals["gap_to_joint"].low < groups["sft"].intervals["gap_to_joint"].high


def test_gaps_are_between_seeds_that_both_have():
    runs = [compared.run("sft", compared.cells(k), seed) for seed, k in enumerate((20, 50, 50))]
    runs.append(compared.run("joint", compared.cells(55), 0))
    (group,) = (g for g in group_runs(runs) if g.runs[0].spec.learner_name == "sft")
    ends = group.intervals["gap_to_joint"]
    assert group.score("gap_to_joint") == pytest.approx((55 - 20) / compared.NUM / 2)
    assert ends.low < group.score("gap_to_joint") < ends.high


def test_a_doubtful_record_gives_way(tmp_path):
    good, bad = copied(tmp_path, "good", made="2026-01-01"), copied(tmp_path, "bad", made="2026-01-02")
    runs = read_runs([good, bad])
    assert [r.spec.name for r in distinct(runs)] == ["bad"]
    assert [r.spec.name for r in distinct(runs, {bad})] == ["good"]
    assert [r.spec.name for r in distinct(runs[1:], {bad})] == ["bad"], "there is no other"


def test_other_seeds_learners_and_streams_stay_apart(tmp_path, capsys):
    folders = [copied(tmp_path, "a", seed) for seed in (0, 1, 2)]
    assert len(load_runs([*folders, *DEMO.glob("demo-*.json")])) == 3 - 1 + 6, "seed 0 is the demo's own run"
    assert "counted once (runs: 1)" in capsys.readouterr().err


def test_of_several_bounds_the_best_one_is_measured_by_in_any_order(heard):
    runs = [compared.run("sft", compared.cells(20))]
    strong, weak = (compared.run("joint", compared.cells(last), own) for last, own in ((55, 0), (30, 1)))
    spec = weak.spec.model_copy(update={"seed": 0, "learner": {"name": "joint", "epochs": 1}, "name": "weak"})
    weak = replace(weak, spec=spec)
    gaps = []
    for order in ([*runs, strong, weak], [weak, *runs, strong]):
        (sft,) = (g for g in group_runs(order) if g.runs[0].spec.learner_name == "sft")
        gaps.append(sft.score("gap_to_joint"))
    assert gaps[0] == gaps[1] == pytest.approx((55 - 20) / compared.NUM / 2)
    assert any("joint was run with several settings" in text for text in heard)


def test_best_bounds_are_exact_against_themselves_and_share_a_seed(heard):
    runs = [compared.run(name, compared.cells(k), seed) for name, k in (("frozen", 5), ("sft", 20)) for seed in (0, 1)]
    for k, lr, seeds in ((50, 1e-3, (0, 1)), (40, 2e-3, (0, 1)), (58, 3e-3, (7,))):
        for seed in seeds:
            run = compared.run("joint", compared.cells(k), seed)
            learner = {"name": "joint", "lr": lr}
            runs.append(replace(run, spec=run.spec.model_copy(update={"learner": learner, "name": f"j{lr}{seed}"})))
    groups = {g.label: g for g in group_runs(runs)}
    best = groups["joint lr=0.001"]
    assert best.score("gap_to_joint") == 0
    assert (best.intervals["gap_to_joint"].low, best.intervals["normalised_ap"].high) == (0, 1)
    assert groups["sft"].score("gap_to_joint") == pytest.approx((50 - 20) / compared.NUM / 2), (
        "the best that shares a seed"
    )
    assert any("the best of them, joint lr=0.001 (not joint lr=0.002)" in text for text in heard)
    for group in groups.values():
        ends = group.intervals.get("gap_to_joint")
        assert ends is None or math.isnan(ends.low) or -1 <= ends.low <= ends.high <= 1


def asked_otherwise(run, *exams):
    sheets = tuple(
        e.model_copy(update={"digest": f"other {e.exam}"}) if e.exam in exams else e for e in run.item_scores.exams
    )
    return replace(run, item_scores=run.item_scores.model_copy(update={"exams": sheets}))


@pytest.mark.parametrize(
    ("exams", "label"),
    [
        (("facts",), "sft (other questions of facts)"),
        (("sums",), "sft (other questions of sums)"),  # an exam of an ability, not a task
        (("facts", "rules", "sums"), "sft (other questions of facts, rules and 1 more)"),
    ],
)
def test_seeds_that_were_asked_other_questions_are_other_methods(exams, label):
    runs = [compared.run("sft", compared.cells(20), seed) for seed in (0, 1)]
    groups = group_runs([runs[0], asked_otherwise(runs[1], *exams)])
    assert sorted((g.label, len(g.runs)) for g in groups) == [("sft", 1), (label, 1)]


def test_labels_differ_where_the_same_exam_asked_three_things():
    runs = [compared.run("sft", compared.cells(20), seed) for seed in (0, 1, 2)]
    third = runs[2].item_scores.exams
    third = tuple(e.model_copy(update={"digest": f"third {e.exam}"}) for e in third)
    runs[1] = asked_otherwise(runs[1], "facts", "rules", "sums")
    runs[2] = replace(runs[2], item_scores=runs[2].item_scores.model_copy(update={"exams": third}))
    assert len({g.label for g in group_runs(runs)}) == 3


def test_other_questions_of_an_ability_leave_the_bounds_of_the_tasks():
    sft, joint = compared.run("sft", compared.cells(20)), compared.run("joint", compared.cells(50))
    (group,) = (g for g in group_runs([sft, asked_otherwise(joint, "sums")]) if g.label == "sft")
    assert not math.isnan(group.score("gap_to_joint"))


def test_figures_that_their_matrix_does_not_give_are_counted_anew(tmp_path, heard):
    edited = copied(tmp_path, "edited")
    scores = json.loads((edited / "scores.json").read_text())
    (edited / "scores.json").write_text(json.dumps(scores | {"average_performance": 0.99}))
    (run,) = load_runs([edited])
    assert run.scores["average_performance"] == pytest.approx(scores["average_performance"])
    assert any("on record are other values than its matrix gives (average_performance)" in text for text in heard)


@pytest.mark.slow
def test_streams_side_by_side_have_their_own_columns(tmp_path):
    runs = load_runs([DEMO, RESULTS / "long"])
    lines = to_rows(runs).splitlines()
    columns = [text.strip() for text in lines[0].split("|")[3:-1]]
    for group in group_runs(runs):
        row = next(line for line in lines if line.startswith(f"| {group.label} | after the last lesson"))
        for name, text in zip(columns, (cell.strip() for cell in row.split("|")[3:-1]), strict=True):
            own = group.mean.values[-1, group.mean.exams.index(name)] if name in group.mean.exams else None
            assert text == ("–" if own is None else f"{100 * own:.1f}")
