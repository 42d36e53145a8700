"""Runs inside a sandbox cell, by path and without clbench: shut the doors, then run what stands on the standard input.

    python -I -S _cell.py LEVEL ROLE MEMORY_BYTES CPU_SECONDS PARENT.NUMBER [READ_END WRITE_END]

LEVEL "namespaces": own process space, no network, own mounts; the file system is an empty memory disk with the Python
library bound in, read-only; the user is nobody. LEVEL "limits": resource limits alone. ROLE "candidate" answers calls;
ROLE "judge" runs tests and calls. See docs/sandbox.md.
"""

from __future__ import annotations

import builtins
import ctypes
import importlib
import json
import os
import resource
import signal
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from typing import Any

CLONE_NEWUSER = 0x10000000
CLONE_REST = 0x20000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000  # mounts, host name, IPC, processes, network
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache")
LONGEST = 4 << 20  # bytes of one message
MOST_CALLS = 20_000
DEEPEST = 40

# --- doors --------------------------------------------------------------------------------------------------

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    """Raise the error of a failed call."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount something; see the system call of that name."""
    checked(libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()))


def separate() -> None:
    """Leave every namespace that can be left; what follows goes on as process 1 of the new one."""
    root = os.geteuid() == 0
    flags = CLONE_REST if root else CLONE_REST | CLONE_NEWUSER
    user, group = os.geteuid(), os.getegid()
    checked(libc.unshare(flags))
    if not root:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # few imports: it starts faster
                file.write(text)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0x7F)


def empty_root() -> None:
    """Make a memory disk the root, with the libraries bound in."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    place = "/proc"  # of the old process space, which nobody needs here any more: it is always there
    mount("cell", place, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,nr_inodes=4k,mode=755")
    for path in (sys.base_prefix, *LIBRARIES):
        real = os.path.realpath(path)
        if os.path.isdir(real):
            bind(real, place + real)
        if os.path.islink(path) and not os.path.lexists(place + path):
            os.makedirs(os.path.dirname(place + path), exist_ok=True)
            os.symlink(real, place + path)
    os.mkdir(place + "/work")
    os.chmod(place + "/work", 0o777)
    os.mkdir(place + "/old")
    checked(libc.syscall(PIVOT_ROOT[os.uname().machine], place.encode(), (place + "/old").encode()))
    os.chdir("/")
    checked(libc.umount2(b"/old", 2))
    os.rmdir("/old")
    mount("cell", "/", "", MS_REMOUNT | MS_NOSUID | MS_NODEV, "size=16m,nr_inodes=4k,mode=755")
    os.chdir("/work")


def bind(source: str, target: str) -> None:
    """Bind a folder, read-only."""
    os.makedirs(target, exist_ok=True)
    mount(source, target, "", MS_BIND | MS_REC)
    mount("none", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def become_nobody(level: str) -> None:
    """Give up all privileges for good."""
    if REAL_ROOT and level == "namespaces":
        own = 100_000 + int(
            sys.argv[5].split(".")[1]
        )  # a user of its own for each cell, so that limits per user count it alone
        os.setgroups([])
        os.setgid(own)
        os.setuid(own)
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)
    libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges
    libc.prctl(4, 0, 0, 0, 0)  # not to be traced
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # dies with whoever started it


def limit(memory: int, seconds: int) -> None:
    """Set limits that nothing inside can raise again."""
    limits = {"AS": memory, "CPU": seconds, "FSIZE": 1 << 20, "NOFILE": 64, "CORE": 0, "NPROC": 16, "MEMLOCK": 0}
    for name, value in limits.items():
        resource.setrlimit(vars(resource)[f"RLIMIT_{name}"], (value, value))


REAL_ROOT = os.geteuid() == 0

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
        """Give (tag, content); what has no form of its own stays here, under a number."""
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


def candidate() -> None:
    """Run a program, then answer calls of what it defined."""
    wire = Wire(os.dup(0), os.dup(1))
    nothing = os.open("/dev/null", os.O_RDWR) if os.path.exists("/dev/null") else os.memfd_create("nothing")
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    source = wire.receive()
    space: dict[str, Any] = {"__name__": "program"}
    try:
        exec(compile(source, "program.py", "exec"), space)
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


def judge(line: tuple[int, ...]) -> None:
    """Run the tests of a question against the program in the other cell; the verdict goes to the standard output."""
    home, wire = Wire(os.dup(0), os.dup(1)), Wire(*line)
    os.dup2(os.open("/dev/null", os.O_RDWR) if os.path.exists("/dev/null") else os.memfd_create("no"), 1)
    task = home.receive()
    try:
        wire.send(task["program"])
        kind, defined = wire.receive()
        if kind != "value":
            home.send({"passed": False, "note": str(defined)[:300]})
            return
        space: dict[str, Any] = {"__name__": "tests"}
        exec(compile(task["before"], "given.py", "exec"), space)
        space |= theirs(wire, defined, {*vars(builtins), *space} - set(task["names"]))
        for test in task["tests"]:
            exec(compile(test, "tests.py", "exec"), space)
        home.send({"passed": True, "note": ""})
    except BaseException as error:
        home.send({"passed": False, "note": f"{type(error).__name__}: {error}"[:300]})


def theirs(wire: Wire, defined: Any, own: set[str]) -> dict[str, Any]:
    """Give what the tests may use of the program: its functions, and library modules that it imports.

    What the tests have of their own, Python's own functions above all, the program cannot put something else for.
    """
    names, modules = defined
    found = {name: importlib.import_module(name) for name in modules if name in sys.stdlib_module_names - own}
    return found | {name: named(wire, name) for name in names if name not in own}


def named(wire: Wire, name: str) -> Any:
    """Give a function that calls one of the program's."""

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
    """Shut the doors, say that they are shut, and play the role."""
    level, role, memory, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    line = tuple(int(end) for end in sys.argv[6:8])
    for end in range(3, 256):
        if end not in line:
            with suppress(OSError):
                os.close(end)
    if level == "namespaces":
        separate()
        empty_root()
    become_nobody(level)
    limit(memory, seconds)
    sys.path[:] = [p for p in sys.path if p.startswith(sys.base_prefix)]
    if role == "judge":
        judge(line)
    else:
        candidate()


if __name__ == "__main__":
    main()
