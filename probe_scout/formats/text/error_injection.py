"""Read debugfs error_injection/list: functions whose return value may be replaced.

Written by lib/error-inject.c (ei_seq_show): `name<tab>TYPE`, with ` [module]` behind the name of a
module's function. TYPE says which values callers expect: NULL, ERRNO, ERRNO_NULL, TRUE, or
`(unknown)`. A kernel without CONFIG_FUNCTION_ERROR_INJECTION has no such file.
"""

from __future__ import annotations

from .lines import malformed_line, split, text, whole

PATH = "sys/kernel/debug/error_injection/list"
TYPES = ("NULL", "ERRNO", "ERRNO_NULL", "TRUE", "(unknown)")


def find(raw: bytes, name: str, module: str | None = None) -> str | None:
    """The type of the first function of exactly this name, None if it is not listed.

    `module` None asks for vmlinux. Raises Malformed if the file is cut off.
    """
    head = (f"{name} [{module}]" if module else name).encode() + b"\t"
    at = 0 if whole(raw, PATH).startswith(head) else raw.find(b"\n" + head) + 1
    if at == 0 and not raw.startswith(head):
        return None
    begin = at + len(head)
    return text(raw[begin : raw.index(b"\n", begin)], PATH, begin)


def table(raw: bytes) -> dict[tuple[str, str | None], str]:
    """(name, module) to type; module None for vmlinux. Of several functions of one name, the first.

    Raises Malformed at the first line that is not a name and a type.
    """
    lines = split(raw, PATH)
    found: dict[tuple[str, str | None], str] = {}
    at = 0
    for row, line in enumerate(lines):
        shown, tab, kind = line.partition(b"\t")
        name, space, module = shown.partition(b" ")
        if not name or not tab or not kind or (space and not (module.startswith(b"[") and module.endswith(b"]"))):
            raise malformed_line(PATH, lines, row, "a name and a type")
        key = text(name, PATH, at), text(module[1:-1], PATH, at) or None
        found.setdefault(key, text(kind, PATH, at))
        at += len(line) + 1
    return found
