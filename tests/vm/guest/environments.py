"""Runs in a guest as root: for each environment the tool and the prober are asked the same, as the same user.

    environments.py NAME…    (names of ENVIRONMENTS; none: all)

Writes to $LAB_LIVE one line of JSON for each environment: its name, what the tool said to every question
(answer, errno, unread facts, notes), what the prober said, and the sentences of doctor. Environments are switched by
sysctls and mounts, and set back.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

PROBER = "/host/prober"
SYSCTL = "/proc/sys/kernel/"
TRACEFS, DEBUGFS = "/sys/kernel/tracing", "/sys/kernel/debug"
NOBODY = 65534

# Accepted and refused for every reason; several copies, modules, offsets, system calls, hooks, iterators, events.
TYPES = {
    "vfs_read": "kprobe kretprobe kprobe.multi kprobe.session fentry fentry.s fexit fsession fmod_ret fentry.multi",
    "do_trap": "kprobe fentry",
    "do_exit": "kprobe kretprobe fentry fexit",
    "s_next": "kprobe kprobe.multi fentry",
    "start_kernel": "kprobe kprobe.multi fentry",
    "no_such_function": "kprobe kprobe.multi fentry",
    "__pfx_vfs_read": "kprobe kprobe.multi",
    "__getblk_slow.cold": "kprobe",
    "migrate_disable": "kprobe fentry",
    "security_file_open": "kprobe fentry fmod_ret",
    "bpf_fentry_test1": "fentry fmod_ret",
    "bpf_modify_return_test": "fmod_ret fmod_ret.s",
    "bpf_lsm_file_open": "fentry lsm lsm.s",
    "bpf_lsm_task_free": "lsm lsm.s",
    "bpf_iter_task": "iter iter.s fentry",
    "bpf_iter_bpf_map_elem": "iter",
    "kfree": "kprobe fentry fexit kprobe.multi",
    "tcp_v4_connect": "kprobe fentry kretprobe.multi",
    "exc_page_fault": "kprobe fentry kprobe.multi",
    "__switch_to": "kprobe kretprobe fentry",
    "xfs:xfs_file_open": "kprobe fentry fexit",
    "xfs_file_open": "kprobe kprobe.multi fentry",
    "vfs_read+0x4": "kprobe",
    "vfs_read+0x1": "kprobe",
    "__x64_sys_getpid": "kprobe fentry fentry.s",
    "syscall:execve": "ksyscall kretsyscall tp",
    "tp:sched:sched_switch": "tp raw_tp tp_btf",
    "tp:raw_syscalls:sys_enter": "tp raw_tp tp_btf raw_tp.s",
    "tp:ftrace:function": "tp raw_tp",
    "tp:nosuch:event": "tp raw_tp tp_btf",
    "tp:xfs:xfs_file_fsync": "tp raw_tp tp_btf",
}
# Where the same refusal meets every target, a few of them tell.
FEW = ("vfs_read", "no_such_function", "syscall:execve", "tp:sched:sched_switch")


def questions(targets=tuple(TYPES)):
    """Target and attach type of each question, in order."""
    return [(target, attach) for target in targets for attach in TYPES[target].split()]


def prober_line(target: str, attach: str) -> str:
    """The prober's form of a question."""
    if target.startswith("tp:"):
        category, _, name = target.removeprefix("tp:").partition(":")
        return (
            f"{attach}\t{category}:{name}" if attach.startswith("tp") and "btf" not in attach else f"{attach}\t{name}"
        )
    if target.startswith("syscall:"):
        call = target.removeprefix("syscall:")
        return f"tp\tsyscalls:sys_enter_{call}" if attach == "tp" else f"{attach}\t{call}"
    return f"{attach}\t{target}"


class Environment:
    """How to get there, how to get back, and who asks: capabilities of an ordinary user, None for root.

    `as_me`: the tool judges with this user's rights; without it for root, who then asks the kernel. `tool_only`:
    back before the prober asks, which would miss files that the kernel's answers do not hang on. `cold`: the tool
    also scans the parts of functions that the compiler split off, modules' too: there code must be looked at.
    """

    def __init__(self, there=(), back=(), caps=None, as_me=False, few=False, tool_only=False, cold=False):
        self.there, self.back, self.caps, self.as_me = there, back, caps, as_me
        self.tool_only, self.cold = tool_only, cold
        self.targets = FEW if few else tuple(TYPES)


def sysctl(name, value):
    return f"echo {value} >{SYSCTL}{name}"


OPEN_TRACEFS = f"mount -o remount,gid={NOBODY},mode=750 {TRACEFS}"
CLOSED_TRACEFS = f"mount -o remount,gid=0,mode=700 {TRACEFS}"


def paranoid(value):
    return [sysctl("perf_event_paranoid", value)]


ENVIRONMENTS = {
    "root": Environment(),
    "root, every cold part": Environment(few=True, cold=True),
    "kptr_restrict=1": Environment([sysctl("kptr_restrict", 1)], [sysctl("kptr_restrict", 0)]),
    "kptr_restrict=2": Environment([sysctl("kptr_restrict", 2)], [sysctl("kptr_restrict", 0)]),
    "user, for root": Environment(caps=""),
    "user": Environment(caps="", as_me=True, few=True),
    "user, unprivileged_bpf_disabled=0": Environment(
        [sysctl("unprivileged_bpf_disabled", 0)], [sysctl("unprivileged_bpf_disabled", 2)], "", as_me=True, few=True
    ),
    "bpf only": Environment(caps="CAP_BPF", as_me=True, few=True),
    "perfmon only": Environment(caps="CAP_PERFMON", as_me=True, few=True),
    "bpf and perfmon": Environment(paranoid(2), paranoid(3), caps="CAP_BPF CAP_PERFMON", as_me=True),
    **{
        f"bpf and perfmon, tracefs open, paranoid={value}": Environment(
            [OPEN_TRACEFS, *paranoid(value)],
            [CLOSED_TRACEFS, *paranoid(3)],
            caps="CAP_BPF CAP_PERFMON",
            as_me=True,
            few=value != 3,
        )
        for value in (-1, 0, 1, 2, 3)
    },
    "bpf, perfmon, syslog, tracefs and debugfs open": Environment(
        [OPEN_TRACEFS, f"mount -o remount,gid={NOBODY},mode=750 {DEBUGFS}", *paranoid(2)],
        [CLOSED_TRACEFS, f"mount -o remount,gid=0,mode=700 {DEBUGFS}", *paranoid(3)],
        caps="CAP_BPF CAP_PERFMON CAP_SYSLOG",
        as_me=True,
    ),
    "sys_admin only": Environment(caps="CAP_SYS_ADMIN", as_me=True),
    "no tracefs": Environment([f"umount {TRACEFS}"], [f"mount -t tracefs tracefs {TRACEFS}"], tool_only=True),
    "neither tracefs nor debugfs": Environment(
        [f"umount {TRACEFS}", f"umount {DEBUGFS}"],
        [f"mount -t debugfs debugfs {DEBUGFS}", f"mount -t tracefs tracefs {TRACEFS}"],
        tool_only=True,
    ),
    "kprobes/enabled=0": Environment([f"echo 0 >{DEBUGFS}/kprobes/enabled"], [f"echo 1 >{DEBUGFS}/kprobes/enabled"]),
    # Last: writing 1 again behind attachments shuts ftrace down on some kernels.
    "unprivileged_bpf_disabled=1": Environment([sysctl("unprivileged_bpf_disabled", 1)], [], "", as_me=True, few=True),
    "ftrace_enabled=0": Environment([sysctl("ftrace_enabled", 0)]),
    "ftrace_enabled 0, then 1": Environment([sysctl("ftrace_enabled", 1)]),
}


def in_child(environment, work, what):
    """Runs `what` as the environment's user; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if environment.caps is not None:
                sys.path.insert(0, "/host")
                import as_user

                names = environment.caps.split()
                as_user.become(NOBODY, NOBODY, sorted(as_user.NAMES.index(name) for name in names))
            what()
            status = 0
        except BaseException as error:
            with open(f"{work}/error", "w") as out:
                out.write(f"{type(error).__name__}: {error}")
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def tool(environment, work):
    """Asks the tool, and writes its verdicts and doctor's findings as JSON."""
    from probe_scout.frontends.session import open_kernel
    from probe_scout.model.target import parse
    from probe_scout.probes.attach import verdicts

    kernel = open_kernel("")
    # The whole report of one name; then verdicts alone: reasons and alternatives cost more than they do.
    report = kernel.check(["vfs_read"], TYPES["vfs_read"].split(), as_me=environment.as_me).targets[0]
    found = {}
    for target in environment.targets:
        for verdict in verdicts.verdicts(kernel._kernel, parse(target), TYPES[target].split()):
            found[f"{target} {verdict.attach}"] = {
                "answer": verdict.answer,
                "errno": verdict.errno,
                "certain": verdict.errno_certain,
                "rules": [finding.rule for finding in verdict.findings],
                "unread": [list(unread) for unread in verdict.unread],
                "notes": [note.rule for note in verdict.notes],
            }
    doctor = kernel.doctor()
    answers = []
    if environment.cold:
        answers = [row.answers["kprobe"] for row in kernel.scan("*.cold*", ["kprobe"]).rows]
    with open(f"{work}/tool.json", "w") as out:
        findings = [[finding.rule, finding.says] for finding in doctor.findings]
        hazards = [hazard.id for hazard in report.hazards]
        states = {state.path: [state.state, state.cure] for state in doctor.sources}
        json.dump({"verdicts": found, "doctor": findings, "files": states, "hazards": hazards, "cold": answers}, out)


def go(commands):
    """Runs shell commands; those that failed."""
    return [command for command in commands if subprocess.run(command, shell=True, check=False).returncode]


def ask(name):
    """One environment, there and back: the line of JSON."""
    environment = ENVIRONMENTS[name]
    work = tempfile.mkdtemp()
    os.chmod(work, 0o777)
    failed = go(environment.there)
    line = {"environment": name, "failed": failed, "fires": fires(), "seconds": []}
    if failed:
        return line
    started = time.monotonic()
    status = in_child(environment, work, lambda: tool(environment, work))
    line["seconds"].append(round(time.monotonic() - started, 1))
    line["tool_status"] = status
    line["error"] = text(f"{work}/error")
    line["tool"] = json.loads(text(f"{work}/tool.json") or "{}")

    def probe():
        with open(f"{work}/questions", "w") as out:
            out.writelines(prober_line(*question) + "\n" for question in questions(environment.targets))
        words = [PROBER, f"{work}/questions", f"{work}/answers", "--hold", "200"]
        subprocess.run(words, stdin=subprocess.DEVNULL, check=False)

    if environment.tool_only:
        go(environment.back)
    asker = environment if environment.as_me else Environment()
    started = time.monotonic()
    in_child(asker, work, probe)
    line["seconds"].append(round(time.monotonic() - started, 1))
    line["prober"] = text(f"{work}/answers")
    if not environment.tool_only:
        go(environment.back)
    shutil.rmtree(work)
    return line


def fires(function="bpf_lsm_file_open"):
    """How often a kprobe by tracefs on a function hit while files were opened; None where tracefs is not there."""
    if not os.path.exists(f"{TRACEFS}/kprobe_events"):
        return None
    try:
        write(f"{TRACEFS}/kprobe_events", f"p:environments/hit {function}\n")
        write(f"{TRACEFS}/events/environments/hit/enable", "1")
        for _ in range(5):
            text("/proc/version")
        write(f"{TRACEFS}/events/environments/hit/enable", "0")
        hits = text(f"{TRACEFS}/trace").count(" hit: ")
        write(f"{TRACEFS}/kprobe_events", "")  # opening it for writing has taken the probe away
    except OSError:
        return None
    write(f"{TRACEFS}/trace", "")
    return hits


def write(path, words):
    with open(path, "w") as out:
        out.write(words)


def text(path):
    try:
        with open(path, errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def main():
    os.environ["PROBE_SCOUT_CACHE"] = "off"
    names = sys.argv[1:] or list(ENVIRONMENTS)
    with open(os.environ["LAB_LIVE"], "w") as out:
        for name in names:
            out.write(json.dumps(ask(name)) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
