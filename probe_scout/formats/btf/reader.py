"""Read /sys/kernel/btf/vmlinux and /sys/kernel/btf/<module>: the kernel's own types, BTF.

Format: include/uapi/linux/btf.h and Documentation/bpf/btf.rst; the kernel's reader is kernel/bpf/btf.c. A header,
then type records of 12 bytes and more, then strings. A type's id is its place in the file, so an id can only be
followed after one walk over the record headers; the walk is made once and kept. A module's BTF is split: its ids and
its string offsets continue those of vmlinux.

Two ways in: `find_functions` searches the bytes for one name, `functions` makes the table of all names. What the
kernel's prototype rules look at is in shape.py, C text in declaration.py. Nothing here judges a kernel.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right

from probe_scout.errors import Malformed

from .kinds import (
    ARRAY,
    CONST,
    DATASEC,
    DECL_TAG,
    ENUM,
    ENUM64,
    FUNC,
    FUNC_PROTO,
    INT,
    KIND_FLAG,
    KIND_MASK,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VAR,
    VLEN_MASK,
    VOID,
    VOLATILE,
    Enumerator,
    Func,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Literal

    from probe_scout.model.prototype import Prototype, Shape

    from .shape import Shapes
    from .tables import Tables

# Words after the common three (name_off, info, size or type): once a record, and once per unit of vlen.
_FIXED_WORDS = {INT: 1, ARRAY: 3, VAR: 1, DECL_TAG: 1}
_ELEMENT_WORDS = {STRUCT: 3, UNION: 3, ENUM: 2, FUNC_PROTO: 2, DATASEC: 3, ENUM64: 3}

# btf_func_check_meta: a FUNC has no kind_flag, and its vlen is the linkage: static, global, extern.
_FUNC_INFOS = frozenset(FUNC << 24 | linkage for linkage in range(3))
_MODIFIERS = frozenset((TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG))
_MODIFIERS_MAX = 64  # the kernel itself resolves 32 steps (MAX_RESOLVE_DEPTH)
_SEARCHES_MAX = 4  # then a list of all names costs less than more searches of the records
_NOTED_MIN = 12  # names for which one pass costs less than a search for each
_SCANS_MAX = 4  # a name is one string, or two with the base's
_ON_THE_TYPE_ITSELF = 0xFFFFFFFF  # a DECL_TAG's component_idx of -1 (struct btf_decl_tag)


class Btf:
    """One BTF blob, read lazily: the header at once, the type records at the first question that needs ids.

    `base` is vmlinux for a module's (split) BTF. Names are looked up in this blob only, never in the base; ids of
    the base can be given to every method that takes an id. `path` is what Malformed names.
    """

    __slots__ = (
        "_asked",
        "_enums",
        "_first_id",
        "_functions",
        "_layout",
        "_lengths",
        "_names",
        "_records",
        "_searches",
        "_shapes",
        "_starts",
        "_strings_at",
        "_strings_end",
        "_tables",
        "_type_bytes",
        "_types_at",
        "base",
        "order",
        "path",
        "raw",
        "strings_from",
        "words",
    )

    def __init__(
        self, raw: bytes, base: Btf | None = None, path: str = "sys/kernel/btf/vmlinux", tables: Tables | None = None
    ) -> None:
        """Checks the header and the bounds of its sections, no more. Raises Malformed.

        `tables` were made of these very bytes (tables.py): they save the walk and the searches.
        """
        self.raw, self.base, self.path = raw, base, path
        self.order: Literal["little", "big"]
        self.order, sections = self._read_header()
        (self._types_at, self._type_bytes), (self._strings_at, strings_bytes), layout = sections
        if self._type_bytes % 4:
            raise self._malformed(12, "a type section of whole 4-byte words", f"{self._type_bytes} bytes")
        self._strings_end = end = self._strings_at + strings_bytes
        # A module's strings continue the base's: they may be none, and need not begin with the empty string.
        if (base is None and (not strings_bytes or raw[self._strings_at])) or (strings_bytes and raw[end - 1]):
            raise self._malformed(self._strings_at, "strings that begin and end with NUL")
        self._layout = raw[layout[0] : layout[0] + layout[1]]
        self.strings_from: int = base.strings_from + base._strings_end - base._strings_at if base else 0
        self.words: memoryview[int] = memoryview(raw)[self._types_at : self._types_at + self._type_bytes].cast("I")
        if self.order != sys.byteorder:
            swapped = array("I", self.words.tobytes())
            swapped.byteswap()
            self.words = memoryview(swapped)
        self._first_id = 0
        self._asked: dict[bytes, list[int]] = {}
        self._lengths: dict[int, int] = {}
        self._records: dict[int, tuple[list[int], list[int]]] = {}
        self._starts: Sequence[int] | None = None
        self._tables = tables
        self._names = b""
        self._searches = 0
        self._enums: dict[str, dict[str, int]] = {}
        self._functions: dict[str, tuple[int, ...]] | None = None
        self._shapes: Shapes | None = None

    # One name: search the bytes, then confirm that the hit begins a record.

    def find_functions(self, name: str) -> tuple[Func, ...]:
        """FUNC records of exactly this name, in file order; empty if there is none.

        Several are possible: pahole before 1.25 writes one FUNC for each prototype a name has. A name that is no
        string of the file costs no walk. Names are found as whole strings, which is how libbpf's string set
        (tools/lib/bpf/strset.c) stores them: each once, none as the tail of another.
        """
        if self._functions is not None:
            return tuple(map(self.function, self._functions.get(name, ())))
        hits = self._records_named(name, _FUNC_INFOS.__contains__)
        return tuple(Func(type_id, name, self.words[at + 1]) for type_id, at in hits)

    def find_typedef(self, name: str) -> int | None:
        """The id of the first TYPEDEF of exactly this name; None if there is none."""
        for type_id, _ in self._records_named(name, lambda info: _kind(info) == TYPEDEF):
            return type_id
        return None

    def find_struct(self, name: str) -> int | None:
        """The id of the first STRUCT or UNION of exactly this name; None if there is none."""
        for type_id, _ in self._records_named(name, _is_struct):
            return type_id
        return None

    def find_ids(self, name: str, wanted: frozenset[int]) -> list[int]:
        """Ids of this blob's records of exactly this name and one of these kinds, in file order."""
        return [type_id for type_id, _ in self._records_named(name, lambda info: _kind(info) in wanted)]

    def has_name(self, name: str) -> bool:
        """True if some record of this blob is called so: a type, a function, a member or an enumerator. No walk."""
        return bool(self._own_offsets(name.encode("utf-8", "surrogateescape") + b"\0"))

    def note(self, names: Iterable[str]) -> None:
        """Look for many names at once, where each would take a search; what is found is kept for the questions."""
        from ..text import many

        wanted = {name.encode("utf-8", "surrogateescape") for name in names}
        wanted = {name for name in wanted if name and name + b"\0" not in self._asked}
        pattern = many.pattern(b"\0", wanted, b"\0") if len(wanted) >= _NOTED_MIN and self.base is None else None
        if pattern is None or self._tables is not None:
            return
        for name in wanted:
            self._asked[name + b"\0"] = []
        for match in pattern.finditer(self.raw, self._strings_at, self._strings_end):
            self._asked[match[1] + b"\0"].append(match.start() + 1 - self._strings_at)

    def names_starting(self, prefix: str) -> set[str]:
        """Names of this blob's records that begin so. No walk: strings are there because some record uses them."""
        return {name.decode("utf-8", "replace") for name, _ in self._own_starting(prefix)}

    def _own_starting(self, prefix: str) -> Iterator[tuple[bytes, int]]:
        """Names in this blob's own strings that begin so, behind another one, with their string offsets."""
        import re

        head = prefix.encode("utf-8", "surrogateescape")
        search = re.compile(b"\\0(" + re.escape(head) + b"[^\\0]*)")
        for match in search.finditer(self.raw, self._strings_at, self._strings_end):
            yield match[1], self.strings_from + match.start(1) - self._strings_at

    def names_with(self, letters: str) -> list[str]:
        """Names of this blob's records that hold these letters, in file order. No walk."""
        raw, end, needle = self.raw, self._strings_end, letters.encode("utf-8", "surrogateescape")
        found = []
        at = raw.find(needle, self._strings_at, end)
        while at >= 0:
            begin, stop = raw.rfind(b"\0", 0, at) + 1, raw.find(b"\0", at, end)
            found.append(raw[max(begin, self._strings_at) : stop].decode("utf-8", "surrogateescape"))
            at = raw.find(needle, stop, end)
        return found

    def find_enumerators(self, enumerator: str) -> tuple[Enumerator, ...]:
        """Every place where an ENUM or ENUM64 defines this enumerator; empty if none does.

        The way to see that a kernel knows BPF_TRACE_FSESSION without naming its enum. An absent string costs no walk.
        """
        found = []
        for position in self._positions_of(enumerator):
            type_id, at = self._record_around(position)
            info = self.words[at]
            stride = _ELEMENT_WORDS[ENUM64 if _kind(info) == ENUM64 else ENUM]
            # The element's first word is its name; the record's own name lies before at.
            if _kind(info) in (ENUM, ENUM64) and position >= at + 2 and (position - at - 2) % stride == 0:
                value = self._enum_value(info, position)
                found.append(Enumerator(self.string(self.words[at - 1], at), enumerator, value, type_id))
        return tuple(found)

    def enumerators(self, enum_name: str) -> dict[str, int]:
        """Enumerator name to value of the first ENUM or ENUM64 of this name; {} if there is none.

        The dictionary is kept and handed out again.

        Values are signed where kind_flag says so. Writers before ENUM64 (pahole 1.23 and older) never set it: there
        a negative value reads as its unsigned 32-bit twin, as in bpftool.
        """
        found = self._enums.get(enum_name)
        if found is None:
            found = self._enums[enum_name] = self._read_enumerators(enum_name)
        return found

    def _read_enumerators(self, enum_name: str) -> dict[str, int]:
        for _, at in self._records_named(enum_name, lambda info: _kind(info) in (ENUM, ENUM64)):
            info = self.words[at]
            stride = _ELEMENT_WORDS[_kind(info)]
            places = range(at + 2, at + 2 + stride * (info & VLEN_MASK), stride)
            return {self.string(self.words[place], at): self._enum_value(info, place) for place in places}
        return {}

    def has_member(self, struct_name: str, member: str) -> bool:
        """True if a struct or union of this name has the member, directly or inside an anonymous struct or union."""
        offsets = set(self._offsets_of(member))
        if not offsets:
            return False
        return any(self._has_member(at, offsets) for _, at in self._records_named(struct_name, _is_struct))

    def struct_size(self, name: str) -> int | None:
        """Size in bytes of the first struct or union of this name; None if there is none."""
        for _, at in self._records_named(name, _is_struct):
            return self.words[at + 1]
        return None

    # All names: one walk, kept.

    def functions(self) -> dict[str, tuple[int, ...]]:
        """FUNC name to the ids of its FUNC records in this blob, in file order. Built once: do not change it."""
        if self._functions is None:
            ids, places = self._records_of(FUNC)
            names = self._strings([self.words[at - 1] for at in places], places)
            if "" in names:
                raise self.malformed_at(places[names.index("")], "a FUNC with a name")
            table: dict[str, tuple[int, ...]] = dict(zip(names, zip(ids, strict=True), strict=True))
            if len(table) < len(ids):
                table = {}
                for name, type_id in zip(names, ids, strict=True):
                    table[name] = (*table.get(name, ()), type_id)
            self._functions = table
        return self._functions

    def function_shapes(self) -> dict[int, Shape]:
        """FUNC id to the Shape of its prototype, for every FUNC of this blob, in file order."""
        ids, places = self._records_of(FUNC)
        shapes, words = self._shape_table(), self.words
        protos = [words[at + 1] for at in places]
        shapes.fill(dict.fromkeys(protos))
        return dict(zip(ids, map(shapes.__getitem__, protos), strict=True))

    def typedefs_named(self, prefix: str) -> dict[str, int]:
        """Whole name to type id of every TYPEDEF whose name begins with prefix; the first id where a name repeats."""
        return self._named(TYPEDEF, prefix)

    def structs_named(self, prefix: str) -> dict[str, int]:
        """Whole name to type id of every STRUCT whose name begins with prefix; the first id where a name repeats."""
        return self._named(STRUCT, prefix)

    def _named(self, kind: int, prefix: str) -> dict[str, int]:
        found: dict[str, int] = {}
        names: dict[int, bytes] = {}
        owner: Btf | None = self
        while owner is not None:
            names.update((offset, name) for name, offset in owner._own_starting(prefix))
            owner = owner.base
        words = self.words
        for type_id, at in zip(*self._records_of(kind), strict=True):
            if words[at - 1] in names:
                found.setdefault(names[words[at - 1]].decode("utf-8", "surrogateescape"), type_id)
        return found

    def decl_tags(self, tag: str) -> set[str]:
        """Names of the FUNCs that carry DECL_TAG tag on themselves (bpf_kfunc, bpf_fastcall, …), not on a parameter."""
        offsets = self._offsets_of(tag)
        tagged = set()
        for at in self._records_of(DECL_TAG)[1] if offsets else ():
            if self.words[at - 1] in offsets and self.words[at + 2] == _ON_THE_TYPE_ITSELF:
                owner, target = self.locate(self.words[at + 1], at)
                if _kind(owner.words[target]) == FUNC:
                    tagged.add(owner.string(owner.words[target - 1], target))
        return tagged

    def is_sorted(self) -> bool:
        """True if the types are in byte order of their names, anonymous first (kernel/bpf/btf.c, btf_check_sorted)."""
        previous = ""
        for at in self.starts():
            name = self.string(self.words[at - 1], at)
            if name < previous:
                return False
            previous = name
        return True

    # By id.

    def function(self, type_id: int) -> Func:
        """The FUNC with this id. Raises Malformed if the id is another kind of type."""
        owner, at = self.locate(type_id)
        if _kind(owner.words[at]) != FUNC:
            raise owner.malformed_at(at, f"type {type_id} to be a FUNC", f"kind {_kind(owner.words[at])}")
        return Func(type_id, owner.string(owner.words[at - 1], at), owner.words[at + 1])

    def shape(self, proto_id: int) -> Shape:
        """What the kernel's prototype rules look at, of the FUNC_PROTO with this id.

        Raises Malformed for another kind of type, and for parameters whose types are broken.
        """
        return self._shape_table()[proto_id]

    def prototype(self, func: Func) -> Prototype:
        """The function as C, for people. Raises Malformed if the prototype is broken."""
        from .declaration import prototype

        return prototype(self, func)

    def first_id(self) -> int:
        """The id of the first type of this blob: 1, or one past the base's last id, which takes a walk of the base."""
        if not self._first_id:
            self._first_id = self.base.first_id() + len(self.base.starts()) if self.base else 1
        return self._first_id

    def starts(self) -> Sequence[int]:
        """For each type of this blob in id order, the index in `words` of its info word: its name is one before.

        Walks the records at the first call, where no table has them. Raises Malformed for a kind of unknown length and
        for a record that passes the end.
        """
        if self._starts is None:
            self._starts = self._kept_starts() or self._walk()
        return self._starts

    def _kept_starts(self) -> Sequence[int] | None:
        """Those of the tables, if they end where this blob ends; what is found by them is compared with the words."""
        tables, self._tables = self._tables, None
        starts, infos = (tables.starts(), tables.infos()) if tables is not None else (None, None)
        if starts is None or infos is None or starts[0] != 1 or not 0 < starts[-1] < len(self.words) - 1:
            return None
        last = starts[-1]
        try:
            lengths = {info: self._length(info, 1, 0) for info in infos}
            if last - 1 + self._length(self.words[last], last, len(starts)) != len(self.words):
                return None
        except Malformed:
            return None
        self._lengths, self._tables = lengths, tables
        return starts

    def locate(self, type_id: int, asked_at: int = 1) -> tuple[Btf, int]:
        """The blob that holds a type and the index of its info word there. Raises Malformed if there is none.

        `asked_at` is the info word of the record that refers to it. Id 0 is void and has no record.
        """
        owner = self
        while type_id < owner.first_id() and owner.base is not None:
            owner = owner.base
        index = type_id - owner.first_id()
        starts = owner.starts()
        if not 0 <= index < len(starts):
            raise self.malformed_at(asked_at, "the id of a type that exists", f"id {type_id}")
        return owner, starts[index]

    def skip_modifiers(self, type_id: int, asked_at: int = 1) -> tuple[Btf, int]:
        """What is left of a type without typedefs, qualifiers and type tags, as `locate` gives it; index 0 for void.

        Raises Malformed for a chain without end (kernel/bpf/btf.c, btf_type_is_modifier).
        """
        owner, at = self, asked_at
        for _ in range(_MODIFIERS_MAX):
            if not type_id:
                return owner, 0
            owner, at = owner.locate(type_id, at)
            if _kind(owner.words[at]) not in _MODIFIERS:
                return owner, at
            type_id = owner.words[at + 1]
        raise owner.malformed_at(at, f"a chain of at most {_MODIFIERS_MAX} typedefs and qualifiers")

    def points_to(self, at: int, struct_name: str) -> bool:
        """True if the PTR whose info word is words[at] points to a struct of this name, qualified or not."""
        owner, target = self.skip_modifiers(self.words[at + 1], at)
        if not target or _kind(owner.words[target]) != STRUCT:
            return False
        return owner.string(owner.words[target - 1], target) == struct_name

    def last_argument_points_to(self, proto_id: int, struct_name: str) -> bool:
        """True if the last parameter of a FUNC_PROTO is a pointer to this struct. Raises Malformed for a broken one."""
        owner, at = self.locate(proto_id)
        count = owner.words[at] & VLEN_MASK
        if _kind(owner.words[at]) != FUNC_PROTO or not count:
            return False
        home, place = owner.skip_modifiers(owner.words[at + 1 + 2 * count], at)
        return bool(place) and _kind(home.words[place]) == PTR and home.points_to(place, struct_name)

    def string(self, offset: int, asked_at: int = 1) -> str:
        """The string at an offset; those of the base come first. Raises Malformed past the end.

        Bytes that are not UTF-8 come as surrogates, as in file names.
        """
        owner = self
        while owner.base is not None and offset < owner.strings_from:
            owner = owner.base
        begin = owner._strings_at + offset - owner.strings_from
        if begin >= owner._strings_end:
            raise self.malformed_at(asked_at, "a string offset inside the string section", f"{offset}")
        return owner.raw[begin : owner.raw.find(b"\0", begin)].decode("utf-8", "surrogateescape")

    def malformed_at(self, at: int, expected: str, found: str = "") -> Malformed:
        """Malformed at the record whose info word is words[at]; to be raised by the caller."""
        return self._malformed(self._types_at + 4 * max(at - 1, 0), expected, found)

    def make_tables(self) -> dict[str, bytes]:
        """What saves another reader of these bytes the walk and the searches, to be kept. Raises Malformed."""
        from . import tables

        starts = self.starts()
        return tables.made(self.words, starts, self._lengths, self.raw[self._strings_at : self._strings_end])

    def codes(self) -> dict[int, int]:
        """Type id to size in bytes times 8 and class, kept; see shape.py."""
        return self._shape_table().codes

    # Below: the header, the walk, the search.

    def _malformed(self, offset_bytes: int, expected: str, found: str = "") -> Malformed:
        return Malformed(self.path, offset_bytes, expected, found)

    def _read_header(self) -> tuple[Literal["little", "big"], list[tuple[int, int]]]:
        raw = self.raw
        if len(raw) < 24:
            raise self._malformed(len(raw), "a BTF header of 24 bytes or more", f"{len(raw)} bytes")
        order: Literal["little", "big"] = "little" if raw[:1] == b"\x9f" else "big"
        if raw[:2] != (0xEB9F).to_bytes(2, order):
            raise self._malformed(0, "the BTF magic 0xeb9f", "0x" + raw[:2].hex())
        # btf_parse_hdr: BTF_VERSION is 1, and a flag that the kernel does not know is refused.
        if raw[2] != 1 or raw[3] != 0:
            raise self._malformed(2, "BTF version 1 without flags", f"version {raw[2]}, flags {raw[3]:#x}")
        fields = array("I", raw[4:24])
        if order != sys.byteorder:
            fields.byteswap()
        header_bytes, *rest = fields
        # Since 7.x the header may be 32 bytes long; what lies beyond the fields known here is skipped.
        if not 24 <= header_bytes <= len(raw):
            raise self._malformed(4, f"a header length of 24 to {len(raw)}", str(header_bytes))
        if header_bytes >= 32:
            more = array("I", raw[24:32])
            if order != sys.byteorder:
                more.byteswap()
            rest += more
        else:
            rest += (0, 0)
        sections = [(rest[i], rest[i + 1]) for i in range(0, 6, 2)]
        end = 0
        for offset, size in sorted(s for s in sections if s[1]):
            # btf_check_sec_info refuses overlaps and gaps; a longer header may describe what fills a gap.
            if offset < end or (offset > end and header_bytes <= 32):
                raise self._malformed(
                    8, "sections that follow each other", f"a section at {offset} after one up to {end}"
                )
            end = offset + size
        if header_bytes + end > len(raw) or (header_bytes + end < len(raw) and header_bytes <= 32):
            raise self._malformed(8, f"sections that fill {len(raw) - header_bytes} bytes", f"{end} bytes")
        if sections[0][0] % 4:
            raise self._malformed(8, "a type section aligned to 4 bytes", f"offset {sections[0][0]}")
        return order, [(header_bytes + offset, size) for offset, size in sections]

    def _walk(self) -> list[int]:
        words, lengths = self.words, self._lengths
        starts: list[int] = []
        add = starts.append
        at = 1
        while True:
            # One dictionary look-up a record: the info word fixes its length. A few hundred distinct ones exist.
            try:
                while True:
                    size = lengths[words[at]]
                    add(at)
                    at += size
            except KeyError:
                lengths[words[at]] = self._length(words[at], at, self.first_id() + len(starts))
            except IndexError:
                break
        if at - 1 != len(words):
            last = starts[-1] if starts and at - 1 > len(words) else at
            raise self.malformed_at(last, "a type record that ends inside the type section")
        return starts

    def _length(self, info: int, at: int, type_id: int) -> int:
        """Words of a record with this info word."""
        kind, vlen = _kind(info), info & VLEN_MASK
        if kind == FUNC and info not in _FUNC_INFOS:
            raise self.malformed_at(at, "a FUNC of linkage 0 to 2", f"type {type_id} with info {info:#x}")
        if VOID < kind <= ENUM64:
            return 3 + _FIXED_WORDS.get(kind, 0) + _ELEMENT_WORDS.get(kind, 0) * vlen
        record = self._layout[4 * kind : 4 * kind + 4]
        if kind == VOID or len(record) < 4:
            raise self.malformed_at(at, "a kind of BTF type from 1 to 19", f"type {type_id} of kind {kind}")
        size_bytes = 12 + record[0] + record[1] * vlen
        if size_bytes % 4:
            raise self.malformed_at(at, "a layout of whole 4-byte words", f"kind {kind} of {size_bytes} bytes")
        return size_bytes // 4

    def _shape_table(self) -> Shapes:
        if self._shapes is None:
            from .shape import Shapes

            self._shapes = Shapes(self)
        return self._shapes

    def _records_of(self, kind: int) -> tuple[list[int], list[int]]:
        """Ids of every record of a kind in this blob, and the indexes of their info words."""
        if kind not in self._records:
            starts, words, first = self.starts(), self.words, self.first_id()
            infos = {info for info in self._lengths if _kind(info) == kind}
            ids = [type_id for type_id, at in enumerate(starts, first) if words[at] in infos]
            self._records[kind] = ids, [starts[type_id - first] for type_id in ids]
        return self._records[kind]

    def _records_named(self, name: str, wanted: Callable[[int], bool]) -> list[tuple[int, int]]:
        """(id, info word index) of the records of exactly this name whose info word is wanted."""
        words, end = self.words, len(self.words) - 1
        found = []
        self._searches += 1
        rows = self._rows_named(name)
        if rows is not None:
            first, starts = self.first_id(), self.starts()
            return [(first + row, starts[row]) for row in sorted(rows) if wanted(words[starts[row]])]
        for position in self._positions_of(name):
            if position < end and wanted(words[position + 1]):
                type_id, at = self._record_around(position)
                # The same two words can be a member, a value or a bit-field: only a record's start counts.
                if at == position + 1:
                    found.append((type_id, at))
        return found

    def _name_list(self) -> bytes:
        """The string offset of each type's name, four bytes each in the machine's order: a sixth of the records."""
        if not self._names:
            begin = self._types_at - 4  # a word earlier: what `starts` counts are info words, and names lie before
            before = memoryview(self.raw)[begin : begin + self._type_bytes].cast("I")
            if self.order != sys.byteorder:
                before = memoryview(array("I", [0, *self.words[:-1]]))
            self._names = array("I", map(before.__getitem__, self.starts())).tobytes()
        return self._names

    def _rows_named(self, name: str) -> list[int] | None:
        """Rows of `starts` whose records have this name; None where a search of the words is to tell."""
        if self._tables is not None:
            self.starts()  # which may give the tables up
        if self._tables is not None:
            from ..name_table import Damaged

            starts, words, tables = self.starts(), self.words, self._tables
            try:
                found = [(row, offset) for offset in self._offsets_of(name) for row in tables.rows(offset)]
                if all(row < len(starts) and words[starts[row] - 1] == offset for row, offset in found):
                    return [row for row, _ in found]
            except Damaged:
                pass
            self._tables = None
        if self._searches <= _SEARCHES_MAX or self._starts is None:
            return None
        return _places(self._name_list(), self._offsets_of(name), sys.byteorder, 0, 4 * len(self._starts))

    def _record_around(self, position: int) -> tuple[int, int]:
        """The record that words[position] lies in: its id and the index of its info word."""
        starts = self.starts()
        index = bisect_right(starts, position + 1) - 1
        return self.first_id() + index, starts[index]

    def _positions_of(self, name: str) -> list[int]:
        """Indexes into words that hold the string offset of a name, in file order: names or accidents."""
        begin, offsets = self._types_at, self._offsets_of(name)
        if len(offsets) > _SCANS_MAX:
            wanted = set(offsets)
            return [position for position, word in enumerate(self.words) if word in wanted]
        return _places(self.raw, offsets, self.order, begin, begin + self._type_bytes)

    def _offsets_of(self, name: str) -> list[int]:
        """String offsets of a name: in this blob's strings, and in the base's, which a module shares."""
        if not name or "\0" in name:
            return []
        needle = name.encode("utf-8", "surrogateescape") + b"\0"
        found: list[int] = []
        owner: Btf | None = self
        while owner is not None:
            found += owner._own_offsets(needle)
            owner = owner.base
        return found

    def _own_offsets(self, needle: bytes) -> list[int]:
        """String offsets of a NUL-terminated name in this blob; kept, for the next module and the next question."""
        offsets = self._asked.get(needle)
        if offsets is not None:
            return offsets
        offsets = self._kept_offsets(needle)
        if offsets is not None:
            self._asked[needle] = offsets
            return offsets
        offsets = []
        raw, begin, end = self.raw, self._strings_at, self._strings_end
        # Only a module's strings can begin with a name; all others follow a NUL.
        if raw.startswith(needle, begin, end):
            offsets.append(self.strings_from)
        hit = raw.find(b"\0" + needle, begin, end)
        while hit >= 0:
            offsets.append(self.strings_from + hit + 1 - begin)
            hit = raw.find(b"\0" + needle, hit + 1, end)
        self._asked[needle] = offsets
        return offsets

    def _kept_offsets(self, needle: bytes) -> list[int] | None:
        """The same by the table of strings, whose places are compared with the bytes; None where there is none."""
        if self._tables is None:
            return None
        from ..name_table import Damaged

        try:
            places = self._tables.offsets(needle[:-1])
        except Damaged:
            self._tables = None
            return None
        raw, begin, end = self.raw, self._strings_at, self._strings_end
        found = []
        for at in places:
            stop = begin + at + len(needle)
            if stop <= end and raw[begin + at : stop] == needle and (not at or not raw[begin + at - 1]):
                found.append(self.strings_from + at)
        return found

    def _strings(self, offsets: list[int], places: list[int]) -> list[str]:
        """string() of many offsets."""
        text = str(memoryview(self.raw)[self._strings_at : self._strings_end], "latin-1")
        # Latin-1 keeps byte offsets. Names are ASCII in every kernel seen.
        if self.base is not None or not text.isascii() or max(offsets, default=0) >= len(text):
            return list(map(self.string, offsets, places))
        index = text.index
        return [text[offset : index("\0", offset)] for offset in offsets]

    def _enum_value(self, info: int, place: int) -> int:
        words = self.words
        bits = 64 if _kind(info) == ENUM64 else 32
        value: int = words[place + 1] | (words[place + 2] << 32 if bits == 64 else 0)
        # btf_enum_log, btf_enum64_log: kind_flag says signed.
        return value - (1 << bits) if info & KIND_FLAG and value >> (bits - 1) else value

    def _has_member(self, at: int, offsets: set[int]) -> bool:
        """A member of one of these names in the struct, or in the anonymous ones inside it."""
        todo: list[tuple[Btf, int]] = [(self, at)]
        seen: set[tuple[int, int]] = set()
        while todo:
            owner, at = todo.pop()
            words = owner.words
            names = words[at + 2 : at + 2 + 3 * (words[at] & VLEN_MASK) : 3]
            if not offsets.isdisjoint(names):
                return True
            for number, offset in enumerate(names):
                if not owner.string(offset, at):
                    inner, place = owner.skip_modifiers(words[at + 3 + 3 * number], at)
                    key = (inner.strings_from, place)
                    if place and _is_struct(inner.words[place]) and key not in seen:
                        seen.add(key)
                        todo.append((inner, place))
        return False


def _places(raw: bytes, numbers: list[int], order: Literal["little", "big"], begin: int, end: int) -> list[int]:
    """Where 32-bit words from `begin` to `end` hold one of these numbers, in words from `begin`, in order."""
    import re  # searches four bytes in a third of the time that bytes.find takes

    found = []
    for number in numbers:
        search = re.compile(re.escape(number.to_bytes(4, order))).search
        hit = search(raw, begin, end)
        while hit is not None:
            at = hit.start() - begin
            if at % 4 == 0:
                found.append(at // 4)
            hit = search(raw, begin + at + 1, end)
    found.sort()
    return found


def _kind(info: int) -> int:
    return info >> 24 & KIND_MASK


def _is_struct(info: int) -> bool:
    return _kind(info) in (STRUCT, UNION)
