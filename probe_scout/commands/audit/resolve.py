"""Numbers to names: addresses and symbols by kallsyms, BTF ids, events, performance units.

All addresses and names of an audit are collected first and looked up in one pass over proc/kallsyms.
"""

from __future__ import annotations

from bisect import bisect_right

from ...errors import Malformed, ProbeScoutError, SourceError
from ...named_tuple import NamedTuple
from .kept import Kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ...kernel.kernel import Kernel
    from ...kernel.symbols import View
    from .record import Btf, Document

MANY = 24  # names beyond which one pass for all of them is cheaper than a search for each
MOST = 400  # and beyond which a table of all symbols is
ENTRY_BYTES = 4  # endbr64 before ftrace's call: kprobes are moved behind it
_SOFTWARE = (
    *("cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations", "minor-faults", "major-faults"),
    *("alignment-faults", "emulation-faults", "dummy", "bpf-output", "cgroup-switches"),
)
_HARDWARE = (
    *("cycles", "instructions", "cache-references", "cache-misses", "branches", "branch-misses", "bus-cycles"),
    *("stalled-cycles-frontend", "stalled-cycles-backend", "ref-cycles"),
)
# The first two numbers that perf_event_init gives out (kernel/events/core.c); sysfs lists neither of these units.
_UNLISTED = {6: "cpu_clock", 7: "task_clock"}
_EXTENDED = 0xFFFFFFFF  # PERF_HW_EVENT_MASK: the unit of a hardware event is in the upper half


class Symbol(NamedTuple):
    """The symbol that an address belongs to; `module` None for vmlinux."""

    name: str
    module: str | None
    offset: int


class Resolver:
    """Names for numbers, each file read once. What cannot be told is None."""

    def __init__(
        self,
        k: Kernel,
        btfs: dict[str, Btf],
        pmus: dict[str, str],
        symbols: dict[int, tuple[str, str | None, int]] | None = None,
        kept: Kept | None = None,
    ) -> None:
        """`symbols`: those of a snapshot, by the numbers that stand for addresses in it."""
        self._k, self._btfs, self._pmus = k, btfs, pmus
        self._symbols = {number: Symbol(*one) for number, one in (symbols or {}).items()}
        self._is_kept = symbols is not None
        self._kept = kept or Kept()
        self._has_ibt: bool | None = None

    # ---------------------------------------------------------------- addresses
    def learn(self, addresses: Iterable[int]) -> None:
        """Look these addresses up, all at once."""
        if self._is_kept:
            return
        wanted = sorted({address for address in addresses if address})
        raw = self._k.kallsyms() if wanted else None
        if not raw or self._k.addresses_hidden():
            return
        starts: list[int] = []
        rows: list[bytes] = []
        lines = raw.split(b"\n")
        exact = {b"%016x" % (address - back) for address in wanted for back in (0, ENTRY_BYTES)}
        for line in lines:
            if line[:16] in exact and line[17:18] in b"tTwW":
                starts.append(int(line[:16], 16))
                rows.append(line)
        known = set(starts)
        if any(address not in known and address - ENTRY_BYTES not in known for address in wanted):
            rows = [line for line in lines if line[17:18] in (b"t", b"T", b"w", b"W")]
            starts = [int(line[: line.index(b" ")], 16) for line in rows]
        order = sorted(range(len(starts)), key=starts.__getitem__)
        starts = [starts[i] for i in order]
        for address in wanted:
            at = bisect_right(starts, address) - 1
            if at < 0:
                continue
            while at and starts[at - 1] == starts[at]:
                at -= 1  # the first of several names, as the kernel prints
            name, _, module = rows[order[at]].split(b" ", 2)[2].partition(b"\t")
            self._symbols[address] = Symbol(
                name.decode("utf-8", "replace"),
                module.strip(b"[]").decode("utf-8", "replace") or None,
                address - starts[at],
            )

    def name_addresses(self, inputs: Document) -> None:
        """Replace every address of a document by a number, and add what the numbers stand for as `symbols`."""
        everywhere = [one for key in ("links", "perf") for one in inputs[key]]
        self.learn(a for one in everywhere for a in (*(one.get("addresses") or ()), one.get("address") or 0))
        numbers: dict[int, int] = {}
        for one in everywhere:
            if one.get("address"):
                one["address"] = numbers.setdefault(one["address"], len(numbers) + 1)
            if one.get("addresses"):
                one["addresses"] = [numbers.setdefault(a, len(numbers) + 1) if a else 0 for a in one["addresses"]]
        known = {number: self.symbol(address) for address, number in numbers.items()}
        inputs["symbols"] = {str(number): list(one) for number, one in known.items() if one is not None}

    def symbol(self, address: int) -> Symbol | None:
        """The symbol of an address given to `learn`; an entry behind endbr64 counts as offset 0."""
        found = self._symbols.get(address)
        if found is not None and found.offset == ENTRY_BYTES and self.has_ibt():
            return found._replace(offset=0)
        return found

    def has_ibt(self) -> bool:
        """Functions begin with endbr64, so that offsets 0 and 4 are both the entry."""
        if self._has_ibt is None:
            self._has_ibt = self._k.config("CONFIG_X86_KERNEL_IBT") == "y"
        return self._has_ibt

    def learn_owners(self, functions: Iterable[str], others: Iterable[str]) -> None:
        """Where these functions are, all at once: `module_of` then answers from what is kept.

        `others`: functions that checks will ask about, so that the same pass over kallsyms finds them.
        """
        unknown = set(functions) - self._kept.section("owners").keys()
        view = of_many(self._k, unknown.union(others)) if len(unknown) > MANY else None
        if view is None:
            return
        found: dict[str, str | None] = {}
        for name in unknown:
            rows = view.symbols.rows(name.encode())
            module = view.symbols.modules[rows[0]] if rows else None
            found[name] = module.decode("utf-8", "replace") if module else None
        self._kept.add("owners", found)

    def module_of(self, function: str) -> str | None:
        """The module of a function that is in no other place; None for vmlinux, and where it cannot be told."""
        found: str | None = self._kept.ask("owners", function, lambda: self._module_of(function))
        return found

    def _module_of(self, function: str) -> str | None:
        raw = self._k.kallsyms() or b""
        name = function.encode()
        if b" " + name + b"\n" in raw:
            return None
        at = raw.find(b" " + name + b"\t[")
        return raw[at + len(name) + 3 : raw.find(b"]", at)].decode("utf-8", "replace") if at >= 0 else None

    # ---------------------------------------------------------------- BTF
    def btf_name(self, object_id: int | None, type_id: int | None) -> tuple[str | None, str | None]:
        """(module, name) of a BTF type of the kernel or a module; (None, None) where it cannot be told."""
        if not object_id or not type_id:
            return None, None
        about = self._btfs.get(str(object_id))
        if about is None or not about.is_kernels:
            return None, None
        module = None if about.name == "vmlinux" else about.name
        return module, self.type_name(module, type_id)

    def type_name(self, module: str | None, type_id: int) -> str | None:
        """The name of a type by its id."""
        found: str | None = self._kept.ask("types", f"{module} {type_id}", lambda: self._type_name(module, type_id))
        return found

    def _type_name(self, module: str | None, type_id: int) -> str | None:
        try:
            btf = self._k.btf(module)
            if btf is None:
                return None
            home, at = btf.locate(type_id)
            return home.string(home.words[at - 1], at) or None
        except (Malformed, IndexError):
            return None

    # ---------------------------------------------------------------- events
    def category(self, event: str) -> str | None:
        """The one category that has an event of this name; None if several have, or the list cannot be read."""
        found = self._k.events_named(event)
        return found[0] if found is not None and len(found) == 1 else None

    def perf_event(self, kind: int | None, config: int | None) -> str | None:
        """A perf event in perf's words; `pmu N config M` for units that this machine's list does not hold."""
        if kind is None or config is None:
            return None
        if kind == 0:
            unit, number = config >> 32, config & _EXTENDED
            name = _HARDWARE[number] if number < len(_HARDWARE) else f"hardware {number}"
            return f"{self._pmus.get(str(unit), f'pmu {unit}')}:{name}" if unit else name
        if kind == 1:
            return _SOFTWARE[config] if config < len(_SOFTWARE) else f"software {config}"
        name = self._pmus.get(str(kind)) or _UNLISTED.get(kind, "")
        if name == "cpu_clock" or name == "task_clock":
            return name.replace("_", "-")
        return f"{name or f'pmu {kind}'} config {config:#x}"


def of_many(k: Kernel, names: Collection[str]) -> View | None:
    """The symbols that decide about these names; None where they cannot be had, which each question tells by itself."""
    try:
        if len(names) > MOST:
            return k.full()
        return k.gather([name.encode("utf-8", "surrogateescape") for name in names])
    except ProbeScoutError:
        return None


def read_pmus(k: Kernel) -> dict[str, str]:
    """The performance units of this machine by number."""
    folder = "sys/bus/event_source/devices"
    found: dict[str, str] = {}
    try:
        names = k.source.names(folder)
    except SourceError:
        return found
    for name in names:
        try:
            found[k.source.read(f"{folder}/{name}/type").decode("ascii", "replace").strip()] = name
        except SourceError:
            continue
    return found
