"""Targets: what a user names on the command line.

`vfs_read`, `xfs:xfs_file_open` (module:function), `vfs_read+0x10`, `tp:sched:sched_switch` (also
`raw_tp:sched_switch`), `syscall:execve`.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import UsageError

FUNCTION, OFFSET, TRACEPOINT, SYSCALL = "function", "offset", "tracepoint", "syscall"
USER_WORDS = ("uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "uprobe.session", "usdt", "u", "ur")
NAME_MAX_BYTES = 511  # KSYM_NAME_LEN is 512 with the final NUL (include/linux/kallsyms.h)


class Target(NamedTuple):
    """`module` is None for an unqualified name and "vmlinux" when the user asked for that copy.

    For tracepoints `module` holds the category (`sched`), None when only the name was given.
    """

    kind: str
    name: str
    module: str | None = None
    offset_bytes: int = 0

    def __str__(self) -> str:
        if self.kind == TRACEPOINT:
            return f"tp:{self.module}:{self.name}" if self.module else f"tp:{self.name}"
        if self.kind == SYSCALL:
            return f"syscall:{self.name}"
        text = f"{self.module}:{self.name}" if self.module else self.name
        return f"{text}+{self.offset_bytes:#x}" if self.kind == OFFSET else text


def parse(text: str) -> Target:
    """A target from its written form. Raises UsageError with the forms that exist."""
    if not text or len(text) > 2 * NAME_MAX_BYTES or not text.isprintable() or text != text.strip() or " " in text:
        raise UsageError(
            f"{text[:40]!r} is not a name: give vfs_read, MODULE:FUNCTION, FUNCTION+OFFSET, tp:CATEGORY:EVENT "
            "or syscall:NAME"
        )
    head, _, rest = text.partition(":")
    word, slash, _ = head.partition("/")
    if (rest and word in ("", ".", "..") and slash) or (word in USER_WORDS and (rest or slash)):
        raise UsageError(
            f"{text[:60]!r} names a place in a program or library: of these only audit tells (what is attached there); "
            "kernel functions, tracepoints and system calls are judged"
        )
    if head in ("tp", "tracepoint", "raw_tp", "tp_btf") and rest:
        category, colon, name = rest.replace("/", ":").partition(":")
        target = Target(TRACEPOINT, name, category) if colon else Target(TRACEPOINT, category)
    elif head in ("syscall", "ksyscall") and rest:
        target = Target(SYSCALL, rest)
    else:
        module, name = (head, rest) if rest else (None, text.rstrip(":"))
        name, plus, offset = name.partition("+")
        if plus:
            try:
                offset_bytes = int(offset, 0)
            except ValueError:
                raise UsageError(f"{text!r}: {offset!r} is not an offset; write {name}+0x10 or {name}+16") from None
            target = Target(OFFSET, name, module, offset_bytes)
        else:
            target = Target(FUNCTION, name, module)
    if not target.name or (target.module == "") or len(target.name) > NAME_MAX_BYTES:
        raise UsageError(f"{text[:60]!r}: the name is empty or longer than the kernel's {NAME_MAX_BYTES} bytes")
    return target
