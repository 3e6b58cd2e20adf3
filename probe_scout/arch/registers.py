"""struct pt_regs by architecture: where arguments and results of functions lie in it.

arch/*/include/asm/ptrace.h (uapi for most), tools/lib/bpf/bpf_tracing.h.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple


class Registers(NamedTuple):
    """struct pt_regs of one architecture, as far as arguments need it.

    `members`: C name, offset and count of 8-byte words, without holes. `call` and `system_call` are the
    expressions of the arguments of a function and of a system call's inner registers. `stack` is the
    distance from the stack pointer to the first argument on the stack at entry, `struct_words` how many
    words of a struct by value go into registers; 0 where that is not known here.
    """

    members: tuple[tuple[str, int, int], ...]
    size: int
    call: tuple[str, ...]
    system_call: tuple[str, ...]
    returned: str
    pointer: str
    stack: int
    struct_words: int


_X86 = (
    *("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di"),
    *("orig_ax", "ip", "cs", "flags", "sp", "ss"),
)
_RISCV = ("epc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1")
REGISTERS_OF: dict[str, Registers] = {
    "x86_64": Registers(
        tuple((name, 8 * place, 1) for place, name in enumerate(_X86)),
        168,
        ("di", "si", "dx", "cx", "r8", "r9"),
        ("di", "si", "dx", "r10", "r8", "r9"),
        "ax",
        "sp",
        8,  # the return address lies at the stack pointer
        2,
    ),
    "aarch64": Registers(
        (("regs", 0, 31), ("sp", 248, 1), ("pc", 256, 1), ("pstate", 264, 1)),
        272,
        tuple(f"regs[{n}]" for n in range(8)),
        tuple(f"regs[{n}]" for n in range(6)),
        "regs[0]",
        "sp",
        0,
        0,
    ),
    "riscv64": Registers(
        (
            *((name, 8 * place, 1) for place, name in enumerate(_RISCV)),
            *(("a", 80, 8), ("s2_to_s11", 144, 10), ("t3_to_t6", 224, 4)),
            *(("status", 256, 1), ("badaddr", 264, 1), ("cause", 272, 1), ("orig_a0", 280, 1)),
        ),
        288,
        tuple(f"a[{n}]" for n in range(8)),
        ("orig_a0", *(f"a[{n}]" for n in range(1, 6))),
        "a[0]",
        "sp",
        0,
        0,
    ),
    "s390x": Registers(
        (("args", 0, 1), ("psw_mask", 8, 1), ("psw_addr", 16, 1), ("gprs", 24, 16), ("orig_gpr2", 152, 1)),
        160,
        tuple(f"gprs[{n}]" for n in range(2, 7)),
        ("orig_gpr2", *(f"gprs[{n}]" for n in range(3, 8))),
        "gprs[2]",
        "gprs[15]",
        160,
        0,
    ),
}
