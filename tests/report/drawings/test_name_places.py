import math
import random
import re

import pytest

from clbench.report.drawings.axes import Axis, Scale
from clbench.report.drawings.name_places import LETTER_H, MARK, place_names
from clbench.report.drawings.plots import MOST_BARS, Point, front, scatter

FRAME = (50.0, 10.0, 950.0, 440.0)


def test_names_of_a_crowd_cover_no_point_and_no_other_name():
    rng = random.Random(3)
    crowd = [(900 + rng.uniform(-60, 40), 60 + rng.uniform(-20, 30), f"method_{k}") for k in range(26)]
    places = place_names([*crowd, (300.0, 300.0, "alone")], FRAME)
    assert all(places)
    boxes = [(p.x, p.y - 0.8 * LETTER_H, p.x + p.width, p.y + 0.2 * LETTER_H) for p in places]
    for k, (left, top, right, bottom) in enumerate(boxes):
        assert FRAME[0] <= left and right <= FRAME[2] and FRAME[1] <= top and bottom <= FRAME[3]
        for other in boxes[k + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
        for n, (x, y, _) in enumerate(crowd):
            near = left < x + MARK and x - MARK < right and top < y + MARK and y - MARK < bottom
            assert n == k or not near
    assert not places[-1].joined, "a name beside its point needs no line"


def test_a_name_without_room_is_left_out_and_its_point_is_drawn():
    assert place_names([(60.0, 20.0, "far too long for this frame" * 9)], FRAME) == [None]
    assert place_names([(5.0, 5.0, "x")], (0.0, 0.0, 4.0, 4.0)) == [None]


@pytest.mark.parametrize(
    ("low", "high", "unit", "texts"),
    [
        (0.112, 1.065, "score", ["20.0", "40.0", "60.0", "80.0", "100.0"]),
        (-0.0417, 0.559, "score", ["0.0", "20.0", "40.0", "60.0"]),
        (2_100_000, 9_400_000, "bytes", ["2.0 MB", "4.0 MB", "6.0 MB", "8.0 MB"]),
    ],
)
def test_ticks_are_round(low, high, unit, texts):
    scale = Scale.over(Axis("a", unit), [low, high], 0, 100)
    found = scale.ticks()
    assert [text for _, text in found] == texts
    assert all(0 <= place <= 100 for place, _ in found)


def test_ticks_of_a_logarithmic_axis_are_round_and_in_their_places():
    scale = Scale.over(Axis("a", "seconds", low_is_better=True, log=True), [2.0, 400.0], 0, 100)
    found = {text: place for place, text in scale.ticks()}
    assert set(found) >= {"10.0 s", "100.0 s"}
    assert found["10.0 s"] == pytest.approx(scale.at(10.0))
    assert found["10.0 s"] > found["100.0 s"]


def test_an_axis_without_a_round_value_has_its_ends():
    assert len(Scale.over(Axis("a", "ratio"), [3.0, 3.0], 0, 100).ticks()) >= 2


def test_whole_intervals_are_inside_the_frame():
    points = [Point("a", 0.5, 0.5, (0.1, 0.9), (-0.4, 1.4)), Point("b", 0.51, 0.52)]
    drawn = scatter(points, Axis("x"), Axis("y"), "t")
    box = [float(v) for v in re.search(r'viewBox="([^"]+)"', drawn)[1].split()]
    lines = re.findall(r'class="ends"[^>]+x1="([\d.]+)" x2="([\d.]+)"', drawn)
    ends = [float(v) for v in lines[0]]
    assert min(ends) > 60 and max(ends) < box[2] - 16, "neither end is cut at the frame"
    assert (max(ends) - min(ends)) / (box[2] - 74) == pytest.approx(1 / 1.16, abs=0.01)


def test_many_methods_are_drawn_wider_without_intervals():
    many = [Point(f"m{k}", k / 40, math.sin(k), (0, 1), (0, 1)) for k in range(MOST_BARS + 1)]
    drawn = scatter(many, Axis("x"), Axis("y"), "t")
    assert 'class="ends"' not in drawn
    assert all(f">m{k}</text>" in drawn for k in range(MOST_BARS + 1))


def test_a_bound_is_a_ring_and_stands_outside_of_the_front():
    x, y = Axis("x", low_is_better=True), Axis("y")
    points = [Point("joint", 0.0, 1.0, is_bound=True), Point("a", 0.1, 0.9), Point("b", 0.2, 0.8)]
    assert [p.label for p in front(points, x, y)] == ["a"]
    assert scatter(points, x, y, "t").count('fill="none" stroke=') == 1
