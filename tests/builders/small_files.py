"""Write the small kernel files line by line, each as the kernel function in its docstring does."""

from __future__ import annotations

import struct


def blacklist(entries: list[tuple[int, int, str, str | None]], hidden: bool = False) -> bytes:
    """kernel/kprobes.c, kprobe_blacklist_seq_show: start, end, name, module."""
    text = ""
    for start, end, name, module in entries:
        low, high = (0, 0) if hidden else (start, end)
        text += f"0x{low:016x}-0x{high:016x}\t{name}" + (f" [{module}]\n" if module else "\n")
    return text.encode()


def error_injection(entries: list[tuple[str, str | None, str]]) -> bytes:
    """lib/error-inject.c, ei_seq_show: name, module, type."""
    return "".join(f"{n} [{m}]\t{kind}\n" if m else f"{n}\t{kind}\n" for n, m, kind in entries).encode()


def kconfig(options: list[tuple[str, str | None]]) -> bytes:
    """scripts/kconfig/confdata.c, __conf_write_config: name and value as written, None for off."""
    text = "#\n# Automatically generated file; DO NOT EDIT.\n#\n\n"
    for name, value in options:
        text += f"# {name} is not set\n" if value is None else f"{name}={value}\n"
    return text.encode()


def note(name: bytes, kind: int, content: bytes) -> bytes:
    """elf(5), Elf64_Nhdr."""
    padded_name, padded = name + b"\0", content + b"\0" * (-len(content) % 4)
    return (
        struct.pack("<3I", len(padded_name), len(content), kind)
        + padded_name
        + b"\0" * (-len(padded_name) % 4)
        + padded
    )
