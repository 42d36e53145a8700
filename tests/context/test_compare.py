"""`clbench context compare`: exact tests, blocks of contexts, guards, ranks and power."""

import itertools
import json

import numpy as np
import pytest

from clbench.cli.main import main
from clbench.context.compare import compare
from clbench.context.grades import load_grades
from clbench.core.errors import SpecError
from tests.builders.context_rows import answers, data_set, graded_row, task_row, write


def side(tmp_path, name, rows):
    return load_grades([write(tmp_path / f"{name}.jsonl", rows)])


def flipped(gained, lost, same):
    """Rows of two systems: so many tasks gained, lost, and solved by both; each task a context of its own."""
    rows = [task_row(f"t{n}", f"c{n}") for n in range(gained + lost + same)]
    one = ["nnn"] * gained + ["yyy"] * (lost + same)
    two = ["yyy"] * gained + ["nnn"] * lost + ["yyy"] * same
    return [[graded_row(r, s) for r, s in zip(rows, each, strict=True)] for each in (one, two)]


@pytest.mark.parametrize(("gained", "lost", "p"), [(15, 8, 0.2100), (15, 9, 0.3075), (5, 20, 0.0041)])
def test_one_trial_is_mcnemars_exact_test(tmp_path, gained, lost, p):
    one, two = (side(tmp_path, f"s{n}", rows) for n, rows in enumerate(flipped(gained, lost, 30)))
    (pair,) = compare([one, two]).pairs
    assert (pair.test, round(pair.p, 4), pair.gained, pair.lost) == ("McNemar, exact", p, gained, lost)
    assert pair.change.value == pytest.approx((gained - lost) / (gained + lost + 30))
    assert pair.change.low < pair.change.value < pair.change.high


def test_trials_flip_signs_of_whole_contexts(tmp_path):
    """p is the share of the 2^6 patterns of contexts whose sum is as far from 0, counted here one by one."""
    rows = data_set(contexts=6, each=2)
    sides = []
    for name, rate in (("a", 0.75), ("b", 0.9)):
        paths = [write(tmp_path / f"{name}{n}.jsonl", answers(rows, rate, seed=n + ord(name))) for n in range(2)]
        sides.append(load_grades(paths, name=name))
    (pair,) = compare(sides).pairs
    sums = (sides[1].passed().mean(axis=1) - sides[0].passed().mean(axis=1)).reshape(6, 2).sum(axis=1)
    far = [abs(np.dot(s, sums)) >= abs(sums.sum()) - 1e-12 for s in itertools.product((1, -1), repeat=6)]
    assert pair.test == "signs of contexts flipped"
    assert pair.p == pytest.approx(np.mean(far))
    assert pair.p == pair.p_contexts


def test_holm_and_ranks_over_a_table(tmp_path):
    rows = data_set(contexts=40, each=3, rubrics=1)
    sides = [side(tmp_path, f"m{n}", answers(rows, r, seed=n)) for n, r in enumerate((0.9, 0.88, 0.4, 0.1))]
    found = compare(sides)
    assert len(found.pairs) == 6
    assert all(pair.adjusted >= pair.p for pair in found.pairs)
    ranks = {s.name: s.ranks for s in found.systems}
    assert ranks == {"m0": (1, 2), "m1": (1, 2), "m2": (3, 3), "m3": (4, 4)}
    against = compare(sides, against="m2")
    assert [(p.one, p.two) for p in against.pairs] == [("m2", "m0"), ("m2", "m1"), ("m2", "m3")]
    with pytest.raises(SpecError, match="no side 'x'"):
        compare(sides, against="x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r[1:], "1 tasks of the first are not in the second"),
        (lambda r: [{**r[0], "rubrics": ["a", "b", "c"]}, *r[1:]], "the rubrics of 1 tasks differ"),
        (
            lambda r: [{**r[0], "messages": [{"role": "user", "content": "x"}]}, *r[1:]],
            "the messages of 1 tasks differ",
        ),
        (lambda r: [{**x, "judge": "other"} for x in r], "judged by a judge that is not recorded and by other"),
    ],
)
def test_unlike_sides_are_refused_and_told_apart(tmp_path, change, said):
    rows = data_set(contexts=4)
    one = side(tmp_path, "one", answers(rows, 0.8))
    two = side(tmp_path, "two", change(answers(rows, 0.8, seed=1)))
    with pytest.raises(SpecError, match=said):
        compare([one, two])
    found = compare([one, two], force=True)
    assert said.split(",")[0] in found.forced[0]
    assert found.tasks in (11, 12)


def test_slim_rows_of_other_data_sets_are_refused(tmp_path):
    rows = data_set(contexts=4)
    one, two = (side(tmp_path, name, answers(rows, 0.8, dataset=name * 64)) for name in "ab")
    with pytest.raises(SpecError, match="other data sets, aaaaaaaaaaaa and bbbbbbbbbbbb"):
        compare([one, two])


def test_power_shrinks_with_tasks_and_trials(tmp_path):
    rows = data_set(contexts=30, each=3)
    sides = [
        load_grades([write(tmp_path / f"{name}{n}.jsonl", answers(rows, rate, seed=n + ord(name))) for n in range(3)])
        for name, rate in (("a", 0.75), ("b", 0.8))
    ]
    (pair,) = compare(sides).pairs
    power = {(p.tasks, p.trials): p.difference for p in pair.powers}
    assert power[200, 1] > power[200, 3] > power[200, 5]
    assert power[90, 3] > power[200, 3] > power[1899, 3]
    single = compare([side(tmp_path, f"s{n}", rows) for n, rows in enumerate(flipped(11, 13, 176))]).pairs[0]
    assert {p.trials for p in single.powers} == {1}
    assert {p.tasks: round(p.difference, 3) for p in single.powers}[200] == 0.068


def test_the_command(tmp_path, capsys):
    rows = data_set(contexts=12)
    data = str(write(tmp_path / "data.jsonl", rows))
    a, b = (
        str(write(tmp_path / f"{n}_graded.jsonl", answers(rows, r, seed=ord(n)))) for n, r in (("a", 0.7), ("b", 0.9))
    )
    assert main(["context", "compare", a, b, "--power"]) == 0
    text = capsys.readouterr().out
    assert "b against a" in text
    assert "smallest difference" in text
    assert main(["context", "compare", a, b, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"][0]["test"] == "McNemar, exact"
    assert main(["context", "compare", a]) == 2
    short = str(write(tmp_path / "short.jsonl", answers(rows, 0.7)[3:]))
    assert main(["context", "compare", a, short]) == 2
    said = capsys.readouterr().err
    assert "3 tasks of the first" in said
    assert "--dataset" in said
    assert main(["context", "compare", a, short, "--dataset", data]) == 0
    assert main(["context", "compare", a, short, "--force", "--format", "markdown"]) == 0
    assert "forced although" in capsys.readouterr().out


def test_a_system_beside_itself(tmp_path, capsys):
    path = str(write(tmp_path / "a.jsonl", answers(data_set(), 0.8)))
    assert main(["context", "compare", path, path]) == 0
    text = capsys.readouterr().out
    assert "/a (2) against" in text
    assert "1.0000" in text
