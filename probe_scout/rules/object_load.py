"""What libbpf and the kernel refuse of a compiled object beside attach targets: maps and program types.

Map rules mirror kernel/bpf/syscall.c (map_create) and each type's map_alloc_check; program types
kernel/bpf/syscall.c (bpf_prog_load, bpf_prog_load_check_attach) and kernel/bpf/verifier.c (check_helper_call).
Numbers of types and helpers come from the kernel's own enums, never from a release.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.bpf_map import MapDefinition

GPL = frozenset(
    ("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL")
)  # include/linux/license.h, license_is_gpl_compatible
HELPER_POISON = 0xBAD2310

HASH, ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_HASH, PERCPU_ARRAY, STACK_TRACE, CGROUP_ARRAY, LRU_HASH = range(1, 10)
LRU_PERCPU_HASH, LPM_TRIE, ARRAY_OF_MAPS, HASH_OF_MAPS, DEVMAP, SOCKMAP, CPUMAP, XSKMAP, SOCKHASH, CGROUP_STORAGE = (
    range(10, 20)
)
REUSEPORT_SOCKARRAY, PERCPU_CGROUP_STORAGE, QUEUE, STACK, SK_STORAGE, DEVMAP_HASH, STRUCT_OPS, RINGBUF = range(20, 28)
INODE_STORAGE, TASK_STORAGE, BLOOM_FILTER, USER_RINGBUF, CGRP_STORAGE, ARENA, INSN_ARRAY, RHASH = range(28, 36)

_LOCAL_STORAGES = frozenset((SK_STORAGE, INODE_STORAGE, TASK_STORAGE, CGRP_STORAGE))
_WITHOUT_SIZE = _LOCAL_STORAGES | {CGROUP_STORAGE, PERCPU_CGROUP_STORAGE, STRUCT_OPS, PERF_EVENT_ARRAY}
_ARRAYS = frozenset((ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_ARRAY, CGROUP_ARRAY, ARRAY_OF_MAPS))
_HASHES = frozenset((HASH, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH, HASH_OF_MAPS))
_DESCRIPTORS = frozenset((PROG_ARRAY, PERF_EVENT_ARRAY, CGROUP_ARRAY))
_NO_PREALLOC = 1
# Commit 63b8ce77b15e ("bpf: remove obsolete KMALLOC_MAX_SIZE restriction on array map value size") came with it.
_NEWER_ARRAYS = "BPF_FUNC_tcp_raw_gen_syncookie_ipv4"
SOCKOPTS = frozenset((49, 57))  # setsockopt, getsockopt
# kernel/bpf/verifier.c, check_map_prog_compatibility, as far as it ever went; and with the first sleepable programs.
_SLEEPABLE_MAPS = frozenset(
    (
        *(HASH, RHASH, LRU_HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH, LPM_TRIE, ARRAY_OF_MAPS),
        *(HASH_OF_MAPS, RINGBUF, USER_RINGBUF, INODE_STORAGE, SK_STORAGE, TASK_STORAGE, CGRP_STORAGE),
        *(QUEUE, STACK, ARENA, INSN_ARRAY, PROG_ARRAY),
    )
)
_SLEEPABLE_MAPS_AT_FIRST = frozenset((HASH, LRU_HASH, ARRAY))
_PERCPU_BYTES_MAX = 32 << 10  # PCPU_MIN_UNIT_SIZE
_KEY_BYTES_MAX = 512  # MAX_BPF_STACK
_ALLOCATION_BYTES_MAX = 4 << 20  # KMALLOC_MAX_SIZE with pages of 4 KiB
_PAGE_BYTES = 4096
_STACK_BYTES_MAX = 127 * 8  # sysctl kernel.perf_event_max_stack


class Refused(NamedTuple):
    """Why something is refused. `errno` by name."""

    rule: str
    errno: str
    says: str


def missing_sizes(definition: MapDefinition) -> tuple[str, ...]:
    """What the object leaves to its loader: entries, value size."""
    found = []
    if not definition.entries and definition.type not in _WITHOUT_SIZE:
        found.append("max_entries")
    if definition.type == STACK_TRACE and not definition.value_bytes:
        found.append("value_size")
    return tuple(found)


def with_sizes(definition: MapDefinition) -> MapDefinition:
    """The map as its loader would size it, where the object does not."""
    wanted = missing_sizes(definition)
    if "max_entries" in wanted:
        entries = {RINGBUF: 4096, USER_RINGBUF: 4096, ARENA: 10}.get(definition.type, 256)
        definition = definition._replace(entries=entries)
    if "value_size" in wanted:
        definition = definition._replace(value_bytes=_STACK_BYTES_MAX, key_bytes=definition.key_bytes or 4)
    return definition


def map_refused(definition: MapDefinition, types: dict[str, int]) -> Refused | None:
    """Why this kernel refuses to create the map. `types`: the kernel's enum bpf_map_type, never empty."""
    numbers = {value: name for name, value in types.items() if name.startswith("BPF_MAP_TYPE_")}
    if definition.type not in numbers:
        return Refused(
            "object_load.map_type", "EINVAL", f"map {definition.name}: this kernel knows no map type {definition.type}"
        )
    says = _sizes_refused(definition) or _shape_refused(definition)
    return Refused("object_load.map", "EINVAL", f"map {definition.name}: {says}") if says else None


def _sizes_refused(definition: MapDefinition) -> str:
    kind = definition.type
    if kind in _LOCAL_STORAGES | {CGROUP_STORAGE, PERCPU_CGROUP_STORAGE}:
        return "max_entries must be 0 for a storage" if definition.entries else ""
    if not definition.entries and kind not in (PERF_EVENT_ARRAY, STRUCT_OPS):
        return "max_entries is 0: its loader must set it"
    return ""


def _shape_refused(definition: MapDefinition) -> str:
    kind, key, value, flags = definition.type, definition.key_bytes, definition.value_bytes, definition.flags
    if kind in _ARRAYS and definition.origin == "maps":
        if key != 4:
            return "the key of an array must be 4 bytes long"
        if kind in _DESCRIPTORS and value != 4:
            return "the value of this type must be 4 bytes long"
        if kind in (ARRAY, PERCPU_ARRAY) and not value:
            return "the value has no size"
    if kind in _HASHES and (not key or (not value and kind != HASH_OF_MAPS)):
        return "key or value has no size"
    if kind == LPM_TRIE:
        if not flags & _NO_PREALLOC:
            return "an LPM trie needs the flag BPF_F_NO_PREALLOC"
        if not 5 <= key <= 260:
            return "the key of an LPM trie must be 5 to 260 bytes long"
    if kind in _LOCAL_STORAGES and (not flags & _NO_PREALLOC or key != 4 or not value):
        return "a storage needs BPF_F_NO_PREALLOC, a key of type int and a value"
    if kind == STACK_TRACE and (key != 4 or value < 8 or value % 8):
        return "a stack trace map needs a key of 4 bytes and a value of a multiple of 8"
    if kind in (QUEUE, STACK) and (key or not value):
        return "a queue or stack has no key, and a value"
    if kind == BLOOM_FILTER and (key or not value):
        return "a bloom filter has no key, and a value"
    if kind in (RINGBUF, USER_RINGBUF) and (key or value):
        return "a ring buffer has neither key nor value"
    if kind in (ARRAY_OF_MAPS, HASH_OF_MAPS) and definition.inner is None:
        return "a map of maps needs an inner map, which its loader must set"
    if kind == RHASH and not flags & _NO_PREALLOC:
        return "this type needs the flag BPF_F_NO_PREALLOC"
    if kind in (DEVMAP, DEVMAP_HASH) and (key != 4 or value not in (4, 8)):
        return "a device map needs a key of 4 bytes and a value of 4 or 8"
    if kind == CPUMAP and (key != 4 or value not in (4, 8)):
        return "a CPU map needs a key of 4 bytes and a value of 4 or 8"
    if kind == XSKMAP and (key != 4 or value != 4):
        return "an XSK map needs a key and a value of 4 bytes"
    return ""


def map_too_large(definition: MapDefinition, helpers: dict[str, int], has_small_pages: bool) -> Refused | None:
    """Sizes that map_alloc refuses with E2BIG. `helpers`: the kernel's enum bpf_func_id, which tells its age.

    `has_small_pages`: pages are 4 KiB, as limits by the page's size need.
    """
    kind, key, value = definition.type, definition.key_bytes, definition.value_bytes
    says = ""
    # Commit c8644cd0efe7 ("bpf: Lift hashtab key_size limit"), of task_storage_get's release.
    if kind in _HASHES and key > _KEY_BYTES_MAX and "BPF_FUNC_task_storage_get" not in helpers:
        says = f"a key of {key} bytes; this kernel takes {_KEY_BYTES_MAX}"
    elif has_small_pages and kind in (CGROUP_STORAGE, PERCPU_CGROUP_STORAGE) and value > _PAGE_BYTES:
        # Commit 33b57e0cc78e ("bpf: Increase supported cgroup storage value size"), of task_pt_regs' release.
        if "BPF_FUNC_task_pt_regs" not in helpers:
            says = f"a value of {value} bytes; this kernel takes a page"
        elif kind == PERCPU_CGROUP_STORAGE and value > _PERCPU_BYTES_MAX:
            says = f"a value of {value} bytes for each CPU; {_PERCPU_BYTES_MAX} is the most"
    elif has_small_pages and kind == ARRAY and value > _ALLOCATION_BYTES_MAX and _NEWER_ARRAYS not in helpers:
        says = f"a value of {value} bytes; this kernel takes {_ALLOCATION_BYTES_MAX}"
    if not says or not helpers:
        return None
    return Refused("object_load.map_too_large", "E2BIG", f"map {definition.name}: {says}")


# The check of map_alloc_check, and the numbers by which a compiler may write it.
PERCPU_CHECKS = {
    PERCPU_ARRAY: "array_map_alloc_check",
    PERCPU_HASH: "htab_map_alloc_check",
    LRU_PERCPU_HASH: "htab_map_alloc_check",
}
PERCPU_LIMITS = (_PERCPU_BYTES_MAX, _PERCPU_BYTES_MAX + 1)


def is_percpu_too_large(definition: MapDefinition) -> bool:
    """A value for each CPU that the per-CPU allocator never gives (mm/percpu.c, pcpu_alloc), with pages of 4 KiB."""
    return definition.type in PERCPU_CHECKS and definition.value_bytes > _PERCPU_BYTES_MAX


def percpu_refused(definition: MapDefinition, checks: bool | None, has_cache: bool) -> tuple[Refused | None, bool]:
    """What becomes of such a map, and whether that is known. An `errno` of "" is ENOMEM or E2BIG.

    `checks`: map_alloc_check refuses the size with E2BIG, since commit 1d244784be6b ("bpf: Check percpu map value size
    first") and in stable kernels; None where the code cannot be read. Without it the allocation fails with ENOMEM,
    which a hash table without preallocation puts off to the first update. `has_cache`: such tables draw on a cache
    (struct bpf_mem_alloc) that is filled when they are created.
    """
    says = f"a value of {definition.value_bytes} bytes for each CPU; {_PERCPU_BYTES_MAX} is the most"
    if checks is None:
        says += " (E2BIG where map_alloc_check looks at it, else ENOMEM; the kernel's image shows which)"
    refused = Refused(
        "object_load.map_too_large",
        "" if checks is None else "E2BIG" if checks else "ENOMEM",
        f"map {definition.name}: {says}",
    )
    if checks or definition.type == PERCPU_ARRAY or not definition.flags & _NO_PREALLOC:
        return refused, True
    if checks is False and not has_cache:
        return None, True
    says = f"{definition.value_bytes} bytes for each CPU are more than {_PERCPU_BYTES_MAX}: a kernel refuses that here"
    says += " or at the first update; its image shows which"
    return Refused("object_load.map_percpu_unknown", "", f"map {definition.name}: {says}"), False


def sleepable_refused(definition: MapDefinition, is_first: bool) -> str:
    """Why a sleepable program cannot use the map; "" where nothing is known against it.

    `is_first`: a kernel whose sleepable programs take arrays and preallocated hash tables alone.
    """
    kind = definition.type
    if kind > RHASH or kind == STRUCT_OPS:
        return ""
    if is_first and kind in (HASH, LRU_HASH) and definition.flags & _NO_PREALLOC:
        return "this kernel takes hash tables without BPF_F_NO_PREALLOC"
    if is_first:
        return "" if kind in _SLEEPABLE_MAPS_AT_FIRST else "this kernel takes arrays and hash tables"
    return "" if kind in _SLEEPABLE_MAPS else "its type is not for programs that sleep"


# include/linux/bpf_types.h: program type to the prefix of its bpf_prog_ops. A prefix that kallsyms lacks means
# that the type is not built into this kernel.
PROGRAM_OPS = {
    "SOCKET_FILTER": "sk_filter",
    "SCHED_CLS": "tc_cls_act",
    "SCHED_ACT": "tc_cls_act",
    "XDP": "xdp",
    "CGROUP_SKB": "cg_skb",
    "CGROUP_SOCK": "cg_sock",
    "CGROUP_SOCK_ADDR": "cg_sock_addr",
    "LWT_IN": "lwt_in",
    "LWT_OUT": "lwt_out",
    "LWT_XMIT": "lwt_xmit",
    "LWT_SEG6LOCAL": "lwt_seg6local",
    "SOCK_OPS": "sock_ops",
    "SK_SKB": "sk_skb",
    "SK_MSG": "sk_msg",
    "FLOW_DISSECTOR": "flow_dissector",
    "KPROBE": "kprobe",
    "TRACEPOINT": "tracepoint",
    "PERF_EVENT": "perf_event",
    "RAW_TRACEPOINT": "raw_tracepoint",
    "RAW_TRACEPOINT_WRITABLE": "raw_tracepoint_writable",
    "TRACING": "tracing",
    "CGROUP_DEVICE": "cg_dev",
    "CGROUP_SYSCTL": "cg_sysctl",
    "CGROUP_SOCKOPT": "cg_sockopt",
    "LIRC_MODE2": "lirc_mode2",
    "SK_REUSEPORT": "sk_reuseport",
    "SK_LOOKUP": "sk_lookup",
    "STRUCT_OPS": "bpf_struct_ops",
    "EXT": "bpf_extension",
    "LSM": "lsm",
    "SYSCALL": "bpf_syscall",
    "NETFILTER": "netfilter",
}
