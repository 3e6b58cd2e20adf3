"""Read securityfs lockdown and lsm.

`lockdown` is written by security/lockdown/lockdown.c (lockdown_read): the levels with the present one
in brackets, `[none] integrity confidentiality`. `lsm` is written by security/inode.c (lsm_read): the
active modules in order, comma separated, without a line end.
"""

from __future__ import annotations

from ...errors import Malformed
from .lines import show

PATH_LOCKDOWN = "sys/kernel/security/lockdown"
PATH_LSM = "sys/kernel/security/lsm"
LEVELS = ("none", "integrity", "confidentiality")


def lockdown(raw: bytes) -> str:
    """The present level: none, integrity or confidentiality. Raises Malformed unless exactly one is marked."""
    marked = [level for level in LEVELS if f"[{level}]".encode() in raw.split()]
    if len(marked) != 1 or not raw.endswith(b"\n") or raw.count(b"[") != 1:
        raise Malformed(PATH_LOCKDOWN, 0, "three levels with one in brackets and a line end", show(raw))
    return marked[0]


def lsm(raw: bytes) -> tuple[str, ...]:
    """The active security modules in the order they are asked. Raises Malformed for anything but names and commas."""
    names = raw.removesuffix(b"\n").split(b",")
    if not all(name.replace(b"_", b"").isalnum() for name in names):
        raise Malformed(PATH_LSM, 0, "names separated by commas", show(raw))
    return tuple(name.decode() for name in names)
