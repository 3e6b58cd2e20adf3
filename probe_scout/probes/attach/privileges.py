"""`--as-me`: what the present caller may do, from proc/self/status and sysctls.

kernel/capability.c: capable() asks for the initial user namespace, so capabilities inside another one
do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ProbeScoutError, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...kernel.kernel import Kernel


def present(k: Kernel) -> Callable[[str], bool | None]:
    """The flags may_bpf, may_perfmon, may_perf and may_admin of this process. Raises UsageError for a snapshot."""
    if k.source.describe().kind != "live":
        raise UsageError("--as-me asks about the present caller; a snapshot or another root has none")
    from ...formats.text import proc_status

    caps: frozenset[str] | None = None
    paranoid: int | None = None
    try:
        caps = frozenset(proc_status.caller(k.read("proc/self/status")).capabilities)
        if k.read("proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]:
            caps = frozenset()
    except (SourceError, ProbeScoutError):
        pass
    try:
        paranoid = proc_status.integer(
            k.read("proc/sys/kernel/perf_event_paranoid"), "proc/sys/kernel/perf_event_paranoid"
        )
    except (SourceError, ProbeScoutError):
        pass

    def may(flag: str) -> bool | None:
        if caps is None:
            return None
        if "CAP_SYS_ADMIN" in caps:
            return True
        if flag == "may_bpf":
            return "CAP_BPF" in caps
        if flag == "may_admin":
            return False
        if "CAP_PERFMON" not in caps:
            return False
        if flag == "may_perfmon":
            return True
        # Debian's and Ubuntu's patch makes values above 2 demand CAP_SYS_ADMIN; upstream treats them as 2.
        return None if paranoid is None or paranoid > 2 else True

    return may
