"""Make a snapshot's code/slices: the first bytes of the functions whose answer hangs on them.

Those are text symbols that ftrace does not list and that carry a compiler's suffix (.cold, .part, .isra,
.constprop) or begin with a five-byte jump or no-op, and those that one line of ftrace's list may mean. One function
is kept whole (code_slices.WHOLE). The image's own tables tell which first instructions the kernel reserves (bug
table, jump labels, static calls, alternatives).
Needs the kernel's image; code of modules comes from their files. On the machine itself, first instructions that boot
may have patched are taken from the running kernel.
"""

from __future__ import annotations

from ..arch import x86_64
from ..errors import UsageError
from ..formats import code_slices
from ..formats.elf import kernel_image
from ..formats.text import modules_dep
from ..model import instruction as kinds
from .patch_sites import TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from ..formats.text.kallsyms import SymbolTable
    from .code_store import Code
    from .symbols import View

    class Image(Protocol):
        """A kernel's text by address: of its file, or of the running kernel."""

        @property
        def link_base(self) -> int: ...
        def text_at(self, address: int, size: int) -> bytes | None: ...
        def sites(self, start: int, stop: int, entry_bytes: int) -> tuple[int, ...]: ...


SUFFIXES = (b".cold", b".part", b".isra", b".constprop")
WINDOW_BYTES = 16
AMBIGUOUS_BYTES = 16  # behind the place where a site is in doubt
WHOLE_BYTES_MAX = 4096
_BREAKPOINT = b"\xcc"
MODULE_TABLES = {  # entry sizes where an entry relocates more than one address of code
    "bug": ("__bug_table", 4),
    "jump_label": ("__jump_table", 16),
    "static_call": (".static_call_sites", 8),
    "alternative": (".altinstructions", 2),
}


def of_kernel(
    k: Code,
    image: Image | None,
    modules: Iterable[tuple[str, bytes]],
    running: Callable[[int, int], bytes | None] | None = None,
    stale: Iterable[code_slices.Slice] = (),
) -> bytes:
    """The whole member. `modules` are (file name, bytes of the .ko as it lies on disk).

    `running` reads the running kernel by address and size in bytes; without it, or where it gives None, the
    image's bytes are kept and an instruction that boot may have patched stays an unknown.

    Raises UsageError where there is no image of this kernel, or symbols and sites cannot be read.
    """
    view = k.full()
    if view is None or view.sites is None or view.symbols.hidden:
        raise UsageError("--with-code needs proc/kallsyms with addresses and available_filter_functions: run as root")
    if image is None:
        raise UsageError(
            f"--with-code needs the kernel's image, or proc/kcore: {k.code_why() or 'none in /boot'}; "
            "name an image with --vmlinux"
        )
    check_same_build(image, view)
    return code_slices.write_slices([*vmlinux_slices(image, view, running), *module_slices(modules, view), *stale])


def check_same_build(image: Image, view: View) -> None:
    """Refuses an image in which more than one in a hundred traced functions begins with no call, no-op or ENDBR.

    Raises UsageError.
    """
    symbols, sites = view.symbols, view.sites
    starts = sites.starts_of(None) if sites is not None else None
    asked = good = 0
    for start in sorted(starts or ()):
        code = _link_code(image, symbols, start, WINDOW_BYTES)
        kind = x86_64.first_instruction(code or b"").kind
        asked += 1
        good += kind in (kinds.CALL, kinds.NOP5, kinds.ENDBR)
    if good * 1000 < asked * 990:
        raise UsageError(
            f"the image is of another kernel: {asked - good} of {asked} traced functions do not begin as they must"
        )


def _link_code(image: Image, symbols: SymbolTable, address: int, size: int) -> bytes | None:
    return image.text_at(address - symbols.limits[b"_stext"] + image.link_base, size)


def read_tables(image: Image, symbols: SymbolTable) -> dict[str, frozenset[int] | None]:
    """Addresses of each table's sites; None where no entry size makes nearly all of them code.

    A few sites lie in .exit.text, which has no symbols around it.
    """
    shift = symbols.limits[b"_stext"] - image.link_base
    found: dict[str, frozenset[int] | None] = {}
    for word, (first, last, sizes) in TABLES.items():
        found[word] = None
        rows = [symbols.lookup(name.encode()) for name in (first, last)]
        if rows[0] is None or rows[1] is None:
            continue
        start, stop = (symbols.addresses[row] - shift for row in rows if row is not None)
        for size in sizes:
            if (stop - start) % size:
                continue
            at = [address + shift for address in image.sites(start, stop, size)]
            if at and sum(symbols.is_core_text(a) or symbols.is_init_text(a) for a in at) >= 0.99 * len(at):
                found[word] = frozenset(at)
                break
    return found


def wants(name: bytes, code: bytes, words: tuple[str, ...]) -> bool:
    """A suffix of the compiler, or a first instruction that is, or can be patched to, a five-byte no-op."""
    if name.startswith((b"__pfx_", b"__cfi_")):
        return False
    if any(suffix in name for suffix in SUFFIXES):
        return True
    kind = x86_64.entry_instruction(code).kind
    return kind == kinds.NOP5 or (kind == kinds.JUMP and bool({"alternative", "jump_label", "unread"} & set(words)))


def vmlinux_slices(
    image: Image, view: View, running: Callable[[int, int], bytes | None] | None = None
) -> Iterator[code_slices.Slice]:
    """Slices of vmlinux."""
    symbols, sites = view.symbols, view.sites
    tables = read_tables(image, symbols)
    stext = symbols.limits[b"_stext"]
    starts = (sites.starts_of(None) if sites is not None else None) or set()
    in_question: dict[int, int] = {}  # address to how many bytes are looked at
    for ambiguous in {
        d for (owner, _), found in (sites.ambiguous if sites else {}).items() if owner is None for d in found
    }:
        for address in ambiguous.starts:
            in_question[address] = max(ambiguous.offset + AMBIGUOUS_BYTES, in_question.get(address, 0))
    whole_names = {name.encode() for name in code_slices.WHOLE}
    is_running = bool(getattr(image, "is_running", False))
    for row in range(symbols.vmlinux_count):
        name, address = symbols.names[row], symbols.addresses[row]
        if name in whole_names:
            size = symbols.extent(row)[1] - address
            whole = _link_code(image, symbols, address, size) if size <= WHOLE_BYTES_MAX else None
            if whole:
                words = tuple(word for word, at in tables.items() if at is not None and address in at)
                yield code_slices.Slice(None, name.decode(), address - stext, whole, words)
            continue
        if not symbols.is_core_text(address) or (address in starts and address not in in_question):
            continue
        code = _link_code(image, symbols, address, WINDOW_BYTES)
        probed = address + (4 if code and x86_64.first_instruction(code).kind == kinds.ENDBR else 0)
        words = tuple(word for word, at in tables.items() if at is not None and probed in at)
        words += () if all(at is not None for at in tables.values()) else (code_slices.UNREAD,)
        if address in in_question:
            # Its own bytes, whatever they are: they tell whether a line of ftrace's list means this symbol.
            alive = running(address, in_question[address]) if running is not None else None
            code = alive or _link_code(image, symbols, address, in_question[address])
            words += (code_slices.RUNNING,) if alive or is_running else ()
            if code:
                yield code_slices.Slice(None, name.decode(), address - stext, code, words)
        elif code and wants(name, code, words):
            if is_running:
                if code[x86_64.entry_offset(code) :][:1] == _BREAKPOINT:
                    continue  # somebody's kprobe stands there
                words += (code_slices.RUNNING,)
            elif running is not None and x86_64.may_be_nop5(x86_64.entry_instruction(code).kind, words, False) is None:
                code, words = _as_running(running(address, WINDOW_BYTES), code, words)
            yield code_slices.Slice(None, name.decode(), address - stext, x86_64.shortest(code), words)


def _as_running(found: bytes | None, code: bytes, words: tuple[str, ...]) -> tuple[bytes, tuple[str, ...]]:
    """The running bytes in place of the image's, unless a breakpoint stands there (a kprobe that is armed now)."""
    if not found or found[x86_64.entry_offset(found) :][:1] == _BREAKPOINT:
        return code, words
    return found, (*words, code_slices.RUNNING)


def module_slices(files: Iterable[tuple[str, bytes]], view: View) -> Iterator[code_slices.Slice]:
    """Slices of loaded modules, from their files."""
    symbols, sites = view.symbols, view.sites
    loaded = {module for module in symbols.modules if module is not None}
    for path, packed in files:
        module = modules_dep.module_name(path)
        if module.encode() not in loaded or sites is None:
            continue
        traced = sites.starts_of(module.encode()) or set()
        listed = {
            symbols.names[row]
            for row in range(symbols.vmlinux_count, len(symbols.names))
            if symbols.modules[row] == module.encode() and symbols.addresses[row] in traced
        }
        raw = kernel_image.unpack(packed, path)
        tables = {
            word: kernel_image.module_sites(raw, table, entry_bytes, path)
            for word, (table, entry_bytes) in MODULE_TABLES.items()
        }
        codes = kernel_image.module_code_table(raw, WINDOW_BYTES, path)
        for name, places in kernel_image.module_places(raw, path).items():
            if name.encode() in listed:
                continue
            for code, place in zip(codes[name], places, strict=True):
                probed = place[1] + (4 if x86_64.first_instruction(code).kind == kinds.ENDBR else 0)
                words = tuple(word for word, at in tables.items() if (place[0], probed) in at)
                if code and wants(name.encode(), code, words):
                    yield code_slices.Slice(module, name, place[1], x86_64.shortest(code), words)


def init_bugs(files: Iterable[tuple[str, bytes]]) -> frozenset[int]:
    """Offsets in .init.text at which one module's file has a BUG or WARN."""
    found: set[int] = set()
    for path, packed in files:
        raw = kernel_image.unpack(packed, path)
        names = [section.name for section in kernel_image.sections(raw, path)]
        places = kernel_image.module_sites(raw, *MODULE_TABLES["bug"], path)
        found.update(offset for section, offset in places if names[section] == ".init.text")
    return frozenset(found)
