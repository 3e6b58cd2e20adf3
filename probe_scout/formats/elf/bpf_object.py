"""A compiled BPF object (ELF, EM_BPF, ET_REL) as libbpf sees it after bpf_object__open.

Mirrors tools/lib/bpf/libbpf.c: bpf_object__elf_collect (which sections count), bpf_object__add_programs (which
symbols are programs), parse_btf_map_def (maps), bpf_object__collect_externs, bpf_program__record_reloc. What libbpf
refuses at this stage is kept as `refusal`: the object is then described as far as it was read.

Nothing here knows a kernel. Bytes that are no ELF file of this kind raise Malformed.
"""

from __future__ import annotations

from struct import error as StructError
from struct import iter_unpack, unpack_from

from probe_scout.errors import Malformed

from ...model.bpf_map import MapDefinition
from ...named_tuple import NamedTuple
from ..btf import kinds
from ..btf.reader import Btf
from ..btf.records import COMPOSITES, ENUMS, INT_BOOL, INT_SIGNED, Records
from ..btf.relocation import CoreRecord
from . import byte_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

EM_BPF = 247
INSN_BYTES = 8
_SHF_EXECINSTR = 4
_SHN_LORESERVE = 0xFF00
_STT_OBJECT, _STT_FUNC, _STT_SECTION = 1, 2, 3
_STB_LOCAL, _STB_WEAK = 0, 2
_PSEUDO_CALL = 1
_CALL, _LD_IMM64 = 0x85, 0x18
_MAPS_OF = {12: "array of maps", 13: "hash of maps"}
_PROG_ARRAY, _STRUCT_OPS = 3, 26
_HEADER_BYTES, _SECTION_BYTES, _ET_REL = 64, 64, 1
_PINNED_BY_NAME = 1
_OVERLAP_MAX = 4
_MEMBERS_OF_MAP = frozenset(
    ("type", "max_entries", "map_flags", "numa_node", "key_size", "key", "value_size", "value", "values", "pinning")
)
LIBBPF_FORMAT, LIBBPF_RELOC = "FORMAT", "RELOC"  # libbpf's own errors, 4001 and 4005


class Refusal(NamedTuple):
    """Why bpf_object__open refuses the object. `errno` by name; LIBBPF errors as libbpf calls them."""

    rule: str
    errno: str
    says: str


class Program(NamedTuple):
    """One function that libbpf loads as a program: its section, and where its instructions lie in it, in bytes."""

    name: str
    section: str
    section_index: int
    offset: int
    size: int


class Extern(NamedTuple):
    """An undefined symbol. `kind`: kconfig, function (kfunc), variable (typed ksym), address (ksym without type).

    `shape` of a kconfig extern: bool, char, int, char_array, tristate; `bytes` its size.
    """

    name: str
    kind: str
    type_id: int
    is_weak: bool
    symbol: int
    shape: str = ""
    bytes: int = 0
    is_signed: bool = False
    align: int = 1


class Reference(NamedTuple):
    """What the relocation of an instruction points to.

    `kind`: map, data, subprogram, subprogram_address, extern. `number`: of the map, the section or the extern;
    `offset` in bytes within the section, for data and subprograms.
    """

    kind: str
    number: int
    offset: int


class Section(NamedTuple):
    name: str
    type: int
    flags: int
    data: bytes
    info: int
    size: int
    entry_bytes: int


class BpfObject:
    """One object. `slots`: the programs that maps are initialised with, as map, section and offset in bytes.

    `programs` in libbpf's order (by section, then offset); `core` by section name, in file order.

    `functions`: offsets in bytes of the functions of .text; `global_functions` of those that are verified alone.
    `decoded`: kept by probes/objects/program_code.py, for the next kernel.
    """

    __slots__ = (
        "_numbers",
        "btf",
        "core",
        "decoded",
        "externs",
        "func_infos",
        "functions",
        "global_functions",
        "is_big_endian",
        "license",
        "maps",
        "programs",
        "records",
        "references",
        "refusal",
        "sections",
        "slots",
        "text_index",
    )

    def __init__(self) -> None:
        self.license = ""
        self.is_big_endian = False
        self.sections: list[Section] = []
        self.programs: list[Program] = []
        self.maps: list[MapDefinition] = []
        self.externs: list[Extern] = []
        self.references: dict[int, dict[int, Reference]] = {}
        self.slots: list[tuple[str, int, int]] = []
        self.core: dict[str, list[CoreRecord]] = {}
        self.func_infos: dict[str, dict[int, int]] = {}
        self.btf: Btf | None = None
        self.records: Records | None = None
        self.text_index = 0
        self.functions: set[int] = set()
        self.global_functions: set[int] = set()
        self.refusal: Refusal | None = None
        self.decoded: Any = None
        self._numbers: dict[str, int] = {}

    def section_named(self, name: str) -> int:
        """Index of the first section of this name; 0 if there is none."""
        if not self._numbers:
            for index, section in enumerate(self.sections):
                self._numbers.setdefault(section.name, index)
        return self._numbers.get(name, 0)


class _Refused(Exception):
    def __init__(self, rule: str, errno: str, says: str) -> None:
        super().__init__(says)
        self.refusal = Refusal(rule, errno, says)


def read(raw: bytes, path: str = "the object") -> BpfObject:
    """The object in these bytes. Raises Malformed where they are no ELF file for BPF; see `refusal` for the rest."""
    found = BpfObject()
    try:
        if byte_order.is_big(raw):
            found.is_big_endian = True
            raw = byte_order.as_little(raw)
        symbols = _read_sections(found, raw, path)
        try:
            _check_sections(found)
            _add_programs(found, symbols)
            _read_btf(found)
            _collect_externs(found, symbols)
            _add_maps(found, symbols)
            _collect_references(found, symbols)
        except _Refused as refused:
            found.refusal = refused.refusal
    except (StructError, IndexError, OverflowError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(path, 0, "an ELF file for BPF", f"{type(error).__name__}: {error}") from None
    return found


class _Symbol(NamedTuple):
    name: str
    info: int
    other: int
    section: int
    value: int
    size: int

    @property
    def type(self) -> int:
        return self.info & 0xF

    @property
    def bind(self) -> int:
        return self.info >> 4


def _read_sections(found: BpfObject, raw: bytes, path: str) -> list[_Symbol]:
    """Section headers and symbols (elf(5)). Raises Malformed, and struct.error where the file is cut off."""
    if raw[:4] != b"\x7fELF" or len(raw) < _HEADER_BYTES:
        raise Malformed(path, 0, "an ELF file", "other bytes")
    if raw[4] != 2 or raw[5] != 1:
        raise Malformed(path, 4, "a 64-bit object", f"class {raw[4]}, data {raw[5]}")
    kind, machine = unpack_from("<HH", raw, 16)
    if kind != _ET_REL or machine not in (EM_BPF, 0):
        raise Malformed(path, 16, "a relocatable ELF file for BPF", f"type {kind} for machine {machine}")
    (table,) = unpack_from("<Q", raw, 40)
    entry, count, names_index = unpack_from("<HHH", raw, 58)
    if table + count * entry > len(raw):
        raise Malformed(path, 40, f"section headers inside {len(raw)} bytes", f"an offset of {table}")
    if entry != _SECTION_BYTES:
        raise Malformed(path, 58, f"section headers of {_SECTION_BYTES} bytes", f"{entry}")
    heads = [unpack_from("<IIQQQQIIQQ", raw, table + number * entry) for number in range(count)]
    if names_index >= count:
        raise Malformed(path, 62, "the index of a section", f"{names_index}")
    names = raw[heads[names_index][4] :][: heads[names_index][5]]
    table_index = strings_index = total = 0
    for index, (name, number, flags, _, begin, size, link, info, _, each) in enumerate(heads):
        is_empty = number in (0, 8)
        if not is_empty and begin + size > len(raw):
            raise Malformed(path, begin, f"a section of {size} bytes", f"a file of {len(raw)} bytes")
        total += 0 if is_empty else size
        if total > _OVERLAP_MAX * len(raw):  # a small file could else ask for any amount of memory
            raise Malformed(path, begin, "sections that lie apart", "sections that share their bytes")
        data = b"" if is_empty else raw[begin : begin + size]
        found.sections.append(Section(_string(names, name), number, flags, data, info, size, each))
        if number == 2:
            table_index, strings_index = index, link
    if not table_index or strings_index >= count:
        raise Malformed(path, 0, "a symbol table", "none: a stripped object")
    text, rows = found.sections[strings_index].data, found.sections[table_index].data
    return [
        _Symbol(_string(text, name), info, other, section, value, size)
        for name, info, other, section, value, size in iter_unpack("<IBBHQQ", rows[: len(rows) // 24 * 24])
    ]


def _string(text: bytes, offset: int) -> str:
    end = text.find(b"\0", offset)
    return text[offset : end if end >= 0 else len(text)].decode("utf-8", "surrogateescape")


def _check_sections(found: BpfObject) -> None:
    """What bpf_object__elf_collect refuses, and the license."""
    for section in found.sections:
        if section.name == "license":
            found.license = section.data.split(b"\0")[0].decode("utf-8", "replace")
        elif section.name == "maps":
            raise _Refused(
                "object_open.legacy_maps",
                "EOPNOTSUPP",
                "it defines maps in a section `maps`, which libbpf 1.0 and newer do not read, and aya does; "
                "define them in `.maps`",
            )


def _is_code(section: Section) -> bool:
    return section.type == 1 and section.size > 0 and bool(section.flags & _SHF_EXECINSTR)


def _add_programs(found: BpfObject, symbols: list[_Symbol]) -> None:
    for index, section in enumerate(found.sections):
        if not _is_code(section):
            continue
        if section.name == ".text":
            found.text_index = index
        for symbol in symbols:
            if symbol.section != index or symbol.type != _STT_FUNC:
                continue
            if symbol.value + symbol.size > section.size:
                raise _Refused(
                    "object_open.format", LIBBPF_FORMAT, f"{symbol.name} passes the end of section {section.name}"
                )
            if section.name != ".text" and symbol.bind == _STB_LOCAL:
                raise _Refused(
                    "object_open.static_program",
                    "EOPNOTSUPP",
                    f"{symbol.name} in section {section.name} is static; programs must be global functions",
                )
            if not symbol.size or symbol.size % INSN_BYTES or symbol.value % INSN_BYTES:
                says = f"{symbol.name} in section {section.name} is no row of whole instructions"
                raise _Refused("object_open.format", "EINVAL", says)
            if section.name == ".text":
                found.functions.add(symbol.value)
                # Hidden functions are made static by libbpf, and so verified with their callers.
                if symbol.bind != _STB_LOCAL and symbol.other & 3 not in (1, 2):
                    found.global_functions.add(symbol.value)
            else:
                found.programs.append(Program(symbol.name, section.name, index, symbol.value, symbol.size))
    found.programs.sort(key=lambda program: (program.section_index, program.offset))


_NEED_BTF = frozenset((".maps", ".struct_ops", ".struct_ops.link"))


def _read_btf(found: BpfObject) -> None:
    index = found.section_named(".BTF")
    if not index:
        # bpf_object__init_btf, libbpf_needs_btf: before externs are looked at.
        needs = next((part.name for part in found.sections if part.name.removeprefix("?") in _NEED_BTF), "")
        if needs:
            raise _Refused("object_open.maps_without_btf", "ENOENT", f"its {needs} section has no type information")
        return
    found.btf = Btf(found.sections[index].data, None, ".BTF")
    found.records = Records(found.btf)
    extra = found.section_named(".BTF.ext")
    if extra:
        _read_ext(found, found.sections[extra].data)


def _read_ext(found: BpfObject, raw: bytes) -> None:
    """.BTF.ext: struct btf_ext_header, then per part a record size and, per section, rows (tools/lib/bpf/btf.c)."""
    assert found.btf is not None
    magic, _, _, header_bytes = unpack_from("<HBBI", raw)
    if magic != 0xEB9F or not 24 <= header_bytes <= len(raw):
        raise Malformed(".BTF.ext", 0, "the header of .BTF.ext")
    fields = unpack_from(f"<{(header_bytes - 8) // 4}I", raw, 8)
    for section, rows in _parts(raw, header_bytes + fields[0], fields[1], found.btf, 8):
        infos = found.func_infos.setdefault(section, {})
        for row in rows:
            offset, type_id = unpack_from("<II", row)
            infos[offset] = type_id
    if len(fields) >= 6:
        for section, rows in _parts(raw, header_bytes + fields[4], fields[5], found.btf, 16):
            records = found.core.setdefault(section, [])
            for row in rows:
                offset, type_id, access, kind = unpack_from("<IIII", row)
                records.append(CoreRecord(offset, type_id, found.btf.string(access), kind))


def _parts(raw: bytes, at: int, size: int, btf: Btf, least: int) -> Iterator[tuple[str, list[bytes]]]:
    if not size:
        return
    end = at + size
    if end > len(raw):
        raise Malformed(".BTF.ext", at, f"a part of {size} bytes", f"{len(raw) - at} bytes")
    (row_bytes,) = unpack_from("<I", raw, at)
    at += 4
    if row_bytes < least:
        raise Malformed(".BTF.ext", at, f"records of {least} bytes or more", f"{row_bytes}")
    while at < end:
        name, count = unpack_from("<II", raw, at)
        at += 8
        if at + count * row_bytes > end:
            raise Malformed(".BTF.ext", at, f"{count} records of {row_bytes} bytes", f"{end - at} bytes")
        yield (
            btf.string(name),
            [raw[place : place + row_bytes] for place in range(at, at + count * row_bytes, row_bytes)],
        )
        at += count * row_bytes


def _datasecs(found: BpfObject) -> dict[str, int]:
    """Name to id of every DATASEC of the object."""
    if found.records is None:
        return {}
    return {
        record.name: type_id
        for type_id in found.records.ids()
        if (record := found.records.record(type_id)).kind == kinds.DATASEC
    }


def _collect_externs(found: BpfObject, symbols: list[_Symbol]) -> None:
    undefined = [
        (number, symbol)
        for number, symbol in enumerate(symbols)
        if not symbol.section and symbol.bind in (1, _STB_WEAK) and symbol.type == 0 and symbol.name
    ]
    if not undefined:
        return
    records = found.records
    if records is None:
        raise _extern_refused(undefined[0][1].name, "ESRCH", "has no type information in the object")
    named = _variables(records)
    sections = {
        variable: section
        for section, type_id in reversed(_datasecs(found).items())
        for variable, _, _ in records.section_vars(type_id)
    }
    for number, symbol in undefined:
        variable = named.get(symbol.name, 0)
        if not variable:
            raise _extern_refused(symbol.name, "ENOENT", "has no type information in the object")
        record = records.record(variable)
        linkage = record.vlen if record.kind == kinds.FUNC else record.owner.words[record.at + 2]
        if linkage != _EXTERN_LINKAGE:
            raise _extern_refused(symbol.name, "EINVAL", "is no extern by its type information")
        if variable not in sections:
            raise _extern_refused(symbol.name, "ENOENT", "lies in no section by its type information")
        found.externs.append(_extern(records, symbol, number, sections[variable], variable))


_EXTERN_LINKAGE = 2  # BTF_VAR_GLOBAL_EXTERN, BTF_FUNC_EXTERN


def _variables(records: Records) -> dict[str, int]:
    """Variables and functions of the object by name; the first of each name, as find_extern_btf_id takes it."""
    found: dict[str, int] = {}
    for type_id in records.ids():
        record = records.record(type_id)
        if record.kind in (kinds.VAR, kinds.FUNC):
            found.setdefault(record.name, type_id)
    return found


def _extern_refused(name: str, errno: str, says: str) -> _Refused:
    return _Refused("object_open.extern_without_btf", errno, f"the extern {name} {says}")


def _extern(records: Records, symbol: _Symbol, number: int, section: str, variable: int) -> Extern:
    record = records.record(variable)
    is_weak = symbol.bind == _STB_WEAK
    if section == ".ksyms":
        if record.kind == kinds.FUNC:
            return Extern(symbol.name, "function", record.number, is_weak, number)
        type_id = records.resolve(record.number)
        kind = "variable" if type_id else "address"
        return Extern(symbol.name, kind, type_id, is_weak, number)
    if section != ".kconfig" or record.kind == kinds.FUNC:
        raise _Refused(
            "object_open.extern_section", "EOPNOTSUPP", f"the extern {symbol.name} lies in section {section}"
        )
    shape, is_signed = _kconfig_shape(records, record.number)
    if not shape:
        raise _Refused(
            "object_open.kconfig_type", "EOPNOTSUPP", f"the type of the kconfig extern {symbol.name} is not supported"
        )
    size = records.size(record.number) or 0
    align = 1 if shape == "char_array" else max(size, 1)
    return Extern(symbol.name, "kconfig", record.number, is_weak, number, shape, size, is_signed, align)


def _kconfig_shape(records: Records, type_id: int) -> tuple[str, bool]:
    """libbpf.c, find_kcfg_type."""
    type_id = records.resolve(type_id)
    record = records.record(type_id)
    if record.kind == kinds.INT:
        encoding = records.int_word(type_id)[0]
        is_signed = bool(encoding & INT_SIGNED)
        if encoding & INT_BOOL:
            return ("bool" if record.number == 1 else ""), is_signed
        if record.number == 1:
            return "char", is_signed
        return ("int" if record.number <= 8 and not record.number & (record.number - 1) else ""), is_signed
    if record.kind in ENUMS:
        return ("tristate" if record.number == 4 and record.name == "libbpf_tristate" else ""), False
    if record.kind == kinds.ARRAY and records.array(type_id)[2]:
        return ("char_array" if _kconfig_shape(records, records.array(type_id)[0])[0] == "char" else ""), False
    return "", False


def _add_maps(found: BpfObject, symbols: list[_Symbol]) -> None:
    # A compiled DATASEC has no size and offsets of zero, which libbpf takes from the symbols (btf_fixup_datasec); the
    # linker of BPF objects fills both in.
    values = {(symbol.section, symbol.name): symbol.value for symbol in symbols if symbol.type == _STT_OBJECT}
    records = found.records
    maps_index = found.section_named(".maps")
    if maps_index and records is not None:
        datasec = _datasecs(found).get(".maps")
        if datasec is None:
            raise _Refused("object_open.maps_without_btf", "ENOENT", "its .maps section has no type information")
        for variable, offset, _ in records.section_vars(datasec):
            record = records.record(variable)
            if not records.record(datasec).number:
                offset = values.get((maps_index, record.name), offset)
            type_id = records.resolve(record.number)
            if records.record(type_id).kind != kinds.STRUCT:
                raise _bad_map(record.name, "EINVAL", "is no struct")
            found.maps.append(_map(records, record.name, type_id)._replace(section_index=maps_index, variable=offset))
    for index, section in enumerate(found.sections):
        if section.type in (1, 8) and section.size and _is_data(section):
            entries = 1
            flags = 0x80 if section.name.startswith(".rodata") else 0
            found.maps.append(MapDefinition(section.name, 2, 4, section.size, entries, flags, section.name, index))
        elif section.type == 1 and section.name.lstrip("?") in (".struct_ops", ".struct_ops.link"):
            _add_struct_ops(found, section, index, values)
    if any(extern.kind == "kconfig" for extern in found.externs):
        found.maps.append(MapDefinition(".kconfig", 2, 4, 4, 1, 0x80, ".kconfig", 0))


def _is_data(section: Section) -> bool:
    if section.flags & _SHF_EXECINSTR:
        return False
    names = (".bss",) if section.type == 8 else (".data", ".rodata")
    return any(section.name == name or section.name.startswith(name + ".") for name in names)


def _add_struct_ops(found: BpfObject, section: Section, index: int, values: dict[tuple[int, str], int]) -> None:
    records = found.records
    datasec = _datasecs(found).get(section.name)
    if records is None or datasec is None:
        raise _Refused("object_open.struct_ops_without_btf", "EINVAL", f"its {section.name} has no type information")
    for variable, offset, _ in records.section_vars(datasec):
        record = records.record(variable)
        if not records.record(datasec).number:
            offset = values.get((index, record.name), offset)
        type_id = records.resolve(record.number)
        found.maps.append(
            MapDefinition(
                record.name,
                _STRUCT_OPS,
                4,
                records.size(type_id) or 0,
                1,
                0,
                section.name,
                index,
                offset,
                value_type=type_id,
            )
        )


def _bad_map(name: str, errno: str, says: str) -> _Refused:
    return _Refused("object_open.map_definition", errno, f"the definition of map {name} {says}")


def _map(records: Records, name: str, type_id: int, is_inner: bool = False) -> MapDefinition:
    """A BTF-defined map: numbers are lengths of arrays behind pointers (__uint), types are pointers (__type)."""
    numbers: dict[str, int] = {}
    key_type = value_type = 0
    inner: MapDefinition | None = None
    members = records.members(type_id)
    for position, member in enumerate(members):
        if member.name in ("key", "value"):
            held = records.record(member.type_id)
            size = records.size(held.number) if held.kind == kinds.PTR else None
            if size is None:
                raise _bad_map(name, "EINVAL", f"has a {member.name} that is no pointer to a type of known size")
            if numbers.get(f"{member.name}_size") not in (None, 0, size):
                raise _bad_map(name, "EINVAL", f"has two sizes of its {member.name}")
            numbers[f"{member.name}_size"] = size
            if member.name == "key":
                key_type = held.number
            else:
                value_type = held.number
        elif member.name == "values":
            if is_inner:
                raise _bad_map(name, "EOPNOTSUPP", "has an inner map with an inner map")
            if position != len(members) - 1:
                raise _bad_map(name, "EINVAL", "has members behind `values`")
            inner = _inner(records, name, member.type_id, numbers)
        elif member.name in _MEMBERS_OF_MAP or member.name == "map_extra":
            number = _number(records, member.type_id)
            if number is None:
                raise _bad_map(name, "EINVAL", f"has a {member.name} that is no number")
            if member.name in ("key_size", "value_size") and numbers.get(member.name) not in (None, 0, number):
                raise _bad_map(name, "EINVAL", f"has two sizes ({member.name})")
            if member.name == "pinning" and number not in (0, _PINNED_BY_NAME):
                raise _bad_map(name, "EINVAL", f"has the pinning {number}, which libbpf does not know")
            if member.name == "pinning" and is_inner:
                raise _bad_map(name, "EINVAL", "has an inner map that is pinned")
            numbers[member.name] = number
        else:
            raise _bad_map(name, "EOPNOTSUPP", f"has a member `{member.name}` that libbpf does not know")
    if not numbers.get("type"):
        raise _bad_map(name, "EINVAL", "has no type")
    return MapDefinition(
        name,
        numbers["type"],
        numbers.get("key_size", 0),
        numbers.get("value_size", 0),
        numbers.get("max_entries", 0),
        numbers.get("map_flags", 0),
        "maps",
        0,
        inner=inner,
        is_pinned=numbers.get("pinning") == _PINNED_BY_NAME,
        key_type=key_type,
        value_type=value_type,
        extra=numbers.get("map_extra", 0),
        by_enum=any(
            records.record(records.resolve(member.type_id)).kind in ENUMS
            for member in members
            if member.name in numbers and member.name not in ("key", "value")
        ),
    )


def _number(records: Records, type_id: int) -> int | None:
    """libbpf.c, get_map_field_int and _long: the length of the array that is pointed to, or an enumerator."""
    held = records.record(records.resolve(type_id))
    if held.kind == kinds.PTR:
        array = records.record(held.number)
        return records.array(held.number)[2] if array.kind == kinds.ARRAY else None
    if held.kind in ENUMS:
        values = records.enumerators(records.resolve(type_id))
        return values[0][1] if len(values) == 1 else None
    return None


def _inner(records: Records, name: str, type_id: int, numbers: dict[str, int]) -> MapDefinition | None:
    kind = numbers.get("type", 0)
    if kind not in _MAPS_OF and kind != _PROG_ARRAY:
        raise _bad_map(name, "EOPNOTSUPP", "has `values`, which only maps of maps and program arrays have")
    if numbers.get("value_size") not in (None, 0, 4):
        raise _bad_map(name, "EINVAL", "has values that are not 4 bytes long")
    numbers["value_size"] = 4
    if records.record(type_id).kind != kinds.ARRAY or records.array(type_id)[2]:
        raise _bad_map(name, "EINVAL", "has `values` that is no array of length 0")
    pointer = records.record(records.resolve(records.array(type_id)[0]))
    if pointer.kind != kinds.PTR:
        raise _bad_map(name, "EINVAL", "has `values` of an unexpected kind")
    held = records.resolve(pointer.number)
    if kind == _PROG_ARRAY:
        if records.record(held).kind != kinds.FUNC_PROTO:
            raise _bad_map(name, "EINVAL", "has `values` that are no functions")
        return None
    if records.record(held).kind not in COMPOSITES:
        raise _bad_map(name, "EINVAL", "has an inner map that is no struct")
    return _map(records, f"{name}.inner", held, True)


def _collect_references(found: BpfObject, symbols: list[_Symbol]) -> None:
    """bpf_object__collect_relos for sections with code, and the pointers of .struct_ops and .maps."""
    by_symbol = {extern.symbol: number for number, extern in enumerate(found.externs)}
    by_place = {(m.section_index, m.variable): number for number, m in enumerate(found.maps) if m.origin == "maps"}
    for section in found.sections:
        if section.type != 9:
            continue
        if section.entry_bytes != 16 or section.info >= len(found.sections):
            raise _Refused("object_open.format", LIBBPF_FORMAT, f"section {section.name} is damaged")
        holder = found.sections[section.info]
        rows = [(offset, symbols[info >> 32]) for offset, info in iter_unpack("<QQ", section.data)]
        numbers = [info >> 32 for _, info in iter_unpack("<QQ", section.data)]
        target = found.references.setdefault(section.info, {})
        if holder.name.lstrip("?").startswith(".struct_ops"):
            for offset, symbol in rows:
                target[offset] = Reference("program", symbol.section, symbol.value)
            continue
        if holder.name == ".maps":
            _fill(found, section.info, [(offset, symbol) for offset, symbol in rows if symbol.type == _STT_FUNC])
            continue
        if not _is_code(holder):
            continue
        for (offset, symbol), number in zip(rows, numbers, strict=True):
            target[offset] = _reference(found, holder, offset, symbol, number, by_symbol, by_place)


def _fill(found: BpfObject, section: int, rows: list[tuple[int, _Symbol]]) -> None:
    """bpf_object__collect_map_relos: which program stands in which program array."""
    held = sorted((m.variable, m.name) for m in found.maps if m.section_index == section and m.origin == "maps")
    for offset, symbol in rows:
        names = [name for begin, name in held if begin <= offset]
        if names:
            found.slots.append((names[-1], symbol.section, symbol.value))


def _reference(
    found: BpfObject,
    holder: Section,
    offset: int,
    symbol: _Symbol,
    number: int,
    by_symbol: dict[int, int],
    by_place: dict[tuple[int, int], int],
) -> Reference:
    if offset % INSN_BYTES or offset + INSN_BYTES > holder.size:
        raise _Refused("object_open.relocation", LIBBPF_RELOC, f"a relocation of {holder.name} lies at byte {offset}")
    code, registers, _, imm = unpack_from("<BBhi", holder.data, offset)
    if code not in (_CALL, _LD_IMM64):
        raise _bad_reference(holder, symbol, "an instruction that is neither a call nor a 64-bit load")
    if number in by_symbol:
        return Reference("extern", by_symbol[number], 0)
    if not symbol.section and symbol.bind != _STB_LOCAL:
        raise _bad_reference(holder, symbol, "an undefined symbol")
    if code == _CALL:
        if registers >> 4 != _PSEUDO_CALL or symbol.section != found.text_index or not found.text_index:
            raise _bad_reference(holder, symbol, "a call of a function outside .text")
        return Reference("subprogram", symbol.section, symbol.value + (imm + 1) * INSN_BYTES)
    if not symbol.section or symbol.section >= _SHN_LORESERVE:
        raise _bad_reference(holder, symbol, "a special section; a global variable is not initialised")
    if symbol.section == found.text_index and symbol.type in (_STT_FUNC, _STT_SECTION):
        return Reference("subprogram_address", symbol.section, symbol.value + imm)
    section = found.sections[symbol.section]
    if section.name == ".maps":
        place = by_place.get((symbol.section, symbol.value))
        if place is None:
            raise _bad_reference(holder, symbol, "no map")
        return Reference("map", place, 0)
    if _is_data(section) or section.name in (".addr_space.1", ".jumptables") or section.name.startswith(".percpu"):
        return Reference("data", symbol.section, symbol.value + imm)
    name = symbol.name or section.name
    raise _Refused(
        "object_open.legacy_maps",
        LIBBPF_RELOC,
        f"section {holder.name} uses {name} in section {section.name}, where libbpf 1.0 and newer expect no map",
    )


def _bad_reference(holder: Section, symbol: _Symbol, what: str) -> _Refused:
    return _Refused("object_open.relocation", LIBBPF_RELOC, f"section {holder.name} refers by {symbol.name} to {what}")
