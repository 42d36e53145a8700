"""Habits of other people's servers: what is an answer, what is an error, and what neither may bring down."""

import asyncio
import json

import pytest

from clbench.core import events
from clbench.models.api.client import Address, Client
from clbench.models.api.errors import MENDS, ApiError, failure_of
from clbench.models.api.limits import limits_of
from clbench.testing.stub import Behaviour, Script, Stub, running

STREAM = (
    'data: {"choices": []}',
    'data: {"model": "m", "choices": [{"delta": {"role": "assistant", "content": "he"}}]}',
    ": ping",
    'data: {"choices": [{"delta": {"content": "llo"}, "finish_reason": "stop"}]}',
    'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}',
    "data: [DONE]",
)


def said(content, ended="stop", **more):
    return {"choices": [{"message": {"role": "assistant", "content": content, **more}, "finish_reason": ended}]}


def asked(body, status=200):
    with running(Stub(Script(otherwise=lambda _: Behaviour(body=body, status=status)))) as stub:

        async def once():
            address = Address(stub.url, tries=2, retry_delay=0.0, patience=1)
            async with Client(address, limits_of(1)) as client:
                return await client.chat({"model": "m", "messages": [{"role": "user", "content": "x" * 40}]})

        try:
            return asyncio.run(once())
        finally:
            asked.requests = stub.num_requests


@pytest.mark.parametrize(("body", "text", "ended"), [
    (said("a", "MAX_TOKENS"), "a", "length"),
    (said("", "SAFETY"), "", "content_filter"),
    (said("a", "end_turn"), "a", "stop"),
    (said("a", None), "a", ""),
    (said(None, "tool_calls", tool_calls=[{"id": "1"}]), None, "tool_calls"),
    (said([{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}, "odd"]), "a", "stop"),
    ("\ufeff" + json.dumps(said("a")), "a", "stop"),
    ('{"choices": [{"message": {"content": "a\\ud83d"}, "finish_reason": "stop"}]}', "a\ufffd", "stop"),
    ("\n\n".join(STREAM), "hello", "stop"),
])  # fmt: skip
def test_what_is_an_answer(body, text, ended):
    reply = asked(body)
    assert (reply.text, reply.finish_reason) == (text, ended)


@pytest.mark.parametrize("usage", [None, "many", {}, {"prompt_tokens": "5"}, {"prompt_tokens": -1}, [1]])
def test_tokens_that_nobody_says_are_guessed_and_told_once(usage):
    told = []
    token = events.notice_listener.set(told.append)
    try:
        reply = asked({**said("y" * 40), "usage": usage})
    finally:
        events.notice_listener.reset(token)
    assert reply.guessed
    assert (reply.usage.prompt, reply.usage.completion) == (11, 11)
    assert len(told) == 1
    assert "they are guessed" in told[0]


def test_no_more_is_cached_than_was_read():
    usage = {"prompt_tokens": 5.0, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}}
    reply = asked({**said("a"), "usage": usage})
    assert (reply.usage.prompt, reply.usage.cached, reply.guessed) == (5, 5, False)


@pytest.mark.parametrize(("body", "status", "code", "held", "requests"), [
    ({"choices": []}, 200, "body", "it holds no answer", 2),
    ({"choices": [{"message": None}]}, 200, "body", "it holds no answer", 2),
    ("[" * 100_000, 200, "body", "the reply is not JSON", 2),
    ("<html>\n<h1>Sorry</h1></html>", 200, "body", "<html> <h1>Sorry", 2),
    ("", 200, "body", "nothing", 2),
    ("null", 200, "body", "it holds no answer: null", 2),
    ("\n\n".join(STREAM[:2]), 200, "body", "not JSON", 2),
    ({"error": {"code": 429, "message": "slow down"}}, 200, "rate", "slow down", 2),
    ({"error": {"code": 401, "message": "no such key"}}, 200, "key", "no such key", 1),
    ({"error": {"code": "context_length_exceeded", "message": "long"}}, 200, "overflow", "long", 1),
    ({"error": "boom"}, 200, "server", "boom", 2),
    ({"choices": [{"error": {"code": 502, "message": "up"}, "message": {"content": ""}}]}, 200, "server", "up", 2),
    ({"detail": [{"msg": "field required"}]}, 422, "request", "field required", 1),
    ("<html>bad gateway</html>", 502, "server", "bad gateway", 2),
    ("<html>Just a moment</html>", 403, "key", "Just a moment", 1),
])  # fmt: skip
def test_what_is_an_error(body, status, code, held, requests):
    with pytest.raises(ApiError) as error:
        asked(body, status)
    assert error.value.failure.code == code
    assert held in str(error.value)
    assert "\n" not in str(error.value)
    assert asked.requests == requests


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}, "quota"),
        (429, {"error": {"type": "exceeded_current_quota_error", "message": "suspended"}}, "quota"),
        (400, {"error": {"message": "Your credit balance is too low to access the API."}}, "quota"),
        (400, {"code": "Arrearage", "message": "Access denied, please check your account."}, "quota"),
        (429, {"error": {"message": "Quota exceeded for metric: requests per minute. Please retry in 33s."}}, "rate"),
        (400, {"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}, "overflow"),
        (400, {"message": "Range of input length should be [1, 129024]"}, "overflow"),
        (400, {"error": {"message": "The input (9) exceeds the maximum number of tokens allowed (8)."}}, "overflow"),
        (400, {"error": {"message": "request exceeds the available context size (4096)"}}, "overflow"),
        (400, {"error": {"message": "Content Exists Risk"}}, "filter"),
        (400, {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}, "filter"),
        (400, {"error": {"message": "Model Not Exist"}}, "model"),
        (400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}, "model"),
        (404, {"error": {"message": "The model `x` does not exist."}}, "model"),
        (400, {"error": {"message": "API key not valid. Please pass a valid API key."}}, "key"),
        (401, {"error": {"message": "Authentication Fails"}}, "key"),
        (403, {"error": {"message": "Country, region, or territory not supported"}}, "key"),
        (400, {"error": {"message": "temperature must be below 2"}}, "request"),
    ],
)  # fmt: skip
def test_what_providers_say_is_told_apart_by_their_words(status, body, code):
    found = failure_of(status, body)
    assert (found.code, "\n" in found.text) == (code, False)
    assert found.text.endswith(MENDS[code])
