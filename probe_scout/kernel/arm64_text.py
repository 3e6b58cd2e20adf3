"""arm64's code of one symbol, word by word, as boot may have left it, and what the kernel's own tables hold there."""

from __future__ import annotations

from struct import unpack_from

from ..arch import aarch64
from ..errors import ProbeScoutError
from ..formats import code_slices
from ..formats.elf import kernel_image
from ..formats.text import kallsyms
from . import patch_sites, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..formats.text.kallsyms import SymbolTable
    from .arm64_module import ModuleFile
    from .code_store import Code

_ALTERNATIVES = ("__alt_instructions", "__alt_instructions_end")
_EXCEPTIONS = ("__start___ex_table", "__stop___ex_table")
_ALTERNATIVE_BYTES = 12  # struct alt_instr: two distances, the capability, two lengths
_EXCEPTION_BYTES = (12, 8)  # struct exception_table_entry, before and since it has a type
_CALLBACK = 0x8000  # ARM64_CB_BIT: boot computes the instructions
_NOPS = b"alt_cb_patch_nops"  # the callback of alternative_has_cap_likely and _unlikely
_AUTIASP, _SCS_POP = 0xD50323BF, 0xF85F8E5E  # what UNWIND_PATCH_PAC_INTO_SCS makes of the first
_CODE_BYTES_MAX = 4 * (aarch64.SCAN_WORDS_MAX + 1)
_NO_TABLE = (
    "the image is there, but not the list of instructions that boot replaces (__alt_instructions): kallsyms shows no "
    "symbols of data (CONFIG_KALLSYMS_ALL)"
)
Word = tuple[int, ...]


def _tables(k: Code) -> patch_sites.Arm64Tables:
    store = text._store(k)
    if store.arm64 is None:
        names = [name.encode() for name in (*_ALTERNATIVES, *_EXCEPTIONS)] + [_NOPS]
        bounds = kallsyms.SymbolTable(kallsyms.narrow(k.kallsyms() or b"", names))

        def read(symbols: SymbolTable, start: int, size_bytes: int) -> bytes | None:
            found = text.bytes_at(k, symbols, start, size_bytes)
            return found[0] if found is not None else None

        def between(names: tuple[str, str]) -> tuple[int, bytes] | None:
            first, last = (bounds.lookup(name.encode()) for name in names)
            if first is None or last is None:
                return None
            start, stop = bounds.addresses[first], bounds.addresses[last]
            raw = read(bounds, start, stop - start) if stop > start else None
            return None if raw is None else (start, raw)

        changed, faulting = between(_ALTERNATIVES), between(_EXCEPTIONS)
        store.arm64 = patch_sites.Arm64Tables(
            None if changed is None else _alternatives(bounds, *changed, read),
            None if faulting is None else _exceptions(bounds, *faulting),
            patch_sites.tables(k.kallsyms() or b"", read),
        )
    return store.arm64


def _alternatives(bounds: SymbolTable, start: int, raw: bytes, read: object) -> dict[int, Word] | None:
    """arch/arm64/kernel/alternative.c __apply_alternatives; None for a table that is none."""
    if len(raw) % _ALTERNATIVE_BYTES:
        return None
    assert callable(read)
    found: dict[int, Word] = {}
    row = bounds.lookup(_NOPS)
    nops = None if row is None else bounds.addresses[row]
    for at in range(0, len(raw), _ALTERNATIVE_BYTES):
        place, other, capability, old_bytes, new_bytes = unpack_from("<iiHBB", raw, at)
        place, other = start + at + place, start + at + 4 + other
        if capability & _CALLBACK:
            new = aarch64.NOP.to_bytes(4, "little") * (old_bytes // 4) if other == nops else None
        else:
            new = read(bounds, other, new_bytes) if new_bytes == old_bytes else None
        for offset in range(0, old_bytes, aarch64.WORD_BYTES):
            known = found.get(place + offset)
            if new is None or len(new) < offset + 4 or known == ():
                found[place + offset] = ()
            else:
                found[place + offset] = (*(known or ()), int.from_bytes(new[offset : offset + 4], "little"))
    return found


def _exceptions(bounds: SymbolTable, start: int, raw: bytes) -> frozenset[int] | None:
    for size in _EXCEPTION_BYTES:
        at = kernel_image.relative_sites(raw, start, size) if len(raw) % size == 0 else ()
        if at and patch_sites.in_text(bounds, at) >= 0.99 * len(at):
            return frozenset(at)
    return None


def words(k: Code, symbols: SymbolTable, row: int, offset_bytes: int) -> tuple[Word, ...]:
    """What each instruction of a symbol may be, up to the one at an offset; () for one that is not told.

    Words too far in front for the rule of exclusive loads are left out as (). No words at all where there is no code.
    """
    first = max(0, offset_bytes + 4 - _CODE_BYTES_MAX)
    start = symbols.addresses[row] + first
    found = text.bytes_at(k, symbols, start, offset_bytes + 4 - first, in_image=symbols.modules[row] is None)
    before: tuple[Word, ...] = ((),) * (first // 4)
    if found is None or len(found[0]) < offset_bytes + 4 - first:
        of_file = _in_module(k, symbols, row)
        if of_file is None:
            return ()
        file, (section, begin) = of_file
        got = [file.word((section, begin + at)) for at in range(first, offset_bytes + 4, aarch64.WORD_BYTES)]
        return (*before, *(_may_pop(k, word) for word in got))
    raw, running = found
    plain = unpack_from(f"<{len(raw) // 4}I", raw)
    if running:
        return (*before, *((word,) for word in plain))
    changed = _tables(k).alternatives
    if changed is None:
        text._store(k).why = _NO_TABLE
        return ()
    made: list[Word] = []
    for at, word in enumerate(plain):
        more: Word | None = changed.get(start + 4 * at)
        if more == ():
            made.append(())
            continue
        made.append(_may_pop(k, (word, *(more or ()))))
    return (*before, *made)


def _may_pop(k: Code, word: Word) -> Word:
    """With what boot makes of AUTIASP where the kernel may use shadow call stacks instead (scs_patch)."""
    is_signed_only = word[:1] != (_AUTIASP,) or k.option("CONFIG_UNWIND_PATCH_PAC_INTO_SCS") is False
    return word if is_signed_only else (*word, _SCS_POP)


def _in_module(k: Code, symbols: SymbolTable, row: int) -> tuple[ModuleFile, tuple[int, int]] | None:
    """The file of a symbol's module and where the symbol lies in it; None where it is not told."""
    module = symbols.modules[row]
    if module is None or symbols.hidden:
        return None
    file = _file_of(k, module.decode())
    places = file.places.get(symbols.names[row].decode("utf-8", "replace"), ()) if file is not None else ()
    return (file, places[0]) if file is not None and len(places) == 1 else None


def _file_of(k: Code, module: str) -> ModuleFile | None:
    from . import arm64_module, modules

    store = text._store(k)
    if module not in store.arm64_modules:
        store.arm64_modules[module] = None
        store.why = f"the file of module {module} below lib/modules/{k.release()} could not be read"
        try:
            for path, raw in modules.files(k, module):
                file = arm64_module.ModuleFile(kernel_image.unpack(raw, path), path)
                running = modules.build_id(k, module)
                if running and file.build_id() != running:
                    store.why = f"{path} is of another build than the module that is loaded"
                else:
                    store.arm64_modules[module] = file
        except ProbeScoutError as error:
            store.why = str(error)
    return store.arm64_modules[module]


def reserved(k: Code, symbols: SymbolTable, row: int, offset_bytes: int) -> str | None:
    """What holds the address: bug, jump_label, extable, "" for nothing; None where a table could not be read."""
    if symbols.modules[row] is not None:
        of_file = _in_module(k, symbols, row)
        return None if of_file is None else of_file[0].reserved((of_file[1][0], of_file[1][1] + offset_bytes))
    if symbols.hidden:
        return None
    found, address = _tables(k), symbols.addresses[row] + offset_bytes
    if found.sites is not None and address in found.sites.bug:
        return "bug"
    if found.sites is not None and address in found.sites.jump_label:
        return "jump_label"
    if found.exceptions is not None and address in found.exceptions:
        return "extable"
    return "" if found.sites is not None and found.exceptions is not None else None


def first(k: Code, symbols: SymbolTable, row: int) -> str | None:
    """What kprobes make of a symbol's first instruction: "" fine, "bug", "rejected"; None if it is not told."""
    one = text.slice_of(k, symbols, row)
    found: tuple[Word, ...]
    if one is not None and code_slices.is_running(one) and len(one.code) >= aarch64.WORD_BYTES:
        found, held = ((int.from_bytes(one.code[: aarch64.WORD_BYTES], "little"),),), code_slices.reserved_site(one)
    else:
        found, held = words(k, symbols, row, 0), reserved(k, symbols, row, 0)
    if not found or not found[0] or aarch64.KPROBE_BREAKPOINT in found[0]:
        return None
    if held:
        return "bug" if held != "extable" else "rejected"
    said = {aarch64.judge_word(word) for word in found[0]}
    if said == {aarch64.REFUSED}:
        return "rejected"
    may_be_listed = held is None and any(aarch64.may_be_jump_label(one) or aarch64.may_fault(one) for one in found[0])
    return "" if said == {aarch64.ACCEPTED} and not may_be_listed else None
