"""Which functions of other files a program calls: the slots that the loader fills, the stubs that jump through them.

x86 ELF psABI: relocations JUMP_SLOT and GLOB_DAT name a symbol of .dynsym for a slot of the GOT; a stub of .plt or
.plt.sec is `jmp *slot(%rip)`, behind endbr64 where the program is built for CET. Nothing is read of section headers.
"""

from __future__ import annotations

from struct import calcsize, iter_unpack
from struct import error as StructError

from .user_image import DYNSYM, EM_X86_64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .user_image import UserImage

_DT_RELA, _DT_RELA_BYTES, _DT_JMPREL, _DT_JMPREL_BYTES = 7, 8, 23, 2
_GLOB_DAT, _JUMP_SLOT, _IRELATIVE = 6, 7, 37
_RELOCATION_BYTES_MAX = 64 << 20
_ENDBR64 = b"\xf3\x0f\x1e\xfa"


def slots(image: UserImage) -> dict[int, str]:
    """Address of a GOT slot to the name of the function that the loader puts there; empty where nothing is told.

    x86-64 only. Names have no version.
    """
    numbers: dict[int, int] = {}
    for slot, info, _ in _relocations(image):
        if info & 0xFFFFFFFF in (_GLOB_DAT, _JUMP_SLOT):
            numbers.setdefault(slot, info >> 32)
    names = image.names_of(DYNSYM, frozenset(numbers.values()))
    return {slot: names[number] for slot, number in numbers.items() if number in names}


def resolved(image: UserImage) -> dict[int, int]:
    """Address of a slot to the address of the resolver whose answer the loader puts there (R_X86_64_IRELATIVE).

    So a file calls its own IFUNCs. x86-64 only.
    """
    return {slot: addend for slot, info, addend in _relocations(image) if info & 0xFFFFFFFF == _IRELATIVE}


def _relocations(image: UserImage) -> Iterator[tuple[int, int, int]]:
    """(r_offset, r_info, r_addend) of what the loader applies."""
    if image.machine != EM_X86_64 or not image.dynamic:
        return
    for start, size in ((_DT_JMPREL, _DT_JMPREL_BYTES), (_DT_RELA, _DT_RELA_BYTES)):
        at = image.file_offset(image.dynamic.get(start, [0])[0])
        length = min(image.dynamic.get(size, [0])[0], _RELOCATION_BYTES_MAX)
        if at is None or not length:
            continue
        shape = image.order + "QQq"
        data = bytes(image.raw[at : at + length])
        try:
            yield from iter_unpack(shape, data[: len(data) - len(data) % calcsize(shape)])
        except StructError:
            continue


def stub_slot(image: UserImage, address: int) -> int | None:
    """The slot through which the stub at an address jumps; None where no stub stands there."""
    offset = image.file_offset(address)
    if offset is None:
        return None
    code, at = image.code(offset, 16), 0
    if code.startswith(_ENDBR64):
        at = 4
    if code[at : at + 1] == b"\xf2":  # bnd
        at += 1
    if code[at : at + 2] != b"\xff\x25" or at + 6 > len(code):
        return None
    return address + at + 6 + int.from_bytes(code[at + 2 : at + 6], "little", signed=True)
