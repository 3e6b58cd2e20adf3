"""Runs in a guest as root: what `audit` says about the holder's attachments (bpf/audit), printed as JSON lines.

    audit_all.py HOLDER rows             before, while they are there, bpftool's words meanwhile, afterwards
    audit_all.py HOLDER churn TURNS      audits again and again while another holder attaches and detaches
    audit_all.py HOLDER bpftrace [WORD…] audit of one bpftrace run; PROBES below. WORD…: how to start it
    audit_all.py HOLDER user             as an ordinary user

Each line is {"test": …, …}. Nothing is judged here. Needs probe_scout importable.
"""

from __future__ import annotations

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


def start(holder):
    """The holder once all is planted, and its lines."""
    process = subprocess.Popen([holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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


def bpftool():
    for name, words in BPFTOOL.items():
        done = subprocess.run(["bpftool", "-j", *words], capture_output=True, text=True)
        say("bpftool", about=name, code=done.returncode, text=done.stdout)


def rows(holder):
    say("before", **audit("--net"))
    process, lines = start(holder)
    say("planted", lines=lines, pid=process.pid)
    say("during", **audit("--net"))
    say("without net", **audit())
    bpftool()
    say("ended", **end(process))
    say("after", **settled())


def churn(holder, turns):
    process, lines = start(holder)
    say("planted", lines=lines, pid=process.pid)
    other = subprocess.Popen([holder, "--churn", turns], stdout=subprocess.PIPE, text=True)
    while other.poll() is None:
        say("meanwhile", **audit())
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
    process, _ = start(holder)
    done = subprocess.run(["as_user", *TOOL], capture_output=True, text=True)
    say("user", code=done.returncode, stdout=done.stdout, stderr=done.stderr)
    say("ended", **end(process))


def main():
    holder, what, *more = sys.argv[1:]
    os.environ.setdefault("PYTHONPATH", "/usr/lib/probe-scout")
    if what == "rows":
        rows(holder)
    elif what == "churn":
        churn(holder, *more)
    elif what == "bpftrace":
        bpftrace(*more)
    elif what == "user":
        user(holder)
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
