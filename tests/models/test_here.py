"""A model in this process that is asked as a provider is, and the whole way of context learning with it."""

import asyncio
import json

import pytest

from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message
from clbench.models.api.errors import ApiError
from clbench.models.here import open_here
from tests.builders.asked import clbench, read

pytestmark = pytest.mark.xdist_group("models")


@pytest.fixture(scope="module")
def here():
    return open_here(ModelSpec(name="tiny-llama-2"), Machine(device="cpu"))


def asked(here, *messages, **more):
    return asyncio.run(here.chat({"messages": [{"role": r, "content": c} for r, c in messages], **more}))


def test_it_answers_as_its_net_does(here):
    text = "The job of Bimlum is judge.\nThe job of Rintuk is baker.\n\nWhich job does Rintuk have?"
    reply = asked(here, ("user", text), max_tokens=8)
    (answer,) = here.net.respond([Example(id="x", prompt=(Message(role="user", content=text),))], Decode(max_tokens=8))
    assert (reply.text, reply.finish_reason) == (answer.text, "stop") == ("baker", "stop")
    assert (reply.usage.prompt, reply.usage.completion) == (answer.tokens_in, answer.tokens_out)
    assert here.address.base_url.startswith("local:")


def test_a_prompt_is_never_cut(here):
    longest = here.net.spec.longest
    with pytest.raises(ApiError, match=f"more than the {longest} that it reads") as found:
        asked(here, ("user", "word " * longest), max_tokens=8)
    assert found.value.failure.code == "overflow"


@pytest.mark.parametrize("message", [("tool", "x"), ("user", ["parts"]), (None, "x"), ("user", None)])
def test_what_it_cannot_read_is_said(here, message):
    with pytest.raises(ApiError, match="reads text alone"):
        asked(here, message)


def test_sampling_follows_the_seed(here):
    texts = [asked(here, ("user", "Tell me."), temperature=2.0, seed=s, max_tokens=8).text for s in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


@pytest.mark.slow
def test_infer_eval_stats_compare_report_without_a_network(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert clbench(capsys, "make", "--out", "w.jsonl")[0] == 0
    rows = read(tmp_path / "w.jsonl")
    assert len(rows) == 40
    local = ("--input", "w.jsonl", "--provider", "local", "--max-tokens", 8)
    assert clbench(capsys, "infer", *local, "--model", "tiny-llama-2")[0] == 0
    floor = ("--output", "outputs/floor.jsonl", "--context-policy", "none")
    assert clbench(capsys, "infer", *local, "--model", "tiny-llama-2", *floor)[0] == 0
    for name in ("tiny-llama-2", "floor"):
        graded = ("--judge", "exact", "--dataset", "w.jsonl")
        assert clbench(capsys, "eval", "--input", f"outputs/{name}.jsonl", *graded)[0] == 0
    scores = {}
    for name in ("tiny-llama-2", "floor"):
        found = read(tmp_path / "outputs" / f"{name}_graded.jsonl")
        wanted = [int(row["model_output"] == row["rubrics"][0]["exact"][0]) for row in found]
        assert [row["score"] for row in found] == wanted
        scores[name] = sum(wanted)
    assert scores["floor"] == 0, "invented names: nobody knows them without the context"
    assert scores["tiny-llama-2"] >= 30
    _, lines, _ = clbench(capsys, "stats", "outputs/tiny-llama-2_graded.jsonl", "--json")
    assert json.loads("\n".join(lines))["rate"]["value"] == scores["tiny-llama-2"] / 40
    sides = ("outputs/floor_graded.jsonl", "outputs/tiny-llama-2_graded.jsonl")
    _, lines, _ = clbench(capsys, "compare", *sides, "--json")
    (pair,) = json.loads("\n".join(lines))["pairs"]
    assert {pair["gained"], pair["lost"]} == {0, scores["tiny-llama-2"]}
    assert clbench(capsys, "report", sides[1], "--dataset", "w.jsonl", "--out", "r.html")[0] == 0
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count('<details class="item"') == 40


def test_options_of_an_address_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert clbench(capsys, "make", "--out", "w.jsonl", "--contexts", 1)[0] == 0
    given = ("infer", "--input", "w.jsonl", "--provider", "local")
    code, _, err = clbench(capsys, *given, "--model", "tiny-llama-2", "--base-url", "http://127.0.0.1:1/v1")
    assert (code, "has no address" in err) == (2, True)
    code, _, err = clbench(capsys, *given, "--model", "tiny-llama-2", "--reasoning-effort", "low")
    assert (code, "has no reasoning effort" in err) == (2, True)
    code, _, err = clbench(capsys, *given, "--model", "tiny-bert")
    assert (code, "is an encoder" in err) == (2, True)
    code, _, err = clbench(capsys, *given, "--model", "tiny-lama")
    assert (code, "tiny-llama" in err) == (2, True)
    code, _, err = clbench(capsys, "make", "--out", "v.jsonl", "--task", "world_facts_en")
    assert (code, "have no documents" in err) == (2, True)
    code, _, err = clbench(capsys, "make", "--out", "v.jsonl", "--tasks", 9)
    assert (code, "at most as many tasks as sentences" in err) == (2, True)
