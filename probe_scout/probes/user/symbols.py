"""From a written name to addresses in a file: which symbols carry it, where each name comes from, and libbpf's choice.

tools/lib/bpf/elf.c, elf_find_func_offset: .dynsym and, where that has none, .symtab; only STT_FUNC; a name at two
places of which neither is weak is an error. A name that no table has is looked for in MiniDebugInfo, the debug file,
Go's table of functions, and among demangled names.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from functools import lru_cache

from ...errors import Malformed
from ...formats.elf import demangle, gopclntab
from ...formats.elf.user_image import STB_WEAK, STT_FUNC, STT_GNU_IFUNC, Symbol, UserImage
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .files import UserFile

MINIDEBUG, DEBUG, PCLNTAB = "minidebug", "debug", "pclntab"
_DEBUG_ROOT = "/usr/lib/debug"
SOURCES = {
    "dynsym": ".dynsym",
    "symtab": ".symtab",
    MINIDEBUG: ".gnu_debugdata",
    DEBUG: "the debug file",
    PCLNTAB: ".gopclntab",
}


class Found(NamedTuple):
    """What a name leads to. `symbols` are all that carry it, `chosen` the one that is judged; None where there is none.

    `error` is libbpf's own refusal of the name (ambiguous, or no function of that name), "" where it takes `chosen`.
    """

    symbols: tuple[Symbol, ...]
    chosen: Symbol | None
    error: str = ""
    shown: str = ""
    imported: bool = False  # the file only calls it


def split_version(name: str) -> tuple[str, str, bool]:
    """(name, version, is the default one) of `name@VERSION` and `name@@VERSION`."""
    bare, at, version = name.partition("@")
    if not at or not bare:
        return name, "", True
    return bare, version.removeprefix("@"), version.startswith("@")


def find(file: UserFile, name: str) -> Found:
    """The symbols of this name. Exact names come first, then versions, other tables, demangled names."""
    image = file.image
    assert image is not None
    bare, version, _ = split_version(name)
    for symbols in _tables(file, bare):
        there = [s for s in symbols if s.is_function and (not version or s.version == version)]
        if there:
            return _chosen(name, there)
    if image.named(name) or image.named(bare):
        imports = [s for s in image.named(bare) if s.section == 0]
        if imports:
            return Found((), None, f"{name} is not defined in this file, which only calls it", name, True)
    by_source = [s for s in everything(file) if s.is_function and matches(name, s)]
    return _chosen(name, by_source) if by_source else Found((), None, "", name)


def _tables(file: UserFile, name: str) -> Iterator[list[Symbol]]:
    """The symbols of a name, table by table, each read when the one before had none."""
    image = file.image
    assert image is not None
    yield image.named(name)
    if image.has_symbol_table:
        return  # nothing was stripped: other tables hold the same
    for other, source in others(file):
        yield [s._replace(table=source) for s in other.named(name) if s.table == "symtab"]
    yield [s for s in go_symbols(image) if s.name == name]


def others(file: UserFile) -> Iterator[tuple[UserImage, str]]:
    """Files with the symbols that were stripped: MiniDebugInfo, then the debug file."""
    image = file.image
    assert image is not None
    try:
        if (inner := image.mini_debug()) is not None:
            yield inner, MINIDEBUG
    except Malformed as error:
        image.damage.append(str(error))
    if (debug := debug_file(file)) is not None:
        yield debug[1], DEBUG


def debug_file(file: UserFile) -> tuple[str, UserImage] | None:
    """(path, image) of the file with debug symbols, by build id, then by .gnu_debuglink; None without one."""
    image = file.image
    if image is None:
        return None
    paths = []
    if len(image.build_id) > 2:
        paths.append(f"{_DEBUG_ROOT}/.build-id/{image.build_id[:2]}/{image.build_id[2:]}.debug")
    if image.debuglink is not None and "/" not in image.debuglink[0]:
        folder = os.path.dirname(os.path.realpath(file.place.path) if file.kind == "live" else file.place.path)
        name = image.debuglink[0]
        paths += [f"{folder}/{name}", f"{folder}/.debug/{name}", f"{_DEBUG_ROOT}{folder}/{name}"]
    for path in paths:
        if os.path.realpath(path) == os.path.realpath(file.place.path):
            continue
        raw = file.opened(path)
        if raw is None:
            continue
        try:
            found = UserImage(raw, path)
        except Malformed:
            continue
        if image.build_id and found.build_id != image.build_id:
            image.damage.append(f"{path} is of another build")
            continue
        return path, found
    return None


def go_symbols(image: UserImage) -> Iterator[Symbol]:
    """The functions of a Go program by .gopclntab, as symbols."""
    try:
        table = gopclntab.find(image) if _may_be_go(image) else None
    except Malformed as error:
        image.damage.append(str(error))
        return
    if table is not None:
        for function in gopclntab.functions(image, table):
            yield Symbol(function.name, function.address, function.size, STT_FUNC, 1, 1, PCLNTAB)


def _may_be_go(image: UserImage) -> bool:
    """Without sections anything may be; with them a Go program has a table, a note or build information."""
    if not image.sections:
        return True
    names = {section.name for section in image.sections}
    return not names.isdisjoint((".gopclntab", ".data.rel.ro.gopclntab", ".note.go.buildid", ".go.buildinfo"))


def is_go(image: UserImage) -> bool:
    """A program by the Go linker."""
    if image.sections:
        return _may_be_go(image)
    return gopclntab.find(image) is not None


def everything(file: UserFile) -> Iterator[Symbol]:
    """Every function of the file, each (name, address) once, from every table there is."""
    image = file.image
    assert image is not None
    seen: set[tuple[str, int]] = set()
    for symbol in image.symbols():
        if (key := (symbol.name, symbol.address)) not in seen:
            seen.add(key)
            yield symbol
    if image.has_symbol_table:
        return
    for other, source in others(file):
        for symbol in other.symbols():
            if symbol.table == "symtab" and (key := (symbol.name, symbol.address)) not in seen:
                seen.add(key)
                yield symbol._replace(table=source)
    for symbol in go_symbols(image):
        if (key := (symbol.name, symbol.address)) not in seen:
            seen.add(key)
            yield symbol


def _chosen(name: str, symbols: list[Symbol]) -> Found:
    """The symbol that libbpf takes for a name; where it takes none, the one that the linker would bind to."""
    table = "dynsym" if any(s.table == "dynsym" and s.type == STT_FUNC for s in symbols) else None
    taken: Symbol | None = None
    error = ""
    for symbol in symbols:
        if symbol.type != STT_FUNC or (table and symbol.table != table):
            continue
        if taken is None or (taken.bind == STB_WEAK and symbol.bind != STB_WEAK):
            taken = symbol
        elif symbol.address != taken.address and STB_WEAK not in (symbol.bind, taken.bind):
            error = "libbpf refuses the name: several functions carry it"
    if taken is None:
        error = "libbpf finds no function of this name: it is an IFUNC"
        taken = symbols[0]
    if error:
        taken = next((s for s in symbols if s.is_default and s.table == "dynsym"), taken)
    return Found(tuple(symbols), taken, error, name)


_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# Words of a demangled name that need not stand in the mangled one: types and operators have codes, std has short forms.
_CODED = frozenset(
    (
        *(
            "operator",
            "new",
            "delete",
            "std",
            "const",
            "volatile",
            "unsigned",
            "signed",
            "char",
            "short",
            "int",
            "long",
        ),
        *("float", "double", "bool", "void", "auto", "decltype", "wchar_t", "char8_t", "char16_t", "char32_t"),
        *("__int128", "nullptr_t", "true", "false", "abi", "clone", "string", "basic_string", "allocator", "istream"),
        *("ostream", "iostream", "basic_istream", "basic_ostream", "basic_iostream", "char_traits"),
        *(
            "lambda",
            "unnamed",
            "type",
            "anonymous",
            "namespace",
            "virtual",
            "non",
            "thunk",
            "to",
            "covariant",
            "return",
        ),
        *("guard", "variable", "for", "construction", "vtable", "VTT", "typeinfo", "name", "TLS", "init", "function"),
        *("wrapper", "reference", "temporary", "closure", "shim", "impl", "as", "dyn", "mut", "str", "f32", "f64"),
        *("u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize"),
    )
)


@lru_cache(64)
def _words(name: str) -> tuple[str, ...]:
    """Identifiers that the mangled form of a name has as they are: those of its path, not of types in brackets."""
    path, depth = [], 0
    for sign in demangle.without_arguments(name):
        depth += sign in "<{"
        path.append(" " if depth else sign)
        depth -= sign in ">}" and depth > 0
    return tuple(word for word in _WORD.findall("".join(path)) if word not in _CODED)


def matches(name: str, symbol: Symbol) -> bool:
    """The symbol is meant by a pattern or a demangled name (with or without its arguments)."""
    if fnmatchcase(symbol.name, name):
        return True
    if symbol.table == PCLNTAB or not demangle.is_mangled(symbol.name):
        # Instances of generic functions: shapes are written out in .symtab and as [...] in Go's table.
        return "[" in symbol.name and re.sub(r"\[.*\]", "[...]", symbol.name) == name
    if not {"*", "?"} & set(name) and any(word not in symbol.name for word in _words(name)[-2:]):
        return False
    plain = demangle.demangle(symbol.name)
    return plain != symbol.name and (
        name in (plain, *demangle.shorter_names(plain)) or fnmatchcase(plain, name) or _same_text(plain, name)
    )


def _same_text(one: str, other: str) -> bool:
    return one.replace(" ", "") == other.replace(" ", "")


def is_ifunc(symbol: Symbol) -> bool:
    """The symbol's address is that of the resolver."""
    return symbol.type == STT_GNU_IFUNC
