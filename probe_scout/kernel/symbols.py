"""kallsyms and ftrace's list: whole, or for the few names that one question needs."""

from __future__ import annotations

from ..errors import Malformed, SourceError, Unread
from ..model import facts
from .reading import KALLSYMS
from .types import Types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from ..formats.text.filter_functions import Lines, Sites
    from ..formats.text.kallsyms import Places, SymbolTable
    from ..formats.text.kallsyms_tables import KnownPlaces
    from ..sources.source import Source

    _Answer = TypeVar("_Answer")

_NARROW_LIMIT = 64  # distinct narrow views kept
_SEVERAL = 3  # modules, of which one at least has a function that ftrace lists


class View:
    """Symbols and ftrace sites: of everything, or of the few names one question needs."""

    __slots__ = ("sites", "symbols")

    def __init__(self, symbols: SymbolTable, sites: Sites | None) -> None:
        self.symbols, self.sites = symbols, sites


class Symbols(Types):
    """The kernel's symbols, and which of them ftrace can patch."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        super().__init__(source, image=image)
        self._loaders[facts.KALLSYMS] = self.kallsyms
        self._loaders[facts.FILTER_FUNCTIONS] = lambda: self.view(())
        self._full: View | None = None
        self._narrow: dict[frozenset[bytes], View] = {}
        self._gathered: tuple[frozenset[bytes], View] | None = None
        self._named: dict[bytes, frozenset[bytes]] = {}
        self._places: Places | None = None
        self._limits: bytes | None = None
        self._no_sites: Sites | None = None  # what is read where a question's names have no symbols
        self._whole: bytes | None = None  # a kallsyms that was looked at and is not cut off
        self._tail: tuple[str, str] | None = None  # why its last part may be missing, and the cure
        self.located: dict[str, Any] = {}  # kept by located.py

    def kallsyms(self) -> bytes | None:
        """The bytes of proc/kallsyms, or None (unread)."""
        found = self._try(facts.KALLSYMS, (KALLSYMS,))
        if found is not None and not found[1]:
            self._unread[facts.KALLSYMS] = Unread(
                facts.KALLSYMS, "not_there", f"{KALLSYMS}: the file is empty", "CONFIG_KALLSYMS=y, or read it as root"
            )
            return None
        if found is not None and self._whole is not found[1]:
            lack = self._is_copy() and self._lack_of(found[1])
            if lack:
                self._unread[facts.KALLSYMS] = Unread(
                    facts.KALLSYMS,
                    "malformed",
                    f"{KALLSYMS}: it has no {lack}: this copy was cut off or filtered",
                    "copy the whole file, or take a snapshot",
                )
                return None
            self._whole = found[1]
        return found[1] if found else None

    def _is_copy(self) -> bool:
        """What the running kernel shows is whole, and so is what was taken out of its image."""
        where = self.source.describe()
        return where.kind in ("snapshot", "root") and where.basis == "booted"

    def _lack_of(self, raw: bytes) -> str:
        """What every whole proc/kallsyms of this kernel has, and this copy has not; "" where nothing shows.

        Initialization code is behind all other code, and kallsyms has its first and its last symbol in every
        configuration (scripts/kallsyms.c, symbol_valid). `_end` is behind all that a kernel has of code and data; the
        few lines after it are empty areas and second names. It is no code, so only CONFIG_KALLSYMS_ALL shows it, and
        with it the borders of read-only data (arch/*/kernel/vmlinux.lds.S, include/asm-generic/vmlinux.lds.h).
        """
        if self._known(raw) is not None:
            lack = next(
                (name for name in ("_sinittext", "_einittext", "_end") if not self._is_in_vmlinux(raw, name)), ""
            )
            return lack if lack and (lack != "_end" or self._has_data(raw)) else self._module_left_out(raw)
        first = raw.find(b" _sinittext\n")
        if first < 0:
            return "_sinittext"
        last = raw.find(b" _einittext\n", first)
        if last < 0 and b" _einittext\n" not in raw:  # addresses hidden: an older kernel may show another order
            return "_einittext"
        if raw.find(b" _end\n", max(last, 0)) < 0 and b" _end\n" not in raw and self._has_data(raw):
            return "_end"
        return self._module_left_out(raw)

    def _has_data(self, raw: bytes) -> bool:
        """CONFIG_KALLSYMS_ALL: kallsyms shows data too.

        Every architecture has the record of the first task then. Names that begin with __start_ prove nothing: newer
        kernels show them in every configuration (scripts/kallsyms.c, symbol_valid).
        """
        return self._is_in_vmlinux(raw, "init_task") or bool(self.option("CONFIG_KALLSYMS_ALL"))

    def _module_left_out(self, raw: bytes) -> str:
        """The module that was loaded first is the last one of proc/modules and of kallsyms (`modules`, one list).

        Each has symbols, `__this_module` at least; without CONFIG_KALLSYMS_ALL those without code have none
        (kernel/module/kallsyms.c, is_core_symbol). A slice has only what it was cut for.
        """
        oldest = self._oldest_module()
        if not oldest or raw.rfind(b"\t[" + oldest + b"]\n") >= 0 or not self._has_data(raw) or self.is_cut():
            return ""
        return "symbol of " + oldest.decode("utf-8", "replace") + ", which proc/modules has"

    def _oldest_module(self) -> bytes:
        """b"" where no module is loaded, or proc/modules cannot be read."""
        try:
            rows = self.read("proc/modules").split(b"\n")
        except SourceError:
            return b""
        return next((row.split(b" ", 1)[0] for row in reversed(rows) if row), b"")

    def unproved(self) -> Unread | None:
        """Why a name that is not in proc/kallsyms may be on the kernel: its last part may be missing. None: it is not.

        Asked for such names alone. Symbols of the module that was loaded first are in no order that would show an
        end: each function that ftrace lists for it has to be there. What lies behind the last of these (data, names
        without a site) is beyond any proof.
        """
        if self._tail is None:
            self._tail = self._lost_tail() if self._is_copy() and not self.is_cut() else ("", "")
        why, cure = self._tail
        return Unread(facts.KALLSYMS, "not_recorded", why, cure) if why else None

    def _lost_tail(self) -> tuple[str, str]:
        raw = self.kallsyms()
        if raw is None:
            return "", ""
        oldest = self._oldest_module()
        if oldest:
            for site in self._sites_of(oldest):
                if not self._is_in_module(raw, site, oldest):
                    what = f"{oldest.decode('utf-8', 'replace')}:{site.decode('utf-8', 'replace')}"
                    return f"{KALLSYMS} is not whole: ftrace lists {what}, which is not in it", "copy the whole file"
        elif not self._has_modules_list() and self.option("CONFIG_MODULES") is not False:
            return (
                f"proc/modules was not read, so nothing tells whether {KALLSYMS} has the symbols of all modules",
                "copy proc/modules too, or take a snapshot",
            )
        return "", ""

    def _has_modules_list(self) -> bool:
        """A manifest tells that the file was asked for, and that this kernel has none."""
        try:
            self.read("proc/modules")
        except SourceError as error:
            return error.kind == "not_there" and self.source.describe().kind == "snapshot"
        return True

    def _is_in_module(self, raw: bytes, name: bytes, module: bytes) -> bool:
        """kallsyms has a symbol of this module of exactly this name."""
        end = b" " + name + b"\t[" + module + b"]\n"
        known = self._known(raw)
        lines = known.lines_of(name) if known is not None else None
        if lines is None:
            return raw.rfind(end) >= 0  # asked of the oldest module, whose lines are the last ones
        return any(raw[line : raw.find(b"\n", line) + 1].endswith(end) for line in lines)

    def _sites_of(self, module: bytes) -> list[bytes]:
        """Functions that ftrace lists for a module; [] where it cannot be read."""
        from ..formats.text import filter_functions

        for path in (filter_functions.PATH_ADDRS, filter_functions.PATH):
            try:
                return self._by_lines(path, lambda raw, lines: filter_functions.of_module(raw, module, lines))
            except SourceError:
                continue
        return []

    def full(self) -> View | None:
        """Every symbol and site; None if kallsyms cannot be read. Raises Malformed."""
        if self._full is None:
            raw = self.kallsyms()
            if raw is None:
                return None
            from ..formats.text.kallsyms import SymbolTable

            symbols = SymbolTable(raw)
            self._full = View(symbols, self._sites(symbols, None))
            if self._full.sites is not None:
                self._full.sites.settle(symbols)
            self._load_btf_tables()
        return self._full

    def view(self, names: Iterable[bytes]) -> View | None:
        """Symbols and sites that decide about these names: the whole view if it is there, else a narrow one."""
        if self._full is not None:
            return self._full
        if self.addresses_hidden():
            return self.full()  # without addresses a part of the table tells nothing of its neighbours
        wanted = frozenset(names)
        if self._gathered is not None and wanted <= self._gathered[0]:
            return self._gathered[1]
        if wanted in self._narrow:
            return self._narrow[wanted]
        made = self._view_of(wanted)
        if made is None:
            return None
        if not self._is_whole(made) and len(self._narrow) < _NARROW_LIMIT:
            self._narrow[wanted] = made
        return made

    def gather(self, names: Iterable[bytes], with_types: bool = True) -> View | None:
        """One view of all these names, of which questions about each are then answered, and the tables of BTF.

        For some hundred names it costs a third of `full`. None if kallsyms cannot be read. Raises Malformed.
        """
        if self._full is not None or self.addresses_hidden():
            return self.full()
        names = tuple(names)
        bases = {name.partition(b".")[0] for name in names}
        wanted = frozenset((*names, *bases))
        if self._gathered is not None and wanted <= self._gathered[0]:
            if with_types:
                self._load_btf_tables()
            return self._gathered[1]
        found = self._view_of(wanted)
        if found is not None and not self._is_whole(found):
            self._gathered = wanted, found
            if with_types:
                self._load_btf_tables()
        return found

    def _is_whole(self, view: View) -> bool:
        return view is self._full

    def _view_of(self, wanted: frozenset[bytes]) -> View | None:
        raw = self.kallsyms()
        if raw is None:
            return None
        from ..formats.text import kallsyms

        with_bases = set(wanted)
        with_bases.update(name.partition(b".")[0] for name in wanted if b"." in name)
        places = self._places_of(raw)
        if len(wanted) == 1:
            places.note(*wanted)
        symbols = kallsyms.SymbolTable(kallsyms.narrow(raw, with_bases, self._limit_lines(raw), places))
        # An alias may be the name that the kernel prints: its base name decides as well.
        more = {symbols.canonical(row) for name in wanted for row in symbols.rows(name)} - with_bases
        if any(b"." in name for name in more):
            with_bases.update(more)
            with_bases.update(name.partition(b".")[0] for name in more)
            symbols = kallsyms.SymbolTable(kallsyms.narrow(raw, with_bases, self._limit_lines(raw), places))
        sites = self._sites(symbols, with_bases)
        if sites is None and self._unread.get(facts.FILTER_FUNCTIONS) is None:
            return self.full()  # only the order of the whole list tells the copies apart
        return View(symbols, sites)

    def _places_of(self, raw: bytes) -> Places:
        if self._places is None or self._places.raw is not raw:
            from ..formats.text.kallsyms import Places

            self._places = self._known_places(raw) or Places(raw)
        return self._places

    def note(self, name: bytes) -> None:
        """Names with this one in them (`__x64_sys_execve` for execve) will be asked for: one pass finds them all."""
        raw = self.kallsyms()
        if raw is not None:
            self._places_of(raw).note(name)

    def _known_places(self, raw: bytes) -> KnownPlaces | None:
        """By kept tables; None where there are none, or they are damaged."""
        parts = self.tables_of(KALLSYMS)
        if parts is None:
            return None
        from ..formats.name_table import Damaged
        from ..formats.text.kallsyms_tables import KnownPlaces

        try:
            return KnownPlaces(raw, parts)
        except Damaged:
            return None

    def _known(self, raw: bytes | None) -> KnownPlaces | None:
        """The places of kallsyms, where kept tables tell them."""
        if raw is None or self.tables_of(KALLSYMS) is None:
            return None
        from ..formats.text.kallsyms_tables import KnownPlaces

        places = self._places_of(raw)
        return places if isinstance(places, KnownPlaces) else None

    def _is_in_vmlinux(self, raw: bytes, name: str) -> bool:
        """kallsyms has a symbol of vmlinux of exactly this name."""
        known = self._known(raw)
        lines = known.lines_of(name.encode()) if known is not None else None
        if known is None or lines is None:
            return b" " + name.encode() + b"\n" in raw
        return any(line < known.split for line in lines)

    def names_starting(self, head: bytes) -> tuple[bytes, ...]:
        """Names of kallsyms that begin so, sorted, each once; () where it cannot be read."""
        from ..formats.text import kallsyms

        raw = self.kallsyms() or b""
        found = self._places_of(raw).prefixed(head)
        return kallsyms.prefixed(raw, head) if found is None else found

    def _limit_lines(self, raw: bytes) -> bytes:
        if self._limits is None:
            from ..formats.text import kallsyms

            known = self._known(raw)
            self._limits = kallsyms.limits_of(raw) if known is None else known.limits
        return self._limits

    def stext(self) -> int:
        """The address of _stext; 0 where it is hidden or kallsyms cannot be read."""
        raw = self.kallsyms()
        if raw is None:
            return 0
        for line in self._limit_lines(raw).splitlines():
            if line.endswith(b" _stext"):
                return int(line.partition(b" ")[0], 16)
        return 0

    def _sites(self, symbols: SymbolTable, names: set[bytes] | None) -> Sites | None:
        """ftrace's sites. None if unread, or if a narrow question needs the whole list."""
        from ..formats.text import filter_functions

        found = self._try(facts.FILTER_FUNCTIONS, (filter_functions.PATH_ADDRS, filter_functions.PATH))
        if found is None:
            gap = self._unread[facts.FILTER_FUNCTIONS]
            if gap is None or gap.kind != "not_there" or self.feature("dynamic_ftrace") is not False:
                return None
            # Without CONFIG_DYNAMIC_FTRACE no function has a site: kernel/trace/ftrace.c is not built, and the stub
            # of ftrace_location in include/linux/ftrace.h gives 0.
            self._unread[facts.FILTER_FUNCTIONS] = None
            self._evidence[facts.FILTER_FUNCTIONS] = "CONFIG_DYNAMIC_FTRACE is off"
            return filter_functions.nothing()
        path, raw = found
        self._unread[facts.FILTER_FUNCTIONS] = None
        self._evidence[facts.FILTER_FUNCTIONS] = path
        if not raw:
            self._unread[facts.FILTER_FUNCTIONS] = Unread(
                facts.FILTER_FUNCTIONS, "not_there", f"{path}: the file is empty", "CONFIG_DYNAMIC_FTRACE=y"
            )
            return None
        if self._is_copy() and self._lacks_modules(raw):
            self.mark_malformed(
                facts.FILTER_FUNCTIONS,
                Malformed(path, len(raw), "functions of the loaded modules (the list is cut off)", "its end"),
                "copy the whole file",
            )
            return None
        try:
            if symbols.hidden:
                return filter_functions.by_name(raw)
            if path == filter_functions.PATH_ADDRS:
                printed = {symbols.canonical(r) for n in names or () for r in symbols.rows(n)}
                if names is not None and not printed and self._no_sites is not None:
                    return self._no_sites
                if names is not None:
                    raw = self._by_lines(path, lambda raw, lines: filter_functions.narrow(raw, printed, lines))
                sites = filter_functions.table_addrs(raw)
                if sites.addresses is not None:
                    if names is not None and not printed:
                        self._no_sites = sites
                    return sites
                path, raw = self._try(facts.FILTER_FUNCTIONS, (filter_functions.PATH,)) or ("", b"")
            if names is None:
                return filter_functions.table_names(raw, symbols)
            whole = self.kallsyms() or b""
            if not path:
                return filter_functions.names_only(raw, symbols, names, None, whole)
            return self._by_lines(
                path, lambda raw, lines: filter_functions.names_only(raw, symbols, names, lines, whole)
            )
        except Malformed as error:
            self.mark_malformed(facts.FILTER_FUNCTIONS, error)
            return None

    def _by_lines(self, path: str, ask: Callable[[bytes, Lines | None], _Answer]) -> _Answer:
        """What is asked of one of ftrace's lists, by kept tables where there are any. Raises SourceError."""
        raw = self.read(path)
        parts = self.tables_of(path)
        if parts is not None:
            from ..formats.name_table import Damaged
            from ..formats.text.ftrace_tables import Lines

            try:
                return ask(raw, Lines(raw, parts))
            except Damaged:
                pass
        return ask(raw, None)

    def _lacks_modules(self, listed: bytes) -> bool:
        """ftrace's list has no function of any module, and several with code are loaded.

        Modules stand behind vmlinux, the one that was loaded last at the end (kernel/trace/ftrace.c,
        ftrace_process_locs). A list that ends among them, or that of a kernel without modules, shows nothing of it.
        """
        if listed.rfind(b" [") >= 0:  # from the end, where modules stand
            return False
        raw = self.kallsyms() or b""
        try:
            modules = {row.split(b" ", 1)[0] for row in self.read("proc/modules").split(b"\n") if row}
        except SourceError:
            return False
        having = {line.rpartition(b"\t[")[2] for line in raw[raw.find(b"\t[") :].split(b"\n") if b" t " in line[:24]}
        return len({name + b"]" for name in modules} & having) >= _SEVERAL and not self.is_cut()

    def names_with(self, head: bytes) -> frozenset[bytes]:
        """What follows `head` in the symbols that begin with it, of vmlinux and of modules; read once."""
        if head not in self._named:
            from ..formats.text import kallsyms

            raw = self.kallsyms() or b""
            known = self._known(raw)
            found = known.prefixed(head) if known is not None else None
            found = kallsyms.prefixed(raw, head) if found is None else found
            self._named[head] = frozenset(name[len(head) :] for name in found)
        return self._named[head]

    def has_symbol(self, *names: str) -> bool | None:
        """True if kallsyms or BTF knows one of these functions; None if neither can be read.

        For feature probes, whose names belong to functions alone: BTF is asked for the name as a string.
        """
        if self._full is not None:
            where = self._full.symbols.where
            if any(name.encode() in where for name in names):
                return True
        btf = self.btf()
        if btf is not None and any(btf.has_name(name) for name in names):
            return True
        raw = self.kallsyms()
        if raw is None:
            return None
        return self._full is None and any(self._is_in_vmlinux(raw, name) for name in names)

    def has_function(self, name: str) -> bool:
        """kallsyms has a symbol of exactly this name in vmlinux."""
        if self._full is not None:
            return name.encode() in self._full.symbols.where
        raw = self.kallsyms()
        return raw is not None and self._is_in_vmlinux(raw, name)

    def addresses_hidden(self) -> bool:
        """proc/kallsyms shows zeros for addresses (kernel.kptr_restrict)."""
        raw = self.kallsyms()
        if raw is None or raw[: raw.find(b" ")].strip(b"0"):
            return False
        known = self._known(raw)
        return not self._limit_shown(raw if known is None else known.limits)

    @staticmethod
    def _limit_shown(raw: bytes) -> bool:
        at = raw.find(b" T _stext\n")
        return at > 0 and bool(raw[raw.rfind(b"\n", 0, at) + 1 : at].strip(b"0"))
