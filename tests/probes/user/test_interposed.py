"""Whose function a process calls, by the search order of its loader: a made-up /proc, and one real process."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from probe_scout.frontends.session import open_kernel
from probe_scout.probes.user import interposed
from probe_scout.sources import user_files
from tests.builders import programs

PROGRAM = "int shared(int); int other(int); int main(void) { return shared(1) + other(2); }\n"
FIRST = "int shared(int x) { return x; } int only_first(void) { return 1; }\n"
SECOND = "int shared(int x) { return -x; } int other(int x) { return x; }\n"
EARLY = "int other(int x) { return x + 1; }\n"
WAITS = (
    '#include <stdio.h>\n#include <unistd.h>\nint main(void) { puts("ready"); fflush(stdout); pause(); return 0; }\n'
)
PUTS = "int puts(const char *text) { (void)text; return 1; }\n"


@pytest.fixture
def proc(tmp_path):
    """/proc with process 7, which runs prog with libfirst and libsecond, in that order, and libearly by LD_PRELOAD."""
    folder = tmp_path / "lib"
    folder.mkdir()
    for name, source in (("first", FIRST), ("second", SECOND), ("early", EARLY)):
        programs.compiled(folder, f"lib{name}.so", source, "-shared", "-fPIC", f"-Wl,-soname,lib{name}.so.1")
    libraries = [str(folder / "libfirst.so"), str(folder / "libsecond.so")]
    program = programs.compiled(tmp_path, "prog", PROGRAM, "-Wl,--no-as-needed", *libraries)
    process = tmp_path / "proc/7"
    process.mkdir(parents=True)
    files = [program, folder / "libsecond.so", folder / "libfirst.so", folder / "libearly.so"]
    lines = []
    for number, path in enumerate(files, 1):
        inode = path.stat().st_ino
        lines.append(f"{number:x}000-{number + 1:x}000 r-xp 00000000 00:01 {inode} {path}\n")
    (process / "maps").write_text("".join(lines))
    (process / "exe").symlink_to(program)
    (process / "root").symlink_to("/")
    (process / "environ").write_bytes(b"HOME=/\0LD_PRELOAD=%s\0" % os.fsencode(folder / "libearly.so"))
    return tmp_path / "proc"


def test_the_order_is_the_loaders(proc):
    order = [os.path.basename(one.path) for one in interposed.search_order(7, str(proc))]
    assert order == ["prog", "libearly.so", "libfirst.so", "libsecond.so"]
    (proc / "7/environ").write_bytes(b"")
    order = [os.path.basename(one.path) for one in interposed.search_order(7, str(proc))]
    assert order == ["prog", "libfirst.so", "libsecond.so"]
    assert interposed.search_order(8, str(proc)) == []


def test_who_defines(proc):
    images = {os.path.basename(one.path): one.image for one in interposed.search_order(7, str(proc))}
    assert [name for name, image in images.items() if interposed.defines(image, "shared")] == [
        "libfirst.so",
        "libsecond.so",
    ]
    assert [name for name, image in images.items() if interposed.defines(image, "other")] == [
        "libearly.so",
        "libsecond.so",
    ]
    assert not interposed.defines(images["prog"], "shared")  # it only calls it


def test_processes_of_a_file_by_what_they_map(tmp_path):
    """The same inode, a deleted one, another of the same path, and one that overlay shows with another inode."""
    path = tmp_path / "lib.so"
    path.write_bytes(b"x")
    other = tmp_path / "roots/4" / str(path).lstrip("/")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"y")
    of = user_files.FileState("", inode=path.stat().st_ino, device=path.stat().st_dev)
    device = f"{os.major(of.device):02x}:{os.minor(of.device):02x}"
    maps = {
        1: f"{device} {of.inode} {path}",
        2: f"{device} {of.inode + 1} {path} (deleted)",
        3: f"00:99 {of.inode + 2} {path}",
        4: f"00:99 {of.inode + 2} {path}",
        5: f"{device} {of.inode + 3} {path}.other",
    }
    for pid, text in maps.items():
        process = tmp_path / "proc" / str(pid)
        process.mkdir(parents=True)
        (process / "maps").write_text(f"1000-2000 r-xp 00000000 {text}\n")
        (process / "root").symlink_to(tmp_path / "roots/4" if pid == 4 else "/")
    found = user_files.mapped_by(str(path), of, 0x10, str(tmp_path / "proc"))
    assert sorted(found.pids) == [1, 3]
    assert (found.old, found.elsewhere, found.denied, found.at_offset) == ((2,), (4,), 0, True)


@pytest.mark.machine
def test_a_preloaded_library_of_a_real_process(tmp_path):
    library = programs.compiled(tmp_path, "libpre.so", PUTS, "-shared", "-fPIC")
    program = programs.compiled(tmp_path, "waits", WAITS)
    kernel = open_kernel("")
    with subprocess.Popen([program], env={**os.environ, "LD_PRELOAD": str(library)}) as child:
        try:
            time.sleep(0.3)
            (report,) = kernel.check([f"pid:{child.pid}:libc.so.6:puts"]).targets
            assert "limit.uprobe_interposed" in {limit.id for limit in report.limits}
            (report,) = kernel.check([f"pid:{child.pid}:libc.so.6:malloc"]).targets
            assert "limit.uprobe_interposed" not in {limit.id for limit in report.limits}
        finally:
            child.kill()
