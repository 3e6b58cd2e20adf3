"""Run a command as another user, with exactly the capabilities that are named.

    as_user [--uid N] [--gid N] [--cap CAP_BPF]… [--] COMMAND…

The named capabilities end up in all five sets, so that they survive exec (capabilities(7)); all others leave
the bounding set, so that uid 0 does not get them back by exec. Numbers: include/uapi/linux/capability.h.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys

NAMES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip
PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def call(what: str, *args: object) -> None:
    """One libc call; ends the program with the errno's words if it fails."""
    if getattr(libc, what)(*args) != 0:
        sys.exit(f"as_user: {what}: {os.strerror(ctypes.get_errno())}")


def prctl(option: int, first: int = 0, second: int = 0) -> None:
    call("prctl", option, *(ctypes.c_ulong(number) for number in (first, second, 0, 0)))


def set_capabilities(mask: int) -> None:
    """Permitted, effective and inheritable of this thread."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    call("capset", header, (ctypes.c_uint32 * 6)(low, low, low, high, high, high))


def become(uid: int, gid: int, numbers: list[int]) -> None:
    """Give up everything else. The ids change while the capabilities to change them are still there."""
    prctl(PR_SET_KEEPCAPS, 1)
    for number in range(len(NAMES)):
        if number not in numbers:
            prctl(PR_CAPBSET_DROP, number)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    set_capabilities(sum(1 << number for number in numbers))
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for number in numbers:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="as_user", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--uid", type=int, default=1000)
    parser.add_argument("--gid", type=int, default=1000)
    parser.add_argument("--cap", action="append", default=[], choices=NAMES, metavar="CAP_NAME")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    if not command:
        parser.error("no command")
    become(asked.uid, asked.gid, sorted({NAMES.index(name) for name in asked.cap}))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
