"""From a written name to what is meant on one kernel: every command asks here.

model/target.py reads the spelling; this adds what only a kernel tells: whether `sched:sched_switch` is an event or a
function of a module, and whether `task` with --type iter is the iterator bpf_iter_task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
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
from . import function_traits as questions

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            if hook != target.name and questions.btf_function(k, hook, None) is not None:
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
    return Target(FUNCTION, questions.wrapper(k, target.name))
