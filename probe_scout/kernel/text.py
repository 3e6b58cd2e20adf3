"""Where an answer hangs on an instruction: fetch the code, from whatever source has it.

In this order: the slices inside a snapshot (`code/slices`), a vmlinux or vmlinuz named by the user, the
running kernel's own text in /proc/kcore, the image in /boot. Nothing is read unless a question needs it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from .. import arch as machines
from ..errors import ProbeScoutError, SourceError, UsageError
from .code_store import SLICES as SLICES
from .code_store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..formats.code_slices import Slice
    from ..formats.elf.kernel_image import KernelImage
    from ..formats.text.filter_functions import Ambiguous
    from ..formats.text.kallsyms import SymbolTable
    from .code_store import Code

_WINDOW_BYTES = 16
_CHUNK_BYTES = 1 << 20
_BREAKPOINT = b"\xcc"
_BODY_BYTES_MAX = 4096  # of a function that is read whole
_INIT_BYTES_MAX = 1 << 20  # of one module's init text
_ENDBR_BYTES = 4


def _store(k: Code) -> Store:
    if k.code_store is None:
        k.code_store = Store(k)
    return k.code_store


def image_of(k: Code) -> KernelImage | None:
    """The kernel's uncompressed ELF image: named, or of this build in /boot; None where there is none."""
    from ..formats.elf.kernel_image import KernelImage

    image = _store(k).open_image(k)
    return image if isinstance(image, KernelImage) else None


def image_bytes(k: Code) -> bytes | None:
    """The bytes that `image_of` opens, before they are looked at."""
    return next((raw for _, raw in _store(k).image_bytes(k)), None)


def is_live(k: Code) -> bool:
    """Whether this is the machine itself, whose memory proc/kcore may show."""
    return _store(k).live


def slice_of(k: Code, symbols: SymbolTable, row: int) -> Slice | None:
    """The recorded slice of this very symbol: same module, name and, in vmlinux, same distance from _stext.

    Of a module of a kernel that was not booted, its file's.
    """
    store = _store(k)
    symbol = symbols.symbol(row)
    found = store.slices_of(symbol.module, symbol.name)
    if symbol.module is not None and _has_module_files(k):
        found = (_of_module(k, symbol.module) or {}).get(symbol.name, ())
    if symbol.module is None:
        offset = symbol.address - symbols.limits.get(b"_stext", 0)
        found = tuple(one for one in found if one.offset == offset)
    elif len(found) > 1:
        # Copies in one section lie as far apart in memory as in the file.
        places = [
            symbols.addresses[r] for r in symbols.rows(symbols.names[row]) if symbols.modules[r] == symbols.modules[row]
        ]
        shifts = {place - one.offset for place, one in zip(sorted(places), found, strict=False)}
        if len(places) == len(found) and len(shifts) == 1:
            found = tuple(one for one in found if one.offset == symbol.address - min(shifts))
    return found[0] if len(found) == 1 else None


def text(k: Code, symbols: SymbolTable, row: int, size_bytes: int) -> tuple[bytes, bool] | None:
    """The first bytes of a symbol and whether they are the running kernel's own; None if no source has them."""
    symbol = symbols.symbol(row)
    return bytes_at(k, symbols, symbol.address, size_bytes, in_image=symbol.module is None)


def bytes_at(
    k: Code, symbols: SymbolTable, address: int, size_bytes: int, in_image: bool = True
) -> tuple[bytes, bool] | None:
    """As `text`, for a runtime address; `in_image` False leaves the image aside (modules are not in it)."""
    store = _store(k)
    if store.live and address:
        from ..sources import kcore

        try:
            return kcore.read_text("/proc/kcore", address, size_bytes), True
        except ProbeScoutError as error:
            store.why = str(error)
    image = store.open_image(k) if in_image else None
    if image is not None and not symbols.hidden:
        found = image.text_at(address - symbols.limits.get(b"_stext", 0) + image.link_base, size_bytes)
        if found:
            return found, False
    return None


def reserved_word(k: Code, symbols: SymbolTable, row: int, offset_bytes: int, raw: bytes) -> str | None:
    """Which of the kernel's tables holds this byte of a function: bug, jump_label, static_call, "" for none.

    `raw` is the function's code from its first byte. None where the tables cannot be read; for modules they are
    read from the module's file, and only for a function's first instruction.
    """
    if symbols.hidden:
        return None
    if symbols.modules[row] is not None:
        return _module_word(k, symbols, row, offset_bytes, raw)
    from . import patch_sites as reserved

    def read(bounds: SymbolTable, start: int, size_bytes: int) -> bytes | None:
        found = bytes_at(k, bounds, start, size_bytes)
        return found[0] if found is not None else None

    store = _store(k)
    if not store.tables_tried:
        store.tables_tried = True
        store.tables = reserved.tables(k.kallsyms() or b"", read)
    if store.tables is None:
        return None
    return reserved.word_at(store.tables, symbols.addresses[row], offset_bytes, raw)


def _module_word(k: Code, symbols: SymbolTable, row: int, offset_bytes: int, raw: bytes) -> str | None:
    """As `reserved_word`, from the tables of a loaded module's file; None where there is none, or it is another build.

    A file of the same build agrees with the running code up to the first operand, which relocation fills in.
    """
    from ..arch import x86_64
    from ..formats import code_slices

    if offset_bytes != x86_64.entry_offset(raw):
        return None
    symbol = symbols.symbol(row)
    assert symbol.module is not None
    words = set()
    for one in (_of_module(k, symbol.module) or {}).get(symbol.name, ()):
        if one.code[: offset_bytes + 1] == raw[: offset_bytes + 1] or _is_patched(one.code, raw, offset_bytes):
            words.add(code_slices.reserved_site(one))
    return words.pop() if len(words) == 1 else None


def _is_patched(file: bytes, running: bytes, at: int) -> bool:
    """The same instruction before and after boot or a user switched it: a jump label, a static call."""
    from ..arch import x86_64
    from ..model import instruction as kinds

    both = [x86_64.first_instruction(code[at:]).kind for code in (file, running)]
    return file[:at] == running[:at] and all(kind in kinds.PATCHABLE for kind in both)


def _is_of_image(k: Code) -> bool:
    """The kernel was not booted: its modules are files, laid out where no boot put them."""
    return k.source.describe().basis == "image"


def _has_module_files(k: Code) -> bool:
    """Code of modules comes from their files. Of arm64 it is not read (formats/code_slices)."""
    return _is_of_image(k) and k.arch() == "x86_64"


def _of_module(k: Code, module: str) -> dict[str, tuple[Slice, ...]] | None:
    """As `_slices_of_module`, read once."""
    store = _store(k)
    if module not in store.modules:
        store.modules[module] = _slices_of_module(k, module)
    return store.modules[module]


def _slices_of_module(k: Code, module: str) -> dict[str, tuple[Slice, ...]] | None:
    """The slices that the file of one loaded module gives, by name; None where it cannot be read."""
    from . import module_text, modules

    view = k.full()
    if view is None:
        return None
    found: dict[str, tuple[Slice, ...]] = {}
    try:
        for one in module_text.module_slices(modules.files(k, module), view):
            found[one.name] = (*found.get(one.name, ()), one)
    except ProbeScoutError as error:
        _store(k).why = str(error)
        return None
    if not found and next(modules.files(k, module), None) is None:
        _store(k).why = f"the file of module {module} below lib/modules/{k.release()} could not be read"
        return None
    return found


def cure(k: Code) -> str:
    """What would bring the code: nothing that was tried already, and no image whose code is not decoded."""
    if k.arch() == "aarch64" and k.image is None and k.has_symbol("__alt_instructions"):
        return "name the kernel's image with --vmlinux, or ask the kernel itself: probe-scout verify, as root"
    if k.arch() != "x86_64":
        return "ask the kernel itself: probe-scout verify, on the machine as root"
    if not _store(k).live:
        return (
            "name the kernel's image with --vmlinux, ask on the machine itself as root, "
            "or take the snapshot with --with-code"
        )
    import os

    if os.geteuid() == 0:
        return "name the kernel's image with --vmlinux; for a module, make its file below /lib/modules readable"
    return "name the kernel's image with --vmlinux, or ask as root"


def first(k: Code, symbols: SymbolTable, row: int) -> str | None:
    """What kprobes make of a symbol's first instruction: "" fine, "bug", "int", "indirect"; None if it is not told."""
    if k.arch() != "x86_64":
        return None
    from ..arch import x86_64
    from ..formats import code_slices
    from ..model import instruction as kinds

    one = slice_of(k, symbols, row)
    if one is not None:
        raw, running, site = one.code, code_slices.is_running(one), code_slices.reserved_site(one)
    else:
        found = text(k, symbols, row, _WINDOW_BYTES)
        if found is None:
            return None
        raw, running = found
        site = None
    # arch_adjust_kprobe_addr steps over ENDBR. Then the kernel's order: check_kprobe_address_safe with its tables
    # (EINVAL), can_probe (EILSEQ), prepare_emulation (EOPNOTSUPP). A UD that no table holds is taken for a BUG of a
    # table not read.
    entry = x86_64.entry_offset(raw)
    kind = x86_64.entry_instruction(raw).kind
    if running and raw[entry : entry + 1] == _BREAKPOINT:
        return None  # somebody's kprobe, perhaps; the kernel knows what it stands for
    if site is None and kind in kinds.PATCHABLE:
        site = reserved_word(k, symbols, row, entry, raw)
    if site:
        return "bug"
    if kind == kinds.UD:
        return "bug"
    if kind == kinds.INT:
        return "int"
    if kind in (kinds.FAR, kinds.IRET):
        return "indirect"
    if kind in (kinds.INDIRECT, kinds.VMX):
        return "indirect" if running else None  # boot turns paravirt calls into other instructions
    if kind == kinds.TRUNCATED or (site is None and kind in kinds.PATCHABLE):
        return None
    return ""


def holds_byte(k: Code, name: str, byte: int) -> bool | None:
    """An instruction of this function of vmlinux has the byte as its operand; None where its code is not all read."""
    if k.arch() not in ("x86_64", "aarch64"):
        return None
    view = k.view((name.encode(),))
    rows = [row for row in view.symbols.rows(name.encode()) if view.symbols.modules[row] is None] if view else []
    if view is None or len(rows) != 1 or view.symbols.hidden:
        return None
    from ..arch import aarch64, x86_64
    from ..formats import code_slices

    symbols = view.symbols
    if k.arch() == "aarch64":  # what boot changes there, atomics and barriers, moves no constant
        start, end = symbols.extent(rows[0])
        found = text(k, symbols, rows[0], end - start) if end - start <= _BODY_BYTES_MAX else None
        return aarch64.has_constant(found[0], byte) if found is not None and len(found[0]) == end - start else None
    one = slice_of(k, symbols, rows[0])
    if one is not None and name in code_slices.WHOLE and len(one.code) > _WINDOW_BYTES:
        return x86_64.has_operand(one.code, byte)
    start, end = symbols.extent(rows[0])
    found = text(k, symbols, rows[0], end - start) if end - start <= _BODY_BYTES_MAX else None
    return x86_64.has_operand(found[0], byte) if found is not None and len(found[0]) == end - start else None


def compares_with(k: Code, name: str, numbers: tuple[int, ...]) -> bool | None:
    """This function of vmlinux compares with one of these 32-bit numbers; None where its code is not all read."""
    if k.arch() != "x86_64":
        return None
    view = k.view((name.encode(),))
    rows = [row for row in view.symbols.rows(name.encode()) if view.symbols.modules[row] is None] if view else []
    if view is None or len(rows) != 1 or view.symbols.hidden:
        return None
    from ..arch import x86_64

    start, end = view.symbols.extent(rows[0])
    found = text(k, view.symbols, rows[0], end - start) if end - start <= _BODY_BYTES_MAX else None
    return x86_64.compares_with(found[0], numbers) if found is not None and len(found[0]) == end - start else None


def holds_site(k: Code, symbols: SymbolTable, address: int, records: Sequence[Ambiguous]) -> bool | None:
    """The symbol that starts at `address` has one of the sites in question; None if code does not tell.

    A site is a five-byte no-op, or a call where it is in use or the image was not prepared (arch/x86/kernel/ftrace.c).
    """
    if k.arch() != "x86_64":
        return None
    answers = []
    for ambiguous in records:
        mine = _calls_at(k, symbols, address, ambiguous.offset)
        if mine is None:
            return None
        fitting = [_calls_at(k, symbols, start, ambiguous.offset) for start in ambiguous.starts] if mine else []
        sure = None not in fitting and fitting.count(True) <= ambiguous.lines
        answers.append(False if not mine else True if sure else None)
    return True if True in answers else None if None in answers else False


def _calls_at(k: Code, symbols: SymbolTable, start: int, offset: int) -> bool | None:
    from ..arch import x86_64

    row = next(iter(symbols.rows_at(start)), None)
    one = slice_of(k, symbols, row) if row is not None else None
    raw = one.code if one is not None else b""
    if len(raw) < offset + x86_64.SITE_BYTES:
        found = bytes_at(k, symbols, start, offset + 2 * x86_64.SITE_BYTES)
        if found is None:
            return None
        raw = found[0]
    at = offset or x86_64.entry_offset(raw)
    return x86_64.is_site(raw[at : at + x86_64.SITE_BYTES])


def entry_is_patched(k: Code, symbols: SymbolTable, row: int) -> bool | None:
    """The entry holds the five-byte no-op that a trampoline looks for where ftrace has no site.

    None if only the running code tells, and without any code: a jump label at the entry is such a no-op, as in
    __pkru_allows_pkey of 6.19 and random_get_entropy of 7.3. Slices hold every entry that can be one.
    """
    if k.arch() != "x86_64":
        return False if machines.row(k.arch()).pokes_bpf_only else None
    if symbols.hidden:
        return None  # the code cannot be found without addresses
    from ..arch import x86_64
    from ..model import instruction as kinds

    store = _store(k)
    found = text(k, symbols, row, _WINDOW_BYTES) if store.live or k.image is not None else None
    kind = x86_64.entry_instruction(found[0]).kind if found is not None else ""
    if found is not None and found[1]:
        return x86_64.may_be_nop5(kind, (), True)
    one = slice_of(k, symbols, row)
    if one is None:
        module = symbols.modules[row]
        if store.slices or (module is not None and _has_module_files(k) and _of_module(k, module.decode()) is not None):
            return False
        return None if found is None or kind in (kinds.NOP5, kinds.JUMP) else False
    running = "running" in one.sites
    return x86_64.may_be_nop5(x86_64.entry_instruction(one.code).kind, one.sites, running)


def sliced_names(k: Code) -> frozenset[str]:
    """Names in the snapshot's code slices, of whatever owner."""
    return frozenset(name for _, name in _store(k).slices or ())


def slices_for_snapshot(k: Code) -> bytes:
    """The member code/slices of a new snapshot, from the kernel's image, else from its running text.

    Raises UsageError where there is neither, and for an architecture whose code is not recorded.
    """
    from . import module_text, modules

    if k.arch() not in ("x86_64", "unknown"):
        raise UsageError(f"code of {k.arch()} is not recorded: take the snapshot without --with-code")
    image: module_text.Image | None = _store(k).open_image(k)
    reader = running_reader(k)
    if image is None and reader is not None and k.stext():
        running = RunningText(k.stext(), reader)
        if running.text_at(k.stext(), _WINDOW_BYTES) is not None:
            image = running
    return module_text.of_kernel(k, image, modules.files(k), reader, _stale_slices(k))


def stale_bug(k: Code, symbols: SymbolTable, row: int) -> bool:
    """A module's function begins where another module's init text, freed since, had a BUG or WARN.

    The bug table of a module keeps the entries of its init text (lib/bug.c module_find_bug). Told by a snapshot's
    slices, else by sys/module/*/sections/.init.text and the modules' files, of the machine itself or below a root; else
    False: see stale_bugs_are_told.
    """
    module, name = symbols.modules[row], symbols.names[row].decode("utf-8", "replace")
    if module is None or symbols.hidden:
        return False
    store = _store(k)
    if store.has_slices:
        return (module.decode(), name) in store.stale
    address = symbols.addresses[row]
    bases = _init_bases(k)
    first, last = bisect_left(bases, (address - _INIT_BYTES_MAX, "")), bisect_right(bases, (address, "~"))
    for base, other in bases[first:last]:
        if other.encode() != module and _init_bugs(k, other) & {address - base, address - base + _ENDBR_BYTES}:
            return True
    return False


def stale_bugs(k: Code, symbols: SymbolTable, rows: Sequence[int]) -> set[int]:
    """Those rows of one module's functions that are a `stale_bug`."""
    if not stale_bugs_are_told(k):
        return set()
    return {row for row in rows if stale_bug(k, symbols, row)}


def stale_bugs_are_told(k: Code) -> bool:
    """Where the init text of modules lay can be known: not of a kernel that was not booted, as boot decides it."""
    store = _store(k)
    if _is_of_image(k):
        return False
    from . import modules

    return store.has_slices or (bool(_init_bases(k)) and modules.paths(k) is not None)


def _init_bases(k: Code) -> list[tuple[int, str]]:
    """Where each loaded module's init text was, by address; what cannot be read is left out."""
    store = _store(k)
    if store.init_bases is None:
        store.init_bases = []
        try:
            modules = k.source.names("sys/module")
        except SourceError:
            modules = ()
        for module in modules:
            try:
                text = k.source.read(f"sys/module/{module}/sections/.init.text")
                store.init_bases.append((int(text, 16), module))
            except (SourceError, ValueError):
                continue
        store.init_bases.sort()
    return store.init_bases


def _init_bugs(k: Code, module: str) -> frozenset[int]:
    store = _store(k)
    if module not in store.init_bugs:
        from . import module_text, modules

        try:
            store.init_bugs[module] = module_text.init_bugs(modules.files(k, module))
        except ProbeScoutError:
            store.init_bugs[module] = frozenset()
    return store.init_bugs[module]


def _stale_slices(k: Code) -> Iterator[Slice]:
    """A slice for each function of a module that a stale entry of another module's bug table reserves."""
    from ..formats import code_slices

    view = k.full()
    if view is None or not _store(k).live:
        return
    symbols = view.symbols
    for row in range(symbols.vmlinux_count, len(symbols.names)):
        if symbols.letter(row) in "tTwW" and stale_bug(k, symbols, row):
            module, name = symbols.modules[row] or b"", symbols.names[row].decode()
            yield code_slices.Slice(module.decode(), name, 0, b"", (code_slices.STALE,))


class RunningText:
    """The running kernel's text, asked as an image is: where there is no image, or none that can be unpacked.

    `link_base` is the runtime address of _stext. Reads whole chunks and keeps them.
    """

    is_running = True

    def __init__(self, stext: int, read: Callable[[int, int], bytes | None]) -> None:
        self.link_base, self._read = stext, read
        self._chunks: dict[int, bytes | None] = {}

    def text_at(self, address: int, size: int) -> bytes | None:
        """The bytes at a runtime address; None where they cannot be read."""
        first = address - address % _CHUNK_BYTES
        if address + size > first + _CHUNK_BYTES:
            return self._read(address, size)
        if first not in self._chunks:
            self._chunks[first] = self._read(first, _CHUNK_BYTES)
        chunk = self._chunks[first]
        return self._read(address, size) if chunk is None else chunk[address - first : address - first + size]

    def sites(self, start: int, stop: int, entry_bytes: int) -> tuple[int, ...]:
        """Addresses that a table of relative entries points to (KernelImage.sites)."""
        from ..formats.elf.kernel_image import relative_sites

        raw = self.text_at(start, stop - start) if stop > start else None
        return relative_sites(raw or b"", start, entry_bytes)


def running_reader(k: Code) -> Callable[[int, int], bytes | None] | None:
    """Reads running code by runtime address and size in bytes; None for what is not this machine."""
    if not _store(k).live:
        return None
    from ..sources import kcore

    def read(address: int, size_bytes: int) -> bytes | None:
        try:
            return kcore.read_text("/proc/kcore", address, size_bytes)
        except SourceError:
            return None

    return read
