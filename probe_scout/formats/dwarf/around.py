"""What lies around a function in the code: its parameters at an inlined copy, what it calls, what it passes through.

Calls are DW_TAG_call_site entries (DWARF 5, 3.4.1; DW_TAG_GNU_call_site before), which compilers write when they
optimise. A call through a pointer names nobody and is not listed. Whether a call is made on every run is not told.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from . import classes
from . import names as n
from .inline_facts import Reader, own_name
from .locations import LOST, Place, place_of
from .search import refers_far
from .walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .inline_facts import Gathered, SourceFunction
    from .units import DebugFile, Unit

_ENTRIES_MAX = 50_000  # of one function
_CHILDREN_MAX = 4096
_PIECES_MAX = 32  # copies and bodies looked into
_UNITS_BYTES_MAX = 1 << 20  # of the units looked into; the first is always
_DEPTH_MAX = 3  # calls followed on
_FOLLOWED_MAX = 16  # functions looked into
_EVENT = "trace_"
# Calls that compilers and instrumentation put in; nobody means them.
_PUT_IN = (
    *("__stack_chk_", "__ubsan_", "__asan_", "__kasan_", "__kcsan_", "__tsan_", "__sanitizer_", "__fortify_", "__cfi_"),
    *("__SCT__", "__fentry__", "__warn_printk", "_printk", "__list_add_valid", "__list_del_entry_valid", "__might_"),
    *("lockdep_", "mutex_", "_raw_spin_", "_raw_read_", "_raw_write_", "__rcu_", "rcu_", "preempt_schedule"),
)


class Parameter(NamedTuple):
    """One parameter at one place; `kind` and `where` are those of locations.Place."""

    name: str
    kind: str
    where: str


class Neighbour(NamedTuple):
    """A function with code of its own, near the one that was asked for.

    `symbols`: what its code is called, a definition's own symbols first. `kind`: one of classes.CLASSES, "" where
    the units that were read cannot tell. `via`: the functions that are passed on the way. `reached` of `pieces`
    pieces of code call it (for a caller: hold that many copies).
    """

    name: str
    symbols: tuple[str, ...]
    kind: str
    file: str
    via: tuple[str, ...]
    reached: int
    pieces: int


class Around(NamedTuple):
    """`callers` hold copies, `callees` are called from every piece of code looked at, nearest first.

    `events`: tracepoints that the code passes, each with the functions on the way. `is_whole`: every piece of code
    was looked at.
    """

    callers: tuple[Neighbour, ...]
    callees: tuple[Neighbour, ...]
    events: tuple[tuple[str, tuple[str, ...]], ...]
    is_whole: bool


def parameters(file: DebugFile, entry: int, pc: int) -> tuple[Parameter, ...]:
    """The parameters of the function or inlined copy at an offset of .debug_info, where they are at `pc`.

    In the order of the source; one that the entry does not mention is lost. Raises Malformed.
    """
    found = file.entry(entry)
    if found is None:
        return ()
    unit, _, values = found
    mine: dict[int, Place] = {}
    order: list[tuple[str, Place]] = []
    for offset, attributes in _parameters(unit, entry):
        place = place_of(unit, attributes, pc)
        origin = attributes.get(n.AT_ABSTRACT_ORIGIN)
        if isinstance(origin, int):
            mine[origin] = place
        order.append((_name(file, offset), place))
    origin = values.get(n.AT_ABSTRACT_ORIGIN)
    abstract = file.entry(origin) if isinstance(origin, int) else None
    if abstract is None or not isinstance(origin, int):
        return tuple(Parameter(name, *place) for name, place in order)
    listed = [
        Parameter(abstract[0].text(attributes.get(n.AT_NAME)), *mine.get(offset, Place(LOST, "")))
        for offset, attributes in _parameters(abstract[0], abstract[0].start + _within(abstract[0], origin))
    ]
    return tuple(listed) or tuple(Parameter(name, *place) for name, place in order)


def _within(unit: Unit, offset: int) -> int:
    return (offset & (1 << 60) - 1) - unit.start


def _name(file: DebugFile, offset: int) -> str:
    for _ in range(8):
        found = file.entry(offset)
        if found is None:
            return ""
        unit, _, values = found
        if n.AT_NAME in values:
            return unit.text(values[n.AT_NAME])
        link = values.get(n.AT_ABSTRACT_ORIGIN)
        if not isinstance(link, int):
            return ""
        offset = link
    return ""


def _parameters(unit: Unit, entry: int) -> list[tuple[int, dict[int, Any]]]:
    """(offset, attributes) of the formal parameters right below an entry."""
    below = children(unit, entry - unit.start)
    return [(unit.start + at, values) for at, tag, values in below if tag == n.TAG_FORMAL_PARAMETER]


def children(unit: Unit, at: int) -> list[tuple[int, int, dict[int, Any]]]:
    """(offset in the unit, tag, attributes) of the entries right below one, some thousands at most."""
    found: list[tuple[int, int, dict[int, Any]]] = []
    abbrev, _, at = unit.entry(at)
    if abbrev is None or not abbrev.has_children:
        return found
    end, depth = unit.end - unit.start, 1
    for _ in range(_ENTRIES_MAX):
        if not depth or at >= end or len(found) >= _CHILDREN_MAX:
            break
        start = at
        abbrev, values, at = unit.entry(at)
        if abbrev is None:
            depth -= 1
            continue
        if depth == 1:
            found.append((start, abbrev.tag, values))
        if abbrev.has_children:
            sibling = values.get(n.AT_SIBLING)
            if isinstance(sibling, int) and start < sibling - unit.start <= end:
                at = sibling - unit.start
            else:
                depth += 1
    return found


def _inside(unit: Unit, entry: int) -> tuple[list[int], list[int]]:
    """Offsets of the functions called, and of those inlined, anywhere below an entry; in file order."""
    calls: list[int] = []
    inlined: list[int] = []
    abbrev, _, at = unit.entry(entry - unit.start)
    depth = 1 if abbrev is not None and abbrev.has_children else 0
    end = unit.end - unit.start
    for _ in range(_ENTRIES_MAX):
        if not depth or at >= end:
            break
        abbrev, values, at = unit.entry(at)
        if abbrev is None:
            depth -= 1
            continue
        if abbrev.tag in (n.TAG_CALL_SITE, n.TAG_GNU_CALL_SITE):
            origin = values.get(n.AT_CALL_ORIGIN, values.get(n.AT_ABSTRACT_ORIGIN))
            if isinstance(origin, int):
                calls.append(origin)
        elif abbrev.tag == n.TAG_INLINED_SUBROUTINE and isinstance(values.get(n.AT_ABSTRACT_ORIGIN), int):
            inlined.append(values[n.AT_ABSTRACT_ORIGIN])
        if abbrev.has_children:
            depth += 1
    return calls, inlined


class _Units:
    """The functions of the units that were read, by name."""

    def __init__(self, file: DebugFile) -> None:
        self.file = file
        self.reader = Reader(file, None, with_chains=False)
        self.far = refers_far(file)
        self._read: set[int] = set()
        self.by_name: dict[str, list[tuple[Unit, tuple[bytes, str, int], Gathered]]] = {}

    def read(self, unit: Unit) -> None:
        """Take the functions of a unit in, once."""
        if unit.start in self._read:
            return
        self._read.add(unit.start)
        self.reader.found = {}
        self.reader.read(unit, walk(unit))
        for key, mine in self.reader.found.items():
            self.by_name.setdefault(key[0].decode("utf-8", "replace"), []).append((unit, key, mine))

    def name(self, unit: Unit, offset: int) -> str:
        """The name of the function at an offset, "" if it has none."""
        root = self.reader.root_of(offset)
        return root.key[0].decode("utf-8", "replace") if root else ""

    def neighbour(self, name: str, via: tuple[str, ...], reached: int, pieces: int) -> Neighbour | None:
        """A function with code, by its name in the source; None if no symbol is known for it."""
        symbols = self.file.image.symbols
        for unit, key, mine in self.by_name.get(name, ()):
            if mine.bodies:
                bodies = [symbols.at(symbols.entry(body[0])) for body in mine.bodies]
                own = own_name(name, mine.linkage.decode("utf-8", "replace"), bodies)
                names = tuple(dict.fromkeys(s for body in bodies for s in body if ".cold" not in s))
                names = tuple(sorted(names, key=lambda s: (s != own, not s.startswith(name))))[:4]
                kind = ""
                if not self.far and key[1] == unit.name:
                    places = [(classes.is_own(own, self._held(copy[0])), copy[1]) for copy in mine.copies]
                    kind = classes.class_of(own, bodies, places)
                return Neighbour(name, names, kind, key[1], via, reached, pieces) if names else None
        if symbols.named(name):
            return Neighbour(name, (name,), "", "", via, reached, pieces)
        return None

    def _held(self, address: int) -> tuple[str, ...]:
        held = self.file.image.symbols.holding(address)
        return held[1] if held else ()

    def body(self, name: str) -> tuple[Unit, int, str] | None:
        """The unit, the entry and the source file of a function's code, if a unit that was read has it."""
        for unit, key, mine in self.by_name.get(name, ()):
            if mine.bodies:
                return unit, mine.bodies[0][2], key[1]
        return None


def around(file: DebugFile, function: SourceFunction) -> Around:
    """What calls the function's code and what it calls. Raises Malformed."""
    units = _Units(file)
    pieces = [body.entry for body in function.bodies] + [copy.entry for copy in function.missed]
    looked = _affordable(file, pieces)
    calls: dict[str, int] = {}
    events: dict[str, tuple[str, ...]] = {}
    for unit, entry in looked:
        units.read(unit)
        called, inlined = _inside(unit, entry)
        for name in dict.fromkeys(units.name(unit, offset) for offset in called):
            calls[name] = calls.get(name, 0) + 1
        _note_events(units, unit, inlined, (), events)
    every = [name for name, count in calls.items() if count == len(looked) and _is_meant(name, function.name)]
    callees = [units.neighbour(name, (), len(looked), len(looked)) for name in every]
    callees += _onward(units, function, every, events)
    return Around(
        _callers(units, function),
        tuple(callee for callee in callees if callee is not None),
        tuple(events.items()),
        len(looked) == len(pieces),
    )


def _affordable(file: DebugFile, pieces: list[int]) -> list[tuple[Unit, int]]:
    """The pieces that are looked into: all, unless they are many or lie in much debug information."""
    found: list[tuple[Unit, int]] = []
    read: set[int] = set()
    spent = 0
    for entry in pieces:
        unit = file.unit_at(entry)
        if unit is None or len(found) == _PIECES_MAX:
            continue
        if unit.start not in read:
            if read and spent + unit.end - unit.start > _UNITS_BYTES_MAX:
                continue
            read.add(unit.start)
            spent += unit.end - unit.start
        found.append((unit, entry))
    return found


def _is_meant(name: str, own: str) -> bool:
    return bool(name) and name != own and not name.startswith(_PUT_IN)


def _note_events(
    units: _Units, unit: Unit, inlined: list[int], via: tuple[str, ...], events: dict[str, tuple[str, ...]]
) -> None:
    for offset in dict.fromkeys(inlined):
        name = units.name(unit, offset)
        if name.startswith(_EVENT) and not name.endswith("_enabled"):
            events.setdefault(name.removeprefix(_EVENT), via)


def _onward(
    units: _Units, function: SourceFunction, first: list[str], events: dict[str, tuple[str, ...]]
) -> list[Neighbour | None]:
    """Functions of the same source file that the callees call in their turn, nearest first."""
    found: list[Neighbour | None] = []
    seen = {function.name, *first}
    level: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in first]
    looked = 0
    for _ in range(_DEPTH_MAX):
        following: list[tuple[str, tuple[str, ...]]] = []
        for name, via in level:
            place = units.body(name)
            if place is None or place[2] != function.file or looked >= _FOLLOWED_MAX:
                continue
            looked += 1
            unit, entry, _ = place
            called, inlined = _inside(unit, entry)
            _note_events(units, unit, inlined, via, events)
            for other in dict.fromkeys(units.name(unit, offset) for offset in called):
                if other in seen or not _is_meant(other, function.name):
                    continue
                seen.add(other)
                there = units.body(other)
                if there is not None and there[2] == function.file:
                    found.append(units.neighbour(other, via, 0, 0))
                    following.append((other, (*via, other)))
        level = following
    return found


def _callers(units: _Units, function: SourceFunction) -> tuple[Neighbour, ...]:
    """The functions whose symbols hold copies, those that hold most first."""
    held: dict[str, list[str]] = {}
    for copy in function.missed:
        if copy.symbol:
            held.setdefault(copy.symbol, []).append(copy.chain[-1] if copy.chain else copy.symbol)
    total = len(function.missed)
    found = []
    for symbol, names in held.items():
        near = units.neighbour(names[0], (), len(names), total) if units.body(names[0]) else None
        kind, file = (near.kind, near.file) if near is not None and symbol in near.symbols else ("", "")
        found.append(Neighbour(names[0], (symbol,), kind, file, (), len(names), total))
    return tuple(sorted(found, key=lambda one: -one.reached))
