"""The texts compile, for every event of the bundled kernel; with one offset or size changed they do not."""

from __future__ import annotations

import re

import pytest

from probe_scout import stub
from tests.builders.format_writer import Field

from .conftest import ORIGIN, made, text

LANGUAGES = ("c", "cxx", "rust", "go", "python")
FIELDS = (
    Field("__data_loc char[]", "name", 8, 4),
    Field("__data_loc u32[]", "numbers", 12, 4),
    Field("__rel_loc u8[]", "rest", 16, 4),
    Field("u8", "flag", 20, 1),
    Field("u64", "sum", 24, 8),
    Field("int[3]", "three", 32, 12, 1, 3),
    Field("char[5]", "text", 44, 5, 1, 5),
    Field("void *", "where", 56, 8),
    Field("struct guid", "id", 64, 16),
)
ODD = ("type", "class", "func", "match", "self", "0day", "a-b", "new", "int", "None", "var", "crate", "SECTION", "ctx")
# One number of each language's assertions.
ASSERTED = {
    "c": (r"(PROBE_SCOUT_FIELD\(tp_c_e, sum, )24", r"(PROBE_SCOUT_FIELD\(tp_c_e, sum, 24, )8"),
    "cxx": (r"(PROBE_SCOUT_FIELD\(tp_c_e, sum, )24", r"(PROBE_SCOUT_SIZE\(tp_c_e, )80"),
    "rust": (r"(offset_of!\(TpCE, sum\) == )24", r"(size_of::<TpCE>\(\) == )80"),
    "go": (r"(Offsetof\(TpCE\{\}\.Sum\)-)24", r"(Sizeof\(TpCE\{\}\.Sum\)-)8"),
    "python": (r'(\("sum", )24(?=, 8\))', r'(\("sum", 24, )8'),
}


def language_of(compiler):
    return "c" if compiler == "cxx" else compiler


@pytest.mark.parametrize("compiler", LANGUAGES)
def test_every_kind_of_field_compiles(compilers, compiler):
    assert compilers.said(compiler, text(FIELDS, language_of(compiler))) == ""


@pytest.mark.parametrize("compiler", LANGUAGES)
@pytest.mark.parametrize("which", [0, 1], ids=["offset", "size"])
@pytest.mark.parametrize("change", [1, -1])
def test_an_assertion_that_is_off_by_one_does_not_compile(compilers, compiler, which, change):
    source = text(FIELDS, language_of(compiler))
    pattern = ASSERTED[compiler][which]
    number = int(re.search(pattern[pattern.rindex(")") + 1 :].partition("(?")[0], re.search(pattern, source)[0])[0])
    changed = re.sub(pattern, lambda found: f"{found[1]}{number + change}", source, count=1)
    assert changed != source
    assert compilers.said(compiler, changed) != ""


@pytest.mark.parametrize("compiler", LANGUAGES)
def test_the_struct_of_another_kernel_does_not_pass_these_assertions(compilers, compiler):
    """One field moves by one, as on another kernel: its struct, with the assertions of this one."""
    moved = tuple(f._replace(offset=21) if f.name == "flag" else f for f in FIELDS)
    mine, other = (text(fields, language_of(compiler)) for fields in (FIELDS, moved))
    assert compilers.said(compiler, other) == ""
    begin = {"c": "PROBE_SCOUT_FIELD(tp_c_e", "rust": "const _", "go": "// The layout", "python": "_check(TpCE"}
    mark = begin[language_of(compiler)]
    head, tail = other.partition(mark)[0], mine.partition(mark)[2]
    if compiler in ("c", "cxx"):  # the guard's sum is the other's
        tail = tail.replace(re.search(r"#elif .*", mine)[0], "#elif 0")
    assert compilers.said(compiler, head + mark + tail) != ""


@pytest.mark.parametrize("compiler", LANGUAGES)
def test_reserved_words_and_odd_names_compile(compilers, compiler):
    fields = [*(Field("u32", name, 8 + 4 * place, 4) for place, name in enumerate(ODD))]
    fields += [Field("__data_loc char[]", name, 8 + 4 * (len(ODD) + place), 4) for place, name in enumerate(ODD)]
    # The format's reader takes C identifiers; the stubs take what a damaged or foreign file may hold.
    assert (
        compilers.said(compiler, text(tuple(f for f in fields if f.name.isidentifier()), language_of(compiler))) == ""
    )


@pytest.mark.parametrize("compiler", LANGUAGES)
def test_events_of_like_names_share_a_file(compilers, compiler):
    stubs = [made(FIELDS, name="b_c", category="a"), made(FIELDS, name="c", category="a_b"), made(FIELDS, "9p", "9p")]
    source = stub.text(list({one.title: one for one in stubs}.values()), language_of(compiler), ORIGIN)
    assert compilers.said(compiler, source) == ""


def test_a_header_may_be_included_twice_but_not_with_another_layout(compilers):
    mine = text(FIELDS)
    other = text(FIELDS[:-1])
    assert compilers.said("c", mine + mine) == ""
    assert "two headers with different layouts" in compilers.said("c", mine + other)


def test_the_header_stands_with_the_types_of_other_headers(compilers):
    types = "typedef unsigned char __u8;\ntypedef unsigned long long __u64;\ntypedef signed char __s8;\n"
    assert compilers.said("c", types + text(FIELDS) + types) == ""


@pytest.mark.parametrize("attach", ["tp", "raw_tp"])
def test_every_event_of_the_bundled_kernel_compiles_in_c(compilers, bundled, attach):
    report = stub.report(bundled, ["*:*"], "c", attach)
    assert len(report.stubs) > 1500
    assert compilers.said("c", report.text) == ""


def test_every_event_with_a_btf_struct_compiles_with_relocation(compilers, bundled):
    stubs = [one for one in stub.report(bundled, ["*:*"]).stubs if one.core]
    assert len(stubs) > 1500
    assert compilers.said("c", stub.text(stubs, "c", ORIGIN, core=True)) == ""


@pytest.mark.parametrize("language", ["rust", "go", "python"])
def test_some_events_of_the_bundled_kernel_compile_elsewhere(compilers, bundled, language):
    report = stub.report(bundled, ["sched:*", "syscalls:sys_enter_*at", "net:*", "xfs:xfs_d*"], language)
    assert len(report.stubs) > 100
    assert compilers.said(language, report.text) == ""
