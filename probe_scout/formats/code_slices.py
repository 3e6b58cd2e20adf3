"""Read and write `code/slices`, the first bytes of chosen functions inside a snapshot.

Our own format: the line "probe-scout code slices 1", then a zlib stream of lines

    MODULE<TAB>NAME<TAB>OFFSET<TAB>CODE<TAB>SITES

MODULE is "-" for vmlinux; OFFSET is hexadecimal, from _stext for vmlinux and from the start of its section
for a module; CODE is hexadecimal, as few bytes as tell what kind the
first instruction is (and the one behind ENDBR); SITES are words for what the image's tables say about the first
instruction: bug, jump_label, static_call, alternative, or unread where no table could be read. The word running
says that CODE was read from the running kernel, after boot had patched it, and not from the image. The word stale
says that the running module's function lies where another module's freed init text had a BUG or WARN; CODE is empty.
The functions in WHOLE are kept from their first byte to their last.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Malformed
from ..named_tuple import NamedTuple

HEAD = b"probe-scout code slices 1\n"
PATH = "code/slices"
# Does it look for the colon of MODULE:FUNCTION? Nothing else tells (features.prefix_understood).
WHOLE = ("create_local_trace_kprobe",)
UNREAD = "unread"
RUNNING = "running"
STALE = "stale"
SITE_WORDS = ("bug", "jump_label", "static_call", "alternative", UNREAD, RUNNING, STALE)
_BODY_BYTES_MAX = 64 << 20


class Slice(NamedTuple):
    """The first bytes of one symbol. `module` is None for vmlinux."""

    module: str | None
    name: str
    offset: int
    code: bytes
    sites: tuple[str, ...] = ()


def write_slices(slices: Iterable[Slice]) -> bytes:
    """The whole file, sorted by module, name and offset. Raises ValueError for a name with a blank or a tab."""
    import zlib

    lines = set()
    for one in slices:
        module = one.module or "-"
        if not one.name or not module or (module + one.name).split() != [module + one.name] or one.offset < 0:
            raise ValueError(f"not a symbol that kallsyms could hold: {one.module!r} {one.name!r} {one.offset}")
        if any(word not in SITE_WORDS for word in one.sites):
            raise ValueError(f"unknown site in {one.sites!r}")
        lines.add(f"{module}\t{one.name}\t{one.offset:08x}\t{one.code.hex()}\t{' '.join(one.sites)}\n")
    return HEAD + zlib.compress("".join(sorted(lines)).encode(), 9)


def find(raw: bytes, module: str | None, name: str) -> tuple[Slice, ...]:
    """The slices of exactly this name in this module (None: vmlinux), by offset; empty if there is none.

    Raises Malformed.
    """
    return find_unpacked(unpacked(raw), module, name)


def find_unpacked(body: bytes, module: str | None, name: str) -> tuple[Slice, ...]:
    """As `find`, in what `unpacked` gave."""
    want = b"\n" + f"{module or '-'}\t{name}\t".encode()
    found = []
    at = 0 if body.startswith(want[1:]) else body.find(want)
    while at >= 0:
        start = at if at == 0 and body.startswith(want[1:]) else at + 1
        end = body.find(b"\n", start)
        found.append(_slice(body, start, end))
        at = body.find(want, end)
    return tuple(found)


def table(raw: bytes) -> dict[tuple[str | None, str], tuple[Slice, ...]]:
    """Every slice, by (module, name). Raises Malformed."""
    return table_unpacked(unpacked(raw))


def table_unpacked(body: bytes) -> dict[tuple[str | None, str], tuple[Slice, ...]]:
    """As `table`, of what `unpacked` gave."""
    start = 0
    grouped: dict[tuple[str | None, str], list[Slice]] = {}
    while start < len(body):
        end = body.find(b"\n", start)
        one = _slice(body, start, end)
        grouped.setdefault((one.module, one.name), []).append(one)
        start = end + 1
    return {key: tuple(slices) for key, slices in grouped.items()}


def says_stale(body: bytes) -> bool:
    """Some line of the unpacked text may have the word stale among its sites."""
    return any(before + STALE.encode() + after in body for before in (b"\t", b" ") for after in (b"\n", b" "))


def unpacked(raw: bytes) -> bytes:
    """The text of the file; its lines are not looked at. Raises Malformed."""
    import zlib

    if not raw.startswith(HEAD):
        raise Malformed(PATH, 0, repr(HEAD), repr(raw[: len(HEAD)]))
    try:
        inflater = zlib.decompressobj()
        body = inflater.decompress(raw[len(HEAD) :], _BODY_BYTES_MAX)
    except zlib.error as error:
        raise Malformed(PATH, len(HEAD), "a zlib stream", str(error)[:60]) from None
    if not inflater.eof:
        raise Malformed(PATH, len(raw), f"the end of a zlib stream of at most {_BODY_BYTES_MAX} bytes")
    if body and not body.endswith(b"\n"):
        raise Malformed(PATH, len(raw), "a line end at the end of the unpacked text")
    return body


def _slice(body: bytes, start: int, end: int) -> Slice:
    """One line of the unpacked text; the offset in a Malformed counts in the unpacked text."""
    fields = body[start:end].split(b"\t")
    try:
        module, name, offset, code, sites = (field.decode() for field in fields)
        words = tuple(sites.split())
        if not module or not name or any(word not in SITE_WORDS for word in words):
            raise ValueError
        return Slice(None if module == "-" else module, name, _hex(offset), bytes.fromhex(code), words)
    except ValueError:
        raise Malformed(
            PATH, start, "MODULE NAME OFFSET CODE SITES", repr(body[start : min(end, start + 60)])
        ) from None


def _hex(text: str) -> int:
    if not text or text.strip("0123456789abcdef"):
        raise ValueError
    return int(text, 16)


def reserved_site(one: Slice) -> str | None:
    """Which of the kernel's tables holds the first instruction; "" for none, None if they were not read.

    Of bug, jump_label, static_call: the three that check_kprobe_address_safe asks. Alternatives are not asked.
    """
    if UNREAD in one.sites:
        return None
    return next((word for word in one.sites if word not in ("alternative", RUNNING)), "")


def is_running(one: Slice) -> bool:
    """The bytes are the running kernel's own."""
    return RUNNING in one.sites
