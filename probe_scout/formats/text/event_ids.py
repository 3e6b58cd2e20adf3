"""Read the small files beside an event's format: `id` and `btf_ids`.

Written by kernel/trace/trace_events.c: event_id_read ("%d\\n"; absent for most of
ftrace:*, which perf cannot open) and event_btf_ids_read (three lines of a name and a decimal number; only in
kernels with CONFIG_BPF_EVENTS and CONFIG_DEBUG_INFO_BTF that have this file, and not readable for
events whose class holds no BTF ids).
"""

from __future__ import annotations

from ...errors import Malformed
from ...model.trace import BtfIds
from .lines import malformed_line, show, split

PATH_ID = "sys/kernel/tracing/events/*/*/id"
PATH_BTF_IDS = "sys/kernel/tracing/events/*/*/btf_ids"
_KEYS = (b"btf_obj_id", b"raw_btf_id", b"tp_btf_id")


def event_id(raw: bytes, path: str = PATH_ID) -> int:
    """The number that perf_event_attr.config takes. Raises Malformed for anything but one number and a line end."""
    digits = raw.removesuffix(b"\n")
    if digits == raw or not digits.isdigit() or len(digits) > 10 or int(digits) == 0:
        raise Malformed(path, 0, "one decimal number above 0 and a line end", show(raw))
    return int(digits)


def btf_ids(raw: bytes, path: str = PATH_BTF_IDS) -> BtfIds:
    """The three BTF ids; 0 stands for none. Raises Malformed at the first line that is not one of the three."""
    lines = split(raw, path)
    values = []
    for row, key in enumerate(_KEYS):
        if row == len(lines):
            raise Malformed(path, len(raw), f"{key.decode()}: NUMBER", "the end of the file")
        name, _, number = lines[row].partition(b": ")
        if name != key or not number.isdigit() or len(number) > 10:
            raise malformed_line(path, lines, row, f"{key.decode()}: NUMBER")
        values.append(int(number))
    return BtfIds(*values)
