"""Where the code of a function is, and where its inlined copies are: for one name, and for all names.

`find` searches and walks the units that can know the name; `table` walks every unit. Both give the same answers.
"""

from __future__ import annotations

from ...errors import ProbeScoutError
from ...named_tuple import NamedTuple
from . import classes
from . import names as n
from .abbrev import (
    ALT,
    C_ENTRY,
    C_FILE,
    C_LINE,
    C_LOW,
    C_ORIGIN,
    C_RANGES,
    F_CC,
    F_DECLARED,
    F_EXTERNAL,
    F_FILE,
    F_INLINE,
    F_LINE,
    F_LINKAGE,
    F_LOW,
    F_NAME,
    F_ORIGIN,
    F_RANGES,
    F_SPEC,
    FUNCTION_FIELDS,
    RELATIVE,
)
from .lines import file_name
from .ranges import start_of
from .search import values_of
from .walk import walk, walked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .units import DebugFile, Unit
    from .walk import Found, Item

_QUICK_BYTES_MAX = 8 << 20  # of units to walk; a walk reads about 30 MB a second
_FORGET_BYTES = 16 << 20  # of .debug_info read until their memory is given back
_CHAIN_MAX = 16  # abstract_origin and specification: compilers write at most three


class Body(NamedTuple):
    """Code of a function's own. `symbols` start at `address`; empty if none does (an overridden weak function).

    `is_nocall`: the compiler says that its parameters are not those of the source (DW_CC_nocall).
    """

    address: int
    symbols: tuple[str, ...]
    is_nocall: bool
    entry: int


class Copy(NamedTuple):
    """An inlined copy. Its code starts at `symbol`+`offset_bytes`, which an offset kprobe can be put on.

    `symbol` is "" if no symbol holds the address. `chain`: the functions of the source that the copy was inlined
    into, from the inside out; the last one has the code. `line`: the line of the call, in `file`. `entry`: the
    offset of its entry in .debug_info. `is_piece`: it lies in another copy of the same function, which the compiler had
    split and folded back (call line is the function's own): no call, and passed only by calls that the outer copy sees.
    """

    address: int
    symbol: str
    offset_bytes: int
    chain: tuple[str, ...]
    file: str
    line: int
    is_own: bool
    entry: int
    is_piece: bool = False


class SourceFunction(NamedTuple):
    """One function of the source: all entries with one name, file and line. `kind` is one of classes.CLASSES.

    `copies_without_code` were inlined and then optimised away. `units` counts the units that describe it.
    `inline` is DW_AT_inline: 0 not inlined, 1 by the compiler, 2 declared inline and not inlined, 3 both.
    """

    name: str
    file: str
    line: int
    linkage_name: str
    kind: str
    inline: int
    is_external: bool
    units: int
    bodies: tuple[Body, ...]
    copies: tuple[Copy, ...]
    copies_without_code: int

    @property
    def missed(self) -> tuple[Copy, ...]:
        """The copies, each a call of its own, that a probe on the function's symbol does not see."""
        return tuple(copy for copy in self.copies if not copy.is_own and not copy.is_piece)


class Row(NamedTuple):
    """One function of the source in a survey: as SourceFunction, with numbers instead of lists.

    `symbols`: names its own code goes by. `copies`: all with code. `missed`: calls among them that lie outside it.
    `places`: symbol and offset of the copies that a probe on it does not see, if they were asked for and are not more.
    """

    name: str
    file: str
    line: int
    kind: str
    symbols: tuple[str, ...]
    copies: int
    missed: int
    places: tuple[tuple[str, int], ...] = ()


class Root(NamedTuple):
    """What an entry belongs to, at the end of its references: unit, name, linkage name, file and line.

    `origin_linkage`: the linkage name at that end; another than `linkage` for constructors of C++.
    """

    key: tuple[bytes, str, int]
    linkage: bytes
    inline: int
    is_external: bool
    origin_linkage: bytes = b""


class Gathered:
    """What is known of one source function while units are read."""

    __slots__ = ("bodies", "copies", "empty", "inline", "is_external", "linkage", "units")

    def __init__(self) -> None:
        self.bodies: list[tuple[int, bool, int]] = []
        # address, folded, chain, call file, call line, entry, is a piece
        self.copies: list[tuple[int, bool, tuple[str, ...], str, int, int, bool]] = []
        self.units: set[int] = set()
        self.inline, self.empty, self.is_external, self.linkage = 0, 0, False, b""


class Reader:
    """Reads units of one file into `found`, for the wanted name (`by_linkage`: linkage name), or for all of them."""

    def __init__(self, file: DebugFile, wanted: bytes | None, with_chains: bool, by_linkage: bool = False) -> None:
        self.file, self.wanted, self.with_chains, self.by_linkage = file, wanted, with_chains, by_linkage
        self._values = values_of(file, wanted) if wanted is not None else None
        self.named: set[int] = set()  # offsets of strings that are the wanted name of a function here
        self.found: dict[tuple[bytes, str, int], Gathered] = {}
        self.targets: set[int] = set()  # offsets of entries of the wanted function, for units that refer to them
        self._far: dict[int, Root | None] = {}
        self._texts: dict[Any, bytes] = {}

    def read(self, unit: Unit, found: Found) -> None:
        """Take what a walk of the unit found. Raises Malformed."""
        local = {item[0]: item[2] for item in found.functions}
        # By the offset of an entry: what it belongs to, and what is known of that; (None, None) if it is not wanted.
        belongs: dict[int | None, tuple[Root, Gathered] | tuple[None, None]] = {None: (None, None)}

        def owner(offset: int) -> tuple[Root, Gathered] | tuple[None, None]:
            of = self._root(unit, offset, local)
            known = belongs[offset] = (None, None) if of is None else (of, self._gathered(of, unit))
            return known

        for offset, _, values in found.functions:
            if values[F_DECLARED]:
                continue
            of, mine = belongs.get(offset) or owner(offset)
            if mine is None:
                continue
            self.targets.add(offset)
            if values[F_LOW] is not None or values[F_RANGES] is not None:
                address = start_of(unit, values[F_LOW], values[F_RANGES], None)
                if address:
                    mine.bodies.append((address, values[F_CC] == n.CC_NOCALL, offset))

        def is_nested(around: Item | None, key: tuple[bytes, str, int]) -> bool:
            while around is not None:
                _, outer, values = around
                if len(values) == len(FUNCTION_FIELDS) + 1:
                    return False
                of, _ = belongs.get(values[C_ORIGIN]) or owner(values[C_ORIGIN])
                if of is not None and of.key == key:
                    return True
                around = outer
            return False

        with_chains = self.with_chains
        for offset, around, values in found.copies:
            origin = values[C_ORIGIN]
            of, mine = belongs.get(origin) or owner(origin)
            if of is None or mine is None:
                continue
            address = values[C_ENTRY]
            if address is None or not 0 <= address < RELATIVE:
                address = start_of(unit, values[C_LOW], values[C_RANGES], address)
            if not address:
                mine.empty += 1
                continue
            line = values[C_LINE] or 0
            folded = line == of.key[2] and file_name(unit, values[C_FILE]) == of.key[1]
            is_piece = folded and is_nested(around, of.key)
            if with_chains:
                called = file_name(unit, values[C_FILE])
                mine.copies.append((address, folded, self._chain(around), called, line, offset, is_piece))
            else:
                mine.copies.append((address, folded, (), "", line, offset, is_piece))

    def _gathered(self, of: Root, unit: Unit) -> Gathered:
        mine = self.found.get(of.key)
        if mine is None:
            mine = self.found[of.key] = Gathered()
        mine.units.add(unit.start)
        mine.inline = max(mine.inline, of.inline)
        mine.is_external |= of.is_external
        mine.linkage = mine.linkage or of.linkage
        return mine

    def _chain(self, around: Item | None) -> tuple[str, ...]:
        """Names of the functions around an entry, from the inside out, whatever name is wanted."""
        names = []
        while around is not None:
            offset, outer, values = around
            is_function = len(values) == len(FUNCTION_FIELDS) + 1
            start = offset if is_function else values[C_ORIGIN]
            of = self.root_of(start) if start is not None else None
            names.append(of.key[0].decode("utf-8", "replace") if of else "")
            around = None if is_function else outer
        return tuple(names)

    def root_of(self, offset: int) -> Root | None:
        """What the entry at any offset of the file belongs to, whatever name is wanted. Raises Malformed."""
        if offset not in self._far:
            self._far[offset] = self._followed(offset)
        return self._far[offset]

    def _root(self, unit: Unit, offset: int, local: dict[int, tuple[Any, ...]]) -> Root | None:
        """What the entry at an offset belongs to; None if that is not wanted or not in this file."""
        name: Any = None
        linkage: Any = None
        file = line = None
        inline = 0
        external = False
        linkages: list[Any] = []
        at: int | None = offset
        for _ in range(_CHAIN_MAX):
            values = local.get(at) if at is not None else None
            if values is None:
                break
            name = name if name is not None else values[F_NAME]
            linkage = linkage if linkage is not None else values[F_LINKAGE]
            file = file if file is not None else values[F_FILE]
            line = line if line is not None else values[F_LINE]
            inline = inline or values[F_INLINE] or 0
            external = external or bool(values[F_EXTERNAL])
            at = values[F_ORIGIN] if values[F_ORIGIN] is not None else values[F_SPEC]
            if self.by_linkage:
                linkages.append(values[F_LINKAGE])
                if at is None and not self._may_be_linked(linkages):
                    return None
            elif at is None:
                if self._values is not None and type(name) is int and name >= 0 and name not in self._values:
                    return None
                text = self._text(unit, name)
                if not text or (self.wanted is not None and text != self.wanted):
                    return None
                if self.wanted is not None and type(name) is int:
                    self.named.add(name)
                linked = self._text(unit, linkage) if linkage is not None else b""
                return Root((text, file_name(unit, file), line or 0), linked, inline, external)
        of = self.root_of(offset)
        if of is None or self.wanted is None:
            return of
        if self.by_linkage:
            return of if self.wanted in (of.linkage, of.origin_linkage) else None
        return of if of.key[0] == self.wanted else None

    def _may_be_linked(self, linkages: list[Any]) -> bool:
        """A linkage name on the way (C1 and C4 of a constructor) is the wanted one, or is not at an offset."""
        written = [one for one in linkages if one is not None]
        known = [one for one in written if type(one) is int and one >= 0]
        mine = [one for one in known if self._values is not None and one in self._values]
        self.named.update(mine)
        return bool(mine) or len(known) < len(written)

    def _text(self, unit: Unit, value: Any) -> bytes:
        if not isinstance(value, int) or value < 0:
            return unit.raw_text(value)
        text = self._texts.get(value)
        if text is None:
            text = self._texts[value] = unit.raw_text(value)
        return text

    def _followed(self, offset: int) -> Root | None:
        """As `_root`, over units and into the supplementary file, one entry at a time."""
        name = linkage = last = b""
        path, line, inline, external = "", None, 0, False
        has_file = False
        file: DebugFile | None = self.file
        at: int | None = offset
        for _ in range(_CHAIN_MAX):
            if at is None or file is None:
                break
            if at >= ALT and file.supplement is not None:
                file, at = file.supplement, at - ALT
            entry = file.entry(at)
            if entry is None:
                break
            unit, _, values = entry
            file = unit.file
            name = name or unit.raw_text(values.get(n.AT_NAME))
            own = unit.raw_text(values.get(n.AT_LINKAGE_NAME, values.get(n.AT_MIPS_LINKAGE_NAME)))
            linkage, last = linkage or own, own or last
            if not has_file and n.AT_DECL_FILE in values:
                has_file, path = True, file_name(unit, values[n.AT_DECL_FILE])
            line = line if line is not None else values.get(n.AT_DECL_LINE)
            inline = inline or values.get(n.AT_INLINE, 0)
            external = external or bool(values.get(n.AT_EXTERNAL))
            at = values.get(n.AT_ABSTRACT_ORIGIN, values.get(n.AT_SPECIFICATION))
        return Root((name, path, line or 0), linkage, inline, external, last) if name else None


class TooMuch(ProbeScoutError):
    """A name that so many units know that a question meant to be quick is not answered."""


def find(
    file: DebugFile,
    name: str,
    quickly: bool = False,
    progress: Callable[[int, int], None] | None = None,
    by_linkage: bool = False,
) -> tuple[SourceFunction, ...]:
    """The functions of this name in the source, by file and line; empty if the debug information knows none.

    `by_linkage`: the name is a linkage name (mangled), which is rarer by far than a name of C++.

    Only definitions count: a declaration of a function that is defined elsewhere is none. Raises Malformed, and
    TooMuch where `quickly` is asked and not possible. `progress`: offset in .debug_info, and its size.
    """
    from .search import is_common, refers_far, units_holding, units_in_turn

    if not name or "\0" in name:
        return ()
    if quickly and is_common(file, name.encode()):
        raise TooMuch(f"{file.path}: many strings end with {name}")
    reader = Reader(file, name.encode(), with_chains=True, by_linkage=by_linkage)
    read: set[int] = set()
    far = refers_far(file)
    reached: set[int] = set()

    def take(units: list[Unit]) -> None:
        for unit in units:
            if unit.start not in read:
                if progress is not None:
                    progress(unit.start, file.info.size)
                read.add(unit.start)
                is_last = file.last_walk is not None and file.last_walk[0] == unit.start
                reader.read(unit, walked(unit) if is_last else walk(unit))
                unit.forget()

    for more in units_in_turn(file, name.encode(), reader.named):
        if quickly and sum(unit.end - unit.start for unit in more) > _QUICK_BYTES_MAX:
            raise TooMuch(f"{file.path}: {len(more)} units know {name}")
        take(more)
    while far:
        targets = set(reader.targets)
        if file.supplement is not None and not reached:
            targets |= _offsets_in(file.supplement, name)
        more = [unit for unit in units_holding(file, targets - reached) if unit.start not in read]
        if not more:
            break
        reached |= targets
        take(more)
    if progress is not None:
        progress(file.info.size, file.info.size)
    return tuple(_function(file, key, mine) for key, mine in sorted(reader.found.items()))


def _offsets_in(file: DebugFile, name: str) -> set[int]:
    """Offsets of the functions of a supplementary file that have this name, directly or by reference."""
    from .search import units_naming

    raw = name.encode()
    found: set[int] = set()
    for unit in units_naming(file, raw):
        for offset, _, values in walk(unit).functions:
            if values[F_NAME] is not None and unit.raw_text(values[F_NAME]) == raw:
                found.add(offset)
    for _ in range(_CHAIN_MAX):
        before = len(found)
        for unit in file.units:
            for offset, _, values in walk(unit).functions if found else ():
                if values[F_ORIGIN] in found or values[F_SPEC] in found:
                    found.add(offset)
        if len(found) == before:
            break
    return found


def _function(file: DebugFile, key: tuple[bytes, str, int], mine: Gathered) -> SourceFunction:
    symbols = file.image.symbols
    name, linkage = key[0].decode("utf-8", "replace"), mine.linkage.decode("utf-8", "replace")
    begun = sorted({(symbols.entry(address), nocall, entry) for address, nocall, entry in mine.bodies})
    bodies = [Body(address, symbols.at(address), nocall, entry) for address, nocall, entry in begun]
    own = own_name(name, linkage, (body.symbols for body in bodies))
    copies = []
    for address, folded, chain, called, line, entry, is_piece in sorted(mine.copies):
        held = symbols.holding(address)
        start, names = held if held is not None else (address, ())
        holder = _best(names, chain[-1] if chain else "")
        place = (address, holder, address - start)
        copies.append((folded, Copy(*place, chain, called, line, classes.is_own(own, names), entry, is_piece)))
    kind = classes.class_of(own, (body.symbols for body in bodies), ((c.is_own, folded) for folded, c in copies))
    return SourceFunction(
        *(name, key[1], key[2], linkage, kind, mine.inline, mine.is_external, len(mine.units)),
        *(tuple(bodies), tuple(copy for _, copy in copies), mine.empty),
    )


def own_name(name: str, linkage: str, bodies: Iterable[Iterable[str]]) -> str:
    """The name that the function's symbols carry: the linkage name where the symbol table has it.

    gcc leaves the linkage name of a static function of C++ out: its symbol then demangles to the name.
    """
    symbols = [symbol for body in bodies for symbol in body]
    if name in symbols:
        return name
    if linkage:
        return linkage
    mangled = [symbol for symbol in symbols if symbol.startswith(("_Z", "_R"))]
    if mangled:
        from ..elf import demangle

        for symbol in mangled:
            if demangle.without_arguments(demangle.demangle(symbol)).rpartition("::")[2] == name:
                return symbol
    return name


def _best(names: tuple[str, ...], wanted: str) -> str:
    """Of several names of one address the one that the source uses, or begins with it; else the first."""
    if wanted in names:
        return wanted
    near = [name for name in names if name.startswith(wanted + ".")]
    return near[0] if near else names[0] if names else ""


def table(
    file: DebugFile, progress: Callable[[int, int], None] | None = None, places_max: int = 0
) -> dict[str, tuple[Row, ...]]:
    """Every function of the source that has a name, by name: a survey of the whole file. Raises Malformed.

    `progress` is told how many bytes of .debug_info were read, of how many. `places_max`: rows with at most so many
    places that a probe does not see have them.
    """
    import gc

    was_collecting = gc.isenabled()
    gc.disable()  # hundreds of thousands of tuples, none of them in a cycle
    try:
        reader = Reader(file, None, with_chains=False)
        read = 0
        for unit in file.units:
            if progress is not None:
                progress(unit.start, file.info.size)
            reader.read(unit, walk(unit))
            unit.forget()
            if unit.end - read > _FORGET_BYTES:
                file.forget(read, unit.end)
                read = unit.end
        if progress is not None:
            progress(file.info.size, file.info.size)
        return _rows(file, reader, places_max)
    finally:
        if was_collecting:
            gc.enable()


def _rows(file: DebugFile, reader: Reader, places_max: int) -> dict[str, tuple[Row, ...]]:
    symbols = file.image.symbols
    held: dict[int, tuple[int, tuple[str, ...]]] = {}
    found: dict[str, list[Row]] = {}
    for key, mine in sorted(reader.found.items()):
        name, linkage = key[0].decode("utf-8", "replace"), mine.linkage.decode("utf-8", "replace")
        bodies = [symbols.at(address) for address in sorted({symbols.entry(body[0]) for body in mine.bodies})]
        own = own_name(name, linkage, bodies)
        copies: list[tuple[bool, bool]] = []
        missed: set[tuple[str, int]] = set()
        inner: set[tuple[str, int]] = set()
        outside = 0
        for address, folded, _, _, _, _, is_piece in mine.copies:
            place = held.get(address)
            if place is None:
                place = held[address] = symbols.holding(address) or (address, ())
            start, names = place
            is_own = classes.is_own(own, names)
            copies.append((is_own, folded))
            outside += not is_own and not is_piece
            if places_max and names and not is_piece:
                (inner if is_own else missed).add((names[0], address - start))
        kind = classes.class_of(own, bodies, copies)
        if kind == classes.RECURSIVE:
            missed |= inner
        own_symbols = tuple(sorted({symbol for body in bodies for symbol in body}))
        places = tuple(sorted(missed)) if len(missed) <= places_max else ()
        row = Row(name, key[1], key[2], kind, own_symbols, len(copies), outside, places)
        found.setdefault(name, []).append(row)
    return {name: tuple(rows) for name, rows in found.items()}
