"""The probes of a bpftrace script, by its own text: what stands before each block, apart by commas.

`bpftrace -l FILE` would list what the machine at hand has, and not what another kernel lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...model.hooks import HookSet
from . import found

# Comments, strings, braces, text (man/adoc/bpftrace.adoc, "Program structure").
_TOKEN = re.compile(r'/\*.*?(?:\*/|\Z)|//[^\n]*|#[^\n]*|"(?:\\.|[^"\\])*"|[{}]|[^/#"{}]+|.', re.S)
_PROBE = re.compile(r"[\s,]*([\w.]+(?::/[^\s,{}:]*)?(?::[^\s,{}/:]+)*)")
_NOT_KERNEL = ("interval", "i", "profile", "p", "software", "s", "hardware", "h", "watchpoint", "w", "self", "bench")


def read(text: str, where: str) -> HookSet:
    """The hooks of a script. Raises UsageError where it has none."""
    return found.hooks(_points(text), where)


def _points(text: str) -> Iterator[found.Found]:
    for head, line in _heads(text):
        at = 0
        while one := _PROBE.match(head, at):  # ends where the filter begins
            at = one.end()
            if ":" in one[1] and one[1].partition(":")[0] not in _NOT_KERNEL:
                yield found.Found(one[1], (one[1],), line + head[: one.start(1)].count("\n"))


def _heads(text: str) -> Iterator[tuple[str, int]]:
    """The text before each outermost block, with its line. Comments and strings are blank."""
    depth, line, begun, head = 0, 1, 1, ""
    for token in _TOKEN.findall(text):
        if token == "{":
            if depth == 0:
                yield head, begun
            depth += 1
        elif token == "}":
            depth = max(0, depth - 1)
            head, begun = "", line
        elif depth == 0:
            is_blank = token.startswith(("/*", "//", "#", '"')) and len(token) > 1
            head += "\n" * token.count("\n") if is_blank else token
        line += token.count("\n")
