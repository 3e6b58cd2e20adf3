"""Inputs from what bpftool printed; and where it and bpf(2) disagree.

A snapshot may hold `tool/bpftool-perf.json`, `-link.json` and `-prog.json`, beside an audit's own inputs or alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import SourceError
from ..model.audit import NOTE, AuditFinding
from ..scanners import bpftool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..kernel import Kernel

Record = dict[str, Any]
_READERS = (("perf", bpftool.PERF, bpftool.perf), ("links", bpftool.LINK, bpftool.links))
_PROGRAMS = ("programs", bpftool.PROG, bpftool.programs)
_SHOWN = 5
DISAGREE = "audit.tools_disagree"


def inputs(k: Kernel) -> Record | None:
    """The inputs of an audit from bpftool's saved outputs alone; None where there are none of them.

    Raises Malformed.
    """
    found: Record = {"gaps": [], "holders": [], "processes": {}, "events": [], "links": [], "perf": [], "programs": []}
    is_there = False
    for key, path, reader in (*_READERS, _PROGRAMS):
        try:
            rows, error = reader(k.read(path), path)
        except SourceError:
            found["gaps"].append(_gap(key, "not_recorded", f"{path} is not in the snapshot"))
            continue
        is_there = True
        found[key] = rows
        if error:
            found["gaps"].append(_gap(key, "denied", f"{path}: bpftool: {error}"))
    return found if is_there else None


def _gap(key: str, kind: str, why: str) -> Record:
    return {"fact": f"bpftool_{key}", "kind": kind, "why": why, "cure": "bpftool -j perf show, link show and prog show"}


def disagreement(k: Kernel, found: Record) -> list[AuditFinding]:
    """What bpftool printed and bpf(2) did not tell, or the other way; silent where one of them is not there."""
    told: list[AuditFinding] = []
    for key, path, reader in _READERS:
        try:
            rows, error = reader(k.read(path), path)
        except SourceError:
            continue
        if error:
            continue
        ours, theirs = set(_keys(key, found.get(key, ()))), set(_keys(key, rows))
        for what, names in (("only bpftool has", theirs - ours), ("bpftool lacks", ours - theirs)):
            if names:
                shown = ", ".join(sorted(names)[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
                says = "bpftool and the kernel's own answers differ; they may have been read at different moments."
                told.append(AuditFinding(DISAGREE, NOTE, says, f"{path}: {what} {shown}"))
    return told


def _keys(key: str, rows: Iterable[Record]) -> Iterable[str]:
    """What both sides print of a row in the same way."""
    for one in rows:
        if key == "links":
            yield f"link {one['id']} {one['type']} program {one['prog_id']}"
        else:
            place = one["name"] or "an address"
            yield f"{one['type']} {place}+{one['offset']} program {one['prog_id']} of {one['pid']}/{one['fd']}"
