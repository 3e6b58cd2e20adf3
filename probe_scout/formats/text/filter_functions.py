"""Read tracefs available_filter_functions and available_filter_functions_addrs.

Written by kernel/trace/ftrace.c (t_show): one line a patch site, `name` or `name [module]`; the
`_addrs` file (commit 83f74441bcb1, "ftrace: Show all functions with addresses in
available_filter_functions_addrs") puts the site's own address in front, which is not the symbol's
where the function begins with endbr64 or padding. A site that belongs to no symbol is printed as
`__ftrace_invalid_address___<offset>` and is not a name.

Sites of vmlinux come first, in the order of their addresses, then each module's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from ...errors import Malformed
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from .kallsyms import SymbolTable

    class Lines(Protocol):
        """Lines that may be printed under a name, and where each begins (ftrace_tables.py); may raise Damaged."""

        def of(self, name: bytes) -> list[tuple[int, bytes]]: ...


PATH = "sys/kernel/tracing/available_filter_functions"
PATH_ADDRS = PATH + "_addrs"
_FEW = 8  # names up to which a search for each is as cheap as one for all
INVALID = b"__ftrace_invalid_address__"


def find(raw: bytes, name: str) -> tuple[str | None, ...]:
    """The modules (None for vmlinux) of the sites printed under exactly this name, in file order.

    Works on both files: behind an address, or at the beginning of a line.
    """
    plain = name.encode()
    found: list[tuple[int, str | None]] = []
    at = raw.find(plain)
    while at >= 0:
        stop = at + len(plain)
        if (at == 0 or raw[at - 1] in b" \n") and raw[stop : stop + 1] in (b"\n", b" "):
            end = raw.find(b"\n", stop)
            module = raw[stop + 1 : end].strip(b"[]") if raw[stop : stop + 1] == b" " else b""
            found.append((at, module.decode("utf-8", "replace") or None))
        at = raw.find(plain, stop)
    return tuple(module for _, module in found)


class Ambiguous(NamedTuple):
    """`lines` lines of the list belong to some of the symbols that start at `starts`, `offset` bytes into them."""

    offset: int
    starts: tuple[int, ...]
    lines: int


class Sites:
    """Where ftrace can patch: exact addresses where the kernel tells them, else names in order.

    `addresses` maps the owner (None for vmlinux, else the module's name) to its sorted sites.
    """

    __slots__ = ("_spans", "_starts", "addresses", "ambiguous", "listed", "order")

    def __init__(self) -> None:
        self.addresses: dict[bytes | None, list[int]] | None = None
        self.listed: dict[tuple[bytes, bytes | None], int] = {}
        self.order: list[bytes] = []  # names of vmlinux as listed; only where kallsyms hides the addresses
        self._spans: list[tuple[int, int]] | None = None
        self._starts: dict[bytes | None, set[int]] | None = None
        self.ambiguous: dict[tuple[bytes | None, int], list[Ambiguous]] = {}

    def known(self, symbols: SymbolTable, row: int) -> bool | None:
        """True if the symbol of this line holds a site anywhere in its body; None if that cannot be told.

        This is ftrace_location for sym+0 and ftrace_location_range over the symbol
        (kernel/trace/ftrace.c). None: several functions share the name and the list does not say
        which is meant, or kernel.kptr_restrict hides the addresses.
        """
        owner, address = symbols.modules[row], symbols.addresses[row]
        if self._starts is not None:
            return None if (owner, address) in self.ambiguous else address in self._starts.get(owner, ())
        if self.addresses is not None and not symbols.hidden:
            begin, end = symbols.extent(row)
            mine = self.addresses.get(owner, [])
            at = bisect_left(mine, begin)
            return at < len(mine) and mine[at] < end
        name = symbols.names[row]
        same = [i for i in symbols.rows(name) if symbols.modules[i] == owner]
        listed = self.listed.get((name, owner), 0)
        if listed >= len(same):
            return True
        return False if not listed and self._is_alone(symbols, row) else None

    def _is_alone(self, symbols: SymbolTable, row: int) -> bool:
        """Without addresses: no listed name can be another name of this unlisted symbol of vmlinux.

        The padding symbol `__pfx_<name>` right before it has another address, so this is the first name at its own
        address, the one that the list would print. A site printed without a name may lie in any symbol between the
        names around it in the list.
        """
        if symbols.modules[row] is not None or row == 0:
            return False
        if symbols.names[row - 1] != b"__pfx_" + symbols.names[row]:
            return False
        return not any(first <= row <= last for first, last in self._nameless(symbols))

    def _nameless(self, symbols: SymbolTable) -> list[tuple[int, int]]:
        """First and last row between which each site without a name lies."""
        if self._spans is None:
            self._spans = []
            low, waiting = 0, False
            for name in self.order:
                if name.startswith(INVALID):
                    waiting = True
                    continue
                rows = [i for i in symbols.rows(name) if symbols.modules[i] is None]
                if len(rows) != 1:
                    continue
                if waiting:
                    self._spans.append((low, rows[0]))
                    waiting = False
                low = rows[0]
            if waiting:
                self._spans.append((low, symbols.vmlinux_count))
        return self._spans

    def starts_of(self, owner: bytes | None) -> set[int] | None:
        """Addresses of the owner's symbols that hold a site, after `settle`; None before it and without addresses."""
        return None if self._starts is None else self._starts.get(owner, set())

    def site(self, symbols: SymbolTable, row: int) -> int | None:
        """Offset in bytes of the first site inside the symbol; None if there is none or it is not told."""
        if self.addresses is None or symbols.hidden:
            return None
        begin, end = symbols.extent(row)
        mine = self.addresses.get(symbols.modules[row], [])
        at = bisect_left(mine, begin)
        return mine[at] - begin if at < len(mine) and mine[at] < end else None

    def settle(self, symbols: SymbolTable) -> None:
        """Work out all symbols that hold a site at once; `known` then answers from a set."""
        if self._starts is None and self.addresses is not None and not symbols.hidden:
            self._starts = {}
            for owner, mine in self.addresses.items():
                starts = symbols.starts(owner)
                low = bisect_left(mine, starts[0]) if starts else len(mine)
                self._starts[owner] = {starts[bisect_right(starts, ip) - 1] for ip in mine[low:]}


def _ends(raw: bytes, path: str) -> bytes:
    """The first line, of a file that has its last line end."""
    if raw and not raw.endswith(b"\n"):
        raise Malformed(path, raw.rfind(b"\n") + 1, "a line end (the file is cut off)", repr(raw[-24:]))
    return raw[: raw.find(b"\n") + 1].rstrip(b"\n")


def _split(raw: bytes, path: str) -> list[bytes]:
    _ends(raw, path)
    return raw.split(b"\n")[:-1]


def table_addrs(raw: bytes) -> Sites:
    """All sites of the `_addrs` file. Raises Malformed at the first line without an address."""
    sites = Sites()
    lines = _split(raw, PATH_ADDRS)
    found: dict[bytes | None, list[int]] = {}
    try:
        if b" [" in raw:
            first = raw.count(b"\n", 0, raw.index(b" ["))
            for line in lines[first:]:
                head, _, rest = line.partition(b" ")
                _, blank, module = rest.partition(b" ")
                found.setdefault(module[1:-1] if blank else None, []).append(int(head, 16))
            lines = lines[:first]
        found.setdefault(None, []).extend([int(line[: line.index(b" ")], 16) for line in lines])
    except ValueError:
        raise _bad_line(raw) from None
    for mine in found.values():
        mine.sort()
    if any(mine and mine[-1] for mine in found.values()) or not raw:
        sites.addresses = found
    else:  # hidden by kernel.kptr_restrict: the names are still there
        sites.listed = _counts([line.partition(b" ")[2] for line in raw.split(b"\n")[:-1]])
    return sites


def by_name(raw: bytes) -> Sites:
    """What either file says of names alone, for symbols whose addresses kernel.kptr_restrict hides.

    The `_addrs` file shows its addresses whatever that setting is, and they help nobody then.
    """
    sites = Sites()
    lines = _split(raw, PATH)
    if lines and _is_address(lines[0].partition(b" ")[0]):
        lines = [line.partition(b" ")[2] for line in lines]
    sites.listed = _counts(lines)
    sites.order = [line for line in lines if b" " not in line]
    return sites


def _is_address(word: bytes) -> bool:
    return len(word) == 16 and not word.strip(b"0123456789abcdef")


def narrow(raw: bytes, names: Iterable[bytes], lines: Lines | None = None) -> bytes:
    """The lines of an `_addrs` file that are printed under one of these names, and those under no name.

    `lines` knows where they are. Raises Malformed for a file that is cut off or does not begin as one; the other lines
    are not looked at.
    """
    head = _ends(raw, PATH_ADDRS)
    try:
        int(head[: head.index(b" ")] if raw else b"0", 16)
    except ValueError:
        raise _bad_line(raw) from None
    parts: list[tuple[int, bytes]] = []
    sought = set(names)
    if lines is not None:
        for name in {*sought, INVALID}:
            parts += [one for one in lines.of(name) if _is_under(one[1].partition(b" ")[2], name)]
        return b"".join(line for _, line in sorted(parts))
    pattern = None
    if len(sought) > _FEW:
        from . import many

        pattern = many.pattern(b" ", sought, b"\n ")
    for match in pattern.finditer(raw) if pattern is not None else ():
        begin = raw.rfind(b"\n", 0, match.start()) + 1
        end = raw.find(b"\n", match.end())
        parts.append((begin, raw[begin : end + 1 if end >= 0 else len(raw)]))
    for name in {INVALID} if pattern is not None else {*sought, INVALID}:
        needle = b" " + name
        at = raw.find(needle)
        while at >= 0:
            stop = at + len(needle)
            if name == INVALID or raw[stop : stop + 1] in (b"\n", b" "):
                begin = raw.rfind(b"\n", 0, at) + 1
                end = raw.find(b"\n", stop)
                parts.append((begin, raw[begin : end + 1 if end >= 0 else len(raw)]))
            at = raw.find(needle, stop)
    return b"".join(line for _, line in sorted(parts))


def of_module(raw: bytes, module: bytes, lines: Lines | None = None) -> list[bytes]:
    """The names that either file lists for a module, in file order; `lines` as in `narrow`."""
    end = b" [" + module + b"]"
    every = raw.split(b"\n") if lines is None else [line.rstrip(b"\n") for _, line in lines.of(end[1:])]
    names = [line.removesuffix(end).rpartition(b" ")[2] for line in every if line.endswith(end)]
    return [name for name in names if not name.startswith(INVALID)]


def _is_under(shown: bytes, name: bytes) -> bool:
    """What a line shows behind its address, is this name or, for INVALID, no name."""
    return shown.startswith(name) and (name == INVALID or shown[len(name) : len(name) + 1] in (b"\n", b" "))


def _found_in(raw: bytes, name: bytes, lines: Lines | None) -> Sequence[str | None]:
    """As `find`, of the file without addresses."""
    if lines is None:
        return find(raw, name.decode("utf-8", "replace"))
    shown = [line for _, line in lines.of(name) if _is_under(line, name)]
    owners = [line.rstrip(b"\n").partition(b" ")[2].strip(b"[]").decode("utf-8", "replace") for line in shown]
    return [owner or None for owner in owners]


def names_only(
    raw: bytes, symbols: SymbolTable, names: Iterable[bytes], lines: Lines | None = None, kallsyms: bytes = b""
) -> Sites | None:
    """What the file without addresses says of a few names, without placing the whole list. `lines` as in `narrow`.

    None where only the order of the whole list can tell: several copies of which some are listed, or an
    unlisted function that could hold a site printed without a name. `kallsyms`, the whole file, tells of most of
    these that they hold none. Raises Malformed for a file that is cut off or does not begin with a name.
    """
    head = _ends(raw, PATH)
    if raw and (not head or head.count(b" ") > 1):
        raise Malformed(PATH, 0, "a function name", repr(head[:40]))
    sites = Sites()
    placed: dict[bytes | None, set[int]] = {}
    rows = [row for name in names for row in symbols.rows(name)]
    loose = None
    if rows:
        nameless = raw if lines is None else b"".join(line for _, line in lines.of(INVALID) if line.startswith(INVALID))
        loose = min((int(d) for d in _digits(nameless)), default=None)
    for row in rows:
        owner, title = symbols.modules[row], symbols.canonical(row)
        plain = owner.decode() if owner else None
        listed = _found_in(raw, title, lines).count(plain)
        same = {
            symbols.addresses[r]
            for r in symbols.rows(title)
            if symbols.modules[r] == owner and symbols.canonical(r) == title
        }
        if 0 < listed < len(same):
            return None
        begin, end = symbols.extent(row)
        may_hold = not listed and loose is not None and begin + loose < end and symbols.is_core_text(begin)
        if may_hold and _is_near_nameless(raw, kallsyms, begin):
            return None
        if listed:
            placed.setdefault(owner, set()).update(same)
    sites._starts = placed
    return sites


_BESIDE_MAX = 40  # lines of kallsyms on either side among which a listed function is sought


def _is_near_nameless(raw: bytes, kallsyms: bytes, address: int) -> bool:
    """False if no site without a name lies between the listed functions around this address of vmlinux.

    The list is in ascending order of addresses, so what stands between their two lines lies between them.
    """
    at = kallsyms.find(b"%016x " % address)
    if at < 0 or (at and kallsyms[at - 1] != 0x0A):
        return True
    before, after = _listed_beside(raw, kallsyms, at, address, -1), _listed_beside(raw, kallsyms, at, address, 1)
    return before < 0 or after <= before or raw.find(INVALID, before, after) >= 0


def _listed_beside(raw: bytes, kallsyms: bytes, line: int, address: int, step: int) -> int:
    """Position in the list of the next function on one side whose name stands once in both files; -1: none is near."""
    for _ in range(_BESIDE_MAX):
        begin = kallsyms.rfind(b"\n", 0, line - 1) + 1 if step < 0 else kallsyms.find(b"\n", line) + 1
        end = kallsyms.find(b"\n", begin)
        if (step < 0 and not line) or (step > 0 and not begin) or end < 0:
            break
        line = begin
        head, _, rest = kallsyms[begin:end].partition(b" ")
        name = rest[2:]
        if b"\t" in name or not _is_address(head) or int(head, 16) == address:
            continue
        needle = b"\n" + name + b"\n"
        at = raw.find(needle)
        if at >= 0 and raw.find(needle, at + 1) < 0 and _stands_once(kallsyms, name):
            return at
    return -1


def _stands_once(kallsyms: bytes, name: bytes) -> bool:
    needle = b" " + name + b"\n"
    at = kallsyms.find(needle)
    return at >= 0 and kallsyms.find(needle, at + 1) < 0


def _digits(raw: bytes) -> list[bytes]:
    found = []
    at = raw.find(INVALID)
    while at >= 0:
        end = raw.find(b"\n", at)
        found.append(raw[at:end].partition(b" ")[0].rpartition(b"_")[2])
        at = raw.find(INVALID, end)
    return [digits for digits in found if digits.isdigit()]


def _bad_line(raw: bytes) -> Malformed:
    at = 0
    for line in raw.split(b"\n"):
        head, blank, _ = line.partition(b" ")
        try:
            int(head if blank else b"", 16)
        except ValueError:
            break
        at += len(line) + 1
    return Malformed(PATH_ADDRS, at, "address and name", repr(raw[at : at + 40]))


def _counts(lines: Sequence[bytes]) -> dict[tuple[bytes, bytes | None], int]:
    listed: dict[tuple[bytes, bytes | None], int] = {}
    for line in lines:
        if line.startswith(INVALID):
            continue
        name, blank, module = line.partition(b" ")
        key = (name, module[1:-1] if blank else None)
        listed[key] = listed.get(key, 0) + 1
    return listed


def table_names(raw: bytes, symbols: SymbolTable) -> Sites:
    """All sites of the file without addresses, placed on `symbols` by name and by order.

    The list keeps the order of addresses inside vmlinux and inside each module. A name that several
    functions share is given to the copies that fit between its neighbours; where more copies fit than
    lines are there, those symbols are `ambiguous`, until somebody looks at their code. Needs the whole symbol table.
    """
    sites = Sites()
    lines = _split(raw, PATH)
    for line in lines[:50]:
        if not line or line.count(b" ") > 1:
            raise Malformed(PATH, 0, "a function name", repr(line[:40]))
    sites.listed = _counts(lines)
    if symbols.hidden:
        return sites
    copies: dict[tuple[bytes, bytes | None], list[int]] = {}
    canonical_names: set[int] = set()
    last = -1
    for i in range(symbols.vmlinux_count):
        address = symbols.addresses[i]
        if address != last:
            canonical_names.add(i)
            last = address
    seen: set[tuple[int, bytes | None]] = set()
    for i in range(symbols.vmlinux_count, len(symbols.names)):
        if i in symbols.marks:
            continue
        key = (symbols.addresses[i], symbols.modules[i])
        if key not in seen:
            seen.add(key)
            canonical_names.add(i)
    for i in sorted(canonical_names):
        copies.setdefault((symbols.names[i], symbols.modules[i]), []).append(symbols.addresses[i])
    placed: dict[bytes | None, set[int]] = {}
    groups: dict[bytes | None, list[tuple[bytes, list[int]]]] = {}
    for line in lines:
        name, blank, module = line.partition(b" ")
        owner = module[1:-1] if blank else None
        groups.setdefault(owner, []).append((name, copies.get((name, owner), [])))
    for owner, group in groups.items():
        found: set[int] = set()
        unplaced: list[Ambiguous] = []
        _place(group, found, unplaced)
        _place_invalid(group, symbols.starts(owner), found, unplaced)
        placed[owner] = found
        for record in unplaced:
            for address in record.starts:
                if address not in found:
                    sites.ambiguous.setdefault((owner, address), []).append(record)
    sites._starts = placed
    return sites


def _place(group: list[tuple[bytes, list[int]]], found: set[int], unplaced: list[Ambiguous]) -> None:
    """Give every listed name an address, in ascending order; ambiguous ones go to `unplaced`."""
    count = len(group)
    fixed = [addresses[0] if len(addresses) == 1 else -1 for _, addresses in group]
    upper = [0] * count
    bound = 1 << 64
    for i in range(count - 1, -1, -1):
        upper[i] = bound
        if fixed[i] >= 0:
            bound = fixed[i]
    low = -1
    i = 0
    while i < count:
        if fixed[i] >= 0:
            found.add(fixed[i])
            low = fixed[i]
            i += 1
            continue
        stop = i
        while stop < count and fixed[stop] < 0:
            stop += 1
        high = upper[stop - 1]
        needed: dict[bytes, int] = {}
        options: dict[bytes, list[int]] = {}
        for name, addresses in group[i:stop]:
            needed[name] = needed.get(name, 0) + 1
            options[name] = [a for a in addresses if low < a < high]
        for name, fitting in options.items():
            if len(fitting) <= needed[name]:
                found.update(fitting)
            else:
                unplaced.append(Ambiguous(0, tuple(fitting), needed[name]))
        i = stop


def _place_invalid(
    group: list[tuple[bytes, list[int]]], starts: list[int], found: set[int], unplaced: list[Ambiguous]
) -> None:
    """Sites printed as `__ftrace_invalid_address___<offset>`: left behind by a weak function.

    They lie `offset` bytes into the symbol before them (kernel/trace/ftrace.c, print_rec), so they
    count for that symbol. It is sought between the neighbours in the list.
    """
    low = starts[0] if starts else 0
    pending: list[int] = []
    for name, addresses in [*group, (b"", [starts[-1] + 1] if starts else [])]:
        if name.startswith(INVALID):
            digits = name.rpartition(b"_")[2]
            if digits.isdigit():
                pending.append(int(digits))
            continue
        if len(addresses) != 1:
            continue
        high = addresses[0]
        for offset in pending:
            first, last = bisect_right(starts, low) - 1, bisect_left(starts, high)
            fitting = [
                s for s, end in zip(starts[first:last], starts[first + 1 : last + 1], strict=False) if s + offset < end
            ]
            if len(fitting) == 1:
                found.add(fitting[0])
            else:
                unplaced.append(Ambiguous(offset, tuple(fitting), 1))
        pending.clear()
        low = high


def nothing() -> Sites:
    """The sites of a kernel that was built without dynamic ftrace: none."""
    sites = Sites()
    sites.addresses, sites._starts = {}, {}
    return sites
