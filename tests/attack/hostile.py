"""Run the hostile programs of one list at one level of the sandbox; print one line of JSON for each.

    python hostile.py LEVEL LIST

Needs no package beside clbench, so that any user's Python can run it. A program's `attack` gives True where it got what
it wanted; only then, or where its verdict is forged, does it pass.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from clbench.scoring import _sandbox
from clbench.scoring._sandbox import Limits, Trial

PROGRAMS = Path(__file__).with_name("programs")
TESTS = Trial("", ("f",), ("assert f(2) == 4", "assert list([f(2)]) == [4]"))
LIMITS = Limits(seconds=1.0, memory_bytes=256 << 20)
COLUMN = {"x86_64": 1, "aarch64": 2}
CALLS = """
unshare:272:97 setns:308:268 clone:56:220 clone3:435:435 mount:165:40 umount2:166:39 pivot_root:155:41 chroot:161:51
open_tree:428:428 move_mount:429:429 fsopen:430:430 fsmount:432:432 fspick:433:433 mount_setattr:442:442 ptrace:101:117
process_vm_readv:310:270 process_vm_writev:311:271 kcmp:312:272 bpf:321:280 perf_event_open:298:241 userfaultfd:323:282
add_key:248:217 request_key:249:218 keyctl:250:219 kexec_load:246:104 kexec_file_load:320:294 init_module:175:105
finit_module:313:273 delete_module:176:106 io_uring_setup:425:425 io_uring_enter:426:426 name_to_handle_at:303:264
open_by_handle_at:304:265 socket:41:198 shmget:29:194 semget:64:190 msgget:68:186 mq_open:240:180 memfd_create:319:279
memfd_secret:447:447 tkill:200:130 tgkill:234:131 rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 pidfd_open:434:434
pidfd_send_signal:424:424 pidfd_getfd:438:438 process_madvise:440:440 personality:135:92 setuid:105:146 setgid:106:144
setresuid:117:147 setgroups:116:159 capset:126:91 sched_setscheduler:144:119 sched_setattr:314:274 ioprio_set:251:30
sync:162:81 reboot:169:142 sethostname:170:161 settimeofday:164:170 swapon:167:224 quotactl:179:60 syslog:103:116
acct:163:89 iopl:172:- modify_ldt:154:- mlockall:151:230 mlock:149:228 fanotify_init:300:262 inotify_init1:294:26
seccomp:317:277 execve:59:221 execveat:322:281 mbind:237:235 migrate_pages:256:238 prctl:157:167 ioctl:16:29
"""


def programs(listed: str) -> dict[str, str]:
    """Give the programs of a list by name, each whole."""
    prelude = (PROGRAMS / "prelude.py.txt").read_text(encoding="utf-8")
    column = COLUMN.get(os.uname().machine, 1)
    rows = (row.split(":") for row in CALLS.split())
    table = " ".join(f"{row[0]}={row[column]}" for row in rows if row[column] != "-")
    found = {}
    for part in (PROGRAMS / f"{listed}.txt").read_text(encoding="utf-8").split("### ")[1:]:
        name, _, body = part.partition("\n")
        asks = "" if "def f(" in body else "def f(x):\n    return 2 * x if attack() else 0\n"
        found[name] = prelude.replace("NUMBER_TABLE", table) + body + asks
    return found


def children() -> set[int]:
    """Processes whose parent chain leads to this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {os.getpid()}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def shared() -> tuple[list[str], list[str]]:
    """What users of this name hold in the host's shared memory."""
    own = [line for line in Path("/proc/sysvipc/shm").read_text().splitlines() if f" {os.getpid()} " in line]
    return own, sorted(p.name for p in Path("/dev/shm").glob("left*"))


def tried(program: str, level: _sandbox.Level) -> dict[str, object]:
    """Run one program; say what became of it, and what it left or changed outside."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        temporary = Path(folder, "temporary")
        temporary.mkdir()
        tempfile.tempdir = str(temporary)
        canary = Path(folder, "canary.txt")
        canary.write_text("untouched")
        server.settimeout(0.02)
        values = {"FILE": str(canary), "PID": str(os.getpid()), "PORT": str(server.getsockname()[1])}
        for name, value in values.items():
            program = program.replace(f"CANARY_{name}", value)
        began = time.monotonic()
        outcome = _sandbox._in_cells(program, TESTS, LIMITS, level, in_groups=_sandbox.grouped(level))
        seconds = time.monotonic() - began
        try:
            server.accept()
            reached = True
        except TimeoutError:
            reached = False
        until = time.monotonic() + 2
        while children() and time.monotonic() < until:
            time.sleep(0.02)
        left = {
            "processes": sorted(children()),
            "files": {*Path(folder).rglob("*")} != {canary, temporary},
            "canary": canary.read_text() != "untouched",
            "reached": reached,
            "shared": any(shared()),
            "long": seconds > _sandbox.LAST * LIMITS.seconds,
        }
        tempfile.tempdir = None
    return {"passed": outcome.passed, "note": outcome.note, "bad": [what for what, is_so in left.items() if is_so]}


if __name__ == "__main__":
    level, listed = sys.argv[1:]
    if not _sandbox.holds(level):  # type: ignore[arg-type]
        raise SystemExit(f"no level {level!r} for this user and Python here")
    for name, program in programs(listed).items():
        sys.stdout.write(json.dumps({"name": name, **tried(program, level)}) + "\n")  # type: ignore[arg-type]
