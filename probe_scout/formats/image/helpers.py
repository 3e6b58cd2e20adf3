"""Which helpers a program type may call on a kernel image, by running bpf_verifier_ops[type]->get_func_proto.

kernel/bpf/verifier.c, check_helper_call (get_helper_proto in later kernels): the function returns the helper's
prototype, or NULL where programs of the type may not call it. It is run (emulate.py) for a program of which the type
and, where it is said, the attach type are known; where it looks at anything else, nothing is told. Taken for granted:
a program that does not sleep, all capabilities, no token, no lockdown, and that memory can be allocated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..btf import kinds
from .emulate import SCRATCH, GaveUp, Machine

if TYPE_CHECKING:
    from .facts import Facts

_PROG, _AUX = 0x5000_0000, 0x5010_0000
# What is not run: questions about rights, and memory. `security_locked_down` returns 0 where nothing is locked down.
_RESULTS = {
    "__fentry__": 0,
    "capable": 1,
    "ns_capable": 1,
    "bpf_token_capable": 1,
    "security_locked_down": 0,
    "___ratelimit": 0,
    "queue_work_on": 1,
    "metadata_dst_alloc_percpu": SCRATCH,
}


class Helpers:
    """The helpers of one image. Needs capstone. Answers are kept."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        enumerators = facts.records().btf.enumerators
        self.numbers = _names(enumerators("bpf_func_id"), "BPF_FUNC_")
        self.types = _names(enumerators("bpf_prog_type"), "BPF_PROG_TYPE_")
        self.attach_types = _names(enumerators("bpf_attach_type"), "BPF_")
        self._table, self._function = (
            facts.address("bpf_verifier_ops"),
            facts.offset("bpf_verifier_ops", "get_func_proto"),
        )
        self._kind, self._aux = facts.offset("bpf_prog", "type"), facts.offset("bpf_prog", "aux")
        self._expected = facts.offset("bpf_prog", "expected_attach_type")
        self._token = facts.offset("bpf_prog_aux", "token")
        self._sleeper = self.types.get("SYSCALL")  # BPF_PROG_TYPE_SYSCALL: always sleepable
        self._zeros = _plain_program(facts)
        self._machine = Machine(facts.image.text_at, self._call, lambda at: bool(facts.first_name(at)))
        self._kept: dict[tuple[int, int, int | None, bool], bool | None] = {}
        self._returns: dict[str, int | None] = {}

    def allowed(
        self, program_type: int, helper: int, attach_type: int | None = None, sleeps: bool = False
    ) -> bool | None:
        """By the kernel\'s numbers, `sleeps` for a sleepable program.

        None: the function gives up, or asks for more than is known of the program.
        """
        key = (program_type, helper, attach_type, sleeps)
        if key not in self._kept:
            self._kept[key] = self._run(*key)
        return self._kept[key]

    def function(self, program_type: int) -> int:
        """The address of the type's get_func_proto; 0 where the type is not built in, or gets one when it runs."""
        if self._table is None or self._function is None or program_type not in self.types.values():
            return 0
        ops = self.facts.pointer(self._table + 8 * program_type)
        return self.facts.pointer(ops + self._function) if ops else 0

    def _run(self, program_type: int, helper: int, attach_type: int | None, sleeps: bool) -> bool | None:
        start = self.function(program_type)
        if not start or self._kind is None or self._aux is None:
            return None
        memory = {} if sleeps or program_type == self._sleeper else dict(self._zeros)
        memory.update(_bytes(_PROG + self._kind, program_type, 4))
        memory.update(_bytes(_PROG + self._aux, _AUX, 8))
        if self._token is not None:
            memory.update(_bytes(_AUX + self._token, 0, 8))
        if self._expected is not None and attach_type is not None:
            memory.update(_bytes(_PROG + self._expected, attach_type, 4))
        try:
            return bool(self._machine.run(start, helper, _PROG, memory=memory))
        except GaveUp:
            return None

    def _call(self, machine: Machine, target: int) -> int | None:
        name = self.facts.first_name(target) or self.facts.first_name(target - 4)
        if name not in self._returns:
            self._returns[name] = self._result(name)
        return self._returns[name]

    def _result(self, name: str) -> int | None:
        """What a called function is taken to return; None to run it."""
        plain = name.partition(".")[0]
        if plain in _RESULTS:
            return _RESULTS[plain]
        records = self.facts.records()
        for type_id in records.btf.find_ids(plain, frozenset((kinds.FUNC,))):
            return 0 if not records.record(records.record(type_id).number).number else None
        return None


def _plain_program(facts: Facts) -> dict[int, int]:
    """Not sleepable: a byte that is zero (in bpf_prog, before 6.8 in bpf_prog_aux)."""
    memory = {}
    for base, struct in ((_PROG, "bpf_prog"), (_AUX, "bpf_prog_aux")):
        at = facts.offset(struct, "sleepable")
        if at is not None:
            memory[base + at] = 0
    return memory


def _names(values: dict[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _bytes(at: int, value: int, size: int) -> dict[int, int]:
    return {at + step: value >> 8 * step & 0xFF for step in range(size)}
