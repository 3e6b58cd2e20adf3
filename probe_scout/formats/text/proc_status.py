"""Read proc/<pid>/status for a caller's privileges, and the integers of proc/sys.

status is written by fs/proc/array.c (task_cap, task_state): `CapEff:` holds the effective
capabilities as 16 hexadecimal digits (include/uapi/linux/capability.h), `Uid:` the real, effective,
saved and file system user. A sysctl is written by kernel/sysctl.c (proc_dointvec): a number and a
line end.
"""

from __future__ import annotations

from ...errors import Malformed
from ...named_tuple import NamedTuple
from .lines import show, whole

PATH = "proc/self/status"
# fmt: off
CAPABILITIES = (  # by number
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)
# fmt: on


class Caller(NamedTuple):
    """A process's effective user and capabilities. A bit newer than the known names is CAP_<number>."""

    uid: int
    capabilities: frozenset[str]


def caller(raw: bytes, path: str = PATH) -> Caller:
    """Who a process is to the kernel. Raises Malformed if a line is missing or does not fit."""
    uids = _words(raw, b"Uid:", path)
    caps = _words(raw, b"CapEff:", path)
    if len(uids) != 4 or not all(word.isdigit() and len(word) <= 10 for word in uids):
        raise Malformed(path, raw.find(b"Uid:"), "four user ids", show(b" ".join(uids)))
    try:
        mask = int(caps[0], 16) if len(caps) == 1 and len(caps[0]) <= 16 and caps[0].isalnum() else -1
    except ValueError:
        mask = -1
    if mask < 0:
        raise Malformed(path, raw.find(b"CapEff:"), "up to 16 hexadecimal digits", show(b" ".join(caps)))
    bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
    names = (CAPABILITIES[bit] if bit < len(CAPABILITIES) else f"CAP_{bit}" for bit in bits)
    return Caller(int(uids[1]), frozenset(names))


def integer(raw: bytes, path: str) -> int:
    """A sysctl's one number. Raises Malformed for anything but one number and a line end."""
    digits = raw.removesuffix(b"\n")
    if digits == raw or not digits.removeprefix(b"-").isdigit() or len(digits) > 20:
        raise Malformed(path, 0, "one number and a line end", show(raw))
    return int(digits)


def _words(raw: bytes, key: bytes, path: str) -> list[bytes]:
    at = raw.find(b"\n" + key) + 1
    if at == 0 and not raw.startswith(key):
        raise Malformed(path, len(raw), f"a line {key.decode()}", "the end of the file")
    end = raw.find(b"\n", at)
    if end < 0:
        whole(raw, path)
    return raw[at + len(key) : end].split()
