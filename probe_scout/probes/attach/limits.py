"""What an accepted probe does not see or may not do on this kernel, apart from inlining: the limits of `check`.

Inlining is the coverage's business (coverage.py). Here is the rest: callers that go past the symbol, hooks that nobody
calls, returns that are lost, memory that no helper reads. Each limit has an id with a page (`rules ID`) and depends on
a feature probe: a symbol, a setting, the architecture.
"""

from __future__ import annotations

from ... import arch
from ...errors import ProbeScoutError, SourceError
from ...kernel import located
from ...model.attach import family
from ...model.report import Limit
from ...model.target import FUNCTION, SYSCALL, TRACEPOINT
from ...model.traits import MODULE
from ...model.verdict import NO, YES, Finding
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...kernel.kernel import Kernel
    from ...model.target import Target
    from ...model.verdict import Verdict

COMPAT_ENTRY, COMPAT_EVENT, X32_ENTRY = "limit.compat_entry", "limit.compat_event", "limit.x32_entry"
LSM_NOT_ACTIVE, MAXACTIVE, EXIT_NOT_TRACED = "limit.lsm_not_active", "limit.maxactive", "limit.exit_not_traced"
STATIC_CALL, ALTERNATIVE, ENTRY_COPY = "limit.static_call", "limit.alternative", "limit.entry_copy"
KERNEL_READS, NO_NUMBER, STALE_BUG = "limit.kernel_reads", "limit.no_number", "limit.stale_bug"
PARTIAL, NEVER, READS, UNTOLD = "partial", "never", "reads", "unknown"  # what a limit does

_CMDLINE = "proc/cmdline"
_LSM = "sys/kernel/security/lsm"
_EVENTS = family("event")
_RETURNS = family("perf", "return")
_LINK_RETURNS = family("fprobe", "return both")
_KPROBES = family("perf")
# Of all names of modules that ftrace listed, asked of Debian's 7.3 and 6.12 and of 6.12 for arm64.
_STALE_MEASURED = "2 of 33,790"

# arch/x86/entry/syscalls/syscall_32.tbl beside syscall_64.tbl: system calls whose 32-bit number enters a function of
# another name, and those that have no 32-bit number. The two tables are ABI: numbers never change their function.
_IA32_NAMES = {
    "mmap": ("compat_sys_ia32_mmap", "compat_sys_x86_mmap"),
    "clone": ("compat_sys_ia32_clone", "compat_sys_x86_clone"),
    "pread64": ("sys_ia32_pread64", "compat_sys_x86_pread", "sys_x86_pread"),
    "pwrite64": ("sys_ia32_pwrite64", "compat_sys_x86_pwrite", "sys_x86_pwrite"),
    "readahead": ("sys_ia32_readahead", "compat_sys_x86_readahead", "sys_x86_readahead"),
    "fadvise64": ("sys_ia32_fadvise64", "compat_sys_x86_fadvise64", "sys_x86_fadvise64"),
    "sync_file_range": ("sys_ia32_sync_file_range", "compat_sys_x86_sync_file_range"),
    "fallocate": ("sys_ia32_fallocate", "compat_sys_x86_fallocate", "sys_x86_fallocate"),
    "fcntl": ("compat_sys_fcntl64",),
    "nanosleep": ("sys_nanosleep_time32",),
    "rt_sigtimedwait": ("compat_sys_rt_sigtimedwait_time32",),
    "utime": ("sys_utime32",),
    "adjtimex": ("sys_adjtimex_time32",),
    "time": ("sys_time32",),
    "io_getevents": ("sys_io_getevents_time32",),
    "utimes": ("sys_utimes_time32",),
    "futimesat": ("sys_futimesat_time32",),
    "pselect6": ("compat_sys_pselect6_time32",),
    "ppoll": ("compat_sys_ppoll_time32",),
    "recvmmsg": ("compat_sys_recvmmsg_time32",),
}
_NOT_IA32 = frozenset(("accept", "semop", "newfstatat", "kexec_file_load", "uretprobe", "uprobe"))
# syscall_64.tbl, numbers 512 to 547: what x32 programs enter by functions of their own. All else is shared.
_X32 = frozenset(
    (
        *("rt_sigaction", "ioctl", "readv", "writev", "recvfrom", "sendmsg", "recvmsg", "execve", "ptrace"),
        *("rt_sigpending", "rt_sigqueueinfo", "sigaltstack", "timer_create", "mq_notify", "kexec_load", "waitid"),
        *("set_robust_list", "get_robust_list", "vmsplice", "move_pages", "rt_tgsigqueueinfo", "sendmmsg"),
        *("process_vm_readv", "process_vm_writev", "setsockopt", "getsockopt", "io_setup", "io_submit", "execveat"),
    )
)
_X32_NAMES = {
    "rt_sigtimedwait": ("rt_sigtimedwait_time64", "rt_sigtimedwait"),
    "recvmmsg": ("recvmmsg_time64", "recvmmsg"),
    "preadv": ("preadv64",),
    "pwritev": ("pwritev64",),
    "preadv2": ("preadv64v2",),
    "pwritev2": ("pwritev64v2",),
}
# System calls for which architectures with the generic table (arm64, riscv64, loongarch64) have no number, and the call
# that C libraries make there: scripts/syscall.tbl, formerly include/uapi/asm-generic/unistd.h.
NEWER_CALLS = {
    "open": "openat",
    "creat": "openat",
    "fork": "clone",
    "vfork": "clone",
    "rename": "renameat2",
    "mkdir": "mkdirat",
    "rmdir": "unlinkat",
    "unlink": "unlinkat",
    "link": "linkat",
    "symlink": "symlinkat",
    "readlink": "readlinkat",
    "mknod": "mknodat",
    "chmod": "fchmodat",
    "chown": "fchownat",
    "lchown": "fchownat",
    "access": "faccessat",
    "stat": "newfstatat",
    "lstat": "newfstatat",
    "poll": "ppoll",
    "select": "pselect6",
    "epoll_create": "epoll_create1",
    "epoll_wait": "epoll_pwait",
    "eventfd": "eventfd2",
    "signalfd": "signalfd4",
    "inotify_init": "inotify_init1",
    "pipe": "pipe2",
    "dup2": "dup3",
    "getdents": "getdents64",
    "utime": "utimensat",
    "utimes": "utimensat",
    "futimesat": "utimensat",
    "getpgrp": "getpgid",
    "alarm": "setitimer",
}
_WRAPPERS = ("__x64_sys_", "__arm64_sys_", "__riscv_sys_", "__s390x_sys_")

# Prefixes of hook functions, by the module's name in sys/kernel/security/lsm.
_HOOKS = {
    "bpf_lsm_": "bpf",
    "selinux_": "selinux",
    "smack_": "smack",
    "apparmor_": "apparmor",
    "tomoyo_": "tomoyo",
    "yama_": "yama",
    "safesetid_": "safesetid",
    "ipe_": "ipe",
}

# Function that is called through a static call -> the static call's name (DEFINE_STATIC_CALL). Few functions have the
# name of their call: x86_pmu_del is what perf calls, and the static call x86_pmu_del is for the vendor's own.
_STATIC_CALLS = {
    "__cond_resched": "cond_resched",
    "preempt_schedule": "preempt_schedule",
    "preempt_schedule_notrace": "preempt_schedule_notrace",
    "irqentry_exit_cond_resched": "irqentry_exit_cond_resched",
    "raw_irqentry_exit_cond_resched": "irqentry_exit_cond_resched",
    "native_sched_clock": "pv_sched_clock",
}
# Function -> what the entry code calls in its place (kernel/softirq.c, arch/*/kernel/entry*).
_ENTRY_COPIES = {"irq_enter": "irq_enter_rcu", "irq_exit": "irq_exit_rcu"}


class _Asked(NamedTuple):
    """One target with the types that are not refused."""

    k: Kernel
    target: Target
    symbol: str
    types: tuple[str, ...]

    by_function: tuple[str, ...]  # those of them that are carried by a function

    def of(self, wanted: Sequence[str]) -> tuple[str, ...]:
        return tuple(attach for attach in self.types if attach in wanted)


def _asked(k: Kernel, target: Target, symbol: str, types: tuple[str, ...]) -> _Asked:
    by_function = () if target.kind == TRACEPOINT else tuple(attach for attach in types if attach not in _EVENTS)
    return _Asked(k, target, symbol, types, by_function)


def of(k: Kernel, target: Target, symbol: str, verdicts: Sequence[Verdict]) -> tuple[Limit, ...]:
    """The limits of the types that this kernel does not refuse. `symbol`: the function that a system call enters."""
    types = tuple(verdict.attach for verdict in verdicts if verdict.answer != NO)
    if not types:
        return ()
    asked = _asked(k, target, symbol, types)
    found: list[Limit] = []
    for look in (
        _no_number,
        _compat_entry,
        _x32_entry,
        _compat_event,
        _not_active,
        _exits,
        _static_call,
        _alternative,
        _copies,
    ):
        found += look(asked)
    found += _maxactive(_asked(k, target, symbol, tuple(v.attach for v in verdicts if _may_return(v))))
    found += _kernel_reads(asked)
    found += _stale_bug(asked)
    return tuple(found)


def _may_return(verdict: Verdict) -> bool:
    return verdict.answer == YES and all(note.rule != "silent.never_returns" for note in verdict.notes)


# ------------------------------------------------------------------ system calls
def _call(a: _Asked) -> str | None:
    """The system call whose wrapper, or whose event, is asked about."""
    if a.target.kind == SYSCALL:
        return a.target.name
    if a.target.kind == TRACEPOINT:
        if a.target.module not in (None, "syscalls"):
            return None
        return _behind(a.target.name, ("sys_enter_", "sys_exit_"))
    return _behind(a.symbol, _WRAPPERS) if a.target.kind == FUNCTION else None


def _behind(name: str, heads: Sequence[str]) -> str | None:
    return next((name[len(head) :] for head in heads if name.startswith(head)), None)


def _no_number(a: _Asked) -> Iterator[Limit]:
    """The kernel makes no event for a call without a number: kernel/trace/trace_syscalls.c init_syscall_trace."""
    call = _call(a)
    types = a.by_function
    newer = NEWER_CALLS.get(call or "")
    if newer is None or not types or not arch.row(a.k.arch()).is_generic_table:
        return
    if "syscalls" in (a.k.events_named(f"sys_enter_{newer}") or ()) and not a.k.events_named(f"sys_enter_{call}"):
        says = f"64-bit programs do not make this call: the architecture has no number for {call}; they call {newer}."
        yield Limit(NO_NUMBER, PARTIAL, says, f"sys/kernel/tracing/events: no syscalls:sys_enter_{call}", types)


def _compat_entry(a: _Asked) -> Iterator[Limit]:
    """32-bit programs enter by another function: arch/x86/include/asm/syscall_wrapper.h and its like."""
    call = _call(a)
    types = a.by_function
    if call is None or not types:
        return
    machine = arch.row(a.k.arch())
    names = [f"{prefix}{call}" for prefix in machine.compat_prefixes]
    if machine.has_ia32:
        if call in _NOT_IA32:
            return
        names = [f"__ia32_{name}" for name in _IA32_NAMES.get(call, ())] or names
    other = next((name for name in names if a.k.has_function(name)), None)
    if other is None or _same_place(a.k, a.symbol, other):
        return
    certainty = _takes_32bit(a.k)
    if certainty is None:
        return
    says = f"Calls of 32-bit programs enter by {other}, past {a.symbol}; raw_syscalls:sys_enter sees them."
    yield Limit(COMPAT_ENTRY, PARTIAL, says, f"proc/kallsyms: {other}", types, certainty)


def _x32_entry(a: _Asked) -> Iterator[Limit]:
    call = _call(a)
    types = a.by_function
    prefix = arch.row(a.k.arch()).x32_prefix
    if call is None or not types or not prefix:
        return
    for name in _X32_NAMES.get(call, (call,) if call in _X32 else ()):
        other = prefix + name
        if a.k.has_function(other) and not _same_place(a.k, a.symbol, other):
            says = f"Calls of x32 programs, where the kernel takes them, enter by {other}, past {a.symbol}."
            yield Limit(X32_ENTRY, PARTIAL, says, f"proc/kallsyms: {other}", types)
            return


def _compat_event(a: _Asked) -> Iterator[Limit]:
    """kernel/trace/trace_syscalls.c trace_get_syscall_nr: arch_trace_is_compat_syscall."""
    call = _call(a)
    types = a.of(_EVENTS)
    if call is None or not types:
        return
    machine = arch.row(a.k.arch())
    if not machine.skips_compat_events or (machine.has_ia32 and call in _NOT_IA32):
        return
    head = next((one for one in machine.compat_prefixes if a.k.names_starting(one.encode())), None)
    certainty = _takes_32bit(a.k) if head is not None else None
    if head is None or certainty is None:
        return
    raw = "sys_exit" if a.target.name.startswith("sys_exit_") else "sys_enter"
    says = f"The kernel skips the events of single system calls for 32-bit programs; raw_syscalls:{raw} sees them."
    yield Limit(COMPAT_EVENT, PARTIAL, says, f"proc/kallsyms: {head}*", types, certainty)


def _takes_32bit(k: Kernel) -> str | None:
    """How sure it is that this boot runs 32-bit programs; None where x86's ia32_emulation is off."""
    if not arch.row(k.arch()).has_ia32:
        return "is"
    off_by_default = k.option("CONFIG_IA32_EMULATION_DEFAULT_DISABLED")
    line = _text(k, _CMDLINE)
    if line is None:
        return "likely" if off_by_default else "is"
    told = [word.partition("=")[2].lower() for word in line.split() if word.startswith("ia32_emulation=")]
    is_off = told[-1] in ("0", "off", "n", "no", "f", "false") if told else bool(off_by_default)
    return None if is_off else "is"


def _same_place(k: Kernel, name: str, other: str) -> bool:
    """Two names of one function: the wrappers of system calls without arguments are aliases of one stub."""
    view = k.view((name.encode(), other.encode()))
    if view is None:
        return False
    symbols = view.symbols
    if symbols.hidden:
        found = located.btf_function(k, name, None)
        return found is not None and found[1].prototype(found[2]).text.endswith("__unused)")
    places = [{symbols.addresses[row] for row in symbols.rows(one.encode())} for one in (name, other)]
    return bool(places[0] & places[1])


def _exits(a: _Asked) -> Iterator[Limit]:
    """arm64's own road out of a system call (arch/arm64/kernel/syscall.c, entry.S ret_from_fork)."""
    types = a.of(_EVENTS)
    if a.target.kind != TRACEPOINT or not types or not arch.row(a.k.arch()).has_own_syscall_exit:
        return
    call = _behind(a.target.name, ("sys_exit_",))
    if call in ("clone", "clone3") and a.k.has_symbol("syscall_trace_exit"):
        says = "The child's return is not seen: on arm64 a new task leaves by ret_from_fork, which traces no exit."
        evidence = "proc/kallsyms: syscall_trace_exit, the architecture's own"
        yield Limit(EXIT_NOT_TRACED, PARTIAL, says, evidence, types)
    # Since 6.0, and in stable kernels before, start_thread_common keeps the number; that left nothing to see. What
    # does show is a later change of the same architecture: memory copy instructions, 6.5.
    elif call in ("execve", "execveat") and not a.k.has_symbol("do_el0_mops"):
        says = (
            "Successful calls may be missing: arm64 kernels before 6.0 lost the call's number with the old program. "
            "A stable fix ended it, which nothing that was read shows; sched:sched_process_exec sees them."
        )
        yield Limit(EXIT_NOT_TRACED, UNTOLD, says, "proc/kallsyms: do_el0_mops is not there", types, "unknown")


# ------------------------------------------------------------------------- hooks
def _not_active(a: _Asked) -> Iterator[Limit]:
    """A hook's function is called only where its module is active: security/security.c security_add_hooks."""
    types = a.by_function
    if a.target.kind != FUNCTION or not types:
        return
    head = next((head for head in _HOOKS if a.symbol.startswith(head)), None)
    if head is None or not _is_hook(a.k, a.symbol, head):
        return
    module = _HOOKS[head]
    text = _text(a.k, _LSM)
    if not text:
        if text is None and module != "bpf":
            return
        says = f"Whether it is called at all could not be read: {_LSM} tells whether {module} is active."
        yield Limit(LSM_NOT_ACTIVE, UNTOLD, says, _LSM, types, "unknown")
    elif module not in text.split(","):
        says = f"It attaches and is never called: {module} is not among the active security modules."
        yield Limit(LSM_NOT_ACTIVE, NEVER, says, f"{_LSM}: {text}", types)


def _is_hook(k: Kernel, name: str, head: str) -> bool:
    """The rest of the name is a hook's, as the kernel's own bpf_lsm_ functions tell."""
    if head == "bpf_lsm_":
        ids = k.ids()
        return not ids.visible or "bpf_lsm_hooks" not in ids.sets or ids.holds("bpf_lsm_hooks", name)
    return bool(k.has_symbol(f"bpf_lsm_{name[len(head) :]}"))


# ------------------------------------------------------- calls that are redirected
def _static_call(a: _Asked) -> Iterator[Limit]:
    types = a.by_function
    if not types:
        return
    if a.symbol.startswith("__SCT__"):
        says = "Callers of a static call are patched to call its target; they do not pass this trampoline."
        yield Limit(STATIC_CALL, PARTIAL, says, f"proc/kallsyms: {a.symbol}", types)
        return
    key = _STATIC_CALLS.get(a.symbol)
    if key is not None and (a.k.has_function(f"__SCT__{key}") or a.k.has_function(f"__SCK__{key}")):
        says = (
            f"It is called through the static call {key}, which the kernel patches: while another target is set, "
            "it is not called."
        )
        yield Limit(STATIC_CALL, PARTIAL, says, f"proc/kallsyms: __SCT__{key}", types)


def _alternative(a: _Asked) -> Iterator[Limit]:
    types = a.by_function
    group = next((group for group in arch.row(a.k.arch()).chosen_at_boot if a.symbol in group), None)
    if group is None or not types:
        return
    others = [name for name in group if name != a.symbol and a.k.has_function(name)]
    if others:
        says = f"Boot patches callers to one of several functions by the hardware: {', '.join(others)} may be it."
        yield Limit(ALTERNATIVE, PARTIAL, says, f"proc/kallsyms: {', '.join(others)}", types)


def _copies(a: _Asked) -> Iterator[Limit]:
    types = a.by_function
    other = _ENTRY_COPIES.get(a.symbol)
    if other is not None and types and a.k.has_function(other):
        says = f"The entry code of interrupts calls {other} and goes past {a.symbol}."
        yield Limit(ENTRY_COPY, PARTIAL, says, f"proc/kallsyms: {other}", types)


# ----------------------------------------------------------------------- programs
def _maxactive(a: _Asked) -> Iterator[Limit]:
    """kernel/kprobes.c register_kretprobe; before fprobe was built on fgraph, kernel/trace/fprobe.c as well."""
    types = a.of(_RETURNS)
    if a.k.member("fprobe", "rethook"):
        types += a.of(_LINK_RETURNS)
    if types:
        says = "Returns are lost where more calls wait inside than the probe has slots for (maxactive)."
        yield Limit(MAXACTIVE, PARTIAL, says, "the attach type", types)


def _kernel_reads(a: _Asked) -> Iterator[Limit]:
    if kernel_reads_locked(a.k):
        says = (
            "Kernel memory may not be read by helpers here (lockdown): a program that calls bpf_probe_read_kernel, "
            "bpf_probe_read_kernel_str or bpf_probe_read does not load. Typed loads work."
        )
        yield Limit(KERNEL_READS, READS, says, "sys/kernel/security/lockdown: confidentiality", a.types, "is")


def _stale_bug(a: _Asked) -> Iterator[Limit]:
    """lib/bug.c module_find_bug; kernel/kprobes.c check_kprobe_address_safe (rules/kprobe_register.py, stale_bug)."""
    types = a.of(_KPROBES)
    if a.target.kind != FUNCTION or not types:
        return
    found = located.locate(a.k, a.symbol)
    mine = found.of(a.target.module) if found is not None else ()
    if found is None or not mine or found.places[mine[0]] != MODULE or a.k.stale_bugs_are_told():
        return
    says = (
        "It may get EINVAL all the same: if it lies where the freed init text of another module had a BUG or WARN, the "
        f"kernel takes it for one. Where modules lie was not read; {_STALE_MEASURED} functions were so."
    )
    yield Limit(STALE_BUG, UNTOLD, says, "sys/module/*/sections/.init.text", types, "unknown")


def kernel_reads_locked(k: Kernel) -> bool:
    """bpf_tracing_func_proto gives no bpf_probe_read_kernel: LOCKDOWN_BPF_READ_KERNEL (kernel/trace/bpf_trace.c)."""
    return k.lockdown() == "confidentiality"


def noted(verdicts: Sequence[Verdict], limits: Sequence[Limit]) -> tuple[Verdict, ...]:
    """The verdicts with what makes their yes worth less beside it: a hook that nobody calls, memory not to be read."""
    weighty = [limit for limit in limits if limit.effect in (NEVER, READS)]
    found = []
    for verdict in verdicts:
        told = {note.says for note in verdict.notes}
        more = tuple(
            Finding(limit.id, limit.says, limit.evidence)
            for limit in weighty
            if verdict.answer == YES and verdict.attach in limit.types and limit.says not in told
        )
        found.append(verdict._replace(notes=verdict.notes + more) if more else verdict)
    return tuple(found)


def _text(k: Kernel, path: str) -> str | None:
    """A small file's text; None where it cannot be read."""
    try:
        return k.read(path).decode("utf-8", "replace").strip()
    except (SourceError, ProbeScoutError):
        return None
