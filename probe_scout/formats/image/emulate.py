"""Runs short functions of an x86-64 kernel image: switches and tables that decide what no data shows.

Which helpers a program type may call is the switch of its get_func_proto; for which program types a set of kfuncs is
registered are the arguments of calls in init functions. Such functions compare, jump and return. This interpreter knows
the instructions that they are made of and gives up on every other: `GaveUp` then says where, and the answer stays
unknown. Calls are not followed unless the caller says so. capstone decodes.
"""

from __future__ import annotations

from ...arch.x86_64 import decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MASKS = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF, 8: (1 << 64) - 1}
_STEPS_MAX = 20_000
_POINTER_BYTES = 8
_KERNEL = 1 << 63
_STACK = 0x7FFF_0000_0000
_RETURN = 0x6666_0000
_NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
# What called functions are taken to return, where they return pointers, and what this CPU's variables point to: zeros,
# unless written.
SCRATCH, SCRATCH_BYTES = 0x4000_0000, 1 << 20
ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")


class GaveUp(Exception):
    """The function does something that is not run here."""


class Machine:
    """Registers, flags and written memory over the image's own. `call` is asked for every call: the value it returns
    in rax, or None to follow it; of jumps as well, where `is_function` says that a function begins there. Reads of
    addresses that nothing tells give up."""

    def __init__(
        self,
        code: Callable[[int, int], bytes | None],
        call: Callable[[Machine, int], int | None],
        is_function: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._code, self._call, self._is_function = code, call, is_function
        self._blocks: dict[int, Any] = {}
        self._reader: Any = None
        self.registers: dict[str, int] = {}
        self.memory: dict[int, int] = {}
        self.site = 0  # the instruction that calls, while `call` is asked
        self._flags = (0, 0, 8)  # left, right and size of the last comparison, as a subtraction
        self._flag_kind = "sub"

    def run(self, address: int, *arguments: int, memory: dict[int, int] | None = None) -> int:
        """What the function returns in rax. Raises GaveUp."""
        self.registers = dict.fromkeys(_NAMES, 0)
        self.registers["rsp"] = _STACK
        self.registers.update(zip(ARGUMENTS, arguments, strict=False))
        self.memory = dict(memory or {})
        self._push(_RETURN)
        at = address
        for _ in range(_STEPS_MAX):
            if at == _RETURN:
                return self.registers["rax"]
            at = self._step(at)
        raise GaveUp(f"more than {_STEPS_MAX} instructions from {address:#x}")

    # Decoding.

    def _instruction(self, at: int) -> Any:
        found = self._blocks.get(at)
        if found is None:
            if self._reader is None:
                self._reader = decoder()
                self._reader.detail = True
            raw = self._code(at, 16)
            found = next(self._reader.disasm(raw, at, 1), None) if raw else None
            if found is None:
                raise GaveUp(f"no instruction at {at:#x}")
            found = (
                found.mnemonic.removeprefix("lock "),
                tuple(map(_operand, found.operands, [found] * 4)),
                at + found.size,
            )
            self._blocks[at] = found
        return found

    # One instruction.

    def _step(self, at: int) -> int:
        name: str
        following: int
        name, operands, following = self._instruction(at)
        if name in ("nop", "endbr64", "endbr32", "notrack", "pause", "lfence"):
            return following
        if name == "ret":
            return self._pop()
        if name == "jmp":
            target = self._target(operands[0])
            self.site = at
            result = self._call(self, target) if self._is_function(target) else None
            if result is None:
                return target
            self.registers["rax"] = result  # a call in tail position
            return self._pop()
        if name[0] == "j":
            return int(operands[0][1]) if self._holds(name[1:]) else following
        if name == "call":
            target = self._target(operands[0])
            self.site = at
            result = self._call(self, target)
            if result is not None:
                self.registers["rax"] = result
                return following
            self._push(following)
            return target
        method = getattr(self, f"_do_{name}", None)
        if method is not None:
            method(operands)
        elif name.startswith("cmov"):
            if self._holds(name[4:]):
                self._write(operands[0], self._read(operands[1]))
            elif operands[0][2] == 4:
                self._write(operands[0], self._read(operands[0]))
        elif name.startswith("set"):
            self._write(operands[0], int(self._holds(name[3:])))
        else:
            raise GaveUp(f"{name} at {at:#x}")
        return following

    def _target(self, operand: tuple[Any, ...]) -> int:
        return int(operand[1]) if operand[0] == "imm" else self._read(operand)

    def _holds(self, condition: str) -> bool:
        left, right, size = self._flags
        bits = 8 * size
        mask = _MASKS[size]
        a, b = left & mask, right & mask
        x = a - (1 << bits) if a >> (bits - 1) else a
        y = b - (1 << bits) if b >> (bits - 1) else b
        if self._flag_kind == "carry":  # bt: the carry flag alone
            if condition in ("b", "c", "nae"):
                return bool(left)
            if condition in ("ae", "nc", "nb"):
                return not left
            raise GaveUp(f"condition {condition} after bt")
        results: dict[str, bool] = {
            "e": a == b, "z": a == b, "ne": a != b, "nz": a != b,
            "b": a < b, "c": a < b, "nae": a < b, "ae": a >= b, "nb": a >= b, "nc": a >= b,
            "be": a <= b, "na": a <= b, "a": a > b, "nbe": a > b,
            "l": x < y, "nge": x < y, "ge": x >= y, "nl": x >= y, "le": x <= y, "ng": x <= y, "g": x > y, "nle": x > y,
            "s": bool((a - b) & mask & (1 << (bits - 1))), "ns": not (a - b) & mask & (1 << (bits - 1)),
        }  # fmt: skip
        if condition not in results:
            raise GaveUp(f"condition {condition}")
        return results[condition]

    # Operands: ("reg", name, size), ("imm", value, size), ("mem", base, index, scale, displacement, size, segment).

    def _address(self, operand: tuple[Any, ...]) -> int:
        _, base, index, scale, displacement, _, _ = operand
        address = displacement
        if base:
            address += self.registers[base]
        if index:
            address += self.registers[index] * scale
        return int(address & _MASKS[8])

    def _read(self, operand: tuple[Any, ...]) -> int:
        if operand[0] == "imm":
            return int(operand[1] & _MASKS[operand[2]])
        if operand[0] == "reg":
            return self._register(operand[1], operand[2])
        if operand[6]:  # of the running CPU: the task, the stack's guard
            return SCRATCH if operand[5] == _POINTER_BYTES else 0
        return self._load(self._address(operand), operand[5])

    def _register(self, name: str, size: int) -> int:
        if name.endswith("h") and len(name) == 2 and name[0] in "abcd":
            return self.registers[_wide(name[0] + "l")] >> 8 & 0xFF
        return self.registers[_wide(name)] & _MASKS[size]

    def load(self, address: int, size: int) -> int:
        """The number in memory, for who answers a call."""
        return self._load(address, size)

    def _load(self, address: int, size: int) -> int:
        if any(address + step in self.memory for step in range(size)):
            value = 0
            for step in range(size):
                byte = self.memory.get(address + step)
                if byte is None:
                    byte = self._outside(address + step, 1)
                value |= byte << 8 * step
            return value
        return self._outside(address, size)

    def _outside(self, address: int, size: int) -> int:
        if SCRATCH <= address < SCRATCH + SCRATCH_BYTES:
            return 0
        raw = self._code(address, size) if address >= _KERNEL else None  # a null pointer, or per-CPU data linked at 0
        if raw is None:
            raise GaveUp(f"memory at {address:#x} is not in the image")
        return int.from_bytes(raw, "little")

    def _write(self, operand: tuple[Any, ...], value: int) -> None:
        if operand[0] == "reg":
            name, size = operand[1], operand[2]
            if name.endswith("h") and len(name) == 2 and name[0] in "abcd":
                raise GaveUp("a write to the second byte of a register")
            wide = _wide(name)
            kept = self.registers[wide] & ~_MASKS[size] if size < 4 else 0
            self.registers[wide] = kept | value & _MASKS[size]
            return
        if operand[6]:
            return
        self._store(self._address(operand), value, operand[5])

    def _store(self, address: int, value: int, size: int) -> None:
        for step in range(size):
            self.memory[address + step] = value >> 8 * step & 0xFF

    def _push(self, value: int) -> None:
        self.registers["rsp"] -= 8
        self._store(self.registers["rsp"], value, 8)

    def _pop(self) -> int:
        value = self._load(self.registers["rsp"], 8)
        self.registers["rsp"] += 8
        return value

    def _compare(self, left: int, right: int, size: int, kind: str = "sub") -> None:
        self._flags, self._flag_kind = (left, right, size), kind

    # Instructions by name.

    def _do_mov(self, operands: tuple[Any, ...]) -> None:
        self._write(operands[0], self._read(operands[1]))

    _do_movabs = _do_mov

    def _do_movzx(self, operands: tuple[Any, ...]) -> None:
        self._write(operands[0], self._read(operands[1]))

    def _do_movsx(self, operands: tuple[Any, ...]) -> None:
        value, bits = self._read(operands[1]), 8 * _size(operands[1])
        self._write(operands[0], value - (1 << bits) if value >> (bits - 1) else value)

    _do_movsxd = _do_movsx

    def _do_lea(self, operands: tuple[Any, ...]) -> None:
        self._write(operands[0], self._address(operands[1]))

    def _do_push(self, operands: tuple[Any, ...]) -> None:
        self._push(self._read(operands[0]))

    def _do_pop(self, operands: tuple[Any, ...]) -> None:
        self._write(operands[0], self._pop())

    def _do_cmp(self, operands: tuple[Any, ...]) -> None:
        size = _size(operands[0])
        self._compare(self._read(operands[0]), self._sized(operands[1], size), size)

    def _do_test(self, operands: tuple[Any, ...]) -> None:
        size = _size(operands[0])
        self._compare(self._read(operands[0]) & self._sized(operands[1], size), 0, size)

    def _sized(self, operand: tuple[Any, ...], size: int) -> int:
        return self._read(operand) & _MASKS[size] if operand[0] != "imm" else int(operand[1]) & _MASKS[size]

    def _calculate(self, operands: tuple[Any, ...], compute: Callable[[int, int], int], by_zero: bool = True) -> None:
        size = _size(operands[0])
        left, right = self._read(operands[0]), self._sized(operands[1], size)
        value = compute(left, right) & _MASKS[size]
        self._write(operands[0], value)
        if by_zero:
            self._compare(value, 0, size)
        else:
            self._compare(left, right, size)

    def _do_sub(self, operands: tuple[Any, ...]) -> None:
        self._calculate(operands, int.__sub__, by_zero=False)

    def _do_add(self, operands: tuple[Any, ...]) -> None:
        self._calculate(operands, int.__add__)

    def _do_and(self, operands: tuple[Any, ...]) -> None:
        self._calculate(operands, int.__and__)

    def _do_or(self, operands: tuple[Any, ...]) -> None:
        self._calculate(operands, int.__or__)

    def _do_xor(self, operands: tuple[Any, ...]) -> None:
        self._calculate(operands, int.__xor__)

    def _do_imul(self, operands: tuple[Any, ...]) -> None:
        if len(operands) == 1:
            raise GaveUp("imul of one operand")
        factors = operands[1:] if len(operands) == 3 else operands
        size = _size(operands[0])
        self._write(operands[0], _signed(self._read(factors[0]), size) * _signed(self._sized(factors[1], size), size))

    def _do_inc(self, operands: tuple[Any, ...]) -> None:
        self._calculate((*operands, ("imm", 1, 8)), int.__add__)

    def _do_dec(self, operands: tuple[Any, ...]) -> None:
        self._calculate((*operands, ("imm", 1, 8)), int.__sub__)

    def _do_not(self, operands: tuple[Any, ...]) -> None:
        self._write(operands[0], ~self._read(operands[0]))

    def _do_neg(self, operands: tuple[Any, ...]) -> None:
        size, value = _size(operands[0]), self._read(operands[0])
        self._write(operands[0], -value)
        self._compare(0, value, size)

    def _shift(self, operands: tuple[Any, ...], compute: Callable[[int, int], int]) -> None:
        size = _size(operands[0])
        count = (self._read(operands[1]) if len(operands) > 1 else 1) & (63 if size == 8 else 31)
        if count:
            value = compute(self._read(operands[0]), count) & _MASKS[size]
            self._write(operands[0], value)
            self._compare(value, 0, size)

    def _do_shl(self, operands: tuple[Any, ...]) -> None:
        self._shift(operands, int.__lshift__)

    _do_sal = _do_shl

    def _do_shr(self, operands: tuple[Any, ...]) -> None:
        self._shift(operands, int.__rshift__)

    def _do_sar(self, operands: tuple[Any, ...]) -> None:
        size = _size(operands[0])
        self._shift(operands, lambda value, count: _signed(value, size) >> count)

    def _do_bt(self, operands: tuple[Any, ...]) -> None:
        if operands[0][0] != "reg":
            raise GaveUp("bt of memory")
        size = _size(operands[0])
        self._compare(self._read(operands[0]) >> (self._read(operands[1]) % (8 * size)) & 1, 0, size, "carry")

    def _do_sbb(self, operands: tuple[Any, ...]) -> None:
        borrow = int(self._holds("b"))
        size = _size(operands[0])
        self._write(operands[0], self._read(operands[0]) - self._sized(operands[1], size) - borrow)

    def _do_cdqe(self, _: tuple[Any, ...]) -> None:
        self.registers["rax"] = _signed(self.registers["rax"] & _MASKS[4], 4) & _MASKS[8]

    def _do_cdq(self, _: tuple[Any, ...]) -> None:
        self._write(("reg", "edx", 4), -(self.registers["rax"] >> 31 & 1))

    def _do_cmpxchg(self, operands: tuple[Any, ...]) -> None:
        size = _size(operands[0])
        name = {8: "rax", 4: "eax"}.get(size)
        if name is None:
            raise GaveUp("cmpxchg of bytes")
        old, expected = self._read(operands[0]), self.registers["rax"] & _MASKS[size]
        if old == expected:
            self._write(operands[0], self._read(operands[1]))
        else:
            self._write(("reg", name, size), old)
        self._compare(expected, old, size)

    def _do_cqo(self, _: tuple[Any, ...]) -> None:
        self.registers["rdx"] = -(self.registers["rax"] >> 63 & 1) & _MASKS[8]

    def _do_div(self, operands: tuple[Any, ...]) -> None:
        self._divide(operands[0], lambda value, _: value)

    def _do_idiv(self, operands: tuple[Any, ...]) -> None:
        self._divide(operands[0], _signed)

    def _divide(self, operand: tuple[Any, ...], read: Callable[[int, int], int]) -> None:
        """rdx:rax by the operand: the quotient, rounded towards zero, to rax and the rest to rdx."""
        size = _size(operand)
        low, high = self.registers["rax"] & _MASKS[size], self.registers["rdx"] & _MASKS[size]
        dividend, divisor = read(high << 8 * size | low, 2 * size), read(self._read(operand), size)
        if size < 4 or not divisor:
            raise GaveUp("a division of bytes or by zero")
        quotient = abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)
        self._write(("reg", "rax" if size == 8 else "eax", size), quotient)
        self._write(("reg", "rdx" if size == 8 else "edx", size), dividend - quotient * divisor)

    def _do_leave(self, _: tuple[Any, ...]) -> None:
        self.registers["rsp"] = self.registers["rbp"]
        self.registers["rbp"] = self._pop()


class Watching(Machine):
    """Gives up where a watched number is used for anything but being moved whole and handed to a call.

    What such a run returns is the same for every number that the answers to its calls do not tell apart.
    """

    watched, watched_at = -1, 0  # a number of 4 bytes, and where it lies in memory

    def _step(self, at: int) -> int:
        name, operands, _ = self._instruction(at)
        if name not in _MOVES and name[0] != "j" and name != "call":
            for operand in operands:
                if operand[0] != "mem" and self._read(operand) & _MASKS[4] == self.watched:
                    raise GaveUp(f"{name} of what is watched at {at:#x}")
                if operand[0] == "mem" and not operand[6] and self._overlaps(self._address(operand), operand[5]):
                    raise GaveUp(f"{name} of what is watched at {at:#x}")
        return super()._step(at)

    def _address(self, operand: tuple[Any, ...]) -> int:
        for register in operand[1:3]:
            if register and self.registers[_wide(register)] & _MASKS[4] == self.watched:
                raise GaveUp("an address by what is watched")
        return super()._address(operand)

    def _register(self, name: str, size: int) -> int:
        if (
            size < 4
            and self.registers[_wide(name if len(name) > 2 or name[1] != "h" else f"{name[0]}l")] & _MASKS[4]
            == self.watched
        ):
            raise GaveUp("a part of what is watched")
        return super()._register(name, size)

    def _load(self, address: int, size: int) -> int:
        if self._overlaps(address, size) and (address, size) != (self.watched_at, 4):
            raise GaveUp("a part of what is watched")
        return super()._load(address, size)

    def _overlaps(self, address: int, size: int) -> bool:
        return address < self.watched_at + 4 and self.watched_at < address + size


_MOVES = frozenset(("mov", "movabs", "push", "pop", "lea", "nop", "ret", "endbr64", "movsxd"))


def _size(operand: tuple[Any, ...]) -> int:
    return int(operand[5] if operand[0] == "mem" else operand[2])


def _signed(value: int, size: int) -> int:
    value &= (1 << 8 * size) - 1
    return value - (1 << 8 * size) if value >> (8 * size - 1) else value


def _operand(operand: Any, instruction: Any) -> tuple[Any, ...]:
    """capstone's operand as a plain tuple; rip is resolved."""
    name = instruction.reg_name
    if operand.type == 1:
        return "reg", name(operand.reg), operand.size
    if operand.type == 2:
        return "imm", operand.imm & _MASKS[8], operand.size
    memory = operand.mem
    base = name(memory.base) if memory.base else ""
    displacement = memory.disp
    if base == "rip":
        base, displacement = "", displacement + instruction.address + instruction.size
    index = name(memory.index) if memory.index else ""
    segment = name(memory.segment) if memory.segment else ""
    return "mem", base, index, memory.scale, displacement, operand.size, segment if segment in ("gs", "fs") else ""


_WIDE: dict[str, str] = {}


def _wide(name: str) -> str:
    if not _WIDE:
        for wide in _NAMES[8:]:
            _WIDE.update({wide: wide, f"{wide}d": wide, f"{wide}w": wide, f"{wide}b": wide})
        for letter in "abcd":
            _WIDE.update(
                {
                    f"r{letter}x": f"r{letter}x",
                    f"e{letter}x": f"r{letter}x",
                    f"{letter}x": f"r{letter}x",
                    f"{letter}l": f"r{letter}x",
                }
            )
        for short in ("sp", "bp", "si", "di"):
            _WIDE.update(
                {f"r{short}": f"r{short}", f"e{short}": f"r{short}", short: f"r{short}", f"{short}l": f"r{short}"}
            )
    found = _WIDE.get(name)
    if found is None:
        raise GaveUp(f"register {name}")
    return found
