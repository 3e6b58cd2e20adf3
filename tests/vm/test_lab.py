"""The lab's parts that need no QEMU: table, choice of packages, archives, module order, how a boot ended."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vm import archives, boot, cache, cpio, fetch, foreign, modules, packages, problems
from tests.vm.__main__ import OTHERS, main
from tests.vm.kernels import KERNELS, NEWEST, named
from tests.vm.machines import MACHINES, NATIVE

PACKAGES = """\
Package: linux-image-7.3.4+deb13-amd64
Version: 7.3.4-1~bpo13+1
Depends: dracut | initramfs-tools (>= 0.120), linux-base-7.3.4+deb13-amd64 (= 7.3.4-1), linux-binary-7.3.4+deb13-amd64 (= 7.3.4-1), linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1)
Description: Linux
 Package: not a field

Package: linux-binary-7.3.4+deb13-amd64
Version: 7.3.4-1~bpo13+1

Package: linux-modules-7.3.4+deb13-amd64
Version: 7.3.4-1~bpo13+1

Package: linux-image-7.3.12+deb13-amd64
Version: 7.3.12-1
Depends: kmod

Package: vim
Version: 9
"""  # noqa: E501


# The command


def test_every_command_is_described():
    page = (Path(__file__).resolve().parents[2] / "docs" / "lab.md").read_text()
    assert [name for name in OTHERS if f"python -m tests.vm {name} " not in page] == []


@pytest.mark.parametrize("name", OTHERS)
def test_the_help_of_every_command(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert f"python -m tests.vm {name}" in capsys.readouterr().out


def test_a_package_that_is_missing_is_named():
    problems.needs("json")
    with pytest.raises(problems.LabError, match="no_such_package is not installed"):
        problems.needs("no_such_package")


# The table


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_a_row_of_the_table_is_sound(kernel):
    assert re.fullmatch(kernel.release, kernel.pinned)
    assert kernel.pinned.startswith(kernel.name.partition("-")[0] + ".")
    assert (kernel.flavour == "generic") == ("-" not in kernel.name)
    assert kernel.pinned.endswith(f"-{kernel.arch.debian}")
    assert ("-cloud-" in kernel.pinned, "-rt-" in kernel.pinned) == (kernel.flavour == "cloud", kernel.flavour == "rt")
    assert kernel.modules
    assert kernel.purpose


def test_each_pinned_release_belongs_to_one_row():
    fits = {k.name: [o.name for o in KERNELS.values() if re.fullmatch(o.release, k.pinned)] for k in KERNELS.values()}
    assert fits == {name: [name] for name in KERNELS}


def test_the_lines_that_the_project_promises():
    assert {"5.10", "6.1", "6.12", "7.3"} <= set(KERNELS)
    assert {"6.18", "6.19"} & set(KERNELS)
    assert {"7.1", "7.2"} & set(KERNELS)
    assert {"cloud", "rt"} <= {kernel.flavour for kernel in KERNELS.values()}
    assert len(KERNELS) >= 8
    assert NEWEST in KERNELS


def test_the_page_has_every_row():
    page = (packages.ROOT / "docs" / "lab.md").read_text()
    rows = [re.split(r" *\| *", line)[1:-1] for line in page.splitlines() if line.startswith("|")]
    shown = [row for row in rows if len(row) == 5 and row[0] not in ("name", "---")]
    assert shown == [[k.name, k.suite, k.pinned, k.flavour, k.purpose] for k in KERNELS.values()]


# Packages


@pytest.mark.parametrize(
    ("releases", "taken"),
    [
        (["7.3.4+deb13-amd64", "7.3.12+deb13-amd64"], "7.3.4+deb13-amd64"),
        (["7.3.9+deb13-amd64", "7.3.12+deb13-amd64", "7.4.1+deb13-amd64"], "7.3.12+deb13-amd64"),
        (["7.3.9+deb13-cloud-amd64", "7.3.5+deb13-amd64", "7.3.7+deb13-amd64-dbg"], "7.3.5+deb13-amd64"),
    ],
)
def test_the_pinned_build_is_taken_else_the_newest(releases, taken):
    assert fetch.choose(KERNELS["7.3"], [f"linux-image-{release}" for release in releases]) == taken


def test_no_package_is_one_sentence():
    with pytest.raises(problems.LabError, match=r"^trixie-backports has no package linux-image-7"):
        fetch.choose(KERNELS["7.3"], ["linux-image-6.1.0-50-amd64", "linux-binary-7.3.4+deb13-amd64"])


def test_split_images_bring_their_parts_and_lost_ones_are_named():
    available = fetch.parse_packages(PACKAGES)
    assert "vim" not in available
    assert available["linux-binary-7.3.4+deb13-amd64"] == ("7.3.4-1~bpo13+1", ())
    assert fetch.parts("7.3.4+deb13-amd64", available) == (
        [f"linux-{part}-7.3.4+deb13-amd64" for part in ("image", "binary", "modules")],
        ["linux-base-7.3.4+deb13-amd64"],
    )
    assert fetch.parts("7.3.12+deb13-amd64", available) == (["linux-image-7.3.12+deb13-amd64"], [])


def test_the_mirror_is_the_variables_or_apts(monkeypatch):
    monkeypatch.setenv("PROBE_SCOUT_MIRROR", "https://mirror.example/debian/")
    assert fetch.mirror() == "https://mirror.example/debian"
    monkeypatch.delenv("PROBE_SCOUT_MIRROR")
    said = ["https://a.example/tools\nhttps://a.example/debian-security/\nhttps://a.example/debian/\n", ""]
    monkeypatch.setattr(fetch, "run", lambda *words: said.pop(0))
    assert fetch.mirror() == "https://a.example/debian"
    with pytest.raises(problems.LabError, match="PROBE_SCOUT_MIRROR"):
        fetch.mirror()


# Archives


def archive(fill):
    out = io.BytesIO()
    writer = cpio.Writer(out)
    fill(writer)
    writer.close()
    return out.getvalue()


def test_an_archive_is_read_back(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "empty").write_bytes(b"")
    (tmp_path / "program").write_bytes(b"\x7fELF")
    (tmp_path / "program").chmod(0o700)
    (tmp_path / "nowhere").symlink_to("gone")

    def fill(writer):
        writer.data("/a/b/c", b"12345")
        writer.data("a/b/c", b"second")
        writer.link("bin", "usr/bin")
        writer.tree("host", tmp_path)

    raw = archive(fill)
    assert len(raw) % cpio.ALIGNMENT_BYTES == 0
    folder, file, program = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFREG | 0o755
    assert [tuple(entry) for entry in cpio.read(raw)] == [
        ("a", folder, b""),
        ("a/b", folder, b""),
        ("a/b/c", file, b"12345"),
        ("bin", stat.S_IFLNK | 0o777, b"usr/bin"),
        ("host", folder, b""),
        ("host/deep", folder, b""),
        ("host/program", program, b"\x7fELF"),
        ("host/deep/empty", file, b""),
    ]


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_reads_it_too():
    raw = archive(lambda writer: [writer.data(f"folder/{'n' * n}", b"x" * n) for n in range(1, 9)])
    done = subprocess.run(["cpio", "-t", "--quiet"], input=raw, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["folder", *(f"folder/{'n' * n}" for n in range(1, 9))]
    assert done.stderr == b""


@given(st.dictionaries(st.text("abc", min_size=1, max_size=5), st.binary(max_size=20)))
def test_any_files_are_read_back(files):
    raw = archive(lambda writer: [writer.data(name, data) for name, data in files.items()])
    assert {entry.path: entry.data for entry in cpio.read(raw)} == files


@pytest.mark.parametrize("raw", [b"", b"070702" + b"0" * 104, archive(lambda writer: None)[4:]])
def test_what_is_no_archive_is_told(raw):
    with pytest.raises(ValueError, match="no cpio header at byte 0"):
        list(cpio.read(raw))


# Modules

FILES = {
    "modules.dep": """\
kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz
kernel/lib/libcrc32c.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/arch/crc32c-intel.ko.xz:
kernel/net/a.ko: kernel/net/b.ko kernel/net/c.ko
kernel/net/b.ko: kernel/net/c.ko
kernel/net/c.ko:
""",
    "modules.softdep": "# Soft\nsoftdep libcrc32c pre: crc32c\nsoftdep xfs pre: gone post: a\nsoftdep c pre: a\n",
    "modules.alias": "# Aliases\nalias crc32c crc32c_intel\nalias crc32c crc32c_generic\nalias pci:v0* a\n",
    "modules.builtin": "kernel/fs/ext4/ext4.ko\n",
}


@pytest.fixture
def module_index(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return modules.index(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "order", "missing"),
    [
        (["xfs"], ["crc32c_intel", "crc32c_generic", "libcrc32c", "xfs"], []),
        (["a"], ["c", "b", "a"], []),
        (["c"], ["b", "a", "c"], []),  # soft dependencies may go in a circle
        (["b", "a", "b"], ["a", "c", "b"], []),
        (["crc32c-intel", "ext4"], ["crc32c_intel"], []),
        (["no_such", "gone"], [], ["no_such", "gone"]),
        ([], [], []),
    ],
)
def test_modules_come_after_what_they_need(module_index, wanted, order, missing):
    assert modules.order(module_index, wanted) == (tuple(order), tuple(missing))


def test_a_kernel_without_modules_has_none(tmp_path):
    assert modules.order(modules.index(tmp_path / "gone"), ["xfs"]) == ((), ("xfs",))


# The job


def kernel_of(tmp_path, release="7.3.4"):
    folder = tmp_path / "kernels" / "7.3"
    tree = folder / "tree" / "lib" / "modules" / release
    (tree / "kernel").mkdir(parents=True)
    for name in ("virtio_pci", "virtio_console", "xfs"):
        (tree / "kernel" / f"{name}.ko").write_bytes(name.encode())
    (tree / "modules.dep").write_text("".join(f"kernel/{n}.ko:\n" for n in ("virtio_pci", "virtio_console", "xfs")))
    for name, text in {
        "release": release,
        "packages": "linux-image-x 1",
        "vmlinuz": "",
        "config": "CONFIG_BPF=y",
    }.items():
        (folder / name).write_text(text + "\n")
    return folder


@pytest.fixture
def cached(tmp_path, monkeypatch):
    kernel_of(tmp_path)
    monkeypatch.setenv("PROBE_SCOUT_LAB", str(tmp_path))
    return cache.get("7.3")


def job(**changed):
    plain = archives.Job(["echo", "a b"], {}, [], [], "/", [], [])
    return plain._replace(**changed)


def test_a_job_holds_modules_options_and_shared_files(cached, tmp_path):
    (tmp_path / "note").write_text("hello")
    asked = job(modules=["xfs", "virtio_pci", "gone"], without=["tracefs"], share={"/host/n": tmp_path / "note"})
    assert archives.write_job(tmp_path / "job", cached, asked) == ("gone",)
    held = {entry.path: entry.data for entry in cpio.read((tmp_path / "job").read_bytes())}
    assert held["job/early"] == b"virtio_pci\nvirtio_console\n"
    assert (held["job/load"], held["job/modules/xfs.ko"]) == (b"xfs\n", b"xfs")
    assert (held["job/without"], held["host/n"]) == (b"tracefs\n", b"hello")
    assert held["boot/config-7.3.4"] == b"CONFIG_BPF=y\n"
    assert held["job/command"].endswith(b"cd /\nexec echo 'a b'\n")


def test_the_command_is_quoted():
    text = archives.command_text(job(command=["echo", "$HOME", "it's"], env=["A=x y", "B="], cwd="/a b"))
    done = subprocess.run(["sh", "-n"], input=text, text=True)
    assert done.returncode == 0
    assert text.splitlines()[1:] == ["export A='x y'", "export B=''", "cd '/a b'", "exec echo '$HOME' 'it'\"'\"'s'"]


@pytest.mark.parametrize("setting", ["A", "a b=c", "=x", "A;rm=1"])
def test_a_variable_without_a_name_or_value_is_refused(setting):
    with pytest.raises(problems.LabError, match="NAME=VALUE"):
        archives.command_text(job(env=[setting]))


def test_a_shared_file_that_is_not_there_is_told(cached, tmp_path):
    with pytest.raises(problems.LabError, match=r"gone is to be /host in the guest and is not there"):
        archives.write_job(tmp_path / "job", cached, job(share={"/host": tmp_path / "gone"}))


def test_a_prepared_part_is_written_once_and_anew_when_its_source_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE_SCOUT_LAB", str(tmp_path))
    written = []

    def write(out):
        written.append(out)
        out.data("a", b"b")

    first = archives._kept("kind", ["one"], write)
    assert archives._kept("kind", ["one"], write) == first
    assert archives._kept("kind", ["two"], write) != first
    assert len(written) == 2
    assert [entry.path for entry in cpio.read(first.read_bytes())] == ["a"]


def test_the_tools_files_hold_the_package_and_what_it_needs():
    names = {guest for guest, _ in packages.tool_files()}
    assert {"probe_scout/__main__.py", "typer/__init__.py", "elftools/__init__.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(("..", "/"))]


# How a boot ended


@pytest.mark.parametrize(
    ("control", "console", "is_late", "code", "status", "command_at_s"),
    [
        ("up=3.25\nstatus=0\n", "x", False, 0, 0, 3.25),
        ("up=3.25\nstatus=7\n", "x", False, 0, 7, 3.25),
        ("up=3.25\nstatus=7\n", "x", True, -15, 7, 3.25),  # answered, and did not power off
        ("up=3.25\n", "x", True, -15, boot.TIME_LIMIT, 3.25),
        ("", "x", True, -15, boot.TIME_LIMIT, None),
        ("up=3.25\n", "Kernel panic", False, 0, boot.PANIC, 3.25),
        ("up=3.25\nstatus=1", "x", False, 0, boot.PANIC, 3.25),  # the line was cut off: 1, or 12
        ("", "Kernel panic", False, 0, boot.PANIC, None),
        ("", "", False, 1, boot.LAB_ERROR, None),
    ],
)
def test_the_status_tells_how_a_guest_ended(tmp_path, control, console, is_late, code, status, command_at_s):
    for name, text in {
        "control": control,
        "console": console,
        "stdout": "out\udcff",
        "stderr": "err",
        "qemu": "why",
    }.items():
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    ended = boot.ended(tmp_path, is_late, code, 1.0)
    assert (ended.status, ended.command_at_s, ended.console) == (status, command_at_s, console)
    assert (ended.stdout, ended.stderr) == ("out\udcff", "err")
    assert ended.notes == (("QEMU ended with 1: why",) if status == boot.LAB_ERROR else ())


def test_modules_that_did_not_load_are_noted(tmp_path):
    (tmp_path / "control").write_text("not_loaded=kvm_amd insmod: refused\nnot_loaded=tun insmod: no\nup=1\nstatus=0\n")
    assert boot.ended(tmp_path, False, 0, 1.0, ["first"]).notes == (
        "first",
        "kvm_amd insmod: refused",
        "tun insmod: no",
    )


def test_a_tar_that_was_cut_off_is_told_and_its_first_files_are_kept(tmp_path):
    tar = tmp_path / "tar"
    with tarfile.open(tar, "w") as writer:
        for name in ("first", "second"):
            writer.add(__file__, name)
    with open(tar, "r+b") as file:
        file.truncate(tar.stat().st_size * 2 // 3)
    (note,) = boot._unpack(tar, tmp_path / "out")
    assert note.startswith("/out did not come back whole")
    assert (tmp_path / "out" / "first").exists()


def test_a_comma_in_a_path_is_one_for_qemu(tmp_path):
    words = boot.ports(tmp_path / "c", {"stdout": tmp_path / "a,b"})
    assert any(word.endswith("/a,,b") for word in words)


def test_kvm_only_where_it_is_asked_for(monkeypatch):
    monkeypatch.delenv("PROBE_SCOUT_KVM", raising=False)
    assert "kvm" not in boot.machine(64, 1)
    monkeypatch.setenv("PROBE_SCOUT_KVM", "1")
    assert "kvm" in boot.machine(64, 1)


def test_a_kernel_of_another_architecture_boots_on_its_own_board(monkeypatch):
    monkeypatch.setenv("PROBE_SCOUT_KVM", "1")  # this machine's
    on = boot.machine_of(named("6.12", "arm64"))
    assert on.qemu == "qemu-system-aarch64"
    assert boot.machine(64, 1, on)[:2] == ["-machine", "virt,gic-version=3"]
    assert boot.machine_of("6.12") == boot.machine_of("built-no-jit-traced") == NATIVE


def test_a_line_has_a_name_on_each_architecture():
    assert [named("6.12"), named("6.12", "arm64"), named("6.12-arm64", "arm64")] == ["6.12", "6.12-arm64", "6.12-arm64"]


def test_no_linker_for_a_foreign_prober_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PROBE_SCOUT_LLD", "")
    monkeypatch.setattr(foreign, "tree", lambda machine: tmp_path)
    monkeypatch.setattr(foreign.shutil, "which", lambda name: None)
    with pytest.raises(problems.LabError, match=r"^ld\.lld is not installed; a prober of arm64 needs it"):
        foreign.compile_static(MACHINES["arm64"], tmp_path / "prober.c", tmp_path / "prober")


def test_aliases_of_modules_may_have_spaces(tmp_path):
    (tmp_path / "modules.alias").write_text("alias mt8183_sound soc card snd_soc_mt8183\nalias xfs-alias xfs\n")
    assert modules.index(tmp_path).aliases == {"mt8183_sound soc card": ("snd_soc_mt8183",), "xfs_alias": ("xfs",)}


@pytest.fixture
def fake_qemu(cached, tmp_path, monkeypatch):
    """fake_qemu(shell text): a machine that is a script; $W is the folder with the ports' files."""
    (tmp_path / "base").write_bytes(b"")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(archives, "base", lambda on: tmp_path / "base")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(boot, "TERMINATE_S", 0.5)
    monkeypatch.setattr(boot, "POWER_OFF_S", 0.3)

    def make(text):
        script = tmp_path / "qemu"
        script.write_text(f"#!/bin/sh\nW={tmp_path}/scratch/probe-scout-lab-*\ncd $W\n{text}\n")
        script.chmod(0o755)
        monkeypatch.setattr(boot, "program", lambda name: str(script))
        return tmp_path / "scratch"

    return make


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("echo hi >>stdout; echo up=1 >>control; echo status=5 >>control", 5),
        ("echo hi >>stdout; echo up=1 >>control; echo status=5 >>control; exec sleep 100", 5),
        ("echo hi >>stdout; trap '' TERM; while :; do sleep 0.1; done", boot.TIME_LIMIT),
        ("echo hi >>stdout; echo panic >>console", boot.PANIC),
    ],
)
def test_no_machine_and_no_file_is_left_behind(fake_qemu, text, status):
    scratch = fake_qemu(text)
    ended = boot.run("7.3", ["true"], timeout_s=1)
    assert (ended.status, ended.stdout) == (status, "hi\n")
    assert ended.wall_s < 5
    assert list(scratch.iterdir()) == []


def test_an_interrupt_ends_the_machine_first(fake_qemu, tmp_path, monkeypatch):
    scratch = fake_qemu(f"echo $$ >{tmp_path}/pid; exec sleep 100")

    def interrupted(work):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(boot, "control", interrupted)
    with pytest.raises(KeyboardInterrupt):
        boot.run("7.3", ["true"], timeout_s=10)
    assert list(scratch.iterdir()) == []
    pid = (tmp_path / "pid").read_text().strip()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


# The command, and what is missing


@pytest.mark.parametrize(("name", "package"), [("qemu-system-x86_64", "qemu-system-x86"), ("depmod", "kmod")])
def test_a_missing_program_names_its_package(monkeypatch, name, package):
    monkeypatch.setattr("shutil.which", lambda *args, **kwargs: None)
    with pytest.raises(problems.LabError) as caught:
        problems.program(name)
    assert str(caught.value) == f"{name} is not installed: apt-get install {package} (Debian)"


def test_an_unknown_kernel_and_one_not_fetched_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROBE_SCOUT_LAB", str(tmp_path))
    assert main(["run", "-k", "2.6", "--", "true"]) == boot.LAB_ERROR
    assert capsys.readouterr().err.startswith("lab: no kernel '2.6' in the lab's table; known: 5.10, ")
    with pytest.raises(problems.LabError, match=r"kernel 7.3 is not fetched: python -m tests.vm fetch 7.3"):
        cache.get("7.3")


def test_the_list_shows_every_kernel(cached, capsys):
    assert main(["list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == list(KERNELS)
    assert [row.split()[2] for row in rows if row.startswith("7.3 ")] == ["7.3.4"]
