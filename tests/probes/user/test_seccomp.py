"""Return probes in processes under seccomp: told where they are a system call, and no exception for it shows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from probe_scout.formats.elf.user_image import EM_386, EM_X86_64
from probe_scout.probes.user import seccomp
from probe_scout.sources import user_files

FILE = SimpleNamespace(image=SimpleNamespace(machine=EM_X86_64))
CALL, LATER = "__x64_sys_uretprobe", "__x64_sys_uprobe"


def kernel(*symbols: str, cut: bool = False, readable: bool = True) -> SimpleNamespace:
    return SimpleNamespace(
        has_symbol=lambda *names: bool(set(names) & set(symbols)) if readable else None, is_cut=lambda: cut
    )


@pytest.mark.parametrize(
    ("k", "passed"),
    [
        (kernel(), True),  # no such system call
        (kernel(cut=True), None),
        (kernel(CALL), None),
        (kernel(CALL, LATER), True),
        (kernel(CALL, "arch_uprobe_optimize"), True),
        (kernel(readable=False), None),
    ],
)
def test_what_the_kernel_shows(k, passed):
    assert seccomp.is_passed(k) is passed


@pytest.mark.parametrize(
    ("modes", "types", "machine", "told"),
    [
        ({7: 2}, ("uretprobe",), EM_X86_64, "Process 7 runs"),
        ({7: 2, 8: 1}, ("uretprobe",), EM_X86_64, "2 processes (7, 8)"),
        ({7: 0}, ("uretprobe",), EM_X86_64, ""),
        ({7: 2}, (), EM_X86_64, ""),
        ({7: 2}, ("uretprobe",), EM_386, ""),
    ],
)
def test_limits(monkeypatch, modes, types, machine, told):
    monkeypatch.setattr(user_files, "seccomp_mode", modes.get)
    file = SimpleNamespace(image=SimpleNamespace(machine=machine))
    found = list(seccomp.limits(kernel(CALL), file, tuple(modes), types))  # type: ignore[arg-type]
    assert [one.id for one in found] == ["limit.uretprobe_seccomp"] * bool(told)
    assert all(told in one.says and one.effect == "unknown" for one in found)
    assert not list(seccomp.limits(kernel(CALL, LATER), file, tuple(modes), types))  # type: ignore[arg-type]


def test_the_mode_of_a_recorded_process(tmp_path):
    for pid, text in ((7, "Seccomp:\t2\nSeccomp_filters:\t3\n"), (8, "Seccomp_filters:\t3\n")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "status").write_text(f"Name:\tx\n{text}")
    assert [user_files.seccomp_mode(pid, str(tmp_path)) for pid in (7, 8, 9)] == [2, 0, 0]
