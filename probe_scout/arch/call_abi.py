"""Where arguments and results are when a function of a user program is entered and left.

System V AMD64 (x86-64 psABI, 3.2.3), AAPCS64 (ARM IHI 0055, 6.8), and Go's (src/cmd/compile/abi-internal.md since 1.17,
the stack-only ABI0 before and for assembly). Stack offsets count from the stack pointer at the function's first
instruction, where on x86-64 the return address lies. None stands for what cannot be placed, and for all behind it.
"""

from __future__ import annotations

from ..model.user_type import (
    ARRAY,
    FLOAT,
    FLOAT128,
    INTEGER,
    OTHER,
    POINTER,
    STRUCT,
    VOID,
    Convention,
    Passed,
    UserType,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SYSV, AAPCS64, GO_REGISTERS, GO_STACK = "System V AMD64", "AAPCS64", "Go ABIInternal", "Go ABI0"
_SYSV_INTEGERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
_SYSV_FLOATS = tuple(f"xmm{i}" for i in range(8))
_SYSV_BY_VALUE_MAX = 16  # bytes; __m256 apart, which no leaf here has
_ARM_INTEGERS = tuple(f"x{i}" for i in range(8))
_ARM_FLOATS = tuple(f"v{i}" for i in range(8))
_ARM_BY_VALUE_MAX = 16
_HFA_MAX = 4
# Go: amd64 leaves out rdx (closure), r14 (g), r15 and rsp; arm64 r16 to r18, r26 to r30.
_GO = {
    "x86_64": (
        ("rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"),
        tuple(f"xmm{i}" for i in range(15)),
    ),
    "aarch64": (tuple(f"x{i}" for i in range(16)), tuple(f"v{i}" for i in range(16))),
}


def of_c(machine: str, parameters: Sequence[UserType], result: UserType) -> Convention | None:
    """The call of a C or C++ function. None for a machine that is not known here."""
    if machine == "x86_64":
        return _sysv(parameters, result)
    if machine == "aarch64":
        return _aapcs64(parameters, result)
    return None


def _up(value: int, align: int) -> int:
    return -(-value // align) * align


# System V AMD64


def _sysv(parameters: Sequence[UserType], result: UserType) -> Convention:
    integers, floats = list(_SYSV_INTEGERS), list(_SYSV_FLOATS)
    results: tuple[Passed | None, ...]
    hidden = ""
    if result.kind == VOID:
        results = ()
    elif result.kind == OTHER:
        results = (None,)
    else:
        hidden, results = _sysv_result(result)
        if hidden:
            integers.pop(0)
    stack, placed = 8, list[Passed | None]()
    is_lost = result.kind == OTHER  # whether rdi is taken by a hidden pointer is not known then
    for one in parameters:
        if is_lost or one.kind in (OTHER, VOID):
            is_lost = True
            placed.append(None)
            continue
        if one.by_reference:
            word = UserType(one.text, POINTER, 8)
            passed, stack = _sysv_one(word, integers, floats, stack)
            placed.append(passed._replace(is_pointed=True))
            continue
        passed, stack = _sysv_one(one, integers, floats, stack)
        placed.append(passed)
    return Convention(SYSV, tuple(placed), results, hidden)


def _sysv_result(result: UserType) -> tuple[str, tuple[Passed | None, ...]]:
    """(register of a hidden pointer or "", where the result is)."""
    if result.kind == FLOAT and result.size > 8 and result.target != FLOAT128:
        return "", (Passed(("st0",)) if result.size in (12, 16) else None,)
    if len(result.members) == 2 and result.members[0].text == result.text and result.size == 32:
        return "", (Passed(("st0", "st1")),)  # long double _Complex
    classes = _eightbytes(result)
    if result.by_reference or classes is None:
        return "rdi", (Passed(("rax",), None, True),)
    if not classes:
        return "", (Passed(),)
    integers, floats = ["rax", "rdx"], ["xmm0", "xmm1"]
    return "", (Passed(tuple((floats if one == FLOAT else integers).pop(0) for one in classes)),)


def _sysv_one(one: UserType, integers: list[str], floats: list[str], stack: int) -> tuple[Passed, int]:
    classes = _eightbytes(one)
    if classes is not None and not classes:
        return Passed(), stack  # an empty class: neither register nor stack
    if classes is not None:
        wanted = (sum(c != FLOAT for c in classes), sum(c == FLOAT for c in classes))
        if wanted[0] <= len(integers) and wanted[1] <= len(floats):
            return Passed(tuple((floats if c == FLOAT else integers).pop(0) for c in classes)), stack
    align = 16 if one.align >= 16 else 8
    stack = _up(stack - 8, align) + 8  # alignment is that of the caller's frame, before the call pushed 8 bytes
    return Passed((), stack), stack + _up(one.size, 8)


def _eightbytes(one: UserType) -> tuple[str, ...] | None:
    """INTEGER or FLOAT of each eight bytes; None for what goes to memory; () for no bytes at all."""
    if one.kind in (INTEGER, POINTER):
        return (INTEGER,) * (2 if one.size > 8 else 1)
    if one.kind == FLOAT:
        return (FLOAT,) if one.size <= 8 or one.target == FLOAT128 else None
    if not one.leaves:
        return ()
    if one.size > _SYSV_BY_VALUE_MAX or one.is_packed:
        return None
    found: list[str] = [""] * (-(-one.size // 8))
    for leaf in one.leaves:
        if leaf.kind == FLOAT and leaf.size > 8:
            return None  # x87: memory
        for at in range(leaf.offset // 8, min((leaf.offset + leaf.size - 1) // 8 + 1, len(found))):
            found[at] = INTEGER if INTEGER in (found[at], leaf.kind) else FLOAT
    return tuple(one or FLOAT for one in found)


# AAPCS64


def _aapcs64(parameters: Sequence[UserType], result: UserType) -> Convention:
    results: tuple[Passed | None, ...] = ()
    hidden = ""
    if result.kind == OTHER:
        results = (None,)
    elif result.kind != VOID:
        if result.by_reference or (_arm_indirect(result)):
            hidden, results = "x8", (Passed((), None, True),)
        else:
            passed, _, _, _ = _arm_one(result, 0, 0, 0)
            results = (passed,)
    placed: list[Passed | None] = []
    general = vector = stack = 0
    is_lost = False
    for one in parameters:
        if is_lost or one.kind in (OTHER, VOID):
            is_lost = True
            placed.append(None)
            continue
        pointed = one.by_reference or _arm_indirect(one)
        word = UserType(one.text, POINTER, 8, align=8) if pointed else one
        passed, general, vector, stack = _arm_one(word, general, vector, stack)
        placed.append(passed._replace(is_pointed=pointed))
    return Convention(AAPCS64, tuple(placed), results, hidden)


def _hfa(one: UserType) -> int:
    """How many members a homogeneous aggregate of floats has; 0 for other types."""
    if one.kind == FLOAT:
        return 1
    if one.kind not in (STRUCT, ARRAY) or not 1 <= len(one.leaves) <= _HFA_MAX:
        return 0
    first = one.leaves[0]
    return len(one.leaves) if all(leaf.kind == FLOAT and leaf.size == first.size for leaf in one.leaves) else 0


def _arm_indirect(one: UserType) -> bool:
    return one.kind == STRUCT and one.size > _ARM_BY_VALUE_MAX and not _hfa(one)


def _arm_one(one: UserType, general: int, vector: int, stack: int) -> tuple[Passed, int, int, int]:
    """(place, next general register, next vector register, next stack offset) of one argument."""
    if one.kind == STRUCT and not one.leaves:
        return Passed(), general, vector, stack  # an empty class; in C it has no size
    if count := _hfa(one):
        if vector + count <= 8:
            return Passed(_ARM_FLOATS[vector : vector + count]), general, vector + count, stack
        vector = 8
    else:
        words = max(1, -(-one.size // 8))
        if one.align >= 16:
            general = _up(general, 2)
        if general + words <= 8:
            return Passed(_ARM_INTEGERS[general : general + words]), general + words, vector, stack
        general = 8
    stack = _up(stack, 16 if one.align >= 16 else 8)
    return Passed((), stack), general, vector, stack + _up(one.size, 8)


# Go


def of_go(machine: str, parameters: Sequence[UserType], results: Sequence[UserType], registers: bool) -> Convention:
    """The call of a Go function. `registers`: ABIInternal with registers, else everything is on the stack."""
    word = 8
    files = _GO.get(machine) if registers else None
    stack = 8  # the return address on amd64, the saved link register's slot on arm64
    placed: list[Passed | None] = []
    if files is None:
        for one in parameters:
            stack = _up(stack, max(one.align, 1))
            placed.append(Passed((), stack) if one.kind != OTHER else None)
            stack += one.size
        stack = _up(stack, word)
        returned: list[Passed | None] = []
        for one in results:
            stack = _up(stack, max(one.align, 1))
            returned.append(Passed((), stack) if one.kind != OTHER else None)
            stack += one.size
        return Convention(GO_STACK, tuple(placed), tuple(returned))
    placed, stack = _go_row(parameters, files, stack)
    returned, _ = _go_row(results, files, _up(stack, word))
    return Convention(GO_REGISTERS, tuple(placed), tuple(returned))


def _go_row(
    types: Sequence[UserType], files: tuple[tuple[str, ...], tuple[str, ...]], stack: int
) -> tuple[list[Passed | None], int]:
    taken = [0, 0]
    placed: list[Passed | None] = []
    is_lost = False
    for one in types:
        if is_lost or one.kind == OTHER:
            is_lost = True
            placed.append(None)
            continue
        before = list(taken)
        got = _go_registers(one, files, taken)
        if got is not None:
            placed.append(Passed(tuple(got)))
            continue
        taken = before
        stack = _up(stack, max(one.align, 1))
        placed.append(Passed((), stack))
        stack += one.size
    return placed, stack


def _go_registers(one: UserType, files: tuple[tuple[str, ...], tuple[str, ...]], taken: list[int]) -> list[str] | None:
    """The registers of a value; None where it does not fit, or is an array of more than one element."""
    if one.kind in (INTEGER, POINTER, FLOAT):
        which = 1 if one.kind == FLOAT else 0
        if taken[which] >= len(files[which]):
            return None
        taken[which] += 1
        return [files[which][taken[which] - 1]]
    if one.kind == ARRAY and one.elements > 1:
        return None
    found: list[str] = []
    for member in one.members:
        part = _go_registers(member, files, taken)
        if part is None:
            return None
        found += part
    return found
