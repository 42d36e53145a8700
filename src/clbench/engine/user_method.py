"""A method from a user's own file: `my_file.py:MyL2` names a `Method` subclass, or a `LearnerPlugin`."""

from __future__ import annotations

import difflib
import inspect
from functools import lru_cache
from typing import Any

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.events import notice
from clbench.core.older_names import KEYWORDS
from clbench.core.protocols import LearnerPlugin
from clbench.core.traits import ALLOWED
from clbench.core.traits import NAMES as TRAITS
from clbench.training.method import Method
from clbench.training.new_method import place_of, refuse_older_hooks
from clbench.training.plugin import plugin
from clbench.training.settings import Training

CLOSE = 0.85  # how alike a name and that of a hook are, of 1, where it may be misspelt
HINT = "see docs/tutorial-method.md"


def open_user_method(owned: plugins.UserFile, where: str = "learner.name") -> LearnerPlugin[Any]:
    """Return the plug-in of a method in a user's file.

    A file that ends with `PLUGIN = plugin(Config, MyL2, ...)` declares it. A class alone is wrapped: its settings are
    its `Config`, inside the class or beside it, else those of plain training.

    Raises:
        SpecError: The file does not import, what the name points at is not a method, or its hooks have older names.
    """
    found = plugins.load_user_file(owned, where)
    if isinstance(found, LearnerPlugin):
        if isinstance(found.method, type) and issubclass(found.method, Method):
            _tell_unused(found.method)
        return found
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise SpecError(
            f"{owned.attribute} of {owned.path} is not a Method",
            where=where,
            mend=f"write `import clbench as cl`, then class {owned.attribute}(cl.Method); {HINT}",
        )
    refuse_older_hooks(found, where)
    _tell_unused(found)
    declared = vars(plugins.module_of(owned)).get("PLUGIN")
    if isinstance(declared, LearnerPlugin) and declared.method is found:
        return declared
    if declared is not None and not isinstance(declared, LearnerPlugin):
        raise SpecError(
            f"PLUGIN of {owned.path} is a {type(declared).__name__}, not what cl.plugin(...) returns",
            where=where,
            mend=f"write PLUGIN = cl.plugin(Config, {owned.attribute}, version=1), or leave PLUGIN out",
        )
    if declared is not None:
        raise SpecError(
            f"PLUGIN of {owned.path} does not say that it trains with {owned.attribute}",
            where=where,
            mend=f"write PLUGIN = plugin(Config, {owned.attribute}, version=1), or name {owned.path}:PLUGIN",
        )
    return _wrapped(found, owned, where)


def _wrapped(method: type[Method], owned: plugins.UserFile, where: str) -> LearnerPlugin[Any]:
    config = vars(method).get("Config") or vars(plugins.module_of(owned)).get("Config") or Training
    if not (isinstance(config, type) and issubclass(config, Training)):
        raise SpecError(
            f"Config of {owned.attribute} in {owned.path} does not extend Training",
            where=where,
            mend=f"write `import clbench as cl`, then class Config(cl.Training); {HINT}",
        )
    return plugin(
        config,
        method if _takes_config(method, owned, where) else lambda _: method(),
        version=1,
        **_traits_of(method),
    )


def _traits_of(method: type[Method]) -> dict[str, Any]:
    """Return the traits that a class alone declares as attributes, such as `stores = "none"`."""
    return {name: value for name, value in _written(method).items() if name in TRAITS}


def _written(method: type[Method]) -> dict[str, Any]:
    """Return what a class and the users' classes above it define; the nearest one wins."""
    own = [kind for kind in method.__mro__ if issubclass(kind, Method) and not kind.__module__.startswith("clbench.")]
    return {name: value for kind in reversed(own) for name, value in vars(kind).items()}


def _tell_unused(method: type[Method]) -> None:
    """Give a notice of names that look like hooks or traits, and are neither: nothing reads them."""
    known = [name for name in (*vars(Method), *TRAITS) if not name.startswith("_")]
    for name in (n for n in _written(method) if not n.startswith("_") and n not in known):
        if name in ALLOWED:
            _tell_near(place_of(method), name, f"PLUGIN = cl.plugin(..., {name}=...)")
            continue
        near = [KEYWORDS[name]] if name in KEYWORDS else difflib.get_close_matches(name, known, n=1, cutoff=CLOSE)
        if near:
            _tell_near(place_of(method), name, near[0])


@lru_cache(maxsize=256)
def _tell_near(place: str, name: str, near: str) -> None:
    """Give the notice once per name, however often the file is opened."""
    notice(f"{place} has {name!r}, which clbench does not read; {near!r} is what it reads")


def _takes_config(method: type[Method], owned: plugins.UserFile, where: str) -> bool:
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
