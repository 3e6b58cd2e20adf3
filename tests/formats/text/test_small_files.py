"""error_injection/list, modules, modules.dep, lockdown, lsm, status, sysctl, enabled_functions, ELF notes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.elf import notes as elf_notes
from probe_scout.formats.text import enabled_functions, error_injection, modules, modules_dep, proc_status, security
from tests.builders.damage import EXAMPLES, answer, damaged
from tests.builders.small_files import error_injection as write_injection
from tests.builders.small_files import note

INJECTION = write_injection(
    [
        ("should_failslab", None, "ERRNO"),
        ("open_ctree", "btrfs", "ERRNO"),
        ("kmalloc_fail", None, "NULL"),
        ("twice", None, "TRUE"),
        ("twice", None, "NULL"),
    ]
)
MODULES = (
    b"dm_mod 221184 0 - Live 0xffffffffc0c41000\n"
    b"virtio 16384 3 9pnet_virtio,virtio_pci, Live 0xffffffffc0002000\n"
    b"nvidia 40960 1 [permanent], Loading 0x0000000000000000 (POE)\n"
    b"old 4096 - - Live 0xffffffffc0001000\n"
)
DEP = (
    b"kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz kernel/crypto/crc32c-generic.ko.xz\n"
    b"kernel/lib/libcrc32c.ko.xz:\n"
    b"kernel/crypto/crc32c-generic.ko.xz:\n"
    b"extra/a_b-c_d-e_f-g.ko:\n"
    b"top.ko:\n"
)
BUILTIN = b"kernel/fs/ext4/ext4.ko\nkernel/drivers/acpi/button-x_y.ko\ntop.ko\n"
ENABLED = (
    b"kfree (1)    D    \ttramp: ftrace_regs_caller+0x0/0x60 (call_direct_funcs+0x0/0x20)\n"
    b"\tdirect-->bpf_trampoline_6442536467+0x0/0x1000\n"
    b"vfs_read (2) R I      ->ftrace_ops_list_func+0x0/0x10\n"
    b"xfs_read [xfs] (1)        M \tops: x+0x0/0x1 (y+0x0/0x2)\n"
    b"__ftrace_invalid_address___112\n"
    b"old (1) R   \n"
    b"jumped (1)    D    \n"
    b"\tdirect(jmp)-->bpf_trampoline_1+0x0/0x1000\n"
)
STATUS = b"Name:\tcat\nUid:\t1000\t0\t0\t0\nCapInh:\t0000000000000000\nCapEff:\t0000024000280000\nCapBnd:\t0\n"
NOTES = note(b"Linux", 257, b"\1\0\0\0") + note(b"GNU", 3, bytes(range(20))) + note(b"GNU", 5, b"x")


def test_error_injection_by_name_and_module():
    assert error_injection.find(INJECTION, "should_failslab") == "ERRNO"
    assert error_injection.find(INJECTION, "kmalloc_fail") == "NULL"
    assert error_injection.find(INJECTION, "kmalloc") is None
    assert error_injection.find(INJECTION, "failslab") is None
    assert error_injection.find(INJECTION, "open_ctree") is None
    assert error_injection.find(INJECTION, "open_ctree", "btrfs") == "ERRNO"
    assert error_injection.find(INJECTION, "twice") == "TRUE"


def test_error_injection_of_all_names_agrees():
    every = error_injection.table(INJECTION)
    assert len(every) == 4
    for name, module in every:
        assert error_injection.find(INJECTION, name, module) == every[name, module]


def test_modules_with_users_taints_and_hidden_addresses():
    every = modules.table(MODULES)
    assert list(every) == ["dm_mod", "virtio", "nvidia", "old"]
    assert every["dm_mod"] == modules.Module("dm_mod", 221184, 0, (), "Live", 0xFFFFFFFFC0C41000, "")
    assert every["virtio"].users == ("9pnet_virtio", "virtio_pci")
    assert every["nvidia"][2:] == (1, ("[permanent]",), "Loading", 0, "POE")
    assert every["old"].references is None
    assert all(modules.find(MODULES, name) == every[name] for name in every)
    assert modules.find(MODULES, "virt") is None
    assert modules.find(b"", "virtio") is None


def test_a_module_line_that_does_not_fit_is_malformed():
    for line in (
        b"x\n",
        b"x 1 0 - Live\n",
        b"x y 0 - Live 0x1\n",
        b"x 1 0 - Dead 0x1\n",
        b"x 1 0 - Live 0xg\n",
        b"x 1_0 0 - Live 0x1\n",
    ):
        with pytest.raises(Malformed) as caught:
            modules.table(MODULES + line)
        assert caught.value.offset_bytes == len(MODULES)
        with pytest.raises(Malformed):
            modules.find(MODULES + line.replace(b"x\n", b"x \n"), "x")


def test_module_files_by_name_whatever_the_dash():
    assert modules_dep.find(DEP, "crc32c_generic") == ("kernel/crypto/crc32c-generic.ko.xz", ())
    assert modules_dep.find(DEP, "crc32c-generic") == modules_dep.find(DEP, "crc32c_generic")
    assert modules_dep.find(DEP, "xfs").needs == ("kernel/lib/libcrc32c.ko.xz", "kernel/crypto/crc32c-generic.ko.xz")
    assert modules_dep.find(DEP, "crc32c") is None
    assert modules_dep.find(DEP, "top") == ("top.ko", ())


def test_all_module_files_agree():
    every = modules_dep.table(DEP)
    assert list(every) == ["xfs", "libcrc32c", "crc32c_generic", "a_b_c_d_e_f_g", "top"]
    assert all(modules_dep.find(DEP, name) == every[name] for name in every)


def test_built_in_modules():
    assert modules_dep.table_builtin(BUILTIN) == {"ext4", "button_x_y", "top"}
    for name in ("ext4", "button-x-y", "button_x_y", "top"):
        assert modules_dep.find_builtin(BUILTIN, name)
    for name in ("ext", "xt4", "x_y", "op", ""):
        assert not modules_dep.find_builtin(BUILTIN, name)


def test_lockdown_level():
    assert security.lockdown(b"[none] integrity confidentiality\n") == "none"
    assert security.lockdown(b"none integrity [confidentiality]\n") == "confidentiality"
    for raw in (b"", b"none integrity confidentiality\n", b"[none] [integrity]\n", b"[none] integ", b"[other]\n"):
        with pytest.raises(Malformed):
            security.lockdown(raw)


def test_security_modules_in_order():
    assert security.lsm(b"lockdown,capability,bpf") == ("lockdown", "capability", "bpf")
    for raw in (b"", b"a,,b", b"a b"):
        with pytest.raises(Malformed):
            security.lsm(raw)


def test_the_effective_user_and_capabilities_count():
    mask = 1 << 19 | 1 << 21 | 1 << 38 | 1 << 50
    raw = STATUS.replace(b"0000024000280000", b"%016x" % mask)
    assert proc_status.caller(raw) == (0, {"CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_50"})


def test_status_without_the_lines_is_malformed():
    for raw in (
        b"",
        b"Name:\tcat\n",
        STATUS.replace(b"CapEff", b"CapX"),
        STATUS.replace(b"1000\t0", b"1000"),
        STATUS[:60],
    ):
        with pytest.raises(Malformed):
            proc_status.caller(raw)


def test_a_sysctl_is_one_number():
    assert proc_status.integer(b"2\n", "p") == 2
    assert proc_status.integer(b"-1\n", "p") == -1
    for raw in (b"", b"2", b"a\n", b"1\t2\n", b"-\n"):
        with pytest.raises(Malformed):
            proc_status.integer(raw, "p")


def test_enabled_functions_with_flags_and_direct_targets():
    found = enabled_functions.table(ENABLED)
    assert [(f.name, f.module, f.users, f.flags) for f in found] == [
        ("kfree", None, 1, "D"),
        ("vfs_read", None, 2, "RI"),
        ("xfs_read", "xfs", 1, "M"),
        ("old", None, 1, "R"),
        ("jumped", None, 1, "D"),
    ]
    assert [f.direct for f in found] == [
        "bpf_trampoline_6442536467+0x0/0x1000", None, None, None, "bpf_trampoline_1+0x0/0x1000"
    ]  # fmt: skip
    assert found[1].calls == "->ftrace_ops_list_func+0x0/0x10"
    assert enabled_functions.unnamed(ENABLED) == 1
    assert all(enabled_functions.find(ENABLED, f.name) == (f,) for f in found)
    assert enabled_functions.find(ENABLED, "vfs") == ()
    assert enabled_functions.table(b"") == ()


@pytest.mark.parametrize(
    "line", [b"kfree", b"kfree (x) R", b"kfree (1) r", b"kfree x (1)", b"\ttramp", b"\tdirect-->", b"kfree ("]
)
def test_other_enabled_lines_are_malformed(line):
    with pytest.raises(Malformed) as caught:
        enabled_functions.table(ENABLED + line + b"\n")
    assert caught.value.offset_bytes == len(ENABLED)


def test_the_build_id_among_the_notes():
    assert elf_notes.build_id(NOTES) == bytes(range(20)).hex()
    assert elf_notes.build_id(note(b"GNU", 5, b"abcd")) is None
    assert elf_notes.build_id(b"") is None
    assert [n.content for n in elf_notes.notes(NOTES)] == [b"\1\0\0\0", bytes(range(20)), b"x"]


def test_notes_that_are_cut_off_are_malformed():
    ends = {0, 24, 24 + 36, len(NOTES), len(NOTES) - 1, len(NOTES) - 2, len(NOTES) - 3}  # the padding is no content
    for length in range(len(NOTES) + 1):
        if length not in ends:
            with pytest.raises(Malformed):
                elf_notes.build_id(NOTES[:length])


@pytest.mark.property
@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from((b"GNU", b"Linux", b"stapsdt")), st.integers(0, 9), st.binary(max_size=30))))
def test_notes_written_are_read(drawn):
    raw = b"".join(note(*one) for one in drawn)
    assert [(n.name, n.type, n.content) for n in elf_notes.notes(raw)] == drawn


SCANNERS = {
    "error_injection": (error_injection.table, INJECTION),
    "error_injection.find": (lambda raw: error_injection.find(raw, "twice"), INJECTION),
    "modules": (modules.table, MODULES),
    "modules.find": (lambda raw: modules.find(raw, "nvidia"), MODULES),
    "modules_dep": (modules_dep.table, DEP),
    "modules_dep.find": (lambda raw: modules_dep.find(raw, "crc32c_generic"), DEP),
    "modules_dep.builtin": (modules_dep.table_builtin, BUILTIN),
    "lockdown": (security.lockdown, b"[none] integrity confidentiality\n"),
    "lsm": (security.lsm, b"lockdown,capability,bpf"),
    "status": (proc_status.caller, STATUS),
    "sysctl": (lambda raw: proc_status.integer(raw, "p"), b"4096\n"),
    "enabled_functions": (enabled_functions.table, ENABLED),
    "enabled_functions.find": (lambda raw: enabled_functions.find(raw, "kfree"), ENABLED),
    "elf_notes": (elf_notes.build_id, NOTES),
}


@pytest.mark.property
@pytest.mark.parametrize("scanner", SCANNERS)
@EXAMPLES
@given(st.data())
def test_damaged_bytes_are_an_answer_or_malformed(scanner, data):
    scan, raw = SCANNERS[scanner]
    answer(scan, data.draw(damaged(raw)))


AGREE = {
    "error_injection": (
        lambda raw: {k: error_injection.find(raw, *k) for k in error_injection.table(raw)},
        error_injection.table,
        INJECTION,
    ),
    "modules": (lambda raw: {n: modules.find(raw, n) for n in modules.table(raw)}, modules.table, MODULES),
    "modules_dep": (lambda raw: {n: modules_dep.find(raw, n) for n in modules_dep.table(raw)}, modules_dep.table, DEP),
}


@pytest.mark.property
@pytest.mark.parametrize("scanner", AGREE)
@EXAMPLES
@given(st.data())
def test_one_name_and_all_names_agree_on_damaged_bytes(scanner, data):
    one_by_one, table, raw = AGREE[scanner]
    broken = data.draw(damaged(raw))
    every = answer(table, broken)
    assert every is None or one_by_one(broken) == every
