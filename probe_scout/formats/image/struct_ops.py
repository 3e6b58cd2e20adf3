"""Which members of a struct_ops struct programs may implement on a kernel image, and which may sleep.

kernel/bpf/verifier.c, check_struct_ops_btf_id: a member without a function in cfi_stubs is not supported (ENOTSUPP,
bpf_struct_ops_supported, where the kernel has it), and check_member of the struct may refuse a program. struct
bpf_struct_ops lies in the variable bpf_NAME; check_member is run (emulate.py) for a program that sleeps and for one
that does not.
"""

from __future__ import annotations

from ..btf import kinds
from .emulate import GaveUp, Machine
from .program import PROG, Program, Programs, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..btf.records import Member, Records
    from .facts import Facts

_TYPE, _RECORD_BYTES = 0x5060_0000, 12  # struct btf_type and, behind it, struct btf_member
_PARAMETERS_BEFORE = 2
_SUPPORTED = "bpf_struct_ops_supported"


class StructOps:
    """struct_ops of one image. Needs capstone."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._check = facts.offset("bpf_struct_ops", "check_member")
        self._stubs = facts.offset("bpf_struct_ops", "cfi_stubs")
        self._sees_program = _sees_program(facts)
        self._asks_stubs = facts.address(_SUPPORTED) is not None
        self._programs, self._program = Programs(facts), Program(0)
        self._type = facts.records().btf.enumerators("bpf_prog_type").get("BPF_PROG_TYPE_STRUCT_OPS", 0)
        self._machine = Machine(facts.image.text_at, self._call, lambda at: bool(facts.first_name(at)))

    def takes(self, records: Records, name: str, type_id: int, place: int, sleeps: bool) -> bool | None:
        """Whether a program may be the member at this place of struct `name`; None where that is not told."""
        at = self.facts.address(f"bpf_{name}")
        members = records.members(type_id)
        if at is None or self._check is None:
            return None
        if sleeps and not self._sees_program:
            return False
        if self._stubs is not None:
            stubs = self.facts.pointer(at + self._stubs)
            if self._asks_stubs and stubs and not self.facts.pointer(stubs + members[place].bit_offset // 8):
                return False
        check = self.facts.pointer(at + self._check)
        return self._run(check, members, place, sleeps) if check else True

    def _run(self, check: int, members: tuple[Member, ...], place: int, sleeps: bool) -> bool | None:
        self._program = Program(self._type, None, sleeps)
        memory = self._programs.memory(self._program)
        if memory is None:
            return None
        memory.update(number(_TYPE, 0) | number(_TYPE + 4, 4 << 24 | len(members)) | number(_TYPE + 8, 0))
        for row, one in enumerate(members, 1):
            entry = _TYPE + row * _RECORD_BYTES
            memory.update(number(entry, 0) | number(entry + 4, 0) | number(entry + 8, one.bit_offset))
        try:
            told = self._machine.run(check, _TYPE, _TYPE + (place + 1) * _RECORD_BYTES, PROG, memory=memory)
        except GaveUp:
            return None
        return not told & 0xFFFFFFFF

    def _call(self, machine: Machine, target: int) -> int | None:
        name = (self.facts.first_name(target) or self.facts.first_name(target - 4)).partition(".")[0]
        return 0 if name.startswith("__fentry__") else self._programs.answer(self._program, name, machine)


def _sees_program(facts: Facts) -> bool:
    """check_member takes the program as its third argument since struct_ops programs may sleep at all."""
    records = facts.records()
    for type_id in records.btf.find_ids("bpf_struct_ops", frozenset((kinds.STRUCT,)))[:1]:
        for member in records.members(type_id):
            if member.name == "check_member":
                proto = records.resolve(records.record(records.resolve(member.type_id)).number)
                return len(records.parameters(proto)) > _PARAMETERS_BEFORE
    return False
