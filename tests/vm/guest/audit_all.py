"""Runs in a guest as root: what `audit` says about the holder's attachments (bpf/audit), printed as JSON lines.

    audit_all.py HOLDER rows             before, while they are there, bpftool's words meanwhile, afterwards
    audit_all.py HOLDER churn TURNS      audits again and again while another holder attaches and detaches
    audit_all.py HOLDER bpftrace [WORD…] audit of one bpftrace run; PROBES below. WORD…: how to start it
    audit_all.py HOLDER user             as an ordinary user, with some capabilities, in other namespaces
    audit_all.py HOLDER switches         with kprobes disarmed, and planted while ftrace is off
    audit_all.py HOLDER full             a trampoline with and without free places; a return probe that misses calls
    audit_all.py HOLDER patched FILE…    with these modules loaded before
    audit_all.py HOLDER loaded FILE      with the programs of an object, attached by libbpf (/lib/libbpf.so.1)
    audit_all.py HOLDER saved            of a snapshot of this guest, and with bpftool beside it

Each line is {"test": …, …}. Nothing is judged here. Needs probe_scout importable.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time

TOOL = [sys.executable, "-m", "probe_scout", "audit", "--json"]
BPFTOOL = {"perf": ["perf", "show"], "link": ["link", "show"], "net": ["net", "show"], "prog": ["prog", "show"]}
GONE_S, ATTACHED_S = 30.0, 120.0
PROBES = (
    *("kprobe:vfs_fsync", "kprobe:vfs_get*", "kfunc:vfs_rename", "kretfunc:vfs_rmdir"),
    *("tracepoint:sched:sched_process_fork", "rawtracepoint:sched_process_exit", "uprobe:/holder:planted_one"),
    "usdt:/holder:holder:tick",
)


def say(test, **facts):
    print(json.dumps({"test": test, **facts}), flush=True)


def write(path, text):
    """The errno of a write, 0 if it was taken."""
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        return error.errno
    return 0


def audit(*more):
    """{"code", "seconds", "stderr", "document"}; the document is None where no JSON came."""
    begin = time.monotonic()
    done = subprocess.run([*TOOL, *more], capture_output=True, text=True, timeout=300)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = None
    seconds = round(time.monotonic() - begin, 2)
    return {"code": done.returncode, "seconds": seconds, "stderr": done.stderr[-3000:], "document": document}


def start(*holder):
    """The holder once all is planted, and its lines."""
    process = subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line == "ready\n":
            return process, lines
    raise SystemExit(f"holder: ended with {process.wait()} after {lines[-1:]}")


def end(process):
    process.stdin.close()
    last = process.stdout.read()
    return {"holder": process.wait(), "last": last}


def settled():
    """The first audit without attachments and loaded programs, or the last one: the kernel frees them later."""
    begin = time.monotonic()
    while True:
        one = audit("--net")
        document = one["document"] or {}
        if not (document.get("attachments") or document.get("loaded")) or time.monotonic() - begin > GONE_S:
            return one
        time.sleep(0.5)


def bpftool(test="bpftool"):
    for name, words in BPFTOOL.items():
        try:
            done = subprocess.run(["bpftool", "-j", *words], capture_output=True, text=True)
            code, text = done.returncode, done.stdout
        except FileNotFoundError:  # as the shell has it: this guest was booted without bpftool
            code, text = 127, ""
        say(test if test == "bpftool" else f"bpftool {test}", about=name, code=code, text=text)


def rows(holder):
    say("before", **audit("--net"))
    process, lines = start(holder)
    say("planted", lines=lines, pid=process.pid)
    say("during", **audit("--net"))
    say("without net", **audit())
    bpftool()
    write("/proc/sys/kernel/bpf_stats_enabled", "1")
    for _ in range(20):
        subprocess.run(["true"], check=False)
    say("with stats", **audit("--net"))
    bpftool("with stats")
    write("/proc/sys/kernel/bpf_stats_enabled", "0")
    say("ended", **end(process))
    say("after", **settled())


def churn(holder, turns):
    process, lines = start(holder)
    say("planted", lines=lines, pid=process.pid)
    say("before churn", **audit())  # what is found out about functions is kept: the next ones are fast
    from probe_scout.frontends.render.json import audit_document
    from probe_scout.frontends.session import open_kernel

    kernel = open_kernel()
    other = subprocess.Popen([holder, "--churn", turns], stdout=subprocess.PIPE, text=True)
    say("meanwhile", **audit())
    while other.poll() is None:  # in one process, as --watch does, there are more of them
        begin = time.monotonic()
        document = json.loads(audit_document(kernel.audit()))
        seconds = round(time.monotonic() - begin, 2)
        say("meanwhile", code=0, seconds=seconds, stderr="", document=document)
    say("churned", code=other.returncode, text=other.stdout.read())
    say("ended", **end(process))
    say("after", **settled())


def bpftrace(*words):
    words = words or ("bpftrace",)
    version = subprocess.run([*words, "--version"], capture_output=True, text=True).stdout.strip()
    text = "\n".join(f"{probe} {{ @ = count(); }}" for probe in PROBES)
    with open("/tmp/said", "w") as said:
        process = subprocess.Popen([*words, "-e", text], stdout=said, stderr=said)
    begin = time.monotonic()
    while "Attaching" not in open("/tmp/said").read() and process.poll() is None:
        if time.monotonic() - begin > ATTACHED_S:
            break
        time.sleep(0.5)
    before, same = None, 0
    while same < 3 and process.poll() is None:  # its attachments come one after the other
        time.sleep(1)
        now = audit()["document"] or {}
        count = len(now.get("attachments", ()))
        same = same + 1 if count == before else 0
        before = count
    say("bpftrace", version=version, probes=PROBES, pid=process.pid, said=open("/tmp/said").read(), **audit())
    bpftool()
    process.send_signal(signal.SIGINT)
    process.wait()
    say("after", **settled())


def user(holder):
    process, lines = start(holder)
    say("planted", lines=lines, pid=process.pid)
    ways = {
        "user": ["as_user"],
        "bpf and perfmon": ["as_user", "--cap", "CAP_BPF", "--cap", "CAP_PERFMON"],
        "admin": ["as_user", "--cap", "CAP_SYS_ADMIN"],
        "admin and ptrace": [
            "as_user",
            "--cap",
            "CAP_SYS_ADMIN",
            "--cap",
            "CAP_SYS_PTRACE",
            "--cap",
            "CAP_DAC_OVERRIDE",
        ],
        "namespaces": ["unshare", "-p", "-m", "-n", "-f", "sh", "-c", 'mount -t proc proc /proc && exec "$@"', "sh"],
    }
    for name, words in ways.items():
        done = subprocess.run([*words, *TOOL], capture_output=True, text=True)
        say(name, code=done.returncode, stdout=done.stdout, stderr=done.stderr)
    say("ended", **end(process))


def switches(holder):
    process, lines = start(holder)
    say("planted", lines=lines, pid=process.pid)
    path = "/sys/kernel/debug/kprobes/enabled"
    say("kprobes off", errno=write(path, "0"), **audit("--net"))
    write(path, "1")
    say("ended", **end(process))
    settled()
    path = "/proc/sys/kernel/ftrace_enabled"
    errno = write(path, "0")
    process, lines = start(holder)
    say("ftrace off", errno=errno, lines=lines, now=open(path).read().strip(), **audit("--net"))
    say("ended", **end(process))
    write(path, "1")


def patched(holder, *modules):
    for module in modules:
        subprocess.run(["insmod", module], check=True)
    process, lines = start(holder)
    say("planted", lines=lines, pid=process.pid)
    say("during", **audit("--net"))
    say("ended", **end(process))


def loaded(holder, path):
    library = ctypes.CDLL("/lib/libbpf.so.1")
    for name in ("bpf_object__open_file", "bpf_object__next_program", "bpf_program__attach"):
        getattr(library, name).restype = ctypes.c_void_p
    library.bpf_program__name.restype = ctypes.c_char_p
    whole = ctypes.c_void_p(library.bpf_object__open_file(path.encode(), None))
    code = library.bpf_object__load(whole)
    names, one = [], None
    while one := library.bpf_object__next_program(whole, ctypes.c_void_p(one)):
        if library.bpf_program__attach(ctypes.c_void_p(one)):
            names.append(library.bpf_program__name(ctypes.c_void_p(one)).decode())
    say("loaded", errno=-code, names=names, **audit())


def full(holder):
    for free in (0, 3, 4):
        process, lines = start(holder, "--full", "vfs_fchown", str(free))
        say("full", free=free, lines=lines, **audit())
        end(process)
        settled()
    process, lines = start(holder, "--missing", "300")
    say("missing", lines=lines, **audit())
    end(process)
    say("after", **settled())


def saved(holder):
    process, lines = start(holder)
    say("planted", lines=lines, pid=process.pid)
    say("inside", **audit("--bpftool"))
    subprocess.run([*TOOL[:3], "snapshot", "-o", "/tmp/saved.tar.xz"], check=True, stdout=subprocess.DEVNULL)
    say("outside", **audit("--root", "/tmp/saved.tar.xz"))
    folder = "/tmp/printed/tool"
    os.makedirs(folder)
    for name, words in BPFTOOL.items():
        with open(f"{folder}/bpftool-{name}.json", "w") as file:
            subprocess.run(["bpftool", "-j", *words], stdout=file, check=False)
    say("printed", **audit("--root", "/tmp/printed"))
    os.remove(f"{folder}/bpftool-perf.json")
    with open(f"{folder}/bpftool-perf.txt", "w") as file:
        subprocess.run(["bpftool", "perf", "show"], stdout=file, check=False)
    say("plain", **audit("--root", "/tmp/printed"))
    other = subprocess.Popen([holder, "--churn", "3000"], stdout=subprocess.PIPE, text=True)
    while other.poll() is None:
        say("meanwhile", **audit("--bpftool"))
    say("ended", **end(process))


def main():
    holder, what, *more = sys.argv[1:]
    os.environ.setdefault("PYTHONPATH", "/usr/lib/probe-scout")
    {
        "rows": rows,
        "churn": churn,
        "bpftrace": lambda holder, *words: bpftrace(*words),
        "user": user,
        "switches": switches,
        "full": full,
        "loaded": loaded,
        "patched": patched,
        "saved": saved,
    }[what](holder, *more)
    with open("/dev/kmsg") as log:
        os.set_blocking(log.fileno(), False)
        bad = []
        try:
            bad = [line for line in log if "BUG:" in line or "WARNING:" in line or "Oops" in line]
        except OSError:
            pass
    say("end", log=bad)


if __name__ == "__main__":
    main()
