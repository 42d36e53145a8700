"""Replies that are held to a form, where the provider offers that."""

from __future__ import annotations

from typing import Any

from clbench.core.chat import Reply
from clbench.models.api.client import Asks
from clbench.models.api.errors import ApiError


async def chat_in_form(client: Asks, body: dict[str, Any], refuses: list[bool]) -> Reply:
    """Return the reply to a request, without `response_format` where the provider refuses that.

    Args:
        client: Whoever is asked.
        body: The request as JSON.
        refuses: Not empty once a request was refused for its form: then none is sent any more.

    Raises:
        ApiError: The request failed for good.
    """
    bare = {name: value for name, value in body.items() if name != "response_format"}
    if refuses or bare == body:
        return await client.chat(bare)
    try:
        return await client.chat(body)
    except ApiError as error:
        said = error.failure.said.lower()
        if error.failure.code != "request" or not ("response_format" in said or "json_schema" in said):
            raise
        refuses.append(True)
        return await client.chat(bare)
