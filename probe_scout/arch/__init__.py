"""What differs by machine: one row an architecture. Whatever a row does not tell is unknown for that architecture.

A further architecture is its row, and a file for its instructions once those are proven in a booted kernel.
"""

from __future__ import annotations

from typing import NamedTuple


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


ARCHITECTURES: dict[str, Architecture] = {
    "x86_64": Architecture("__x64_", "CONFIG_X86_64", True, True, False, 6, 12, 5),
    "aarch64": Architecture("__arm64_", "CONFIG_ARM64", True, True, True, 8, None, 4),
    "s390x": Architecture("__s390x_", "CONFIG_S390"),
    "riscv64": Architecture("__riscv_", "CONFIG_ARCH_RV64I"),
    "i686": Architecture("__ia32_", "CONFIG_X86_32"),
    "armv7l": Architecture("", "CONFIG_ARM"),
    "ppc64le": Architecture("", "CONFIG_PPC64"),
    "loongarch64": Architecture("", "CONFIG_LOONGARCH"),
}
NOT_KNOWN = Architecture("", "")


def row(machine: str) -> Architecture:
    """The row of a machine word; one that tells nothing for any other word."""
    return ARCHITECTURES.get(machine, NOT_KNOWN)
