"""Which helpers take which types of maps (kernel/bpf/verifier.c, check_map_func_compatibility: EINVAL).

Of the two tables there, what 5.10 and 7.3 have alike. Of socket maps, which programs may change one moved twice without
a trace: what was always refused is told, what was always allowed is left alone, and the rest cannot be known.
"""

from __future__ import annotations

from .helper_sets import ALLOWED, DIFFERS, REFUSED
from .object_load import (
    ARRAY_OF_MAPS,
    BLOOM_FILTER,
    CGROUP_ARRAY,
    CGROUP_STORAGE,
    CGRP_STORAGE,
    CPUMAP,
    DEVMAP,
    DEVMAP_HASH,
    HASH_OF_MAPS,
    INODE_STORAGE,
    PERCPU_CGROUP_STORAGE,
    PERF_EVENT_ARRAY,
    PROG_ARRAY,
    QUEUE,
    REUSEPORT_SOCKARRAY,
    RINGBUF,
    SK_STORAGE,
    SOCKHASH,
    SOCKMAP,
    STACK,
    STACK_TRACE,
    TASK_STORAGE,
    USER_RINGBUF,
    XSKMAP,
)

_LOOKUP, _UPDATE, _DELETE = 1, 2, 3
WITH_KEY = frozenset((_LOOKUP, _UPDATE, _DELETE))
# Helpers that take these types alone, by number.
_ONLY: dict[int, frozenset[int]] = {
    helper: frozenset(types)
    for helpers, types in (
        ((12,), (PROG_ARRAY,)),  # tail_call
        ((22, 25, 55, 111, 121), (PERF_EVENT_ARRAY,)),  # perf_event_*, skb_output, xdp_output
        ((130, 131, 134), (RINGBUF,)),  # ringbuf_output, _reserve, _query
        ((27,), (STACK_TRACE,)),  # get_stackid
        ((33, 37), (CGROUP_ARRAY,)),  # skb_under_cgroup, current_task_under_cgroup
        ((51,), (DEVMAP, DEVMAP_HASH, CPUMAP, XSKMAP)),  # redirect_map
        ((52, 53, 60), (SOCKMAP,)),  # sk_redirect_map, sock_map_update, msg_redirect_map
        ((70, 71, 72), (SOCKHASH,)),  # sock_hash_update, msg_redirect_hash, sk_redirect_hash
        ((81,), (CGROUP_STORAGE, PERCPU_CGROUP_STORAGE)),  # get_local_storage
        ((107, 108), (SK_STORAGE,)),  # sk_storage_get, _delete
    )
    for helper in helpers
}
_NO_LOOKUP = frozenset(
    (
        *(PROG_ARRAY, PERF_EVENT_ARRAY, RINGBUF, STACK_TRACE, CGROUP_ARRAY, CGROUP_STORAGE, PERCPU_CGROUP_STORAGE),
        *(CPUMAP, REUSEPORT_SOCKARRAY, QUEUE, STACK, SK_STORAGE, INODE_STORAGE, TASK_STORAGE, CGRP_STORAGE),
        *(BLOOM_FILTER, USER_RINGBUF),
    )
)
_NO_UPDATE = _NO_LOOKUP | {ARRAY_OF_MAPS, HASH_OF_MAPS, DEVMAP, DEVMAP_HASH, XSKMAP}
SOCKET_MAPS = frozenset((SOCKMAP, SOCKHASH))
# may_update_sockmap: 7.3 takes no updates by these any more, and deletions only where updates are taken.
_MAY_UPDATE_ONCE = frozenset(("SCHED_CLS", "SCHED_ACT", "XDP", "SOCKET_FILTER", "FLOW_DISSECTOR"))


def state(helper: int, map_type: int, program: str, attach: str) -> str:
    """ALLOWED, REFUSED or DIFFERS for a helper that is given a map of this type."""
    if helper in _ONLY:
        return ALLOWED if map_type in _ONLY[helper] else REFUSED
    if helper == _LOOKUP:
        return REFUSED if map_type in _NO_LOOKUP else ALLOWED
    if helper not in WITH_KEY:
        return ALLOWED
    if map_type in SOCKET_MAPS:
        if program in ("SK_REUSEPORT", "SK_LOOKUP") or attach == "TRACE_ITER":
            return ALLOWED
        if program == "SOCK_OPS":
            return ALLOWED if helper == _DELETE else REFUSED
        return DIFFERS if helper == _DELETE or program in _MAY_UPDATE_ONCE else REFUSED
    return REFUSED if map_type in _NO_UPDATE else ALLOWED
