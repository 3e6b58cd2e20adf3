"""The same question asked with pyelftools' own entries: code and inlined copies of every name. Slow."""

from __future__ import annotations

from collections import defaultdict
from io import BytesIO
from typing import TYPE_CHECKING

from elftools.elf.elffile import ELFFile

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DWARFInfo


def open_dwarf(raw: bytes) -> DWARFInfo:
    return ELFFile(BytesIO(raw)).get_dwarf_info(relocate_dwarf_sections=True)


def start_of(die: DIE, dwarf: DWARFInfo) -> int | None:
    """entry_pc, else low_pc, else the start of the first range that is not empty."""
    for name in ("DW_AT_entry_pc", "DW_AT_low_pc"):
        if name in die.attributes and (die.tag == "DW_TAG_inlined_subroutine" or name != "DW_AT_entry_pc"):
            return die.attributes[name].value
    if "DW_AT_ranges" not in die.attributes:
        return None
    top = die.cu.get_top_DIE().attributes
    base = top["DW_AT_low_pc"].value if "DW_AT_low_pc" in top else 0
    ranges = dwarf.range_lists().get_range_list_at_offset(die.attributes["DW_AT_ranges"].value, die.cu)
    for entry in ranges:
        if hasattr(entry, "base_address"):
            base = entry.base_address
        elif entry.begin_offset != entry.end_offset:
            return entry.begin_offset + (0 if getattr(entry, "is_absolute", False) else base)
    return None


def name_of(die: DIE) -> str:
    """The name at the end of abstract_origin and specification; "" if there is none."""
    for _ in range(16):
        if "DW_AT_name" in die.attributes:
            return die.attributes["DW_AT_name"].value.decode()
        link = next((a for a in ("DW_AT_abstract_origin", "DW_AT_specification") if a in die.attributes), None)
        if link is None:
            return ""
        die = die.get_DIE_from_attribute(link)
    return ""


def of_unit(cu: CompileUnit, dwarf: DWARFInfo) -> dict[str, tuple[list[int], list[int]]]:
    """name → (addresses of its own code, addresses of its inlined copies), sorted."""
    bodies, copies = defaultdict(list), defaultdict(list)
    for die in cu.iter_DIEs():
        if die.tag not in ("DW_TAG_subprogram", "DW_TAG_inlined_subroutine"):
            continue
        address, name = start_of(die, dwarf), name_of(die)
        if address and name and "DW_AT_declaration" not in die.attributes:
            (bodies if die.tag == "DW_TAG_subprogram" else copies)[name].append(address)
    return {name: (sorted(bodies[name]), sorted(copies[name])) for name in bodies.keys() | copies.keys()}


def of_file(raw: bytes) -> dict[str, tuple[list[int], list[int]]]:
    """As `of_unit`, for all units."""
    found: dict[str, tuple[list[int], list[int]]] = {}
    dwarf = open_dwarf(raw)
    for cu in dwarf.iter_CUs():
        for name, (bodies, copies) in of_unit(cu, dwarf).items():
            before = found.get(name, ([], []))
            found[name] = sorted(before[0] + bodies), sorted(before[1] + copies)
    return found
