"""What `context` says: what a program on a target gets, may read, write, call and return, one card a program."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .report import KernelInfo


class ContextField(NamedTuple):
    """One field or argument. `offset` and `size` are bytes of ctx; `slot` the 8-byte word of arguments, else None.

    `read`, `write`: yes, no or unknown. `value`: what a load gives, the kernel's register type in small letters
    (scalar_value, ptr_to_packet, ptr_to_btf_id). `trusted`: the verifier lets it be handed to kfuncs that want trusted
    arguments; None where that is not told. `narrow`: a part of the field may be loaded. `with_`: what reads the memory
    that it points to; "" for a plain load.
    """

    name: str
    type: str
    offset: int | None
    size: int | None
    slot: int | None
    read: str
    write: str = "no"
    value: str = "scalar_value"
    may_be_null: str = "no"
    trusted: bool | None = None
    narrow: bool = False
    read_with: str = ""
    says: str = ""


class ContextCard(NamedTuple):
    """One program type on one target. `title`: the type that was asked for; `section` libbpf's.

    `answer` and `errno`: whether the kernel takes such a program there, None where no target was named. `ctx` and
    `size`: type and bytes of the context. `returns`: what the function returns and where it is seen; `may_return`: what
    the program's own return value means, `may_return_source` the kernel file and function that says so. `helpers` and
    `kfuncs` may be called; `helpers_unknown` and `kfuncs_unknown`: how many are not told. `stub` is the command that
    writes the program's stub, "" where there is none.
    """

    title: str
    program: str
    attach: str
    section: str
    sleepable: bool
    answer: str | None
    errno: str | None
    ctx: str
    size: int | None
    fields: tuple[ContextField, ...]
    returns: str
    may_return: str
    helpers: tuple[str, ...]
    helpers_unknown: int
    kfuncs: tuple[str, ...]
    kfuncs_unknown: int
    basis: str
    stub: str
    notes: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()
    may_return_source: str = ""


class OpsMember(NamedTuple):
    """One function of a struct_ops struct. `sleepable`: yes, no, unknown; `nullable`: arguments that may be NULL."""

    name: str
    prototype: str
    supported: str
    sleepable: str
    nullable: tuple[str, ...]


class OpsStruct(NamedTuple):
    """One struct that programs of type struct_ops implement here; `module` is None for vmlinux."""

    name: str
    module: str | None
    size: int
    members: tuple[OpsMember, ...]


class _ContextReport(NamedTuple):
    kernel: KernelInfo
    target: str
    kind: str
    prototype: str | None
    cards: tuple[ContextCard, ...]
    struct_ops: tuple[OpsStruct, ...] = ()
    unread: tuple[Unread, ...] = ()


class ContextReport(Document, _ContextReport):
    """`probe-scout context`. `kind`: function, tracepoint, syscall, program, struct_ops."""

    __slots__ = ()
    COMMAND = "context"
