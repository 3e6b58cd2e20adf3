"""One kernel as read from one source. Its parts, from the top: code_store, events, lists, identity, symbols, types,
reading. What needs more than one of them, machine code and features, is asked here.
"""

from __future__ import annotations

from ..errors import Malformed
from ..model import facts
from . import features
from .code_store import Code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..formats.text.kallsyms import SymbolTable
    from ..sources.source import Source


class Kernel(Code):
    """A kernel as read from one source. Not thread-safe; cheap to make, reads nothing by itself."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        super().__init__(source, image=image)
        self.caller: Callable[[str], bool | None] | None = None
        self.names_question: Callable[[], str | None] = lambda: None  # what the names of functions are kept under
        self._features: dict[str, bool | None] = {}

    def set_caller(self, may: Callable[[str], bool | None] | None) -> None:
        """Judge for a caller that may do this and that; None is a fully privileged root."""
        self.caller = may
        for name in [name for name in self._features if name.startswith("may_")]:
            del self._features[name]

    def first_instruction(self, symbols: SymbolTable, row: int) -> str | None:
        """What the first instruction of a symbol is to kprobes: "" fine, "bug", "int", "indirect"; None if unread."""
        from . import arm64_text
        from . import text as code

        if self.arch() == "aarch64":
            return arm64_text.first(self, symbols, row)
        return code.first(self, symbols, row)

    def stale_bug(self, symbols: SymbolTable, row: int) -> bool:
        """A module's function begins where another module's freed init text had a BUG or WARN."""
        from . import text as code

        return code.stale_bug(self, symbols, row)

    def stale_bugs_are_told(self) -> bool:
        """Whether `stale_bug` can be known of this kernel."""
        from . import text as code

        return code.stale_bugs_are_told(self)

    def stale_bugs(self, symbols: SymbolTable, rows: Sequence[int]) -> set[int]:
        """Those rows of one module's functions of which `stale_bug` is true."""
        from . import text as code

        return code.stale_bugs(self, symbols, rows)

    def holds_site(self, symbols: SymbolTable, row: int) -> bool | None:
        """A symbol that several lines of ftrace's list may mean has a site, by its code; None if that is not told."""
        from . import text as code

        sites = self._full.sites if self._full is not None else None
        address = symbols.addresses[row]
        records = sites.ambiguous.get((symbols.modules[row], address)) if sites is not None else None
        return code.holds_site(self, symbols, address, records) if records else None

    def entry_is_patched(self, symbols: SymbolTable, row: int) -> bool | None:
        """The entry is the NOP trampolines look for; None where only the running code tells."""
        from . import text as code

        return code.entry_is_patched(self, symbols, row)

    def holds_colon(self, name: str) -> bool | None:
        """The code of a function of vmlinux compares with or hands on a colon; None where it cannot be read."""
        from . import text as code

        return code.holds_byte(self, name, ord(":"))

    def compares_with(self, name: str, numbers: tuple[int, ...]) -> bool | None:
        """A function of vmlinux compares with one of these 32-bit numbers; None where its code cannot be read."""
        from . import text as code

        return code.compares_with(self, name, numbers)

    def feature(self, name: str) -> bool | None:
        """Whether the kernel has a feature, or the caller a privilege (`may_*`); None where that is not known."""
        if name not in self._features:
            if name.startswith("may_"):
                self._features[name] = self.caller(name) if self.caller is not None else True
            else:
                try:
                    self._features[name] = features.FEATURES[name].settle(self)
                except Malformed as error:
                    self.mark_malformed(facts.BTF, error)
                    self._features[name] = None
        return self._features[name]

    def feature_fact(self, name: str) -> str:
        """The fact that would have to be read for a feature that is None."""
        return features.fact(name)

    def sliced_names(self) -> frozenset[str]:
        """Names of functions whose first bytes a snapshot holds; empty where it holds none."""
        from . import text as code

        return code.sliced_names(self)

    def code_cure(self) -> str:
        """What would bring the code that an answer hangs on."""
        from . import text as code

        return code.cure(self)

    def feature_evidence(self, name: str) -> str:
        """What is looked at to probe a feature."""
        return features.says(name)
