"""What a program may load from and store to its context, by running bpf_verifier_ops[type]->is_valid_access.

kernel/bpf/verifier.c, __check_ctx_access: the verifier asks for each load and store of an offset and a size; what the
value is comes back in struct bpf_insn_access_aux. The function is run (emulate.py) for a program of which the type and
the attach type are known; where it looks at anything else, nothing is told. Programs whose context is the arguments of
a function (btf_ctx_access) are not run: their types say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...named_tuple import NamedTuple
from .emulate import GaveUp, Machine
from .program import PROG, Program, Programs, number

if TYPE_CHECKING:
    from .facts import Facts

READ, WRITE = 1, 2  # enum bpf_access_type
_INFO, _INFO_BYTES = 0x5040_0000, 256
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
        self._reg_type = facts.offset("bpf_insn_access_aux", "reg_type") or 0
        self._field = facts.offset("bpf_insn_access_aux", "ctx_field_size")
        self._programs, self._program = Programs(facts), Program(0)
        self._names = {
            value: name.lower()
            for name, value in reversed(list(facts.records().btf.enumerators("bpf_reg_type").items()))
        }
        self._flags = bool(facts.records().btf.enumerators("bpf_type_flag"))
        self._machine = Machine(facts.image.text_at, self._call, lambda at: bool(facts.first_name(at)))

    def function(self, program_type: int) -> int:
        """The address of the type's is_valid_access; 0 where there is none."""
        if self._table is None or self._function is None:
            return 0
        ops = self.facts.pointer(self._table + 8 * program_type)
        return self.facts.pointer(ops + self._function) if ops else 0

    def by_arguments(self, program_type: int) -> bool:
        """The context of these programs is the arguments of what they attach to."""
        return self.facts.first_name(self.function(program_type)).partition(".")[0].endswith(_BY_ARGUMENTS)

    def allowed(self, program: Program, offset: int, size: int, access: int = READ) -> bool | None:
        """Whether the kernel takes a load or store of so many bytes; None where that is not told.

        Of a whole field. Old kernels (5.10) refuse parts of a pointer's field later, in convert_ctx_access: EINVAL.
        """
        start = self.function(program.type)
        memory = self._programs.memory(program) if start else None
        if memory is None:
            return None
        memory.update(dict.fromkeys(range(_INFO, _INFO + _INFO_BYTES), 0))
        memory.update(number(_INFO + self._reg_type, self._scalar()))
        self._program = program
        try:
            return bool(self._machine.run(start, offset, size, access, PROG, _INFO, memory=memory) & 0xFF)
        except GaveUp:
            return None

    def value(self) -> Value:
        """What the load that was allowed last gives."""
        told = self._machine.load(_INFO + self._reg_type, 4)
        base = told & ((1 << _BASE_BITS) - 1) if self._flags else told
        kind = self._names.get(base, f"register type {base}")
        null = bool(told & _MAYBE_NULL) if self._flags else kind.endswith("_or_null")
        field = self._machine.load(_INFO + self._field, 4) if self._field is not None and kind == "scalar_value" else 0
        return Value(kind.removesuffix("_or_null"), null, field)

    def _scalar(self) -> int:
        return next((value for value, name in self._names.items() if name == "scalar_value"), 1)

    def _call(self, machine: Machine, target: int) -> int | None:
        name = (self.facts.first_name(target) or self.facts.first_name(target - 4)).partition(".")[0]
        if name.startswith("__fentry__"):
            return 0
        return self._programs.answer(self._program, name, machine)
