"""Which helpers a program may call on a kernel image, by running bpf_verifier_ops[type]->get_func_proto.

kernel/bpf/verifier.c, check_helper_call (get_helper_proto in later kernels): the function returns the helper's
prototype, or NULL where programs of the type may not call it; a prototype may hold one more function, `allowed`. Both
are run (emulate.py) for a program of which no more is known than was said; where they look at anything else, nothing
is told. Taken for granted: no token, and that memory can be allocated.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from ..btf import kinds
from .emulate import SCRATCH, GaveUp, Machine, Watching
from .program import AUX, ELSEWHERE, PROG, Asked, Program, Programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .facts import Facts

# What is not run, rights and sets apart (program.py): memory, and what only counts.
_RESULTS = {
    "__fentry__": 0,
    "___ratelimit": 0,
    "queue_work_on": 1,
    "metadata_dst_alloc_percpu": SCRATCH,
}


class Proto(NamedTuple):
    """A helper's prototype (struct bpf_func_proto) as far as it decides. `allowed`: address of a function, or 0."""

    gpl_only: bool
    might_sleep: bool
    allowed: int


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
        self._fields = {name: facts.offset("bpf_func_proto", name) for name in ("gpl_only", "might_sleep", "allowed")}
        self._programs = Programs(facts)
        self._sleeper = self.types.get("SYSCALL")  # BPF_PROG_TYPE_SYSCALL: always sleepable
        self._program = Program(0)
        self._machine = Machine(facts.image.text_at, self._call, lambda at: bool(facts.first_name(at)))
        self._kept: dict[tuple[Program, int], int | None] = {}
        self._runs: dict[str, bool] = {}

    def allowed(
        self, program_type: int, helper: int, attach_type: int | None = None, sleeps: bool = False
    ) -> bool | None:
        """By the kernel's numbers, `sleeps` for a sleepable program.

        None: the function gives up, or asks for more than is known of the program.
        """
        found = self.proto(Program(program_type, attach_type, sleeps), helper)
        return None if found is None else bool(found)

    def proto(self, program: Program, helper: int) -> int | None:
        """The address of the helper's prototype for this program, 0 where it may not call it; None as for `allowed`."""
        if program.type == self._sleeper:
            program = program._replace(sleeps=True)
        key = program, helper
        if key not in self._kept:
            start = self.function(program.type)
            self._kept[key] = self._run(program, start, helper, PROG) if start else None
        return self._kept[key]

    def read(self, proto: int) -> Proto:
        """What a prototype says."""
        at = self._fields
        flag = {name: where is not None and bool(self.facts.number(proto + where, 1)) for name, where in at.items()}
        check = self.facts.pointer(proto + at["allowed"]) if at["allowed"] is not None else 0
        return Proto(flag["gpl_only"], flag["might_sleep"], check)

    def permits(self, program: Program, check: int) -> bool | None:
        """What the `allowed` function of a prototype says of a program."""
        found = self._run(program, check, PROG)
        return None if found is None else bool(found & 0xFF)

    def elsewhere(self, program: Program, start: int, *arguments: int) -> tuple[int, Asked] | None:
        """What a check returns for a program that attaches to a function that no list of the kernel names.

        With the lists that it looked into: for a place in none of them, and whose name begins with none of the texts,
        the check returns the same. None where it uses the place for more than that.
        """
        at = self.facts.offset("bpf_prog_aux", "attach_btf_id")
        if at is None:
            return None
        place = program._replace(btf_id=ELSEWHERE, function="\x01")
        memory = self._programs.memory(place)
        if memory is None:
            return None
        machine = Watching(self.facts.image.text_at, self._call, lambda where: bool(self.facts.first_name(where)))
        machine.watched, machine.watched_at = ELSEWHERE, AUX + at
        self._program, self._programs.asked = place, Asked(set(), [])
        try:
            return machine.run(start, *arguments, memory=memory), self._programs.asked
        except GaveUp:
            return None
        finally:
            self._programs.asked = None

    def proto_elsewhere(self, program: Program, helper: int) -> tuple[int, Asked] | None:
        """As `elsewhere`, of the prototype."""
        if program.type == self._sleeper:
            program = program._replace(sleeps=True)
        return self.elsewhere(program, self.function(program.type), helper, PROG)

    def permits_elsewhere(self, program: Program, check: int) -> tuple[int, Asked] | None:
        """As `elsewhere`, of a prototype's `allowed` function."""
        found = self.elsewhere(program, check, PROG)
        return None if found is None else (found[0] & 0xFF, found[1])

    def function(self, program_type: int) -> int:
        """The address of the type's get_func_proto; 0 where the type is not built in, or gets one when it runs."""
        if self._table is None or self._function is None or program_type not in self.types.values():
            return 0
        ops = self.facts.pointer(self._table + 8 * program_type)
        return self.facts.pointer(ops + self._function) if ops else 0

    def _run(self, program: Program, start: int, *arguments: int) -> int | None:
        memory = self._programs.memory(program)
        if memory is None:
            return None
        self._program = program
        try:
            return self._machine.run(start, *arguments, memory=memory)
        except GaveUp:
            return None

    def _call(self, machine: Machine, target: int) -> int | None:
        name = (self.facts.first_name(target) or self.facts.first_name(target - 4)).partition(".")[0]
        if name in _RESULTS:
            return _RESULTS[name]
        told = self._programs.answer(self._program, name, machine)
        if told is not None:
            return told
        if name not in self._runs:
            self._runs[name] = self._returns_nothing(name)
        return 0 if self._runs[name] else None

    def _returns_nothing(self, name: str) -> bool:
        """A called function that returns void is not run."""
        records = self.facts.records()
        for type_id in records.btf.find_ids(name, frozenset((kinds.FUNC,))):
            return not records.record(records.record(type_id).number).number
        return False


def _names(values: dict[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
