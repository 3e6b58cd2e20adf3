"""In a guest: which helpers the verifier lets programs call at a place, by its words.

calls_all.py QUESTIONS ANSWERS: a question is `LABEL TYPE ATTACH BTF-ID FLAGS`; an answer has the label, the helper's
number and a word: yes, type, place, sleeps, or load with the errno where no program loads there at all. The call comes
first and hands over whatever is in the registers: what is refused for that is allowed.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

PROG_LOAD, ATTR_BYTES, BPF, LOG_BYTES = 5, 144, 321, 1 << 16
CALL, MOV, EXIT = 0x85, 0xB7, 0x95
WORDS = (
    (b"not allowed in probe", "place"),
    (b"cannot use helper", "type"),
    (b"unknown func", "type"),
    (b"invalid func", "absent"),
    (b"might sleep in a non-sleepable", "sleeps"),
    (b"sleepable helper", "sleeps"),
)
LICENSE = ctypes.create_string_buffer(b"GPL")
LOG = ctypes.create_string_buffer(LOG_BYTES)
libc = ctypes.CDLL(None, use_errno=True)


def insn(code: int, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, 0, 0, value)


def load(type_: int, attach: int, btf_id: int, flags: int, body: bytes) -> tuple[int, bytes]:
    """errno and the verifier's log."""
    code = ctypes.create_string_buffer(body + insn(MOV) + insn(EXIT))
    attr = bytearray(ATTR_BYTES)
    struct.pack_into("<IIQQ", attr, 0, type_, len(body) // 8 + 2, ctypes.addressof(code), ctypes.addressof(LICENSE))
    struct.pack_into("<IIQ", attr, 24, 1, LOG_BYTES, ctypes.addressof(LOG))
    struct.pack_into("<I", attr, 44, flags)
    struct.pack_into("<I", attr, 68, attach)
    struct.pack_into("<I", attr, 108, btf_id)
    LOG[0] = b"\0"
    fd = libc.syscall(BPF, PROG_LOAD, (ctypes.c_char * ATTR_BYTES).from_buffer(attr), ATTR_BYTES)
    if fd < 0:
        return ctypes.get_errno(), LOG.value
    os.close(fd)
    return 0, LOG.value


def main() -> None:
    last = int(sys.argv[3])
    with open(sys.argv[1]) as questions, open(sys.argv[2], "w") as out:
        for line in questions:
            label, *numbers = line.rstrip("\n").split("\t")
            place = [int(one) for one in numbers]
            bare, log = load(*place, b"")
            if bare:
                out.write(f"{label}\t0\tload {bare} {log[:80]!r}\n")
                continue
            for helper in range(1, last + 1):
                _, log = load(*place, insn(CALL, helper))
                word = next((word for words, word in WORDS if words in log), "yes")
                out.write(f"{label}\t{helper}\t{word}\n")


if __name__ == "__main__":
    main()
