"""Traits of all functions at once: what `scan` and `diff` judge.

Functions with equal traits share one row of answers. Most names need no more than a few set look-ups; a name
that is anything but ordinary (several copies, an alias, a member of a list) goes the way `check` goes. A
test demands that both ways give equal traits for every name.
"""

from __future__ import annotations

from bisect import bisect_left

from ... import arch
from ...kernel import located
from ...model import facts, never_try
from ...model.traits import INIT, MODULE, NONE, NOWHERE, TEXT, Proto, Traits
from ...model.verdict import NO
from ...named_tuple import NamedTuple
from ...rules import judge
from . import function_traits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...formats.text.kallsyms import SymbolTable
    from ...kernel.kernel import Kernel
    from ...kernel.symbols import View

_PADDING = (b"__pfx_", b"__cfi_")


_LISTED = ("bpf_lsm_", "bpf_iter_", "bpf_modify_return_", "bpf_fentry_test")


class Line(NamedTuple):
    """One function with its traits; `module` None for vmlinux."""

    name: str
    module: str | None
    traits: Traits


def is_function(view: View, row: int) -> bool:
    """Text by range (or letter, in modules), and not padding."""
    symbols = view.symbols
    if symbols.names[row].startswith(_PADDING) or row in symbols.marks:
        return False
    if symbols.modules[row] is not None:
        return symbols.letter(row) in "tTwW"
    if symbols.hidden:
        return located.place(view, row) in (TEXT, INIT)
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
    for group in groups(k):
        for name, traits in zip(group.names, group.traits, strict=True):
            yield Line(name, group.module, traits)


def groups(k: Kernel) -> Iterator[Group]:
    """The same by owner, as parallel lists."""
    view = k.full()
    if view is not None:
        yield from _Bulk(k, view).groups()


class Group(NamedTuple):
    """Functions of one owner (None for vmlinux) with their traits."""

    module: str | None
    names: list[str]
    traits: list[Traits]


class _Bulk:
    """Traits of ordinary names by look-ups in sets that were built once.

    What is not ordinary is asked the way `check` asks: several symbols of one name, members of the kernel's
    lists, system calls, hooks, names behind which code must be read.
    """

    def __init__(self, k: Kernel, view: View) -> None:
        self.k, self.view, self.symbols = k, view, view.symbols
        self.special: set[str] = {*k.injectable(), *arch.row(k.arch()).kretprobe_blacklist}
        ids = k.ids()
        for name in (
            "btf_id_deny",
            "noreturn_deny",
            "btf_non_sleepable_error_inject",
            *function_traits.MODIFY_RETURN_SETS,
        ):
            self.special.update(ids.sets.get(name, ()))
        self.special.update(self._without_impl())
        if not ids.visible:
            self.special.update(never_try.DENIED, never_try.NORETURN)
        self.syscalls = k.syscall_prefix() or "sys_"
        self.sliced = k.sliced_names()
        self.reads_code = k.source.describe().kind == "live" or k.image is not None
        # Nothing shows the code: an entry that ftrace does not patch may be the no-op that a trampoline looks for.
        self.codeless = (
            k.arch() == "x86_64"
            and not self.reads_code
            and not self.sliced
            and k.feature("dynamic_ftrace") is not False
        )
        self.protos: list[Proto | None] = [None]
        self.numbers: dict[object, int] = {}
        self.made: dict[int, Traits] = {}
        self.black = self._black()

    def _without_impl(self) -> Iterator[str]:
        """Kfuncs whose last argument the verifier adds, and that BTF has once (function_traits.lacks_impl)."""
        ids = self.k.ids()
        kfuncs = frozenset().union(*(ids.sets[title] for title in ids.flagged))
        base = self.k.btf()
        if base is None or not base.has_name("bpf_prog_aux"):
            return
        for btf in (base, *map(self.k.btf, self.k.btf_modules())):
            if btf is None:
                continue
            functions = btf.functions()
            for name in kfuncs.intersection(functions):
                proto_id = btf.function(functions[name][0]).proto_id
                if name + "_impl" not in functions and btf.last_argument_points_to(proto_id, "bpf_prog_aux"):
                    yield name

    def _black(self) -> set[int]:
        """Addresses of symbols that the kprobe blacklist covers."""
        blacklist = self.k.blacklist()
        found: set[int] = set()
        if blacklist is not None and not blacklist.hidden:
            addresses = sorted(self.symbols.addresses)
            for begin, end in zip(blacklist.starts, blacklist.ends, strict=True):
                found.update(addresses[bisect_left(addresses, begin) : bisect_left(addresses, end)])
        return found

    def is_plain(self) -> bool:
        """All lists are there with addresses, so that look-ups in sets are exact."""
        sites, blacklist = self.view.sites, self.k.blacklist()
        return (
            sites is not None
            and not sites.ambiguous
            and sites.starts_of(None) is not None
            and not self.symbols.hidden
            and blacklist is not None
            and not blacklist.hidden
        )

    def owners(self) -> Iterator[tuple[str | None, list[int]]]:
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
        yield None, rows
        grouped: dict[bytes, list[int]] = {}
        for row in range(symbols.vmlinux_count, len(names)):
            if (
                symbols.letters[row] in _TEXT_LETTERS
                and not names[row].startswith(_PADDING)
                and row not in symbols.marks
            ):
                grouped.setdefault(symbols.modules[row] or b"", []).append(row)
        for module, members in grouped.items():
            yield module.decode("utf-8", "replace"), members

    def typed(self, module: str | None) -> dict[str, int]:
        """Functions of one BTF: name to the number of its prototype; the first where a name has several."""
        btf = self.k.btf(module)
        if btf is None:
            return {}
        numbers, shapes = self.numbers, btf.function_shapes()
        for shape in set(shapes.values()):
            if shape not in numbers:
                numbers[shape] = len(self.protos)
                self.protos.append(function_traits.proto_of_shape(shape))
        return {name: numbers[shapes[ids[0]]] for name, ids in btf.functions().items()}

    def groups(self) -> Iterator[Group]:
        """Every function of every owner, then the functions that only BTF knows."""
        k = self.k
        types = {module: self.typed(module) for module in (None, *k.btf_modules())}
        in_modules = {name for module, names in types.items() if module is not None for name in names}
        plain = self.is_plain()
        alone = {module: dict.fromkeys(names) for module, names in types.items()}
        for module, rows in self.owners():
            group = self._group(module, rows, types.get(module, {}), in_modules, plain)
            left = alone.get(module, {})
            for name in group.names:
                left.pop(name, None)
            yield group
        for module, names in alone.items():
            rest = [name for name in names if not self._has_symbol(name, module)]
            if rest:
                yield Group(module, rest, [self._without_symbol(name, module, types[module][name]) for name in rest])

    def _without_symbol(self, name: str, module: str | None, number: int) -> Traits:
        """The record of a function that only BTF knows."""
        if (
            name.encode() in self.symbols.where
            or name in self.special
            or name.startswith(_LISTED)
            or name.startswith(("security_", self.syscalls))
            or module is not None
        ):
            return _as_named(function_traits.function_traits(self.k, name, module), self.symbols, name.encode())
        key = -number
        if key not in self.made:
            self.made[key] = Traits(btf="vmlinux", proto=self.protos[number])
        return self.made[key]

    def _has_symbol(self, name: str, module: str | None) -> bool:
        plain = name.encode()
        if plain not in self.symbols.where:
            return False
        owner = module.encode() if module else None
        return any(self.symbols.modules[row] == owner for row in self.symbols.rows(plain))

    def _group(
        self, module: str | None, rows: list[int], types: dict[str, int], in_modules: set[str], plain: bool
    ) -> Group:
        symbols, k = self.symbols, self.k
        where, addresses, made, black = symbols.where, symbols.addresses, self.made, self.black
        owner = module.encode() if module else None
        sites = self.view.sites
        starts = (sites.starts_of(owner) if sites is not None else None) or set()
        special, syscalls, sliced, reads_code = self.special, self.syscalls, self.sliced, self.reads_code
        etext = symbols.limits.get(b"_etext", 0)
        vmlinux = module is None
        shared = _repeated([addresses[row] for row in rows])
        stale: set[int] = set() if vmlinux else k.stale_bugs(symbols, rows)
        plain = plain and module not in k.module_gaps
        raws = [symbols.names[row] for row in rows]
        shown: set[str] = set()
        names: list[str] = []
        found: list[Traits] = []
        longest = function_traits.KSYM_NAME_LEN_ONCE - len(f"{module}:".encode() if module else b"")
        for row, raw, name in zip(rows, raws, _text(raws), strict=True):
            address = addresses[row]
            if where[raw] == row and plain and address not in shared and name not in special:
                number = types.get(name, 0)
                site = address in starts
                # From the top: prototype, system call, security_, init text, site, suffix of a traced function,
                # blacklist, missing code, vmlinux.
                key = number << 8 | (vmlinux and address >= etext) << 5 | site << 4 | (address in black) << 2
                ordinary = not name.startswith(_LISTED)
                if number:
                    key |= name.startswith(syscalls) << 7 | name.startswith("security_") << 6
                if "." in name:
                    base = symbols.lookup(raw.partition(b".")[0])
                    if base is not None:
                        key |= (sites is not None and sites.known(symbols, base) is True) << 3
                        key |= (addresses[base] in black) << 2
                    if key & 0b111100 == 0b001000:
                        if reads_code or name in sliced:
                            ordinary = ordinary and k.first_instruction(symbols, row) == ""
                        else:
                            key |= 2
                if not site and number:
                    ordinary = ordinary and not reads_code and name not in sliced
                if vmlinux and not number and name in in_modules:
                    ordinary = False
                if row in stale:
                    ordinary = False
                if ordinary and len(raw) < longest:
                    key |= vmlinux
                    traits = made.get(key)
                    if traits is None:
                        traits = made[key] = self._make(key)
                    names.append(name)
                    found.append(traits)
                    continue
            if name not in shown:
                shown.add(name)
                names.append(name)
                found.append(_as_named(function_traits.function_traits(k, name, module), symbols, raw))
        return Group(module, names, found)

    def _make(self, key: int) -> Traits:
        """The record behind a key of _group."""
        vmlinux, code, black = bool(key & 1), bool(key & 2), bool(key & 4)
        base_site, site, init = bool(key & 8), bool(key & 16), bool(key & 32)
        place = MODULE if not vmlinux else INIT if init else TEXT
        made = _make(vmlinux, place, site, base_site, black, code, self.protos[key >> 8])
        if self.codeless and key >> 8 and not site and place == TEXT:
            made = made._replace(unread=made.unread | {facts.ENTRY_CODE})
        return made._replace(security=bool(key & 64), syscall=bool(key & 128))


def _as_named(traits: Traits, symbols: SymbolTable, name: bytes) -> Traits:
    """A module's function is asked for by its bare name where that is enough, and with its module where it is not."""
    alone = traits.qualified and traits.modules == 1 and len(symbols.rows(name)) == 1
    if not alone:
        return traits
    over, fits = len(name) >= function_traits.KSYM_NAME_LEN_ONCE, len(name) < function_traits.KSYM_NAME_LEN
    return traits._replace(qualified=False, name_fits=fits, name_over_127=over)


_TEXT_LETTERS = frozenset((b"t", b"T", b"w", b"W"))


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

    def answers(self, traits: Traits) -> tuple[dict[str, str], dict[str, str]]:
        """Attach type to answer, and to errno where the answer is no."""
        found = self.known.get(traits)
        if found is None:
            outcomes = {attach: judge.judge(self.k, attach, traits) for attach in self.types}
            found = (
                {attach: outcome.answer for attach, outcome in outcomes.items()},
                {attach: outcome.errno or "" for attach, outcome in outcomes.items() if outcome.answer == NO},
            )
            self.known[traits] = found
        return found
