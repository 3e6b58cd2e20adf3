"""One kernel: binds a source to the scanners, keeps what was read, remembers what could not be read and why.

Everything is read when it is first asked for, and once. Source errors become `Unread` facts here and
nowhere else. The kernel answers rules' questions about itself through `flag(name)`, settled by `witnesses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Malformed, ProbeScoutError, SourceError
from ..model import facts
from ..model.facts import Unread
from . import features as witnesses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..formats.btf.kinds import Func
    from ..formats.btf.reader import Btf
    from ..formats.text.btf_ids import BtfIdSets
    from ..formats.text.filter_functions import Sites
    from ..formats.text.kallsyms import Places, SymbolTable
    from ..formats.text.kprobe_blacklist import Blacklist
    from ..model.report import KernelInfo
    from ..sources.source import Source
    from .text import Store

KALLSYMS = "proc/kallsyms"
BTF_FOLDER = "sys/kernel/btf"
TRACING = "sys/kernel/tracing"
BLACKLIST = "sys/kernel/debug/kprobes/blacklist"
INJECTION = "sys/kernel/debug/error_injection/list"
LOCKDOWN = "sys/kernel/security/lockdown"
SYSCALL_PREFIXES = {
    "x86_64": "__x64_",
    "aarch64": "__arm64_",
    "s390x": "__s390x_",
    "riscv64": "__riscv_",
    "i686": "__ia32_",
}
_NARROW_LIMIT = 64  # distinct narrow views kept


class View:
    """Symbols and ftrace sites: of everything, or of the few names one question needs."""

    __slots__ = ("sites", "symbols")

    def __init__(self, symbols: SymbolTable, sites: Sites | None) -> None:
        self.symbols, self.sites = symbols, sites


class Kernel:
    """A kernel as read from one source. Not thread-safe; cheap to make, reads nothing by itself."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        self.source = source
        self.image = image
        self.listed_events: tuple[tuple[str, str], ...] | None = None  # kept for questions that come again
        self._members: dict[tuple[str, str], bool | None] = {}
        self.caller: Callable[[str], bool | None] | None = None
        self.code_store: Store | None = None
        self._raw: dict[str, bytes | SourceError] = {}
        self._unread: dict[str, Unread | None] = {}
        self._flags: dict[str, bool | None] = {}
        self._full: View | None = None
        self._narrow: dict[frozenset[bytes], View] = {}
        self._gathered: tuple[frozenset[bytes], View] | None = None
        self._btfs: dict[str, Btf | None] = {}
        self._ids: BtfIdSets | None = None
        self._named: dict[bytes, frozenset[bytes]] = {}
        self._typed_points: set[str] | None = None
        self._typed_in_modules: set[str] = set()
        self._event_names: dict[str, tuple[str, ...]] | None = None
        self._made_events: bytes | None = None
        self._partial: str | None = None
        self._btf_modules: tuple[str, ...] | None = None
        self._has_types = False  # every table of BTF is built
        self._places: Places | None = None
        self._owners: dict[str, list[str]] | None = None
        self._blacklist: Blacklist | None = None
        self._injection: dict[str, str] | None = None
        self._config: tuple[str, bytes] | None = None
        self._arch = ""
        self._limits: bytes | None = None
        self.module_gaps: dict[str, Unread] = {}  # modules whose BTF could not be read
        self.found_functions: dict[tuple[str, str | None], tuple[str | None, Btf, Func] | None] = {}
        self._evidence: dict[str, str] = {}

    def set_caller(self, may: Callable[[str], bool | None] | None) -> None:
        """Judge for a caller that may do this and that; None is a fully privileged root."""
        self.caller = may
        for flag in [flag for flag in self._flags if flag.startswith("may_")]:
            del self._flags[flag]

    # ---------------------------------------------------------------- reading
    def read(self, path: str) -> bytes:
        """The bytes of a path, read once. Raises NotThere, Denied or Broken."""
        if path not in self._raw:
            try:
                self._raw[path] = self.source.read(path)
            except SourceError as error:
                self._raw[path] = error
        found = self._raw[path]
        if isinstance(found, SourceError):
            raise found
        return found

    def read_many(self, paths: Iterable[str]) -> None:
        """Read these paths now, so that `read` has them: cheaper for a source that can read neighbours together."""
        many = getattr(self.source, "read_many", None)
        wanted = [path for path in paths if path not in self._raw]
        if many is not None:
            self._raw.update(zip(wanted, many(wanted), strict=True))

    def forget(self, paths: Iterable[str]) -> None:
        """Read these again when they are asked for next: what changes while a program looks on."""
        for path in paths:
            self._raw.pop(path, None)

    def _try(self, fact: str, paths: Iterable[str]) -> tuple[str, bytes] | None:
        """The first of the paths that can be read. None with the fact marked unread otherwise."""
        worst: SourceError | None = None
        for path in paths:
            try:
                return path, self.read(path)
            except SourceError as error:
                if worst is None or (worst.kind != "denied" and error.kind == "denied"):
                    worst = error
        if worst is not None:
            self._unread[fact] = Unread(fact, worst.kind, f"{worst.path}: {worst.why}", worst.cure)
        return None

    def spoil(self, fact: str, error: ProbeScoutError, cure: str = "") -> None:
        """Mark a fact as unread because its bytes make no sense."""
        self._unread[fact] = Unread(
            fact, "malformed", str(error), cure or "take the file again; it is not what the kernel writes"
        )

    def unread(self, fact: str) -> Unread | None:
        """Why a fact could not be had; None if it could. Tries to read it."""
        if fact not in self._unread:
            self._unread[fact] = None
            loader = _LOADERS.get(fact)
            if loader is not None:
                try:
                    loader(self)
                except Malformed as error:
                    self.spoil(fact, error)
        return self._unread[fact]

    def known_unread(self, fact: str) -> Unread | None:
        """Why a fact could not be had, as far as something already asked for it."""
        return self._unread.get(fact)

    # ------------------------------------------------------------- populations
    def kallsyms(self) -> bytes | None:
        """The bytes of proc/kallsyms, or None (unread)."""
        found = self._try(facts.KALLSYMS, (KALLSYMS,))
        if found is not None and not found[1]:
            self._unread[facts.KALLSYMS] = Unread(
                facts.KALLSYMS, "not_there", f"{KALLSYMS}: the file is empty", "CONFIG_KALLSYMS=y, or read it as root"
            )
            return None
        return found[1] if found else None

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

    def _load_btf_tables(self) -> None:
        for owner in (None, *self.btf_modules()):
            btf = self.btf(owner)
            if btf is not None:
                btf.functions()
        self._has_types = True

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

            self._places = Places(raw)
        return self._places

    def names_starting(self, head: bytes) -> tuple[bytes, ...]:
        """Names of kallsyms that begin so, sorted, each once; () where it cannot be read."""
        from ..formats.text import kallsyms

        raw = self.kallsyms() or b""
        found = self._places_of(raw).prefixed(head)
        return kallsyms.prefixed(raw, head) if found is None else found

    def _limit_lines(self, raw: bytes) -> bytes:
        if self._limits is None:
            from ..formats.text import kallsyms

            self._limits = kallsyms.limits_of(raw)
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
            if gap is None or gap.kind != "not_there" or self.flag("dynamic_ftrace") is not False:
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
        try:
            if symbols.hidden:
                return filter_functions.by_name(raw)
            if path == filter_functions.PATH_ADDRS:
                if names is not None:
                    raw = filter_functions.narrow(raw, {symbols.canonical(r) for n in names for r in symbols.rows(n)})
                sites = filter_functions.table_addrs(raw)
                if sites.addresses is not None:
                    return sites
                _, raw = self._try(facts.FILTER_FUNCTIONS, (filter_functions.PATH,)) or ("", b"")
            if names is None:
                return filter_functions.table_names(raw, symbols)
            return filter_functions.names_only(raw, symbols, names)
        except Malformed as error:
            self.spoil(facts.FILTER_FUNCTIONS, error)
            return None

    def btf(self, module: str | None = None) -> Btf | None:
        """vmlinux's BTF or one module's; None if it cannot be had (see unread(BTF))."""
        key = module or "vmlinux"
        if key not in self._btfs:
            self._btfs[key] = None
            base = self.btf() if module else None
            if module and base is None:
                return None
            try:
                raw = self.read(f"{BTF_FOLDER}/{key}")
            except SourceError as error:
                if module is None:
                    self._unread[facts.BTF] = Unread(facts.BTF, error.kind, f"{error.path}: {error.why}", error.cure)
                elif error.kind != "not_there":
                    self.module_gaps[key] = Unread(
                        facts.MODULE_BTF, error.kind, f"{error.path}: {error.why}", error.cure
                    )
                return None
            from ..formats.btf.reader import Btf

            try:
                self._btfs[key] = Btf(raw, base, f"{BTF_FOLDER}/{key}")
            except Malformed as error:
                if module is None:
                    self.spoil(facts.BTF, error)
                else:
                    self.module_gaps[key] = Unread(facts.MODULE_BTF, "malformed", str(error), "read the file again")
        return self._btfs[key]

    def btf_modules(self) -> tuple[str, ...]:
        """Names of modules whose BTF is there."""
        if self._btf_modules is None:
            try:
                self._btf_modules = tuple(n for n in self.source.names(BTF_FOLDER) if n != "vmlinux")
            except SourceError:
                self._btf_modules = ()
        return self._btf_modules

    def modules_with(self, name: str) -> tuple[str, ...]:
        """Modules whose BTF may hold a function of this name, in order: all, unless every table of BTF was built."""
        if not self._has_types:
            return self.btf_modules()
        if self._owners is None:
            self._owners = {}
            for module in self.btf_modules():
                btf = self.btf(module)
                for title in btf.functions() if btf is not None else ():
                    self._owners.setdefault(title, []).append(module)
        return tuple(self._owners.get(name, ()))

    def ids(self) -> BtfIdSets:
        """The kernel's BTF id sets; `visible` false marks BTF_IDS as unread."""
        if self._ids is None:
            from ..formats.text import btf_ids

            raw = self.kallsyms()
            self._ids = btf_ids.table(raw) if raw is not None else btf_ids.BtfIdSets(False, {})
        return self._ids

    def blacklist(self) -> Blacklist | None:
        """The kprobe blacklist; None if unread."""
        if self._blacklist is None:
            found = self._try(facts.KPROBE_BLACKLIST, (BLACKLIST,))
            if found is not None:
                from ..formats.text import kprobe_blacklist

                try:
                    self._blacklist = kprobe_blacklist.table(found[1])
                except Malformed as error:
                    self.spoil(facts.KPROBE_BLACKLIST, error)
        return self._blacklist

    def injectable(self) -> dict[str, str]:
        """Functions in the error-injection list with their kind; empty where the feature is not built."""
        if self._injection is None:
            self._injection = {}
            if self.flag("error_injection"):
                found = self._try(facts.ERROR_INJECTION, (INJECTION,))
                if found is not None:
                    from ..formats.text import error_injection

                    self._injection = {name: kind for (name, _), kind in error_injection.table(found[1]).items()}
        return self._injection

    def config(self, option: str) -> str | None:
        """The value of a CONFIG_ option ("y", "m", …), "" if it is not set, None if no configuration can be read."""
        if self._config is None:
            release = self.release()
            paths = (
                "proc/config.gz",
                f"boot/config-{release}",
                f"usr/lib/modules/{release}/config",
                f"lib/modules/{release}/config",
                "boot/config",
            )
            self._config = self._try(facts.CONFIG, paths) or ("", b"")
        path, raw = self._config
        if not path:
            return None
        from ..formats.text import kconfig

        try:
            return kconfig.find(raw, option) or ""
        except Malformed as error:
            self.spoil(facts.CONFIG, error)
            self._config = ("", b"")
            return None

    def syscall_prefix(self) -> str:
        """How this architecture names its system call wrappers; "__x64_" where the architecture is not told."""
        return SYSCALL_PREFIXES.get(self.arch(), "__x64_")

    def first_instruction(self, symbols: SymbolTable, row: int) -> str | None:
        """What the first instruction of a symbol is to kprobes: "" fine, "bug", "int", "indirect"; None if unread."""
        from . import text as code

        return code.first(self, symbols, row)

    def stale_bug(self, symbols: SymbolTable, row: int) -> bool:
        """A module's function begins where another module's freed init text had a BUG or WARN."""
        from . import text as code

        return code.stale_bug(self, symbols, row)

    def stale_bugs(self, symbols: SymbolTable, rows: Sequence[int]) -> set[int]:
        """Those rows of one module's functions of which `stale_bug` is true."""
        from . import text as code

        return code.stale_bugs(self, symbols, rows)

    def holds_site(self, symbols: SymbolTable, row: int) -> bool | None:
        """A symbol that several lines of ftrace's list may mean has a site, by its code; None if that is not told."""
        from . import text as code

        sites = self._full.sites if self._full is not None else None
        address = symbols.addresses[row]
        doubts = sites.unsure.get((symbols.modules[row], address)) if sites is not None else None
        return code.holds_site(self, symbols, address, doubts) if doubts else None

    def entry_is_patched(self, symbols: SymbolTable, row: int) -> bool | None:
        """The entry is the NOP trampolines look for; None where only the running code tells."""
        from . import text as code

        return code.entry_is_patched(self, symbols, row)

    # ------------------------------------------------------------------ events
    def holds_colon(self, name: str) -> bool | None:
        """The code of a function of vmlinux compares with or hands on a colon; None where it cannot be read."""
        from . import text as code

        return code.holds_byte(self, name, ord(":"))

    def available_events(self) -> bytes | None:
        """The bytes of available_events; None marks EVENTS as unread."""
        found = self._try(facts.EVENTS, (f"{TRACING}/available_events",))
        return found[1] if found else None

    def events_named(self, name: str) -> tuple[str, ...] | None:
        """Categories that have an event of this name. None if the list cannot be read.

        The category ftrace is not in available_events; its folder is looked at.
        """
        from ..formats.text import available_events

        raw = self.available_events()
        if raw is None:
            return None
        found = (
            available_events.find_by_name(raw, name) if self._event_names is None else self._event_names.get(name, ())
        )
        if not found:
            try:
                self.read(f"{TRACING}/events/ftrace/{name}/format")
                return ("ftrace",)
            except (SourceError, ValueError):
                pass
        return found

    def index_events(self) -> tuple[tuple[str, str], ...]:
        """Every (category, name) of available_events, () if unread; from then on `events_named` looks names up."""
        from ..formats.text import available_events

        raw = self.available_events()
        found = available_events.table(raw) if raw is not None else ()
        if raw is not None and self._event_names is None:
            self._event_names = {}
            for category, name in found:
                self._event_names[name] = (*self._event_names.get(name, ()), category)
        return found

    def raw_tracepoint(self, name: str) -> bool | None:
        """A raw tracepoint of this name is registered for BPF; None if it cannot be told.

        Seen as __bpf_trace_tp_map_<name> (include/trace/bpf_probe.h) where kallsyms shows data symbols; else a
        typedef btf_trace_<name>, which the same macro makes, says yes, and no __traceiter_<name> says no.
        """
        raw = self.kallsyms()
        if raw is None:
            return None
        head, plain = b"__bpf_trace_tp_map_", name.encode()
        if head not in self._named and b" " + head in raw:
            near = self._places_of(raw).lines_of(head + plain)
            if near is not None:
                return bool(near)
        shown = self.names_with(head)
        if shown:
            return plain in shown
        if self.typed_tracepoint(name):
            return True
        iterators = self.names_with(b"__traceiter_")
        return None if not iterators or name.encode() in iterators else False

    def typed_tracepoint(self, name: str) -> bool | None:
        """BTF of vmlinux or of a module has btf_trace_<name>; None if BTF cannot be read."""
        base = self.btf()
        if base is None:
            return None
        if self._typed_points is None:
            self._typed_points = base.names_starting("btf_trace_")
            for btf in map(self.btf, self.btf_modules()):
                self._typed_in_modules.update(btf.names_starting("btf_trace_") if btf is not None else ())
        title = f"btf_trace_{name}"
        return title in self._typed_points or title in self._typed_in_modules

    def typed_in_module(self, name: str) -> bool:
        """btf_trace_<name> is in a module's BTF and not in vmlinux's."""
        typed = self.typed_tracepoint(name)
        return bool(typed) and f"btf_trace_{name}" not in (self._typed_points or ())

    def names_with(self, head: bytes) -> frozenset[bytes]:
        """What follows `head` in the symbols that begin with it, of vmlinux and of modules; read once."""
        if head not in self._named:
            from ..formats.text import kallsyms

            raw = self.kallsyms() or b""
            self._named[head] = frozenset(name[len(head) :] for name in kallsyms.prefixed(raw, head))
        return self._named[head]

    def is_dynamic_event(self, category: str, name: str) -> bool:
        """The event was made by kprobe_events, uprobe_events or dynamic_events."""
        if self._made_events is None:
            found = []
            for path in ("dynamic_events", "kprobe_events", "uprobe_events"):
                try:
                    found.append(self.read(f"{TRACING}/{path}"))
                except SourceError:
                    continue
            self._made_events = b"\n".join(found)
        return bool(self._made_events) and f":{category}/{name} ".encode() in self._made_events

    # ---------------------------------------------------------------- identity
    def partial(self) -> str:
        """What shows that this snapshot holds a part of its kernel only; "" where nothing does.

        The word `partial` in its manifest, or a system call's event without its twin. Then a name
        that is not in it may be on the kernel.
        """
        if self._partial is None:
            self._partial = self.source.describe().partial
            if not self._partial and (cut := self._event_without_twin()):
                self._partial = f"{cut} has no twin"
        return self._partial

    def _event_without_twin(self) -> str:
        """An event which shows that a snapshot lacks others; "" where none does.

        Each system call with events has two, for its entry and its exit: include/linux/syscalls.h, SYSCALL_METADATA.
        """
        if self.source.describe().kind != "snapshot":
            return ""
        calls = {name for category, name in self.index_events() if category == "syscalls"}
        twin = {"sys_enter_": "sys_exit_", "sys_exit_": "sys_enter_"}
        for name in sorted(calls):
            for head, other in twin.items():
                if name.startswith(head) and other + name.removeprefix(head) not in calls:
                    return f"syscalls:{name}"
        return ""

    def partial_gap(self, fact: str) -> Unread | None:
        """What a partial snapshot does not tell; None for a whole one."""
        said = self.partial()
        why = f"this snapshot is a slice of a kernel ({said}): what is not in it may be on the kernel"
        return Unread(fact, "not_recorded", why, "ask a snapshot of the whole kernel") if said else None

    def take_as_whole(self) -> None:
        """Nothing that will be asked was left out of the snapshot: the caller knows for which names it was cut."""
        self._partial = ""

    def release(self) -> str:
        """The release string, for people and for finding files; no rule sees it."""
        for path in ("proc/sys/kernel/osrelease", "proc/version", "uname"):
            try:
                text = self.read(path).decode("utf-8", "replace").split()
            except SourceError:
                continue
            if text:
                return text[0] if len(text) == 1 else text[2] if len(text) > 2 else ""
        return self.source.describe().release

    def build_id(self) -> str:
        """The GNU build-id of the kernel in hexadecimal, "" if it is not told (sys/kernel/notes)."""
        try:
            raw = self.read("sys/kernel/notes")
        except SourceError:
            return ""
        from ..formats.elf import notes as elf_notes

        try:
            return elf_notes.build_id(raw) or ""
        except Malformed:
            return ""

    def arch(self) -> str:
        """The machine word of uname (x86_64, aarch64, …), told from the kernel's own symbols."""
        if not self._arch:
            self._arch = self._find_arch()
        return self._arch

    def tell_arch(self, arch: str) -> None:
        """The machine word, where it is known without reading proc/kallsyms."""
        self._arch = arch

    def _find_arch(self) -> str:
        raw = self.kallsyms() or b""
        for arch, prefix in SYSCALL_PREFIXES.items():
            if b" " + prefix.encode() + b"sys_bpf\n" in raw:
                return arch
        if self.source.describe().kind == "live":
            import os

            return os.uname().machine
        return "unknown"

    def info(self) -> KernelInfo:
        """The head of every report."""
        from ..model.report import KernelInfo

        description = self.source.describe()
        told = description.kind, description.taken, description.basis, description.assumed
        return KernelInfo(self.release(), self.build_id(), self.arch(), *told)

    # ------------------------------------------------------------------- flags
    def flag(self, name: str) -> bool | None:
        """A witness: True, False, or None where neither can be told."""
        if name not in self._flags:
            if name.startswith("may_"):
                self._flags[name] = self.caller(name) if self.caller is not None else True
            else:
                try:
                    self._flags[name] = witnesses.WITNESSES[name].settle(self)
                except Malformed as error:
                    self.spoil(facts.BTF, error)
                    self._flags[name] = None
        return self._flags[name]

    def flag_fact(self, name: str) -> str:
        """The fact that would have to be read for a flag that is None."""
        return witnesses.fact(name)

    def has_symbol(self, *names: str) -> bool | None:
        """True if kallsyms or BTF knows one of these functions; None if neither can be read.

        For witnesses, whose names belong to functions alone: BTF is asked for the name as a string.
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
        return self._full is None and any(b" " + name.encode() + b"\n" in raw for name in names)

    def has_function(self, name: str) -> bool:
        """kallsyms has a symbol of exactly this name in vmlinux."""
        if self._full is not None:
            return name.encode() in self._full.symbols.where
        return b" " + name.encode() + b"\n" in (self.kallsyms() or b"")

    def option(self, *options: str) -> bool | None:
        """True if all options are set; None if the configuration cannot be read."""
        values = [self.config(option) for option in options]
        if None in values:
            return None
        return all(value not in ("", "n") for value in values)

    def built(self, symbols: tuple[str, ...], *options: str) -> bool | None:
        """A feature is built: by its global functions, else by the configuration."""
        by_symbol = self.has_symbol(*symbols)
        if by_symbol is not None:
            return by_symbol
        return self.option(*options)

    def enumerator(self, name: str) -> bool | None:
        """BTF knows this enumerator, by its name as a string; None without BTF."""
        btf = self.btf()
        return None if btf is None else btf.has_name(name)

    def member(self, struct: str, member: str) -> bool | None:
        """A struct of BTF has this member; None without BTF."""
        key = struct, member
        if key not in self._members:
            btf = self.btf()
            self._members[key] = None if btf is None else btf.has_name(member) and btf.has_member(struct, member)
        return self._members[key]

    def has_struct(self, name: str) -> bool:
        """BTF of vmlinux or of a module has a struct of this name."""
        base = self.btf()
        if base is None:
            return False
        return base.struct_size(name) is not None or any(
            btf is not None and btf.struct_size(name) is not None for btf in map(self.btf, self.btf_modules())
        )

    def lockdown(self) -> str | None:
        """none, integrity or confidentiality; None if it cannot be told."""
        found = self._try(facts.LOCKDOWN, (LOCKDOWN,))
        if found is not None:
            from ..formats.text import security

            return security.lockdown(found[1])
        if self.option("CONFIG_SECURITY_LOCKDOWN_LSM") is False or self.has_symbol("lock_kernel_down") is False:
            self._unread[facts.LOCKDOWN] = None
            return "none"
        return None

    def addresses_hidden(self) -> bool:
        """proc/kallsyms shows zeros for addresses (kernel.kptr_restrict)."""
        raw = self.kallsyms()
        return raw is not None and not raw[: raw.find(b" ")].strip(b"0") and not self._limit_shown(raw)

    @staticmethod
    def _limit_shown(raw: bytes) -> bool:
        at = raw.find(b" T _stext\n")
        return at > 0 and bool(raw[raw.rfind(b"\n", 0, at) + 1 : at].strip(b"0"))

    def sliced_names(self) -> frozenset[str]:
        """Names of functions whose first bytes a snapshot holds; empty where it holds none."""
        from . import text as code

        return code.sliced_names(self)

    def code_why(self) -> str:
        """Why no code was found, "" if nothing was tried."""
        return self.code_store.why if self.code_store is not None else ""

    def code_cure(self) -> str:
        """What would bring the code that an answer hangs on."""
        from . import text as code

        return code.cure(self)

    def flag_evidence(self, flag: str) -> str:
        """What is looked at to settle a flag."""
        return witnesses.says(flag)

    def evidence(self, fact: str) -> str:
        """Which file was read for a fact, for people."""
        return self._evidence.get(fact) or _EVIDENCE.get(fact, fact)


_LOADERS: dict[str, Callable[[Kernel], object]] = {
    facts.KALLSYMS: lambda k: k.kallsyms(),
    facts.BTF: lambda k: k.btf(),
    facts.FILTER_FUNCTIONS: lambda k: k.view(()),
    facts.KPROBE_BLACKLIST: lambda k: k.blacklist(),
    facts.ERROR_INJECTION: lambda k: k.injectable(),
    facts.CONFIG: lambda k: k.config("CONFIG_BPF_SYSCALL"),
    facts.LOCKDOWN: lambda k: k.lockdown(),
}

_EVIDENCE = {
    facts.KALLSYMS: KALLSYMS,
    facts.BTF: f"{BTF_FOLDER}/vmlinux",
    facts.MODULE_BTF: f"{BTF_FOLDER}/<module>",
    facts.FILTER_FUNCTIONS: f"{TRACING}/available_filter_functions",
    facts.KPROBE_BLACKLIST: BLACKLIST,
    facts.ERROR_INJECTION: INJECTION,
    facts.LOCKDOWN: LOCKDOWN,
    facts.BTF_IDS: f"{KALLSYMS}: __BTF_ID__ symbols",
    facts.EVENTS: f"{TRACING}/events",
    facts.CODE: "machine code",
    facts.CAPABILITIES: "proc/self/status",
    facts.SYSCTL: "proc/sys/kernel/perf_event_paranoid",
    facts.CONFIG: "kernel configuration",
}
