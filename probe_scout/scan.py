"""`scan`: every function, every attach type.

Functions with equal traits share one row of answers. Most names need no more than a few set look-ups; a name
that is anything but ordinary (several copies, an alias, a member of a list) goes the way `check` goes. A
test demands that both ways give equal traits for every name.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from . import engine, questions
from .model import facts
from .model.attach import for_kind
from .model.report import KernelInfo, ScanRow
from .model.target import FUNCTION
from .model.traits import INIT, MODULE, NONE, NOWHERE, TEXT, Proto, Traits
from .model.verdict import NO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .kernel import Kernel, View
    from .model.facts import Unread

_PADDING = (b"__pfx_", b"__cfi_")
_LISTED = ("security_", "bpf_lsm_", "bpf_iter_", "bpf_modify_return_", "bpf_fentry_test")


class ScanReport(NamedTuple):
    """`probe-scout scan`. `rows` can be walked once."""

    kernel: KernelInfo
    rows: Iterable[ScanRow]
    unread: tuple[Unread, ...]


class Line(NamedTuple):
    """One function with its traits; `module` None for vmlinux."""

    name: str
    module: str | None
    traits: Traits


def is_function(view: View, row: int) -> bool:
    """Text by range (or letter, in modules), and not padding."""
    symbols = view.symbols
    if symbols.names[row].startswith(_PADDING):
        return False
    if symbols.modules[row] is not None or symbols.hidden:
        return chr(symbols.letters[row]) in "tTwW"
    address = symbols.addresses[row]
    return symbols.is_core_text(address) or symbols.is_init_text(address)


def function_names(k: Kernel) -> Iterator[str]:
    """Names of all text symbols without padding, vmlinux first; repeats are left out."""
    view = k.full()
    if view is None:
        return
    seen: set[bytes] = set()
    names = view.symbols.names
    for row in range(len(names)):
        if names[row] not in seen and is_function(view, row):
            seen.add(names[row])
            yield names[row].decode("utf-8", "replace")


def lines(k: Kernel) -> Iterator[Line]:
    """Every function with its traits: distinct names of vmlinux, of each module, then those only BTF knows."""
    view = k.full()
    if view is not None:
        yield from _Bulk(k, view).lines()


class _Owner(NamedTuple):
    """One owner's functions: vmlinux, or one module; rows of the symbol table with their names as text."""

    module: str | None
    rows: list[int]
    names: list[str]


class _Bulk:
    """Traits of ordinary names by look-ups in sets that were built once.

    What is not ordinary is asked the way `check` asks: several symbols of one name, members of the kernel's
    lists, system calls, hooks, names behind which code must be read.
    """

    def __init__(self, k: Kernel, view: View) -> None:
        self.k, self.view, self.symbols = k, view, view.symbols
        self.special: set[str] = {*k.injectable(), *questions.KRETPROBE_BLACKLIST.get(k.arch(), ())}
        ids = k.ids()
        for name in ("btf_id_deny", "noreturn_deny", "btf_non_sleepable_error_inject", *questions.MODIFY_RETURN_SETS):
            self.special.update(ids.sets.get(name, ()))
        if not ids.visible:
            self.special.update(questions.DENY_EVER, questions.NORETURN_EVER)
        self.heads = (*_LISTED, k.syscall_prefix())
        self.has_code = k.has_code() or k.source.describe().kind == "live" or k.image is not None
        self.made: dict[tuple[object, ...], Traits] = {}
        self.protos: dict[object, Proto] = {}

    def is_plain(self) -> bool:
        """All lists are there with addresses, so that look-ups in sets are exact."""
        sites, blacklist = self.view.sites, self.k.blacklist()
        return (
            sites is not None
            and not sites.unsure
            and sites.starts_of(None) is not None
            and not self.symbols.hidden
            and blacklist is not None
            and not blacklist.hidden
        )

    def owners(self) -> Iterator[_Owner]:
        """vmlinux and each module in the file's order, with the rows that are functions."""
        symbols = self.symbols
        names, addresses = symbols.names, symbols.addresses
        if symbols.hidden:
            rows = [row for row in range(symbols.vmlinux_count) if is_function(self.view, row)]
        else:
            rows = []
            for low, high in ((b"_stext", b"_etext"), (b"_sinittext", b"_einittext")):
                first = bisect_left(addresses, symbols.limits.get(low, 0), 0, symbols.vmlinux_count)
                last = bisect_left(addresses, symbols.limits.get(high, 0), 0, symbols.vmlinux_count)
                rows += [row for row in range(first, last) if not names[row].startswith(_PADDING)]
        yield _Owner(None, rows, _text([names[row] for row in rows]))
        grouped: dict[bytes, list[int]] = {}
        for row in range(symbols.vmlinux_count, len(names)):
            if symbols.letters[row] in _TEXT_LETTERS and not names[row].startswith(_PADDING):
                grouped.setdefault(symbols.modules[row] or b"", []).append(row)
        for module, members in grouped.items():
            yield _Owner(module.decode("utf-8", "replace"), members, _text([names[row] for row in members]))

    def typed(self, module: str | None) -> dict[str, Proto]:
        """Prototypes of the functions of one BTF by name; the first where a name has several."""
        btf = self.k.btf(module)
        if btf is None:
            return {}
        shapes = btf.function_shapes()
        known, found = self.protos, {}
        for name, ids in btf.functions().items():
            shape = shapes[ids[0]]
            proto = known.get(shape)
            if proto is None:
                proto = known[shape] = questions.proto_of_shape(shape)
            found[name] = proto
        return found

    def lines(self) -> Iterator[Line]:
        """Every function of every owner, then the functions that only BTF knows."""
        k = self.k
        base_types = self.typed(None)
        in_modules = {name for module in k.btf_modules() for name in (k.btf(module) or _EMPTY).functions()}
        shown: dict[str | None, set[str]] = {}
        plain = self.is_plain()
        for owner in self.owners():
            types = base_types if owner.module is None else self.typed(owner.module)
            shown[owner.module] = set()
            yield from self._of(owner, types, in_modules, shown[owner.module], plain)
        for module in (None, *k.btf_modules()):
            seen = shown.get(module, set())
            for name in base_types if module is None else self.typed(module):
                if name not in seen and not self._has_symbol(name, module):
                    yield Line(name, module, questions.function_traits(k, name, module))

    def _has_symbol(self, name: str, module: str | None) -> bool:
        owner = module.encode() if module else None
        return any(self.symbols.modules[row] == owner for row in self.symbols.rows(name.encode()))

    def _of(
        self, owner: _Owner, types: dict[str, Proto], in_modules: set[str], shown: set[str], plain: bool
    ) -> Iterator[Line]:
        symbols, k, module = self.symbols, self.k, owner.module
        where, addresses, made = symbols.where, symbols.addresses, self.made
        key_owner = module.encode() if module else None
        sites = self.view.sites
        starts = (sites.starts_of(key_owner) if sites is not None else None) or set()
        blacklist = k.blacklist()
        black_starts, black_ends = (blacklist.starts, blacklist.ends) if blacklist is not None else ([], [])
        special, heads = self.special, self.heads
        etext = symbols.limits.get(b"_etext", 0)
        vmlinux = module is None
        shared = _repeated([addresses[row] for row in owner.rows])
        for row, name in zip(owner.rows, owner.names, strict=True):
            if name in shown:
                continue
            shown.add(name)
            address = addresses[row]
            raw = symbols.names[row]
            if (
                plain
                and where[raw] == row
                and name not in special
                and not name.startswith(heads)
                and address not in shared
                and len(raw) < questions.KSYM_NAME_LEN
            ):
                proto = types.get(name)
                site = address in starts
                at = bisect_right(black_starts, address) - 1
                black = at >= 0 and address < black_ends[at]
                base_site = code = False
                if "." in name:
                    base = symbols.lookup(raw.partition(b".")[0])
                    if base is not None:
                        base_site = bool(sites.known(symbols, base)) if sites is not None else False
                        black = black or bool(blacklist is not None and blacklist.covers(addresses[base]))
                    code = base_site and not site and not black
                place = (TEXT if address < etext else INIT) if vmlinux else MODULE
                ordinary = not (code and place != INIT and self.has_code) and not (
                    vmlinux and proto is None and name in in_modules
                )
                if ordinary and not (self.has_code and proto is not None and not site):
                    key = (vmlinux, place, site, base_site, black, code, proto)
                    traits = made.get(key)
                    if traits is None:
                        traits = made[key] = _make(
                            vmlinux, place, site, base_site, black, code and place != INIT, proto
                        )
                    yield Line(name, module, traits)
                    continue
            yield Line(name, module, questions.function_traits(k, name, module))


class _Nothing:
    def functions(self) -> dict[str, tuple[int, ...]]:
        """No functions."""
        return {}


_EMPTY = _Nothing()
_TEXT_LETTERS = frozenset(b"tTwW")


def _text(names: list[bytes]) -> list[str]:
    return b"\n".join(names).decode("utf-8", "replace").split("\n") if names else []


def _repeated(addresses: list[int]) -> set[int]:
    """Addresses that several functions share."""
    if len(set(addresses)) == len(addresses):
        return set()
    from collections import Counter

    return {address for address, count in Counter(addresses).items() if count > 1}


def _make(
    vmlinux: bool, place: str, site: bool, base_site: bool, black: bool, code: bool, proto: Proto | None
) -> Traits:
    typed = proto is not None
    return Traits(
        vmlinux=1 if vmlinux else 0,
        modules=0 if vmlinux else 1,
        qualified=not vmlinux,
        place=place,
        site=site,
        base_site=base_site,
        blacklisted=black,
        any_site=site,
        vmlinux_site=site and vmlinux,
        btf=("vmlinux" if vmlinux else "module") if typed else NONE,
        proto=proto,
        target_place=place if typed else NONE,
        target_site=site and typed,
        unread=_CODE if code else NOWHERE,
    )


_CODE = frozenset((facts.CODE,))


class Sweep:
    """Answers by traits, judged once for each distinct record."""

    def __init__(self, k: Kernel, types: Sequence[str]) -> None:
        self.k, self.types = k, tuple(types)
        self.known: dict[Traits, tuple[dict[str, str], dict[str, str]]] = {}
        self.by_identity: dict[int, tuple[dict[str, str], dict[str, str]]] = {}

    def answers(self, traits: Traits) -> tuple[dict[str, str], dict[str, str]]:
        """Attach type to answer, and to errno where the answer is no."""
        found = self.known.get(traits)
        if found is None:
            outcomes = {attach: engine.judge(self.k, attach, traits) for attach in self.types}
            found = (
                {attach: outcome.answer for attach, outcome in outcomes.items()},
                {attach: outcome.errno or "" for attach, outcome in outcomes.items() if outcome.answer == NO},
            )
            self.known[traits] = found
        return found


def default_types() -> tuple[str, ...]:
    """What scan judges unless types are named: everything that applies to functions."""
    return for_kind(FUNCTION)


def _matcher(glob: str) -> Iterator[str] | object:
    if glob in ("", "*"):
        return None
    import fnmatch
    import re

    return re.compile(fnmatch.translate(glob)).match


def rows(k: Kernel, glob: str, types: Sequence[str], answer: str | None) -> Iterator[ScanRow]:
    """One row for each function whose name (or module:name) matches."""
    sweep = Sweep(k, types or default_types())
    match = _matcher(glob)
    with_module = ":" in glob
    for line in lines(k):
        if match is not None:
            written = f"{line.module or 'vmlinux'}:{line.name}" if with_module else line.name
            if not match(written):  # type: ignore[operator]
                continue
        answers, errno = sweep.answers(line.traits)
        if answer is None or answer in answers.values():
            yield ScanRow(line.name, line.module, answers, errno)


def ndjson(k: Kernel, glob: str, types: Sequence[str], answer: str | None) -> Iterator[bytes]:
    """The same rows as ready lines: `{"target":…,"module":…,"answers":{…},"errno":{…}}`."""
    import json

    sweep = Sweep(k, types or default_types())
    match = _matcher(glob)
    with_module = ":" in glob
    tails: dict[int, bytes | None] = {}
    kept: list[Traits] = []
    heads: dict[str | None, bytes] = {}
    for line in lines(k):
        name, module, traits = line
        if match is not None and not match(f"{module or 'vmlinux'}:{name}" if with_module else name):  # type: ignore[operator]
            continue
        tail = tails.get(id(traits), b"")
        if tail == b"":
            kept.append(traits)  # keeps the id from being used again
            answers, errno = sweep.answers(traits)
            text = json.dumps({"answers": answers, "errno": errno}, separators=(",", ":"))
            tail = None if answer is not None and answer not in answers.values() else text[1:].encode() + b"\n"
            tails[id(traits)] = tail
        if tail is None:
            continue
        head = heads.get(module)
        if head is None:
            head = heads[module] = b',"module":' + json.dumps(module).encode() + b","
        plain = name.encode()
        shown = (
            plain
            if name.isascii() and name.isprintable() and '"' not in name and "\\" not in name
            else json.dumps(name)[1:-1].encode()
        )
        yield b'{"target":"' + shown + b'"' + head + tail


def unread(k: Kernel) -> tuple[Unread, ...]:
    """Facts that kept answers from being given, for the head of a list."""
    wanted = (facts.KALLSYMS, facts.BTF, facts.FILTER_FUNCTIONS, facts.KPROBE_BLACKLIST, facts.CONFIG)
    found = [k.unread(fact) for fact in wanted]
    return tuple(u for u in found if u is not None)
