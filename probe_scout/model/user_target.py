"""Targets in user programs: `/path:symbol`, `libssl:SSL_write`, `pid:1234:SYM`, `usdt:/path:provider:probe`.

Also as loaders write them: libbpf's sections (`uprobe//bin/bash:readline`, `usdt/libc.so.6:libc:memory_heap_new`) and
bpftrace's probes (`uprobe:/bin/bash:readline`, `u:libssl:SSL_write`).
"""

from __future__ import annotations

import re

from ..errors import UsageError
from ..named_tuple import NamedTuple
from .attach import for_kind
from .target import GLOB_SIGNS

USER_FUNCTION, USDT = "user_function", "usdt"
_WORDS = {  # before the target: the attach type it asks for
    **{word: word for word in for_kind(USER_FUNCTION)},
    "u": "uprobe",
    "ur": "uretprobe",
}
_USDT_WORDS = {"usdt": "", "usdt.s": "usdt.s", "U": ""}
_LIBRARY = re.compile(r"(?:lib[\w.+-]*|[\w.+-]+\.so(?:\.[\w.]+)?)$")
_LOADED_NAME = re.compile(r"[\w.+-]+\.so(?:\.[\w.]+)?$")
_OFFSET = re.compile(r"(?:0x[0-9a-fA-F]+|\d+)$")
_CONTAINER = re.compile(r"container:([0-9a-f]{8,64}):(.+)$", re.S)
_PID = re.compile(r"pid:(\d{1,10}):(.+)$", re.S)
TEXT_BYTES_MAX = 16384  # a C++ name may have thousands of bytes, a path 4096
_FORMS = (
    "give /PATH:SYMBOL, /PATH:SYMBOL+OFFSET, /PATH:0xOFFSET, LIBRARY:SYMBOL, pid:PID:SYMBOL or "
    "usdt:/PATH:PROVIDER:PROBE"
)


class UserTarget(NamedTuple):
    """`file` is a path, a library's name as for a loader, or "" for the program of `pid`.

    `name` is a symbol with its version (`malloc@GLIBC_2.2.5`), a pattern, or "" for a bare file offset in `offset`.
    """

    kind: str
    file: str
    name: str
    offset: int = 0
    pid: int | None = None
    container: str = ""
    provider: str = ""
    attach: str = ""  # the attach type that its spelling asks for

    def __str__(self) -> str:
        where = f"container:{self.container}:" if self.container else "" if self.pid is None else f"pid:{self.pid}:"
        file = f"{self.file}:" if self.file else ""
        if self.kind == USDT:
            return f"{where}usdt:{file}{self.provider}:{self.name}"
        if not self.name:
            return f"{where}{file}{self.offset:#x}"
        return f"{where}{file}{self.name}" + (f"+{self.offset:#x}" if self.offset else "")

    @property
    def is_library_name(self) -> bool:
        """The file is a name that a loader looks up (`libssl`, `libc.so.6`), not a path."""
        return bool(self.file) and "/" not in self.file

    @property
    def is_glob(self) -> bool:
        """The symbol may be a pattern; an operator of C++ or a pointer in its arguments has such signs too."""
        return not GLOB_SIGNS.isdisjoint(self.name)


def is_user(text: str) -> bool:
    """The text names a place in a program or library: a path, a process, a user probe's word, a library's file name.

    A bare `libNAME:symbol` may be a kernel module's as well (libata) and is told apart with the kernel at hand.
    """
    text = _bare(text)
    head, colon, rest = text.partition(":")
    word, slash, _ = head.partition("/")
    if head in ("pid", "container") and rest:
        return True
    if (word in _WORDS or word in _USDT_WORDS) and (slash or colon):
        return True
    return bool((slash and word in ("", ".", "..")) or (colon and rest and _LOADED_NAME.match(head)))


def may_be_user(text: str) -> bool:
    """`libNAME:symbol`: a library or a kernel module."""
    head, colon, rest = text.partition(":")
    return bool(colon and rest and _LIBRARY.match(head))


def _bare(text: str) -> str:
    return text[4:].rstrip(")").strip("\"'") if text.startswith("SEC(") else text


def read(text: str) -> UserTarget:
    """The target. Raises UsageError with the forms that exist."""
    text = _bare(text)
    if not text or len(text) > TEXT_BYTES_MAX or not text.isprintable() or text != text.strip():
        raise UsageError(f"{text[:60]!r} names no location in a program: {_FORMS}")
    head, _, _ = text.partition(":")
    word, slash, _ = head.partition("/")
    mark = word if slash and (word in _WORDS or word in _USDT_WORDS) else head
    is_usdt, attach, rest = False, "", text
    if mark in _WORDS or mark in _USDT_WORDS:
        is_usdt, attach = mark in _USDT_WORDS, _WORDS.get(mark, _USDT_WORDS.get(mark, ""))
        rest = text[len(mark) + 1 :]
    pid, container = None, ""
    if found := _PID.match(rest):
        pid, rest = int(found[1]), found[2]
    elif found := _CONTAINER.match(rest):
        container, rest = found[1], found[2]
    if rest.startswith("usdt:"):
        is_usdt, rest = True, rest[5:]
    is_inside = pid is not None or bool(container)
    file, name = _file(rest, is_inside)
    if is_usdt:
        provider, colon, probe = name.rpartition(":")
        if not probe or (not file and not is_inside):
            raise UsageError(f"{text[:60]!r}: a USDT probe is usdt:/PATH:PROVIDER:PROBE or pid:PID:usdt:PROVIDER:PROBE")
        return UserTarget(USDT, file, probe, 0, pid, container, provider if colon else "", attach)
    if not name or (not file and not is_inside):
        raise UsageError(f"{text[:60]!r} names no location in a program: {_FORMS}")
    if _OFFSET.match(name):
        return UserTarget(USER_FUNCTION, file, "", int(name, 0), pid, container, "", attach)
    symbol, offset = _sum(name)
    return UserTarget(USER_FUNCTION, file, symbol, offset, pid, container, "", attach)


def _file(text: str, is_inside: bool) -> tuple[str, str]:
    """The file and what stands behind it. Inside a process a bare name is a symbol of its program."""
    at = text.find(":")
    if text.startswith(("/", "./", "../")):
        return (text, "") if at < 0 else (text[:at], text[at + 1 :])
    head = text[:at] if at > 0 and text[at : at + 2] != "::" else ""
    if head and (_LIBRARY.match(head) or not is_inside):
        return head, text[at + 1 :]
    return "", text


def _sum(name: str) -> tuple[str, int]:
    """SYMBOL+OFFSET; operators of C++ (operator+) keep their sign."""
    symbol, plus, offset = name.rpartition("+")
    if plus and symbol and _OFFSET.match(offset):
        return symbol, int(offset, 0)
    return name, 0
