"""Reading one source: what was read, and what was not and why. Everything is read once, when it is first asked for.

Source errors become `Unread` facts here and nowhere else. Each part above tells how its facts are read (`_loaders`), so
that `unread` can try.
"""

from __future__ import annotations

from ..errors import Malformed, ProbeScoutError, SourceError, Unread
from ..model import facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..sources.kept_index import Parts
    from ..sources.mapped import Mapped
    from ..sources.source import Source
    from .kept import Indexes

KALLSYMS = "proc/kallsyms"
BTF_FOLDER = "sys/kernel/btf"
TRACING = "sys/kernel/tracing"
BLACKLIST = "sys/kernel/debug/kprobes/blacklist"
INJECTION = "sys/kernel/debug/error_injection/list"
LOCKDOWN = "sys/kernel/security/lockdown"

# Files of several megabytes, of which tables are kept (kept.py).
_FTRACE = f"{TRACING}/available_filter_functions"
LARGE = frozenset((f"{BTF_FOLDER}/vmlinux", KALLSYMS, _FTRACE, f"{_FTRACE}_addrs"))

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


class Reading:
    """One source, its bytes by path, and why a fact could not be had."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        self.source = source
        self.image = image
        self._raw: dict[str, bytes | SourceError] = {}
        self._unread: dict[str, Unread | None] = {}
        self._evidence: dict[str, str] = {}
        self._loaders: dict[str, Callable[[], object]] = {}
        self.keeps = False  # tables of large files may be kept between runs
        self._indexes: Indexes | None = None

    def feature(self, name: str) -> bool | None:
        """Whether the kernel has a feature: settled by kernel.py, from what all the parts below it read."""
        raise NotImplementedError(name)

    def option(self, *options: str) -> bool | None:
        """Whether the kernel was built with options: told by lists.py."""
        raise NotImplementedError(options)

    def is_cut(self) -> bool:
        """Whether a name that is not in this snapshot may be on the kernel: told by events.py."""
        raise NotImplementedError

    def read(self, path: str) -> bytes:
        """The bytes of a path, read once. Raises NotThere, Denied or Broken."""
        if path not in self._raw:
            try:
                mapped = self._mapped(path) if path in LARGE else None
                self._raw[path] = self.source.read(path) if mapped is None else mapped  # type: ignore[assignment]
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

    def _mapped(self, path: str) -> Mapped | bytes | None:
        """A large file whose tables are kept: `tables_of` has them then."""
        if not self.keeps:
            return None
        if self._indexes is None:
            from .kept import Indexes

            self._indexes = Indexes(self.source)
        return self._indexes.mapped(path)

    def tables_of(self, path: str) -> Parts | None:
        """The kept tables of a file that was read; None where there are none."""
        return self._indexes.parts.get(path) if self._indexes is not None else None

    def wants_indexes(self) -> bool:
        """Whether a file was read whose tables, or whose sha256, could be kept."""
        verified = getattr(self.source, "verified", None)
        return (self._indexes is not None and self._indexes.wanted()) or (verified is not None and verified.is_new)

    def settle_indexes(self, maps: bool) -> None:
        """What `keep_indexes` needs of the files, so that it opens none. `maps`: those mapped are still needed."""
        if self._indexes is not None:
            self._indexes.settle()
        for raw in self._raw.values():
            if not maps and (leave_out := getattr(raw, "leave_out", None)) is not None:
                leave_out()

    def keep_indexes(self) -> None:
        """Make and keep the tables of the large files that were read, after `settle_indexes`."""
        if self._indexes is not None:
            self._indexes.keep({path: raw for path, raw in self._raw.items() if isinstance(raw, bytes)})
        verified = getattr(self.source, "verified", None)
        if verified is not None:
            verified.keep()

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

    def mark_malformed(self, fact: str, error: ProbeScoutError, cure: str = "") -> None:
        """Mark a fact as unread because its bytes make no sense."""
        self._unread[fact] = Unread(
            fact, "malformed", str(error), cure or "take the file again; it is not what the kernel writes"
        )

    def unread(self, fact: str) -> Unread | None:
        """Why a fact could not be had; None if it could. Tries to read it."""
        if fact not in self._unread:
            self._unread[fact] = None
            loader = self._loaders.get(fact)
            if loader is not None:
                try:
                    loader()
                except Malformed as error:
                    self.mark_malformed(fact, error)
        return self._unread[fact]

    def known_unread(self, fact: str) -> Unread | None:
        """Why a fact could not be had, as far as something already asked for it."""
        return self._unread.get(fact)

    def evidence(self, fact: str) -> str:
        """Which file was read for a fact, for people."""
        return self._evidence.get(fact) or _EVIDENCE.get(fact, fact)
