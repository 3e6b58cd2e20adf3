"""BTF of vmlinux and of modules: which blobs there are, and what they name."""

from __future__ import annotations

from ..errors import Malformed, SourceError, Unread
from ..model import facts
from .reading import BTF_FOLDER, Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..formats.btf.kinds import Func
    from ..formats.btf.reader import Btf
    from ..formats.btf.tables import Tables
    from ..sources.source import Source


class Types(Reading):
    """The kernel's types."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        super().__init__(source, image=image)
        self._members: dict[tuple[str, str], bool | None] = {}
        self._loaders[facts.BTF] = self.btf
        self._btfs: dict[str, Btf | None] = {}
        self._btf_modules: tuple[str, ...] | None = None
        self._has_types = False  # every table of BTF is built
        self._owners: dict[str, list[str]] | None = None
        self.module_gaps: dict[str, Unread] = {}  # modules whose BTF could not be read
        self.prototypes: dict[tuple[str, str | None], str | None] = {}
        self.found_functions: dict[tuple[str, str | None], tuple[str | None, Btf, Func] | None] = {}

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
                self._btfs[key] = Btf(raw, base, f"{BTF_FOLDER}/{key}", self._tables_of(f"{BTF_FOLDER}/{key}"))
            except Malformed as error:
                if module is None:
                    self.mark_malformed(facts.BTF, error)
                else:
                    self.module_gaps[key] = Unread(facts.MODULE_BTF, "malformed", str(error), "read the file again")
        return self._btfs[key]

    def _tables_of(self, path: str) -> Tables | None:
        parts = self.tables_of(path)
        if parts is None:
            return None
        from ..formats.btf.tables import Tables

        return Tables(parts)

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

    def _load_btf_tables(self) -> None:
        for owner in (None, *self.btf_modules()):
            btf = self.btf(owner)
            if btf is not None:
                btf.functions()
        self._has_types = True

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
