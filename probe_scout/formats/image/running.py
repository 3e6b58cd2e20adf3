"""A running kernel as the checks of images see it: memory through /proc/kcore, symbols by kallsyms, types by sysfs.

Its init code is gone, and what that registered is there: kernel/bpf/btf.c keeps the sets of kfuncs of each hook, sorted
and with flags, in struct btf (btf_vmlinux, and the list btf_modules), so nothing is run for them. Code is as patched.
"""

from __future__ import annotations

from bisect import bisect_right

from ...errors import Malformed
from ..btf.records import Records
from .facts import Facts
from .kfuncs import Kfuncs, Permissions, Reader, Registration, members, other_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..btf.reader import Btf

_PAGE_BYTES, _POINTER_BYTES = 4096, 8
_OPS = "verifier_ops"
_UNREAD = "the kernel's sets of kfuncs cannot be read through proc/kcore"
_FILTERS_MAX, _HOOKS_MAX, _MODULES_MAX = 16, 64, 4096
_NAME_BYTES = 56  # MODULE_NAME_LEN


class Running(Facts):
    """Facts of the running kernel."""

    def __init__(self, read: Callable[[int, int], bytes | None], kallsyms: bytes, types: Btf) -> None:
        """`read`: bytes at an address of the running kernel, None for what has none.

        Raises Malformed where kallsyms hides addresses or data, or memory is not this kernel's.
        """
        self._offsets = {}
        self._records = Records(types)
        self.image = Memory(read)  # type: ignore[assignment]
        self._names: dict[str, int] = {}
        self._at: dict[int, str] = {}
        for line in kallsyms.splitlines():
            address, _, rest = line.partition(b" ")
            letter, _, name = rest.partition(b" ")
            try:
                number = int(address, 16)
            except ValueError:
                continue  # kallsyms of the kernel has no such line; what is missing is missed below
            if letter not in (b"a", b"A") and number:
                title = name.partition(b"\t")[0].decode("utf-8", "replace")
                self._at.setdefault(number, title)
                if b"\t" not in name:
                    self._names.setdefault(title, number)
        self._ordered = sorted(self._at)
        table = self.address("bpf_verifier_ops")
        if table is None:
            raise Malformed("proc/kallsyms", 0, "addresses of data (bpf_verifier_ops)", "none")
        first = self.first_name(self.pointer(table + _POINTER_BYTES))  # of BPF_PROG_TYPE_SOCKET_FILTER
        if not first.endswith(_OPS):  # an unmapped page reads as zeros
            raise Malformed(
                "proc/kcore", 0, f"the kernel's data, a pointer to its {_OPS} at {table:#x}", first or "none"
            )

    def address(self, name: str) -> int | None:
        """Of a symbol of vmlinux."""
        return self._names.get(name)

    def first_name(self, address: int) -> str:
        """The symbol that begins at an address; "" where none does."""
        return self._at.get(address, "")

    def function_of(self, address: int) -> int | None:
        """Where the symbol begins that an address lies in."""
        row = bisect_right(self._ordered, address) - 1
        return self._ordered[row] if row >= 0 else None

    def addresses_of(self, part: str) -> list[int]:
        """Addresses of symbols whose names have this part, each once."""
        return sorted({address for name, address in self._names.items() if part in name})

    def has_name(self, beginning: str) -> bool:
        """Whether a symbol's name begins so."""
        return any(name.startswith(beginning) for name in self._names)

    def hooks_of(self) -> dict[int, int]:
        """The hook of each program type, by running what turns one into the other."""
        lost: list[str] = []
        return Reader(self).hooks(lost)


class Memory:
    """Memory by pages, each read once."""

    def __init__(self, read: Callable[[int, int], bytes | None]) -> None:
        self._read = read
        self._pages: dict[int, bytes | None] = {}
        self.path, self.build_id = "proc/kcore", ""

    def text_at(self, address: int, size: int) -> bytes | None:
        """Bytes at an address; None where memory has none."""
        first = address & -_PAGE_BYTES
        if address + size > first + _PAGE_BYTES:
            return self._read(address, size)
        if first not in self._pages:
            self._pages[first] = self._read(first, _PAGE_BYTES)
        page = self._pages[first]
        return self._read(address, size) if page is None else page[address - first : address - first + size]

    def tail_at(self, address: int, size: int) -> bytes:
        """As text_at, empty where there is nothing."""
        return self.text_at(address, size) or b""


def permissions(facts: Facts) -> Permissions:
    """The kfuncs of vmlinux."""
    assert isinstance(facts, Running)
    at = facts.address("btf_vmlinux")
    btf = facts.pointer(at) if at is not None else 0
    found = _sets(facts, btf, facts.hooks_of()) if btf else Kfuncs((), {}, (_UNREAD,))
    if not found.registrations and facts.records().btf.has_name("bpf_kfunc_desc"):
        found = found._replace(gave_up=found.gave_up or (_UNREAD,))
    return Permissions(facts, found)


def module(facts: Running, name: str, own: Btf) -> Permissions | None:
    """The kfuncs of a loaded module; None where the kernel's list of modules with types does not show it."""
    head, link = facts.address("btf_modules"), facts.offset("btf_module", "list")
    btf_at, name_at = facts.offset("btf_module", "btf"), facts.offset("btf", "name")
    if head is None or link is None or btf_at is None or name_at is None:
        return None
    at = facts.pointer(head)
    for _ in range(_MODULES_MAX):
        if at in (head, 0):
            return None
        btf = facts.pointer(at - link + btf_at)
        raw = facts.image.text_at(btf + name_at, _NAME_BYTES) or b""
        if raw.partition(b"\0")[0].decode("utf-8", "replace") == name:
            return Permissions(_OfModule(facts, own), _sets(facts, btf, facts.hooks_of()))
        at = facts.pointer(at)
    return None


class _OfModule(Running):
    """The running kernel with the ids of a module."""

    def __init__(self, kernel: Running, own: Btf) -> None:
        self.__dict__.update(kernel.__dict__)
        self._own = Records(own)

    def type_name(self, type_id: int) -> str:
        return self._own.record(type_id).name


def _sets(facts: Running, btf: int, hooks: dict[int, int]) -> Kfuncs:
    """kernel/bpf/btf.c: btf->kfunc_set_tab->sets[hook], and the hook's filters."""
    other = other_way(facts)
    table_at, sets_at = facts.offset("btf", "kfunc_set_tab"), facts.offset("btf_kfunc_set_tab", "sets")
    if other or table_at is None or sets_at is None or not hooks:
        return Kfuncs((), {}, (other or "this kernel keeps kfuncs in a way that is not read",))
    raw = facts.image.text_at(btf + table_at, _POINTER_BYTES)
    table = int.from_bytes(raw or b"", "little")  # none for a module without kfuncs
    found: list[Registration] = []
    for hook in sorted({one for one in hooks.values() if 0 <= one < _HOOKS_MAX}) if table else ():
        type_ = next(number for number, one in hooks.items() if one == hook)
        set_at = facts.pointer(table + sets_at + _POINTER_BYTES * hook)
        held = members(facts, set_at)
        if set_at and not held:
            return Kfuncs((), hooks, (_UNREAD,))
        filters = _filters(facts, table, hook)
        found.append(Registration(type_, "", held, filters[0] if filters else 0))
        found += [Registration(type_, "", {}, one) for one in filters[1:]]
    return Kfuncs(tuple(found), hooks, () if raw is not None else (_UNREAD,))


def _filters(facts: Running, table: int, hook: int) -> list[int]:
    """struct btf_kfunc_hook_filter: an array of functions and their number; none before filters were there."""
    at = facts.offset("btf_kfunc_set_tab", "hook_filters")
    size = facts.size("btf_kfunc_hook_filter")
    count_at, each_at = (
        facts.offset("btf_kfunc_hook_filter", "nr_filters"),
        facts.offset("btf_kfunc_hook_filter", "filters"),
    )
    if at is None or size is None or count_at is None or each_at is None:
        return []
    here = table + at + size * hook
    count = min(facts.number(here + count_at, 4), _FILTERS_MAX)
    return [facts.pointer(here + each_at + 8 * number) for number in range(count)]
