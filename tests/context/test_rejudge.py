"""`verify --rejudge`: planted inflations against an honest judge with noise, and what a sample cannot tell."""

import json
import random
import re

import pytest

from clbench.cli.main import main
from clbench.context.rejudge import compared, draw_sample
from clbench.core.errors import DataError, SpecError
from clbench.testing.stub import Script, Stub, running
from clbench.testing.stub.script import BLOCK, Behaviour, in_our_form
from tests.builders.context_rows import data_set, graded_row, write

DATA = data_set(contexts=50, each=4, rubrics=1)
JUDGE = "stub-judge"
NOISE = 0.1


def passes(task):
    return random.Random(f"truth {task}").random() < 0.3


def judged(task, seed):
    """Return a verdict of the noisy judge."""
    return passes(task) != (random.Random(f"{seed} {task}").random() < NOISE)


def submission(raised=0.0, seed=0):
    rows = []
    for row in DATA:
        task = row["metadata"]["task_id"]
        met = judged(task, "first") or random.Random(f"raised {seed} {task}").random() < raised
        rows.append(graded_row(row, "y" if met else "n", answer=f"An answer of its own to {task}."))
    return rows


def noisy(request):
    text = str(request["messages"][-1]["content"])
    response = json.loads(BLOCK.search(text)[2])["response"]
    task = re.search(r"to (t\d+-\d+)", response)[1]
    return Behaviour(in_our_form(text, [judged(task, "second")]))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "data.jsonl", DATA)


def told(capsys, *more):
    code = main(["context", "verify", "claim.jsonl", "--dataset", "data.jsonl", "--json", *map(str, more)])
    return code, json.loads(capsys.readouterr().out)


def test_a_forged_fifth_is_found_and_an_honest_claim_is_not(files, tmp_path, capsys):
    with running(Stub(script=Script(otherwise=noisy))) as stub:
        # All rows: a sample is drawn so that nobody can foresee it, and a test must not hang on luck.
        asked = ("--rejudge", len(DATA), "--judge-model", JUDGE, "--base-url", stub.url, "--workers", 20)
        write(tmp_path / "claim.jsonl", submission())
        code, found = told(capsys, *asked, "--rejudged", "honest.jsonl")
        assert (code, found["rejudged"]["verdict"]) == (0, "not contradicted")
        write(tmp_path / "claim.jsonl", submission(raised=0.2))
        code, found = told(capsys, *asked, "--rejudged", "forged.jsonl")
        assert (code, found["rejudged"]["verdict"]) == (2, "overstated")
        assert found["rejudged"]["found"]["p"] < 0.01
        before = stub.num_requests
        assert told(capsys, *asked, "--rejudged", "forged.jsonl")[0] == 2  # the same sample, and nothing is paid again
        assert stub.num_requests == before
        with pytest.raises(SpecError, match="not the 20"):
            draw_sample([tmp_path / "claim.jsonl"], files, 20, tmp_path / "forged.sample.jsonl")


def test_rubrics_are_those_of_the_data_set_and_another_judge_accuses_nobody(files, tmp_path):
    forged = [{**row, "rubrics": ["Anything."], "judge": {"name": "kind"}} for row in submission()]
    write(tmp_path / "claim.jsonl", forged)
    num = draw_sample([tmp_path / "claim.jsonl"], files, 10_000, tmp_path / "s.jsonl", seed=1)
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert num == len(rows) == len(DATA)
    assert {row["rubrics"][0] for row in rows} == {row["rubrics"][0] for row in DATA}
    graded = [{**row, "score": 0, "state": "ok"} for row in rows]
    found = compared(write(tmp_path / "g.jsonl", graded), {"name": "strict"})
    assert (found.verdict, found.other) == ("cannot tell", True)
    assert found.found.p < 1e-6
    nothing = [{**row, "score": 0, "state": "judge_error"} for row in rows]
    assert compared(write(tmp_path / "n.jsonl", nothing), {"name": "kind"}).verdict == "cannot tell"


def test_nothing_to_judge_is_an_error(files, tmp_path):
    write(tmp_path / "claim.jsonl", ["{}"])
    with pytest.raises(DataError, match="no row of it can be judged"):
        draw_sample([tmp_path / "claim.jsonl"], files, 5, tmp_path / "s.jsonl")
