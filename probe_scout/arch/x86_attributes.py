"""The bits of an attribute in x86_opcodes.py, after the kernel's arch/x86/include/asm/inat.h."""

from __future__ import annotations

# Bits 0-4 a prefix's number: 1 66, 2 F3, 3 F2, 4 LOCK, 5 CS, 6 DS, 7 ES, 8 FS, 9 GS, 10 SS, 11 67, 12 REX, 13 VEX2,
# 14 VEX3, 15 EVEX, 16 REX2, 17 XOP. Bits 5-6 an escape table, 7-11 a group, 12-14 an immediate.
PREFIX, ESCAPE, GROUP, IMMEDIATE = 0x1F, 0x60, 0xF80, 0x7000
MODRM = 1 << 15
FORCE64 = 1 << 16  # operands of 8 bytes in 64-bit code
SECOND_IMMEDIATE = 1 << 17
MOFFSET = 1 << 18
VARIANT = 1 << 19  # another attribute behind 66, F3 or F2
VEX_OK = 1 << 20  # VEX, EVEX or XOP may stand before it
VEX_ONLY = 1 << 21
EVEX_ONLY = 1 << 22
NO_REX2 = 1 << 23
REX2_VARIANT = 1 << 24
EVEX_SCALABLE = 1 << 25
INVALID64 = 1 << 26


def prefix(number: int) -> int:
    """The attribute of a prefix byte."""
    return number


def escape(number: int) -> int:
    """The attribute of a byte that leads to another table."""
    return number << 5


def group(number: int) -> int:
    """The attribute of an opcode that a ModRM byte completes."""
    return number << 7


def immediate(number: int) -> int:
    """The attribute of an immediate: 1 byte, 2 word, 3 dword, 4 qword, 5 pointer, 6 word or dword, 7 by operand."""
    return number << 12
