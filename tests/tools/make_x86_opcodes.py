"""Makes arch/x86_opcodes.py: what a kernel's decoder knows of each x86 opcode, from its map of opcodes.

    python -m tests.tools.make_x86_opcodes LINUX/arch/x86/lib/x86-opcode-map.txt > probe_scout/arch/x86_opcodes.py

The map's grammar is described at its head; arch/x86/tools/gen-insn-attr-x86.awk of the kernel reads the same file.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

from probe_scout.arch import x86_attributes as attributes

_PREFIXES = {
    "Operand-Size": 1,
    "REPNE": 3,
    "REP/REPE": 2,
    "XACQUIRE": 3,
    "XRELEASE": 2,
    "LOCK": 4,
    "SEG=CS": 5,
    "SEG=DS": 6,
    "SEG=ES": 7,
    "SEG=FS": 8,
    "SEG=GS": 9,
    "SEG=SS": 10,
    "Address-Size": 11,
    "VEX+1byte": 13,
    "VEX+2byte": 14,
    "EVEX": 15,
    "REX2": 16,
    "XOP": 17,
}
_IMMEDIATES = {
    "Ib": 1,
    "Jb": 1,
    "Iw": 2,
    "Id": 3,
    "Iq": 4,
    "Ap": 5,
    "Iz": 6,
    "Jz": 6,
    "Iv": 7,
    "Lx": 1,
    "Lo": 1,
}
_MODRM = re.compile(r"([CDEGMNPQRSUVW/][a-z]+|NTA|T[012])")
_IMMEDIATE = re.compile(r"[IJAOL][a-z]")
_BY_PREFIX = (  # superscript to the table of the last prefix: 66, F3, F2
    (1, re.compile(r"\((66|!F3)\)")),
    (2, re.compile(r"\(F3\)")),
    (3, re.compile(r"\((F2|!F3|66&F2)\)")),
)
_ANY_PREFIX = re.compile(r"\((66|F2|F3)\)")


class Map:
    """The tables of one map: (kind, number, last prefix) to opcode to attribute."""

    def __init__(self, text: str) -> None:
        self.tables: dict[str, dict[int, int]] = defaultdict(dict)
        self.escapes: dict[str, int] = {}
        self.groups: dict[str, int] = {}
        self._names: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines()):
            self._line(line.split(), number)

    def _line(self, words: list[str], number: int) -> None:
        if not words:
            return
        head = words[0]
        if head == "Table:":
            self._names = ()
        elif head == "Referrer:" and len(words) > 1:
            self._names += (f"escape{self.escapes[''.join(words[1:])]}",)
        elif head == "AVXcode:":
            self._names += (f"vex{words[1]}",) if len(words) > 1 else ()
            self._names = self._names or ("primary",)
        elif head == "XOPcode:" and len(words) > 1:
            self._names = (f"xop{words[1]}",)
        elif head == "GrpTable:":
            self._names = (f"group{self.groups[words[1]]}",)
        elif re.fullmatch(r"[0-9a-f]+:", head) and number and len(words) > 1:
            self._opcode(int(head[:-1], 16), words)

    def _put(self, last_prefix: int, opcode: int, flags: int) -> None:
        for name in self._names:
            table = self.tables[f"{name}.{last_prefix}"]
            table[opcode] = table.get(opcode, 0) | flags

    def _opcode(self, opcode: int, words: list[str]) -> None:
        if words[1] == "escape":
            name = "".join(words[3:])
            self.escapes[name] = len(self.escapes) + 1
            self._put(0, opcode, attributes.escape(self.escapes[name]))
            return
        whole, varies, at = " ".join(words), False, 1
        while at < len(words):
            mnemonic, operands, superscript = words[at], "", ""
            at += 1
            if at < len(words) and re.match(r"[A-Za-z/]", words[at]):
                operands = words[at]
                at += 1
            if at < len(words) and words[at].startswith("("):
                superscript = words[at]
                at += 1
            at += at < len(words) and words[at] == "|"
            flags = self._operands(operands) | self._superscript(mnemonic, superscript, whole)
            if not flags:
                continue
            for last_prefix, sign in _BY_PREFIX:
                if sign.search(superscript):
                    self._put(last_prefix, opcode, flags)
                    varies = True
            if "(REX2)" in superscript:
                self._put(0, opcode, attributes.REX2_VARIANT)
            if not _ANY_PREFIX.search(superscript):
                self._put(0, opcode, flags)
        if varies:
            self._put(0, opcode, attributes.VARIANT)

    def _operands(self, operands: str) -> int:
        flags = immediate = 0
        for operand in operands.split(",") if operands else ():
            if _IMMEDIATE.match(operand):
                if operand in ("Ob", "Ov"):
                    flags |= attributes.MOFFSET
                elif immediate:
                    flags |= attributes.SECOND_IMMEDIATE
                else:
                    immediate = attributes.immediate(_IMMEDIATES[operand])
            elif _MODRM.match(operand):
                flags |= attributes.MODRM
        return flags | immediate

    def _superscript(self, mnemonic: str, superscript: str, line: str) -> int:
        flags = 0
        if mnemonic.startswith("Grp"):
            number = self.groups.setdefault(mnemonic, len(self.groups) + 1)
            flags |= attributes.group(number) | attributes.MODRM
        if re.search(r"\([df]64\)", superscript):
            flags |= attributes.FORCE64
        if "(i64)" in superscript and "(o64)" not in line:
            flags |= attributes.INVALID64
        if "(!REX2)" in superscript:
            flags |= attributes.NO_REX2
        if re.match(r"REX(\.[XRWB]+)+|REX$", mnemonic):
            flags |= attributes.prefix(12)
        if mnemonic.startswith("ESC"):
            flags |= attributes.MODRM
        if "(ev)" in superscript:
            flags |= attributes.VEX_OK | attributes.EVEX_ONLY
        elif "(es)" in superscript:
            flags |= attributes.VEX_OK | attributes.EVEX_ONLY | attributes.EVEX_SCALABLE
        elif "(v)" in superscript:
            flags |= attributes.VEX_OK | attributes.VEX_ONLY
        elif "(v1)" in superscript or mnemonic[0] in "vk" or "(xop)" in superscript or self._names[0][:3] == "xop":
            flags |= attributes.VEX_OK
        if "(Prefix)" in superscript:
            flags |= attributes.prefix(_PREFIXES[mnemonic])
        return flags


def ranges(numbers: list[int]) -> str:
    """Sorted numbers as "00-0f 21"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return " ".join(f"{a:02x}" if a == b else f"{a:02x}-{b:02x}" for a, b in found)


def module(text: str) -> str:
    """The source of arch/x86_opcodes.py."""
    tables = Map(text).tables
    lines = [
        '"""What the kernel\'s decoder knows of each opcode. Made by tests/tools/make_x86_opcodes.py; do not edit.',
        "",
        "A table a part of the opcode space: primary, escape1 (0f), escape2 (0f 38), escape3 (0f 3a), vexN, xopN,",
        "groupN, behind the dot the last prefix (0 none, 1 66, 2 F3, 3 F2). In a table, attribute to opcodes,",
        "all hexadecimal; the bits of an attribute are those of x86_attributes.py.",
        '"""',
        "",
        "TABLES = {",
    ]
    for name in sorted(tables):
        by_attribute: dict[int, list[int]] = defaultdict(list)
        for opcode, attribute in sorted(tables[name].items()):
            by_attribute[attribute].append(opcode)
        lines.append(f'    "{name}": """')
        for attribute, opcodes in sorted(by_attribute.items()):
            lines += _rows(f"{attribute:x}:", ranges(opcodes).split())
        lines.append('""",')
    return "\n".join([*lines, "}", ""])


def _rows(head: str, words: list[str]) -> list[str]:
    rows = [head]
    for word in words:
        if len(rows[-1]) + 1 + len(word) > 110:
            rows.append(head)
        rows[-1] += " " + word
    return rows


if __name__ == "__main__":
    sys.stdout.write(module(Path(sys.argv[1]).read_text(encoding="utf-8")))
