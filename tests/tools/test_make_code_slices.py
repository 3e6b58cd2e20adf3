"""The tool that makes a snapshot's code/slices, run on a kernel of a few functions."""

from __future__ import annotations

import importlib.util
import lzma
import struct
import sys
from pathlib import Path

import pytest

from probe_scout.errors import UsageError
from probe_scout.formats import code_slices
from probe_scout.formats.elf import kernel_image
from probe_scout.kernel import module_text
from probe_scout.kernel import text as code
from probe_scout.kernel.kernel import Kernel
from probe_scout.sources import open_source
from tests.builders.image_writer import Load, ModuleSymbol, bzimage, elf_core, module, with_size

TOOL = Path(__file__).with_name("make_code_slices.py")
LINK, RUNNING = 0xFFFFFFFF81000000, 0xFFFFFFFF9C000000  # KASLR moved the kernel
ENDBR, FENTRY, JUMP = b"\xf3\x0f\x1e\xfa", b"\xe8\x10\0\0\0", b"\xe9\x20\0\0\0"
TEXT = {  # name -> first bytes; each symbol has 16 of them
    "vfs_read": ENDBR + FENTRY,
    "vfs_read.cold": b"\x0f\x0b",
    "grow.isra.0": b"\x48\x89\xc8",
    "grow.isra.0.cold": b"\x90",
    "pgd_none": JUMP,
    "empty": JUMP,
    "__pfx_empty.cold": b"\x90" * 5,
}
TABLE_AT = LINK + 0x1000
TABLES = {"__start___bug_table": 0, "__stop___bug_table": 24, "__start___jump_table": 24, "__stop___jump_table": 40}
TABLES |= {
    "__start_static_call_sites": 40,
    "__stop_static_call_sites": 48,
    "__alt_instructions": 48,
    "__alt_instructions_end": 62,
}


def relative(at: int, name: str, size: int) -> bytes:
    """A table entry of `size` bytes at this offset in the tables that points to a function's first byte."""
    return struct.pack("<i", LINK + 16 * list(TEXT).index(name) - (TABLE_AT + at)) + b"\0" * (size - 4)


@pytest.fixture
def kernel(tmp_path):
    tables = relative(0, "vfs_read.cold", 12) + relative(12, "vfs_read", 12) + relative(24, "vfs_read", 16)
    tables += relative(40, "vfs_read", 8) + relative(48, "pgd_none", 14)
    text = b"".join(code.ljust(16, b"\x90") for code in TEXT.values())
    vmlinux = elf_core([Load(LINK, text), Load(TABLE_AT, tables, 2)])
    (tmp_path / "vmlinuz").write_bytes(bzimage(with_size(lzma.compress(vmlinux), vmlinux)))
    lines = [f"{RUNNING:016x} T _stext", f"{RUNNING + len(text):016x} T _etext"]
    lines += [f"{RUNNING + 0x800:016x} T _sinittext", f"{RUNNING + 0x900:016x} T _einittext"]
    lines += [f"{RUNNING + 16 * i:016x} t {name}" for i, name in enumerate(TEXT)]
    lines += [f"{RUNNING + 0x1000 + at:016x} D {name}" for name, at in TABLES.items()]
    lines.append("ffffffffc0000000 t fq_change.cold\t[sch_fq]")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/kallsyms").write_text("\n".join(sorted(lines)) + "\n")
    tracing = tmp_path / "sys/kernel/tracing"
    tracing.mkdir(parents=True)
    (tracing / "available_filter_functions").write_text("vfs_read\n")
    (tracing / "available_filter_functions_addrs").write_text(f"{RUNNING + 4:016x} vfs_read\n")
    bug = {".rela__bug_table": [(0, ".text.unlikely", 0)]}
    fq = module({".text.unlikely": b"\x0f\x0b\x90"}, [ModuleSymbol("fq_change.cold", ".text.unlikely", 0)], bug)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/sch_fq.ko.xz").write_bytes(lzma.compress(fq))
    (tmp_path / "modules/absent.ko").write_bytes(b"not read: the snapshot had it not loaded")
    return tmp_path


def run(kernel: Path, monkeypatch) -> bytes:
    spec = importlib.util.spec_from_file_location("make_code_slices", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    options = ["--image", str(kernel / "vmlinuz"), "--modules", str(kernel / "modules")]
    monkeypatch.setattr(sys, "argv", ["tool", *options, "--snapshot", str(kernel), "-o", str(kernel / "slices")])
    tool.main()
    return (kernel / "slices").read_bytes()


def test_functions_whose_first_instruction_decides_are_kept(kernel, monkeypatch, capsys):
    raw = run(kernel, monkeypatch)
    assert {
        (one.module, one.name, one.offset, one.sites) for found in code_slices.table(raw).values() for one in found
    } == {
        (None, "vfs_read.cold", 16, ("bug",)),
        (None, "grow.isra.0", 32, ()),
        (None, "grow.isra.0.cold", 48, ()),
        (None, "pgd_none", 64, ("alternative",)),
        ("sch_fq", "fq_change.cold", 0, ("bug",)),
    }
    assert "5 slices" in capsys.readouterr().out


def test_an_image_of_another_kernel_is_refused(kernel, monkeypatch):
    addresses = kernel / "sys/kernel/tracing/available_filter_functions_addrs"
    addresses.write_text(f"{RUNNING + 48:016x} vfs_read\n")
    with pytest.raises(SystemExit, match="of another kernel"):
        run(kernel, monkeypatch)


def running_text(kernel: Path, breakpoint_in: str = ""):
    """The image's bytes at their runtime addresses, as proc/kcore gives them; a kprobe may stand in one function."""
    elf = kernel_image.vmlinux_of((kernel / "vmlinuz").read_bytes())
    image = kernel_image.KernelImage(elf)
    armed = RUNNING + 16 * list(TEXT).index(breakpoint_in) if breakpoint_in else 0

    def read(address: int, size: int) -> bytes | None:
        raw = image.text_at(address - RUNNING + LINK, size)
        if raw is None or not address <= armed < address + size:
            return raw
        at = armed - address
        return raw[:at] + b"\xcc" + raw[at + 1 :]

    return code.RunningText(RUNNING, read)


def test_without_an_image_the_running_text_tells_the_same(kernel):
    opened = Kernel(open_source(str(kernel)))
    found = code_slices.table(module_text.of_kernel(opened, running_text(kernel), ()))
    assert {(one.name, one.sites) for group in found.values() for one in group} == {
        ("vfs_read.cold", ("bug", "running")),
        ("grow.isra.0", ("running",)),
        ("grow.isra.0.cold", ("running",)),
        ("pgd_none", ("alternative", "running")),
    }


def test_a_breakpoint_in_the_running_text_is_nobodys_code(kernel):
    opened = Kernel(open_source(str(kernel)))
    found = code_slices.table(module_text.of_kernel(opened, running_text(kernel, "grow.isra.0"), ()))
    assert (None, "grow.isra.0") not in found
    assert (None, "grow.isra.0.cold") in found


def test_a_snapshot_falls_back_on_the_running_kernel(kernel, monkeypatch):
    """No image can be opened (none there, or its packing needs a package that is missing); proc/kcore can be read."""
    opened = Kernel(open_source(str(kernel)))
    reader = running_text(kernel)._read
    monkeypatch.setattr(code, "running_reader", lambda k: reader)
    assert b"code slices" in code.slices_for_snapshot(opened)
    monkeypatch.setattr(code, "running_reader", lambda k: lambda address, size: None)
    with pytest.raises(UsageError, match="needs the kernel's image, or proc/kcore"):
        code.slices_for_snapshot(Kernel(open_source(str(kernel))))


def test_a_modules_file_tells_what_the_kernel_reserves(kernel, monkeypatch):
    """Code of a loaded module comes from the running kernel, its tables from the file below lib/modules."""
    raw = {"jumps.cold": JUMP + b"\x90" * 11, "free.cold": JUMP + b"\x90" * 11}
    kallsyms = kernel / "proc/kallsyms"
    base = 0xFFFFFFFFC0000000
    names = list(raw)
    kallsyms.write_text(
        "".join(line + "\n" for line in kallsyms.read_text().splitlines() if "sch_fq" not in line)
        + "".join(f"{base + 16 * i:016x} t {name}\t[sch_fq]\n" for i, name in enumerate(names))
    )
    text = b"".join(raw.values())
    label = {".rela__jump_table": [(0, ".text.unlikely", 0)]}
    symbols = [ModuleSymbol(name, ".text.unlikely", 16 * i) for i, name in enumerate(names)]
    folder = kernel / "lib/modules/6.99.0-tiny"
    folder.mkdir(parents=True)
    (folder / "sch_fq.ko.xz").write_bytes(lzma.compress(module({".text.unlikely": text}, symbols, label)))
    (folder / "modules.dep").write_text("sch_fq.ko.xz:\n")
    (kernel / "proc/sys/kernel").mkdir(parents=True)
    (kernel / "proc/sys/kernel/osrelease").write_text("6.99.0-tiny\n")
    (kernel / "proc/modules").write_text(f"sch_fq 16384 0 - Live 0x{base:016x}\n")
    opened = Kernel(open_source(str(kernel)))
    table = opened.full().symbols
    row_of = {name: table.lookup(name.encode()) for name in names}
    switched = b"\x0f\x1f\x44\x00\x00" + b"\x90" * 11  # what boot makes of a jump label that is off
    assert code.reserved_word(opened, table, row_of["jumps.cold"], 0, switched) == "jump_label"
    assert code.reserved_word(opened, table, row_of["free.cold"], 0, raw["free.cold"]) == ""
    assert code.reserved_word(opened, table, row_of["free.cold"], 0, b"\x55" * 16) is None  # of another build
    (folder / "sch_fq.ko.xz").unlink()
    again = Kernel(open_source(str(kernel)))
    assert code.reserved_word(again, table, row_of["free.cold"], 0, raw["free.cold"]) is None
    assert "module sch_fq" in again.code_why()
