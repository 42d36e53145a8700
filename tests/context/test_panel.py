"""Several judges: the rules against tables and simulated judges, and a panel over a stub server."""

import itertools
import json

import numpy as np
import pytest

from clbench.stats.panel import dawid_skene, majority, unanimous
from clbench.testing.stub import Script, Stub, running
from clbench.testing.stub.script import BLOCK, Behaviour, by_rule, in_our_form
from tests.builders.asked import answered, clbench, read, write


@pytest.mark.parametrize("rule", [majority, unanimous])
def test_a_verdict_is_given_only_if_silent_judges_cannot_change_it(rule):
    wanted = {majority: lambda v: sum(v) * 2 > len(v), unanimous: all}[rule]
    for num in (1, 2, 3, 4):
        for given in itertools.product((True, False, None), repeat=num):
            free = given.count(None)
            ends = set()
            for filled in itertools.product((True, False), repeat=free):
                rest = iter(filled)
                ends.add(wanted([next(rest) if v is None else v for v in given]))
            assert rule(given) == (ends.pop() if len(ends) == 1 else None), given


def test_dawid_and_skene_find_the_judges_that_made_the_verdicts():
    rng = np.random.default_rng(0)
    true = rng.random(4000) < 0.3
    quality = [(0.95, 0.9), (0.8, 0.95), (0.6, 0.7), (0.9, 0.85)]
    verdicts = np.array([np.where(true, rng.random(4000) < a, rng.random(4000) > b) for a, b in quality]).T.astype(
        float
    )
    verdicts[rng.random(verdicts.shape) < 0.1] = np.nan
    found = dawid_skene(verdicts)
    assert found.sensitivity == pytest.approx([a for a, _ in quality], abs=0.04)
    assert found.specificity == pytest.approx([b for _, b in quality], abs=0.04)
    assert found.rate == pytest.approx(0.3, abs=0.03)
    weighed = ((found.met > 0.5) == true).mean()
    counted = ((np.nanmean(verdicts, axis=1) > 0.5) == true).mean()
    assert weighed > counted + 0.01, "it beats counting"


def test_dawid_and_skene_on_few_verdicts():
    none = dawid_skene(np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [np.nan] * 3]))
    assert (none.met[:2] > 0.5).tolist() == [True, False]
    assert np.isnan(none.met[2])
    assert len(dawid_skene(np.zeros((0, 2))).met) == 0


RUBRICS = ("alpha", "beta", "gamma")


def judge(request):
    """Judge a is right, b is right, c says yes to everything, and d answers nothing that can be read."""
    text = request["messages"][-1]["content"]
    if not BLOCK.search(text):
        return by_rule(request)
    if request["model"] == "d":
        return Behaviour("no verdict")
    given = json.loads(BLOCK.search(text)[2])
    met = [request["model"] == "c" or r["text"] in given["response"] for r in given["requirements"]]
    return Behaviour(in_our_form(text, met))


@pytest.fixture
def four(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        answered(f"t{n}", text, rubrics=RUBRICS) for n, text in enumerate(("alpha beta gamma", "alpha beta", "x", ""))
    ]
    return write(tmp_path / "m.jsonl", rows)


@pytest.fixture(autouse=True)
def _served(monkeypatch):
    with running(Stub(Script(otherwise=judge))) as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
        yield


def grade(four, capsys, judges, *more):
    models = [part for name in judges for part in ("--judge-model", name)]
    given = ("--input", four, "--retry-delay", 0, "--max-fail-rate", 1)
    code, lines, err = clbench(capsys, "eval", *given, *models, *more)
    return code, lines, err, read(four.parent / "outputs" / "m_graded.jsonl") if code == 0 else []


def test_the_majority_of_three(four, capsys):
    code, lines, _, rows = grade(four, capsys, "abc")
    assert code == 0
    assert [row["score"] for row in rows] == [1, 0, 0, 0]
    assert rows[1]["requirement_status"] == ["yes", "yes", "no"]
    assert rows[1]["judges"]["c"] == ["yes"] * 3
    assert rows[1]["judge"]["name"] == "panel"
    assert [j["model"] for j in rows[1]["judge"]["judges"]] == ["a", "b", "c"]
    assert rows[3]["state"] == "empty"
    assert "👥 majority of 3 judges: a 0.2500, b 0.2500, c 0.7500" in lines
    each = [read(four.parent / "outputs" / f"m_graded.by-{name}.jsonl") for name in "abc"]
    assert [[row["score"] for row in rows] for rows in each] == [[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]]
    code, lines, _, again = grade(four, capsys, "abc")
    assert again == rows
    assert "📌 Found 4 completed, resuming remaining" in lines
    assert clbench(capsys, "stats", four.parent / "outputs" / "m_graded.jsonl")[0] == 0


def test_a_judge_that_says_nothing_leaves_open_only_what_it_could_change(four, capsys):
    *_, rows = grade(four, capsys, "abd")
    assert [row["state"] for row in rows] == ["ok", "ok", "ok", "empty"], "two of three agree on all"
    *_, rows = grade(four, capsys, "ad")
    assert [row["state"] for row in rows] == ["judge_error", "judge_error", "ok", "empty"]


def test_unanimous_and_weighed(four, capsys):
    *_, rows = grade(four, capsys, "bcd", "--aggregate", "unanimous")
    assert [row["state"] for row in rows] == ["judge_error", "judge_error", "ok", "empty"]
    *_, rows = grade(four, capsys, "abc", "--aggregate", "dawid-skene")
    assert [row["score"] for row in rows] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("judges", "more", "said"),
    [
        ("aa", (), "a judge is named twice"),
        (("o/a", "o:a"), (), "a judge is named twice"),
        ("ab", ("--compat", "upstream"), "several judges grade in the form of this tool alone"),
        ("ab", ("--manifest", "m.json"), "several judges have several manifests"),
        ("ab", ("--judge", "exact"), "several judges grade in the form of this tool alone"),
    ],
)
def test_where_one_judge_is_meant_several_are_refused(four, capsys, judges, more, said):
    code, _, err, _ = grade(four, capsys, judges, *more)
    assert code == 2
    assert said in err


def test_one_budget_covers_all_judges(four, capsys):
    code, _, err, _ = grade(four, capsys, "abc", "--budget-tokens", 4000)
    assert code == 2
    assert "budget" in err
    assert (four.parent / "outputs" / "m_graded.by-a.jsonl").exists()
    spent = 0
    for name in "abc":
        path = four.parent / "outputs" / f"m_graded.by-{name}.jsonl"
        if path.exists():
            spent += sum(row["judge_usage"]["prompt"] + row["judge_usage"]["completion"] for row in read(path))
    assert 0 < spent <= 4000
