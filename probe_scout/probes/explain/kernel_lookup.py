"""The kernel as diagnosis and advice ask it: small questions with small answers (diagnosis.lookup.Lookup)."""

from __future__ import annotations

from ...errors import ProbeScoutError
from ...kernel import located, modules
from ...model.traits import INIT, MODULE, TEXT
from .protocol import SymbolView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...kernel.kernel import Kernel
    from ...model.target import Target


class KernelLookup:
    """Answers from one kernel; `judge` gives the answer for another target and attach type."""

    def __init__(self, k: Kernel, judge: Callable[[str, str], str]) -> None:
        self._k, self._judge = k, judge
        self._symbols: dict[str, tuple[SymbolView, ...]] = {}
        self._answers: dict[tuple[str, str], str] = {}

    @property
    def arch(self) -> str:
        """The machine word: x86_64, aarch64 …"""
        return self._k.arch()

    def symbols(self, name: str) -> tuple[SymbolView, ...]:
        """All kallsyms entries of exactly this name."""
        if name == "_stext" and self._k.stext():
            return (SymbolView(name, None, "T", True, False, None, None, self._k.stext()),)
        if name not in self._symbols:
            self._symbols[name] = self._find(name)
        return self._symbols[name]

    def _find(self, name: str) -> tuple[SymbolView, ...]:
        at = located.locate(self._k, name)
        if at is None:
            return ()
        found = []
        for i, row in enumerate(at.rows):
            symbol = at.symbols.symbol(row)
            found.append(
                SymbolView(
                    name,
                    symbol.module,
                    symbol.letter,
                    at.places[i] in (TEXT, INIT, MODULE),
                    at.places[i] == INIT,
                    at.sites[i] if at.sites is not None else None,
                    at.covered[i] if at.covered is not None else None,
                    symbol.address,
                )
            )
        return tuple(found)

    def has_symbols(self) -> bool:
        """kallsyms could be read."""
        return self._k.kallsyms() is not None

    def variants(self, name: str) -> tuple[str, ...]:
        """Names of the form name.suffix that exist."""
        found = self._k.names_starting(name.encode() + b".") if name else ()
        return tuple(one.decode("utf-8", "replace") for one in found)

    def has_btf(self) -> bool:
        """There is BTF of vmlinux."""
        return self._k.btf() is not None

    def has_btf_function(self, name: str) -> bool:
        """BTF of vmlinux or of a module holds a FUNC of this name."""
        return located.btf_function(self._k, name, None) is not None

    def prototype_text(self, name: str) -> str | None:
        """The prototype in C; None if BTF has none."""
        return located.prototype_text(self._k, name, None)

    def function_names(self) -> Iterable[str]:
        """All names of text symbols, without padding; read once for all runs where the kernel's state is a file's."""
        from ..attach import bulk

        question = self._k.names_question()
        if question is None:
            return bulk.function_names(self._k)
        from ...sources import cache

        kept = cache.kept(question, large=True)
        if isinstance(kept, str) and kept:
            return kept.split("\n")
        found = list(bulk.function_names(self._k))
        if found and not any("\n" in name for name in found):
            cache.keep(question, "\n".join(found), large=True)
        return found

    def event_exists(self, category: str, name: str) -> bool:
        """tracefs has this event."""
        return category in (self._k.events_named(name) or ())

    def events(self) -> tuple[tuple[str, str], ...]:
        """All events; empty where they cannot be read."""
        if self._k.listed_events is None:
            self._k.listed_events = self._k.index_events()
        return self._k.listed_events

    def config(self, option: str) -> str | None:
        """The value of an option; None if not set or unread."""
        return self._k.config(option) or None

    def modules_loaded(self) -> frozenset[str]:
        """Names in proc/modules."""
        return modules.loaded(self._k)

    def module_files(self) -> Mapping[str, str] | None:
        """Module to its path in modules.dep; None if that file is unread."""
        return modules.paths(self._k)

    def module_symbols(self, module: str) -> frozenset[str] | None:
        """Functions that the file of a module defines; None if there is no file."""
        return modules.functions(self._k, module)

    def answer(self, target: str, attach: str) -> str:
        """The verdict of another target: yes, no or unknown."""
        key = (target, attach)
        if key not in self._answers:
            try:
                self._answers[key] = self._judge(target, attach)
            except ProbeScoutError:
                self._answers[key] = "unknown"
        return self._answers[key]


def last_in_module(k: Kernel, target: Target) -> bool | None:
    """Whether the target is the last text symbol of its module; None if it is in none or that is not told."""
    if "." not in target.name:
        return None
    at = located.locate(k, target.name)
    if at is None or at.symbols.hidden:
        return None
    symbols = at.symbols
    for row in at.rows:
        module = symbols.modules[row]
        if module is not None and target.module in (None, module.decode()):
            text = [
                symbols.addresses[i]
                for i in range(symbols.vmlinux_count, len(symbols.names))
                if symbols.modules[i] == module and symbols.letter(i) in "tTwW"
            ]
            return symbols.addresses[row] >= max(text)
    return None
