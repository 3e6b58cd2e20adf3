"""The kernel's BPF objects by bpf(2): programs, maps, links, BTF objects, and what a perf event's descriptor carries.

Layouts and numbers: include/uapi/linux/bpf.h; the kernel's side is kernel/bpf/syscall.c. Every record is a dict of
plain values that JSON can hold. None means that this kernel does not tell, and is never a zero that it left standing:
`info_len` says how far a struct goes, and fields inside it that this kernel may not know are handed over with a mark
that is still there when the kernel did not write it.
"""

from __future__ import annotations

import struct
from errno import EAGAIN, EFAULT, EINVAL, ENOENT, ENOSPC, EOPNOTSUPP, errorcode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from .syscalls import Calls

    _Read = TypeVar("_Read")

    Record = dict[str, Any]


# enum bpf_cmd
MAP_LOOKUP_ELEM, OBJ_GET = 1, 7
PROG_GET_NEXT_ID, MAP_GET_NEXT_ID, PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, PROG_QUERY = range(11, 17)
BTF_GET_FD_BY_ID, TASK_FD_QUERY, BTF_GET_NEXT_ID, LINK_GET_FD_BY_ID, LINK_GET_NEXT_ID = 19, 20, 23, 30, 31
ENOTSUPP = 524  # include/linux/errno.h: it has no name in the C library

PROGRAM_TYPES = (
    *("unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event"),
    *("cgroup_skb", "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg"),
    *("raw_tracepoint", "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector"),
    *("cgroup_sysctl", "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm"),
    *("sk_lookup", "syscall", "netfilter"),
)
LINK_TYPES = (
    *("unspec", "raw_tracepoint", "tracing", "cgroup", "iter", "netns", "xdp", "perf_event", "kprobe_multi"),
    *("struct_ops", "netfilter", "tcx", "uprobe_multi", "netkit", "sockmap", "tracing_multi"),
)
ATTACH_TYPES = (
    *("cgroup_inet_ingress", "cgroup_inet_egress", "cgroup_inet_sock_create", "cgroup_sock_ops"),
    *("sk_skb_stream_parser", "sk_skb_stream_verdict", "cgroup_device", "sk_msg_verdict", "cgroup_inet4_bind"),
    *("cgroup_inet6_bind", "cgroup_inet4_connect", "cgroup_inet6_connect", "cgroup_inet4_post_bind"),
    *("cgroup_inet6_post_bind", "cgroup_udp4_sendmsg", "cgroup_udp6_sendmsg", "lirc_mode2", "flow_dissector"),
    *("cgroup_sysctl", "cgroup_udp4_recvmsg", "cgroup_udp6_recvmsg", "cgroup_getsockopt", "cgroup_setsockopt"),
    *("trace_raw_tp", "trace_fentry", "trace_fexit", "modify_return", "lsm_mac", "trace_iter"),
    *("cgroup_inet4_getpeername", "cgroup_inet6_getpeername", "cgroup_inet4_getsockname"),
    *("cgroup_inet6_getsockname", "xdp_devmap", "cgroup_inet_sock_release", "xdp_cpumap", "sk_lookup", "xdp"),
    *("sk_skb_verdict", "sk_reuseport_select", "sk_reuseport_select_or_migrate", "perf_event"),
    *("trace_kprobe_multi", "lsm_cgroup", "struct_ops", "netfilter", "tcx_ingress", "tcx_egress"),
    *("trace_uprobe_multi", "cgroup_unix_connect", "cgroup_unix_sendmsg", "cgroup_unix_recvmsg"),
    *("cgroup_unix_getpeername", "cgroup_unix_getsockname", "netkit_primary", "netkit_peer"),
    *("trace_kprobe_session", "trace_uprobe_session", "trace_fsession", "trace_fentry_multi"),
    *("trace_fexit_multi", "trace_fsession_multi"),
)
PERF_TYPES = ("unspec", "uprobe", "uretprobe", "kprobe", "kretprobe", "tracepoint", "event")  # bpf_perf_event_type
FD_TYPES = ("raw_tracepoint", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe")  # bpf_task_fd_type
MAP_SOCKMAP, MAP_SOCKHASH, MAP_STRUCT_OPS = 15, 18, 26

PROG_INFO_BYTES, MAP_INFO_BYTES, LINK_INFO_BYTES, BTF_INFO_BYTES = 232, 88, 64, 32
MARK = 0x5E5E5E5E5E5E5E5E  # what a field holds that the kernel did not write
MARK_4 = 0x5E5E5E5E
NAME_BYTES = 4096  # PATH_MAX; symbols have 512
PROG_MAPS_MAX = 64  # MAX_USED_MAPS
_FUNC_INFO_BYTES, _LINE_INFO_BYTES, _JITED_LINE_BYTES = 8, 16, 8  # struct bpf_func_info, bpf_line_info, a u64
_BTF_BYTES_MAX = 16 << 20  # BTF_MAX_SIZE
_TRIES = 3  # a list may grow between two questions
QUERY_MAX = 64  # programs on one hook; BPF_CGROUP_MAX_PROGS, and mprog's


class Refused(Exception):
    """bpf(2) said no; `errno` is positive."""

    def __init__(self, errno: int) -> None:
        self.errno = errno
        super().__init__(errno_name(errno))


def errno_name(number: int) -> str:
    """EPERM for 1; ENOTSUPP for the kernel's own 524."""
    return "ENOTSUPP" if number == ENOTSUPP else errorcode.get(number, str(number))


def type_name(names: tuple[str, ...], number: int) -> str:
    """The name of a number, `type_N` for one that is not known here."""
    return names[number] if 0 <= number < len(names) else f"type_{number}"


def ids(calls: Calls, next_command: int) -> Iterator[int]:
    """All ids of programs, maps, links or BTF objects. Raises Refused (EPERM without CAP_SYS_ADMIN)."""
    last = 0
    while True:
        attribute = bytearray(struct.pack("=III", last, 0, 0))
        done = calls.bpf(next_command, attribute)
        if done == -ENOENT:
            return
        if done < 0:
            raise Refused(-done)
        following = struct.unpack_from("=I", attribute, 4)[0]
        if following <= last:
            return
        last = following
        yield last


def open_id(calls: Calls, command: int, number: int) -> int:
    """A descriptor of the object, or a negative errno: ENOENT once it is gone."""
    return calls.bpf(command, bytearray(struct.pack("=III", number, 0, 0)))


def info(calls: Calls, fd: int, content: bytes) -> bytes:
    """What BPF_OBJ_GET_INFO_BY_FD writes, no longer than what this kernel knows. Raises Refused."""
    memory = calls.buffer(content)
    attribute = bytearray(struct.pack("=IIQ", fd, len(content), memory.address))
    done = calls.bpf(OBJ_GET_INFO_BY_FD, attribute)
    if done < 0:
        raise Refused(-done)
    return memory.bytes()[: struct.unpack_from("=I", attribute, 4)[0]]


def _u32(raw: bytes, at: int) -> int | None:
    if len(raw) < at + 4:
        return None
    value: int = struct.unpack_from("=I", raw, at)[0]
    return None if value == MARK_4 else value


def _u64(raw: bytes, at: int) -> int | None:
    if len(raw) < at + 8:
        return None
    value: int = struct.unpack_from("=Q", raw, at)[0]
    return None if value == MARK else value


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


# ---------------------------------------------------------------- programs, maps, BTF


def programs(calls: Calls) -> Iterator[Record]:
    """Every loaded program. Raises Refused; one that goes while it is read is left out."""
    for number in ids(calls, PROG_GET_NEXT_ID):
        found = program(calls, number)
        if found is not None:
            yield found


def program(calls: Calls, number: int) -> Record | None:
    """One program by its id; None if it is gone. Raises Refused."""
    return _by_id(calls, PROG_GET_FD_BY_ID, number, program_info)


def program_info(calls: Calls, fd: int) -> Record:
    """struct bpf_prog_info. Raises Refused."""
    maps = calls.buffer(bytes(4 * PROG_MAPS_MAX))
    content = bytearray(PROG_INFO_BYTES)
    struct.pack_into("=IQ", content, 52, PROG_MAPS_MAX, maps.address)
    raw = info(calls, fd, bytes(content))
    count = _u32(raw, 52) or 0
    return {
        "id": _u32(raw, 4),
        "type": type_name(PROGRAM_TYPES, _u32(raw, 0) or 0),
        "name": _text(raw[64:80]),
        "tag": raw[8:16].hex(),
        "loaded_ns": _u64(raw, 40),  # since boot
        "uid": _u32(raw, 48),
        "maps": list(struct.unpack_from(f"={min(count, PROG_MAPS_MAX)}I", maps.bytes())),
        "ifindex": _u32(raw, 80),
        "btf_id": _u32(raw, 128),
        "run_time_ns": _u64(raw, 192),
        "run_count": _u64(raw, 200),
        "recursion_misses": _u64(raw, 208),
        "attach_btf_obj_id": _u32(raw, 220),
        "attach_btf_id": _u32(raw, 224),
    }


def program_words(calls: Calls, number: int) -> Record | None:
    """Where a program's own BTF speaks of it: `btf_id`, `func_id` (its FUNC) and `line` (its first line of source, an
    offset in that BTF's strings); None if the program is gone or has no BTF. Raises Refused."""
    return _by_id(calls, PROG_GET_FD_BY_ID, number, _program_words)


def _program_words(calls: Calls, fd: int) -> Record | None:
    function, line = calls.buffer(bytes(_FUNC_INFO_BYTES)), calls.buffer(bytes(_LINE_INFO_BYTES))
    content = bytearray(PROG_INFO_BYTES)
    struct.pack_into("=IQIIQ", content, 132, _FUNC_INFO_BYTES, function.address, 1, 1, line.address)
    struct.pack_into("=II", content, 172, _LINE_INFO_BYTES, _JITED_LINE_BYTES)
    raw = info(calls, fd, bytes(content))
    btf_id = _u32(raw, 128)
    if not btf_id:
        return None
    has_function, has_line = bool(_u32(raw, 144)), bool(_u32(raw, 148))
    return {
        "btf_id": btf_id,
        "func_id": _u32(function.bytes(), 4) if has_function else None,
        "line": _u32(line.bytes(), 8) if has_line else None,
    }


def btf_bytes(calls: Calls, number: int) -> bytes | None:
    """One BTF object whole; None if it is gone or larger than a program's ever is. Raises Refused."""
    return _by_id(calls, BTF_GET_FD_BY_ID, number, _btf_bytes)


def _btf_bytes(calls: Calls, fd: int) -> bytes | None:
    size = _u32(info(calls, fd, bytes(BTF_INFO_BYTES)), 8) or 0
    if not 0 < size <= _BTF_BYTES_MAX:
        return None
    memory = calls.buffer(bytes(size))
    info(calls, fd, struct.pack("=QIIQII", memory.address, size, 0, 0, 0, 0))
    return memory.bytes()


def maps(calls: Calls) -> Iterator[Record]:
    """Every map. Raises Refused."""
    for number in ids(calls, MAP_GET_NEXT_ID):
        found = _by_id(calls, MAP_GET_FD_BY_ID, number, map_info)
        if found is not None:
            yield found


def map_info(calls: Calls, fd: int) -> Record:
    """struct bpf_map_info; of a struct_ops map also `in_use` and the programs that its members call."""
    raw = info(calls, fd, bytes(MAP_INFO_BYTES))
    found: Record = {
        "id": _u32(raw, 4),
        "type": _u32(raw, 0),
        "name": _text(raw[24:40]),
        "value_type_id": _u32(raw, 44),  # in vmlinux's BTF, of struct_ops maps
    }
    value_bytes = _u32(raw, 12) or 0
    if found["type"] == MAP_STRUCT_OPS and value_bytes:
        found.update(_struct_ops(calls, fd, value_bytes))
    return found


def _struct_ops(calls: Calls, fd: int, value_bytes: int) -> Record:
    """struct bpf_struct_ops_common_value: a reference count and the state; program ids stand for the pointers."""
    key, value = calls.buffer(bytes(4)), calls.buffer(bytes(value_bytes))
    attribute = bytearray(struct.pack("=IIQQQ", fd, 0, key.address, value.address, 0))
    if calls.bpf(MAP_LOOKUP_ELEM, attribute) < 0:
        return {"state": None, "words": []}
    raw = value.bytes()
    words = struct.unpack_from(f"={len(raw) // 8}Q", raw)
    return {"state": _u32(raw, 4), "words": sorted({word for word in words[1:] if 0 < word < 1 << 32})}


def btf_object(calls: Calls, number: int) -> Record | None:
    """One BTF object: its name and whether it is the kernel's or a module's; None if it is gone. Raises Refused."""
    return _by_id(calls, BTF_GET_FD_BY_ID, number, _btf_info)


def _btf_info(calls: Calls, fd: int) -> Record:
    name = calls.buffer(bytes(64))
    raw = info(calls, fd, struct.pack("=QIIQII", 0, 0, 0, name.address, 64, 0))
    return {"id": _u32(raw, 12), "name": _text(name.bytes()), "is_kernels": bool(_u32(raw, 28) or 0)}


def _by_id(calls: Calls, command: int, number: int, read: Callable[[Calls, int], _Read]) -> _Read | None:
    fd = open_id(calls, command, number)
    if fd in (-ENOENT, -EAGAIN):
        return None
    if fd < 0:
        raise Refused(-fd)
    try:
        return read(calls, fd)
    finally:
        calls.close(fd)


# ---------------------------------------------------------------- links


def links(calls: Calls) -> Iterator[Record]:
    """Every link with what its type tells. Raises Refused; EINVAL from a kernel without links counts as none."""
    try:
        for number in ids(calls, LINK_GET_NEXT_ID):
            found = _by_id(calls, LINK_GET_FD_BY_ID, number, link_info)
            if found is not None:
                yield found
    except Refused as error:
        if error.errno != EINVAL:
            raise


def link_info(calls: Calls, fd: int) -> Record:
    """struct bpf_link_info: asked for the type, then with room for what that type has. Raises Refused."""
    raw = info(calls, fd, bytes(LINK_INFO_BYTES))
    number = _u32(raw, 0) or 0
    kind = type_name(LINK_TYPES, number)
    found: Record = {"id": _u32(raw, 4), "type": kind, "prog_id": _u32(raw, 8) or None}
    more = _DETAILS.get(kind)
    if more is not None:
        try:
            found.update(more(calls, fd, raw))
        except Refused as error:
            if error.errno not in (EINVAL, EFAULT, EOPNOTSUPP, ENOTSUPP, ENOSPC, ENOENT):
                raise
            found["untold"] = errno_name(error.errno)
    return found


def _ask(calls: Calls, fd: int, known_bytes: int, fields: tuple[tuple[int, str, int], ...]) -> bytes:
    """The link's info again with these (offset, format, value) filled in, as far as this kernel's struct goes."""
    content = bytearray(LINK_INFO_BYTES)
    for at, code, value in fields:
        if at + struct.calcsize("=" + code) <= known_bytes:
            struct.pack_into("=" + code, content, at, value)
    return info(calls, fd, bytes(content))


def _attach_type(number: int | None) -> str | None:
    return None if number is None else type_name(ATTACH_TYPES, number)


def _raw_tracepoint(calls: Calls, fd: int, first: bytes) -> Record:
    name = calls.buffer(bytes(NAME_BYTES))
    raw = _ask(calls, fd, len(first), ((16, "Q", name.address), (24, "I", NAME_BYTES), (32, "Q", MARK)))
    return {"tp_name": _text(name.bytes()), "cookie": _u64(raw, 32)}


def _tracing(calls: Calls, fd: int, first: bytes) -> Record:
    raw = _ask(calls, fd, len(first), ((16, "I", MARK_4), (20, "I", MARK_4), (24, "I", MARK_4), (32, "Q", MARK)))
    return {
        "attach_type": _attach_type(_u32(raw, 16)),
        "target_obj_id": _u32(raw, 20),
        "target_btf_id": _u32(raw, 24),
        "cookie": _u64(raw, 32),
    }


def _cgroup(calls: Calls, fd: int, first: bytes) -> Record:
    return {"cgroup_id": _u64(first, 16), "attach_type": _attach_type(_u32(first, 24))}


def _iter(calls: Calls, fd: int, first: bytes) -> Record:
    name = calls.buffer(bytes(NAME_BYTES))
    raw = _ask(calls, fd, len(first), ((16, "Q", name.address), (24, "I", NAME_BYTES)))
    return {"target_name": _text(name.bytes()), "map_id": _u32(raw, 28) or None}


def _netns(calls: Calls, fd: int, first: bytes) -> Record:
    return {"netns_ino": _u32(first, 16), "attach_type": _attach_type(_u32(first, 20))}


def _interface(calls: Calls, fd: int, first: bytes) -> Record:
    return {"ifindex": _u32(first, 16), "attach_type": _attach_type(_u32(first, 20))}


def _xdp(calls: Calls, fd: int, first: bytes) -> Record:
    return {"ifindex": _u32(first, 16)}


def _map(calls: Calls, fd: int, first: bytes) -> Record:
    return {"map_id": _u32(first, 16)}


def _sockmap(calls: Calls, fd: int, first: bytes) -> Record:
    return {"map_id": _u32(first, 16), "attach_type": _attach_type(_u32(first, 20))}


def _netfilter(calls: Calls, fd: int, first: bytes) -> Record:
    pf, hook, priority, flags = struct.unpack_from("=IIiI", first, 16)
    return {"pf": pf, "hook": hook, "priority": priority, "flags": flags}


def _kprobe_multi(calls: Calls, fd: int, first: bytes) -> Record:
    count = _u32(first, 24) or 0
    flags = _ask(calls, fd, len(first), ((28, "I", MARK_4), (32, "Q", MARK)))
    found: Record = {
        "count": count or None,
        "is_return": None if _u32(flags, 28) is None else bool((_u32(flags, 28) or 0) & 1),
        "missed": _u64(flags, 32),
        "addresses": None,
        "cookies": None,
    }
    if count:
        addresses = calls.buffer(bytes(8 * count))
        cookies = calls.buffer(MARK.to_bytes(8, "little") * count)
        _ask(calls, fd, len(first), ((16, "Q", addresses.address), (24, "I", count), (40, "Q", cookies.address)))
        found["addresses"] = list(struct.unpack(f"={count}Q", addresses.bytes()))
        found["cookies"] = _all_known(cookies.bytes(), count)
    return found


def _all_known(raw: bytes, count: int) -> list[int] | None:
    values = list(struct.unpack(f"={count}Q", raw))
    return None if MARK in values else values


def _uprobe_multi(calls: Calls, fd: int, first: bytes) -> Record:
    count = _u32(first, 52) or 0
    path = calls.buffer(bytes(NAME_BYTES))
    parts = [calls.buffer(MARK.to_bytes(8, "little") * max(count, 1)) for _ in range(3)]
    places = ((at, "Q", part.address) for at, part in zip((24, 32, 40), parts, strict=True))
    raw = _ask(
        calls,
        fd,
        len(first),
        (
            *((16, "Q", path.address), (48, "I", NAME_BYTES), (56, "I", MARK_4), (60, "I", MARK_4)),
            *(((52, "I", count), *places) if count else ()),
        ),
    )
    flags = _u32(raw, 56)
    offsets, references, cookies = (_all_known(part.bytes(), count) if count else None for part in parts)
    return {
        "path": _text(path.bytes()) or None,
        "is_return": None if flags is None else bool(flags & 1),
        "pid": _u32(raw, 60) or None,
        "count": count or None,
        "offsets": offsets,
        "ref_ctr_offsets": references,
        "cookies": cookies,
    }


def _tracing_multi(calls: Calls, fd: int, first: bytes) -> Record:
    count = _u32(first, 20) or 0
    found: Record = {
        "attach_type": _attach_type(_u32(first, 16)),
        "count": count or None,
        "btf_obj_id": _u32(first, 24) or None,
        "btf_ids": None,
        "addresses": None,
        "cookies": None,
    }
    if count:
        btf_ids = calls.buffer(bytes(4 * count))
        addresses, cookies = calls.buffer(bytes(8 * count)), calls.buffer(MARK.to_bytes(8, "little") * count)
        _ask(
            calls,
            fd,
            len(first),
            (
                *((20, "I", count), (32, "Q", btf_ids.address)),
                *((40, "Q", addresses.address), (48, "Q", cookies.address)),
            ),
        )
        found["btf_ids"] = list(struct.unpack(f"={count}I", btf_ids.bytes()))
        found["addresses"] = list(struct.unpack(f"={count}Q", addresses.bytes()))
        found["cookies"] = _all_known(cookies.bytes(), count)
    return found


def _perf_event(calls: Calls, fd: int, first: bytes) -> Record:
    kind = type_name(PERF_TYPES, _u32(first, 16) or 0)
    found: Record = {"perf_type": None if kind == "unspec" else kind}
    if kind == "event":
        raw = _ask(calls, fd, len(first), ((40, "Q", MARK),))
        return {**found, "config": _u64(raw, 24), "event_type": _u32(raw, 32), "cookie": _u64(raw, 40)}
    if kind not in PERF_TYPES[1:6]:
        return found
    name = calls.buffer(bytes(NAME_BYTES))
    marks = ((40, "Q", MARK), (48, "Q", MARK), (56, "Q", MARK))
    raw = _ask(calls, fd, len(first), ((24, "Q", name.address), (32, "I", NAME_BYTES), *marks))
    text = _text(name.bytes())
    if kind == "tracepoint":
        return {**found, "name": text, "cookie": _u64(raw, 40)}
    found.update(name=text, offset=_u32(raw, 36))
    if kind in ("uprobe", "uretprobe"):
        return {**found, "cookie": _u64(raw, 40), "ref_ctr_offset": _u64(raw, 48)}
    return {**found, "address": _u64(raw, 40) or None, "missed": _u64(raw, 48), "cookie": _u64(raw, 56)}


_DETAILS = {
    "raw_tracepoint": _raw_tracepoint,
    "tracing": _tracing,
    "cgroup": _cgroup,
    "iter": _iter,
    "netns": _netns,
    "xdp": _xdp,
    "perf_event": _perf_event,
    "kprobe_multi": _kprobe_multi,
    "struct_ops": _map,
    "netfilter": _netfilter,
    "tcx": _interface,
    "uprobe_multi": _uprobe_multi,
    "netkit": _interface,
    "sockmap": _sockmap,
    "tracing_multi": _tracing_multi,
}


# ---------------------------------------------------------------- what hangs on something else


def task_fd(calls: Calls, pid: int, fd: int) -> Record | int:
    """BPF_TASK_FD_QUERY: what a perf event's or a raw tracepoint's descriptor carries, or a negative errno.

    ENOENT: no program; EOPNOTSUPP: a program on a software or hardware event; ENOTSUPP: another kind of file.
    """
    name = calls.buffer(bytes(NAME_BYTES))
    attribute = bytearray(struct.pack("=IIIIQIIQQ", pid, fd, 0, NAME_BYTES, name.address, 0, 0, 0, 0))
    done = calls.bpf(TASK_FD_QUERY, attribute)
    if done < 0 and done != -ENOSPC:
        return done
    prog_id, kind, offset, address = struct.unpack_from("=IIQQ", attribute, 24)
    return {
        "pid": pid,
        "fd": fd,
        "prog_id": prog_id,
        "type": type_name(FD_TYPES, kind),
        "name": _text(name.bytes()),
        "offset": offset,
        "address": address or None,
    }


def query(calls: Calls, target: int, attach_type: str) -> list[int]:
    """BPF_PROG_QUERY: ids of the programs on this hook itself, not inherited ones. Raises Refused.

    `target` is a descriptor of a cgroup, map or network namespace, or an interface's number (tcx, netkit).
    """
    number = ATTACH_TYPES.index(attach_type)
    room = QUERY_MAX
    for _ in range(_TRIES):
        found = calls.buffer(bytes(4 * room))
        attribute = bytearray(struct.pack("=IIIIQIIQQQQ", target, number, 0, 0, found.address, room, 0, 0, 0, 0, 0))
        done = calls.bpf(PROG_QUERY, attribute)
        count = struct.unpack_from("=I", attribute, 24)[0]
        if done >= 0:
            return list(struct.unpack_from(f"={min(count, room)}I", found.bytes()))
        if done != -ENOSPC:
            raise Refused(-done)
        room = max(2 * room, count)
    raise Refused(ENOSPC)


def get_pinned(calls: Calls, path: str) -> int:
    """BPF_OBJ_GET: a descriptor of what is pinned at a path, or a negative errno."""
    where = calls.buffer(path.encode("utf-8", "surrogateescape") + b"\0")
    return calls.bpf(OBJ_GET, bytearray(struct.pack("=QII", where.address, 0, 0)))


# ---------------------------------------------------------------- without rights

_FDINFO_WORDS = ("tp_name", "name", "target_name", "path")
_FDINFO_NUMBERS = (
    *("cookie", "missed", "offset", "target_obj_id", "target_btf_id", "cgroup_id", "netns_ino", "ifindex", "map_id"),
    *("pf", "hooknum", "prio", "config", "ref_ctr_offset"),
)


def link_of_fdinfo(text: str) -> Record | None:
    """What fdinfo tells of a link to whoever may read it: all in 7.3, little before; None if it is no link's.

    Written by bpf_link_show_fdinfo and each type's show_fdinfo (kernel/bpf/syscall.c and others).
    """
    words = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    kind, number = words.get("link_type", ""), words.get("link_id", "")
    if not kind or not number.isdigit():
        return None
    told: Record = {key: words[key] for key in _FDINFO_WORDS if key in words}
    for key in _FDINFO_NUMBERS:
        if key in words:
            told[key] = _plain_number(words[key])
    is_return = kind in ("kretprobe_multi", "uretprobe_multi")
    kind = {"perf": "perf_event", "kretprobe_multi": "kprobe_multi", "uretprobe_multi": "uprobe_multi"}.get(kind, kind)
    if kind.startswith("<"):
        kind = f"type_{kind.strip('<>')}"
    if kind.endswith("_multi"):
        told["is_return"] = is_return
    if kind == "perf_event":
        told["perf_type"] = words.get("event_type")
        if told["perf_type"] == "tracepoint":
            told["name"] = words.get("tp_name", "")
    if kind == "netfilter":
        told = {"pf": told.get("pf", 0), "hook": told.get("hooknum", 0), "priority": told.get("prio", 0), "flags": 0}
    attach = words.get("attach_type", "").partition(" ")[0]  # tcx and netkit write the name behind
    if attach.isdigit():
        told["attach_type"] = type_name(ATTACH_TYPES, int(attach))
    program = words.get("prog_id", "")
    prog_id = int(program) if program.isdigit() else None
    return {"id": int(number), "type": kind, "prog_id": prog_id, **told, "by_fdinfo": True}


def _plain_number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None
