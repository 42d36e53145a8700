"""`clbench exam`, `baseline` and `gate` on exams graded by rubrics: who judges, what that costs, what differs."""

import json

import pytest

from clbench.cli.main import main
from clbench.testing.stub import Behaviour, Script, Stub, running
from clbench.testing.stub.script import by_rule

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("judge")]
CARD = """\
name: codes
source: {path: codes}
prompt: [{role: user, content: "{question}"}]
target: "{answer}"
rubric: "{rubrics}"
id: id
splits: {dev: null}
decode: {max_tokens: 8}
"""
JUDGE = "model: {provider: stub, name: %s}\n"
PRICES = '{"models": {"stub-judge": {"input": 10, "output": 100}, "other": {"input": 1, "output": 1}}}'


@pytest.fixture
def stub():
    with running(Stub(script=Script(otherwise=by_rule))) as found:
        yield found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLBENCH_LANG", "en")
    (tmp_path / "codes").mkdir()
    for split in ("train", "dev", "test"):
        rows = [
            {
                "id": f"{split}-{name}",
                "question": f"What is the code of {name}? ({split})",
                "answer": "4711",
                "rubrics": [{"rubric_criteria": 'It says "4711".', "exact": ["4711"]}],
            }
            for name in ("zora", "bram", "milo", "tess")
        ]
        (tmp_path / "codes" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "codes.yaml").write_text(CARD)
    (tmp_path / "prices.json").write_text(PRICES)
    for name in ("stub-judge", "other"):
        (tmp_path / f"{name}.yaml").write_text(JUDGE % name)
    return tmp_path


def called(folder, stub, verb, *more, judge="stub-judge.yaml"):
    given = [verb, "tiny-llama", "--data", folder, "--store", folder / "store", "--provider", f"stub={stub.url}"]
    named = [] if judge is None else ["--judge", judge]
    return main([*map(str, given), *named, *map(str, more)])


def test_an_exam_is_judged_once_and_says_what_that_took(folder, stub, capsys):
    assert called(folder, stub, "exam", "--exam", "codes.yaml", "--prices", "prices.json") == 0
    said = capsys.readouterr()
    asked = stub.num_requests
    assert asked >= 2
    assert f"codes: graded by stub-judge (stub), {asked} requests," in said.out
    assert " USD" in said.out
    assert "exam: spent on replies so far, in this store:" in said.err
    assert called(folder, stub, "exam", "--exam", "codes.yaml", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["judge"]["requests"] == asked
    assert row["judge"]["tokens"]["prompt"] == stub.usage["prompt"]
    assert row["scorer"]["settings"]["judge"]["model"]["name"] == "stub-judge"
    assert stub.num_requests == asked
    assert called(folder, stub, "exam", "--exam", "codes.yaml", judge="other.yaml") == 0
    assert stub.num_requests == 2 * asked, "another judge, other verdicts"


def test_a_budget_ends_an_exam_which_then_goes_on(folder, stub, capsys):
    stop = ("exam", "--exam", "codes.yaml", "--budget-tokens")
    assert called(folder, stub, *stop, 1500) == 2
    said = capsys.readouterr().err
    assert "allows no further request" in said
    assert "--budget-tokens and run the same command again" in said
    paid = stub.num_requests
    assert called(folder, stub, *stop, 100_000) == 0
    assert stub.num_requests > paid == 1


def test_who_judges_is_named_or_the_exam_is_refused(folder, stub, capsys):
    assert called(folder, stub, "exam", "--exam", "codes.yaml", judge=None) == 2
    assert "no judge is named" in capsys.readouterr().err
    assert called(folder, stub, "exam", "--exam", "codes.yaml", judge="exact") == 0
    assert "codes: graded by exact" in capsys.readouterr().out
    for text, what in (("[1]", "--judge"), ("modle: x\n", "no such setting"), ("judge: {model: 3}\n", "judge.model")):
        (folder / "bad.yaml").write_text(text)
        assert called(folder, stub, "exam", "--exam", "codes.yaml", judge="bad.yaml") == 2
        assert what in capsys.readouterr().err
    assert called(folder, stub, "exam", "--exam", "codes.yaml", judge="nowhere.yaml") == 2
    assert "nowhere.yaml" in capsys.readouterr().err
    assert stub.num_requests == 0


def test_a_gate_takes_the_judge_of_its_baseline_and_refuses_another(folder, stub, capsys):
    assert called(folder, stub, "baseline", "--exam", "codes.yaml") == 0
    asked = stub.num_requests
    base = ("--baseline", "baseline.json")
    assert called(folder, stub, "gate", *base, judge=None) == 0
    assert stub.num_requests == asked, "the same answers have their verdicts"
    capsys.readouterr()
    assert called(folder, stub, "gate", *base, judge="other.yaml") == 3
    assert "judge.model.name other, not stub-judge" in capsys.readouterr().err
    assert called(folder, stub, "gate", *base, judge="exact") == 3
    assert "judge.by exact, not model" in capsys.readouterr().err
    assert stub.num_requests == asked
    assert called(folder, stub, "gate", *base, "--repeat", "1", judge=None) == 0


def test_a_model_behind_an_api_sits_an_exam(folder, stub, capsys):
    stub.script.rules["code of zora"] = [Behaviour('It is "4711".')]
    given = ["exam", "asked-model", "--set", "provider=stub", "--exam", "codes.yaml", "--judge", "stub-judge.yaml"]
    where = ["--data", str(folder), "--store", str(folder / "store"), "--provider", f"stub={stub.url}"]
    assert main([*given, *where]) == 0
    assert "25.0" in capsys.readouterr().out
    assert {r["model"] for r in stub.requests} == {"asked-model", "stub-judge"}
