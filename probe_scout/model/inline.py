"""What `inline` says: where a function was inlined, what a probe misses, and which places take a probe instead."""

from __future__ import annotations

from collections.abc import Iterable

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .report import Alternative, Coverage, KernelInfo
from .verdict import Verdict


class DebugSource(NamedTuple):
    """The file that was read. `how`: named, build-id, release, fetched. `matches`: it is of the kernel's own build."""

    path: str
    build_id: str
    matches: bool | None
    how: str


class ParameterPlace(NamedTuple):
    """Where one parameter is at the first instruction of a copy.

    `kind`: register, memory, value (computed from registers), constant, entry (only what a register held when the
    symbol was entered), pieces, computed, lost. `where`: "di", "[sp+0x8]", "0x2"; "" where there is nothing to say.
    """

    name: str
    kind: str
    where: str


class InlinedCopy(NamedTuple):
    """One inlined copy. `target` is what `check` and a tracer take: SYMBOL+0x29, with the module before it.

    `chain`: the functions that the copy was inlined into, from the inside out; the last has the code. `file`,
    `line`: the call that was replaced. `seen`: a probe on the function itself sees it. `verdict`: of a kprobe at
    the place (in a program or library of a uprobe at `file_offset`); None where it was not judged. `piece`: a part of
    another copy of the function, and no call of its own.
    """

    target: str
    symbol: str
    offset_bytes: int
    chain: tuple[str, ...]
    file: str
    line: int
    seen: bool
    verdict: Verdict | None
    parameters: tuple[ParameterPlace, ...]
    piece: bool = False
    file_offset: int | None = None


class InlinedFunction(NamedTuple):
    """One function of the source. `kind`: no, self only, "self only, recursive", partial, full, transformed,
    other symbol, gone. `symbols`: what its own code is called. `without_code`: copies that were optimised away.
    """

    name: str
    file: str
    line: int
    kind: str
    says: str
    symbols: tuple[str, ...]
    missed_callers: tuple[str, ...]
    copies: tuple[InlinedCopy, ...]
    without_code: int


class _InlineReport(NamedTuple):
    kernel: KernelInfo
    target: str
    module: str | None
    coverage: Coverage
    debug: DebugSource | None
    functions: tuple[InlinedFunction, ...]
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()


class InlineReport(Document, _InlineReport):
    """`probe-scout inline NAME`. Several functions of one name are told apart by file and line.

    Where only a survey knows the name (`coverage.basis`) there is one function, without file and line, and its copies
    have a place and a verdict, and neither chain, call nor parameters.
    """

    __slots__ = ()
    COMMAND = "inline"


class InlineRow(NamedTuple):
    """One function of `inline --all`; `copies` have code, `missed` of them lie outside the function's own symbol.

    From a survey: None for a number that it does not have, and 255 missed stand for that many or more.
    """

    name: str
    module: str | None
    kind: str
    copies: int | None
    missed: int | None
    symbols: tuple[str, ...]
    file: str
    line: int


class _InlineTable(NamedTuple):
    kernel: KernelInfo
    debug: DebugSource | None
    rows: Iterable[InlineRow]
    unread: tuple[Unread, ...] = ()
    basis: str = "dwarf"  # or "survey": of this very build


class InlineTable(Document, _InlineTable):
    """`probe-scout inline --all`."""

    __slots__ = ()
    COMMAND = "inline_all"
