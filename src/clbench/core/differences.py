"""In what two mappings differ, as a reader may be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

NOTHING = "–"


def differences(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, value here, value there) of each field in which two mappings differ; "–" where one lacks it.

    Example:
        >>> list(differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": None}))
        [('a.c', 2, 3), ('d', '–', None)]
    """
    for name in dict.fromkeys([*one, *two]):
        mine, theirs = one.get(name, NOTHING), two.get(name, NOTHING)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            inner = differences(cast(Mapping[str, Any], mine), cast(Mapping[str, Any], theirs))
            yield from ((f"{name}.{path}", a, b) for path, a, b in inner)
        elif mine != theirs:
            yield name, mine, theirs
