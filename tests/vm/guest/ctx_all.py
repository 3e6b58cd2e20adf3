"""In a guest: which loads and stores of its context the kernel takes from a program of each type.

ctx_all.py QUESTIONS ANSWERS: a question is `PROGRAM ATTACH TYPE-NUMBER ATTACH-NUMBER BYTES`; an answer has the two
names, read or write, the size of the access, and a letter for each offset: y it loads, n EACCES, x another refusal.
Needs nothing but Python; no BTF, no libbpf.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

PROG_LOAD, ATTR_BYTES, BPF = 5, 144, 321
SIZES = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}  # BPF_B, BPF_H, BPF_W, BPF_DW
LDX, STX, MOV, EXIT = 0x61, 0x63, 0xB7, 0x95
LICENSE = ctypes.create_string_buffer(b"GPL")
libc = ctypes.CDLL(None, use_errno=True)


def insn(code: int, registers: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, registers, offset, value)


def load(type_: int, attach: int, body: bytes, result: int) -> int:
    """0, or the errno of BPF_PROG_LOAD."""
    code = ctypes.create_string_buffer(body + insn(MOV, 0, 0, result) + insn(EXIT))
    attr = bytearray(ATTR_BYTES)
    struct.pack_into("<IIQQ", attr, 0, type_, len(body) // 8 + 2, ctypes.addressof(code), ctypes.addressof(LICENSE))
    struct.pack_into("<I", attr, 68, attach)
    raw = (ctypes.c_char * ATTR_BYTES).from_buffer(attr)
    fd = libc.syscall(BPF, PROG_LOAD, raw, ATTR_BYTES)
    if fd < 0:
        return ctypes.get_errno()
    os.close(fd)
    return 0


def answers(type_: int, attach: int, size_bytes: int):
    """Lines without names; nothing where the kernel has no such program."""
    result = next((one for one in (0, 1) if not load(type_, attach, insn(MOV, 3), one)), None)
    if result is None:
        yield f"none\t{load(type_, attach, insn(MOV, 3), 0)}\t"
        return
    for access in ("read", "write"):
        for size, bits in SIZES.items():
            letters = []
            for offset in range(size_bytes):
                if access == "read":
                    body = insn(LDX & ~0x18 | bits, 0x13, offset)
                else:
                    body = insn(MOV, 3) + insn(STX & ~0x18 | bits, 0x31, offset)
                letters.append({0: "y", 13: "n"}.get(load(type_, attach, body, result), "x"))
            yield f"{access}\t{size}\t{''.join(letters)}"


def main() -> None:
    with open(sys.argv[1]) as questions, open(sys.argv[2], "w") as out:
        for line in questions:
            program, kind, type_, attach, size_bytes = line.rstrip("\n").split("\t")
            for answer in answers(int(type_), int(attach), int(size_bytes)):
                out.write(f"{program}\t{kind}\t{answer}\n")


if __name__ == "__main__":
    main()
