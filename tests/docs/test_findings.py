"""The table of findings: each claim names runs of its recipe, and says no more than the runs do."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from scipy import stats

from clbench.engine.recipe.recipe import load_recipe
from clbench.metrics import all_metrics
from docs.build import findings
from tests.builders.compared import cells, run, turned
from tests.builders.places import ROOT

CLAIMS = yaml.safe_load(findings.FILE.read_text(encoding="utf-8"))
PARTS = [part for claim in CLAIMS for part in claim["parts"]]
EN = findings.WORDS["en"]


def sides(part):
    return [part[side] for side in ("high", "low", "over") if side in part and part[side]["of"] != "each"]


@pytest.fixture(scope="module")
def made():
    """The runs that each recipe would make, without their scores."""
    recipes = {part["recipe"] for part in PARTS}
    return {
        name: [SimpleNamespace(spec=spec, scores={"average_performance": 0.5}) for spec in load_recipe(name).specs()]
        for name in recipes
    }


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part['recipe']} {part['figure']}")
def test_each_side_is_one_learner_of_its_recipe(part, made):
    for who in sides(part):
        found = findings.named_by(who, made[part["recipe"]])
        settings = {tuple(sorted((k, str(v)) for k, v in run.spec.learner.items())) for run in found}
        assert len(settings) == 1, who
        assert len({run.spec.seed for run in found}) >= 3
    assert part["figure"] in all_metrics()


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["en"])
def test_each_claim_stands_in_both_languages_with_its_source(claim):
    assert claim["zh"] != claim["en"]
    assert claim["source"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["en"])
def test_a_claim_names_the_points_by_which_it_is_judged(claim):
    """A bound that only the verdict knows would let anything hold."""
    points = {abs(part[bound]) for part in claim["parts"] for bound in ("near", "least", "below") if part.get(bound)}
    for lang in ("en", "zh"):
        assert points <= {int(number) for number in re.findall(r"\d+", claim[lang])}, claim[lang]


def test_a_setting_that_a_run_does_not_state_is_at_its_default():
    plain, other = run("merge", cells(10), 0), run("merge", cells(20), 0)
    stated = other.spec.model_copy(update={"learner": {**other.spec.learner, "form": "sequential"}})
    runs = [plain, replace(other, spec=stated)]
    assert findings.named_by({"of": "merge", "form": "apart"}, runs) == runs[:1]
    assert findings.named_by({"of": "merge", "form": "sequential"}, runs) == runs[1:]


@pytest.fixture
def results(monkeypatch):
    """Recorded runs: replay keeps 45 of 60 items of the first task, plain fine-tuning 10, ewc 11."""
    kept = {"sft": 10, "replay": 45, "ewc": 11, "joint": 58}
    runs = [run(name, cells(num + seed % 2), seed) for name, num in kept.items() for seed in range(3)]
    monkeypatch.setattr(findings, "_runs", lambda folder: tuple(runs))


def part(high, low, **more):
    return {"recipe": "r", "figure": "average_performance", "high": {"of": high}, "low": {"of": low}, **more}


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (part("replay", "sft"), "held"),
        (part("sft", "replay"), "not held"),
        (part("ewc", "sft"), "not shown"),
        (part("ewc", "sft", near=10), "held"),
        (part("ewc", "sft", below=10), "held"),
        (part("sft", "replay", below=10), "held"),
        (part("replay", "sft", below=10), "not held"),
        (part("replay", "sft", near=10), "not held"),
        (part("replay", "sft", least=20), "held"),
        (part("replay", "sft", least=45), "not held"),
        (part("ewc", "sft", least=-10), "held"),
        ({"recipe": "r", "figure": "average_performance", "high": {"of": "sft"}}, "held"),
        ({"recipe": "r", "figure": "forgetting", "high": {"of": "joint"}, "near": 30}, "held"),
        ({"recipe": "r", "figure": "forgetting", "high": {"of": "sft"}, "near": 20}, "not held"),
        (part("ewc", "each"), "not held"),
        (part("joint", "each"), "held"),
        (part("sft", "each"), "not held"),
        ({"recipe": "r", "figure": "general_ability_delta", "below": 0, "high": {"of": "sft"}}, "held"),
        ({"recipe": "r", "figure": "learning_accuracy", "below": 0, "high": {"of": "sft"}}, "not held"),
    ],
)
def test_a_part_is_held_only_where_its_interval_says_so(said, verdict, results):
    found = findings.found_in(said, ROOT, EN)
    assert (found.verdict, found.runs) == (verdict, 3), found.text


def test_the_difference_is_printed_with_its_interval(results):
    text = findings.found_in(part("replay", "sft"), ROOT, EN).text
    assert text.startswith("replay − sft: AP +29.2 (")


def test_a_claim_is_as_good_as_its_weakest_part():
    def of(*verdicts):
        return findings.verdict_of([findings.Found("", verdict, 3) for verdict in verdicts])

    assert of("held", "held") == "held"
    assert of("held", "not shown") == "not shown"
    assert of("held", "not shown", "not held") == "not held"


def test_a_claim_without_results_says_so(tmp_path):
    for lang in ("en", "zh"):
        lines = findings.findings_table(tmp_path, lang).splitlines()
        assert len(lines) == len(CLAIMS) + 2
        assert all(line.endswith(f"| {findings.WORDS[lang]['lacks']} |") for line in lines[2:])


def test_orders_that_differ_are_told(monkeypatch):
    near = [*(run("sft", cells(10 + s), s) for s in (0, 1, 2)), *(turned("sft", 12 - s, s) for s in (0, 1, 2))]
    far = [*(run("sft", cells(10 + s), s) for s in (0, 1, 2)), *(turned("sft", 40 + s, s) for s in (0, 1, 2))]
    said = {"recipe": "r", "figure": "average_performance", "over": {"of": "sft"}}
    for runs, verdict in ((near, "not shown"), (far, "held")):
        monkeypatch.setattr(findings, "_runs", lambda folder, runs=runs: tuple(runs))
        assert findings.found_in(said, ROOT, EN).verdict == verdict


def test_the_effect_of_orders_is_that_of_an_analysis_of_variance_with_seeds_as_blocks():
    """Against sums of squares by nested least squares: orders beside seeds, and seeds alone."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 1)) + 3 * rng.normal(size=5) + rng.normal(size=(3, 5))
    of_order, of_seed = np.divmod(np.arange(15), 5)
    seeds = np.eye(5)[of_seed]
    both = np.hstack([seeds, np.eye(3)[of_order][:, 1:]])
    y = table.ravel()
    without, within = (float(np.linalg.lstsq(x, y)[1][0]) for x in (seeds, both))
    wanted = stats.f.sf((without - within) / 2 / (within / 8), 2, 8)
    assert findings.order_effect(table) == pytest.approx(wanted)
    assert math.isnan(findings.order_effect(table[:1])), "one order shows nothing"
    assert findings.order_effect(np.ones((3, 5))) == 1


def test_a_claim_of_some_tasks_counts_their_items_alone(results):
    said = part("replay", "sft", tasks=["facts"])
    runs = {name: [r.matrix for r in findings._runs(ROOT) if r.spec.learner_name == name] for name in ("replay", "sft")}
    place = runs["sft"][0].exams.index("facts")
    means = {name: np.mean([m.values[-1, place] for m in found]) for name, found in runs.items()}
    found = findings.found_in(said, ROOT, EN)
    assert found.text.startswith(f"replay − sft (facts): AP +{100 * (means['replay'] - means['sft']):.1f} (")
    assert found.text != findings.found_in(part("replay", "sft"), ROOT, EN).text
