"""A model behind the stub as a learner sees it: what is refused, what is thought, what is not answered."""

import pytest

from clbench.core import events
from clbench.core.errors import ModelError, SpecError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message
from clbench.models import source
from clbench.models.api.answers import open_api
from clbench.models.api.providers import address_of
from clbench.testing.stub import Behaviour, Script, Stub, running

SPEC = ModelSpec(name="m", provider="stub", max_tokens=100)


def question(text):
    return Example(id=text, prompt=(Message(role="user", content=text),))


def picky(request):
    for name in ("max_tokens", "temperature"):
        if name in request:
            return Behaviour(f"Unsupported parameter: '{name}'", status=400, code="unsupported")
    text = request["messages"][-1]["content"]
    if text == "long":
        return Behaviour("maximum context length is 5", status=400, code="context_length_exceeded")
    if text == "cut":
        return Behaviour("half an ans", finish_reason="length")
    return Behaviour(f"<think>hm</think> {text}! END of it")


def test_answers_come_in_order_without_what_is_refused(tmp_path):
    told = []
    token = events.notice_listener.set(told.append)
    try:
        with running(Stub(script=Script(otherwise=picky))) as stub:
            machine = Machine(store=tmp_path, providers={"stub": stub.url})
            decode = Decode(max_tokens=7, stop=("END",))
            found = open_api(SPEC, machine).respond([question(t) for t in ("a", "long", "cut")], decode)
            assert stub.requests[-1]["max_completion_tokens"] == 7
            before = stub.num_requests
            again = open_api(SPEC, machine).respond([question("a")], decode)
            assert stub.num_requests == before
    finally:
        events.notice_listener.reset(token)
    assert [(a.text, a.reasoning.strip(), a.finish) for a in found[::2]] == [
        ("a!", "<think>hm", "stop"),
        ("half an ans", "", "length"),
    ]
    assert (found[1].finish, "overflow" in found[1].text) == ("error", True)
    assert again == found[:1]
    assert len(told) == 3
    assert "tokens a reply took" in told[2]
    assert "max_completion_tokens is sent in its place" in told[0]


def test_a_request_that_is_refused_as_it_is_ends_the_run_and_scores_nothing(tmp_path):
    refused = Script(rules={"x": [Behaviour("what?", status=400, code="bad")]})
    with running(Stub(script=refused)) as stub:
        model = open_api(SPEC, Machine(store=tmp_path, providers={"stub": stub.url}))
        with pytest.raises(ModelError, match="1 of 2 questions have no answer"):
            model.respond([question("x"), question("y")], Decode())
        with pytest.raises(ModelError, match="gives no label"):
            model.respond([question("y")], Decode(kind="label"))


def test_providers_and_keys_are_named(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SpecError, match="OPENAI_API_KEY"):
        address_of("openai", {})
    with pytest.raises(SpecError, match="is not an address"):
        address_of("mine", {"mine": "localhost:1"})
    monkeypatch.setenv("MY_HOST_API_KEY", "k")
    assert address_of("my-host", {"my-host": "http://localhost:1/v1"}).key == "k"


def test_provider_name_and_length_are_the_identity():
    others = [SPEC, SPEC.model_copy(update={"provider": "x"}), SPEC.model_copy(update={"name": "x"})]
    others.append(SPEC.model_copy(update={"max_tokens": 101}))
    assert len({source.identity(spec) for spec in others}) == 4
    with pytest.raises(ValueError, match="is behind an API"):
        ModelSpec(name="m", provider="stub", revision="a")
