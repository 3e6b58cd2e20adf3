"""Traits: the small hashable records that rules look at.

Whatever depends on a name or an address becomes a trait in probes/attach/function_traits.py, so that functions with
equal traits share their verdicts: a kernel of 75,000 functions falls into a few hundred records.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple

# Where the symbol lies that a by-name lookup takes (kernel/extable.c core_kernel_text).
NONE, TEXT, INIT, MODULE, DATA = "none", "text", "init", "module", "data"
OUTSIDE = "outside"  # not between _stext and _end: an offset into the per-CPU area, or behind the image
NOWHERE: frozenset[str] = frozenset()


class Proto(NamedTuple):
    """A BTF prototype as far as rules look at it (kernel/bpf/btf.c btf_distill_func_proto).

    `args` and `slots` (8-byte words of arguments) are rounded down to the next limit that some rule has: 0, 12,
    13 … and 0, 7, 9, 13.
    """

    args: int
    slots: int
    variadic: bool
    struct_args: bool
    union_args: bool
    wide_arg: bool  # an argument above 16 bytes
    empty_arg: bool  # an argument of size 0
    odd_arg: bool  # float, array, forward declaration: neither pointer, integer, enum nor struct
    struct_return: bool
    odd_return: bool
    wide_return: bool  # above 8 bytes


class Traits(NamedTuple):
    """What rules may know of one function question. No name, no address."""

    # symbol lookup (kprobe, kprobe.multi)
    vmlinux: int = 0  # symbols of this name in vmlinux: 0, 1, 2 (2 stands for several)
    modules: int = 0  # the same in modules, or in the one module of a qualified question
    qualified: bool = False
    name_fits: bool = True
    name_over_127: bool = False
    place: str = NONE  # of the copy that a kprobe by name takes
    site: bool = False  # that copy holds an ftrace site
    base_site: bool = False  # its name up to the first dot is a function that holds one
    blacklisted: bool = False  # in the kprobe blacklist, itself or by that base name
    padding: bool = False  # __pfx_ or __cfi_
    switch_to: bool = False  # the architecture's kretprobe blacklist
    # First instruction where it matters: "" fine, "bug", "stale" (another module's), "int", "indirect", "rejected".
    first: str = ""
    any_site: bool = False  # some copy holds a site
    vmlinux_site: bool = False  # some copy in vmlinux does
    # BTF (fentry and relatives)
    btf: str = NONE  # NONE, "vmlinux", "module"
    proto: Proto | None = None
    implicit_args: bool = False  # a kfunc with an argument that the verifier adds, and no <name>_impl with it in BTF
    target_place: str = NONE  # of the copy that the kernel resolves the BTF name to
    target_site: bool = False
    target_nop: bool = False  # no site, but the entry is the five-byte no-op that a trampoline looks for
    security: bool = False  # name begins with security_
    syscall: bool = False  # name begins with the architecture's syscall prefix
    denied: bool = False
    noreturn: bool = False
    modify_return: bool = False  # member of a fmod_ret id set
    modify_return_sleepable: bool = False
    injectable: bool = False  # in the error-injection list
    never_sleeps: bool = False  # btf_non_sleepable_error_inject
    lsm_hook: bool = False
    lsm_disabled: bool = False
    lsm_sleepable: bool = False
    iterator: str = ""  # "" not one, "plain", "map" or "cgroup": what the link must name
    iterator_resched: bool = False
    # facts that could not be had for this very question
    unread: frozenset[str] = NOWHERE


class EventTraits(NamedTuple):
    """What rules may know of one tracepoint question."""

    event: bool = False  # in available_events or the events tree
    ftrace_only: bool = False  # category ftrace: formats of the ring buffer, no trace event class
    perf_perm: bool = False  # the event has a perf_perm callback
    dynamic: bool = False  # kprobe, uprobe or eprobe event
    raw: bool = False  # a raw tracepoint of this name is registered
    typed: bool = False  # BTF has btf_trace_<name>
    typed_in_module: bool = False  # a module's BTF has it, vmlinux's has not
    faultable: bool = False  # the raw tracepoint runs where page faults are allowed
    syscall: bool = False  # the event of one system call
    unread: frozenset[str] = NOWHERE


class UserTraits(NamedTuple):
    """What rules may know of one place in a program or library, as a uprobe."""

    path: str = ""  # "" it is there; missing, loop, long_name, not_directory, denied
    path_too_long: bool = False
    regular: bool = True
    no_page_cache: bool = False
    negative: bool = False
    past_end: bool = False
    at_end: bool = False
    unaligned: bool = False  # to the breakpoint's size: four bytes on arm64, one on x86
    counter_odd: bool = False  # the offset of the semaphore, ref_ctr_offset
    mapped: bool = False  # a process maps the place so that a breakpoint is planted at once
    refused: str = ""  # arch/x86_uprobe.py, probes/user/code.py: why the instruction is refused
    arguments_too_many: bool = False
    argument_unknown: bool = False
    no_process: bool = False  # a process is asked for (perf_event_open's pid, uprobe_multi.pid) that is not there
    unread: frozenset[str] = NOWHERE


class CallTraits(NamedTuple):
    """What rules may know of one program type that calls one helper or kfunc.

    `refused`: "", "type", "lockdown", "rights", "place" or, of a function in no set of kfuncs, "set".
    """

    may_not_load: bool = False  # the caller lacks a capability that programs of the type want
    no_program: bool = False  # the kernel does not know the type, or was built without it
    no_calls: bool = False  # the kernel takes no kfuncs at all
    absent: bool = False
    refused: str = ""
    sleeps: bool = False  # it may sleep and the program does not
    destructive: bool = False  # KF_DESTRUCTIVE, and no CAP_SYS_BOOT
    not_bound: bool = False  # a kfunc for programs that are bound to a device, and the type cannot be
    no_perfmon: bool = False  # KF_PERFMON, and no CAP_PERFMON
    walks_css: bool = False  # an iterator over a cgroup's tasks, in a program that may hold their lock
    overrides: bool = False  # bpf_override_return, for a named function
    injectable: bool = False
    unread: frozenset[str] = NOWHERE
