"""A kernel's BPF objects made of dicts: answers bpf(2) with the real structs, with structs of a given size.

`unwritten` are the fields of link info that this kernel leaves as they came in.
"""

from __future__ import annotations

import struct
from errno import EINVAL, ENOENT, ENOSPC, EOPNOTSUPP, EPERM

from probe_scout.sources.bpf import objects as bpf

NOT_EVENT = 524
KINDS = {
    bpf.PROG_GET_NEXT_ID: "programs",
    bpf.MAP_GET_NEXT_ID: "maps",
    bpf.LINK_GET_NEXT_ID: "links",
    bpf.BTF_GET_NEXT_ID: "btfs",
}
OPENS = {
    bpf.PROG_GET_FD_BY_ID: "programs",
    bpf.MAP_GET_FD_BY_ID: "maps",
    bpf.LINK_GET_FD_BY_ID: "links",
    bpf.BTF_GET_FD_BY_ID: "btfs",
}


class Memory:
    def __init__(self, content, address):
        self.content, self.address = bytearray(content), address

    def bytes(self):
        return bytes(self.content)


class FakeBpf:
    """`gone`: (kind, id) that vanish between being listed and being opened. `denied`: kinds that answer EPERM.

    `perf`: (pid, fd) -> (prog_id, fd type, name, offset, address) or a negative errno. `files`: (pid, fd) -> what
    file is behind it, for kcmp; without it kcmp is refused. `queries`: (target, attach type) -> program ids or an
    errno below 0. `tables`: what kcmp says of two tasks' tables of descriptors. `pinned`: path -> (kind, id).
    """

    def __init__(self, programs=(), maps=(), links=(), btfs=(), **more):
        self.objects = {
            "programs": {one["id"]: one for one in programs},
            "maps": {one["id"]: one for one in maps},
            "links": {one["id"]: one for one in links},
            "btfs": {one["id"]: one for one in btfs},
        }
        self.perf = more.get("perf", {})
        self.files = more.get("files", {})
        self.tables = more.get("tables", lambda pid, other_pid: 0)
        self.queries = more.get("queries", {})
        self.gone = set(more.get("gone", ()))
        self.denied = set(more.get("denied", ()))
        self.link_bytes = more.get("link_bytes", 64)
        self.prog_bytes = more.get("prog_bytes", 232)
        self.unwritten = set(more.get("unwritten", ()))
        self.memory, self.opened, self.closed = {}, {}, []
        self.targets = {}
        self._fd, self._address = 1000, 0x10000

    def buffer(self, content):
        made = Memory(content, self._address)
        self.memory[self._address] = made
        self._address += (len(content) + 0xFFF) & ~0xFFF
        return made

    def close(self, fd):
        self.closed.append(fd)

    def open_now(self):
        return [fd for fd in self.opened if fd not in self.closed]

    def kcmp_tables(self, pid, other_pid):
        return self.tables(pid, other_pid)

    def kcmp_files(self, pid, fd, other_pid, other_fd):
        one, other = self.files.get((pid, fd)), self.files.get((other_pid, other_fd))
        if one is None or other is None:
            return -EPERM
        return 0 if one == other else 1

    def bpf(self, command, attribute):
        if command in KINDS:
            return self._next(KINDS[command], attribute)
        if command in OPENS:
            return self._open(OPENS[command], struct.unpack_from("=I", attribute)[0])
        if command == bpf.OBJ_GET_INFO_BY_FD:
            return self._info(attribute)
        if command == bpf.TASK_FD_QUERY:
            return self._task_fd(attribute)
        if command == bpf.PROG_QUERY:
            return self._query(attribute)
        if command == bpf.MAP_LOOKUP_ELEM:
            return self._lookup(attribute)
        raise AssertionError(f"bpf command {command}")

    def _next(self, kind, attribute):
        if kind in self.denied:
            return -EPERM
        following = [number for number in sorted(self.objects[kind]) if number > struct.unpack_from("=I", attribute)[0]]
        if not following:
            return -ENOENT
        struct.pack_into("=I", attribute, 4, following[0])
        return 0

    def _open(self, kind, number):
        if kind in self.denied:
            return -EPERM
        if number not in self.objects[kind] or (kind, number) in self.gone:
            return -ENOENT
        self._fd += 1
        self.opened[self._fd] = kind, number
        return self._fd

    def _info(self, attribute):
        fd, size, at = struct.unpack_from("=IIQ", attribute)
        kind, number = self.opened[fd]
        memory = self.memory[at]
        known = {"links": self.link_bytes, "programs": self.prog_bytes, "maps": 88, "btfs": 32}[kind]
        if any(memory.content[known:size]):
            return -7  # E2BIG: bpf_check_uarg_tail_zero
        answer = getattr(self, f"_{kind}")(self.objects[kind][number], bytearray(memory.content[:known]))
        if isinstance(answer, int):
            return answer
        memory.content[: len(answer)] = answer
        struct.pack_into("=I", attribute, 4, min(size, known))
        return 0

    def _text(self, at, room, text):
        raw = text.encode() + b"\0"
        if not at:
            return 0
        self.memory[at].content[: min(len(raw), room)] = raw[:room]
        return 0 if len(raw) <= room else -ENOSPC

    def _programs(self, one, raw):
        (room,), (maps_at,) = struct.unpack_from("=I", raw, 52), struct.unpack_from("=Q", raw, 56)
        put(raw, 0, "I", bpf.PROGRAM_TYPES.index(one["type"]))
        put(raw, 4, "I", one["id"])
        raw[8:16] = bytes.fromhex(one.get("tag", "00112233445566ff"))
        put(raw, 40, "Q", one.get("loaded_ns", 5_000_000_000))
        put(raw, 48, "I", one.get("uid", 0))
        maps = one.get("maps", [])
        put(raw, 52, "I", len(maps))
        for place, number in enumerate(maps[:room]):
            put(self.memory[maps_at].content, 4 * place, "I", number)
        raw[64:80] = one["name"].encode().ljust(16, b"\0")
        for at, code, key in (
            *((192, "Q", "run_time_ns"), (200, "Q", "run_count"), (208, "Q", "recursion_misses")),
            *((220, "I", "attach_btf_obj_id"), (224, "I", "attach_btf_id")),
        ):
            put(raw, at, code, one.get(key, 0))
        return self._words(one, raw)

    def _words(self, one, raw):
        """`btf_id`, `func_id`, `line`: where the program's BTF speaks of it (bpf_prog_get_info_by_fd)."""
        function_bytes, function_at, functions, lines, line_at = struct.unpack_from("=IQIIQ", raw, 132)
        line_bytes, jited_bytes = struct.unpack_from("=II", raw, 172)
        put(raw, 128, "I", one.get("btf_id", 0))
        if not functions:
            return raw
        if (function_bytes, line_bytes, jited_bytes) != (8, 16, 8):
            return -EINVAL
        put(raw, 144, "I", "func_id" in one)
        put(raw, 148, "I", "line" in one)
        if "func_id" in one:
            struct.pack_into("=II", self.memory[function_at].content, 0, 0, one["func_id"])
        if "line" in one and lines:
            struct.pack_into("=IIII", self.memory[line_at].content, 0, 0, 0, one["line"], 0)
        return raw

    def _maps(self, one, raw):
        put(raw, 0, "I", one["type"])
        put(raw, 4, "I", one["id"])
        put(raw, 12, "I", len(one.get("value", b"")))
        raw[24:40] = one["name"].encode().ljust(16, b"\0")
        put(raw, 44, "I", one.get("value_type_id", 0))
        return raw

    def _btfs(self, one, raw):
        at, room = struct.unpack_from("=QI", raw)
        content = one.get("raw", b"")
        if at:
            self.memory[at].content[:room] = content[:room]
        put(raw, 8, "I", len(content))
        put(raw, 12, "I", one["id"])
        put(raw, 28, "I", int(one.get("is_kernels", True)))
        return raw if self._text(*struct.unpack_from("=QI", raw, 16), one["name"]) == 0 else -ENOSPC

    def _links(self, one, raw):
        kind = one["type"]
        put(raw, 0, "I", bpf.LINK_TYPES.index(kind) if isinstance(kind, str) else kind)
        put(raw, 4, "I", one["id"])
        put(raw, 8, "I", one.get("prog_id", 0))
        if "untold" in one:
            return raw
        if kind == "raw_tracepoint":
            done = self._text(*struct.unpack_from("=QI", raw, 16), one["tp_name"])
            self._put(raw, 32, "Q", "cookie", one.get("cookie", 0))
            return raw if done == 0 else done
        if kind == "tracing":
            for at, key in ((16, "attach_type"), (20, "target_obj_id"), (24, "target_btf_id")):
                value = one[key]
                self._put(raw, at, "I", key, bpf.ATTACH_TYPES.index(value) if isinstance(value, str) else value)
            self._put(raw, 32, "Q", "cookie", one.get("cookie", 0))
        elif kind in ("xdp", "struct_ops"):
            put(raw, 16, "I", one.get("ifindex", one.get("map_id", 0)))
        elif kind in ("tcx", "netkit", "netns", "sockmap"):
            put(raw, 16, "I", one.get("ifindex", one.get("netns_ino", one.get("map_id", 0))))
            put(raw, 20, "I", bpf.ATTACH_TYPES.index(one["attach_type"]))
        elif kind == "cgroup":
            put(raw, 16, "Q", one["cgroup_id"])
            put(raw, 24, "I", bpf.ATTACH_TYPES.index(one["attach_type"]))
        elif kind == "iter":
            self._text(*struct.unpack_from("=QI", raw, 16), one["target_name"])
        elif kind == "netfilter":
            struct.pack_into("=IIiI", raw, 16, one["pf"], one["hook"], one["priority"], 0)
        elif kind == "kprobe_multi":
            return self._kprobe_multi(one, raw)
        elif kind == "uprobe_multi":
            return self._uprobe_multi(one, raw)
        elif kind == "tracing_multi":
            return self._tracing_multi(one, raw)
        elif kind == "perf_event":
            return self._perf_event(one, raw)
        return raw

    def _put(self, raw, at, code, key, value):
        if key not in self.unwritten:
            put(raw, at, code, value)

    def _numbers(self, at, code, values):
        if at:
            struct.pack_into(f"={len(values)}{code}", self.memory[at].content, 0, *values)

    def _kprobe_multi(self, one, raw):
        addresses_at, room = struct.unpack_from("=QI", raw, 16)
        cookies_at = struct.unpack_from("=Q", raw, 40)[0] if len(raw) >= 48 else 0
        if bool(addresses_at) != bool(room) or (cookies_at and not room):
            return -EINVAL
        put(raw, 24, "I", len(one["addresses"]))
        self._put(raw, 28, "I", "flags", int(one.get("is_return", False)))
        self._put(raw, 32, "Q", "missed", one.get("missed", 0))
        self._numbers(addresses_at, "Q", one["addresses"])
        if "cookies" not in self.unwritten:
            self._numbers(cookies_at, "Q", one.get("cookies", [0] * len(one["addresses"])))
        return raw

    def _uprobe_multi(self, one, raw):
        path_at, offsets_at, references_at, cookies_at, path_room, room = struct.unpack_from("=QQQQII", raw, 16)
        if bool(path_at) != bool(path_room) or ((offsets_at or references_at or cookies_at) and not room):
            return -EINVAL
        count = len(one["offsets"])
        struct.pack_into("=III", raw, 52, count, int(one.get("is_return", False)), one.get("pid", 0))
        self._text(path_at, path_room, one["path"])
        self._numbers(offsets_at, "Q", one["offsets"])
        self._numbers(references_at, "Q", one.get("ref_ctr_offsets", [0] * count))
        self._numbers(cookies_at, "Q", one.get("cookies", [0] * count))
        return raw

    def _tracing_multi(self, one, raw):
        ids_at, addresses_at, cookies_at = struct.unpack_from("=QQQ", raw, 32)
        ids = one["btf_ids"]
        put(raw, 16, "I", bpf.ATTACH_TYPES.index(one["attach_type"]))
        put(raw, 20, "I", len(ids))
        put(raw, 24, "I", one["btf_obj_id"])
        self._numbers(ids_at, "I", ids)
        self._numbers(addresses_at, "Q", [0] * len(ids))
        self._numbers(cookies_at, "Q", one.get("cookies", [0] * len(ids)))
        return raw

    def _perf_event(self, one, raw):
        kind = one["perf_type"]
        name_at, room = struct.unpack_from("=QI", raw, 24)
        if kind == "event":
            put(raw, 16, "I", 6)
            struct.pack_into("=QI", raw, 24, one["config"], one["event_type"])
            self._put(raw, 40, "Q", "cookie", one.get("cookie", 0))
            return raw
        if bool(name_at) != bool(room):
            return -EINVAL
        put(raw, 16, "I", bpf.PERF_TYPES.index(kind))
        self._text(name_at, room, one["name"])
        if kind == "tracepoint":
            self._put(raw, 40, "Q", "cookie", one.get("cookie", 0))
            return raw
        put(raw, 36, "I", one.get("offset", 0))
        if kind in ("uprobe", "uretprobe"):
            self._put(raw, 40, "Q", "cookie", one.get("cookie", 0))
            self._put(raw, 48, "Q", "ref_ctr_offset", 0)
            return raw
        put(raw, 40, "Q", one.get("address", 0))
        self._put(raw, 48, "Q", "missed", one.get("missed", 0))
        self._put(raw, 56, "Q", "cookie", one.get("cookie", 0))
        return raw

    def _task_fd(self, attribute):
        if "perf" in self.denied:
            return -EPERM
        pid, fd = struct.unpack_from("=II", attribute)
        room, at = struct.unpack_from("=IQ", attribute, 12)
        answer = self.perf.get((pid, fd), -NOT_EVENT)
        if isinstance(answer, int):
            return answer
        prog_id, kind, name, offset, address = answer
        struct.pack_into("=IIQQ", attribute, 24, prog_id, bpf.FD_TYPES.index(kind), offset, address)
        return self._text(at, room, name)

    def _query(self, attribute):
        target, number = struct.unpack_from("=II", attribute)
        at, room = struct.unpack_from("=QI", attribute, 16)
        place = self.targets.get(target) or self.opened.get(target) or target
        answer = self.queries.get((place, bpf.ATTACH_TYPES[number]), -EINVAL if place == target else [])
        if isinstance(answer, int):
            return answer
        put(attribute, 24, "I", len(answer))
        if len(answer) > room:
            return -ENOSPC
        self._numbers(at, "I", answer)
        return 0

    def _lookup(self, attribute):
        fd, _, _, at = struct.unpack_from("=IIQQ", attribute)
        kind, number = self.opened[fd]
        value = self.objects[kind][number]["value"]
        self.memory[at].content[: len(value)] = value
        return 0


def put(raw, at, code, value):
    """Write a number if the struct reaches that far."""
    if at + struct.calcsize("=" + code) <= len(raw):
        struct.pack_into("=" + code, raw, at, value)


def write_process(proc, pid, comm, fds=None, exe="/usr/bin/tool", cgroup="/", net=1, mnt=1, root="/"):
    """proc/PID as far as it is looked at. `fds`: number -> ("link" | "program" | "map", id) or "perf_event"."""
    words = {"link": ("anon_inode:bpf_link", "link"), "program": ("anon_inode:bpf-prog", "prog")}
    words["map"] = ("anon_inode:bpf-map", "map")
    folder = proc / str(pid)
    for name in ("fd", "fdinfo", "ns"):
        (folder / name).mkdir(parents=True)
    (folder / "comm").write_text(comm + "\n")
    (folder / "cgroup").write_text(f"0::{cgroup}\n")
    (folder / "exe").symlink_to(exe)
    (folder / "root").symlink_to(root)
    (folder / "ns" / "net").symlink_to(f"net:[{net}]")
    (folder / "ns" / "mnt").symlink_to(f"mnt:[{mnt}]")
    (folder / "mountinfo").write_text("")
    (folder / "mounts").write_text("")
    (folder / "fd" / "0").symlink_to("/dev/null")
    for number, held in (fds or {}).items():
        if held == "perf_event":
            (folder / "fd" / str(number)).symlink_to("anon_inode:[perf_event]")
            continue
        link, word = words[held[0]]
        (folder / "fd" / str(number)).symlink_to(link)
        (folder / "fdinfo" / str(number)).write_text(f"pos:\t0\nflags:\t02000002\n{word}_id:\t{held[1]}\n")


__all__ = ["EOPNOTSUPP", "FakeBpf", "write_process"]
