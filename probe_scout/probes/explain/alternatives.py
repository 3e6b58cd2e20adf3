"""Other attach points that answer yes, for a target that did not.

Every point named here was asked of the same kernel through `Lookup.answer`; a point whose own verdict
is not yes is never advised. Few and good: the same function by another attach type, the compiler's
variant, what other tracers moved to, the system call, an event of the same name.
"""

from __future__ import annotations

from ...model.never_try import NORETURN
from ...model.report import Alternative
from ...model.target import FUNCTION, OFFSET, SYSCALL, TRACEPOINT
from ...model.verdict import NO, YES
from ..attach.limits import NEWER_CALLS
from . import known_changes, wrong_target_kind
from . import symbol_names as names
from .has_symbol import is_bypassed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...model.target import Target
    from ...model.verdict import Verdict
    from .protocol import Lookup

LIMIT = 6
EVENTS_MAX = 2  # events found by name alone
_ENTRY = ("kprobe", "fentry", "kprobe.multi")
# What to try on the same function when one kind is refused.
_INSTEAD = {
    "kprobe": ("fentry", "kprobe.multi"),
    "kretprobe": ("fexit", "kretprobe.multi"),
    "fentry": ("kprobe", "kprobe.multi"),
    "fexit": ("kretprobe", "kretprobe.multi"),
}
_WHY_INSTEAD = {
    "fentry": "attaches by the function's ftrace record",
    "fexit": "attaches by the function's ftrace record and sees arguments and return value",
    "kprobe.multi": "attaches by the function's ftrace record",
    "kretprobe.multi": "attaches by the function's ftrace record and sees the return value",
    "kprobe": "needs no BTF and finds the arguments in registers",
    "kretprobe": "needs no BTF and sees the return value only",
}
_RETURNING = ("kretprobe", "fexit")
_DECLINED = ("fentry", "fexit", "kprobe", "kretprobe", "kprobe.multi", "kretprobe.multi")


def alternatives(
    lookup: Lookup,
    target: Target,
    verdicts: tuple[Verdict, ...],
    limit: int = LIMIT,
    nearby: Iterable[tuple[str, str, str]] = (),
) -> tuple[Alternative, ...]:
    """At most `limit` points that answer yes, best first; empty where the target itself does what was asked.

    `nearby`: points of as many more targets at most, out of debug information or a survey: (attach type, target,
    sentence), best first.
    """
    found: dict[tuple[str, str], Alternative] = {}
    for candidates in (_candidates(lookup, target, verdicts), nearby):
        most = len(found) + limit
        targets: set[str] = set()  # functions that are an answer only together are told together
        for attach, written, says in candidates:
            if len(found) >= most if candidates is not nearby else len(targets | {written}) > limit:
                break
            key = (attach, written)
            if key not in found and lookup.answer(written, attach) == YES:
                targets.add(written)
                function = "" if attach == "tp" or candidates is not nearby else written.rpartition(":")[2]
                found[key] = Alternative(
                    attach, written, YES, _sentence(says.rstrip("."), lookup, function, attach) if function else says
                )
    return tuple(found.values())


def _candidates(lookup: Lookup, target: Target, verdicts: tuple[Verdict, ...]) -> Iterator[tuple[str, str, str]]:
    """(attach type, target, sentence), in the order of advice; not yet asked."""
    if target.kind == TRACEPOINT:
        yield from _for_event(lookup, target, verdicts)
    elif target.kind == SYSCALL:
        yield from _for_syscall(lookup, target, verdicts)
    elif target.kind in (FUNCTION, OFFSET):
        yield from _for_function(lookup, target, verdicts)


def _for_function(lookup: Lookup, target: Target, verdicts: tuple[Verdict, ...]) -> Iterator[tuple[str, str, str]]:
    answers = {verdict.attach: verdict.answer for verdict in verdicts}
    step = known_changes.known_change(target.name, lookup.arch)
    if target.kind == OFFSET:
        if not any(answer == YES for answer in answers.values()):
            plain = target._replace(kind=FUNCTION, offset_bytes=0)
            yield from _same_function(
                lookup, str(plain), ("kprobe", "fentry"), "the function's entry instead of the offset"
            )
        return
    if any(answers.get(attach) == YES for attach in _ENTRY):
        if step is not None and is_bypassed(lookup, step):
            yield from _from_change(lookup, step)
        yield from _qualified(lookup, target, answers)
        for refused, others in _INSTEAD.items():
            if answers.get(refused) == NO:
                for other in others:
                    if answers.get(other, YES) == YES and not (refused in _RETURNING and target.name in NORETURN):
                        yield other, str(target), _why_instead(lookup, target, other)
        return
    if answers and all(answer == YES for answer in answers.values()):
        return
    copies = lookup.symbols(target.name)
    if copies:
        # Only a type that was not asked about can still say yes.
        wanted = [other for refused in answers for other in _INSTEAD.get(refused, ()) if other not in answers]
        if not any(refused in _INSTEAD for refused in answers):
            wanted = [attach for attach in _DECLINED[:4] if attach not in answers]
        yield from _qualified(lookup, target, answers)
        for other in dict.fromkeys(wanted):
            yield other, str(target), _why_instead(lookup, target, other)
    yield from _instead_of_name(lookup, target, step)
    is_code = any(symbol.is_text and not symbol.in_init for symbol in copies) and not target.name.startswith(
        names.PADDING
    )
    if is_code and not any(answer == YES for answer in answers.values()):
        yield from _where_functions_take_none(lookup, target.name)


def _instead_of_name(
    lookup: Lookup, target: Target, step: known_changes.KnownChange | None
) -> Iterator[tuple[str, str, str]]:
    """Points with other names, for a function that is not there or closed to every probe."""
    name = target.name
    bare = names.unwrapped(str(target))
    if target.module is not None and lookup.event_exists(target.module, name):
        for attach in ("tp", "tp_btf"):
            yield attach, f"tp:{target.module}:{name}", "The event that was meant."
        return
    if bare not in (name, str(target)):
        yield from _same_function(lookup, bare, _ENTRY[:2], "the name without the rest")
    call = names.syscall_of(name)
    if not lookup.symbols(name):
        yield from _syscall_points(lookup, call or name)
        for prefix in ("security_", "bpf_lsm_"):
            hook = wrong_target_kind.LSM_CALLERS.get(name, prefix + name) if prefix == "security_" else prefix + name
            if lookup.symbols(f"bpf_lsm_{name}") and lookup.symbols(hook):
                attaches = ("lsm",) if prefix == "bpf_lsm_" else ("fentry", "kprobe")
                yield from _same_function(lookup, hook, attaches, "the security hook")
    yield from _variants(lookup, name)
    if step is not None:
        yield from _from_change(lookup, step)
    if call is not None:
        inner = known_changes.known_change(f"do_{call}", lookup.arch)
        if inner is not None and not lookup.symbols(name):
            yield from _from_change(lookup, inner)
    yield from _events_like(lookup, name)


_OF_SYSCALLS = ("vfs_", "do_", "ksys_", "sys_")  # heads of functions that carry out a system call


def _where_functions_take_none(lookup: Lookup, name: str) -> Iterator[tuple[str, str, str]]:
    """Points that need no probe on a function, nearest first: hooks, the system call, events of the subsystem."""
    stem = names.stem(name).strip("_")
    hook = stem.removeprefix("security_")
    if lookup.symbols(f"bpf_lsm_{hook}"):
        yield "lsm", f"bpf_lsm_{hook}", "The security hook, which needs no kprobe."
    for head in _OF_SYSCALLS:
        call = stem.removeprefix(head)
        if call != stem and lookup.event_exists("syscalls", f"sys_enter_{call}"):
            yield "tp", f"tp:syscalls:sys_enter_{call}", "The system call of this name, by its event."
    words = set(stem.split("_"))
    near = [
        (-len(words.intersection(event.split("_"))), category, event)
        for category, event in lookup.events()
        if category in words and category != "syscalls"
    ]
    for _, category, event in sorted(near)[:EVENTS_MAX]:
        yield "tp", f"tp:{category}:{event}", f"An event of {category}; it is not the function."
    if stem.startswith(_OF_SYSCALLS) and lookup.event_exists("raw_syscalls", "sys_enter"):
        yield "tp", "tp:raw_syscalls:sys_enter", "Every system call, to be filtered by number."


def _why_instead(lookup: Lookup, target: Target, attach: str) -> str:
    """Why another attach type works on the same function, and what it leaves open."""
    copies = lookup.symbols(target.name)
    why = _WHY_INSTEAD[attach]
    if attach not in ("kprobe", "kretprobe"):
        if any(symbol.blacklisted for symbol in copies):
            why = why.replace("ftrace record", "ftrace record, for which the kprobe blacklist is not asked")
        elif len(copies) > 1 and target.module is None:
            why = f"takes the first of {len(copies)} copies without a word"
    return why[:1].upper() + why[1:] + "."


def _same_function(lookup: Lookup, name: str, attaches: tuple[str, ...], why: str) -> Iterator[tuple[str, str, str]]:
    for attach in attaches:
        yield attach, name, _sentence(why, lookup, name.rpartition(":")[2], attach)


def _qualified(lookup: Lookup, target: Target, answers: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """The copies of an ambiguous name that a module prefix tells apart."""
    if target.module is not None or answers.get("kprobe") == YES:
        return
    copies = lookup.symbols(target.name)
    modules = [symbol.module for symbol in copies if symbol.module is not None and symbol.is_text]
    if len(copies) < 2:
        return
    for module in dict.fromkeys(modules):
        if modules.count(module) == 1:
            yield "kprobe", f"{module}:{target.name}", f"The copy in module {module}, which the prefix makes unique."


def _variants(lookup: Lookup, name: str) -> Iterator[tuple[str, str, str]]:
    """The names under which the compiler left the function or a part of it."""
    if lookup.symbols(name):
        return
    for variant in lookup.variants(name):
        if not names.is_entry(variant):
            continue
        if names.changed_signature(variant):
            why = "The same function under the compiler's name; its parameters changed, so check registers."
        elif "part" in names.suffixes(variant):
            why = "The outlined rest of the function: sees only calls that pass the inlined head."
        else:
            why = "The same function under the name that link-time optimisation gave it."
        yield "kprobe", variant, why
        yield "kprobe.multi", variant, why


def _from_change(lookup: Lookup, step: known_changes.KnownChange, depth: int = 3) -> Iterator[tuple[str, str, str]]:
    """A step's candidates; one that is itself gone leads on to its own step."""
    for candidate in step.candidates:
        if candidate.attaches != known_changes.ENTRY:
            for attach in candidate.attaches:
                yield attach, candidate.target, _sentence(candidate.sees, lookup, "", attach)
        elif lookup.symbols(candidate.target):
            for attach in candidate.attaches:
                yield attach, candidate.target, _sentence(candidate.sees, lookup, candidate.target, attach)
        else:
            yield from _variants(lookup, candidate.target)
            onward = known_changes.known_change(candidate.target, lookup.arch) if depth else None
            if onward is not None and onward.asked != step.asked:
                yield from _from_change(lookup, onward, depth - 1)


def _sentence(why: str, lookup: Lookup, function: str, attach: str) -> str:
    """One sentence: what it sees, and a function's parameters where BTF has them."""
    text = why[:1].upper() + why[1:]
    prototype = lookup.prototype_text(function) if function and attach not in ("kretprobe", "kretprobe.multi") else None
    parameters = names.arguments(prototype) if prototype else ""
    if parameters not in ("", "(void)"):
        text = f"{text}; arguments {parameters}" if text else f"Arguments {parameters}"
    return (text or "The nearest attach point") + ("" if text.endswith(".") else ".")


def _syscall_points(lookup: Lookup, call: str) -> Iterator[tuple[str, str, str]]:
    """A system call's entry and its event."""
    entry = wrong_target_kind.entry_symbol(lookup, call)
    if entry is not None:
        yield "ksyscall", f"syscall:{call}", f"The entry of the system call, {entry} here, on every architecture."
        yield "kprobe", entry, "The entry of the system call under its name on this architecture."
        yield "fentry", entry, "The entry of the system call; its argument is the pt_regs of user space."
    if lookup.event_exists("syscalls", f"sys_enter_{call}"):
        yield "tp", f"tp:syscalls:sys_enter_{call}", "The arguments as user space gave them."


def _for_syscall(lookup: Lookup, target: Target, verdicts: tuple[Verdict, ...]) -> Iterator[tuple[str, str, str]]:
    answers = {verdict.attach: verdict.answer for verdict in verdicts}
    call = names.syscall_of(target.name) or target.name
    newer = NEWER_CALLS.get(call, "")
    if (
        newer
        and lookup.event_exists("syscalls", f"sys_enter_{newer}")
        and not lookup.event_exists("syscalls", f"sys_enter_{call}")
    ):
        for attach, place, _ in _syscall_points(lookup, newer):
            yield attach, place, f"What programs call here: the architecture has no number for {call}."
    if answers.get("ksyscall") == YES:
        return
    for point in _syscall_points(lookup, call):
        if point[1] != str(target):
            yield point
    if lookup.event_exists("raw_syscalls", "sys_enter"):
        yield (
            "tp",
            "tp:raw_syscalls:sys_enter",
            "Every system call: number and six arguments, to be filtered by number.",
        )
    inner = known_changes.known_change(f"do_{call}", lookup.arch)
    if inner is not None:
        yield from _from_change(lookup, inner)


def _for_event(lookup: Lookup, target: Target, verdicts: tuple[Verdict, ...]) -> Iterator[tuple[str, str, str]]:
    answers = {verdict.attach: verdict.answer for verdict in verdicts}
    if any(answers.get(attach) == YES for attach in ("tp", "tp_btf", "raw_tp")):
        if target.module == "syscalls" and answers.get("tp_btf") == NO and answers.get("tp") != YES:
            yield (
                "tp_btf",
                f"tp:raw_syscalls:{target.name[:9].rstrip('_')}",
                "Every system call, to be filtered by number.",
            )
        return
    step = known_changes.known_change(f"tp:{target.module}:{target.name}", lookup.arch)
    if step is not None:
        yield from _from_change(lookup, step)
    for category, name in lookup.events():
        if name == target.name and category != target.module:
            yield "tp", f"tp:{category}:{name}", f"The event of this name is in {category}."
    if target.module == "syscalls" and target.name.startswith("sys_e"):
        call = names.syscall_of(target.name)
        if call is not None:
            yield from _syscall_points(lookup, call)
    if lookup.symbols(f"__traceiter_{target.name}"):
        known = not lookup.events() or any(name == target.name for _, name in lookup.events())
        why = "The tracepoint itself." if known else "The tracepoint itself, which has no event in tracefs."
        for attach in ("tp_btf", "raw_tp"):
            yield attach, f"tp:{target.name}", why
    if lookup.symbols(target.name):
        yield from _same_function(lookup, target.name, ("fentry", "kprobe"), "the function of this name")


def _events_like(lookup: Lookup, name: str) -> Iterator[tuple[str, str, str]]:
    """Events that carry the function's name, alone or with one word more (`ext4_sync_file_enter`)."""
    stem = names.stem(name).strip("_")
    if lookup.symbols(f"__traceiter_{name}") and not lookup.symbols(name):
        for attach in ("tp_btf", "raw_tp"):
            yield attach, f"tp:{name}", "The tracepoint of this name, which has no event in tracefs."
    exact: list[tuple[str, str]] = []
    longer: list[tuple[str, str]] = []
    for category, event in lookup.events():
        if event == stem:
            exact.append((category, event))
        # A bare word (`read`) is no evidence, and events of system calls are found by the call's name.
        elif stem.count("_") >= 2 and category != "syscalls" and event.rpartition("_")[0] == stem:
            longer.append((category, event))
    for category, event in (exact or sorted(longer))[:EVENTS_MAX]:
        yield "tp", f"tp:{category}:{event}", f"An event of the same name in {category}."
