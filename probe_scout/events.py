"""`tracepoint`: events that match a glob, each with its fields, verdicts and raw arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import check
from .errors import SourceError
from .kernel import TRACING
from .model import facts
from .model.trace import EventReport, RawArgument
from .tracepoints import describe_event

if TYPE_CHECKING:
    from .kernel import Kernel
    from .model.facts import Unread

_TYPES = ("tp", "raw_tp", "tp_btf")


def listed(k: Kernel) -> tuple[tuple[str, str], ...]:
    """Every event of available_events, and those of the category ftrace, which the file leaves out."""
    from .scanners import available_events

    raw = k.available_events()
    if raw is None:
        return ()
    found = dict.fromkeys(available_events.table(raw))
    try:
        for name in k.source.names(f"{TRACING}/events/ftrace"):
            if name not in ("enable", "filter"):
                found["ftrace", name] = None
    except SourceError:
        pass
    return tuple(found)


def matching(k: Kernel, glob: str) -> tuple[tuple[str, str], ...]:
    """Events whose `category:name`, or name where the glob has no colon, matches."""
    import fnmatch
    import re

    glob = glob.removeprefix("tp:").replace("/", ":")
    if ":" in glob and not set(glob) & set("*?["):
        category, _, name = glob.partition(":")
        return ((category, name),) if category in (k.events_named(name) or ()) else ()
    match = re.compile(fnmatch.translate(glob)).match
    return tuple((c, n) for c, n in listed(k) if match(f"{c}:{n}" if ":" in glob else n))


def reports(k: Kernel, glob: str) -> tuple[tuple[EventReport, ...], tuple[Unread, ...]]:
    """Reports of the matching events; the second part says why a list is not whole."""
    found = matching(k, glob)
    gap = k.known_unread(facts.EVENTS)
    with_arguments = len(found) == 1
    return tuple(report(k, c, n, with_arguments) for c, n in found), (gap,) if gap is not None else ()


def report(k: Kernel, category: str, name: str, with_arguments: bool) -> EventReport:
    """One event: its format file is read, and no other's."""
    folder = f"{TRACING}/events/{category}/{name}"
    verdicts = check.event_verdicts(k, category, name, _TYPES)
    return describe_event(
        category,
        name,
        k.read(f"{folder}/format"),
        _maybe(k, f"{folder}/id"),
        _maybe(k, f"{folder}/btf_ids"),
        verdicts=verdicts,
        raw_args=raw_arguments(k, name) if with_arguments else (),
    )


def _maybe(k: Kernel, path: str) -> bytes | None:
    try:
        return k.read(path)
    except SourceError:
        return None


def raw_arguments(k: Kernel, name: str) -> tuple[RawArgument, ...]:
    """ctx[n] of raw_tp and tp_btf: the arguments of btf_trace_<name>, without the leading `void *__data`.

    Names come from FUNC __bpf_trace_<name> or __traceiter_<name> where BTF has one; the typedef has none.
    """
    for title in (f"__traceiter_{name}", f"__bpf_trace_{name}"):
        for module in (None, *k.btf_modules()):
            btf = k.btf(module)
            found = btf.find_functions(title) if btf is not None else ()
            if btf is not None and found:
                args = btf.prototype(found[0]).args[1:]
                return tuple(RawArgument(arg.name, arg.type) for arg in args)
    return ()
