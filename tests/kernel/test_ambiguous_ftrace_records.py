"""A line of ftrace's list that several symbols may mean: their code decides, where there is any."""

from __future__ import annotations

import pytest

from probe_scout.formats.text.filter_functions import Ambiguous
from probe_scout.formats.text.kallsyms import SymbolTable
from probe_scout.kernel import text as code
from probe_scout.kernel.kernel import Kernel
from probe_scout.sources import open_source

NOP5, CALL, PLAIN = "0f1f440000", "e811223344", "4889e54157"
SYMBOLS = SymbolTable(
    b"ffffffff81000000 T _stext\nffffffff81000100 t first\nffffffff81000140 t second\nffffffff81000180 t third\n"
)
FIRST, SECOND = 0xFFFFFFFF81000100, 0xFFFFFFFF81000140


def asked(tiny_folder, monkeypatch, codes, ambiguous):
    """holds_site of `first`, where `codes` are the bytes at each address."""
    k = Kernel(open_source(str(tiny_folder(("first", "second")))))
    given = {address: (bytes.fromhex(text), False) for address, text in codes.items() if text is not None}
    monkeypatch.setattr(code, "bytes_at", lambda _k, _symbols, address, size, in_image=True: given.get(address))
    return code.holds_site(k, SYMBOLS, FIRST, [ambiguous])


def test_the_only_one_that_begins_with_a_site_is_meant(tiny_folder, monkeypatch):
    ambiguous = Ambiguous(0, (FIRST, SECOND), 1)
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5, SECOND: PLAIN}, ambiguous) is True
    assert asked(tiny_folder, monkeypatch, {FIRST: CALL, SECOND: PLAIN}, ambiguous) is True
    assert asked(tiny_folder, monkeypatch, {FIRST: "f30f1efa" + NOP5, SECOND: PLAIN}, ambiguous) is True
    assert asked(tiny_folder, monkeypatch, {FIRST: PLAIN, SECOND: NOP5}, ambiguous) is False


def test_two_that_could_be_meant_stay_unknown(tiny_folder, monkeypatch):
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5, SECOND: NOP5}, Ambiguous(0, (FIRST, SECOND), 1)) is None
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5, SECOND: None}, Ambiguous(0, (FIRST, SECOND), 1)) is None


def test_a_site_without_a_name_lies_as_far_inside_as_the_list_says(tiny_folder, monkeypatch):
    ambiguous = Ambiguous(16, (FIRST, SECOND), 1)
    assert asked(tiny_folder, monkeypatch, {FIRST: "90" * 16 + NOP5, SECOND: PLAIN * 5}, ambiguous) is True
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5 + "90" * 16, SECOND: PLAIN * 5}, ambiguous) is False


def test_other_architectures_are_not_judged_by_bytes_of_this_one(tiny_folder, monkeypatch):
    monkeypatch.setattr(Kernel, "arch", lambda self: "aarch64")
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5, SECOND: PLAIN}, Ambiguous(0, (FIRST, SECOND), 1)) is None


def test_a_function_where_another_modules_init_text_had_a_warning(tiny_folder):
    """7.3: kvm_amd's init text was freed and tun loaded there; the bug table of kvm_amd still names its first byte."""
    k = Kernel(open_source(str(tiny_folder(("first", "wake [tun]", "other [tun]")))))
    view = k.full()
    symbols = view.symbols
    wake, other = (symbols.rows(name)[0] for name in (b"wake", b"other"))
    base = symbols.addresses[wake] - 0x590
    store = code._store(k)
    store.live, store.init_bases = True, [(base, "kvm_amd"), (symbols.addresses[other], "tun")]
    store.init_bugs = {"kvm_amd": frozenset((0x590, 0x700)), "tun": frozenset((0,))}
    assert k.stale_bug(symbols, wake)
    assert not k.stale_bug(symbols, other)  # its own init text is no other module's
    assert not k.stale_bug(symbols, symbols.rows(b"first")[0])
    assert [(one.module, one.name, one.sites) for one in code._stale_slices(k)] == [("tun", "wake", ("stale",))]


def test_copies_in_one_module_are_told_apart_by_how_far_they_lie_apart(tiny_folder):
    """5.10: virtio_pci has two setup_vq.cold."""
    files = ("first", "part.cold [tun]", "between [tun]", "part.cold [tun]")
    k = Kernel(open_source(str(tiny_folder(files, code={"part.cold": ("0f0b", ())}))))
    symbols = k.full().symbols
    rows = symbols.rows(b"part.cold")
    one, two = (code.slice_of(k, symbols, row) for row in rows)
    assert two.offset - one.offset == symbols.addresses[rows[1]] - symbols.addresses[rows[0]]
    store = code._store(k)
    key = ("tun", "part.cold")
    store.slices[key] = (one, two._replace(offset=two.offset + 1))
    assert [code.slice_of(k, symbols, row) for row in rows] == [None, None]


WAKE_AT = 0x590


@pytest.mark.parametrize(("bugs", "stale"), [({WAKE_AT}, True), ({WAKE_AT + 1}, False)])
def test_below_a_root_with_the_addresses_of_sections_and_the_modules_files(tiny_folder, bugs, stale, monkeypatch):
    folder = tiny_folder(("first", "wake [tun]"), files={"proc/sys/kernel/osrelease": b"6.9\n"})
    k = Kernel(open_source(str(folder)))
    symbols = k.full().symbols
    wake = symbols.rows(b"wake")[0]
    assert (k.stale_bugs_are_told(), k.stale_bug(symbols, wake)) == (False, False)
    places = {
        "sys/module/kvm_amd/sections/.init.text": b"%#x\n" % (symbols.addresses[wake] - WAKE_AT),
        "sys/module/tun/sections/.init.text": b"none\n",
        "lib/modules/6.9/modules.dep": b"kernel/kvm-amd.ko:\n",
    }
    for path, raw in places.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    k = Kernel(open_source(str(folder)))
    symbols = k.full().symbols
    monkeypatch.setattr(code, "_init_bugs", lambda k, module: frozenset(bugs))
    assert k.stale_bugs_are_told()
    assert k.stale_bug(symbols, wake) is stale
    assert k.stale_bugs(symbols, [wake]) == ({wake} if stale else set())
