"""What programs on one system call's event get, by the kernel's BTF, and not by the format file.

The numbers of 5.10-rt are those of the booted kernel (5.10.0-32-rt-amd64, dup3(0x1111, 0x2222, O_CLOEXEC)): a load of 8
bytes at 8 gave the call's number, one of 4 bytes at 12 gave 0, and the arguments were at 16, 24 and 32.
"""

from __future__ import annotations

import pytest

from probe_scout.commands import stub
from probe_scout.errors import NoStub
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.trace import SyscallCopy
from probe_scout.probes.tracepoints import listing, syscall_copy
from probe_scout.sources import open_source
from tests.builders.btf_writer import BtfWriter
from tests.builders.format_writer import COMMON, LAZY, Field, event_format
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

MIGRATE = Field("unsigned char", "common_migrate_disable", 8, 1)
RT = (*COMMON, MIGRATE, LAZY._replace(offset=9))
ENTER = (
    Field("int", "__syscall_nr", 12, 4, 1),
    Field("unsigned int", "oldfd", 16, 8),
    Field("unsigned int", "newfd", 24, 8),
    Field("int", "flags", 32, 8),
)
EXIT = (Field("int", "__syscall_nr", 12, 4, 1), Field("long", "ret", 16, 8, 1))
# Offset and size of the number, and offset of the values, of the three layouts beside a struct trace_entry of 12 bytes.
FIRST, SECOND, THIRD = (8, 8, 16), (16, 8, 24), (12, 4, 16)


def btf(*copies, value="args"):
    types = BtfWriter()
    word, number = types.int("long unsigned int", 8), types.int("int", 4, True)
    words = types.array(word, 6)
    for at, size, values in copies:
        types.struct(
            "syscall_tp_t",
            values + 48,
            [("syscall_nr", word if size == 8 else number, at * 8), (value, words, values * 8)],
        )
    types.struct("syscall_trace_enter", 16, [("nr", number, 96), ("args", word, 128)])
    return types.bytes()


def kernel(tmp_path, raw, common=RT, fields=ENTER, name="sys_enter_dup3"):
    files = tiny_files(events=("syscalls:sys_enter_dup3", "syscalls:sys_exit_dup3"))
    files[f"sys/kernel/tracing/events/syscalls/{name}/format"] = event_format(name, 751, fields, common=common)
    files["sys/kernel/btf/vmlinux"] = raw
    write_tree(tmp_path, files)
    return Kernel(open_source(str(tmp_path)))


def places(k, name="sys_enter_dup3", loads=()):
    report = listing.report(k, "syscalls", name, loads=loads)
    return report, {f.name: (f.offset, f.access) for f in report.fields if not f.common}


def test_5_10_rt_as_its_booted_kernel_answers(tmp_path):
    loads = ((8, 8), (8, 4), (12, 4), (16, 8), (32, 8), (40, 8))
    report, fields = places(kernel(tmp_path, btf(FIRST)), loads=loads)
    assert fields == {
        "__syscall_nr": (8, "value"),
        "oldfd": (16, "value"),
        "newfd": (24, "value"),
        "flags": (32, "value"),
    }
    assert [read.answer for read in report.reads] == ["yes", "yes", "yes", "yes", "yes", "no"]
    assert [read.field for read in report.reads[:3]] == ["__syscall_nr", "__syscall_nr", None]
    assert "upper half" in report.reads[2].says
    assert "common" not in " ".join(read.says for read in report.reads)
    assert "tracepoint_access.syscall_copy_layout" in [note.rule for note in report.notes]
    number = next(field for field in report.fields if field.name == "__syscall_nr")
    assert (number.record_offset, number.load) == (12, 4)
    assert {field.access for field in report.fields if field.common and field.offset >= 8} == {"absent"}


@pytest.mark.parametrize(
    ("copy", "number", "last", "accesses"),
    [(FIRST, 8, 32, "value"), (THIRD, 12, 32, "value"), (SECOND, 16, 40, "unreadable")],
)
def test_the_three_layouts_beside_common_fields_of_12_bytes(tmp_path, copy, number, last, accesses):
    """In the second the last argument lies behind what the format file calls the record: no program may load it."""
    report, fields = places(kernel(tmp_path, btf(copy)))
    assert (fields["__syscall_nr"], fields["flags"]) == ((number, "value"), (last, accesses))
    assert report.end_bytes == 40


def test_the_value_that_a_call_returns(tmp_path):
    k = kernel(tmp_path, btf(FIRST, value="ret"), fields=EXIT, name="sys_exit_dup3")
    assert places(k, "sys_exit_dup3")[1] == {"__syscall_nr": (8, "value"), "ret": (16, "value")}
    assert syscall_copy.layout(k, "sys_enter_dup3") is None


@pytest.mark.parametrize("raw", [btf(), btf(FIRST, THIRD), btf((4, 4, 8)), btf((8, 4, 20))])
def test_btf_that_does_not_tell_leaves_it_unknown(tmp_path, raw):
    """None, two that differ, and two that no kernel can have: the pointer's place, values that are not aligned."""
    k = kernel(tmp_path, raw)
    report, fields = places(k, loads=((16, 8),))
    assert {access for _, access in fields.values()} == {"unknown"}
    assert (report.reads[0].answer, "could not be read" in report.reads[0].says) == ("yes", True)
    assert "tracepoint_access.syscall_copy_untold" in [note.rule for note in report.notes]
    with pytest.raises(NoStub, match="syscall_tp_t") as caught:
        stub.report(k, ["syscalls:sys_enter_dup3"], "c", "tp")
    assert caught.value.exit_code == 3


def test_common_fields_of_8_bytes_prove_the_layout_without_btf(tmp_path):
    fields = (ENTER[0]._replace(offset=8), *ENTER[1:])
    report, found = places(kernel(tmp_path, btf(), COMMON, fields))
    assert (found["__syscall_nr"], found["oldfd"]) == ((8, "value"), (16, "value"))
    assert not [note for note in report.notes if "syscall_copy" in note.rule]
    elsewhere = (ENTER[0]._replace(offset=8), *(field._replace(offset=field.offset + 8) for field in ENTER[1:]))
    assert {access for _, access in places(kernel(tmp_path, btf(), COMMON, elsewhere))[1].values()} == {"unknown"}


def test_how_wide_the_number_is_here(tmp_path):
    fields = (ENTER[0]._replace(offset=8), *ENTER[1:])
    wide = places(kernel(tmp_path / "a", btf(FIRST), COMMON, fields), loads=((8, 8), (12, 4)))[0].reads
    assert ["8 bytes" in read.says for read in wide] == [True, True]
    narrow = places(kernel(tmp_path / "b", btf((8, 4, 16)), COMMON, fields), loads=((8, 8), (12, 4)))[0].reads
    assert "this kernel fills only the first 4 bytes" in narrow[0].says
    assert "padding" in narrow[1].says


def test_the_stub_has_the_layout_of_the_copy(tmp_path):
    made = stub.report(kernel(tmp_path, btf(FIRST)), ["syscalls:sys_enter_dup3"], "c", "tp").stubs[0]
    assert [(m.name, m.offset, m.size) for m in made.members] == [
        *(("reserved", 0, 8), ("__syscall_nr", 8, 4), ("pad_12", 12, 4)),
        *(("oldfd", 16, 8), ("newfd", 24, 8), ("flags", 32, 8)),
    ]
    assert any("the format file says 12" in note for note in made.notes)


def test_no_btf_at_all(tmp_path):
    files = tiny_files(events=("syscalls:sys_enter_dup3",), missing=("sys/kernel/btf/vmlinux",))
    write_tree(tmp_path, files)
    assert syscall_copy.layout(Kernel(open_source(str(tmp_path))), "sys_enter_dup3") is None


def test_the_recorded_kernels_tell_it(bundled):
    assert syscall_copy.layout(bundled, "sys_enter_openat") == SyscallCopy(8, 4, 16)
    assert syscall_copy.layout(bundled, "sys_exit_openat") == SyscallCopy(8, 4, 16)


@pytest.fixture(scope="module")
def bundled():
    return Kernel(open_source("fixtures/kernels/debian-6.12.107-amd64.tar.xz"))
