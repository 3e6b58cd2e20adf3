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


def map_of(kind, key=4, value=4, entries=1, flags=0, origin="maps", inner=None):
    return MapDefinition("m", kind, key, value, entries, flags, origin, 1, inner=inner)


@pytest.mark.parametrize(
    ("definition", "missing", "entries", "key", "value"),
    [
        (map_of(load.HASH, entries=0), ("max_entries",), 256, 4, 4),
        (map_of(load.RINGBUF, 0, 0, entries=0), ("max_entries",), 4096, 0, 0),
        (map_of(load.USER_RINGBUF, 0, 0, entries=0), ("max_entries",), 4096, 0, 0),
        (map_of(load.ARENA, 0, 0, entries=0), ("max_entries",), 10, 0, 0),
        (map_of(load.HASH, entries=5), (), 5, 4, 4),
        (map_of(load.PERF_EVENT_ARRAY, entries=0), (), 0, 4, 4),
        (map_of(load.STACK_TRACE, 4, 0), ("value_size",), 1, 4, 1016),
        (map_of(load.STACK_TRACE, 0, 0, 0), ("max_entries", "value_size"), 256, 4, 1016),
        (map_of(load.STACK_TRACE, 8, 0), ("value_size",), 1, 8, 1016),
        (map_of(load.STACK_TRACE, 4, 8), (), 1, 4, 8),
    ],
)
def test_sizes_that_a_loader_sets(definition, missing, entries, key, value):
    assert load.missing_sizes(definition) == missing
    made = load.with_sizes(definition)
    assert (made.entries, made.key_bytes, made.value_bytes) == (entries, key, value)


OLD, NEW = {"BPF_FUNC_unspec": 0}, {"BPF_FUNC_task_storage_get": 1, "BPF_FUNC_task_pt_regs": 2, load._NEWER_ARRAYS: 3}


@pytest.mark.parametrize(
    ("kind", "key", "value", "on_old", "on_new"),
    [
        (load.HASH, 512, 1, "", ""),
        (load.HASH, 513, 1, "a key of 513 bytes", ""),
        (load.ARRAY, 513, 1, "", ""),
        (load.PERCPU_HASH, 4, 32769, "", ""),
        (load.PERCPU_HASH, 513, 32769, "a key of 513 bytes", ""),
        (load.HASH, 4, 32769, "", ""),
        (load.CGROUP_STORAGE, 4, 4096, "", ""),
        (load.CGROUP_STORAGE, 4, 4097, "takes a page", ""),
        (load.CGROUP_STORAGE, 4, 32769, "takes a page", ""),
        (load.PERCPU_CGROUP_STORAGE, 4, 4096, "", ""),
        (load.PERCPU_CGROUP_STORAGE, 4, 4097, "takes a page", ""),
        (load.PERCPU_CGROUP_STORAGE, 4, 32768, "takes a page", ""),
        (load.PERCPU_CGROUP_STORAGE, 4, 32769, "takes a page", "for each CPU"),
        (load.ARRAY, 4, 4 << 20, "", ""),
        (load.ARRAY, 4, (4 << 20) + 1, "this kernel takes 4194304", ""),
        (load.PERCPU_ARRAY, 4, (4 << 20) + 1, "", ""),
    ],
)
def test_sizes_that_the_kernel_does_not_allocate(kind, key, value, on_old, on_new):
    for helpers, words in ((OLD, on_old), (NEW, on_new)):
        found = load.map_too_large(map_of(kind, key, value), helpers, True)
        assert (found is not None) == bool(words)
        assert found is None or (found.errno, words in found.says) == ("E2BIG", True)
    assert load.map_too_large(map_of(kind, key, value), {}, True) is None
    larger_pages = load.map_too_large(map_of(kind, key, value), OLD, False)
    assert (larger_pages is not None) == ("a key" in on_old)


# 32,769 bytes: refused by booted Debian kernels, by 5.10 with ENOMEM (its code has no check), by later ones with E2BIG.
@pytest.mark.parametrize(
    ("kind", "flags", "checks", "has_cache", "said"),
    [
        (load.PERCPU_ARRAY, 0, True, True, "E2BIG"),
        (load.PERCPU_ARRAY, 0, False, False, "ENOMEM"),
        (load.PERCPU_ARRAY, 0, None, False, "one of both"),
        (load.PERCPU_HASH, 0, False, False, "ENOMEM"),
        (load.LRU_PERCPU_HASH, 0, None, True, "one of both"),
        (load.PERCPU_HASH, 1, False, False, "taken"),
        (load.PERCPU_HASH, 1, False, True, "unknown"),
        (load.PERCPU_HASH, 1, None, False, "unknown"),
        (load.PERCPU_HASH, 1, True, True, "E2BIG"),
    ],
)
def test_values_of_each_cpu(kind, flags, checks, has_cache, said):
    assert not load.is_percpu_too_large(map_of(kind, 4, 32768))
    definition = map_of(kind, 4, 32769)._replace(flags=flags)
    assert load.is_percpu_too_large(definition)
    found, is_known = load.percpu_refused(definition, checks, has_cache)
    if not is_known:
        assert (said, found.errno) == ("unknown", "")
    else:
        assert said == ("taken" if found is None else found.errno or "one of both")


@pytest.mark.parametrize(
    ("kind", "flags", "at_first", "later"),
    [
        (load.HASH, 0, True, True),
        (load.HASH, 1, False, True),
        (load.HASH, 2, True, True),
        (load.LRU_HASH, 1, False, True),
        (load.LRU_HASH, 0, True, True),
        (load.ARRAY, 1, True, True),
        (load.PERCPU_ARRAY, 0, False, True),
        (load.LPM_TRIE, 1, False, True),
        (load.PERF_EVENT_ARRAY, 0, False, False),
        (load.STRUCT_OPS, 0, True, True),
        (load.RHASH, 0, False, True),
        (load.RHASH + 1, 0, True, True),
    ],
)
def test_maps_of_programs_that_sleep(kind, flags, at_first, later):
    definition = map_of(kind, flags=flags)
    assert (load.sleepable_refused(definition, True) == "", load.sleepable_refused(definition, False) == "") == (
        at_first,
        later,
    )
    assert ("BPF_F_NO_PREALLOC" in load.sleepable_refused(definition, True)) == (
        kind in (load.HASH, load.LRU_HASH) and flags == 1
    )


@pytest.mark.parametrize(
    ("kind", "key", "value", "entries", "flags", "more", "is_refused"),
    [
        (load.HASH_OF_MAPS, 4, 0, 1, 0, {"inner": map_of(load.HASH)}, False),
        (load.HASH_OF_MAPS, 4, 4, 1, 0, {}, True),
        (load.ARRAY_OF_MAPS, 4, 4, 1, 0, {"inner": map_of(load.HASH)}, False),
        (load.ARRAY_OF_MAPS, 4, 4, 1, 0, {}, True),
        (load.ARRAY, 8, 0, 1, 0, {"origin": "data"}, False),
        (load.PROG_ARRAY, 4, 0, 1, 0, {}, True),
        (load.STACK, 0, 0, 1, 0, {}, True),
        (load.STACK, 4, 1, 1, 0, {}, True),
        (load.BLOOM_FILTER, 0, 0, 1, 0, {}, True),
        (load.USER_RINGBUF, 4, 0, 1, 0, {}, True),
        (load.USER_RINGBUF, 0, 4, 1, 0, {}, True),
        (load.STACK_TRACE, 4, 7, 1, 0, {}, True),
        (load.CPUMAP, 4, 6, 1, 0, {}, True),
        (load.DEVMAP_HASH, 8, 4, 1, 0, {}, True),
        (load.SK_STORAGE, 4, 4, 0, 1, {}, False),
        (load.SK_STORAGE, 4, 4, 0, 2, {}, True),
        (load.SK_STORAGE, 4, 4, 1, 1, {}, True),
        (load.CGROUP_STORAGE, 4, 4, 0, 0, {}, False),
        (load.CGROUP_STORAGE, 4, 4, 1, 0, {}, True),
        (load.PERCPU_CGROUP_STORAGE, 4, 4, 1, 0, {}, True),
        (load.PERF_EVENT_ARRAY, 4, 4, 0, 0, {}, False),
        (load.STRUCT_OPS, 4, 4, 0, 0, {}, False),
        (load.HASH, 4, 4, 0, 0, {}, True),
    ],
)
def test_whole_definitions(kind, key, value, entries, flags, more, is_refused):
    types = {"BPF_MAP_TYPE_X": kind, "__MAX_BPF_MAP_TYPE": kind + 1}
    found = load.map_refused(map_of(kind, key, value, entries, flags, **more), types)
    assert (found is not None) == is_refused
    assert found is None or (found.rule, found.errno) == ("object_load.map", "EINVAL")
    unknown = load.map_refused(map_of(kind + 1, key, value, entries, flags, **more), types)
    assert (unknown.rule, unknown.errno) == ("object_load.map_type", "EINVAL")


def test_the_number_that_libbpf_leaves_where_a_helper_cannot_be_called():
    """The verifier says `invalid func unknown#195896080`: tools/lib/bpf/relo_core.c, bpf_core_poison_insn."""
    assert load.HELPER_POISON == 195896080
