"""What may be loaded of every event's record, against what booted kernels answered (fixtures/tp_field)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from probe_scout.formats.text import trace_format
from probe_scout.model.trace import UNREADABLE
from probe_scout.probes.tracepoints.record import event_fields
from probe_scout.rules import tracepoint_access
from tests.oracle import loads

RECORDED = sorted((Path(__file__).parents[2] / "fixtures" / "tp_field").glob("*.txt.xz"))
KERNELS = ("5.10.223", "6.1.176", "6.12.107", "6.12.107-rt", "7.3.4")


@pytest.fixture(scope="module", params=RECORDED, ids=lambda path: path.name)
def events(request):
    """Each event with its format as the scanner reads it."""
    found = []
    for event in loads.read(request.param):
        found.append((event, trace_format.parse(event.format(), category=event.name.partition(":")[0])))
    return found


def takes_programs(event):
    """Whether the event takes a program at all: that is another gate's answer."""
    return not {"open:EPERM", "attach:EINVAL", "open:EINVAL"} & set(event.said.values())


def test_which_kernels_are_recorded():
    assert [path.name for path in RECORDED] == [f"debian-{name}-amd64.txt.xz" for name in KERNELS]


@pytest.mark.oracle
def test_every_recorded_load_is_answered_as_the_kernel_did(events):
    wrong = []
    seen: Counter[str] = Counter()
    for event, fmt in events:
        is_open = takes_programs(event)
        for (offset, size), word in event.said.items():
            found = tracepoint_access.reads(offset, size, fmt)
            if not is_open and word[:5] != "load:":
                seen["no program"] += 1
                right = found is None or found.stage != "load"
            else:
                seen[word] += 1
                right = found is not None and word == (loads.OK if found.accepted else f"{found.stage}:{found.errno}")
            if not right:
                wrong.append((event.name, offset, size, word, found))
    assert wrong[:10] == []
    assert len(events) > 2000
    assert min(seen["ok"], seen["load:EACCES"], seen["attach:EACCES"]) > 10_000
    assert seen["no program"] < 1000


@pytest.mark.oracle
def test_fields_are_readable_where_the_kernel_takes_a_load(events):
    """A field is unreadable if the kernel takes no load at its offset; else the load that is told is taken."""
    readable = 0
    for event, fmt in events:
        if not takes_programs(event):
            continue
        for field in event_fields(fmt):
            if field.access == UNREADABLE:
                at = [word for (offset, _), word in event.said.items() if offset == field.offset]
                assert at, (event.name, field)
                assert loads.OK not in at, (event.name, field)
            elif field.load:
                readable += 1
                assert event.said.get((field.offset, field.load), loads.OK) == loads.OK, (event.name, field)
    assert readable > 8000


@pytest.mark.oracle
def test_the_common_fields_of_every_event_were_asked(events):
    for event, fmt in events:
        common = [field for field in fmt.fields if field.is_common]
        assert common, event.name
        assert {event.said[field.offset_bytes, field.size_bytes] for field in common} == {"load:EACCES"}, event.name
