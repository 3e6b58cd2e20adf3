"""Read the kernel's BTF id sets from their symbols in /proc/kallsyms.

include/linux/btf_ids.h (BTF_SET_START, BTF_SET8_START, BTF_ID) leaves a local symbol for every set
and member in the section .BTF_ids: `__BTF_ID__set__btf_id_deny`, then
`__BTF_ID__func__migrate_disable__<number>` … A kernel with CONFIG_KALLSYMS_ALL shows them, so the
deny lists, the LSM hook lists and the fmod_ret sets can be read from the kernel itself. Flags such
as KF_SLEEPABLE are not in the names.

No such symbol at all means that the kernel hides data symbols, not that the sets are empty.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple

_MARK = b" __BTF_ID__"


class BtfIdSets(NamedTuple):
    """`sets` maps a set's name to its members' names; `visible` is false where kallsyms shows none.

    `flagged` are the sets whose members have flags beside them (BTF_SET8, BTF_KFUNCS): kfuncs.
    """

    visible: bool
    sets: dict[str, frozenset[str]]
    flagged: frozenset[str] = frozenset()

    def is_kfunc(self, name: str) -> bool:
        """True if a set with flags has this member."""
        return any(name in self.sets[title] for title in self.flagged)

    def holds(self, set_name: str, name: str) -> bool:
        """True if the set exists and has this member."""
        return name in self.sets.get(set_name, ())


def table(raw: bytes) -> BtfIdSets:
    """All sets of vmlinux and of loaded modules. `raw` is the whole of proc/kallsyms."""
    sets: dict[str, set[str]] = {}
    flagged: set[str] = set()
    at = raw.find(_MARK)
    if at < 0:
        return BtfIdSets(False, {})
    modules = raw.find(b"\t")
    modules = raw.rfind(b"\n", 0, modules) + 1 if modules >= 0 else len(raw)
    last = raw.rfind(_MARK, 0, modules)
    if last >= at:
        # One line more: a list's own name may stand behind its only member.
        end = raw.find(b"\n", raw.find(b"\n", last) + 1, modules)
        _collect(raw[raw.rfind(b"\n", 0, at) + 1 : end if end >= 0 else modules].split(b"\n"), sets, flagged)
    per_module: dict[bytes, list[bytes]] = {}
    at = raw.find(_MARK, modules)
    while at >= 0:
        end = raw.find(b"\n", at)
        line = raw[raw.rfind(b"\n", 0, at) + 1 : end if end >= 0 else len(raw)]
        body, _, module = line.partition(b"\t")
        per_module.setdefault(module, []).append(body)
        at = raw.find(_MARK, at + 1)
    for lines in per_module.values():
        _collect(sorted(lines), sets, flagged)
    return BtfIdSets(True, {name: frozenset(members) for name, members in sets.items()}, frozenset(flagged))


def _collect(lines: list[bytes], sets: dict[str, set[str]], flagged: set[str]) -> None:
    """Walk lines in the order of addresses; a symbol of another kind ends the set."""
    current: set[str] | None = None
    at = 0
    while at < len(lines):
        address = lines[at].partition(b" ")[0]
        stop = at + 1
        while stop < len(lines) and address.strip(b"0") and lines[stop].startswith(address + b" "):
            stop += 1
        group = [line[line.find(b" ") + 3 :] for line in lines[at:stop]]
        at = stop
        # A list's own name may stand behind its first member: both have one address.
        if any(not name.startswith(_MARK[1:]) for name in group):
            current = None
        for name in group:
            if name.startswith(b"__BTF_ID__set"):
                kind, _, title = name[10:].partition(b"__")
                current = sets.setdefault(title.decode("utf-8", "replace"), set())
                if kind == b"set8":
                    flagged.add(title.decode("utf-8", "replace"))
        for name in group:
            if current is not None and name.startswith(b"__BTF_ID__func__"):
                current.add(name[16:].rpartition(b"__")[0].decode("utf-8", "replace"))
