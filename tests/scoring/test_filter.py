"""The filter of system calls, run by a small machine of our own: what it lets through on both kinds of processor."""

import errno
import struct

import pytest

from clbench.scoring import _filter

ALLOWED, EPERM, ENOSYS, KILLED = "allowed", "EPERM", "ENOSYS", "killed"
VERDICTS = {
    0x7FFF0000: ALLOWED,
    0x50000 | errno.EPERM: EPERM,
    0x50000 | errno.ENOSYS: ENOSYS,
    0x80000000: KILLED,
}
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(machine, number, *args, walled=True, architecture=None):
    """Run the filter as `Documentation/networking/filter.rst` of Linux says."""
    data = struct.pack("=IIQ6Q", number, architecture or ARCHITECTURE[machine], 0, *[*args, 0, 0, 0, 0, 0, 0][:6])
    lines = list(struct.iter_unpack("=HBBI", _filter.program(machine, walled=walled)))
    at, held = 0, 0
    while True:
        code, yes, no, value = lines[at]
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return VERDICTS[value]
        else:
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += yes if holds else no


# name: x86_64, aarch64; of `asm/unistd_64.h` and `asm-generic/unistd.h`
CLOSED = """
unshare:272:97 setns:308:268 mount:165:40 umount2:166:39 pivot_root:155:41 chroot:161:51 ptrace:101:117 bpf:321:280
process_vm_readv:310:270 process_vm_writev:311:271 kcmp:312:272 perf_event_open:298:241 userfaultfd:323:282
add_key:248:217 request_key:249:218 keyctl:250:219 kexec_load:246:104 init_module:175:105 finit_module:313:273
delete_module:176:106 open_by_handle_at:304:265 name_to_handle_at:303:264 socket:41:198 connect:42:203 bind:49:200
sendmsg:46:211 shmget:29:194 shmat:30:196 semget:64:190 msgget:68:186 mq_open:240:180 memfd_create:319:279 kill:62:129
tkill:200:130 tgkill:234:131 rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 setsid:112:157 setpgid:109:154
personality:135:92 setuid:105:146 setgid:106:144 setresuid:117:147 setgroups:116:159 capset:126:91 execve:59:221
execveat:322:281 sched_setscheduler:144:119 sched_setaffinity:203:122 setpriority:141:140 ioprio_set:251:30 sync:162:81
mknodat:259:33 seccomp:317:277 mlock:149:228 mlockall:151:230 inotify_init1:294:26 fanotify_init:300:262 reboot:169:142
"""
YOUNG = (425, 426, 427, 428, 429, 430, 432, 434, 435, 437, 438, 440, 442, 443, 444, 447, 451, 470, 10_000, 0x40000027)
PROCESS, IN_THREAD = 17, 0x3D0F00  # how a C library makes a process, and a thread


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("walled", [True, False])
def test_what_is_closed_on_each_machine(machine, walled):
    column = 1 + (machine == "aarch64")
    for row in CLOSED.split():
        assert verdict(machine, int(row.split(":")[column]), walled=walled) == EPERM, row
    for number in YOUNG:
        assert verdict(machine, number, walled=walled) == ENOSYS, number
    other = ARCHITECTURE["aarch64" if machine == "x86_64" else "x86_64"]
    assert {verdict(machine, 0, architecture=a, walled=walled) for a in (other, 0x40000003, 0x40000028)} == {KILLED}


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 1), ("aarch64", 2)])
def test_arguments_are_looked_at(machine, column):
    def says(row, *args, walled=True):
        return verdict(machine, int(row.split(":")[column]), *args, walled=walled)

    clone = "clone:56:220"
    assert says(clone, IN_THREAD) == ALLOWED
    assert {says(clone, f) for f in (PROCESS, 0, 0x4100 | PROCESS, IN_THREAD & ~0x10000)} == {EPERM}
    new = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
    assert {says(clone, flags | kind) for kind in new for flags in (PROCESS, IN_THREAD)} == {EPERM}
    sendto = "sendto:44:206"
    assert says(sendto, 3, 9, 9, 0, 0) == ALLOWED
    assert {says(sendto, 3, 9, 9, 0, address) for address in (1, 1 << 32, 1 << 47)} == {EPERM}
    assert {says("socketpair:53:199", family) for family in (2, 10, 16, 17, 40)} == {EPERM}
    assert says("socketpair:53:199", 1) == ALLOWED
    assert {says("ioctl:16:29", 0, request) for request in (0x5412, 0x541C, 0x540E, 0x8901, 0x8902)} == {EPERM}
    assert {says("fcntl:72:25", 0, command) for command in (8, 10, 15, 1024, 1031)} == {EPERM}
    assert {says("fcntl:72:25", 0, command) for command in (1, 2, 3, 4, 1030)} == {ALLOWED}
    assert {says("prctl:157:167", what) for what in (1, 4, 22, 24, 35, 36, 0x59616D61)} == {EPERM}
    assert says("prlimit64:302:261", 0) == ALLOWED
    assert says("prlimit64:302:261", 1) == EPERM
    assert says("mmap:9:222", 0, 4096, 3, 0x22) == ALLOWED
    assert says("mmap:9:222", 0, 4096, 3, 0x22 | 0x40000) == EPERM
    for flags, weak in ((0, ALLOWED), (0x80000, ALLOWED), (1, EPERM), (2, EPERM), (0x241, EPERM), (0x410002, EPERM)):
        assert says("openat:257:56", -100 % 2**64, 9, flags) == ALLOWED
        assert says("openat:257:56", -100 % 2**64, 9, flags, walled=False) == weak
    for row in ("unlinkat:263:35", "mkdirat:258:34", "renameat2:316:276", "fchmodat:268:53", "truncate:76:45"):
        assert (says(row), says(row, walled=False)) == (ALLOWED, EPERM)


def test_there_is_no_filter_for_an_unknown_machine():
    with pytest.raises(KeyError):
        _filter.program("riscv64", walled=True)
