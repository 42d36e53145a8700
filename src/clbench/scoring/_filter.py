"""The system calls that a program in a cell may make, as a seccomp filter. See docs/sandbox.md.

What is not listed does not work: a kernel that learns new calls opens no door. Numbers: `asm/unistd_64.h` (x86_64) and
`asm-generic/unistd.h` (aarch64) of Linux. Form of the filter: `struct sock_filter` of `linux/filter.h`.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from functools import lru_cache

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, AUDIT_ARCH
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUALS, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
UNKNOWN_FROM = 424  # calls younger than Linux 5.1: a C library does without them where the kernel has none

# name: number on x86_64, on aarch64 ("-": the call does not exist there)
EVERYWHERE = """
read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 pwrite64:18:68 preadv:295:69 pwritev:296:70
preadv2:327:286 pwritev2:328:287 close:3:57 close_range:436:436 lseek:8:62 dup:32:23 dup2:33:- dup3:292:24
pipe:22:- pipe2:293:59 flock:73:32 fsync:74:82 fdatasync:75:83 sendfile:40:71 copy_file_range:326:285
stat:4:- fstat:5:80 lstat:6:- newfstatat:262:79 statx:332:291 statfs:137:43 fstatfs:138:44
access:21:- faccessat:269:48 faccessat2:439:439 readlink:89:- readlinkat:267:78 getdents:78:- getdents64:217:61
getcwd:79:17 chdir:80:49 fchdir:81:50 umask:95:166
poll:7:- ppoll:271:73 select:23:- pselect6:270:72 epoll_create:213:- epoll_create1:291:20 epoll_ctl:233:21
epoll_wait:232:- epoll_pwait:281:22 eventfd:284:- eventfd2:290:19
munmap:11:215 mprotect:10:226 mremap:25:216 madvise:28:233 msync:26:227 brk:12:214 membarrier:324:283
rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigsuspend:130:133
rt_sigtimedwait:128:137 sigaltstack:131:132 restart_syscall:219:128 pause:34:- alarm:37:-
getitimer:36:102 setitimer:38:103 nanosleep:35:101 clock_nanosleep:230:115 clock_gettime:228:113 clock_getres:229:114
gettimeofday:96:169 time:201:- times:100:153 getrusage:98:165 getcpu:309:168 getrandom:318:278 uname:63:160
sysinfo:99:179 getpid:39:172 getppid:110:173 gettid:186:178 getuid:102:174 geteuid:107:175 getgid:104:176
getegid:108:177 getresuid:118:148 getresgid:120:150 getgroups:115:158 getpgrp:111:- getpgid:121:155 getsid:124:156
getrlimit:97:163 setrlimit:160:164 sched_yield:24:124 sched_getaffinity:204:123 wait4:61:260 waitid:247:95
futex:202:98 set_robust_list:273:99 set_tid_address:218:96 rseq:334:293 arch_prctl:158:-
exit:60:93 exit_group:231:94 recvfrom:45:207 recvmsg:47:212 shutdown:48:210 getsockopt:55:209 getsockname:51:204
getpeername:52:205
"""
# Changes of files, where they are in a memory disk of the cell's own.
IN_A_WALL = """
open:2:- openat:257:56 mkdir:83:- mkdirat:258:34 rmdir:84:- unlink:87:- unlinkat:263:35 rename:82:- renameat:264:38
renameat2:316:276 symlink:88:- symlinkat:266:36 link:86:- linkat:265:37 chmod:90:- fchmod:91:52 fchmodat:268:53
truncate:76:45 ftruncate:77:46 fallocate:285:47 utimensat:280:88 utime:132:- utimes:235:-
"""
# Calls whose arguments are looked at: (call, which argument, what of it).
ONE_OF = (
    ("fcntl:72:25", 1, (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032)),  # no owner of signals, no bigger pipes
    ("ioctl:16:29", 1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),  # asks about a terminal; close on exec; block
    ("prctl:157:167", 0, (15, 16)),  # the name of a thread
    ("prlimit64:302:261", 0, (0,)),  # of itself
    ("socketpair:53:199", 0, (1,)),  # within the process
)
NO_BIT = (("mmap:9:222", 3, 0x40000),)  # no huge pages, which no limit counts
READ_ONLY = (("open:2:-", 1, 0x400643), ("openat:257:56", 2, 0x400643))  # to write, make, empty, append; no O_TMPFILE
THREAD, NEW_SPACES = 0x10000, 0x7E020000  # CLONE_THREAD; CLONE_NEW*
CLONE, SENDTO = "clone:56:220", "sendto:44:206"


@lru_cache(maxsize=4)
def program(machine: str, *, walled: bool) -> bytes:
    """Return the filter for a machine ("x86_64", "aarch64"): refused calls fail with EPERM, unknown ones with ENOSYS.

    `walled`: files may be written, since they are the cell's own.

    Raises:
        KeyError: There is no table for the machine.
    """
    column, architecture = MACHINES[machine]
    lines = [(LOAD, 0, 0, 4), (EQUALS, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]

    def rule(call: str, body: Sequence[tuple[int, int, int, int]]) -> None:
        number = call.split(":")[1 + column]
        if number != "-":
            lines.extend([(EQUALS, 0, len(body), int(number)), *body])

    for call in (EVERYWHERE + (IN_A_WALL if walled else "")).split():
        rule(call, [(RETURN, 0, 0, ALLOW)])
    for call, which, values in ONE_OF:
        rule(call, [_low(which), *(x for v in values for x in ((EQUALS, 0, 1, v), (RETURN, 0, 0, ALLOW))), _refusal()])
    for call, which, bits in (*NO_BIT, *(() if walled else READ_ONLY)):
        rule(call, [_low(which), (ANY_BIT, 1, 0, bits), (RETURN, 0, 0, ALLOW), _refusal()])
    spaces, thread = (ANY_BIT, 2, 0, NEW_SPACES), (ANY_BIT, 0, 1, THREAD)
    rule(CLONE, [_low(0), spaces, thread, (RETURN, 0, 0, ALLOW), _refusal()])  # threads, no processes
    high = (LOAD, 0, 0, _low(4)[3] + 4)  # to the other end of a pair: no address
    rule(SENDTO, [_low(4), (EQUALS, 0, 3, 0), high, (EQUALS, 0, 1, 0), (RETURN, 0, 0, ALLOW), _refusal()])
    lines += [(AT_LEAST, 0, 1, UNKNOWN_FROM), (RETURN, 0, 0, REFUSE | errno.ENOSYS), _refusal()]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _low(which: int) -> tuple[int, int, int, int]:
    """Return the instruction that loads the lower half of an argument (both machines are little-endian)."""
    return (LOAD, 0, 0, 16 + 8 * which)


def _refusal() -> tuple[int, int, int, int]:
    return (RETURN, 0, 0, REFUSE | errno.EPERM)
