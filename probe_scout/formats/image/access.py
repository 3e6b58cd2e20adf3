"""What a program may load from and store to its context, by running bpf_verifier_ops[type]->is_valid_access.

kernel/bpf/verifier.c, __check_ctx_access: the verifier asks for each load and store of an offset and a size; what the
value is comes back in struct bpf_insn_access_aux. What it took is then rewritten by the type's convert_ctx_access, and
convert_ctx_accesses (since 7.0 in kernel/bpf/fixups.c) refuses an access that comes back as no instruction, or without
the size of a field that was said to have narrower loads. Both are run (emulate.py) for a program of which the type and
the attach type are known; where they look at anything else, nothing is told. Programs whose context is the arguments of
a function (btf_ctx_access) are not run: their types say it.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from .emulate import GaveUp, Machine
from .program import PROG, Program, Programs, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .facts import Facts

READ, WRITE = 1, 2  # enum bpf_access_type
_INFO, _INFO_BYTES = 0x5040_0000, 256
_INSN, _INSN_BYTES = 0x5050_0000, 8  # struct bpf_insn
_REWRITTEN, _REWRITTEN_BYTES = 0x5060_0000, 32 * _INSN_BYTES  # INSN_BUF_SIZE, 16 in older kernels
_TARGET_SIZE = 0x5070_0000
# BPF_LDX | BPF_MEM and BPF_STX | BPF_MEM; registers (destination in the low half): r3 = *(r1 + x), *(r1 + x) = r3
_INSNS = {READ: (0x61, 0x13), WRITE: (0x63, 0x31)}
_SIZE_BITS = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}  # BPF_B, BPF_H, BPF_W, BPF_DW
_POINTER_BYTES = 8
_FLAGS = 2  # of struct bpf_prog: bits from here to the type
_BASE_BITS = 8  # BPF_BASE_TYPE_BITS, include/linux/bpf.h
_MAYBE_NULL = 1 << _BASE_BITS  # PTR_MAYBE_NULL
_BY_ARGUMENTS = ("btf_ctx_access", "bpf_tracing_btf_ctx_access")


class Value(NamedTuple):
    """What a load gives. `kind`: the kernel's register type in small letters (scalar_value, ptr_to_packet).

    `field_bytes`: size of the whole field where narrower loads are allowed, else 0.
    """

    kind: str
    may_be_null: bool
    field_bytes: int


class Accesses:
    """Loads and stores of contexts on one image. Needs capstone."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._table = facts.address("bpf_verifier_ops")
        self._function = facts.offset("bpf_verifier_ops", "is_valid_access")
        self._convert = facts.offset("bpf_verifier_ops", "convert_ctx_access")
        self._reg_type = facts.offset("bpf_insn_access_aux", "reg_type") or 0
        self._field = facts.offset("bpf_insn_access_aux", "ctx_field_size")
        self._programs, self._program = Programs(facts), Program(0)
        self._told = self._told_field = 0
        self._notes = range(PROG + _FLAGS, PROG + (facts.offset("bpf_prog", "type") or _FLAGS))
        self._names = {
            value: name.lower()
            for name, value in reversed(list(facts.records().btf.enumerators("bpf_reg_type").items()))
        }
        self._flags = bool(facts.records().btf.enumerators("bpf_type_flag"))
        self._machine = Machine(facts.image.text_at, self._call, lambda at: bool(facts.first_name(at)))

    def function(self, program_type: int) -> int:
        """The address of the type's is_valid_access; 0 where there is none."""
        return self._operation(program_type, self._function)

    def _operation(self, program_type: int, member: int | None) -> int:
        if self._table is None or member is None:
            return 0
        ops = self.facts.pointer(self._table + _POINTER_BYTES * program_type)
        return self.facts.pointer(ops + member) if ops else 0

    def by_arguments(self, program_type: int) -> bool:
        """The context of these programs is the arguments of what they attach to."""
        return self.facts.first_name(self.function(program_type)).partition(".")[0].endswith(_BY_ARGUMENTS)

    def allowed(self, program: Program, offset: int, size: int, access: int = READ) -> bool | None:
        """Whether the kernel takes a load or store of so many bytes; None where that is not told."""
        start = self.function(program.type)
        memory = self._programs.memory(program) if start else None
        if memory is None:
            return None
        memory.update(dict.fromkeys(range(_INFO, _INFO + _INFO_BYTES), 0))
        memory.update(number(_INFO + self._reg_type, self._scalar()))
        # Both leave notes in bits of the program (cb_access, dst_needed, tstamp_type_access), which begin as zeros.
        memory = dict.fromkeys(self._notes, 0) | memory
        self._program = program
        try:
            if not self._machine.run(start, offset, size, access, PROG, _INFO, memory=memory) & 0xFF:
                return False
            self._told = self._machine.load(_INFO + self._reg_type, 4)
            self._told_field = self._machine.load(_INFO + self._field, 4) if self._field is not None else 0
            return self._is_rewritten(program, offset, size, access)
        except GaveUp:
            return None

    def _is_rewritten(self, program: Program, offset: int, size: int, access: int) -> bool:
        """What convert_ctx_accesses says of an access that is_valid_access took. Raises GaveUp."""
        start = self._operation(program.type, self._convert)
        if not start:
            return True  # the context is read as it lies in memory
        field, whole = self._told_field, size
        if size < field:
            if access == WRITE:
                return False
            whole = field if field in (4, 8) else 2
            step = _POINTER_BYTES if field > _POINTER_BYTES and not field % _POINTER_BYTES else field
            offset &= ~(step - 1)  # bpf_ctx_off_adjust_machine, include/linux/filter.h
        code, registers = _INSNS[access]
        memory = dict(self._machine.memory)
        memory.update(dict.fromkeys(range(_REWRITTEN, _REWRITTEN + _REWRITTEN_BYTES), 0))
        memory.update(number(_TARGET_SIZE, 0))
        memory.update(number(_INSN, code | _SIZE_BITS[whole] | registers << 8 | (offset & 0xFFFF) << 16, _INSN_BYTES))
        count = self._machine.run(start, access, _INSN, _REWRITTEN, PROG, _TARGET_SIZE, memory=memory)
        return bool(count & 0xFFFF_FFFF) and not (field and not self._machine.load(_TARGET_SIZE, 4))

    def value(self) -> Value:
        """What the load that was allowed last gives."""
        told = self._told
        base = told & ((1 << _BASE_BITS) - 1) if self._flags else told
        kind = self._names.get(base, f"register type {base}")
        null = bool(told & _MAYBE_NULL) if self._flags else kind.endswith("_or_null")
        return Value(kind.removesuffix("_or_null"), null, self._told_field if kind == "scalar_value" else 0)

    def _scalar(self) -> int:
        return next((value for value, name in self._names.items() if name == "scalar_value"), 1)

    def _call(self, machine: Machine, target: int) -> int | None:
        name = (self.facts.first_name(target) or self.facts.first_name(target - 4)).partition(".")[0]
        if name.startswith("__fentry__"):
            return 0
        return self._programs.answer(self._program, name, machine)
