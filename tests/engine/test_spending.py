"""What replies of models behind APIs may cost: stops that resume, and accounts that agree with what was served."""

import json
from collections import Counter

import pytest

from clbench.cli.main import main
from clbench.core.errors import BudgetError, SpecError
from clbench.core.prices import Prices
from clbench.core.spec import Machine, Spending
from clbench.engine.plan_table import tabulate
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import attempt
from clbench.store.store import Store
from clbench.testing.stub import Behaviour, Script, Stub, running
from clbench.testing.stub.made_rows import answered_from_context

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("judge")]
NAMES = ("zora", "bram", "milo", "tess", "nuri", "odin")
PRICES = {"stub-model": Prices(10, 1, 100), "stub-judge": Prices(20, 2, 200)}
FILES = {
    "codes.yaml": """\
name: codes
source: {path: codes}
prompt: [{role: user, content: "{question}"}]
target: "{answer}"
rubric: "{rubrics}"
id: id
splits: {dev: null}
decode: {max_tokens: 16}
""",
    "taught.yaml": "name: taught\ntasks: [codes]\n",
    "paid.yaml": """\
name: paid
model: {provider: stub, name: stub-model}
stream: taught.yaml
learner: notebook
judge: {model: {provider: stub, name: stub-judge}}
""",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "codes").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for split in ("train", "test"):
        lines = []
        for place, name in enumerate(NAMES):
            asked = f"What is the code of {name}? ({split})"
            rubrics = [f'It says "{4000 + place}".', f'It names "{name}".']
            row = {"id": f"{split}-{name}", "question": asked, "answer": f"The code of {name} is {4000 + place}."}
            lines.append(json.dumps({**row, "rubrics": rubrics}) + "\n")
        (tmp_path / "codes" / f"{split}.jsonl").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def stub():
    with running(Stub(script=Script(otherwise=answered_from_context))) as found:
        yield found


def tried(folder, stub, session, **limits):
    spending = Spending(name="paid", session=session, prices=PRICES, **limits)
    how = Machine(
        store=folder / "store", data=folder, device="cpu", providers={"stub": stub.url}, spending=spending, exam_batch=4
    )
    return attempt(load_recipe("paid.yaml"), Store(how.store), how)


def served(stub):
    return Counter(json.dumps([r["model"], r["messages"]], sort_keys=True) for r in stub.requests)


def test_a_budget_stops_and_a_larger_one_goes_on_and_nothing_is_paid_twice(folder, stub):
    said = []
    for number, tokens in enumerate((0, 300, 1500, 3000, 4500, 100_000)):
        (one,) = tried(folder, stub, str(number), tokens=tokens)
        assert stub.usage["prompt"] + stub.usage["completion"] <= tokens
        if not isinstance(one, BudgetError):
            break
        said.append(str(one))
    assert tokens == 100_000
    assert len(said) == 5
    assert "spent so far: 0 prompt tokens" in said[0]
    assert "--budget-tokens and run the same command again" in said[0]
    of_answers = {text: num for text, num in served(stub).items() if "stub-model" in text}
    assert set(of_answers.values()) == {1}  # a judge's requests hold random marks: its number tells
    assert len(of_answers) == 6 + 6 + 2  # two rows, and a note for each four examples
    assert sum(served(stub).values()) - len(of_answers) <= 12
    before = stub.num_requests
    tried(folder, stub, "again", tokens=0)
    assert stub.num_requests == before  # what is there costs nothing


def test_costs_are_what_the_provider_served(folder, stub):
    (result,) = tried(folder, stub, "one")
    costs = json.loads((result / "costs.json").read_text())
    by_model = {name: [0, 0, 0] for name in PRICES}
    for line in (folder / "store" / "spent" / "paid.jsonl").read_text().splitlines():
        record = json.loads(line)
        for place, part in enumerate(("prompt", "cached", "completion")):
            by_model[record["model"]][place] += record["used"][part]
    assert costs["api_tokens"] == by_model["stub-model"]
    # An answer that stays the same from one row to the next is judged once, and counts in the costs of both rows.
    assert all(cost >= paid for cost, paid in zip(costs["judge_tokens"], by_model["stub-judge"], strict=True))
    both = [sum(pair) for pair in zip(*by_model.values(), strict=True)]
    assert both == [stub.usage[name] for name in ("prompt", "cached", "completion")]


def test_a_plan_says_before_what_comes(folder, stub):
    spending = Spending(name="paid", session="a", prices=PRICES)
    how = Machine(
        store=folder / "store", data=folder, device="cpu", providers={"stub": stub.url}, spending=spending, exam_batch=4
    )
    specs, store = load_recipe("paid.yaml").specs(), Store(how.store)
    before = tabulate(specs, store, how)
    assert stub.num_requests == 0
    answers, verdicts = before.asked
    assert (answers.model, answers.requests) == ("stub-model", 14)
    assert (verdicts.model, verdicts.requests) == ("stub-judge", 12)
    assert f"answers of stub-model: 14 requests, at most about {answers.prompt} prompt tokens" in before.as_text()
    (result,) = attempt(load_recipe("paid.yaml"), store, how)
    costs = json.loads((result / "costs.json").read_text())
    assert costs["api_tokens"][0] <= answers.prompt <= costs["api_tokens"][0] + 6 * 2 * 50  # notes are long
    assert costs["api_tokens"][2] <= answers.completion == 12 * 16 + 2 * 48
    assert costs["judge_tokens"][0] <= 2 * verdicts.prompt
    after = tabulate(specs, store, how)
    assert after.asked == ()
    assert " USD" in after.spent


def vars_of(prices):
    return {"input": prices.input, "cached": prices.cached, "output": prices.output}


def test_money_stops_too_and_says_it(folder, stub):
    (one,) = tried(folder, stub, "a", usd=0.02)
    assert isinstance(one, BudgetError)
    spent = stub.usage
    assert spent["prompt"] * 1e-6 * 20 + spent["completion"] * 200e-6 > 0
    assert "the budget of 0.02 USD allows no further request; spent so far:" in str(one)
    assert " USD" in str(one).partition("spent so far")[2]


def test_a_grid_that_money_stopped_is_not_complete_and_its_plan_knows_the_money(folder, stub, capsys):
    (folder / "prices.json").write_text(
        json.dumps({"dated": "2026-01-31", "models": {n: vars_of(p) for n, p in PRICES.items()}})
    )
    more = ["--store", "s", "--data", str(folder), "--provider", f"stub={stub.url}"]
    paid = [*more, "--workers", "1", "--prices", "prices.json", "--lang", "en"]
    assert main(["grid", "plan", "paid.yaml", *paid, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["asks_api"] and plan["money"] > 0.02 and stub.num_requests == 0
    assert main(["grid", "plan", "paid.yaml", *paid, "--budget-usd", "0.02"]) == 2
    said = capsys.readouterr()
    assert "--budget-usd: it costs up to about" in said.err and "money: at most about" in said.out
    served = 0
    for budget, code in (("0.02", 2), ("5", 0)):
        assert main(["grid", "run", "paid.yaml", *paid, "--budget-usd", budget]) == code
        assert stub.num_requests > served
        served = stub.num_requests
        capsys.readouterr()
        assert main(["grid", "status", "paid.yaml", *more, "--lang", "en"]) == 0
        assert ("complete" in capsys.readouterr().out) == (code == 0)


def test_a_model_without_a_price_is_refused_where_money_is_limited(folder, stub):
    spending = Spending(name="paid", usd=1, prices={"stub-model": Prices(1, 1, 1)})
    how = Machine(store=folder / "store", data=folder, providers={"stub": stub.url}, spending=spending)
    with pytest.raises(SpecError, match="no prices of 'stub-judge'"):
        attempt(load_recipe("paid.yaml"), Store(how.store), how)
    assert stub.num_requests == 0


def test_a_provider_that_says_no_tokens_is_not_free(folder, stub):
    choice = {"message": {"role": "assistant", "content": "It is 4000."}, "finish_reason": "stop"}
    stub.script.otherwise = lambda _: Behaviour(body={"choices": [choice]})
    (one,) = tried(folder, stub, "a", tokens=200)
    assert isinstance(one, BudgetError)
    assert 0 < stub.num_requests < 14
    assert "spent so far: 0 prompt" not in str(one)
