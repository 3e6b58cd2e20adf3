"""The running kernel's memory as the checks see it: a core file made of a package's image, as it lies after boot."""

from __future__ import annotations

import struct
from functools import cache

import pytest

from probe_scout.errors import Malformed, SourceError
from probe_scout.formats.btf.reader import Btf
from probe_scout.formats.elf.kernel_image import KernelImage, vmlinux_of
from probe_scout.formats.image import running
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.helpers import Helpers
from probe_scout.formats.image.kfuncs import NO_HOOK, Permissions, flag_names
from probe_scout.formats.image.module_kfuncs import ModuleFacts
from probe_scout.formats.image.module_kfuncs import permissions as of_file
from probe_scout.formats.image.program import Program
from probe_scout.sources import kcore
from tests.builders.image_writer import Load, elf_core
from tests.vm import cache as lab

HEAP = 0xFFFF_8880_0000_0000
pytestmark = pytest.mark.image


@cache
def image_of(kernel: str) -> Facts:
    pytest.importorskip("capstone")
    path = lab.root() / "kernels" / kernel / "vmlinuz"
    if not path.exists():
        pytest.skip(f"{path} is not there: python -m tests.vm fetches it")
    return Facts(KernelImage(vmlinux_of(path.read_bytes())))


class Heap:
    """Memory that boot would have allocated."""

    def __init__(self, facts: Facts) -> None:
        self.facts, self.raw = facts, bytearray(64)

    def put(self, raw: bytes) -> int:
        at = HEAP + len(self.raw)
        self.raw += raw.ljust((len(raw) + 15) // 8 * 8, b"\0")
        return at

    def btf(self, permissions: Permissions, name: str) -> int:
        """struct btf with its table of sets, as register_btf_kfunc_id_set leaves it."""
        facts, sets, filters = self.facts, {}, {}
        for row in permissions.kfuncs.registrations:
            hook = permissions.kfuncs.hooks.get(row.program_type, NO_HOOK)
            if hook == NO_HOOK:
                continue
            sets.setdefault(hook, {}).update(row.members)
            if row.filter and row.filter not in filters.setdefault(hook, []):
                filters[hook].append(row.filter)
        table = bytearray(facts.size("btf_kfunc_set_tab"))
        at, each = facts.offset("btf_kfunc_set_tab", "sets"), facts.size("btf_kfunc_hook_filter")
        for hook, members in sets.items():
            pairs = b"".join(struct.pack("<II", *pair) for pair in sorted(members.items()))
            struct.pack_into("<Q", table, at + 8 * hook, self.put(struct.pack("<II", len(members), 1) + pairs))
            for number, address in enumerate(filters.get(hook, ())):
                place = facts.offset("btf_kfunc_set_tab", "hook_filters") + each * hook
                struct.pack_into("<Q", table, place + 8 * number, address)
                count = place + facts.offset("btf_kfunc_hook_filter", "nr_filters")
                struct.pack_into("<I", table, count, number + 1)
        btf = bytearray(facts.size("btf"))
        struct.pack_into("<Q", btf, facts.offset("btf", "kfunc_set_tab"), self.put(table))
        where = facts.offset("btf", "name")
        btf[where : where + len(name)] = name.encode()
        return self.put(bytes(btf))


def core(tmp_path, kernel: str, with_module: bool = False):
    """A reader of the core file, the image's symbols, its types, and the module's own kfuncs."""
    facts = image_of(kernel)
    heap = Heap(facts)
    written = {facts.address("btf_vmlinux"): heap.btf(Permissions(facts), "vmlinux")}
    of_module = own = None
    if with_module:
        raw = (lab.root() / "kernels" / kernel / "ko" / "nf_conntrack.ko").read_bytes()
        held = ModuleFacts(raw, "nf_conntrack.ko", facts.records().btf)
        of_module, own = of_file(held, Permissions(facts).kfuncs.hooks), held.own.btf
        head, link = facts.address("btf_modules"), facts.offset("btf_module", "list")
        entry = bytearray(facts.size("btf_module"))
        struct.pack_into("<Q", entry, link, head)
        struct.pack_into("<Q", entry, facts.offset("btf_module", "btf"), heap.btf(of_module, "nf_conntrack"))
        written[head] = heap.put(bytes(entry)) + link
    loads = []
    for one in facts.image.segments:
        data = bytearray(facts.image.raw[one.offset : one.offset + one.size])
        if one.address < min(written) < one.address + (64 << 20):  # .bss behind it
            data += bytes(max(0, max(written) + 4096 - one.address - one.size))
        for address, value in written.items():
            if one.address <= address < one.address + len(data) - 8:
                struct.pack_into("<Q", data, address - one.address, value)
        loads.append(Load(one.address, bytes(data)))
    path = tmp_path / "kcore"
    path.write_bytes(elf_core([*loads, Load(HEAP, bytes(heap.raw) + bytes(4096))], kind=4))

    def read(address: int, size: int) -> bytes | None:
        try:
            return kcore.read_text(str(path), address, size)
        except SourceError:
            return None

    return read, facts, of_module, own


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.3"])
def test_a_running_kernel_says_what_its_image_says(tmp_path, kernel):
    read, facts, _, _ = core(tmp_path, kernel)
    found = running.Running(read, facts.table.text(), facts.records().btf)
    told, known = running.permissions(found), Permissions(facts)
    assert told.flags == known.flags
    assert told.kfuncs.hooks == known.kfuncs.hooks
    for number in range(1, 33):
        for name in known.ids:
            assert told.allowed(name, number) == known.allowed(name, number), (name, number)
    ours, theirs = Helpers(found), Helpers(facts)
    for program in (Program(26, 24), Program(6, 37), Program(2, 0), Program(29, 27, True)):
        for helper in theirs.numbers.values():
            assert bool(ours.proto(program, helper)) == bool(theirs.proto(program, helper))


def test_kfuncs_of_a_loaded_module(tmp_path):
    read, facts, of_module, own = core(tmp_path, "6.12", with_module=True)
    found = running.Running(read, facts.table.text(), facts.records().btf)
    told = running.module(found, "nf_conntrack", own)
    assert {name: flag_names(flags) for name, flags in told.flags.items()} == {
        name: flag_names(flags) for name, flags in of_module.flags.items()
    }
    assert "bpf_ct_release" in told.ids
    for number in range(1, 33):
        assert told.allowed("bpf_ct_release", number) == of_module.allowed("bpf_ct_release", number)
    assert running.module(found, "no_such_module", own) is None


@pytest.mark.parametrize("hole", ["the pointer to the types", "what was allocated"])
def test_memory_that_reads_as_zeros_is_not_a_kernel_without_kfuncs(tmp_path, hole):
    read, facts, _, _ = core(tmp_path, "6.12")
    at = facts.address("btf_vmlinux")

    def holed(address: int, size: int) -> bytes | None:
        is_hole = address <= at < address + size if hole == "the pointer to the types" else address >> 40 == HEAP >> 40
        return bytes(size) if is_hole else read(address, size)

    told = running.permissions(running.Running(holed, facts.table.text(), facts.records().btf))
    assert told.kfuncs.gave_up
    assert told.allowed("bpf_task_acquire", 26) is None


def test_memory_that_cannot_be_read_is_one_sentence():
    facts = image_of("6.12")
    for lines in (facts.table.text(), b"0000000000000000 T bpf_verifier_ops\n", b"", b"garbage\nzz T x\n"):
        with pytest.raises(Malformed):
            running.Running(lambda address, size: None, lines, Btf(facts.btf()))
