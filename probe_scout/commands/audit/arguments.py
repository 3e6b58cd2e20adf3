"""What programs on raw tracepoints expect of the event's arguments, and what the event passes.

The kernel checks how many arguments a program loads, and for tp_btf which of them it follows; whether the program was
written for the event as it is now nobody checks. What a program expects is read from its own BTF while it is loaded
(formats/btf/program.py) and kept with the other inputs.
"""

from __future__ import annotations

from ...errors import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ...kernel.kernel import Kernel
    from ...sources.bpf.syscalls import Calls
    from .record import Inputs

    _Argument = list[Any]  # shape, struct, text; of events also slot and size in bytes

_SLOT_BYTES = 8


def look(inputs: Inputs, calls: Calls) -> dict[str, list[_Argument]]:
    """Program's id -> what it expects, of the programs on raw tracepoints whose BTF says so."""
    wanted = sorted(_wanted(inputs))
    if not wanted:
        return {}
    from ...formats.btf import program as program_btf
    from ...sources.bpf import objects as bpf

    found: dict[str, list[_Argument]] = {}
    blobs: dict[int, bytes | None] = {}
    for number in wanted:
        try:
            words = bpf.program_words(calls, number)
            if words is None or words["func_id"] is None:
                continue
            if words["btf_id"] not in blobs:
                blobs[words["btf_id"]] = bpf.btf_bytes(calls, words["btf_id"])
            raw = blobs[words["btf_id"]]
            if raw is not None:
                expected = program_btf.arguments(raw, words["func_id"], words["line"])
                if expected:
                    found[str(number)] = [list(one) for one in expected]
        except (bpf.Refused, Malformed, IndexError):
            continue  # it says nothing
    return found


def _wanted(inputs: Inputs) -> set[int]:
    """Programs with BTF on raw tracepoints, typed or not."""
    have = {one.id for one in inputs.programs if one.btf_id}
    on = {
        one.prog_id
        for one in inputs.links
        if one.prog_id and (one.type == "raw_tracepoint" or one.attach_type == "trace_raw_tp")
    }
    on.update(one.prog_id for one in inputs.perf if one.type == "raw_tracepoint")
    return have & on


def passed(k: Kernel, event: str) -> list[_Argument]:
    """What the event passes, by the kernel's BTF; [] where that does not tell."""
    from ...probes.tracepoints.raw_arguments import TraceTypes

    try:
        found = TraceTypes(k).arguments(event)
    except (Malformed, IndexError):
        return []
    return [[one.shape, one.struct, _text(one.type, one.name), one.slot, one.size] for one in found]


def _text(kind: str, name: str) -> str:
    return f"{kind}{name}" if kind.endswith("*") else f"{kind} {name}".rstrip()


def difference(expected: Sequence[_Argument], event: Sequence[_Argument]) -> str | None:
    """The first argument that is another one than the program expects; None where all that can be told agree."""
    from ...formats.btf.program import NARROW, POINTER

    slots = {slot: (shape, struct, text, size) for shape, struct, text, slot, size in event}
    count = sum(max(1, (one[4] + _SLOT_BYTES - 1) // _SLOT_BYTES) for one in event)
    for place, (shape, struct, text) in enumerate(expected):
        if place >= count:
            return f"the program has argument {place + 1} `{text}`, the event passes {count}"
        if place not in slots or slots[place][0] == "struct":
            return None  # inside a struct that is passed by value: how the program counts is not known
        kind, other, words, size = slots[place]
        differs = (
            shape == POINTER
            and (
                (kind == "struct_pointer" and None not in (struct, other) and struct != other)
                or (kind == "scalar" and size < _SLOT_BYTES)
            )
        ) or (shape == NARROW and kind in ("struct_pointer", "pointer"))
        if differs:
            return f"argument {place + 1}: the program has `{text}`, the event passes `{words}`"
    return None
