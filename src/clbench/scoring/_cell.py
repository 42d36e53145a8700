"""Run inside a sandbox cell, by path and without clbench: shut the doors, then run what comes on the standard input.

    python -I -S _cell.py LEVEL ROLE MEMORY_BYTES CPU_SECONDS PARENT.NUMBER FILTER GROUPS [READ_END WRITE_END]

LEVEL: see `_doors.py`, which stands beside it. FILTER: the seccomp filter, in hexadecimal digits. GROUPS: open files
that take the cell into control groups, joined by ",". ROLE "candidate" answers calls; ROLE "judge" runs tests and
calls. See docs/sandbox.md.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import json
import os
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from typing import Any

LONGEST = 4 << 20  # bytes of one message
MOST_CALLS = 20_000
DEEPEST = 40

# --- messages -----------------------------------------------------------------------------------------------
# Values cross as JSON with tags; nothing that arrives is ever evaluated or unpickled.

PLAIN: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
SIMPLE: dict[str, Any] = {
    "int": lambda body: int(body, 16),
    "float": float,
    "complex": complex,
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": lambda body: range(*body),
    "type": lambda body: vars(builtins)[body],
}
MAPS: dict[str, Any] = {"dict": dict, "Counter": Counter, "OrderedDict": OrderedDict}


class Kept:
    """A value that stays on the other side: to be handed back, iterated, called, its attributes read and set."""

    __slots__ = ("number", "wire")

    def __init__(self, number: int, wire: Wire) -> None:
        object.__setattr__(self, "number", number)
        object.__setattr__(self, "wire", wire)

    def __iter__(self) -> Any:
        return iter(self.wire.call("iterate", self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.wire.call("apply", self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return self.wire.call("get", self, (name,), {})

    def __setattr__(self, name: str, value: Any) -> None:
        self.wire.call("set", self, (name, value), {})


class Wire:
    """One end of the line between the two cells."""

    def __init__(self, reads: int, writes: int) -> None:
        self.reads, self.writes = reads, writes
        self.kept: list[Any] = []
        self.calls = 0

    def send(self, value: Any) -> None:
        body = json.dumps(value).encode()
        if len(body) > LONGEST:
            raise ValueError("too long a message")
        body = struct.pack(">I", len(body)) + body
        while body:
            body = body[os.write(self.writes, body) :]

    def receive(self) -> Any:
        (size,) = struct.unpack(">I", self._exactly(4))
        if size > LONGEST:
            raise ValueError("too long a message")
        return json.loads(self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = os.read(self.reads, min(size, 1 << 16))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def call(self, *what: Any) -> Any:
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise RuntimeError("too many calls")
        self.send([self.pack(part) for part in what])
        kind, value = self.receive()
        if kind != "value":
            raise RuntimeError(f"the program raised {str(value)[:300]}")
        return self.unpack(value)

    def pack(self, value: Any, depth: int = 0) -> Any:
        if depth > DEEPEST:
            raise ValueError("too deep a value")
        if value is None or type(value) in (bool, str):
            return value
        if type(value) is list:
            return [self.pack(v, depth + 1) for v in value]
        if type(value) is Kept and value.wire is self:
            return {"t": "yours", "v": value.number}
        kind, body = self._body(value, depth + 1)
        if kind == "mine":
            self.kept.append(value)
        return {"t": kind, "v": body}

    def _body(self, value: Any, depth: int) -> tuple[str, Any]:
        """Return (tag, content); what has no form of its own stays here, under a number."""
        kind = type(value).__name__
        if type(value) in (int, float, complex):
            return kind, hex(value) if type(value) is int else repr(value)
        if type(value) in (bytes, bytearray):
            return kind, bytes(value).hex()
        if type(value) in PLAIN.values():
            return kind, [self.pack(v, depth) for v in value]
        if type(value) in (*MAPS.values(), defaultdict):
            pairs = [[self.pack(k, depth), self.pack(v, depth)] for k, v in value.items()]
            return "dict" if kind == "defaultdict" else kind, pairs
        if isinstance(value, type) and vars(builtins).get(value.__name__) is value:
            return "type", value.__name__
        if type(value) is range:
            return "range", [value.start, value.stop, value.step]
        return "mine", len(self.kept)

    def unpack(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.unpack(v) for v in value]
        if not isinstance(value, dict):
            return value
        kind, body = value["t"], value["v"]
        if kind in PLAIN:
            return PLAIN[kind](self.unpack(v) for v in body)
        if kind in MAPS:
            return MAPS[kind]({self.unpack(k): self.unpack(v) for k, v in body})
        if kind in ("mine", "yours"):
            return self.kept[body] if kind == "yours" else Kept(body, self)
        return SIMPLE[kind](body)


# --- roles --------------------------------------------------------------------------------------------------


def room(name: str) -> dict[str, Any]:
    """Return the names of a new, registered module: `dataclass` and type hints look up the module of a class."""
    sys.modules[name] = module = type(sys)(name)
    return vars(module)


def candidate(nothing: int) -> None:
    """Run a program, then answer calls of what it defined."""
    wire = Wire(os.dup(0), os.dup(1))
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    source = wire.receive()
    space = room("program")
    try:
        exec(compile(source, "program.py", "exec", dont_inherit=True), space)
        names = sorted(k for k, v in space.items() if callable(v) and not k.startswith("__"))
        modules = sorted(k for k, v in space.items() if isinstance(v, type(sys)) and v.__name__ == k)
        wire.send(["value", [names, modules]])
    except BaseException as error:
        wire.send(["error", f"{type(error).__name__}: {error}"[:500]])
        return
    while True:
        what, target, *rest = wire.receive()
        try:
            args, kwargs = (wire.unpack(part) for part in rest) if rest else ((), {})
            wire.send(["value", wire.pack(done(what, space, wire.unpack(target), args, kwargs))])
        except BaseException as error:
            wire.send(["error", f"{type(error).__name__}: {error}"[:500]])


def done(what: str, space: dict[str, Any], target: Any, args: Any, kwargs: Any) -> Any:
    """Do what the judge asks of the program."""
    if what == "iterate":
        return list(islice(target, 100_000))
    if what in ("get", "set"):
        return attrgetter(*args)(target) if what == "get" else setattr(target, *args)
    return (space[target] if what == "named" else target)(*args, **kwargs)


def judge(line: tuple[int, ...], nothing: int) -> None:
    """Run the tests of a question against the program in the other cell; the verdict goes to the standard output."""
    home, wire = Wire(os.dup(0), os.dup(1)), Wire(*line)
    os.dup2(nothing, 1)
    task = home.receive()
    try:
        wire.send(task["program"])
        kind, defined = wire.receive()
        if kind != "value":
            home.send({"passed": False, "note": str(defined)[:300]})
            return
        space = room("tests")
        exec(compile(task["before"], "given.py", "exec", dont_inherit=True), space)
        space.update(theirs(wire, defined, {*vars(builtins), *space} - set(task["names"])))
        for test in task["tests"]:
            exec(compile(test, "tests.py", "exec", dont_inherit=True), space)
        home.send({"passed": True, "note": ""})
    except BaseException as error:
        home.send({"passed": False, "note": f"{type(error).__name__}: {error}"[:300]})


def theirs(wire: Wire, defined: Any, own: set[str]) -> dict[str, Any]:
    """Return what the tests may use of the program: its functions, and library modules that it imports.

    The program cannot replace names that the tests have of their own, above all Python's own functions.
    """
    names, modules = defined
    found = {name: importlib.import_module(name) for name in modules if name in sys.stdlib_module_names - own}
    return found | {name: named(wire, name) for name in names if name not in own}


def named(wire: Wire, name: str) -> Any:
    """Return a function that calls the program's function of that name."""

    def call(*args: Any, **kwargs: Any) -> Any:
        wire.calls += 1
        if wire.calls > MOST_CALLS:
            raise RuntimeError("too many calls")
        wire.send(["named", name, wire.pack(args), wire.pack(kwargs)])
        kind, value = wire.receive()
        if kind != "value":
            raise RuntimeError(f"the program raised {str(value)[:300]}")
        return wire.unpack(value)

    call.__name__ = name
    return call


def main() -> None:
    """Shut the doors and play the role."""
    level, role, memory, seconds, origin, calls, joined = sys.argv[1:8]
    line = tuple(int(end) for end in sys.argv[8:10])
    groups = tuple(int(group) for group in joined.split(",") if group)
    for end in range(3, 256):
        if end not in line + groups:
            with suppress(OSError):
                os.close(end)
    nothing = os.open("/dev/null", os.O_RDWR) if os.path.exists("/dev/null") else os.memfd_create("nothing")
    doors_beside().shut(level, int(memory), int(seconds), origin, calls, groups)
    if role == "judge":
        judge(line, nothing)
    else:
        candidate(nothing)


def doors_beside() -> Any:
    """Load `_doors.py` by its path: no package can be imported here."""
    form = importlib.util.spec_from_file_location("_doors", os.path.join(os.path.dirname(__file__), "_doors.py"))
    assert form is not None and form.loader is not None
    doors = importlib.util.module_from_spec(form)
    form.loader.exec_module(doors)
    return doors


if __name__ == "__main__":
    main()
