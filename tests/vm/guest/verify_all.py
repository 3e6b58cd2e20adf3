"""Runs in a guest as root: `verify` on many names, then its end by every means; what is left attached each time.

    verify_all.py [names] [ends] [rights]        without a word, all three

Prints one JSON object a line: {"test": …, …}. Needs probe_scout importable, tracefs and debugfs, and the kernel's
image as /host/vmlinuz: an offset inside a function is judged by its instructions.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

TOOL = [sys.executable, "-m", "probe_scout"]
PROG_GET_NEXT_ID, LINK_GET_NEXT_ID = 11, 31
TRACING = "/sys/kernel/tracing"
GONE_S = 20
PATCHED = ("functions", "kprobes")

# Accepted, refused for every reason, absent, duplicated, in modules, at offsets, by system call, events of all sorts.
NAMES_TEXT = """
vfs_read vfs_write vfs_open do_sys_openat2 tcp_sendmsg tcp_connect ip_rcv security_file_open schedule kmem_cache_alloc
do_execve start_kernel do_nmi exc_int3 do_int3 __x64_sys_getpid __x64_sys_execve printk _printk __switch_to
bpf_get_current_pid_tgid bpf_map_lookup_elem __rcu_read_lock_nesting preempt_schedule_irq native_safe_halt
bpf_lsm_file_open bpf_lsm_task_prctl bpf_lsm_task_free bpf_iter_task bpf_iter_bpf_map_elem should_failslab
bpf_fentry_test1 bpf_modify_return_test x86_pmu_enable cpu_startup_entry init_mm jiffies no_such_function_here
perf_trace_sched_switch trace_call_bpf type_show enable_show show vfs_read+0x4 vfs_read+0x5 vfs_read+0x2
vfs_read+0x400000 ext4_file_open ext4:ext4_file_open xfs:xfs_file_open nf_conntrack_in vmlinux:vfs_read
ext4:no_such_function_here tp:sched:sched_switch tp:sys_enter tp:raw_syscalls:sys_exit tp:syscalls:sys_enter_openat
tp:ftrace:function tp:exceptions:page_fault_user tp:nowhere:nothing tp:pelt_cfs_tp
syscall:execve syscall:getpid syscall:nonsense
"""
NAMES = NAMES_TEXT.split()
LSM, ITER = "lsm,lsm.s", "iter,iter.s"


def say(test, **facts):
    print(json.dumps({"test": test, **facts}), flush=True)


def total(command):
    """How many programs or links there are in the kernel."""
    from probe_scout.commands.verify.calls import KernelCalls

    calls, at, count = KernelCalls(), 0, 0
    while True:
        attribute = bytearray(struct.pack("=III", at, 0, 0))
        if calls.bpf(command, attribute) < 0:
            return count
        at = struct.unpack_from("=I", attribute, 4)[0]
        count += 1


def text(path):
    try:
        with open(path) as handle:
            return handle.read()
    except OSError:
        return ""


def attached():
    """What the kernel holds: programs, links, patched functions, kprobes, kprobe events of perf."""
    return {
        "programs": total(PROG_GET_NEXT_ID),
        "links": total(LINK_GET_NEXT_ID),
        "functions": text(f"{TRACING}/enabled_functions"),
        "kprobes": text("/sys/kernel/debug/kprobes/list"),
    }


def settled(before):
    """Seconds until the kernel holds what it held before; None if that does not happen. Links are freed by a worker."""
    begin = time.monotonic()
    while time.monotonic() - begin < GONE_S:
        if attached() == before:
            return round(time.monotonic() - begin, 2)
        time.sleep(0.1)
    return None


def run(*words, **options):
    begin = time.monotonic()
    done = subprocess.run([*TOOL, *words], capture_output=True, text=True, **options)
    return done, round(time.monotonic() - begin, 1)


def verify(test, names, *options):
    before = attached()
    done, took_s = run("verify", *names, "--json", "--limit", "200", *options)
    report = json.loads(done.stdout) if done.stdout.startswith("{") else {"trials": [], "reports": []}
    outcomes = {}
    for one in report["trials"]:
        outcomes[one["outcome"]] = outcomes.get(one["outcome"], 0) + 1
    odd = [
        [one[key] for key in ("target", "attach", "outcome", "answer", "errno", "stage", "says")]
        + [one["verdict"]["answer"], one["verdict"]["errno"]]
        for one in report["trials"]
        if one["outcome"] not in ("equal", "refused")
    ]
    yes = sum(one["answer"] == "yes" for one in report["trials"])
    say(
        test,
        code=done.returncode,
        outcomes=outcomes,
        yes=yes,
        odd=odd,
        stderr=done.stderr[-300:],
        announced=done.stderr.startswith("probe-scout: about to load"),
        seconds=took_s,
        left=settled(before),
    )
    return report


SLOW = """
import sys, time
from probe_scout import trial
from probe_scout.verify import calls, child
class Slow(calls.KernelCalls):
    def close(self, fd):
        time.sleep(60)
        super().close(fd)
inner = child.ask_all
child.ask_all = lambda asked: inner(asked, calls=Slow())
from probe_scout.frontends.cli import run
sys.exit(run.main(sys.argv[1:]))
"""


def ended(test, number, attach, whom):
    """The tool is ended while it holds an attachment. `whom`: tool, child, or group (what ^C of a terminal reaches)."""
    before = attached()
    tool = subprocess.Popen(
        [sys.executable, "-c", SLOW, "verify", "vfs_read", "--type", attach],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    begin = time.monotonic()
    wait_s = 40 if attach == "kprobe.multi" else 60  # a kernel without it holds the program alone
    while attached() == before and tool.poll() is None and time.monotonic() - begin < 60:
        time.sleep(0.05)
    during = attached()
    while all(during[key] == before[key] for key in PATCHED) and time.monotonic() - begin < wait_s:
        if tool.poll() is not None:
            break
        time.sleep(0.1)  # from the program to the attachment
        during = attached()
    held = {key: during[key] != before[key] for key in before}
    children = text(f"/proc/{tool.pid}/task/{tool.pid}/children").split()
    if whom == "group":
        os.killpg(tool.pid, number)
    elif whom == "child":
        os.kill(int(children[0]), number)
    else:
        os.kill(tool.pid, number)
    error = tool.communicate(timeout=60)[1]
    say(
        test,
        attach=attach,
        held=held,
        children=len(children),
        code=tool.returncode,
        stderr=error[-300:],
        left=settled(before),
        alive=[pid for pid in children if os.path.exists(f"/proc/{pid}")],
    )


def at_random():
    """kill -9 at points in time spread over a whole run."""
    names = [name for name in NAMES if not name.startswith("tp:")][:20]
    before = attached()
    for part in range(1, 7):
        tool = subprocess.Popen([*TOOL, "verify", *names], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in tool.stderr:
            break  # it is about to touch something
        time.sleep(part * 0.7)
        running = tool.poll() is None
        busy = attached() != before
        tool.kill()
        tool.communicate()
        say("kill -9 at random", part=part, running=running, busy=busy, left=settled(before))


def as_user():
    def drop():
        os.setgroups([])
        os.setgid(1000)
        os.setuid(1000)

    for test, words in (
        ("user", ["verify", "vfs_read"]),
        ("user --as-me", ["verify", "vfs_read", "--as-me"]),
        ("user --dry", ["verify", "vfs_read", "--dry"]),
    ):
        done, _ = run(*words, preexec_fn=drop)
        say(test, code=done.returncode, stderr=done.stderr, stdout=done.stdout[-2000:])


def switches():
    """ftrace switched off: refused; events are still asked."""
    path = "/proc/sys/kernel/ftrace_enabled"
    try:
        with open(path, "w") as handle:
            handle.write("0")
    except OSError as error:
        say("ftrace off", errno=error.errno)
        return
    try:
        done, _ = run("verify", "vfs_read", "tp:sched:sched_switch")
        say("ftrace off", code=done.returncode, stdout=done.stdout[-1500:])
    finally:
        with open(path, "w") as handle:
            handle.write("1")


def main():
    only = sys.argv[1:]
    os.makedirs("/boot", exist_ok=True)
    shutil.copy("/host/vmlinuz", f"/boot/vmlinuz-{os.uname().release}")
    if not only or "names" in only:
        verify("names", NAMES)
        verify("lsm", ["bpf_lsm_file_open", "bpf_lsm_bpf", "vfs_read"], "--type", LSM)
        verify("iter", ["bpf_iter_task", "bpf_iter_task_file", "bpf_iter_netlink", "vfs_read"], "--type", ITER)
        sleepable = "tp,tp.s,raw_tp,raw_tp.s,tp_btf,tp_btf.s"
        verify("events", ["tp:sched:sched_switch", "tp:raw_syscalls:sys_enter"], "--type", sleepable)
        done, _ = run("verify", "do_exit", "vfs_read", "--type", "kprobe")
        say("never try", code=done.returncode, stdout=done.stdout, stderr=done.stderr)
    if not only or "ends" in only:
        for attach in ("kprobe", "fentry", "kprobe.multi"):
            ended("SIGKILL of the tool", signal.SIGKILL, attach, "tool")
        ended("SIGKILL of the child", signal.SIGKILL, "fentry", "child")
        ended("SIGINT of the group", signal.SIGINT, "fentry", "group")
        ended("SIGINT of the tool", signal.SIGINT, "kprobe", "tool")
        ended("SIGTERM of the tool", signal.SIGTERM, "fentry", "tool")
        at_random()
    if not only or "rights" in only:
        as_user()
        switches()
    say("end", log=[line for line in os.popen("dmesg").read().splitlines() if "WARNING" in line or "BUG" in line])


if __name__ == "__main__":
    main()
