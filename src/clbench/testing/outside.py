"""What a learner keeps outside its state: globals of its modules, attributes of classes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from clbench.core import plugins
from clbench.core.imports import file_of
from clbench.core.keys import canonical, digest
from clbench.core.protocols import LearnerPlugin
from clbench.testing.bench import Bench

PLAIN = (int, float, str, bytes, bool, type(None))


def nothing_held_outside(bench: Bench) -> str:
    """Compare a learner's work alone with its work after another one: a difference was kept outside its state."""
    before = held_outside(bench.name, bench.plugin)
    alone = _digest_of_work(bench)
    learner = bench.learner(seed=1)
    for lesson in bench.lessons[:2][::-1]:
        learner.learn(lesson)
    learner.respond(bench.exam.examples, bench.exam.decode)
    if _digest_of_work(bench) == alone:
        return ""
    after = held_outside(bench.name, bench.plugin)
    moved = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    where = (
        f"{', '.join(moved[:5])} changed"
        if moved
        else "look at defaults of arguments, files, the clock, unseeded randomness"
    )
    return (
        "it works otherwise after another learner has worked in the same process, so it keeps state outside of itself: "
        f"{where}; keep it in self, and return it in `state` or `answer_state`"
    )


def _digest_of_work(bench: Bench) -> str:
    """Return the digest of a fresh learner's states and answers over two lessons."""
    learner, found = bench.learner(), list[str]()
    for lesson in bench.lessons[:2]:
        learner.learn(lesson)
        found += [bench.state(learner), canonical(learner.respond(bench.exam.examples, bench.exam.decode))]
    return digest(found)


def held_outside(name: str, plugin: LearnerPlugin[Any]) -> dict[str, str]:
    """Return a description of the globals of a learner's modules, and of the attributes of their classes.

    Args:
        name: The learner's name, `file.py:Class` of a user's own.
        plugin: The plug-in of that name.

    Returns:
        "module.NAME" or "module.Class.NAME" -> a text that changes with the value.
    """
    found: dict[str, str] = {}
    for title, module in _modules(name, plugin).items():
        for label, value in vars(module).items():
            if label.startswith("__") or isinstance(value, ModuleType):
                continue
            if isinstance(value, type):
                if value.__module__ == module.__name__:
                    found |= _of_class(f"{title}.{label}", value)
            elif not callable(value):
                found[f"{title}.{label}"] = described(value)
    return found


def _modules(name: str, plugin: LearnerPlugin[Any]) -> Mapping[str, ModuleType]:
    owned = plugins.find_user_file(name)
    if owned is None:
        module = sys.modules[plugin.config.__module__]
        return {module.__name__: module}
    files = {file.resolve() for file in owned.parts.values()}
    beside = {n: m for n, m in list(sys.modules.items()) if file_of(m) in files}
    return {owned.path.stem: plugins.module_of(owned), **beside}


def _of_class(title: str, kind: type) -> dict[str, str]:
    return {
        f"{title}.{label}": described(value)
        for label, value in vars(kind).items()
        if not label.startswith("_") and not callable(value)
    }


def described(value: object, depth: int = 6) -> str:
    """Return a description of a value that differs from that of any other value.

    Example:
        >>> described({"a": [1, 2]}) == described({"a": [1, 2]}), described([1]) == described([2])
        (True, False)
    """
    if isinstance(value, PLAIN):
        return repr(value)
    if depth == 0:
        return type(value).__name__
    if isinstance(value, Mapping):
        pairs = [f"{described(k, depth - 1)}: {described(v, depth - 1)}" for k, v in value.items()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # a bare Mapping has no item types
        return f"{type(value).__name__}({', '.join(pairs)})"
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = [described(v, depth - 1) for v in value]  # pyright: ignore[reportUnknownVariableType]  # same
        return f"{type(value).__name__}({', '.join(sorted(parts) if isinstance(value, (set, frozenset)) else parts)})"
    try:
        inside = vars(value)
    except TypeError:  # tensors, arrays and iterators show their values, or at least whether they moved on
        return f"{type(value).__name__} {value!r}"
    return f"{type(value).__name__} {described(inside, depth - 1)} {value!r}" if inside else repr(value)
