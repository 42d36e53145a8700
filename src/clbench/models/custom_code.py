"""Code that a checkpoint brings along (`auto_map`): it runs only where the spec names its digest. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clbench.core.errors import ModelError
from clbench.core.keys import KEY_LENGTH, folder_digest

FIELD = "model.trust_code"


def code_digest(folder: Path) -> str:
    """Return the digest of a checkpoint's Python files, by their names and contents, 32 hex digits; "" without any.

    Folders whose names begin with a dot, and `__pycache__`, do not count.
    """
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if _counts(path.relative_to(folder))]
    return folder_digest(folder, names)[:KEY_LENGTH] if names else ""


def _counts(path: Path) -> bool:
    return not any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def check_code(trusted: str, folder: Path | None, name: str, stated: tuple[Mapping[str, Any], ...]) -> None:
    """Refuse to trust code that is not the one whose digest is named.

    Args:
        trusted: The digest in the spec.
        folder: The checkpoint; None for one on the Hub.
        name: The model, as the user names it.
        stated: Its files that may name code: config.json and tokenizer_config.json.

    Raises:
        ModelError: The code has another digest, there is none, or it lies in another repository; or the model is on
            the Hub.
    """
    if folder is None:
        mend = "download it, read its code, and name the folder"
        raise ModelError(f"code of the Hub model {name!r} is not run", where=FIELD, mend=mend)
    found = code_digest(folder)
    if not found:
        raise ModelError(f"{name!r} holds no code (*.py)", where=FIELD, mend="leave `trust_code` out")
    if foreign := [place for each in stated for place in _named(each.get("auto_map")) if "--" in place]:
        what = f"{name!r} takes code from another repository ({foreign[0]}), which no digest covers"
        mend = "copy that code beside config.json, and name it there in auto_map"
        raise ModelError(what, where=FIELD, mend=mend)
    if found != trusted:
        what = f"the code of {name!r} has the digest {found}, not {trusted}"
        raise ModelError(what, where=FIELD, mend="read what has changed, and name the new digest")


def _named(auto: Any) -> Iterator[str]:
    """Yield the places that an `auto_map` names, in whatever form."""
    if isinstance(auto, str):
        yield auto
    elif isinstance(auto, (Mapping, list)):
        for part in auto.values() if isinstance(auto, Mapping) else auto:
            yield from _named(part)


def refused_code(folder: Path | None, name: str) -> ModelError:
    """Return the error for a checkpoint that does not load without code of its own: it says the digest."""
    found = "" if folder is None else code_digest(folder)
    if not found:
        return ModelError(
            f"{name!r} needs code of its own (auto_map), which is not in its folder",
            where="model.name",
            mend="download its *.py files beside config.json, or use a model that transformers knows",
        )
    return ModelError(
        f"{name!r} needs code of its own (auto_map), which does not run unasked: *.py with the digest {found}",
        where=FIELD,
        mend=f"read it, and write `trust_code: {found}` under `model:` of a recipe; or use a model that transformers "
        "knows",
    )
