"""Abbreviations (.debug_abbrev; DWARF 5, 7.5.3), each turned into code that reads one entry.

An abbreviation says which attributes follow an entry's number, and in which forms. Most have a fixed size; the
others are skipped by a function made for their shape. Functions and inlined copies have a reader that returns the
attributes this package asks about. Abbreviations with the same bytes share all of it, whatever unit they are in.
"""

from __future__ import annotations

import re
from struct import Struct

from ...errors import Malformed
from ...named_tuple import NamedTuple
from . import names as n

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Skip = Callable[[bytes, int], int]
    Reader = Callable[[bytes, int, int], tuple[Any, ...]]

# What the values of a reader mean. Anything below zero is an index: of strx, addrx, rnglistx, loclistx.
NOT_READ = object()  # in the place of what is read when it is asked for
ALT = 1 << 62  # added to an offset into the supplementary file (dwz)
LINE = 1 << 61  # added to an offset into .debug_line_str
SIGNATURE = 1 << 65  # in place of a reference to a type unit
RELATIVE = 1 << 66  # added to a DW_AT_entry_pc that counts from the lowest address

# As regular expressions: a number of at most ten bytes, and a form with the constant that one of them carries.
LEB = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
FORM = rb"(?:\x21" + LEB + rb"|[\x00-\x20\x22-\x7f]|[\x80-\xff]{1,9}+[\x00-\x7f])"
DECLARATION = re.compile(rb"(?s)(" + LEB + rb"[\x00\x01](?:(?!\x00\x00)" + LEB + FORM + rb")*+\x00\x00)")

# Sizes of forms that do not depend on the unit.
_SIZES = {
    n.FORM_DATA1: 1, n.FORM_DATA2: 2, n.FORM_DATA4: 4, n.FORM_DATA8: 8, n.FORM_DATA16: 16, n.FORM_FLAG: 1,
    n.FORM_REF1: 1, n.FORM_REF2: 2, n.FORM_REF4: 4, n.FORM_REF8: 8, n.FORM_FLAG_PRESENT: 0, n.FORM_REF_SIG8: 8,
    n.FORM_IMPLICIT_CONST: 0, n.FORM_REF_SUP4: 4, n.FORM_REF_SUP8: 8, n.FORM_STRX1: 1, n.FORM_STRX2: 2,
    n.FORM_STRX3: 3, n.FORM_STRX4: 4, n.FORM_ADDRX1: 1, n.FORM_ADDRX2: 2, n.FORM_ADDRX3: 3, n.FORM_ADDRX4: 4,
}  # fmt: skip
_OFFSETS = (n.FORM_STRP, n.FORM_SEC_OFFSET, n.FORM_LINE_STRP, n.FORM_STRP_SUP, n.FORM_GNU_REF_ALT, n.FORM_GNU_STRP_ALT)
_ULEBS = (
    *(n.FORM_UDATA, n.FORM_REF_UDATA, n.FORM_STRX, n.FORM_ADDRX, n.FORM_LOCLISTX, n.FORM_RNGLISTX),
    *(n.FORM_GNU_ADDR_INDEX, n.FORM_GNU_STR_INDEX),
)
_BLOCKS = {n.FORM_BLOCK1: 1, n.FORM_BLOCK2: 2, n.FORM_BLOCK4: 4}

# The fields of a reader's tuple, for functions and for inlined copies. The last value is the end of the entry.
(
    F_NAME,
    F_LINKAGE,
    F_FILE,
    F_LINE,
    F_LOW,
    F_RANGES,
    F_ENTRY,
    F_ORIGIN,
    F_SPEC,
    F_INLINE,
    F_DECLARED,
    F_EXTERNAL,
    F_CC,
) = range(13)
FUNCTION_FIELDS = (
    *((n.AT_NAME,), (n.AT_LINKAGE_NAME, n.AT_MIPS_LINKAGE_NAME), (n.AT_DECL_FILE,), (n.AT_DECL_LINE,)),
    *((n.AT_LOW_PC,), (n.AT_RANGES,), (n.AT_ENTRY_PC,), (n.AT_ABSTRACT_ORIGIN,), (n.AT_SPECIFICATION,)),
    *((n.AT_INLINE,), (n.AT_DECLARATION,), (n.AT_EXTERNAL,), (n.AT_CALLING_CONVENTION,)),
)
(C_ORIGIN, C_LOW, C_RANGES, C_ENTRY, C_FILE, C_LINE) = range(6)
COPY_FIELDS = (
    *((n.AT_ABSTRACT_ORIGIN,), (n.AT_LOW_PC,), (n.AT_RANGES,), (n.AT_ENTRY_PC,)),
    *((n.AT_CALL_FILE,), (n.AT_CALL_LINE,)),
)

# Entries below these hold no code, so a walk may go on at their sibling.
_NO_CODE_BELOW = frozenset(
    (n.TAG_ENUMERATION_TYPE, n.TAG_ARRAY_TYPE, n.TAG_SUBROUTINE_TYPE, n.TAG_CALL_SITE, n.TAG_GNU_CALL_SITE)
)
_NO_CODE_BELOW_IN_C = frozenset((n.TAG_STRUCTURE_TYPE, n.TAG_UNION_TYPE, n.TAG_CLASS_TYPE))


_ENTRY_CONST = (n.FORM_IMPLICIT_CONST, n.AT_ENTRY_PC)
_USES_MIN = 16  # entries of one shape from which code made for it is worth its making


class Shape(NamedTuple):
    """What sizes of forms depend on."""

    is_little: bool
    address_bytes: int
    offset_bytes: int
    version: int


class Attribute(NamedTuple):
    """One attribute of an abbreviation; `constant` is the value of DW_FORM_implicit_const."""

    name: int
    form: int
    constant: int


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """(value, end) of an unsigned LEB128. Raises IndexError at the end of the bytes, ValueError beyond 64 bits."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """(value, end) of a signed LEB128. Raises as `uleb`."""
    start = at
    value, at = uleb(data, at)
    bits = 7 * (at - start)
    return (value - (1 << bits) if data[at - 1] & 0x40 else value), at


class Abbrev:
    """One declaration. `size` is that of an entry with the number's byte, 0 if it varies; see `end`.

    `sibling` tells where an entry holds a reference to its sibling, and how: (offset, struct); None if it has none
    at a fixed place or if entries below may hold code.
    """

    __slots__ = (
        *("tag", "has_children", "attributes", "shape", "size", "skip", "sibling", "is_function", "is_copy"),
        *("plan", "read", "skippable_in_c", "uses"),
    )

    def __init__(self, tag: int, has_children: bool, attributes: tuple[Attribute, ...], shape: Shape) -> None:
        self.tag, self.has_children, self.attributes, self.shape = tag, has_children, attributes, shape
        self.is_function = tag == n.TAG_SUBPROGRAM
        self.is_copy = tag == n.TAG_INLINED_SUBROUTINE
        self.size = self._fixed_size()
        self.skip: Skip | None = None
        self.uses = 0
        self.read: Reader | None = None
        self.plan: list[tuple[int, Attribute, int]] | None = None
        self.skippable_in_c = tag in _NO_CODE_BELOW_IN_C
        self.sibling = self._sibling() if has_children and self._holds_no_code() else None

    def _holds_no_code(self) -> bool:
        if self.is_function:  # a mere declaration, or the abstract instance that copies refer to
            return any(a.name in (n.AT_DECLARATION, n.AT_INLINE) for a in self.attributes)
        return self.tag in _NO_CODE_BELOW or self.skippable_in_c

    def _fixed_size(self) -> int:
        sizes = [size_of(a.form, self.shape) for a in self.attributes]
        return 0 if None in sizes else 1 + sum(size or 0 for size in sizes)

    def _sibling(self) -> tuple[int, Struct] | None:
        offset = 1
        for attribute in self.attributes:
            size = size_of(attribute.form, self.shape)
            if attribute.name == n.AT_SIBLING and attribute.form in (
                n.FORM_REF1,
                n.FORM_REF2,
                n.FORM_REF4,
                n.FORM_REF8,
            ):
                code = {1: "B", 2: "H", 4: "I", 8: "Q"}[size or 0]
                return offset, Struct(("<" if self.shape.is_little else ">") + code)
            if size is None:
                return None
            offset += size
        return None

    def end(self, data: bytes, at: int) -> int:
        """Where the entry at `at`, with a number of one byte, ends."""
        if self.size:
            return at + self.size
        if self.skip is None:
            self.uses += 1
            if self.uses < _USES_MIN:
                at += 1
                for attribute in self.attributes:
                    _, at = value_of(attribute, data, at, 0, self.shape)
                return at
            self.skip = compile_skip(self.attributes, self.shape)
        return self.skip(data, at)

    def values(self, data: bytes, at: int, base: int) -> tuple[Any, ...]:
        """The fields of a function or of an inlined copy, absent ones None, then the end of the entry."""
        if self.read is None:
            self.uses += 1
            if self.uses < _USES_MIN:
                if self.plan is None:
                    self.plan = _plan(self)
                if self.plan:
                    return _read_slowly(self.plan, data, at, base, self)
            self.read = compile_reader(self.attributes, self.shape, self.fields)
        return self.read(data, at, base)

    @property
    def fields(self) -> tuple[tuple[int, ...], ...]:
        """The fields that a reader of this entry returns."""
        return COPY_FIELDS if self.is_copy else FUNCTION_FIELDS


def _plan(abbrev: Abbrev) -> list[tuple[int, Attribute, int]]:
    """(field or -1, attribute, bytes if that is fixed and no field) in the entry's order, for `_read_slowly`.

    Empty for attributes that only a made reader knows how to take.
    """
    wanted = {name: number for number, names in enumerate(abbrev.fields) for name in names}
    plan: list[tuple[int, Attribute, int]] = []
    for attribute in abbrev.attributes:
        if attribute.form == n.FORM_INDIRECT or (attribute.form, attribute.name) == _ENTRY_CONST:
            return []
        number, size = wanted.get(attribute.name, -1), size_of(attribute.form, abbrev.shape)
        if number >= 0 and size is None and not _fits(attribute):
            number = -1
        for name in abbrev.fields[number] if number >= 0 else ():
            wanted.pop(name, None)  # the first attribute of a field counts
        plan.append((number, attribute, -1 if size is None else size))
    return plan


def _read_slowly(
    plan: list[tuple[int, Attribute, int]], data: bytes, at: int, base: int, abbrev: Abbrev
) -> tuple[Any, ...]:
    """What a made reader returns. Making one costs as much as a dozen of these."""
    shape = abbrev.shape
    values: list[Any] = [None] * (len(abbrev.fields) + 1)
    at += 1
    for number, attribute, size in plan:
        if number >= 0:
            values[number], at = value_of(attribute, data, at, base, shape)
        elif size >= 0:
            at += size
        else:
            _, at = value_of(attribute, data, at, base, shape)
    values[-1] = at
    return tuple(values)


def size_of(form: int, shape: Shape) -> int | None:
    """Bytes of a form, None if that varies. Unknown forms vary as well; compiling or reading them raises."""
    if form in _SIZES:
        return _SIZES[form]
    if form == n.FORM_ADDR:
        return shape.address_bytes
    if form in _OFFSETS:
        return shape.offset_bytes
    if form == n.FORM_REF_ADDR:  # DWARF 2 gave it the size of an address
        return shape.address_bytes if shape.version < 3 else shape.offset_bytes
    return None


class UnknownForm(ValueError):
    """A form that no version of DWARF up to 5 has, nor any extension that is known here."""


def compile_skip(attributes: Sequence[Attribute], shape: Shape) -> Skip:
    """A function (data, at) to the end of an entry. Raises UnknownForm."""
    lines = ["def skip(d, p):"]
    pending = 1
    for attribute in attributes:
        size = size_of(attribute.form, shape)
        if size is not None:
            pending += size
            continue
        lines += _varying(attribute.form, pending, shape)
        pending = 0
    lines.append(f" return p + {pending}")
    skip: Skip = _built(lines, "skip", shape)
    return skip


def compile_reader(attributes: Sequence[Attribute], shape: Shape, fields: Sequence[tuple[int, ...]]) -> Reader:
    """A function (data, at, base) to the values of `fields` and the end of an entry. Raises UnknownForm.

    A field is a tuple of attributes of which the first that is there counts. `base` is the unit's offset, so that
    references come out as offsets into .debug_info.
    """
    wanted = {name: number for number, names in enumerate(fields) for name in names}
    lines, known = ["def read(d, p, base):"], dict[int, str]()
    pending = 1
    for attribute in attributes:
        form, number = attribute.form, wanted.get(attribute.name)
        if number in known:
            number = None
        size = size_of(form, shape)
        if size is None:
            if number is not None and _fits(attribute):
                lines += _kept(attribute, pending, f"v{number}")
                known[number] = f"v{number}"
            else:
                lines += _varying(form, pending, shape)
            pending = 0
            continue
        if number is not None:
            lines.append(f" v{number} = " + _fixed_value(attribute, pending, size))
            known[number] = f"v{number}"
        pending += size
    values = ", ".join(known.get(number, "None") for number in range(len(fields)))
    lines.append(f" return {values}, p + {pending}")
    read: Reader = _built(lines, "read", shape)
    return read


def _fits(attribute: Attribute) -> bool:
    """A varying form can hold a value of this attribute: no block, and text for names only."""
    form = attribute.form
    if form == n.FORM_STRING:
        return attribute.name in n.TEXTS
    return form not in _BLOCKS and form not in (n.FORM_BLOCK, n.FORM_EXPRLOC)


def _built(lines: list[str], name: str, shape: Shape) -> Any:
    """The function that the lines define. They are made of numbers only, never of text out of the file."""
    order = "<" if shape.is_little else ">"
    place: dict[str, Any] = {
        f"u{8 * size}": Struct(order + code).unpack_from for size, code in ((2, "H"), (4, "I"), (8, "Q"))
    }
    place |= {"uleb": uleb, "sleb": sleb, "indirect": _indirect(shape), "shape": shape}
    place["number"] = (lambda raw: int.from_bytes(raw, "little")) if shape.is_little else int.from_bytes
    exec("\n".join(lines), place)
    return place[name]


def _fixed_value(attribute: Attribute, pending: int, size: int) -> str:
    form = attribute.form
    if form == n.FORM_IMPLICIT_CONST:
        return _meaning(attribute, repr(attribute.constant))
    if form == n.FORM_FLAG_PRESENT:
        return "1"
    if size == 1:
        text = f"d[p + {pending}]"
    elif size in (2, 4, 8):
        text = f"u{8 * size}(d, p + {pending})[0]"
    else:
        text = f"number(d[p + {pending} : p + {pending + size}])"
    return _meaning(attribute, text)


def _meaning(attribute: Attribute, text: str) -> str:
    form = attribute.form
    if attribute.name == n.AT_ENTRY_PC and form != n.FORM_ADDR and form not in n.ADDRX_FORMS:
        return f"{RELATIVE} + {text}"
    if form in n.LOCAL_REFS:
        return f"base + {text}"
    if form in n.STRX_FORMS or form in n.ADDRX_FORMS or form in (n.FORM_RNGLISTX, n.FORM_LOCLISTX):
        return f"-1 - {text}"
    if form in (n.FORM_GNU_REF_ALT, n.FORM_GNU_STRP_ALT, n.FORM_REF_SUP4, n.FORM_REF_SUP8, n.FORM_STRP_SUP):
        return f"{ALT} + {text}"
    if form == n.FORM_LINE_STRP:
        return f"{LINE} + {text}"
    return str(SIGNATURE) if form == n.FORM_REF_SIG8 else text


def _kept(attribute: Attribute, pending: int, name: str) -> list[str]:
    """Lines that read a varying form into `name` and set p behind it."""
    form = attribute.form
    if form == n.FORM_STRING:
        return [f" q = d.index(0, p + {pending})", f" {name} = d[p + {pending} : q]", " p = q + 1"]
    if form in _ULEBS:
        return [f" {name}, p = uleb(d, p + {pending})", f" {name} = " + _meaning(attribute, name)]
    if form == n.FORM_SDATA:
        return [f" {name}, p = sleb(d, p + {pending})"]
    if form == n.FORM_INDIRECT:
        lines = [f" {name}, p = indirect(d, p + {pending}, base)"]
        return lines if attribute.name in n.TEXTS else [*lines, f" if type({name}) is bytes: {name} = None"]
    raise UnknownForm(f"form {form:#x}")


def _varying(form: int, pending: int, shape: Shape) -> list[str]:
    """Lines that set p behind a varying form that starts at p + pending."""
    if form == n.FORM_STRING:
        return [f" p = d.index(0, p + {pending}) + 1"]
    if form in _ULEBS or form == n.FORM_SDATA:
        return [f" p += {pending}", " while d[p] > 127: p += 1", " p += 1"]
    if form in (n.FORM_EXPRLOC, n.FORM_BLOCK):
        return [
            f" s = d[p + {pending}]",
            f" if s < 128: p += {pending + 1} + s",
            " else:",
            f"  s, p = uleb(d, p + {pending})",
            "  p += s",
        ]
    if form == n.FORM_BLOCK1:
        return [f" p += {pending + 1} + d[p + {pending}]"]
    if form in _BLOCKS:
        size = _BLOCKS[form]
        return [f" p += {pending + size} + u{8 * size}(d, p + {pending})[0]"]
    if form == n.FORM_INDIRECT:
        return [f" p = indirect(d, p + {pending}, 0)[1]"]
    raise UnknownForm(f"form {form:#x}")


def _indirect(shape: Shape) -> Callable[[bytes, int, int], tuple[Any, int]]:
    def indirect(data: bytes, at: int, base: int) -> tuple[Any, int]:
        form, at = uleb(data, at)
        return value_of(Attribute(0, form, 0), data, at, base, shape)

    return indirect


def value_of(attribute: Attribute, data: bytes, at: int, base: int, shape: Shape) -> tuple[Any, int]:
    """(value, end) of one attribute, as readers give it; blocks as bytes. Slow and complete.

    Raises UnknownForm, IndexError or ValueError.
    """
    form = attribute.form
    if form == n.FORM_IMPLICIT_CONST:
        return attribute.constant, at
    if form == n.FORM_FLAG_PRESENT:
        return 1, at
    if form == n.FORM_STRING:
        end = data.index(0, at)
        return data[at:end], end + 1
    if form == n.FORM_SDATA:
        return sleb(data, at)
    if form == n.FORM_INDIRECT:
        form, at = uleb(data, at)
        if form in (n.FORM_INDIRECT, n.FORM_IMPLICIT_CONST):
            raise UnknownForm(f"form {form:#x} behind an indirect form")
        return value_of(Attribute(attribute.name, form, 0), data, at, base, shape)
    order = "little" if shape.is_little else "big"
    size = size_of(form, shape)
    if form in (n.FORM_EXPRLOC, n.FORM_BLOCK) or form in _BLOCKS:
        width = _BLOCKS.get(form, 0)
        if width:
            size, at = int.from_bytes(data[at : at + width], order), at + width  # type: ignore[arg-type]
        else:
            size, at = uleb(data, at)
        if at + size > len(data):
            raise IndexError(f"a block of {size} bytes")
        return data[at : at + size], at + size
    if form in _ULEBS:
        value, at = uleb(data, at)
    elif size is None:
        raise UnknownForm(f"form {form:#x}")
    else:
        if at + size > len(data):
            raise IndexError(f"a value of {size} bytes")
        value, at = int.from_bytes(data[at : at + size], order), at + size  # type: ignore[arg-type]
    if form in n.LOCAL_REFS:
        value += base
    elif form in n.STRX_FORMS or form in n.ADDRX_FORMS or form in (n.FORM_RNGLISTX, n.FORM_LOCLISTX):
        value = -1 - value
    elif form in (n.FORM_GNU_REF_ALT, n.FORM_GNU_STRP_ALT, n.FORM_REF_SUP4, n.FORM_REF_SUP8, n.FORM_STRP_SUP):
        value += ALT
    elif form == n.FORM_LINE_STRP:
        value += LINE
    elif form == n.FORM_REF_SIG8:
        value = SIGNATURE
    if attribute.name == n.AT_ENTRY_PC and form != n.FORM_ADDR and form not in n.ADDRX_FORMS:
        value += RELATIVE
    return value, at


class Abbrevs:
    """The tables of one .debug_abbrev section; each is read once, equal declarations are one object."""

    def __init__(self, raw: bytes, path: str) -> None:
        self.raw, self.path = raw, path
        self._tables: dict[tuple[int, Shape], dict[int, Abbrev]] = {}
        self._known: dict[tuple[bytes, Shape], Abbrev] = {}

    def table(self, offset: int, shape: Shape) -> dict[int, Abbrev]:
        """The table at an offset, by number. Raises Malformed."""
        found = self._tables.get((offset, shape))
        if found is None:
            found = self._tables[offset, shape] = self._read(offset, shape)
        return found

    def _read(self, offset: int, shape: Shape) -> dict[int, Abbrev]:
        raw, known, match = self.raw, self._known, DECLARATION.match
        table: dict[int, Abbrev] = {}
        at = offset
        try:
            while True:
                code = raw[at]
                at += 1
                if code > 127:
                    code, at = uleb(raw, at - 1)
                if not code:
                    return table
                declaration = match(raw, at)
                if declaration is None:
                    raise Malformed(self.path, at, "an abbreviation in .debug_abbrev")
                text = declaration[1]
                abbrev = known.get((text, shape))
                if abbrev is None:
                    abbrev = known[text, shape] = _declared(text, shape)
                table.setdefault(code, abbrev)
                at = declaration.end()
        except IndexError:
            raise Malformed(self.path, at, "an abbreviation in .debug_abbrev", "the end of the section") from None
        except ValueError as error:
            raise Malformed(self.path, at, "an abbreviation in .debug_abbrev", str(error)) from None


def _declared(text: bytes, shape: Shape) -> Abbrev:
    tag, at = uleb(text, 0)
    has_children = bool(text[at])
    at += 1
    attributes: list[Attribute] = []
    while True:
        name, at = uleb(text, at)
        form, at = uleb(text, at)
        constant = 0
        if form == n.FORM_IMPLICIT_CONST:
            constant, at = sleb(text, at)
        if not name and not form:
            break
        attributes.append(Attribute(name, form, constant))
    if at != len(text):
        raise ValueError("a number that is longer than it need be")
    return Abbrev(tag, has_children, tuple(attributes), shape)
