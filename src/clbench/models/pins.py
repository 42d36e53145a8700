"""Paths whose content is part of a spec: written as `path@digest`, so that the same path with other content shows."""

from __future__ import annotations

import re

from clbench.core.errors import ModelError

PIN = re.compile(r"@([0-9a-f]{16})$")


def unpinned(path: str) -> str:
    """Return a path without its digest.

    Example:
        >>> unpinned("chat.jinja@0123456789abcdef"), unpinned("a@b/chat.jinja")
        ('chat.jinja', 'a@b/chat.jinja')
    """
    return PIN.sub("", path)


def pin(path: str, digest: str, where: str) -> str:
    """Return a path with the digest of what lies there, of at least 16 hex digits.

    Raises:
        ModelError: It has the digest of something else.

    Example:
        >>> pin("chat.jinja", "0123456789abcdef0123", "model.template.file")
        'chat.jinja@0123456789abcdef'
    """
    found, stated = digest[:16], PIN.search(path)
    if stated is not None and stated[1] != found:
        what = f"{unpinned(path)} is not what it was when this was written: its digest is {found}, not {stated[1]}"
        raise ModelError(what, where=where, mend="bring it back, or leave out what stands behind the @")
    return f"{unpinned(path)}@{found}"
