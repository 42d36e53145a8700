"""A causal model in this process, asked as a provider is: messages go in, a reply comes out."""

from __future__ import annotations

import time
from typing import Any, Self, cast

from clbench.core.chat import Reply, Usage
from clbench.core.errors import ModelError
from clbench.core.keys import digest
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Answer, Decode, Example, Message, Prompt
from clbench.models.api.client import Address
from clbench.models.api.errors import ApiError, Failure
from clbench.models.causal import Causal
from clbench.models.load import load_net

LONGEST_ANSWER = 512  # tokens, where the request names none and the model reads four times as many
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class Here:
    """Asks a model in this process, one request after the other; it stands in for a client of an API.

    A prompt is never cut: one that does not fit beside its answer fails as a provider's does, with `overflow`.

    Args:
        net: The model.
    """

    def __init__(self, net: Causal) -> None:
        self.net = net
        self.address = Address(f"local:{net.identity[:16]}", tries=1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Keep the model: another run may ask it."""

    async def chat(self, body: dict[str, Any]) -> Reply:
        """Return the reply to a request; `messages`, `max_tokens`, `temperature` and `seed` of it are read.

        Raises:
            ApiError: The prompt does not fit, or the messages cannot be read.
        """
        prompt = prompt_of(cast(list[dict[str, Any]], body["messages"]))
        longest = self.net.spec.longest
        most = int(body.get("max_tokens") or min(LONGEST_ANSWER, longest // 4))
        num = len(self.net.tokenizer.encode(self.net.render(prompt), add_special_tokens=False, verbose=False))
        if num + most > longest:
            said = f"{num} tokens of the prompt and {most} of the answer are more than the {longest} that it reads"
            raise ApiError(Failure("overflow", said), 1)
        seed = int(body.get("seed") or 0)
        decode = Decode(max_tokens=most, temperature=float(body.get("temperature") or 0.0), seed=seed)
        started = time.monotonic()
        asked = Example(id=digest(body["messages"])[:16], prompt=prompt, eval_only=True)
        (answer,) = self.net.respond([asked], decode)
        return self._reply(answer, time.monotonic() - started)

    def _reply(self, answer: Answer, seconds: float) -> Reply:
        if answer.finish == "error":
            raise ApiError(Failure("request", answer.text), 1)
        return Reply(
            text=answer.text,
            reasoning=answer.reasoning,
            finish_reason=answer.finish,
            model=self.net.spec.name,
            usage=Usage(answer.tokens_in, 0, answer.tokens_out, answer.tokens_reasoning),
            seconds=seconds,
        )


def open_here(spec: ModelSpec, machine: Machine) -> Here:
    """Load a causal model and return it as something that can be asked.

    Raises:
        ModelError: It does not load, or it is an encoder, which writes nothing.
    """
    net = load_net(spec, machine)
    if isinstance(net, Causal):
        return Here(net)
    raise ModelError("is an encoder, which writes no answers", where=spec.name, mend="name a causal model")


def prompt_of(messages: list[dict[str, Any]]) -> Prompt:
    """Return the messages of a request as a prompt.

    Raises:
        ApiError: A role or a content is not one that a model in this process reads.
    """
    found: list[Message] = []
    for message in messages:
        role, content = ROLES.get(str(message.get("role"))), message.get("content")
        if role is None or not isinstance(content, str):
            what = f"a message of role {message.get('role')!r:.20} whose content is {type(content).__name__}"
            raise ApiError(Failure("request", f"{what}: a model in this process reads text alone"), 1)
        found.append(Message.model_validate({"role": role, "content": content}))
    return tuple(found)
