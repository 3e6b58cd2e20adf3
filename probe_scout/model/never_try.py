"""Functions on which no live attempt is made, and why: the one list, for `verify`, hazards and verdicts.

The kernel's own lists (kernel/bpf/verifier.c, btf_id_deny and noreturn_deny) over the kernels read, 5.10 to 7.3.
Kernels that lack an entry accept the attach, so the union is kept. Where a kernel's own list cannot be seen, a name
of this one is answered unknown.
"""

from __future__ import annotations

_RCU = (
    "a BPF trampoline itself calls it, so attaching there recurses; fentry froze a 6.1 kernel, newer kernels refuse it"
)
_PREEMPT = "a BPF trampoline changes the preemption count itself, so attaching there recurses; newer kernels refuse it"
_MIGRATE = "a BPF trampoline itself calls it around every program, so attaching there recurses; newer kernels refuse it"
_NORETURN = "it never returns, so the trampoline is never released; newer kernels refuse it"
_LOCK = "BPF maps and the perf buffer take locks through it, and programs on several CPUs have deadlocked each other"

# btf_id_deny.
DENIED = {
    "__rcu_read_lock": _RCU,
    "__rcu_read_unlock": _RCU,
    "rcu_read_unlock_strict": _RCU,
    "preempt_count_add": _PREEMPT,
    "preempt_count_sub": _PREEMPT,
    "migrate_disable": _MIGRATE,
    "migrate_enable": _MIGRATE,
    "___migrate_enable": _MIGRATE,
}
# Those that the list had from its first day (BPF_PROG_TYPE_SYSCALL in BTF is a contemporary).
DENIED_FIRST = ("migrate_disable", "migrate_enable", "rcu_read_unlock_strict")
# noreturn_deny.
NORETURN = dict.fromkeys(
    (
        "do_exit",
        "do_group_exit",
        "make_task_dead",
        "kthread_exit",
        "kthread_complete_and_exit",
        "__module_put_and_kthread_exit",
        "__x64_sys_exit",
        "__x64_sys_exit_group",
        "__ia32_sys_exit",
        "__ia32_sys_exit_group",
        "__kunit_abort",
        "kunit_try_catch_throw",
    ),
    _NORETURN,
)
# The same system calls elsewhere: the kernel's list names those of x86 only, so others take fexit and never
# release it (measured on arm64, 6.12 and 7.3).
SYSTEM_EXITS = dict.fromkeys(
    (f"__{arch}_sys_{call}" for arch in ("arm64", "riscv", "s390x") for call in ("exit", "exit_group")),
    "it never returns, so the trampoline is never released; the kernel's list of such functions names x86's only",
)
# iovisor/bcc#2300, bpftrace#534 and bpftrace#3144: kretprobe, fentry and fexit with a map or a perf buffer.
LOCKS = dict.fromkeys(
    (
        "_raw_spin_lock",
        "_raw_spin_lock_irqsave",
        "_raw_spin_unlock_irqrestore",
        "queued_spin_lock_slowpath",
        "native_queued_spin_lock_slowpath",
        "__pv_queued_spin_lock_slowpath",
    ),
    _LOCK,
)

# Name -> reason. No live attempt of any attach type may be made on these.
NEVER_TRY: dict[str, str] = {**DENIED, **NORETURN, **SYSTEM_EXITS, **LOCKS}
