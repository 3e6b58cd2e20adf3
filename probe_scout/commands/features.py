"""`features`: program, map, attach and link types, commands, and helpers by program type, of one kernel.

The kernel's own enums tell which numbers it knows (include/uapi/linux/bpf.h); whether a program or map type was
compiled in, the table of its operations in kallsyms (include/linux/bpf_types.h), or the image.
"""

from __future__ import annotations

from ..model import facts
from ..model.calls import Feature, FeaturesReport, HelperRow
from ..model.verdict import NO, UNKNOWN, YES
from ..probes.calls import Calls, operations, shown_operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

# Enum, and what its enumerators begin with, without which they are named.
ENUMS: dict[str, tuple[str, str]] = {
    "program_type": ("bpf_prog_type", "BPF_PROG_TYPE_"),
    "map_type": ("bpf_map_type", "BPF_MAP_TYPE_"),
    "attach_type": ("bpf_attach_type", "BPF_"),
    "link_type": ("bpf_link_type", "BPF_LINK_TYPE_"),
    "command": ("bpf_cmd", "BPF_"),
}
_WHERE = "sys/kernel/btf/vmlinux: enum "
_MAP_OPS = {
    "HASH": "htab_map_ops",
    "PERCPU_HASH": "htab_percpu_map_ops",
    "LRU_HASH": "htab_lru_map_ops",
    "LRU_PERCPU_HASH": "htab_lru_percpu_map_ops",
    "LPM_TRIE": "trie_map_ops",
    "HASH_OF_MAPS": "htab_of_maps_map_ops",
    "DEVMAP": "dev_map_ops",
    "DEVMAP_HASH": "dev_map_hash_ops",
    "CPUMAP": "cpu_map_ops",
    "XSKMAP": "xsk_map_ops",
    "SOCKMAP": "sock_map_ops",
    "SOCKHASH": "sock_hash_ops",
    "REUSEPORT_SOCKARRAY": "reuseport_array_ops",
    "PERCPU_CGROUP_STORAGE": "cgroup_storage_map_ops",
    "STRUCT_OPS": "bpf_struct_ops_map_ops",
    "RHASH": "rhtab_map_ops",
}


def report(k: Kernel) -> FeaturesReport:
    """Every type and command that the kernel knows. What cannot be read is in `unread`."""
    calls = Calls(k)
    btf = k.btf()
    if btf is None:
        unread = k.unread(facts.BTF)
        return FeaturesReport(k.info(), "none", (), (), (unread,) if unread is not None else ())
    shown = shown_operations(k)
    if shown:
        shown |= {name for name in _MAP_OPS.values() if not name.endswith("_map_ops") and k.has_function(name)}
    found = []
    for kind, (enum, prefix) in ENUMS.items():
        taken: set[int] = set()
        for name, number in btf.enumerators(enum).items():
            short = name.removeprefix(prefix).removesuffix("_DEPRECATED")
            if not name.startswith(prefix) or short == "UNSPEC" or number in taken or name.startswith(("__", "MAX_")):
                continue
            taken.add(number)
            found.append(_feature(kind, short, number, shown, _WHERE + enum))
    helpers = _helpers(calls, [one for one in found if one.kind == "program_type"])
    calls.keep()
    return FeaturesReport(k.info(), calls.basis(), tuple(found), helpers)


def _feature(kind: str, name: str, number: int, shown: frozenset[str], where: str) -> Feature:
    low = name.lower()
    symbol = ""
    if kind == "program_type":
        symbol = operations(name)
    elif kind == "map_type":
        symbol = _MAP_OPS.get(name, f"{low}_map_ops")
    if not symbol:
        return Feature(kind, low, number, YES, "the kernel knows the number", where)
    if not shown:
        return Feature(kind, low, number, UNKNOWN, "kallsyms does not show whether it was compiled in", where)
    if symbol in shown:
        return Feature(kind, low, number, YES, "compiled in", f"proc/kallsyms: {symbol}")
    return Feature(kind, low, number, NO, "the kernel knows the number, and it was not compiled in", "proc/kallsyms")


def _helpers(calls: Calls, programs: list[Feature]) -> tuple[HelperRow, ...]:
    btf = calls.k.btf()
    assert btf is not None
    rows = []
    for name, number in btf.enumerators("bpf_func_id").items():
        if not name.startswith("BPF_FUNC_") or not number:
            continue
        answers: dict[str, str] = {}
        attach: dict[str, tuple[str, ...]] = {}
        for one in programs:
            if one.answer == NO:
                answers[one.name] = NO
                continue
            answers[one.name], some = calls.helper_types(one.name.upper(), number)
            if some:
                attach[one.name] = some
        rows.append(HelperRow("bpf_" + name.removeprefix("BPF_FUNC_"), number, answers, attach))
    return tuple(rows)
