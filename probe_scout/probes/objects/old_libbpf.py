"""What older releases of libbpf refuse at open that newer ones take; compared with Debian's 1.1.2 and 1.5.0.

An object is read as the newest libbpf does. The program's own, older copy may stop before that.
"""

from __future__ import annotations

from ...formats.elf.bpf_object import LIBBPF_RELOC, Refusal
from ...rules import object_load, section_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...formats.elf.bpf_object import BpfObject

_ENUMERATORS = (1, 4)  # get_map_field_long: numbers of maps as enumerators, which arenas brought
# Data that only newer releases take into maps, by the beginning of its section's name.
_SECTIONS = ((".addr_space.1", (1, 4)), (".jumptables", (1, 7)), (".percpu", (1, 8)))
_STRUCT_OPS = ((1, 0), (1, 2))  # .struct_ops, .struct_ops.link; `?` before either: 1.4


def refusal(found: BpfObject, libbpf: tuple[int, int]) -> Refusal | None:
    """Why bpf_object__open of this release refuses what the newest opens; None where it opens too."""
    if libbpf < _ENUMERATORS:
        for definition in found.maps:
            if definition.by_enum:
                says = f"the definition of map {definition.name} has a number that libbpf before 1.4 does not read"
                return Refusal("object_open.map_definition", "EINVAL", says)
    for section, references in found.references.items():
        for reference in references.values():
            name = found.sections[reference.number].name if reference.kind == "data" else ""
            for head, since in _SECTIONS:
                if name.startswith(head) and libbpf < since:
                    release = ".".join(map(str, since))
                    says = f"section {found.sections[section].name} uses {name}, which libbpf before {release} ignores"
                    return Refusal("object_open.relocation", LIBBPF_RELOC, says)
    return members(found, libbpf)


def members(found: BpfObject, libbpf: tuple[int, int]) -> Refusal | None:
    """bpf_object__collect_st_ops_relos: what a struct_ops map refers to must be of that type by its section's name."""
    programs = {(program.section_index, program.offset): program for program in found.programs}
    for definition in found.maps:
        since = (1, 4) if definition.origin.startswith("?") else _STRUCT_OPS[definition.origin.endswith(".link")]
        if definition.type != object_load.STRUCT_OPS or libbpf < since:
            continue
        for reference in found.references.get(definition.section_index, {}).values():
            program = programs.get((reference.number, reference.offset))
            row = section_names.of(program.section, libbpf) if program is not None else None
            if program is not None and (row is None or row.program != "STRUCT_OPS"):
                where = f"{program.name} in section `{program.section}`"
                says = f"map {definition.name} refers to {where}, which is no struct_ops program"
                return Refusal("object_open.struct_ops_program", "EINVAL", says)
    return None
