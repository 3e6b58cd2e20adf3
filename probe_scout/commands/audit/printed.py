"""The document of an audit from what bpftool printed; and where it and bpf(2) disagree.

A snapshot may hold `tool/bpftool-perf.json` (or .txt, the plain text), `-link.json`, `-net.json` and `-prog.json`,
beside an audit's own inputs or alone. On the running machine bpftool is asked for `perf show` and `link show`.
"""

from __future__ import annotations

from ...errors import Malformed, SourceError
from ...formats import bpftool
from ...model.audit import NOTE, AuditFinding
from . import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from ...kernel.kernel import Kernel
    from ...sources.bpf.bpftool_run import Said
    from ...sources.bpf.syscalls import Calls
    from .record import Document, Inputs, Link, PerfEvent

_READERS = (("perf", (bpftool.PERF, bpftool.PERF_TEXT), bpftool.perf), ("links", (bpftool.LINK,), bpftool.links))
_SOS = "sos_commands/ebpf/bpftool_-j_prog_list"  # sos/report/plugins/ebpf.py
_PROGRAMS = ("programs", (bpftool.PROG, _SOS), bpftool.programs)
_WHAT = {"perf": "perf", "links": "link"}  # of _READERS: bpftool's words
_SHOWN = 5
_ROUNDS, _PAUSE_S = 5, 0.05
DISAGREE = "audit.tools_disagree"
_SAVED = "bpftool and the kernel's own answers differ; they may have been read at different moments."
_LIVE = "bpftool and the kernel's own answers differ, each time that both were asked."
_Keys = dict[tuple[object, ...], tuple[tuple[str, ...], str]]


def document(k: Kernel) -> Document | None:
    """The document of an audit's inputs from bpftool's saved outputs alone; None where there are none of them.

    Raises Malformed.
    """
    found: Document = {key: [] for key in ("gaps", "holders", "events", "links", "perf", "programs")}
    is_there = False
    for key, paths, reader in (*_READERS, _PROGRAMS):
        path, raw = _saved(k, paths)
        if raw is None:
            found["gaps"].append(_gap(key, "not_recorded", f"{paths[0]} is not in the snapshot"))
            continue
        is_there = True
        rows, error = reader(raw, path)
        found[key] = _named(rows)
        if error:
            found["gaps"].append(_gap(key, "denied", f"{path}: bpftool: {error}"))
    found["perf"] = [one for one in found["perf"] if one["type"]]  # what bpftool did not know is on nothing we can name
    is_there |= _add_net(k, found)
    return found if is_there else None


def _add_net(k: Kernel, found: Document) -> bool:
    path, raw = _saved(k, (bpftool.NET,))
    if raw is None:
        return False
    said, error = bpftool.net(raw, path)
    if error:
        found["gaps"].append(_gap("net", "denied", f"{path}: bpftool: {error}"))
    else:
        found["net"] = [{"ino": None, "interfaces": said["interfaces"]}]
        found["netns"] = [{"ino": None, "attach_type": "flow_dissector", "prog_ids": said["flow_dissector"]}]
    return True


def _saved(k: Kernel, paths: Iterable[str]) -> tuple[str, bytes | None]:
    """The first of these files that is there."""
    path = ""
    for path in paths:
        try:
            return path, k.read(path)
        except SourceError as error:
            if error.kind not in ("not_there", "not_recorded"):
                raise
    return path, None


def _gap(key: str, kind: str, why: str) -> Document:
    cure = "bpftool -j perf show, link show, net show and prog show"
    return {"fact": f"bpftool_{key}", "kind": kind, "why": why, "cure": cure}


def _named(rows: list[Document]) -> list[Document]:
    """Rows with names for the numbers that an older bpftool printed."""
    from ...sources.bpf import objects as bpf

    tables = {"type": bpf.LINK_TYPES, "attach_type": bpf.ATTACH_TYPES}
    for one in rows:
        for key, names in {**tables, **({"type": bpf.PROGRAM_TYPES} if "loaded_s" in one else {})}.items():
            head, _, number = str(one.get(key) or "").partition("_")
            if head == "type" and number.isdigit() and int(number) < len(names):
                one[key] = names[int(number)]
    return rows


# ---------------------------------------------------------------- saved: read once each


def disagreement(k: Kernel, found: Inputs) -> list[AuditFinding]:
    """What bpftool printed and bpf(2) did not tell, or the other way; silent where one of them is not there."""
    told: list[AuditFinding] = []
    for key, paths, reader in _READERS:
        path, raw = _saved(k, paths)
        if raw is None:
            continue
        rows, error = reader(raw, path)
        if error:
            continue
        ours, theirs = _keys(_ours(key, found)), _keys(_rows(key, rows))
        told += _findings(path, _SAVED, _only(theirs, ours), _only(ours, theirs))
    return told


def _findings(where: str, says: str, theirs: Iterable[str], ours: Iterable[str]) -> list[AuditFinding]:
    told = []
    for what, names in (("only bpftool has", sorted(theirs)), ("bpftool lacks", sorted(ours))):
        if names:
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            told.append(AuditFinding(DISAGREE, NOTE, says, f"{where}: {what} {shown}"))
    return told


def _rows(key: str, rows: list[Document]) -> tuple[Link, ...] | tuple[PerfEvent, ...]:
    """bpftool's rows as the types of what bpf(2) told."""
    return record.read_links(_named(rows)) if key == "links" else record.read_perf(_named(rows))


def _ours(key: str, found: Inputs) -> Sequence[Link] | Sequence[PerfEvent]:
    """What bpf(2) told of that which bpftool shows: its `perf show` has raw tracepoints' links as well."""
    if key == "links":
        return found.links
    links = {one.id: one for one in found.links if one.type == "raw_tracepoint"}
    rows = list(found.perf)
    for pid, fd, kind, number in found.holders:
        if kind == "link" and number in links:
            one = links[number]
            rows.append(record.PerfEvent(pid, fd, one.prog_id or 0, "raw_tracepoint", one.tp_name or "", 0))
    return rows


def _keys(rows: Iterable[Link | PerfEvent]) -> _Keys:
    """What tells a row apart, to what both sides say of it in the same way ("": this side does not) and its words."""
    found: _Keys = {}
    for one in rows:
        kind = "" if one.type.startswith("type_") else one.type
        if isinstance(one, record.Link):
            words = f"link {one.id} {one.type}" + (f" program {one.prog_id}" if one.prog_id else "")
            found[one.id, one.prog_id] = (kind,), words
        else:
            place = f"{one.name}+{one.offset}" if one.name else ""
            words = f"{kind or 'something'} {place or 'without a name'} program {one.prog_id}"
            words += f" of {one.pid}/{one.fd}"
            found[one.pid, one.fd, one.prog_id] = (kind, place), words
    return found


def _only(ours: _Keys, theirs: _Keys) -> set[str]:
    """Words of the rows of one side that the other has not, or has otherwise."""
    found = set()
    for key, (said, words) in ours.items():
        other = theirs.get(key)
        if other is None or any(a and b and a != b for a, b in zip(said, other[0], strict=True)):
            found.add(words)
    return found


# ---------------------------------------------------------------- live: asked before and after


def ask(calls: Calls, run: Callable[[str, str], Said] | None = None, program: str | None = None) -> Document:
    """What bpftool says now against bpf(2): `findings` (where, only bpftool's, only ours) and `gaps`.

    bpftool is asked before and after; what it said both times and bpf(2) did not in between, or the other way, is a
    difference if it is one in each of several rounds: processes and links come and go.
    """
    from ...sources.bpf import bpftool_run

    program = program or bpftool_run.find()
    if program is None:
        why = "bpftool is not installed, or in no folder of PATH"
        return {"findings": [], "gaps": [{"fact": "bpftool", "kind": "not_there", "why": why, "cure": "install it"}]}
    answer: Document = {"findings": [], "gaps": []}
    ways = run or bpftool_run.ask
    for key, _, reader in _READERS:

        def said(key: str = key, reader: Callable[..., Any] = reader) -> _Keys:
            return _now(ways(program, _WHAT[key]), key, reader)

        try:
            theirs, ours = _lasting(key, calls, said)
        except _Unusable as error:
            answer["gaps"].append({"fact": f"bpftool_{key}", "kind": error.kind, "why": str(error), "cure": ""})
            continue
        if theirs or ours:
            answer["findings"].append([f"bpftool -j {_WHAT[key]} show", sorted(theirs), sorted(ours)])
    return answer


class _Unusable(Exception):
    """bpftool said nothing that can be compared."""

    def __init__(self, kind: str, why: str) -> None:
        self.kind = kind
        super().__init__(why)


def _now(said: Said, key: str, reader: Callable[..., Any]) -> _Keys:
    if said.why:
        raise _Unusable("not_there", said.why)
    try:
        rows, error = reader(said.out, f"bpftool {_WHAT[key]} show")
    except Malformed as mistake:
        raise _Unusable("malformed", str(mistake)) from None
    if error:
        raise _Unusable("denied", f"bpftool {_WHAT[key]} show: {error}")
    return _keys(_rows(key, rows))


def _lasting(key: str, calls: Calls, said: Callable[[], _Keys]) -> tuple[set[str], set[str]]:
    import time

    from ...sources.bpf import attached

    only_theirs: set[str] = set()
    only_ours: set[str] = set()
    for number in range(_ROUNDS):
        if number:
            time.sleep(_PAUSE_S)
        before = said()
        found = record.read(attached.links_and_events(calls))
        ours, gone = _keys(_ours(key, found)), _gone(key, found)
        after = said()
        both = {one: words for one, words in after.items() if one in before and one[:2] not in gone}
        theirs_now, ours_now = _only(both, ours), _only(ours, {**before, **after})
        only_theirs = theirs_now & only_theirs if number else theirs_now
        only_ours = ours_now & only_ours if number else ours_now
        if not only_theirs and not only_ours:
            break
    return only_theirs, only_ours


def _gone(key: str, found: Inputs) -> set[tuple[object, ...]]:
    """(pid, fd) of links that went between the look at descriptors and that at links, which says nothing of their rows.

    Who attaches again and again has the next link under the same number, so that bpftool's row looks like one that
    stayed.
    """
    if key == "links":
        return set()
    there = {one.id for one in found.links}
    return {(pid, fd) for pid, fd, kind, number in found.holders if kind == "link" and number not in there}


def live_findings(found: Inputs) -> list[AuditFinding]:
    """The findings of `ask`, which the inputs hold."""
    told: list[AuditFinding] = []
    for where, theirs, ours in found.bpftool:
        told += _findings(where, _LIVE, theirs, ours)
    return told
