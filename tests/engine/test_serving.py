"""Exams at a server: the stub, which answers by our own engine, stands for vLLM. Nothing else was tested against."""

import asyncio
import json
import shlex
import sys
import warnings
from pathlib import Path

import pytest
from peft import PeftModel

from clbench.cli.main import main
from clbench.core import events
from clbench.core.errors import LearnerError, ModelError, SpecError
from clbench.core.spec import Machine
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import attempt, run
from clbench.models import served
from clbench.store.store import Store
from clbench.testing.stub import Behaviour, Completions, Stub, running
from tests.builders.places import ROOT
from tests.builders.served import net_of, writer

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("served")]
RECIPE = """\
name: served
model: tiny-llama
stream: {folder}/one.yaml
exams: [mini_instruction]
training: {{lr: 1.0e-3, epochs: 2, batch_size: 8}}
budget: {{items: 3}}
learner: lora
"""
ASKED = "vllm-0.0"


@pytest.fixture(scope="module")
def base():
    return writer(net_of("tiny-llama"))


def adapted(folder):
    net = net_of("tiny-llama")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls transformers by names that it will drop
        net.module = PeftModel.from_pretrained(net.module, str(folder)).merge_and_unload()
    return writer(net)


@pytest.fixture
def server(base, monkeypatch):
    monkeypatch.setattr(served, "RETRY_S", 0.01)
    stub = Stub(completions=Completions({"tiny-llama": base}, open_adapter=adapted))
    with running(stub):
        yield stub


@pytest.fixture
def told():
    said = []
    token = events.notice_listener.set(said.append)
    yield said
    events.notice_listener.reset(token)


def recipe(folder, *sets):
    return load_recipe(written(folder), sets)


def written(folder):
    path = folder / "served.yaml"
    path.write_text(RECIPE.format(folder=folder))
    (folder / "one.yaml").write_text("name: one\ntasks: [world_tiny_facts]\ntask_ids: boundaries\n")
    return path


def made(folder, url, *sets, **machine):
    """Run the recipe at a server, or without an address by our own engine; return its one result."""
    sets = (*sets, f"exam_server={ASKED}") if url else sets
    store = Store(folder / "store")
    (outcome,) = attempt(
        recipe(folder, *sets), store, Machine(store=store.folder, device="cpu", exam_server=url, **machine)
    )
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def items(result, exam):
    (found,) = (e for e in json.loads((result / "items.json").read_text())["exams"] if e["exam"] == exam)
    return found["rows"]


def asked_by(folder, result, exam="mini_instruction"):
    """Return the records of the answers to an exam, row by row."""
    return [Store(folder / "store").stage("ask", row["answers_key"])["why"] for row in items(result, exam).values()]


def test_a_server_gives_the_answers_of_our_own_engine_under_keys_of_its_own(tmp_path, server, told):
    ours, theirs = made(tmp_path, None), made(tmp_path, server.url)
    assert (ours / "matrix.json").read_text() == (theirs / "matrix.json").read_text()
    for exam, shared in (("mini_instruction", False), ("world_tiny_facts", True)):
        pairs = zip(items(ours, exam).values(), items(theirs, exam).values(), strict=True)
        assert all((a["answers_key"] == b["answers_key"]) == shared and a["scores"] == b["scores"] for a, b in pairs)
    for why in asked_by(tmp_path, theirs):
        assert why["server"]["engine"] == "vllm" and why["server"]["apart_nats"] < 1e-4
    assert all("server" not in why for why in asked_by(tmp_path, ours))
    assert [*server.completions.models] == ["tiny-llama"], "adapters are unloaded"
    assert any("own engine asks" in text and "world_tiny_facts" in text for text in told)
    num = server.num_requests
    assert made(tmp_path, server.url) == theirs
    (again,) = attempt(
        recipe(tmp_path, f"exam_server={ASKED}"), Store(tmp_path / "store"), Machine(store=tmp_path / "store")
    )
    assert again == theirs, "what is finished needs no address"
    assert server.num_requests == num, "what is in the store is not asked again"
    recorded = (theirs / "provenance.json").read_text()
    assert "127.0.0.1" not in recorded


def test_prompts_go_as_our_tokens_and_decoding_is_ours(tmp_path, server):
    made(tmp_path, server.url, "learner=frozen")
    body = next(r for r in server.requests if "logprobs" not in r)
    assert all(isinstance(i, int) for i in body["prompt"])
    assert (body["temperature"], body["top_p"], body["repetition_penalty"]) == (0.0, 1.0, 1.0)
    assert body["stop_token_ids"] and body["skip_special_tokens"] is False


@pytest.mark.parametrize("gives", [set(), {"ids"}, {"nats"}], ids=lambda g: "+".join(g) or "text alone")
def test_a_server_that_gives_less_is_taken_as_far_as_it_goes(tmp_path, server, told, gives):
    server.completions.gives = frozenset(gives)
    ours, theirs = made(tmp_path, None, "learner=frozen"), made(tmp_path, server.url, "learner=frozen")
    assert (ours / "matrix.json").read_text() == (theirs / "matrix.json").read_text()
    assert any("no log-probabilities" in text for text in told) == ("nats" not in gives)


def test_another_model_is_refused(tmp_path, server):
    server.completions.models = {"tiny-llama": writer(net_of("tiny-llama-2"))}
    with pytest.raises(ModelError, match="is not the model that is to be asked"):
        made(tmp_path, server.url, "learner=frozen")
    server.completions.models = {"a": None, "b": None}
    with pytest.raises(ModelError, match="it serves a, b, and not tiny-llama"):
        made(tmp_path, server.url, "learner=frozen")


def test_the_state_of_another_lesson_is_refused(tmp_path, server, base):
    server.completions.open_adapter = lambda folder: base
    with pytest.raises(ModelError, match="is not the model that is to be asked"):
        made(tmp_path, server.url)


def test_what_breaks_on_the_way_is_asked_again(tmp_path, server):
    busy = [Behaviour("busy", 429, "rate_limit", retry_after=0.01)] * 5
    server.completions.first = [*busy, Behaviour(torn=True), Behaviour("down", 503), Behaviour("<html>", 502)]
    ours, theirs = made(tmp_path, None, "learner=frozen"), made(tmp_path, server.url, "learner=frozen")
    assert (ours / "matrix.json").read_text() == (theirs / "matrix.json").read_text()


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Behaviour("maximum context length is 64 tokens", 400), "overflow"),
        (Behaviour("prompt: str expected", 422), "HTTP 422, request"),
        (Behaviour("who are you?", 401), "HTTP 401, key"),
        (Behaviour("broken", 500), "HTTP 500, server"),
    ],
)
def test_what_fails_for_good_is_told(tmp_path, server, failure, said):
    server.completions.first = [failure] * 1000
    with pytest.raises(ModelError, match=said) as error:
        made(tmp_path, server.url, "learner=frozen")
    assert error.value.mend and error.value.where == server.url


def test_a_server_that_is_not_there_or_not_one(tmp_path, server):
    with pytest.raises(ModelError, match="connection"):
        made(tmp_path, "http://127.0.0.1:9/v1", "learner=frozen")
    with pytest.raises(ModelError, match="HTTP 404"):
        made(tmp_path, f"{server.url}/elsewhere", "learner=frozen")


def test_answers_that_came_are_not_asked_for_again(tmp_path, server, base):
    """The server dies in the middle of an exam; a log line is cut short, as by a kill in the middle of writing."""
    left = [len(served.COMPARED) + 3]

    def dying(body):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("dead")
        return base(body)

    server.completions.models = {"tiny-llama": dying}
    sets = ("learner=frozen", "budget.items=9")
    with pytest.raises(ModelError, match="HTTP 500"):
        made(tmp_path, server.url, *sets, exam_batch=1)
    (log,) = (tmp_path / "store" / "progress").glob("ask-*/answers.jsonl")
    kept = served.read_log(log)
    assert len(kept) == 3
    log.write_bytes(log.read_bytes()[:-9])
    server.completions.models = {"tiny-llama": base}
    server.requests.clear()
    theirs = made(tmp_path, server.url, *sets)
    asked = [r for r in server.requests if "prompt" in r and "logprobs" not in r]
    questions = {json.dumps(r["prompt"]) for r in asked}
    assert len(asked) == len(questions) == 9 - 2
    ours = made(tmp_path, None, *sets)
    assert (ours / "matrix.json").read_text() == (theirs / "matrix.json").read_text()
    assert not log.exists()


@pytest.mark.parametrize(
    ("sets", "machine", "said"),
    [
        (["exam_server=vllm"], {}, "it is not said where 'vllm' is"),
        ([], {"exam_server": "http://localhost:1/v1"}, "does not say what answers"),
        (["exam_server=vllm"], {"exam_server": "http://a/v1", "serve": "s {folder} {port}"}, "one of"),
        (["exam_server=vllm"], {"exam_server": "localhost:8000"}, "not the address of a server"),
        (["exam_server=vllm"], {"exam_server": "http://me:secret@host/v1"}, "not the address of a server"),
        (["exam_server=vllm"], {"serve": "vllm serve model --port 1"}, "{folder} and {port} is not in the command"),
        (["exam_server=vllm"], {"serve": "s '{folder} {port}"}, "cannot be read"),
        (["axes={exam_server: [vllm, sglang]}"], {"exam_server": "http://a/v1"}, "some runs name a server"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(tmp_path, sets, machine, said):
    with pytest.raises(SpecError, match=said.replace("{", r"\{")):
        run(recipe(tmp_path, *sets), Store(tmp_path / "s"), Machine(store=tmp_path / "s", device="cpu", **machine))
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["in_context", "adapters"])
def test_methods_that_are_more_than_weights_are_refused_first(tmp_path, name):
    sets = (f"learner={name}", "training={}", "stream=til-worlds")
    with pytest.raises(LearnerError, match="no checkpoint says that"):
        made(tmp_path, "http://127.0.0.1:9/v1", *sets)
    assert not (tmp_path / "store").exists()


def test_a_whole_model_needs_a_server_of_its_own(tmp_path, server):
    with pytest.raises(ModelError, match="a running server cannot take the state") as error:
        made(tmp_path, server.url, "learner=sft")
    assert "--serve" in error.value.mend


def test_a_recipe_without_written_exams_has_no_use_for_a_server(tmp_path):
    with pytest.raises(SpecError, match="a server would answer none"):
        made(tmp_path, "http://127.0.0.1:9/v1", "exams=[]")


def test_the_name_of_the_engine_is_in_the_key_of_the_run(tmp_path):
    keys = {recipe(tmp_path, *sets).specs()[0].key for sets in ([], ["exam_server=vllm-1"], ["exam_server=vllm-2"])}
    assert len(keys) == 3
    with pytest.raises(SpecError, match="exam_server"):
        recipe(tmp_path, "exam_server=http://host")


def test_a_command_serves_each_state(tmp_path, server, capfd, told):
    server.completions.open_adapter = lambda folder: writer(net_of(folder))
    common = ["run", str(written(tmp_path)), "--store", str(tmp_path / "store"), "--json", "--set", "learner=sft"]
    common += ["--out", str(tmp_path / "report"), "--device", "cpu"]
    script = shlex.join([sys.executable, str(ROOT / "tests" / "builders" / "forwarding.py"), server.url])
    serve = f"{script} {{folder}} {{port}}"
    assert main([*common, "--set", "exam_server=stub", "--serve", serve, "--workers", "2"]) == 0
    theirs = json.loads(capfd.readouterr().out)["results"][0]
    assert main([*common, "--workers", "1"]) == 0
    ours = json.loads(capfd.readouterr().out)["results"][0]
    one, two = (tmp_path / "store" / "runs" / Path(r).name for r in (ours, theirs))
    assert one != two
    assert (one / "matrix.json").read_text() == (two / "matrix.json").read_text()
    opened = [name for name in server.completions.models if name != "tiny-llama"]
    assert len(opened) == 2, "the base, and the state after the lesson"
    assert not Path(opened[1]).exists(), "its weights are gone with the server"


def test_a_loop_that_runs_already_is_no_hindrance(server):
    async def in_a_notebook():
        return served.Server(server.url, 2).about()

    found = asyncio.run(in_a_notebook())
    assert found == (("tiny-llama",), "vllm", "0.0-stub")


def test_damaged_lines_of_a_log_count_as_none(tmp_path):
    path = tmp_path / "answers.jsonl"
    good = '{"asked": "a", "ids": [1, 2]}'
    bad = [
        "",
        "{",
        "[]",
        '{"asked": 1, "ids": [1]}',
        '{"asked": "b", "ids": ["1"]}',
        '{"asked": "b", "ids": null}',
        "[" * 5000,
    ]
    path.write_bytes("\n".join([*bad, good, good[:20]]).encode() + b"\xff\n")
    assert served.read_log(path) == {"a": [1, 2]}
    assert served.read_log(tmp_path / "none") == {}
