"""Exams that are graded by rubrics: exact checks, a judge behind the stub, what it costs, and what has no verdict."""

import json

import pytest

from clbench.core.chat import Reply
from clbench.core.errors import ModelError, SpecError
from clbench.core.spec import Machine
from clbench.engine.recipe.recipe import Recipe, load_recipe
from clbench.engine.run import run
from clbench.store.store import Store
from clbench.testing.stub import Behaviour, Script, Stub, running
from clbench.testing.stub.script import by_rule

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("judge")]
TASK = """\
name: codes
source: {path: codes}
prompt: [{role: user, content: "{question}"}]
target: "{answer}"
rubric: "{rubrics}"
id: id
decode: {max_tokens: 16}
"""
STREAM = "name: taught\ntasks: [codes]\n"
RECIPE = """\
name: judged
model: {provider: stub, name: stub-model}
stream: taught.yaml
learner: %s
judge: {model: {provider: stub, name: stub-judge}, mode: per-rubric}
"""
NAMES = ("zora", "bram", "milo", "tess", "nuri", "odin")


def row(split, name, place):
    code = str(4000 + 7 * place)
    rubrics = [
        {"rubric_criteria": f'It says "{code}".', "exact": [code]},
        {"rubric_criteria": f'It names "{name}".', "exact": [code, name]},
    ]
    question = f"What is the code of {name}?"
    return {"id": f"{split}-{name}", "question": f"{question} ({split})", "answer": code, "rubrics": rubrics}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUB_API_KEY", "secret")
    (tmp_path / "codes").mkdir()
    for split in ("train", "test"):
        rows = [json.dumps(row(split, name, place)) + "\n" for place, name in enumerate(NAMES)]
        (tmp_path / "codes" / f"{split}.jsonl").write_text("".join(rows))
    for name, text in (("codes", TASK.replace("id: id", "id: id\nsplits: {dev: null}")), ("taught", STREAM)):
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "judged.yaml").write_text(RECIPE % "in_context")
    return tmp_path


def answering(request):
    """Answer from the page at the head of the question; judge by rule."""
    text = str(request["messages"][-1]["content"])
    if "BEGIN " in text:
        return by_rule(request)
    asked = text.rpartition("What is the code of ")[2].partition("?")[0]
    known = [line for line in text.splitlines() if line.isdecimal()]
    before = [line for line in text.splitlines() if "What is the code of" in line]
    codes = dict(zip([b.partition("code of ")[2].partition("?")[0] for b in before], known, strict=False))
    code = codes.get(asked, "unknown")
    return Behaviour(f"{asked}: {code}")


@pytest.fixture
def stub():
    with running(Stub(script=Script(otherwise=answering))) as found:
        yield found


def machine(folder, stub=None):
    return Machine(
        store=folder / "store", data=folder, device="cpu", providers={} if stub is None else {"stub": stub.url}
    )


def made(folder, stub=None, *sets):
    how = machine(folder, stub)
    (record,) = run(load_recipe("judged.yaml", list(sets)), Store(how.store), how).records
    return record, json.loads((next((how.store / "runs").glob("*")) / "provenance.json").read_text())


def test_both_ways_end_in_one_matrix_that_names_its_judge(folder, stub):
    record, origin = made(folder, stub)
    assert record.matrix.values[:, 0].tolist() == [0.0, 1.0]  # nothing is known before the lesson, all of it after
    (scores,) = record.item_scores.exams
    assert scores.scorer.settings["judge"]["model"] == {
        **scores.scorer.settings["judge"]["model"],
        "name": "stub-judge",
    }
    assert origin["judge"]["served"] == ["stub-judge-stub"]
    assert origin["judge"]["states"] == {"ok": 12}
    assert origin["judge"]["requests"] == 24
    spent = [r for r in stub.requests if r["model"] == "stub-judge"]
    assert len(spent) == 24
    assert record.costs.judge_tokens[0] == origin["judge"]["tokens"]["prompt"] > 0
    assert "secret" not in json.dumps(origin)
    assert stub.url not in json.dumps(origin)
    before = stub.num_requests
    assert made(folder, stub)[0].matrix.values.tolist() == record.matrix.values.tolist()
    assert stub.num_requests == before


def test_a_judge_that_fails_ends_the_run_and_nothing_is_paid_twice(folder, stub):
    stub.script.rules['names \\"odin\\"'] = [Behaviour("no", status=400, code="content_filter")]
    stub.script.rules['names \\"tess\\"'] = [
        Behaviour("down", status=401, code="key"),
        Behaviour(verdicts=("yes",)),
    ]
    with pytest.raises(ModelError) as error:
        made(folder, stub)
    assert "no verdict" in str(error.value)
    paid = len([r for r in stub.requests if r["model"] == "stub-judge"])
    answers = len(stub.requests) - paid
    record, origin = made(folder, stub)
    later = [r for r in stub.requests if r["model"] == "stub-judge"][paid:]
    assert len(stub.requests) - len(later) - paid == answers
    others = [r for r in later if "odin" not in str(r) and "tess" not in str(r)]
    assert len(others) == 2 * 4  # of row 1 alone: what has its verdict is not asked again
    assert record.matrix.ungraded[:, 0].tolist() == [1, 1]
    assert origin["judge"]["states"] == {"judge_error": 2, "ok": 10}
    assert record.matrix.values[1, 0] == 1.0


def test_answers_that_are_there_are_not_paid_again(folder, stub):
    stub.script.rules["zora? (test)"] = [Behaviour("down", status=401, code="key"), Behaviour("zora: 4000")]
    with pytest.raises(ModelError, match="the provider refuses"):
        made(folder, stub, "judge=exact")
    made(folder, stub, "judge=exact")
    assert len(stub.requests) == 6 + 1 + 6  # row 0, what it lacked, and row 1


def test_exact_checks_ask_nobody(folder, stub):
    record, origin = made(folder, stub, "judge=exact")
    assert all(r["model"] == "stub-model" for r in stub.requests)
    assert record.item_scores.exams[0].scorer.settings["judge"] == {"by": "exact"}
    assert "judge" not in origin
    assert record.matrix.values[:, 0].tolist() == [0.0, 0.0]  # "zora: 4000" is not "4000"


class Here:
    """Stands for a model in this process: it judges by rule, and what it is asked is kept."""

    def __init__(self):
        self.bodies = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    async def chat(self, body):
        self.bodies.append(body)
        return Reply(by_rule(body).content, finish_reason="stop", model="here")


def test_a_judge_in_this_process_is_asked_without_a_form(folder, stub, monkeypatch):
    here = Here()
    monkeypatch.setattr("clbench.models.here.open_here", lambda spec, machine: here)
    record, origin = made(folder, stub, "judge={model: tiny-llama, votes: 3}", "budget.items=2")
    assert origin["judge"]["served"] == ["here"]
    assert origin["judge"]["requests"] == len(here.bodies) == 2 * 2 * 3
    assert not any("response_format" in body for body in here.bodies)
    assert record.matrix.values[:, 0].tolist() == [0.0, 1.0]
    assert len(record.item_scores.exams[0].scorer.settings["judge"]["weights"]) == 64


@pytest.mark.parametrize(("change", "said"), [
    ("judge=null", "no judge is named"),
    ("learner=sft", "trains weights"),
    ("learner={name: retrieval, by: embedding}", "behind an API"),
    ("judge.model.provider=nowhere", "--provider nowhere=https"),
    ("judge.wording='0'", "no wording '0'"),
    ("judge.mode=some", "judge.mode"),
    ("judge.sees=[task]", "sees lists the response"),
    ("model.dtype=bfloat16", "is behind an API"),
    ("exam_server=vllm-1", "behind an API"),
])  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_asked(folder, stub, change, said):
    with pytest.raises(SpecError) as error:
        made(folder, stub, change)
    assert said in str(error.value)
    assert stub.num_requests == 0


def test_a_judge_that_grades_nothing_is_refused():
    how = Machine(device="cpu")
    recipe = Recipe(name="x", stream="worlds-tune", learner="frozen", judge="exact")
    with pytest.raises(SpecError) as error:
        run(recipe, Store(how.store), how)
    assert "no exam of this run is graded by rubrics" in str(error.value)


@pytest.mark.parametrize(("rubrics", "said"), [
    ([], "holds no rubric"),
    ("one", "not a list of rubrics"),
    ([{"exact": ["a"]}], "not a list of rubrics"),
    ([{"rubric_criteria": "a", "exact": []}], "`exact` is not a list of texts"),
])  # fmt: skip
def test_rows_without_rubrics_are_named(folder, rubrics, said):
    bad = {**row("test", "zora", 0), "rubrics": rubrics}
    (folder / "codes" / "test.jsonl").write_text(json.dumps(bad) + "\n")
    with pytest.raises(Exception, match=r"test\.jsonl:1") as error:
        made(folder, None, "judge=exact", "model=tiny-llama")
    assert said in str(error.value)


def test_the_judge_is_part_of_the_key(folder):
    keys = {
        load_recipe("judged.yaml", sets).specs()[0].key
        for sets in (
            [],
            ["judge=exact"],
            ["judge.model.name=other"],
            ["judge.votes=3"],
            ["judge.model.provider=openai"],
        )
    }
    assert len(keys) == 5
