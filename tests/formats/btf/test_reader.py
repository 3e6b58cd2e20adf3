"""BTF blobs: both ways in, split blobs, odd forms of the format, and bytes that are no BTF."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.btf.kinds import Enumerator, Func
from probe_scout.formats.btf.reader import Btf
from tests.builders.btf_writer import KIND, LAYOUT, BtfWriter
from tests.builders.damage import EXAMPLES, damaged


def small(**options) -> BtfWriter:
    """int, struct file, two functions, an enum, a kfunc's tag."""
    w = BtfWriter(**options)
    integer = w.int("int", signed=True)
    file = w.struct("file", 16, [("f_mode", integer, 0), ("f_pos", integer, 64)])
    pointer = w.ptr(file)
    w.function("vfs_open", integer, [("file", pointer)])
    w.function("vfs_close", 0, [("file", pointer), ("mode", integer)])
    w.enum("bpf_attach_type", {"BPF_LSM_MAC": 27, "BPF_TRACE_FSESSION": 58})
    w.decl_tag("bpf_kfunc", 5)
    return w


FORMS = [{}, {"byteorder": "big"}, {"header_bytes": 32}, {"header_bytes": 40, "byteorder": "big"}]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_one_name_and_all_names_agree_in_every_form(form):
    raw = small(**form).bytes()
    assert Btf(raw).functions() == {"vfs_open": (5,), "vfs_close": (7,)}
    assert Btf(raw).find_functions("vfs_close") == (Func(7, "vfs_close", 6),)
    assert Btf(raw).find_functions("vfs_clos") == ()
    assert Btf(raw).find_functions("file") == ()  # a struct and a parameter, no FUNC


def test_a_name_that_is_no_string_costs_no_walk():
    w = small()
    w.raw(0)  # any walk is refused here
    btf = Btf(w.bytes())
    assert btf.find_functions("absent") == ()
    assert btf.find_enumerators("BPF_TRACE_ABSENT") == ()
    assert btf.has_member("file", "absent") is False
    with pytest.raises(Malformed):
        btf.find_functions("vfs_open")


def test_two_functions_of_one_name_are_both_found_in_file_order():
    w = small()
    again = w.function("vfs_open", 1, [("file", 3), ("flags", 1)])
    btf = Btf(w.bytes())
    assert btf.functions()["vfs_open"] == (5, again)
    assert [f.type_id for f in Btf(w.bytes()).find_functions("vfs_open")] == [5, again]
    assert [f.type_id for f in btf.find_functions("vfs_open")] == [5, again]  # from the table


def test_many_names_are_found_by_an_index_as_few_are_by_searches():
    w = small()
    w.function("vfs_open", 1, [("file", 3), ("flags", 1)])
    w.enum("colours", {"vfs_close": 0x0C000000})
    names = ("file", "int", "vfs_open", "vfs_close", "bpf_attach_type", "f_mode", "absent")
    kinds = frozenset(range(1, 20))
    btf = Btf(w.bytes())
    searched = {name: Btf(w.bytes()).find_ids(name, kinds) for name in names}
    for _ in range(20):
        assert {name: btf.find_ids(name, kinds) for name in names} == searched
    assert btf._names


def test_names_that_are_looked_for_together_are_those_found_alone():
    w = small()
    w.function("vfs_open", 1, [("file", 3), ("flags", 1)])
    w.struct("file___old", 8, [("f_mode", 1, 0)])
    names = ["file", "int", "vfs_open", "bpf_attach_type", "f_mode", "", "absent", *(f"absent{n}" for n in range(9))]
    alone, together = Btf(w.bytes()), Btf(w.bytes())
    together.note(names)
    kinds = frozenset(range(1, 20))
    for name in names:
        assert together.find_ids(name, kinds) == alone.find_ids(name, kinds)
        assert together.has_name(name) == alone.has_name(name)
    assert together._asked[b"absent\0"] == []
    assert together.names_with("___") == ["file___old"]


@pytest.mark.parametrize(
    "decoy",
    [
        lambda w, name: w.enum("colours", {name: 0x0C000000}),
        lambda w, name: w.struct("s", 4, [("bits", w.string(name), 12 << 24)], bitfields=True),
        lambda w, name: w.raw(KIND["array"], words=(1, w.string(name), 0x0C000000)),
        lambda w, name: w.raw(KIND["datasec"], ".data", 1, words=(1, w.string(name), 0x0C000000)),
    ],
    ids=["enumerator", "12-bit field", "array", "datasec"],
)
def test_words_that_only_look_like_a_func_are_not_one(decoy):
    w = small()
    decoy(w, "pretender")
    btf = Btf(w.bytes())
    assert btf.find_functions("pretender") == ()
    assert "pretender" not in btf.functions()


@pytest.mark.parametrize("share_strings", [True, False])
def test_module_ids_and_strings_continue_those_of_vmlinux(share_strings):
    kernel = small()
    module = BtfWriter(base=kernel, share_strings=share_strings)
    first = module.func("xfs_open", 4)  # a prototype of vmlinux; the module's first string
    same = module.func("vfs_open", module.func_proto(1, [("flags", 1)]))  # a name vmlinux has too
    base = Btf(kernel.bytes())
    btf = Btf(module.bytes(), base, "sys/kernel/btf/xfs")
    assert first == kernel.next_id
    assert btf.find_functions("xfs_open") == (Func(first, "xfs_open", 4),)
    assert btf.find_functions("vfs_open") == (Func(same, "vfs_open", same - 1),)
    assert btf.find_functions("vfs_close") == ()  # vmlinux has it, this blob has not
    assert Btf(module.bytes(), base).functions() == {"xfs_open": (first,), "vfs_open": (same,)}
    assert btf.shape(4) == base.shape(4)
    assert btf.prototype(btf.find_functions("xfs_open")[0]).text == "int xfs_open(struct file *file)"
    assert btf.has_member("file", "f_pos") is False
    assert base.has_member("file", "f_pos") is True


def test_module_without_strings_of_its_own_is_read():
    kernel = small()
    module = BtfWriter(base=kernel)
    copy = module.func("vfs_close", 4)
    assert module.strings == b""
    assert Btf(module.bytes(), Btf(kernel.bytes())).functions() == {"vfs_close": (copy,)}


def test_enumerators_signed_unsigned_and_64_bits_wide():
    w = small()
    w.enum("signed_one", {"MINUS": -1, "ONE": 1}, signed=True)
    w.enum("plain_one", {"ALL_BITS": -1})
    w.enum64("wide", {"HIGH": 1 << 40, "LOW": 3})
    wide = w.enum64("wide_signed", {"FAR_BELOW": -(1 << 40)}, signed=True)
    btf = Btf(w.bytes())
    assert btf.enumerators("bpf_attach_type") == {"BPF_LSM_MAC": 27, "BPF_TRACE_FSESSION": 58}
    assert btf.enumerators("signed_one") == {"MINUS": -1, "ONE": 1}
    assert btf.enumerators("plain_one") == {"ALL_BITS": 0xFFFFFFFF}
    assert btf.enumerators("wide") == {"HIGH": 1 << 40, "LOW": 3}
    assert btf.enumerators("file") == {}
    assert btf.find_enumerators("BPF_TRACE_FSESSION") == (Enumerator("bpf_attach_type", "BPF_TRACE_FSESSION", 58, 8),)
    assert btf.find_enumerators("FAR_BELOW") == (Enumerator("wide_signed", "FAR_BELOW", -(1 << 40), wide),)


def test_a_name_that_is_no_enumerator_is_not_found_as_one():
    w = small()
    w.struct("holder", 4, [("BPF_TRACE_NEW", 1, 0)])
    w.enum("BPF_TRACE_OLD", {"A": 1})
    w.enum("last", {"B": w.string("BPF_TRACE_VALUE")})
    btf = Btf(w.bytes())
    names = ("BPF_TRACE_NEW", "BPF_TRACE_OLD", "BPF_TRACE_VALUE", "absent", "")
    assert [btf.find_enumerators(name) for name in names] == [()] * 5


def test_members_are_seen_through_anonymous_structs_only():
    w = small()
    inner = w.struct("", 4, [("deep", 1, 0)])
    named = w.struct("named", 4, [("hidden", 1, 0)])
    w.union("outer", 8, [("", w.const(inner), 0), ("part", named, 0)])
    btf = Btf(w.bytes())
    assert [btf.has_member("outer", m) for m in ("deep", "part", "hidden", "nowhere")] == [True, True, False, False]
    assert btf.has_member("no_such_struct", "deep") is False
    assert (btf.struct_size("outer"), btf.struct_size("file"), btf.struct_size("int")) == (8, 16, None)


def test_a_struct_that_contains_itself_without_a_name_ends():
    w = small()
    w.struct("loop", 4, [("", w.next_id, 0)])
    assert Btf(w.bytes()).has_member("loop", "f_pos") is False


def test_typedefs_and_tags_are_listed():
    w = small()
    first = w.typedef("btf_trace_sched_switch", 3)
    w.typedef("btf_trace_sched_switch", 3)
    other = w.typedef("btf_trac", 3)
    w.decl_tag("bpf_kfunc", 7, component=0)  # on a parameter
    w.decl_tag("bpf_kfunc", 2)  # on a struct
    w.decl_tag("bpf_fastcall", 7, attribute=True)
    btf = Btf(w.bytes())
    assert btf.typedefs_named("btf_trace_") == {"btf_trace_sched_switch": first}
    assert btf.find_typedef("btf_trac") == other
    assert btf.find_typedef("file") is None
    assert btf.decl_tags("bpf_kfunc") == {"vfs_open"}
    assert btf.decl_tags("bpf_fastcall") == {"vfs_close"}
    assert btf.decl_tags("absent") == set()


def test_sorted_means_anonymous_first_then_byte_order():
    w = BtfWriter()
    w.ptr(0)
    w.func_proto()
    w.func("B", 2)
    w.func("a", 2)
    assert Btf(w.bytes()).is_sorted() is True
    w.ptr(0)
    assert Btf(w.bytes()).is_sorted() is False


def test_a_vlen_of_more_than_16_bits_is_read_whole():
    w = BtfWriter()
    w.enum("huge", {f"E{i}": i for i in range(0x10001)})
    last = w.function("after")
    assert Btf(w.bytes()).functions() == {"after": (last,)}


def test_an_unknown_kind_is_skipped_only_where_the_layout_gives_its_length():
    def blob(**options):
        w = small(**options)
        w.raw(20, "new", vlen=2, words=(1, 2, 3, 4, 5))
        w.function("after")
        return w.bytes()

    told = Btf(blob(header_bytes=32, layout=[*LAYOUT, (4, 8)]))
    assert told.functions() == {"vfs_open": (5,), "vfs_close": (7,), "after": (12,)}
    for options in ({}, {"header_bytes": 32}):
        with pytest.raises(Malformed, match="expected a kind of BTF type from 1 to 19, found type 10 of kind 20"):
            Btf(blob(**options)).functions()
    with pytest.raises(Malformed, match="whole 4-byte words"):
        Btf(blob(header_bytes=32, layout=[*LAYOUT, (3, 8)])).functions()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda raw: b"", "a BTF header of 24 bytes or more, found 0 bytes"),
        (lambda raw: raw[:23], "a BTF header of 24 bytes"),
        (lambda raw: b"\x7fE" + raw[2:], "the BTF magic"),
        (lambda raw: raw[:2] + b"\x02" + raw[3:], "BTF version 1"),
        (lambda raw: raw[:4] + b"\x17" + raw[5:], "a header length"),
        (lambda raw: raw[:4] + b"\xff\xff" + raw[6:], "a header length"),
        (lambda raw: raw[:-1], "sections that fill"),
        (lambda raw: raw + b"\0", "sections that fill"),
        (lambda raw: raw[:16] + b"\0\0\0\0" + raw[20:], "sections that follow each other"),
        (lambda raw: raw[:-1] + b"x", "strings that begin and end with NUL"),
    ],
)
def test_a_broken_header_is_refused_at_once(change, sentence):
    with pytest.raises(Malformed, match=sentence):
        Btf(change(small().bytes()))


@pytest.mark.parametrize(
    ("build", "ask", "sentence"),
    [
        (lambda w: w.raw(KIND["struct"], "s", 3), Btf.functions, "a type record that ends inside"),
        (lambda w: w.raw(0), Btf.functions, "found type 10 of kind 0"),
        (lambda w: w.raw(KIND["func"], "f", 3), Btf.functions, "a FUNC of linkage 0 to 2"),
        (lambda w: w.func("", 4), Btf.functions, "a FUNC with a name"),
        (lambda w: w.func("f", 99), Btf.function_shapes, "the id of a type that exists, found id 99"),
        (lambda w: w.func("f", 1), Btf.function_shapes, "type 1 to be a FUNC_PROTO, found kind 1"),
        (lambda w: w.decl_tag("bpf_kfunc", 99), lambda b: b.decl_tags("bpf_kfunc"), "found id 99"),
        (lambda w: w.struct("s", 4, [("", 99, 0)]), lambda b: b.has_member("s", "f_pos"), "found id 99"),
        (lambda w: w.func("f", 4), lambda b: b.function(1), "type 1 to be a FUNC, found kind 1"),
    ],
)
def test_a_broken_type_is_refused_where_it_is_met(build, ask, sentence):
    w = small()
    build(w)
    with pytest.raises(Malformed, match=sentence):
        ask(Btf(w.bytes()))


def test_a_string_offset_past_the_end_names_the_record():
    w = small()
    at = 24 + len(w.types)
    w.func("f", 4)
    raw = bytearray(w.bytes())
    raw[at : at + 4] = (99_999).to_bytes(4, "little")
    with pytest.raises(Malformed, match="a string offset inside the string section, found 99999") as caught:
        Btf(bytes(raw)).functions()
    assert caught.value.offset_bytes == at


def questions(btf: Btf) -> None:
    """Everything a Btf can be asked."""
    for name in ("vfs_open", "vfs_close", "f", ""):
        for func in btf.find_functions(name):
            btf.shape(func.proto_id)
            btf.prototype(func)
    btf.function_shapes()
    for ids in btf.functions().values():
        for type_id in ids:
            btf.prototype(btf.function(type_id))
    btf.typedefs_named("")
    btf.enumerators("bpf_attach_type")
    btf.find_enumerators("BPF_LSM_MAC")
    btf.has_member("file", "f_pos")
    btf.struct_size("file")
    btf.decl_tags("bpf_kfunc")
    btf.is_sorted()


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_blob_cut_anywhere_is_malformed(form):
    raw = small(**form).bytes()
    for size in range(len(raw)):
        with pytest.raises(Malformed):
            questions(Btf(raw[:size]))


def test_one_wrong_byte_anywhere_gives_an_answer_or_malformed():
    kernel = small()
    module = BtfWriter(base=kernel)
    module.function("vfs_open", 3, [("a", module.array(1, 4)), ("b", module.typedef("t", 1)), ("", 0)])
    refused = 0
    for raw, base in ((kernel.bytes(), None), (module.bytes(), Btf(kernel.bytes()))):
        for at in range(len(raw)):
            for value in (0, 1, 0x0C, 0x7F, 0xFF):
                try:
                    questions(Btf(raw[:at] + bytes([value]) + raw[at + 1 :], base))
                except Malformed:
                    refused += 1
    assert refused > 500


@pytest.mark.property
@EXAMPLES
@given(damaged(small().bytes()) | damaged(small(header_bytes=32).bytes()))
def test_damaged_bytes_give_an_answer_or_malformed_in_time(raw):
    began = time.process_time()
    with suppress(Malformed):
        questions(Btf(raw))
    assert time.process_time() - began < 1


def test_a_hostile_string_section_does_not_multiply_the_search():
    w = BtfWriter()
    w.func("a", w.func_proto())
    w.strings += b"a\0" * 20_000
    w.enum("b", dict.fromkeys(["c"], 0))
    w.types += w.types[-20:] * 20_000
    began = time.process_time()
    assert len(Btf(w.bytes()).find_functions("a")) == 1
    assert time.process_time() - began < 1


NAMES = st.sampled_from(["a", "b", "ab", "read", "vfs_read", "vfs_read.cold", "x" * 300, "é"])


@pytest.mark.property
@EXAMPLES
@given(
    kernel=st.lists(st.tuples(NAMES, NAMES), max_size=12),
    module=st.lists(st.tuples(NAMES, NAMES), max_size=12),
    byteorder=st.sampled_from(["little", "big"]),
    header_bytes=st.sampled_from([24, 32]),
    share_strings=st.booleans(),
)
def test_what_was_written_is_read_back_both_ways(kernel, module, byteorder, header_bytes, share_strings):
    first = BtfWriter(byteorder, header_bytes)
    second = None
    base = None
    for writer, functions in ((first, kernel), (second, module)):
        if writer is None:
            writer = BtfWriter(byteorder, header_bytes, base=first, share_strings=share_strings)
        written: dict[str, tuple[int, ...]] = {}
        for name, param in functions:
            writer.enum("", {name: 0x0C000000})
            written[name] = (*written.get(name, ()), writer.function(name, 0, [(param, 1), ("", 0)]))
        if base is None:
            writer.int("int")
        btf = Btf(writer.bytes(), base)
        for name in ("a", "b", "ab", "read", "vfs_read", "vfs_read.cold", "x" * 300, "é", "rea"):
            assert tuple(func.type_id for func in btf.find_functions(name)) == written.get(name, ())
        assert btf.functions() == written
        assert list(btf.function_shapes()) == sorted(i for ids in written.values() for i in ids)
        base = btf
