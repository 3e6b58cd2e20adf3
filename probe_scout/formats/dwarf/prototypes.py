"""A function's parameters and result with their types (DWARF 5, chapters 3.3 and 5), for user programs.

Types are followed entry by entry, so that only the entries that one function needs are read. Names come without
namespaces: an entry does not know what it is in.
"""

from __future__ import annotations

from ...errors import Malformed
from ...model.user_type import ARRAY, FLOAT, FLOAT128, INTEGER, OTHER, POINTER, STRUCT, VOID_TYPE, Leaf, UserType
from ...named_tuple import NamedTuple
from . import names as n
from .abbrev import uleb
from .around import children
from .locations import LOST, Place, place_of
from .ranges import start_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .abbrev import Abbrev
    from .units import DebugFile, Unit

_CHAIN_MAX = 16
_DEPTH_MAX = 24  # of types in types
_LEAVES_MAX = 64
_PARAMETERS_MAX = 256
_TEXT_MAX = 400

(_ARRAY_TYPE, _CLASS_TYPE, _ENUM_TYPE, _STRUCT_TYPE, _SUBROUTINE, _UNION_TYPE) = (0x01, 0x02, 0x04, 0x13, 0x15, 0x17)
(_POINTER, _REFERENCE, _TYPEDEF, _BASE, _CONST, _VOLATILE, _RESTRICT) = (0x0F, 0x10, 0x16, 0x24, 0x26, 0x35, 0x37)
(_RVALUE, _ATOMIC, _UNSPECIFIED, _MEMBER_POINTER) = (0x42, 0x47, 0x3B, 0x1F)
(_MEMBER, _INHERITANCE, _SUBRANGE, _VARIANT_PART, _PARAMETER, _MORE) = (0x0D, 0x1C, 0x21, 0x33, 0x05, 0x18)
(_AT_BYTE_SIZE, _AT_BIT_SIZE, _AT_UPPER, _AT_ARTIFICIAL, _AT_COUNT, _AT_MEMBER_AT) = (
    *(0x0B, 0x0D, 0x2F, 0x34, 0x37, 0x38),
)
(_AT_ENCODING, _AT_TYPE, _AT_VARIABLE, _AT_VIRTUALITY, _AT_DATA_BIT, _AT_ALIGNMENT, _AT_DELETED, _AT_DEFAULTED) = (
    *(0x3E, 0x49, 0x4B, 0x4C, 0x6B, 0x88, 0x8A, 0x8B),
)
_ATE_BOOL, _ATE_COMPLEX, _ATE_FLOAT, _ATE_SIGNED, _ATE_SIGNED_CHAR, _ATE_DECIMAL = 2, 3, 4, 5, 6, 0x0F
_CC_BY_REFERENCE, _CC_BY_VALUE = 4, 5
LANGUAGES_CXX = frozenset((0x04, 0x1A, 0x21, 0x2B, 0x2E, 0x3A))
LANGUAGE_GO, LANGUAGE_RUST = 0x16, 0x1C
ASSEMBLERS = frozenset((0x31, 0x8001))  # DW_LANG_Assembly, DW_LANG_Mips_Assembler: as describes code, not parameters
_SPELLED = {_CONST: "const", _VOLATILE: "volatile", _RESTRICT: "restrict", _ATOMIC: "_Atomic"}


class Parameter(NamedTuple):
    """One parameter, or for Go also a result. `place`: where DWARF says it is at the function's first instruction."""

    name: str
    type: UserType
    place: Place
    is_result: bool
    is_hidden: bool  # artificial: `this`


class Prototype(NamedTuple):
    """A function as its debug information describes it. `language`: DW_LANG_*. `result` is void without one.

    `is_nocall`: the compiler changed how it is called (DW_CC_nocall). `producer`: the compiler's own words.
    """

    name: str
    linkage_name: str
    language: int
    producer: str
    result: UserType
    parameters: tuple[Parameter, ...]
    is_variadic: bool
    is_nocall: bool
    is_external: bool
    file: str
    line: int


def prototype(file: DebugFile, entry: int) -> Prototype | None:
    """The function at an offset of .debug_info; None where no entry is. Raises Malformed."""
    found = file.entry(entry)
    if found is None:
        return None
    unit, _, values = found
    chain = list(_chain(file, entry))
    types = _Types(file)

    def first(attribute: int) -> tuple[Unit, Any] | None:
        return next(((u, v[attribute]) for _, u, v in chain if attribute in v), None)

    def text(attribute: int) -> str:
        got = first(attribute)
        return got[0].text(got[1]) if got else ""

    address = start_of(unit, values.get(n.AT_LOW_PC), values.get(n.AT_RANGES), None) or 0
    parameters, is_variadic = _parameters(file, chain, types, address)
    result = first(_AT_TYPE)
    root = unit.root
    producer = root.get(0x25)
    from .lines import file_name

    where = first(n.AT_DECL_FILE)
    line = first(n.AT_DECL_LINE)
    return Prototype(
        text(n.AT_NAME),
        text(n.AT_LINKAGE_NAME) or text(n.AT_MIPS_LINKAGE_NAME),
        root.get(n.AT_LANGUAGE, 0),
        unit.text(producer) if producer is not None else "",
        types.at(result[0], result[1]) if result else VOID_TYPE,
        parameters,
        is_variadic,
        any(v.get(n.AT_CALLING_CONVENTION) == n.CC_NOCALL for _, _, v in chain),
        any(v.get(n.AT_EXTERNAL) for _, _, v in chain),
        file_name(where[0], where[1]) if where else "",
        line[1] if line else 0,
    )


def _chain(file: DebugFile, entry: int) -> Iterator[tuple[int, Unit, dict[int, Any]]]:
    """(Offset in its unit, unit, values) of an entry, of its abstract instance and of its declaration."""
    at: Any = entry
    for _ in range(_CHAIN_MAX):
        found = file.entry(at) if isinstance(at, int) else None
        if found is None:
            return
        unit, _, values = found
        yield (at & (1 << 60) - 1) - unit.start, unit, values
        file, at = unit.file, values.get(n.AT_ABSTRACT_ORIGIN, values.get(n.AT_SPECIFICATION))


def _parameters(
    file: DebugFile, chain: list[tuple[int, Unit, dict[int, Any]]], types: _Types, address: int
) -> tuple[tuple[Parameter, ...], bool]:
    """The parameters in the order of the source, and whether more may follow."""
    at, unit, values = chain[0]
    is_variadic = False
    mine: dict[int, Place] = {}
    listed: list[Parameter] = []
    for offset, tag, attributes in children(unit, at):
        is_variadic |= tag == _MORE
        if tag != _PARAMETER or len(listed) >= _PARAMETERS_MAX:
            continue
        place = place_of(unit, attributes, address)
        origin = attributes.get(n.AT_ABSTRACT_ORIGIN)
        if isinstance(origin, int):
            mine[origin & (1 << 60) - 1] = place
        listed.append(_parameter(unit.file, unit.start + offset, types, place))
    if n.AT_ABSTRACT_ORIGIN not in values or len(chain) < 2:
        if not listed and len(chain) > 1:  # a definition that leaves its parameters to the declaration
            return _parameters(file, chain[1:], types, address)
        return tuple(listed), is_variadic
    at, unit, _ = chain[1]
    whole: list[Parameter] = []
    for offset, tag, _ in children(unit, at):
        is_variadic |= tag == _MORE
        if tag == _PARAMETER and len(whole) < _PARAMETERS_MAX:
            place = mine.get(unit.start + offset, Place(LOST, ""))
            whole.append(_parameter(unit.file, unit.start + offset, types, place))
    return (tuple(whole) if len(whole) >= len(listed) else tuple(listed)), is_variadic


def _parameter(file: DebugFile, entry: int, types: _Types, place: Place) -> Parameter:
    name, kind = "", UserType("?", OTHER, 0)
    is_result = is_hidden = False
    for _, unit, values in _chain(file, entry):
        if not name and n.AT_NAME in values:
            name = unit.text(values[n.AT_NAME])
        if kind.text == "?" and _AT_TYPE in values:
            kind = types.at(unit, values[_AT_TYPE])
        is_result |= bool(values.get(_AT_VARIABLE))
        is_hidden |= bool(values.get(_AT_ARTIFICIAL))
    return Parameter(name, kind, place, is_result, is_hidden)


class _Types:
    """Types of one file by the offsets of their entries."""

    def __init__(self, file: DebugFile) -> None:
        self.file = file
        self._known: dict[tuple[int, int], UserType] = {}

    def at(self, unit: Unit, value: Any, depth: int = 0) -> UserType:
        """The type that a DW_AT_type of an entry of `unit` means. Raises Malformed."""
        found = unit.file.entry(value) if isinstance(value, int) else None
        if found is None:
            return UserType("a type of another unit", OTHER, 0)
        owner, abbrev, values = found
        key = (id(owner.file), value & (1 << 60) - 1)
        known = self._known.get(key)
        if known is not None:
            return known
        if depth > _DEPTH_MAX:
            return UserType("…", OTHER, 0)
        self._known[key] = UserType("…", OTHER, 0)  # a type inside itself: broken files only, a pointer ends the way
        made = self._made(owner, key[1] - owner.start, abbrev, values, depth)
        if len(made.text) > _TEXT_MAX:
            made = made._replace(text=made.text[:_TEXT_MAX] + "…")
        self._known[key] = made
        return made

    def _made(self, unit: Unit, at: int, abbrev: Abbrev, values: dict[int, Any], depth: int) -> UserType:
        tag, name = abbrev.tag, unit.text(values.get(n.AT_NAME))
        size = values.get(_AT_BYTE_SIZE)
        size = size if isinstance(size, int) and 0 <= size < 1 << 40 else 0
        inner = values.get(_AT_TYPE)
        if tag == _BASE:
            return _base(name, size, values.get(_AT_ENCODING))
        if tag in (_POINTER, _REFERENCE, _RVALUE):
            return self._pointer(unit, tag, name, size, inner, depth)
        if tag in _SPELLED:
            of = self.at(unit, inner, depth + 1) if inner is not None else VOID_TYPE
            text = f"{of.text} {_SPELLED[tag]}" if of.kind == POINTER and of.text.endswith("*") else ""
            return of._replace(text=text or f"{_SPELLED[tag]} {of.text}")
        if tag == _TYPEDEF:
            of = self.at(unit, inner, depth + 1) if inner is not None else VOID_TYPE
            return of._replace(text=name or of.text)
        if tag == _ENUM_TYPE:
            signed = inner is not None and self.at(unit, inner, depth + 1).signed
            word = f"enum {name}" if unit.is_c else name
            return _scalar(word or "enum", INTEGER, size or 4, signed)
        if tag == _UNSPECIFIED:
            return UserType(name or "void", POINTER if "nullptr" in name else OTHER, 8)
        if tag == _SUBROUTINE:
            kind = POINTER if unit.root.get(n.AT_LANGUAGE) == LANGUAGE_GO else OTHER
            return _scalar(name or self._function(unit, at, inner, depth), kind, 8, False)
        if tag == _MEMBER_POINTER:
            of = self.at(unit, inner, depth + 1) if inner is not None else VOID_TYPE
            if of.kind == OTHER:  # to a function: two words
                leaves = (Leaf(0, INTEGER, 8), Leaf(8, INTEGER, 8))
                return UserType(name or "pointer to member function", STRUCT, 16, False, leaves, 8)
            return _scalar(name or f"{of.text} pointer to member", INTEGER, 8, True)
        if tag == _ARRAY_TYPE:
            return self._array(unit, at, values, inner, depth)
        if tag in (_STRUCT_TYPE, _CLASS_TYPE, _UNION_TYPE):
            return self._record(unit, at, tag, name, size, values, depth)
        return UserType(name or f"a type of tag {tag:#x}", OTHER, size)

    def _pointer(self, unit: Unit, tag: int, name: str, size: int, inner: Any, depth: int) -> UserType:
        width = size or unit.shape.address_bytes
        sign = {_POINTER: "*", _REFERENCE: "&", _RVALUE: "&&"}[tag]
        text = self.name_of(unit, inner, depth + 1) if inner is not None else "void"
        if unit.root.get(n.AT_LANGUAGE) in (LANGUAGE_GO, LANGUAGE_RUST) and name:
            whole = name
        elif "(*)" in text or ")(" in text or text.endswith(")"):
            whole = text  # a pointer to a function is spelt by _function
        else:
            whole = f"{text}{'' if text.endswith(('*', '&')) else ' '}{sign}"
        return _scalar(whole, POINTER, width, False)._replace(target=text)

    def name_of(self, unit: Unit, value: Any, depth: int) -> str:
        """The spelling of a type, for which what it holds is not read."""
        parts: list[str] = []
        for _ in range(_DEPTH_MAX):
            found = unit.file.entry(value) if isinstance(value, int) else None
            if found is None:
                return " ".join([*parts, "void" if value is None else "…"])
            unit, abbrev, values = found
            if abbrev.tag in _SPELLED:
                parts.append(_SPELLED[abbrev.tag])
                value = values.get(_AT_TYPE)
                continue
            if abbrev.tag in (_STRUCT_TYPE, _CLASS_TYPE, _UNION_TYPE, _ENUM_TYPE):
                word = {_UNION_TYPE: "union ", _ENUM_TYPE: "enum "}.get(abbrev.tag, "struct ") if unit.is_c else ""
                return " ".join([*parts, word + (unit.text(values.get(n.AT_NAME)) or "{…}")])
            of = self.at(unit, value, depth)
            return f"{of.text} {' '.join(parts)}" if parts and of.text.endswith("*") else " ".join([*parts, of.text])
        return "…"

    def _function(self, unit: Unit, at: int, inner: Any, depth: int) -> str:
        result = self.name_of(unit, inner, depth + 1) if inner is not None else "void"
        taken = []
        for _, tag, values in children(unit, at)[:16]:
            if tag == _PARAMETER:
                taken.append(self.name_of(unit, values.get(_AT_TYPE), depth + 1))
            elif tag == _MORE:
                taken.append("...")
        return f"{result} (*)({', '.join(taken) or 'void'})"

    def _array(self, unit: Unit, at: int, values: dict[int, Any], inner: Any, depth: int) -> UserType:
        of = self.at(unit, inner, depth + 1) if inner is not None else VOID_TYPE
        count, dimensions = 1, ""
        for _, tag, bounds in children(unit, at):
            if tag != _SUBRANGE:
                continue
            number = bounds.get(_AT_COUNT)
            upper = bounds.get(_AT_UPPER)
            if not isinstance(number, int):
                number = upper + 1 if isinstance(upper, int) and upper < 1 << 40 else 0
            dimensions += f"[{number}]"
            count *= max(number, 0)
        leaves = [
            leaf._replace(offset=leaf.offset + i * of.size)
            for i in range(min(count, _LEAVES_MAX))
            for leaf in of.leaves
        ][:_LEAVES_MAX]
        name = unit.text(values.get(n.AT_NAME))  # Go gives one
        return UserType(
            name or f"{of.text} {dimensions}",
            *(OTHER if of.kind == OTHER else ARRAY, count * of.size, False, tuple(leaves), of.align),
            members=(of,) if count else (),
            elements=count,
        )

    def _record(
        self, unit: Unit, at: int, tag: int, name: str, size: int, values: dict[int, Any], depth: int
    ) -> UserType:
        word = ("union " if tag == _UNION_TYPE else "struct ") if unit.is_c else ""
        text = f"{word}{name or '{…}'}"
        if values.get(n.AT_DECLARATION):
            return UserType(text, OTHER, 0)
        leaves: list[Leaf] = []
        members: list[UserType] = []
        align, by_reference, is_whole, is_packed = 1, False, True, False
        entries = children(unit, at)
        for _, kind, held in entries:
            if kind == _VARIANT_PART:
                is_whole = False
            if kind not in (_MEMBER, _INHERITANCE) or held.get(n.AT_EXTERNAL) or held.get(n.AT_DECLARATION):
                continue
            of = self.at(unit, held.get(_AT_TYPE), depth + 1)
            offset = _member_offset(held)
            is_whole &= of.kind != OTHER and offset is not None and not (of.kind == FLOAT and of.target)
            by_reference |= of.by_reference or bool(kind == _INHERITANCE and held.get(_AT_VIRTUALITY))
            by_reference |= unit.text(held.get(n.AT_NAME)).startswith("_vptr")
            members.append(of)
            align = max(align, of.align)
            bits = held.get(_AT_BIT_SIZE)
            if isinstance(bits, int):
                leaves.append(Leaf(offset or 0, INTEGER, max(1, min(of.size, -(-bits // 8)))))
                continue
            is_packed |= of.is_packed or bool(of.align and (offset or 0) % of.align)
            leaves += [leaf._replace(offset=leaf.offset + (offset or 0)) for leaf in of.leaves]
        said = values.get(n.AT_CALLING_CONVENTION)
        if said in (_CC_BY_REFERENCE, _CC_BY_VALUE):
            by_reference = said == _CC_BY_REFERENCE
        elif not unit.is_c and not by_reference:
            by_reference = self._has_own_copying(unit, name, entries)
        explicit = values.get(_AT_ALIGNMENT)
        if isinstance(explicit, int) and 0 < explicit <= 4096:
            align = max(align, explicit)
        kept = tuple(sorted(set(leaves)) if tag == _UNION_TYPE else leaves[:_LEAVES_MAX])
        kind_of = STRUCT if is_whole or by_reference else OTHER
        return UserType(text, kind_of, size, False, kept, align, by_reference, "", tuple(members), 0, is_packed)

    def _has_own_copying(self, unit: Unit, name: str, entries: list[tuple[int, int, dict[int, Any]]]) -> bool:
        """The class has a destructor or a copying or moving constructor that the compiler did not make itself.

        gcc 12 does not write DW_AT_calling_convention of classes. Itanium C++ ABI, 3.1.2.3: "non-trivial for the
        purposes of calls".
        """
        bare = name.partition("<")[0]
        for at, tag, values in entries:
            if tag != n.TAG_SUBPROGRAM or values.get(_AT_ARTIFICIAL) or values.get(_AT_DEFAULTED) == 1:
                continue
            called = unit.text(values.get(n.AT_NAME))
            if called == f"~{bare}":
                return True
            if values.get(_AT_VIRTUALITY):
                return True
            if called.partition("<")[0] != bare or values.get(_AT_DELETED):
                continue
            taken = [held for _, kind, held in children(unit, at) if kind == _PARAMETER]
            if len(taken) == 2 and taken[0].get(_AT_ARTIFICIAL):
                other = unit.file.entry(taken[1].get(_AT_TYPE, -1)) if isinstance(taken[1].get(_AT_TYPE), int) else None
                if other is not None and other[1].tag in (_REFERENCE, _RVALUE):
                    target = self.name_of(other[0], other[2].get(_AT_TYPE), 1)
                    if target.removeprefix("const ") == name:
                        return True
        return False


def _member_offset(held: dict[int, Any]) -> int | None:
    """The offset in bytes of a member or a base; 0 where nothing is said (unions)."""
    bits = held.get(_AT_DATA_BIT)
    if isinstance(bits, int):
        return bits // 8
    at = held.get(_AT_MEMBER_AT, 0)
    if isinstance(at, bytes):  # DWARF 2 and 3: an expression, plus_uconst
        try:
            return uleb(at, 1)[0] if at[:1] == b"\x23" else None
        except (IndexError, ValueError):
            return None
    return at if isinstance(at, int) and 0 <= at < 1 << 40 else None


def _scalar(text: str, kind: str, size: int, signed: bool) -> UserType:
    leaf = FLOAT if kind == FLOAT else INTEGER
    return UserType(text, kind, size, signed, (Leaf(0, leaf, size),), max(size, 1))


def _base(name: str, size: int, encoding: Any) -> UserType:
    if "128" in name and encoding in (_ATE_COMPLEX, _ATE_FLOAT) and size >= 16 and name != "complex128":
        # Of x86-64 one vector register each, not the x87 stack as long double; how complex ones go is not known here.
        whole = _scalar(name, FLOAT, size, True)._replace(target=FLOAT128)
        return whole if encoding == _ATE_FLOAT else UserType(name, OTHER, size)
    if encoding == _ATE_COMPLEX or name in ("complex64", "complex128"):
        half = size // 2
        part = _scalar(name, FLOAT, half, False)
        return UserType(name, STRUCT, size, False, (Leaf(0, FLOAT, half), Leaf(half, FLOAT, half)), half, False, "",
                        (part, part))  # fmt: skip
    if encoding == _ATE_FLOAT:
        return _scalar(name, FLOAT, size, True)
    if encoding == _ATE_DECIMAL:
        return UserType(name, OTHER, size)
    return _scalar(name, INTEGER, size, encoding in (_ATE_SIGNED, _ATE_SIGNED_CHAR))


__all__ = ["LANGUAGES_CXX", "LANGUAGE_GO", "LANGUAGE_RUST", "Malformed", "Parameter", "Prototype", "prototype"]
