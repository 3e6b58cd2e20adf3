"""What a caller hands over, checked: one name or several, words out of a list, attach types, loads.

The command line and programs ask the same; `said` is how the place of the value is called, `--type` or `types`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import UsageError
from .target import GLOB_SIGNS


def is_kernel_pattern(text: str) -> bool:
    """The text stands for several kernel functions. Names of user functions may hold `*` and `[` themselves (Go)."""
    if GLOB_SIGNS.isdisjoint(text):
        return False
    from .user_target import is_user, may_be_user

    return not is_user(text) and not may_be_user(text)


def several(value: object, said: str) -> tuple[str, ...]:
    """One name or several as a tuple: a string is one name, not its letters. Raises UsageError for what is no name."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (bytes, bytearray)) or not isinstance(value, Iterable):
        raise UsageError(f"{said}: a name or several, not {type(value).__name__}")
    found = tuple(value)
    for one in found:
        if not isinstance(one, str):
            raise UsageError(f"{said}: {one!r} is no text")
    return found


def one_of(value: str, choices: Sequence[str], said: str) -> str:
    """The value itself. Raises UsageError that lists the choices when it is none of them."""
    if value not in choices:
        raise UsageError(f"{said} {value!r} is not known: choose {', '.join(choices[:-1])} or {choices[-1]}")
    return value


def attach_types(values: Iterable[str], said: str = "--type") -> tuple[str, ...]:
    """Attach types out of values that are one name each or several with commas; order kept, repeats dropped.

    Raises UsageError that names the nearest attach types for a misspelt one.
    """
    from .attach import ATTACH_TYPES

    found: dict[str, None] = {}
    for value in values:
        for name in value.split(","):
            name = name.strip()
            if name not in ATTACH_TYPES:
                raise UsageError(f"{said} {name!r} is not an attach type: {_nearest(name, tuple(ATTACH_TYPES))}")
            found[name] = None
    return tuple(found)


CALL_WORDS = ("helper", "call", "kfunc")
# enum bpf_prog_type of include/uapi/linux/bpf.h, in small letters.
PROGRAM_TYPES = (
    *("socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb"),
    *("cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg"),
    *("raw_tracepoint", "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector"),
    *("cgroup_sysctl", "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm"),
    *("sk_lookup", "syscall", "netfilter"),
)


def is_call(name: str, types: Sequence[str] = ()) -> bool:
    """The name asks whether programs may call a helper or kfunc: helper:NAME, call:NAME.

    kfunc:NAME does where `types` name a program type that is no attach type; else it is bpftrace's fentry.
    """
    word, colon, _ = name.partition(":")
    if not colon or word not in CALL_WORDS:
        return False
    from .attach import ATTACH_TYPES

    words = {one.strip() for value in types for one in value.split(",")}
    return word != "kfunc" or bool(words & set(PROGRAM_TYPES) - set(ATTACH_TYPES))


def types_of(names: Sequence[str], values: Sequence[str], said: str = "--type") -> tuple[str, ...]:
    """Attach types; for calls of helpers and kfuncs program types as well. Raises UsageError."""
    calls = [name for name in names if is_call(name, values)]
    if not calls:
        return attach_types(values, said)
    if len(calls) < len(names):
        raise UsageError(f"{calls[0]} asks about a call, the other names about probes: ask them apart")
    words = [one.strip() for value in values for one in value.split(",")]
    return tuple(dict.fromkeys(w if w in PROGRAM_TYPES else attach_types((w,), said)[0] for w in words))


def _nearest(name: str, known: tuple[str, ...]) -> str:
    import difflib  # only on the way to an error

    from .target import WORDS

    if WORDS.get(name):
        return f"did you mean {WORDS[name]}"
    if name in WORDS:  # words for any program on an event or a system call
        return f"did you mean {'ksyscall' if name == 'syscall' else 'tp'}"
    near = difflib.get_close_matches(name, known, 4, 0.5)
    return f"did you mean {' or '.join(near)}" if near else f"choose from {' '.join(known)}"


def language(value: str, said: str = "--lang") -> str:
    """A language of stubs; "" is C."""
    if not value:
        return "c"
    from .stub import LANGUAGES

    return one_of(value, LANGUAGES, said)


def stub_attach(value: str, said: str = "--attach") -> str:
    """An attach type that a stub can be of; "" leaves the choice. Raises UsageError that says what to take instead."""
    if not value:
        return ""
    from .stub import STUB_ATTACH, STUB_LIKE, STUB_NOT

    if value in STUB_LIKE:
        other, says = STUB_LIKE[value]
        raise UsageError(f"there is no stub of {value} apart: choose {said} {other} ({says})")
    if value in STUB_NOT:
        raise UsageError(f"there is no stub of {value}: {STUB_NOT[value]}")
    return one_of(value, STUB_ATTACH, said)


def ranges(values: Iterable[object], said: str = "reads") -> tuple[tuple[int, int], ...]:
    """Loads as (offset, size) in bytes. Raises UsageError for what is no load of BPF."""
    found = []
    for value in values:
        pair = tuple(value) if isinstance(value, (tuple, list)) else ()
        if len(pair) != 2 or not all(type(part) is int and part >= 0 for part in pair):
            raise UsageError(f"{said}: {value!r} is no pair of numbers, offset and size in bytes")
        if pair[1] not in (1, 2, 4, 8):
            raise UsageError(f"{said} {value!r}: a load has 1, 2, 4 or 8 bytes")
        found.append((pair[0], pair[1]))
    return tuple(found)
