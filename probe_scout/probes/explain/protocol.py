"""What diagnosis and advice ask of a kernel: a small protocol, so that they know no file formats."""

from __future__ import annotations

from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol
else:
    Protocol = object


class SymbolView(NamedTuple):
    """One kallsyms entry. `module` is None for vmlinux, `address` 0 where kernel.kptr_restrict hides it.

    `is_text` and `in_init` come from address ranges where those are known. `traced` says whether
    ftrace has a record for this copy, `blacklisted` whether the kprobe blacklist holds it; None
    means that the file could not be read.
    """

    name: str
    module: str | None
    letter: str
    is_text: bool
    in_init: bool
    traced: bool | None
    blacklisted: bool | None
    address: int


class Lookup(Protocol):
    """One kernel, as questions with small answers. No method raises for a name that does not exist."""

    @property
    def arch(self) -> str:
        """The machine word: x86_64, aarch64 …"""

    def symbols(self, name: str) -> tuple[SymbolView, ...]:
        """All kallsyms entries of exactly this name: vmlinux first, modules in the file's order."""

    def has_symbols(self) -> bool:
        """Whether kallsyms could be read: without it nothing is known to be absent."""

    def variants(self, name: str) -> tuple[str, ...]:
        """Names of the form `name.suffix` that exist: name.isra.0, name.part.0, name.cold …"""

    def has_btf(self) -> bool:
        """Whether there is BTF of vmlinux at all."""

    def has_btf_function(self, name: str) -> bool:
        """Whether BTF of vmlinux or of a loaded module holds a FUNC of this name."""

    def prototype_text(self, name: str) -> str | None:
        """The prototype in C, from BTF; None if BTF has none."""

    def function_names(self) -> Iterable[str]:
        """All names of text symbols without `__pfx_` and `__cfi_`. The slow way: for spelling only."""

    def event_exists(self, category: str, name: str) -> bool:
        """Whether tracefs has events/<category>/<name>."""

    def events(self) -> tuple[tuple[str, str], ...]:
        """All events as (category, name); empty where they cannot be read."""

    def config(self, option: str) -> str | None:
        """The value of `CONFIG_X` ("y", "m", a number); None if it is not set or the file is unread."""

    def modules_loaded(self) -> frozenset[str]:
        """Names in /proc/modules."""

    def module_files(self) -> Mapping[str, str] | None:
        """Module name -> path in modules.dep; None if that file is unread."""

    def module_symbols(self, module: str) -> frozenset[str] | None:
        """Functions which the file of a module that is not loaded defines; None if there is no file."""

    def answer(self, target: str, attach: str) -> str:
        """yes, no or unknown: the verdict of another target (`bprm_execve`, `tp:sched:sched_switch`)."""
