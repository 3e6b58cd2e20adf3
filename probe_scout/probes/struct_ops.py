"""Structs that programs of type struct_ops implement: which exist, their functions, what each takes.

kernel/bpf/bpf_struct_ops.c: a struct NAME is one where BTF has `struct bpf_struct_ops_NAME` (its value in the map) or,
in kernels that register them at run time, the same. Arguments that may be NULL have names that end with __nullable in
the function that stands in (cfi_stubs), NAME__MEMBER in BTF. Whether a member may be implemented at all and may sleep
is in the image (formats/image/struct_ops.py); of structs in modules it is unknown.
"""

from __future__ import annotations

import fnmatch

from ..formats.btf import kinds
from ..formats.btf.declaration import declaration
from ..formats.btf.records import Records
from ..model.context import OpsMember, OpsStruct
from ..model.verdict import NO, UNKNOWN, YES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..formats.btf.reader import Btf
    from ..formats.image.struct_ops import StructOps
    from ..kernel.kernel import Kernel
    from .kept_image import KeptStructOps

_HEAD = "bpf_struct_ops_"
_NULLABLE = "__nullable"


def structs(k: Kernel, glob: str, image: StructOps | KeptStructOps | None) -> tuple[OpsStruct, ...]:
    """Those whose names match, of vmlinux and of loaded modules."""
    found: list[OpsStruct] = []
    for module in (None, *k.btf_modules()):
        btf = k.btf(module)
        if btf is not None:
            found += [one for one in _of(btf, module, None if module else image) if fnmatch.fnmatchcase(one.name, glob)]
    return tuple(found)


def _of(btf: Btf, module: str | None, image: StructOps | KeptStructOps | None) -> Iterator[OpsStruct]:
    records = Records(btf)
    for title, value in btf.structs_named(_HEAD).items():
        name = title.removeprefix(_HEAD)
        for member in records.members(value):
            data = records.resolve(member.type_id)
            record = records.record(data)
            if record.kind == kinds.STRUCT and record.name == name:
                yield OpsStruct(name, module, record.number, tuple(_members(records, btf, name, data, image)))


def _members(
    records: Records, btf: Btf, title: str, type_id: int, image: StructOps | KeptStructOps | None
) -> Iterator[OpsMember]:
    for place, member in enumerate(records.members(type_id)):
        pointer = records.record(records.resolve(member.type_id))
        proto = records.resolve(pointer.number) if pointer.kind == kinds.PTR else 0
        if not proto or records.record(proto).kind != kinds.FUNC_PROTO:
            continue
        stubs = btf.find_functions(f"{title}__{member.name}") or btf.find_functions(f"bpf_{title}_{member.name}")
        nullable = [
            name for func in stubs[:1] for name, _ in records.parameters(func.proto_id) if name.endswith(_NULLABLE)
        ]
        text = declaration(records.btf, member.type_id, member.name)
        takes = [image.takes(records, title, type_id, place, sleeps) if image else None for sleeps in (False, True)]
        supported = YES if True in takes else UNKNOWN if None in takes else NO
        sleepable = UNKNOWN if takes[1] is None else YES if takes[1] else NO
        yield OpsMember(member.name, text, supported, sleepable, tuple(nullable))
