"""What `check` says about the file of a user function or a USDT probe, and about the places in it."""

from __future__ import annotations

from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .facts import Unread


class UserArgument(NamedTuple):
    """One argument of a USDT site, or of a function. `refused_by`: loaders that cannot parse it, with the reason."""

    name: str
    type: str
    size: int
    where: (
        str  # the operand as written: %rdi, -8(%rbp); of functions rdi, "rdi, rsi", [rsp+0x8], [rdi] (a pointer to it)
    )
    kind: str  # register, memory, immediate, symbol, unknown
    refused_by: tuple[str, ...] = ()


class UserSite(NamedTuple):
    """One place that a probe stands on. Offsets in bytes of the file; `refused` why the kernel refuses it, or ""."""

    symbol: str
    version: str
    offset: int | None
    address: int
    size: int
    source: str  # dynsym, symtab, minidebug, debug, pclntab, usdt, offset
    kind: str  # function, ifunc, site, offset
    instruction: str  # bytes in hexadecimal, as far as the instruction goes
    refused: str = ""
    misread: str = ""
    ref_ctr_offset: int | None = None
    arguments: tuple[UserArgument, ...] = ()
    chosen: bool = False  # the one that the verdicts are about


class UserPlace(NamedTuple):
    """The file. `mapped_by`: processes that map it now, `old_file`: processes that map a file it has replaced."""

    file: str
    build_id: str
    machine: str
    language: str  # "go", or "" where it is not told
    sites: tuple[UserSite, ...]
    mapped_by: tuple[int, ...] | None = None
    old_file: tuple[int, ...] = ()
    return_offsets: tuple[int, ...] = ()  # file offsets of the function's return instructions
    debug_file: str = ""  # where arguments and inlined copies were read
    convention: str = ""  # how the arguments are passed: "System V AMD64", "AAPCS64", "Go ABIInternal (go1.24)"
    results: tuple[UserArgument, ...] = ()  # what the function returns; several in Go
    arguments_unread: Unread | None = None  # why the arguments are not known; None where they are, and for USDT
    build_version: str = ""  # of Go, by .go.buildinfo: "go1.24.4"
