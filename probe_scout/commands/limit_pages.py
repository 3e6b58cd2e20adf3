"""Pages of limits: what an accepted probe does not see or may not do (limits.py decides them)."""

from __future__ import annotations

_FUNCTION = "kprobe kretprobe kprobe.multi kretprobe.multi kprobe.session fentry fexit fsession fmod_ret"
_CALLS = f"{_FUNCTION} ksyscall kretsyscall"

# Id; its sentence and page; who decides it, in which file; what is read; the attach types.
TABLE: tuple[tuple[str, str, str, str, str, str], ...] = (
    (
        "limit.compat_entry",
        """Calls of 32-bit programs enter by a function of their own, past the wrapper that was asked about.

        x86: __ia32_compat_sys_<call> where the call has a compat form, else __ia32_sys_<call>, or a name with _time32
        or ia32_; arm64: __arm64_compat_sys_<call>, if there is one (other calls share the wrapper). Wrappers of calls
        without arguments are one function under two names, and nothing is missed. Probe both, or the inner function
        that both call, or raw_syscalls:sys_enter. x86 kernels take 32-bit programs unless ia32_emulation=0 is on the
        command line.""",
        "COMPAT_SYSCALL_DEFINEx, SYSCALL_DEFINEx; syscall_32.tbl",
        "arch/x86/include/asm/syscall_wrapper.h, arch/arm64/include/asm/syscall_wrapper.h",
        "proc/kallsyms: the other entry",
        _CALLS,
    ),
    (
        "limit.compat_event",
        """The events of single system calls (syscalls:*) do not fire for 32-bit programs.

        32-bit numbers mean other calls, so the kernel does not look them up. raw_syscalls:sys_enter and sys_exit fire
        for every program; there the program must tell by itself which table the number is of.""",
        "trace_get_syscall_nr: arch_trace_is_compat_syscall",
        "kernel/trace/trace_syscalls.c, arch/x86/include/asm/ftrace.h, arch/arm64/include/asm/ftrace.h",
        "proc/kallsyms: __ia32_compat_sys_*, __arm64_compat_sys_*",
        "tp tp.s",
    ),
    (
        "limit.no_number",
        """The architecture has no number for this system call: 64-bit programs make another call instead.

        arm64 and riscv64 have openat and no open, clone and no fork, renameat2 and no rename. The function is built
        for 32-bit programs, or for nobody, and takes probes all the same.""",
        "init_syscall_trace; the table of system calls",
        "kernel/trace/trace_syscalls.c, scripts/syscall.tbl",
        "sys/kernel/tracing/events/syscalls",
        _CALLS,
    ),
    (
        "limit.x32_entry",
        """Calls of x32 programs enter by __x64_compat_sys_<call>, for the calls that x32 has of its own.

        These are numbers 512 to 547. All other calls of x32 programs share the 64-bit wrapper. A kernel with
        CONFIG_X86_X32_ABI may still refuse x32 programs (Debian's needs syscall.x32=y).""",
        "numbers 512 to 547",
        "arch/x86/entry/syscalls/syscall_64.tbl",
        "proc/kallsyms: __x64_compat_sys_<call>",
        _CALLS,
    ),
    (
        "limit.lsm_not_active",
        """The function is a hook of a security module that is not active: it attaches and is never called.

        Only modules that lsm= (or CONFIG_LSM) names register their hooks. A probe of any type on bpf_lsm_<hook> is
        silent where bpf is not among them, and so are probes on selinux_<hook>, apparmor_<hook> and others where that
        module is not. Probe security_<hook>, which is called whatever is active.""",
        "ordered_lsm_init; security_add_hooks",
        "security/security.c",
        "sys/kernel/security/lsm",
        f"{_FUNCTION} lsm lsm.s",
    ),
    (
        "limit.maxactive",
        """A return probe follows a fixed number of calls at a time; returns of further calls are lost.

        kretprobe: by default 10, or twice as many as processors, or one for each processor on older kernels without
        preemption; perf_event_open cannot ask for more. kretprobe.multi and kprobe.session on kernels where fprobe
        uses rethook: twice as many as processors for each function. A function that sleeps is soon entered by more
        tasks. Lost returns are counted (nmissed; missed in link info). fexit, and links on kernels where fprobe is
        built on function graph, lose none.""",
        "register_kretprobe: maxactive; fprobe_init_rethook",
        "kernel/kprobes.c, kernel/trace/fprobe.c",
        "the attach type; struct fprobe in BTF: rethook",
        "kretprobe kretsyscall kretprobe.multi kprobe.session",
    ),
    (
        "limit.exit_not_traced",
        """arm64 leaves some system calls by a road that traces no exit.

        The child of clone and clone3 leaves by ret_from_fork, so sys_exit_clone fires in the parent alone. Before 6.0,
        and in stable kernels until they took the fix, a successful execve lost the call's number, and
        syscalls:sys_exit_execve fired for failed calls only. sched:sched_process_exec and sched:sched_process_fork see
        what is missing.""",
        "start_thread_common; ret_from_fork",
        "arch/arm64/include/asm/processor.h, arch/arm64/kernel/entry.S",
        "proc/kallsyms: syscall_trace_exit",
        "tp tp.s",
    ),
    (
        "limit.static_call",
        """The function is called through a static call, which the kernel patches while it runs.

        Callers hold a direct call to the present target. The trampoline __SCT__<name> is not passed, and a function is
        called only while it is the target: with preempt=full nothing calls __cond_resched, on a virtual machine with
        kvm-clock nothing calls native_sched_clock.""",
        "static_call_update; sched_dynamic_update",
        "kernel/static_call_inline.c, kernel/sched/core.c",
        "proc/kallsyms: __SCT__<name>, __SCK__<name>",
        _FUNCTION,
    ),
    (
        "limit.stale_bug",
        """A kprobe on a module's function that lies where another module's init text was may be refused with EINVAL.

        A module's bug table keeps the entries of its init text when that text is freed. A module that is loaded later
        may lie there, and the kernel takes the first byte of a function for the BUG or WARN that was at that address
        (kprobe_register.stale_bug). Which function that is depends on where this boot put its modules, or it is none.
        It is known on the machine itself as root, of snapshots taken --with-code, and below a root with the modules'
        files and sys/module/*/sections/.init.text; elsewhere this limit names it. Of 33,790 functions of modules on
        three booted kernels two were refused so. fentry and kprobe.multi are not.""",
        "check_kprobe_address_safe: find_bug; module_find_bug",
        "kernel/kprobes.c, lib/bug.c",
        "sys/module/*/sections/.init.text, code/slices",
        "kprobe kretprobe",
    ),
    (
        "limit.alternative",
        """Boot patches the callers to one of several functions, by the processor or the hypervisor.

        The others are in kallsyms, take probes, and are not called. clear_page_erms on most processors;
        __pv_queued_spin_lock_slowpath instead of the native function in virtual machines.""",
        "apply_alternatives, apply_paravirt",
        "arch/x86/kernel/alternative.c, arch/x86/kernel/paravirt.c",
        "proc/kallsyms: the others of the group",
        _FUNCTION,
    ),
    (
        "limit.entry_copy",
        """The entry code of interrupts calls another function instead.

        Interrupts come in by irq_enter_rcu and irq_exit_rcu on architectures with generic entry; irq_enter and irq_exit
        are for the few other callers. Use the irq_vectors and irq events.""",
        "run_irq_on_irqstack_cond; el1_interrupt",
        "arch/x86/include/asm/irq_stack.h, arch/arm64/kernel/entry-common.c",
        "proc/kallsyms: irq_enter_rcu, irq_exit_rcu",
        _FUNCTION,
    ),
    (
        "limit.kernel_reads",
        """Kernel memory may not be read by helpers: the kernel is locked down for confidentiality.

        bpf_probe_read_kernel, bpf_probe_read_kernel_str and bpf_probe_read are unknown functions to the verifier then,
        and a program that calls one does not load (EINVAL). So are BPF_CORE_READ and the like, which are made of them.
        What the verifier knows the type of is read by plain loads: arguments of fentry, fexit, lsm and tp_btf, and what
        they lead to; fields of an event's record. bpf_probe_read_user is not concerned.""",
        "bpf_base_func_proto, bpf_tracing_func_proto: LOCKDOWN_BPF_READ_KERNEL",
        "kernel/bpf/helpers.c, kernel/trace/bpf_trace.c",
        "sys/kernel/security/lockdown",
        "",
    ),
)
