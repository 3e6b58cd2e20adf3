"""A function that a process carries in another file than the one asked about: linked in statically, or bundled.

`libssl:SSL_write` sees nothing of a program that has OpenSSL linked in, or that is written in Go, whose TLS is its own.
Symbols are what is looked at: a stripped program may carry a copy that nothing tells of.
"""

from __future__ import annotations

from ...errors import UsageError
from ...named_tuple import NamedTuple
from . import files, symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...formats.elf.user_image import Symbol
    from ...kernel.kernel import Kernel
    from .files import UserFile

_SHOWN = 4
# What Go programs have in the place of a library's function: their net and crypto packages call no library.
GO_INSTEAD = {
    **dict.fromkeys(("SSL_write", "SSL_write_ex", "gnutls_record_send", "PR_Write"), "crypto/tls.(*Conn).Write"),
    **dict.fromkeys(("SSL_read", "SSL_read_ex", "gnutls_record_recv", "PR_Read"), "crypto/tls.(*Conn).Read"),
    "SSL_do_handshake": "crypto/tls.(*Conn).Handshake",
}


class OwnCopy(NamedTuple):
    """One function of a file that the process runs. `instead`: it is another one that does the same (Go)."""

    file: UserFile
    symbol: Symbol
    instead: bool = False


def copies(k: Kernel, pid: int, name: str, apart_from: str = "") -> list[OwnCopy]:
    """The functions of this name in files that a process maps, but for one file; a few, in the order of its maps."""
    bare, _, _ = symbols.split_version(name)
    found: list[OwnCopy] = []
    try:
        mapped = files.of_mapped(k, (pid,))
    except UsageError:
        return []
    for file in mapped:
        if file.image is None or file.path == apart_from or len(found) >= _SHOWN:
            continue
        chosen = symbols.find(file, bare).chosen
        if chosen is not None and chosen.is_function:
            found.append(OwnCopy(file, chosen))
        elif bare in GO_INSTEAD and symbols.is_go(file.image):
            chosen = symbols.find(file, GO_INSTEAD[bare]).chosen
            found += [OwnCopy(file, chosen, True)] if chosen is not None else []
    return found


def says(pid: int, name: str, found: list[OwnCopy]) -> str:
    """Where the process has the function, as one sentence; "" for none."""
    if not found:
        return ""
    places = [f"{one.file.path}:{one.symbol.name}" for one in found]
    if all(one.instead for one in found):
        return f"Process {pid} is a Go program with TLS of its own: {places[0]} does what {name} does."
    return f"Process {pid} has {name} in a file of its own: {' and '.join(places)}."
