import re
from xml.etree import ElementTree

import pytest

from clbench.report.drawings.ranks import SIDE, WIDTH, rank_diagram, standing_alone

LABELS = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]
RANKS = [3.143, 2.0, 2.893, 1.964]


def test_methods_stand_best_first_and_bars_join_what_is_not_told_apart():
    drawn = rank_diagram(LABELS, RANKS, 0.5, "ranks")
    assert re.findall(r">([^<>]+?) \d\.\d\d<title>", drawn) == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert drawn.count('class="bar"') == 1 + 2, "the critical difference, and two sets"
    assert rank_diagram(LABELS, RANKS, 1.25, "ranks").count('class="bar"') == 1 + 1
    assert "CD = 0.50" in drawn


def test_the_critical_difference_is_drawn_to_scale():
    drawn = rank_diagram(LABELS, RANKS, 1.5, "ranks")
    end = float(re.search(r'class="bar" x1="\d+" x2="([\d.]+)" y1="22"', drawn)[1])
    assert (end - SIDE) / (WIDTH - 2 * SIDE) == pytest.approx(1.5 / 3, abs=1e-3)
    wide = rank_diagram(LABELS[:2], [1.0, 2.0], 7.0, "ranks")
    assert float(re.search(r'x2="([\d.]+)" y1="22"', wide)[1]) <= WIDTH - SIDE


def test_it_is_a_file_of_its_own_whatever_the_names():
    drawn = standing_alone(rank_diagram(['<b>"&', "a" * 40, "c"], [1.0, 2.0, 3.0], 1.0, "<ranks>"))
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg")
    assert (root.get("width"), root.get("aria-label")) == (str(WIDTH), "<ranks>")
    assert "a" * 40 + "</title>" in drawn
    assert "a" * 22 not in drawn.replace("a" * 40, "")
