"""What differs by machine: one row an architecture. Whatever a row does not tell is unknown for that architecture.

A further architecture is its row, and a file for its instructions once those are proven in a booted kernel.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Architecture(NamedTuple):
    """One machine word of uname -m. None, or False for `kprobes` and `trampolines`: not known here."""

    # In front of the system calls' functions, arch/*/include/asm/syscall_wrapper.h; "" where there are none.
    syscall_prefix: str
    # What CONFIG_ option names the architecture.
    option: str
    # The rules for an instruction, and for kprobes at all, are known: arch_prepare_kprobe.
    kprobes: bool = False
    # The rules of the BPF trampoline are known: arch_prepare_bpf_trampoline, bpf_arch_text_poke.
    trampolines: bool = False
    # bpf_arch_text_poke changes programs of BPF alone, so that a function without an ftrace site is ENOTSUPP.
    pokes_bpf_only: bool | None = None
    # 8-byte words of arguments that a trampoline without stack arguments passes on.
    argument_registers: int | None = None
    # 8-byte words of arguments that one with stack arguments passes on; None: no limit but the verifier's.
    argument_words_max: int | None = None
    # What ftrace patches at a function's entry, MCOUNT_INSN_SIZE; 0 where it is not known here.
    ftrace_site_bytes: int = 0
    # In front of the functions that system calls of 32-bit programs enter, best first; none where they share the
    # wrapper, or where it is not known.
    compat_prefixes: tuple[str, ...] = ()
    # The same of x32 programs (arch/x86/entry/syscalls/syscall_64.tbl); "" where there are none.
    x32_prefix: str = ""
    # 32-bit programs are those of i386, with names of their own, and ia32_emulation= of the command line decides.
    has_ia32: bool = False
    # Events of single system calls skip those of 32-bit programs: ARCH_TRACE_IGNORE_COMPAT_SYSCALLS of asm/ftrace.h.
    skips_compat_events: bool = False
    # The way out of a system call is not that of kernel/entry: arch/arm64/kernel/syscall.c, ret_from_fork of entry.S.
    has_own_syscall_exit: bool = False
    # Of each group boot takes one by the hardware and patches the callers (arch/x86/lib, arch/x86/kernel/paravirt.c).
    chosen_at_boot: tuple[tuple[str, ...], ...] = ()
    # The table of system calls is the generic one, without the calls that a newer one stands for (open, fork).
    is_generic_table: bool = False
    # kretprobe_blacklist: functions that no return probe goes on (arch/*/kernel/process_64.c).
    kretprobe_blacklist: tuple[str, ...] = ()
    # The trampoline has fsession: bpf_jit_supports_fsession. None: not known here.
    has_fsession: bool | None = None
    # sizeof(void *): links of many functions or places are for 64-bit kernels alone.
    pointer_bytes: int = 8


ARCHITECTURES: dict[str, Architecture] = {
    "x86_64": Architecture(
        *("__x64_", "CONFIG_X86_64", True, True, False, 6, 12, 5),
        kretprobe_blacklist=("__switch_to",),
        has_fsession=True,
        compat_prefixes=("__ia32_compat_sys_", "__ia32_sys_"),
        x32_prefix="__x64_compat_sys_",
        has_ia32=True,
        skips_compat_events=True,
        chosen_at_boot=(
            ("clear_page_orig", "clear_page_rep", "clear_page_erms"),
            ("copy_user_generic_unrolled", "copy_user_generic_string", "copy_user_enhanced_fast_string"),
            ("memcpy", "memcpy_orig"),
            ("memset", "memset_orig"),
            ("native_queued_spin_lock_slowpath", "__pv_queued_spin_lock_slowpath"),
        ),
    ),
    "aarch64": Architecture(
        *("__arm64_", "CONFIG_ARM64", True, True, True, 8, None, 4),
        compat_prefixes=("__arm64_compat_sys_",),
        skips_compat_events=True,
        has_own_syscall_exit=True,
        is_generic_table=True,
        has_fsession=True,
    ),
    # Their names and sizes alone: what decides about kprobes and trampolines there was not read, so it is unknown.
    "s390x": Architecture("__s390x_", "CONFIG_S390", compat_prefixes=("__s390_compat_sys_",), has_fsession=True),
    "riscv64": Architecture(
        *("__riscv_", "CONFIG_ARCH_RV64I"),
        compat_prefixes=("__riscv_compat_sys_",),
        is_generic_table=True,
        has_fsession=True,
    ),
    "i686": Architecture("__ia32_", "CONFIG_X86_32", has_fsession=False, pointer_bytes=4),
    "armv7l": Architecture("", "CONFIG_ARM", pointer_bytes=4),
    "ppc64le": Architecture("", "CONFIG_PPC64"),
    "loongarch64": Architecture("", "CONFIG_LOONGARCH"),
}
# e_machine of an ELF file to the machine's name, that of uname -m for all but 32-bit x86, 32-bit arm and powerpc.
ELF_MACHINES = {
    3: "i386",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
_ELF_NAMES = {"i686": "i386", "armv7l": "arm", "ppc64le": "ppc64"}
NOT_KNOWN = Architecture("", "")


def row(machine: str) -> Architecture:
    """The row of a machine word; one that tells nothing for any other word."""
    return ARCHITECTURES.get(machine, NOT_KNOWN)


def elf_name(machine: str) -> str:
    """The name that ELF_MACHINES has for a machine word."""
    return _ELF_NAMES.get(machine, machine)


def of_config(is_set: Callable[[str], bool]) -> str:
    """The machine word by the configuration (arch/*/Makefile, UTS_MACHINE); "" where no option tells."""
    return next((machine for machine, one in ARCHITECTURES.items() if is_set(one.option)), "")


def of_symbols(kallsyms: bytes) -> str:
    """The machine word by the prefix of system calls; "" where there is none (arch/*/include/asm/syscall_wrapper.h)."""
    heads = ((machine, one.syscall_prefix.encode()) for machine, one in ARCHITECTURES.items() if one.syscall_prefix)
    return next((machine for machine, head in heads if b" %ssys_bpf\n" % head in kallsyms), "")
