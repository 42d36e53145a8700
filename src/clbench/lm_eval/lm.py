"""Any learner as a model of lm-evaluation-harness, for users who call the harness themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lm_eval.api.model import LM

from clbench.core.protocols import Responder
from clbench.core.types import Decode, Example, Message, Reply
from clbench.lm_eval.task import request_of

RAW = Decode(kind="raw")


class HarnessLM(LM):
    """A responder as the harness sees a model.

    Example (the harness reseeds Python, numpy and torch in `simple_evaluate`; `clbench exam` does not):

        lm_eval.simple_evaluate(model=HarnessLM(learner), tasks=["arc_challenge"], bootstrap_iters=0)

    Do not use the harness's `use_cache` with a learner that goes on learning: the key of that cache does not hold the
    model.
    """

    def __init__(self, responder: Responder) -> None:
        super().__init__()
        self.responder = responder

    def _ask(self, requests: Sequence[Any]) -> list[Reply]:
        prompt = (Message(role="user", content="asked by lm-evaluation-harness"),)
        examples = [Example(id=str(i), prompt=prompt, requests=(request_of(r),)) for i, r in enumerate(requests)]
        return [answer.replies[0] for answer in self.responder.respond(examples, RAW)]

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Return (nats, is greedy) of each continuation."""
        return [(reply.loglik or 0.0, reply.greedy) for reply in self._ask(requests)]

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        """Return the nats of each text."""
        return [reply.loglik or 0.0 for reply in self._ask(requests)]

    def generate_until(self, requests: list[Any]) -> list[str]:
        """Return the text that the responder writes after each context."""
        return [reply.text for reply in self._ask(requests)]
