"""What the pages say of the methods' results, and what the recorded results must show."""

import math

import pytest
from scipy import stats

from clbench.core.matrix import Matrix
from clbench.engine.recipe.recipe import load_recipe
from docs.build.measured import SHOWN, gains, measured, measured_lines
from docs.build.methods import describe
from docs.build.sound import CONTROL, MATCHED
from tests.builders.places import RECIPES, RESULTS

pytestmark = [
    pytest.mark.xdist_group("measured"),  # grouping the results takes seconds: once in one process
    pytest.mark.slow,
]
METHODS = RESULTS / "methods"
ISOLATED = ("separate", "lora_per_task", "adapters", "progressive", "progressive_prompts")


@pytest.fixture(scope="module")
def groups():
    return measured(METHODS)


def score(groups, name, figure="average_performance"):
    return groups[name].score(figure)


def test_every_learner_was_run_with_five_seeds_in_the_same_orders(groups):
    ((blocks,),) = [{tuple(method.blocks) for method in groups.values()}]
    assert len(blocks) == 5 * len({order for order, _ in blocks})
    shown = load_recipe(RECIPES / "methods.yaml").axes["learner"]
    assert len(groups) == len(shown), "every row of the recipe, controls included"


def test_a_method_without_a_gain_worth_the_name_says_why(groups):
    """Larger gains may be in doubt too, and their pages say so with the interval; these have a reason."""
    silent, found = [], gains(groups)
    for name in groups.keys() - {"sft", CONTROL, MATCHED}:
        said, plugin = describe(name)
        if plugin.family != "bounds" and found[name].mean < 0.1:
            silent += [name] if not said.sections.get("Falls short") else []
    assert silent == []


def test_joint_is_at_least_as_good_as_all_that_keep_one_model(groups):
    reach = score(groups, "joint") + groups["joint"].interval("average_performance").half
    for name in groups:
        assert reach >= score(groups, name), name


def test_replay_forgets_less_than_fine_tuning_in_every_order(groups):
    """In the mean of its seeds; of single runs, most."""
    mine, plain = (
        {(r.spec.stream, r.spec.seed): r.scores["forgetting"] for r in groups[n].runs} for n in ("replay", "sft")
    )
    assert mine.keys() == plain.keys()
    fewer = [(order, plain[order, seed] - mine[order, seed]) for order, seed in mine]
    for order in {order for order, _ in fewer}:
        assert sum(gap for name, gap in fewer if name == order) > 0, order
    assert sum(gap > 0 for _, gap in fewer) >= 0.8 * len(fewer)


@pytest.mark.parametrize("name", ISOLATED)
def test_parts_of_their_own_forget_nothing_when_the_task_is_told(groups, name):
    for run in groups[name].runs:
        for i in run.matrix.select("task"):
            later = run.matrix.values[run.matrix.columns[i].taught :, i]
            assert set(later) == {later[0]}


def test_no_two_methods_end_with_the_same_matrix(groups):
    seen = {}
    for name, group in groups.items():
        for run in group.runs:
            cells = (run.spec.stream, run.spec.seed, run.matrix.values.tobytes())
            assert cells not in seen, f"{name} is {seen.get(cells)}"
            seen[cells] = name


def test_a_page_tells_gain_loss_and_doubt():
    def group(name, *scores):
        cells = [[0.0, 0.0], [0.5, 0.1], [0.4, 0.6]]
        runs = [fake_run(name, seed, s) for seed, s in enumerate(scores)]
        return fake_group(name, runs, Matrix.of(cells))

    groups = {
        "sft": group("sft", 0.30, 0.32, 0.31),
        "replay": group("replay", 0.70, 0.74, 0.71),
        "lwf": group("lwf", 0.30, 0.35, 0.28),
        "l2": group("l2", 0.10, 0.12, 0.12),
    }
    found = gains(groups)
    mean, half = (0.40 + 0.42 + 0.40) / 3, 4.302653 * 0.011547 / math.sqrt(3)
    assert found["replay"].mean == pytest.approx(mean)
    assert (found["replay"].low, found["replay"].high) == pytest.approx((mean - half, mean + half), rel=1e-4)
    alone = [
        stats.ttest_1samp(gaps, 0).pvalue for gaps in ([0.40, 0.42, 0.40], [0.0, 0.03, -0.03], [-0.2, -0.2, -0.19])
    ]
    assert [found[n].p for n in ("replay", "lwf", "l2")] == pytest.approx(
        [3 * alone[0], alone[1], max(3 * alone[0], 2 * alone[2])], rel=1e-3
    )
    assert [found[n].verdict for n in ("replay", "lwf", "l2")] == ["helps", "unclear", "hurts"]
    assert "it helps" in measured_lines("replay", groups)[-2]
    assert "no gain is shown" in measured_lines("lwf", groups)[-2]
    assert measured_lines("ewc", groups) == []


def fake_run(name, seed, score):
    from types import SimpleNamespace

    spec = SimpleNamespace(
        seed=seed, learner={"name": name}, learner_label=name, model=SimpleNamespace(name="tiny-llama-2")
    )
    matrix, stream = SimpleNamespace(exams=("a", "b")), SimpleNamespace(tasks=("a", "b"))
    return SimpleNamespace(
        spec=spec, scores={"average_performance": score}, figure_samples={}, matrix=matrix, stream=stream
    )


def fake_group(name, runs, matrix):
    from clbench.report.runs.groups import Group
    from clbench.report.runs.orders import Method
    from clbench.stats.bootstrap import Interval

    figures = dict.fromkeys(SHOWN, 0.1)
    figures["average_performance"] = sum(r.scores["average_performance"] for r in runs) / len(runs)
    return Method(name, (Group(name, tuple(runs), matrix, figures, dict.fromkeys(figures, Interval(0.09, 0.11))),))
