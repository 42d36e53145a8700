import pytest

from clbench.core.errors import SpecError
from clbench.core.types import Answer, Example, Message
from clbench.engine.mark import open_scorer
from clbench.scoring.rouge import Tokenizer


def grade(scorer, said, *targets, choices=(), **settings):
    example = Example(id="e", prompt=(Message(role="user", content="?"),), targets=targets, choices=choices)
    return open_scorer(scorer).build(settings)(example, Answer(example_id="e", text=said))


@pytest.mark.parametrize(
    ("said", "target", "score"),
    [
        ("Paris", "paris", 1),
        (" paris. ", "Paris", 1),
        ("Paris, France", "Paris", 0),
        ("红色。", "红色", 1),
        ("３", "3", 1),
    ],
)
def test_exact(said, target, score):
    assert grade("exact", said, target).score == score


def test_exact_settings():
    assert grade("exact", "Paris", "paris", case_sensitive=True).score == 0
    assert grade("exact", "!", "?").score == 0
    with pytest.raises(SpecError, match="case_senstive"):
        grade("exact", "x", "y", case_senstive=True)
    with pytest.raises(SpecError, match="give a bool"):
        grade("exact", "x", "y", case_sensitive="yes")


def test_label_notes_what_is_no_label():
    assert grade("label", "cat", "dog", choices=("dog", "cat")).note == ""
    assert grade("label", "cow", "dog", choices=("dog", "cat")).note == "no such label"


def lcs_f1(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    return 2 * common / (len(a) + len(b)) if common else 0.0


@pytest.mark.parametrize(
    ("said", "target"),
    [
        ("the cat sat on the mat", "a cat was on the mat"),
        ("今天天气很好", "今天的天气不好"),
        ("iPhone很好用", "iPhone 不好用"),
        ("nothing alike", "天气"),
        ("x", "x y z"),
    ],
)
def test_rouge_against_an_independent_subsequence(said, target):
    split = Tokenizer().tokenize
    assert grade("rouge", said, target).score == pytest.approx(lcs_f1(split(said), split(target)))


def test_rouge_takes_the_best_target():
    assert grade("rouge", "good food", "bad place", "good food").score == 1.0
