"""`check` of a user function or a USDT probe: the file, the place in it, verdicts, limits, dangers, forms."""

from __future__ import annotations

import os

from ...arch import aarch64
from ...errors import UsageError
from ...formats.elf import demangle
from ...formats.elf.user_image import EM_AARCH64, STT_FUNC, STT_GNU_IFUNC
from ...model import facts
from ...model.attach import ATTACH_TYPES, for_kind
from ...model.facts import Unread
from ...model.report import Alternative, Coverage, Diagnosis, Form, Limit, UserReport
from ...model.traits import NOWHERE, UserTraits
from ...model.user_report import UserArgument, UserPlace, UserSite
from ...model.user_target import USDT, USER_FUNCTION, UserTarget, read
from ...model.verdict import NO, UNKNOWN, YES, Verdict
from ...named_tuple import NamedTuple
from ...rules import judge
from ...sources import user_files
from ..attach import evidence as verdict_evidence
from . import code, files, limits, one_process, own_copy, seccomp, symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...formats.elf.usdt import Site
    from ...formats.elf.user_image import Symbol
    from ...kernel.kernel import Kernel
    from ...model.report import Hazard
    from ...sources.user_files import MappedBy
    from .code import Verdicted
    from .files import UserFile
    from .own_copy import OwnCopy

MATCHES_MAX = 64
RETURNS_SHOWN = 64
_WEIGHT = {limits.NEVER: 3, limits.CORRUPTS: 3}


class _Asked(NamedTuple):
    """One question while it is answered."""

    k: Kernel
    target: UserTarget
    types: tuple[str, ...]
    file: UserFile
    mapped: MappedBy | None
    debug: str = ""
    only: int | None = None  # the process that the probe is for; None for every one


def reports(k: Kernel, text: str, asked: Sequence[str], debug: str = "", pid: int | None = None) -> list[UserReport]:
    """The reports of one written target: one, or one for each symbol that a pattern matches.

    `debug` names a file with debug information, `pid` the one process that the probe is for. Raises UsageError for a
    target that cannot be asked, for a pattern that matches too much, and for a debug file that cannot be read.
    """
    target = read(text)
    types = types_for(target, asked)
    if os.path.basename(target.file).startswith(_VDSO):
        return [_vdso(target, types)]
    file = _file(k, target)
    only = one_process.checked(k, target, pid) if pid else None
    question = _Asked(k, target, types, file, None, debug, only)
    if file.image is None:
        return [_without_image(question)]
    if file.kind == files.LIVE:
        question = question._replace(mapped=user_files.mapped_by(file.place.path, file.state, only=only))
    if target.kind == USDT:
        return _usdt_reports(question)
    return _function_reports(question)


def _file(k: Kernel, target: UserTarget) -> UserFile:
    """The file of a target. Raises UsageError, for a library that a process does not map with its own copy."""
    try:
        return files.found(k, target)
    except files.NoSuchLibrary as error:
        from . import own_copy

        own = own_copy.says(error.pid, target.name, own_copy.copies(k, error.pid, target.name)) if target.name else ""
        raise UsageError(f"{error}. {own}" if own else str(error)) from None


def types_for(target: UserTarget, asked: Sequence[str]) -> tuple[str, ...]:
    """The attach types to judge. Raises UsageError for one that does not apply to this kind of target."""
    for attach in asked:
        if target.kind not in ATTACH_TYPES[attach].kinds.split():
            words_of = " ".join(for_kind(target.kind))
            raise UsageError(f"{attach} does not apply to {target}, which takes {words_of}")
    if asked:
        return tuple(asked)
    if target.attach:
        return (target.attach,)
    found = tuple(a for a in for_kind(target.kind) if not a.endswith(".s"))
    if target.kind == USER_FUNCTION and (target.offset or not target.name):
        return tuple(a for a in found if a not in limits.RETURNS)  # a return probe belongs on a function's entry
    return found


_VDSO = ("linux-vdso", "linux-gate", "[vdso]")


def _vdso(target: UserTarget, types: tuple[str, ...]) -> UserReport:
    """No file, so no inode that a uprobe could belong to: loaders fail to open it."""
    from ...model.verdict import Finding

    finding = Finding("user_symbol.vdso", "The vDSO is the kernel's memory and no file: it takes no uprobe.", "")
    verdicts = tuple(Verdict(attach, NO, "ENOENT", True, (finding,)) for attach in types)
    said = (Diagnosis("vdso", "Probe the function of libc that enters it, such as libc:clock_gettime.", "is"),)
    return UserReport(str(target), target.kind, None, verdicts, Coverage(), said)


# files that are no ELF files


def _without_image(q: _Asked) -> UserReport:
    """The kernel takes any regular file; what is not one of code never fires."""
    traits = _traits(q, q.target.offset or None, None)
    if not q.target.name and not q.file.state.problem and q.file.state.regular and q.file.unread is None:
        evidence = q.file.why_not
        limit = Limit(
            "limit.uprobe_not_code", limits.NEVER, "The file is no program: it is never executed.", evidence, q.types
        )
        return _assembled(q, _verdicts(q, traits), None, (limit,), (), place=_place(q, ()))
    diagnosis = (Diagnosis("user_file", f"{q.file.why_not}.", "is"),)
    found = _verdicts(q, traits)
    if not q.file.state.problem and q.file.state.regular and q.file.unread is None:
        found = _nowhere(q, f"{q.file.path} has no symbols: {q.file.why_not}")
    return _assembled(q, found, None, (), (), diagnosis)


def _nowhere(q: _Asked, why: str) -> tuple[Verdict, ...]:
    """No loader can turn the name into an offset, so the kernel is never asked: no, with the loader's ENOENT."""
    from ...model.verdict import Finding

    finding = Finding("user_symbol.not_found", why if why.endswith(".") else f"{why}.", q.file.path)
    return tuple(Verdict(attach, NO, "ENOENT", True, (finding,)) for attach in q.types)


# functions


def _function_reports(q: _Asked) -> list[UserReport]:
    target, image = q.target, q.file.image
    assert image is not None
    if not target.name:
        return [_at_offset(q, target.offset)]
    found = symbols.find(q.file, target.name)
    if found.chosen is not None and target.is_glob and found.chosen.name != target.name:
        places = {(s.name, s.address): s for s in found.symbols}
        if len(places) > MATCHES_MAX:
            raise UsageError(
                f"{target}: {len(places)} functions match; narrow the pattern, or list them with scan FILE"
            )
        return [
            _at_symbol(q._replace(target=target._replace(name=s.name)), symbols.Found((s,), s), s)
            for s in places.values()
        ]
    if found.chosen is None:
        return [_not_found(q, found)]
    return [_at_symbol(q, found, found.chosen)]


def _not_found(q: _Asked, found: symbols.Found) -> UserReport:
    image = q.file.image
    assert image is not None
    name = q.target.name
    diagnosis: list[Diagnosis] = []
    alternatives: tuple[Alternative, ...] = ()
    if found.imported:
        why = f"{q.file.path} calls {name} and does not define it"
        home = _home_of_import(q, name)
        if home:
            says = f"{home} defines it; a probe there sees the calls of every program that maps it"
            diagnosis.append(Diagnosis("imported", says + ".", "is"))
            alternatives = (Alternative("uprobe", f"{home}:{name}", UNKNOWN, "where the function is"),)
    else:
        why = f"There is no function {name} in {q.file.path}"
        if not image.has_symbol_table:
            tables = ", ".join(symbols.SOURCES[t] for t in image.names_from) or "no table of symbols"
            debug = symbols.debug_file(q.file)
            says = f"The file is stripped: it has {tables}"
            says += (
                f", and {debug[0]} was read as well."
                if debug
                else "; the names of local functions are in its debug file."
            )
            diagnosis.append(Diagnosis("stripped", says, "is"))
    near = _similar(q.file, symbols.split_version(name)[0])
    report = _assembled(q, _nowhere(q, why), None, (), (), tuple(diagnosis), place=_place(q, ()))
    return report._replace(suggestions=near, alternatives=alternatives)


def _home_of_import(q: _Asked, name: str) -> str:
    """The library, among those the file names, that defines a function; "" if none is found."""
    image = q.file.image
    assert image is not None
    bare = symbols.split_version(name)[0]
    if q.file.place.path.startswith("/proc/"):
        from . import interposed

        if (pid := interposed.pid_of(q.file)) is not None and (path := interposed.definer(pid, bare)):
            return path
    for needed in image.needed:
        try:
            other = files.UserFile(q.k, files.library(q.k, needed), q.file.kind)
        except UsageError:
            continue
        if other.image is not None and any(s.is_function for s in other.image.named(bare)):
            return other.path
    return ""


def _similar(file: UserFile, name: str) -> tuple[str, ...]:
    """Up to five names like this one: with another case, a part of a longer one, spelt alike."""
    import difflib

    low = name.casefold()
    if not low:
        return ()
    names = {s.name for s in symbols.everything(file)}
    parts = sorted((n for n in names if low in n.casefold()), key=len)[:5]
    return tuple(parts or difflib.get_close_matches(name, list(names)[:50_000], 5, 0.75))


def _at_symbol(q: _Asked, found: symbols.Found, symbol: Symbol) -> UserReport:
    image = q.file.image
    assert image is not None
    address = symbol.address + q.target.offset
    offset = image.file_offset(address)
    if offset is None:
        return _assembled(q, _nowhere(q, f"{symbol.name} lies in no part of the file that is loaded"), None, (), ())
    if not symbol.size and (around := _around(q.file, address)) is not None and around.address < symbol.address:
        # A label of assembly: what stands there is a part of the function around it.
        label, whole = symbol, symbols.Found((around,), around)
        start = image.file_offset(around.address)
        walk = code.walk(image, start, around.size) if start is not None and code.is_judged(image) else None
        placed = _placed(q, around, whole, offset, address - around.address, walk)
        return placed._replace(forms=_forms(q, found, label, offset))
    start = image.file_offset(symbol.address)
    inside = q.target.offset
    is_whole = start is not None and symbol.size and code.is_judged(image)
    walk = code.walk(image, start, symbol.size) if is_whole and start is not None else None
    return _placed(q, symbol, found, offset, inside, walk)


def _at_offset(q: _Asked, offset: int) -> UserReport:
    """A bare file offset: the function around it is looked for, to tell instructions from what is inside them."""
    image = q.file.image
    assert image is not None
    address = image.address(offset)
    symbol = _around(q.file, address) if address is not None else None
    if symbol is None:
        return _placed(q, None, None, offset, 0, None)
    start = image.file_offset(symbol.address)
    walk = code.walk(image, start, symbol.size) if start is not None and code.is_judged(image) else None
    found = symbols.Found((symbol,), symbol)
    return _placed(q, symbol, found, offset, (address or 0) - symbol.address, walk)


def _around(file: UserFile, address: int) -> Symbol | None:
    """The smallest function that an address lies in, or else the label that stands there; None without either."""
    found = [s for s in symbols.everything(file) if s.is_function and s.address <= address < s.address + max(s.size, 1)]
    return min(found, key=lambda s: s.size or 1 << 64, default=None)


def _placed(
    q: _Asked, symbol: Symbol | None, found: symbols.Found | None, offset: int, inside: int, walk: code.Walk | None
) -> UserReport:
    image = q.file.image
    assert image is not None
    here = code.judge(q.k, image, offset) if code.is_judged(image) and 0 <= offset < image.size else None
    if here is not None and here.refused and q.mapped is not None:
        q = q._replace(mapped=user_files.mapped_by(q.file.place.path, q.file.state, offset, only=q.only))
    traits = _traits(q, offset, here)
    go = symbols.is_go(image)
    place = limits.Place(q.k, q.file, image, symbol, found, offset, inside, here, walk, q.mapped, go, q.only)
    found_limits = (*limits.limits(place, q.types), *_of_processes(q, symbol))
    returns = tuple(offset - inside + at for at in walk.returns[:RETURNS_SHOWN]) if walk and not inside else ()
    sites = _sites(q, found, symbol, offset, inside)
    hazards = tuple(limits.hazards(place, q.types))
    because = _because(q, found, symbol)
    own = _own_copies(q, symbol) if symbol is not None and not inside else []
    if own:
        because += (Diagnosis("own_copy", own_copy.says(q.only or 0, symbol.name if symbol else "", own), "is"),)
    chosen = _chosen(q, symbol) if symbol is not None and not inside else None
    if chosen is not None:
        because += (chosen[0],)
    report = _assembled(q, _verdicts(q, traits), symbol, found_limits, hazards, because)
    made = _place(q, sites, returns, "go" if go else "")
    if symbol is not None and not inside:
        report, made = _with_debug_information(q, symbol, report, made)
    return report._replace(
        place=made,
        forms=_forms(q, found, symbol, offset),
        alternatives=(*_of_own_copies(q, own), *_alternatives(place, returns, chosen[1] if chosen else {})),
    )


def _own_copies(q: _Asked, symbol: Symbol) -> list[OwnCopy]:
    """Where the process that the probe is for has the function, if it does not map the file."""
    if q.only is None or q.mapped is None or q.mapped.pids or q.mapped.denied or one_process.is_gone(q.only):
        return []
    return own_copy.copies(q.k, q.only, symbol.name, q.file.path)


def _of_own_copies(q: _Asked, own: Sequence[OwnCopy]) -> tuple[Alternative, ...]:
    made = []
    for one in own:
        image = one.file.image
        offset = image.file_offset(one.symbol.address) if image is not None else None
        if image is not None and offset is not None and code.is_judged(image):
            here = code.judge(q.k, image, offset)
            if not here.refused and here.harmless and here.certain and one.symbol.type == STT_FUNC:
                says = "what this Go program calls instead" if one.instead else "the process's own copy"
                made.append(Alternative("uprobe", f"{one.file.path}:{one.symbol.name}", YES, says))
    return tuple(made)


def _chosen(q: _Asked, symbol: Symbol) -> tuple[Diagnosis, dict[str, int]] | None:
    """Which implementations of an IFUNC the process calls that is asked about: in words, and name to file offset."""
    from . import ifunc_choice, interposed

    pid = q.only or interposed.pid_of(q.file)
    if symbol.type != STT_GNU_IFUNC or pid is None:
        return None
    chosen = ifunc_choice.chosen(pid, q.file, symbol, limits.implementations(q.file, symbol))
    if chosen is None:
        says = f"Which implementation process {pid} calls stands in its memory, which may not be read: ask as root."
    elif not chosen:
        says = f"Which implementation process {pid} calls is unknown from its memory: no slot of a GOT is filled."
    else:
        says = f"Process {pid} calls {' and '.join(chosen)}: so its GOT says."
    return Diagnosis("ifunc_choice", says, "is"), chosen or {}


def _with_debug_information(
    q: _Asked, symbol: Symbol, report: UserReport, place: UserPlace
) -> tuple[UserReport, UserPlace]:
    """The report with what the debug information says of the function, or with the reason why that is not known."""
    from . import debug_answer

    declared, coverage = debug_answer.of(q.file, symbol, q.debug)
    report = report._replace(coverage=coverage)
    if isinstance(declared, Unread):
        return report, place._replace(arguments_unread=declared)
    sites = tuple(one._replace(arguments=declared.arguments) if one.chosen else one for one in place.sites)
    made = place._replace(
        sites=sites, debug_file=declared.debug_file, convention=declared.convention, results=declared.results
    )
    return report._replace(prototype=declared.text), made


def _of_processes(q: _Asked, symbol: Symbol | None) -> tuple[Limit, ...]:
    """What running processes call instead of the function, or of the file."""
    if q.file.kind != files.LIVE:
        return ()
    found: list[Limit] = []
    if q.only is not None and q.mapped is not None:
        found += one_process.limits(q.k, q.only, q.file, q.mapped, q.types)
    if q.mapped is not None and symbol is not None:
        pids = q.mapped.pids if q.target.pid is None else (q.target.pid,)
        found += seccomp.limits(q.k, q.file, pids, tuple(a for a in q.types if a in limits.RETURNS))
    if q.file.place.path.startswith("/proc/") or os.path.exists("/etc/ld.so.preload"):
        from . import interposed

        found += interposed.limits(q.file, symbol, q.types)
    others = (
        q.mapped.elsewhere if q.mapped and q.target.pid is None and not q.target.container and q.only is None else ()
    )
    if others:
        says = (
            f"{len(others)} process{'es' if len(others) > 1 else ''} ({', '.join(map(str, others[:6]))}) run another "
            f"file of this path, in a mount namespace of their own; pid:{others[0]}:{q.file.path} names it."
        )
        found.append(Limit("limit.uprobe_other_namespace", limits.PARTIAL, says, "proc/PID/maps", q.types))
    return tuple(found)


class Places:
    """Places of one file, judged one after the other for a uprobe: the inlined copies of a function."""

    def __init__(self, k: Kernel, file: UserFile) -> None:
        self.file = file
        mapped = user_files.mapped_by(file.place.path, file.state) if file.kind == files.LIVE else None
        self._q = _Asked(k, UserTarget(USER_FUNCTION, file.path, ""), ("uprobe",), file, mapped)
        self._known: dict[int, tuple[Verdict, tuple[str, str] | None]] = {}

    def offset(self, address: int) -> int | None:
        """The file offset of an address; None where no byte of the file is mapped there."""
        image = self.file.image
        assert image is not None
        return image.file_offset(address)

    def judged(self, offset: int) -> tuple[Verdict, tuple[str, str] | None]:
        """The verdict of a uprobe, and (id, sentence) of what is wrong with an accepted one; None if nothing is."""
        if offset not in self._known:
            self._known[offset] = self._judged(offset)
        return self._known[offset]

    def _judged(self, offset: int) -> tuple[Verdict, tuple[str, str] | None]:
        q, image = self._q, self.file.image
        assert image is not None
        here = code.judge(q.k, image, offset) if code.is_judged(image) else None
        if here is not None and here.refused and q.mapped is not None:
            q = q._replace(mapped=user_files.mapped_by(q.file.place.path, q.file.state, offset))
        (verdict,) = _verdicts(q, _traits(q, offset, here))
        if here is None or verdict.answer == NO:
            return verdict, None
        if here.refused and here.certain:
            why = limits.REFUSED_SAYS[here.refused]
            return verdict, ("limit.uprobe_refused", f"It never fires once a process maps the file: {why}.")
        if here.misread == code.LITERAL:
            return verdict, ("hazard.uprobe_literal", "Do not probe it: the kernel loads from another page.")
        if not here.harmless:
            return verdict, ("hazard.uprobe_vex", "Do not probe it: the kernel misreads the AVX instruction.")
        return verdict, None


def _because(q: _Asked, found: symbols.Found | None, symbol: Symbol | None) -> tuple[Diagnosis, ...]:
    said = [Diagnosis("user_file", says + ".", "is") for says in q.file.place.says]
    if symbol is not None and symbol.table not in ("dynsym", "symtab"):
        where = symbols.SOURCES.get(symbol.table, symbol.table)
        said.append(
            Diagnosis("name_source", f"The name comes from {where}; loaders that do not read it need the offset.", "is")
        )
    if found is not None and found.error:
        said.append(Diagnosis("loader", f"{found.error}.", "is"))
    if q.file.image is not None:
        said += [Diagnosis("damaged", f"Part of the file is damaged: {one}.", "is") for one in q.file.image.damage[:3]]
    return tuple(said)


def _sites(
    q: _Asked, found: symbols.Found | None, chosen: Symbol | None, offset: int, inside: int
) -> tuple[UserSite, ...]:
    image = q.file.image
    assert image is not None
    if found is None or chosen is None:
        return (_site(q, "", "", offset, image.address(offset) or 0, 0, "offset", "offset", True),)
    made = []
    for s in sorted({(s.address, s.version): s for s in found.symbols}.values(), key=lambda s: s.address):
        place = image.file_offset(s.address)
        is_chosen = s.address == chosen.address and s.version == chosen.version
        kind = "ifunc" if s.type == STT_GNU_IFUNC else "function"
        where = offset if is_chosen else place
        bare = chosen.name if is_chosen else s.name
        name = f"{bare}+{inside:#x}" if inside and is_chosen else bare
        made.append(
            _site(q, name, s.version, where, s.address + (inside if is_chosen else 0), s.size, s.table, kind, is_chosen)
        )
    return tuple(made)


def _site(
    q: _Asked,
    name: str,
    version: str,
    offset: int | None,
    address: int,
    size: int,
    source: str,
    kind: str,
    chosen: bool,
) -> UserSite:
    image = q.file.image
    assert image is not None
    here = None
    if offset is not None and code.is_judged(image) and 0 <= offset < image.size:
        here = code.judge(q.k, image, offset)
    shown = image.code(offset, (here.length if here else 0) or 4).hex() if offset is not None else ""
    refused, misread = (here.refused, "" if here.harmless else here.misread) if here else ("", "")
    return UserSite(name, version, offset, address, size, source, kind, shown, refused, misread, chosen=chosen)


def _forms(q: _Asked, found: symbols.Found | None, symbol: Symbol | None, offset: int) -> tuple[Form, ...]:
    """How loaders name the place. The offset is what the kernel takes, and is never ambiguous."""
    path = q.file.path
    by_offset = f"{path}:{offset:#x}"
    if symbol is None or found is None or q.target.offset:
        return (Form("offset", by_offset, ""),)
    plain = f"{path}:{symbol.name}"
    where = f"{path}:{symbol.written.replace('@@', '@')}" if symbol.version and len(found.symbols) > 1 else plain
    in_tables = symbol.table in ("dynsym", "symtab")
    said: list[Form] = []
    if in_tables and symbol.type == STT_FUNC:
        said.append(Form("libbpf", f"uprobe/{where}", "by the name alone it is refused" if found.error else ""))
    said.append(Form("offset", by_offset, "" if in_tables else "for loaders that do not know the name"))
    if demangle.is_mangled(symbol.name):
        said.append(Form("symbol", symbol.name, "the name as in the file"))
    return tuple(said)


def _alternatives(place: limits.Place, returns: tuple[int, ...], chosen: dict[str, int]) -> tuple[Alternative, ...]:
    """What takes a probe instead. `chosen`: the implementations of an IFUNC that the process calls; they come first."""
    made: list[Alternative] = []
    here, path = place.verdicted, place.file.path
    if place.symbol is not None and place.symbol.type == STT_GNU_IFUNC and not place.inside:
        for name, offset in list((chosen | limits.implementations(place.file, place.symbol)).items())[:8]:
            other = code.judge(place.k, place.image, offset) if code.is_judged(place.image) else None
            if other is not None and not other.refused and other.harmless and other.certain:
                says = "what the process calls" if name in chosen else "an implementation that the resolver may pick"
                made.append(Alternative("uprobe", f"{path}:{name}", YES, says))
    if place.is_go and returns:
        made += [
            Alternative("uprobe", f"{path}:{at:#x}", YES, "a RET of the function, for its return") for at in returns[:8]
        ]
    if here is not None and (here.refused or not here.harmless) and place.walk is not None:
        later = [at for at in place.walk.starts if at > place.inside]
        for at in later[:4]:
            offset = place.offset - place.inside + at
            other = code.judge(place.k, place.image, offset)
            if not other.refused and other.harmless and other.certain:
                if not any(place.inside < target <= at for target in place.walk.jumps_to):
                    name = place.symbol.name if place.symbol else ""
                    text = f"{path}:{name}+{at:#x}" if name else f"{path}:{offset:#x}"
                    made.append(Alternative("uprobe", text, YES, "the next instruction, which takes a probe"))
                break
    return tuple(made)


# USDT


def _usdt_reports(q: _Asked) -> list[UserReport]:
    from fnmatch import fnmatchcase

    from ...formats.elf import usdt

    image = q.file.image
    assert image is not None
    wanted: dict[tuple[str, str], list[Site]] = {}
    everything = list(usdt.sites(image))
    for site in everything:
        if fnmatchcase(site.name, q.target.name) and (
            not q.target.provider or fnmatchcase(site.provider, q.target.provider)
        ):
            wanted.setdefault((site.provider, site.name), []).append(site)
    if not wanted:
        why = f"There is no USDT probe {q.target.provider or '*'}:{q.target.name} in {q.file.path}"
        names = sorted({f"{s.provider}:{s.name}" for s in everything})
        report = _assembled(q, _nowhere(q, why), None, (), (), place=_place(q, ()))
        part = q.target.name.casefold()
        near = [n for n in names if part in n.casefold()] or names
        return [report._replace(suggestions=tuple(near[:5]))]
    if len(wanted) > MATCHES_MAX:
        raise UsageError(f"{q.target}: {len(wanted)} probes match; narrow the pattern")
    return [_usdt(q, provider, name, sites) for (provider, name), sites in wanted.items()]


def _usdt(q: _Asked, provider: str, name: str, sites: list[Site]) -> UserReport:
    image = q.file.image
    assert image is not None
    q = q._replace(target=q.target._replace(provider=provider, name=name))
    judged = [
        (s, code.judge(q.k, image, s.offset) if s.offset is not None and code.is_judged(image) else None) for s in sites
    ]
    refused = next((j for j in judged if j[1] is not None and j[1].refused), judged[0])
    arguments = [argument for site in sites for argument in site.arguments]
    from ...formats.elf import usdt

    traits = _traits(q, refused[0].offset, refused[1])._replace(
        argument_unknown=any(argument.libbpf for argument in arguments),
        arguments_too_many=any(len(site.arguments) > usdt.LIBBPF_ARGUMENTS_MAX for site in sites),
        counter_odd=any((site.semaphore_offset or 0) & 1 for site in sites),
    )
    made = tuple(_usdt_site(q, site, here) for site, here in judged)
    found: list[Limit] = []
    where = f".note.stapsdt of {q.file.path}"
    counters = {site.semaphore_offset for site in sites if site.semaphore}
    if counters:
        at = ", ".join(f"{c:#x}" for c in sorted(c or 0 for c in counters))
        says = f"Without the reference counter at {at} (ref_ctr_offset) a guarded site never fires; libbpf sets it."
        found.append(Limit("limit.usdt_semaphore", limits.PARTIAL, says, where, q.types))
    if len(sites) > 1:
        different = len({site.text for site in sites}) > 1
        says = f"The probe has {len(sites)} sites, and all have to be attached"
        says += "; their arguments are in different registers or memory." if different else "."
        found.append(Limit("limit.usdt_sites", limits.PARTIAL, says, where, q.types))
    missing = [here for _, here in judged if here is not None and here.refused]
    if missing:
        effect = limits.NEVER if len(missing) == len(judged) else limits.PARTIAL
        says = (
            f"The kernel refuses the instruction of {len(missing)} of {len(judged)} sites once a process maps the file."
        )
        found.append(Limit("limit.uprobe_refused", effect, says, where, q.types))
    if q.only is not None and q.mapped is not None:
        found += one_process.limits(q.k, q.only, q.file, q.mapped, q.types)
    report = _assembled(q, _verdicts(q, traits), None, tuple(found), ())
    forms = (
        Form("libbpf", f"usdt/{q.file.path}:{provider}:{name}", ""),
        Form("bpftrace", f"usdt:{q.file.path}:{provider}:{name}", ""),
    )
    return report._replace(place=_place(q, made), forms=forms)


def _usdt_site(q: _Asked, site: Site, here: Verdicted | None) -> UserSite:
    image = q.file.image
    assert image is not None
    arguments = tuple(
        UserArgument(
            f"arg{i}", a.type, a.size, a.text, a.kind, (*((f"libbpf: {a.libbpf}",) if a.libbpf else ()), *a.others)
        )
        for i, a in enumerate(site.arguments)
    )
    shown = image.code(site.offset, (here.length if here else 0) or 1).hex() if site.offset is not None else ""
    return UserSite(
        f"{site.provider}:{site.name}",
        "",
        site.offset,
        site.location,
        0,
        "usdt",
        "site",
        shown,
        here.refused if here else "",
        "",
        site.semaphore_offset,
        arguments,
        True,
    )


# verdicts


def _traits(q: _Asked, offset: int | None, here: Verdicted | None) -> UserTraits:
    state, image, unread = q.file.state, q.file.image, set()
    if q.file.unread is not None:
        unread.add(facts.USER_FILE)
    at = 0 if offset is None else offset
    size = q.file.image.size if q.file.image is not None else state.size
    mapped = q.mapped is not None and (q.mapped.at_offset or (bool(q.mapped.pids) and at >= size))
    refused = here.refused if here is not None else ""
    if here is not None and not here.certain:
        unread.add(facts.DECODER)
    if (refused or (offset is not None and at >= size)) and (q.mapped is None or (q.mapped.denied and not mapped)):
        unread.add(facts.MAPPED)
    if image is not None and not code.is_judged(image):
        unread.add(facts.DECODER)
    return UserTraits(
        path=state.problem,
        path_too_long=len(q.file.place.path.encode()) >= user_files.PATH_MAX,
        regular=state.regular,
        no_page_cache=state.no_page_cache,
        negative=at < 0,
        past_end=offset is not None and at > size,
        at_end=offset is not None and at == size,
        unaligned=image is not None and image.machine == EM_AARCH64 and bool(at % aarch64.WORD_BYTES),
        mapped=mapped,
        refused=refused,
        no_process=one_process.is_gone(q.only),
        unread=frozenset(unread) or NOWHERE,
    )


def of_traits(k: Kernel, traits: UserTraits, attach: str, unread: Sequence[Unread] = (), evidence: str = "") -> Verdict:
    """The verdict of one attach type. `unread` says why facts of the traits are missing."""
    outcome = judge.judge(k, attach, traits)
    told = {one.fact: one for one in unread}
    evidences = {facts.USER_FILE: evidence, facts.MAPPED: evidence, facts.DECODER: evidence} if evidence else {}
    found = verdict_evidence.verdict(k, attach, outcome, evidences)
    if not found.unread:
        return found
    return found._replace(unread=tuple(told.get(one.fact, _GAPS.get(one.fact, one)) for one in found.unread))


_GAPS = {
    facts.MAPPED: Unread(
        facts.MAPPED,
        "not_recorded",
        "the instruction is refused if a process maps the file at that moment, and it is not known whether one does",
        "ask on the machine itself, as root",
    ),
    facts.DECODER: Unread(
        facts.DECODER,
        "not_there",
        "whether this kernel's decoder knows the instruction is unknown: similar kernels differ",
        "take another instruction",
    ),
    facts.USER_FILE: Unread(facts.USER_FILE, "not_there", "the file could not be read"),
}


def _verdicts(q: _Asked, traits: UserTraits) -> tuple[Verdict, ...]:
    unread = [q.file.unread] if q.file.unread else []
    image = q.file.image
    if image is not None and not code.is_judged(image):
        unread.append(
            Unread(
                facts.DECODER,
                "not_there",
                f"which instructions of {image.machine_name} take a probe is not known here",
                "ask the kernel: the attach fails if a process maps the file and the instruction is refused",
            )
        )
    evidence = q.file.path
    if image is not None:
        evidence += f", build id {image.build_id[:16]}" if image.build_id else ""
    return tuple(of_traits(q.k, traits, attach, unread, evidence) for attach in q.types)


def _place(q: _Asked, sites: tuple[UserSite, ...], returns: tuple[int, ...] = (), language: str = "") -> UserPlace:
    image = q.file.image
    version = ""
    if language == "go" and image is not None:
        from ...formats.elf import go_buildinfo

        version = go_buildinfo.version(image)
    return UserPlace(
        q.file.path,
        image.build_id if image else "",
        image.machine_name if image else "",
        language,
        sites,
        q.mapped.pids if q.mapped else None,
        q.mapped.old if q.mapped else (),
        returns,
        build_version=version,
    )


def _assembled(
    q: _Asked,
    verdicts: tuple[Verdict, ...],
    symbol: Symbol | None,
    found_limits: tuple[Limit, ...],
    hazards: tuple[Hazard, ...],
    diagnosis: tuple[Diagnosis, ...] = (),
    place: UserPlace | None = None,
) -> UserReport:
    said = diagnosis or tuple(Diagnosis("user_file", says + ".", "is") for says in q.file.place.says)
    if one_process.is_gone(q.only):
        said = (Diagnosis("no_process", f"There is no process {q.only}.", "is"), *said)
    plain = demangle.demangle(symbol.name) if symbol is not None else ""
    prototype = plain if symbol is not None and plain != symbol.name else None
    is_refused = all(v.answer == NO for v in verdicts)
    return UserReport(
        str(q.target),
        q.target.kind,
        None,
        verdicts,
        Coverage(),
        said,
        (),
        () if is_refused else hazards,
        (),
        (),
        (),
        prototype,
        () if is_refused else found_limits,
        place,
    )


def is_plain_yes(report: UserReport) -> bool:
    """No limit says that the probe never fires or breaks the program."""
    return not any(limit.effect in _WEIGHT for limit in report.limits)


__all__ = ["USER_FUNCTION", "is_plain_yes", "of_traits", "reports", "types_for"]
