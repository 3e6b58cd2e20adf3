"""Cut a recorded snapshot down to what some targets need: a slice, for fixtures.

What stays: the symbols asked for with all of their name, their aliases and the next symbol's start; every name that
the tool's source mentions; the lists' lines and the BTF of those names; the formats of the events asked for. `pack`
keeps a slice only if the tool answers every kept question from it as it does from the whole snapshot.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

from .cut_btf import ENUM, ENUM64, FUNC, STRUCT, TYPEDEF, UNION, Cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .cut_btf import Blob, Type

ROOT = Path(__file__).resolve().parents[2]
TRACING = "sys/kernel/tracing/"
BTF = "sys/kernel/btf/"
KALLSYMS = "proc/kallsyms"
LISTED = f"{TRACING}available_filter_functions"
ARCH = ("__x64_sys_bpf", "__arm64_sys_bpf")  # the prefix tells the architecture
NAMELESS = "__ftrace_invalid_address__"
# Symbols that are read by what they begin with: id sets, tables of raw tracepoints, lists of permission functions.
HEADS = ("__BTF_ID__", "perf_perm_")
EVENT_HEADS = ("__bpf_trace_tp_map_", "__traceiter_", "btf_trace_", "__bpf_trace_", "trace_event_raw_", "__probestub_")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]+")
_TEXT = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")


def source_words() -> frozenset[str]:
    """Every word inside a string of the tool's source: the names that it may ask for."""
    found: set[str] = set()
    for path in sorted((ROOT / "probe_scout").rglob("*.py")):
        for text in _TEXT.findall(path.read_text()):
            found.update(_WORD.findall(text))
    return frozenset(found)


def names_of(targets: Iterable[str]) -> set[str]:
    """The symbols and types that may decide about targets as the prober writes them."""
    names: set[str] = set()
    for target in targets:
        name = target.rpartition(":")[2].partition("+")[0]
        iterator = name.removeprefix("bpf_iter_")
        names.update((name, name.partition(".")[0], f"bpf_lsm_{name}", f"bpf_iter_{iterator}", f"bpf_iter__{iterator}"))
        names.update(f"{head}{name}" for head in EVENT_HEADS)
        names.update(f"{head}{name}" for head in ("__x64_sys_", "__arm64_sys_", "__pfx_", "__cfi_"))
    return names


def cut(members: dict[str, bytes], targets: set[str]) -> dict[str, bytes]:
    """The members of the slice, the manifest with them."""
    words = source_words()
    names = names_of(targets) | words | set(ARCH)
    kept = dict(members)
    spans = []
    if f"{LISTED}_addrs" not in members:
        around, spans = _neighbours(members[LISTED], members[KALLSYMS], names)
        names |= around
    kept[KALLSYMS], symbols = _symbols(members[KALLSYMS], names, spans, _offsets(targets))
    for path in (LISTED, f"{LISTED}_addrs"):
        if path in kept:
            kept[path] = _listed(members[path], symbols)
    events = {target.replace(":", "/") for target in targets if ":" in target}
    for path in members:
        if path.startswith(f"{TRACING}events/") and "/".join(path.split("/")[4:6]) not in events:
            del kept[path]
    listed = members[f"{TRACING}available_events"].splitlines(keepends=True)
    kept[f"{TRACING}available_events"] = b"".join(
        # A raw tracepoint is asked by its name alone, and its event tells whether it is registered.
        line
        for line in listed
        if line.decode().strip().replace(":", "/") in events or line.decode().strip().partition(":")[2] in targets
    )
    base, modules = _types(members, names | symbols, words)
    kept[f"{BTF}vmlinux"] = base
    kept.update({f"{BTF}{name}": raw for name, raw in modules.items()})
    manifest = json.loads(members["manifest.json"])
    manifest["files"] = {
        path: {**entry, **({"sha256": hashlib.sha256(kept[path]).hexdigest()} if "sha256" in entry else {})}
        | ({"size": len(kept[path])} if "size" in entry else {})
        for path, entry in manifest["files"].items()
        if path in kept
    }
    manifest["partial"] = "what some targets need"
    kept["manifest.json"] = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    return kept


Span = tuple[str, int, int]  # owner, first and last address


def _neighbours(listed: bytes, kallsyms: bytes, names: set[str]) -> tuple[set[str], list[Span]]:
    """Where ftrace's list has no addresses its order tells: names around each line, and spans around nameless lines."""
    copies: dict[tuple[str, str], list[int]] = {}
    for line in kallsyms.decode().splitlines():
        address, name, owner = _row(line)
        copies.setdefault((name, owner), []).append(address)
    lines = [(words[0], words[1] if len(words) > 1 else "") for words in map(str.split, listed.decode().splitlines())]
    around: set[str] = set()
    spans: list[Span] = []
    for i, (name, owner) in enumerate(lines):
        nameless = name.startswith(NAMELESS)
        if not nameless and (name not in names or len(copies.get((name, owner), ())) == 1):
            continue
        ends = []
        for step in (-1, 1):
            at = i + step
            while 0 <= at < len(lines) and lines[at][1] == owner and len(copies.get(lines[at], ())) != 1:
                at += step
            if 0 <= at < len(lines) and lines[at][1] == owner:
                around.add(lines[at][0])
                ends.append(copies[lines[at]][0])
        if len(ends) == 2:
            spans.append((owner, *ends))
    return around, spans


def _offsets(targets: Iterable[str]) -> dict[str, set[int]]:
    """Names to the offsets at which they are asked; an offset may lie behind the symbol's end."""
    found: dict[str, set[int]] = {}
    for target in targets:
        name, plus, offset = target.rpartition(":")[2].partition("+")
        if plus:
            found.setdefault(name, set()).add(int(offset, 0))
    return found


def _symbols(raw: bytes, names: set[str], spans: list[Span], offsets: dict[str, set[int]]) -> tuple[bytes, set[str]]:
    """The lines that stay, and the names on them."""
    lines = raw.decode().splitlines()
    rows = [_row(line) for line in lines]
    starts: dict[str, list[int]] = {}
    for address, _, owner in rows:
        starts.setdefault(owner, []).append(address)
    for owner, found in starts.items():
        starts[owner] = sorted(set(found))
    places: set[tuple[str, int]] = set()
    # A symbol behind the end of the one that is asked for decides, and all others of its name do too.
    reached = {
        (owner, starts[owner][bisect_right(starts[owner], address + offset) - 1])
        for address, name, owner in rows
        for offset in offsets.get(name, ())
    }
    names = names | {name for address, name, owner in rows if (owner, address) in reached}
    for address, name, owner in rows:
        if name in names or name.startswith(HEADS):
            places.add((owner, address))
            at = bisect_right(starts[owner], address)
            if at < len(starts[owner]) and not name.startswith(HEADS):
                places.add((owner, starts[owner][at]))
    for owner, first, last in spans:
        between = starts[owner]
        places.update((owner, at) for at in between[bisect_left(between, first) : bisect_right(between, last) + 1])
    # An alias may be the name that the kernel prints, and its base name may decide as well.
    there = {row[1] for row in rows if (row[2], row[0]) in places}
    bases = {name.partition(".")[0] for name in there if "." in name}
    stay = [
        line
        for line, (address, name, owner) in zip(lines, rows, strict=True)
        if (owner, address) in places or name in bases
    ]
    return "\n".join(stay).encode() + b"\n", there | bases


def _row(line: str) -> tuple[int, str, str]:
    head, _, owner = line.partition("\t")
    address, _, name = head.split(" ", 2)
    return int(address, 16), name, owner


def _listed(raw: bytes, symbols: set[str]) -> bytes:
    """Lines of ftrace's list whose name stays."""
    kept = []
    for line in raw.decode().splitlines():
        words = line.split()
        name = words[1] if len(words) > 1 and not words[1].startswith("[") else words[0]
        if name in symbols or name.startswith(NAMELESS):
            kept.append(line)
    return "\n".join(kept).encode() + b"\n"


def _types(members: dict[str, bytes], names: set[str], words: frozenset[str]) -> tuple[bytes, dict[str, bytes]]:
    def wants(blob: Blob, one: Type) -> bool:
        if one.kind in (FUNC, STRUCT, UNION, TYPEDEF):
            return one.name in names
        return bool(words.intersection(_enumerators(blob, one))) or one.name in words

    modules = {path.removeprefix(BTF): raw for path, raw in members.items() if path.startswith(BTF)}
    return Cut(modules.pop("vmlinux"), modules, wants, words).write()


def _enumerators(blob: Blob, one: Type) -> list[str]:
    if one.kind not in (ENUM, ENUM64):
        return []
    return [blob.string(name) for name in one.rest[:: 2 if one.kind == ENUM else 3]]
