"""Which arguments of a system call get a copy of the caller's memory behind them in its event, by the kernel's code.

kernel/trace/trace_syscalls.c, check_faultable_syscall, a switch over the call's number in the init function of the
event (7.2): it writes user_mask into the call's metadata. The function is run (emulate.py) up to the first call that
it makes, which prepares print fmt and comes after the switch.
"""

from __future__ import annotations

from ...arch.x86_64 import NoDecoder
from .emulate import GaveUp, Machine
from .program import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .facts import Facts

_SWITCH = "check_faultable_syscall"  # where the compiler kept it as a function of its own


class _Decided(Exception):
    """The switch is behind us."""


class UserCopies:
    """Positions of copied arguments. Answers are computed one at a time and not kept."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._class, self._init = (
            facts.offset("trace_event_call", "class"),
            facts.offset("trace_event_class", "raw_init"),
        )
        self._number = facts.offset("syscall_metadata", "syscall_nr")
        self._mask = facts.offset("syscall_metadata", "user_mask")
        self._machine = Machine(facts.image.text_at, self._call, lambda at: bool(facts.first_name(at)))

    def positions(self, call: int, meta: int, nr: int) -> tuple[int, ...] | None:
        """Arguments of the call with this number, counted from 0; None where the code cannot be run.

        `call` and `meta`: addresses of the event's struct trace_event_call and of its struct syscall_metadata.
        """
        facts = self._facts
        if self._class is None or self._init is None or self._number is None or self._mask is None:
            return None
        if facts.is_arm64():
            return None
        start = facts.pointer(facts.pointer(call + self._class) + self._init)
        if not facts.first_name(start):
            return None
        try:
            self._machine.run(start, call, memory=number(meta + self._number, nr))
        except _Decided:
            mask = self._machine.load(meta + self._mask, 1)
            return tuple(position for position in range(8) if mask >> position & 1)
        except (GaveUp, NoDecoder):
            return None
        return None  # returned without preparing print fmt: the kernel makes no such event

    def _call(self, machine: Machine, target: int) -> int | None:
        name = self._facts.first_name(target) or self._facts.first_name(target - 4)
        if name.startswith("__fentry__"):
            return 0
        if name.partition(".")[0] == _SWITCH or name.startswith("__x86_"):
            return None
        raise _Decided
