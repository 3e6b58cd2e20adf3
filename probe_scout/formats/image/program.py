"""A program that nobody wrote, as the memory that the kernel's own checks look at: struct bpf_prog and bpf_prog_aux.

Only what is said of it is written; a check that reads anything else gives up (emulate.py), so nothing is answered for
it. Questions about rights and lockdown are answered here and not run.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from ..btf import kinds
from .emulate import SCRATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .emulate import Machine
    from .facts import Facts

PROG, AUX, _NAME = 0x5000_0000, 0x5010_0000, 0x5020_0000
_NAME_BYTES_MAX = 512
_MEMBERS_MAX = 100_000
ELSEWHERE = 0x7A5C31E7  # the id of a place that is in no set; more than any kernel has types
_REFUSED = (1 << 64) - 1  # -EPERM
# Functions that ask for a right, and the argument that holds its number (kernel/capability.c, kernel/bpf/token.c).
_RIGHTS = {"capable": "rdi", "ns_capable": "rsi", "bpf_token_capable": "rsi"}
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYS_BOOT": 22, "CAP_PERFMON": 38, "CAP_BPF": 39}
# Ends of the reasons that each level of lockdown closes (enum lockdown_reason, include/linux/security.h).
_LOCKED = {"integrity": "LOCKDOWN_INTEGRITY_MAX", "confidentiality": "LOCKDOWN_CONFIDENTIALITY_MAX"}
_OWN_NAME = ("bpf_get_btf_vmlinux", "btf_type_by_id", "btf_name_by_offset")
# What stands for an expected attach type of 0 (kernel/bpf/syscall.c, bpf_prog_load_fixup_attach_type).
_DEFAULTS = {"CGROUP_SOCK": "CGROUP_INET_SOCK_CREATE", "SK_REUSEPORT": "SK_REUSEPORT_SELECT"}
_OFFLOADED = ("dev_bound", "offload_requested")  # bytes: a program for a device
_SETS = {"btf_id_set8_contains": 8, "btf_id_set_contains": 4}


class Program(NamedTuple):
    """What is said of a program, by the kernel's numbers. `btf_id` and `function`: what it attaches to.

    `rights`: numbers of capabilities, None for all. `lockdown`: none, integrity or confidentiality.
    """

    type: int
    attach_type: int | None = None
    sleeps: bool = False
    btf_id: int | None = None
    function: str = ""
    rights: frozenset[int] | None = None
    lockdown: str = "none"


class Asked(NamedTuple):
    """What a run asked of the place that a program attaches to: ids of sets it was sought in, texts to begin with."""

    ids: set[int]
    beginnings: list[tuple[str, int]]


class Programs:
    """Memory of programs of one image."""

    def __init__(self, facts: Facts) -> None:
        self.asked: Asked | None = None  # filled where a run is watched
        self.facts = facts
        self._type, self._aux = facts.offset("bpf_prog", "type"), facts.offset("bpf_prog", "aux")
        self._expected = facts.offset("bpf_prog", "expected_attach_type")
        self._token, self._dst = facts.offset("bpf_prog_aux", "token"), facts.offset("bpf_prog_aux", "dst_prog")
        self._btf_id = facts.offset("bpf_prog_aux", "attach_btf_id")
        self._name = facts.offset("bpf_prog_aux", "attach_func_name")
        self._offload = [facts.offset("bpf_prog_aux", name) for name in _OFFLOADED]
        enumerators = facts.records().btf.enumerators
        kinds_of, attach = enumerators("bpf_prog_type"), enumerators("bpf_attach_type")
        self._defaults = {
            kinds_of[f"BPF_PROG_TYPE_{program}"]: attach[f"BPF_{kind}"]
            for program, kind in _DEFAULTS.items()
            if f"BPF_PROG_TYPE_{program}" in kinds_of and f"BPF_{kind}" in attach
        }
        self._sleepable = _sleepable(facts)
        self._reasons = facts.records().btf.enumerators("lockdown_reason")

    def memory(self, program: Program) -> dict[int, int] | None:
        """None where this kernel's programs are of another shape."""
        if self._type is None or self._aux is None:
            return None
        memory: dict[int, int] = {}
        if self._sleepable is not None:
            at, bit = self._sleepable
            memory[at] = bit if program.sleeps else 0
        memory.update(number(PROG + self._type, program.type))
        memory.update(number(PROG + self._aux, AUX, 8))
        for place in (self._token, self._dst):
            if place is not None:
                memory.update(number(AUX + place, 0, 8))
        memory.update({AUX + place: 0 for place in self._offload if place is not None})
        if self._expected is not None and program.attach_type is not None:
            kind = program.attach_type or self._defaults.get(program.type, 0)
            memory.update(number(PROG + self._expected, kind))
        if self._btf_id is not None and program.btf_id is not None:
            memory.update(number(AUX + self._btf_id, program.btf_id))
        if self._name is not None and program.function:
            memory.update(number(AUX + self._name, _NAME, 8))
            text = program.function.encode()[: _NAME_BYTES_MAX - 1]
            memory.update(enumerate(text.ljust(_NAME_BYTES_MAX, b"\0"), _NAME))
        return memory

    def answer(self, program: Program, name: str, machine: Machine) -> int | None:
        """What a question about rights, lockdown or a set returns; None for other functions."""
        register = _RIGHTS.get(name)
        if register is not None:
            return int(program.rights is None or machine.registers[register] & 0xFFFFFFFF in program.rights)
        if name == "security_locked_down":
            end = self._reasons.get(_LOCKED.get(program.lockdown, ""), 0)
            return _REFUSED if machine.registers["rdi"] & 0xFFFFFFFF < end else 0
        if name in _SETS:
            set_at, wanted = machine.registers["rdi"], machine.registers["rsi"] & 0xFFFFFFFF
            if self.asked is not None and wanted == ELSEWHERE:
                self.asked.ids.update(members(self.facts, _SETS[name], set_at))
            return contains(self.facts, _SETS[name], set_at, wanted)
        if name in _OWN_NAME and program.function:
            return self._own_name(program, name, machine)
        if name == "strncmp":
            if self.asked is not None and _NAME in (machine.registers["rdi"], machine.registers["rsi"]):
                self.asked.beginnings.append(_compared(machine))
            return _strncmp(machine)
        if name == "bsearch":
            if self.asked is not None and machine.load(machine.registers["rdi"], 4) == ELSEWHERE:
                base, count, size = (machine.registers[register] for register in ("rsi", "rdx", "rcx"))
                self.asked.ids.update(_entries(self.facts, base, count, size))
            return search(self.facts, machine)
        return None

    def _own_name(self, program: Program, name: str, machine: Machine) -> int | None:
        """Kernels that look up the name of the type that the program attaches to."""
        if name == "btf_type_by_id" and machine.registers["rsi"] & 0xFFFFFFFF != program.btf_id:
            return None
        return _NAME if name == "btf_name_by_offset" else SCRATCH


def _sleepable(facts: Facts) -> tuple[int, int] | None:
    """Address and bit of the flag: in bpf_prog, before 6.8 a byte of bpf_prog_aux."""
    records = facts.records()
    for base, struct in ((PROG, "bpf_prog"), (AUX, "bpf_prog_aux")):
        for type_id in records.btf.find_ids(struct, frozenset((kinds.STRUCT,)))[:1]:
            for member in records.members(type_id):
                if member.name == "sleepable":
                    return base + member.bit_offset // 8, 1 << member.bit_offset % 8
    return None


def _strncmp(machine: Machine) -> int:
    """lib/string.c: 0 where both begin alike; the sign is not told."""
    left, right, count = (machine.registers[name] for name in ("rdi", "rsi", "rdx"))
    for step in range(min(count, _NAME_BYTES_MAX)):
        one, other = machine.load(left + step, 1), machine.load(right + step, 1)
        if one != other:
            return 1
        if not one:
            return 0
    return 0


def _compared(machine: Machine) -> tuple[str, int]:
    """The text that the name of the place is compared with, and how many bytes of it."""
    left, right, count = (machine.registers[name] for name in ("rdi", "rsi", "rdx"))
    other = right if left == _NAME else left
    text = bytearray()
    for step in range(min(count, _NAME_BYTES_MAX)):
        byte = machine.load(other + step, 1)
        if not byte:
            break
        text.append(byte)
    return text.decode("latin-1"), count


def number(at: int, value: int, size: int = 4) -> dict[int, int]:
    """Bytes of a number in memory."""
    return {at + step: value >> 8 * step & 0xFF for step in range(size)}


def search(facts: Facts, machine: Machine) -> int:
    """lib/bsearch.c, of a BTF id in a set: the address of the entry, or 0."""
    key, base, count, size = (machine.registers[name] for name in ("rdi", "rsi", "rdx", "rcx"))
    wanted = machine.load(key, 4)
    for at in range(base, base + size * min(count, _MEMBERS_MAX), max(size, 4)):
        if facts.number(at, 4) == wanted:
            return at
    return 0


def members(facts: Facts, step: int, address: int) -> list[int]:
    """Ids of a set: its entries are as long as what stands in front of them."""
    return _entries(facts, address + step, facts.number(address, 4), step)


def _entries(facts: Facts, base: int, count: int, size: int) -> list[int]:
    return [facts.number(base + max(size, 4) * place, 4) for place in range(min(count, _MEMBERS_MAX))]


def contains(facts: Facts, step: int, address: int, wanted: int) -> int:
    """btf_id_set8_contains (8 bytes an entry) and btf_id_set_contains (4)."""
    count = facts.number(address, 4)
    first = address + step
    return int(any(facts.number(first + step * i, 4) == wanted for i in range(min(count, _MEMBERS_MAX))))
