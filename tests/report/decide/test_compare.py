"""Comparing runs: what may be compared, what differs, and which items flipped."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from clbench.core.errors import SpecError
from clbench.core.graded import score_row
from clbench.core.item_scores import (
    ExampleItem,
    ExampleItems,
    ItemScores,
    ShownAnswer,
)
from clbench.core.matrix import Matrix
from clbench.core.results import Costs
from clbench.core.types import Answer, Example, Grade, Message, ScorerSpec
from clbench.metrics import compute
from clbench.report.decide.compare import compare, comparisons, sides_of
from clbench.report.decide.compare_text import comparison_json, comparison_text, exam_rows
from clbench.report.page.html import html_report
from clbench.report.runs.load import RunRecord
from clbench.stats.bootstrap import difference_of, possible
from clbench.store.records import write_jsonl
from clbench.store.store import Store
from tests.builders.compared import FIGURES, NUM, cells, first, groups, run, written


@pytest.fixture
def pair(tmp_path):
    return [run("sft", cells(10), folder=tmp_path / "a"), run("replay", cells(45), folder=tmp_path / "b")]


def test_figures_and_exams_that_differ_are_told_from_those_that_do_not(pair):
    found = compare(*groups(pair))
    figures = {f.name: f for f in found.figures}
    assert figures["average_performance"].two - figures["average_performance"].one == pytest.approx(35 / NUM / 2)
    assert figures["average_performance"].change.low > 0.15
    assert figures["average_performance"].adjusted < 0.001
    assert figures["forgetting"].change.high < 0
    low, high = figures["general_ability_delta"].change
    assert low < 0 < high, "no difference in 60 items is not surely none"
    assert high == pytest.approx(-low) and high < 4 / 60 + 1e-3, "the rule of three, on both sides"
    assert figures["general_ability_delta"].adjusted == 1.0
    exams = {e.exam: e for e in found.exams}
    assert (exams["facts"].gained, exams["facts"].lost) == (35, 0)
    assert exams["facts"].p == pytest.approx(2 * 0.5**35)
    assert exams["facts"].adjusted == pytest.approx(3 * 2 * 0.5**35)
    assert exams["rules"].p == 1.0
    assert exams["rules"].change.low < 0 < exams["rules"].change.high, "no difference is seen, and not surely none"
    assert ("learner.name", "sft", "replay") in found.settings


def test_the_very_same_answers_leave_no_doubt_and_equal_ones_do():
    """Answers with one key in the store were given once: a run beside itself, or two that share their rows."""
    one, two = run("sft", cells(10)), run("replay", cells(10))
    shared = one.item_scores.exams
    same = replace(two, item_scores=one.item_scores)
    found = compare(*groups([one, same]))
    assert {(f.change, f.p) for f in found.figures} == {((0.0, 0.0), 1.0)}
    assert {(e.change.low, e.change.high, e.p) for e in found.exams} == {(0.0, 0.0, 1.0)}
    equal = compare(*groups([one, two]))
    assert all(f.change.low < 0 < f.change.high for f in equal.figures)
    assert all(e.change.low < 0 < e.change.high for e in equal.exams)
    partly = replace(two, item_scores=ItemScores(exams=(*two.item_scores.exams[:2], shared[2])))
    figures = {f.name: f.change for f in compare(*groups([one, partly])).figures}
    assert figures["general_ability_delta"] == (0.0, 0.0), "the sums are the very same"
    assert figures["average_performance"].low < 0 < figures["average_performance"].high


def test_an_exam_that_one_run_could_not_mark_is_named(pair):
    one, two = pair
    sheet = two.item_scores.exams[1]
    lost = sheet.model_copy(
        update={"rows": {**sheet.rows, 2: sheet.rows[2].model_copy(update={"scores": np.full((1, NUM), np.nan)})}}
    )
    sheets = (two.item_scores.exams[0], lost, two.item_scores.exams[2])
    found = compare(*groups([one, replace(two, item_scores=ItemScores(exams=sheets))]))
    assert [e.exam for e in found.exams] == ["facts", "sums"]
    assert found.left_out == ("rules",)
    assert "after the last lesson in every run: rules." in comparison_text(found, 1)
    assert comparison_json(found)["left_out"] == ["rules"]
    assert exam_rows(found)[2] == ["rules", *"–" * 8]


def test_seeds_are_paired(tmp_path):
    records = [
        run(name, cells(kept + seed), seed, tmp_path / f"{name}{seed}")
        for name, kept in (("sft", 10), ("replay", 30))
        for seed in (0, 3, 9)
    ]
    found = compare(*groups(records))
    assert found.seeds == (3, 3)
    change = {f.name: f for f in found.figures}["average_performance"]
    # All seeds differ alike, so only items leave a doubt.
    assert change.change.high - change.change.low < 0.2
    assert change.p < 0.01
    alone = difference_of([0.5, 0.9], [], [0.6, 1.0], [])
    assert alone[0] == pytest.approx((0.1, 0.1))
    unpaired = difference_of([0.5, 0.9, 0.7], [], [0.6, 1.0], [])
    assert unpaired[0].low < 0 < unpaired[0].high
    assert math.isnan(difference_of([0.5], [], [0.6], [])[1])
    wide = difference_of([0.1, 0.9], [], [0.9, 0.1], [])[0]
    assert wide.high > 1 and tuple(possible(wide, (0.0, 1.0))) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ids": ("other",) * NUM}, "exam facts: other items"),
        ({"scorer": ScorerSpec(name="rouge")}, "exam facts: scorer exact"),
        ({"version": 2}, "exam facts: version 1 and 2 of scorer exact"),
    ],
)
def test_unlike_exams_are_refused_with_what_differs(pair, change, says):
    one, two = pair
    sheets = (two.item_scores.exams[0].model_copy(update=change), *two.item_scores.exams[1:])
    other = run("replay", cells(45), item_scores=ItemScores(exams=sheets))
    with pytest.raises(SpecError, match=says):
        compare(*groups([one, other]))


def test_other_words_are_refused_and_so_are_missing_records(pair):
    one, two = pair
    rows = {s: r.model_copy(update={"questions": "other"}) for s, r in two.item_scores.exams[0].rows.items()}
    sheets = (two.item_scores.exams[0].model_copy(update={"rows": rows}), *two.item_scores.exams[1:])
    with pytest.raises(SpecError, match="the same items in other words"):
        compare(*groups([one, run("replay", cells(45), item_scores=ItemScores(exams=sheets))]))
    with pytest.raises(SpecError, match="exams of only one side: facts"):
        compare(*groups([one, run("replay", cells(45), item_scores=ItemScores(exams=two.item_scores.exams[1:]))]))
    with pytest.raises(SpecError, match="items are not on record"):
        compare(*groups([one, run("replay", cells(45), item_scores=ItemScores(exams=()))]))


def test_flipped_items_are_shown_as_the_model_saw_them(tmp_path, pair):
    store = Store(tmp_path / "store")
    questions = [
        Example(id=f"facts-{i}", prompt=(Message(role="user", content=f"Who is {i}?"),), targets=(f"N{i}",))
        for i in range(NUM)
    ]
    store.once("exam", "q facts", lambda folder: write_jsonl(folder / "questions.jsonl", questions), {})
    for learner, word in (("sft", "no idea"), ("replay", "N!")):
        said = [Answer(example_id=f"facts-{i}", text=f"{word} {i}") for i in range(NUM)]
        key = f"{learner}0facts2"
        store.once("ask", key, lambda folder, said=said: write_jsonl(folder / "answers.jsonl", said), {})
    paths = [written(tmp_path / "store" / "runs" / r.spec.name, r) for r in pair]
    (found,) = comparisons(sides_of(paths), None)
    flip = next(f for f in found.flips if f.exam == "facts")
    assert (flip.question, flip.expected, flip.gained) == (f"Who is {flip.id[6:]}?", (f"N{flip.id[6:]}",), True)
    assert (flip.one, flip.two) == (f"no idea {flip.id[6:]}", f"N! {flip.id[6:]}")
    assert len([f for f in found.flips if f.exam == "facts"]) == 5
    text = comparison_text(found, 1)
    assert f"expected: N{flip.id[6:]}" in text
    assert "facts: gained by c-replay-0" in text
    assert json.loads(json.dumps(comparison_json(found)))["flips"][0]["question"] == flip.question


def test_a_copy_without_its_store_shows_what_its_showcase_holds(tmp_path, pair):
    one, two = pair
    shown = ExampleItem(
        exam="facts", id="facts-20", question="Who?", expected=("N",), answers={2: ShownAnswer(text="x", score=0.0)}
    )
    one = run("sft", cells(20), example_items=ExampleItems(items=(shown,)))
    paths = [written(tmp_path / "results" / r.spec.name, r) for r in (one, two)]
    (found,) = comparisons(sides_of(paths), None, most_flips=60)
    by_id = {f.id: f for f in found.flips if f.exam == "facts"}
    assert (by_id["facts-20"].question, by_id["facts-20"].one) == ("Who?", "x")
    assert by_id["facts-21"].question == ""
    assert "not at hand" in comparison_text(found, 30)


def test_sides_have_names(tmp_path, pair):
    for record in pair:
        written(tmp_path / "grid" / record.spec.name, record)
    sides = sides_of([tmp_path / "grid"])
    assert {s.label for s in sides} == {"sft", "replay"}
    assert comparisons(sides, "replay")[0].one.label == "replay"
    with pytest.raises(SpecError, match="no side 'rehearse'"):
        comparisons(sides, "rehearse")
    with pytest.raises(SpecError, match="only one side"):
        sides_of([tmp_path / "grid"], ["sft"])
    with pytest.raises(SpecError, match="no side 'sfft'"):
        sides_of([tmp_path / "grid"], ["sfft"])
    again = sides_of([tmp_path / "grid" / "c-sft-0", tmp_path / "grid" / "c-sft-0"])
    assert [s.label for s in again] == ["c-sft-0 (1)", "c-sft-0 (2)"]
    assert all(e.p == 1.0 for e in comparisons(again, None)[0].exams)


def test_the_page_shows_the_comparison(pair):
    found = compare(*groups(pair))
    for lang, word in (("en", "Comparison"), ("zh", "比较")):
        page = html_report(load(pair), "t", lang, [found])
        assert word in page
        assert "+29.2" in page, "the change of AP in points"
    assert 'id="compared"' not in html_report(load(pair), "t")


def load(records):
    return list(records)


def test_power_is_told(pair):
    found = compare(*groups(pair))
    items, seeds = found.separate
    assert 1 < items < NUM
    assert seeds == math.inf
    assert "two are needed to tell" in comparison_text(found, 0)


def f1_run(learner, folder, skill, seed=0):
    """Make a run whose last exam is entity F1: answers of long lists decide it, and short ones its mean."""
    record = run(learner, cells(45), seed, folder)
    rng = np.random.default_rng(seed)
    listed = [int(rng.integers(5, 9)) if i >= 30 else 0 for i in range(NUM)]
    grades = []
    for i, gold in enumerate(listed):
        right = round(gold * skill)
        said = max(right, 0) if gold else int(skill > 0.2)
        score = 2 * right / (gold + said) if gold + said else 1.0
        grades.append(Grade(example_id=str(i), score=score, parts=(right, said, gold)))
    sheet = record.item_scores.exams[0]
    rows = {
        k: r.model_copy(update={"scores": score_row(grades), "parts": tuple(g.parts for g in grades)})
        for k, r in sheet.rows.items()
    }
    changed = sheet.model_copy(update={"scorer": ScorerSpec(name="entity_f1"), "rows": rows})
    values = record.matrix.values.copy()
    values[:, 0] = 2 * sum(g.parts[0] for g in grades) / sum(g.parts[1] + g.parts[2] for g in grades)
    matrix = Matrix(values, record.matrix.n, record.matrix.ungraded, record.matrix.columns)
    sheets = ItemScores(exams=(changed, *record.item_scores.exams[1:]))
    scores = compute(FIGURES, matrix, Costs(), {})
    fields = {f: getattr(record, f) for f in record.__dataclass_fields__}
    return RunRecord(**{**fields, "matrix": matrix, "item_scores": sheets, "scores": scores})


def test_an_exam_is_compared_by_its_own_score(tmp_path):
    records = [f1_run("sft", tmp_path / "a", 0.0), f1_run("replay", tmp_path / "b", 0.5)]
    one, two = groups(records)
    means = [g.runs[0].item_scores.exams[0].rows[2].values().mean() for g in (one, two)]
    assert means[1] < means[0], "the mean of the items falls"
    found = compare(one, two)
    exam = next(e for e in found.exams if e.exam == "facts")
    assert exam.one == 0
    assert exam.two == pytest.approx(two.runs[0].matrix.values[2, 0])
    assert exam.change.value == pytest.approx(exam.two)
    assert exam.change.low > 0.3
    assert exam.adjusted < 0.01
    figure = next(f for f in found.figures if f.name == "average_performance")
    assert figure.change.low > 0.1, "the figure's samples are of the same score"
    drawn = two.runs[0].matrix_samples.values[:, 2, 0]
    assert drawn.mean() == pytest.approx(exam.two, abs=0.05)


def test_costs_are_no_hypotheses(tmp_path):
    records = []
    for name, kept, seconds in (("sft", 10, 3.0), ("replay", 45, 9.0)):
        for seed in (0, 1, 2):
            record = run(name, cells(kept), seed, tmp_path / f"{name}{seed}")
            record.scores["train_seconds"] = seconds
            records.append(record)
    found = {f.name: f for f in compare(*groups(records)).figures}
    assert math.isnan(found["train_seconds"].p) and math.isnan(found["train_seconds"].adjusted)
    tested = [f.p for f in found.values() if not math.isnan(f.p)]
    assert len(tested) == len(FIGURES)
    assert min(f.adjusted for f in found.values() if not math.isnan(f.p)) == pytest.approx(len(FIGURES) * min(tested))
    row = next(line for line in comparison_text(compare(*groups(records)), 0).splitlines() if "train s" in line)
    assert "*" not in row


def test_what_could_not_be_marked_stays_out_of_both_sides(tmp_path):
    lost = cells(45)
    lost["facts"][2][0] = None
    changed = run("replay", cells(45), folder=tmp_path / "b")
    sheet = changed.item_scores.exams[0]
    grades = [Grade(example_id=str(i), score=s) for i, s in enumerate(lost["facts"][2])]
    rows = {**sheet.rows, 2: sheet.rows[2].model_copy(update={"scores": score_row(grades)})}
    sheets = ItemScores(exams=(sheet.model_copy(update={"rows": rows}), *changed.item_scores.exams[1:]))
    two = run("replay", cells(45), folder=tmp_path / "b", item_scores=sheets)
    found = compare(*groups([run("sft", cells(45), folder=tmp_path / "a"), two]))
    exam = next(e for e in found.exams if e.exam == "facts")
    assert exam.change.items == NUM - 1
    assert exam.one == exam.two == pytest.approx(44 / 59)
    assert exam.p == 1.0


def test_rows_that_are_the_same_answers_leave_no_doubt(tmp_path):
    """A frozen model forgets nothing, whatever is asked; one that was taught again and kept all may still."""
    kept = {name: [first(20)] * 3 for name in ("facts", "rules", "sums")}
    taught = run("replay", kept, folder=tmp_path / "b")
    sheets = tuple(
        s.model_copy(update={"rows": {k: r.model_copy(update={"answers_key": "one"}) for k, r in s.rows.items()}})
        for s in taught.item_scores.exams
    )
    frozen = run("sft", kept, folder=tmp_path / "a", item_scores=ItemScores(exams=sheets))
    one, two = groups([frozen, taught])
    assert one.intervals["bwt"] == (0.0, 0.0)
    assert two.intervals["bwt"].low < 0 < two.intervals["bwt"].high
