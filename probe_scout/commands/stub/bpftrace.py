"""bpftrace: a script that prints every field or argument it can name, or counts where the printing would flood.

bpftrace reads the format file itself, so offsets are not repeated here. `args->NAME` and the names fentry and
kprobe are understood by bpftrace 0.21 and newer; before, fentry was called kfunc and fexit kretfunc.
"""

from __future__ import annotations

import re

from ...model.stub import (
    BYTES,
    INTEGER,
    LOCATED,
    PADDING,
    POINTER,
    RECORD,
    RESERVED,
    SLOTS,
    STUB_USER,
    Member,
    PlainType,
    Stub,
)
from . import words
from .arguments import REGISTERS_OF, places, places_of
from .c_struct import LICENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PRINTED_MAX = 12  # bpftrace takes a limited number of arguments for one printf


def write(stubs: Sequence[Stub], provenance: Sequence[str]) -> str:
    """One script with a probe for each stub."""
    lines = ["#!/usr/bin/env bpftrace", f"// {LICENCE}"]
    lines += [f"// {words.comment(line)}".rstrip() for line in provenance]
    for stub in stubs:
        lines += ["", *(f"// {words.comment(line)}" for line in (*stub.facts, *stub.notes)), *_probe(stub)]
    return "\n".join(lines) + "\n"


def _probe(stub: Stub) -> list[str]:
    if stub.attach in STUB_USER:
        return _user(stub)
    comments: list[str] = []
    shown: list[tuple[str, str, str]] = []  # label, format, expression
    if stub.shape == RECORD:
        head = stub.section.replace("tp/", "tracepoint:", 1).replace("/", ":")
        names = {member.name.removesuffix("_loc") for member in stub.members}
        for member in stub.members:
            base, _, ordinal = member.name.removesuffix("_loc").rpartition("_")
            if ordinal.isdigit() and base in names and any(f"two fields {base};" in note for note in stub.notes):
                comments.append(f"{member.declared} {base}: bpftrace cannot tell it from the other {base}")
            else:
                _field(member, shown, comments)
    elif stub.shape == SLOTS and stub.attach in ("raw_tp", "tp_btf"):
        head = f"rawtracepoint:{stub.target}"
        comments.append("bpftrace 0.17 has no rawtracepoint, 0.23 has; its arguments are 8-byte integers")
        for member in stub.members:
            one = member.argument
            if one is not None and one.slots == 1 and one.type.kind != "struct":
                _typed(member.name, f"arg{one.slot}", one.type, shown, comments)
            else:
                comments.append(f"{member.declared} {member.name}: larger than 8 bytes")
    elif stub.shape == SLOTS:
        head = f"{stub.attach}:{stub.target}"
        older = "kfunc" if stub.attach == "fentry" else "kretfunc"
        comments.append(f"bpftrace before 0.21 calls {stub.attach} {older}")
        for member in stub.members:
            if member.argument is not None:
                name = member.name
                is_return = len(stub.members) > len(stub.arguments) and member is stub.members[-1]
                _typed(name, "retval" if is_return else f"args->{name}", member.argument.type, shown, comments)
    else:
        head = f"{stub.attach}:{stub.target}"
        where = places(stub.arch, stub.arguments)
        number = 0
        for one, place in zip(stub.arguments, where, strict=True):
            if place.registers and one.type.kind != "struct":
                _typed(one.name, f"arg{number}", one.type, shown, comments)
            else:
                comments.append(f"{one.type.text} {one.name}: not in one register")
            number += max(1, len(place.registers))
        if stub.attach == "kretprobe" and stub.returns is not None and stub.returns.kind != "void":
            _typed("retval", "retval", stub.returns, shown, comments)
    lines = [head, "{"]
    lines += [f"    // {words.comment(line)}" for line in comments]
    printed = ['printf("%s %d\\n", comm, pid);']
    for at in range(0, len(shown), _PRINTED_MAX):
        part = shown[at : at + _PRINTED_MAX]
        text = " ".join(f"{label}={form}" for label, form, _ in part)
        values = ", ".join(value for _, _, value in part)
        printed.append(f'printf("  {text}\\n", {values});')
    if _floods(stub):
        lines.append(
            "    // Counted: this comes thousands of times a second, or printing makes it. To print, uncomment:"
        )
        lines += [f"    // {line}" for line in printed]
        lines.append("    @[comm] = count();")
    else:
        lines += [f"    {line}" for line in printed]
    return [*lines, "}"]


def _user(stub: Stub) -> list[str]:
    """A probe on a program: argN where the register is the C convention's, reg() and the stack elsewhere."""
    comments: list[str] = []
    shown: list[tuple[str, str, str]] = []
    registers = REGISTERS_OF[stub.arch]
    for number, (one, place) in enumerate(zip(stub.arguments, places_of(stub), strict=True)):
        if stub.attach == "usdt":
            _user_value(one.name, f"arg{number}", one.type, shown, comments)
        elif len(place.registers) == 1 and one.type.kind != "struct":
            member = place.registers[0]
            known = member in registers.call and stub.attach == "uprobe" and not stub.title.endswith("_return")
            value = f"arg{registers.call.index(member)}" if known else f'reg("{_register(stub.arch, member)}")'
            _user_value(one.name, value, one.type, shown, comments)
        elif place.stack is not None and one.type.kind in ("int", "pointer"):
            _user_value(one.name, f'*uptr((uint64 *)(reg("sp") + {place.stack}))', one.type, shown, comments)
        else:
            where = place.says or "not in one register"
            comments.append(f"{one.type.text} {one.name}: {where}")
            for at, member in enumerate(place.registers):
                shown.append((f"{one.name}{at}", "0x%lx", f'reg("{_register(stub.arch, member)}")'))
    if stub.attach == "uretprobe" and stub.returns is not None and stub.returns.kind in ("int", "pointer"):
        _user_value("retval", "retval", stub.returns, shown, comments)
    heads = [_user_head(stub, section) for section in stub.sites or (stub.section,)]
    lines = [*(f"{head}," for head in heads[:-1]), heads[-1], "{", *(f"    // {words.comment(c)}" for c in comments)]
    lines.append('    printf("%s %d\\n", comm, pid);')
    for at in range(0, len(shown), _PRINTED_MAX):
        part = shown[at : at + _PRINTED_MAX]
        text = " ".join(f"{label}={form}" for label, form, _ in part)
        lines.append(f'    printf("  {text}\\n", {", ".join(value for _, _, value in part)});')
    return [*lines, "}"]


def _user_head(stub: Stub, section: str) -> str:
    """uprobe:PATH:SYMBOL; by the file offset where loaders do not find the name."""
    word, slash, rest = section.partition("/")
    if not slash:
        found = _OFFSET.search(stub.facts[0])
        file, at = _FILE.search(stub.facts[0]), found[1] if found else "0"
        return f"{word}:{file[1] if file else ''}:{at}"
    path, _, name = rest.partition(":")
    if stub.attach != "usdt" and not name.replace("_", "a").replace("+", "a").isalnum():
        name = f'"{name}"' if "+" not in name else f'"{name.rpartition("+")[0]}"+{name.rpartition("+")[2]}'
    return f"{word}:{path}:{name}"


_OFFSET = re.compile(r"file offset (0x[0-9a-f]+)")
_FILE = re.compile(r" of (\S+) \(build id")


def _register(arch: str, member: str) -> str:
    return member.replace("regs[", "r").rstrip("]") if arch == "aarch64" else member


def _user_value(name: str, value: str, one: PlainType, shown: list[tuple[str, str, str]], comments: list[str]) -> None:
    comments.append(f"{one.text} {name}".strip())
    label = words.identifier(name)
    if one.kind == "pointer" and one.target == "char":
        shown.append((label, "%s", f"str({value})"))
    elif one.kind == "pointer":
        shown.append((label, "0x%lx", f"(uint64){value}"))
    elif one.kind == "int":
        cast = f"({'int' if one.signed else 'uint'}{8 * one.size})"
        shown.append((label, "%ld" if one.signed else "%lu", f"{cast}{value}"))


# What printing itself makes, or what comes with every switch, wait, allocation, interrupt or packet.
_FLOOD_CATEGORIES = words.word_set(
    """
    exceptions hrtimer hyperv ipi irq irq_matrix irq_vectors kmem lock lru mmap_lock msr net napi
    page_pool percpu power preemptirq qdisc raw_syscalls rcu skb sock tcp timer tlb vmscan workqueue
    writeback
    """
)
_FLOOD_EVENTS = (
    *(
        "sched_switch",
        "sched_wak",
        "sched_stat_",
        "sched_migrate_task",
        "sched_entry_tp",
        "sched_exit_tp",
        "sched_pelt_",
    ),
    *(
        "sched_cpu_capacity",
        "sched_util_est",
        "sched_overutilized",
        "sched_update_nr_running",
        "sched_set_need_resched",
    ),
    *("sched_wake_idle", "sched_prepare_exec"),
)
_FLOOD_CALLS = words.word_set(
    """
    read write readv writev pread64 pwrite64 futex poll ppoll select pselect6 epoll_wait epoll_pwait
    epoll_pwait2 ioctl recvmsg recvfrom sendmsg sendto recvmmsg sendmmsg clock_gettime clock_nanosleep
    nanosleep gettimeofday getpid gettid rt_sigaction rt_sigprocmask rt_sigreturn mmap munmap mprotect
    madvise brk close fstat newfstat newfstatat statx lseek sched_yield bpf perf_event_open
    io_uring_enter getrandom
    """
)
_FLOOD_FUNCTIONS = (
    *("schedule", "__schedule", "finish_task_switch", "try_to_wake_up", "ttwu_", "update_curr", "enqueue_", "dequeue_"),
    *(
        "vfs_read",
        "vfs_write",
        "ksys_read",
        "ksys_write",
        "new_sync_",
        "rw_verify_area",
        "tty_write",
        "pipe_",
        "n_tty_",
    ),
    *("do_syscall", "__x64_sys_read", "__x64_sys_write", "__arm64_sys_read", "__arm64_sys_write", "kmalloc", "kfree"),
    *("__kmalloc", "kmem_cache_", "alloc_pages", "__alloc_pages", "free_pages", "__free_pages", "handle_mm_fault"),
    *(
        "do_user_addr_fault",
        "exc_page_fault",
        "tcp_sendmsg",
        "tcp_recvmsg",
        "ip_rcv",
        "netif_receive",
        "__netif_receive",
    ),
    *(
        "dev_queue_xmit",
        "__dev_queue_xmit",
        "tick_",
        "hrtimer_",
        "run_timer",
        "rcu_",
        "irq_",
        "handle_irq",
        "__do_softirq",
    ),
    *(
        "handle_softirqs",
        "mutex_lock",
        "mutex_unlock",
        "_raw_spin_",
        "__fget",
        "fget",
        "fput",
        "security_file_permission",
    ),
)


def _floods(stub: Stub) -> bool:
    """Printing each of these would be more than a terminal shows, or would make the next one."""
    category, colon, event = stub.target.rpartition(":")
    if stub.shape == RECORD or colon:
        call = event.removeprefix("sys_enter_").removeprefix("sys_exit_")
        if category == "syscalls":
            return call in _FLOOD_CALLS
        return category in _FLOOD_CATEGORIES or event.startswith(_FLOOD_EVENTS)
    if stub.attach in ("raw_tp", "tp_btf"):
        return stub.target.startswith((*_FLOOD_EVENTS, "sys_enter", "sys_exit"))
    return stub.target.startswith(_FLOOD_FUNCTIONS)


def _field(member: Member, shown: list[tuple[str, str, str]], comments: list[str]) -> None:
    if member.kind in (RESERVED, PADDING):
        if member.says and (member.declared or member.kind == RESERVED):
            comments.append(member.says)
        return
    name = member.name.removesuffix("_loc") if member.kind == LOCATED else member.name
    value = f"args->{name}"
    if words.identifier(name) != name:
        comments.append(f"{member.declared} {name}: no name in bpftrace")
    elif member.kind == LOCATED and member.text:
        shown.append((name, "%s", f"str({value})"))
    elif member.kind == BYTES and member.text:
        shown.append((name, "%s", value))
    elif member.kind == POINTER and member.text:
        shown.append((name, "%s", f"str({value})"))
    elif member.kind == POINTER:
        comments.append(f"{member.declared} {name}: {member.says}" if member.says else f"{member.declared} {name}")
        shown.append((name, "0x%lx", f"(uint64){value}"))
    elif member.kind == INTEGER:
        shown.append((name, "%ld" if member.signed else "%lu", value))
    else:
        comments.append(f"{member.declared} {name}: {member.size} bytes, print its elements")


def _typed(name: str, value: str, one: PlainType, shown: list[tuple[str, str, str]], comments: list[str]) -> None:
    comments.append(f"{one.text} {name}".strip())
    if one.kind == "pointer":
        shown.append((name, "0x%lx", f"(uint64){value}"))
    elif one.kind in ("int", "bool", "enum"):
        cast = f"({'int' if one.signed else 'uint'}{8 * one.size})" if value.startswith(("arg", "retval")) else ""
        shown.append((name, "%ld" if one.signed else "%lu", f"{cast}{value}"))
