"""The right thing asked in the wrong words: other kinds of target, loader prefixes, wrapper names."""

from __future__ import annotations

from ...model.report import Diagnosis
from . import known_changes
from . import symbol_names as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.target import Target
    from .protocol import Lookup

# After these nothing more needs saying about a name that has no symbol.
FINAL = frozenset(("stray", "is_tracepoint", "is_syscall", "syscall_name", "lsm_hook", "struct_ops"))

# Hooks whose function names differ: LSM hook -> the function that calls it (security/security.c).
LSM_CALLERS = {"bprm_check_security": "security_bprm_check"}
STRUCT_OPS = frozenset(
    ("tcp_congestion_ops", "sched_ext_ops", "hid_bpf_ops", "Qdisc_ops", "bpf_dummy_ops", "binfmt_misc_ops")
)


def wrong_kind(lookup: Lookup, target: Target) -> list[Diagnosis]:
    """What a function target really names, where that is something else or is written differently."""
    for look in (_stray, _event_as_function, _padding, _syscall_as_function, _lsm_hook, _struct_ops):
        found = look(lookup, target)
        if found is not None:
            return [found]
    return []


def _stray(lookup: Lookup, target: Target) -> Diagnosis | None:
    """`vfs_read()`, `&vfs_read`, `vfs_read.isra`."""
    text = str(target)
    bare = names.unwrapped(text)
    if bare not in (text, target.name) and lookup.symbols(bare):
        says = f"{text} carries more than the name of a function; kallsyms has {bare}, so ask for {bare}."
        return Diagnosis("stray", says, "is")
    if not lookup.symbols(target.name) and "." in target.name:
        full = [v for v in lookup.variants(names.stem(target.name)) if v.startswith(target.name)]
        if full:
            says = f"{target.name} is the beginning of a compiler's suffix; the full name here is {names.listed(full)}."
            return Diagnosis("stray", says, "is")
    if any(sign in target.name for sign in "*?["):
        says = f"{target.name} is a pattern; patterns are answered by scan, check takes one name."
        return Diagnosis("stray", says, "is")
    return None


def _event_as_function(lookup: Lookup, target: Target) -> Diagnosis | None:
    """`sched:sched_switch`, or `sched_process_exec` without any category."""
    if target.module is not None:
        has_function = any(symbol.module == target.module for symbol in lookup.symbols(target.name))
        if lookup.event_exists(target.module, target.name) and not has_function:
            written = f"tp:{target.module}:{target.name}"
            says = f"{target.module}:{target.name} is a tracepoint, not a function of a module; write {written}."
            return Diagnosis("is_tracepoint", says, "is")
        return None
    if (
        lookup.symbols(target.name)
        or lookup.variants(target.name)
        or known_changes.known_change(target.name, lookup.arch) is not None
    ):
        return None
    homes = [category for category, name in lookup.events() if name == target.name]
    if not homes and lookup.events() and lookup.symbols(f"__traceiter_{target.name}"):
        says = (
            f"{target.name} is a tracepoint without an event in tracefs; raw_tp and tp_btf reach it as "
            f"tp:{target.name}."
        )
        return Diagnosis("is_tracepoint", says, "is")
    if not homes:
        return None
    written = names.listed([f"tp:{category}:{target.name}" for category in homes])
    return Diagnosis("is_tracepoint", f"{target.name} is a tracepoint, not a function; write {written}.", "is")


def _padding(lookup: Lookup, target: Target) -> Diagnosis | None:
    """`__pfx_f` and `__cfi_f` are bytes in front of f, with a symbol of their own."""
    for prefix in names.PADDING:
        if target.name.startswith(prefix) and lookup.symbols(target.name):
            real = target.name[len(prefix) :]
            says = f"{target.name} names the padding in front of {real}, which is never executed; ask for {real}."
            return Diagnosis("padding", says, "is")
    return None


def _syscall_as_function(lookup: Lookup, target: Target) -> Diagnosis | None:
    """`sys_execve`, `SyS_execve`, `__x64_sys_execve` on arm64, or plain `execve`."""
    if target.module is not None or lookup.symbols(target.name):
        return None
    call = names.syscall_of(target.name)
    forms = syscall_forms(lookup, call or target.name)
    if not forms:
        return None
    if call is None:
        says = f"{target.name} is a system call, not a function; write {names.listed(forms)}."
        return Diagnosis("is_syscall", says, "is")
    says = (
        f"The {call} system call is not called {target.name} on this {lookup.arch} kernel; write {names.listed(forms)}."
    )
    return Diagnosis("syscall_name", says, "is")


def syscall_forms(lookup: Lookup, call: str) -> list[str]:
    """How this kernel spells a system call: the target for every architecture, the entry, the event; [] if none."""
    entry = entry_symbol(lookup, call)
    event = lookup.event_exists("syscalls", f"sys_enter_{call}")
    if entry is None and not event:
        return []
    forms = [f"syscall:{call}"] if entry else []
    if entry:
        forms.append(entry)
    if event:
        forms.append(f"tp:syscalls:sys_enter_{call}")
    return forms


def entry_symbol(lookup: Lookup, call: str) -> str | None:
    """The function through which user space enters a system call here; None if no spelling has a symbol."""
    for name in (names.syscall_entry(lookup.arch, call), f"__se_sys_{call}", f"sys_{call}", f"SyS_{call}"):
        if lookup.symbols(name):
            return name
    return None


def _lsm_hook(lookup: Lookup, target: Target) -> Diagnosis | None:
    """`file_open`: the hook's name alone, where lsm wants bpf_lsm_file_open and the rest security_file_open."""
    if target.module is not None or lookup.symbols(target.name):
        return None
    stub = f"bpf_lsm_{target.name}"
    caller = LSM_CALLERS.get(target.name, f"security_{target.name}")
    if not lookup.symbols(stub):
        return None
    says = f"{target.name} is a security hook: lsm programs attach to {stub}"
    if lookup.symbols(caller):
        says += f", every other type to {caller}"
    return Diagnosis("lsm_hook", says + ".", "is")


def _struct_ops(lookup: Lookup, target: Target) -> Diagnosis | None:
    """The name of a struct of function pointers, which struct_ops programs fill."""
    if target.name not in STRUCT_OPS or lookup.symbols(target.name):
        return None
    says = f"{target.name} is a struct of callbacks: struct_ops programs implement its members, nothing attaches to it."
    return Diagnosis("struct_ops", says, "is")


def syscall(lookup: Lookup, target: Target) -> list[Diagnosis]:
    """A `syscall:` target which has no entry here: every name that was tried."""
    if entry_symbol(lookup, target.name) is not None:
        return []
    call = names.syscall_of(target.name)
    if call is not None and syscall_forms(lookup, call):
        says = f"syscall: takes the bare name of a system call; write syscall:{call}."
        return [Diagnosis("stray", says, "is")]
    tried = [names.syscall_entry(lookup.arch, target.name), f"__se_sys_{target.name}"]
    says = (
        f"No symbol of a {target.name} system call exists here; {names.listed(list(dict.fromkeys(tried)))} were tried."
    )
    return [Diagnosis("no_syscall", says, "is")]


def tracepoint(lookup: Lookup, target: Target) -> list[Diagnosis]:
    """Why an event is not there, or which forms of it there are."""
    events = lookup.events()
    if target.module is not None and lookup.event_exists(target.module, target.name):
        if target.module == "syscalls":
            says = (
                "Events of single system calls have no raw tracepoint of their own: raw_tp and tp_btf know only "
                "sys_enter and sys_exit."
            )
            return [Diagnosis("syscall_event", says, "is")]
        return []
    homes = [category for category, name in events if name == target.name]
    found: list[Diagnosis] = []
    step = known_changes.known_change(f"tp:{target.module}:{target.name}", lookup.arch)
    if target.module is None:
        if len(homes) > 1:
            written = names.listed([f"tp:{category}:{target.name}" for category in homes])
            found.append(Diagnosis("ambiguous", f"Several events are called {target.name}: {written}.", "is"))
        if homes:
            return found
    elif homes:
        written = names.listed([f"tp:{category}:{target.name}" for category in homes])
        found.append(Diagnosis("elsewhere", f"{target.module} has no event {target.name}; there is {written}.", "is"))
    if step is not None:
        found.append(Diagnosis(step.change, step.says, "likely"))
    found.extend(_bare_tracepoint(lookup, target))
    if any(symbol.is_text for symbol in lookup.symbols(target.name)):
        says = f"{target.name} is a function, not a tracepoint; write {target.name} without tp:."
        found.append(Diagnosis("is_function", says, "is"))
    if not found and target.module is not None and events and target.module not in {c for c, _ in events}:
        found.extend(_event_module(lookup, target))
    return found


def _bare_tracepoint(lookup: Lookup, target: Target) -> list[Diagnosis]:
    """Tracepoints without an event in tracefs show as `__traceiter_<name>` (include/linux/tracepoint.h)."""
    if lookup.events() and lookup.symbols(f"__traceiter_{target.name}"):
        says = f"{target.name} is a tracepoint without an event in tracefs: raw_tp and tp_btf reach it, tp does not."
        return [Diagnosis("bare_tracepoint", says, "is")]
    if lookup.symbols(f"__traceiter_{target.name}_tp"):
        says = (
            f"{target.name} is a bare tracepoint whose name ends in _tp on this kernel; ask raw_tp or tp_btf for "
            f"{target.name}_tp."
        )
        return [Diagnosis("bare_tracepoint", says, "is")]
    return []


def _event_module(lookup: Lookup, target: Target) -> list[Diagnosis]:
    """Events of a module appear with the module; their category is often called like it."""
    files = lookup.module_files() or {}
    if target.module in files and target.module not in lookup.modules_loaded():
        says = (
            f"There is no event category {target.module}; a module of that name exists and is not loaded, and its "
            "events come with it."
        )
        return [Diagnosis("module_not_loaded", says, "likely")]
    return []
