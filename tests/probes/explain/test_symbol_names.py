"""Names as text."""

from __future__ import annotations

import pytest

from probe_scout.probes.explain import symbol_names as names


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("vfs_read()", "vfs_read"),
        ("kprobe/vfs_read", "vfs_read"),
        ('SEC("fentry/vfs_read")', "vfs_read"),
        ("k:vfs_read", "vfs_read"),
        ("&vfs_read;", "vfs_read"),
        ("vfs_read@plt", "vfs_read"),
        ("vmlinux:vfs_read", "vfs_read"),
        ("vfs_read.", "vfs_read"),
        ("vfs_read.isra.0", "vfs_read.isra.0"),
        ("fs/read_write.c", "fs/read_write.c"),
    ],
)
def test_what_people_paste_is_unwrapped(written, bare):
    assert names.unwrapped(written) == bare


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("__x64_sys_execve", "execve"),
        ("__ia32_compat_sys_execve", "execve"),
        ("__se_sys_openat", "openat"),
        ("SyS_read", "read"),
        ("__arm64___x64_sys_listen", "listen"),
        ("sys_", None),
        ("system_call", None),
        ("vfs_read", None),
    ],
)
def test_the_system_call_that_a_name_spells(name, call):
    assert names.syscall_of(name) == call


@pytest.mark.parametrize(
    ("machine", "entry"),
    # tools/lib/bpf/libbpf.c, arch_specific_syscall_pfx and probe_kern_syscall_wrapper
    [
        ("x86_64", "__x64_sys_read"),
        ("aarch64", "__arm64_sys_read"),
        ("s390x", "__s390x_sys_read"),
        ("riscv64", "__riscv_sys_read"),
        ("i686", "__ia32_sys_read"),
        ("ppc64le", "__se_sys_read"),
        ("unknown", "__se_sys_read"),
    ],
)
def test_the_entry_of_a_system_call(machine, entry):
    assert names.syscall_entry(machine, "read") == entry


def test_suffixes_and_what_they_say():
    assert names.suffixes("f.isra.0.cold") == ("isra", "cold")
    assert names.changed_signature("f.constprop.0")
    assert not names.changed_signature("f.cold")
    assert not names.is_entry("f.isra.0.cold")
    assert names.is_entry("f.isra.0")
    assert names.stem("f.isra.0") == "f"


@pytest.mark.parametrize(
    ("prototype", "found"),
    [
        ("int f(int a, char *b)", "(int a, char *b)"),
        ("int f", ""),
        (")(", ""),
        ("f(void (*g)(int))", "(void (*g)(int))"),
    ],
)
def test_the_parameter_list_of_a_prototype(prototype, found):
    assert names.arguments(prototype) == found


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a or b"),
        (["a", "b", "c"], "a, b or c"),
        (list("abcdefgh"), "a, b, c, d, e, f or 2 more"),
    ],
)
def test_a_list_of_names_in_a_sentence(items, said):
    assert names.listed(items) == said
