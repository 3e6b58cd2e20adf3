"""Pages of findings that refuse nothing: what a yes leaves open, what doctor sees, what can harm, what is odd.

`rules ID` shows them beside the rules; they have no errno and are in no attach type's path.
"""

from __future__ import annotations

_FTRACE = "kprobe kprobe.multi kretprobe kretprobe.multi kprobe.session ksyscall kretsyscall fentry fexit fmod_ret lsm"
_RETURNS = "kretprobe kretprobe.multi kprobe.session fexit fsession"
_ONE_OF = "kprobe.multi kretprobe.multi kprobe.session fentry fexit fsession fmod_ret"

# Id; its sentence and page; who decides it, in which file; what is read; the attach types.
TABLE: tuple[tuple[str, str, str, str, str, str], ...] = (
    (
        "call.gpl_only",
        """The program's license must be compatible with the GPL.

        bpf_func_proto.gpl_only of a helper; every kfunc. A program of another license is refused with EINVAL when it
        is loaded.""",
        "check_helper_call, add_kfunc_call",
        "kernel/bpf/verifier.c",
        "the kernel's image",
        "",
    ),
    (
        "call.device_bound",
        """The program must be loaded for one network device: BPF_F_XDP_DEV_BOUND_ONLY and prog_ifindex.

        The kfunc reads what a driver knows of a packet (net/core/xdp.c, xdp_metadata_kfunc_ids). A program that is not
        bound to a device is refused with EINVAL, also where the call is never reached. libbpf:
        bpf_program__set_flags(prog, BPF_F_XDP_DEV_BOUND_ONLY) and bpf_program__set_ifindex, before it loads.""",
        "add_kfunc_call",
        "kernel/bpf/offload.c",
        "proc/kallsyms: __BTF_ID__ sets",
        "",
    ),
    (
        "call.kfunc_recorded",
        """Whether programs of the type may call it was taken from recorded kernels, not from this kernel's code.

        No file shows for which program types a set of kfuncs is registered. kallsyms shows the sets that hold it, and
        BTF which hooks the kernel has; the images of 6.12, 6.16, 6.18, 7.2 and 7.3 agree on what that means. A kernel
        that registers the set otherwise answers otherwise: its image or package decides.""",
        "btf_kfunc_id_set_contains",
        "kernel/bpf/btf.c",
        "proc/kallsyms: __BTF_ID__ sets; enum btf_kfunc_hook",
        "",
    ),
    (
        "call.override_value",
        """The values that callers of the function expect instead of its own.

        The error-injection list has a kind for each function: NULL, a negative errno, either as a pointer, or true. The
        kernel does not check what bpf_override_return or a fmod_ret program returns; others can crash callers.""",
        "get_injectable_error_type",
        "kernel/fail_function.c",
        "sys/kernel/debug/error_injection/list",
        "",
    ),
    (
        "call.sleepable_only",
        """Only sleepable programs of the type may call it.

        It may sleep: might_sleep of a helper, KF_SLEEPABLE of a kfunc. Ask for an attach type to have it counted:
        fentry.s and not tracing.""",
        "check_helper_call, check_kfunc_call",
        "kernel/bpf/verifier.c",
        "the kernel's image",
        "",
    ),
    (
        "silent.ftrace_off",
        """It attaches and never fires while kernel.ftrace_enabled is 0.

        The kernel takes the probe and leaves the functions' entries unpatched. A kprobe away from an ftrace site is not
        concerned, nor are tracepoints. Write 1 before you attach, not behind: see hazard.ftrace_off.""",
        "ftrace_startup: ftrace_enabled",
        "kernel/trace/ftrace.c",
        "proc/sys/kernel/ftrace_enabled",
        _FTRACE,
    ),
    (
        "silent.kprobes_off",
        """It attaches and never fires while kprobes are disarmed.

        Somebody wrote 0 to debugfs kprobes/enabled. Probes are registered and stay disarmed until 1 is written there.
        kprobe.multi, fentry and their relatives go through ftrace and are not concerned.""",
        "register_kprobe: kprobes_all_disarmed",
        "kernel/kprobes.c",
        "sys/kernel/debug/kprobes/enabled",
        "kprobe kretprobe ksyscall kretsyscall",
    ),
    (
        "silent.bpf_not_in_lsm",
        """It attaches and is never called: bpf is not among the active security modules.

        The kernel was booted with lsm= (or CONFIG_LSM) without bpf, so no hook calls bpf_lsm_<hook>. Loading and
        attaching succeed all the same. Add bpf to the end of lsm= on the kernel command line.""",
        "ordered_lsm_init; bpf_lsm_init",
        "security/security.c, security/bpf/hooks.c",
        "sys/kernel/security/lsm",
        f"{_FTRACE} lsm.s",
    ),
    (
        "silent.one_of_several",
        """Several symbols carry this name; the kernel takes one of them and reports nothing.

        Links by ftrace take the first symbol that ftrace can patch, trampolines the symbol with the lowest address.
        Name MODULE:FUNCTION, or give an address, to choose the function. kprobe by perf refuses such names.""",
        "kallsyms_lookup_name; ftrace_lookup_symbols",
        "kernel/kallsyms.c, kernel/trace/ftrace.c",
        "proc/kallsyms",
        _ONE_OF,
    ),
    (
        "silent.never_returns",
        """It attaches and never fires: the function does not return.

        A return probe waits for a return that never comes. Newer kernels refuse fexit there (noreturn_deny).""",
        "check_attach_btf_id: noreturn_deny",
        "kernel/bpf/verifier.c",
        "proc/kallsyms: __BTF_ID__ symbols",
        _RETURNS,
    ),
    (
        "lsm_cgroup.return_one",
        """The hook returns nothing, and a program for a cgroup on it must return 1.

        The verifier refuses any other value at load (EINVAL, "can't modify return value"). On hooks with a return value
        a program of lsm_cgroup returns 1 to allow and 0 to deny.""",
        "return_retval_range; check_return_code",
        "kernel/bpf/verifier.c",
        "sys/kernel/btf/vmlinux",
        "lsm_cgroup",
    ),
    (
        "tp_btf.ctx_is_arguments",
        """The context of raw_tp and tp_btf programs is the list of arguments, never the event's record.

        A program that takes struct trace_event_raw_<class> * as its context is accepted as far as its loads fall on
        arguments, and reads something else than its fields' names say.""",
        "btf_ctx_access; raw_tp_prog_is_valid_access",
        "kernel/bpf/btf.c, kernel/trace/bpf_trace.c",
        "sys/kernel/btf/vmlinux",
        "raw_tp tp_btf",
    ),
    (
        "doctor.addresses_hidden",
        """Addresses in proc/kallsyms are zero: aliases and duplicates cannot be distinguished.

        kernel.kptr_restrict is 2, or it is 1 and the reader lacks CAP_SYSLOG, or it is 0 and kernel.perf_event_paranoid
        is above 1 for such a reader. Names that stand alone are still answered. Write 1 and read as root.""",
        "kallsyms_show_value",
        "kernel/kallsyms.c",
        "proc/kallsyms; proc/sys/kernel/kptr_restrict",
        "",
    ),
    (
        "doctor.no_id_sets",
        """kallsyms shows no data symbols, so the kernel's deny lists and LSM hook lists cannot be read.

        The lists are read from __BTF_ID__ symbols, which kallsyms has only with CONFIG_KALLSYMS_ALL=y.""",
        "Kconfig KALLSYMS_ALL",
        "init/Kconfig",
        "proc/kallsyms",
        "",
    ),
    (
        "doctor.no_kprobes",
        """This kernel was built without kprobes.

        Needs CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y. kprobe.multi and fentry do not need them.""",
        "Kconfig KPROBES, KPROBE_EVENTS",
        "kernel/trace/Kconfig",
        "proc/kallsyms: perf_kprobe_init",
        "kprobe kretprobe ksyscall kretsyscall",
    ),
    (
        "doctor.lockdown",
        """The kernel is locked down, which closes some ways to attach and to read, for root too.

        confidentiality: kprobes and kretprobes by perf and files of tracefs are refused (EPERM), and no helper reads
        kernel memory (see limit.kernel_reads). fentry, raw tracepoints and links such as kprobe.multi attach.
        integrity: bpf_probe_write_user is refused. Secure boot turns integrity on in many distributions; lockdown=
        on the command line chooses, and nothing lowers it until the next boot.""",
        "security_locked_down: enum lockdown_reason",
        "security/lockdown/lockdown.c, include/linux/security.h",
        "sys/kernel/security/lockdown",
        "",
    ),
    (
        "doctor.no_bytecode",
        """PYTHONDONTWRITEBYTECODE is set: every start compiles the program again and is slower.

        Unset it for probe-scout, or compile the package once with python -m compileall.""",
        "",
        "",
        "environment",
        "",
    ),
    (
        "doctor.container",
        """This is a container: what is shown is the host's kernel, as far as the container lets it through.

        There is one kernel for all containers. Mounts of tracefs, debugfs and securityfs, and capabilities, are the
        container's own: give it what doctor names, or take a snapshot on the host.""",
        "",
        "",
        "/.dockerenv, /run/.containerenv",
        "",
    ),
    (
        "hazard.ftrace_off",
        """Attaching while kernel.ftrace_enabled is 0, and then writing 1, can shut ftrace down until the next boot.

        Seen on 6.12: ftrace found code that it did not expect, warned and disabled itself; every later attach by ftrace
        failed. Write 1 first, then attach.""",
        "ftrace_startup_sysctl; ftrace_bug",
        "kernel/trace/ftrace.c",
        "proc/sys/kernel/ftrace_enabled",
        _FTRACE,
    ),
    (
        "hazard.trampoline_recursion",
        """A BPF trampoline itself calls this function, so a program on it calls itself without end.

        Newer kernels refuse it (btf_id_deny). fentry on __rcu_read_lock froze a 6.1 kernel.""",
        "btf_id_deny",
        "kernel/bpf/verifier.c",
        "the function's name",
        "fentry fexit fsession",
    ),
    (
        "hazard.noreturn",
        """The function never returns, so the trampoline of a return program is never released.

        Newer kernels refuse it (noreturn_deny). That list is made of x86's functions: __arm64_sys_exit and
        __arm64_sys_exit_group take fexit on 6.12 and 7.3, and never give the trampoline back.""",
        "noreturn_deny",
        "kernel/bpf/verifier.c",
        "the function's name",
        "fexit fsession fmod_ret",
    ),
    (
        "hazard.ops_pointer",
        """The address lies in ftrace's pointer in front of a traced function (arm64, DYNAMIC_FTRACE_WITH_CALL_OPS).

        By kallsyms the eight bytes belong to the function before. They are text, so the kernel takes a kprobe there
        (68 of 70 tried on 7.3); armed, its breakpoint overwrites half of the pointer, and the next call of the traced
        function may jump anywhere. Probe the function itself, or another offset.""",
        "ftrace_call_adjust, ftrace_rec_set_ops; arch_prepare_kprobe does not look",
        "arch/arm64/kernel/ftrace.c",
        "available_filter_functions_addrs, the configuration",
        "kprobe",
    ),
    (
        "hazard.cannot_sleep",
        """The kernel accepts a sleepable program here, and runs it where sleeping is not allowed.

        Stable 7.1.7 to 7.1.13 took the verifier's half of sleepable tracepoints without the check at attach, so tp.s is
        accepted on every event. 5.10 and 6.1 only look at the program's type, so tp_btf.s is. A helper that sleeps
        (bpf_copy_from_user) can hang the machine there. Load the program without BPF_F_SLEEPABLE.""",
        "__perf_event_set_bpf_prog; check_attach_btf_id: can_be_sleepable",
        "kernel/events/core.c, kernel/bpf/verifier.c",
        "proc/kallsyms: trace_call_bpf_faultable, bpf_dummy_ops_check_member",
        "tp.s tp_btf.s",
    ),
    (
        "hazard.lock",
        """BPF maps and the perf buffer take locks through this function: programs on several CPUs can deadlock.

        Reported for kretprobe, fentry and fexit with a map or a perf buffer.""",
        "raw_res_spin_lock; htab_lock_bucket",
        "kernel/bpf/hashtab.c",
        "the function's name",
        "kretprobe fentry fexit",
    ),
    (
        "hazard.recursion",
        """The function may run while a BPF program runs: events are then skipped.

        The kernel lets no program run inside another program of its kind on the same CPU (bpf_prog_active), and a
        return probe may recurse.""",
        "trace_call_bpf: bpf_prog_active",
        "kernel/trace/bpf_trace.c",
        "the function's name",
        "",
    ),
    (
        "hazard.module_end",
        """A kprobe on the last cold part of a module can panic the kernel.

        The instruction decoder reads on past the mapped page. Seen on 6.12.""",
        "can_probe: insn_decode_kernel",
        "arch/x86/kernel/kprobes/core.c",
        "proc/kallsyms",
        "kprobe kretprobe",
    ),
    (
        "events.not_listed",
        """The event has a folder in tracefs and is not in available_events.

        Both are written from one list of events; they differ when a module came or went between two reads.""",
        "t_show; event_create_dir",
        "kernel/trace/trace_events.c",
        "sys/kernel/tracing/events",
        "tp",
    ),
    (
        "events.no_folder",
        """The event is in available_events and has no folder in tracefs.

        Without its id file no loader finds it. They differ when a module came or went between two reads.""",
        "t_show; event_create_dir",
        "kernel/trace/trace_events.c",
        "sys/kernel/tracing/available_events",
        "tp",
    ),
    (
        "events.format_unread",
        """The event's format file could not be read, so its fields are not known.""",
        "f_show",
        "kernel/trace/trace_events.c",
        "sys/kernel/tracing/events/<category>/<name>/format",
        "tp",
    ),
    (
        "trace_format.odd_fields",
        """Fields of the record overlap, or two have one name.

        The file is shown as it is. Offsets decide what a program reads, not names.""",
        "f_show",
        "kernel/trace/trace_events.c",
        "sys/kernel/tracing/events/<category>/<name>/format",
        "tp",
    ),
    (
        "trace_format.ids_differ",
        """The format file and the id file give different numbers: they were not read from the same boot.""",
        "f_show; event_id_read",
        "kernel/trace/trace_events.c",
        "sys/kernel/tracing/events/<category>/<name>/id",
        "tp",
    ),
    (
        "trace_format.names_differ",
        """The format file calls the event by another name than its folder.

        A few events are printed under another name (DEFINE_EVENT_PRINT, TRACE_EVENT_FN); the folder's name counts.""",
        "f_show: trace_event_name",
        "kernel/trace/trace_events.c",
        "sys/kernel/tracing/events/<category>/<name>/format",
        "tp",
    ),
    (
        "trace_format.common_area",
        """The fields that every event begins with do not take 8 bytes here: offsets of other kernels are wrong.

        Kernels with PREEMPT_RT patches, and old kernels, put more fields in front, and all others move. Build the
        program against this kernel's format, or let CO-RE relocate it.""",
        "struct trace_entry; trace_define_common_fields",
        "include/linux/trace_events.h, kernel/trace/trace_events.c",
        "sys/kernel/tracing/events/<category>/<name>/format",
        "tp",
    ),
    (
        "tracepoint_access.syscall_copy_has_no_strings",
        """Programs on a syscall's event get a private record with the arguments and without the copied user data.""",
        "perf_call_bpf_enter",
        "kernel/trace/trace_syscalls.c",
        "events",
        "tp",
    ),
    (
        "tracepoint_access.not_in_syscall_copy",
        """Programs on a syscall's event get a private record without the common fields.""",
        "perf_call_bpf_enter, perf_call_bpf_exit",
        "kernel/trace/trace_syscalls.c",
        "events",
        "tp",
    ),
    (
        "tracepoint_access.syscall_copy_layout",
        """The private record that programs on a syscall's event get is laid out otherwise than the format file says.

        Kernels before 6.6 took no heed of common fields that are longer than 8 bytes.""",
        "struct syscall_tp_t, as the kernel's BTF has it",
        "kernel/trace/trace_syscalls.c",
        "events, btf",
        "tp",
    ),
    (
        "tracepoint_access.syscall_copy_untold",
        """The layout of the private record that programs on a syscall's event get is not known.

        The BTF that was read has no struct syscall_tp_t, and the kernels' layouts differ where the common fields are
        longer than 8 bytes.""",
        "struct syscall_tp_t",
        "kernel/trace/trace_syscalls.c",
        "events, btf",
        "tp",
    ),
    (
        "tracepoint_access.common_not_filled",
        """The kernel fills the common fields after the program has run.""",
        "perf_trace_run_bpf_submit, perf_tp_event -> perf_trace_buf_update",
        "kernel/events/core.c",
        "events",
        "tp",
    ),
    (
        "tracepoint_access.data_behind_record",
        """The field is a 4-byte word that says where the data lies behind the fixed part of the record.""",
        "stage2_data_offsets.h, stage5_get_offsets.h",
        "include/trace/stages",
        "events",
        "tp",
    ),
    (
        "kprobe_instruction.other_symbol",
        """The offset lies behind the end of the function, in another symbol.

        The kernel looks the sum up again and judges the address by the symbol that holds it. Ask for that symbol.""",
        "_kprobe_addr: kallsyms_lookup_size_offset",
        "kernel/kprobes.c",
        "kallsyms",
        "kprobe kretprobe",
    ),
    (
        "kprobe_instruction.not_decoded",
        """The instructions of this architecture are not decoded here, so nothing is said about an offset.""",
        "arch_prepare_kprobe of the architecture",
        "arch",
        "code",
        "kprobe kretprobe",
    ),
    (
        "kprobe_instruction.not_read",
        """The answer depends on an instruction that was not read. kprobe_instruction.rejected says so now.""",
        "arch_prepare_kprobe",
        "arch/arm64/kernel/probes/kprobes.c",
        "code",
        "kprobe kretprobe",
    ),
    (
        "kprobe_register.preamble",
        """Now kprobe_register.padding: the symbol names padding in front of a function (__cfi_, __pfx_).""",
        "check_kprobe_address_safe: is_cfi_preamble_symbol",
        "kernel/kprobes.c",
        "kallsyms",
        "kprobe kretprobe",
    ),
)
