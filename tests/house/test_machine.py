"""The guard itself: what counts as the machine's, and that opening it is noted."""

from __future__ import annotations

import os

import pytest

from tests.builders import machine


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *(("/sys/fs/bpf", True), ("/sys", True), ("/proc/kallsyms", True), ("/proc", True), ("/lib/modules/6/x", True)),
        *(
            ("/proc/self/mountinfo", True),
            ("/proc/12/ns/net", True),
            ("/run/netns", True),
            ("/proc/../proc/kcore", True),
        ),
        *(("/proc/self/fd", False), ("/proc/12/stat", False), ("/system", False), ("/proc/net/psched", False)),
        *(("/tmp/proc/kallsyms", False), ("/procs", False)),
    ],
)
def test_what_is_the_machines(path, expected):
    assert machine.is_machines(path) is expected


def test_opening_and_listing_is_noted(tmp_path):
    outer, read = machine._noting, []
    machine.note(read)
    try:
        for ask in (os.listdir, os.scandir, open):
            with pytest.raises(OSError):
                ask("/proc/no_such_file")
        (tmp_path / "a").write_text("")
        os.listdir("/proc/self/fd")
    finally:
        machine.note(outer)
    assert read == ["/proc/no_such_file"] * 3


@pytest.mark.parametrize("is_lab_closed", [True, False])
def test_the_labs_kernels_are_noted_where_they_are_closed(is_lab_closed, monkeypatch, tmp_path):
    outer, read = machine._noting, []
    monkeypatch.setattr(machine, "_lab", f"{tmp_path}/kernels/")
    try:
        machine.note(read, is_lab_closed)
        with pytest.raises(OSError, match="vmlinuz"):
            open(tmp_path / "kernels" / "6.12" / "vmlinuz")
    finally:
        machine.note(outer)
    assert bool(read) is is_lab_closed
