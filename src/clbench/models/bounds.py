"""Jinja for strangers' templates: the sandbox, with bounds on time, steps and size.

The sandbox keeps a template away from Python; it does not keep it from looping for ever, or from writing a text that
fills the memory. Here every turn of a loop and every call is counted, and whatever makes a value longer is asked before
how long it would be.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST_SOURCE = 1 << 20  # characters of a template
MOST_TEXT = 1 << 23  # characters or items of one value
MOST_MADE = 1 << 28  # of all values of one conversation
MOST_STEPS = 300_000
MOST_SECONDS = 10.0
MOST_BITS = 1 << 14  # of a whole number
NUMBER = re.compile(r"\d{6,}")
REPEATS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "indent", "batch", "slice"})


class TooMuchError(TemplateError):
    """A template that takes more time or room than any conversation needs."""


class Bounded(ImmutableSandboxedEnvironment):
    """The sandbox, bounded; `begin` opens a new account for each conversation."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.begin()
        self.filters.update({name: self._guarded(name, how) for name, how in self.filters.items()})
        self.concat = self.joined  # pyright: ignore[reportAttributeAccessIssue]  # jinja's own place for it

    def begin(self) -> None:
        """Forget what was counted."""
        self._steps, self._made, self._until = 0, 0, time.monotonic() + MOST_SECONDS

    def step(self) -> str:
        """Count a turn of a loop or a call.

        Raises:
            TooMuchError: There were too many, or they took too long.
        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooMuchError(f"it takes more than {MOST_STEPS:,} steps")
        if time.monotonic() > self._until:
            raise TooMuchError(f"it takes more than {MOST_SECONDS:g} seconds")
        return ""

    def room(self, size: int) -> None:
        """Count a value that is about to be made.

        Raises:
            TooMuchError: It, or all of them together, are too long.
        """
        self._made += size
        if size > MOST_TEXT or self._made > MOST_MADE:
            raise TooMuchError(f"it makes a text or list of more than {MOST_TEXT:,} characters, or very many long ones")

    def joined(self, parts: Iterable[str]) -> str:
        """Return parts as one text: jinja's `concat`, and what `~` becomes."""
        found: list[str] = []
        for part in parts:
            self.room(len(part))
            found.append(part)
        self.room(sum(map(len, found)))
        return "".join(found)

    def tilde(self, *parts: Any) -> str:
        """Return what `a ~ b` writes."""
        return self.joined(map(str, parts))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MOST_SOURCE:
            raise TooMuchError(f"it has more than {MOST_SOURCE:,} characters")
        return _Counting().visit(super()._parse(source, name, filename))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute an operator that makes values longer."""
        self.step()
        numbers = isinstance(left, int) and isinstance(right, int)
        if operator == "*":
            self.room(_times(left, right))
        elif operator == "**" and numbers:
            self.room(MOST_TEXT + 1 if left.bit_length() * abs(right) > MOST_BITS else 0)
        elif operator == "%" and isinstance(left, str):
            self.room(_formatted(left, [right]))
        elif operator == "+" and not numbers:
            self.room(_size(left) + _size(right))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # as jinja has it
        """Call what a template calls."""
        __self.step()
        name, owner = _whose(__obj)
        __self.room(_promised(name, [owner, *args, *kwargs.values()]))
        found = super().call(__context, __obj, *args, **kwargs)
        __self.room(_size(found))
        return found

    def _guarded(self, name: str, how: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(how)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.step()
            self.room(_promised(name, [*args, *kwargs.values()]))
            found = how(*args, **kwargs)
            self.room(_size(found))
            return found

        return guarded


class _Counting(NodeTransformer):
    """Counts every turn of a loop and every macro, and makes `~` a call; none of it can be named by a template."""

    def _counted(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("step", [], node.lineno), lineno=node.lineno))
        return node

    visit_For = visit_Macro = visit_CallBlock = _counted  # as jinja calls them

    def visit_Concat(self, node: Any) -> Any:  # noqa: N802  # as jinja calls it
        self.generic_visit(node)
        return _call("tilde", node.nodes, node.lineno)


def _call(name: str, args: list[Any], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name, lineno=line), args, [], None, None, lineno=line)


def _whose(called: Any) -> tuple[str, Any]:
    """Give the name of what is called, and whose method it is; the sandbox wraps `format`."""
    try:
        name = str(called.__name__)
        return name, inspect.unwrap(called).__self__
    except AttributeError:
        return (str(called.__name__), None) if inspect.isroutine(called) else ("", None)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, list, tuple, dict)) else 0


def _times(left: Any, right: Any) -> int:
    if isinstance(left, int) and isinstance(right, int):
        return MOST_TEXT + 1 if left.bit_length() + right.bit_length() > MOST_BITS else 0
    pairs = ((left, right), (right, left))
    return max((_size(value) * number for value, number in pairs if isinstance(number, int)), default=0)


def _formatted(text: str, values: list[Any]) -> int:
    """Return the most characters that a text with places for values can become."""
    if NUMBER.search(text) or "*" in text:
        return MOST_TEXT + 1
    inside: list[Any] = []
    for value in values:
        parts: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        inside += parts if isinstance(value, (tuple, list, Mapping)) else [value]
    widest = max((_size(v) if isinstance(v, (str, bytes)) else len(repr(v)) for v in inside), default=0)
    return len(text) + (text.count("%") + text.count("{")) * (widest + 10**5)


def _promised(name: str, args: list[Any]) -> int:
    """Return how long the result of a method or filter is at most, where it can be longer than what goes in."""
    texts = [a for a in args if isinstance(a, str)]
    longest = max(map(len, texts), default=0)
    numbers = [abs(a) for a in args if isinstance(a, int)]
    if name == "join":
        items = [a for a in args if isinstance(a, (list, tuple))]
        widest = max((len(str(i)) for each in items for i in each), default=0)
        return sum(map(len, items)) * (widest + min(map(len, texts), default=0))
    if name == "replace" and len(texts) > 2:
        return len(texts[0]) + (texts[0].count(texts[1]) * len(texts[2]))
    if name in ("format", "format_map") and texts:
        return _formatted(texts[0], args[1:]) if "{" in texts[0] or "%" in texts[0] else len(texts[0])
    if name == "generate_lorem_ipsum":
        return 1000 * max(numbers, default=0) ** 2
    if name in REPEATS:
        lines = max((t.count("\n") + t.count("\t") + 1 for t in texts), default=1)
        return longest + lines * max(numbers, default=0)
    return MOST_TEXT + 1 if max(numbers, default=0) > 1 << 40 else 0
