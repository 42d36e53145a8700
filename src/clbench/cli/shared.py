"""Options that several verbs share: a verb takes them as one object, and the command line has each by itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def with_shared(name: str, options: type) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Return a decorator: the verb gets the options of a dataclass in the place of its parameter of that name.

    Args:
        name: The parameter that takes them.
        options: A dataclass whose fields are options of typer, each with a default.
    """
    shared, given_fields = get_type_hints(options, include_extras=True), fields(options)

    def decorated(verb: Callable[..., R]) -> Callable[..., R]:
        own = inspect.signature(verb).parameters
        hints = get_type_hints(verb, include_extras=True)
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [p.replace(annotation=hints[n], kind=keyword) for n, p in own.items() if n != name]
        parameters += [_parameter(f, shared[f.name]) for f in given_fields]

        def called(**given: Any) -> R:
            values = {f.name: given.pop(f.name) for f in given_fields if f.name in given}
            return verb(**given, **{name: options(**values)})

        called.__name__, called.__doc__, called.__module__ = verb.__name__, verb.__doc__, verb.__module__
        called.__annotations__ = {p.name: p.annotation for p in parameters}
        vars(called)["__signature__"] = inspect.Signature(parameters)
        return called

    return decorated


def _parameter(field: Field[Any], annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)
