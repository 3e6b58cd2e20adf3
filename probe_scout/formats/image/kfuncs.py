"""Kfuncs of a kernel image: sets with flags, the program types they are registered for, and the hook of each type.

kernel/bpf/btf.c: register_btf_kfunc_id_set takes a program type and a set; the type selects a hook
(bpf_prog_type_to_kfunc_hook, a switch that kernels differ in); a program may call what is in a set of its own hook
or of the common one, unless a filter of that hook refuses. The registering functions and the switch are run
(emulate.py).
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from .emulate import SCRATCH, GaveUp, Machine
from .program import AUX, PROG, Program, Programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .facts import Facts

REGISTER = ("register_btf_kfunc_id_set", "register_btf_fmodret_id_set")
_INNER = "__register_btf_kfunc_id_set"
_MEMBERS_MAX = 100_000
NO_HOOK = -1  # kernels before the common hook: programs of this type may call no kfunc
_KSET, _SETS = 0x5020_0000, 0x5030_0000
_SET_STEP = 0x100
_HOOKS_MAX = 64
_STRETCH_BYTES, _CALL_BYTES = 1 << 16, 5
FLAGS = {
    0: "acquire",
    1: "release",
    2: "ret_null",
    3: "kptr_get",
    4: "trusted_args",
    5: "sleepable",
    6: "destructive",
    7: "rcu",
    8: "iter_new",
    9: "iter_next",
    10: "iter_destroy",
    11: "rcu_protected",
    12: "fastcall",
    13: "arena_ret",
    14: "arena_arg1",
    15: "arena_arg2",
    16: "implicit_args",
    17: "spinlock_safe",
    18: "perfmon",
}


class Registration(NamedTuple):
    """One set for one program type's number. `members`: BTF id of a function to its flags. `filter`: address or 0."""

    program_type: int
    set_name: str
    members: dict[int, int]
    filter: int


class Kfuncs(NamedTuple):
    """All registrations of vmlinux, the hook of each program type, and what could not be run."""

    registrations: tuple[Registration, ...]
    hooks: dict[int, int]
    gave_up: tuple[str, ...]


def read(facts: Facts) -> Kfuncs:
    """Needs capstone. What could not be run is in `gave_up`, by the function's name."""
    return Reader(facts).read()


class Reader:
    """Runs what registers kfuncs; of vmlinux with `read`."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.machine = Machine(facts.image.text_at, self._call, lambda at: bool(facts.first_name(at)))
        self.found: list[Registration] = []
        self.hook: int | None = None
        self.set_at = facts.offset("btf_kfunc_id_set", "set") or 0
        self.filter_at = facts.offset("btf_kfunc_id_set", "filter")
        self._register = {facts.address(name): name for name in REGISTER}
        self._reached: set[int] = set()

    def read(self) -> Kfuncs:
        other = other_way(self.facts)
        if other:
            return Kfuncs((), {}, (other,))
        lost = self.run(callers(self.facts, [a for a in self._register if a]))
        return Kfuncs(tuple(self.found), self.hooks(lost), tuple(lost))

    def run(self, functions: dict[int, set[int]]) -> list[str]:
        """Notes the registrations of functions, given with the places in them that register; returns what was lost."""
        lost = []
        for address, sites in sorted(functions.items()):
            self._reached = set()
            try:
                self.machine.run(address)
            except GaveUp as error:
                lost.append(f"{self.facts.first_name(address)}: {error}")
                continue
            if not sites <= self._reached:
                lost.append(f"{self.facts.first_name(address)}: whether all of it runs depends on what is not known")
        return lost

    def hooks(self, lost: list[str]) -> dict[int, int]:
        """Runs, for every type, the function that turns the type into a hook, up to the call behind it."""
        self._register = {}
        types = self.facts.records().btf.enumerators("bpf_prog_type")
        inner = self.facts.has_name(_INNER)
        run = self._hook_of_register if inner else self._hook_of_search
        found: dict[int, int] = {}
        for name, number in types.items():
            if not name.startswith("BPF_PROG_TYPE_"):
                continue
            self.hook = None
            try:
                run(number)
            except GaveUp as error:
                if self.hook is None:
                    lost.append(f"{REGISTER[0]}({name}): {error}")
            if self.hook is not None:
                found[number] = self.hook
        return found

    def _hook_of_register(self, number: int) -> None:
        """register_btf_kfunc_id_set hands the hook on."""
        start = self.facts.address(REGISTER[0])
        if start is None:
            return
        memory = dict.fromkeys(range(_KSET, _KSET + 64), 0)
        memory.update(_pointer(_KSET + self.set_at, SCRATCH))
        memory[SCRATCH + 4] = 1  # BTF_SET8_KFUNCS: sets that are not marked so are refused before
        self.machine.run(start, number, _KSET, memory=memory)

    def _hook_of_search(self, number: int) -> None:
        """btf_kfunc_id_set_contains(btf, type, id) searches the set of the hook: one of sets at known places."""
        start = self.facts.address("btf_kfunc_id_set_contains")
        table, sets = self.facts.offset("btf", "kfunc_set_tab"), self.facts.offset("btf_kfunc_set_tab", "sets")
        if start is None or table is None or sets is None:
            return
        memory = _pointer(PROG + table, AUX)
        for hook in range(_HOOKS_MAX):
            at = _SETS + hook * _SET_STEP
            memory.update(_pointer(AUX + sets + 8 * hook, at))
            memory.update({**dict.fromkeys(range(at, at + _SET_STEP), 0), at: 1})
        self.machine.run(start, PROG, number, 1, memory=memory)
        if self.hook is None:
            self.hook = NO_HOOK

    def _call(self, machine: Machine, target: int) -> int | None:
        name = self._register.get(target)
        if name is not None:
            self._reached.add(machine.site)
            if name == REGISTER[0]:
                self._note(machine.registers["rdi"] & 0xFFFFFFFF, machine.registers["rsi"])
            return 0
        for register in ("rdi", "rsi"):
            place = machine.registers[register] - _SETS
            if 0 <= place < _HOOKS_MAX * _SET_STEP:
                self.hook = place // _SET_STEP
                return 0
        title = self.facts.first_name(target) or self.facts.first_name(target - 4)
        if title == _INNER or title.startswith(_INNER + "."):
            self.hook = machine.registers["rdi"] & 0xFFFFFFFF
            return 0
        if title == "bpf_prog_type_to_kfunc_hook" or title.startswith("__x86_"):
            return None
        return self.facts.returns_pointer(title) * SCRATCH

    def _note(self, program_type: int, kset: int) -> None:
        facts = self.facts
        set_address = facts.pointer(kset + self.set_at)
        ids = members(facts, set_address)
        check = facts.pointer(kset + self.filter_at) if self.filter_at is not None else 0
        name = facts.first_name(set_address).removeprefix("__BTF_ID__set8__")
        self.found.append(Registration(program_type, name, ids, check))


def members(facts: Facts, address: int) -> dict[int, int]:
    """struct btf_id_set8: BTF id to flags."""
    count = facts.number(address, 4)
    if not address or count > _MEMBERS_MAX:
        return {}
    found = {}
    for at in range(address + 8, address + 8 + 8 * count, 8):
        found[facts.number(at, 4)] = facts.number(at + 4, 4)
    found.pop(0, None)
    return found


def flag_names(flags: int) -> tuple[str, ...]:
    """The KF_ flags of a kfunc by name (include/linux/btf.h)."""
    return tuple(name for bit, name in FLAGS.items() if flags >> bit & 1)


class Permissions:
    """Whether a program may call a kfunc of vmlinux or of one module. Answers are kept."""

    def __init__(self, facts: Facts, kfuncs: Kfuncs | None = None) -> None:
        """`kfuncs`: of a module, whose ids are in its own types; None reads those of vmlinux."""
        self.facts = facts
        self.kfuncs = read(facts) if kfuncs is None else kfuncs
        name_of = facts.type_name
        self.ids = {name_of(kfunc): kfunc for row in self.kfuncs.registrations for kfunc in row.members}
        self.flags: dict[str, int] = {}
        for row in self.kfuncs.registrations:
            for kfunc, flags in row.members.items():
                name = name_of(kfunc)
                self.flags[name] = self.flags.get(name, 0) | flags
        self._machine = Machine(facts.image.text_at, self._call, lambda at: bool(facts.first_name(at)))
        self._programs, self._program = Programs(facts), Program(0)
        self._kept: dict[tuple[int, int, Program], bool | None] = {}

    def allowed(self, name: str, program_type: int, attach_type: int | None = None) -> bool | None:
        """For a program of this type and attach type, by the kernel's numbers."""
        return self.permits(Program(program_type, attach_type), name)

    def permits(self, program: Program, name: str) -> bool | None:
        """Whether a program may call a kfunc.

        kernel/bpf/btf.c, btf_kfunc_id_set_contains: the kfunc is in a set of the common hook or of the type's, and no
        filter of that hook refuses. None: a filter looks at what is not known of the program, or some function could
        not be run.
        """
        hooks = self.kfuncs.hooks
        kfunc = self.ids.get(name)
        if self.kfuncs.gave_up or program.type not in hooks:
            return None
        is_open = False
        for hook in {hooks.get(0), hooks[program.type]} - {None, NO_HOOK} if kfunc is not None else ():
            rows = [row for row in self.kfuncs.registrations if hooks.get(row.program_type) == hook]
            if kfunc is None or not any(kfunc in row.members for row in rows):
                continue
            checks = {row.filter for row in rows} - {0}
            refused = {self.filtered(check, kfunc, program) for check in checks}
            if True not in refused and None not in refused:
                return True
            is_open = is_open or True not in refused
        return None if is_open else False

    def filtered(self, check: int, kfunc: int, program: Program) -> bool | None:
        """Whether a filter refuses a program; None where it asks for more than is said of it."""
        key = check, kfunc, program
        if key not in self._kept:
            self._kept[key] = self._run(check, kfunc, program)
        return self._kept[key]

    def _run(self, check: int, kfunc: int, program: Program) -> bool | None:
        memory = self._programs.memory(program)
        if memory is None:
            return None
        self._program = program
        try:
            return bool(self._machine.run(check, PROG, kfunc, memory=memory) & 0xFFFFFFFF)
        except GaveUp:
            return None

    def _call(self, machine: Machine, target: int) -> int | None:
        name = self.facts.first_name(target)
        told = self._programs.answer(self._program, name, machine)
        return 0 if told is None and name.startswith("__fentry__") else told


def _pointer(at: int, value: int) -> dict[int, int]:
    return {at + step: value >> 8 * step & 0xFF for step in range(8)}


def other_way(facts: Facts) -> str:
    """Why the registrations cannot be read on a kernel that takes kfuncs; "" where they can, or it takes none.

    Linux 5.13 to 5.17 ask check_kfunc_call of the program type's operations; in 5.18 and 5.19 struct btf_kfunc_id_set
    has one set for each property.
    """
    btf = facts.records().btf
    if not btf.has_name("bpf_kfunc_desc"):
        return ""
    if facts.offset("btf_kfunc_id_set", "set") is None:
        return "this kernel registers kfuncs in a way that is not read"
    return ""


def callers(facts: Facts, targets: list[int]) -> dict[int, set[int]]:
    """Functions with a direct call or jump to one of these addresses, and where in them.

    Inside a stretch of 64 KiB the upper half of the distance to a target has two values: these are searched for.
    """
    import re

    found: dict[int, set[int]] = {}
    for begin, raw in _code(facts):
        for at in range(0, len(raw), _STRETCH_BYTES):
            here = begin + at
            ends = (here + _CALL_BYTES, here + _CALL_BYTES + _STRETCH_BYTES - 1)
            halves = {((target - end) >> 16 & 0xFFFF).to_bytes(2, "little") for target in targets for end in ends}
            pattern = re.compile(b"[\xe8\xe9](?=..(?:%b))" % b"|".join(map(re.escape, halves)), re.S)
            for match in pattern.finditer(raw, at, min(at + _STRETCH_BYTES + _CALL_BYTES - 1, len(raw))):
                place = match.start()
                distance = int.from_bytes(raw[place + 1 : place + _CALL_BYTES], "little", signed=True)
                if begin + place + _CALL_BYTES + distance in targets:
                    start = facts.function_of(begin + place)
                    if start is not None:
                        found.setdefault(start, set()).add(begin + place)
    return found


def _code(facts: Facts) -> list[tuple[int, bytes]]:
    """Address and bytes of the image's code; of every segment where the symbols around it are missing."""
    found = []
    for start, stop in (("_stext", "_etext"), ("_sinittext", "_einittext")):
        begin, raw = facts.address(start), facts.bytes_between(start, stop)
        if begin is None or raw is None:
            return [(one.address, facts.image.raw[one.offset : one.offset + one.size]) for one in facts.image.segments]
        found.append((begin, raw))
    return found
