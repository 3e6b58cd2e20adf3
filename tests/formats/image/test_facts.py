"""Tables of a small image against what kernel/trace and kernel/kprobes.c would print of them."""

from __future__ import annotations

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.elf.kernel_image import KernelImage
from probe_scout.formats.image.facts import Facts
from tests.builders.image_writer import Load, elf_core
from tests.builders.tiny_image import DATA, TEXT, TinyImage


def facts(image: TinyImage, layout: str = "relative") -> Facts:
    return Facts(KernelImage(image.elf(layout)))


def test_filter_functions_name_the_first_symbol_of_each_site_in_order_of_addresses():
    image = TinyImage()
    image.function("second", "alias_of_second")
    first = image.function("third")
    image.sites.reverse()
    image.sites.append(DATA)  # in .init.text: not core text
    image.sites.append(0)  # a weak function, zeroed at build
    found = facts(image)
    assert found.filter_functions() == b"second\nthird\n"
    assert found.sites() == [first - 16 + 4, first + 4]


@pytest.mark.parametrize(("marker", "says"), [(True, b"__ftrace_invalid_address___9"), (False, b"lost")])
def test_a_site_far_behind_its_symbol_is_a_weak_function_that_was_left_out(marker, says):
    image = TinyImage(marker=marker)
    image.function("lost", site=9)
    assert facts(image).filter_functions() == says + b"\n"


def test_blacklist_holds_entries_and_every_symbol_of_the_closed_sections():
    image = TinyImage()
    image.function("open_one")
    image.function("closed", blacklisted=True)
    image.mark("__noinstr_text_start")
    quiet = image.function("quiet")
    image.function("quieter")
    image.mark("__noinstr_text_end")
    image.blacklisted.append(DATA)  # in .init.text
    rows = facts(image).blacklist().decode().splitlines()
    assert rows[0] == f"0x{quiet - 16:016x}-0x{quiet:016x}\tclosed"
    # The first symbol of an address names it: the section's bound, which stands before the function.
    assert [row.split("\t")[1] for row in rows[1:]] == ["__noinstr_text_start", "quieter"]


def test_every_layout_of_the_symbols_gives_the_same_facts():
    image = TinyImage()
    image.function("one")
    expected = facts(image).filter_functions()
    again = TinyImage()
    again.function("one")
    assert facts(again, "plain").filter_functions() == expected == b"one\n"


def test_memory_that_the_file_does_not_hold_is_nothing():
    image = TinyImage()
    where = image.string("text")
    found = facts(image)
    assert (found.string(where), found.string(TEXT - 4096), found.string(0)) == ("text", "", "")
    assert (found.pointer(0), found.number(TEXT - 8, 4), found.bytes_between("none", "_etext")) == (0, 0, None)
    assert found.address("no_such_symbol") is None
    assert found.offset("trace_event_call", "event", "type") == 12
    assert (found.offset("trace_event_call", "no"), found.offset("no_struct", "x")) == (None, None)


def test_an_image_without_symbols_is_malformed():
    with pytest.raises(Malformed, match="kallsyms"):
        Facts(KernelImage(elf_core([Load(TEXT, bytes(100_000))])))


def test_functions_that_may_be_made_to_fail_with_their_kind():
    made = TinyImage()
    first, second = made.function("open_one"), made.function("close_one")
    made.injected = [(second, 1), (first, 3), (TEXT - 4096, 1), (first, 9)]
    assert facts(made).error_injection() == b"close_one\tERRNO\nopen_one\tTRUE\nopen_one\t(unknown)\n"
    assert facts(TinyImage()).error_injection() == b""
