"""A client that keeps to a budget: what is in flight is reserved by a guess, and settled by what it took."""

from __future__ import annotations

import asyncio
from typing import Any

from clbench.core.account import Account, For, account_of
from clbench.core.chat import Reply, Usage
from clbench.core.spec import Machine
from clbench.models.api.client import Address, Asks, Client, guessed_tokens
from clbench.models.api.limits import limits_of

GUESSED = 1000  # tokens of a reply, where the request names no most


class Paid:
    """Asks through another client, and writes each reply into an account.

    Args:
        client: Who asks.
        account: Where it is written down.
        kind: What the replies are.
    """

    def __init__(self, client: Asks, account: Account, kind: For) -> None:
        self.address: Address = client.address
        self._client = client
        self._account = account
        self._kind: For = kind
        self._in_flight = 0
        self._settled = asyncio.Event()

    async def __aenter__(self) -> Paid:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *why: object) -> None:
        await self._client.__aexit__(*why)

    async def chat(self, body: dict[str, Any]) -> Reply:
        """Return the reply to a request, if the budget allows it; wait where it may once others have come back.

        Raises:
            BudgetError: It does not, and nothing is in flight here.
            ApiError: The request failed for good.
            ModelError: The provider refuses the run.
        """
        model = str(body.get("model"))
        most = body.get("max_tokens") or body.get("max_completion_tokens") or GUESSED
        guess = Usage(prompt=int(guessed_tokens(body)), completion=int(most))
        while (name := self._account.reserve(model, guess)) is None:
            if not self._in_flight:
                raise self._account.over()
            self._settled.clear()
            await self._settled.wait()
        self._in_flight += 1
        used = Usage()
        try:
            reply = await self._client.chat(body)
            used = reply.usage
            return reply
        finally:
            self._in_flight -= 1
            self._account.settle(name, self._kind, model, used)
            self._settled.set()


def client_for(address: Address, machine: Machine, kind: For) -> Asks:
    """Return a client of an address as a machine has it: so many requests at a time, and within its budget."""
    client = Client(address, limits_of(machine.exam_batch))
    if machine.spending is None:
        return client
    return Paid(client, account_of(machine.store, machine.spending), kind)
