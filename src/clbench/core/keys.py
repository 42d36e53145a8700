"""Identity of everything that is stored: one canonical JSON and one digest."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from clbench.core.value import Value

if TYPE_CHECKING:
    import numpy as np

KEY_LENGTH = 32
# What Unicode calls default ignorable: it is not drawn. The tags that distinguish flags of regions are drawn.
_IGNORED = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_FLAG = "(\U0001f3f4[\U000e0020-\U000e007f]+)"
_INVISIBLE = re.compile(f"{_FLAG}|[{_IGNORED}\u200c\u200d]")
_JOINED = "\u0590-\u1cff\u2190-\u2bff\ua840-\ua8ff\ufb50-\ufdff\ufe0f\ufe70-\ufefc\U0001f000-\U0001faff"
_FORMLESS = re.compile(f"{_FLAG}|[{_IGNORED}]|(?<![{_JOINED}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED}])")


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no spaces, so that equal values give equal text in every process.

    Raises:
        TypeError: A value that JSON cannot hold.
        ValueError: NaN or infinity, which would compare unequal to themselves.

    Example:
        >>> canonical({"b": (1, 2.5), "a": None})
        '{"a":null,"b":[1,2.5]}'
    """
    return _ENCODER.encode(_plain(value))


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})  # most of what is digested


def _plain(value: object) -> Any:
    # Asked here and again of every part, since a call or another question of each takes as long as writing it.
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, BaseModel):
        return {name: v if type(v) in _AS_THEY_ARE else _plain(v) for name, v in _fields(value)}
    if isinstance(value, Mapping):
        return {str(k): v if type(v) in _AS_THEY_ARE else _plain(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # a bare Mapping has no item types
    if isinstance(value, (set, frozenset, list, tuple)):
        parts = [v if type(v) in _AS_THEY_ARE else _plain(v) for v in value]  # pyright: ignore[reportUnknownVariableType]  # same
        return sorted(parts) if isinstance(value, (set, frozenset)) else parts
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("NaN and infinity have no place in a key")
    return value


def _fields(value: BaseModel) -> Iterable[tuple[str, object]]:
    """Return the fields of a value that stand in keys, by the names that they have there."""
    if not isinstance(value, Value):
        return vars(value).items()
    parts, (stored, newer) = value.kept(), _layout(type(value))
    if newer:
        parts = [(n, part) for n, part in parts if n not in newer or part != newer[n]]
    return [(stored.get(n, n), part) for n, part in parts] if stored else parts


@cache
def _layout(model: type[Value]) -> tuple[Mapping[str, str], Mapping[str, object]]:
    """Return the stored names of a class's fields, and the defaults of those newer than the first keys."""
    fields = model.model_fields
    return model.stored_as, {name: fields[name].default for name in model.absent_at_default if name in fields}


def digest(value: object) -> str:
    """Return the sha256 of the canonical JSON, 64 hex digits; halves of characters, which JSON may hold, count too.

    Example:
        >>> digest({"a": 1})[:8]
        '015abd7f'
    """
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def key(kind: str, **parts: object) -> str:
    """Return the key of a stage: 32 hex digits over its kind and its parts."""
    return digest({"kind": kind, **parts})[:KEY_LENGTH]


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def folder_digest(
    folder: Path, names: Iterable[str] | None = None, of_file: Callable[[Path], str] = file_digest
) -> str:
    """Return the sha256 over the relative names and contents of a folder's files; `of_file` may remember digests."""
    paths = sorted(folder.rglob("*")) if names is None else [folder / n for n in sorted(names)]
    return digest({p.relative_to(folder).as_posix(): of_file(p) for p in paths if p.is_file()})


def normal_text(text: str) -> str:
    r"""Return a text folded for comparison: no invisible characters, NFKC, lower case, runs of blanks as one.

    Example:
        >>> normal_text(" Ａ  b\n"), normal_text("so\u00adft\ufeff")
        ('a b', 'soft')
    """
    seen = text if text.isascii() else _INVISIBLE.sub(r"\1", text)
    return " ".join(unicodedata.normalize("NFKC", seen).lower().split())


def plain_label(text: str) -> str:
    r"""Return a label, or a choice, as it is taught and compared: NFC, no invisible characters, runs of blanks as one.

    Case, width and superscripts stay: `mW` and `MW`, `m2` and `m²` are two labels each. A joiner stays where it
    changes what is seen: between letters of a script that joins them, and between emoji.

    Example:
        >>> plain_label("\u200bcafe\u0301 \u00a0noir\n"), plain_label("m²")
        ('café noir', 'm²')
    """
    return " ".join(unicodedata.normalize("NFC", visible(text)).split())


def visible(text: str) -> str:
    r"""Return a text without invisible characters; a joiner stays where it changes what is seen.

    Example:
        >>> visible("so\u00adft\ufeff"), visible("\u845b\U000e0100") == "\u845b"
        ('soft', True)
    """
    return text if text.isascii() else _FORMLESS.sub(r"\1", text)


def rng(seed: int, number: int, purpose: str) -> np.random.Generator:
    """Return a generator from (seed, number, purpose): independent streams that no code shares by accident."""
    import numpy as np  # a tenth of a second that `clbench --help` does not need

    return np.random.default_rng(int(digest([seed, number, purpose])[:16], 16))


def seed_of(seed: int, number: int, purpose: str) -> int:
    """Return a 63-bit seed from (seed, number, purpose), for libraries that take a number."""
    return int(digest([seed, number, purpose])[:16], 16) >> 1
