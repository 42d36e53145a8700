"""The chat template and its arguments that a spec names, in place of what the checkpoint says; no torch."""

from __future__ import annotations

import hashlib
from typing import Any

from clbench.core.errors import ModelError, near_paths
from clbench.core.spec import ModelSpec, TemplateSpec
from clbench.models.pins import pin, unpinned
from clbench.models.place import path_of

FIELD = "model.template.file"


def text_of(spec: ModelSpec) -> str | None:
    """Return the template's text in the file that a spec names; None where it names none.

    Raises:
        ModelError: There is no such file, or it is empty or not a text.
    """
    return None if spec.template is None or spec.template.file is None else _text(spec.template.file)


def arguments_of(spec: ModelSpec) -> dict[str, Any]:
    """Return the arguments that a spec gives to the chat template, by name."""
    return {} if spec.template is None else dict(spec.template.arguments)


def identity(template: TemplateSpec) -> dict[str, Any]:
    """Return what a template's file says, as a digest, and its arguments; its path does not matter."""
    own = {} if template.file is None else {"text": _digest(template.file)}
    return own | ({"arguments": dict(template.arguments)} if template.arguments else {})


def pinned(template: TemplateSpec) -> TemplateSpec:
    """Return a template whose file is written with its digest.

    Raises:
        ModelError: It has the digest of another text, or there is no such file.
    """
    if template.file is None:
        return template
    return template.model_copy(update={"file": pin(template.file, _digest(template.file), FIELD)})


def _digest(file: str) -> str:
    return hashlib.sha256(_text(file).encode()).hexdigest()


def _text(file: str) -> str:
    path = path_of(unpinned(file))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ModelError(f"there is no file {str(path)!r}", where=FIELD, mend=near_paths(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        mend = "name a Jinja template, a text in UTF-8"
        raise ModelError(f"{path} cannot be read: {error}", where=FIELD, mend=mend) from error
    if not text.strip():
        raise ModelError(f"{path} is empty", where=FIELD, mend="write the template into it, or leave `file` out")
    return text
