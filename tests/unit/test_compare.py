"""Comparing runs: what may be compared, what differs, and which items flipped."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from clbench.core.errors import SpecError
from clbench.core.keys import canonical
from clbench.core.matrix import Column, Matrix
from clbench.core.outline import Outline, RoundOutline
from clbench.core.sheets import Row, Said, Sheet, Sheets, Showcase, Shown, packed
from clbench.core.spec import RunSpec
from clbench.core.types import Answer, Example, Grade, Message, Meters, ScorerSpec
from clbench.metrics import compute
from clbench.report.compare import compare, comparisons, sides_of
from clbench.report.compare_text import comparison_json, comparison_text, exam_rows
from clbench.report.gather import RunRecord, group_runs
from clbench.report.html import html_report
from clbench.stats.bootstrap import difference_of, possible
from clbench.store.records import write_jsonl
from clbench.store.store import Store

NUM = 60
FIGURES = ("average_performance", "forgetting", "bwt", "learning_accuracy", "general_ability_delta")
COLUMNS = [
    Column(name="facts", taught=1, size=NUM),
    Column(name="rules", taught=2, size=NUM),
    Column(name="sums", kind="general", ability="mathematics", size=NUM),
]


def outline():
    rounds = tuple(
        RoundOutline(
            step=s,
            teaches=(n,),
            moved=(),
            examples=9,
            ahead=0,
            new_labels=0,
            labels=0,
            languages=(),
            kinds=(),
            domains=(),
        )
        for s, n in ((1, "facts"), (2, "rules"))
    )
    return Outline(name="worlds", rounds=rounds, tasks=("facts", "rules"), questions=(NUM, NUM), similarity=())


def run(learner, cells, seed=0, folder=None, **changes):
    """Make a run from {exam: [scores of every item in each row]}."""
    sheets = []
    for name, rows in cells.items():
        sheets.append(
            Sheet(
                exam=name,
                digest=f"q {name}",
                scorer=ScorerSpec(name="exact"),
                version=1,
                ids=tuple(f"{name}-{i}" for i in range(NUM)),
                rows={
                    step: Row(
                        asked=f"q {name}",
                        ask=f"{learner}{seed}{name}{step}",
                        mark="m",
                        scores=packed([Grade(example_id=str(i), score=s) for i, s in enumerate(scores)]),
                    )
                    for step, scores in enumerate(rows)
                },
            )
        )
    values = np.array([[np.mean(rows[step]) for rows in cells.values()] for step in range(3)])
    counts = np.full(values.shape, NUM)
    matrix = Matrix(values, counts, np.zeros_like(counts), tuple(COLUMNS))
    spec = RunSpec(name=f"c-{learner}-{seed}", learner={"name": learner}, stream="worlds", seed=seed)
    record = RunRecord(
        folder=folder,
        spec=spec,
        outline=outline(),
        matrix=matrix,
        scores=compute(FIGURES, matrix, Meters(), {}),
        meters=Meters(),
        provenance={"packages": {"torch": "2"}},
        sheets=Sheets(sheets=tuple(sheets)),
    )
    return RunRecord(**{**{f: getattr(record, f) for f in record.__dataclass_fields__}, **changes})


def first(num, rest=0.0):
    return [1.0] * num + [rest] * (NUM - num)


def cells(last, own=50):
    """Both tasks are learnt; `last` of the first one are kept; sums fall from 50 to 40."""
    return {
        "facts": [first(5), first(own), first(last)],
        "rules": [first(5), first(5), first(own)],
        "sums": [first(50), first(45), first(40)],
    }


@pytest.fixture
def pair(tmp_path):
    return [run("sft", cells(10), folder=tmp_path / "a"), run("replay", cells(45), folder=tmp_path / "b")]


def groups(records):
    found = {g.runs[0].spec.learner_name: g for g in group_runs(records)}
    return found["sft"], found["replay"]


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
    shared = one.sheets.sheets
    same = replace(two, sheets=one.sheets)
    found = compare(*groups([one, same]))
    assert {(f.change, f.p) for f in found.figures} == {((0.0, 0.0), 1.0)}
    assert {(e.change.low, e.change.high, e.p) for e in found.exams} == {(0.0, 0.0, 1.0)}
    equal = compare(*groups([one, two]))
    assert all(f.change.low < 0 < f.change.high for f in equal.figures)
    assert all(e.change.low < 0 < e.change.high for e in equal.exams)
    partly = replace(two, sheets=Sheets(sheets=(*two.sheets.sheets[:2], shared[2])))
    figures = {f.name: f.change for f in compare(*groups([one, partly])).figures}
    assert figures["general_ability_delta"] == (0.0, 0.0), "the sums are the very same"
    assert figures["average_performance"].low < 0 < figures["average_performance"].high


def test_an_exam_that_one_run_could_not_mark_is_named(pair):
    one, two = pair
    sheet = two.sheets.sheets[1]
    lost = sheet.model_copy(update={"rows": {**sheet.rows, 2: sheet.rows[2].model_copy(update={"scores": "-" * NUM})}})
    sheets = (two.sheets.sheets[0], lost, two.sheets.sheets[2])
    found = compare(*groups([one, replace(two, sheets=Sheets(sheets=sheets))]))
    assert [e.exam for e in found.exams] == ["facts", "sums"]
    assert found.left_out == ("rules",)
    assert "in the last row of every run: rules." in comparison_text(found, 1)
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
    sheets = (two.sheets.sheets[0].model_copy(update=change), *two.sheets.sheets[1:])
    other = run("replay", cells(45), sheets=Sheets(sheets=sheets))
    with pytest.raises(SpecError, match=says):
        compare(*groups([one, other]))


def test_other_words_are_refused_and_so_are_missing_records(pair):
    one, two = pair
    rows = {s: r.model_copy(update={"asked": "other"}) for s, r in two.sheets.sheets[0].rows.items()}
    sheets = (two.sheets.sheets[0].model_copy(update={"rows": rows}), *two.sheets.sheets[1:])
    with pytest.raises(SpecError, match="asked in other words"):
        compare(*groups([one, run("replay", cells(45), sheets=Sheets(sheets=sheets))]))
    with pytest.raises(SpecError, match="exams of one side only: facts"):
        compare(*groups([one, run("replay", cells(45), sheets=Sheets(sheets=two.sheets.sheets[1:]))]))
    with pytest.raises(SpecError, match="items are not on record"):
        compare(*groups([one, run("replay", cells(45), sheets=Sheets(sheets=()))]))


def written(folder, record):
    folder.mkdir(parents=True)
    files = {
        "spec.yaml": record.spec.model_dump_json(),
        "stream.json": canonical(record.outline),
        "matrix.json": canonical(record.matrix.to_json()),
        "items.json": canonical(record.sheets),
        "examples.json": canonical(record.showcase),
        "scores.json": canonical(record.scores),
        "meters.json": canonical(record.meters),
        "provenance.json": canonical(record.provenance),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


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
    shown = Shown(exam="facts", id="facts-20", question="Who?", expected=("N",), said={2: Said(text="x", score=0.0)})
    one = run("sft", cells(20), showcase=Showcase(items=(shown,)))
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
    with pytest.raises(SpecError, match="one side only"):
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
    sheet = record.sheets.sheets[0]
    rows = {
        k: r.model_copy(update={"scores": packed(grades), "parts": tuple(g.parts for g in grades)})
        for k, r in sheet.rows.items()
    }
    changed = sheet.model_copy(update={"scorer": ScorerSpec(name="entity_f1"), "rows": rows})
    values = record.matrix.values.copy()
    values[:, 0] = 2 * sum(g.parts[0] for g in grades) / sum(g.parts[1] + g.parts[2] for g in grades)
    matrix = Matrix(values, record.matrix.n, record.matrix.ungraded, record.matrix.columns)
    sheets = Sheets(sheets=(changed, *record.sheets.sheets[1:]))
    scores = compute(FIGURES, matrix, Meters(), {})
    fields = {f: getattr(record, f) for f in record.__dataclass_fields__}
    return RunRecord(**{**fields, "matrix": matrix, "sheets": sheets, "scores": scores})


def test_an_exam_is_compared_by_its_own_score(tmp_path):
    records = [f1_run("sft", tmp_path / "a", 0.0), f1_run("replay", tmp_path / "b", 0.5)]
    one, two = groups(records)
    means = [g.runs[0].sheets.sheets[0].rows[2].values().mean() for g in (one, two)]
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
    drawn = two.runs[0].drawn.values[:, 2, 0]
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
    sheet = changed.sheets.sheets[0]
    grades = [Grade(example_id=str(i), score=s) for i, s in enumerate(lost["facts"][2])]
    rows = {**sheet.rows, 2: sheet.rows[2].model_copy(update={"scores": packed(grades)})}
    sheets = Sheets(sheets=(sheet.model_copy(update={"rows": rows}), *changed.sheets.sheets[1:]))
    two = run("replay", cells(45), folder=tmp_path / "b", sheets=sheets)
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
        s.model_copy(update={"rows": {k: r.model_copy(update={"ask": "one"}) for k, r in s.rows.items()}})
        for s in taught.sheets.sheets
    )
    frozen = run("sft", kept, folder=tmp_path / "a", sheets=Sheets(sheets=sheets))
    one, two = groups([frozen, taught])
    assert one.intervals["bwt"] == (0.0, 0.0)
    assert two.intervals["bwt"].low < 0 < two.intervals["bwt"].high
