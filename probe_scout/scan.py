"""`scan`: every function, every attach type.

Functions with equal traits share one row of answers. Most names need no more than a few set look-ups; a name
that is anything but ordinary (several copies, an alias, a member of a list) goes the way `check` goes. A
test demands that both ways give equal traits for every name.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from . import engine, questions, words
from .model import facts
from .model.attach import for_kind
from .model.report import KernelInfo, ScanRow
from .model.target import FUNCTION
from .model.traits import MODULE, NONE, NOWHERE, TEXT, Proto, Traits
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


def functions(k: Kernel) -> Iterator[tuple[str, str | None]]:
    """Every function as (name, module): distinct names of vmlinux, distinct names of each module, then BTF's alone."""
    view = k.full()
    if view is None:
        return
    symbols = view.symbols
    seen: set[tuple[bytes, bytes | None]] = set()
    for row, name in enumerate(symbols.names):
        key = (name, symbols.modules[row])
        if key not in seen and is_function(view, row):
            seen.add(key)
            owner = key[1]
            yield name.decode("utf-8", "replace"), owner.decode("utf-8", "replace") if owner else None
    for module in (None, *k.btf_modules()):
        btf = k.btf(module)
        owner = module.encode() if module else None
        for title in btf.functions() if btf is not None else ():
            plain = title.encode()
            if not any(symbols.modules[row] == owner for row in symbols.rows(plain)):
                yield title, module


def lines(k: Kernel) -> Iterator[Line]:
    """Every function with its traits."""
    view = k.full()
    if view is None:
        return
    fast = _Fast(k, view)
    for name, module in functions(k):
        yield Line(name, module, fast.traits(name, module))


class _Fast:
    """Traits of ordinary names by look-ups in sets that were built once."""

    def __init__(self, k: Kernel, view: View) -> None:
        self.k, self.view = k, view
        self.symbols = view.symbols
        self.blacklist = k.blacklist()
        self.switch_to = questions.KRETPROBE_BLACKLIST.get(k.arch(), ())
        ids = k.ids()
        self.listed: set[str] = set(k.injectable())
        for name in ("btf_id_deny", "noreturn_deny", "btf_non_sleepable_error_inject", *questions.MODIFY_RETURN_SETS):
            self.listed.update(ids.sets.get(name, ()))
        if not ids.visible:
            self.listed.update(questions.DENY_EVER, questions.NORETURN_EVER)
        self.heads = (*_LISTED, k.syscall_prefix())
        self.scoped = k.flag("module_scoped")
        self.protos: dict[str | None, dict[str, tuple[int, ...]]] = {}
        self.proto_memo: dict[tuple[str | None, int], Proto] = {}
        self.shared: dict[object, Proto] = {}
        self.memo: dict[tuple[object, ...], Traits] = {}
        symbols = self.symbols
        self.aliased: set[int] = set()
        last = -1
        for row in range(symbols.vmlinux_count):
            address = symbols.addresses[row]
            if address == last:
                self.aliased.add(address)
            last = address
        self.base: dict[bytes, bool] = {}

    def proto(self, module: str | None, name: str) -> Proto | None:
        if module not in self.protos:
            btf = self.k.btf(module)
            self.protos[module] = btf.functions() if btf is not None else {}
        ids = self.protos[module].get(name)
        if ids is None:
            return None
        btf = self.k.btf(module)
        if btf is None:
            return None
        key = (module, btf.function(ids[0]).proto_id)
        found = self.proto_memo.get(key)
        if found is None:
            made, _ = questions.proto_of(btf, key[1])
            found = self.proto_memo[key] = self.shared.setdefault(made, made)
        return found

    def traits(self, name: str, module: str | None) -> Traits:
        """The same record as questions.function_traits(k, name, module)."""
        symbols = self.symbols
        plain = name.encode()
        row = symbols.where.get(plain)
        sites = self.view.sites
        if (
            not isinstance(row, int)
            or sites is None
            or symbols.hidden
            or self.blacklist is None
            or self.blacklist.hidden
            or sites.unsure
            or b"." in plain
            or len(plain) >= questions.KSYM_NAME_LEN
            or name in self.listed
            or name in self.switch_to
            or name.startswith(self.heads)
        ):
            return questions.function_traits(self.k, name, module)
        address = symbols.addresses[row]
        owner = symbols.modules[row]
        if owner is None and module is not None or address in self.aliased:
            return questions.function_traits(self.k, name, module)
        if owner is not None:
            if module is None or symbols.canonical(row) != plain:
                return questions.function_traits(self.k, name, module)
            where = questions.place(self.view, row)
        else:
            where = questions.place(self.view, row)
        site = sites.known(symbols, row)
        at = bisect_right(self.blacklist.starts, address) - 1
        black = at >= 0 and address < self.blacklist.ends[at]
        proto = self.proto(module, name)
        if module is None and proto is None and self.k.modules_with(name):
            return questions.function_traits(self.k, name, module)
        if proto is not None and site is False and where == TEXT and self.k.has_code():
            return questions.function_traits(self.k, name, module)
        key = (module is None, where, site, black, id(proto))
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self._make(module is None, where, bool(site), black, proto)
        return found

    def _make(self, vmlinux: bool, where: str, site: bool, black: bool, proto: Proto | None) -> Traits:
        typed = proto is not None
        return Traits(
            vmlinux=1 if vmlinux else 0,
            modules=0 if vmlinux else 1,
            qualified=not vmlinux,
            place=where,
            site=site,
            blacklisted=black,
            any_site=site,
            vmlinux_site=site and vmlinux,
            btf=("vmlinux" if vmlinux else "module") if typed else NONE,
            proto=proto,
            target_place=where if typed else NONE,
            target_site=site and typed,
            unread=NOWHERE,
        )


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
        shown = plain if name.isascii() and name.isprintable() and '"' not in name and "\\" not in name else json.dumps(name)[1:-1].encode()
        yield b'{"target":"' + shown + b'"' + head + tail


def unread(k: Kernel) -> tuple[Unread, ...]:
    """Facts that kept answers from being given, for the head of a list."""
    wanted = (facts.KALLSYMS, facts.BTF, facts.FILTER_FUNCTIONS, facts.KPROBE_BLACKLIST, facts.CONFIG)
    found = [k.unread(fact) for fact in wanted]
    return tuple(u for u in found if u is not None)


_ = (MODULE, words)
