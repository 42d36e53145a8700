"""A mapping whose values are made when they are first read: most readers want few of a run's figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

V = TypeVar("V")


class OnDemand(Mapping[str, V]):
    """Values by name, each made once, when it is first read.

    Args:
        makers: What makes the value of each name.
    """

    def __init__(self, makers: Mapping[str, Callable[[], V]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        """Return the value of a name, and make it if this is the first time."""
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a name; nothing is made."""
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._makers)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._makers)

    def __repr__(self) -> str:
        """Return the values as text; makes those that are not made yet."""
        return repr(dict(self))
