"""What became of single items, against a count made apart from the Parquet file."""

import json
from pathlib import Path

import pandas as pd
import pytest

from clbench.cli.main import main
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores, ItemScores
from clbench.core.matrix import Column
from clbench.core.types import ScorerSpec
from clbench.report.runs.item_histories import item_fates, item_histories
from tests.builders.reported import ROWS, record

DEMO = Path(__file__).parents[3] / "results" / "demo"


def run_with(rows, name="world_a"):
    """A run of one exam with these rows: lesson -> a score for each item."""
    num = len(next(iter(rows.values())))
    cells = {
        lesson: GradedItems(questions="q", answers_key="a", grades_key="g", scores=scores)
        for lesson, scores in rows.items()
    }
    exam = ExamScores(
        exam=name, digest="d", scorer=ScorerSpec(name="exact"), version=1, ids=tuple(map(str, range(num))), rows=cells
    )
    run = record("sft", ROWS["sft"])
    return type(run)(
        run.folder, run.spec, run.stream, run.matrix, run.scores, run.costs, run.provenance, ItemScores(exams=(exam,))
    )


def fates(rows, taught=1, name="world_a"):
    found = item_fates(run_with(rows, name), Column(name=name, taught=taught))
    return {fate: [place for place, each in sorted(found.items()) if each == fate] for fate in set(found.values())}


def test_items_are_followed_from_their_own_lesson_to_the_last():
    rows = {0: "000011", 1: "111001", 2: "101001"}
    assert fates(rows) == {"forgotten": [1], "learnt": [0, 2], "never": [3, 4]}


def test_what_was_known_before_its_lesson_and_lost_by_it_was_not_forgotten_since():
    assert fates({0: "1", 1: "0", 2: "0"}) == {"never": [0]}


def test_abilities_are_followed_from_the_untouched_model():
    assert fates({0: "10", 1: "11", 2: "00"}, taught=None) == {"forgotten": [0]}


def test_part_scores_count_from_one_half_and_an_item_without_a_grade_has_no_fate():
    assert fates({0: (0.0, 0.0, 0.0), 1: (0.5, 0.49, 1.0), 2: (0.4, 0.49, None)}) == {"forgotten": [0], "never": [1]}
    assert fates({0: "0", 2: "0"}) == {"never": [0]}, "a row that was not due decides nothing"
    assert fates({0: "0", 1: "1"}) == {}


def test_exams_that_were_not_asked_have_no_items():
    assert item_fates(run_with({0: "0", 2: "0"}), Column(name="other", taught=1)) == {}
    assert item_histories(run_with({0: "01", 1: "11", 2: "00"}), "forgotten", ["world_b"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("fate", ["forgotten", "learnt", "never"])
def test_the_command_names_the_items_that_a_count_of_its_own_finds(capsys, fate):
    name = next(DEMO.glob("demo-sft-s0-*.json")).stem
    assert main(["show", str(DEMO / f"{name}.json"), f"--{fate}", "--exam", "world2_rules_en", "--json"]) == 0
    (items,) = json.loads(capsys.readouterr().out).values()
    frame = pd.read_parquet(DEMO / "items.parquet")
    frame = frame[(frame["run"] == name) & (frame["exam"] == "world2_rules_en")]
    table = frame.pivot(index="item", columns="lesson", values="score")
    columns = json.loads((DEMO / f"{name}.json").read_text())["matrix"]["columns"]
    own = next(c["taught"] for c in columns if c["name"] == "world2_rules_en")
    last = table.columns.max()
    expected = {
        "forgotten": table[(table[own] == 1) & (table[last] == 0)],
        "learnt": table[(table[0] == 0) & (table[last] == 1)],
        "never": table[(table[[c for c in table.columns if c >= own]] == 0).all(axis=1)],
    }[fate]
    assert {item["id"] for item in items} == set(expected.index)
    for item in items:
        assert {int(k): v for k, v in item["scores"].items()} == table.loc[item["id"]].to_dict()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--forgotten", "--learnt"], "cannot be shown at once"),
        ([], "it is not said which items of a result to show"),
        (["--forgotten", "--exam", "world2_rule_en"], "world2_rules_en"),
    ],
)
def test_what_is_not_clear_is_asked_for(capsys, typed, said):
    assert main(["show", str(DEMO), *typed]) == 2
    assert said in capsys.readouterr().err


def test_a_card_has_no_fates(capsys):
    assert main(["show", "worlds-2", "--forgotten"]) == 2
    assert "worlds-2" in capsys.readouterr().err
