"""The texts compile, for every event of the bundled kernel; with one offset or size changed they do not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from probe_scout.commands import stub
from probe_scout.commands.stub import layout
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.trace import DATA_LOC, VALUE, EventField, EventReport
from probe_scout.sources import open_source
from tests.builders.format_writer import Field
from tests.conftest import ROOT

from .conftest import ORIGIN, made, text, tool

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
# A text before a number of each language's assertions, and the number: an offset, a size.
ASSERTED = {
    "c": (("PROBE_SCOUT_FIELD(tp_c_e, sum, ", 24), ("PROBE_SCOUT_FIELD(tp_c_e, sum, 24, ", 8)),
    "cxx": (("PROBE_SCOUT_FIELD(tp_c_e, sum, ", 24), ("PROBE_SCOUT_SIZE(tp_c_e, ", 80)),
    "rust": (("offset_of!(TpCE, sum) == ", 24), ("probe_scout_size(|r: &TpCE| &r.sum) == ", 8)),
    "go": (("Offsetof(TpCE{}.Sum)-", 24), ("Sizeof(TpCE{}.Sum)-", 8)),
    "python": (('("sum", ', 24), ('("sum", 24, ', 8)),
}


def report_of(fields):
    """An event with fields that no format file could hold."""
    return EventReport("c:e", 7, tuple(fields), end_bytes=fields[-1].offset + fields[-1].size)


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
    before, number = ASSERTED[compiler][which]
    changed = source.replace(f"{before}{number}", f"{before}{number + change}", 1)
    assert changed != source
    assert compilers.said(compiler, changed) != ""


# Each group is an offset or a size that is asserted; those against vmlinux.h have another struct.
ASSERTIONS = {
    "c": (r"_FIELD\(tp_\w+, \w+, (\d+), \d+\)", r"_FIELD\(tp_\w+, \w+, \d+, (\d+)\)", r"_SIZE\(tp_\w+, (\d+)\)"),
    "rust": (r"assert!\(.* == (\d+)",),
    "go": (r"_ = \[1\]struct\{\}\{\}\[.*-(\d+)",),
    "python": (r"^    \(\"\w+\", (\d+), \d+\),$", r"^    \(\"\w+\", \d+, (\d+)\),$", r"^_check\(\w+, (\d+)"),
}


@pytest.mark.parametrize("language", ["c", "rust", "go", "python"])
def test_each_number_of_a_real_event_that_is_off_by_one_is_an_error(compilers, bundled, language):
    """All but the one number of one assertion stays."""
    name = "net:net_dev_xmit"
    report = stub.report(bundled, [name], language)
    (made,) = report.stubs
    places = [one.span(1) for each in ASSERTIONS[language] for one in re.finditer(each, report.text, re.M)]
    assert len(places) == 2 * len(made.members) + 1
    taken = []
    for begin, end in places:
        number = int(report.text[begin:end])
        changed = f"{report.text[:begin]}{number + 1}{report.text[end:]}"
        if compilers.said(language, changed) == "":
            taken.append(report.text[:begin].rpartition("\n")[2])
    assert taken == []


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
    kinds = ("u32", VALUE), ("__data_loc char[]", DATA_LOC)
    places = [(name, declared, kind) for declared, kind in kinds for name in ODD]
    fields = [
        EventField(name, declared, 8 + 4 * at, 4, False, "value", None, "", kind, "char")
        for at, (name, declared, kind) in enumerate(places)
    ]
    source = stub.text([layout.record(report_of(fields))], language_of(compiler), ORIGIN)
    assert compilers.said(compiler, source) == ""


def test_a_located_field_and_a_plain_one_of_the_same_name_make_a_program(compilers):
    names = ("type", "type_len", "hits", "pid_tgid")
    fields = [Field("__data_loc char[]", name, 8 + 4 * at, 4) for at, name in enumerate(names)]
    fields += [Field("int", name, 24 + 4 * at, 4, 1) for at, name in enumerate(names)]
    assert compilers.said("object", stub.text([made(fields)], "c", ORIGIN, program=True)) == ""


def test_an_array_of_one_element_makes_a_program(compilers):
    """mem_allowed of sched_skip_cpuset_numa on arm64, whose MAX_NUMNODES is 16."""
    fields = [Field("unsigned long", "mem_allowed[1]", 8, 8), Field("int", "few[1]", 16, 4, 1)]
    fields += [Field("char", "letter[1]", 20, 1)]
    assert compilers.said("object", stub.text([made(fields)], "c", ORIGIN, program=True)) == ""


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


@pytest.fixture(scope="session")
def vmlinux_h(tmp_path_factory):
    """A folder with the vmlinux.h of the bundled kernel."""
    import subprocess
    import tarfile

    folder = tmp_path_factory.mktemp("headers")
    with tarfile.open(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz") as archive:
        raw = archive.extractfile("sys/kernel/btf/vmlinux").read()
    (folder / "btf").write_bytes(raw)
    words = [tool("bpftool"), "btf", "dump", "file", str(folder / "btf"), "format", "c"]
    (folder / "vmlinux.h").write_text(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return folder


HEADERS = """\
#define __TARGET_ARCH_x86
#pragma clang system_header
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
"""
ASKED = {
    "tp": ("sched:sched_switch", "syscalls:sys_enter_openat", "net:net_dev_xmit", "fib:fib_table_lookup"),
    **dict.fromkeys(("raw_tp", "tp_btf"), ("sched_switch", "sys_enter", "inet_sock_set_state")),
    **dict.fromkeys(("fentry", "fexit", "kprobe", "kretprobe"), ("vfs_read", "tcp_sendmsg")),
    "ksyscall": ("openat", "mmap"),
}
# Snapshots, separated by colons, for the whole lane: about two minutes for each.
KERNELS = [path for path in os.environ.get("PROBE_SCOUT_KERNELS", "").split(":") if path]
whole = pytest.mark.skipif(not KERNELS, reason="PROBE_SCOUT_KERNELS names no snapshots")
# A form of each kind; the others differ in a line, and each costs two readings of the kernel's header.
QUICK = ("tp", "core", "fexit")


@pytest.mark.parametrize(
    "attach", [*QUICK, *(pytest.param(one, marks=[whole, pytest.mark.stubs]) for one in ASKED if one not in QUICK)]
)
def test_headers_of_libbpf_and_of_the_kernel_stand_before_or_behind(compilers, bundled, vmlinux_h, attach):
    if not any(Path(folder, "bpf", "bpf_helpers.h").exists() for folder in ("/usr/include", "/usr/local/include")):
        pytest.skip("libbpf's headers are not installed")
    core, attach = attach == "core", "tp" if attach == "core" else attach
    names = [name for name in ASKED[attach] if not core or not name.startswith("syscalls:")]
    source = stub.report(bundled, names, "c", attach, core, program=True).text
    (vmlinux_h / "all.h").write_text(HEADERS)
    whole = f'#include "{vmlinux_h}/all.h"\n'
    assert compilers.said("object", whole + source) == ""
    assert compilers.said("object", source + whole) == ""


def test_a_vmlinux_h_of_another_layout_does_not_compile(compilers, bundled, vmlinux_h):
    source = stub.report(bundled, ["sched:sched_switch"]).text
    before = "PROBE_SCOUT_FIELD(trace_event_raw_sched_switch, prev_state, 32, 8)"
    assert before in source
    changed = source.replace(before, before.replace("32", "40"))
    head = f'#include "{vmlinux_h}/vmlinux.h"\n'
    assert compilers.said("object", head + source) == ""
    assert "not at offset 40" in compilers.said("object", head + changed)


@pytest.fixture(scope="module")
def every_event(bundled):
    return stub.report(bundled, ["*:*"])


def test_every_event_of_the_bundled_kernel_compiles_in_c(compilers, every_event):
    assert len(every_event.stubs) > 2400
    assert compilers.said("c", every_event.text) == ""


def test_every_event_with_a_btf_struct_compiles_with_relocation(compilers, every_event):
    stubs = [one for one in every_event.stubs if one.core]
    assert len(stubs) > 1500
    assert compilers.said("c", stub.text(stubs, "c", ORIGIN, core=True)) == ""


@pytest.mark.parametrize("language", ["rust", "go", "python"])
def test_some_events_of_the_bundled_kernel_compile_elsewhere(compilers, every_event, language):
    stubs = every_event.stubs[::20]
    assert compilers.said(language, stub.text(stubs, language, ORIGIN)) == ""


@whole
@pytest.mark.stubs
@pytest.mark.parametrize("root", KERNELS or [""], ids=os.path.basename)
@pytest.mark.parametrize("attach", ["tp", "raw_tp", "tp_btf"])
def test_every_stub_of_every_event_compiles_in_every_language(compilers, root, attach):
    report = stub.report(Kernel(open_source(root)), ["*:*"], "c", attach)
    assert len(report.stubs) > 300  # a slice holds some
    said = {"c": compilers.said("c", report.text), "cxx": compilers.said("cxx", report.text)}
    for language in ("rust", "go", "python"):
        said[language] = compilers.said(language, stub.text(report.stubs, language, ORIGIN))
    if attach == "tp":
        with_struct = [one for one in report.stubs if one.core]
        said["core"] = compilers.said("c", stub.text(with_struct, "c", ORIGIN, core=True))
    assert said == dict.fromkeys(said, "")


@whole
@pytest.mark.stubs
@pytest.mark.parametrize("root", KERNELS or [""], ids=os.path.basename)
@pytest.mark.parametrize("attach", ["tp", "raw_tp", "tp_btf"])
def test_every_program_of_every_event_compiles(compilers, root, attach):
    report = stub.report(Kernel(open_source(root)), ["*:*"], "c", attach)
    for core in (False, True) if attach == "tp" else (False,):
        stubs = [one for one in report.stubs if one.core or not core]
        assert compilers.said("c", stub.text(stubs, "c", ORIGIN, core, program=True)) == ""
        # Code for all of them takes a minute of clang and more.
        assert compilers.said("object", stub.text(stubs[::20], "c", ORIGIN, core, program=True)) == ""
