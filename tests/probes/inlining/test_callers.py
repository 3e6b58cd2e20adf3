"""Predictions of surveys held against a kernel's own calls.

The lane of images measures the shares anew: each surveyed kernel of the lab is foretold from the others and its image.
"""

from __future__ import annotations

import collections
from bisect import bisect_right
from pathlib import Path

import pytest

from probe_scout.formats.elf.kernel_image import KernelImage, vmlinux_of
from probe_scout.formats.image.facts import Facts
from probe_scout.probes.inlining import callers, survey
from probe_scout.probes.inlining.callers import Calls, group
from probe_scout.probes.inlining.survey import Votes
from probe_scout.probes.inlining.survey.cell import Cell, effect
from probe_scout.probes.inlining.survey.format import Table
from tests.vm import cache

KERNELS = ("5.10", "6.1", "6.12", "7.3")
AT = 0xFFFF_FFFF_8100_0000


@pytest.mark.parametrize(
    ("votes", "calls", "key"),
    [
        (Votes(2), Calls(("a", "b"), ("c",), True), ("partial", "silent")),
        (Votes(2), Calls(("a", "b"), ("c",), False), ("partial", "silent, unclear")),
        (Votes(2), Calls(("a",), ("c",), True), ("partial", "silent, unclear")),
        (Votes(1), Calls(("a",)), ("partial", "silent")),
        (Votes(2), Calls((), ("c",)), ("partial", "called")),
        (Votes(2), Calls(), ("partial", "none")),
        (Votes(1, 1), Calls(("a",)), ("divided", "silent")),
        (Votes(2, 1), Calls(("a",), (), True), ("divided, mostly partial", "silent, repeated")),
        (Votes(0, 3), Calls(), ("complete", "none")),
        (Votes(0, 0, 1), Calls((), ("c",)), ("other", "called")),
        (Votes(), Calls(), ("nobody", "none")),
    ],
)
def test_groups(votes, calls, key):
    assert group(votes, calls) == key


def test_calls_and_jumps_end_at_a_function_or_behind_its_endbr():
    def near(opcode: bytes, at: int, to: int) -> bytes:
        return opcode + (to - at - len(opcode) - 4).to_bytes(4, "little", signed=True)

    code = near(b"\xe8", 0, 0x100) + near(b"\xe9", 5, -0x80) + near(b"\x0f\x84", 10, 0x204) + b"\xe8\1\2"
    found = callers.targets_of(code, AT)
    assert {AT + 0x100, AT - 0x80, AT + 0x200} <= found
    assert len(found) == 6


KALLSYMS = b"".join(
    b"%016x %b %b\n" % row
    for row in [
        (AT, b"T", b"_stext"),
        (AT + 16, b"t", b"host"),
        (AT + 16, b"t", b"alias"),
        (AT + 48, b"t", b"host.isra.0"),
        (AT + 64, b"T", b"hosts"),
        (AT + 80, b"d", b"host"),
        (AT + 96, b"t", b"host.cold"),
        (AT + 99, b"T", b"_etext"),
    ]
)


def test_places_of_a_function_are_those_of_its_pieces():
    assert callers._places(KALLSYMS, "host") == [(AT + 16, 32), (AT + 48, 16), (AT + 96, 3)]
    assert callers._places(KALLSYMS, "host", exact=True) == [(AT + 16, 32)]
    assert callers._places(KALLSYMS, "none") == []


def test_what_is_told_with_the_high_grade_is_right_98_times_of_100():
    high = [share for share in callers.SHARES.values() if share.grade == callers.HIGH]
    assert {share.answer for share in high} == {"partial", "complete"}
    assert all(share.right >= 0.98 * share.asked for share in high)
    partial = [share for share in callers.SHARES.values() if share.answer == "partial"]
    graded = sum(share.asked for share in partial if share.grade == callers.HIGH)
    assert graded * 3 >= 2 * sum(share.asked for share in partial)


@pytest.mark.image
def test_the_shares_are_what_is_measured():
    path = Path(survey.__file__).with_name("shipped") / "debian-amd64.survey"
    table = Table(survey.reader(str(path)), str(path))
    rows: dict[str, tuple[Cell | None, ...]] = {
        name: one.cells for name, found in table.all_names() for one in found if one.scope == "vmlinux"
    }
    told: dict[tuple[str, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    silent_about = whole = 0
    for number, kernel in enumerate(KERNELS):
        symbols, calls = _graph((cache.root() / "kernels" / kernel / "vmlinuz").read_bytes())
        pieces = collections.defaultdict(set)
        for name, places in symbols.items():
            pieces[name.partition(".")[0]].update(places)
        for name, cells in rows.items():
            truth = cells[number]
            if truth is None or name not in symbols:
                continue
            others = [cell for place, cell in enumerate(cells) if place != number]
            key = group(survey.counted(others), _held(name, others, symbols[name], pieces, calls))
            whole += 1
            silent_about += key not in callers.SHARES
            told[key][effect(truth.label)] += 1
    for key, share in callers.SHARES.items():
        assert (told[key][share.answer], told[key].total()) == (share.right, share.asked), key
    assert silent_about <= 0.05 * whole


def _held(name, others, targets, pieces, calls) -> Calls:
    silent, calling, repeated = [], [], False
    for holder, builds in survey.holders(others):
        if holder == name or holder not in pieces:
            continue
        if any(targets & calls[place] for place in pieces[holder]):
            calling.append(holder)
        else:
            silent.append(holder)
            repeated = repeated or builds > 1
    return Calls(tuple(silent), tuple(calling), repeated)


def _graph(vmlinuz: bytes) -> tuple[dict[str, set[int]], dict[int, set[int]]]:
    """Names to places of core text, and each function's place to those that it calls."""
    facts = Facts(KernelImage(vmlinux_of(vmlinuz)))
    low, high = facts.address("_stext"), facts.address("_etext")
    text = facts.image.text_at(low, high - low)
    symbols: dict[str, set[int]] = collections.defaultdict(set)
    for address, name in zip(facts.table.addresses, facts.table.names, strict=True):
        if low <= address < high:
            symbols[name.decode()].add(address)
    starts = sorted({place for places in symbols.values() for place in places})
    known = set(starts)
    calls: dict[int, set[int]] = collections.defaultdict(set)
    for match in callers._CALL.finditer(text):
        at = match.end()
        place = low + at + 4 + int.from_bytes(text[at : at + 4], "little", signed=True)
        place = place if place in known else place - 4
        if place in known:
            caller = starts[bisect_right(starts, low + match.start()) - 1]
            calls[caller].add(place)
    return symbols, calls
