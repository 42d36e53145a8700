"""Jinja for templates of unknown origin: the sandbox, with bounds on time, steps and size.

The sandbox keeps a template away from Python; it does not keep it from looping for ever, or from writing a text that
fills the memory. Here every turn of a loop and every call is counted. The length of a value is bounded before it is
made. A list may hold another one many times: its length as text counts, not its memory.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from clbench.models.weight import MOST_TEXT, formatted, promised, times, weight

MOST_SOURCE = 1 << 17  # characters of a template; longer ones take Python long to compile
MOST_MADE = 1 << 28  # of all values of one conversation
MOST_STEPS = 300_000
MOST_SECONDS = 10.0
MOST_BITS = 1 << 14  # of a whole number
LOOKS = 256  # lookups of attributes and items between looks at the clock
# Filters that neither write a value nor walk what is inside it.
LIGHT = frozenset(
    {"length", "count", "first", "last", "list", "default", "d", "items", "map"}
    | {"select", "reject", "selectattr", "rejectattr"}
)


class TooMuchError(TemplateError):
    """A template that takes more time or room than any conversation needs."""


class Bounded(ImmutableSandboxedEnvironment):
    """The sandbox, bounded; `begin` sets the counts to 0 for each conversation."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(finalize=self.limited, **settings)
        self.begin()
        self.filters.update({name: self.guarded(name, how) for name, how in self.filters.items()})
        self.tests.update({name: self.guarded(name, how) for name, how in self.tests.items()})
        self.concat = self.joined  # pyright: ignore[reportAttributeAccessIssue]  # jinja's own place for it

    def begin(self) -> None:
        """Forget what was counted."""
        self._steps, self._size, self._looks, self._until = 0, 0, 0, time.monotonic() + MOST_SECONDS

    def step(self) -> str:
        """Count a turn of a loop or a call.

        Raises:
            TooMuchError: There were too many, or they took too long.
        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooMuchError(f"it takes more than {MOST_STEPS:,} steps")
        self._in_time()
        return ""

    def _in_time(self) -> None:
        if time.monotonic() > self._until:
            raise TooMuchError(f"it takes more than {MOST_SECONDS:g} seconds")

    def _look(self) -> None:
        self._looks += 1
        if self._looks % LOOKS == 0:
            self._in_time()

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item; jinja's filters may look up any number of them between two steps."""
        self._look()
        return super().getitem(obj, argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an attribute, as `getitem` does."""
        self._look()
        return super().getattr(obj, attribute)

    def room(self, size: int) -> None:
        """Count a value that is about to be made.

        Raises:
            TooMuchError: It, or all of them together, are too long.
        """
        self._size += size
        if size > MOST_TEXT or self._size > MOST_MADE:
            raise TooMuchError(f"it makes a text or list of more than {MOST_TEXT:,} characters, or very many long ones")

    def counted_value(self, value: Any) -> Any:
        """Return a new value after counting its size, with all that is inside it."""
        self.step()
        self.room(weight(value))
        return value

    def limited(self, value: Any) -> Any:
        """Return a value that is about to be written or compared, if it is short enough; else raise TooMuchError."""
        if not isinstance(value, str) and weight(value) > MOST_TEXT:
            self.room(MOST_TEXT + 1)
        return value

    def joined(self, parts: Iterable[str]) -> str:
        """Return parts as one text; it serves as jinja's `concat` and for `~`."""
        found: list[str] = []
        for part in parts:
            self.room(len(part))
            found.append(part)
        self.room(sum(map(len, found)))
        return "".join(found)

    def tilde(self, *parts: Any) -> str:
        """Return what `a ~ b` writes."""
        return self.joined(str(self.limited(part)) for part in parts)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MOST_SOURCE:
            raise TooMuchError(f"it has more than {MOST_SOURCE:,} characters")
        return _Counting().visit(super()._parse(source, name, filename))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Return the result of an operator that may make values longer."""
        self.step()
        numbers = isinstance(left, int) and isinstance(right, int)
        if operator == "*":
            self.room(0 if numbers else times(left, right))
            self.room(MOST_TEXT + 1 if numbers and left.bit_length() + right.bit_length() > MOST_BITS else 0)
        elif operator == "**" and numbers:
            self.room(MOST_TEXT + 1 if left.bit_length() * abs(right) > MOST_BITS else 0)
        elif operator == "%" and isinstance(left, str):
            self.room(formatted(left, [self.limited(right)]))
        elif operator == "+" and not numbers:
            self.room(weight(left) + weight(right))
        return self.counted_value(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # as jinja has it
        """Return the result of a call that a template makes."""
        __self.step()
        name, owner = _whose(__obj)
        values = [owner, *args, *kwargs.values()]
        __self.room(promised(name, [__self.limited(value) for value in values]))
        return __self.counted_value(super().call(__context, __obj, *args, **kwargs))

    def guarded(self, name: str, how: Callable[..., Any]) -> Callable[..., Any]:
        """Return a filter or test that is counted, and bounded in the length of its result."""

        @wraps(how)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.step()
            if name not in LIGHT:
                self.room(promised(name, [self.limited(value) for value in (*args, *kwargs.values())]))
            return self.counted_value(how(*args, **kwargs))

        return counted


class _Counting(NodeTransformer):
    """Adds the counting of loops, macros, lists and mappings, and makes `~` a call; templates cannot name these."""

    def _counted(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("step", [], node.lineno), lineno=node.lineno))
        return node

    visit_For = visit_Macro = visit_CallBlock = _counted  # as jinja calls them

    def _weighed(self, node: Any) -> Any:
        self.generic_visit(node)
        named = isinstance(node, nodes.Tuple) and node.ctx != "load"  # names that are set
        return node if named else _call("counted_value", [node], node.lineno)

    visit_List = visit_Tuple = visit_Dict = _weighed  # as jinja calls them

    def visit_Concat(self, node: Any) -> Any:  # noqa: N802  # as jinja calls it
        self.generic_visit(node)
        return _call("tilde", node.nodes, node.lineno)


def _call(name: str, args: list[Any], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name, lineno=line), args, [], None, None, lineno=line)


def _whose(called: Any) -> tuple[str, Any]:
    """Return the name of a callable, and the object whose method it is; the sandbox wraps `format`."""
    try:
        name = str(called.__name__)
        return name, inspect.unwrap(called).__self__
    except AttributeError:
        return (str(called.__name__), None) if inspect.isroutine(called) else ("", None)
