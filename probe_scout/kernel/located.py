"""A name found once: its symbols, where each lies, which of them ftrace patches, which the kprobe blacklist covers.

Traits, evidence and explanations are views of it: they look nothing up again.
"""

from __future__ import annotations

from ..model.traits import DATA, INIT, MODULE, OUTSIDE, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..formats.btf.kinds import Func
    from ..formats.btf.reader import Btf
    from ..formats.text.kallsyms import SymbolTable
    from ..formats.text.kprobe_blacklist import Blacklist
    from .lists import Lists
    from .symbols import View

_KEPT_MAX = 64  # names; a scan asks for many thousand, each once


class Located:
    """One name. Parallel, by symbol in the order of kallsyms: `rows`, `places`, `sites`, `covered`.

    `places`: TEXT, INIT, MODULE, DATA, OUTSIDE. `sites`: the symbol holds an ftrace site, None where the list does not
    tell; None for all if the list is unread. `covered`: the kprobe blacklist covers it; None if that is unread.
    """

    __slots__ = ("_covered", "_k", "_places", "_sites", "name", "rows", "view")

    def __init__(self, k: Lists, view: View, name: str) -> None:
        self._k, self.view, self.name = k, view, name
        self.rows: tuple[int, ...] = tuple(view.symbols.rows(name.encode()))
        self._places: tuple[str, ...] | None = None
        self._sites: tuple[bool | None, ...] | None = None
        self._covered: tuple[bool, ...] | None = None

    @property
    def symbols(self) -> SymbolTable:
        return self.view.symbols

    @property
    def places(self) -> tuple[str, ...]:
        if self._places is None:
            self._places = tuple(place(self.view, row) for row in self.rows)
        return self._places

    @property
    def sites(self) -> tuple[bool | None, ...] | None:
        if self._sites is None and self.view.sites is not None:
            self._sites = tuple(self.view.sites.known(self.view.symbols, row) for row in self.rows)
        return self._sites

    @property
    def covered(self) -> tuple[bool, ...] | None:
        blacklist = self._k.blacklist() if self._covered is None and self.rows else None
        if blacklist is not None:
            self._covered = tuple(blacklisted(blacklist, self.view.symbols, row) for row in self.rows)
        return self._covered

    def of(self, module: str | None) -> tuple[int, ...]:
        """Indices into the parallel lists: all, or those of one module."""
        if module in (None, "vmlinux"):
            return tuple(range(len(self.rows)))
        owner = (module or "").encode()
        return tuple(i for i, row in enumerate(self.rows) if self.view.symbols.modules[row] == owner)


def locate(k: Lists, name: str) -> Located | None:
    """The name on this kernel, found once; None if kallsyms cannot be read."""
    kept = k.located.get(name)
    view = k.view((name.encode(),))
    if view is None:
        return None
    if kept is None or kept.view is not view:
        if len(k.located) >= _KEPT_MAX:
            k.located.clear()
        kept = k.located[name] = Located(k, view, name)
    return kept


def prototype_text(k: Lists, name: str, module: str | None) -> str | None:
    """The C prototype of the function that a loader finds in BTF; None if there is none."""
    key = (name, module)
    if key not in k.prototypes:
        found = btf_function(k, name, module)
        k.prototypes[key] = found[1].prototype(found[2]).text if found is not None else None
    return k.prototypes[key]


def blacklisted(blacklist: Blacklist, symbols: SymbolTable, row: int) -> bool:
    """The symbol lies in the kprobe blacklist: by address, or by name and owner where addresses are hidden."""
    # kernel/kprobes.c within_kprobe_blacklist compares ranges of addresses; debugfs prints the name of each range's
    # start, which is all that is left where addresses are hidden. What it does with a suffix is the caller's
    # (function_traits).
    if not blacklist.hidden:
        return bool(blacklist.covers(symbols.addresses[row]))
    name, module = symbols.canonical(row), symbols.modules[row]
    return name in blacklist.names if module is None else (name, module) in blacklist.in_modules


def place(view: View, row: int) -> str:
    """Where a symbol lies: TEXT, INIT, MODULE or DATA, by ranges and not by its letter."""
    symbols = view.symbols
    module = symbols.modules[row]
    # core_kernel_text and __module_text_address ask ranges. Of vmlinux kallsyms names their ends; of a module it does
    # not, so there the letter decides, which is the section's.
    if module is not None:
        return MODULE if symbols.letter(row) in "tTwW" else DATA
    if symbols.hidden:
        return _place_in_order(symbols, row)
    address = symbols.addresses[row]
    if symbols.is_core_text(address):
        return TEXT
    if symbols.is_init_text(address):
        return INIT
    if b"_end" not in symbols.limits and address in (symbols.limits.get(b"_etext"), symbols.limits.get(b"_einittext")):
        return OUTSIDE  # is_ksym_addr without CONFIG_KALLSYMS_ALL takes text alone, and these lie behind it
    # is_ksym_addr with CONFIG_KALLSYMS_ALL takes _stext to _end. Offsets into the per-CPU area are absolute and lie
    # below.
    is_offset = address < symbols.limits.get(b"_stext", 0) and symbols.letter(row) in "Aa"
    return OUTSIDE if is_offset or address >= symbols.limits.get(b"_end", 1 << 64) else DATA


def _place_in_order(symbols: SymbolTable, row: int) -> str:
    """The place of a symbol of vmlinux whose address is hidden: kallsyms keeps the order of addresses."""
    for place, first, last in ((TEXT, b"_stext", b"_etext"), (INIT, b"_sinittext", b"_einittext")):
        low, high = symbols.lookup(first), symbols.lookup(last)
        if low is not None and high is not None and low <= row < high:
            return place
    return DATA


def btf_function(k: Lists, name: str, module: str | None) -> tuple[str | None, Btf, Func] | None:
    """The BTF function a loader finds: vmlinux's first, then the modules'. None if there is none."""
    key = (name, module)
    if key not in k.found_functions:
        k.found_functions[key] = _find_function(k, name, module)
    return k.found_functions[key]


def _find_function(k: Lists, name: str, module: str | None) -> tuple[str | None, Btf, Func] | None:
    base = k.btf()
    if base is None:
        return None
    # tools/lib/bpf/libbpf.c find_kernel_btf_id: vmlinux first, the modules only where it has no function of that name.
    if module in (None, "vmlinux"):
        found = base.find_functions(name)
        if found:
            return None, base, found[0]
        if module == "vmlinux":
            return None
        modules = k.modules_with(name)
    else:
        modules = (module or "",) if module in k.btf_modules() else ()
    for candidate in modules:
        btf = k.btf(candidate)
        if btf is not None:
            found = btf.find_functions(name)
            if found:
                return candidate, btf, found[0]
    return None
