"""Find plug-ins: the folder is the registry, the file name is the plug-in's name."""

from __future__ import annotations

import importlib
from functools import lru_cache
from importlib import resources
from importlib.metadata import entry_points
from types import ModuleType

from clbench.core.errors import SpecError, did_you_mean

ROOMS = {"learner": "clbench.learners", "scorer": "clbench.scoring", "metric": "clbench.metrics"}


@lru_cache(maxsize=len(ROOMS))
def _installed(kind: str) -> dict[str, str]:
    # Scanning entry points reads the metadata of every installed package: once per process is enough.
    return {e.name: e.module for e in entry_points(group=f"clbench.{kind}s")}


def names(kind: str) -> list[str]:
    """List the plug-ins of a kind ("learner", "scorer", "metric") without importing any."""
    folder = resources.files(ROOMS[kind])
    shipped = {
        entry.name.removesuffix(".py")
        for entry in folder.iterdir()
        if entry.name.endswith(".py") and not entry.name.startswith("_")
    }
    return sorted(shipped | set(_installed(kind)))


def load(kind: str, name: str, attribute: str, where: str = "") -> object:
    """Give a plug-in's declaration.

    Args:
        kind: "learner", "scorer" or "metric".
        name: A file name in the kind's room, an entry-point name, or a dotted module path.
        attribute: The module's attribute that declares it, such as "PLUGIN".
        where: Where the user wrote the name, for the error.

    Raises:
        SpecError: There is no such plug-in, or its module does not declare one.
    """
    module = _module(kind, name, where)
    if attribute not in vars(module):
        raise SpecError(
            f"module {module.__name__} declares no {attribute}",
            where=where,
            mend=f"a {kind} plug-in ends with {attribute} = ...; see CONTRIBUTING.md",
        )
    return vars(module)[attribute]


def _module(kind: str, name: str, where: str) -> ModuleType:
    shipped = f"{ROOMS[kind]}.{name}"
    if "." not in name and name in names(kind):
        return importlib.import_module(_installed(kind).get(name, shipped))
    if "." in name:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise SpecError(f"there is no {kind} {name!r}", where=where, mend=did_you_mean(name, names(kind)))
