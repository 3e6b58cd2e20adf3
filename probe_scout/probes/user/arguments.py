"""What a probe on a user function can read: its parameters and its result, where they are at entry and at return.

Types are from debug information; places from the ABI of the language and machine (arch/call_abi.py). Where the compiler
may have changed the call (.isra, .constprop, .part; DW_CC_nocall; Rust, whose ABI is not fixed) the places are those
that the debug information gives for the first instruction, and unknown where it gives none.
"""

from __future__ import annotations

from ...arch import call_abi
from ...errors import Malformed
from ...formats.dwarf import by_address, locations, prototypes
from ...formats.elf import demangle, go_buildinfo
from ...model import compiler_suffixes, facts
from ...model.facts import Unread
from ...model.user_report import UserArgument
from ...model.user_type import FLOAT, OTHER, STRUCT, VOID, Convention, Passed, UserType
from ...named_tuple import NamedTuple
from . import debug_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...formats.dwarf.prototypes import Parameter, Prototype
    from ...formats.elf.user_image import Symbol, UserImage
    from .files import UserFile

_CHANGED = tuple(f".{word}." for word in (*compiler_suffixes.CHANGED, compiler_suffixes.PART))
BY_DEBUG_INFO = "as the debug information says"
RUST = "Rust's own (not fixed by the language)"
# DWARF's x86 names, which are those of struct pt_regs, to the instruction set's.
_X86 = {name: f"r{name}" for name in ("ax", "dx", "cx", "bx", "si", "di", "bp", "sp")}
_NO_VECTORS = "BPF: struct pt_regs has no vector registers"
_GO_SINCE = {"x86_64": (1, 17), "aarch64": (1, 18), "ppc64": (1, 18), "riscv64": (1, 19)}


class Signature(NamedTuple):
    """A function's parameters and results. `types` and `places` are those of `arguments`, for stubs."""

    text: str
    arguments: tuple[UserArgument, ...]
    results: tuple[UserArgument, ...]
    convention: str
    debug_file: str
    types: tuple[UserType, ...]
    result_types: tuple[UserType, ...]
    places: tuple[Passed | None, ...]
    result_places: tuple[Passed | None, ...]
    hidden: str
    is_variadic: bool
    prototype: Prototype


def of(file: UserFile, symbol: Symbol, debug: str = "") -> Signature | Unread:
    """The signature of the function that a symbol names; or why it is not known."""
    source = debug_info.of(file, debug)
    if isinstance(source, Unread):
        return source
    if source.matches is False:
        return Unread(facts.DEBUG, "not_there", f"{source.path} is of another build than {file.path}", "")
    try:
        entry = by_address.function_at(source.file, symbol.address)
        found = prototypes.prototype(source.file, entry) if entry is not None else None
    except Malformed as error:
        return Unread(facts.DEBUG, "malformed", str(error), "")
    if found is None or found.language in prototypes.ASSEMBLERS:
        why = f"the debug information in {source.path} has no parameters of {symbol.name} (assembly, or without -g)"
        return Unread(facts.DEBUG, "not_there", why, "")
    image = file.image
    assert image is not None
    return _signature(image, symbol, found, source.path)


def _signature(image: UserImage, symbol: Symbol, found: Prototype, path: str) -> Signature:
    is_go, is_rust = found.language == prototypes.LANGUAGE_GO, found.language == prototypes.LANGUAGE_RUST
    taken = [one for one in found.parameters if not one.is_result]
    given = [one for one in found.parameters if one.is_result]
    types = [one.type for one in taken]
    results = [one.type for one in given] if is_go else [] if found.result.kind == VOID else [found.result]
    if is_go:
        convention = _go(image, symbol, types, results)
    elif is_rust:
        convention = call_abi.of_c(image.machine_name, [_of_rust(one) for one in types], _of_rust(found.result))
        convention = convention._replace(name=RUST) if convention else None
    else:
        convention = call_abi.of_c(image.machine_name, types, found.result)
    if convention is None:
        convention = Convention("", (None,) * len(types), (None,) * len(results))
    is_changed = found.is_nocall or any(sign in symbol.name for sign in _CHANGED)
    places = [
        _place(image, one, place, is_changed, is_rust or is_go or not found.is_external)
        for one, place in zip(taken, convention.arguments, strict=True)
    ]
    name = convention.name
    if is_changed or (not name and any(places)):
        name = BY_DEBUG_INFO
    arguments = tuple(
        _argument(image, one.name or f"arg{i}", one.type, place)
        for i, (one, place) in enumerate(zip(taken, places, strict=True))
    )
    returned = tuple(
        _argument(image, (given[i].name if is_go else "return"), one, place)
        for i, (one, place) in enumerate(zip(results, convention.results, strict=True))
    )
    if is_changed:  # a removed result leaves nothing that tells
        returned = tuple(one._replace(where="", kind="unknown") for one in returned)
    return Signature(
        _text(symbol, found, taken, given),
        *(arguments, returned, name, path, tuple(types), tuple(results), tuple(places), convention.results),
        *(convention.hidden, found.is_variadic, found),
    )


def _of_rust(one: UserType) -> UserType:
    """The type as rustc passes it: what is larger than two words by a pointer; small ones of integers as C does."""
    if one.kind == STRUCT or (one.kind == OTHER and one.size > 0):
        if one.size > 16:
            return one._replace(kind=STRUCT, by_reference=True)
        if one.kind == OTHER or (len(one.leaves) > 1 and any(leaf.kind == FLOAT for leaf in one.leaves)):
            return one._replace(kind=OTHER)
        if one.size > 8 and len(one.leaves) != 2:
            return one._replace(kind=OTHER)
    return one


def _go(image: UserImage, symbol: Symbol, types: Sequence[UserType], results: Sequence[UserType]) -> Convention | None:
    """Go's call by the version that built the program; None where the version is not told."""
    written = go_buildinfo.version(image)
    number = go_buildinfo.number(written)
    if number is None:
        return None
    since = _GO_SINCE.get(image.machine_name)
    registers = (
        since is not None and number >= since and "noregabi" not in written and not symbol.name.endswith(".abi0")
    )
    if registers and image.machine_name not in ("x86_64", "aarch64"):
        return None
    found = call_abi.of_go(image.machine_name, types, results, registers)
    return found._replace(name=f"{found.name} ({written.split()[0]})")


def _place(
    image: UserImage, one: Parameter, by_abi: Passed | None, is_changed: bool, may_differ: bool
) -> Passed | None:
    """Where a parameter is at entry. The compiler's word goes before the ABI where the ABI does not bind it."""
    if not is_changed and not may_differ:
        return by_abi
    said = _said(image, one)
    if is_changed:
        return said
    if said is None or (by_abi is not None and by_abi.is_pointed):
        return by_abi
    return said


def _said(image: UserImage, one: Parameter) -> Passed | None:
    """The registers that the debug information gives; None where it gives none (a stack slot filled later, lost)."""
    place = one.place
    if place.kind == locations.REGISTER:
        return Passed((_spelled(image, place.where),))
    if place.kind == locations.PIECES:
        parts = [part.partition(" (")[0] for part in place.where.split(", ")]
        if all(part and "[" not in part and part not in ("lost", "?") and " " not in part for part in parts):
            return Passed(tuple(_spelled(image, part) for part in parts))
    return None


def _spelled(image: UserImage, name: str) -> str:
    return _X86.get(name, name) if image.machine_name == "x86_64" else name


def _argument(image: UserImage, name: str, one: UserType, place: Passed | None) -> UserArgument:
    if place is None:
        return UserArgument(name, one.text, one.size, "", "unknown")
    sp = "rsp" if image.machine_name == "x86_64" else "sp"
    where = ", ".join(place.registers)
    kind = "register"
    if place.stack is not None:
        where, kind = f"[{sp}+{place.stack:#x}]", "memory"
    if place.is_pointed and where:
        where, kind = f"[{where}]", "memory"
    if not where:
        return UserArgument(
            name, one.text, one.size, "", "none" if place.stack is None and not one.leaves else "memory"
        )
    refused = (_NO_VECTORS,) if any(r.startswith(("xmm", "v", "st")) for r in place.registers) else ()
    return UserArgument(name, one.text, one.size, where, kind, refused)


# the declaration as text


def _text(symbol: Symbol, found: Prototype, taken: Sequence[Parameter], given: Sequence[Parameter]) -> str:
    if found.language == prototypes.LANGUAGE_GO:
        results = ", ".join(_go_type(one.type.text) for one in given)
        results = f" ({results})" if len(given) > 1 else f" {results}" if given else ""
        return f"func {symbol.name}({', '.join(f'{p.name} {_go_type(p.type.text)}' for p in taken)}){results}"
    if found.language == prototypes.LANGUAGE_RUST:
        result = f" -> {found.result.text}" if found.result.kind != VOID else ""
        name = _bare(demangle.demangle(symbol.name)) or found.name
        return f"fn {name}({', '.join(f'{p.name}: {p.type.text}' for p in taken)}){result}"
    words = [declared(one.type.text, one.name) for one in taken if not one.is_hidden]
    if found.is_variadic:
        words.append("...")
    is_cxx = found.language in prototypes.LANGUAGES_CXX
    name = _bare(demangle.demangle(symbol.name)) if is_cxx else symbol.name
    return declared(found.result.text, f"{name or found.name}({', '.join(words) or ('' if is_cxx else 'void')})")


def _go_type(text: str) -> str:
    return text


def _bare(name: str) -> str:
    """A demangled name without its parameters and without the type of its result."""
    start, end = demangle.parts(name)
    return name[start:end]


def declared(kind: str, name: str) -> str:
    """A C declaration: the name goes inside the brackets of a pointer to a function, and before an array's bounds."""
    if "(*)" in kind:
        return kind.replace("(*)", f"(*{name})", 1)
    head, bracket, bounds = kind.partition(" [")
    if bracket:
        return f"{head} {name}[{bounds}"
    return f"{kind}{'' if kind.endswith(('*', '&')) else ' '}{name}"
