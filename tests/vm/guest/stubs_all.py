"""Runs in a guest as root: attaches programs made of stubs, does things whose values it knows, prints what was seen.

    stubs_all.py FOLDER

FOLDER has NAME.bpf.o (`stub --program`, compiled) and NAME.json, which says where each `seen_…` lies in .bss; a file
without that is only loaded. libbpf (of LD_LIBRARY_PATH) loads and attaches them, one file after the other. Each line
printed is {"test": …}: `loaded`, `refused` and `attached` with the errors, `seen` with the values of one event beside
those that are known. Nothing is judged here.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

TRIES = 20  # for what another event of the same name may follow
PAGE = 4096
X86_64 = {
    "read": 0,
    "write": 1,
    "lseek": 8,
    "mmap": 9,
    "pwrite64": 18,
    "socket": 41,
    "bind": 49,
    "execve": 59,
    "kill": 62,
    "ftruncate": 77,
    "mkdir": 83,
    "rmdir": 84,
    "getpriority": 140,
    "setpriority": 141,
    "prctl": 157,
    "exit_group": 231,
    "openat": 257,
    "mkdirat": 258,
    "dup3": 292,
}
# include/uapi/asm-generic/unistd.h: no mkdir, no rmdir.
GENERIC = {
    "dup3": 24,
    "mkdirat": 34,
    "ftruncate": 46,
    "openat": 56,
    "lseek": 62,
    "read": 63,
    "write": 64,
    "pwrite64": 68,
    "exit_group": 94,
    "kill": 129,
    "setpriority": 140,
    "getpriority": 141,
    "prctl": 167,
    "socket": 198,
    "bind": 200,
    "execve": 221,
    "mmap": 222,
}
NR = X86_64 if os.uname().machine == "x86_64" else GENERIC
AT_FDCWD = -100
UNSIGNED = (1 << 64) - 1
ENOENT, EBADF = 2, 9
COMM = "probe-scouted"
PR_SET_NAME = 15
UDP_BYTES, UDP_PORT, TCP_BYTES, TCP_PORT, LOOPBACK = 100, 9, 91, 4711, "127.0.0.1"
LOOP = "/dev/loop0"
LOOP_DEV = 7 << 20

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


def say(test, **facts):
    print(json.dumps({"test": test, **facts}), flush=True)


def call(name, *words):
    """What the system call returns, -errno too."""
    done = libc.syscall(ctypes.c_long(NR[name]), *[ctypes.c_long(w) if isinstance(w, int) else w for w in words])
    return -ctypes.get_errno() if done == -1 else done


class Programs:
    """One object file: loaded, attached, and its .bss as memory. Attributes that begin with b are libbpf's."""

    def __init__(self, folder, name):
        self.name = name
        self.spec = json.loads((folder / f"{name}.json").read_text())
        self.b = ctypes.CDLL("libbpf.so.1", use_errno=True)
        for function in ("bpf_object__open_file", "bpf_object__next_program", "bpf_program__attach"):
            getattr(self.b, function).restype = ctypes.c_void_p
        self.b.bpf_object__next_map.restype = ctypes.c_void_p
        for function in ("bpf_program__section_name", "bpf_map__name"):
            getattr(self.b, function).restype = ctypes.c_char_p
        self.path = str(folder / f"{name}.bpf.o").encode()
        self.object, self.links, self.memory = None, [], None

    def _open(self):
        self.object = ctypes.c_void_p(self.b.bpf_object__open_file(self.path, None))
        if not self.object:
            raise OSError(ctypes.get_errno(), f"{self.name}: cannot be opened")

    def _forget(self):
        self.b.bpf_object__close(self.object)
        self.object = None

    def _all(self, following):
        found, one = [], None
        while one := getattr(self.b, following)(self.object, ctypes.c_void_p(one)):
            found.append(ctypes.c_void_p(one))
        return found

    def load(self):
        """Loads all; where that fails, says of each program alone whether it does."""
        self._open()
        error = self.b.bpf_object__load(self.object)
        say("loaded", file=self.name, error=error, programs=len(self._all("bpf_object__next_program")))
        if not error:
            return True
        self._forget()
        for number in range(self.spec["programs"]):
            self._open()
            programs = self._all("bpf_object__next_program")
            for at, one in enumerate(programs):
                self.b.bpf_program__set_autoload(one, ctypes.c_bool(at == number))
            section = self.b.bpf_program__section_name(programs[number]).decode()
            error = self.b.bpf_object__load(self.object)
            self._forget()
            if error:
                say("refused", file=self.name, section=section, error=error)
        return False

    def attach(self):
        for one in self._all("bpf_object__next_program"):
            section = self.b.bpf_program__section_name(one).decode()
            link = self.b.bpf_program__attach(one)
            say("attached", file=self.name, section=section, error=0 if link else ctypes.get_errno())
            self.links += [ctypes.c_void_p(link)] if link else []
        for one in self._all("bpf_object__next_map"):
            if self.b.bpf_map__name(one).endswith(b".bss"):
                self.map_fd = self.b.bpf_map__fd(one)
                self.size = self.b.bpf_map__value_size(one)
        self.memory = libc.mmap(None, -(-self.size // PAGE) * PAGE, 3, 1, self.map_fd, 0)

    def watch(self, tgid):
        """Forgets what was seen; from now on only this process is seen, 0: all."""
        ctypes.memset(self.memory, 0, self.size)
        ctypes.c_uint32.from_address(self.memory + self.spec["tgid"]).value = tgid

    def seen(self, title):
        """The values of one program by name."""
        one = self.spec["seen"][title]
        raw = ctypes.string_at(self.memory + one["at"], one["size"])
        found = {}
        for name, offset, kind, count in one["fields"]:
            if kind == "c":
                found[name] = raw[offset : offset + count].split(b"\0")[0].decode("latin1")
            else:
                values = struct.unpack_from(f"<{count}{kind}", raw, offset)
                found[name] = list(values) if count > 1 else values[0]
        return found

    def close(self):
        for link in self.links:
            self.b.bpf_link__destroy(link)
        if self.memory:
            libc.munmap(self.memory, -(-self.size // PAGE) * PAGE)
        if self.object:
            self._forget()


class Child:
    """A process that waits for a byte, then does what it was given and ends."""

    def __init__(self, act):
        read, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(write)
                os.read(read, 1)
                act()
            finally:
                os._exit(3)
        os.close(read)
        self.write = write
        self.waits = True

    def go(self):
        if self.waits:
            self.waits = False
            os.write(self.write, b"x")

    def end(self):
        self.go()
        os.close(self.write)
        os.waitpid(self.pid, 0)


def nothing():
    pass


def raw(name, **known):
    """The same values for raw_tp and tp_btf."""
    return {f"raw_tp_{name}": known, f"tp_btf_{name}": known}


def function(name, entry, returned):
    known = dict.fromkeys((f"fentry_{name}", f"kprobe_{name}"), entry)
    return known | {f"fexit_{name}": {**entry, "ret": returned}, f"kretprobe_{name}": {"ret": returned}}


def syscall(name, returned, **known):
    """The values of both events of a system call that has returned."""
    number = {"__syscall_nr": NR[name]}
    words = {key: value & UNSIGNED if isinstance(value, int) else value for key, value in known.items()}
    return {
        f"tp_syscalls_sys_enter_{name}": {**number, **words},
        f"tp_syscalls_sys_exit_{name}": {**number, "ret": returned},
        f"ksyscall_{name}": known,
    }


class Triggers:
    """Each method that begins with on_ does something and returns what is known of it, by title."""

    def __init__(self, programs):
        self.p = programs
        self.own = os.getpid()

    def on_openat(self):
        path = ctypes.c_char_p(b"/nothing/here")
        done = call("openat", AT_FDCWD, path, 0o2001, 0o640)
        known = syscall("openat", done, filename_text="/nothing/here", flags=0o2001, mode=0o640)
        known["tp_syscalls_sys_enter_openat"]["dfd"] = AT_FDCWD & UNSIGNED
        known["ksyscall_openat"] = {**known["ksyscall_openat"], "dfd": AT_FDCWD}
        known["tp_syscalls_sys_exit_openat"]["ret"] = -ENOENT
        return known

    def on_kill(self):
        return syscall("kill", call("kill", 4194303, 0), pid=4194303, sig=0)

    def on_kill_self(self):
        call("kill", self.own, 0)
        return {"ksyscall_kill": {"pid": self.own, "sig": 0}}

    def on_directory(self):
        path = ctypes.c_char_p(b"/dev/shm-probe")
        named = {"pathname_text": "/dev/shm-probe"}
        made = call("mkdirat", 99999, path, 0o751)  # an absolute path: the descriptor plays no part
        found = syscall("mkdirat", made, dfd=99999, mode=0o751, **named)
        os.rmdir("/dev/shm-probe")
        if "mkdir" in NR:
            found |= syscall("mkdir", call("mkdir", path, 0o751), mode=0o751, **named)
            found |= syscall("rmdir", call("rmdir", path), **named)
        return found

    def on_mmap(self):
        done = call("mmap", 0x7E0000000000, 8192, 3, 0x12, 77777, 3 * PAGE)
        return syscall("mmap", done, addr=0x7E0000000000, len=8192, prot=3, flags=0x12, fd=77777, off=3 * PAGE)

    def on_pwrite64(self):
        memory = ctypes.create_string_buffer(77)
        done = call("pwrite64", 88888, memory, 77, 1 << 33)
        where = ctypes.addressof(memory)
        return syscall("pwrite64", done, fd=88888, buf=where, count=77, pos=1 << 33)

    def on_lseek(self):
        file = os.open("/dev/kmsg-not", os.O_CREAT | os.O_RDWR)
        call("ftruncate", file, 123)
        done = call("lseek", file, 1000, 1)
        os.unlink("/dev/kmsg-not")
        os.close(file)
        return {
            **syscall("lseek", done, fd=file, offset=1000, whence=1),
            "tp_syscalls_sys_exit_lseek": {"ret": 1000},
            **syscall("ftruncate", 0, fd=file, length=123),
        }

    def on_dup3(self):
        file = os.open("/", os.O_RDONLY)
        known = syscall("dup3", call("dup3", file, 321, 0o2000000), oldfd=file, newfd=321, flags=0o2000000)
        os.close(321)
        os.close(file)
        known["tp_syscalls_sys_exit_dup3"]["ret"] = 321
        return known

    def on_priority(self):
        return {
            **syscall("setpriority", call("setpriority", 0, self.own, 5), which=0, who=self.own, niceval=5),
            **syscall("getpriority", call("getpriority", 0, self.own), which=0, who=self.own),
            "tp_syscalls_sys_exit_getpriority": {"ret": 15},  # 20 - nice
        }

    def on_prctl(self):
        return syscall(
            "prctl", call("prctl", 0x7777, 11, 22, 33, 44), option=0x7777, arg2=11, arg3=22, arg4=33, arg5=44
        )

    def on_socket(self):
        done = call("socket", 2, 2, 17)
        where = ctypes.create_string_buffer(struct.pack("<HH4s8x", 2, 0, bytes((127, 0, 0, 1))), 16)
        bound = call("bind", done, where, 16)
        os.close(done)
        return {
            **syscall("socket", done, family=2, type=2, protocol=17),
            **syscall("bind", bound, fd=done, umyaddr=ctypes.addressof(where), addrlen=16),
        }

    def on_raw_syscalls(self):
        args = (99999, -3, 2, 44, 55, 66)
        words = [ctypes.c_long(one) for one in (NR["lseek"], *args)]
        libc.syscall(*words)
        return {
            "tp_raw_syscalls_sys_enter": {"id": NR["lseek"], "args": [one & UNSIGNED for one in args]},
            "tp_raw_syscalls_sys_exit": {"id": NR["lseek"], "ret": -EBADF},
            **raw("sys_enter", id=NR["lseek"]),
            **raw("sys_exit", ret=-EBADF),
        }

    def on_read(self):
        file = os.open("/proc/version", os.O_RDONLY)
        memory = ctypes.create_string_buffer(77)
        where = ctypes.addressof(memory)
        done = call("read", file, memory, 20)
        written = call("write", self.null, memory, 33)
        os.close(file)
        return {
            **syscall("read", done, fd=file, buf=where, count=20),
            "tp_syscalls_sys_exit_read": {"ret": 20},
            **syscall("write", written, fd=self.null, buf=where, count=33),
            "tp_syscalls_sys_exit_write": {"ret": 33},
            **function("vfs_read", {"buf": where, "count": 20}, 20),
            **function("vfs_write", {"buf": where, "count": 33}, 33),
        }

    def on_do_mmap(self):
        """Its seventh argument, pgoff, lies on the stack; before vm_flags came (6.6) it was the sixth."""
        zero = os.open("/dev/zero", os.O_RDWR)
        where = libc.mmap(0x7E0000100000, 2 * PAGE, 3, 0x12, zero, 3 * PAGE)
        found = function("do_mmap", {"addr": where, "len": 2 * PAGE, "prot": 3, "pgoff": 3}, where)
        self.keep(found)
        libc.munmap(where, 2 * PAGE)
        os.close(zero)
        return found

    null = os.open("/dev/null", os.O_WRONLY)

    def on_fork(self):
        child = Child(nothing)
        comm = {"parent_comm": COMM, "child_comm": COMM}
        known = {
            "tp_sched_sched_process_fork": {**comm, "parent_pid": self.own, "child_pid": child.pid},
            "tp_sched_sched_wakeup_new": {"comm": COMM, "pid": child.pid, "target_cpu": 0},
            "tp_task_task_newtask": {"pid": child.pid, "comm": COMM, "clone_flags": 0x1200000, "oom_score_adj": 0},
            **raw("task_newtask", clone_flags=0x1200000),
            **raw("sched_process_fork"),
            **raw("sched_wakeup_new"),
        }
        child.end()
        known["tp_sched_sched_process_wait"] = {"pid": child.pid}
        return known

    def on_exec(self):
        busybox = "/bin/busybox" if os.path.exists("/bin/busybox") else "/usr/bin/busybox"
        child = Child(lambda: os.execv(busybox, ["busybox", "true"]))
        self.p.watch(child.pid)
        child.end()
        return {
            "tp_sched_sched_process_exec": {"filename": busybox, "pid": child.pid, "old_pid": child.pid},
            "tp_sched_sched_process_exit": {"comm": "busybox", "pid": child.pid},
            "tp_syscalls_sys_enter_execve": {"filename_text": busybox, "__syscall_nr": NR["execve"]},
            "tp_syscalls_sys_exit_execve": {"ret": 0},
            "tp_syscalls_sys_enter_exit_group": {"error_code": 0, "__syscall_nr": NR["exit_group"]},
            **raw("sched_process_exec", old_pid=child.pid),
            **raw("sched_process_exit"),
        }

    def on_switch(self):
        prio = 120 + os.getpriority(os.PRIO_PROCESS, 0)
        time.sleep(0.05)
        known = {"prev_comm": COMM, "prev_pid": self.own, "prev_prio": prio, "prev_state": 1}
        return {"tp_sched_sched_switch": known, **raw("sched_switch", preempt=0)}

    def on_wakeup(self):
        child = Child(nothing)
        time.sleep(0.1)  # until it waits
        self.p.watch(self.own)
        child.go()
        one = {"comm": COMM, "pid": child.pid, "target_cpu": 0, "prio": 120 + os.getpriority(os.PRIO_PROCESS, 0)}
        child.end()
        return {"tp_sched_sched_wakeup": one, "tp_sched_sched_waking": one}

    def on_signal(self):
        signal.signal(signal.SIGUSR2, lambda *_: None)
        os.kill(self.own, signal.SIGUSR2)
        sent = {"sig": 12, "errno": 0, "code": 0, "comm": COMM, "pid": self.own, "group": 1, "result": 0}
        return {
            "tp_signal_signal_generate": sent,
            "tp_signal_signal_deliver": {"sig": 12, "errno": 0, "code": 0},
            **raw("signal_generate", sig=12, group=1, result=0),
            **raw("signal_deliver", sig=12),
        }

    def on_rename(self):
        libc.prctl(PR_SET_NAME, b"another")
        self.p.watch(self.own)
        libc.prctl(PR_SET_NAME, COMM.encode())
        known = {"pid": self.own, "oldcomm": "another", "newcomm": COMM, "comm": COMM, "oom_score_adj": 0}
        return {"tp_task_task_rename": known, **raw("task_rename")}

    def on_itimer(self):
        signal.signal(signal.SIGALRM, lambda *_: None)
        self.p.watch(0)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 1234)
        known = {"which": 0, "value_sec": 0, "value_nsec": 50000000, "interval_sec": 1234}
        time.sleep(0.2)
        found = {"tp_timer_itimer_state": known, "tp_timer_itimer_expire": {"which": 0, "pid": self.own}}
        self.keep(found)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return found

    def on_hrtimer(self):
        address = symbol("hrtimer_wakeup")
        time.sleep(0.03)
        return {"tp_timer_hrtimer_start": {"function": address}}

    def on_udp(self):
        self.p.watch(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there, socket.socket(type=socket.SOCK_DGRAM) as here:
            there.bind((LOOPBACK, UDP_PORT))
            here.bind((LOOPBACK, UDP_PORT + 1))
            here.sendto(b"u" * UDP_BYTES, (LOOPBACK, UDP_PORT))
            there.recv(1000)
        frame = 14 + 20 + 8 + UDP_BYTES
        return {
            "tp_net_net_dev_queue": {"len": frame, "name": "lo"},
            "tp_net_net_dev_start_xmit": {"name": "lo", "protocol": 0x800, "len": frame, "network_offset": 14},
            "tp_net_net_dev_xmit": {"len": frame, "rc": 0, "name": "lo"},
            "tp_net_netif_rx": {"len": frame - 14, "name": "lo"},
            "tp_net_netif_receive_skb": {"len": frame - 14, "name": "lo"},
            "tp_napi_napi_poll": {"budget": 64},
            "tp_fib_fib_table_lookup": {"dst": [127, 0, 0, 1], "err": 0},
            **raw("net_dev_xmit", rc=0),
            **raw("net_dev_queue"),
        }

    def on_softirq(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
            here.sendto(b"u", (LOOPBACK, UDP_PORT + 2))
        return {f"tp_irq_softirq_{which}": {"vec": 3} for which in ("raise", "entry", "exit")}

    def on_tcp(self):
        with socket.socket() as there:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            there.bind((LOOPBACK, TCP_PORT))
            there.listen(1)
            state = {"oldstate": 7, "newstate": 10, "sport": TCP_PORT, "dport": 0, "family": 2, "protocol": 6}
            state["saddr"] = [127, 0, 0, 1]
            found = {"tp_sock_inet_sock_set_state": state, **raw("inet_sock_set_state", oldstate=7, newstate=10)}
            self.keep(found)
            with socket.socket() as here:
                here.connect((LOOPBACK, TCP_PORT))
                other, _ = there.accept()
                here.send(b"t" * TCP_BYTES)
                other.recv(1000)
                found["tp_skb_skb_copy_datagram_iovec"] = {"len": TCP_BYTES}
                other.close()
        gone = {"sport": TCP_PORT, "dport": 0, "family": 2, "saddr": [127, 0, 0, 1]}
        return {**found, "tp_tcp_tcp_destroy_sock": gone}

    def on_page(self):
        libc.munmap.restype = ctypes.c_int
        where = libc.mmap(None, PAGE, 3, 0x22, -1, 0)
        with open("/proc/self/pagemap", "rb", buffering=0) as table:
            self.p.watch(self.own)
            ctypes.c_uint8.from_address(where).value = 1
            found = {
                "tp_exceptions_page_fault_user": {"address": where, "error_code": 6},
                "tp_kmem_mm_page_alloc": {"order": 0},
            }
            self.keep(found)
            table.seek(where // PAGE * 8)
            frame = struct.unpack("<Q", table.read(8))[0] & ((1 << 55) - 1)
        found["tp_kmem_mm_page_alloc"]["pfn"] = frame
        libc.munmap(where, PAGE)
        return found

    def on_kmalloc(self):
        memory = ctypes.create_string_buffer(self.p.size + PAGE)
        key = ctypes.c_uint32(0)
        self.p.b.bpf_map_lookup_elem(self.p.map_fd, ctypes.byref(key), memory)
        return {"tp_kmem_kmalloc": {"bytes_req": self.p.size}, "tp_syscalls_sys_enter_bpf": {"cmd": 1}}

    def on_unmapped(self):
        where = libc.mmap(None, 37 * PAGE, 3, 0x22, -1, 0)
        found = {"tp_mmap_vm_unmapped_area": {"addr": where, "length": 37 * PAGE}}
        self.keep(found)
        libc.munmap(where, 37 * PAGE)
        return found

    def on_block_write(self):
        file = os.open(LOOP, os.O_RDWR)
        self.p.watch(self.own)
        os.pwrite(file, b"x" * PAGE, 24 * PAGE)
        page = {"index": 24}
        found = {
            "tp_writeback_writeback_dirty_page": {"name": "7:0", **page},
            "tp_writeback_writeback_dirty_folio": {"name": "7:0", **page},
            "tp_filemap_mm_filemap_add_to_page_cache": page,
        }
        self.keep(found)
        self.p.watch(0)
        libc.sync_file_range(
            file, ctypes.c_int64(24 * PAGE), ctypes.c_int64(PAGE), 7
        )  # no flush of the device after it
        os.close(file)
        bio = {"dev": LOOP_DEV, "sector": 24 * 8, "nr_sector": 8}
        return {
            **found,
            "tp_block_block_rq_issue": {**bio, "bytes": PAGE},
            "tp_block_block_rq_complete": {**bio, "error": 0},
        }

    def on_block_read(self):
        file = os.open(LOOP, os.O_RDONLY | os.O_DIRECT)
        memory = libc.mmap(None, PAGE, 3, 0x22, -1, 0)
        libc.pread.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long)
        libc.pread(file, memory, PAGE, 40 * PAGE)
        os.close(file)
        libc.munmap(memory, PAGE)
        bio = {"dev": LOOP_DEV, "sector": 40 * 8, "nr_sector": 8, "comm": COMM}
        return {"tp_block_block_bio_queue": bio, "tp_block_block_getrq": bio}

    def on_lock(self):
        path = "/dev/lock-probe"
        file = os.open(path, os.O_CREAT | os.O_RDWR)
        inode = os.fstat(file).st_ino
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 50, 7)
        whole = {"i_ino": inode, "fl_type": 1, "type": 1, "ret": 0, "fl_start": 7, "fl_end": 56, "fl_pid": self.own}
        if "tp_filelock_posix_lock_inode" in self.p.spec["seen"]:
            self.keep({"tp_filelock_posix_lock_inode": whole})
        fcntl.flock(file, fcntl.LOCK_EX)
        found = {"tp_filelock_posix_lock_inode": whole, "tp_filelock_flock_lock_inode": {"i_ino": inode, "ret": 0}}
        self.keep({"tp_filelock_flock_lock_inode": None})
        os.close(file)
        os.unlink(path)
        return found

    def on_cgroup(self):
        folder = "/sys/fs/cgroup/probe-scout"
        if not os.path.exists("/sys/fs/cgroup/cgroup.procs"):
            return {}
        os.mkdir(folder)
        one = {"level": 1, "path": "/probe-scout", "id": os.stat(folder).st_ino}
        child = Child(nothing)
        self.p.watch(self.own)
        Path(folder, "cgroup.procs").write_text(str(child.pid))
        moved = {"dst_path": "/probe-scout", "pid": child.pid, "comm": COMM, "dst_level": 1}
        found = {"tp_cgroup_cgroup_attach_task": moved}
        self.keep(found)
        child.end()
        self.p.watch(self.own)
        os.rmdir(folder)
        return {**found, "tp_cgroup_cgroup_rmdir": one}

    def on_oom(self):
        Path("/proc/self/oom_score_adj").write_text("321")
        found = {"tp_oom_oom_score_adj_update": {"pid": self.own, "comm": COMM, "oom_score_adj": 321}}
        self.keep(found)
        Path("/proc/self/oom_score_adj").write_text("0")
        return found

    def on_console(self):
        Path("/dev/kmsg").write_text("<2>a word of the probe\n")
        return {"tp_printk_console": {"msg": {"has": "a word of the probe"}}}

    def on_interrupt(self):
        self.p.watch(0)
        names = {}
        for line in Path("/proc/interrupts").read_text().splitlines()[1:]:
            number, _, rest = line.partition(":")
            if number.strip().isdigit():
                names[int(number)] = rest.split()[-1]
        say("progress", at="interrupts")  # the serial port interrupts
        time.sleep(0.2)
        seen = self.p.seen("tp_irq_irq_handler_entry") if "tp_irq_irq_handler_entry" in self.p.spec["seen"] else {}
        if not seen.get("hits"):
            return {}
        return {"tp_irq_irq_handler_entry": {"name": names.get(seen["irq"])}}

    def keep(self, titles):
        """What was seen of these until now counts, whatever comes later."""
        for title in titles:
            if title in self.p.spec["seen"]:
                self.kept.setdefault(title, self.p.seen(title))

    def run(self):
        for name in dir(self):
            if not name.startswith("on_"):
                continue
            turns, mine = 0, {}
            while turns < TRIES:
                turns += 1
                self.kept = {}
                self.p.watch(self.own)
                try:
                    known = getattr(self, name)()
                except OSError as error:
                    say("trouble", file=self.p.name, trigger=name, error=str(error))
                    break
                known = {title: one for title, one in known.items() if one is not None}
                self.keep(known)
                mine = {title: (self.kept[title], one) for title, one in known.items() if title in self.kept}
                if all(agree(*one) for one in mine.values()):
                    break
            for title, (seen, one) in mine.items():
                say("seen", file=self.p.name, title=title, seen=seen, known=one, turns=turns)


def agree(seen, known):
    """Only to tell whether something else came between; the judge is elsewhere."""
    if not seen["hits"]:
        return False
    pairs = [(seen[key], value) for key, value in known.items() if key in seen]
    return all(value["has"] in one if isinstance(value, dict) else one == value for one, value in pairs)


def symbol(name):
    with open("/proc/kallsyms") as file:
        for line in file:
            words = line.split()
            if words[2] == name and len(words) == 3:
                return int(words[0], 16)
    return 0


def prepare():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    libc.prctl(PR_SET_NAME, COMM.encode())
    subprocess.run(["busybox", "ip", "link", "set", "lo", "up"], check=False)
    Path("/loop-image").write_bytes(bytes(1 << 20))
    subprocess.run(["busybox", "losetup", LOOP, "/loop-image"], check=False)


def main(folder):
    prepare()
    say("kernel", release=os.uname().release)
    for path in sorted(folder.glob("*.json")):
        programs = Programs(folder, path.stem)
        if programs.load() and "seen" in programs.spec:
            programs.attach()
            Triggers(programs).run()
        programs.close()
    say("end")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
