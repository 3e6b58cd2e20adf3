"""Which instructions the kernel keeps for itself: BUG and WARN, jump labels, static calls.

Mirrors what kernel/kprobes.c, check_kprobe_address_safe asks: find_bug compares addresses,
jump_label_text_reserved and static_call_text_reserved look whether the address lies anywhere in an
instruction of theirs. The tables are read from the running kernel or from its image; their bounds are data
symbols, which CONFIG_KALLSYMS_ALL shows. Tables of modules are not read.
"""

from __future__ import annotations

from ..formats.elf import kernel_image
from ..formats.text import kallsyms
from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..formats.text.kallsyms import SymbolTable

TABLES = {  # symbols around each table, and the sizes its entries have had (struct sizes in BTF)
    "bug": ("__start___bug_table", "__stop___bug_table", (12, 16)),
    "jump_label": ("__start___jump_table", "__stop___jump_table", (16,)),
    "static_call": ("__start_static_call_sites", "__stop_static_call_sites", (8,)),
    "alternative": ("__alt_instructions", "__alt_instructions_end", (12, 13, 14)),
}
WORDS = ("bug", "jump_label", "static_call")
_INSTRUCTION_BYTES = 5  # the longest jump label, and a static call


class Tables(NamedTuple):
    """Runtime addresses of the instructions that each table names."""

    bug: frozenset[int]
    jump_label: frozenset[int]
    static_call: frozenset[int]


class Arm64Tables:
    """The tables of vmlinux: `alternatives` maps an address to what else boot may put there, () for anything."""

    __slots__ = ("alternatives", "exceptions", "sites")

    def __init__(
        self, alternatives: dict[int, tuple[int, ...]] | None, exceptions: frozenset[int] | None, sites: Tables | None
    ) -> None:
        self.alternatives, self.exceptions, self.sites = alternatives, exceptions, sites


def tables(raw_kallsyms: bytes, read: Callable[[SymbolTable, int, int], bytes | None]) -> Tables | None:
    """The tables of vmlinux; None where one cannot be read. A kernel may be built without one of them.

    `read` gives kernel memory by runtime address and size in bytes, or None.
    """
    names = [name.encode() for word in WORDS for name in TABLES[word][:2]]
    bounds = kallsyms.SymbolTable(kallsyms.narrow(raw_kallsyms, names))
    found: dict[str, frozenset[int]] = {}
    for word in WORDS:
        first, last, sizes = TABLES[word]
        rows = bounds.lookup(first.encode()), bounds.lookup(last.encode())
        if rows[0] is None or rows[1] is None:
            continue
        start, stop = bounds.addresses[rows[0]], bounds.addresses[rows[1]]
        if stop <= start:
            found[word] = frozenset()
            continue
        got = read(bounds, start, stop - start)
        if got is None:
            return None
        for size in sizes:
            at = kernel_image.relative_sites(got, start, size) if (stop - start) % size == 0 else ()
            if at and in_text(bounds, at) >= 0.99 * len(at):
                found[word] = frozenset(at)
                break
        else:
            return None
    if not found:
        return None
    return Tables(*(found.get(word, frozenset()) for word in WORDS))


def in_text(bounds: SymbolTable, addresses: tuple[int, ...]) -> int:
    """How many of the addresses lie in the kernel's text or in that of its start-up."""
    limits = bounds.limits
    low, high = limits.get(b"_stext", 0), limits.get(b"_etext", 0)
    low_init, high_init = limits.get(b"_sinittext", 0), limits.get(b"_einittext", 0)
    return sum([low <= one < high or low_init <= one < high_init for one in addresses])


def word_at(found: Tables, start: int, offset_bytes: int, text: bytes) -> str:
    """Which table holds the byte at `start + offset_bytes`; "" for none. `text` is the code from `start` on."""
    address = start + offset_bytes
    if address in found.bug:
        return "bug"
    for back in range(min(offset_bytes + 1, _INSTRUCTION_BYTES)):
        if address - back in found.jump_label and back < _label_bytes(text[offset_bytes - back :][:2]):
            return "jump_label"
        if address - back in found.static_call:
            return "static_call"
    return ""


def _label_bytes(head: bytes) -> int:
    """The length of a jump label (arch/x86/kernel/jump_label.c, arch_jump_entry_size): two bytes or five."""
    return 2 if head[:1] == b"\xeb" or head == b"\x66\x90" else _INSTRUCTION_BYTES
