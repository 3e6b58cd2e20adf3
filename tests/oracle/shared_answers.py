"""Answers of an earlier lab (JSON lines, one file for each kind of attempt) as this project's questions and answers."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from .recorded import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# File to type of question; "" takes the type from the line.
FILES = {
    "kprobe": "kprobe",
    "kprobe_module_end": "kprobe",
    "kprobe_event": "kprobe_event",
    "kprobe_event_all": "kprobe_event",
    "kprobe_event_slow": "kprobe_event",
    "kretprobe": "kretprobe",
    "kretprobe_event": "kretprobe_event",
    "multi": "kprobe.multi",
    "multi_group": "kprobe.multi",
    "session": "kprobe.session",
    "fentry": "fentry_load",
    "fentry_attach": "fentry",
    "fexit": "fexit_load",
    "fexit_attach": "fexit",
    "fexit.s_load": "fexit.s_load",
    "fmod_ret.s_load": "fmod_ret.s_load",
    "fmod_ret": "fmod_ret_load",
    "fmod_ret_attach": "fmod_ret",
    "fentry_sleep": "fentry.s_load",
    "fsession": "fsession",
    "fentry_multi": "",
    "lsm": "",
    "iter": "",
    "tp": "tp",
    "tp_field": "tp_field",
    "raw_tp": "raw_tp",
    "tp_btf": "tp_btf",
}
_BY_BTF = ("fentry", "fexit", "fmod_ret", "fsession", "iter", "lsm")


def rows(folder: Path) -> Iterator[tuple[str, Answer]]:
    """Target and answer of every attempt that has a counterpart here."""
    for name, type_ in FILES.items():
        path = folder / f"oracle-{name}.jsonl.gz"
        if path.exists():
            with gzip.open(path, "rt") as lines:
                for line in lines:
                    yield from _row(name, type_, json.loads(line))
    for path in sorted(folder.glob("more-*.jsonl.gz")):  # kinds of their own: the line tells the type
        with gzip.open(path, "rt") as lines:
            for line in lines:
                row = json.loads(line)
                errno, stage = ("0", "-") if row["ok"] else (str(row["errno"]), str(row["stage"]))
                yield str(row["symbol"]), Answer(str(row["type"]), str(row.get("more", "")), errno, stage)


def _row(name: str, type_: str, row: dict[str, object]) -> Iterator[tuple[str, Answer]]:
    type_ = type_ or str(row["type"])
    target, stage = str(row["symbol"]), str(row["stage"])
    errno = "0" if row["ok"] else {"99": "EADDRNOTAVAIL"}.get(str(row["errno"]), str(row["errno"]))
    if stage == "crash":
        errno = "crash"
    if type_ == "lsm_cgroup":
        type_ = "lsm_cgroup_load"
        if "should have been in [1, 1]" in str(row["msg"]):  # a hook without a value: the prober's program returned 0
            return
    if "functions)" in target:
        return
    if name == "multi_group":
        if row["ok"]:
            for symbol in target.split(","):
                yield symbol, Answer(type_, "", "0", "-")
        return
    more = f"{row['off']}:{row['size'] if row['size'] in (1, 2, 4, 8) else 1}" if name == "tp_field" else ""
    if name == "tp_field" and row["read"] != "whole":
        more = f"{row['off']}:{4 if row['read'] == 'low4' else 1}"
    if row.get("mod", "-") != "-" and type_.startswith(_BY_BTF):
        target = f"{row['mod']}:{target}"
    yield target, Answer(type_, more, errno, "-" if errno == "0" else stage)
