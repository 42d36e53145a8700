"""The sentence on the demo's order: how many seeds have it, and which pairs are not told apart."""

from dataclasses import replace

from docs.build import headline
from tests.builders.compared import cells, run


def runs(kept):
    made = [run(name, cells(num), seed) for name, nums in kept.items() for seed, num in enumerate(nums)]
    return [replace(r, spec=r.spec.model_copy(update={"stream": headline.STREAM})) for r in made]


def test_the_order_of_most_seeds_and_the_pairs_that_are_alike():
    said = headline.headline(runs({"sft": (10, 11, 10, 12), "ewc": (11, 10, 11, 13), "replay": (45, 44, 46, 45)}))
    assert said.startswith("By AP, 3 of 4 seeds have the order replay > ewc > sft.")
    assert "ewc and sft (0.4 points)" in said
    assert "replay and" not in said


def test_where_all_are_told_apart_it_says_so():
    said = headline.headline(runs({"sft": (5, 6, 5, 6), "replay": (50, 51, 50, 51)}))
    assert "All pairs are told apart" in said
    assert "4 of 4 seeds" in said
