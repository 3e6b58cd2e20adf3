"""The instructions of an object as a kernel gets them: relocated, with what is absent marked.

Mirrors libbpf's bpf_object__relocate: CO-RE first (bpf_core_patch_insn), then references to maps, data, subprograms and
externs. A program consists of its own function and of every function of .text it calls, also in code that never runs.
"""

from __future__ import annotations

from functools import partial
from struct import iter_unpack

from ...formats.btf import relocation
from ...formats.elf.bpf_object import INSN_BYTES
from ...named_tuple import NamedTuple
from .reach import SOMEWHERE, Code, Insn, Place, Pointer, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from ...formats.elf.bpf_object import BpfObject, Program
    from .externs import Externs

_CALL, _LD_IMM64, _KFUNC_CALL = 0x85, 0x18, 2
_OFFSET_MAX = 32767
_MASK64 = (1 << 64) - 1


class Poison(NamedTuple):
    """An instruction that does not work on this kernel; `says` what is absent.

    `kind`: core, resize or kfunc; unrecorded where these files cannot tell.
    """

    kind: str
    says: str
    record: relocation.CoreRecord | None = None


class Prepared(NamedTuple):
    """Code of an object for one kernel."""

    code: Code
    poison: dict[Place, Poison]
    kfuncs: dict[Place, str]
    no_type: set[Place]


class OfExtent(NamedTuple):
    """What decides about one program, to be compared: the code of its sections, and what is absent from it."""

    rows: list[list[Insn]]
    poison: dict[Place, Poison]


class Broken(Exception):
    """A relocation that costs the whole object. `errno` by name."""

    def __init__(self, rule: str, errno: str, says: str) -> None:
        super().__init__(says)
        self.rule, self.errno, self.says = rule, errno, says


class _Decoded:
    """What is the same of an object on every kernel: its instructions as compiled, and what belongs to a program."""

    def __init__(self, found: BpfObject) -> None:
        self._found = found
        self._rows: dict[int, list[Insn]] = {}
        self._extents: dict[tuple[int, int], frozenset[Place]] = {}
        self._starts = sorted(offset // INSN_BYTES for offset in found.functions)
        self.data = {
            n: part.data for n, part in enumerate(found.sections) if part.name.startswith(".rodata") and part.type == 1
        }
        self.global_functions = {Place(found.text_index, offset // INSN_BYTES) for offset in found.global_functions}

    def rows(self, section: int) -> list[Insn]:
        """The instructions of a section; do not change it."""
        rows = self._rows.get(section)
        if rows is None:
            part = self._found.sections[section]
            rows = [
                Insn(op, regs & 15, regs >> 4, off, imm)
                for op, regs, off, imm in iter_unpack("<BBhi", part.data[: part.size & ~7])
            ]
            for index, insn in enumerate(rows):
                if insn.code == _LD_IMM64 and index + 1 < len(rows):
                    rows[index] = insn._replace(value=((rows[index + 1].imm << 32) | (insn.imm & 0xFFFFFFFF)) & _MASK64)
            self._rows[section] = rows
        return rows

    def extent(self, program: Program) -> frozenset[Place]:
        key = program.section_index, program.offset
        if key not in self._extents:
            self._extents[key] = frozenset(self._walk(program))
        return self._extents[key]

    def _walk(self, program: Program) -> set[Place]:
        found = self._found
        todo = [(program.section_index, program.offset // INSN_BYTES, program.size // INSN_BYTES)]
        places: set[Place] = set()
        text, starts = found.text_index, self._starts
        while todo:
            section, begin, count = todo.pop()
            if Place(section, begin) in places:
                continue
            references = found.references.get(section, {})
            data = found.sections[section].data
            for index in range(max(begin, 0), min(begin + count, len(data) // INSN_BYTES)):
                places.add(Place(section, index))
                reference = references.get(index * INSN_BYTES)
                target = None
                if reference is not None and reference.kind.startswith("subprogram"):
                    target = reference.offset // INSN_BYTES
                elif section == text and data[index * 8] == _CALL and data[index * 8 + 1] >> 4 == 1:
                    target = index + 1 + int.from_bytes(data[index * 8 + 4 : index * 8 + 8], "little", signed=True)
                if target is not None:
                    total = found.sections[text].size // INSN_BYTES
                    end = next((start for start in starts if start > target), total)
                    todo.append((text, target, end - target))
        return places


def _decoded(found: BpfObject) -> _Decoded:
    if found.decoded is None:
        found.decoded = _Decoded(found)
    decoded: _Decoded = found.decoded
    return decoded


def extent(found: BpfObject, program: Program) -> frozenset[Place]:
    """Every instruction that libbpf puts into a program: its function, and the functions of .text that it refers to."""
    return _decoded(found).extent(program)


def of_extent(prepared: Prepared, places: AbstractSet[Place]) -> OfExtent:
    """The part of an object's code that a program consists of."""
    sections = sorted({place.section for place in places})
    return OfExtent(
        [prepared.code.insns[section] for section in sections],
        {place: poison for place, poison in prepared.poison.items() if place in places},
    )


def prepare(
    found: BpfObject,
    core: relocation.Kernel | None,
    externs: Externs,
    wanted: AbstractSet[Place],
    is_partial: bool = False,
) -> Prepared:
    """Relocates everything in `wanted`. Raises Broken where libbpf refuses the object.

    `is_partial`: a type that is not there at all may be that of a module which these files leave out.
    """
    prepared = unrelocated(found, wanted)
    _relocate_core(found, core, wanted, prepared)
    if is_partial:
        for place in prepared.no_type:
            prepared.poison[place] = prepared.poison[place]._replace(kind="unrecorded")
    refer(found, externs, prepared)
    return prepared


def unrelocated(found: BpfObject, wanted: AbstractSet[Place]) -> Prepared:
    """The code of the sections of `wanted` as it was compiled, with the read-only data of the object."""
    code, decoded = Code(), _decoded(found)
    code.insns = {section: decoded.rows(section).copy() for section in {place.section for place in wanted}}
    code.data = dict(decoded.data)
    code.global_functions = decoded.global_functions
    return Prepared(code, {}, {}, set())


def _relocate_core(
    found: BpfObject, core: relocation.Kernel | None, wanted: AbstractSet[Place], prepared: Prepared
) -> None:
    if not found.core or found.records is None:
        return
    if core is None:
        raise Broken(
            "object_load.no_btf", "ESRCH", "it has CO-RE relocations, and this kernel shows no type information"
        )
    local = found.records
    relocator = relocation.Relocator(local, core)
    for name, records in found.core.items():
        section = found.section_named(name)
        if section not in prepared.code.insns:
            continue
        for record in records:
            place = Place(section, record.insn_offset // INSN_BYTES)
            if place not in wanted and section != found.text_index:
                continue
            if place.number >= len(prepared.code.insns[section]):
                raise Broken("object_load.core", "EINVAL", f"a relocation of section {name} lies behind its end")
            try:
                result = relocator.resolve(record)
                _patch(prepared, place, record, result, partial(relocation.describe, local, record))
            except relocation.RelocationFailed as error:
                raise Broken("object_load.core", error.errno, error.says) from None


def _patch(
    prepared: Prepared,
    place: Place,
    record: relocation.CoreRecord,
    result: relocation.Resolved,
    says: Callable[[], str],
) -> None:
    """relo_core.c, bpf_core_patch_insn."""
    rows = prepared.code.insns[place.section]
    insn = rows[place.number]
    kind = insn.code & 7
    if result.poison and not result.candidates:
        prepared.no_type.add(place)
    if result.poison:
        prepared.poison[place] = Poison("core", f"{says()} does not exist on this kernel", record)
        return
    if kind in (4, 7) and not insn.code & 8:
        if result.checked and insn.imm & 0xFFFFFFFF != result.old & 0xFFFFFFFF:
            raise _unexpected(record, insn.imm, result.old)
        rows[place.number] = insn._replace(imm=_signed32(result.new))
    elif kind in (1, 2, 3):
        if result.checked and insn.off != result.old:
            raise _unexpected(record, insn.off, result.old)
        if result.new > _OFFSET_MAX:
            raise relocation.RelocationFailed("ERANGE", "a relocated offset does not fit into an instruction")
        if result.bad_size:
            prepared.poison[place] = Poison(
                "resize", f"{says()} has another size here, and a direct access cannot be resized"
            )
            return
        rows[place.number] = insn._replace(off=result.new, code=_resized(insn.code, result))
    elif insn.code == _LD_IMM64:
        if result.checked and insn.value != result.old & _MASK64:
            raise _unexpected(record, insn.value, result.old)
        rows[place.number] = insn._replace(value=result.new & _MASK64)
    else:
        raise relocation.RelocationFailed("EINVAL", f"a relocation of an instruction of code {insn.code:#x}")


def _signed32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _resized(code: int, result: relocation.Resolved) -> int:
    if result.old_bytes == result.new_bytes:
        return code
    sizes = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
    if result.new_bytes not in sizes:
        raise relocation.RelocationFailed("EINVAL", f"a direct access of {result.new_bytes} bytes")
    return code & ~0x18 | sizes[result.new_bytes]


def _unexpected(record: relocation.CoreRecord, found: object, expected: int) -> relocation.RelocationFailed:
    return relocation.RelocationFailed(
        "EINVAL", f"the instruction at byte {record.insn_offset} of its section holds {found} and not {expected}"
    )


def refer(found: BpfObject, externs: Externs, prepared: Prepared) -> None:
    """References to maps, data, subprograms and externs, as this kernel has them."""
    if externs.kconfig:
        prepared.code.data[-1] = externs.kconfig
    for section, rows in prepared.code.insns.items():
        for offset, reference in found.references.get(section, {}).items():
            place = Place(section, offset // INSN_BYTES)
            insn = rows[place.number]
            if reference.kind == "subprogram":
                prepared.code.targets[place] = Place(reference.number, reference.offset // INSN_BYTES)
            elif reference.kind == "subprogram_address":
                prepared.code.addresses[place] = Place(reference.number, reference.offset // INSN_BYTES)
            elif reference.kind == "extern":
                _extern(externs, reference.number, place, insn, rows, prepared)
            else:
                rows[place.number] = insn._replace(
                    value=_address(found, reference.kind, reference.number, reference.offset)
                )


def _address(found: BpfObject, kind: str, index: int, offset: int) -> Value:
    if kind == "data" and found.sections[index].name.startswith(".rodata"):
        return Pointer("data", offset, index)
    return Pointer("map", 0, index) if kind == "map" else SOMEWHERE


def _extern(externs: Externs, number: int, place: Place, insn: Insn, rows: list[Insn], prepared: Prepared) -> None:
    state = externs.states[number]
    if insn.code == _CALL:
        # Compilers leave a call of a subprogram, to itself; libbpf makes it BPF_PSEUDO_KFUNC_CALL.
        rows[place.number] = insn._replace(src=_KFUNC_CALL)
        if state.is_absent:
            prepared.poison[place] = Poison("kfunc", f"the kfunc {state.name} does not exist on this kernel")
        else:
            prepared.kfuncs[place] = state.name
        return
    rows[place.number] = insn._replace(value=state.value)
