"""Methods over several orders of the tasks: samples of items add up by exam, whatever column it stands in."""

from dataclasses import replace

import numpy as np
import pytest

from clbench.report.runs.groups import group_runs
from clbench.report.runs.orders import difference, methods_of, plain_of, scenario_of
from clbench.report.tables.exports import to_methods
from clbench.stats.bootstrap import difference_of, interval
from tests.builders.compared import cells, outline, run, turned

AP = "average_performance"


def method(runs):
    (found,) = methods_of(group_runs(runs))
    return found


def test_samples_of_another_order_are_brought_into_the_first_ones_columns():
    found = method([run("sft", cells(10)), turned("sft", 30)])
    values, samples = found.by_run(AP)
    names = [r.matrix.exams for r in found.runs]
    assert names[0] != names[1]
    own = [r.figure_samples[AP] for r in found.runs]
    for place, name in enumerate(names[0]):
        other = names[1].index(name)
        assert samples[1].steps[place] == own[1].steps[other]
        assert samples[1].answers[place] == own[1].answers[other]
        assert np.array_equal(samples[1].alone[:, place], own[1].alone[:, other])
    assert np.array_equal(samples[1].values, own[1].values)
    assert values == [r.scores[AP] for r in found.runs]


def test_the_very_same_answers_make_no_difference_in_any_order():
    """Had the columns been mixed up, samples of equal runs would differ by what items vary."""
    one = method([run("sft", cells(10)), turned("sft", 30)])
    two = method([run("sft", cells(10)), turned("sft", 30)])
    (low, high), _ = difference_of(*one.by_run(AP), *two.by_run(AP), blocks=one.blocks)
    assert low == pytest.approx(0, abs=0.02)
    assert high == pytest.approx(0, abs=0.02)


def test_a_row_is_the_mean_over_orders_and_seeds():
    runs = [*(run("sft", cells(10 + s), s) for s in (0, 2)), *(turned("sft", 30 + s, s) for s in (0, 2))]
    found = method(runs)
    assert found.label == "sft"
    assert found.score(AP) == pytest.approx(np.mean([r.scores[AP] for r in runs]))
    assert found.interval(AP).half > method(runs[:2]).interval(AP).half, "orders differ more than seeds"
    table = to_methods(runs)
    assert f"| sft | {100 * found.score(AP):.1f} ± {100 * found.interval(AP).half:.1f} |" in table
    assert "task orders (2) and seeds, runs a row: 4" in table


def test_where_a_method_learns_is_told_over_several_orders_too():
    runs = [made for name in ("ewc", "in_context") for made in (run(name, cells(10)), turned(name, 30))]
    rows = [line.split(" | ")[:2] for line in to_methods(runs).splitlines()[2:4]]
    assert sorted(rows) == [["| ewc", "weights"], ["| in_context", "prompt"]]


def test_an_order_that_lacks_a_seed_counts_as_much_as_the_others():
    runs = [*(run("sft", cells(10), s) for s in (0, 1, 2)), turned("sft", 30)]
    found = method(runs)
    means = [np.mean([r.scores[AP] for r in runs[:3]]), runs[3].scores[AP]]
    assert found.score(AP) == pytest.approx(np.mean(means))
    values, _ = found.by_run(AP)
    assert np.mean(interval(values, [], blocks=found.blocks)) == pytest.approx(np.mean(means))
    (low, high), _ = difference_of([0.0] * 4, [], values, [], blocks=found.blocks)
    assert (low + high) / 2 == pytest.approx(np.mean(means))


def of_both_orders(learner, ahead, seeds=range(3), turned_seeds=range(3)):
    return method(
        [
            *(run(learner, cells(10 + ahead + s % 2), s) for s in seeds),
            *(turned(learner, 10 + 3 * ahead + s % 2, s) for s in turned_seeds),
        ]
    )


def test_a_run_that_one_method_lacks_does_not_make_runs_of_one_order_independent():
    whole, lacking = of_both_orders("replay", 10), of_both_orders("replay", 10, turned_seeds=(0, 2))
    plain = of_both_orders("sft", 0)
    gap, ends, p = difference(plain, whole, AP)
    assert (ends, p) == difference_of(*plain.by_run(AP), *whole.by_run(AP), plain.blocks)
    assert gap == pytest.approx(whole.score(AP) - plain.score(AP))
    less, narrow, _ = difference(plain, lacking, AP)
    assert less == pytest.approx(gap)
    assert narrow.half == pytest.approx(ends.half, rel=0.1)
    unpaired, _ = difference_of(*plain.by_run(AP), *lacking.by_run(AP))
    assert unpaired.half < 0.7 * ends.half


def test_a_difference_turns_its_sign_with_its_sides():
    one, two = of_both_orders("sft", 0, seeds=(0, 1)), of_both_orders("replay", 10, turned_seeds=(1, 2))
    gap, ends, p = difference(one, two, AP)
    back, other, same = difference(two, one, AP)
    assert (back, other.low, other.high) == pytest.approx((-gap, -ends.high, -ends.low))
    assert same == pytest.approx(p)


def test_methods_that_share_an_order_are_compared_on_it():
    both, alone = of_both_orders("sft", 0), method([run("replay", cells(20 + s % 2), s) for s in range(3)])
    gap, _, _ = difference(both, alone, AP)
    first = [r.scores[AP] for r in both.runs if r.spec.stream == "worlds"]
    assert gap == pytest.approx(np.mean([r.scores[AP] for r in alone.runs]) - np.mean(first))


def test_seeds_of_one_order_need_not_be_as_many():
    few, many = (method([run(n, cells(10 + s % 3), s) for s in range(k)]) for n, k in (("sft", 3), ("ewc", 5)))
    _, ends, p = difference(few, many, AP)
    assert (ends, p) == difference_of(*few.by_run(AP), *many.by_run(AP))


def test_other_lessons_or_other_questions_are_no_order():
    plain = run("sft", cells(10))
    lessons = plain.stream.lessons
    together = (
        lessons[0].model_copy(update={"teaches": ("facts", "rules")}),
        lessons[1].model_copy(update={"teaches": ()}),
    )
    at_once = run("sft", cells(10), stream=outline().model_copy(update={"lessons": together}))
    sheets = tuple(e.model_copy(update={"digest": f"other {e.exam}"}) for e in plain.item_scores.exams)
    asked = replace(plain, item_scores=plain.item_scores.model_copy(update={"exams": sheets}))
    one, order, *others = (scenario_of(group_runs([r])[0]) for r in (plain, turned("sft", 10), at_once, asked))
    assert one == order
    assert one not in others


def test_of_several_rows_of_plain_fine_tuning_the_best_is_the_reference():
    runs = [run("sft", cells(num), 0) for num in (10, 30)]
    named = [
        replace(r, spec=r.spec.model_copy(update={"learner": {"name": "sft", "lr": lr}}))
        for r, lr in zip(runs, (1e-3, 1e-4), strict=True)
    ]
    found = methods_of(group_runs([*named, run("replay", cells(20))]))
    plain = plain_of(found)
    assert plain is not None
    assert plain.runs[0].spec.learner["lr"] == 1e-4
    assert plain_of([m for m in found if not m.is_plain]) is None
