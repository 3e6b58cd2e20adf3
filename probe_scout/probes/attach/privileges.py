"""What a caller may do: the present one (`--as-me`), from proc/self/status, or one that is supposed (`--caps`).

kernel/capability.c: capable() asks for the initial user namespace, so capabilities inside another one
do not count.
"""

from __future__ import annotations

from ...errors import ProbeScoutError, SourceError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...kernel.kernel import Kernel

_PARANOID = "proc/sys/kernel/perf_event_paranoid"
# Privileges that one capability gives; bpf_token_capable takes CAP_SYS_ADMIN for each but CAP_SYS_BOOT's.
_OWN = {"may_bpf": "CAP_BPF", "may_perfmon": "CAP_PERFMON", "may_net": "CAP_NET_ADMIN", "may_boot": "CAP_SYS_BOOT"}


def present(k: Kernel) -> Callable[[str], bool | None]:
    """The privileges may_bpf, may_perfmon, may_perf and may_admin of this process. Raises UsageError for a snapshot."""
    if k.source.describe().kind != "live":
        raise UsageError("--as-me asks about the present caller; a snapshot or another root has none")
    from ...formats.text import proc_status

    caps: frozenset[str] | None = None
    try:
        caps = frozenset(proc_status.caller(k.read("proc/self/status")).capabilities)
        if k.read("proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]:
            caps = frozenset()
    except (SourceError, ProbeScoutError):
        pass
    return _may(caps, _paranoid(k))


def supposed(k: Kernel, text: str) -> Callable[[str], bool | None]:
    """The privileges of a caller with these capabilities, names with commas; "none", or "token": a BPF token that
    hands over all that one can. Raises UsageError for a capability that does not exist."""
    caps = capabilities(text)
    if caps is None:
        known = k.enumerator("BPF_TOKEN_CREATE")
        by_token = {"may_bpf": known, "may_perfmon": known, "may_net": known}
        return lambda privilege: by_token.get(privilege, False)
    return _may(caps, _paranoid(k))


def capabilities(text: str) -> frozenset[str] | None:
    """Names of capabilities out of a list with commas, CAP_ left out or not; None for "token". Raises UsageError."""
    from ...formats.text.proc_status import CAPABILITIES

    if text == "token":
        return None
    found = set()
    for word in text.split(",") if text != "none" else ():
        name = word.strip().upper()
        name = name if name.startswith("CAP_") else f"CAP_{name}"
        if name not in CAPABILITIES:
            raise UsageError(
                f"--caps {word.strip()!r} is no capability: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN …, none, token"
            )
        found.add(name)
    return frozenset(found)


def _paranoid(k: Kernel) -> int | None:
    from ...formats.text import proc_status

    try:
        return proc_status.integer(k.read(_PARANOID), _PARANOID)
    except (SourceError, ProbeScoutError):
        return None


def _may(caps: frozenset[str] | None, paranoid: int | None) -> Callable[[str], bool | None]:
    """The privileges may_* of a caller with these capabilities; None: they are not known."""

    def may(privilege: str) -> bool | None:
        if caps is None:
            return None
        if privilege in _OWN:
            return _OWN[privilege] in caps or (privilege != "may_boot" and "CAP_SYS_ADMIN" in caps)
        # may_perf: perfmon_capable takes either (include/linux/capability.h). may_admin: capable(CAP_SYS_ADMIN) alone.
        if "CAP_SYS_ADMIN" in caps:
            return True
        if privilege == "may_admin":
            return False
        if "CAP_PERFMON" not in caps:
            return False
        # Debian's and Ubuntu's patch makes values above 2 demand CAP_SYS_ADMIN; upstream treats them as 2.
        return None if paranoid is None or paranoid > 2 else True

    return may
