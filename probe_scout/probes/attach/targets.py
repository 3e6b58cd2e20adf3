"""From a written name to what is meant on one kernel: every command asks here.

model/target.py reads the spelling; this adds what only a kernel tells: whether `sched:sched_switch` is an event or a
function of a module, and whether `task` with --type iter is the iterator bpf_iter_task.
"""

from __future__ import annotations

import re

from ...errors import UsageError
from ...kernel import located
from ...model.attach import family
from ...model.target import (
    EVENT_WORDS,
    FUNCTION,
    GLOB_SIGNS,
    ITER_HEAD,
    ITER_WORDS,
    LSM_HEAD,
    LSM_WORDS,
    SYSCALL,
    SYSCALL_WORDS,
    TRACEPOINT,
    WORDS,
    Asked,
    Target,
    bare_section,
    headed,
    read,
    split,
)
from ...model.traits import INIT, MODULE, TEXT
from . import function_traits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...kernel.kernel import Kernel

_RAW = frozenset((*family("tracepoint"), "raw_tp.w"))
LSM_TYPES = frozenset(LSM_WORDS.values())
ITER_TYPES = frozenset(ITER_WORDS.values())


def asked(k: Kernel, text: str, types: Sequence[str] = ()) -> Asked:
    """What `text` means on this kernel when these attach types are asked for. Raises UsageError."""
    found = read(text)
    target = found.target
    is_raw = target.kind == TRACEPOINT and target.module is not None and found.attach in _RAW and not target.is_glob
    if is_raw and target.module not in (k.events_named(target.name) or ()):
        # A raw tracepoint has a name and no category; bpftrace puts a module before it (rawtracepoint:vmlinux:NAME).
        return found._replace(target=target._replace(module=None))
    if target.kind != FUNCTION:
        return found
    if target.is_glob:
        return found._replace(target=_category(k, target)) if not found.word else found
    if target.module is not None and not found.word and is_event(k, target):
        return found._replace(target=target._replace(kind=TRACEPOINT))
    for types_of, head in ((LSM_TYPES, LSM_HEAD), (ITER_TYPES, ITER_HEAD)):
        if types and types_of.issuperset(types) and target.module is None:
            hook = headed(target.name, head)
            if hook != target.name and located.btf_function(k, hook, None) is not None:
                return found._replace(target=target._replace(name=hook))
    return found


def is_event(k: Kernel, target: Target) -> bool:
    """CATEGORY:EVENT without a word before it, where no module has a function of this name."""
    if target.module not in (k.events_named(target.name) or ()):
        return False
    view = k.view((target.name.encode(),))
    if view is None:
        return True
    owner = (target.module or "").encode()
    return all(view.symbols.modules[row] != owner for row in view.symbols.rows(target.name.encode()))


def _category(k: Kernel, target: Target) -> Target:
    """`sched:*` as a pattern of events, where sched is a category of events and no module's name."""
    module = target.module
    if module is None or set(module) & GLOB_SIGNS or all(category != module for category, _ in k.index_events()):
        return target
    if f"\t[{module}]\n".encode() in (k.kallsyms() or b""):
        return target
    return target._replace(kind=TRACEPOINT)


def matching(k: Kernel, glob: Target) -> Iterator[Target]:
    """The targets that a pattern means. Raises UsageError where the list cannot be read.

    Only the names that match are looked at: the cost is a search through kallsyms.
    """
    import fnmatch

    if glob.kind == TRACEPOINT:
        if k.available_events() is None:
            raise UsageError(f"{glob}: the list of events cannot be read; name the event")
        match = re.compile(fnmatch.translate(f"{glob.module or '*'}:{glob.name}")).match
        yield from (Target(TRACEPOINT, n, c) for c, n in k.index_events() if match(f"{c}:{n}"))
        return
    raw = k.kallsyms()
    if raw is None:
        raise UsageError(f"{glob}: proc/kallsyms cannot be read; name the function")
    head = k.syscall_prefix() + "sys_" if glob.kind == SYSCALL else ""
    match = re.compile(fnmatch.translate(head + glob.name)).match
    owner = re.compile(fnmatch.translate(glob.module)).match if glob.module else None
    plain = re.escape(head + _literal(glob.name)).encode()
    lines = re.findall(rb"^[0-9a-f]+ [tTwW] (" + plain + rb"[^\t\n]*)(?:\t\[([^\]\n]*)\])?$", raw, re.M)
    rows = [(name.decode("utf-8", "replace"), module.decode("utf-8", "replace")) for name, module in lines]
    rows = [(n, m) for n, m in rows if match(n) and not n.startswith(function_traits.PADDING)]
    if owner is not None:
        rows = [(n, m) for n, m in rows if owner(m or "vmlinux")]
    k.gather({name.encode() for name, _ in rows}, with_types=False)
    seen: set[tuple[str, str]] = set()
    for name, module in rows:
        key = name, module if owner is not None else ""
        if key in seen or not _is_text(k, name):
            continue
        seen.add(key)
        if glob.kind == SYSCALL:
            yield Target(SYSCALL, name.removeprefix(head))
        else:
            yield Target(FUNCTION, name, (module or "vmlinux") if owner is not None else None)


def _literal(glob: str) -> str:
    """What a pattern begins with."""
    return re.split(r"[*?\[]", glob, maxsplit=1)[0]


def _is_text(k: Kernel, name: str) -> bool:
    view = k.view((name.encode(),))
    if view is None:
        return True
    return any(located.place(view, row) in (TEXT, INIT, MODULE) for row in view.symbols.rows(name.encode()))


def pattern(k: Kernel, text: str) -> tuple[str, str]:
    """A pattern of functions as scan, diff and inline hold it against names, and the attach type it asks for.

    A system call stands for its wrapper. Raises UsageError for a pattern of events.
    """
    word, rest = split(bare_section(text))
    if not word:
        return text, ""
    if word in EVENT_WORDS:
        raise UsageError(f"{text[:60]!r} names events, not functions: probe-scout tracepoint lists them")
    if word in SYSCALL_WORDS:
        return f"{k.syscall_prefix()}sys_{rest}", ""
    if word in LSM_WORDS:
        return headed(rest, LSM_HEAD), WORDS[word]
    if word in ITER_WORDS:
        return headed(rest, ITER_HEAD), WORDS[word]
    return rest, WORDS[word]


def as_function(k: Kernel, target: Target) -> Target:
    """The function behind a system call; any other target as it is."""
    if target.kind != SYSCALL:
        return target
    return Target(FUNCTION, function_traits.wrapper(k, target.name))
