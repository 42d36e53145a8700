import dataclasses
import json
import math

import numpy as np
import pytest

from clbench.core.errors import SpecError
from clbench.core.matrix import Column, Matrix
from clbench.core.results import Costs
from clbench.core.spec import HEADLINE
from clbench.metrics import all_metrics, compute
from clbench.metrics import average as av
from clbench.metrics import forgetting as fo
from clbench.metrics import transfer as tr
from clbench.metrics.ability import general_ability_delta
from tests.builders.places import GOLDEN

VECTORS = json.loads((GOLDEN / "metric_vectors.json").read_text())["vectors"]
NAMES = {
    "AP": av.average_performance,
    "BWT_T-1": fo.bwt,
    "FM_chaudhry": fo.forgetting,
    "LA": av.learning_accuracy,
    "AIA": av.average_incremental,
    "A_diaz": av.average_all_cells,
    "BWT_diaz": fo.bwt_all_pairs,
}
SMALL = Matrix.of([[None] * 3, [0.60, 0.85, 0.20], [0.70, 0.80, 0.30], [0.75, 0.70, 0.90]])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_published_matrices(vector):
    scale = vector["scale"]
    rows = [[None] * len(vector["tasks"]), *vector["R"]]
    matrix = Matrix.of([[None if v is None else v / scale for v in row] for row in rows])
    compared = 0
    for name, metric in NAMES.items():
        if vector["expected"].get(name) is not None:
            assert metric(matrix) * scale == pytest.approx(vector["expected"][name], abs=6e-5), name
            compared += 1
    assert compared >= 3


def test_small_example_by_hand():
    # task 1: best of rows 1..2 is .70, last .75; task 2: best (row 2) .80, last .70
    assert fo.forgetting(SMALL) == pytest.approx(((0.70 - 0.75) + (0.80 - 0.70)) / 2)
    assert fo.forgetting(SMALL) == pytest.approx(0.025)
    assert fo.bwt(SMALL) == pytest.approx(((0.75 - 0.60) + (0.70 - 0.80)) / 2)
    assert fo.forgetting_first_last(SMALL) == pytest.approx(-0.025)
    assert fo.forgetting_max_any(SMALL) == pytest.approx(0.075)
    assert av.average_performance(SMALL) == pytest.approx((0.75 + 0.70 + 0.90) / 3)
    assert av.learning_accuracy(SMALL) == pytest.approx((0.60 + 0.80 + 0.90) / 3)
    assert fo.worst_retention(SMALL) == pytest.approx(0.70 / 0.80)
    assert fo.forgetting_rate(SMALL) == pytest.approx(100 * ((0.70 - 0.75) / 0.70 + 0.10 / 0.80) / 2)


def test_identity_between_average_learning_and_backward_transfer():
    t = 3
    assert av.average_performance(SMALL) == pytest.approx(av.learning_accuracy(SMALL) + (t - 1) / t * fo.bwt(SMALL))


@pytest.mark.parametrize(
    ("after", "delta"),
    [
        ((46.43, 3.49, 30.11, 33.23, 77.89, 76.50), -2.5767),
        ((42.28, 14.71, 33.61, 21.72, 53.43, 75.19), -7.0283),
        ((47.04, 3.03, 36.61, 31.57, 75.75, 75.30), -2.3017),
    ],
)
def test_general_ability_delta_of_trace(after, delta):
    before = (46.56, 26.08, 40.23, 23.47, 70.55, 76.22)
    columns = [Column(name=str(i), kind="general") for i in range(6)]
    matrix = Matrix.of([[v / 100 for v in before], [v / 100 for v in after]], columns)
    assert 100 * general_ability_delta(matrix) == pytest.approx(delta, abs=6e-5)


def test_forward_transfer_and_bounds():
    matrix = Matrix.of([[0.1, 0.2], [0.9, 0.3], [0.8, 0.7]])
    joint = Matrix.of([[0.1, 0.2], [0.9, 0.9], [0.9, 0.9]])
    frozen = Matrix.of([[0.1, 0.2]] * 3)
    assert tr.fwt(matrix) == pytest.approx(0.1)
    assert tr.gap_to_joint(matrix, joint) == pytest.approx(0.15)
    assert tr.intransigence(matrix, joint) == pytest.approx(((0.9 - 0.9) + (0.9 - 0.7)) / 2)
    assert tr.normalised_ap(matrix, frozen, joint) == pytest.approx((0.75 - 0.15) / (0.9 - 0.15))


def test_one_lesson_leaves_change_undefined():
    one = Matrix.of([[0.1], [0.9]])
    for metric in (fo.forgetting, fo.bwt, fo.worst_retention, tr.fwt, fo.forgetting_rate):
        assert math.isnan(metric(one))
    assert av.average_performance(one) == 0.9


def test_missing_cells_are_not_averaged_away():
    assert math.isnan(av.average_performance(Matrix.of([[0.1, 0.1], [0.9, None], [0.8, None]])))


def test_several_tasks_taught_in_one_lesson():
    columns = [Column(name="a", taught=1), Column(name="b", taught=1), Column(name="c", taught=2)]
    matrix = Matrix.of([[0, 0, 0], [0.8, 0.6, 0.1], [0.5, 0.6, 0.9]], columns)
    assert av.learning_accuracy(matrix) == pytest.approx((0.8 + 0.6 + 0.9) / 3)
    assert fo.forgetting(matrix) == pytest.approx((0.3 + 0.0) / 2)


def test_headline_figures_exist_and_unknown_names_are_refused():
    assert set(HEADLINE) <= set(all_metrics())
    scores = compute(HEADLINE, SMALL, Costs(train_s=2.0, train_tokens=10), {})
    assert scores["tokens_per_s"] == 5.0
    with pytest.raises(SpecError, match="forgeting") as error:
        compute(["forgeting"], SMALL, Costs(), {})
    assert "forgetting" in str(error.value)
    assert math.isnan(compute(["gap_to_joint"], SMALL, Costs(), {})["gap_to_joint"])


def decaying(half_life, noise=0.0, tasks=6):
    """R of tasks that each lose what they had at one rate; `noise` moves the rate of every second task."""
    rows = [[0.0] * tasks]
    for k in range(1, tasks + 1):
        rates = [half_life * (1 + noise * (-1) ** i) for i in range(tasks)]
        rows.append([0.8 * 2 ** (-(k - i - 1) / rates[i]) if i < k else 0.0 for i in range(tasks)])
    return Matrix.of(rows)


def test_half_life_of_an_exact_decay():
    assert fo.retention_half_life(decaying(2.5)) == pytest.approx(2.5, rel=5e-3)
    low, high = fo.half_life_interval(decaying(2.5))
    assert low == pytest.approx(high, rel=1e-2)


def test_half_life_by_hand_with_a_task_lost_at_once():
    # one distance, shares left 1/2 and 0: the least-squares share is 1/4, which is two half-lives
    matrix = Matrix.of([[0, 0, 0], [0.8, 0, 0], [0.4, 0.6, 0], [None, 0.0, 0.5]])
    assert fo.retention_half_life(matrix) == pytest.approx(0.5, rel=5e-3)


def test_half_life_interval_is_wider_where_tasks_differ():
    low, high = fo.half_life_interval(decaying(2.5, noise=0.3))
    assert low < 2.2
    assert high > 2.8


def test_no_half_life_where_nothing_was_lost():
    assert math.isnan(fo.retention_half_life(Matrix.of([[0, 0], [0.5, 0.1], [0.6, 0.9]])))
    assert math.isnan(fo.half_life_interval(decaying(2.5, tasks=2))[0])


def test_edges_that_once_gave_numbers():
    """Bounds a last digit apart, a reference with other tasks, an exam that guessing passes, all lost at once."""
    frozen, joint, run = ([[0.0, 0.0]] * 2 + [last] for last in ([0.1, 0.2], [0.0, 0.3], [0.5, 0.5]))
    references = {"frozen": Matrix.of(frozen), "joint": Matrix.of(joint)}
    assert math.isnan(compute(["normalised_ap"], Matrix.of(run), Costs(), references)["normalised_ap"])
    other = Matrix.of([[0.0], [0.9]])
    assert math.isnan(tr.gap_to_joint(Matrix.of(run), other))
    assert math.isnan(tr.gain_over_frozen(Matrix.of(run), other))
    sure = Matrix.of(
        [[1.0, 0.5], [1.0, 0.6], [1.0, 0.75]],
        [Column(name=n, taught=t, guess_rate=c) for n, t, c in (("a", 1, 1), ("b", 2, 0.5))],
    )
    assert math.isnan(av.average_performance_centred(sure))
    assert fo.retention_half_life(Matrix.of([[0.0, 0.0], [0.8, 0.0], [0.0, 0.8]])) == 0.0


def test_declining_does_not_shrink_an_exam_in_the_pooled_average():
    """Two exams of 10 questions: one right and nine declined, which count 0, and all ten right."""
    matrix = Matrix.of([[None, None], [0.1, None], [0.1, 1.0]])
    counts = np.full(matrix.values.shape, 10)
    counts[-1, 0] = 1
    matrix = dataclasses.replace(matrix, n=counts, ungraded=10 - counts)
    assert av.average_performance_pooled(matrix) == pytest.approx(0.55)


def test_storage_efficiency_counts_stored_examples_and_nothing_else():
    compute = all_metrics()["sample_storage_efficiency"].compute
    fisher = Costs(stream_bytes=1000, kept_bytes=9000, kept_bytes_by_lesson=(9000, 9000), buffer_bytes_by_lesson=(0, 0))
    assert compute(fisher) == 1.0
    replay = Costs(stream_bytes=1000, kept_bytes_by_lesson=(400, 800), buffer_bytes_by_lesson=(100, 300))
    assert compute(replay) == pytest.approx(1 - (0.1 + 0.3) / 2)
    assert compute(Costs(stream_bytes=100, buffer_bytes_by_lesson=(90, 900))) == 0.0
    assert math.isnan(compute(Costs(stream_bytes=1000, kept_bytes_by_lesson=(400, 800))))
