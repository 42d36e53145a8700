"""A model behind an API that answers exams: nothing of it is here, and nothing is trained.

Its tokenizer is not known, so that lengths before a reply are guessed; a prompt is never cut. Replies are kept under
the provider, the model and the whole request, so that a run that was stopped pays for none of them twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from clbench.core.chat import Reply, usage_of_record
from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.core.keys import digest
from clbench.core.replies import ReplyCache, key_of
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Prompt
from clbench.models.api.client import Asks, guessed_tokens
from clbench.models.api.errors import ApiError, stopped
from clbench.models.api.loop import each_of, finished
from clbench.models.api.paid import client_for
from clbench.models.api.providers import address_of
from clbench.models.reasoning import parted
from clbench.models.stops import before_stop

BYTES_PER_TOKEN = 4  # of UTF-8: a guess
THINK = "</think>"
MOST_STOPS = 4  # that providers take; every one of them is looked for in the reply
# What some providers refuse: a parameter -> the one that they take in its place, None where there is none.
REFUSED = {"max_tokens": "max_completion_tokens", "temperature": None, "stop": None, "seed": None}


class Guess:
    """Stands for a tokenizer that is not known: a token for every four bytes."""

    def encode(self, text: str, **_: Any) -> list[int]:
        """Return as many tokens as a text may have; their numbers say nothing.

        Example:
            >>> len(Guess().encode("five words are not five tokens"))
            8
        """
        return [0] * -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


@dataclass
class ApiModel:
    """Answers what is written, through a provider.

    Attributes:
        spec: The model.
        machine: Where its provider is, and how many questions are asked side by side.
        tokenizer: Guesses lengths.
    """

    spec: ModelSpec
    machine: Machine
    tokenizer: Any = field(default_factory=Guess)
    _refused: set[str] = field(default_factory=set[str], init=False)

    @property
    def can(self) -> frozenset[Ability]:
        """It writes: likelihoods are not to be had."""
        return frozenset({"text"})

    def render(self, prompt: Prompt) -> str:
        """Return a prompt about as long as the model reads it."""
        return "\n".join(f"{m.role}: {m.content}" for m in prompt)

    def answer_ids(self, text: str) -> list[int]:
        """Return as many tokens as an answer may have with its end."""
        return [*self.tokenizer.encode(text), 0]

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Return the answers, in order; a question that the provider refuses has the finish "error".

        Raises:
            ModelError: Something else than writing is asked for; the provider refuses the run; or it does not answer
                some questions, and asking again may help: what it answered is kept.
        """
        if decode.kind != "text":
            mend = "ask exams whose answers are written (decode.kind: text)"
            raise ModelError(f"a model behind an API gives no {decode.kind}", where=self.spec.name, mend=mend)
        if self.machine.spending is not None and self.machine.spending.dry:
            return [_unasked(self.spec, example, decode) for example in examples]
        return _Asking(self, decode).answers(examples)

    async def reply(self, body: dict[str, Any], client: Asks) -> Reply:
        """Return the reply to a request, without parameters that the provider refuses.

        Raises:
            ApiError: The request failed for good.
        """
        while True:
            sent = self._taken(body)
            try:
                return await client.chat(sent)
            except ApiError as error:
                named = [name for name in REFUSED if name in sent and name in error.failure.said]
                if error.failure.code != "request" or not named:
                    raise
                self._refuse(named[0])

    def _refuse(self, name: str) -> None:
        if name in self._refused:  # another request, sent at the same time, was told so
            return
        self._refused.add(name)
        instead = REFUSED[name]
        told = f"{instead} is sent in its place" if instead else "it is asked without"
        notice(f"{self.spec.name}: the provider refuses {name}; {told}")

    def _taken(self, body: dict[str, Any]) -> dict[str, Any]:
        names = {name: REFUSED[name] if name in self._refused else name for name in body}
        return {new: body[name] for name, new in ((n, names[n]) for n in body) if new is not None}


@dataclass
class _Asking:
    """One exam that is asked.

    Attributes:
        model: Who is asked.
        decode: How.
        again: Failures after which asking again may help.
    """

    model: ApiModel
    decode: Decode
    again: list[str] = field(default_factory=list[str])

    def answers(self, examples: Sequence[Example]) -> list[Answer]:
        found = finished(lambda: self._all(examples))
        if self.again:
            what = f"{len(self.again)} of {len(examples)} questions have no answer; the first: {self.again[0]}"
            mend = "run the same command again: answers that are there are kept and not paid for again"
            raise ModelError(what, where=self.model.spec.name, mend=mend)
        return [answer for answer in found if answer is not None]

    async def _all(self, examples: Sequence[Example]) -> list[Answer | None]:
        spec, machine = self.model.spec, self.model.machine
        address = address_of(str(spec.provider), machine.providers)
        async with client_for(address, machine, "answers") as client:
            return await each_of(examples, lambda e: self._answer(e, client), f"answers of {spec.name}")

    async def _answer(self, example: Example, client: Asks) -> Answer | None:
        body = request_of(self.model.spec, example.prompt, self.decode)
        cache = ReplyCache(self.model.machine.store / "replies")
        key = key_of(provider=self.model.spec.provider, body=body)
        kept = cache.get(key)
        if kept is None or "usage" not in kept:
            try:
                reply = await self.model.reply(body, client)
            except ApiError as error:
                return self._failed(example, error, client.address.base_url)
            kept = {**vars(reply), "usage": reply.usage.plain()}
            cache.put(key, kept)
        usage = usage_of_record(kept["usage"])
        said: dict[str, Any] = {name: value for name, value in kept.items() if name != "usage"}
        reply = Reply(**said, usage=usage)
        return answer_of(example, reply, self.decode, self.model.spec)

    def _failed(self, example: Example, error: ApiError, url: str) -> Answer | None:
        if error.failure.kind == "run":
            raise stopped(error.failure, url)
        if not error.again:  # it concerns this question alone
            return Answer(example_id=example.id, text=str(error), finish="error")
        self.again.append(str(error))
        return None


def _unasked(spec: ModelSpec, example: Example, decode: Decode) -> Answer:
    """Return what stands for an answer in a plan: of the longest length, another one to each prompt."""
    size, mark = decode.max_tokens * BYTES_PER_TOKEN, digest([m.content for m in example.prompt])
    return Answer(
        example_id=example.id,
        text=f"{mark}{'x' * size}"[:size],
        tokens_in=int(guessed_tokens(request_of(spec, example.prompt, decode))),
        tokens_out=decode.max_tokens,
    )


def request_of(spec: ModelSpec, prompt: Prompt, decode: Decode) -> dict[str, Any]:
    """Return a request as a provider takes it."""
    body: dict[str, Any] = {
        "model": spec.name,
        "messages": [{"role": m.role, "content": m.content} for m in prompt],
        "max_tokens": decode.max_tokens,
        "temperature": decode.temperature,
    }
    if stops := [text for text in decode.stop if text][:MOST_STOPS]:
        body["stop"] = stops
    if decode.temperature:
        body["seed"] = decode.seed
    return body


def answer_of(example: Example, reply: Reply, decode: Decode, spec: ModelSpec) -> Answer:
    """Return a reply as the answer to a question; what it thought stands apart."""
    rule = decode.answer or spec.answer
    text, at_limit = reply.text or reply.refusal, reply.finish_reason == "length"
    thought, said = parted(text, rule.after if rule else THINK, inside=False, at_limit=at_limit)
    return Answer(
        example_id=example.id,
        text=before_stop(said, decode.stop).strip(),
        finish="length" if at_limit else "stop",
        tokens_in=reply.usage.prompt,
        tokens_cached=reply.usage.cached,
        tokens_out=reply.usage.completion,
        reasoning="\n".join(filter(None, (reply.reasoning, thought))),
        tokens_reasoning=reply.usage.reasoning,
    )


def open_api(spec: ModelSpec, machine: Machine) -> ApiModel:
    """Return a model behind an API; nothing is asked yet.

    Raises:
        ExtraError: aiohttp is not installed.
        SpecError: Its provider cannot be asked.
    """
    if machine.spending is None or not machine.spending.dry:  # then nobody is asked
        address_of(str(spec.provider), machine.providers)
    return ApiModel(spec, machine)
