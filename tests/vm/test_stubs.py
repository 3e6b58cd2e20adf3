"""Programs made of stubs, in guests: every type loads and attaches, and what they read is what was done.

The texts are those of `stub --program` for the kernel's own snapshot, compiled here (clang), loaded there by libbpf.
Runs with `pytest -m vm`. PROBE_SCOUT_VM names the kernels (blank separated); their snapshots are the lab's.
bpftrace's scripts need 0.23 or newer: the packages of another release unpacked below the folder PROBE_SCOUT_BPFTRACE.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from probe_scout.commands import stub
from probe_scout.errors import NoStub
from probe_scout.kernel.kernel import Kernel
from probe_scout.sources import open_source

pytestmark = pytest.mark.vm

GUEST = Path(__file__).resolve().parent / "guest" / "stubs_all.py"
KERNELS = ("5.10", "6.1", "6.12", "7.3", "7.3-arm64")
LIBRARIES = ("libbpf.so.1", "libelf.so.1", "libz.so.1", "libzstd.so.1")
FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib")
TIME_LIMIT_S = 900.0
CALLS = (
    *("openat", "kill", "mkdir", "mkdirat", "rmdir", "mmap", "pwrite64", "lseek", "ftruncate", "dup3", "setpriority"),
    *("getpriority", "prctl", "socket", "bind", "read", "write", "execve"),
)
# By category. Not every kernel has all of them; one that has none of what is triggered fails the count.
EVENTS = (
    *(f"syscalls:sys_{way}_{call}" for call in CALLS for way in ("enter", "exit")),
    *("syscalls:sys_enter_exit_group", "syscalls:sys_enter_bpf", "raw_syscalls:sys_enter", "raw_syscalls:sys_exit"),
    *("sched:sched_process_fork", "sched:sched_process_exec", "sched:sched_process_exit", "sched:sched_process_wait"),
    *("sched:sched_switch", "sched:sched_wakeup", "sched:sched_waking", "sched:sched_wakeup_new"),
    *("signal:signal_generate", "signal:signal_deliver", "task:task_newtask", "task:task_rename"),
    *("timer:itimer_state", "timer:itimer_expire", "timer:hrtimer_start"),
    *("net:net_dev_queue", "net:net_dev_start_xmit", "net:net_dev_xmit", "net:netif_rx", "net:netif_receive_skb"),
    *("skb:skb_copy_datagram_iovec", "napi:napi_poll", "fib:fib_table_lookup"),
    *("sock:inet_sock_set_state", "tcp:tcp_destroy_sock"),
    *("irq:softirq_raise", "irq:softirq_entry", "irq:softirq_exit", "irq:irq_handler_entry"),
    *("exceptions:page_fault_user", "kmem:mm_page_alloc", "kmem:kmalloc", "mmap:vm_unmapped_area"),
    *("writeback:writeback_dirty_page", "writeback:writeback_dirty_folio", "filemap:mm_filemap_add_to_page_cache"),
    *("block:block_rq_issue", "block:block_rq_complete", "block:block_bio_queue", "block:block_getrq"),
    *("filelock:posix_lock_inode", "filelock:flock_lock_inode"),
    *("cgroup:cgroup_attach_task", "cgroup:cgroup_rmdir"),
    *("oom:oom_score_adj_update", "printk:console"),
)
RAW = (
    *("task_newtask", "sched_process_fork", "sched_wakeup_new", "sched_process_exec", "sched_process_exit"),
    *("sched_switch", "signal_generate", "signal_deliver", "task_rename", "net_dev_xmit", "net_dev_queue"),
    *("inet_sock_set_state", "sys_enter", "sys_exit"),
)
FUNCTIONS = ("vfs_read", "vfs_write", "do_mmap")
# A file of programs each: its names, the type, CO-RE.
FILES = {
    "flat": (EVENTS, "tp", False),
    "core": (EVENTS, "tp", True),
    "raw_tp": (RAW, "raw_tp", False),
    "tp_btf": (RAW, "tp_btf", False),
    **{attach: (FUNCTIONS, attach, False) for attach in ("fentry", "fexit", "kprobe", "kretprobe")},
    "ksyscall": (CALLS[:-1], "ksyscall", False),
}
TARGETS = {"x86_64": "x86", "aarch64": "arm64"}  # libbpf's bpf_tracing.h
TYPED = (("tp_btf", "tp_btf", False),)
BATCH = 200
_SIZES = {"8": 1, "16": 2, "32": 4, "64": 8}
_CODES = {"u1": "B", "s1": "b", "u2": "H", "s2": "h", "u4": "I", "s4": "i", "u8": "Q", "s8": "q"}


def layouts(text):
    """{title: (fields, size)} of the structs `seen_…` is made of, each field (name, offset, code, count)."""
    found = {}
    for title, body in re.findall(r"struct (\w+)_seen \{\n(.*?)\} seen_", text, re.S):
        at, align, fields = 0, 8, []
        for kind, name, count in re.findall(r"\t(\w+) (\w+)(?:\[(\d+)\])?;", body):
            parts = re.fullmatch(r"__([us])(8|16|32|64)|(char)", kind)
            pointer = parts is None
            size = 8 if pointer else 1 if parts[3] else _SIZES[parts[2]]
            assert not pointer, f"{title}.{name}: {kind}"
            at += -at % size
            number = int(count or 1)
            fields.append((name, at, "c" if parts[3] else _CODES[f"{parts[1]}{size}"], number))
            at += size * number
        found[title] = (fields, at + -at % align)
    return found


def test_a_seen_struct_is_laid_out_as_c_does():
    text = "struct a_seen {\n\t__u64 hits;\n\t__s16 b;\n\tchar c[5];\n\t__u32 d[2];\n} seen_a;\n"
    fields = [("hits", 0, "Q", 1), ("b", 8, "h", 1), ("c", 10, "c", 5), ("d", 16, "I", 2)]
    assert layouts(text) == {"a": (fields, 24)}


def snapshot_of(kernel):
    """That of the recording or of the fields lane; a boot takes one where there is neither."""
    from tests.vm import cache, fields

    for folder in ("recorded", "fields"):
        found = cache.root() / folder / kernel / "snapshot.tar.xz"
        if found.exists():
            return found
    return fields.prepare(kernel) / "snapshot.tar.xz"


def stubs_of(kernel, names, attach, core):
    """The stubs of those names that this kernel has, and why the others have none."""
    found, left = {}, {}
    for name in names:
        try:
            for one in stub.report(kernel, [name], "c", attach, core).stubs:
                found[one.title] = one
        except NoStub as error:
            left[name] = str(error)
    return list(found.values()), left


def compiled(kernel, folder):
    """Writes NAME.bpf.o and NAME.json of FILES; what was left out by file, with the reason."""
    from elftools.elf.elffile import ELFFile

    left_out = {}
    for name, (names, attach, core) in FILES.items():
        stubs, left_out[name] = stubs_of(kernel, names, attach, core)
        text = stub.text(stubs, "c", stub.provenance(kernel), core, program=True)
        object_of(folder / f"{name}.bpf.c", text, kernel.arch())
        with open(folder / f"{name}.bpf.o", "rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            places = {one.name: (one["st_value"], one["st_size"]) for one in table.iter_symbols()}
        seen = {}
        for title, (fields, size) in layouts(text).items():
            at, bytes_there = places[f"seen_{title}"]
            assert size == bytes_there, title
            seen[title] = {"at": at, "size": size, "fields": fields}
        spec = {"tgid": places["probe_scout_tgid"][0], "programs": len(stubs), "seen": seen}
        (folder / f"{name}.json").write_text(json.dumps(spec))
    return left_out


def object_of(source, text, arch):
    """Compiles the text to NAME.bpf.o beside NAME.bpf.c."""
    source.write_text(text)
    target = f"-D__TARGET_ARCH_{TARGETS[arch]}"
    words = ["clang", "-target", "bpf", "-O2", "-g", "-Wall", "-Werror", target, "-c", str(source)]
    subprocess.run([*words, "-o", str(source.with_suffix(".o"))], check=True)


def compiled_whole(kernel, folder):
    """Every event's program in files of BATCH; how many there are by type. Modules' types are not in the guest."""
    btf = kernel.btf()
    counted = {}
    for name, attach, core in (("tp", "tp", False), ("core", "tp", True), ("raw_tp", "raw_tp", False), *TYPED):
        stubs = stub.report(kernel, ["*:*"], "c", attach).stubs
        if core:
            stubs = [one for one in stubs if one.core and btf.has_name(one.core)]
        if attach == "tp_btf":
            stubs = [one for one in stubs if btf.has_name(f"btf_trace_{one.target}")]
        counted[name] = len(stubs)
        for at in range(0, len(stubs), BATCH):
            part = stubs[at : at + BATCH]
            file = folder / f"{name}-{at:04}.bpf.c"
            object_of(file, stub.text(part, "c", stub.provenance(kernel), core, program=True), kernel.arch())
            (folder / f"{name}-{at:04}.json").write_text(json.dumps({"programs": len(part)}))
    return counted


def libraries(machine):
    """libbpf and what it is linked to: this machine's, or Debian's of another architecture."""
    from tests.vm import foreign
    from tests.vm.machines import NATIVE

    found = {}
    for name in LIBRARIES:
        for folder in FOLDERS if machine is NATIVE else (foreign.loader(machine),):
            if Path(folder, name).exists():
                found[f"/host/lib/{name}"] = Path(folder, name).resolve()
                break
    if "/host/lib/libbpf.so.1" not in found:
        pytest.skip("libbpf.so.1 is not installed")
    return found


def booted(name, folder, kept_as=""):
    """What the guest said about the files in the folder, by test."""
    from tests.vm import boot
    from tests.vm.machines import NATIVE

    ended = boot.run(
        name,
        ["python3", "/host/stubs_all.py", "/host/stubs"],
        share={"/host/stubs_all.py": GUEST, "/host/stubs": folder, **libraries(boot.machine_of(name))},
        env=["LD_LIBRARY_PATH=/host/lib"],
        modules=("loop",),
        tool=boot.machine_of(name) is not NATIVE,  # brings Python there
        timeout_s=TIME_LIMIT_S,
    )
    kept = os.environ.get("PROBE_SCOUT_STUBS_KEPT")
    if kept:
        Path(kept, f"{name}{kept_as}.json").write_text(ended.stdout)
        Path(kept, f"{name}{kept_as}.err").write_text(ended.stderr + ended.console[-5000:])
    assert ended.status == 0, ended.stderr[-2000:] + ended.console[-2000:]
    found = {"seen": [], "refused": [], "trouble": []}
    for line in ended.stdout.splitlines():
        one = json.loads(line)
        found.setdefault(one.pop("test"), []).append(one)
    return found


def recorded_kernel(name):
    """The recording of a kernel that can be booted here; else the test is skipped."""
    from tests.vm import boot, cache
    from tests.vm.problems import LabError

    for tool in ("clang", boot.machine_of(name).qemu):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if name not in (os.environ.get("PROBE_SCOUT_VM", "").split() or KERNELS):
        pytest.skip(f"PROBE_SCOUT_VM does not name {name}")
    try:
        cache.get(name)
    except LabError as error:
        pytest.skip(str(error))
    return Kernel(open_source(str(snapshot_of(name))))


def same_build(kernel, found):
    release = found["kernel"][0]["release"]
    if release != kernel.info().release:
        pytest.skip(f"the recording is of {kernel.info().release}, the guest is {release}")


@pytest.fixture(scope="module", params=KERNELS)
def said(request, tmp_path_factory):
    """What the guest said, by test; `left` is what has no stub."""
    name = request.param
    kernel = recorded_kernel(name)
    folder = tmp_path_factory.mktemp(name.replace(".", "_"))
    left = compiled(kernel, folder)
    found = booted(name, folder)
    same_build(kernel, found)
    return {**found, "left": left, "titles": set(json.loads((folder / "flat.json").read_text())["seen"])}


@pytest.mark.parametrize("name", KERNELS)
def test_every_program_of_every_event_loads(name, tmp_path):
    kernel = recorded_kernel(name)
    counted = compiled_whole(kernel, tmp_path)
    found = booted(name, tmp_path, "-whole")
    same_build(kernel, found)
    assert [(one["file"], one["section"], one["error"]) for one in found["refused"]] == []
    assert [one for one in found["loaded"] if one["error"]] == []
    assert sum(one["programs"] for one in found["loaded"]) == sum(counted.values())
    assert counted["tp"] > 1500
    assert counted["tp_btf"] > 500


def test_every_program_loads(said):
    assert [one for one in said["loaded"] if one["error"]] == []
    assert {one["file"] for one in said["loaded"]} == set(FILES)


def test_every_program_attaches(said):
    assert [one for one in said["attached"] if one["error"]] == []
    assert len(said["attached"]) == sum(one["programs"] for one in said["loaded"])


def test_nothing_went_wrong(said):
    assert said["trouble"] == []
    assert "end" in said


def differing(one):
    found = {} if one["seen"]["hits"] else {"hits": (0, "some")}
    for name, known in one["known"].items():
        seen = one["seen"].get(name, known)
        same = known["has"] in seen if isinstance(known, dict) else seen == known
        if not same:
            found[name] = (seen, known)
    return found


@pytest.mark.parametrize("file", FILES)
def test_what_is_read_is_what_was_done(said, file):
    mine = [one for one in said["seen"] if one["file"] == file]
    assert {one["title"]: differing(one) for one in mine if differing(one)} == {}
    fields = sum(len(set(one["known"]) & set(one["seen"])) for one in mine)
    events = {one["title"] for one in mine if set(one["known"]) & set(one["seen"])}
    # Relocated ones: system calls have none.
    few = int("tp_syscalls_sys_enter_mkdir" not in said["titles"])  # arm64 has neither mkdir nor rmdir
    least = {"flat": (60, 180), "core": (30, 90), "raw_tp": (8, 10), "tp_btf": (8, 10), "ksyscall": (17 - 2 * few, 45)}
    assert len(events) >= least.get(file, (2, 2))[0]
    assert fields >= least.get(file, (2, 2))[1]


# ---------------------------------------------------------------- bpftrace

# What a script prints of a shell that starts `cat /proc/version`, on the newest kernel. No event that printing makes
# itself (a switch, the exit of write): bpftrace would print of itself for ever.
PRINTED = {
    "tp": ("filename=/bin/busybox", "comm=busybox", "__syscall_nr=", "argv=0x", "clone_flags=", "ret="),
    "raw_tp": ("old_pid=", "clone_flags="),
    "tp_btf": ("old_pid=", "clone_flags="),
    "fentry": ("count=", "buf=0x"),
    "fexit": ("count=", "ret="),
    "kprobe": ("count=", "buf=0x"),
    "kretprobe": ("retval=",),
}
SHOWN = (
    *("sched:sched_process_exec", "sched:sched_process_exit", "syscalls:sys_enter_execve", "syscalls:sys_exit_execve"),
    *("signal:signal_generate", "task:task_newtask", "net:net_dev_queue", "block:block_rq_issue"),
    "fib:fib_table_lookup",
)
SHOWN_RAW = ("sched_process_exec", "sched_process_exit", "task_newtask")


def bpftrace():
    """Words that start it in a guest, and what is copied there."""
    folder = os.environ.get("PROBE_SCOUT_BPFTRACE")
    if not folder:
        pytest.skip("PROBE_SCOUT_BPFTRACE names no folder")
    library = "/bpftrace/usr/lib/x86_64-linux-gnu"
    return f"{library}/ld-linux-x86-64.so.2 --library-path {library} /bpftrace/usr/bin/bpftrace", Path(folder)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What the scripts of all types print on the newest kernel, in one: bpftrace takes a minute to start there.

    Each line begins with the type, which is put in here.
    """
    from tests.vm import boot

    start, folder = bpftrace()
    kernel = recorded_kernel("7.3")
    script = tmp_path_factory.mktemp("bpftrace") / "all.bt"
    parts = []
    for attach in PRINTED:
        names = SHOWN if attach == "tp" else SHOWN_RAW if attach in ("raw_tp", "tp_btf") else ("vfs_read",)
        text = stub.report(kernel, names, "bpftrace", attach).text
        assert text.startswith("#!/usr/bin/env bpftrace\n")
        parts.append(text.partition("\n")[2].replace('printf("  ', f'printf("{attach}: '))
    script.write_text("\n".join(parts))
    traced = script.with_name("traced.sh")  # forks and ends after all is attached
    traced.write_text("/bin/busybox cat /proc/version\n/bin/busybox true\nexit 0\n")
    ended = boot.run(
        "7.3",
        ["sh", "-c", f"{start} /all.bt -c '/bin/busybox sh /traced.sh' 2>&1"],
        share={"/all.bt": script, "/traced.sh": traced, "/bpftrace": folder},
        memory_mb=4096,
        timeout_s=2 * TIME_LIMIT_S,
    )
    assert ended.status == 0, ended.stdout[-2000:] + ended.stderr[-2000:] + ended.console[-2000:]
    return ended.stdout


@pytest.mark.parametrize("attach", PRINTED)
def test_a_bpftrace_script_runs_and_prints(printed, attach):
    mine = "\n".join(line for line in printed.splitlines() if line.startswith(f"{attach}: "))
    assert {word for word in PRINTED[attach] if word not in mine} == set()
