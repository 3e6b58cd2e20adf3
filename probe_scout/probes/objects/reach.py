"""Which instructions of a BPF program the verifier walks, as far as constants in registers and stack slots tell.

The verifier (kernel/bpf/verifier.c, do_check) follows each path and takes a branch one way where both sides are known
(is_branch_taken). Constants come from relocated immediates, from frozen read-only data (.rodata, .kconfig), and from
comparisons with a number. A guarded relocation, helper or kfunc is dead code there and costs nothing; what this walk
does not reach, the verifier does not reach either. The reverse is not true: value ranges, which the verifier also
tracks, are not followed here, so a reached instruction is reached *as far as constants tell*.

Callbacks whose address is taken are reached with unknown arguments. Global functions are verified by themselves.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple

_MASK64 = (1 << 64) - 1
_MASK32 = (1 << 32) - 1
_STATES_MAX = 12  # states kept apart at one instruction, before they are joined
_STEPS_MAX = 400_000
_DEPTH_MAX = 8  # MAX_CALL_FRAMES
_RETURNS_MAX = 8
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
_PSEUDO_CALL, _PSEUDO_KFUNC = 1, 2


class Pointer(NamedTuple):
    """An address the walk knows. `base`: "stack" (offset from the frame's end), "context" (what the program was given),
    "data" (`section` of the object, frozen and read-only, at `offset`), "map" (that of this number, `section`), or
    "object" (anything that is not NULL)."""

    base: str
    offset: int = 0
    section: int = 0


SOMEWHERE = Pointer("object")
Value = int | Pointer | None  # a constant of 64 bits, an address, or unknown
_UNKNOWN: tuple[Value, ...] = (None,) * 5


class Insn(NamedTuple):
    """struct bpf_insn, with what the loader makes of it: `value` replaces a 64-bit immediate."""

    code: int
    dst: int
    src: int
    off: int
    imm: int
    value: Value = None


class Place(NamedTuple):
    """An instruction: its section's index, and its number in it."""

    section: int
    number: int


class Code:
    """The instructions of an object after relocation, and the read-only data they may read.

    `targets`: the subprogram that a call leads to; `addresses`: the subprogram whose address a 64-bit load takes.
    `data`: section index to frozen bytes; None in `unknown_bytes` marks bytes that no file tells.
    """

    __slots__ = ("addresses", "data", "global_functions", "insns", "targets")

    def __init__(self) -> None:
        self.insns: dict[int, list[Insn]] = {}
        self.targets: dict[Place, Place] = {}
        self.addresses: dict[Place, Place] = {}
        self.data: dict[int, bytes] = {}
        self.global_functions: set[Place] = set()


class TooLarge(Exception):
    """The walk was given up: more steps than it may take."""


class _State(NamedTuple):
    registers: tuple[Value, ...]
    stack: tuple[tuple[int, int, int | Pointer], ...]  # (offset, size, value), sorted


class Reached(NamedTuple):
    """The instructions that are walked, and the last byte of the context that is loaded.

    `context_words`: which 8-byte words of the context are loaded; `calls`: caller and callee, by their first
    instructions; `stack_bytes`: by function, how much of its own frame its loads and stores use; `returns`: the
    constants with which the program itself ends, and None where it may end with something else; `map_calls`: the maps
    that are given to helpers, by the call and the map's number.
    """

    places: set[Place]
    context_bytes: int
    context_words: set[int]
    entry: Place
    calls: set[tuple[Place, Place]]
    stack_bytes: dict[Place, int]
    returns: frozenset[int | None]
    map_calls: set[tuple[Place, int]]


def reached(code: Code, entry: Place) -> Reached:
    """What is walked from this entry. Raises TooLarge."""
    walk = _Walk(code)
    ends = walk.function(entry, (Pointer("context"), *(None,) * 4), 0)
    returns = frozenset(value if isinstance(value, int) else None for value in ends)
    while walk.callbacks:
        place = walk.callbacks.pop()
        if place not in walk.done:
            walk.done.add(place)
            walk.function(place, _UNKNOWN, 1)
    return Reached(
        walk.reached,
        walk.context_bytes,
        walk.context_words,
        entry,
        walk.calls,
        walk.stack_bytes,
        returns,
        walk.map_calls,
    )


class _Walk:
    def __init__(self, code: Code) -> None:
        self.code = code
        self.reached: set[Place] = set()
        self.callbacks: list[Place] = []
        self.done: set[Place] = set()
        self.context_bytes = 0
        self.context_words: set[int] = set()
        self.calls: set[tuple[Place, Place]] = set()
        self.stack_bytes: dict[Place, int] = {}
        self.map_calls: set[tuple[Place, int]] = set()
        self._function = Place(0, 0)
        self._returns: dict[tuple[Place, tuple[Value, ...]], tuple[Value, ...]] = {}
        self._steps = 0

    def function(self, entry: Place, arguments: tuple[Value, ...], depth: int) -> tuple[Value, ...]:
        """Walks one function; the values that R0 may hold at its exits."""
        key = entry, arguments
        if key in self._returns:
            return self._returns[key]
        self._returns[key] = (None,)  # for a function that calls itself
        caller, self._function = self._function, entry
        registers = (None, *arguments[:5], *(None,) * 4, Pointer("stack"), *(None,) * 5)  # 11 to 15 are no registers
        seen: dict[int, list[_State]] = {}
        todo: list[tuple[int, _State]] = [(entry.number, _State(registers, ()))]
        returns: list[Value] = []
        insns = self.code.insns.get(entry.section, [])
        while todo:
            index, state = todo.pop()
            while 0 <= index < len(insns):
                held = _join(seen.setdefault(index, []), state)
                if held is None:
                    break
                state = held
                self._steps += 1
                if self._steps > _STEPS_MAX:
                    raise TooLarge
                place = Place(entry.section, index)
                self.reached.add(place)
                following = self._step(place, insns[index], state, depth)
                if not following:
                    value = state.registers[0]
                    if value not in returns:
                        returns.append(value)
                    break
                todo += following[1:]
                index, state = following[0]
        found = tuple(returns) if 0 < len(returns) <= _RETURNS_MAX else (None,)
        if any(isinstance(value, Pointer) and value.base == "stack" for value in found):
            found = (None,)
        self._returns[key] = found
        self._function = caller
        return found

    def _step(self, place: Place, insn: Insn, state: _State, depth: int) -> list[tuple[int, _State]]:
        """The states after one instruction; none at an exit."""
        kind, here = insn.code & 7, place.number
        if kind in (5, 6):
            return self._jump(place, insn, state, depth)
        registers = list(state.registers)
        stack = state.stack
        if insn.code == 0x18:
            if place in self.code.addresses:
                self.callbacks.append(self.code.addresses[place])
                registers[insn.dst] = SOMEWHERE
            else:
                registers[insn.dst] = insn.value
            return [(here + 2, _State(tuple(registers), stack))]
        if kind in (4, 7):
            registers[insn.dst] = _compute(insn, registers, kind == 7)
        elif kind == 1:
            registers[insn.dst] = self._load(insn, registers[insn.src], stack)
        elif kind in (2, 3):
            self._uses_stack(registers[insn.dst], insn.off)
            stack = _store(insn, registers, stack)
        else:  # legacy packet loads
            registers[0] = None
            registers[1:6] = (None,) * 5
        return [(here + 1, _State(tuple(registers), stack))]

    def _load(self, insn: Insn, address: Value, stack: tuple[tuple[int, int, int | Pointer], ...]) -> Value:
        size = _SIZES[insn.code & 0x18]
        is_signed = insn.code & 0xE0 == 0x80
        if not isinstance(address, Pointer) or insn.code & 0xE0 not in (0x60, 0x80):
            return None
        offset = address.offset + insn.off
        if address.base == "context":
            self.context_bytes = max(self.context_bytes, offset + size)
            self.context_words.add(offset // 8)
        if address.base == "stack":
            self._uses_stack(address, insn.off)
            for begin, length, value in stack:
                if begin == offset and length == size:
                    if isinstance(value, Pointer):
                        return value
                    return _sign(value, size * 8) if is_signed else value
            return None
        if address.base == "data":
            held = self.code.data.get(address.section)
            if held is not None and offset >= 0 and offset + size <= len(held):
                value = int.from_bytes(held[offset : offset + size], "little")
                return _sign(value, size * 8) if is_signed else value
        return None

    def _uses_stack(self, address: Value, offset: int) -> None:
        if isinstance(address, Pointer) and address.base == "stack":
            used = -(address.offset + offset)
            if used > self.stack_bytes.get(self._function, 0):
                self.stack_bytes[self._function] = used

    def _jump(self, place: Place, insn: Insn, state: _State, depth: int) -> list[tuple[int, _State]]:
        here, operation = place.number, insn.code & 0xF0
        if insn.code in (0x05, 0x06):
            return [(here + 1 + (insn.imm if insn.code == 0x06 else insn.off), state)]
        if operation == 0x90:
            return []
        if operation == 0x80:
            return self._call(place, insn, state, depth)
        if operation == 0xE0:  # may_goto
            return [(here + 1, state), (here + 1 + insn.off, state)]
        left = state.registers[insn.dst]
        right: Value = state.registers[insn.src] if insn.code & 8 else insn.imm & _MASK64
        is_wide = insn.code & 7 == 5
        taken = _is_taken(operation, left, right, is_wide)
        if taken is not None:
            return [(here + 1 + (insn.off if taken else 0), state)]
        on_jump = on_fall = state
        if is_wide and isinstance(right, int):
            if operation == 0x10:
                on_jump = _learn(state, insn.dst, right)
            elif operation == 0x50:
                on_fall = _learn(state, insn.dst, right)
        return [(here + 1, on_fall), (here + 1 + insn.off, on_jump)]

    def _call(self, place: Place, insn: Insn, state: _State, depth: int) -> list[tuple[int, _State]]:
        registers = list(state.registers)
        stack = state.stack
        results: tuple[Value, ...] = (None,)
        if insn.src == _PSEUDO_CALL:
            target = self.code.targets.get(place, Place(place.section, place.number + 1 + insn.imm))
            self.calls.add((self._function, target))
            if target in self.code.global_functions:
                self.callbacks.append(target)
            elif depth + 1 < _DEPTH_MAX and target.section in self.code.insns:
                arguments = tuple(_outside(value) for value in registers[1:6])
                results = self.function(target, arguments, depth + 1)
            if any(_is_stack(value) for value in registers[1:6]):
                stack = ()
        else:
            if not insn.src:
                given = (value for value in registers[1:3] if isinstance(value, Pointer) and value.base == "map")
                self.map_calls.update((place, value.section) for value in given)
            lowest = min((value.offset for value in registers[1:6] if _is_stack(value)), default=0)  # type: ignore[union-attr]
            if lowest < 0:
                stack = tuple(slot for slot in stack if slot[0] + slot[1] <= lowest)
        registers[1:6] = (None,) * 5
        found = []
        for result in results:
            registers[0] = result
            found.append((place.number + 1, _State(tuple(registers), stack)))
        return found


def _is_stack(value: Value) -> bool:
    return isinstance(value, Pointer) and value.base == "stack"


def _outside(value: Value) -> Value:
    """An argument as the called function sees it: another frame's stack is memory of unknown contents."""
    return SOMEWHERE if _is_stack(value) else value


def _learn(state: _State, register: int, value: int) -> _State:
    registers = list(state.registers)
    if registers[register] is None:
        registers[register] = value
    return state._replace(registers=tuple(registers))


def _join(seen: list[_State], state: _State) -> _State | None:
    """The state to go on with; None if a state seen here covers it."""
    for other in seen:
        if _covers(other, state):
            return None
    if len(seen) >= _STATES_MAX:
        joined = seen[-1]
        registers = tuple(a if a == b else None for a, b in zip(joined.registers, state.registers, strict=True))
        state = _State(registers, tuple(slot for slot in state.stack if slot in joined.stack))
        seen[-1] = state
        return state
    seen.append(state)
    return state


def _covers(wide: _State, narrow: _State) -> bool:
    if wide.registers is not narrow.registers:
        for a, b in zip(wide.registers, narrow.registers, strict=True):
            if a is not None and a is not b and a != b:
                return False
    if not wide.stack or wide.stack is narrow.stack:
        return True
    return len(wide.stack) <= len(narrow.stack) and set(wide.stack).issubset(narrow.stack)


def _store(
    insn: Insn, registers: list[Value], stack: tuple[tuple[int, int, int | Pointer], ...]
) -> tuple[tuple[int, int, int | Pointer], ...]:
    address = registers[insn.dst]
    size = _SIZES[insn.code & 0x18]
    is_atomic = insn.code & 0xE0 == 0xC0
    value: Value = insn.imm & _MASK64 if insn.code & 7 == 2 else registers[insn.src]
    if is_atomic:
        value = None
        if insn.imm & 1:  # BPF_FETCH
            registers[0 if insn.imm == 0xF1 else insn.src] = None
        elif insn.imm == 0x100:  # load-acquire
            registers[insn.dst] = None
    if not isinstance(address, Pointer) or address.base != "stack":
        return stack
    begin = address.offset + insn.off
    kept = tuple(slot for slot in stack if slot[0] + slot[1] <= begin or slot[0] >= begin + size)
    if value is None:
        return kept
    if isinstance(value, int):
        value &= (1 << (size * 8)) - 1
    elif size != 8:
        return kept
    return tuple(sorted((*kept, (begin, size, value)), key=lambda slot: slot[:2]))


def _sign(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return (value - (1 << bits)) & _MASK64 if value >> (bits - 1) else value


def _compute(insn: Insn, registers: list[Value], is_wide: bool) -> Value:
    """ALU and ALU64 of constants; addresses of the stack and of data plus constants."""
    operation = insn.code & 0xF0
    left = registers[insn.dst]
    right: Value = registers[insn.src] if insn.code & 8 else insn.imm & _MASK64
    if operation == 0xB0:
        if insn.off and insn.code & 8:
            if insn.off not in (8, 16, 32) or not isinstance(right, int):
                return None
            moved = _sign(right, insn.off)
            return moved if is_wide else moved & _MASK32
        if isinstance(right, int):
            return right if is_wide else right & _MASK32
        return right if is_wide and insn.off == 0 else None
    if operation == 0x80:
        return None if not isinstance(left, int) else _cut(-left, is_wide)
    if operation == 0xD0:
        return _swap(insn, left, is_wide)
    if isinstance(left, Pointer) and isinstance(right, int) and is_wide and operation in (0x00, 0x10):
        if left.base == "object":
            return SOMEWHERE
        change = right - (1 << 64) if right >> 63 else right
        return left._replace(offset=left.offset + (change if operation == 0 else -change))
    if not isinstance(left, int) or not isinstance(right, int):
        same = insn.code & 8 and insn.src == insn.dst and operation in (0xA0, 0x10)
        return 0 if same and left is not None else None
    if not is_wide:
        left, right = left & _MASK32, right & _MASK32
    return _arithmetic(operation, left, right, is_wide, bool(insn.off))


def _cut(value: int, is_wide: bool) -> int:
    return value & (_MASK64 if is_wide else _MASK32)


def _arithmetic(operation: int, left: int, right: int, is_wide: bool, is_signed: bool) -> Value:
    bits = 64 if is_wide else 32
    shift = right & (bits - 1)
    if operation in (0x30, 0x90):
        if is_signed:
            return None
        if operation == 0x30:
            return _cut(left // right, is_wide) if right else 0
        return _cut(left % right, is_wide) if right else left
    if operation == 0xC0:
        return _cut(_sign(left, bits) >> shift if not left >> (bits - 1) else (left - (1 << bits)) >> shift, is_wide)
    results = {
        0x00: left + right,
        0x10: left - right,
        0x20: left * right,
        0x40: left | right,
        0x50: left & right,
        0x60: left << shift,
        0x70: left >> shift,
        0xA0: left ^ right,
    }
    value = results.get(operation)
    return None if value is None else _cut(value, is_wide)


def _swap(insn: Insn, left: Value, is_wide: bool) -> Value:
    if not isinstance(left, int) or insn.imm not in (16, 32, 64):
        return None
    size = insn.imm // 8
    value = left & ((1 << insn.imm) - 1)
    if is_wide or insn.code & 8:  # bswap, or to big-endian on a little-endian machine
        return int.from_bytes(value.to_bytes(size, "little"), "big")
    return value


def _is_taken(operation: int, left: Value, right: Value, is_wide: bool) -> bool | None:
    """Whether a conditional jump is taken, where both sides are known."""
    if isinstance(left, Pointer) or isinstance(right, Pointer):
        other = right if isinstance(left, Pointer) else left
        if other == 0 and is_wide and operation in (0x10, 0x50):
            return operation == 0x50
        return None
    if left is None or right is None:
        return None
    bits = 64 if is_wide else 32
    a, b = left & ((1 << bits) - 1), right & ((1 << bits) - 1)
    x = a - (1 << bits) if a >> (bits - 1) else a
    y = b - (1 << bits) if b >> (bits - 1) else b
    results = {
        0x10: a == b,
        0x20: a > b,
        0x30: a >= b,
        0x40: bool(a & b),
        0x50: a != b,
        0x60: x > y,
        0x70: x >= y,
        0xA0: a < b,
        0xB0: a <= b,
        0xC0: x < y,
        0xD0: x <= y,
    }
    return results.get(operation)
