"""A provider's reply, or a continued text, as its body holds it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from clbench.core.chat import Reply, Usage, count_of

NOTHING = Usage()


# Why an answer ended, in words of other providers -> in those of the public API.
FINISHED = {
    **dict.fromkeys(
        ("max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "token_limit"), "length"
    ),
    **dict.fromkeys(("safety", "prohibited_content", "content-filter", "blocklist", "recitation"), "content_filter"),
    **dict.fromkeys(("end_turn", "eos", "eos_token", "stop_sequence", "complete"), "stop"),
}
OF_TEXT = (None, "text", "output_text")  # types of parts that are the answer


def reply_of(body: Any, seconds: float, attempts: int) -> Reply | None:
    """Return the reply that a body holds; None if it holds none, or an error in its place."""
    try:
        choice = body["choices"][0]
        message = choice["message"]
        content = message.get("content")
        failed = choice.get("error") or (choice.get("finish_reason") == "error" and not content)
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    if failed:
        return None
    if isinstance(content, list):  # parts, as some providers send them
        parts = [part for part in cast(list[Any], content) if isinstance(part, dict)]
        content = "".join(str(part.get("text") or "") for part in parts if part.get("type") in OF_TEXT)
    ended = str(choice.get("finish_reason") or "")
    return Reply(
        text=_whole(content) if isinstance(content, str) else None,
        reasoning=_whole(str(message.get("reasoning_content") or message.get("reasoning") or "")),
        finish_reason=FINISHED.get(ended.lower(), ended),
        model=_whole(str(body.get("model") or "")),
        refusal=_whole(str(message.get("refusal") or "")),
        usage=_usage_of(body.get("usage")),
        seconds=seconds,
        attempts=attempts,
    )


def _whole(text: str) -> str:
    """Return a text without halves of characters, which a file of UTF-8 cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def body_of_stream(text: str) -> dict[str, Any] | None:
    """Return the body that the chunks of a stream come to; None if it is not a stream, or was cut short.

    Some servers stream whether or not they are asked to. Chunks without choices hold usage, or nothing.

    Example:
        >>> body_of_stream('data: {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}')["choices"]
        [{'message': {'content': 'a', 'reasoning_content': ''}, 'finish_reason': 'stop'}]
    """
    lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
    found: dict[str, Any] = {}
    said, ended = {"content": "", "reasoning_content": ""}, None
    for line in lines:
        try:
            chunk: Any = json.loads(line) if line != "[DONE]" else {}
            found |= {name: chunk[name] for name in ("model", "usage", "error") if chunk.get(name)}
            for choice in (chunk.get("choices") or [])[:1]:
                delta: Any = choice.get("delta") or choice.get("message") or {}
                said["content"] += str(delta.get("content") or "")
                said["reasoning_content"] += str(delta.get("reasoning_content") or delta.get("reasoning") or "")
                ended = choice.get("finish_reason") or ended
        except (ValueError, RecursionError, TypeError, AttributeError):
            return None
    if "error" in found:
        return found
    return {**found, "choices": [{"message": dict(said), "finish_reason": ended}]} if lines and ended else None


@dataclass(frozen=True)
class Completion:
    """How a server went on with a text.

    Attributes:
        text: What follows the prompt.
        ids: Its tokens, where the server gives them; else empty.
        nats: Log-probability of each token, where the server gives them; else empty.
        finish_reason: "stop", "length", ...
        usage: Tokens.
    """

    text: str
    ids: tuple[int, ...] = ()
    nats: tuple[float, ...] = ()
    finish_reason: str = ""
    usage: Usage = NOTHING


def completion_of(body: Any, *_: object) -> Completion | None:
    """Return the continuation that a body holds; None if it holds none."""
    try:
        choice: dict[str, Any] = body["choices"][0]
        text = choice["text"]
        beside: Any = choice.get("logprobs") or {}
        nats, tokens = beside.get("token_logprobs") or (), beside.get("tokens") or ()
        ids = choice.get("token_ids") or [_id_of(token) for token in tokens]
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    if not isinstance(text, str):
        return None
    known = [i for i in ids if isinstance(i, int) and not isinstance(i, bool) and i >= 0]
    measured = all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in nats)
    return Completion(
        text=text,
        ids=tuple(known) if len(known) == len(ids) else (),
        nats=tuple(map(float, nats)) if measured else (),
        finish_reason=str(choice.get("finish_reason") or ""),
        usage=_usage_of(body.get("usage")),
    )


def _id_of(token: Any) -> int | None:
    """Return the id in a token that vLLM writes as `token_id:7`."""
    begin, _, number = str(token).partition(":")
    return int(number) if begin == "token_id" and number.isdecimal() else None


def _usage_of(found: Any) -> Usage:
    if not isinstance(found, dict):
        return Usage()
    given = cast(dict[str, Any], found)
    read = count_of(given, "prompt_tokens")
    prompt, completion = given.get("prompt_tokens_details"), given.get("completion_tokens_details")
    return Usage(
        prompt=read,
        cached=min(read, count_of(prompt, "cached_tokens") or count_of(given, "prompt_cache_hit_tokens")),
        completion=count_of(given, "completion_tokens"),
        reasoning=count_of(completion, "reasoning_tokens"),
    )
