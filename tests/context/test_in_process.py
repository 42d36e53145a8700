"""A model in this process answers, judges and classifies where an address would: what the engine asks of it."""

from clbench.context.errors import ErrorPlan, run_errors
from clbench.context.evaluate import EvalPlan, run_eval
from clbench.context.grades import load_grades
from clbench.context.infer import InferPlan, run_infer
from clbench.context.rows import read_index
from clbench.core.chat import Reply, Usage
from clbench.models.api.client import Address
from clbench.models.api.errors import ApiError, Failure
from clbench.models.api.limits import limits_of
from clbench.scoring.rubric.judge import JudgeSettings
from clbench.testing.stub.script import by_rule
from tests.builders.asked import read, task, write


class InProcess:
    """Answers by the stub's rules, without a server; what is longer than 2,000 characters does not fit."""

    def __init__(self):
        self.address = Address("local:0")
        self.bodies = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def chat(self, body):
        self.bodies.append(body)
        if "response_format" in body:
            raise AssertionError("it holds replies to no form")
        if len(str(body["messages"])) > 2000 and "BEGIN" not in str(body["messages"]):
            raise ApiError(Failure("overflow", "too long"), 1)
        return Reply(by_rule(body).content, finish_reason="stop", model="m", usage=Usage(7, 0, 3))


def quiet(_):
    pass


def test_it_stands_in_for_an_address_in_every_verb(tmp_path):
    rows = [task("a", 0, size=2, rubrics=('It says "x".', "Polite.")), task("b", 0, size=500, rubrics=("Polite.",))]
    data = read_index(write(tmp_path / "d.jsonl", rows))
    here = InProcess()
    plan = InferPlan(data, list(data.entries), tmp_path / "o.jsonl", "m", here=here, manifest=tmp_path / "n" / "m.json")
    run_infer(plan, here.address, limits_of(2), quiet)
    assert [row["state"] for row in read(tmp_path / "o.jsonl")] == ["ok", "overflow"]
    assert read(tmp_path / "n" / "m.json")[0]["params"]["base_url"] == "local:0"
    assert not (tmp_path / "o.manifest.json").exists()

    settings = JudgeSettings("m", structured=False)
    grading = EvalPlan(
        read_index(tmp_path / "o.jsonl"), data, tmp_path / "o_graded.jsonl", settings, "local", here=here
    )
    run_eval(grading, here.address, limits_of(2), quiet)
    graded = read(tmp_path / "o_graded.jsonl")
    assert [(row["state"], row["requirement_status"]) for row in graded] == [("ok", ["no", "yes"]), ("overflow", [])]
    assert graded[0]["judge"]["name"] == "local"
    assert graded[0]["judge_usage"] == Usage(7, 0, 3).plain()

    num = len(here.bodies)
    errors = ErrorPlan(load_grades([tmp_path / "o_graded.jsonl"]), None, tmp_path / "e.jsonl", "m", here=here)
    run_errors(errors, here.address, limits_of(2), quiet)
    assert [row["classes"] for row in read(tmp_path / "e.jsonl")] == [["context_ignored"], ["overflow"]]
    assert len(here.bodies) == num + 1
    run_errors(errors, here.address, limits_of(2), quiet)
    assert len(here.bodies) == num + 1
