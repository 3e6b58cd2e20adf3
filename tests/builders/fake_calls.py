"""A kernel made of lists: it hands out file descriptors, remembers every call, and refuses or raises where told."""

from __future__ import annotations

import struct

from probe_scout.commands.verify import attr

COMMANDS = {
    attr.PROG_LOAD: "load",
    attr.OBJ_GET_INFO_BY_FD: "info",
    attr.RAW_TRACEPOINT_OPEN: "raw_open",
    attr.BTF_GET_FD_BY_ID: "btf_fd",
    attr.BTF_GET_NEXT_ID: "btf_next",
    attr.LINK_CREATE: "link",
}


class FakeBuffer:
    def __init__(self, content, address):
        self.content, self.address = bytearray(content), address

    def bytes(self):
        return bytes(self.content)


class FakeCalls:
    """`refuse`: call -> errno. `raises`: call -> exception. `log` is what the verifier writes.

    `btf` maps BTF ids to (name, is the kernel's). `calls` and `closed` are in order; `attributes` are copies.
    """

    def __init__(self, refuse=None, raises=None, log="", btf=None):
        self.refuse, self.raises, self.log, self.btf = refuse or {}, raises or {}, log, btf or {}
        self.calls, self.attributes, self.opened, self.closed = [], [], {}, []
        self.memory = {}
        self._fd, self._address = 10, 0x1000

    def open_now(self):
        """File descriptors that were handed out and not closed."""
        return [fd for fd in self.opened if fd not in self.closed]

    def buffer(self, content):
        made = FakeBuffer(content, self._address)
        self.memory[self._address] = made
        self._address += 0x20000
        return made

    def _made(self, what, attribute):
        self.calls.append(what)
        self.attributes.append(bytes(attribute))
        if what in self.raises:
            raise self.raises[what]
        if what in self.refuse:
            return -self.refuse[what]
        self._fd += 1
        self.opened[self._fd] = what
        return self._fd

    def bpf(self, command, attribute):
        what = COMMANDS[command]
        if what == "load" and self.log:
            (at,) = struct.unpack_from("=Q", attribute, 32)
            self.memory[at].content[: len(self.log) + 1] = self.log.encode() + b"\0"
        if what == "btf_next":
            self.calls.append(what)
            following = [number for number in sorted(self.btf) if number > struct.unpack_from("=I", attribute)[0]]
            if not following:
                return -2
            struct.pack_into("=I", attribute, 4, following[0])
            return 0
        if what == "btf_fd":
            fd = self._made(what, attribute)
            if fd > 0:
                self.opened[fd] = struct.unpack_from("=I", attribute)[0]
            return fd
        if what == "info":
            self.calls.append(what)
            fd, _, at = struct.unpack_from("=IIQ", attribute)
            name, is_kernels = self.btf[self.opened[fd]]
            info = self.memory[at]
            (name_at,) = struct.unpack_from("=Q", info.content, 16)
            self.memory[name_at].content[: len(name)] = name.encode()
            struct.pack_into("=I", info.content, 28, is_kernels)
            return 0
        return self._made(what, attribute)

    def perf_event_open(self, attribute):
        return self._made("perf_open", attribute)

    def set_bpf(self, event_fd, prog_fd):
        fd = self._made("set_bpf", b"")
        if fd > 0:
            del self.opened[fd]
        return min(fd, 0)

    def close(self, fd):
        self.calls.append(f"close {self.opened[fd]}")
        self.closed.append(fd)
