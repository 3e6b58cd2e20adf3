"""Write a whole small vmlinux as an ELF: code, and tables between bounds as in vmlinux.lds.h.

Structures are laid out here on purpose unlike any kernel: a reader that knows offsets by heart fails.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.builders.btf_writer import BtfWriter
from tests.builders.image_writer import Load, elf_core
from tests.builders.kallsyms_writer import kallsyms
from tests.builders.small_files import note

TEXT, DATA, TABLES = 0xFFFF_FFFF_8100_0000, 0xFFFF_FFFF_8200_0000, 0xFFFF_FFFF_8300_0000
BANNER = "Linux version 6.12.0-tiny (builder) (gcc) #1 SMP"
BUILD_ID = bytes(range(20))
FIRST_ID = 20
TRACEPOINT, IGNORE_ENABLE = 0x10, 0x8
FILLERS = 5_000  # kallsyms' tables are told from chance by their length
SIZE = 16


class Field(NamedTuple):
    """One field of an event's record, as in struct trace_event_fields."""

    type: str
    name: str
    size: int
    align: int
    signed: int = 0
    length: int = 0


class Event(NamedTuple):
    """A trace event. `tracepoint` False: its name stands in the event itself; `reg` False: it cannot be enabled."""

    system: str
    name: str
    fields: tuple[Field, ...] = ()
    tracepoint: bool = True
    flags: int = 0
    reg: bool = True
    type: int = 0


class Syscall(NamedTuple):
    """The metadata of a system call: (type, name) of each argument. `present`: sys_call_table has its function."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    present: bool = True


class TinyImage:
    """Collects what the image holds; `elf()` writes it."""

    def __init__(self, *, marker: bool = True, length: bool = True, user_copies: bool = False) -> None:
        self.symbols: list[tuple[int, str, str]] = [(TEXT, "T", "_stext")]
        self.code = bytearray(b"\xcc" * SIZE)
        self.data = bytearray(bytes(16))
        self.marker, self.length, self.user_copies = marker, length, user_copies
        self.sites: list[int] = []
        self.blacklisted: list[int] = []
        self.calls: list[int] = []
        self.table: list[int] = []
        self.config = b""
        self.hides_calls = False
        self.injected: list[tuple[int, int]] = []

    def function(self, *names: str, site: int | None = 4, blacklisted: bool = False) -> int:
        """A function of 16 bytes with these names; ftrace's site lies `site` bytes inside it."""
        address = TEXT + len(self.code)
        self.code += b"\x90" * SIZE
        self.symbols += [(address, "T", name) for name in names]
        if site is not None:
            self.sites.append(address + site)
        if blacklisted:
            self.blacklisted.append(address)
        return address

    def mark(self, name: str, letter: str = "T") -> None:
        """A symbol at the end of the code, as the linker script's bounds."""
        self.symbols.append((TEXT + len(self.code), letter, name))

    def put(self, raw: bytes) -> int:
        """The address of these bytes in the data."""
        self.data += bytes(-len(self.data) % 8)
        address = DATA + len(self.data)
        self.data += raw
        return address

    def string(self, text: str) -> int:
        return self.put(text.encode() + b"\0")

    def event(self, event: Event, data: int = 0) -> None:
        """A trace_event_call with its class and fields: event at 8 (type at 4 of it), name at 0, class at 24."""
        fields = b""
        for field in event.fields:
            fields += struct.pack("<QQ", self.string(field.name), self.string(field.type))
            fields += struct.pack("<iiiiii", field.align, field.size, field.signed, 0, field.length, 0)
        fields_at = self.put(fields + bytes(40))
        kind = self.put(struct.pack("<QQQ", int(event.reg) * TEXT, fields_at, self.string(event.system)))
        name = self.string(event.name)
        if event.tracepoint:
            name = self.put(struct.pack("<QQ", 0, name))
        flags = event.flags | (TRACEPOINT if event.tracepoint else 0)
        self.calls.append(
            self.put(
                struct.pack("<QIIQQQIIQ", name, 0, event.type, 0, kind, self.string('"%s", REC->x'), flags, 0, data)
            )
        )

    def syscall(self, call: Syscall) -> None:
        """Its function, metadata and the two events."""
        if call.present:
            self.table.append(self.function(f"__x64_sys_{call.name}", f"__ia32_alias_of_{call.name}"))
        types = self.put(b"".join(struct.pack("<Q", self.string(kind)) for kind, _ in call.arguments) + bytes(8))
        names = self.put(b"".join(struct.pack("<Q", self.string(name)) for _, name in call.arguments) + bytes(8))
        meta = self.put(struct.pack("<IIQQQ", 0, len(call.arguments), self.string(f"sys_{call.name}"), types, names))
        self.event(Event("syscalls", f"sys_enter_{call.name}", tracepoint=False), meta)
        self.event(Event("syscalls", f"sys_exit_{call.name}", tracepoint=False), meta)

    def types(self) -> bytes:
        """BTF of the structures above."""
        b = BtfWriter()
        number, pointer = b.int("int", 4, True), b.ptr(0)
        byte = b.int("unsigned char", 1)
        entry = [("type", b.int("unsigned short", 2), 0), ("flags", byte, 16), ("preempt_count", byte, 24)]
        b.struct("trace_entry", 8, [*entry, ("pid", number, 32)])
        event = b.struct("trace_event", 16, [("type", number, 32)])
        name = b.union("", 8, [("name", pointer, 0), ("tp", pointer, 0)])
        b.struct(
            "trace_event_call",
            56,
            [
                *(("", name, 0), ("event", event, 64), ("class", pointer, 192), ("print_fmt", pointer, 256)),
                *(("flags", number, 320), ("data", pointer, 384)),
            ],
        )
        b.struct(
            "trace_event_class", 24, [("reg", pointer, 0), ("fields_array", pointer, 64), ("system", pointer, 128)]
        )
        b.struct("tracepoint", 16, [("key", pointer, 0), ("name", pointer, 64)])
        inner = [("align", number, 0), ("size", number, 32), ("is_signed", number, 64)]
        inner += [("len", number, 128)] if self.length else []
        both = b.union("", 24, [("", b.struct("", 24, inner), 0), ("define_fields", pointer, 0)])
        b.struct("trace_event_fields", 40, [("name", pointer, 0), ("type", pointer, 64), ("", both, 128)])
        b.enum("trace_type", {"TRACE_FN": 1, "__TRACE_LAST_TYPE": FIRST_ID})
        b.enum("", {"TRACE_EVENT_FL_TRACEPOINT": TRACEPOINT, "TRACE_EVENT_FL_IGNORE_ENABLE": IGNORE_ENABLE})
        meta = [("syscall_nr", number, 0), ("nb_args", number, 32), ("name", pointer, 64), ("types", pointer, 128)]
        meta.append(("args", pointer, 192))
        b.struct("syscall_metadata", 32, meta + ([("user_mask", number, 0)] if self.user_copies else []))
        b.struct("error_injection_entry", 16, [("etype", number, 0), ("addr", pointer, 64)])
        b.enum("", {"EI_ETYPE_NULL": 0, "EI_ETYPE_ERRNO": 1, "EI_ETYPE_ERRNO_NULL": 2, "EI_ETYPE_TRUE": 3})
        b.struct("syscall_trace_enter", 16, [("nr", number, 64), ("args", pointer, 128)])
        b.struct("syscall_trace_exit", 24, [("nr", number, 64), ("ret", pointer, 128)])
        return b.bytes()

    def elf(self, layout: str = "relative") -> bytes:
        """The uncompressed vmlinux."""
        for number in range(FILLERS):
            self.function(f"filler_{number}", site=None)
        self.mark("_etext")
        found = list(self.symbols)

        def table(start: str, stop: str, raw: bytes) -> None:
            at = self.put(raw)
            found.extend(((at, "D", start), (at + len(raw), "D", stop)))
            self.data += bytes(8)

        def pointers(values: list[int]) -> bytes:
            return b"".join(struct.pack("<Q", value) for value in values)

        table("__start_mcount_loc", "__stop_mcount_loc", pointers(self.sites))
        table("__start_kprobe_blacklist", "__stop_kprobe_blacklist", pointers(self.blacklisted))
        table("__start_ftrace_events", "__stop_ftrace_events", pointers(self.calls))
        if self.injected:
            rows = b"".join(struct.pack("<IIQ", kind, 0, address) for address, kind in self.injected)
            table("__start_error_injection_whitelist", "__stop_error_injection_whitelist", rows)
        table("sys_call_table", "sys_call_table_end", pointers(self.table))
        if self.hides_calls:  # as without CONFIG_KALLSYMS_ALL
            del found[-2:]
        table("__start_BTF", "__stop_BTF", self.types())
        self.put(BANNER.encode() + b"\n\0")
        if self.marker:
            self.put(b"__ftrace_invalid_address___%ld\n\0")
        if self.config:
            self.put(b"IKCFG_ST" + self.config + b"IKCFG_ED")
        found.sort(key=lambda row: row[0])
        loads = [
            Load(TEXT, bytes(self.code)),
            Load(DATA, bytes(self.data), 2),
            Load(TABLES, kallsyms(found, TABLES, layout), 2),
        ]
        return elf_core(loads, note(b"GNU", 3, BUILD_ID))
