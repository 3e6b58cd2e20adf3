"""Which definitions of maps the kernel refuses, by the limits of each type's map_alloc_check."""

from __future__ import annotations

import pytest

from probe_scout.model.bpf_map import MapDefinition
from probe_scout.rules import object_load as load


def refused(kind, key, value, entries=1, flags=0):
    definition = MapDefinition("m", kind, key, value, entries, flags, "maps", 1)
    found = load._sizes_refused(definition) or load._shape_refused(definition)
    return bool(found)


@pytest.mark.parametrize(
    ("kind", "key", "value", "flags"),
    [
        (load.HASH, 1, 1, 0),
        (load.ARRAY, 4, 1, 0),
        (load.PROG_ARRAY, 4, 4, 0),
        (load.LPM_TRIE, 5, 1, 1),
        (load.LPM_TRIE, 260, 1, 1),
        (load.STACK_TRACE, 4, 8, 0),
        (load.STACK_TRACE, 4, 16, 0),
        (load.QUEUE, 0, 1, 0),
        (load.STACK, 0, 1, 0),
        (load.BLOOM_FILTER, 0, 1, 0),
        (load.RINGBUF, 0, 0, 0),
        (load.USER_RINGBUF, 0, 0, 0),
        (load.DEVMAP, 4, 4, 0),
        (load.DEVMAP, 4, 8, 0),
        (load.DEVMAP_HASH, 4, 8, 0),
        (load.CPUMAP, 4, 4, 0),
        (load.CPUMAP, 4, 8, 0),
        (load.XSKMAP, 4, 4, 0),
        (load.RHASH, 4, 4, 1),
    ],
)
def test_what_a_type_takes(kind, key, value, flags):
    assert not refused(kind, key, value, flags=flags)


@pytest.mark.parametrize(
    ("kind", "key", "value", "flags"),
    [
        (load.HASH, 0, 1, 0),
        (load.HASH, 1, 0, 0),
        (load.ARRAY, 8, 1, 0),
        (load.ARRAY, 4, 0, 0),
        (load.PERCPU_ARRAY, 4, 0, 0),
        (load.PROG_ARRAY, 4, 8, 0),
        (load.LPM_TRIE, 5, 1, 0),
        (load.LPM_TRIE, 4, 1, 1),
        (load.LPM_TRIE, 261, 1, 1),
        (load.STACK_TRACE, 8, 8, 0),
        (load.STACK_TRACE, 4, 4, 0),
        (load.STACK_TRACE, 4, 12, 0),
        (load.QUEUE, 4, 1, 0),
        (load.QUEUE, 0, 0, 0),
        (load.BLOOM_FILTER, 4, 1, 0),
        (load.RINGBUF, 4, 0, 0),
        (load.RINGBUF, 0, 4, 0),
        (load.HASH_OF_MAPS, 4, 4, 0),
        (load.DEVMAP, 8, 4, 0),
        (load.DEVMAP, 4, 6, 0),
        (load.DEVMAP_HASH, 4, 2, 0),
        (load.CPUMAP, 8, 4, 0),
        (load.CPUMAP, 4, 2, 0),
        (load.XSKMAP, 4, 8, 0),
        (load.XSKMAP, 8, 4, 0),
        (load.RHASH, 4, 4, 0),
        (load.SK_STORAGE, 4, 4, 1),
    ],
)
def test_what_a_type_does_not_take(kind, key, value, flags):
    assert refused(kind, key, value, flags=flags)


@pytest.mark.parametrize(
    ("kind", "is_refused"), [(load.HASH, True), (load.PERF_EVENT_ARRAY, False), (load.STRUCT_OPS, False)]
)
def test_a_map_without_entries(kind, is_refused):
    assert refused(kind, 4, 4, entries=0) == is_refused


def test_storages_have_no_entries():
    assert not refused(load.TASK_STORAGE, 4, 4, entries=0, flags=1)
    assert refused(load.TASK_STORAGE, 8, 4, entries=0, flags=1)
    assert refused(load.TASK_STORAGE, 4, 0, entries=0, flags=1)
    assert refused(load.TASK_STORAGE, 4, 4, entries=0)
