"""Real names that begin with a prefix: what shells complete."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


def starting(k: Kernel, prefix: str, limit: int) -> list[str]:
    """Up to `limit` names, sorted. Searches bytes; builds no table."""
    if prefix.startswith("tp:"):
        from ..probes.tracepoints.listing import listed_quickly

        return sorted(t for t in (f"tp:{c}:{n}" for c, n in listed_quickly(k)) if t.startswith(prefix))[:limit]
    if prefix.startswith("syscall:"):
        head = k.syscall_prefix() + "sys_"
        found = functions(k, head + prefix[8:], limit)
        return [f"syscall:{name.removeprefix(head)}" for name in found]
    module, colon, rest = prefix.partition(":")
    if colon or "/" in prefix:
        from ..model import user_target

        if user_target.is_user(prefix):
            return users(k, prefix, limit)
    if colon:
        tail = b"\t[" + module.encode() + b"]"
        found = [f"{module}:{name}" for name in _found(k, rest, limit, tail)]
        return found or (users(k, prefix, limit) if user_target.may_be_user(prefix + "x") else [])
    return functions(k, prefix, limit)


def users(k: Kernel, prefix: str, limit: int) -> list[str]:
    """Functions and USDT probes of the program or library that the prefix names."""
    from ..probes.user import completion

    return completion.starting(k, prefix, limit)


def functions(k: Kernel, prefix: str, limit: int) -> list[str]:
    """Text symbols that begin so, without padding."""
    return _found(k, prefix, limit, b"")


def _found(k: Kernel, prefix: str, limit: int, tail: bytes) -> list[str]:
    raw = k.kallsyms()
    if raw is None:
        return []
    found: set[str] = set()
    needles = [b" " + letter + b" " + prefix.encode() for letter in (b"t", b"T", b"w", b"W")]
    for needle in needles:
        at = raw.find(needle)
        taken = 0
        while at >= 0 and taken < limit:
            end = raw.find(b"\n", at)
            line = raw[at + 3 : end if end >= 0 else len(raw)]
            name, tab, module = line.partition(b"\t")
            if (not tail or tab + module == tail) and not name.startswith((b"__pfx_", b"__cfi_")):
                found.add(name.decode("utf-8", "replace"))
                taken += 1
            at = raw.find(needle, at + 1)
    return sorted(found)[:limit]
