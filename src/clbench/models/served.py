"""A model that another engine serves: it writes the answers to prompts that we render, and is held against our own.

Prompts are sent as tokens to `/v1/completions`, so that template, BOS and what is left out of long ones are ours. Each
answer is in a log before it counts: an exam that is cut short asks only for what is missing.

Shapes: T tokens of an answer, V vocabulary.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch

from clbench.core.errors import ModelError
from clbench.core.events import Progress, report_progress
from clbench.core.keys import digest
from clbench.models.api.client import Address, Client
from clbench.models.api.errors import ApiError, Failure
from clbench.models.api.limits import limits_of
from clbench.models.api.loop import finished
from clbench.models.api.reply import Completion
from clbench.models.probe import TEXT
from clbench.models.stops import before_end
from clbench.models.writing import How, Question

if TYPE_CHECKING:
    from clbench.models.causal import Causal

T = TypeVar("T")
RETRY_S, TRIES = 2.0, 6  # seconds before the second try of a request; most tries
ENDED = frozenset({"stop", "eos_token", "stop_sequence"})  # why an answer ended by itself, as servers say it
TOKENS_COMPARED = 8
# What is compared: texts on which no model is sure, so that two of them differ.
COMPARED = (TEXT, "Once upon a time there was", "The answer to the question is", "1, 2, 3, 4,", "def f(x):", "今天")
# By precision: nats that a token of the server's may be behind our best one, and that log-probabilities may differ by
# on average. Two engines sum up in another order; in 16 bits that is seen in the first digits.
APART = {"float32": (0.1, 0.05)}
APART_16 = (0.7, 0.35)
KEPT = "answers that are there are kept, and the same command goes on with the rest"
MENDS = {
    "connection": f"start it again; {KEPT}",
    "timeout": f"see what it does, and start it again; {KEPT}",
    "body": f"see what it says; {KEPT}",
    "server": f"see what it says; {KEPT}",
    "rate": f"lower --exam-batch, the number of requests side by side; {KEPT}",
    "overflow": "start it with the positions of model.max_tokens ({max_tokens} in --serve), or lower model.max_tokens",
    "request": "it must take tokens at /v1/completions, as vLLM and SGLang do",
}


class About(NamedTuple):
    """What a server says of itself: the models it serves, its engine and its version ("" where it does not say)."""

    models: tuple[str, ...]
    engine: str
    version: str


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server.

    Attributes:
        url: Its address, which ends in /v1.
        workers: Most requests at a time.
    """

    url: str
    workers: int

    def about(self) -> About:
        """Return what it says of itself.

        Raises:
            ModelError: It does not answer.
        """

        async def ask(client: Client) -> Any:
            return await client.once("/models")

        found = self._run(ask)
        rows: Any = found.get("data") if isinstance(found, dict) else None
        listed: list[Any] = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        names = tuple(str(row["id"]) for row in listed if row.get("id"))
        if not names:
            raise ModelError("it lists no model at /v1/models", where=self.url, mend="name an OpenAI-compatible server")
        return About(names, str(listed[0].get("owned_by") or ""), self._version())

    def _version(self) -> str:
        async def ask(client: Client) -> Any:
            return await client.once("/version")

        try:  # beside /v1, where vLLM has it
            found = Server(self.url.removesuffix("/v1"), 1)._run(ask)
        except ModelError:
            return ""
        return str(found.get("version") or "") if isinstance(found, dict) else ""

    def load_adapter(self, name: str, folder: Path) -> None:
        """Let it load a PEFT folder, which it must be able to read.

        Raises:
            ModelError: It cannot.
        """

        async def ask(client: Client) -> Any:
            return await client.once("/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})

        try:
            self._run(ask)
        except ModelError as error:
            if name in self.about().models:  # from a run that was killed
                return
            raise ModelError(
                f"it does not load the adapter: {error.what}",
                where=self.url,
                mend="start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, with a --max-lora-rank "
                "that suffices; or leave --exam-server out and give --serve COMMAND, which is started for each state",
            ) from error

    def unload_adapter(self, name: str) -> None:
        """Let it forget an adapter.

        Raises:
            ModelError: It does not.
        """

        async def ask(client: Client) -> Any:
            return await client.once("/unload_lora_adapter", {"lora_name": name})

        self._run(ask)

    def complete(
        self, bodies: Sequence[dict[str, Any]], tell: Callable[[int, Completion], None] = lambda *_: None
    ) -> list[Completion]:
        """Return what it makes of requests, in their order; `tell` hears of each as it comes, by its index.

        Raises:
            ModelError: One of them failed for good; those that came before were told.
        """

        async def ask(client: Client) -> list[Completion]:
            async def one(place: int) -> Completion:
                found = await client.complete(bodies[place])
                tell(place, found)
                return found

            tasks = [asyncio.ensure_future(one(place)) for place in range(len(bodies))]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

        return self._run(ask)

    def _run(self, work: Callable[[Client], Awaitable[T]]) -> T:
        async def inside() -> T:
            address = Address(self.url, tries=TRIES, retry_delay=RETRY_S)
            async with Client(address, limits_of(self.workers)) as client:
                return await work(client)

        try:
            return finished(inside)
        except ApiError as error:
            raise _refused(error.failure, self.url) from error


def _refused(failure: Failure, url: str) -> ModelError:
    status = f"HTTP {failure.status}, " if failure.status else ""
    mend = MENDS.get(failure.code, "see what it says, and start it so that it serves this model to anybody here")
    return ModelError(f"the exam server fails ({status}{failure.code}): {failure.said}", where=url, mend=mend)


def request_of(model: str, prompt: Sequence[int], how: How, seed: int) -> dict[str, Any]:
    """Return a request to go on with a prompt as our own engine would, whatever the checkpoint's settings say."""
    return {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": how.max_tokens,
        "temperature": how.temperature,
        "top_p": 1.0,
        "repetition_penalty": 1.0,
        "stop": [text for text in how.stop if text],
        "stop_token_ids": list(how.ends),
        "skip_special_tokens": False,
        "seed": seed % 2**31,
        "return_token_ids": True,
    }


@dataclass(frozen=True)
class ServedWriter:
    """Writes the answers of an exam at a server, in the place of our own engine.

    Attributes:
        server: Where.
        model: Its name there.
        net: Our own model: its tokenizer reads what the server writes, where that gives no tokens.
        log: A file; what is in it is not asked again.
    """

    server: Server
    model: str
    net: Causal
    log: Path

    def write(self, prompts: Sequence[list[int]], how: How, questions: Sequence[Question]) -> list[list[int]]:
        """Return the tokens that follow each prompt, an end after those that ended by themselves.

        Raises:
            ModelError: The server fails; what it answered is in the log.
        """
        bodies = [request_of(self.model, p, how, q.seed) for p, q in zip(prompts, questions, strict=True)]
        # The name says nothing of the model: the log belongs to one state.
        names = [digest({k: v for k, v in body.items() if k != "model"}) for body in bodies]
        known = read_log(self.log)
        missing = list({name: i for i, name in enumerate(names) if name not in known}.values())
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write("\n")  # the last line may have been cut short

            def tell(place: int, found: Completion) -> None:
                row = self._tokens(found, how, questions[missing[place]].where)
                known[names[missing[place]]] = row
                log.write(json.dumps({"asked": names[missing[place]], "ids": row}) + "\n")
                log.flush()
                report_progress(Progress("answers of the server", len(known), len(set(names))))

            self.server.complete([bodies[i] for i in missing], tell)
        return [known[name] for name in names]

    def _tokens(self, found: Completion, how: How, where: str) -> list[int]:
        ended = found.finish_reason in ENDED
        if not ended and found.finish_reason != "length":
            raise ModelError(
                f"the server broke an answer off ({found.finish_reason or 'it does not say why'})",
                where=where,
                mend=f"see what it says; {KEPT}",
            )
        ids = _ids(self.net, found)
        return [*before_end(ids, how.ends), how.ends[0]] if ended else ids


def _ids(net: Causal, found: Completion) -> list[int]:
    """Return the tokens that a server wrote; where it gives none, or none that we know, those of its text."""
    if found.ids and (net.rows is None or max(found.ids) < net.rows):
        return list(found.ids)
    return net.tokenizer.encode(found.text, add_special_tokens=False, verbose=False)


def read_log(path: Path) -> dict[str, list[int]]:
    """Return the answers in a log; a line that was cut short, or is damaged, counts as none."""
    found: dict[str, list[int]] = {}
    if not path.is_file():
        return found
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            name, ids = row["asked"], row["ids"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(name, str) and isinstance(ids, list) and all(type(i) is int for i in ids):
            found[name] = ids
    return found


def check_same(net: Causal, server: Server, model: str) -> float | None:
    """Compare greedy answers of a server with our own model, token by token.

    Args:
        net: Our own model, in the state that the server should serve.
        server: The server.
        model: The name there.

    Returns:
        How far log-probabilities are apart, in nats on average; None where the server gives none.

    Raises:
        ModelError: It serves another model.
    """
    how = How(TOKENS_COMPARED, (), 0.0, tuple(net.reader.ends))
    prompts = [net.known(ids) for text in COMPARED if (ids := net.tokenizer.encode(text, verbose=False))]
    found = server.complete([{**request_of(model, p, how, 0), "logprobs": 1} for p in prompts])
    behind, apart = APART.get(net.spec.dtype, APART_16)
    differ: list[float] = []
    for prompt, each in zip(prompts, found, strict=True):
        given = _ids(net, each) if each.ids else _ids_of_text(net, prompt, each, how)
        ids = before_end(given, how.ends)
        lag, ours = _behind(net, prompt, ids, how.ends if each.finish_reason in ENDED else ())
        if lag > behind:
            raise _other(model, server, f"it writes a token that is {lag:.2f} nats behind the best of ours")
        if each.ids or len(each.nats) in (len(ids), len(ours)):  # else the tokens of its text are not those it wrote
            differ += [abs(a - b) for a, b in zip(ours, each.nats, strict=False)]
    mean = sum(differ) / len(differ) if differ else None
    if mean is not None and not mean <= apart:
        raise _other(model, server, f"log-probabilities differ by {mean:.3f} nats on average")
    return mean


def _ids_of_text(net: Causal, prompt: list[int], found: Completion, how: How) -> list[int]:
    """Return the tokens of a text: our own, where we write the same; else as the tokenizer divides it."""
    with torch.inference_mode():
        (own,) = net.write([prompt], how.max_tokens, how.stop, how.temperature, how.ends)
    own = before_end(own, how.ends)
    return own if net.tokenizer.decode(own, skip_special_tokens=False) == found.text else _ids(net, found)


def _behind(net: Causal, prompt: list[int], ids: list[int], ends: Sequence[int]) -> tuple[float, list[float]]:
    """Return how far tokens are behind our best ones, in nats at most, and the log-probability of each.

    Args:
        net: Our own model.
        prompt: What stands before the tokens.
        ids: The tokens.
        ends: Where they were ended by one of these: they count as one token more.
    """
    with torch.inference_mode():
        row = torch.tensor([prompt + ids], device=net.device)
        logp_TV = net.module(input_ids=row, use_cache=False).logits[0, len(prompt) - 1 :].float().log_softmax(-1)
    ours = [float(logp_V[i]) for logp_V, i in zip(logp_TV, ids, strict=False)]
    if ends:
        ours.append(max(float(logp_TV[len(ids), end]) for end in ends))
    lags = [float(best) - own for best, own in zip(logp_TV.amax(-1), ours, strict=False)]
    return max(lags, default=0.0), ours


def _other(model: str, server: Server, why: str) -> ModelError:
    return ModelError(
        f"{model!r} is not the model that is to be asked, or it reads it in another precision: {why}",
        where=server.url,
        mend="serve the recipe's model in the recipe's dtype (--dtype {dtype} in --serve); quantised it is another one",
    )
