"""What one kernel knows, as far as compiled objects ask: types, numbers of enums, symbols, configuration.

One `KernelTypes` serves every object that is judged against this kernel; nothing is read twice.
"""

from __future__ import annotations

import re

from ...errors import SourceError
from ...formats.btf import kinds, relocation
from ...formats.btf.records import Records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ...formats.btf.reader import Btf
    from ...formats.text.btf_ids import BtfIdSets
else:
    Protocol = object


class Asked(Protocol):
    """The kernel as read (kernel.Kernel)."""

    def btf(self, module: str | None = None) -> Btf | None: ...
    def btf_modules(self) -> tuple[str, ...]: ...
    def kallsyms(self) -> bytes | None: ...
    def config(self, option: str) -> str | None: ...
    def has_function(self, name: str) -> bool: ...
    def feature(self, name: str) -> bool | None: ...
    def arch(self) -> str: ...
    def compares_with(self, name: str, numbers: tuple[int, ...]) -> bool | None: ...
    def syscall_prefix(self) -> str: ...
    def release(self) -> str: ...
    def read(self, path: str) -> bytes: ...
    def ids(self) -> BtfIdSets: ...


class KernelTypes:
    """Types and numbers of one kernel, read once. `is_partial`: what a snapshot leaves out is unknown, not absent."""

    def __init__(self, kernel: Asked, is_partial: bool = False) -> None:
        self.kernel = kernel
        self.is_partial = is_partial
        self.vmlinux = kernel.btf()
        self._records: dict[str, Records] = {}
        self._core: relocation.Kernel | None = None
        self._enums: dict[str, dict[str, int]] = {}
        self._symbols: dict[str, set[tuple[bytes, bytes]]] = {}
        self._found: dict[tuple[str, int, str | None], tuple[Records, int] | None] = {}

    def core(self) -> relocation.Kernel:
        """The search of CO-RE relocation; only where vmlinux has type information."""
        if self._core is None:
            assert self.vmlinux is not None
            self._core = relocation.Kernel(self.vmlinux, self._modules)
        return self._core

    def _modules(self) -> list[Btf]:
        found = (self.kernel.btf(module) for module in self.kernel.btf_modules())
        return [btf for btf in found if btf is not None]

    def records(self, module: str = "") -> Records | None:
        """Type records of vmlinux ("") or of a module; None where there are none."""
        if module not in self._records:
            btf = self.kernel.btf(module) if module else self.vmlinux
            if btf is None:
                return None
            self._records[module] = Records(btf)
        return self._records[module]

    def find(self, name: str, kind: int, module: str | None = None) -> tuple[Records, int] | None:
        """The first record of a name and kind: vmlinux first, then modules, as libbpf's find_kernel_btf_id does.

        With `module` only those modules whose names begin so: libbpf compares as many letters as were written.
        """
        key = name, kind, module
        if key not in self._found:
            self._found[key] = self._search(name, kind, module)
        return self._found[key]

    def module_of(self, name: str, kind: int) -> str:
        """The first module whose own types have a record of this name and kind, where vmlinux has none; else ""."""
        wanted = frozenset((kind,))
        if self.vmlinux is None or self.vmlinux.find_ids(name, wanted):
            return ""
        for module in self.kernel.btf_modules():
            btf = self.kernel.btf(module)
            if btf is not None and btf.find_ids(name, wanted):
                return module
        return ""

    def _search(self, name: str, kind: int, module: str | None) -> tuple[Records, int] | None:
        wanted = frozenset((kind,))
        places = [] if module is not None and not "vmlinux".startswith(module) else [""]
        places += [m for m in self.kernel.btf_modules() if module is None or m.startswith(module)]
        for place in places:
            btf = self.kernel.btf(place) if place else self.vmlinux
            if btf is not None and (ids := btf.find_ids(name, wanted)):
                records = self.records(place)
                assert records is not None
                return records, ids[0]
        return None

    def enum(self, name: str) -> dict[str, int]:
        """Enumerators of an enum of vmlinux; {} where it is not there."""
        if name not in self._enums:
            self._enums[name] = self.vmlinux.enumerators(name) if self.vmlinux is not None else {}
        return self._enums[name]

    def knows(self, enum: str, enumerator: str) -> bool | None:
        """Whether an enum has this enumerator; None where the enum cannot be read."""
        values = self.enum(enum)
        return enumerator in values if values else None

    def symbol_count(self, name: str) -> int | None:
        """At how many addresses kallsyms has this name, of any letter, modules too; None where it cannot be read.

        Hidden addresses count as one: libbpf then sees the same zero for each.
        """
        found = self._symbols_of(name)
        return None if found is None else len({address for address, _ in found})

    def is_weak(self, name: str) -> bool:
        """Whether kallsyms has this function as a weak one: what an architecture did not replace. False if unread."""
        return any(letter in (b"W", b"w") for _, letter in self._symbols_of(name) or ())

    def _symbols_of(self, name: str) -> set[tuple[bytes, bytes]] | None:
        """Address and letter of each line of kallsyms of this name; None where it cannot be read."""
        if name not in self._symbols:
            raw = self.kernel.kallsyms()
            if raw is None:
                return None
            self._symbols[name] = _lines_of(raw, name.encode())
        return self._symbols[name]

    def traced_matches(self, pattern: str) -> int | None:
        """How many names of available_filter_functions match a pattern of `*` and `?`; None where it cannot be read."""
        raw = self._tracing("available_filter_functions")
        if raw is None:
            return None
        body = "".join({"*": r"[^ \t\n]*", "?": r"[^ \t\n]"}.get(letter, re.escape(letter)) for letter in pattern)
        return sum(1 for _ in re.finditer(rb"^" + body.encode() + rb"(?=[ \t\n]|$)", raw, re.M))

    def record_bytes(self, category: str, name: str) -> int | None:
        """Where the last field of an event's record ends, in bytes; None where its format cannot be read."""
        from ...formats.text import trace_format
        from ...rules.tracepoint_access import record_end_bytes

        raw = self._tracing(f"events/{category}/{name}/format")
        return None if raw is None else record_end_bytes(trace_format.parse(raw, category=category))

    def _tracing(self, path: str) -> bytes | None:
        for head in ("sys/kernel/tracing/", "sys/kernel/debug/tracing/"):
            try:
                return self.kernel.read(head + path)
            except (SourceError, ValueError):
                continue
        return None

    def linux_version(self) -> int | None:
        """LINUX_KERNEL_VERSION as libbpf makes it up: Ubuntu's signature, Debian's own words, else the release.

        tools/lib/bpf/libbpf_probes.c, get_kernel_version. Distributions keep the release at .0 and say the version
        elsewhere: Debian's 5.10.0-32 is a 5.10.223.
        """
        for path, pattern in (
            ("proc/version_signature", r"(?:\S+ ){2}(\d+)\.(\d+)\.(\d+)"),
            ("proc/version", r"#.*Debian (\d+)\.(\d+)\.(\d+)"),
            ("proc/sys/kernel/version", r"Debian (\d+)\.(\d+)\.(\d+)"),
            ("uname", r"#.*Debian (\d+)\.(\d+)\.(\d+)"),
        ):
            try:
                text = self.kernel.read(path).decode("utf-8", "replace")
            except SourceError:
                continue
            match = re.search(pattern, text)
            if match is not None:
                break
        else:
            match = re.match(r"(\d+)\.(\d+)\.(\d+)", self.kernel.release())
        if match is None:
            return None
        major, minor, patch = (int(number) for number in match.groups())
        return (major << 16) + (minor << 8) + min(patch, 255)

    def function(self, name: str) -> bool:
        """Whether vmlinux's type information has a function of this name."""
        return self.find(name, kinds.FUNC, "vmlinux") is not None


def _lines_of(raw: bytes, name: bytes) -> set[tuple[bytes, bytes]]:
    """Address and letter of kallsyms' lines of exactly this name. It is searched first: it is rare, lines are many."""
    found = set()
    at = raw.find(b" " + name)
    while at >= 0:
        end = at + 1 + len(name)
        if raw[end : end + 1] in (b"\n", b"\t", b""):
            line = raw[raw.rfind(b"\n", 0, at) + 1 : at].split(b" ")
            if len(line) == 2 and len(line[1]) == 1:
                found.add((line[0], line[1]))
        at = raw.find(b" " + name, end)
    return found
