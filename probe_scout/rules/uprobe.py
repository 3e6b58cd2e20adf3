"""User probes: from perf_event_open and bpf(2) over the file to the instruction.

kernel/events/core.c (perf_uprobe_event_init), kernel/trace/trace_event_perf.c (perf_uprobe_init),
kernel/trace/bpf_trace.c (bpf_uprobe_multi_link_attach), kernel/events/uprobes.c and arch/x86/kernel/uprobes.c.
The instruction is looked at only when a process maps the file: without one the attach succeeds, whatever stands there.
"""

from __future__ import annotations

from ..model import facts
from ..model.traits import UserTraits
from .gate import Gate, KernelFeatures

PERF = Gate("perf_uprobe", source="kernel/events/core.c", entry="perf_uprobe_event_init")
PERF_SLEEPABLE = Gate("perf_uprobe_sleepable", source="kernel/bpf/verifier.c", entry="can_be_sleepable")
PERF_FILE = Gate("perf_uprobe_file", source="kernel/trace/trace_event_perf.c", entry="perf_uprobe_init")
MULTI = Gate("uprobe_multi", source="kernel/trace/bpf_trace.c", entry="bpf_uprobe_multi_link_attach")
SESSION = Gate("uprobe_session", source="kernel/trace/bpf_trace.c", entry="is_uprobe_session")
REGISTER = Gate("uprobe_register", source="kernel/events/uprobes.c", entry="uprobe_register")
INSTRUCTION = Gate("uprobe_instruction", source="arch/x86/kernel/uprobes.c", entry="arch_uprobe_analyze_insn")
USDT = Gate("usdt_spec", source="tools/lib/bpf/usdt.c", entry="parse_usdt_spec")

_FILE = (facts.USER_FILE,)
_CODE = (facts.USER_FILE, facts.MAPPED, facts.DECODER)
_ENOENT, _ELOOP, _LONG, _ENOTDIR, _EACCES = "missing", "loop", "long_name", "not_directory", "denied"


@PERF.rule(
    "absent",
    errno="ENOENT",
    decides="Kconfig UPROBE_EVENTS; /sys/bus/event_source/devices/uprobe",
    unless="uprobe_pmu",
)
def no_uprobes(_t: UserTraits, _k: KernelFeatures) -> bool:
    """This kernel was built without uprobe events: perf has no uprobe device and tracefs no uprobe_events.

    Needs CONFIG_UPROBES=y and CONFIG_UPROBE_EVENTS=y.
    """
    return True


@PERF.rule("no_process", errno="ESRCH", decides="perf_event_open: find_lively_task_by_vpid")
def no_process(t: UserTraits, _k: KernelFeatures) -> bool:
    """The process that the probe is for is not there."""
    return t.no_process


@PERF.rule(
    "not_admin",
    errno="EACCES",
    decides="perf_uprobe_event_init: capable(CAP_SYS_ADMIN)",
    unless="may_admin",
    feature="uprobe_needs_admin",
)
def not_admin(_t: UserTraits, _k: KernelFeatures) -> bool:
    """A uprobe by perf needs CAP_SYS_ADMIN; CAP_PERFMON is not enough.

    uprobe.multi asks for CAP_BPF and CAP_PERFMON only. Before Linux 6.1 CAP_PERFMON was enough for perf.
    """
    return True


@PERF_SLEEPABLE.rule(
    "not_sleepable",
    errno="EINVAL",
    decides="check_attach_btf_id, perf_event_set_bpf_prog",
    unless="sleepable_uprobes",
)
def not_sleepable(_t: UserTraits, _k: KernelFeatures) -> bool:
    """This kernel takes no sleepable programs on uprobes.

    Since Linux kernel commit 8c7dcb84e3b7 ("bpf: implement sleepable uprobes by chaining gps").
    """
    return True


def _path_rules(gate: Gate, too_long: str, not_regular: str) -> None:
    """kern_path and what comes before and after it: the same refusals, with the errno of each way in."""

    # perf_uprobe_init (kernel/trace/trace_event_perf.c) turns the EINVAL of strndup_user into E2BIG, and
    # create_local_trace_uprobe (kernel/trace/trace_uprobe.c) says EINVAL to what is no regular file;
    # bpf_uprobe_multi_link_attach keeps EINVAL for the one and says EBADF to the other.
    unless = "user_path_by_name" if gate is MULTI else ""

    @gate.rule("path_too_long", errno=too_long, decides="strndup_user(path, PATH_MAX)", needs=_FILE, unless=unless)
    def path_too_long(t: UserTraits, _k: KernelFeatures) -> bool:
        """The path is longer than PATH_MAX (4096 bytes with the final NUL)."""
        return t.path_too_long

    @gate.rule("no_file", errno="ENOENT", decides="kern_path", needs=_FILE)
    def no_file(t: UserTraits, _k: KernelFeatures) -> bool:
        """There is no such file.

        The path is looked up in the mount namespace of whoever attaches, not in that of the traced process: for a
        process in a container, /proc/PID/root/PATH names its file.
        """
        return t.path == _ENOENT

    @gate.rule("link_loop", errno="ELOOP", decides="kern_path", needs=_FILE)
    def link_loop(t: UserTraits, _k: KernelFeatures) -> bool:
        """The path runs through more than 40 symbolic links."""
        return t.path == _ELOOP

    @gate.rule("name_too_long", errno="ENAMETOOLONG", decides="kern_path", needs=_FILE)
    def name_too_long(t: UserTraits, _k: KernelFeatures) -> bool:
        """A part of the path is longer than 255 bytes."""
        return t.path == _LONG

    @gate.rule("not_a_folder", errno="ENOTDIR", decides="kern_path", needs=_FILE)
    def not_a_folder(t: UserTraits, _k: KernelFeatures) -> bool:
        """A part of the path that should be a folder is none."""
        return t.path == _ENOTDIR

    @gate.rule("path_denied", errno="EACCES", decides="kern_path", needs=_FILE)
    def path_denied(t: UserTraits, _k: KernelFeatures) -> bool:
        """The caller may not search a folder of the path."""
        return t.path == _EACCES

    @gate.rule("not_a_file", errno=not_regular, decides="d_is_reg", needs=_FILE)
    def not_a_file(t: UserTraits, _k: KernelFeatures) -> bool:
        """It is a folder, a device, a pipe or a socket: only regular files take probes."""
        return not t.regular


_path_rules(PERF_FILE, "E2BIG", "EINVAL")


@MULTI.rule("unknown_type", errno="EINVAL", decides="bpf_link_create", unless="type_uprobe_multi")
def multi_not_built(_t: UserTraits, _k: KernelFeatures) -> bool:
    """This kernel has no uprobe links for many places.

    Since Linux kernel commit 89ae89f53d20 ("bpf: Add multi uprobe link"). Needs CONFIG_UPROBES=y and
    CONFIG_BPF_EVENTS=y.
    """
    return True


@MULTI.rule("is_32bit", errno="EOPNOTSUPP", decides="bpf_uprobe_multi_link_attach: sizeof(void *)", unless="is_64bit")
def multi_is_32bit(_t: UserTraits, _k: KernelFeatures) -> bool:
    """The kernel is a 32-bit one, and links of many places are for 64-bit kernels alone."""
    return True


@SESSION.rule("unknown_session", errno="EINVAL", decides="bpf_prog_load", unless="type_uprobe_session")
def session_not_built(_t: UserTraits, _k: KernelFeatures) -> bool:
    """This kernel has no uprobe sessions (entry and return by one program).

    Since Linux kernel commit d920179b3d48 ("bpf: Add support for uprobe multi session attach").
    """
    return True


_path_rules(MULTI, "EINVAL", "EBADF")


@MULTI.rule("path_far_too_long", errno="ENAMETOOLONG", decides="getname", needs=_FILE, feature="user_path_by_name")
def path_far_too_long(t: UserTraits, _k: KernelFeatures) -> bool:
    """The path is longer than PATH_MAX (4096 bytes with the final NUL); this kernel reads it as other calls do."""
    return t.path_too_long


@MULTI.rule("no_process", errno="ESRCH", decides="bpf_uprobe_multi_link_attach: get_pid_task", needs=_FILE)
def no_process_of_link(t: UserTraits, _k: KernelFeatures) -> bool:
    """The process that the link is for is not there."""
    return t.no_process


@MULTI.rule("negative_offset", errno="EINVAL", decides="bpf_uprobe_multi_link_attach: offset < 0", needs=_FILE)
def negative_offset(t: UserTraits, _k: KernelFeatures) -> bool:
    """The offset is negative. perf accepts it, because it compares with the file's size as a signed number."""
    return t.negative


@REGISTER.rule("no_page_cache", errno="EIO", decides="read_folio, shmem_mapping", needs=_FILE)
def no_page_cache(t: UserTraits, _k: KernelFeatures) -> bool:
    """The file lies in a file system whose files are not in the page cache: procfs, tracefs, hugetlbfs.

    tmpfs, ramfs, overlay, memfd and sysfs are taken.
    """
    return t.no_page_cache


@REGISTER.rule("past_end", errno="EINVAL", decides="offset > i_size_read(inode)", needs=_FILE)
def past_end(t: UserTraits, _k: KernelFeatures) -> bool:
    """The offset lies behind the end of the file."""
    return t.past_end


@REGISTER.rule("unaligned", errno="EINVAL", decides="IS_ALIGNED(offset, UPROBE_SWBP_INSN_SIZE)", needs=_FILE)
def unaligned(t: UserTraits, _k: KernelFeatures) -> bool:
    """The offset is no multiple of the breakpoint's size: four bytes on arm64."""
    return t.unaligned


@REGISTER.rule("counter_unaligned", errno="EINVAL", decides="IS_ALIGNED(ref_ctr_offset, sizeof(short))")
def counter_unaligned(t: UserTraits, _k: KernelFeatures) -> bool:
    """The reference counter (semaphore) lies at an odd offset; it is a number of two bytes."""
    return t.counter_odd


# In the order of prepare_uprobe (kernel/events/uprobes.c): copy_insn, is_trap_insn, arch_uprobe_analyze_insn. The last
# is insn_decode, uprobe_init_insn (prefix, masking, opcode) and branch_setup_xol_ops on x86, arm_probe_decode_insn on
# arm64.
@INSTRUCTION.rule("at_end", errno="EIO", decides="copy_insn", needs=_CODE)
def at_end(t: UserTraits, _k: KernelFeatures) -> bool:
    """The offset is the end of the file: a process maps it, and there is no instruction to read."""
    return t.mapped and t.at_end


@INSTRUCTION.rule("breakpoint", errno="ENOTSUPP", decides="prepare_uprobe: is_trap_insn", needs=_CODE)
def breakpoint(t: UserTraits, _k: KernelFeatures) -> bool:
    """An int3 stands there already."""
    return t.mapped and t.refused == "breakpoint"


@INSTRUCTION.rule("undecodable", errno="ENOEXEC", decides="insn_decode", needs=_CODE)
def undecodable(t: UserTraits, _k: KernelFeatures) -> bool:
    """The kernel's decoder knows no such instruction, or it is data, or the inside of an instruction."""
    return t.mapped and t.refused == "undecodable"


@INSTRUCTION.rule("prefix", errno="ENOTSUPP", decides="uprobe_init_insn: is_prefix_bad", needs=_CODE)
def prefix(t: UserTraits, _k: KernelFeatures) -> bool:
    """The instruction has a prefix that is refused: lock, or a segment (es, cs, ss, ds).

    cs is in padding (`cs nopw`), ds in `notrack jmp`. Take the next instruction.
    """
    return t.mapped and t.refused == "prefix"


@INSTRUCTION.rule("masking", errno="ENOTSUPP", decides="insn_masking_exception", needs=_CODE)
def masking(t: UserTraits, _k: KernelFeatures) -> bool:
    """The instruction loads the stack segment (mov to ss, pop ss), which holds off exceptions."""
    return t.mapped and t.refused == "masking"


@INSTRUCTION.rule("opcode", errno="ENOTSUPP", decides="good_insns_64, good_insns_32", needs=_CODE)
def opcode(t: UserTraits, _k: KernelFeatures) -> bool:
    """The opcode is not in the kernel's table of good instructions.

    Of VEX and EVEX instructions the byte behind the prefix is looked up in the table of one-byte opcodes: that
    refuses vmovd (6e), vmovdqa and vmovdqu loads (6f), vpxor (ef), vpaddq (d4).
    """
    return t.mapped and t.refused == "opcode"


@INSTRUCTION.rule("word", errno="EINVAL", decides="arm_probe_decode_insn", needs=_CODE)
def word(t: UserTraits, _k: KernelFeatures) -> bool:
    """arm64: the instruction is neither simulated nor stepped out of line.

    Exclusive loads and stores, literal prefetches, returns and branches with pointer authentication, exceptions, MSR,
    hints outside the list (arch/arm64/kernel/probes/decode-insn.c). Take the next instruction.
    """
    return t.mapped and t.refused == "word"


@INSTRUCTION.rule("branch_prefix", errno="ENOTSUPP", decides="branch_setup_xol_ops", needs=_CODE)
def branch_prefix(t: UserTraits, _k: KernelFeatures) -> bool:
    """A branch with the prefix 66, of which processors differ in what it means."""
    return t.mapped and t.refused == "branch_prefix"


@USDT.rule("too_many_arguments", errno="E2BIG", decides="parse_usdt_spec: BPF_USDT_MAX_ARG_CNT", needs=_FILE)
def too_many_arguments(t: UserTraits, _k: KernelFeatures) -> bool:
    """The probe has more than 12 arguments, which libbpf does not take."""
    return t.arguments_too_many


@USDT.rule("argument", errno="EINVAL", decides="parse_usdt_arg", needs=_FILE)
def argument(t: UserTraits, _k: KernelFeatures) -> bool:
    """libbpf does not understand an argument of this probe, and refuses the probe for it.

    It knows registers, memory by register and offset, and numbers; not `symbol(%rip)`, floats or odd sizes.
    """
    return t.argument_unknown
