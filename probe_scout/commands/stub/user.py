"""Stubs of user functions and USDT probes: the file's debug information or notes, placed in struct pt_regs.

Go programs take no return probe (their stacks move): what stands for one is an entry probe on each RET instruction,
where the results are in their registers.
"""

from __future__ import annotations

from ...errors import NoStub, UsageError
from ...model.facts import Unread
from ...model.stub import REGISTERS, Argument, PlainType, Stub, StubPlace
from ...model.user_target import USDT, is_user, may_be_user, read
from ...model.user_type import ARRAY, FLOAT, INTEGER, POINTER, STRUCT
from ...model.verdict import NO, UNKNOWN
from . import arguments as places
from . import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...formats.elf import usdt
    from ...kernel.kernel import Kernel
    from ...model.report import UserReport
    from ...model.user_report import UserPlace, UserSite
    from ...model.user_type import Passed, UserType
    from ...probes.user.arguments import Signature
    from ...probes.user.files import UserFile

_RETURNS_MAX = 32  # RET instructions of one Go function that get a section each
_TITLE_MAX = 80
_NO_VECTORS = "struct pt_regs has no vector registers"
_NO_GO = {
    "hazard.uprobe_literal": "the kernel executes the load there in another page, and the program goes wrong",
    "hazard.uprobe_vex": "the kernel misreads the AVX instruction there, and the program goes wrong",
    "hazard.uprobe_inside": "no instruction starts there, and the program goes wrong",
    "hazard.uprobe_syscall": "a probe on a syscall instruction ends the program",
}
_X86_WIDE = {
    register: base
    for base in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
    for register in (f"r{base}", f"e{base}", base, f"{base[0]}l" if base[1] == "x" else f"{base}l")
} | {f"r{n}{tail}": f"r{n}" for n in range(8, 16) for tail in ("", "d", "w", "b")}


def is_asked(k: Kernel, name: str) -> bool:
    """The name means a place in a program or library."""
    if ":" not in name and "/" not in name:
        return False
    if is_user(name):
        return True
    if not may_be_user(name):
        return False
    from ...probes.user import files

    return files.is_library(k, name)


def stubs(k: Kernel, names: Sequence[str], attach: str, notes: list[str], debug: str = "") -> list[Stub]:
    """One stub for each function or probe. Raises UsageError, and NoStub where no stub can be right."""
    from ...model.stub import STUB_LIKE
    from ...probes.user import files, report

    made: list[Stub] = []
    for name in names:
        target = read(name)
        wanted = attach or target.attach or ("usdt" if target.kind == USDT else "uprobe")
        if wanted in STUB_LIKE:
            other, says = STUB_LIKE[wanted]
            notes.append(f"the stub of {other} stands for {wanted}: {says}")
            wanted = other
        if target.kind != USDT and not target.name:
            raise UsageError(f"{name}: a stub needs the name of a function, whose arguments are looked up")
        file = files.found(k, target)
        for one in report.reports(k, name, (wanted,), debug):
            _refuse(one, wanted, notes)
            made += _probe(file, one, notes) if wanted == "usdt" else [_function(file, one, wanted, notes, debug)]
    return made


def _refuse(one: UserReport, attach: str, notes: list[str]) -> None:
    """Raises NoStub where the probe does not attach or breaks the program; what never fires becomes a note."""
    verdict = one.verdicts[0]
    if verdict.answer == NO:
        why = verdict.findings[0].says.rstrip(".") if verdict.findings else "the kernel refuses"
        near = f"; did you mean {' or '.join(one.suggestions[:3])}" if one.suggestions else ""
        raise NoStub(f"{one.target} takes no {attach} program ({verdict.errno}): {why}{near}")
    for hazard in one.hazards:
        if hazard.id in _NO_GO:
            raise NoStub(f"{one.target}: do not probe it, {_NO_GO[hazard.id]} ({hazard.id})")
    if verdict.answer == UNKNOWN and verdict.unread:
        if verdict.unread[0].fact == "user_file":
            raise NoStub(f"{one.target}: {verdict.unread[0].why}", 3)
        notes.append(f"whether {one.target} takes a {attach} program is unknown ({verdict.unread[0].why})")
    notes += [f"{one.target}: {limit.says} ({limit.id})" for limit in one.limits if limit.effect == "never"]


def _arch(place: UserPlace) -> str:
    if place.machine not in ("x86_64", "aarch64"):
        raise NoStub(f"{place.file}: where arguments are on {place.machine} is not known here", 3)
    return place.machine


# functions


def _function(file: UserFile, one: UserReport, attach: str, notes: list[str], debug: str) -> Stub:
    from ...formats.elf import demangle
    from ...formats.elf.user_image import STT_FUNC, Symbol
    from ...probes.user import arguments

    place = one.place
    assert place is not None
    site = next(site for site in place.sites if site.chosen)
    symbol = Symbol(site.symbol, site.address, site.size, STT_FUNC, 1, 1, site.source, site.version)
    found = arguments.of(file, symbol, debug)
    arch = _arch(place)
    path = place.file
    named = f"{path}:{site.symbol}" if site.source in ("dynsym", "symtab") and not site.version else ""
    facts = [f"function {site.symbol} of {path} (build id {place.build_id or 'unknown'}), file offset {site.offset:#x}"]
    if isinstance(found, Unread):
        notes.append(f"the arguments of {site.symbol} are not known: {found.why}")
        facts.append("Its arguments are not known: the stub has the registers alone.")
        found_types: Signature | None = None
    else:
        facts += [found.text, f"arguments by {found.convention or 'no known convention'}"]
        found_types = found
    said = ["Memory of the program is read with bpf_probe_read_user and bpf_probe_read_user_str."]
    is_go = place.language == "go"
    sections: tuple[str, ...] = (_section(attach, named),)
    bare = demangle.without_arguments(demangle.demangle(site.symbol)) or site.symbol
    title = f"{attach}_{bare[:_TITLE_MAX]}"
    passed: tuple[StubPlace, ...] = ()
    listed: tuple[Argument, ...] = ()
    returns: PlainType | None = None
    if attach == "uretprobe" and is_go:
        attach = "uprobe"
        title = f"uprobe_{bare[:_TITLE_MAX]}_return"
        sections = _at_returns(place, site, named, said)
        if found_types is not None:
            listed, passed = _listed(arch, found_types.results, found_types.result_types, found_types.result_places)
    elif attach == "uretprobe":
        returns, more = _returned(found_types)
        said += more
    elif found_types is not None:
        listed, passed = _listed(arch, found_types.arguments, found_types.types, found_types.places)
        if found_types.is_variadic:
            said.append("More arguments follow that no type tells (variadic).")
        if found_types.hidden:
            said.append(f"{found_types.hidden} holds the address for the result at entry.")
    if not named:
        said.append(f"Loaders do not find the name: attach to the file offset {site.offset:#x} of {path}.")
    registers = places.REGISTERS_OF[arch]
    base = places.probed(site.symbol, "kprobe", arch, (), None, "", "")
    return base._replace(
        target=one.target,
        attach=attach,
        title=words.identifier(title),
        section=sections[0],
        shape=REGISTERS,
        size=registers.size,
        arguments=listed,
        returns=returns,
        facts=(*facts, f"registers of {arch}"),
        notes=tuple(said),
        where=passed,
        sites=sections,
    )


def _section(attach: str, named: str) -> str:
    """What libbpf attaches by itself; the bare word where it cannot find the name or a string cannot hold it."""
    fits = named.isascii() and named.isprintable() and not set(named) & set('"\\?')
    return f"{attach}/{named}" if named and fits else attach


def _at_returns(place: UserPlace, site: UserSite, named: str, said: list[str]) -> tuple[str, ...]:
    """A section for each RET instruction of a Go function. Raises NoStub where none is known."""
    if not place.return_offsets or site.offset is None:
        raise NoStub(
            f"{place.file}:{site.symbol} takes no uretprobe program: a return probe kills Go programs when a stack is "
            "copied, and no RET instruction of the function was found (hazard.uretprobe_go)"
        )
    at = place.return_offsets[:_RETURNS_MAX]
    shown = " ".join(f"{one:#x}" for one in at)
    said.append("A return probe kills Go programs (hazard.uretprobe_go): this is an entry probe on each RET.")
    said.append(f"RET instructions at the file offsets {shown}; results are in their registers there.")
    if len(place.return_offsets) > len(at):
        said.append(f"{len(place.return_offsets) - len(at)} more RET instructions have no section here.")
    return tuple(_section("uprobe", f"{named}+{one - site.offset:#x}" if named else "") for one in at)


def _returned(found: Signature | None) -> tuple[PlainType | None, list[str]]:
    said = ["At the return the argument registers hold other values: keep what you need at entry."]
    if found is None:
        return PlainType("int", 8, False, "8 bytes of unknown type"), said
    if not found.result_types:
        return PlainType("void", 0, False, "void"), [*said, "The function returns nothing."]
    where, kind = found.result_places[0], found.result_types[0]
    if where is None or found.results[0].kind == "unknown":
        return None, [*said, f"Where the {kind.text} is that it returns is not known."]
    if where.is_pointed:
        return PlainType("pointer", 8, False, f"{kind.text} *", "void", "", True), said
    if any(_member(register) == "" for register in where.registers):
        return None, [*said, f"It returns {kind.text} in {', '.join(where.registers)}: {_NO_VECTORS}."]
    return _plain(kind), said


def _listed(
    arch: str, shown: Sequence[object], types: Sequence[UserType], passed: Sequence[Passed | None]
) -> tuple[tuple[Argument, ...], tuple[StubPlace, ...]]:
    unique = words.Unique()
    arguments: list[Argument] = []
    where: list[StubPlace] = []
    for number, (one, kind, place) in enumerate(zip(shown, types, passed, strict=True)):
        name = unique(words.identifier(str(getattr(one, "name", ""))) or f"arg{number}")
        plain = _plain(kind)
        if place is not None and place.is_pointed:
            plain = PlainType("pointer", 8, False, f"{kind.text} (by a pointer to it)", "void", "", True)
        put = _put(arch, kind, place)
        slots = max(1, len(put.registers), -(-plain.size // 8) if plain.kind == "struct" else 1)
        if len(put.registers) > 1 and plain.kind != "struct":
            plain = plain._replace(kind="struct", size=8 * len(put.registers))
        arguments.append(Argument(name, plain, number, slots))
        where.append(put)
    return tuple(arguments), tuple(where)


def _put(arch: str, kind: UserType, place: Passed | None) -> StubPlace:
    """The place in struct pt_regs."""
    if place is None:
        return StubPlace(says="its location is unknown")
    if place.stack is not None:
        return StubPlace(stack=place.stack)
    if not place.registers:
        return StubPlace(says="it has no bytes and is not passed")
    members = tuple(_member(register) for register in place.registers)
    if "" in members:
        return StubPlace(says=f"in {', '.join(place.registers)}: {_NO_VECTORS}")
    return StubPlace(members)


def _member(register: str) -> str:
    """The member of struct pt_regs; "" for a register that it has not."""
    if register in _X86_WIDE:
        return _X86_WIDE[register]
    if register[:1] in ("x", "w") and register[1:].isdigit() and int(register[1:]) < 31:
        return f"regs[{register[1:]}]"
    return {"sp": "sp", "fp": "regs[29]", "lr": "regs[30]"}.get(register, "")


def _plain(kind: UserType) -> PlainType:
    if kind.kind == POINTER:
        target = "char" if kind.target.replace("const ", "").strip() == "char" else "void"
        return PlainType("pointer", 8, False, kind.text, target, "", True)
    if kind.kind == INTEGER and kind.size in (1, 2, 4, 8):
        return PlainType("int", kind.size, kind.signed, kind.text)
    if kind.kind == FLOAT:
        return PlainType("float", kind.size, True, kind.text)
    if kind.kind in (STRUCT, ARRAY, INTEGER):
        return PlainType("struct", kind.size, False, kind.text)
    return PlainType("other", kind.size, False, kind.text)


# USDT


def _probe(file: UserFile, one: UserReport, notes: list[str]) -> list[Stub]:
    """One stub for each set of operands: sites of one probe may have their arguments in different places."""
    from ...formats.elf import usdt

    place, image = one.place, file.image
    assert place is not None
    assert image is not None
    arch = _arch(place)
    provider, _, name = place.sites[0].symbol.partition(":")
    sites = [site for site in usdt.sites(image) if (site.provider, site.name) == (provider, name)]
    by_operands: dict[str, list[usdt.Site]] = {}
    for site in sites:
        by_operands.setdefault(site.text, []).append(site)
    made = []
    for number, (text, same) in enumerate(by_operands.items()):
        at = " ".join(f"{site.offset:#x}" for site in same if site.offset is not None)
        counters = sorted({site.semaphore_offset for site in same if site.semaphore_offset is not None})
        facts = [
            f"USDT probe {provider}:{name} of {place.file} (build id {place.build_id or 'unknown'})",
            f"sites at the file offsets {at}" + (f", operands {text}" if text else ", without arguments"),
        ]
        said = ["Memory of the program is read with bpf_probe_read_user and bpf_probe_read_user_str."]
        if counters:
            said.append(f"Attach with ref_ctr_offset {' '.join(map(hex, counters))}, or guarded sites are skipped.")
        if len(sites) > len(same):
            said.append(f"{len(sites) - len(same)} other sites of the probe have their arguments elsewhere.")
        arguments = [_usdt_argument(i, argument) for i, argument in enumerate(same[0].arguments)]
        refused = next((a.libbpf for site in same for a in site.arguments if a.libbpf), "")
        if refused:
            said.append(f"libbpf refuses the probe: {refused}. Attach uprobes to the sites instead.")
        title = words.identifier(f"usdt_{provider}_{name}" + (f"_{number}" if number else ""))
        section = _section("usdt", f"{place.file}:{provider}:{name}")
        base = places.probed(name, "kprobe", arch, (), None, "", "")
        made.append(
            base._replace(
                target=one.target,
                attach="usdt",
                title=title,
                section=section,
                arguments=tuple(argument for argument, _ in arguments),
                facts=(*facts, f"registers of {arch}"),
                notes=tuple(said),
                where=tuple(where for _, where in arguments),
                sites=(section,) if not refused else (),
            )
        )
    return made


def _usdt_argument(number: int, one: usdt.Argument) -> tuple[Argument, StubPlace]:
    from ...formats.elf import usdt

    plain = PlainType("float" if one.is_float else "int", one.size or 8, one.is_signed, one.type)
    argument = Argument(f"arg{number}", plain, number, 1)
    register = _member(one.register)
    if one.kind == usdt.REGISTER and register:
        return argument, StubPlace((register,))
    if one.kind == usdt.MEMORY and register and not one.index_register:
        return argument, StubPlace(stack=one.offset, base=register)
    if one.kind == usdt.IMMEDIATE:
        return argument, StubPlace(says=f"the constant {one.offset}")
    return argument, StubPlace(says=f"operand {one.text}: not in struct pt_regs, nor at a distance from a register")
