"""Read events/<category>/<name>/format.

Written by kernel/trace/trace_events.c (f_show): the event's name and id, the common fields, an empty
line, the event's own fields in the order of their definition, and the print fmt. Offsets and sizes
are bytes. A dynamic array is declared `__data_loc char[] name`; one with a relative offset is
printed `__rel_loc char name[]`, because f_show moves the brackets behind the name. Kernels that do
not store an array's length print the expression of the source instead (`addr[sizeof(struct
sockaddr_in6)]`). The print fmt is kept as text, may hold line ends, and is never interpreted.
"""

from __future__ import annotations

from ...errors import Malformed
from ...model.trace import ARRAY, BOOL, DATA_LOC, ENUM, POINTER, REL_LOC, STRING, STRUCT, VALUE, TraceField, TraceFormat
from .lines import show

PATH = "sys/kernel/tracing/events/*/*/format"
_PRINT_FMT = "\n\nprint fmt: "
_FIELD = "\tfield:"
_FOREIGN = frozenset("\"'`\\#$@?!;{}/~%")  # in no C type that a kernel prints, and able to end a comment or a string
_SIZES = {
    **dict.fromkeys(
        ("char", "signed char", "unsigned char", "u8", "s8", "__u8", "__s8", "uint8_t", "int8_t", "bool"), 1
    ),
    **dict.fromkeys(("short", "unsigned short", "u16", "s16", "__u16", "__s16", "__le16", "__be16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "unsigned int", "unsigned", "u32", "s32", "__u32", "__s32", "__le32", "__be32", "uint32_t"), 4
    ),
    **dict.fromkeys(
        ("unsigned long long", "long long", "u64", "s64", "__u64", "__s64", "__le64", "__be64", "uint64_t"), 8
    ),
}


def parse(raw: bytes, path: str = PATH, category: str = "") -> TraceFormat:
    """The event this file describes.

    Fields that overlap or repeat a name are kept and noted: kernels print such (regmap:regcache_sync).
    Raises Malformed, with the byte offset of the first line that does not fit, for a file that is cut
    off or is something else.
    """
    try:
        head, separator, print_fmt = raw.decode().partition(_PRINT_FMT)
    except UnicodeDecodeError as error:
        raise Malformed(path, error.start, "UTF-8 text", show(raw[error.start :])) from None
    lines = head.split("\n")
    if len(lines) < 3 or not lines[0].startswith("name: ") or len(lines[0]) == 6:
        raise Malformed(path, 0, "an event's format: its name, its ID, its fields", show(raw))
    if not lines[1].startswith("ID: ") or not _is_number(lines[1][4:]) or lines[2] != "format:":
        raise Malformed(path, len(lines[0]) + 1, "the event's ID and format", show(lines[1].encode()))
    if not separator or not print_fmt.endswith("\n"):
        raise Malformed(path, len(raw), "the end of the print fmt line (the file is cut off)", "the end of the file")
    try:  # most lines were seen in an earlier event, and the common fields in every one
        blank = lines.index("", 3)
        fields = (*map(_COMMON.__getitem__, lines[3:blank]), *map(_OWN.__getitem__, lines[blank + 1 :]))
    except (KeyError, ValueError):
        fields = _fields(lines, path)
    return TraceFormat(lines[0][6:], int(lines[1][4:]), fields, print_fmt[:-1], category, _oddities(fields))


# Lines to fields, filled as they are met: of the common fields, and of an event's own.
_COMMON: dict[str, TraceField] = {}
_OWN: dict[str, TraceField] = {}
_LINES_MAX = 16384  # a kernel has 3,500 different lines


def _fields(lines: list[str], path: str) -> tuple[TraceField, ...]:
    """The fields of all lines from the fourth on. Raises Malformed at the first line that declares none."""
    fields = []
    known = _COMMON
    for row in range(3, len(lines)):
        line = lines[row]
        field = known.get(line) or _field(line, known is _COMMON)
        if field is not None:
            if len(known) >= _LINES_MAX:
                known.clear()
            known[line] = field
            fields.append(field)
        elif not line and known is _COMMON:
            known = _OWN
        else:
            at = sum(len(earlier.encode()) + 1 for earlier in lines[:row])
            raise Malformed(path, at, "a field with offset and size", show(line.encode()))
    return tuple(fields)


def _field(line: str, is_common: bool) -> TraceField | None:
    """The field a line declares, None if it declares none that can be."""
    if not line.startswith(_FIELD):
        return None
    declaration, *parts = line[len(_FIELD) :].removesuffix(";").split(";\t")
    if not 2 <= len(parts) <= 3:
        return None
    numbers = []
    for part, key in zip(parts, ("offset:", "size:", "signed:"), strict=False):
        if not part.startswith(key) or not _is_number(part[len(key) :]):
            return None
        numbers.append(int(part[len(key) :]))
    if not line.endswith(";") or numbers[2:] not in ([], [0], [1]):
        return None
    declared = _declaration(declaration, numbers[1])
    if declared is None:
        return None
    name, type_text, kind, elements = declared
    if not _is_possible(type_text, kind, elements, numbers[1]):
        return None
    signed = bool(numbers[2]) if len(numbers) == 3 else None
    return TraceField(name, type_text, numbers[0], numbers[1], signed, kind, elements, is_common)


def _declaration(text: str, size_bytes: int) -> tuple[str, str, str, int | None] | None:
    """Name, type, kind and number of elements of a C declaration; None if it has no name or no type."""
    count = None
    text = text.strip()
    if text.endswith("]"):  # TYPE NAME[COUNT]
        at = _opening(text)
        text, count = text[:at].rstrip(), text[at + 1 : -1].strip()
    name = text[_name_begin(text) :]
    base = text[: len(text) - len(name)].strip()
    if not base or not _is_word(name) or _FOREIGN.intersection(base) or not (base.isascii() and base.isprintable()):
        return None
    type_text = base if count is None else f"{base}[{count}]"
    for word, kind in (("__data_loc", DATA_LOC), ("__rel_loc", REL_LOC)):
        if base.startswith(word + " "):
            return name, type_text, kind, None
    if count is None and base.endswith("]"):  # TYPE[COUNT] NAME
        at = _opening(base)
        base, count = base[:at].rstrip(), base[at + 1 : -1].strip()
    if count is not None:
        kind = STRING if base.removeprefix("const ") == "char" else ARRAY
        return name, type_text, kind, _elements(base, count, size_bytes)
    return name, type_text, _kind(base, size_bytes), None


def _opening(text: str) -> int:
    """Where the bracket that the last "]" closes was opened; 0 if nowhere."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == "]") - (text[at] == "[")
        if depth == 0:
            return at
    return 0


def _name_begin(text: str) -> int:
    """Where the last C identifier of the text begins."""
    at = len(text)
    while at and (text[at - 1].isalnum() or text[at - 1] == "_"):
        at -= 1
    return at


def _elements(base: str, count: str, size_bytes: int) -> int | None:
    if _is_number(count) or not count:  # TYPE NAME[]: a flexible array, whose size is not in the record
        return int(count) if count else None
    one = 8 if base.endswith("*") else _SIZES.get(base.removeprefix("const "))
    return size_bytes // one if one and size_bytes % one == 0 else None


# Types that are pointers and do not look so: include/uapi/linux/capability.h, include/linux/filelock.h,
# fs/xfs/xfs_linux.h, arch/x86/xen/multicalls.c, include/uapi/asm-generic/signal-defs.h.
_POINTERS = frozenset(
    ("cap_user_header_t", "cap_user_data_t", "fl_owner_t", "xfs_failaddr_t", "xen_mc_callback_fn_t", "__sighandler_t")
)


def _kind(base: str, size_bytes: int) -> str:
    if base.removesuffix("const").rstrip().endswith("*") or "(*" in base:
        return POINTER
    plain = base.removeprefix("const ")
    if plain in _POINTERS and size_bytes in (4, 8):
        return POINTER
    if plain in ("bool", "_Bool"):
        return BOOL
    if plain.startswith(("struct ", "union ")) or size_bytes not in (1, 2, 4, 8):
        return STRUCT
    return ENUM if plain.startswith("enum ") else VALUE


def _is_possible(type_text: str, kind: str, elements: int | None, size_bytes: int) -> bool:
    """False for a size that contradicts the declaration: no offset after such a field could be believed."""
    if kind in (DATA_LOC, REL_LOC):
        return size_bytes == 4
    if kind in (ARRAY, STRING) and elements is not None:
        one = element_bytes(element_type(type_text))
        return size_bytes == elements * one if one else not elements or size_bytes % elements == 0
    return True


def element_type(type_text: str) -> str:
    """What an array, a dynamic one too, is made of: "char" of `char[16]` and of `__data_loc char[]`."""
    text = type_text.removeprefix("__data_loc ").removeprefix("__rel_loc ")
    return text[: _opening(text)].rstrip() if text.endswith("]") else text


def element_bytes(base: str) -> int | None:
    """Bytes of a type whose size no kernel changes; None for all others, longs and pointers too."""
    return _SIZES.get(base.removeprefix("const "))


def _is_word(name: str) -> bool:
    """A C identifier, which a field's name is."""
    return name.isascii() and name.isidentifier()


def _oddities(fields: tuple[TraceField, ...]) -> tuple[str, ...]:
    """Sentences about fields that overlap or share a name; usually none."""
    end = -1
    for field in fields:
        if field.offset_bytes < end:
            break
        end = field.offset_bytes + field.size_bytes
    else:
        if len({field.name for field in fields}) == len(fields):
            return ()
    notes = []
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            notes.append(f"the field {field.name} is declared more than once")
        seen.add(field.name)
    widest: TraceField | None = None
    for field in sorted(fields, key=lambda f: f.offset_bytes):
        if widest and field.size_bytes and field.offset_bytes < widest.offset_bytes + widest.size_bytes:
            notes.append(f"the field {field.name} at offset {field.offset_bytes} overlaps {widest.name}")
        if not widest or field.offset_bytes + field.size_bytes > widest.offset_bytes + widest.size_bytes:
            widest = field
    return tuple(notes)


def _is_number(text: str) -> bool:
    """Decimal digits only, short enough to be one of the kernel's 32-bit numbers."""
    return text.isdecimal() and text.isascii() and len(text) <= 10
