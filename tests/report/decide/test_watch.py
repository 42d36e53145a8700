"""A fall in one round, a slow decline, and what is not watched yet."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clbench.cli.main import main
from clbench.core.baseline import Baseline
from clbench.core.graded import GradedItems, graded_items
from clbench.core.item_scores import ExamScores, ItemScores
from clbench.core.keys import canonical
from clbench.core.matrix import Column, Matrix
from clbench.core.results import Costs
from clbench.core.spec import ModelSpec, RunSpec
from clbench.core.stream_summary import StreamSummary
from clbench.core.types import ScorerSpec
from clbench.metrics.average import average_by_lesson
from clbench.report.decide import watch, watch_text
from clbench.report.runs.load import RunRecord
from clbench.store.history import history, remember
from tests.builders.gate import OLD, taken

ITEMS = 64


def answers(rng, rounds, sure=0.95, level=0.8):
    """Ask the same items round by round: most are known or not, and a few answers turn whenever they are asked."""
    known = np.where(rng.random(ITEMS) < level, sure, 1 - sure)
    return (rng.random((rounds, ITEMS)) < known).astype(float)


def series(rows, name="maths", **more):
    values = tuple(float(r.mean()) for r in rows)
    rounds = tuple(map(str, range(1, len(rows) + 1)))
    return watch.Series("gate", name, values, ITEMS, rounds, tuple(map(graded_items, rows)), **more)


def collapsed(rows, place, left=0.25):
    """Let a round and all after it answer a quarter of the questions."""
    rows = rows.copy()
    rows[place:, int(ITEMS * left) :] = 0.0
    return rows


@pytest.mark.parametrize("place", [1, 2, 4, 5, 9])
def test_a_collapse_rings_in_its_round_from_the_second_on(place):
    rng = np.random.default_rng(place)
    rows = answers(rng, 12)
    steady = [series(answers(rng, 12), str(k)) for k in range(7)]
    found = watch.watch_series([series(collapsed(rows, place)), *steady], 5, 0.05)
    assert found[0].fall_at == place
    assert found[0].alarm == str(place + 1)
    assert all(k < place for k in found[0].reference), "what fell says nothing of how it was"
    assert [w.alarm for w in found[1:]] == [None] * 7


def test_a_round_that_the_gate_failed_is_no_reference():
    rng = np.random.default_rng(3)
    rows = answers(rng, 9)
    rows[2, :12] = 0.0  # too little for an alarm of its own among so many
    (kept,) = watch.watch_series([series(rows, failed=frozenset({2}))], 5, 0.05)
    assert kept.reference == (0, 1, 3, 4, 5)
    assert kept.begins == 6


@pytest.mark.parametrize(
    ("rounds", "fall", "decline", "state"),
    [(1, 1, 7, "not watched"), (2, 0, 6, "not watched"), (5, 0, 3, "not watched"), (8, 0, 0, "quiet")],
)
def test_what_is_not_watched_is_said(rounds, fall, decline, state):
    (found,) = watch.watch_series([series(answers(np.random.default_rng(1), rounds))], 5, 0.05)
    assert (found.more_to_fall, found.more_to_drift, found.state) == (fall, decline, state)
    text, page = watch_text.as_table([found], 0.05), watch_text.watch_page([found], 0.05)
    value = watch_text.as_json([found], 0.05)["series"][0]
    assert (value["state"], value["fall"]["more_checkpoints"], value["decline"]["more_checkpoints"]) == (
        state,
        fall,
        decline,
    )
    for told in (text, page):
        assert ("not watched" in told) is (state == "not watched")
        if decline:
            assert f"{decline} more checkpoint" in told


@pytest.mark.slow
def test_the_rate_holds_over_both_tests_together():
    """Eight exams of 64 items over eleven rounds in which nothing changes."""
    rng, rings = np.random.default_rng(11), 0
    for _ in range(200):
        found = watch.watch_series([series(answers(rng, 11), str(k)) for k in range(8)], 5, 0.05)
        rings += any(w.alarm_at is not None for w in found)
    assert rings / 200 <= 0.05 + 0.035


def test_items_that_are_not_on_record_are_compared_as_shares():
    def bare(values):
        return watch.Series("gate", "maths", values, 400, tuple(map(str, range(len(values)))))

    fell, steady = watch.watch_series([bare((0.8, 0.81, 0.2)), bare((0.8, 0.78, 0.79))], 5, 0.05)
    assert (fell.fall_at, steady.fall_at) == (2, None)


def test_holes_are_no_rounds():
    rows = answers(np.random.default_rng(1), 9)
    rows[3], rows[0] = np.nan, np.nan
    (found,) = watch.watch_series([series(rows)], 5, 0.05)
    assert found.reference == (1, 2, 4, 5, 6)
    assert found.more_to_drift == 1
    assert math.isnan(found.fall_p[3])


# --- the history of a store -------------------------------------------------------------------------------------------


def checkpoint(name, right, digest="d"):
    row = GradedItems(questions="q", answers_key="a", grades_key="m", scores="".join("01"[int(r)] for r in right))
    sheet = taken("sums", 1).scores.model_copy(update={"rows": {0: row}, "ids": tuple(map(str, range(len(right))))})
    one = taken("sums", 1).model_copy(update={"scores": sheet.model_copy(update={"digest": digest})})
    return Baseline(model=ModelSpec(name=name), identity=name, names=("sums",), items=None, exams=(one,))


def kept(folder, rows, **more):
    for k, row in enumerate(rows):
        remember(folder, checkpoint(f"week-{k}", row), **more)
    return folder


def watch_json(folder, capsys, *more):
    code = main(["watch", str(folder), "--json", *more])
    return code, json.loads(capsys.readouterr().out)["series"]


def test_a_collapse_after_five_stable_weeks_is_exit_2(tmp_path, capsys):
    rows = answers(np.random.default_rng(0), 6)
    code, (found,) = watch_json(kept(tmp_path / "stable", rows[:5]), capsys)
    assert (code, found["state"], found["decline"]["more_checkpoints"]) == (4, "not watched", 3)
    code, (found,) = watch_json(kept(tmp_path / "fell", collapsed(rows, 5)), capsys, "--out", str(tmp_path))
    assert (code, found["alarm"]) == (2, "6 week-5")
    page = (tmp_path / "watch.html").read_text()
    assert "Alarm in 1 of 1 series" in page
    assert "<li>6 week-5</li>" in page
    code, (found,) = watch_json(kept(tmp_path / "long", answers(np.random.default_rng(1), 9)), capsys)
    assert (code, found["state"]) == (0, "quiet")


def test_what_the_gate_failed_is_in_the_history(tmp_path):
    rows = answers(np.random.default_rng(0), 3)
    kept(tmp_path, rows[:2])
    remember(tmp_path, checkpoint("bad", rows[2]), ["sums"])
    remember(tmp_path, checkpoint("bad", rows[2]), ["sums"])
    found = history(tmp_path)
    assert [p.regressed for p in found] == [frozenset(), frozenset(), frozenset({"sums"})]
    (made,) = watch.gate_series(found)
    assert made.failed == {2}
    page = watch_text.watch_page(watch.watch_series([made], 5, 0.05), 0.05)
    chinese = watch_text.watch_page(watch.watch_series([made], 5, 0.05), 0.05, lang="zh", first=5)
    assert "。 " not in chinese
    assert '<li>3 bad <span class="alarm">failed in the gate: sums</span></li>' in page
    assert np.array_equal(made.rows[1].scores[0], rows[1])
    (all_failed,) = watch.gate_series([*found[:2], replace(found[2], regressed=frozenset({"all exams"}))])
    assert all_failed.failed == {2}


def test_one_checkpoint_in_more_exams_is_one_round(tmp_path):
    remember(tmp_path, OLD)
    more = OLD.model_copy(update={"exams": (*OLD.exams, taken("more", 9))})
    remember(tmp_path, more)
    (one,) = history(tmp_path)
    assert set(one.sittings) == {"sums", "programs", "more"}


def test_other_questions_are_another_series(tmp_path):
    rows = answers(np.random.default_rng(0), 4)
    for k, digest in enumerate("aabb"):
        remember(tmp_path, checkpoint(f"w{k}", rows[k], digest))
    found = watch.gate_series(history(tmp_path))
    assert [(s.name, [math.isnan(v) for v in s.values]) for s in found] == [
        ("sums", [False, False, True, True]),
        ("sums, other questions 2", [True, True, False, False]),
    ]


def test_lines_of_an_older_clbench_are_read(tmp_path, capsys):
    old = {"model": "w", "made": ""}
    lines = [old | {"identity": str(score), "scores": {"sums": [score, 64]}} for score in (0.9, 0.2)]
    (tmp_path / "gates.jsonl").write_text("".join(canonical(line) + "\n" for line in lines))
    assert watch_json(tmp_path, capsys)[0] == 2
    remember(tmp_path, checkpoint("w2", np.ones(64)))
    (found,) = watch.gate_series(history(tmp_path))
    assert [r is None for r in found.rows] == [True, True, False]


def test_an_exam_with_a_rule_of_its_own_is_watched_by_it(tmp_path):
    """F1 rises while the mean of the items falls: nothing rings; and the other way round it does."""
    low = ((1.0, (0.0, 0.0, 0.0)),) * 50 + ((0.0, (0.0, 0.0, 4.0)),) * 30
    high = ((0.0, (0.0, 1.0, 0.0)),) * 50 + ((1.0, (4.0, 4.0, 4.0)),) * 30

    def sat(name, items, score):
        row = GradedItems(
            questions="q",
            answers_key="a",
            grades_key="m",
            scores=tuple(s for s, _ in items),
            parts=tuple(p for _, p in items),
        )
        sheet = taken("ner", 1).scores.model_copy(update={"rows": {0: row}, "scorer": ScorerSpec(name="entity_f1")})
        one = taken("ner", 1).model_copy(update={"scores": sheet})
        found = Baseline(model=ModelSpec(name=name), identity=name, names=("ner",), items=None, exams=(one,))
        remember(tmp_path / "s", found, (), {"ner": score})

    sat("a", low, 0.0), sat("b", high, 0.83)
    assert watch.watch_series(watch.gate_series(history(tmp_path / "s")), 5, 0.05)[0].fall_at is None
    sat("c", low, 0.0)
    found = watch.watch_series(watch.gate_series(history(tmp_path / "s")), 5, 0.05)[0]
    assert found.series.values == (0.0, 0.83, 0.0)


@pytest.mark.parametrize(("forgotten", "rings"), [(0.0, False), (0.06, True)])
def test_harder_tasks_are_no_decline_and_forgetting_is(forgotten, rings):
    """The first tasks are learnt to 90 %, the later ones to 40 %: AP falls in every round though nothing is lost."""
    tasks, rng = 12, np.random.default_rng(5)
    learnt = [0.9] * 5 + [0.4] * 7
    rows = [
        [learnt[i] - forgotten * max(k - 5, 0) * (i < 5) + rng.normal(0, 0.01) for i in range(tasks)]
        for k in range(1, tasks + 1)
    ]
    matrix = Matrix.of([[0.2] * tasks, *rows])
    values, changes = tuple(average_by_lesson(matrix)), watch.changes_since_learnt(matrix)
    assert values[-1] < values[0] - 0.1
    assert changes[0] == 0
    assert changes[-1] == pytest.approx(np.mean([rows[-1][i] - rows[i][i] for i in range(tasks)]))
    names = tuple(map(str, range(1, tasks + 1)))
    (found,) = watch.watch_series([watch.Series("run", "own tasks", values, 10_000, names, changes=changes)], 5, 0.05)
    assert (found.decline_at is not None) is rings
    assert found.target == pytest.approx(np.mean(values[:5]))


def grown(asked):
    """Make a run of a model that stays as it is, in which three tasks have more choices in later rows, or not."""
    rng, rounds = np.random.default_rng(8), 4
    columns = tuple(Column(name=f"t{i}", taught=i + 1, size=ITEMS) for i in range(3))
    sheets, values = [], np.full((rounds, 3), np.nan)
    for i, column in enumerate(columns):
        rows = {}
        for k in range(rounds):
            share = 0.9 / (1 + max(k, i + 1))
            right = rng.random(ITEMS) < (share if asked(k, i) else 0.45)
            values[k, i] = right.mean()
            scores = "".join("01"[int(r)] for r in right)
            rows[k] = GradedItems(
                questions=f"{max(k, i + 1)}" if asked(k, i) else "q", answers_key=f"{k}", grades_key="m", scores=scores
            )
        ids = tuple(map(str, range(ITEMS)))
        scorer = ScorerSpec(name="label")
        sheets.append(ExamScores(exam=column.name, digest=column.name, scorer=scorer, version=1, ids=ids, rows=rows))
    counts = np.full(values.shape, ITEMS)
    return RunRecord(
        folder=Path(),
        spec=RunSpec(name="run", learner={"name": "frozen"}, stream="classes"),
        stream=StreamSummary(name="classes", lessons=(), tasks=(), questions=(), similarity=()),
        matrix=Matrix(values, counts, np.zeros_like(counts), columns),
        scores={},
        costs=Costs(),
        provenance={},
        item_scores=ItemScores(exams=tuple(sheets)),
    )


def test_questions_that_get_more_choices_are_no_fall():
    """A model that is left alone answers fewer of them right in every row; there is nothing to compare it with."""
    (found,) = watch.watch_series(watch.run_series([grown(lambda _k, _i: True)]), 2, 0.05)
    assert found.series.values[-1] < found.series.values[0] - 0.15
    assert (found.alarm_at, found.never_comparable, found.state) == (None, True, "not watched")
    assert found.series.changes == (0.0, 0.0, 0.0)
    assert "1 not watched: every checkpoint is asked differently" in watch_text.summary([found], 0.05)
    assert "not watched: asked differently" in watch_text.as_table([found], 0.05)
    assert "not watched: every checkpoint is asked differently" in watch_text.watch_page([found], 0.05)
    assert watch_text.as_json([found], 0.05)["series"][0]["never_comparable"] is True


def test_tasks_beside_those_with_more_choices_are_watched():
    run = grown(lambda _k, i: i == 1)
    sheet = run.item_scores.exams[0]
    lost = sheet.model_copy(
        update={"rows": {**sheet.rows, 3: sheet.rows[3].model_copy(update={"scores": np.zeros((1, ITEMS))})}}
    )
    (quiet,) = watch.watch_series(watch.run_series([run]), 2, 0.05)
    assert (quiet.alarm_at, quiet.never_comparable) == (None, False)
    fallen = replace(run, item_scores=ItemScores(exams=(lost, *run.item_scores.exams[1:])))
    (found,) = watch.watch_series(watch.run_series([fallen]), 2, 0.05)
    assert found.fall_at == 2
