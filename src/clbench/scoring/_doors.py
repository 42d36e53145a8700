"""The walls around a cell of the sandbox. Loaded by `_cell.py`, by path and without clbench. See docs/sandbox.md.

Level "namespaces": its own process space, no network, its own mounts; the file system is an empty memory disk with the
Python library bound in, read-only. Level "bwrap": bubblewrap has made all of that. Level "limits": none of it; where
the kernel has Landlock, only the Python library can be read. At each level: the rights of user nobody, limits, and a
filter of system calls.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from contextlib import suppress

CLONE_NEWUSER = 0x10000000
CLONE_REST = 0x20000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000  # mounts, host name, IPC, processes, network
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SET_DEATH_SIGNAL, SET_DUMPABLE, SET_SECCOMP, DROP_CAPABILITY, NO_NEW_PRIVILEGES = 1, 4, 22, 24, 38
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
ALL_OF_FILES, EXECUTE_AND_READ = 0x1FFF, 0x1 | 0x4 | 0x8  # rights of Landlock's first version
NOBODY = 65534
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
DISK = "size=16m,nr_inodes=4k,mode=755"

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """Return the result of a call, or raise the error of a failed one."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount a file system; see the system call of that name."""
    checked(libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()))


def die_with(parent: int) -> None:
    """End this process when its parent ends, however that ends; `parent` 0 does not check which process that is."""
    libc.prctl(SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(1)


def separate() -> None:
    """Leave every namespace that can be left, and go on as process 1 of the new one."""
    root = os.geteuid() == 0
    flags = CLONE_REST if root else CLONE_REST | CLONE_NEWUSER
    user, group = os.geteuid(), os.getegid()
    checked(libc.unshare(flags))
    if not root:
        own = {"setgroups": "deny", "uid_map": f"{NOBODY} {user} 1", "gid_map": f"{NOBODY} {group} 1"}
        for name, text in own.items():
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # few imports: it starts faster
                file.write(text)
        with suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as file:
            file.write("0")  # of this user namespace alone
    child = os.fork()
    if child:
        die_with(0)
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0x7F)


def empty_root() -> None:
    """Make a memory disk the root, with the libraries bound in."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    place = "/proc"  # of the old process space, which nobody needs here any more: it is always there
    mount("cell", place, "tmpfs", MS_NOSUID | MS_NODEV, DISK)
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
    mount("cell", "/", "", MS_REMOUNT | MS_NOSUID | MS_NODEV, DISK)
    os.chdir("/work")


def bind(source: str, target: str) -> None:
    """Bind a folder, read-only."""
    os.makedirs(target, exist_ok=True)
    mount(source, target, "", MS_BIND | MS_REC)
    mount("none", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def become_nobody(number: int) -> None:
    """Give up all privileges for good; root becomes a user whose limits count for this cell alone."""
    if os.geteuid() == 0:
        os.setgroups([])
        own = 100_000 + number
        try:
            os.setgid(own)
            os.setuid(own)
        except OSError:  # a container that has no such users
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    for capability in range(64):
        libc.prctl(DROP_CAPABILITY, capability, 0, 0, 0)
    libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))
    checked(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    libc.prctl(SET_DUMPABLE, 0, 0, 0, 0)  # not to be traced, nor its memory read
    die_with(0)  # a change of user forgets it
    if 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid()):
        raise PermissionError("still root")


def keep_library(prefix: int) -> None:
    """Keep the library of Python readable: by its open folder if it lies in a home that nobody else may enter."""
    if not os.access(sys.base_prefix, os.R_OK):
        sys.path[:] = [f"/proc/self/fd/{prefix}{path.removeprefix(sys.base_prefix)}" for path in sys.path]
    os.listdir(next(path for path in sys.path if os.path.isdir(path)))  # without it, no program runs as it should


def can_fence() -> bool:
    """Return whether the kernel has Landlock."""
    return libc.syscall(LANDLOCK_CREATE, None, 0, 1) > 0


def fence_files(prefix: int) -> None:
    """Leave only the libraries readable; `prefix` is the open folder of Python's own library."""
    ruleset = checked(libc.syscall(LANDLOCK_CREATE, struct.pack("=Q", ALL_OF_FILES), 8, 0))
    folders = [os.open(path, os.O_PATH) for path in LIBRARIES if os.path.isdir(path)]
    for folder in (prefix, *folders):
        checked(libc.syscall(LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", EXECUTE_AND_READ, folder), 0))
    for folder in folders:
        os.close(folder)
    checked(libc.syscall(LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def limit(memory: int, seconds: int) -> None:
    """Set limits that nothing inside can raise again."""
    limits = {"AS": memory, "CPU": seconds, "FSIZE": 1 << 20, "NOFILE": 64, "CORE": 0, "NPROC": 16, "MEMLOCK": 0}
    for name, value in limits.items():
        resource.setrlimit(vars(resource)[f"RLIMIT_{name}"], (value, value))


def refuse_calls(program: bytes) -> None:
    """Install a seccomp filter, which nothing inside can take off again."""
    body = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(body))
    checked(libc.prctl(SET_SECCOMP, ctypes.c_ulong(2), head, 0, 0))


def shut(level: str, memory: int, seconds: int, origin: str, calls: str, groups: tuple[int, ...]) -> None:
    """Shut every door of a level, or raise. The arguments: see `_cell.py`."""
    parent, number = (int(part) for part in origin.split("."))
    die_with(0 if level == "bwrap" else parent)
    for group in groups:
        os.write(group, b"0")
        os.close(group)
    if level == "namespaces":
        separate()
        empty_root()
    sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix)]
    prefix = os.open(sys.base_prefix, os.O_PATH)
    become_nobody(number)
    keep_library(prefix)
    if level == "limits" and can_fence():
        fence_files(prefix)
    limit(memory, seconds)
    refuse_calls(bytes.fromhex(calls))
