"""arm64's code of one module's symbols out of its file, and what the file's tables hold there.

Relocation fills operands in and changes no kind of instruction (arch/arm64/kernel/module.c: ADRP may become ADR or a
branch, and kprobes simulate all three). Boot's alternatives are those of the module's own table.
"""

from __future__ import annotations

from struct import unpack_from

from ..arch import aarch64
from ..formats.elf import kernel_image
from ..formats.elf import notes as elf_notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    Place = tuple[int, int]  # section index, offset in it
    Word = tuple[int, ...]

_ALTERNATIVE_BYTES = 12  # struct alt_instr
_CALLBACK = 0x8000  # ARM64_CB_BIT
_NOPS = "alt_cb_patch_nops"  # the callback of alternative_has_cap_likely and _unlikely
_JUMP_ENTRY_BYTES = 16


class ModuleFile:
    """One unpacked .ko: code by symbol and offset. Raises Malformed for what is no module."""

    def __init__(self, raw: bytes, path: str) -> None:
        self._raw, self._path = raw, path
        self._headers = kernel_image.sections(raw, path)
        self.places = kernel_image.module_places(raw, path)
        self._bugs = kernel_image.module_sites(raw, "__bug_table", path=path)
        self._labels = kernel_image.module_sites(raw, "__jump_table", _JUMP_ENTRY_BYTES, path)
        # Each entry has the instruction's address, then that of the fixup; its size has changed (5.16).
        faulting = kernel_image.module_pointers(raw, "__ex_table", path)
        self._faulting = frozenset(faulting[at] for at in sorted(faulting)[::2])
        self._changed = self._alternatives()

    def build_id(self) -> str:
        """As the running kernel shows it in sys/module; "" if the file has none."""
        for header in self._headers:
            if header.name == ".note.gnu.build-id":
                return elf_notes.build_id(self._raw[header.offset : header.offset + header.size], self._path) or ""
        return ""

    def word(self, place: Place) -> Word:
        """What may stand at a place: the file's word, and those that boot may put there; () if that is not told."""
        word = self._plain(place)
        more = self._changed.get(place)
        return () if word is None or more == () else (word, *(more or ()))

    def reserved(self, place: Place) -> str:
        """What holds the address: bug, jump_label, extable, "" for nothing."""
        if place in self._bugs:
            return "bug"
        if place in self._labels:
            return "jump_label"
        return "extable" if place in self._faulting else ""

    def _plain(self, place: Place) -> int | None:
        section, offset = place
        header = self._headers[section]
        at = header.offset + offset
        if not 0 <= offset <= header.size - aarch64.WORD_BYTES or at + aarch64.WORD_BYTES > len(self._raw):
            return None
        return int.from_bytes(self._raw[at : at + aarch64.WORD_BYTES], "little")

    def _alternatives(self) -> dict[Place, Word]:
        """arch/arm64/kernel/alternative.c apply_alternatives_module; () where boot computes the instructions."""
        pointers = kernel_image.module_pointers(self._raw, ".altinstructions", self._path)
        callbacks = kernel_image.module_imports(self._raw, ".altinstructions", self._path)
        header = next((one for one in self._headers if one.name == ".altinstructions"), None)
        found: dict[Place, Word] = {}
        if header is None or header.offset + header.size > len(self._raw):
            return found
        for at in range(0, header.size - _ALTERNATIVE_BYTES + 1, _ALTERNATIVE_BYTES):
            capability, old_bytes, new_bytes = unpack_from("<HBB", self._raw, header.offset + at + 8)
            place, other = pointers.get(at), pointers.get(at + 4)
            if place is None:
                continue
            is_known = other is not None and not capability & _CALLBACK and new_bytes == old_bytes
            for offset in range(0, old_bytes, aarch64.WORD_BYTES):
                here = place[0], place[1] + offset
                known = found.get(here)
                new = self._plain((other[0], other[1] + offset)) if is_known and other is not None else None
                if capability & _CALLBACK and callbacks.get(at + 4) == _NOPS:
                    new = aarch64.NOP
                found[here] = () if new is None or known == () else (*(known or ()), new)
        return found
