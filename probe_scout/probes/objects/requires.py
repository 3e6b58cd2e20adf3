"""What an object asks of a kernel: types, fields, helpers, kfuncs, maps, attach points, configuration, features.

No kernel is read. A program is walked three times: with every test for a field, type, enumerator or weak extern true,
with every one false, and with all of them and the object's constants open. What the third walk reaches is a demand;
what both others reach too is one *always*. Demands of an object are those of bpf_object__load that no program has
alone: strong externs, maps, struct_ops (tools/lib/bpf/libbpf.c, bpf_object_prepare).
"""

from __future__ import annotations

from ...formats.btf import relocation
from ...formats.btf.records import essential
from ...formats.elf.bpf_object import INSN_BYTES
from ...model.requires import AttachPoint, MapNeeds, Need, ObjectNeeds, ProgramNeeds
from ...rules import bpf_names, helper_sets, object_load, section_names
from . import program_code, reach
from .externs import Externs, State
from .judge import asked_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from ...formats.elf.bpf_object import BpfObject, Extern, Program

_CALL, _LD_IMM64, _KFUNC_CALL = 0x85, 0x18, 2
_EXISTS = frozenset(
    (relocation.FIELD_EXISTS, relocation.TYPE_EXISTS, relocation.ENUMERATOR_EXISTS, relocation.TYPE_MATCHES)
)
_TESTS = frozenset(relocation.KIND_NAMES[kind] for kind in _EXISTS)
_FIELDS = frozenset(
    (
        *(relocation.BYTE_OFFSET, relocation.BYTE_SIZE, relocation.FIELD_EXISTS),
        *(relocation.SIGNED, relocation.LSHIFT, relocation.RSHIFT),
    )
)
_ENUMERATORS = frozenset((relocation.ENUMERATOR_EXISTS, relocation.ENUMERATOR_VALUE))
_EXTERN_KINDS = {"kconfig": "config", "address": "symbol", "variable": "variable", "function": "kfunc"}
_UNKNOWN_LOAD = 0x79  # a load through a register that holds nothing known


def of(found: BpfObject, path: str, digest: str, libbpf: tuple[int, int]) -> ObjectNeeds:
    """The demands of one object, for the section names of this release of libbpf."""
    opens = found.refusal.says if found.refusal is not None else ""
    programs = tuple(_program(found, each, libbpf) for each in found.programs) if not opens else ()
    maps = tuple(
        MapNeeds(
            m.name, bpf_names.map_type(m.type), m.key_bytes, m.value_bytes, m.entries, object_load.missing_sizes(m)
        )
        for m in found.maps
        if m.origin == "maps"
    )
    return ObjectNeeds(path, digest, found.license, opens, _of_object(found), maps, programs)


def _of_object(found: BpfObject) -> tuple[Need, ...]:
    needs = [Need(_EXTERN_KINDS[extern.kind], extern.name) for extern in found.externs if _is_asked(extern)]
    inner = [m.inner for m in found.maps if m.inner is not None]
    types = {bpf_names.map_type(m.type) for m in (*found.maps, *inner) if m.type != object_load.STRUCT_OPS}
    needs += [Need("map_type", name) for name in sorted(types)]
    if found.records is not None:
        for m in found.maps:
            if m.type == object_load.STRUCT_OPS:
                needs.append(Need("struct_ops", essential(found.records.record(m.value_type).name)))
    return tuple(dict.fromkeys(needs))


def _is_asked(extern: Extern) -> bool:
    return not extern.is_weak and not extern.name.startswith("LINUX_")


def _program(found: BpfObject, program: Program, libbpf: tuple[int, int]) -> ProgramNeeds:
    row = section_names.of(program.section, libbpf)
    target = asked_of(program.section, row) if row is not None else None
    needs: list[Need] = []
    if row is not None:
        needs.append(Need("program_type", row.program))
        if row.attach:
            needs.append(Need("attach_type", row.attach))
        if row.program in ("LSM", "STRUCT_OPS"):
            needs.append(Need("license", "GPL compatible"))
        needs += [Need("feature", name) for name, has in (("sleepable", row.sleepable), ("frags", row.frags)) if has]
    if target is not None:
        needs.append(Need("attach_point", f"{target[0]} {target[1]}"))
    needs += _of_instructions(found, program)
    return ProgramNeeds(
        program.name,
        program.section,
        row.program.lower() if row is not None else "unspec",
        row.attach if row is not None else "",
        not program.section.startswith("?"),
        AttachPoint(*target) if target is not None else None,
        tuple(dict.fromkeys(needs)),
    )


def _of_instructions(found: BpfObject, program: Program) -> list[Need]:
    extent = program_code.extent(found, program)
    prepared = {is_there: _prepared(found, extent, is_there) for is_there in (True, False, None)}
    entry = reach.Place(program.section_index, program.offset // INSN_BYTES)
    try:
        walks: dict[bool | None, AbstractSet[reach.Place]] = {
            is_there: reach.reached(code.code, entry).places & extent for is_there, code in prepared.items()
        }
    except reach.TooLarge:
        walks = {None: extent, True: extent, False: set()}
    held = {is_there: _of_places(found, prepared[True], places) for is_there, places in walks.items()}
    always = held[True] & held[False]
    needs = [need._replace(always=need in always and need.demand not in _TESTS) for need in set().union(*held.values())]
    needs += [Need("feature", name) for name in _checked_before(found, prepared[True], extent)]
    return sorted(needs)


def _of_places(found: BpfObject, prepared: program_code.Prepared, places: AbstractSet[reach.Place]) -> set[Need]:
    needs = _of_records(found, places)
    for place in places:
        insn = prepared.code.insns[place.section][place.number]
        needs.update(Need(kind, name) for kind, name in _of_instruction(insn, place, prepared))
    return needs


def _prepared(found: BpfObject, extent: AbstractSet[reach.Place], is_there: bool | None) -> program_code.Prepared:
    """The code where all that is tested for is there, is not there, or may be (None)."""
    states = tuple(_state(extern, is_there) for extern in found.externs)
    bare = program_code.unrelocated(found, extent)
    program_code.refer(found, Externs(states, b""), bare)
    if is_there is None:
        bare.code.data.clear()
    for section, record in _records(found):
        rows = bare.code.insns.get(section, [])
        number = record.insn_offset // INSN_BYTES
        if record.kind in _EXISTS and number < len(rows):
            insn = rows[number]
            rows[number] = (
                reach.Insn(_UNKNOWN_LOAD, insn.dst, 11, 0, 0)
                if is_there is None and insn.code != _LD_IMM64
                else insn._replace(imm=int(bool(is_there)), value=None if is_there is None else int(is_there))
            )
    return bare


def _state(extern: Extern, is_there: bool | None) -> State:
    is_absent = extern.is_weak and is_there is False
    if extern.kind == "kconfig" or (extern.is_weak and is_there is None):
        return State(extern.name, False, None)
    return State(extern.name, is_absent and extern.kind != "function", 0 if is_absent else reach.SOMEWHERE)


def _records(found: BpfObject) -> list[tuple[int, relocation.CoreRecord]]:
    return [(found.section_named(name), record) for name, records in found.core.items() for record in records]


def _of_records(found: BpfObject, places: AbstractSet[reach.Place]) -> set[Need]:
    local = found.records
    if local is None:
        return set()
    needs = set()
    for section, record in _records(found):
        place = reach.Place(section, record.insn_offset // INSN_BYTES)
        if place not in places or record.kind == relocation.LOCAL_TYPE_ID or record.kind >= len(relocation.KIND_NAMES):
            continue
        kind = "field" if record.kind in _FIELDS else "enumerator" if record.kind in _ENUMERATORS else "type"
        demand, _, name = relocation.describe(local, record).partition(" of ")
        head, dot, rest = name.partition("." if kind == "field" else "::")
        needs.add(Need(kind, essential(head) + dot + rest, demand=demand))
    return needs


def _of_instruction(insn: reach.Insn, place: reach.Place, prepared: program_code.Prepared) -> list[tuple[str, str]]:
    needs = []
    if insn.code == _CALL and place in prepared.kfuncs:
        needs.append(("kfunc", prepared.kfuncs[place]))
    elif insn.code == _CALL and insn.src == 0:
        needs.append(("helper", bpf_names.helper(insn.imm)))
        if helper_sets.is_gpl_only(insn.imm):
            needs.append(("license", "GPL compatible"))
    if insn.code == 0xE5:
        needs.append(("feature", "may_goto"))
    return needs


def _checked_before(found: BpfObject, prepared: program_code.Prepared, extent: AbstractSet[reach.Place]) -> set[str]:
    """Forms that the kernel checks in every instruction, also in code that is never run."""
    names = set()
    for place in extent:
        insn = prepared.code.insns[place.section][place.number]
        kind = insn.code & 7
        if insn.code & 0xE7 == 0xC3 and insn.imm:
            names.add("load_acquire_store_release" if insn.imm in (0x100, 0x110) else "atomics")
        is_version_4 = insn.code == 0x06 or (kind == 1 and insn.code & 0xE0 == 0x80) or insn.code == 0xD7
        if is_version_4 or (insn.code in (0x3C, 0x3F, 0x34, 0x37, 0x9C, 0x9F, 0x94, 0x97) and insn.off == 1):
            names.add("cpu_v4")
        if insn.code == 0xBF and insn.off == 1 and insn.imm:
            names.add("arena")
        elif insn.code in (0xBC, 0xBF) and insn.off in (8, 16, 32):
            names.add("cpu_v4")
    if prepared.code.addresses.keys() & extent:
        names.add("callbacks")
    if prepared.kfuncs.keys() & extent:
        names.add("kfunc_calls")
    if found.core:
        names.add("vmlinux_btf")
    return names
