"""Which helpers take which map types: the two tables of check_map_func_compatibility, by the numbers of uapi bpf.h."""

from __future__ import annotations

import pytest

from probe_scout.rules.helper_sets import ALLOWED, DIFFERS, REFUSED
from probe_scout.rules.map_helpers import state

LOOKUP, UPDATE, DELETE = 1, 2, 3
TYPES = range(1, 34)  # BPF_MAP_TYPE_HASH to BPF_MAP_TYPE_ARENA
SOCKMAP, SOCKHASH = 15, 18
# Helper -> the map types that it takes: the switch over func_id.
TAKEN = {
    12: {3},
    **{key: {4} for key in (22, 25, 55, 111, 121)},
    27: {7},
    **{key: {8} for key in (33, 37)},
    51: {14, 16, 17, 25},
    **{key: {SOCKMAP} for key in (52, 53, 60)},
    **{key: {SOCKHASH} for key in (70, 71, 72)},
    81: {19, 21},
    **{key: {24} for key in (107, 108)},
    **{key: {27} for key in (130, 131, 134)},
}
# The switch over map_type: types whose list of helpers leaves map_lookup_elem out, and those that have it alone.
NO_KEYS = {3, 4, 7, 8, 16, 19, 20, 21, 22, 23, 24, 27, 28, 29, 30, 31, 32}
LOOKUP_ALONE = {12, 13, 14, 17, 25}


@pytest.mark.parametrize("helper", TAKEN)
def test_a_helper_of_few_types_takes_these_alone(helper):
    assert {kind for kind in TYPES if state(helper, kind, "XDP", "") == ALLOWED} == TAKEN[helper]
    assert {state(helper, kind, "XDP", "") for kind in TYPES} == {ALLOWED, REFUSED}


def test_which_types_are_read_and_written_by_key():
    assert {kind for kind in TYPES if state(LOOKUP, kind, "KPROBE", "") == REFUSED} == NO_KEYS
    for helper in (UPDATE, DELETE):
        found = {kind for kind in TYPES if state(helper, kind, "KPROBE", "") == REFUSED} - {SOCKMAP, SOCKHASH}
        assert found == NO_KEYS | LOOKUP_ALONE


@pytest.mark.parametrize("helper", [4, 14, 35, 87, 109, 112, 133, 165])
def test_other_helpers_are_not_judged_by_the_map(helper):
    assert {state(helper, kind, "KPROBE", "") for kind in TYPES} == {ALLOWED}


@pytest.mark.parametrize("kind", [SOCKMAP, SOCKHASH])
@pytest.mark.parametrize(
    ("program", "attach", "update", "delete"),
    [
        ("SK_REUSEPORT", "", ALLOWED, ALLOWED),
        ("SK_LOOKUP", "", ALLOWED, ALLOWED),
        ("TRACING", "TRACE_ITER", ALLOWED, ALLOWED),
        ("TRACING", "TRACE_FENTRY", REFUSED, DIFFERS),
        ("SOCK_OPS", "", REFUSED, ALLOWED),
        ("KPROBE", "", REFUSED, DIFFERS),
        *((program, "", DIFFERS, DIFFERS) for program in ("SCHED_CLS", "SCHED_ACT", "XDP", "SOCKET_FILTER")),
        ("FLOW_DISSECTOR", "", DIFFERS, DIFFERS),
    ],
)
def test_socket_maps_hang_on_the_program(kind, program, attach, update, delete):
    """may_update_sockmap."""
    assert state(UPDATE, kind, program, attach) == update
    assert state(DELETE, kind, program, attach) == delete
    assert state(LOOKUP, kind, program, attach) == ALLOWED
