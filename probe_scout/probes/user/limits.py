"""What an accepted user probe does not see, and what it breaks: limits and dangers of one place."""

from __future__ import annotations

from ...formats.elf.user_image import PF_W, PF_X, STT_GNU_IFUNC
from ...model import compiler_suffixes
from ...model.attach import USER_RETURNS
from ...model.report import Hazard, Limit
from ...named_tuple import NamedTuple
from . import code, shadow_stack, symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...formats.elf.user_image import Symbol, UserImage
    from ...kernel.kernel import Kernel
    from ...sources.user_files import MappedBy
    from .code import Verdicted, Walk
    from .files import UserFile

NEVER, PARTIAL, MORE, CORRUPTS = "never", "partial", "more", "corrupts"
RETURNS = USER_RETURNS
REFUSED_SAYS = {
    "breakpoint": "an int3 stands there",
    "undecodable": "the kernel's decoder knows no such instruction",
    "prefix": "the instruction has a lock or segment prefix",
    "masking": "the instruction loads the stack segment",
    "opcode": "the opcode is not in the kernel's table of good instructions",
    "branch_prefix": "the branch has the prefix 66",
    "word": "the instruction can be neither simulated nor stepped out of line",
}
_MISREAD_SAYS = {
    "jump": "a jump, and skips it",
    "call": "a call: it is skipped and an address is pushed",
    "return": "a return: the program goes on in the kernel's own page",
}


class Place(NamedTuple):
    """All that is known of one probed place."""

    k: Kernel
    file: UserFile
    image: UserImage
    symbol: Symbol | None
    found: symbols.Found | None
    offset: int
    inside: int  # bytes from the function's first one; 0 at its entry, or where no function is known
    verdicted: Verdicted | None
    walk: Walk | None
    mapped: MappedBy | None
    is_go: bool
    only: int | None = None  # the process that the probe is for


def limits(place: Place, types: Sequence[str]) -> Iterator[Limit]:
    """Every limit, the weightiest first."""
    yield from _of_code(place, tuple(types))
    yield from _of_names(place, tuple(types))
    yield from _of_files(place, tuple(types))
    yield from _of_returns(place, tuple(a for a in types if a in RETURNS))


def _of_code(place: Place, types: tuple[str, ...]) -> Iterator[Limit]:
    image, here = place.image, place.verdicted
    evidence = f"{place.file.path}+{place.offset:#x}: {image.code(place.offset, (here and here.length) or 8).hex()}"
    flags = image.flags_at(place.offset)
    if flags is None or not flags & PF_X or flags & PF_W:
        what = "no segment that is loaded" if flags is None else "no segment of code"
        yield Limit(
            "limit.uprobe_not_code",
            NEVER,
            f"The offset lies in {what}: it is never executed.",
            f"program headers of {place.file.path}",
            types,
        )
        return
    if here is not None and here.refused and here.certain:
        says = (
            f"The kernel refuses this instruction once a process maps the file ({REFUSED_SAYS[here.refused]}): "
            "an attach before succeeds and never fires."
        )
        yield Limit("limit.uprobe_refused", NEVER, says, evidence, types)
    if here is not None and not here.refused and not here.harmless:
        if here.misread == code.LITERAL:
            says = "The kernel executes this load in another page, where other bytes lie."
            yield Limit("limit.uprobe_literal", CORRUPTS, says, evidence, types)
        else:
            says = f"The kernel takes this AVX instruction for {_misread(here)}."
            yield Limit("limit.uprobe_vex", CORRUPTS, says, evidence, types)
    if place.walk is not None and place.inside and place.inside < place.walk.decoded_bytes:
        if place.inside not in place.walk.starts:
            says = "No instruction starts here: the probe overwrites the inside of one, which changes what it does."
            yield Limit("limit.uprobe_inside", CORRUPTS, says, evidence, types)
        elif place.symbol is not None:
            name = place.symbol.name
            says = f"It fires where this instruction of {name} is executed, not for every call of {name}."
            yield Limit("limit.uprobe_offset", PARTIAL, says, evidence, types)
    if code.is_judged(image):
        if code.is_x86(image) and code.is_rep_string(image.code(place.offset, 16)):
            says = "A repeated string instruction: the probe fires for each turn, not once a call."
            yield Limit("limit.uprobe_repeats", MORE, says, evidence, types)
        elif place.walk is not None and place.inside in place.walk.jumps_to:
            says = "A jump inside the function leads here: the probe fires for each turn, not once a call."
            if place.is_go and not place.inside:
                says = "Go enters a function again after its stack was grown: the probe fires again for the same call."
            yield Limit("limit.uprobe_repeats", MORE, says, evidence, types)


def _misread(here: Verdicted) -> str:
    return _MISREAD_SAYS[here.misread]


def _of_names(place: Place, types: tuple[str, ...]) -> Iterator[Limit]:
    symbol, found = place.symbol, place.found
    if symbol is None or found is None:
        return
    where = f"{symbols.SOURCES.get(symbol.table, symbol.table)} of {place.file.path}"
    if symbol.type == STT_GNU_IFUNC:
        names = ", ".join(list(implementations(place.file, symbol))[:6])
        says = (
            f"{symbol.written} is an IFUNC: the address is that of the resolver, which runs once at start; calls go to "
            + (f"one of {names}." if names else "the implementation it picks.")
        )
        yield Limit("limit.uprobe_ifunc", NEVER, says, where, types)
    others = [s for s in found.symbols if s.address != symbol.address]
    default = [s for s in others if s.is_default and s.version]
    if symbol.version and not symbol.is_default and default:
        what = " (an IFUNC)" if default[0].type == STT_GNU_IFUNC else ""
        says = f"{symbol.written} is for old programs: those that are linked today call {default[0].written}{what}."
        if what and symbol.address in code.references(place.image, default[0].address, default[0].size):
            says = says[:-1] + ", which picks this code on some processors only."
        yield Limit("limit.uprobe_old_version", NEVER, says, where, types, "likely")
    elif versions := dict.fromkeys(s.written for s in others if s.version):
        says = f"Calls of {', '.join(versions)} run other code, which this probe does not see."
        yield Limit("limit.uprobe_versions", PARTIAL, says, where, types)
    plain = {s.address for s in others if not s.version}
    if plain and not symbol.version:
        count = len(plain) + 1
        says = f"{count} functions carry this name; the probe sees the calls of one of them."
        yield Limit("limit.uprobe_copies", PARTIAL, says, where, types)
    if ".cold" in symbol.name:
        says = "A .cold part is jumped to and never called: the probe counts jumps."
        yield Limit("limit.uprobe_cold", PARTIAL, says, where, types)
    elif place.image.has_symbol_table and (parts := clones(place.image, symbol.name)):
        says = f"Calls may go to {', '.join(parts[:6])}, made from the same function."
        yield Limit("limit.uprobe_clones", PARTIAL, says, where, types)


def clones(image: UserImage, name: str) -> list[str]:
    """Symbols that GCC or LLVM made from a function: .part, .isra, .constprop, .cold, .llvm."""
    if name.encode() + b"." not in bytes_of_names(image):
        return []
    words = (*compiler_suffixes.CHANGED, compiler_suffixes.PART, "llvm")
    heads = (*(f"{name}.{word}." for word in words), f"{name}.{compiler_suffixes.COLD}")
    return sorted({s.name for s in image.symbols() if s.name.startswith(heads)})


def bytes_of_names(image: UserImage) -> bytes:
    """The names of .symtab, for a search that is cheaper than reading symbols."""
    section = image.section(".strtab")
    return bytes(image.raw[section.offset : section.offset + section.size]) if section else b""


def implementations(file: UserFile, symbol: Symbol) -> dict[str, int]:
    """What an IFUNC may pick: name, or file offset in hexadecimal where none is known, to file offset.

    Read from the resolver's code, which takes their addresses; else by the names that glibc gives: __memcpy_sse2.
    """
    image = file.image
    assert image is not None
    every = [s for s in symbols.everything(file) if s.type != STT_GNU_IFUNC]
    taken = code.references(image, symbol.address, symbol.size)
    if taken:
        names: dict[int, str] = {}
        for one in sorted(every, key=lambda s: bool(s.version)):  # a version's name may be an IFUNC's as well
            if one.address in taken:
                names.setdefault(one.address, one.written)
        places = [(address, image.file_offset(address) or 0) for address in taken]
        return {names.get(address, f"{offset:#x}"): offset for address, offset in places}
    stem = symbol.name.lstrip("_")
    found = sorted({s for s in every if s.name.startswith((f"__{stem}_", f"{stem}_")) and "chk" not in s.name})
    return {s.name: image.file_offset(s.address) or 0 for s in found}


def _of_files(place: Place, types: tuple[str, ...]) -> Iterator[Limit]:
    if place.image.machine_name != place.k.arch() and not (
        place.image.machine_name == "i386" and place.k.arch() == "x86_64"
    ):
        if place.k.arch() != "unknown":
            says = f"The file is for {place.image.machine_name}, the kernel for {place.k.arch()}: it is never executed."
            yield Limit("limit.uprobe_other_machine", NEVER, says, f"ELF header of {place.file.path}", types)
        return
    if place.mapped is not None and place.mapped.old and place.only is None:
        pids = place.mapped.old
        says = (
            f"{len(pids)} process{'es' if len(pids) > 1 else ''} ({', '.join(map(str, pids[:6]))}) still run the file "
            "that was here before: the probe is on the new file and does not see them."
        )
        yield Limit("limit.uprobe_old_file", PARTIAL, says, "proc/PID/maps", types)


def _of_returns(place: Place, types: tuple[str, ...]) -> Iterator[Limit]:
    if not types or place.walk is None or place.inside:
        return
    evidence = f"machine code of {place.file.path}"
    if place.symbol is not None:
        from . import returns

        yield from returns.limits(place.image, place.symbol.address, place.walk, types, evidence)
    if place.walk.tail_calls:
        says = (
            "The function ends in jumps to other functions (tail calls): its return is seen when that "
            "function returns, with its value."
        )
        yield Limit("limit.uretprobe_tail_call", PARTIAL, says, evidence, types, "likely")
    if place.walk.calls_itself:
        says = "The function calls itself: of returns nested deeper than 64 the rest is not seen."
        yield Limit("limit.uretprobe_nesting", PARTIAL, says, evidence, types)


def hazards(place: Place, types: Sequence[str]) -> Iterator[Hazard]:
    """What an accepted probe does to the program."""
    image, here = place.image, place.verdicted
    if here is not None and not here.refused and here.misread == code.LITERAL:
        yield Hazard(
            "hazard.uprobe_literal",
            "Do not probe this address: the vector register would be loaded from another page than the program's. It "
            "goes on with wrong values, or ends with SIGSEGV.",
        )
    elif here is not None and not here.refused and not here.harmless:
        yield Hazard(
            "hazard.uprobe_vex",
            "Do not probe this address: the kernel takes the AVX instruction for "
            f"{_misread(here)}. The program goes on with wrong results, without an error.",
        )
    if place.walk is not None and place.inside not in place.walk.starts and 0 < place.inside < place.walk.decoded_bytes:
        yield Hazard(
            "hazard.uprobe_inside",
            "Do not probe this address: it is inside an instruction. The program gets wrong results or a SIGSEGV.",
        )
    if code.is_x86(image) and code.is_system_call(image.code(place.offset, 16)):
        yield Hazard("hazard.uprobe_syscall", "A probe on a syscall instruction ends the program with SIGSEGV.")
    if not any(attach in RETURNS for attach in types):
        return
    if place.is_go:
        yield Hazard(
            "hazard.uretprobe_go",
            "Return probes kill Go programs when a stack is copied or a panic unwinds (fatal: unexpected return pc). "
            "Put entry probes on the RET instructions instead.",
        )
    yield from shadow_stack.hazards(place.k, image)
    if place.symbol is not None and place.symbol.name == "_start":
        yield Hazard("hazard.uretprobe_start", "A return probe on _start overwrites argc: nothing returns from it.")
    elif place.inside:
        yield Hazard(
            "hazard.uretprobe_offset",
            "A return probe inside a function takes whatever is on top of the stack for a return address: "
            "the program crashes or loops.",
        )
    if place.symbol is not None and place.walk is not None and not place.inside:
        from . import returns

        if looks := sorted(returns.called(image, place.symbol.address, place.walk) & returns.LOOKS):
            yield Hazard(
                "hazard.uretprobe_backtrace",
                f"The function calls {', '.join(looks)}, which ends at the replaced return address: of the callers it "
                "sees none.",
            )
    if not place.is_go and throws(image):
        yield Hazard(
            "hazard.uretprobe_exception",
            "A C++ exception that leaves the function while a return probe is on it aborts the program (SIGABRT).",
        )


def throws(image: UserImage) -> bool:
    """C++ exceptions may pass through the file's functions: it throws, or has the runtime that does."""
    return any(name.startswith(("libstdc++.so", "libc++.so")) for name in image.needed) or bool(
        image.named("__cxa_throw")
    )
