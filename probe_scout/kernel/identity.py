"""Which kernel this is: release, build-id, architecture. No rule sees a release."""

from __future__ import annotations

from .. import arch as machines
from ..errors import Malformed, SourceError
from .symbols import Symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.report import KernelInfo
    from ..sources.source import Source


class Identity(Symbols):
    """The kernel's names for itself."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        super().__init__(source, image=image)
        self._arch = ""

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
        described = self.source.describe()
        if described.kind == "live" and described.where == "/":
            import os

            # A personality (setarch) lets uname say the 32-bit word on a 64-bit kernel, never the other way round.
            if (word := os.uname().machine) in ("x86_64", "aarch64"):
                return word
        raw = self.kallsyms()
        known = self._known(raw)
        if arch := known.arch if known is not None else machines.of_symbols(raw or b""):
            return arch
        if self.source.describe().kind == "live":
            import os

            return os.uname().machine
        try:
            said = self.read("proc/sys/kernel/arch").decode("ascii", "replace").strip()
        except SourceError:
            said = ""
        return said if said.isidentifier() else "unknown"

    def syscall_prefix(self) -> str:
        """How this architecture names its system call wrappers, "" where it has none; "__x64_" where it is not told."""
        return machines.row(self.arch()).syscall_prefix if self.arch() in machines.ARCHITECTURES else "__x64_"

    def info(self) -> KernelInfo:
        """The head of every report."""
        from ..model.report import KernelInfo

        description = self.source.describe()
        told = description.kind, description.taken, description.basis, description.assumed
        return KernelInfo(self.release(), self.build_id(), self.arch(), *told)
