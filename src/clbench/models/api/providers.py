"""Providers by name: where each is, and under which name its key stands in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from clbench.core.errors import SpecError
from clbench.models.api.client import PUBLIC, Address

OPENAI = "openai"
HTTP = ("http://", "https://")


def address_of(provider: str, providers: Mapping[str, str]) -> Address:
    """Return where a provider is asked, with its key: that of OpenAI is known, others the machine must say.

    Args:
        provider: Its name, as a recipe has it.
        providers: Name -> address, as the machine has it.

    Raises:
        ExtraError: aiohttp is not installed.
        SpecError: Its address is not known, or OpenAI's own is to be asked without a key.
    """
    from clbench.core.extras import need

    need("context", "aiohttp", "asking a model over HTTP")
    url = providers.get(provider) or (os.environ.get("OPENAI_BASE_URL") or PUBLIC if provider == OPENAI else "")
    if not url:
        mend = f"say where it is: --provider {provider}=https://HOST/v1"
        raise SpecError(f"nothing is known of the provider {provider!r}", where="--provider", mend=mend)
    if not url.startswith(HTTP):
        raise SpecError(f"{url!r} is not an address", where="--provider", mend="write http://... or https://...")
    name = key_name(provider)
    key = os.environ.get(name) or ""
    if url == PUBLIC and not key:
        raise SpecError(f"there is no key of the provider {provider!r}", where=name, mend=f"set it: export {name}=...")
    return Address(url, key)


def key_name(provider: str) -> str:
    """Return the environment variable that holds a provider's key.

    Example:
        >>> key_name("openai"), key_name("my-host")
        ('OPENAI_API_KEY', 'MY_HOST_API_KEY')
    """
    return f"{provider.upper().replace('-', '_')}_API_KEY"
