"""In a guest: counts how often functions are entered by their symbol and at their inlined copies, and makes them run.

    inline_counts.py PLACES COUNTS

PLACES: lines of SYMBOL+OFFSET (offset in hex), each gets a kprobe of the perf PMU with a BPF program that counts in its
own cell of an array. COUNTS: JSON, {"errno": {place: errno of attaching}, "before", "after": {place: count} around
everything, "steps": {name: {place: count}} around each step of STEPS}. Uses no code of the tool.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

SYS_BPF, SYS_PERF_EVENT_OPEN = 321, 298
MAP_CREATE, MAP_LOOKUP, PROG_LOAD = 0, 1, 5
ARRAY, KPROBE = 2, 2
IOC_ENABLE, IOC_SET_BPF = 0x2400, 0x40042408
ROUNDS = 100

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: bytes) -> int:
    """The result of bpf(2). Raises OSError."""
    raw = ctypes.create_string_buffer(attr, len(attr))
    done = libc.syscall(SYS_BPF, command, raw, len(attr))
    if done < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return done


def insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """One BPF instruction."""
    return struct.pack("<BBhi", code, dst | src << 4, off, imm)


def program(counts: int, cell: int) -> int:
    """A program that adds one to a cell of the array."""
    code = b"".join(
        (
            insn(0x18, 1, 1, 0, counts) + insn(0),  # r1 = the map
            insn(0x62, 10, 0, -4, cell),  # key on the stack
            insn(0xBF, 2, 10),
            insn(0x07, 2, 0, 0, -4),
            insn(0x85, imm=1),  # bpf_map_lookup_elem
            insn(0x15, 0, 0, 2, 0),  # nothing: leave
            insn(0xB7, 1, imm=1),
            insn(0xDB, 0, 1),  # lock *(u64 *)r0 += r1
            insn(0xB7),
            insn(0x95),
        )
    )
    text, license_text = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("<IIQQIIQII", KPROBE, len(code) // 8, ctypes.addressof(text), ctypes.addressof(license_text),
                       0, 0, 0, 0, 0)  # fmt: skip
    return bpf(PROG_LOAD, attr.ljust(128, b"\0"))


def attach(kind: int, place: str, program_fd: int) -> int:
    """A kprobe on SYMBOL+OFFSET that runs the program. Raises OSError."""
    symbol, _, offset = place.partition("+")
    name = ctypes.create_string_buffer(symbol.encode())
    attr = bytearray(128)
    struct.pack_into("<II", attr, 0, kind, 128)
    struct.pack_into("<QQ", attr, 56, ctypes.addressof(name), int(offset or "0", 16))
    raw = ctypes.create_string_buffer(bytes(attr), len(attr))
    fd = libc.syscall(SYS_PERF_EVENT_OPEN, raw, -1, 0, -1, 8)
    if fd < 0:
        raise OSError(ctypes.get_errno(), place)
    fcntl.ioctl(fd, IOC_SET_BPF, program_fd)
    fcntl.ioctl(fd, IOC_ENABLE, 0)
    return fd


def lookup(counts: int, cell: int) -> int:
    """The count of one cell."""
    key, value = ctypes.c_uint32(cell), ctypes.c_uint64()
    attr = struct.pack("<IIQQQ", counts, 0, ctypes.addressof(key), ctypes.addressof(value), 0)
    bpf(MAP_LOOKUP, attr.ljust(128, b"\0"))
    return value.value


# what makes functions run


def fsync() -> None:
    """fsync(2), ROUNDS times, by nobody else meanwhile."""
    with tempfile.TemporaryFile() as file:
        for _ in range(ROUNDS):
            os.fsync(file.fileno())


def open_call() -> None:
    """open(2) itself, which libraries no longer call, ROUNDS times."""
    for _ in range(ROUNDS):
        os.close(libc.syscall(2, b"/dev/null", os.O_RDONLY, 0))


def capset() -> None:
    """capset(2) with what this process has, ROUNDS times."""
    head, data = struct.pack("<II", 0x20080522, 0), ctypes.create_string_buffer(24)
    header = ctypes.create_string_buffer(head)
    libc.syscall(125, header, data)
    for _ in range(ROUNDS):
        libc.syscall(126, header, data)


def files() -> None:
    """Calls on files, folders, links, attributes and file systems."""
    with tempfile.TemporaryDirectory() as top:
        path = os.path.join(top, "a")
        with open(path, "wb+") as file:
            fd = file.fileno()
            os.write(fd, b"x" * 70000)
            os.pwrite(fd, b"y", 5)
            os.pread(fd, 9, 3)
            os.lseek(fd, 0, os.SEEK_SET)
            os.readv(fd, [bytearray(4), bytearray(9)])
            os.writev(fd, [b"1", b"22"])
            os.truncate(path, 4096)
            os.ftruncate(fd, 8192)
            os.fdatasync(fd)
            os.fchmod(fd, 0o640)
            os.fchown(fd, 1000, 1000)
            fcntl.flock(fd, fcntl.LOCK_EX)
            fcntl.lockf(fd, fcntl.LOCK_EX)
            fcntl.lockf(fd, fcntl.LOCK_UN)
            with mmap.mmap(fd, 8192) as mapped:
                mapped[0] = 1
                mapped.flush()
                mapped.madvise(mmap.MADV_DONTNEED)
            for call in (
                lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED),
                lambda: os.posix_fallocate(fd, 0, 9000),
                lambda: os.sendfile(fd, fd, 0, 9),
                lambda: os.copy_file_range(fd, fd, 9, 0, 5000),
            ):
                tried(call)
        for call in (
            lambda: os.symlink(path, path + "s"),
            lambda: os.link(path, path + "l"),
            lambda: os.rename(path + "l", path + "m"),
            lambda: os.mkfifo(path + "f"),
            lambda: os.mknod(path + "n", 0o600 | 0o020000, os.makedev(1, 3)),
            lambda: os.setxattr(path, "user.a", b"1"),
            lambda: os.setxattr(path, "trusted.a", b"1"),
            lambda: os.listxattr(path),
            lambda: os.getxattr(path, "trusted.a"),
            lambda: os.removexattr(path, "trusted.a"),
            lambda: os.chmod(path, 0o600),
            lambda: os.chown(path, 0, 0),
            lambda: os.utime(path, (1, 2)),
            lambda: os.statvfs(top),
            lambda: os.stat(path),
            lambda: os.readlink(path + "s"),
            lambda: os.access(path, os.W_OK, effective_ids=True),
            lambda: os.mkdir(path + "d"),
            lambda: os.rmdir(path + "d"),
            lambda: os.listdir(top),
            lambda: os.unlink(path + "m"),
            lambda: os.sync(),
        ):
            tried(call)
        mounted = os.path.join(top, "m")
        os.mkdir(mounted)
        for kind in ("tmpfs", "proc", "sysfs", "ramfs", "debugfs"):
            subprocess.run(["mount", "-t", kind, "none", mounted], stderr=subprocess.DEVNULL, check=False)
            tried(lambda: os.listdir(mounted))
            subprocess.run(["mount", "-o", "remount,ro", mounted], stderr=subprocess.DEVNULL, check=False)
            subprocess.run(["umount", mounted], stderr=subprocess.DEVNULL, check=False)


def reading() -> None:
    """Most files of /proc and some of /sys."""
    for top in ("/proc", "/proc/self", "/proc/1", "/proc/sys/kernel", "/proc/sys/vm", "/proc/net", "/proc/sys/net/ipv4",
                "/sys/kernel/mm/transparent_hugepage", "/sys/devices/system/cpu", "/sys/kernel"):  # fmt: skip
        for name in tried(lambda top=top: os.listdir(top)) or []:
            path = os.path.join(top, name)
            if name not in (
                "kmsg",
                "kcore",
                "sysrq-trigger",
                "kpagecount",
                "kpageflags",
                "kpagecgroup",
                "mem",
                "clear_refs",
            ):
                tried(lambda path=path: read(path))


def read(path: str) -> None:
    """At most 64 kB of a file, without waiting."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.read(fd, 65536)
    finally:
        os.close(fd)


def processes() -> None:
    """fork, exec, wait, signals, timers, limits, namespaces, scheduling."""
    for _ in range(3):
        subprocess.run(["true"], check=False)
        pid = os.fork()
        if not pid:
            tried(lambda: os.setsid())
            tried(lambda: libc.unshare(0x20000 | 0x40000000 | 0x4000000 | 0x8000000))
            tried(lambda: libc.ptrace(0, 0, 0, 0))
            tried(lambda: os.setgroups([5, 6]))
            tried(lambda: os.setresgid(1000, 1000, 1000))
            tried(lambda: os.setresuid(1000, 1000, 1000))
            tried(lambda: os.kill(1, 0))
            tried(lambda: read("/proc/1/environ"))
            os._exit(0)
        os.waitpid(pid, 0)
    import resource

    signal.signal(signal.SIGALRM, lambda *_: None)
    for call in (
        lambda: signal.setitimer(signal.ITIMER_REAL, 0.01),
        lambda: time.sleep(0.03),
        lambda: os.nice(1),
        lambda: os.sched_setaffinity(0, {0}),
        lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
        lambda: os.sched_yield(),
        lambda: os.setpriority(os.PRIO_PROCESS, 0, 0),
        lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        lambda: os.setpgid(0, 0),
        lambda: os.getpgid(0),
        lambda: os.umask(0o22),
        lambda: libc.mlockall(1),
        lambda: libc.munlockall(),
        lambda: libc.prctl(24, 1, 0, 0, 0),
        lambda: libc.prctl(23, 1, 0, 0, 0),
        lambda: libc.personality(0xFFFFFFFF),
        lambda: libc.syscall(250, 0, 0, 0),  # keyctl
        lambda: libc.syscall(248, b"user\0", b"a\0", b"b", 1, -3),  # add_key
        lambda: libc.brk(0),
    ):
        tried(call)
    with mmap.mmap(-1, 4 << 20) as mapped:
        mapped.madvise(14)
        for at in range(0, 4 << 20, 4096):
            mapped[at] = 1
    libc.mmap.restype = ctypes.c_void_p
    place = libc.mmap(ctypes.c_void_p(0x10000), 65536, 3, 0x32, -1, ctypes.c_long(0))
    if place == 0x10000:
        libc.mprotect(ctypes.c_void_p(place), 4096, 1)
        libc.munmap(ctypes.c_void_p(place), 65536)


def talking() -> None:
    """Pipes, sockets of several families, epoll, eventfd, inotify, message queues, semaphores."""
    ends = os.pipe()
    os.write(ends[1], b"x" * 9000)
    os.read(ends[0], 9000)
    poll = select.epoll()
    poll.register(ends[0], select.EPOLLIN)
    poll.poll(0)
    other = select.poll()
    other.register(ends[1], select.POLLOUT)
    other.poll(0)
    poll.close()
    tried(lambda: os.eventfd_write(os.eventfd(0), 1))
    a, b = socket.socketpair()
    a.sendall(b"x" * 100)
    b.recv(100)
    tried(lambda: socket.send_fds(a, [b"1"], [ends[0]]))
    tried(lambda: socket.recv_fds(b, 9, 2))
    subprocess.run(["ip", "link", "set", "lo", "up"], stderr=subprocess.DEVNULL, check=False)
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        tried(lambda family=family, address=address: tcp(family, address))
        tried(lambda family=family, address=address: udp(family, address))
    for command in ("ip addr", "ip route", "ip neigh", "ip link add d0 type dummy", "ip addr add 10.9.8.7/24 dev lo",
                    "ping -c 1 -W 1 127.0.0.1"):  # fmt: skip
        subprocess.run(command.split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300).close())
    watch = libc.inotify_init()
    libc.inotify_add_watch(watch, b"/tmp", 0xFFF)
    libc.semget(5, 2, 0o1600)
    libc.shmget(6, 4096, 0o1600)
    libc.msgget(7, 0o1600)


def tcp(family: int, address: str) -> None:
    """A connection, some data, an end."""
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, 0))
        server.listen()
        with socket.socket(family) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.connect(server.getsockname())
            other, _ = server.accept()
            with other:
                client.sendall(b"x" * 100_000)
                other.recv(50_000)
                client.shutdown(socket.SHUT_WR)


def udp(family: int, address: str) -> None:
    """A datagram to oneself."""
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.bind((address, 0))
        one.sendto(b"x" * 3000, one.getsockname())
        one.recv(9)


def tried(call):  # type: ignore[no-untyped-def]
    """The result; None where the kernel says no."""
    try:
        return call()
    except (OSError, ValueError, AttributeError):
        return None


STEPS = (fsync, open_call, capset, files, reading, processes, talking)


def main() -> None:
    with open(sys.argv[1]) as file:
        places = file.read().split()
    counts = bpf(MAP_CREATE, struct.pack("<IIIII", ARRAY, 4, 8, len(places), 0).ljust(128, b"\0"))
    with open("/sys/bus/event_source/devices/kprobe/type") as file:
        kind = int(file.read())
    failed: dict[str, str] = {}
    held = []
    for cell, place in enumerate(places):
        try:
            held.append(attach(kind, place, program(counts, cell)))
            failed[place] = "0"
        except OSError as error:
            failed[place] = errno.errorcode.get(error.errno or 0, str(error.errno))

    def now() -> dict[str, int]:
        return {place: lookup(counts, cell) for cell, place in enumerate(places)}

    before = last = now()
    steps: dict[str, dict[str, int]] = {}
    for step in STEPS:
        step()
        following = now()
        steps[step.__name__] = {p: n - last[p] for p, n in following.items() if n != last[p]}
        last = following
    with open(sys.argv[2], "w") as file:
        json.dump({"errno": failed, "before": before, "after": last, "steps": steps}, file)


if __name__ == "__main__":
    import resource as _resource

    _resource.setrlimit(_resource.RLIMIT_NOFILE, (65536, 65536))
    main()
