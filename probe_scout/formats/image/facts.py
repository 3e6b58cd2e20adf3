"""What a booted kernel would show, out of the tables of its uncompressed image.

Each table lies between two symbols that include/asm-generic/vmlinux.lds.h defines, so the image's own kallsyms with
data symbols (CONFIG_KALLSYMS_ALL) finds it; structures are read by the image's own BTF. Pointers hold final link
addresses (x86-64: the appended relocations only serve KASLR).
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right

from ...errors import Malformed
from ..btf import kinds
from ..btf.reader import Btf
from ..btf.records import Records
from . import symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..elf.kernel_image import KernelImage
    from .containers import FlatKernel

    Image = KernelImage | FlatKernel

_POINTER_BYTES = 8
# arch/arm64/kernel/probes/kprobes.c, arch_populate_kprobe_blacklist; the last one where the kernel runs at EL1.
_ARM64_AREAS = (
    ("__irqentry_text_start", "__irqentry_text_end"),
    ("__hyp_text_start", "__hyp_text_end"),
    ("__hyp_idmap_text_start", "__hyp_idmap_text_end"),
)
_OPS_BYTES = 8
_INJECTED = ("NULL", "ERRNO", "ERRNO_NULL", "TRUE")  # lib/error-inject.c, error_type_string
_EVENTS_MAX = 100_000
_TEXT_BYTES_MAX = 4096
_FTRACE_MAX_OFFSET = 4  # kernel/trace/ftrace.c, FTRACE_MCOUNT_MAX_OFFSET: behind an ENDBR


class Facts:
    """An image with its symbols. Nothing is computed until it is asked for."""

    def __init__(self, image: Image) -> None:
        """Raises Malformed where the image holds no kallsyms."""
        self.image = image
        self.table = _table(image)
        self._first: dict[bytes, int] = {}
        for name, address in zip(reversed(self.table.names), reversed(self.table.addresses), strict=True):
            self._first[name] = address
        self._records: Records | None = None
        self._sites: list[int] | None = None
        self._offsets: dict[tuple[str, ...], int | None] = {}

    # Reading memory and symbols.

    def address(self, name: str) -> int | None:
        """The address of the first symbol of this name."""
        return self._first.get(name.encode())

    def bytes_between(self, start: str, stop: str) -> bytes | None:
        """What lies between two symbols; None where one of them is missing or the file does not hold it."""
        begin, end = self.address(start), self.address(stop)
        if begin is None or end is None or end < begin:
            return None
        return self.image.text_at(begin, end - begin)

    def pointers(self, start: str, stop: str) -> array[int] | None:
        """A table of pointers between two symbols."""
        raw = self.bytes_between(start, stop)
        return None if raw is None else _words(raw[: len(raw) & ~7])

    def pointer(self, address: int) -> int:
        """The pointer at an address; 0 where the file does not hold it."""
        raw = self.image.text_at(address, 8)
        return int.from_bytes(raw, "little") if raw else 0

    def number(self, address: int, size: int) -> int:
        """An unsigned number of `size` bytes at an address; 0 where the file does not hold it."""
        raw = self.image.text_at(address, size)
        return int.from_bytes(raw, "little") if raw else 0

    def string(self, address: int) -> str:
        """The text at an address; "" where the file does not hold it."""
        for size in (64, 512, _TEXT_BYTES_MAX):
            raw = self.image.text_at(address, size)
            if raw is None:
                raw = self.image.tail_at(address, size)
            end = raw.find(b"\0")
            if end >= 0:
                return raw[:end].decode("utf-8", "replace")
            if len(raw) < size:
                break
        return ""

    def first_name(self, address: int) -> str:
        """The name that the kernel prints for an address: the first symbol there; "" where none begins."""
        row = bisect_left(self.table.addresses, address)
        if row < len(self.table.addresses) and self.table.addresses[row] == address:
            return self.table.names[row].decode("utf-8", "replace")
        return ""

    def addresses_of(self, part: str) -> list[int]:
        """Addresses of symbols whose names have this part, each once."""
        wanted = part.encode()
        rows = zip(self.table.names, self.table.addresses, strict=True)
        return sorted({address for name, address in rows if wanted in name})

    def has_name(self, beginning: str) -> bool:
        """Whether a symbol's name begins so."""
        return any(name.startswith(beginning.encode()) for name in self.table.names)

    def function_of(self, address: int) -> int | None:
        """Where the symbol begins that an address lies in."""
        row = bisect_right(self.table.addresses, address) - 1
        return self.table.addresses[row] if row >= 0 else None

    def returns_pointer(self, name: str) -> bool:
        """Whether the type information has a function of this name that returns a pointer."""
        records = self.records()
        for type_id in records.btf.find_ids(name, frozenset((kinds.FUNC,))):
            proto = records.record(type_id).number
            return records.record(records.resolve(records.record(proto).number)).kind == kinds.PTR
        return False

    def following_pointers(self, start: int, most: int) -> list[int]:
        """Pointers from an address up to the next symbol."""
        row = bisect_right(self.table.addresses, start)
        end = self.table.addresses[row] if row < len(self.table.addresses) else start
        raw = self.image.text_at(start, min(end - start, 8 * most) & ~7)
        return list(_words(raw)) if raw else []

    # BTF.

    def btf(self) -> bytes | None:
        """The bytes of /sys/kernel/btf/vmlinux."""
        return self.bytes_between("__start_BTF", "__stop_BTF")

    def records(self) -> Records:
        """The image's own types. Raises Malformed where it has none."""
        if self._records is None:
            raw = self.btf()
            if raw is None:
                raise Malformed("vmlinux", 0, "type information (.BTF)", "none")
            self._records = Records(Btf(raw))
        return self._records

    def type_name(self, type_id: int) -> str:
        """The name of a type or function by its BTF id."""
        return self.records().record(type_id).name

    def offset(self, struct: str, *path: str) -> int | None:
        """Offset in bytes of a member, through anonymous structs; None where this kernel has no such member."""
        key = (struct, *path)
        if key not in self._offsets:
            self._offsets[key] = self._offset(struct, path)
        return self._offsets[key]

    def _offset(self, struct: str, path: tuple[str, ...]) -> int | None:
        records = self.records()
        ids = records.btf.find_ids(struct, frozenset((kinds.STRUCT, kinds.UNION)))
        at, type_id = 0, ids[0] if ids else 0
        for name in path:
            found = _member(records, type_id, name) if type_id else None
            if found is None:
                return None
            at, type_id = at + found[0], records.resolve(found[1])
        return at

    def size(self, struct: str) -> int | None:
        """Size in bytes of a struct."""
        return self.records().btf.struct_size(struct)

    # ftrace.

    def sites(self) -> list[int]:
        """Addresses of ftrace's records of core text, in the kernel's order (ftrace_process_locs)."""
        if self._sites is None:
            raw = self.pointers("__start_mcount_loc", "__stop_mcount_loc")
            low, high = self.address("_stext"), self.address("_etext")
            if raw is None or low is None or high is None:
                self._sites = []
            else:
                shift = self.pad_bytes()
                self._sites = sorted(site + shift for site in raw if low <= site + shift < high)
        return self._sites

    def pad_bytes(self) -> int:
        """From the place that the compiler noted to the function, whose first instructions are ftrace's.

        arm64 with CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS keeps a pointer in front of each function, and
        arch/arm64/kernel/ftrace.c, ftrace_call_adjust, steps over it. Most functions begin where it ends, or none.
        """
        sites = self.pointers("__start_mcount_loc", "__stop_mcount_loc") or ()
        starts = self._starts()
        return _OPS_BYTES if 2 * sum(site + _OPS_BYTES in starts for site in sites) > len(sites) else 0

    def _starts(self) -> frozenset[int]:
        return frozenset(self.table.addresses)

    def filter_functions(self) -> bytes:
        """available_filter_functions: the symbol that each record lies in, one a line.

        kernel/trace/ftrace.c, t_show and print_rec: records that lie more than FTRACE_MCOUNT_MAX_OFFSET behind a symbol
        belong to weak functions that were left out. Newer kernels print a placeholder for them or
        nothing at all; older ones print the symbol before, whatever its distance.
        """
        addresses, names = self.table.addresses, self.table.names
        checks = self.has_marker()
        lines = []
        for site in self.sites():
            row = bisect_right(addresses, site) - 1
            first = bisect_left(addresses, addresses[row])
            name = names[first]
            distance = site - addresses[row]
            if checks and distance > _FTRACE_MAX_OFFSET:
                name = b"__ftrace_invalid_address___%d" % distance
            lines.append(name + b"\n")
        return b"".join(lines)

    def has_marker(self) -> bool:
        """Whether the kernel's code holds the placeholder's text (kernel/trace/trace.h, FTRACE_INVALID_FUNCTION)."""
        return b"__ftrace_invalid_address__" in self.image.raw

    # Kprobe blacklist.

    def blacklist(self) -> bytes:
        """/sys/kernel/debug/kprobes/blacklist, as populate_kprobe_blacklist fills it (kernel/kprobes.c)."""
        low, high = self.address("_stext"), self.address("_etext")
        rows: list[tuple[int, int]] = []
        for entry in self.pointers("__start_kprobe_blacklist", "__stop_kprobe_blacklist") or ():
            if low is not None and high is not None and low <= entry < high:
                rows.append(self._extent(entry))
        for start, stop in (
            ("__kprobes_text_start", "__kprobes_text_end"),
            ("__noinstr_text_start", "__noinstr_text_end"),
            ("__entry_text_start", "__entry_text_end"),
            *(_ARM64_AREAS if self.is_arm64() else ()),
        ):
            rows += self._symbols_between(start, stop)
        return b"".join(b"0x%016x-0x%016x\t%b\n" % (begin, end, self.name(begin)) for begin, end in rows)

    def notes(self) -> bytes:
        """sys/kernel/notes."""
        return self.image.notes() or self.bytes_between("__start_notes", "__stop_notes") or b""

    # Error injection.

    def error_injection(self) -> bytes:
        """/sys/kernel/debug/error_injection/list (lib/error-inject.c, populate_error_injection_list, ei_seq_show)."""
        raw = self.bytes_between("__start_error_injection_whitelist", "__stop_error_injection_whitelist") or b""
        found = ((self.name(address), kind) for address, kind in self.injection_entries(raw) if self.is_text(address))
        return b"".join(b"%b\t%b\n" % row for row in found)

    def injection_entries(self, raw: bytes) -> list[tuple[int, bytes]]:
        """Address and kind of each struct error_injection_entry."""
        size = self.size("error_injection_entry") or 0
        at, kind_at = self.offset("error_injection_entry", "addr"), self.offset("error_injection_entry", "etype")
        if size <= 0 or at is None or kind_at is None:
            return []
        kinds_of = {
            each.value: word.encode()
            for word in _INJECTED
            for each in self.records().btf.find_enumerators(f"EI_ETYPE_{word}")
        }
        return [
            (
                int.from_bytes(raw[begin + at : begin + at + 8], "little"),
                kinds_of.get(int.from_bytes(raw[begin + kind_at : begin + kind_at + 4], "little"), b"(unknown)"),
            )
            for begin in range(0, len(raw) - size + 1, size)
        ]

    def is_text(self, address: int) -> bool:
        """Core or init text of vmlinux (kernel/extable.c, kernel_text_address, as boot asks it)."""
        bounds = (("_stext", "_etext"), ("_sinittext", "_einittext"))
        return any(
            low <= address < high
            for low, high in ((self.address(start) or 0, self.address(stop) or 0) for start, stop in bounds)
        )

    def is_arm64(self) -> bool:
        """Whether the image is of arm64, by the hypervisor's text that only it has."""
        return self.address("__hyp_text_start") is not None

    def has_data_symbols(self) -> bool:
        """Whether kallsyms has data (CONFIG_KALLSYMS_ALL): without it few tables can be found by their names.

        Not those that begin with __start_, which newer kernels show in every configuration (scripts/kallsyms.c).
        """
        return any(self.address(name) is not None for name in ("sys_call_table", "init_task"))

    def system_calls(self) -> int | None:
        """Where sys_call_table lies. Without a symbol, on x86-64: where its first entries and the one behind the x32
        table's first difference stand (arch/x86/entry/syscalls/syscall_64.tbl, 0 to 2 and 13)."""
        named = self.address("sys_call_table")
        known = [self.address(f"__x64_sys_{name}") for name in ("read", "write", "open", "rt_sigaction")]
        if named is not None or None in known:
            return named
        *first, action = (word.to_bytes(8, "little") for word in known if word is not None)
        found = self.image.find(b"".join(first))
        return next((at for at in found if self.image.text_at(at + 13 * 8, 8) == action), None)

    def _symbols_between(self, start: str, stop: str) -> list[tuple[int, int]]:
        begin, end = self.address(start), self.address(stop)
        if begin is None or end is None:
            return []
        found = []
        at = begin
        while at < end:
            extent = self._extent(at)
            found.append(extent)
            at = extent[1]
            if at <= extent[0]:
                break
        return found

    def _extent(self, address: int) -> tuple[int, int]:
        """From an address to the next higher one that a symbol has (kallsyms_lookup_size_offset)."""
        addresses = self.table.addresses
        row = bisect_right(addresses, address)
        return address, addresses[row] if row < len(addresses) else address

    def name(self, address: int) -> bytes:
        """The name that the kernel prints for an address inside a function."""
        return self.table.names[bisect_left(self.table.addresses, address)]


_kept: list[Facts] = []  # of the image that was opened last


def of_image(image: Image) -> Facts:
    """The facts of an image; those of the last one are kept, for a source and its code are the same bytes.

    Raises Malformed as Facts does.
    """
    if not _kept or _kept[0].image.raw is not image.raw:
        _kept[:] = [Facts(image)]
    return _kept[0]


def _table(image: Image) -> symbols.Table:
    """kallsyms of whichever segment holds it."""
    failure: Malformed | None = None
    for segment in image.segments:
        try:
            return symbols.read(image.raw[segment.offset : segment.offset + segment.size], segment.address, image.path)
        except Malformed as error:
            failure = error
    assert failure is not None
    raise failure


def _words(raw: bytes) -> array[int]:
    found = array("Q", raw)
    if sys.byteorder != "little":
        found.byteswap()
    return found


def _member(records: Records, type_id: int, name: str) -> tuple[int, int] | None:
    """(offset in bytes, type id) of a member, also inside anonymous structs and unions."""
    for member in records.members(type_id):
        if member.name == name:
            return member.bit_offset // 8, member.type_id
        if not member.name:
            inner = records.resolve(member.type_id)
            found = _member(records, inner, name) if records.record(inner).kind in (kinds.STRUCT, kinds.UNION) else None
            if found is not None:
                return member.bit_offset // 8 + found[0], found[1]
    return None
