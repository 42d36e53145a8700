"""A method from a user's own file: `my_file.py:MyL2` names a `Method` subclass, or a `LearnerPlugin`."""

from __future__ import annotations

import inspect
from typing import Any

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.protocols import LearnerPlugin
from clbench.learners._method import Method
from clbench.learners._training import Training, plugin

HINT = "see docs/tutorial-method.md"


def open_own(owned: plugins.Own, where: str = "learner.name") -> LearnerPlugin[Any]:
    """Give the plug-in of a method in a user's file.

    A file that ends with `PLUGIN = plugin(Config, MyL2, ...)` declares it. A class alone is wrapped: its settings are
    its `Config`, inside the class or beside it, else those of plain training.

    Raises:
        SpecError: The file does not import, or what the name points at is no method.
    """
    found = plugins.load_own(owned, where)
    if isinstance(found, LearnerPlugin):
        return found
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise SpecError(
            f"{owned.attribute} of {owned.path} is no Method",
            where=where,
            mend=f"write class {owned.attribute}(Method), Method from clbench.learners._method; {HINT}",
        )
    declared = vars(plugins.module_of(owned)).get("PLUGIN")
    if isinstance(declared, LearnerPlugin) and declared.method is found:
        return declared
    if declared is not None:
        raise SpecError(
            f"PLUGIN of {owned.path} does not say that it trains with {owned.attribute}",
            where=where,
            mend=f"write PLUGIN = plugin(Config, {owned.attribute}, version=1), or name {owned.path}:PLUGIN",
        )
    return _wrapped(found, owned, where)


def _wrapped(method: type[Method], owned: plugins.Own, where: str) -> LearnerPlugin[Any]:
    config = vars(method).get("Config") or vars(plugins.module_of(owned)).get("Config") or Training
    if not (isinstance(config, type) and issubclass(config, Training)):
        raise SpecError(
            f"Config of {owned.attribute} in {owned.path} does not extend Training",
            where=where,
            mend=f"write class Config(Training), Training from clbench.learners._training; {HINT}",
        )
    return plugin(
        config,
        method if _takes_config(method, owned, where) else lambda _: method(),
        version=1,
        stores=vars(method).get("stores"),
    )


def _takes_config(method: type[Method], owned: plugins.Own, where: str) -> bool:
    given = inspect.signature(method).parameters.values()
    needed = [p for p in given if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    odd = [p for p in given if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
    if len(needed) > 1 or odd:
        raise SpecError(
            f"{owned.attribute} of {owned.path} cannot be made from its settings alone",
            where=where,
            mend=f"write def __init__(self, config) in it; {HINT}",
        )
    return any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in given)
