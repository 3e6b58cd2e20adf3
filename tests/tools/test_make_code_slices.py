"""The tool that makes a snapshot's code/slices, run on a kernel of a few functions."""

from __future__ import annotations

import importlib.util
import lzma
import struct
import sys
from pathlib import Path

import pytest

from probe_scout.scanners import code_slices
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
