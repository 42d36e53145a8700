"""Exams whose score is no mean: intervals and tests compute their own rule anew."""

import itertools

import numpy as np
import pytest

from clbench.core.graded import GradedItems, by_repeating, graded_items
from clbench.core.scorers import rule_of
from clbench.core.types import Grade
from clbench.engine.grade import open_scorer
from clbench.report.runs.exam_items import marked_rows
from clbench.stats.paired import drop_p, paired_difference, paired_permutation
from clbench.stats.single import score_interval

NUM = 60


def grades(scorer, rng, num=NUM, skill=0.6):
    """Make grades with the parts that a scorer leaves."""
    found = []
    for i in range(num):
        if scorer in ("entity_f1", "triple_f1"):
            gold, said = int(rng.integers(1, 9)), int(rng.integers(0, 7))
            right = int(rng.binomial(min(gold, said), skill))
            score, parts = 2 * right / (gold + said), (right, said, gold)
        elif scorer == "macro_f1":
            gold = float(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))
            said = gold if rng.random() < skill else float(rng.integers(1, 5))
            score, parts = float(gold == said), (gold, said)
        elif scorer == "bleu":
            said, ref = int(rng.integers(5, 20)), int(rng.integers(5, 20))
            totals = [max(said - n, 0) for n in range(4)]
            counts = [int(rng.binomial(t, skill / (n + 1))) for n, t in enumerate(totals)]
            score, parts = 0.3, (*counts, *totals, said, ref)
        elif scorer == "chrf":
            said, ref = int(rng.integers(9, 40)), int(rng.integers(9, 40))
            orders = [(max(said - n, 0), max(ref - n, 0)) for n in range(6)]
            parts = tuple(float(x) for s, g in orders for x in (s, g, rng.binomial(min(s, g), skill)))
            score = 0.3
        elif scorer == "ifeval":
            parts = tuple(float(v) for v in rng.random(int(rng.integers(1, 4))) < skill)
            score = sum(parts) / len(parts)
        else:  # rolling texts of an lm_eval task
            size = int(rng.integers(20, 900))
            parts, score = (-size * float(rng.uniform(0.5, 2) / skill), size), 0.4
        found.append(Grade(example_id=str(i), score=score, parts=tuple(map(float, parts))))
    return found


RULES = ("entity_f1", "triple_f1", "macro_f1", "bleu", "chrf", "ifeval", "harness")


@pytest.mark.parametrize("scorer", RULES)
def test_weighing_items_is_repeating_them(scorer):
    rng = np.random.default_rng(1)
    given, plugin = grades(scorer, rng), open_scorer(scorer)
    weights = rng.multinomial(NUM, np.full(NUM, 1 / NUM), size=20).astype(float)
    weights[0], weights[1] = 1.0, 0.0
    weights[2] = np.eye(NUM)[3]
    scores, parts = np.array([g.score for g in given]), tuple(g.parts for g in given)
    found, expected = plugin.weigh(scores, parts, weights), by_repeating(plugin.combine)(scores, parts, weights)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found[0] == pytest.approx(plugin.combine(given))
    assert np.isnan(found[1])


def row(given):
    return GradedItems(
        questions="",
        answers_key="",
        grades_key="",
        scores=tuple(g.score for g in given),
        parts=tuple(g.parts for g in given),
    )


def test_a_rise_of_f1_is_no_fall():
    """Answers of 0 that are all right where little is listed, and wrong where much is: the mean falls as F1 rises."""
    old = [Grade(example_id=str(i), score=1.0, parts=(0, 0, 0)) for i in range(60)]
    old += [Grade(example_id=str(i), score=0.0, parts=(0, 0, 5)) for i in range(60, 100)]
    new = [Grade(example_id=str(i), score=0.0, parts=(0, 1, 0)) for i in range(60)]
    new += [Grade(example_id=str(i), score=0.5, parts=(2, 3, 5)) for i in range(60, 100)]
    one, two = (marked_rows([row(g)], "entity_f1") for g in (old, new))
    assert np.mean(two.scores) < np.mean(one.scores), "the mean of the items says the opposite"
    change = paired_difference(one, two)
    assert change.value == pytest.approx(2 * 80 / (60 + 120 + 200) - 0)
    assert change.low > 0
    assert paired_permutation(one, two) <= 0.001
    assert drop_p(one, two) > 0.999
    assert drop_p(two, one) <= 0.001


@pytest.mark.parametrize("scorer", RULES)
def test_swapping_few_items_counts_every_pattern(scorer):
    rng = np.random.default_rng(2)
    one, two = grades(scorer, rng, 6, 0.3), grades(scorer, rng, 6, 0.9)
    combine = open_scorer(scorer).combine
    observed = combine(two) - combine(one)
    gaps = []
    for swap in itertools.product((False, True), repeat=6):
        first = [b if s else a for a, b, s in zip(one, two, swap, strict=True)]
        second = [a if s else b for a, b, s in zip(one, two, swap, strict=True)]
        gaps.append(combine(second) - combine(first))
    expected = np.mean(np.abs(gaps) >= abs(observed) - 1e-9)
    sides = [marked_rows([row(g)], scorer) for g in (one, two)]
    assert paired_permutation(*sides) == pytest.approx(expected)
    assert drop_p(*sides) == pytest.approx(np.mean(np.array(gaps) <= observed + 1e-9))


def test_whole_clusters_are_swapped():
    rng = np.random.default_rng(3)
    one, two = (marked_rows([row(grades("entity_f1", rng, 40, s))], "entity_f1") for s in (0.2, 0.9))
    groups = [i // 10 for i in range(40)]
    assert paired_permutation(one, two, groups=groups) == pytest.approx(2**-3)
    assert paired_permutation(one, two) < 0.01


@pytest.mark.parametrize("scorer", ["entity_f1", "macro_f1", "bleu", "chrf"])
def test_the_interval_of_a_rule_is_that_of_a_bootstrap(scorer):
    rng = np.random.default_rng(4)
    given = grades(scorer, rng, 200)
    side = marked_rows([row(given)], scorer)
    value, low, high = score_interval(side)
    assert value == pytest.approx(open_scorer(scorer).combine(given))
    weights = rng.multinomial(200, np.full(200, 1 / 200), size=2000).astype(float)
    drawn = side.drawn(weights)
    ends = np.percentile(drawn, [2.5, 97.5])
    assert high - low == pytest.approx(ends[1] - ends[0], rel=0.15)
    assert low == pytest.approx(ends[0], abs=0.25 * (high - low))


def test_corpus_bleu_of_drawn_items_is_sacrebleu_s():
    sacrebleu = pytest.importorskip("sacrebleu")
    from clbench.core.types import Answer, Example, Message

    said = ["the cat sat on the mat today", "a dog ran in the big park", "birds fly over the old town", "no"]
    gold = ["the cat sat on a mat today", "the dog ran in a big park", "birds flew over the town", "yes it is so"]
    scorer = open_scorer("bleu").build({})
    marks = [
        scorer(
            Example(id=str(i), prompt=(Message(role="user", content="?"),), targets=(g,)),
            Answer(example_id=str(i), text=s),
        )
        for i, (s, g) in enumerate(zip(said, gold, strict=True))
    ]
    side, rng = marked_rows([row(marks)], "bleu"), np.random.default_rng(5)
    for weights in rng.multinomial(4, np.full(4, 1 / 4), size=10):
        order = np.repeat(np.arange(4), weights)
        expected = sacrebleu.corpus_bleu([said[i] for i in order], [[gold[i] for i in order]]).score / 100
        assert side.drawn(weights[None].astype(float))[0] == pytest.approx(expected)


def test_ungraded_items_and_rows_without_parts_do_not_break():
    rng = np.random.default_rng(6)
    given = grades("entity_f1", rng)
    lost = [Grade(example_id="0", score=None), *given[1:]]
    one, two = (marked_rows([row(g)], "entity_f1") for g in (lost, given))
    assert one.value == pytest.approx(open_scorer("entity_f1").combine(given[1:]))
    assert paired_difference(one, two) == pytest.approx((0.0, *paired_difference(one, two)[1:3], NUM - 1))
    assert paired_permutation(one, two) == 1.0
    assert drop_p(one, two) == 1.0
    bare = marked_rows([GradedItems(questions="", answers_key="", grades_key="", scores="0110-")], "entity_f1")
    assert bare.value == 0.5
    nothing = graded_items([np.nan, np.nan])
    assert np.isnan(nothing.value)
    assert all(np.isnan(v) for v in score_interval(nothing))
    assert rule_of("a scorer from elsewhere") is rule_of("exact")


def test_several_rows_are_averaged():
    rng = np.random.default_rng(7)
    rows = [row(grades("macro_f1", rng, 40, s)) for s in (0.3, 0.6, 0.9)]
    sides = [marked_rows([r], "macro_f1") for r in rows]
    whole = marked_rows(rows, "macro_f1")
    assert whole.value == pytest.approx(np.mean([s.value for s in sides]))
    np.testing.assert_allclose(whole.units(), np.mean([s.units() for s in sides], axis=0))
    assert 0 < paired_permutation(whole, sides[1]) <= 1


def test_pseudo_values_of_a_mean_are_the_scores():
    scores = np.random.default_rng(8).random(30)
    as_rule = graded_items(scores, rule=lambda s, p, w: w @ s / w.sum(axis=1))
    np.testing.assert_allclose(as_rule.units(), scores)
