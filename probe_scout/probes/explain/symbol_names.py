"""Names as text: compiler suffixes, system call spellings, characters that do not belong to a name, lists of names.

No kernel is asked here. Suffixes are those of GCC (.isra, .constprop, .part, .cold, .lto_priv) and
LLVM (.llvm); syscall prefixes those of include/linux/syscalls.h and arch/*/include/asm/syscall_wrapper.h.
"""

from __future__ import annotations

from ... import arch
from ...model import compiler_suffixes
from ...model.attach import BY_EVENT, BY_FPROBE, BY_TRAMPOLINE, ITER, KPROBES, LSM

# Attach words of bpftrace and libbpf that people put in front of a name.
_ENTRY_WORDS = (*KPROBES, *BY_FPROBE, "k", "kr", "p", "r")
_TRAMPOLINE_WORDS = (*BY_TRAMPOLINE, "f", "fr")
PROBE_WORDS = frozenset((*_ENTRY_WORDS, *_TRAMPOLINE_WORDS, "kfunc", "kretfunc", *LSM, *ITER))
EVENT_WORDS = frozenset((*BY_EVENT, "tracepoint", "t", "rawtracepoint", "raw_tracepoint", "rt"))

_SYSCALL_PREFIXES = (
    "__arm64_compat_sys_",
    "__ia32_compat_sys_",
    "__x64_sys_",
    "__x32_sys_",
    "__ia32_sys_",
    "__arm64_sys_",
    "__arm_sys_",
    "__s390x_sys_",
    "__s390_sys_",
    "__riscv_sys_",
    "__powerpc_sys_",
    "__mips_sys_",
    "__se_sys_",
    "__do_sys_",
    "compat_sys_",
    "sys_enter_",
    "sys_exit_",
    "sys_",
    "SyS_",
)
PADDING = ("__pfx_", "__cfi_")

LISTED_MAX = 6


def stem(name: str) -> str:
    """The name up to its first dot: what the kernel itself cuts to (kernel/trace/trace_kprobe.c)."""
    return name.partition(".")[0]


def suffixes(name: str) -> tuple[str, ...]:
    """The compiler's suffix words in order: `f.isra.0.cold` gives ("isra", "cold"). Numbers are dropped."""
    return tuple(part for part in name.split(".")[1:] if part in compiler_suffixes.ALL)


def changed_signature(name: str) -> bool:
    """Whether a suffix says that the compiler may have changed or removed parameters."""
    return any(part in compiler_suffixes.CHANGED for part in suffixes(name))


def is_entry(name: str) -> bool:
    """Whether calls can enter here: everything but `.cold` parts, which are only jumped into."""
    return compiler_suffixes.COLD not in suffixes(name)


def syscall_of(name: str) -> str | None:
    """The system call which a name spells (`__x64_sys_execve` -> execve), else None."""
    if name.startswith("__") and "___x64_sys_" in name:  # what a loader's prefix retry leaves: __arm64___x64_sys_listen
        name = name[name.index("___x64_sys_") + 1 :]
    for prefix in _SYSCALL_PREFIXES:
        if name.startswith(prefix) and len(name) > len(prefix):
            return syscall_of(name[len(prefix) :]) or name[len(prefix) :]
    return None


def syscall_entry(machine: str, syscall: str) -> str:
    """The entry which libbpf's ksyscall probes where the kernel has syscall wrappers; else __se_sys_.

    arch_specific_syscall_pfx() of tools/lib/bpf/libbpf.c; `machine` as `uname -m` says it.
    """
    return f"{arch.row(machine).syscall_prefix or '__se_'}sys_{syscall}"


def unwrapped(name: str) -> str:
    """The bare name inside what people paste: `vfs_read()`, `kprobe/vfs_read`, `&vfs_read`, `vfs_read@plt`."""
    text = name.strip().strip("\"'`;,").lstrip("&*")
    if text.startswith("SEC("):
        text = text[4:].strip("\"')")
    head, slash, rest = text.rpartition("/")
    if slash and head.rpartition("/")[2] in PROBE_WORDS | EVENT_WORDS:
        text = rest
    word, colon, rest = text.partition(":")
    if colon and word in PROBE_WORDS:
        text = rest
    if text.startswith("vmlinux:"):
        text = text[8:]
    text = text.partition("(")[0].partition("@")[0].rstrip(":")
    head, dot, last = text.rpartition(".")
    if dot and not last:
        text = head
    return text


def arguments(prototype: str) -> str:
    """The parameter list of a C prototype, with its parentheses; "" if there is none."""
    begin, end = prototype.find("("), prototype.rfind(")")
    return prototype[begin : end + 1] if 0 <= begin < end else ""


def listed(items: list[str] | tuple[str, ...], word: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`; after six names the rest is counted."""
    shown = list(items[:LISTED_MAX])
    if len(items) > LISTED_MAX:
        return ", ".join(shown) + f" {word} {len(items) - LISTED_MAX} more"
    if len(shown) < 2:
        return "".join(shown)
    return ", ".join(shown[:-1]) + f" {word} {shown[-1]}"
