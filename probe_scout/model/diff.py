"""What `diff` says of two kernels: A is the first one named, B the second.

Addresses are no differences. A change is one of: gone (only A has it), appeared (only B has it), renamed
(the compiler gave it another suffix), moved (another module, vmlinux, or category has it), changed.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .report import KernelInfo

GONE, APPEARED, RENAMED, MOVED, CHANGED = CHANGES = ("gone", "appeared", "renamed", "moved", "changed")
FUNCTIONS, EVENTS = KINDS = ("functions", "events")


class VerdictChange(NamedTuple):
    """An attach type whose answer or errno differs. `errno_a` and `errno_b` are set only for *no*."""

    attach: str
    answer_a: str
    errno_a: str | None
    answer_b: str
    errno_b: str | None


class ArgumentChange(NamedTuple):
    """One parameter by its place from 0, or the return value (`place` None), as C; None where it is not there.

    `what`: type (the declaration or its size differs), name (only the name does), gone, appeared.
    """

    place: int | None
    what: str
    a: str | None
    b: str | None


class FunctionChange(NamedTuple):
    """A function that differs. `module` is None for vmlinux; for gone, renamed and moved it is A's, else B's.

    `others`: the names in B of a renamed one; the owners in B of a moved one. `copies_a` and `copies_b` count the
    symbols of this name and owner. `still_typed`: gone or appeared as a symbol, but BTF of both kernels describes it
    (the compiler inlined it). A prototype is None where BTF has none, and where prototypes do not differ.
    """

    target: str
    module: str | None
    change: str
    others: tuple[str, ...] = ()
    copies_a: int = 0
    copies_b: int = 0
    still_typed: bool = False
    prototype_a: str | None = None
    prototype_b: str | None = None
    arguments: tuple[ArgumentChange, ...] = ()
    verdicts: tuple[VerdictChange, ...] = ()


class FieldPlace(NamedTuple):
    """A field of an event's record; `offset` and `size` are bytes, `signed` None where the file does not say."""

    type: str
    offset: int
    size: int
    signed: bool | None


class FieldChange(NamedTuple):
    """A field that differs. `what`: gone, appeared, or any of moved, size, type, sign.

    `absent`: no `tp` program receives the field, on either side.
    """

    field: str
    what: tuple[str, ...]
    a: FieldPlace | None
    b: FieldPlace | None
    absent: bool = False


class EventChange(NamedTuple):
    """An event that differs. `target` is `category:name`; of a bare tracepoint, which has no event, `raw_tp:name`.

    `others`: the categories in B of a moved one. `fields` are the event's own; the common ones are told once.
    `arguments` are those of raw_tp and tp_btf.
    """

    target: str
    module: str | None
    change: str
    others: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    arguments: tuple[ArgumentChange, ...] = ()
    verdicts: tuple[VerdictChange, ...] = ()


class ModuleChange(NamedTuple):
    """A module that only one of the kernels has loaded, with how much of it is therefore not compared."""

    module: str
    loaded_in: str  # "a" or "b"
    functions: int
    events: int


class Count(NamedTuple):
    """How often something differs. `what` as in the rows: a change, an argument's, a field's, a verdict's `YES to NO`.

    `attach` is "" for what is no verdict. `examples` are the first names.
    """

    kind: str
    what: str
    attach: str
    number: int
    examples: tuple[str, ...]


class Totals(NamedTuple):
    """How many there are of a kind, after the pattern: in A, in B, in both without a difference."""

    kind: str
    in_a: int
    in_b: int
    same: int
    untold: int  # answers that are unknown on one side only, so neither equal nor different


class Gap(NamedTuple):
    """A fact that could not be read of one of the kernels. `side`: "a" or "b"."""

    side: str
    unread: Unread


class _DiffReport(NamedTuple):
    a: KernelInfo
    b: KernelInfo
    glob: str
    totals: tuple[Totals, ...]
    types: tuple[VerdictChange, ...]
    common: tuple[FieldChange, ...]
    modules: tuple[ModuleChange, ...]
    counts: tuple[Count, ...]
    whole: bool
    functions: tuple[FunctionChange, ...] = ()
    events: tuple[EventChange, ...] = ()
    unread: tuple[Gap, ...] = ()


class DiffReport(Document, _DiffReport):
    """`probe-scout diff`. `types`: attach types that one kernel refuses whatever the target is; told once, here.

    `common`: fields that every event begins with. `whole` is false where rows were left out (no pattern was given).
    """

    __slots__ = ()
    COMMAND = "diff"

    def differs(self) -> bool:
        """Anything at all, told in rows or not."""
        return bool(self.types or self.common or self.modules or self.counts)
