"""A line of ftrace's list that several symbols may mean: their code decides, where there is any."""

from __future__ import annotations

from probe_scout import code
from probe_scout.kernel import Kernel
from probe_scout.scanners.filter_functions import Doubt
from probe_scout.scanners.kallsyms import SymbolTable
from probe_scout.sources import open_source

NOP5, CALL, PLAIN = "0f1f440000", "e811223344", "4889e54157"
SYMBOLS = SymbolTable(
    b"ffffffff81000000 T _stext\nffffffff81000100 t first\nffffffff81000140 t second\nffffffff81000180 t third\n"
)
FIRST, SECOND = 0xFFFFFFFF81000100, 0xFFFFFFFF81000140


def asked(tiny_folder, monkeypatch, codes, doubt):
    """holds_site of `first`, where `codes` are the bytes at each address."""
    k = Kernel(open_source(str(tiny_folder(("first", "second")))))
    given = {address: (bytes.fromhex(text), False) for address, text in codes.items() if text is not None}
    monkeypatch.setattr(code, "bytes_at", lambda _k, _symbols, address, size, in_image=True: given.get(address))
    return code.holds_site(k, SYMBOLS, FIRST, [doubt])


def test_the_only_one_that_begins_with_a_site_is_meant(tiny_folder, monkeypatch):
    doubt = Doubt(0, (FIRST, SECOND), 1)
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5, SECOND: PLAIN}, doubt) is True
    assert asked(tiny_folder, monkeypatch, {FIRST: CALL, SECOND: PLAIN}, doubt) is True
    assert asked(tiny_folder, monkeypatch, {FIRST: "f30f1efa" + NOP5, SECOND: PLAIN}, doubt) is True
    assert asked(tiny_folder, monkeypatch, {FIRST: PLAIN, SECOND: NOP5}, doubt) is False


def test_two_that_could_be_meant_stay_unknown(tiny_folder, monkeypatch):
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5, SECOND: NOP5}, Doubt(0, (FIRST, SECOND), 1)) is None
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5, SECOND: None}, Doubt(0, (FIRST, SECOND), 1)) is None


def test_a_site_without_a_name_lies_as_far_inside_as_the_list_says(tiny_folder, monkeypatch):
    doubt = Doubt(16, (FIRST, SECOND), 1)
    assert asked(tiny_folder, monkeypatch, {FIRST: "90" * 16 + NOP5, SECOND: PLAIN * 5}, doubt) is True
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5 + "90" * 16, SECOND: PLAIN * 5}, doubt) is False


def test_other_architectures_are_not_judged_by_bytes_of_this_one(tiny_folder, monkeypatch):
    monkeypatch.setattr(Kernel, "arch", lambda self: "aarch64")
    assert asked(tiny_folder, monkeypatch, {FIRST: NOP5, SECOND: PLAIN}, Doubt(0, (FIRST, SECOND), 1)) is None
