import asyncio

import pytest

from clbench.core.errors import ModelError
from clbench.models.api.client import Address, Client
from clbench.models.api.errors import ApiError, failure_of
from clbench.models.api.limits import Breaker, Bucket, Concurrency, Limits, limits_of
from clbench.models.api.reply import completion_of, reply_of
from clbench.testing.stub import Behaviour, Script, Stub, running


def ask(stub, text, *, failures=None, limits=None, **address):
    async def one():
        on_failure = None if failures is None else lambda failure, attempt: failures.append((failure.code, attempt))
        given = {"timeout": 5, "retry_delay": 0.001, **address}
        async with Client(Address(stub.url, "key", **given), limits or limits_of(2), on_failure) as client:
            return await client.chat({"model": "m", "messages": [{"role": "user", "content": text}]})

    return asyncio.run(one())


@pytest.fixture(scope="module")
def stub():
    busy = [Behaviour("busy", 429, "rate_limit", retry_after=0.01)] * 4
    script = Script(
        {
            "busy": [*busy, Behaviour("at last")],
            "always 500": [Behaviour("broken", 500)],
            "torn": [Behaviour("long " * 50, torn=True), Behaviour("whole")],
            "slow": [Behaviour("late", delay=2), Behaviour("in time")],
            "quota": [Behaviour("you exceeded your quota", 429, "insufficient_quota")],
            "overflow": [Behaviour("maximum context length is 8", 400, "context_length_exceeded")],
            "null": [Behaviour(None)],
        }
    )
    with running(Stub(script)) as server:
        yield server


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (401, {"error": {"message": "bad key"}}, "run", "key"),
        (403, {"error": {"message": "no"}}, "run", "key"),
        (429, {"error": {"code": "insufficient_quota"}}, "run", "quota"),
        (404, {"error": {"code": "model_not_found"}}, "run", "model"),
        (400, {"error": {"code": "context_length_exceeded"}}, "row", "overflow"),
        (400, {"error": {"code": "content_filter"}}, "row", "filter"),
        (400, {"error": {"code": "invalid_prompt"}}, "row", "filter"),
        (400, {"error": {"message": "temperature must be 1"}}, "row", "request"),
        (429, {"error": {"code": "rate_limit"}}, "retry", "rate"),
        (503, "<html>down</html>", "retry", "server"),
        (408, None, "retry", "server"),
    ],
)
def test_what_an_error_means(status, body, kind, code):
    found = failure_of(status, body)
    assert (found.kind, found.code) == (kind, code)
    assert "; " in found.text, "the text says what to do"


def test_a_busy_provider_is_asked_again_more_often_than_a_broken_one(stub):
    failures = []
    reply = ask(stub, "busy", failures=failures)
    assert (reply.text, reply.attempts, len(failures)) == ("at last", 5, 4)
    with pytest.raises(ApiError) as broken:
        ask(stub, "always 500", failures=failures)
    assert (broken.value.attempts, broken.value.failure.code) == (3, "server")


def test_torn_and_late_replies_are_asked_for_again(stub):
    failures = []
    assert ask(stub, "torn", failures=failures).text == "whole"
    assert ask(stub, "slow", failures=failures, timeout=0.3).text == "in time"
    assert failures == [("body", 1), ("timeout", 1)]


def test_what_does_not_help_is_not_asked_again(stub):
    for text in ("overflow", "quota"):
        with pytest.raises(ApiError) as found:
            ask(stub, text)
        assert found.value.attempts == 1


def test_an_address_where_nobody_listens_says_what_to_do():
    with pytest.raises(ApiError, match="check --base-url"):
        asyncio.run(nobody())


async def nobody():
    async with Client(Address("http://127.0.0.1:9/v1", tries=2, retry_delay=0.001), limits_of(1)) as client:
        await client.chat({"messages": []})


def test_cached_tokens_are_those_of_the_shared_prefix(stub):
    first, second = ask(stub, "p" * 4000 + "a"), ask(stub, "p" * 4000 + "b")
    assert first.usage.cached == 0
    assert 0.85 * second.usage.prompt < second.usage.cached < second.usage.prompt
    assert second.model == "m-stub"


def test_null_content_is_a_reply_without_text(stub):
    assert ask(stub, "null").text is None


def test_refusals_in_a_row_end_the_run():
    with running(Stub(Script({"": [Behaviour("bad key", 401)]}))) as server:
        limits = limits_of(1)
        for _ in range(3):
            with pytest.raises(ApiError):
                ask(server, "x", limits=limits)
        with pytest.raises(ModelError, match="OPENAI_API_KEY"):
            ask(server, "x", limits=limits)
        assert server.num_requests == 3


def test_a_success_closes_the_breaker():
    breaker = Breaker(2)
    for _ in range(3):
        breaker.failed(failure_of(401, ""))
        breaker.succeeded()
    assert not breaker.is_open


def test_concurrency_is_halved_once_a_moment_and_grows_by_one():
    now = [0.0]
    limit = Concurrency(8, clock=lambda: now[0])
    limit.overloaded()
    limit.overloaded()
    assert limit.limit == 4
    now[0] = 2.0
    limit.overloaded()
    assert limit.limit == 2
    for _ in range(2):
        limit.succeeded()
    assert 2.8 < limit.limit <= 3
    for _ in range(200):
        limit.succeeded()
    assert limit.limit == 8


def test_no_more_requests_are_in_flight_than_allowed():
    most = []

    async def run():
        limit = Concurrency(3)

        async def one():
            await limit.enter()
            most.append(limit.in_flight)
            await asyncio.sleep(0.001)
            limit.leave()

        await asyncio.gather(*(one() for _ in range(20)))
        assert limit.in_flight == 0

    asyncio.run(run())
    assert max(most) == 3


def test_a_bucket_keeps_its_rate_and_takes_corrections():
    now = [0.0]
    bucket = Bucket(600, burst=1.0, clock=lambda: now[0])
    waits = [bucket.reserve(1) for _ in range(30)]
    assert waits[:11] == pytest.approx([0.0] * 11)
    assert waits[-1] == pytest.approx(1.9)
    bucket.correct(10)
    assert bucket.reserve(1) == pytest.approx(3.0)
    assert Bucket(None).reserve(10**9) == 0.0


def test_a_pause_holds_back_all_requests():
    async def run():
        limits = Limits(Concurrency(2))
        limits.pause(0.05)
        started = asyncio.get_running_loop().time()
        await limits.wait(1)
        assert asyncio.get_running_loop().time() - started >= 0.045

    asyncio.run(run())


@pytest.mark.parametrize("body", [None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": None}]}])
def test_a_body_without_a_reply_is_none(body):
    assert reply_of(body, 0.1, 1) is None


def test_parts_and_usage_of_other_providers_are_read():
    message = {"content": [{"type": "text", "text": "a"}, {"text": "b"}], "reasoning_content": "hm"}
    usage = {
        "prompt_tokens": 9,
        "prompt_cache_hit_tokens": 4,
        "completion_tokens": 2,
        "completion_tokens_details": None,
    }
    reply = reply_of({"choices": [{"message": message}], "usage": usage}, 0.1, 1)
    assert (reply.text, reply.reasoning, reply.usage.cached, reply.usage.total) == ("ab", "hm", 4, 11)


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ({"text": "a b", "finish_reason": "stop"}, ("a b", (), (), "stop")),
        ({"text": "", "token_ids": [], "logprobs": None}, ("", (), (), "")),
        ({"text": "a", "token_ids": [7]}, ("a", (7,), (), "")),
        (
            {"text": "a", "logprobs": {"tokens": ["token_id:7"], "token_logprobs": [-0.5]}},
            ("a", (7,), (-0.5,), ""),
        ),
        ({"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [None]}}, ("a", (), (), "")),
        ({"text": "a", "token_ids": [7, "8"]}, ("a", (), (), "")),
        ({"text": "a", "token_ids": [True]}, ("a", (), (), "")),
    ],
)
def test_what_a_completion_holds(choice, found):
    read = completion_of({"choices": [choice]})
    assert (read.text, read.ids, read.nats, read.finish_reason) == found


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"text": None}]}, {"choices": [{"text": 1}]}],
)
def test_a_body_without_a_completion(body):
    assert completion_of(body) is None
